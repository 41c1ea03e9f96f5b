//! Closed load: each slot carries one conversation after another, and the answers decide when the next begins.

use std::rc::Rc;

use tokio::task::JoinSet;

use super::conversation::First;
use super::worker::{Shared, pass_on};

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
        // A budget that ends when there is nothing left to do has stopped nothing.
        while !self.worker.control.all_taken() && self.may_start(free_ns, stop_ns) {
            let Some(conversation) = self.worker.control.take_conversation() else { return };
            let first = First::When { free_ns };
            let Some(next_ns) = self.conversation(&mut slot, conversation, first, stop_ns).await else { return };
            free_ns = next_ns;
        }
    }
}
