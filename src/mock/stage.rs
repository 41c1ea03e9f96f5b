//! The stage: plays a performance in time onto an outlet, with everything that goes wrong on the way.
//!
//! Instants are absolute: a cue that is late does not move the ones after it. Only what the service itself takes (the
//! wait for a slot, a stall) moves them.

use std::io;
use std::sync::Arc;

use http::Response;

use super::agent::Agent;
use super::flaws::Flaws;
use super::logs::Due;
use super::outlet::{Nobody, Outlet};
use super::payload::{Odd, Writer};
use super::performance::{Performance, Prelude, What};
use super::replay;
use super::service::{Place, Slot};
use super::store::Begun;
use super::task::{Status, StopSign, Told};
use crate::profile::script::{Fault, FaultKind, HangUp, Writes};
use crate::sse::Encoder;

/// The most bytes that events of the same instant share.
const BATCH_BYTES: usize = 64 << 10;
/// How much of the result a trimmed snapshot keeps, in characters.
pub(super) const TRIMMED_CHARS: usize = 64;

/// An invocation that was admitted.
#[derive(Debug)]
pub(super) struct Booking {
    pub(super) index: u64,
    pub(super) begun: Begun,
    pub(super) prelude: Prelude,
    /// Held until the end.
    pub(super) _place: Place,
    pub(super) stop: Arc<StopSign>,
    /// `connected` comes first, whatever the script says.
    pub(super) connected: bool,
    /// The head of the answer.
    pub(super) head: Response<()>,
}

/// How a performance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The task ended, with this status.
    Finished(Status),
    /// A fault of the script ended the stream.
    Broken,
    /// Nobody listened any more.
    HungUp,
}

/// Why a performance does not go on.
enum Halt {
    Gone,
    Broken,
}

impl From<io::Error> for Halt {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Plays an invocation to its end with nobody listening, beside everything else.
pub(super) fn spawn(agent: &Arc<Agent>, booking: Booking) {
    let agent = Arc::clone(agent);
    tokio::task::spawn_local(async move { perform(&agent, &mut Nobody, booking).await });
}

struct Stage<'a, O> {
    agent: &'a Agent,
    outlet: &'a mut O,
    booking: &'a Booking,
    flaws: Flaws<'a>,
    writer: Writer<'a>,
    encoder: Encoder,
    /// Body bytes that are not written yet.
    batch: Vec<u8>,
    /// The events in the batch, when the truth is written down.
    due: Vec<Due>,
    /// Events so far, those in the batch included.
    events: u64,
    /// The instant that the next cue counts from, in nanoseconds.
    due_ns: u64,
    slot: Option<Slot>,
    is_gone: bool,
}

/// Plays an invocation to its end.
pub(super) async fn perform<O: Outlet>(agent: &Agent, outlet: &mut O, booking: Booking) -> Ended {
    if let Some((recording, speed)) = agent.replay(booking.index) {
        let told = replay::perform(agent, outlet, recording, speed, booking.head.clone()).await;
        agent.ended(&booking, told, 0);
        return told;
    }
    let flaws = Flaws::new(&agent.script, agent.seed, booking.index);
    let due_ns = agent.clock.now();
    let mut stage = Stage {
        writer: Writer::new(agent, &booking, flaws.fields),
        encoder: Encoder::new(flaws.line_end),
        agent,
        outlet,
        booking: &booking,
        flaws,
        batch: Vec::new(),
        due: Vec::new(),
        events: 0,
        due_ns,
        slot: None,
        is_gone: false,
    };
    let ended = stage.play().await;
    let told = match ended {
        Ok(status) => Ended::Finished(status),
        Err(Halt::Broken) => Ended::Broken,
        Err(Halt::Gone) => Ended::HungUp,
    };
    if let Some(slot) = stage.slot.take() {
        slot.leave(agent.clock.now());
    }
    let events = stage.events;
    agent.ended(&booking, told, events);
    told
}

impl<O: Outlet> Stage<'_, O> {
    async fn play(&mut self) -> Result<Status, Halt> {
        let prelude_ns = self.booking.prelude.headers_ns.saturating_add(self.flaws.slow_headers_ns);
        self.wait(prelude_ns).await?;
        self.outlet.head(self.booking.head.clone());
        let (agent, booking) = (self.agent, self.booking);
        let turn = agent.store.change(&booking.begun, |_| ()).map(|turn| turn.ask).unwrap_or_default();
        let mut performance = Performance::new(&agent.script, agent.seed, booking.index, &turn, booking.begun.turn);
        if self.flaws.connected || booking.connected && !agent.script.shape.connected {
            self.show(What::Connected).await?;
        }
        while let Some(cue) = performance.next() {
            if self.wait(cue.wait_ns).await? {
                return self.stopped().await;
            }
            match cue.what {
                What::Executing => {
                    if self.execute(&mut performance).await? {
                        return self.stopped().await;
                    }
                }
                What::Finished => return self.finish(self.status(), Some(performance.result())).await,
                what => {
                    self.inside(false).await?;
                    self.show(what).await?;
                }
            }
        }
        unreachable!("the last cue is the end")
    }

    /// The status that the task ends with.
    fn status(&self) -> Status {
        match self.flaws.ending {
            Some(FaultKind::Failed) => Status::Failed,
            Some(FaultKind::Error) => Status::Error,
            Some(FaultKind::Stopped) => Status::Stopped,
            _ => Status::Completed,
        }
    }

    /// Takes a slot and says that the task executes; true when the task is stopped before.
    async fn execute(&mut self, performance: &mut Performance<'_>) -> Result<bool, Halt> {
        let (agent, stop) = (self.agent, Arc::clone(&self.booking.stop));
        let slot = match agent.service.free_slot(agent.clock.now()) {
            Some(slot) => slot,
            None => {
                // What was told so far is not held back by the wait for a slot.
                if !self.flaws.buffer {
                    self.flush().await?;
                }
                tokio::select! {
                    biased;
                    slot = agent.service.slot(|| agent.clock.now()) => slot,
                    () = stop.asked() => return Ok(true),
                }
            }
        };
        performance.stretch(slot.stretch);
        // The wait was real: everything after it counts from its end.
        self.due_ns = self.due_ns.max(agent.clock.now());
        let is_cold = slot.is_cold;
        self.slot = Some(slot);
        if is_cold {
            let cold_ns = agent.script.service.cold_start.draw(&mut agent.seed.stream("mock.cold", self.booking.index));
            if self.wait(cold_ns).await? {
                return Ok(true);
            }
        }
        let now = agent.stamp();
        agent.store.change(&self.booking.begun, |turn| {
            turn.status = Status::Executing;
            turn.started = Some(now);
        });
        self.inside(false).await?;
        self.show(What::Executing).await?;
        Ok(false)
    }

    /// The end of a task that someone stopped.
    async fn stopped(&mut self) -> Result<Status, Halt> {
        self.due_ns = self.agent.clock.now();
        self.finish(Status::Stopped, None).await
    }

    async fn finish(&mut self, status: Status, result: Option<super::text::Piece>) -> Result<Status, Halt> {
        let result = match status {
            Status::Completed => result.map(Told::Answer),
            Status::Stopped => None,
            _ => Some(Told::Fault("the model's provider did not answer")),
        };
        if let Some(slot) = self.slot.take() {
            slot.leave(self.agent.clock.now());
        }
        self.agent.finish(&self.booking.begun, status, result);
        self.inside(true).await?;
        self.put(What::Finished);
        if self.flaws.duplicate_finish {
            self.done().await?;
            self.put(What::Finished);
        }
        if self.flaws.after_end {
            self.done().await?;
            self.odd(Odd::Chunk("and one more thing")).await?;
        }
        self.end().await?;
        Ok(status)
    }

    /// Ends the body, in the same write as what is left of it.
    async fn end(&mut self) -> Result<(), Halt> {
        if self.flaws.drip_ns.is_some() || self.flaws.cut.is_some() {
            self.flush().await?;
        }
        if self.is_gone {
            return Ok(());
        }
        self.note_handed();
        let ended = self.outlet.end(&self.batch).await;
        self.batch.clear();
        ended.or_else(|_| self.gone())
    }

    /// What the script wants to happen inside the stream at this place; at the end, all that is left of it.
    async fn inside(&mut self, at_end: bool) -> Result<(), Halt> {
        while let Some(fault) = self.flaws.inside.first().copied() {
            if !at_end && fault.after_events > self.events {
                return Ok(());
            }
            self.flaws.inside.remove(0);
            self.go_wrong(fault).await?;
        }
        Ok(())
    }

    async fn go_wrong(&mut self, fault: &Fault) -> Result<(), Halt> {
        match fault.kind {
            FaultKind::MalformedJson => self.odd(Odd::Malformed).await,
            FaultKind::UnknownEvent => self.odd(Odd::Unknown).await,
            FaultKind::HugeEvent => self.odd(Odd::Chunk(&"x".repeat(usize::try_from(fault.bytes).unwrap_or(0)))).await,
            FaultKind::ForeignTask => {
                for kind in ["task_created", "chunk", "task_finished"] {
                    self.odd(Odd::Foreign(kind)).await?;
                }
                Ok(())
            }
            _ => self.break_off(fault).await,
        }
    }

    /// Faults that end or halt the stream.
    async fn break_off(&mut self, fault: &Fault) -> Result<(), Halt> {
        self.flush().await?;
        match fault.kind {
            FaultKind::Stall if fault.delay_ns > 0 => {
                self.wait(fault.delay_ns).await?;
                return Ok(());
            }
            // Until the client gives up, or someone stops the task.
            FaultKind::Stall => {
                self.wait(u64::MAX).await?;
                self.outlet.end(b"").await?;
            }
            FaultKind::ResetInStream => self.outlet.reset(),
            FaultKind::Garbage => {
                self.outlet.end(b"\x00\xff\xfe garbage <html>\x80\r\r\n\n{]").await?;
            }
            FaultKind::BadFraming => self.outlet.garble().await?,
            _ => self.outlet.end(b"").await?,
        }
        Err(Halt::Broken)
    }

    /// Waits until `wait_ns` behind the last cue; true when someone stopped the task meanwhile.
    async fn wait(&mut self, wait_ns: u64) -> Result<bool, Halt> {
        self.due_ns = self.due_ns.saturating_add(wait_ns);
        if wait_ns == 0 || self.agent.clock.now() >= self.due_ns {
            return Ok(self.booking.stop.is_asked());
        }
        if !self.flaws.buffer {
            self.flush().await?;
        }
        loop {
            let until_ns = match self.agent.script.ping_ns {
                Some(ping_ns) if !self.flaws.buffer => self.due_ns.min(self.agent.clock.now().saturating_add(ping_ns)),
                _ => self.due_ns,
            };
            if self.hold(until_ns).await? {
                return Ok(true);
            }
            if until_ns >= self.due_ns {
                return Ok(self.booking.stop.is_asked());
            }
            self.encoder.comment(b"ping", &mut self.batch);
            self.flush().await?;
        }
    }

    /// Waits for an instant, a stop, or the end of the connection.
    async fn hold(&mut self, until_ns: u64) -> Result<bool, Halt> {
        let clock = self.agent.clock;
        let stop = &self.booking.stop;
        if self.is_gone {
            return Ok(tokio::select! {
                biased;
                () = clock.sleep_until(until_ns) => false,
                () = stop.asked() => true,
            });
        }
        tokio::select! {
            biased;
            () = clock.sleep_until(until_ns) => Ok(false),
            () = stop.asked() => Ok(true),
            () = self.outlet.hung_up() => {
                self.gone()?;
                Ok(false)
            }
        }
    }

    /// Nobody listens any more; whether the task goes on is the script's choice.
    fn gone(&mut self) -> Result<(), Halt> {
        self.is_gone = true;
        self.batch = Vec::new();
        match self.agent.script.shape.hang_up {
            HangUp::Continue => Ok(()),
            HangUp::Stop => Err(Halt::Gone),
        }
    }

    /// Shows an event of the performance.
    async fn show(&mut self, what: What) -> Result<(), Halt> {
        self.put(what);
        self.done().await
    }

    /// Puts an event of the performance into the batch.
    fn put(&mut self, what: What) {
        self.begin();
        let kind = self.writer.write(what, self.agent.stamp());
        self.encode(kind);
    }

    /// Shows an event that is none of the performance.
    async fn odd(&mut self, odd: Odd<'_>) -> Result<(), Halt> {
        self.begin();
        let kind = self.writer.write_odd(&odd, self.agent.stamp());
        self.encode(kind);
        self.done().await
    }

    /// What comes before an event.
    fn begin(&mut self) {
        if self.flaws.comments && !self.is_gone {
            self.encoder.comment(b"comment", &mut self.batch);
        }
    }

    /// Puts the event that was written into the batch.
    fn encode(&mut self, kind: &'static str) {
        let from = self.batch.len();
        if !self.is_gone {
            self.writer.encode(self.encoder, self.events, kind, &mut self.batch);
            if self.agent.logs.has_truth() {
                let bytes = self.batch.len() - from;
                self.due.push(Due { event_index: self.events, kind, bytes, due_ns: self.due_ns });
            }
        }
        self.events += 1;
    }

    /// Writes the batch when its time is now.
    async fn done(&mut self) -> Result<(), Halt> {
        let is_alone = self.agent.script.writes == Writes::Each || self.flaws.cut.is_some();
        if !self.flaws.buffer && (is_alone || self.batch.len() >= BATCH_BYTES) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes what is in the batch.
    async fn flush(&mut self) -> Result<(), Halt> {
        if self.is_gone {
            return Ok(());
        }
        self.note_handed();
        let written = self.write_out().await;
        self.batch.clear();
        if written.is_err() {
            return self.gone();
        }
        Ok(())
    }

    /// Writes down that the events of the batch are handed to the socket now.
    fn note_handed(&mut self) {
        if !self.due.is_empty() {
            let (agent, handed_ns) = (self.agent, self.agent.clock.now());
            agent.logs.handed(self.booking.index, &self.due, handed_ns, agent.clock);
            self.due.clear();
        }
    }

    async fn write_out(&mut self) -> io::Result<()> {
        if let Some(drip_ns) = self.flaws.drip_ns {
            for at in 0..self.batch.len() {
                self.outlet.write(&self.batch[at..=at]).await?;
                self.agent.clock.sleep_until(self.agent.clock.now().saturating_add(drip_ns)).await;
            }
            return Ok(());
        }
        let cut = self.flaws.cut.and_then(|cut| cut.place(&self.batch));
        let (first, second) = self.batch.split_at(cut.unwrap_or(self.batch.len()));
        self.outlet.write(first).await?;
        if !second.is_empty() {
            // The first part is on its way before the second is written.
            tokio::task::yield_now().await;
            self.outlet.write(second).await?;
        }
        Ok(())
    }
}
