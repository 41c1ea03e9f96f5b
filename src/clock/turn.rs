//! The turns of a worker's loop: how long what a read brought can have lain there before anybody looked.
//!
//! A turn begins when the thread goes to look for input. What a turn finds was not there yet when the turn before it
//! looked, so it came after that turn had begun. No more than that is known: a thread can be held up, when somebody else
//! has its core, between seeing that there is input and saying so.

use tokio::runtime::Builder;

/// Has the threads of the runtime to be built note their turns, so that [`super::Clock::turn_earliest_ns`] knows them.
///
/// A turn looks at everything that there is: were it to leave some of it to the next one, that would have come earlier than
/// is said of it. Costs a reading of the clock a turn. On platforms without a fine clock nothing is noted.
pub fn watch_turns(builder: &mut Builder) -> &mut Builder {
    #[cfg(target_os = "linux")]
    return builder
        .max_io_events_per_tick(LOOK_MAX)
        .on_thread_park(|| TURNS.set(TURNS.get().begins(super::monotonic_ns())));
    #[cfg(not(target_os = "linux"))]
    builder
}

/// Sockets that a turn looks at, at most: more than a process has descriptors. They take 12 bytes each.
#[cfg(target_os = "linux")]
const LOOK_MAX: usize = 1 << 15;

#[cfg(target_os = "linux")]
thread_local! {
    static TURNS: std::cell::Cell<Turns> = const { std::cell::Cell::new(Turns { began_ns: None, before_ns: None }) };
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
    /// When the one before it did.
    before_ns: Option<u64>,
}

#[cfg(target_os = "linux")]
impl Turns {
    fn begins(self, now_ns: u64) -> Self {
        Self { began_ns: Some(now_ns), before_ns: self.began_ns }
    }

    fn earliest_ns(self) -> Option<u64> {
        self.before_ns
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn what_a_turn_finds_came_after_the_turn_before_it_had_begun() {
        let turns = Turns::default();
        assert_eq!(turns.begins(100).earliest_ns(), None, "no turn before it is known");
        // It came at 101, while the turn was busy; or at 140, while the thread waited; and was found at 150.
        assert_eq!(turns.begins(100).begins(150).earliest_ns(), Some(100));
        assert_eq!(turns.begins(100).begins(150).begins(151).earliest_ns(), Some(150));
    }

    #[test]
    fn a_runtime_notes_its_turns_when_asked_to() {
        let clock = Clock::start();
        let mut builder = Builder::new_current_thread();
        let runtime = watch_turns(builder.enable_all()).build().expect("a runtime");
        let (earliest_ns, now_ns) = runtime.block_on(async {
            for _ in 0..2 {
                clock.sleep_until(clock.now() + 100_000).await;
            }
            (clock.turn_earliest_ns(), clock.now())
        });
        assert!(earliest_ns.is_some_and(|at_ns| at_ns <= now_ns), "{earliest_ns:?} {now_ns}");
        std::thread::spawn(move || assert_eq!(clock.turn_earliest_ns(), None)).join().expect("no turns there");
    }
}
