//! A worker: one thread with its own runtime, its own connections and its own recorder.
//!
//! It owns some of the run's slots. A slot carries one conversation at a time: its turns strictly one after another,
//! then the next conversation. What a worker finds out it sends to the dispatcher: each record when its invocation
//! ends, and once a second what it has counted and recorded.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::control::{Control, Phase};
use super::machine;
use crate::agent::{Envelope, EventKind, event_type};
use crate::client::stamper::Figures;
use crate::client::{Client, Seen, Slot, Stamper};
use crate::clock::Clock;
use crate::metrics::recorder::{GapGroup, Parts, Recorder};
use crate::metrics::tracker::{Arrival, Start};
use crate::metrics::{Outcome, Record};
use crate::profile::{Plan, Planned};
use crate::runfile::events::{Event, Sheet};
use crate::stats::Histogram;
use crate::units::NS_PER_S;

/// How often a worker tells how far it is, in nanoseconds.
const TICK_NS: u64 = NS_PER_S / 5;

/// Gap buffers kept for the next invocations; more are given back to the allocator.
const SPARE_BUFFERS_MAX: usize = 1_024;

/// When a closed load starts and stops; instants in nanoseconds since the run's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first slot's start.
    pub start_ns: u64,
    /// Over how long the slots start, one after another, in nanoseconds.
    pub ramp_ns: u64,
    /// Until when the intended starts belong to the warm-up.
    pub warmup_until_ns: u64,
    /// From when nothing more is started.
    pub stop_ns: Option<u64>,
    /// How long what is in flight may go on after that, in nanoseconds.
    pub drain_ns: u64,
}

/// How far a worker is: counts since the run began, but for `in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Invocations taken up.
    pub started: u64,
    /// Of those, the ones that go on.
    pub in_flight: u64,
    /// Events seen.
    pub events: u64,
    /// Body bytes seen.
    pub body_bytes: u64,
    /// Time in flight of the invocations that have ended, in nanoseconds.
    pub in_flight_ns: u64,
    /// CPU time of the worker's thread, in nanoseconds; 0 where the system does not tell.
    pub cpu_ns: u64,
}

impl Progress {
    /// What several workers come to together.
    pub fn sum<'p>(all: impl Iterator<Item = &'p Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            started: sum.started + one.started,
            in_flight: sum.in_flight + one.in_flight,
            events: sum.events + one.events,
            body_bytes: sum.body_bytes + one.body_bytes,
            in_flight_ns: sum.in_flight_ns + one.in_flight_ns,
            cpu_ns: sum.cpu_ns + one.cpu_ns,
        })
    }
}

/// What a worker tells the dispatcher.
#[derive(Debug)]
pub enum Message {
    /// An invocation ended.
    Finished(Box<Record>),
    /// How far it is.
    Tick(u32, Progress),
    /// A second of the run is over: its number, how far the worker is, and what it recorded in it.
    Second(u32, u64, Progress, Parts),
    /// The worker has ended in order.
    Done(u32, Box<LastWord>),
}

/// What a worker leaves behind.
#[derive(Debug)]
pub struct LastWord {
    /// How far it got.
    pub progress: Progress,
    /// What it had not handed over yet.
    pub parts: Parts,
    /// Its gaps by group of streams.
    pub gap_groups: BTreeMap<GapGroup, Histogram>,
    /// What its stamps are worth.
    pub stamps: Figures,
}

/// What a worker needs.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: u32,
    /// The numbers of its slots among all of the run.
    pub slots: Vec<u32>,
    /// How many slots the run has.
    pub slots_in_all: u32,
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

/// What the slots of one worker share; they run on one thread.
struct Shared {
    worker: Worker,
    stamper: Rc<Stamper>,
    recorder: RefCell<Recorder>,
    progress: Cell<Progress>,
    spare: RefCell<Vec<Vec<u64>>>,
    sheet: Option<RefCell<Sheet>>,
    cut: watch::Sender<bool>,
}

impl Worker {
    /// Runs the worker's slots to their end. Needs a `LocalSet`.
    pub async fn run(mut self) {
        let shared = Rc::new(Shared {
            stamper: Stamper::new(self.clock),
            sheet: self.sheet.take().map(RefCell::new),
            worker: self,
            recorder: RefCell::new(Recorder::new()),
            progress: Cell::default(),
            spare: RefCell::default(),
            cut: watch::Sender::new(false),
        });
        let mut slots = JoinSet::new();
        for number in shared.worker.slots.clone() {
            slots.spawn_local(Rc::clone(&shared).slot(number));
        }
        let mut helpers = JoinSet::new();
        helpers.spawn_local(Rc::clone(&shared).tick());
        helpers.spawn_local(Rc::clone(&shared).stop());
        while let Some(ended) = slots.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        helpers.shutdown().await;
        let mut recorder = shared.recorder.take();
        let (progress, parts, stamps) = (shared.progress(), recorder.take(), shared.stamper.figures());
        let last = LastWord { progress, parts, gap_groups: recorder.into_gap_groups(), stamps };
        shared.send(Message::Done(shared.worker.index, Box::new(last)));
    }
}

impl Shared {
    /// One place in the load: conversation after conversation, until there is none left.
    async fn slot(self: Rc<Self>, number: u32) {
        let window = &self.worker.window;
        let into_ramp = window.ramp_ns * u64::from(number) / u64::from(self.worker.slots_in_all.max(1));
        let mut free_ns = window.start_ns + into_ramp;
        let mut slot = self.worker.client.slot(&self.stamper);
        while self.may_start(free_ns) {
            let Some(conversation) = self.worker.control.take_conversation() else { return };
            let Some(next) = self.conversation(&mut slot, conversation, free_ns).await else { return };
            free_ns = next;
        }
    }

    /// The turns of one conversation; says when the slot became free, or nothing when the run has stopped.
    async fn conversation(&self, slot: &mut Slot, conversation: u64, mut free_ns: u64) -> Option<u64> {
        let turns = u64::from(self.worker.plan.turns());
        let mut task_id = None;
        for turn in 0..turns {
            let index = conversation * turns + turn;
            if self.worker.plan.planned().is_some_and(|planned| index >= planned) {
                return None;
            }
            let planned = self.worker.plan.invocation(index);
            let intended_ns = free_ns + planned.think_ns;
            if !self.pause_until(slot, intended_ns).await {
                return None;
            }
            let record = self.invocation(slot, &planned, task_id.take(), intended_ns).await;
            free_ns = record.stamps.finished_ns.unwrap_or(record.stamps.last_known_ns);
            let completed = record.outcome == Outcome::Completed;
            task_id = record.task_id.clone();
            self.send(Message::Finished(Box::new(record)));
            if !completed {
                // A turn that failed leaves nothing to go on from; what follows it never comes.
                break;
            }
        }
        Some(free_ns)
    }

    async fn invocation(
        &self,
        slot: &mut Slot,
        planned: &Planned,
        task_id: Option<String>,
        intended_ns: u64,
    ) -> Record {
        let worker = &self.worker;
        let start = Start {
            plan_index: planned.plan_index,
            variant: Arc::clone(&planned.variant),
            conversation: planned.conversation,
            turn: planned.turn,
            worker: worker.index,
            warmup: intended_ns < worker.window.warmup_until_ns,
            task_id,
            intended_ns,
            started_ns: worker.clock.now(),
        };
        self.count(|progress| {
            progress.started += 1;
            progress.in_flight += 1;
        });
        let gaps_ns = self.spare.borrow_mut().pop().unwrap_or_default();
        let mut cut = self.cut.subscribe();
        let mut events = Events {
            shared: self,
            plan_index: start.plan_index,
            seen: 0,
            variant: Arc::clone(&start.variant),
            warmup: start.warmup,
            held: None,
        };
        let mut watch = |seen: Seen<'_>| events.see(&seen);
        let cut = async move { drop(cut.wait_for(|cut| *cut).await) };
        let (record, gaps_ns) = slot.invoke(start, &planned.prompt, gaps_ns, cut, &mut watch).await;
        events.end();
        let taken_ns = worker.clock.now().saturating_sub(record.stamps.started_ns.unwrap_or_default());
        self.count(|progress| {
            progress.in_flight -= 1;
            progress.in_flight_ns += taken_ns;
        });
        self.recorder.borrow_mut().finished(&record, &gaps_ns);
        self.give_back(gaps_ns);
        record
    }

    /// Waits for an intended start; says whether it may still be made then.
    async fn pause_until(&self, slot: &mut Slot, intended_ns: u64) -> bool {
        if intended_ns > self.worker.clock.now() && self.may_start(intended_ns) {
            let pause = async {
                tokio::select! {
                    () = self.worker.clock.sleep_until(intended_ns) => {}
                    () = self.worker.control.reached(Phase::Draining) => {}
                }
            };
            slot.rest(pause).await;
        }
        self.may_start(intended_ns)
    }

    /// Whether an invocation that is meant for `intended_ns` may be started, now or then.
    fn may_start(&self, intended_ns: u64) -> bool {
        let at_ns = intended_ns.max(self.worker.clock.now());
        self.worker.control.phase() == Phase::Running && self.worker.window.stop_ns.is_none_or(|stop| at_ns < stop)
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
            () = clock.sleep_until(window.stop_ns.unwrap_or(u64::MAX)) => {}
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

    fn count(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.get();
        change(&mut progress);
        self.progress.set(progress);
    }

    fn give_back(&self, mut gaps_ns: Vec<u64>) {
        gaps_ns.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BUFFERS_MAX {
            spare.push(gaps_ns);
        }
    }

    fn send(&self, message: Message) {
        // The dispatcher goes only when it has failed; the run is over then, and nobody is left to tell.
        let _ = self.worker.out.send(message);
    }
}

/// The events of one running invocation, as the worker counts them.
struct Events<'a> {
    shared: &'a Shared,
    plan_index: u64,
    /// Events so far.
    seen: u64,
    variant: Arc<str>,
    warmup: bool,
    /// The latest event: only what follows shows whether it was the last of its read.
    held: Option<Arrival>,
}

impl Events<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Bytes(_, data) => self.shared.count(|progress| progress.body_bytes += data.len() as u64),
            Seen::Event(arrival, envelope, payload) => {
                self.shared.count(|progress| progress.events += 1);
                if let Some(sheet) = &self.shared.sheet {
                    sheet.borrow_mut().write(&self.row(arrival, envelope, payload));
                }
                self.seen += 1;
                if let Some(before) = self.held.replace(*arrival) {
                    self.record(&before, before.read != arrival.read);
                }
            }
            Seen::Connected(_) | Seen::Head(_) => {}
        }
    }

    fn row<'e>(&self, arrival: &Arrival, envelope: &Envelope<'_>, payload: &'e [u8]) -> Event<'e> {
        let text = if envelope.kind == EventKind::Chunk { envelope.chunk_text() } else { None };
        Event {
            plan_index: self.plan_index,
            event_index: self.seen,
            kind: event_type(payload).unwrap_or_default(),
            arrival_ns: arrival.arrival_ns,
            handled_ns: arrival.handled_ns,
            read: arrival.read,
            bytes: payload.len() as u64,
            text_bytes: text.map_or(0, |text| text.len() as u64),
        }
    }

    fn end(&mut self) {
        if let Some(last) = self.held.take() {
            self.record(&last, true);
        }
    }

    /// The kernel's stamp is that of the read's last segment: for the events before, it is the latest possible.
    fn record(&self, arrival: &Arrival, last_of_read: bool) {
        let exact = arrival.kernel && last_of_read;
        let mapping_ns = if arrival.kernel { self.shared.stamper.mapping_error_ns() } else { 0 };
        let span_ns = if exact { 0 } else { arrival.arrival_ns.saturating_sub(arrival.earliest_ns) };
        let lag_ns = arrival.handled_ns.saturating_sub(arrival.arrival_ns);
        self.shared.recorder.borrow_mut().event(&self.variant, self.warmup, lag_ns, mapping_ns + span_ns);
    }
}
