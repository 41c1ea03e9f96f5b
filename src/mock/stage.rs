//! The stage: plays a performance in time onto an outlet, with everything that goes wrong on the way.
//!
//! Instants are absolute: a cue that is late does not move the ones after it. Only what the service itself takes (the
//! wait for a slot, a stall) moves them.

use std::sync::Arc;

use http::Response;

use super::agent::Agent;
use super::batch::Batch;
use super::flaws::Flaws;
use super::outlet::{Nobody, Outlet};
use super::payload::Odd;
use super::performance::{Performance, Prelude, What};
use super::replay;
use super::service::{Place, Slot};
use super::store::Begun;
use super::task::{Status, StopSign, Told};
use super::text::Piece;
use crate::profile::script::{Fault, FaultKind, HangUp};

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

struct Stage<'a, O> {
    agent: &'a Agent,
    booking: &'a Booking,
    batch: Batch<'a, O>,
    flaws: &'a Flaws<'a>,
    /// Faults inside the stream that have not happened yet.
    inside: &'a [&'a Fault],
    /// The instant that the next cue counts from, in nanoseconds.
    due_ns: u64,
    slot: Option<Slot>,
}

/// Plays an invocation to its end.
pub(super) async fn perform<O: Outlet>(agent: &Agent, outlet: &mut O, booking: Booking) -> Ended {
    if let Some((recording, speed)) = agent.replay(booking.index) {
        let ended = replay::perform(agent, outlet, recording, speed, booking.head.clone()).await;
        agent.ended(&booking, ended, 0);
        return ended;
    }
    let flaws = Flaws::new(&agent.script, agent.seed, booking.index);
    let mut stage = Stage {
        agent,
        booking: &booking,
        batch: Batch::new(agent, outlet, &booking, &flaws),
        inside: &flaws.inside,
        flaws: &flaws,
        due_ns: agent.clock.now(),
        slot: None,
    };
    let ended = match stage.play().await {
        Ok(status) => Ended::Finished(status),
        Err(Halt::Broken) => Ended::Broken,
        Err(Halt::Gone) => Ended::HungUp,
    };
    stage.leave();
    let events = stage.batch.events();
    agent.ended(&booking, ended, events);
    ended
}

/// Plays an invocation to its end with nobody listening, beside everything else.
pub(super) fn spawn(agent: &Arc<Agent>, booking: Booking) {
    let agent = Arc::clone(agent);
    tokio::task::spawn_local(async move { perform(&agent, &mut Nobody, booking).await });
}

impl<O: Outlet> Stage<'_, O> {
    async fn play(&mut self) -> Result<Status, Halt> {
        self.wait(self.booking.prelude.headers_ns.saturating_add(self.flaws.slow_headers_ns)).await?;
        self.batch.outlet().head(self.booking.head.clone());
        let (agent, booking) = (self.agent, self.booking);
        let ask = agent.store.change(&booking.begun, |_| ()).map(|turn| turn.ask).unwrap_or_default();
        let mut performance = Performance::new(&agent.script, agent.seed, booking.index, &ask, booking.begun.turn);
        drop(ask);
        if let Some(kind) = self.flaws.answer {
            performance.spoil(kind);
        }
        if (self.flaws.connected || booking.connected) && !agent.script.shape.connected {
            self.show(What::Connected).await;
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
                    self.go_wrong(false).await?;
                    self.show(what).await;
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
        let (agent, booking) = (self.agent, self.booking);
        let slot = match agent.service.free_slot(agent.clock.now()) {
            Some(slot) => slot,
            None => {
                // What was told so far is not held back by the wait for a slot.
                self.batch.flush().await;
                let slot = agent.service.slot(|| agent.clock.now());
                tokio::pin!(slot);
                loop {
                    let release_ns = self.batch.held_until_ns();
                    tokio::select! {
                        biased;
                        slot = &mut slot => break slot,
                        () = booking.stop.asked() => return Ok(true),
                        () = agent.clock.sleep_until(release_ns.unwrap_or(u64::MAX)), if release_ns.is_some() => {
                            self.batch.flush().await;
                        }
                    }
                }
            }
        };
        performance.stretch(slot.stretch);
        // The wait was real: everything after it counts from its end.
        self.due_ns = self.due_ns.max(agent.clock.now());
        let is_cold = slot.is_cold;
        self.slot = Some(slot);
        if is_cold {
            let cold_ns = agent.script.service.cold_start.draw(&mut agent.seed.stream("mock.cold", booking.index));
            if self.wait(cold_ns).await? {
                return Ok(true);
            }
        }
        let now = agent.stamp();
        agent.store.change(&booking.begun, |turn| {
            turn.status = Status::Executing;
            turn.started = Some(now);
        });
        self.go_wrong(false).await?;
        self.show(What::Executing).await;
        Ok(false)
    }

    /// Gives the slot back.
    fn leave(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.leave(self.agent.clock.now());
        }
    }

    /// The end of a task that someone stopped.
    async fn stopped(&mut self) -> Result<Status, Halt> {
        self.due_ns = self.agent.clock.now();
        self.finish(Status::Stopped, None).await
    }

    async fn finish(&mut self, status: Status, result: Option<Piece>) -> Result<Status, Halt> {
        let result = match status {
            Status::Completed => result.map(Told::Answer),
            Status::Stopped => None,
            _ => Some(Told::Fault("the model's provider did not answer")),
        };
        self.leave();
        self.agent.finish(&self.booking.begun, status, result);
        self.go_wrong(true).await?;
        self.batch.put(What::Finished, self.due_ns);
        if self.flaws.duplicate_finish {
            self.batch.settle().await;
            self.batch.put(What::Finished, self.due_ns);
        }
        if self.flaws.after_end {
            self.batch.settle().await;
            self.batch.put_odd(&Odd::Chunk("and one more thing"), self.due_ns);
        }
        self.batch.end().await;
        Ok(status)
    }

    /// What the script wants to happen inside the stream at this place; at the end, all that is left of it.
    async fn go_wrong(&mut self, at_end: bool) -> Result<(), Halt> {
        while let Some((fault, rest)) = self.inside.split_first() {
            if !at_end && fault.after_events > self.batch.events() {
                return Ok(());
            }
            self.inside = rest;
            match fault.kind {
                FaultKind::MalformedJson => self.show_odd(Odd::Malformed).await,
                FaultKind::UnknownEvent => self.show_odd(Odd::Unknown).await,
                FaultKind::HugeEvent => {
                    let bytes = usize::try_from(fault.bytes).expect("the table of keys keeps it under 1 GiB");
                    self.show_odd(Odd::Chunk(&"x".repeat(bytes))).await;
                }
                FaultKind::ForeignTask => {
                    for kind in ["task_created", "chunk", "task_finished"] {
                        self.show_odd(Odd::Foreign(kind)).await;
                    }
                }
                FaultKind::Stall if fault.delay_ns > 0 => drop(self.wait(fault.delay_ns).await?),
                _ => return self.break_off(fault.kind).await,
            }
        }
        Ok(())
    }

    /// Faults that end the stream.
    async fn break_off(&mut self, kind: FaultKind) -> Result<(), Halt> {
        self.batch.write_all().await;
        if !self.batch.is_gone() {
            let stop = &self.booking.stop;
            // A failure means that the client has gone, and what was to break is broken.
            let _ = match kind {
                FaultKind::Stall => {
                    tokio::select! {
                        () = self.batch.hung_up() => {}
                        () = stop.asked() => {}
                    }
                    self.batch.outlet().end(b"").await
                }
                FaultKind::ResetInStream => {
                    self.batch.outlet().reset();
                    Ok(())
                }
                FaultKind::Garbage => self.batch.outlet().end(b"\x00\xff\xfe garbage <html>\x80\r\r\n\n{]").await,
                FaultKind::BadFraming => self.batch.outlet().garble().await,
                _ => self.batch.outlet().end(b"").await,
            };
        }
        Err(Halt::Broken)
    }

    /// Waits until `wait_ns` behind the last cue; true when someone stopped the task meanwhile.
    async fn wait(&mut self, wait_ns: u64) -> Result<bool, Halt> {
        self.due_ns = self.due_ns.saturating_add(wait_ns);
        if wait_ns > 0 && self.agent.clock.now() < self.due_ns {
            self.batch.flush().await;
            self.hold().await;
        }
        // A task whose client has gone goes on only where the script wants it.
        if self.batch.is_gone() && self.agent.script.shape.hang_up == HangUp::Stop {
            return Err(Halt::Gone);
        }
        Ok(self.booking.stop.is_asked())
    }

    /// Waits for the instant of the next cue, or a stop, with signs of life where the script has them.
    async fn hold(&mut self) {
        let (clock, ping_ns) = (self.agent.clock, self.agent.script.ping_ns.filter(|_| !self.flaws.buffer));
        let stop = &self.booking.stop;
        while clock.now() < self.due_ns && !stop.is_asked() {
            let ping_at_ns = ping_ns.map_or(u64::MAX, |ping_ns| clock.now().saturating_add(ping_ns));
            let release_ns = self.batch.held_until_ns().unwrap_or(u64::MAX);
            let was_gone = self.batch.is_gone();
            tokio::select! {
                biased;
                () = clock.sleep_until(self.due_ns.min(ping_at_ns).min(release_ns)) => {}
                () = stop.asked() => {}
                () = self.batch.hung_up() => {}
            }
            if self.batch.is_gone() && !was_gone && self.agent.script.shape.hang_up == HangUp::Stop {
                return;
            }
            if release_ns <= clock.now() {
                self.batch.flush().await;
            }
            if ping_at_ns <= clock.now() && ping_at_ns < self.due_ns {
                self.batch.ping().await;
            }
        }
    }

    /// Shows an event of the performance.
    async fn show(&mut self, what: What) {
        self.batch.put(what, self.due_ns);
        self.batch.settle().await;
    }

    /// Shows an event that is none of the performance.
    async fn show_odd(&mut self, odd: Odd<'_>) {
        self.batch.put_odd(&odd, self.due_ns);
        self.batch.settle().await;
    }
}
