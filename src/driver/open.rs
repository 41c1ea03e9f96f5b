//! Open load: conversations begin at the plan's instants, whatever the answers do.
//!
//! A start that is late, or that had to wait for a place, is timed from its instant and moves none of those after it.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::control::Phase;
use super::conversation::First;
use super::message::Message;
use super::worker::{Shared, pass_on};
use crate::metrics::certificate::LIMIT_REACHED;
use crate::metrics::{Outcome, Record};
use crate::profile::Overflow;

/// Starts that are made in a row before others get their turn, when many are due at once.
const STARTS_IN_A_ROW: u32 = 32;

/// What became of a start at its instant.
enum Entry {
    /// It may be made; with the place that it holds, and since when it was let in if it had to wait.
    Made(Option<OwnedSemaphorePermit>, Option<u64>),
    /// It is dropped.
    Dropped,
    /// The run ended while it waited for a place.
    Stopped,
}

/// Waits for `step`; meanwhile sees conversations to their end, so that one that dies does so at once.
async fn see_off<T>(open: &mut JoinSet<()>, step: impl Future<Output = T>) -> T {
    let mut step = pin!(step);
    loop {
        tokio::select! {
            biased;
            done = step.as_mut() => return done,
            Some(ended) = open.join_next() => pass_on(ended),
        }
    }
}

impl Shared {
    /// Starts the worker's share of the conversations, and sees them to their end.
    pub(super) async fn arrivals(self: Rc<Self>, workers: u32, overflow: Overflow) {
        let starts = self.worker.plan.starts().expect("an open load has instants");
        let own = |count: u32| usize::try_from(count).expect("workers are few");
        let mut starts = (0..).zip(starts).skip(own(self.worker.index)).step_by(own(workers));
        let mut open = JoinSet::new();
        let (mut in_a_row, mut moved_ns) = (0, 0);
        for (conversation, at_ns) in starts.by_ref() {
            let intended_ns = self.worker.window.start_ns.saturating_add(at_ns);
            if !see_off(&mut open, self.wait_for(intended_ns, &mut in_a_row)).await {
                break;
            }
            match see_off(&mut open, self.entry(overflow)).await {
                Entry::Made(place, waited_until_ns) => {
                    // Who came while another one waited stood behind him, and was let in no sooner.
                    moved_ns = waited_until_ns.unwrap_or(moved_ns);
                    let admitted_ns = (intended_ns < moved_ns).then_some(moved_ns);
                    let first = First::At { intended_ns, admitted_ns };
                    open.spawn_local(Rc::clone(&self).visit(conversation, first, place));
                }
                Entry::Dropped => self.unmade(conversation, intended_ns, Outcome::Dropped, LIMIT_REACHED),
                Entry::Stopped => {
                    self.unmade(conversation, intended_ns, Outcome::NotStarted, LIMIT_REACHED);
                    self.still_queued(starts);
                    break;
                }
            }
            while let Some(ended) = open.try_join_next() {
                pass_on(ended);
            }
        }
        while let Some(ended) = open.join_next().await {
            pass_on(ended);
        }
    }

    /// Waits for an instant; says whether the run goes on then.
    async fn wait_for(&self, intended_ns: u64, in_a_row: &mut u32) -> bool {
        let (control, clock) = (&self.worker.control, self.worker.clock);
        if intended_ns > clock.now() {
            *in_a_row = 0;
            tokio::select! {
                biased;
                () = control.reached(Phase::Draining) => {}
                () = clock.sleep_until(intended_ns.min(self.worker.window.budget_ns.unwrap_or(u64::MAX))) => {}
            }
        } else {
            *in_a_row += 1;
            if in_a_row.is_multiple_of(STARTS_IN_A_ROW) {
                tokio::task::yield_now().await;
            }
        }
        if self.worker.window.budget_ns.is_some_and(|end_ns| intended_ns >= end_ns) {
            control.out_of_time();
        }
        control.phase() == Phase::Running
    }

    /// Asks for a place, and waits for one where that is the policy.
    async fn entry(&self, overflow: Overflow) -> Entry {
        let (control, clock) = (&self.worker.control, self.worker.clock);
        match (control.enter(), overflow) {
            (Ok(place), _) => return Entry::Made(place, None),
            (Err(_), Overflow::Drop) => return Entry::Dropped,
            (Err(_), Overflow::Queue) => {}
        }
        let places = Arc::clone(control.in_flight().expect("only a limit is ever full"));
        tokio::select! {
            biased;
            () = control.reached(Phase::Draining) => Entry::Stopped,
            // It is never closed.
            place = places.acquire_owned() => Entry::Made(place.ok(), Some(clock.now())),
            () = clock.sleep_until(self.worker.window.end_ns()) => {
                if self.worker.window.budget_ns == Some(self.worker.window.end_ns()) {
                    control.out_of_time();
                }
                Entry::Stopped
            }
        }
    }

    /// One conversation from its instant to its end.
    async fn visit(self: Rc<Self>, conversation: u64, first: First, place: Option<OwnedSemaphorePermit>) {
        let mut slot = self.take_slot();
        self.conversation(&mut slot, conversation, first, self.worker.window.stop_ns).await;
        self.give_slot(slot);
        drop(place);
    }

    /// Those whose instant came while the first of them waited for a place.
    fn still_queued(&self, starts: impl Iterator<Item = (u64, u64)>) {
        let now_ns = self.worker.clock.now();
        let instants =
            starts.map(|(conversation, at_ns)| (conversation, self.worker.window.start_ns.saturating_add(at_ns)));
        for (conversation, intended_ns) in instants.take_while(|(_, intended_ns)| *intended_ns < now_ns) {
            self.unmade(conversation, intended_ns, Outcome::NotStarted, LIMIT_REACHED);
        }
    }

    /// The row of a conversation that a limit kept from beginning.
    pub(super) fn unmade(&self, conversation: u64, intended_ns: u64, outcome: Outcome, why: &str) {
        let plan = &self.worker.plan;
        let planned = plan.start(&plan.conversation(conversation), 0);
        let index = planned.plan_index;
        let mut record = Record::unstarted(index, planned.variant, intended_ns, self.worker.clock.now(), outcome);
        record.conversation = conversation;
        record.scenario = planned.scenario;
        record.worker = Some(self.worker.index);
        record.warmup = intended_ns < self.worker.window.warmup_until_ns;
        record.detail = Some(why.to_owned());
        self.send(Message::Finished(Box::new(record)));
    }
}

#[cfg(test)]
mod tests;
