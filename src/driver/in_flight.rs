//! One running invocation, as its worker counts it; where the worker dies under it, its row is made here.

use std::borrow::Cow;
use std::sync::Arc;

use super::message::Message;
use super::worker::Shared;
use crate::agent::{Envelope, EventKind, event_type};
use crate::client::Seen;
use crate::metrics::certificate::WORKER_DIED;
use crate::metrics::tracker::{Arrival, Start};
use crate::metrics::{Conduct, Counts, Outcome, Record};
use crate::runfile::events::Event;

/// A running invocation. Dropped before its end, which only the death of its worker does, it leaves a row behind.
pub(super) struct InFlight<'a> {
    shared: &'a Shared,
    start: Start,
    scenario: Arc<str>,
    conduct: Conduct,
    task_id: Option<String>,
    events: u64,
    body_bytes: u64,
    /// The latest event: only what follows shows whether it was the last of its read.
    held: Option<Arrival>,
    /// The request was handed over.
    sent: bool,
    recorded: bool,
    ended: bool,
}

impl<'a> InFlight<'a> {
    /// An invocation that is taken up now.
    pub(super) fn new(shared: &'a Shared, start: Start, scenario: Arc<str>, conduct: Conduct) -> Self {
        shared.count(|progress| {
            progress.started += 1;
            progress.in_flight += 1;
        });
        let task_id = start.task_id.clone();
        Self {
            shared,
            start,
            scenario,
            conduct,
            task_id,
            events: 0,
            body_bytes: 0,
            held: None,
            sent: false,
            recorded: false,
            ended: false,
        }
    }

    /// Takes in what is seen of it.
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Sent => self.sent = true,
            Seen::Bytes(_, data) => {
                self.body_bytes += data.len() as u64;
                self.shared.count(|progress| progress.body_bytes += data.len() as u64);
            }
            Seen::Event(arrival, envelope, payload) => {
                self.shared.count(|progress| {
                    progress.events += 1;
                    progress.user_stamped += u64::from(!arrival.kernel);
                });
                if let Some(sheet) = &self.shared.sheet {
                    sheet.borrow_mut().write(&self.row(arrival, envelope, payload));
                }
                self.events += 1;
                if envelope.kind == EventKind::TaskCreated && self.task_id.is_none() {
                    self.task_id = envelope.task_id.as_deref().map(ToOwned::to_owned);
                }
                if let Some(before) = self.held.replace(*arrival) {
                    self.record(&before, before.read != arrival.read);
                }
            }
            Seen::Followed(read) => {
                let held = self.held.as_mut().filter(|held| held.read == *read);
                held.into_iter().for_each(|held| held.followed = true);
            }
            Seen::Head(answer) => self.shared.heed(answer),
        }
    }

    /// It has ended; gives the row what its user did.
    pub(super) fn end(mut self, record: &mut Record, gaps_ns: Vec<u64>) {
        record.scenario = Arc::clone(&self.scenario);
        record.conduct = self.conduct;
        self.close(record, &gaps_ns);
        self.shared.give_buffer(gaps_ns);
    }

    /// Counts its end; one that could not be made after all was not even started.
    fn close(&mut self, record: &Record, gaps_ns: &[u64]) {
        let was_made = record.stamps.started_ns.is_some();
        // Said first: what a recorder dies of is not tried again.
        if !std::mem::replace(&mut self.recorded, true) && was_made {
            if let Some(last) = self.held.take() {
                self.record(&last, true);
            }
            self.shared.recorder.borrow_mut().finished(record, gaps_ns);
        }
        let taken_ns = self.shared.worker.clock.now().saturating_sub(self.start.started_ns);
        self.shared.count(|progress| {
            progress.in_flight -= 1;
            progress.in_flight_ns += if was_made { taken_ns } else { 0 };
            progress.unmade += u64::from(!was_made);
        });
        self.ended = true;
    }

    fn row<'e>(&self, arrival: &Arrival, envelope: &Envelope<'_>, payload: &'e [u8]) -> Event<'e> {
        let text_bytes = if envelope.kind == EventKind::Chunk { envelope.chunk_text_bytes() } else { None };
        let kind = event_type(payload).unwrap_or_default();
        Event {
            plan_index: self.start.plan_index,
            event_index: self.events,
            // A type of the contract's holds nothing of ours.
            kind: if envelope.kind == EventKind::Unknown { self.hidden(kind) } else { kind },
            earliest_ns: arrival.earliest_ns,
            arrival_ns: arrival.arrival_ns,
            handled_ns: arrival.handled_ns,
            read: arrival.read,
            bytes: payload.len() as u64,
            text_bytes: text_bytes.unwrap_or(0) as u64,
        }
    }

    fn hidden<'e>(&self, kind: Cow<'e, str>) -> Cow<'e, str> {
        match self.shared.worker.client.hide(&kind) {
            Cow::Owned(hidden) => Cow::Owned(hidden),
            Cow::Borrowed(_) => kind,
        }
    }

    /// The kernel's stamp is that of the read's last segment: for the events before, it is the latest possible. What lies
    /// there because its user reads slowly says nothing about the client.
    fn record(&self, arrival: &Arrival, last_of_read: bool) {
        if !self.conduct.shows_the_client() {
            return;
        }
        let exact = arrival.kernel && last_of_read && !arrival.followed;
        let mapping_ns = if arrival.kernel { self.shared.stamper.mapping_error_ns() } else { 0 };
        let span_ns = if exact { 0 } else { arrival.arrival_ns.saturating_sub(arrival.earliest_ns) };
        let lag_ns = arrival.handled_ns.saturating_sub(arrival.arrival_ns);
        let of = (&self.start.variant, &self.scenario);
        self.shared.recorder.borrow_mut().event(of, self.start.warmup, lag_ns, mapping_ns + span_ns);
    }

    /// What is still known of it when its worker dies: that it was started, and how much came. Its stamps are lost, so
    /// it is censored at its start.
    fn remains(&mut self) -> Record {
        let counts = Counts { events: self.events, body_bytes: self.body_bytes, ..Counts::default() };
        Record {
            scenario: Arc::clone(&self.scenario),
            task_id: self.task_id.take(),
            outcome: Outcome::Cut,
            detail: Some(WORKER_DIED.to_owned()),
            counts,
            conduct: self.conduct,
            ..self.start.clone().record()
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let record = self.remains();
        self.close(&record, &[]);
        if self.sent {
            self.shared.send(Message::Left(record.task_id.clone()));
        }
        self.shared.finished(record);
    }
}
