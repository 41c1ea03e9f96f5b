//! Stop Task, for the tasks that a run leaves behind: what the agent still does for nobody costs all the same.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use hyper::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::call::{Caller, Line, Unanswered};
use super::gate::{Gate, HOLD_MAX_NS};
use crate::clock::Clock;
use crate::units::NS_PER_S;

/// How often a refusal that may pass is asked again.
const TRIES: u64 = 3;

/// The pause before the second try, in nanoseconds; before the third one it is twice as long.
const PAUSE_NS: u64 = NS_PER_S / 5;

/// Calls that go on at a time.
const AT_A_TIME: usize = 8;

/// How long the tasks that a run has left behind are being stopped after its end, at most, where nothing makes the calls
/// wait, in nanoseconds.
const STOPS_NS: u64 = 10 * NS_PER_S;

/// Stops tasks.
#[derive(Debug)]
pub struct Stopper(Caller);

/// What became of the tasks that were to be stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Tasks that were stopped, or had ended by themselves.
    pub stopped: u64,
    /// Why the last one that could not be stopped was not.
    pub why: Option<String>,
}

/// What the calls have in common.
#[derive(Debug)]
struct Shared {
    tasks: Mutex<UnboundedReceiver<String>>,
    stopped: RefCell<Stopped>,
    /// Who says when a call may go, and by which clock.
    gate: (Arc<Gate>, Clock),
    /// The last call got no answer in time: the others would wait as long.
    hangs: Cell<bool>,
}

impl Stopper {
    /// Stops tasks of this caller's target.
    #[must_use]
    pub fn new(caller: Caller) -> Self {
        Self(caller)
    }

    /// Stops every task that comes, some at a time and each when `gate` lets it pass, until no more can come, or until
    /// `give_up` says why not to go on. Once no more can come, a call that times out is the last one. Needs a `LocalSet`.
    pub async fn stop_all(
        self,
        tasks: UnboundedReceiver<String>,
        gate: (Arc<Gate>, Clock),
        give_up: impl Future<Output = &'static str>,
    ) -> Stopped {
        let (tasks, stopped, hangs) = (Mutex::new(tasks), RefCell::default(), Cell::new(false));
        let shared = Rc::new(Shared { tasks, stopped, gate, hangs });
        let mut lines = JoinSet::new();
        for _ in 0..AT_A_TIME {
            lines.spawn_local(Rc::clone(&shared).stop_those(self.0.clone()));
        }
        let all = async {
            while let Some(ended) = lines.join_next().await {
                if let Err(error) = ended {
                    shared.stopped.borrow_mut().why = Some(error.to_string());
                }
            }
        };
        tokio::select! {
            biased;
            () = all => {}
            why = give_up => shared.stopped.borrow_mut().why = Some(why.to_owned()),
        }
        shared.stopped.take()
    }
}

impl Shared {
    /// Stops what comes, one after another.
    async fn stop_those(self: Rc<Self>, caller: Caller) {
        let prefix = caller.base().prefix.clone();
        let mut line = None;
        loop {
            let mut tasks = self.tasks.lock().await;
            let (next, no_more) = (tasks.recv().await, tasks.is_closed());
            drop(tasks);
            let Some(task) = next else { return };
            if no_more && self.hangs.get() {
                continue;
            }
            let line = line.get_or_insert_with(|| caller.line());
            match self.stop(line, &format!("{prefix}/v1/tasks/{}/stop", percent(&task))).await {
                Ok(()) => {
                    self.hangs.set(false);
                    self.stopped.borrow_mut().stopped += 1;
                }
                Err(unstopped) => {
                    self.hangs.set(matches!(unstopped, Unanswered::TimedOut));
                    self.stopped.borrow_mut().why = Some(unstopped.to_string());
                }
            }
        }
    }

    /// Stops one task. The API says nothing when it had ended already, and that is as good.
    async fn stop(&self, line: &mut Line, path: &str) -> Result<(), Unanswered> {
        let ((gate, clock), mut last) = (&self.gate, None);
        for before in 0..TRIES {
            if before > 0 {
                line.pause(before * PAUSE_NS).await;
            }
            gate.pass(*clock).await;
            match line.post(path, "{}").await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    gate.heed(&answer, *clock);
                    let status = answer.status();
                    last = Some(Unanswered::Broken(format!("status {}", status.as_u16())));
                    if !(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS) {
                        break;
                    }
                }
                Err(Unanswered::TimedOut) => return Err(Unanswered::TimedOut),
                Err(broken) => last = Some(broken),
            }
        }
        last.map_or(Ok(()), Err)
    }
}

/// Waits until the time for stopping so many tasks after a run is over: calls that have to wait for the budget's rate, or
/// for what the target asked for, have as much more.
pub async fn patience(gate: &Gate, clock: Clock, tasks: u64) {
    let places_ns = gate.apart_ns().saturating_mul(tasks.saturating_mul(TRIES));
    let most_ns = clock.now().saturating_add(STOPS_NS + HOLD_MAX_NS).saturating_add(places_ns);
    let mut until_ns = clock.now().saturating_add(STOPS_NS);
    while clock.now() < until_ns {
        clock.sleep_until(until_ns).await;
        until_ns = gate.next_ns().saturating_add(STOPS_NS).min(most_ns);
    }
}

/// What RFC 3986 does not call unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A task id, which the agent chose, as one segment of a path.
fn percent(task: &str) -> PercentEncode<'_> {
    utf8_percent_encode(task, RESERVED)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::client::call::tests::{Answer, NO_BODY, caller, in_virtual_time};
    use crate::profile::Budget;
    use crate::units::{NS_PER_MS, Rate};

    const BUSY: &str = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
    const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    const UNKNOWN: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

    /// What became of so many tasks, and after how many milliseconds.
    async fn stopped(
        tasks: usize,
        answers: &[Answer],
        give_up: impl Future<Output = &'static str>,
    ) -> (u64, Option<String>, u64) {
        stopped_within(Budget::default(), tasks, answers, give_up).await
    }

    async fn stopped_within(
        budget: Budget,
        tasks: usize,
        answers: &[Answer],
        give_up: impl Future<Output = &'static str>,
    ) -> (u64, Option<String>, u64) {
        let (give, take) = unbounded_channel();
        (0..tasks).for_each(|task| give.send(format!("t{task}")).expect("it is taken"));
        drop(give);
        let clock = Clock::start();
        let Stopped { stopped, why } =
            Stopper::new(caller(answers)).stop_all(take, (Arc::new(Gate::new(&budget)), clock), give_up).await;
        (stopped, why, clock.now() / NS_PER_MS)
    }

    #[test]
    fn a_refusal_that_may_pass_is_asked_again_after_a_pause() {
        in_virtual_time(async {
            let passes = stopped(1, &[(0, BUSY), (0, BROKEN), (0, NO_BODY)], pending()).await;
            assert_eq!(passes, (1, None, 600));
            let stays = stopped(1, &[(0, BUSY), (0, BUSY), (0, BUSY), (0, NO_BODY)], pending()).await;
            assert_eq!(stays, (0, Some("status 429".to_owned()), 600));
            let unknown = stopped(1, &[(0, UNKNOWN), (0, NO_BODY)], pending()).await;
            assert_eq!(unknown, (0, Some("status 404".to_owned()), 0));
        });
    }

    #[test]
    fn a_target_that_hangs_is_not_asked_for_every_task() {
        in_virtual_time(async {
            let (stopped, why, ms) = stopped(500, &[(0, NO_BODY), (0, NO_BODY)], pending()).await;
            assert_eq!((stopped, ms), (2, 1_000), "one limit for all of them");
            assert!(why.is_some_and(|why| why.contains("within the limit")));
        });
    }

    #[test]
    fn who_is_told_to_give_up_keeps_what_was_stopped() {
        in_virtual_time(async {
            let clock = Clock::start();
            let soon = async {
                clock.sleep_until(300 * NS_PER_MS).await;
                "there was no time left"
            };
            let told = stopped(500, &[(0, NO_BODY), (0, NO_BODY), (0, NO_BODY)], soon).await;
            assert_eq!(told, (3, Some("there was no time left".to_owned()), 300));
            assert_eq!(stopped(9, &[], ready("at once")).await.0, 0);
        });
    }

    #[test]
    fn stops_take_places_in_the_budgets_rate() {
        in_virtual_time(async {
            let budget = Budget { rate: Some(Rate::parse("2").expect("a rate")), ..Budget::default() };
            let told = stopped_within(budget, 5, &[(0, NO_BODY); 5], pending()).await;
            assert_eq!(told, (5, None, 2_000), "the first one at once, and then two a second");
        });
    }

    #[test]
    fn what_the_target_asks_for_is_heeded_when_the_budget_says_so() {
        let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        in_virtual_time(async {
            for (brake, ms) in [(true, 7_000), (false, 200)] {
                let budget = Budget { brake, ..Budget::default() };
                assert_eq!(stopped_within(budget, 1, &[(0, busy), (0, NO_BODY)], pending()).await, (1, None, ms));
            }
        });
    }

    #[test]
    fn who_has_to_wait_gets_the_time_for_it_up_to_a_bound() {
        in_virtual_time(async {
            let waited_s = async |budget: Budget, hold_s: u64, holds: u64| {
                let (gate, clock) = (Gate::new(&budget), Clock::start());
                (0..holds).for_each(|_| gate.hold(0, hold_s * NS_PER_S));
                patience(&gate, clock, 4).await;
                clock.now() / NS_PER_S
            };
            let brake = Budget { brake: true, ..Budget::default() };
            assert_eq!(waited_s(Budget::default(), 60, 1).await, 10);
            assert_eq!((waited_s(brake, 60, 1).await, waited_s(brake, 3_600, 1).await), (70, 610));
            let rate = Budget { rate: Some(Rate::parse("15/m").expect("a rate")), ..Budget::default() };
            let (gate, clock) = (Gate::new(&rate), Clock::start());
            let places: Vec<_> = (0..4).map(|_| gate.place_ns(0) / NS_PER_S).collect();
            patience(&gate, clock, 4).await;
            assert_eq!((places, clock.now() / NS_PER_S), (vec![0, 4, 8, 12], 26));
        });
    }
}
