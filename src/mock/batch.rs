//! Events on their way to the outlet: which of them share a write, and how a write goes wrong.

use std::io;

use super::agent::{Agent, count};
use super::flaws::Flaws;
use super::logs::Due;
use super::outlet::Outlet;
use super::payload::{Odd, Writer};
use super::performance::What;
use super::stage::Booking;
use crate::profile::script::Writes;
use crate::sse::Encoder;

/// The most bytes that events of the same instant share.
const BATCH_BYTES: usize = 64 << 10;
/// How large a buffer may stay while its stream waits: a chunk's event has room in it, a task's does not.
const KEPT_BYTES: usize = 1 << 10;

/// Empties a buffer, and gives its memory back where it is more than a stream that waits should hold.
pub(super) fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

/// The events of one stream that were not written yet, and where they go.
#[derive(Debug)]
pub(super) struct Batch<'a, O> {
    agent: &'a Agent,
    outlet: &'a mut O,
    index: u64,
    flaws: &'a Flaws<'a>,
    writer: Writer<'a>,
    encoder: Encoder,
    bytes: Vec<u8>,
    /// Until when what is in it may be held back, in nanoseconds; absent when nothing is.
    held_until_ns: Option<u64>,
    /// The events in it, when the truth is written down.
    due: Vec<Due>,
    /// Events so far, those in the batch included.
    events: u64,
    is_gone: bool,
}

impl<'a, O: Outlet> Batch<'a, O> {
    pub(super) fn new(agent: &'a Agent, outlet: &'a mut O, booking: &'a Booking, flaws: &'a Flaws<'a>) -> Self {
        Self {
            writer: Writer::new(agent, booking, flaws.fields),
            encoder: Encoder::new(flaws.line_end),
            agent,
            outlet,
            index: booking.index,
            flaws,
            bytes: Vec::new(),
            held_until_ns: None,
            due: Vec::new(),
            events: 0,
            is_gone: false,
        }
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Whether nobody listens any more; nothing is written then.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The other end, for what goes past the batch.
    pub(super) fn outlet(&mut self) -> &mut O {
        self.outlet
    }

    /// Waits until nobody listens any more.
    pub(super) async fn hung_up(&mut self) {
        if self.is_gone {
            return std::future::pending().await;
        }
        self.outlet.hung_up().await;
        self.gone();
    }

    fn gone(&mut self) {
        self.is_gone = true;
        self.bytes = Vec::new();
        count(&self.agent.counters().hung_up, 1);
    }

    /// Puts an event of the performance in.
    pub(super) fn put(&mut self, what: What, due_ns: u64) {
        let kind = self.writer.write(what, self.agent.stamp());
        self.add(kind, due_ns);
    }

    /// Puts an event in that is none of the performance.
    pub(super) fn put_odd(&mut self, odd: &Odd<'_>, due_ns: u64) {
        let kind = self.writer.write_odd(odd, self.agent.stamp());
        self.add(kind, due_ns);
    }

    /// Puts the event in that was written.
    fn add(&mut self, kind: &'static str, due_ns: u64) {
        if !self.is_gone {
            if let Some(hold) = self.flaws.hold.filter(|_| self.held_until_ns.is_none()) {
                self.held_until_ns = Some(self.agent.clock.now().saturating_add(hold.delay_ns));
            }
            if self.flaws.comments {
                self.encoder.comment(b"comment", &mut self.bytes);
            }
            let from = self.bytes.len();
            self.writer.encode(self.encoder, self.events, kind, &mut self.bytes);
            if self.agent.logs.has_truth() {
                let bytes = self.bytes.len() - from;
                self.due.push(Due { event_index: self.events, kind, bytes, due_ns });
            }
        }
        self.events += 1;
    }

    /// Writes what is in it, if an event is not to wait for others of the same instant.
    pub(super) async fn settle(&mut self) {
        let is_alone = self.agent.script.writes == Writes::Each || self.flaws.cut.is_some();
        if is_alone || self.bytes.len() >= BATCH_BYTES {
            self.flush().await;
        }
    }

    /// A comment as a sign of life.
    pub(super) async fn ping(&mut self) {
        if !self.is_gone {
            self.encoder.comment(b"ping", &mut self.bytes);
            self.flush().await;
        }
    }

    /// Writes what is in it, unless it is held back.
    pub(super) async fn flush(&mut self) {
        if !self.flaws.buffer && !self.is_held() {
            self.write_all().await;
        }
    }

    fn is_held(&self) -> bool {
        let gathers = self.flaws.hold.is_some_and(|hold| (self.bytes.len() as u64) < hold.bytes);
        gathers && self.held_until_ns.is_some_and(|until_ns| self.agent.clock.now() < until_ns)
    }

    /// Until when what is in it may be held back, in nanoseconds; absent when nothing is.
    pub(super) fn held_until_ns(&self) -> Option<u64> {
        self.held_until_ns.filter(|_| !self.is_gone && !self.flaws.buffer)
    }

    /// Writes what is in it, in any case.
    pub(super) async fn write_all(&mut self) {
        if self.is_gone {
            return;
        }
        self.held_until_ns = None;
        let handed_ns = self.hand_over();
        let written = self.write_out().await;
        self.note_handed(handed_ns);
        empty(&mut self.bytes);
        if written.is_err() {
            self.gone();
        }
    }

    /// Ends the body, in the same write as what is left of it.
    pub(super) async fn end(&mut self) {
        if self.flaws.drip_ns.is_some() || self.flaws.cut.is_some() {
            self.write_all().await;
        }
        if !self.is_gone {
            let handed_ns = self.hand_over();
            let ended = self.outlet.end(&self.bytes).await;
            self.note_handed(handed_ns);
            empty(&mut self.bytes);
            if ended.is_err() {
                self.gone();
            }
        }
    }

    /// The instant just before a write, when the truth is written down about an event in it.
    fn hand_over(&self) -> Option<u64> {
        (!self.due.is_empty()).then(|| self.agent.clock.now())
    }

    /// Writes down what was handed to the socket: after the write, which it would delay.
    fn note_handed(&mut self, handed_ns: Option<u64>) {
        if let Some(handed_ns) = handed_ns {
            let agent = self.agent;
            let written_ns = O::WRITES_AT_ONCE.then(|| agent.clock.now());
            agent.logs.handed(self.index, &self.due, handed_ns, written_ns, agent.clock);
            self.due.clear();
        }
    }

    async fn write_out(&mut self) -> io::Result<()> {
        if let Some(drip_ns) = self.flaws.drip_ns {
            return self.drip(drip_ns).await;
        }
        let cut = self.flaws.cut.and_then(|cut| cut.place(&self.bytes));
        let (first, second) = self.bytes.split_at(cut.unwrap_or(self.bytes.len()));
        self.outlet.write(first).await?;
        if !second.is_empty() {
            // The first part is on its way before the second is written.
            tokio::task::yield_now().await;
            self.outlet.write(second).await?;
        }
        Ok(())
    }

    /// One byte a write.
    async fn drip(&mut self, drip_ns: u64) -> io::Result<()> {
        let clock = self.agent.clock;
        for at in 0..self.bytes.len() {
            self.outlet.write(&self.bytes[at..=at]).await?;
            clock.sleep_until(clock.now().saturating_add(drip_ns)).await;
        }
        Ok(())
    }
}
