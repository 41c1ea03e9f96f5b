//! The dispatcher: the one owner of what the user sees of a run.
//!
//! Workers tell it when an invocation ends and what each second held; it writes the bundle, keeps the ledger, and
//! turns a request to stop into the run's next phase. Whoever watches is shown a [`Live`] and can't slow it down.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::control::{Control, Phase, Spent};
use super::crew::Crew;
use super::machine::{self, CpuShares, CpuTicks};
use super::message::{LastWord, Message, Progress};
use super::seconds::{Closed, Seconds};
use super::seen::Seen;
use super::window::Window;
use crate::client::{gate::Holds, stamper::Figures};
use crate::clock::Clock;
use crate::metrics::certificate::{BUDGET_HELD, CLIENT_LATE};
use crate::metrics::objective::{Answer, Objective, Windows};
use crate::metrics::recorder::GapGroup;
use crate::metrics::{Ledger, Metric, Outcome, Record, Series};
use crate::profile::{Plan, Planned};
use crate::runfile::bundle::{Bundle, Error};
use crate::stats::Histogram;

/// A request from outside to end the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    /// A request to terminate.
    Terminate,
}

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Since the run's origin, in nanoseconds.
    pub elapsed_ns: u64,
    /// Sums over the workers.
    pub progress: Progress,
    /// What has ended, the warm-up included.
    pub ledger: Ledger,
    /// Time to first chunk from the intended start so far; of finished seconds.
    pub ttfc: Histogram,
    /// The harness's lag in handling events so far; of finished seconds.
    pub client_lag: Histogram,
    /// Events in the last whole second.
    pub events_per_s: u64,
    /// Whether anything more is started.
    pub draining: bool,
}

/// An objective over a window that failed and stopped the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aborted {
    /// As it was written.
    pub objective: String,
    /// When it did, in nanoseconds since the run's origin.
    pub at_ns: u64,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Who asked for the end, when somebody did.
    pub stopped: Option<Stop>,
    /// Every planned start, warm-up included.
    pub ledger: Ledger,
    /// Sums over the workers.
    pub progress: Progress,
    /// Each worker's share of a core over the run, from 0 to 1.
    pub worker_cpu: Vec<f64>,
    /// How the machine's time was spent over the run.
    pub machine_cpu: Option<CpuShares>,
    /// What the workers' stamps are worth.
    pub stamps: Figures,
    /// The run's end, in nanoseconds since its origin.
    pub end_ns: u64,
    /// Which part of the budget ended the run, when one did.
    pub spent: Option<Spent>,
    /// Which objective stopped the run, when one did.
    pub aborted: Option<Aborted>,
    /// How the objectives over windows came out, in their order.
    pub windows: Vec<(Answer, String)>,
    /// How often and for how long the target's word held starts up.
    pub holds: Holds,
    /// Tasks that were left behind.
    pub tasks_left: u64,
    /// Of those, the ones whose id had not come.
    pub tasks_unnamed: u64,
    /// What the disk did not take, which cut the load; the bundle has kept it.
    pub unwritten: Option<Error>,
    /// Workers that died; what they had in flight is cut.
    pub lost_workers: u32,
    /// What the first of them died of.
    pub lost_why: Option<String>,
}

/// Owns a run while it goes on.
pub struct Dispatcher<'a> {
    plan: Arc<Plan>,
    control: Arc<Control>,
    window: Window,
    clock: Clock,
    bundle: &'a mut Bundle,
    /// Workers that have not ended in order.
    owing: u32,
    /// What the first one died of.
    lost_why: Option<String>,
    seen: Seen,
    seconds: Seconds,
    latest: BTreeMap<u32, Progress>,
    gap_groups: BTreeMap<GapGroup, Histogram>,
    stamps: Figures,
    ticks: Option<CpuTicks>,
    live: Live,
    stopped: Option<Stop>,
    /// Since when nothing more was started because somebody asked for the end.
    stopped_ns: Option<u64>,
    objectives: Vec<Objective>,
    windows: Windows,
    aborted: Option<Aborted>,
    /// Invocations that failed since one last completed.
    failed_in_a_row: u64,
    left: Option<UnboundedSender<String>>,
    tasks_left: u64,
    tasks_unnamed: u64,
}

impl std::fmt::Debug for Dispatcher<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Dispatcher").field("live", &self.live).finish_non_exhaustive()
    }
}

impl<'a> Dispatcher<'a> {
    /// The dispatcher of a crew, whose bundle is open.
    pub fn new(crew: &Crew, bundle: &'a mut Bundle) -> Self {
        Self {
            plan: Arc::clone(&crew.plan),
            control: Arc::clone(&crew.control),
            window: crew.window,
            clock: crew.clock,
            bundle,
            owing: crew.workers,
            lost_why: None,
            seen: Seen::default(),
            seconds: Seconds::new(crew.workers),
            latest: BTreeMap::new(),
            gap_groups: BTreeMap::new(),
            stamps: Figures::default(),
            ticks: machine::cpu_ticks(),
            live: Live::default(),
            stopped: None,
            stopped_ns: None,
            objectives: Vec::new(),
            windows: Windows::default(),
            aborted: None,
            failed_in_a_row: 0,
            left: None,
            tasks_left: 0,
            tasks_unnamed: 0,
        }
    }

    /// Passes the tasks that are left behind on, to whoever stops them.
    #[must_use]
    pub fn leaving(mut self, left: UnboundedSender<String>) -> Self {
        self.left = Some(left);
        self
    }

    /// Watches the objectives that have a window, second by second, and stops the run when one says so that fails.
    #[must_use]
    pub fn watching(mut self, objectives: &[Objective]) -> Self {
        self.windows = Windows::of(objectives);
        self.objectives = objectives.to_vec();
        self
    }

    /// Serves the workers until none is left; `watch` is shown how far the run is a few times a second.
    ///
    /// The first request to stop ends the starts and lets what is in flight drain; the second one cuts it.
    /// When the bundle can't be written the load is cut, since what it keeps has an end; [`Ended::unwritten`] says why.
    pub async fn run(
        mut self,
        mut inbox: UnboundedReceiver<Message>,
        stops: &mut UnboundedReceiver<Stop>,
        watch: &mut dyn FnMut(&Live),
    ) -> Ended {
        let (mut listening, mut unwritten) = (true, None);
        loop {
            let message = tokio::select! {
                biased;
                stop = stops.recv(), if listening => {
                    listening = stop.is_some();
                    stop.into_iter().for_each(|stop| self.stop(stop));
                    continue;
                }
                message = inbox.recv() => message,
            };
            // All senders are gone, and with them all that could still be in flight.
            let Some(message) = message else { break };
            let told = matches!(message, Message::Tick(..) | Message::Second(..));
            if let Err(error) = self.take(message) {
                self.control.advance(Phase::Cut);
                unwritten.get_or_insert(error);
            }
            if told {
                self.show(watch);
            }
        }
        self.show(watch);
        self.end(unwritten)
    }

    fn stop(&mut self, stop: Stop) {
        self.stopped.get_or_insert(stop);
        self.stopped_ns.get_or_insert(self.clock.now());
        let drains_by_time = self.window.stop_ns.is_some_and(|stop_ns| self.clock.now() >= stop_ns);
        let runs = self.control.phase() == Phase::Running && !drains_by_time;
        self.control.advance(if runs { Phase::Draining } else { Phase::Cut });
    }

    fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Left(task) => {
                self.tasks_left += 1;
                self.tasks_unnamed += u64::from(task.is_none());
                // Nobody may be there to stop it: the profile says so.
                if let (Some(left), Some(task)) = (&self.left, task) {
                    let _ = left.send(task);
                }
                Ok(())
            }
            Message::Finished(record) => self.finished(&record),
            Message::Tick(worker, progress) => {
                self.latest.insert(worker, progress);
                Ok(())
            }
            Message::Second(worker, second, progress, parts) => {
                self.latest.insert(worker, progress);
                self.seconds.report(second, worker, progress, parts);
                self.close_seconds()
            }
            Message::Done(worker, last) => {
                self.owing -= 1;
                self.last_word(worker, *last)
            }
            Message::Died(worker, why, last) => {
                // The load is no longer what was asked for: going on would cost, and show nothing.
                self.lost_why.get_or_insert(why);
                self.stopped_ns.get_or_insert(self.clock.now());
                self.control.advance(Phase::Draining);
                self.last_word(worker, *last)
            }
        }
    }

    fn last_word(&mut self, worker: u32, last: LastWord) -> Result<(), Error> {
        self.latest.insert(worker, last.progress);
        self.seconds.last_report(self.clock.now(), worker, last.progress, last.parts);
        for (group, gaps) in last.gap_groups {
            self.gap_groups.entry(group).or_default().merge(&gaps);
        }
        self.stamps.merge(&last.stamps);
        self.close_seconds()
    }

    fn finished(&mut self, record: &Record) -> Result<(), Error> {
        self.live.ledger.count(record.outcome);
        if record.outcome.was_started() && !record.outcome.censors() {
            self.failed_in_a_row = if record.outcome.is_completed() { 0 } else { self.failed_in_a_row + 1 };
            self.control.failed_in_a_row(self.failed_in_a_row);
        }
        if self.plan.planned().is_some() {
            let first = self.seen.insert(record.plan_index);
            debug_assert!(first, "plan index {} ended twice", record.plan_index);
        }
        self.bundle.write_invocation(record)
    }

    fn close_seconds(&mut self) -> Result<(), Error> {
        while let Some(closed) = self.seconds.close() {
            self.write(&closed)?;
        }
        Ok(())
    }

    fn write(&mut self, closed: &Closed) -> Result<(), Error> {
        self.live.events_per_s = closed.interval.events;
        self.live.ttfc.merge(&closed.parts.all(Series::from_intended(Metric::Ttfc)));
        self.live.client_lag.merge(&closed.parts.all(Series::of(Metric::ClientLag)));
        self.bundle.write_second(&closed.interval, &closed.parts)?;
        let stops = self.windows.take(closed.interval.second, &closed.parts).map(ToString::to_string);
        stops.into_iter().for_each(|objective| self.abort(objective));
        Ok(())
    }

    /// Lets what is in flight drain, unless the run is on its way to its end anyway.
    fn abort(&mut self, objective: String) {
        let at_ns = self.clock.now();
        if self.control.phase() == Phase::Running && at_ns < self.window.end_ns() && self.owing > 0 {
            self.aborted = Some(Aborted { objective, at_ns });
            self.stopped_ns.get_or_insert(at_ns);
            self.control.advance(Phase::Draining);
        }
    }

    fn show(&mut self, watch: &mut dyn FnMut(&Live)) {
        self.live.elapsed_ns = self.clock.now();
        self.live.progress = Progress::sum(self.latest.values());
        let over = self.live.elapsed_ns >= self.window.end_ns();
        self.live.draining = over || self.control.phase() > Phase::Running;
        watch(&self.live);
    }

    /// The rows that are still owed, the last seconds, and what the run came to.
    fn end(mut self, unwritten: Option<Error>) -> Ended {
        let end_ns = self.clock.now();
        let unwritten = unwritten.or(self.write_rest(end_ns).err());
        let share = |progress: &Progress| progress.cpu_ns as f64 / end_ns.max(1) as f64;
        Ended {
            stopped: self.stopped,
            stamps: self.stamps,
            spent: self.control.spent(),
            windows: self.objectives.iter().filter_map(|objective| self.windows.answer(objective)).collect(),
            aborted: self.aborted,
            holds: self.control.gate().holds(self.stopped_ns.unwrap_or(end_ns).min(end_ns)),
            tasks_left: self.tasks_left,
            tasks_unnamed: self.tasks_unnamed,
            worker_cpu: self.latest.values().map(share).collect(),
            machine_cpu: machine::cpu_ticks().zip(self.ticks).and_then(|(now, then)| now.since(then)),
            progress: Progress::sum(self.latest.values()),
            ledger: self.live.ledger,
            unwritten,
            end_ns,
            lost_workers: self.owing,
            lost_why: self.lost_why,
        }
    }

    /// All of it, whatever becomes of the first: what the disk does not take is kept.
    fn write_rest(&mut self, end_ns: u64) -> Result<(), Error> {
        let mut written = self.write_owed(end_ns);
        while let Some(closed) = self.seconds.close_any(end_ns) {
            written = written.and(self.write(&closed));
        }
        for (group, gaps) in &self.gap_groups {
            written = written.and(self.bundle.write_gap_group(group, end_ns, gaps));
        }
        written.and(self.bundle.flush())
    }

    /// A row for each start that was planned and never made.
    fn write_owed(&mut self, end_ns: u64) -> Result<(), Error> {
        let Some(planned) = self.plan.planned().filter(|planned| self.seen.count() < *planned) else {
            return Ok(());
        };
        let plan = Arc::clone(&self.plan);
        let mut starts = plan.starts();
        for conversation in plan.in_order() {
            let at_ns = starts.as_mut().and_then(Iterator::next);
            let instant_ns = at_ns.map(|at_ns| self.window.start_ns.saturating_add(at_ns));
            for turn in (0..conversation.turns).take_while(|turn| conversation.index(*turn) < planned) {
                if !self.seen.contains(conversation.index(turn)) {
                    let record = self.owed(&plan.start(&conversation, turn), instant_ns, end_ns);
                    self.finished(&record)?;
                }
            }
        }
        Ok(())
    }

    /// A start that was planned and never made; `instant_ns` is that of its conversation in open load.
    fn owed(&self, planned: &Planned, instant_ns: Option<u64>, end_ns: u64) -> Record {
        let index = planned.plan_index;
        let starts_ended_ns = self.stopped_ns.unwrap_or(end_ns);
        let begun = planned.turn > 0 && self.seen.contains(index - u64::from(planned.turn));
        let (intended_ns, why) = match instant_ns.filter(|_| planned.turn == 0) {
            _ if begun => (end_ns, "its conversation ended before this turn"),
            _ if self.control.spent().is_some() => (instant_ns.unwrap_or(end_ns), BUDGET_HELD),
            Some(instant_ns) if instant_ns < starts_ended_ns => (instant_ns, CLIENT_LATE),
            Some(instant_ns) => (instant_ns, "the run ended first"),
            None => (end_ns, "the run ended first"),
        };
        // What nobody waited for has no time in which it was waited for.
        let known_ns = if why == CLIENT_LATE { end_ns } else { intended_ns };
        let mut record =
            Record::unstarted(index, Arc::clone(&planned.variant), intended_ns, known_ns, Outcome::NotStarted);
        record.scenario = Arc::clone(&planned.scenario);
        (record.conversation, record.turn) = (planned.conversation, planned.turn);
        record.warmup = instant_ns.is_some() && intended_ns < self.window.warmup_until_ns;
        record.detail = Some(why.to_owned());
        record
    }
}
