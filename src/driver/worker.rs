//! A worker: one thread with its own runtime, its own connections and its own recorder.
//!
//! In closed load it owns some of the run's slots, each of which carries one conversation at a time; in open load it
//! starts its share of the plan's conversations at their instants. What a worker finds out it sends to the
//! dispatcher: each record when its invocation ends, and once a second what it has counted and recorded.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::control::{Control, Phase};
use super::machine;
use super::message::{LastWord, Message, Progress};
use super::window::Window;
use crate::client::{Client, Pool, Slot, Stamper};
use crate::clock::Clock;
use crate::metrics::recorder::Recorder;
use crate::profile::{Overflow, Plan};
use crate::runfile::events::Sheet;
use crate::units::NS_PER_S;

/// How often a worker tells how far it is, in nanoseconds.
const TICK_NS: u64 = NS_PER_S / 5;

/// How far two turns of a worker's loop lie apart at most, as long as it has a core, in nanoseconds.
const LOOK_NS: u64 = NS_PER_S / 1_000;

/// Gap buffers kept for the next invocations; more are given back to the allocator.
const SPARE_BUFFERS_MAX: usize = 1_024;

/// What a worker has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// Closed load: these slots, by their numbers among all `of` the run.
    Slots {
        /// Their numbers.
        numbers: Vec<u32>,
        /// How many the run has.
        of: u32,
    },
    /// Open load: every conversation whose number leaves the worker's own index when divided by `workers`.
    Arrivals {
        /// How many workers the run has.
        workers: u32,
        /// What becomes of a start that finds no place.
        overflow: Overflow,
    },
}

/// What a worker needs.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: u32,
    /// What it has to do.
    pub share: Share,
    /// Makes the invocations.
    pub client: Client,
    /// Says what they are.
    pub plan: Arc<Plan>,
    /// Start and stop.
    pub window: Window,
    /// What all workers share.
    pub control: Arc<Control>,
    /// The run's clock.
    pub clock: Clock,
    /// Where each event is written down, when that was asked for.
    pub sheet: Option<Sheet>,
    /// To the dispatcher.
    pub out: UnboundedSender<Message>,
}

/// What the conversations of one worker share; they run on one thread.
pub(super) struct Shared {
    pub(super) worker: Worker,
    pub(super) stamper: Rc<Stamper>,
    pub(super) pool: Rc<Pool>,
    pub(super) recorder: RefCell<Recorder>,
    pub(super) sheet: Option<RefCell<Sheet>>,
    pub(super) cut: watch::Sender<bool>,
    progress: Cell<Progress>,
    spare: RefCell<Vec<Vec<u64>>>,
    /// Slots that an open load has no conversation for at the moment, the latest used on top: its connection is the
    /// likeliest to stand.
    idle: RefCell<Vec<Slot>>,
}

impl Worker {
    /// Runs the worker's share to its end. Needs a `LocalSet`.
    pub async fn run(mut self) {
        let shared = Rc::new(Shared {
            stamper: Stamper::new(self.clock),
            pool: self.client.pool(),
            sheet: self.sheet.take().map(RefCell::new),
            worker: self,
            recorder: RefCell::new(Recorder::new()),
            cut: watch::Sender::new(false),
            progress: Cell::default(),
            spare: RefCell::default(),
            idle: RefCell::default(),
        });
        let cause = Rc::clone(&shared).work().await;
        // What was aborted ends when the loop comes to it.
        while Rc::strong_count(&shared) > 1 {
            tokio::task::yield_now().await;
        }
        let index = shared.worker.index;
        let mut recorder = shared.recorder.take();
        let (progress, parts, stamps) = (shared.progress(), recorder.take(), shared.stamper.figures());
        let last = Box::new(LastWord { progress, parts, gap_groups: recorder.into_gap_groups(), stamps });
        shared.send(match cause {
            None => Message::Done(index, last),
            Some(cause) => Message::Died(index, cause, last),
        });
    }
}

/// A conversation that panicked takes its worker with it.
pub(super) fn pass_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Has the worker's loop turn, also while nothing comes: what is known of the arrival of events that share a read is no
/// better than the distance of two turns.
async fn look_often(clock: Clock) {
    loop {
        clock.sleep_until(clock.now().saturating_add(LOOK_NS)).await;
    }
}

/// What a task that did not end in order died of.
fn cause(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "cancelled".to_owned() };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

impl Shared {
    /// A place for a conversation of an open load: the one that was used last, or a new one.
    pub(super) fn take_slot(&self) -> Slot {
        self.idle.borrow_mut().pop().unwrap_or_else(|| self.worker.client.slot_in(&self.pool, &self.stamper))
    }

    pub(super) fn give_slot(&self, slot: Slot) {
        self.idle.borrow_mut().push(slot);
    }

    /// Carries the worker's share to its end; says what it died of, if it did.
    async fn work(self: Rc<Self>) -> Option<String> {
        let mut tasks = JoinSet::new();
        let load = tasks.spawn_local(Rc::clone(&self).load()).id();
        tasks.spawn_local(Rc::clone(&self).tick());
        tasks.spawn_local(Rc::clone(&self).stop());
        if self.worker.clock.monotonic_ns().is_some() {
            tasks.spawn_local(look_often(self.worker.clock));
        }
        let cause = loop {
            match tasks.join_next_with_id().await? {
                Ok((id, ())) if id == load => break None,
                // The one that cuts at the drain's end has nothing more to do.
                Ok(_) => {}
                Err(error) => break Some(cause(error)),
            }
        };
        tasks.shutdown().await;
        cause
    }

    async fn load(self: Rc<Self>) {
        match self.worker.share.clone() {
            Share::Slots { numbers, of } => self.slots(&numbers, of).await,
            Share::Arrivals { workers, overflow } => self.arrivals(workers, overflow).await,
        }
    }

    /// Tells the dispatcher how far the worker is, and hands over each second when it is over.
    async fn tick(self: Rc<Self>) {
        let (index, clock) = (self.worker.index, self.worker.clock);
        for tick in 1.. {
            clock.sleep_until(tick * TICK_NS).await;
            let at_ns = tick * TICK_NS;
            if at_ns.is_multiple_of(NS_PER_S) {
                let parts = self.recorder.borrow_mut().take();
                if let Some(sheet) = &self.sheet {
                    sheet.borrow_mut().flush();
                }
                self.send(Message::Second(index, at_ns / NS_PER_S - 1, self.progress(), parts));
            } else {
                self.send(Message::Tick(index, self.progress()));
            }
        }
    }

    /// Cuts what is in flight when the drain is over.
    async fn stop(self: Rc<Self>) {
        let (control, clock, window) = (&self.worker.control, self.worker.clock, &self.worker.window);
        tokio::select! {
            () = control.reached(Phase::Draining) => {}
            () = clock.sleep_until(window.end_ns()) => {}
        }
        let over_ns = clock.now().saturating_add(window.drain_ns);
        tokio::select! {
            () = control.reached(Phase::Cut) => {}
            () = clock.sleep_until(over_ns) => {}
        }
        self.cut.send_replace(true);
    }

    /// How far the worker is now.
    fn progress(&self) -> Progress {
        Progress { cpu_ns: machine::thread_cpu_ns(), ..self.progress.get() }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.get();
        change(&mut progress);
        self.progress.set(progress);
    }

    pub(super) fn take_buffer(&self) -> Vec<u64> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_buffer(&self, mut gaps_ns: Vec<u64>) {
        gaps_ns.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS_MAX {
            spare.push(gaps_ns);
        }
    }

    pub(super) fn send(&self, message: Message) {
        // The dispatcher goes only when it has failed; the run is over then, and nobody is left to tell.
        let _ = self.worker.out.send(message);
    }
}
