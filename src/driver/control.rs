//! What workers and dispatcher share: who takes which conversation, who is let in, and whether the run goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::profile::{Budget, Plan};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Invocations are started.
    Running,
    /// Nothing more is started; what is in flight may go on for the drain's time.
    Draining,
    /// What is in flight is cut.
    Cut,
}

/// Which part of the budget ended the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// So many invocations were started.
    Invocations(u64),
    /// So long, in nanoseconds, they were.
    Duration(u64),
    /// So many in a row failed.
    FailuresInARow(u64),
}

/// How often, and for how long, the target's word held all starts up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Answers that asked for it.
    pub count: u64,
    /// Time in which nothing could start, in nanoseconds.
    pub held_ns: u64,
}

/// The one thing that all workers of a run share: one atomic operation a start, none an event.
#[derive(Debug)]
pub struct Control {
    next_conversation: AtomicU64,
    conversations: Option<u64>,
    in_flight: Option<Arc<Semaphore>>,
    started: AtomicU64,
    budget: Budget,
    /// The place of the next start in the budget's rate.
    next_place_ns: AtomicU64,
    held_until_ns: AtomicU64,
    hold_count: AtomicU64,
    /// Until when `held_ns` counts.
    held_counted_ns: AtomicU64,
    held_ns: AtomicU64,
    phase: watch::Sender<(Phase, Option<Spent>)>,
}

impl Control {
    /// The control of a run; `in_flight` is how many conversations an open load may have at a time.
    #[must_use]
    pub fn new(plan: &Plan, budget: Budget, in_flight: Option<u32>) -> Self {
        let permits = |count: u32| usize::try_from(count).expect("a count of conversations fits");
        Self {
            next_conversation: AtomicU64::new(0),
            conversations: plan.conversations(),
            in_flight: in_flight.map(|count| Arc::new(Semaphore::new(permits(count)))),
            started: AtomicU64::new(0),
            budget,
            next_place_ns: AtomicU64::new(0),
            held_until_ns: AtomicU64::new(0),
            hold_count: AtomicU64::new(0),
            held_counted_ns: AtomicU64::new(0),
            held_ns: AtomicU64::new(0),
            phase: watch::Sender::new((Phase::Running, None)),
        }
    }

    /// Takes up the next conversation of a closed load; none when all are taken, or nothing more is started.
    pub fn take_conversation(&self) -> Option<u64> {
        if self.phase() != Phase::Running {
            return None;
        }
        let taken = self.next_conversation.fetch_add(1, Ordering::Relaxed);
        self.conversations.is_none_or(|all| taken < all).then_some(taken)
    }

    /// How many conversations of a closed load have been taken up.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.next_conversation.load(Ordering::Relaxed).min(self.conversations.unwrap_or(u64::MAX))
    }

    /// Whether all conversations of a closed load have been taken up.
    pub fn all_taken(&self) -> bool {
        self.conversations.is_some_and(|all| self.next_conversation.load(Ordering::Relaxed) >= all)
    }

    /// The places for conversations that an open load has.
    #[must_use]
    pub fn in_flight(&self) -> Option<&Arc<Semaphore>> {
        self.in_flight.as_ref()
    }

    /// A place for a conversation of an open load, at once; none when the limit is reached.
    ///
    /// # Errors
    /// As many are in flight as may be.
    pub fn enter(&self) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let Some(places) = &self.in_flight else { return Ok(None) };
        Arc::clone(places).try_acquire_owned().map(Some).map_err(|_| Full)
    }

    /// Spends one invocation of the budget; says whether there was one. When there was not, the run drains.
    pub fn spend(&self) -> bool {
        let Some(most) = self.budget.invocations else { return true };
        let within = self.started.fetch_add(1, Ordering::Relaxed) < most;
        if !within {
            self.exhaust(Spent::Invocations(most));
        }
        within
    }

    /// The budget's time is over.
    pub fn out_of_time(&self) {
        if let Some(duration_ns) = self.budget.duration_ns {
            self.exhaust(Spent::Duration(duration_ns));
        }
    }

    /// So many invocations in a row have failed, in order of their ends; with too many, the run drains.
    pub fn failed_in_a_row(&self, count: u64) {
        if let Some(most) = self.budget.failures_in_a_row.filter(|most| count >= *most) {
            self.exhaust(Spent::FailuresInARow(most));
        }
    }

    fn exhaust(&self, spent: Spent) {
        self.phase.send_if_modified(|now| {
            let first = now.0 == Phase::Running;
            if first {
                *now = (Phase::Draining, Some(spent));
            }
            first
        });
    }

    /// Which part of the budget ended the run, when one did.
    #[must_use]
    pub fn spent(&self) -> Option<Spent> {
        self.phase.borrow().1
    }

    /// When a start that is due at `due_ns` may be made by the budget's rate: `due_ns` itself or later. Each call takes
    /// a place.
    #[must_use]
    pub fn place_ns(&self, due_ns: u64) -> u64 {
        let Some(rate) = self.budget.rate else { return due_ns };
        let apart_ns = rate.instant_ns(1);
        let take = |next_ns: u64| Some(next_ns.max(due_ns).saturating_add(apart_ns));
        // The update never refuses, so this is the value before it.
        let before = self.next_place_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        before.unwrap_or_else(|unchanged| unchanged).max(due_ns)
    }

    /// The target asked for silence of `pause_ns` from `now_ns` on; heeded when the budget says so. By the run's plan
    /// nothing starts from `end_ns` on, held up or not.
    pub fn hold(&self, now_ns: u64, pause_ns: u64, end_ns: u64) {
        if !self.budget.brake {
            return;
        }
        let until_ns = now_ns.saturating_add(pause_ns);
        self.held_until_ns.fetch_max(until_ns, Ordering::Relaxed);
        self.hold_count.fetch_add(1, Ordering::Relaxed);
        if self.phase() == Phase::Running {
            let counted_ns = until_ns.min(end_ns);
            let before_ns = self.held_counted_ns.fetch_max(counted_ns, Ordering::Relaxed);
            self.held_ns.fetch_add(counted_ns.saturating_sub(before_ns.max(now_ns)), Ordering::Relaxed);
        }
    }

    /// Until when the target's word holds starts up, in nanoseconds.
    #[must_use]
    pub fn held_until_ns(&self) -> u64 {
        self.held_until_ns.load(Ordering::Relaxed)
    }

    /// How often and for how long it did, in a run whose starts ended at `ended_ns`.
    #[must_use]
    pub fn holds(&self, ended_ns: u64) -> Holds {
        let over_ns = self.held_counted_ns.load(Ordering::Relaxed).saturating_sub(ended_ns);
        let held_ns = self.held_ns.load(Ordering::Relaxed).saturating_sub(over_ns);
        Holds { count: self.hold_count.load(Ordering::Relaxed), held_ns }
    }

    /// Moves the run on to `phase`; a run never goes back.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let further = phase > now.0;
            now.0 = phase.max(now.0);
            further
        });
    }

    /// How far the run is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.borrow().0
    }

    /// Waits until the run is as far as `phase`.
    pub async fn reached(&self, phase: Phase) {
        let mut seen = self.phase.subscribe();
        // The sender lives in `self`, so the channel can't close while this waits.
        let _ = seen.wait_for(|now| now.0 >= phase).await;
    }
}

/// As many conversations are in flight as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::units::{NS_PER_MS, Rate};

    fn control(end: &str, budget: Budget, in_flight: Option<u32>) -> Control {
        let text = format!("why = \"test\"\n{end}\nrequest.input.text = \"Hello\"");
        let profile = Profile::parse("x.toml", &text, Vec::new()).expect("valid");
        Control::new(&Plan::new(&profile), budget, in_flight)
    }

    #[test]
    fn each_conversation_is_taken_once_and_none_after_the_end() {
        let counted = control("load.invocations = 2", Budget::default(), None);
        assert_eq!(counted.take_conversation(), Some(0));
        assert_eq!(counted.take_conversation(), Some(1));
        assert_eq!(counted.take_conversation(), None);
        let endless = control("load.duration = \"1s\"", Budget::default(), None);
        assert_eq!(endless.take_conversation(), Some(0));
        endless.advance(Phase::Draining);
        assert_eq!(endless.take_conversation(), None);
    }

    #[test]
    fn a_run_never_goes_back() {
        let control = control("load.invocations = 2", Budget::default(), None);
        control.advance(Phase::Cut);
        control.advance(Phase::Draining);
        assert_eq!(control.phase(), Phase::Cut);
    }

    #[test]
    fn the_budget_ends_the_run_and_says_which_part_of_it_did() {
        let budget = Budget { invocations: Some(2), duration_ns: Some(7), ..Budget::default() };
        let control = control("load.invocations = 9", budget, None);
        assert!(control.spend() && control.spend());
        assert_eq!((control.phase(), control.spent()), (Phase::Running, None));
        assert!(!control.spend());
        control.out_of_time();
        assert_eq!((control.phase(), control.spent()), (Phase::Draining, Some(Spent::Invocations(2))));
    }

    #[test]
    fn places_at_the_budgets_rate_lie_apart_and_holds_are_counted_once() {
        let budget = Budget { rate: Some(Rate::parse("10").expect("a rate")), brake: true, ..Budget::default() };
        let control = control("load.invocations = 9", budget, None);
        let places: Vec<_> = [0, 0, 50, 1_000].map(|ms| control.place_ns(ms * NS_PER_MS) / NS_PER_MS).to_vec();
        assert_eq!(places, [0, 100, 200, 1_000]);
        control.hold(10, 90, u64::MAX);
        control.hold(50, 90, u64::MAX);
        control.hold(60, 10, u64::MAX);
        assert_eq!((control.held_until_ns(), control.holds(900)), (140, Holds { count: 3, held_ns: 130 }));
    }

    #[test]
    fn what_the_target_asks_for_beyond_the_end_of_the_starts_held_nothing_up() {
        let control = control("load.invocations = 9", Budget { brake: true, ..Budget::default() }, None);
        control.hold(900, 600, 1_000);
        assert_eq!((control.held_until_ns(), control.holds(1_000)), (1_500, Holds { count: 1, held_ns: 100 }));
        assert_eq!(control.holds(950).held_ns, 50, "somebody asked for the end");
        control.hold(1_700, 100, 1_000);
        control.advance(Phase::Draining);
        control.hold(2_000, 100, u64::MAX);
        assert_eq!((control.held_until_ns(), control.holds(1_000)), (2_100, Holds { count: 3, held_ns: 100 }));
    }

    #[test]
    fn no_more_than_the_limit_are_in_flight() {
        let limited = control("load.rate = 1\nload.invocations = 9", Budget::default(), Some(1));
        let first = limited.enter().expect("there is a place");
        assert_eq!(limited.enter().map(drop), Err(Full));
        drop(first);
        assert!(limited.enter().is_ok());
    }
}
