//! What workers and dispatcher share: who takes which conversation, and whether the run goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

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

/// The one thing that all workers of a run share: one atomic operation a conversation, none an event.
#[derive(Debug)]
pub struct Control {
    next_conversation: AtomicU64,
    conversations: Option<u64>,
    phase: watch::Sender<Phase>,
}

impl Control {
    /// A run of so many conversations; without end when absent.
    #[must_use]
    pub fn new(conversations: Option<u64>) -> Self {
        Self { next_conversation: AtomicU64::new(0), conversations, phase: watch::Sender::new(Phase::Running) }
    }

    /// Takes up the next conversation; none when all are taken, or nothing more is started.
    pub fn take_conversation(&self) -> Option<u64> {
        if *self.phase.borrow() != Phase::Running {
            return None;
        }
        let taken = self.next_conversation.fetch_add(1, Ordering::Relaxed);
        self.conversations.is_none_or(|all| taken < all).then_some(taken)
    }

    /// Moves the run on to `phase`; a run never goes back.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let further = phase > *now;
            *now = phase.max(*now);
            further
        });
    }

    /// How far the run is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the run is as far as `phase`.
    pub async fn reached(&self, phase: Phase) {
        let mut seen = self.phase.subscribe();
        // The sender lives in `self`, so the channel can't close while this waits.
        let _ = seen.wait_for(|now| *now >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conversation_is_taken_once_and_none_after_the_end() {
        let control = Control::new(Some(2));
        assert_eq!(control.take_conversation(), Some(0));
        assert_eq!(control.take_conversation(), Some(1));
        assert_eq!(control.take_conversation(), None);
        let endless = Control::new(None);
        assert_eq!(endless.take_conversation(), Some(0));
        endless.advance(Phase::Draining);
        assert_eq!(endless.take_conversation(), None);
    }

    #[test]
    fn a_run_never_goes_back() {
        let control = Control::new(None);
        control.advance(Phase::Cut);
        control.advance(Phase::Draining);
        assert_eq!(control.phase(), Phase::Cut);
    }
}
