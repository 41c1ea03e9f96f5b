//! The turns of a worker's loop: how long what a read brought can have lain there before anybody looked.
//!
//! A turn begins when the thread comes back from waiting for input, and ends when it waits again. What wakes a thread
//! that waits is seen at once; what comes while a turn is busy is seen at the beginning of the next one. So nothing
//! that a turn finds has lain there for longer than the turn before it was busy.

use tokio::runtime::Builder;

/// Has the threads of the runtime to be built note their turns, so that [`super::Clock::turn_earliest_ns`] knows them.
///
/// Costs two readings of the clock a turn. On platforms without a fine clock nothing is noted.
pub fn watch_turns(builder: &mut Builder) -> &mut Builder {
    #[cfg(target_os = "linux")]
    return builder
        .on_thread_park(|| TURNS.set(TURNS.get().waits(super::monotonic_ns())))
        .on_thread_unpark(|| TURNS.set(TURNS.get().begins(super::monotonic_ns())));
    #[cfg(not(target_os = "linux"))]
    builder
}

#[cfg(target_os = "linux")]
thread_local! {
    static TURNS: std::cell::Cell<Turns> = const { std::cell::Cell::new(Turns { began_ns: None, busy_ns: 0 }) };
}

/// The earliest at which something that this thread's turn was woken for can have happened.
#[cfg(target_os = "linux")]
pub(super) fn earliest_ns() -> Option<u64> {
    TURNS.get().earliest_ns()
}

/// What is known of a thread's turns, in nanoseconds of the system's monotonic clock.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    /// When the turn under way began.
    began_ns: Option<u64>,
    /// How long the one before it was busy.
    busy_ns: u64,
}

#[cfg(target_os = "linux")]
impl Turns {
    fn waits(self, now_ns: u64) -> Self {
        let busy_ns = self.began_ns.map_or(0, |began_ns| now_ns.saturating_sub(began_ns));
        Self { busy_ns, ..self }
    }

    fn begins(self, now_ns: u64) -> Self {
        Self { began_ns: Some(now_ns), ..self }
    }

    fn earliest_ns(self) -> Option<u64> {
        self.began_ns.map(|began_ns| began_ns.saturating_sub(self.busy_ns))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn what_a_turn_finds_came_no_earlier_than_the_turn_before_it_was_busy() {
        let turns = Turns::default();
        assert_eq!(turns.waits(10).earliest_ns(), None, "no turn is known yet");
        let turns = turns.waits(10).begins(100);
        assert_eq!(turns.earliest_ns(), Some(100), "it had waited: the wake-up came at once");
        // Busy from 100 to 130; what came meanwhile is found at 131.
        assert_eq!(turns.waits(130).begins(131).earliest_ns(), Some(101));
    }

    #[test]
    fn a_runtime_notes_its_turns_when_asked_to() {
        let clock = Clock::start();
        let mut builder = Builder::new_current_thread();
        let runtime = watch_turns(builder.enable_all()).build().expect("a runtime");
        let (earliest_ns, now_ns) = runtime.block_on(async {
            clock.sleep_until(clock.now() + 100_000).await;
            (clock.turn_earliest_ns(), clock.now())
        });
        assert!(earliest_ns.is_some_and(|at_ns| at_ns <= now_ns), "{earliest_ns:?} {now_ns}");
        std::thread::spawn(move || assert_eq!(clock.turn_earliest_ns(), None)).join().expect("no turns there");
    }
}
