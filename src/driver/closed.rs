//! Closed load: each slot carries one conversation after another, and the answers decide when the next begins.

use std::rc::Rc;

use tokio::task::JoinSet;

use super::conversation::First;
use super::worker::{Shared, pass_on};
use crate::units::NS_PER_MS;

/// What a slot waits before it asks again a target that did not answer twice in a row, in nanoseconds.
const BACKOFF_NS: u64 = 10 * NS_PER_MS;
/// The most that it waits: when the target is back, the load is so a second later.
const BACKOFF_MAX_NS: u64 = 1_000 * NS_PER_MS;

impl Shared {
    /// Runs these slots of the run's to their end.
    pub(super) async fn slots(self: Rc<Self>, numbers: &[u32], of: u32) {
        let mut slots = JoinSet::new();
        for number in numbers {
            slots.spawn_local(Rc::clone(&self).slot(*number, of));
        }
        while let Some(ended) = slots.join_next().await {
            pass_on(ended);
        }
    }

    /// One place in the load: conversation after conversation, until there is none left.
    async fn slot(self: Rc<Self>, number: u32, of: u32) {
        let (mut free_ns, stop_ns) = self.worker.window.slot(number, of);
        let mut slot = self.worker.client.slot_in(&self.pool, &self.stamper);
        let (mut unanswered, mut put_off_ns) = (0, 0);
        // A budget that ends when there is nothing left to do has stopped nothing.
        while !self.worker.control.all_taken() && self.may_start(free_ns, stop_ns) {
            let Some(conversation) = self.worker.control.take_conversation() else { return };
            if put_off_ns > 0 {
                self.count(|progress| {
                    progress.put_off += 1;
                    progress.put_off_ns += put_off_ns;
                });
            }
            let first = First::When { free_ns };
            let Some(freed) = self.conversation(&mut slot, conversation, first, stop_ns).await else { return };
            unanswered = if freed.got_no_answer { unanswered + 1 } else { 0 };
            put_off_ns = backoff_ns(unanswered);
            free_ns = freed.at_ns + put_off_ns;
        }
    }
}

/// How long a slot waits after so many starts in a row that got no answer, in nanoseconds: a target that is gone would
/// else be asked as fast as the machine can. One alone is no reason; from the second on it is [`BACKOFF_NS`], and twice
/// as long each time, up to [`BACKOFF_MAX_NS`].
fn backoff_ns(unanswered: u32) -> u64 {
    match unanswered {
        0 | 1 => 0,
        more => BACKOFF_NS.saturating_mul(1 << (more - 2).min(32)).min(BACKOFF_MAX_NS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_waits_longer_and_longer_for_a_target_that_does_not_answer() {
        let ms: Vec<_> = [0, 1, 2, 3, 4, 8, 9, 200].map(|count| backoff_ns(count) / NS_PER_MS).to_vec();
        assert_eq!(ms, [0, 0, 10, 20, 40, 640, 1_000, 1_000]);
    }
}
