//! What workers and dispatcher share: who takes which conversation, who is let in, and whether the run goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::client::gate::Gate;
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

/// The one thing that all workers of a run share: one atomic operation a start, none an event.
#[derive(Debug)]
pub struct Control {
    next_conversation: AtomicU64,
    conversations: Option<u64>,
    in_flight: Option<Arc<Semaphore>>,
    started: AtomicU64,
    budget: Budget,
    gate: Arc<Gate>,
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
            gate: Arc::new(Gate::new(&budget)),
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
                self.gate.starts_have_ended();
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

    /// When the target may be asked.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Moves the run on to `phase`; a run never goes back.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let further = phase > now.0;
            if further {
                self.gate.starts_have_ended();
            }
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
    fn no_more_than_the_limit_are_in_flight() {
        let limited = control("load.rate = 1\nload.invocations = 9", Budget::default(), Some(1));
        let first = limited.enter().expect("there is a place");
        assert_eq!(limited.enter().map(drop), Err(Full));
        drop(first);
        assert!(limited.enter().is_ok());
    }
}
