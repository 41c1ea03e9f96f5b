//! One conversation: its turns strictly one after another, each an invocation or none.

use std::sync::Arc;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::control::Phase;
use super::message::Message;
use super::worker::Shared;
use crate::agent::{Envelope, EventKind, event_type};
use crate::client::{Ask, Seen, Slot};
use crate::metrics::certificate::BUDGET_HELD;
use crate::metrics::tracker::{Arrival, Start};
use crate::metrics::{Conduct, Outcome, Record};
use crate::profile::Planned;
use crate::runfile::events::Event;
use crate::units::NS_PER_S;

/// How long status 429 without a `Retry-After` holds starts up, in nanoseconds.
const HOLD_NS: u64 = NS_PER_S;
/// The longest that any `Retry-After` does.
const HOLD_MAX_NS: u64 = 600 * NS_PER_S;

/// When a conversation's first turn is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Closed load: after its think time, from when the slot was free.
    When { free_ns: u64 },
    /// Open load: at this instant; where it had to wait for a place, it was let in later.
    At { intended_ns: u64, admitted_ns: Option<u64> },
}

/// One start that is due.
struct Due {
    intended_ns: u64,
    admitted_ns: Option<u64>,
    task_id: Option<String>,
    resumed: bool,
}

impl Shared {
    /// The turns of one conversation; says when the slot became free, or nothing when the run has stopped.
    pub(super) async fn conversation(
        &self,
        slot: &mut Slot,
        conversation: u64,
        first: First,
        stop_ns: Option<u64>,
    ) -> Option<u64> {
        let plan = &self.worker.plan;
        let place = plan.conversation(conversation);
        let (mut task_id, mut resumed) = (None, false);
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
                _ => (self.pause(free_ns + planned.think_ns, stop_ns).await?, None),
            };
            let due = Due { intended_ns, admitted_ns, task_id: task_id.take(), resumed };
            let Some(due) = self.let_in(due, is_open).await else {
                if is_open {
                    self.unmade(conversation, intended_ns, Outcome::NotStarted, BUDGET_HELD);
                }
                return None;
            };
            let record = self.invocation(slot, &planned, due).await;
            free_ns = record.stamps.finished_ns.unwrap_or(record.stamps.last_known_ns);
            resumed = !record.outcome.is_completed();
            task_id.clone_from(&record.task_id);
            let goes_on = !resumed || plan.goes_on() && turn + 1 < place.turns && record.outcome != Outcome::Cut;
            if !goes_on && is_left(&record) {
                self.send(Message::Left(record.task_id.clone()));
            }
            self.send(Message::Finished(Box::new(record)));
            if !goes_on {
                // A turn that failed leaves nothing to go on from; what follows it never comes.
                break;
            }
        }
        Some(free_ns)
    }

    /// Waits for an intended start; gives it back when it may still be made then.
    async fn pause(&self, intended_ns: u64, stop_ns: Option<u64>) -> Option<u64> {
        if intended_ns > self.worker.clock.now() && self.is_before_the_end(intended_ns, stop_ns) {
            self.rest_until(intended_ns).await;
        }
        self.may_start(intended_ns, stop_ns).then_some(intended_ns)
    }

    /// Waits, but not longer than the run goes on, nor than its budget.
    async fn rest_until(&self, at_ns: u64) {
        let at_ns = at_ns.min(self.worker.window.budget_ns.unwrap_or(u64::MAX));
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
        let mut at_ns = control.place_ns(ready_ns).max(control.held_until_ns());
        if at_ns > ready_ns {
            let budget_ns = self.worker.window.budget_ns.unwrap_or(u64::MAX);
            while at_ns.min(budget_ns) > clock.now() && control.phase() == Phase::Running {
                self.rest_until(at_ns).await;
                at_ns = at_ns.max(control.held_until_ns());
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
        self.count(|progress| {
            progress.started += 1;
            progress.in_flight += 1;
        });
        let ask =
            Ask { variant_at: planned.variant_at, prompt: &planned.prompt, read_bytes_per_s: planned.read_bytes_per_s };
        let interruption = self.interruption(start.started_ns, planned.hang_up_ns);
        let mut events = Events {
            shared: self,
            plan_index: start.plan_index,
            seen: 0,
            variant: Arc::clone(&start.variant),
            scenario: Arc::clone(&planned.scenario),
            warmup: start.warmup,
            held: None,
        };
        let mut watch = |seen: Seen<'_>| events.see(&seen);
        let (mut record, gaps_ns) = slot.invoke(start, ask, self.take_buffer(), interruption, &mut watch).await;
        events.end();
        record.scenario = Arc::clone(&planned.scenario);
        record.conduct = Conduct {
            admitted_ns: due.admitted_ns,
            hang_up_ns: planned.hang_up_ns,
            read_bytes_per_s: planned.read_bytes_per_s,
            resumed: due.resumed,
        };
        self.ended(&record, gaps_ns);
        record
    }

    /// Counts the end of an invocation; one that could not be made after all was not even started.
    fn ended(&self, record: &Record, gaps_ns: Vec<u64>) {
        let taken_ns = record.stamps.started_ns.map(|started_ns| self.worker.clock.now().saturating_sub(started_ns));
        self.count(|progress| {
            progress.in_flight -= 1;
            progress.in_flight_ns += taken_ns.unwrap_or_default();
            progress.started -= u64::from(taken_ns.is_none());
        });
        if taken_ns.is_some() {
            self.recorder.borrow_mut().finished(record, &gaps_ns);
        }
        self.give_buffer(gaps_ns);
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

/// The events of one running invocation, as the worker counts them.
struct Events<'a> {
    shared: &'a Shared,
    plan_index: u64,
    /// Events so far.
    seen: u64,
    variant: Arc<str>,
    scenario: Arc<str>,
    warmup: bool,
    /// The latest event: only what follows shows whether it was the last of its read.
    held: Option<Arrival>,
}

impl Events<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Bytes(_, data) => self.shared.count(|progress| progress.body_bytes += data.len() as u64),
            Seen::Event(arrival, envelope, payload) => {
                self.shared.count(|progress| {
                    progress.events += 1;
                    progress.user_stamped += u64::from(!arrival.kernel);
                });
                if let Some(sheet) = &self.shared.sheet {
                    sheet.borrow_mut().write(&self.row(arrival, envelope, payload));
                }
                self.seen += 1;
                if let Some(before) = self.held.replace(*arrival) {
                    self.record(&before, before.read != arrival.read);
                }
            }
            Seen::Head(answer) if answer.status().as_u16() == 429 => {
                let worker = &self.shared.worker;
                worker.control.hold(worker.clock.now(), retry_after_ns(answer.headers()));
            }
            Seen::Head(_) => {}
        }
    }

    fn row<'e>(&self, arrival: &Arrival, envelope: &Envelope<'_>, payload: &'e [u8]) -> Event<'e> {
        let text_bytes = if envelope.kind == EventKind::Chunk { envelope.chunk_text_bytes() } else { None };
        Event {
            plan_index: self.plan_index,
            event_index: self.seen,
            kind: event_type(payload).unwrap_or_default(),
            earliest_ns: arrival.earliest_ns,
            arrival_ns: arrival.arrival_ns,
            handled_ns: arrival.handled_ns,
            read: arrival.read,
            bytes: payload.len() as u64,
            text_bytes: text_bytes.unwrap_or(0) as u64,
        }
    }

    fn end(&mut self) {
        if let Some(last) = self.held.take() {
            self.record(&last, true);
        }
    }

    /// The kernel's stamp is that of the read's last segment: for the events before, it is the latest possible.
    fn record(&self, arrival: &Arrival, last_of_read: bool) {
        let exact = arrival.kernel && last_of_read && !arrival.followed;
        let mapping_ns = if arrival.kernel { self.shared.stamper.mapping_error_ns() } else { 0 };
        let span_ns = if exact { 0 } else { arrival.arrival_ns.saturating_sub(arrival.earliest_ns) };
        let lag_ns = arrival.handled_ns.saturating_sub(arrival.arrival_ns);
        let of = (&self.variant, &self.scenario);
        self.shared.recorder.borrow_mut().event(of, self.warmup, lag_ns, mapping_ns + span_ns);
    }
}

/// What a `Retry-After` in seconds says (RFC 9110 §10.2.3), in nanoseconds; a date is not read, and counts as none.
fn retry_after_ns(headers: &HeaderMap) -> u64 {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    seconds.map_or(HOLD_NS, |seconds| seconds.saturating_mul(NS_PER_S)).min(HOLD_MAX_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_heeded_within_bounds() {
        let told = |value: &str| {
            let headers = [(RETRY_AFTER, value.parse().expect("a header"))];
            retry_after_ns(&HeaderMap::from_iter(headers)) / NS_PER_S
        };
        assert_eq!([told("0"), told("30"), told(" 7 "), told("999999999999")], [0, 30, 7, 600]);
        assert_eq!(told("Fri, 31 Dec 1999 23:59:59 GMT"), 1);
        assert_eq!(retry_after_ns(&HeaderMap::new()), HOLD_NS);
    }
}
