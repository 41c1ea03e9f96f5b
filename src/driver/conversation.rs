//! One conversation: its turns strictly one after another, each an invocation or none.

use std::sync::Arc;

use http::Response;

use super::control::Phase;
use super::in_flight::InFlight;
use super::message::Message;
use super::worker::Shared;
use crate::client::{Ask, Seen, Slot};
use crate::metrics::certificate::BUDGET_HELD;
use crate::metrics::tracker::Start;
use crate::metrics::{Conduct, Outcome, Record};
use crate::profile::Planned;

/// When a conversation's first turn is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Closed load: after its think time, from when the slot was free.
    When { free_ns: u64 },
    /// Open load: at this instant; where it had to wait for a place, it was let in later.
    At { intended_ns: u64, admitted_ns: Option<u64> },
}

/// A slot that is free again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freed {
    /// Since when, in nanoseconds.
    pub(super) at_ns: u64,
    /// The last invocation got no answer at all.
    pub(super) got_no_answer: bool,
}

/// One start that is due.
struct Due {
    intended_ns: u64,
    admitted_ns: Option<u64>,
    task_id: Option<String>,
    resumed: bool,
}

/// The task that a turn left running at the agent, as long as another turn may still go on with it. Whoever drops it
/// tells.
struct Behind<'a> {
    shared: &'a Shared,
    /// It runs; its id may not have come.
    task: Option<Option<String>>,
}

impl Behind<'_> {
    /// Keeps in mind what a turn leaves running, itself or, where the target did not take it up, from before it.
    fn after(&mut self, before: Option<Option<String>>, record: &Record) {
        let same = before.as_ref() == Some(&record.task_id);
        if !same {
            // The turn began another task.
            self.task = before;
            self.tell();
        }
        let runs = is_left(record) || same && !is_taken_up(record);
        self.task = runs.then(|| record.task_id.clone());
    }

    fn tell(&mut self) {
        if let Some(task) = self.task.take() {
            self.shared.send(Message::Left(task));
        }
    }
}

impl Drop for Behind<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Shared {
    /// The turns of one conversation; gives the slot back, or nothing when the run has stopped.
    pub(super) async fn conversation(
        &self,
        slot: &mut Slot,
        conversation: u64,
        first: First,
        stop_ns: Option<u64>,
    ) -> Option<Freed> {
        let plan = &self.worker.plan;
        let place = plan.conversation(conversation);
        let (mut task_id, mut resumed, mut got_no_answer) = (None, false, false);
        let mut behind = Behind { shared: self, task: None };
        let mut free_ns = match first {
            First::When { free_ns } => free_ns,
            First::At { intended_ns, .. } => intended_ns,
        };
        for turn in 0..place.turns {
            if plan.planned().is_some_and(|planned| place.index(turn) >= planned) {
                return None;
            }
            let planned = plan.start(&place, turn);
            let is_open = turn == 0 && matches!(first, First::At { .. });
            let (intended_ns, admitted_ns) = match first {
                First::At { intended_ns, admitted_ns } if is_open => (intended_ns, admitted_ns),
                _ => (self.pause(free_ns.saturating_add(planned.think_ns), stop_ns).await?, None),
            };
            let due = Due { intended_ns, admitted_ns, task_id: task_id.take(), resumed };
            let Some(due) = self.let_in(due, is_open).await else {
                if is_open {
                    self.unmade(conversation, intended_ns, Outcome::NotStarted, BUDGET_HELD);
                }
                return None;
            };
            // While it is in flight, whoever ends it tells of the task.
            let before = behind.task.take();
            let record = self.invocation(slot, &planned, due).await;
            behind.after(before, &record);
            free_ns = freed_ns(&record);
            got_no_answer = record.got_no_answer();
            task_id.clone_from(&record.task_id);
            let completed = record.outcome.is_completed();
            // Without a task there is nothing to go on with: the next turn begins another one.
            resumed = !completed && task_id.is_some();
            let goes_on = completed || plan.goes_on() && turn + 1 < place.turns && record.outcome != Outcome::Cut;
            if !(goes_on && resumed) {
                behind.tell();
            }
            self.finished(record);
            if !goes_on {
                // A turn that failed leaves nothing to go on from; what follows it never comes.
                break;
            }
        }
        Some(Freed { at_ns: free_ns, got_no_answer })
    }

    /// An invocation has its record, in which its task id is not for use any more.
    pub(super) fn finished(&self, mut record: Record) {
        record.task_id = record.task_id.map(|id| self.worker.client.hide(&id).into_owned());
        self.send(Message::Finished(Box::new(record)));
    }

    /// Waits for an intended start; gives it back when it may still be made then.
    async fn pause(&self, intended_ns: u64, stop_ns: Option<u64>) -> Option<u64> {
        if intended_ns > self.worker.clock.now() && self.is_before_the_end(intended_ns, stop_ns) {
            self.rest_until(intended_ns).await;
        }
        self.may_start(intended_ns, stop_ns).then_some(intended_ns)
    }

    /// Waits, but not longer than the run goes on, nor than its load or its budget.
    async fn rest_until(&self, at_ns: u64) {
        let at_ns = at_ns.min(self.worker.window.end_ns());
        tokio::select! {
            () = self.worker.clock.sleep_until(at_ns) => {}
            () = self.worker.control.reached(Phase::Draining) => {}
        }
    }

    /// Whether an invocation that is meant for `intended_ns` may be started, now or then.
    pub(super) fn may_start(&self, intended_ns: u64, stop_ns: Option<u64>) -> bool {
        let now_ns = self.worker.clock.now();
        let budget_ns = self.worker.window.budget_ns.unwrap_or(u64::MAX);
        if !self.is_before_the_end(intended_ns, stop_ns) {
            return false;
        }
        // Whoever would start later ends the run only when its time is over: others may start until then.
        if now_ns >= budget_ns {
            self.worker.control.out_of_time();
        }
        intended_ns.max(now_ns) < budget_ns
    }

    /// Whether the run goes on, and its load has not ended by `intended_ns`.
    fn is_before_the_end(&self, intended_ns: u64, stop_ns: Option<u64>) -> bool {
        let at_ns = intended_ns.max(self.worker.clock.now());
        self.worker.control.phase() == Phase::Running && stop_ns.is_none_or(|stop_ns| at_ns < stop_ns)
    }

    /// Waits for a place in the budget's rate, and for the end of what the target asked for. In closed load that moves
    /// the intended start, as a user would think longer; in open load its instant stays. None when the run has stopped.
    async fn let_in(&self, mut due: Due, is_open: bool) -> Option<Due> {
        let (control, clock) = (&self.worker.control, self.worker.clock);
        let ready_ns = due.admitted_ns.unwrap_or(due.intended_ns);
        let mut at_ns = control.gate().place_ns(ready_ns);
        if at_ns > ready_ns {
            let end_ns = self.worker.window.end_ns();
            while at_ns.min(end_ns) > clock.now() && control.phase() == Phase::Running {
                self.rest_until(at_ns).await;
                at_ns = control.gate().still_ns(at_ns);
            }
            if !self.may_start(at_ns, self.worker.window.stop_ns) {
                return None;
            }
            if is_open {
                due.admitted_ns = Some(at_ns);
            } else {
                due.intended_ns = at_ns;
            }
        }
        control.gate().passed(at_ns);
        control.spend().then_some(due)
    }

    async fn invocation(&self, slot: &mut Slot, planned: &Planned, due: Due) -> Record {
        let worker = &self.worker;
        let start = Start {
            plan_index: planned.plan_index,
            variant: Arc::clone(&planned.variant),
            conversation: planned.conversation,
            turn: planned.turn,
            worker: worker.index,
            warmup: due.intended_ns < worker.window.warmup_until_ns,
            task_id: due.task_id,
            intended_ns: due.intended_ns,
            started_ns: worker.clock.now(),
        };
        let ask =
            Ask { variant_at: planned.variant_at, prompt: &planned.prompt, read_bytes_per_s: planned.read_bytes_per_s };
        let conduct = Conduct {
            admitted_ns: due.admitted_ns,
            hang_up_ns: planned.hang_up_ns,
            read_bytes_per_s: planned.read_bytes_per_s,
            resumed: due.resumed,
        };
        let interruption = self.interruption(start.started_ns, planned.hang_up_ns);
        let mut in_flight = InFlight::new(self, start.clone(), Arc::clone(&planned.scenario), conduct);
        let mut watch = |seen: Seen<'_>| in_flight.see(&seen);
        let (mut record, gaps_ns) = slot.invoke(start, ask, self.take_buffer(), interruption, &mut watch).await;
        in_flight.end(&mut record, gaps_ns);
        record
    }

    /// What an answer asks for may be a brake, where the budget says so.
    pub(super) fn heed(&self, answer: &Response<()>) {
        self.worker.control.gate().heed(answer, self.worker.clock);
    }

    /// What ends an invocation from outside: the end of the run's drain, or of the user's patience.
    async fn interruption(&self, started_ns: u64, hang_up_ns: Option<u64>) -> (Outcome, &'static str) {
        let mut cut = self.cut.subscribe();
        let cut = async move { drop(cut.wait_for(|cut| *cut).await) };
        let Some(hang_up_ns) = hang_up_ns else {
            cut.await;
            return CUT;
        };
        tokio::select! {
            biased;
            () = cut => CUT,
            () = self.worker.clock.sleep_until(started_ns.saturating_add(hang_up_ns)) => {
                (Outcome::Abandoned, "the user hung up, as the profile says")
            }
        }
    }
}

const CUT: (Outcome, &str) = (Outcome::Cut, "the run's drain ended first");

/// Whether the target has taken a turn up, and with it the task that it goes on with.
fn is_taken_up(record: &Record) -> bool {
    let refused = matches!(record.outcome, Outcome::HttpStatus(_) | Outcome::RateLimited | Outcome::BadContentType);
    record.stamps.headers_ns.is_some() && !refused
}

/// When whoever had this invocation can go on, in nanoseconds: once its answer has come to its end, and who reads slowly
/// has read it.
fn freed_ns(record: &Record) -> u64 {
    let stamps = &record.stamps;
    match stamps.finished_ns.zip(stamps.eof_ns) {
        Some((finished_ns, eof_ns)) if record.conduct.read_bytes_per_s.is_none() => finished_ns.max(eof_ns),
        _ => stamps.last_known_ns,
    }
}

/// Whether the task goes on at the agent, for all that is known: it was this side that let go of the stream.
fn is_left(record: &Record) -> bool {
    record.stamps.sent_ns.is_some()
        && record.stamps.finished_ns.is_none()
        && matches!(
            record.outcome,
            Outcome::Cut
                | Outcome::Abandoned
                | Outcome::TimedOut(_)
                | Outcome::Stalled
                | Outcome::EventTooLarge
                | Outcome::BadEvent
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_when_its_answer_has_ended_and_who_reads_slowly_when_he_has_read_it() {
        let freed = |finished_ns, eof_ns, read_bytes_per_s| {
            let mut record = Record::unstarted(0, Arc::from("base"), 0, 0, Outcome::Dropped);
            (record.stamps.finished_ns, record.stamps.eof_ns) = (finished_ns, eof_ns);
            record.stamps.last_known_ns = 50;
            record.conduct.read_bytes_per_s = read_bytes_per_s;
            freed_ns(&record)
        };
        assert_eq!(freed(Some(10), Some(10), None), 10, "what the client does then is its own lag");
        assert_eq!(freed(Some(10), Some(40), None), 40, "the server held the body open");
        assert_eq!(freed(Some(10), None, None), 50, "and longer than it was waited for");
        assert_eq!(freed(Some(10), Some(40), Some(1)), 50);
        assert_eq!(freed(None, Some(40), None), 50);
    }
}
