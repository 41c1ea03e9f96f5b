//! A bundle read back: its rows and histograms, summed up. The one way to a summary, for a run that has just ended,
//! for one that was killed, and for a report made again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram as Hdr;
use thiserror::Error;

use super::bundle::{HISTOGRAMS, INTERVALS, INVOCATIONS, RUN};
use super::intervals::{self, Interval};
use super::run::{Harness, Run};
use super::{Status, hlog, invocations, run, table};
use crate::metrics::certificate::{ArrivalClock, CLIENT_LATE, LIMIT_REACHED, NO_SOCKET, SelfError, WORKER_DIED};
use crate::metrics::digest::{Digest, Key};
use crate::metrics::objective::{NotAnObjective, Recorded};
use crate::metrics::server::Observed;
use crate::metrics::summary::Settled;
use crate::metrics::{Certificate, Ledger, Metric, Outcome, Record, Series, Summary, Warning};
use crate::stats::{histogram, littles_law};
use crate::units::NS_PER_S;

/// Why a bundle can't be read.
#[derive(Debug, Error)]
pub enum Error {
    /// A file is missing or can't be read.
    #[error("read {}: {source}; is this the folder of a run?", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `run.json` is none.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// A table is none.
    #[error(transparent)]
    Table(#[from] table::Error),
    /// An objective of another version.
    #[error("read run.json: {0}")]
    Objective(#[from] NotAnObjective),
    /// `histograms.hlog` is none.
    #[error(transparent)]
    Histograms(#[from] hlog::Error),
}

/// What a run came to, by its rows and histograms.
#[derive(Debug)]
pub struct Readback {
    /// The summary.
    pub summary: Summary,
    /// The harness's own error, judged.
    pub certificate: Certificate,
    /// What to know before the numbers.
    pub warnings: Vec<Warning>,
}

/// Reads `run.json` of a bundle.
///
/// # Errors
/// It is missing, or of another version.
pub fn read_run(folder: &Path) -> Result<Run, Error> {
    let path = folder.join(RUN);
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    Ok(Run::read(&text)?)
}

/// The seconds of a bundle, as many as are whole.
///
/// # Errors
/// The file is missing or broken.
pub fn seconds(folder: &Path) -> Result<Vec<Interval>, Error> {
    let path = folder.join(INTERVALS);
    let file = File::open(&path).map_err(|source| Error::Read { path, source })?;
    let mut seconds = Vec::new();
    intervals::read(file, |row| seconds.push(row))?;
    Ok(seconds)
}

/// Everything that was recorded of each metric: of completed invocations, and of running ones where that is all there
/// is; without the warm-up.
///
/// # Errors
/// The file is missing or broken.
pub fn completed(folder: &Path) -> Result<BTreeMap<String, Hdr<u64>>, Error> {
    let path = folder.join(HISTOGRAMS);
    let log = File::open(&path).map_err(|source| Error::Read { path, source })?;
    let mut all = BTreeMap::new();
    hlog::read(BufReader::new(log), |line| {
        let wanted = line.outcome == Outcome::Completed.kind() || line.outcome == "any";
        if wanted && line.gap_group().is_none() {
            histogram::add(&mut all, line.metric, &line.histogram);
        }
    })?;
    Ok(all)
}

/// Sums up the rows and histograms of a bundle.
///
/// # Errors
/// A file is missing or broken; rows and lines that were cut off at the end are left out with a warning.
pub fn sum_up(folder: &Path, run: &Run) -> Result<Readback, Error> {
    let objectives = run.objectives.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let turns = run.scenarios.iter().map(|scenario| (scenario.name.clone(), scenario.turns));
    let mut digest = Digest::new(objectives).with_turns(turns.collect());
    let mut facts = Facts::default();
    let mut server = Observed::default();
    let path = folder.join(INVOCATIONS);
    let rows = File::open(&path).map_err(|source| Error::Read { path, source })?;
    let rows = invocations::read(rows, |record| {
        facts.take(&record);
        server.take(&record);
        digest.take(&record);
    })?;
    let path = folder.join(HISTOGRAMS);
    let log = File::open(&path).map_err(|source| Error::Read { path, source })?;
    let cut_off = hlog::read(BufReader::new(log), |line| {
        let group = line.gap_group();
        let of =
            Recorded { metric: &line.metric, variant: &line.variant, scenario: &line.scenario, outcome: &line.outcome };
        digest.take_second(line.start_ns / NS_PER_S, of, &line.histogram);
        let metric = Metric::ALL.into_iter().find(|metric| metric.is_many() && metric.name() == line.metric);
        let metric = group.map(|_| Metric::Gap).or(metric);
        if let Some(metric) = metric.filter(|_| line.outcome != "warmup") {
            let completed = line.outcome == Outcome::Completed.kind();
            let key = Key { metric, variant: line.variant, scenario: line.scenario, completed, group };
            digest.take_histogram(key, &line.histogram);
        }
    })?;
    let own = OwnFigures::of(&digest);
    let mut summary = digest.summary(facts.span_ns());
    // Bundles that were joined had clocks of their own, and the pauses between them are cut out.
    let origin_unix_ns = run.parts.is_empty().then_some(run.origin_unix_ns);
    summary.server = server.view(origin_unix_ns);
    let holds = facts.holds(run.harness.as_ref());
    let measured = self_error(&summary, &own, run, holds, &facts);
    let mut warnings = facts.warnings(&summary, run);
    if rows.truncated {
        warnings.insert(0, Warning::RowsTruncated);
    }
    if cut_off {
        warnings.insert(0, Warning::HistogramsTruncated);
    }
    if run.status == Status::Running {
        warnings.insert(0, Warning::Unfinished);
    }
    Ok(Readback { summary, certificate: Certificate::judge(measured), warnings })
}

/// What is noted on the way through the rows, the warm-up included.
#[derive(Debug, Default)]
struct Facts {
    ledger: Ledger,
    events: u64,
    body_bytes: u64,
    first_ns: Option<u64>,
    last_ns: u64,
    new_connections: u64,
    without_chunks: u64,
    /// Rows whose parts don't add up.
    odd_parts: u64,
    missed_by_limit: u64,
    missed_by_client: u64,
    missed_by_sockets: u64,
    held_up: u64,
    cut_by_drain: u64,
    /// When invocations failed, in nanoseconds, and how.
    failed: Vec<(u64, &'static str)>,
    last_completed_ns: Option<u64>,
}

impl Facts {
    fn take(&mut self, record: &Record) {
        self.ledger.count(record.outcome);
        self.events += record.counts.events;
        self.body_bytes += record.counts.body_bytes;
        self.odd_parts += u64::from(!record.parts_add_up());
        if record.warmup {
            return;
        }
        if !record.outcome.was_started() {
            let is = |why: &str| u64::from(record.detail.as_deref() == Some(why));
            self.missed_by_limit += is(LIMIT_REACHED);
            self.missed_by_client += is(CLIENT_LATE);
            let no_socket = record.detail.as_deref().is_some_and(|why| why.starts_with(NO_SOCKET));
            self.missed_by_sockets += u64::from(no_socket);
        }
        if record.outcome == Outcome::NotStarted {
            return;
        }
        let ended_ns = record.stamps.last_known_ns;
        if record.outcome.is_completed() {
            self.last_completed_ns = self.last_completed_ns.max(Some(ended_ns));
        } else if record.outcome.was_started() && !record.outcome.censors() {
            self.failed.push((ended_ns, record.outcome.kind()));
        }
        let died = record.detail.as_deref() == Some(WORKER_DIED);
        self.cut_by_drain += u64::from(record.outcome == Outcome::Cut && !died);
        self.held_up += u64::from(record.conduct.admitted_ns.is_some());
        let began_ns = record.stamps.intended_ns;
        self.first_ns = Some(self.first_ns.map_or(began_ns, |first| first.min(began_ns)));
        self.last_ns = self.last_ns.max(record.stamps.last_known_ns);
        self.new_connections += u64::from(record.reused == Some(false));
        self.without_chunks += u64::from(record.outcome.is_completed() && record.counts.chunks == 0);
    }

    fn span_ns(&self) -> u64 {
        self.first_ns.map_or(0, |first| self.last_ns.saturating_sub(first))
    }

    /// Whether the rows add up in themselves and to what the workers counted; a run without their count has nothing to
    /// hold against.
    fn holds(&self, harness: Option<&Harness>) -> bool {
        let sums = harness.is_none_or(|harness| self.differences(harness).is_empty());
        self.ledger.adds_up() && self.odd_parts == 0 && sums
    }

    fn differences(&self, harness: &Harness) -> Vec<Warning> {
        [
            ("planned starts", self.ledger.planned, harness.planned),
            ("started invocations", self.ledger.started(), harness.started),
            ("events", self.events, harness.events),
            ("body bytes", self.body_bytes, harness.body_bytes),
        ]
        .into_iter()
        .filter(|(_, rows, workers)| rows != workers)
        .map(|(what, rows, workers)| Warning::SumsDiffer { what: what.to_owned(), rows, workers })
        .collect()
    }

    /// Whether the target was gone from some instant on: everything that ended after the last completion failed, and
    /// as often as failures came before that, chance does not explain so many in a row.
    fn gone(&self, completed: u64) -> Option<Warning> {
        let last_ns = self.last_completed_ns?;
        let after: Vec<_> = self.failed.iter().filter(|(at_ns, _)| *at_ns >= last_ns).map(|(_, kind)| *kind).collect();
        let before = (self.failed.len() - after.len()) as f64;
        let share = (before + 1.0) / (before + completed as f64 + 1.0);
        if after.len() < GONE_FAILURES || share.powf(after.len() as f64) > GONE_CHANCE {
            return None;
        }
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        after.iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
        let (mostly, _) = kinds.into_iter().max_by_key(|(_, count)| *count)?;
        let after_ns = last_ns.saturating_sub(self.first_ns.unwrap_or(0));
        Some(Warning::TargetGone { after_ns, failed: after.len() as u64, mostly: mostly.to_owned() })
    }

    fn warnings(&self, summary: &Summary, run: &Run) -> Vec<Warning> {
        let mut warnings = run.harness.as_ref().map_or_else(Vec::new, |harness| self.differences(harness));
        let group = summary.overall();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let mut warn = |holds: bool, warning: Warning| {
            if holds {
                warnings.push(warning);
            }
        };
        warn(self.odd_parts > 0, Warning::PartsDiffer { count: self.odd_parts });
        match summary.settled {
            Settled::After(after_ns) => warn(true, Warning::Unsettled { after_ns: Some(after_ns) }),
            Settled::Never => warn(true, Warning::Unsettled { after_ns: None }),
            Settled::FromTheStart | Settled::TooShort => {}
        }
        let cut = self.cut_by_drain;
        warn(cut > 0, Warning::Cut { count: cut, drain_ns: run.drain_ns });
        let limited = group.ledger.of(Outcome::RateLimited);
        warn(limited > 0, Warning::RateLimited { count: limited });
        let shared = share(group.totals.shared_reads, group.totals.events);
        warn(shared > SHARED_READS_MAX, Warning::SharedReads { share: shared });
        // A stream that did not end well takes its connection with it, whoever closed it.
        let whole = [Outcome::Completed, Outcome::CheckFailed].map(|outcome| group.ledger.of(outcome));
        let broken = group.ledger.started() - whole.iter().sum::<u64>();
        // And each place in the load makes a first one.
        let places = run.profile.pointer("/load/concurrency").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let closed = self.new_connections.saturating_sub(broken).saturating_sub(places);
        let fresh = share(closed, self.new_connections + group.totals.reused_connections);
        warn(
            run.reuse && fresh > NEW_CONNECTIONS_MAX && group.totals.reused_connections > 0,
            Warning::NotReused { share: fresh },
        );
        warn(self.without_chunks > 0, Warning::NoChunks { count: self.without_chunks });
        warn(group.totals.foreign_events > 0, Warning::ForeignEvents { count: group.totals.foreign_events });
        warn(self.held_up > 0, Warning::HeldUp { count: self.held_up });
        let count = summary.warmup_rows;
        warn(count > 0 && group.ledger.planned == 0, Warning::AllWarmup { count });
        warnings.extend(self.gone(group.ledger.of(Outcome::Completed)));
        run.harness.iter().for_each(|harness| own_limits(harness, &mut warnings));
        if let Some(warning) = run.harness.as_ref().and_then(|harness| little(harness, self, summary)) {
            warnings.push(warning);
        }
        warnings
    }
}

/// Failures in a row at the end of a run that may be the target's end.
const GONE_FAILURES: usize = 10;
/// How likely a run of failures by chance may be, for it not to be held for one.
const GONE_CHANCE: f64 = 0.001;

/// What the workers, the budget and the tasks that were left behind give to know.
fn own_limits(harness: &Harness, warnings: &mut Vec<Warning>) {
    if harness.lost_workers > 0 {
        warnings.push(Warning::WorkersLost { count: harness.lost_workers, why: harness.lost_why.clone() });
    }
    warnings.extend(harness.budget_spent.map(|spent| Warning::BudgetSpent { spent }));
    warnings.extend(
        harness
            .aborted
            .as_ref()
            .map(|aborted| Warning::Aborted { objective: aborted.objective.clone(), at_ns: aborted.at_ns }),
    );
    if harness.put_off > 0 {
        warnings.push(Warning::PutOff { count: harness.put_off, ns: harness.put_off_ns });
    }
    if harness.holds > 0 {
        warnings.push(Warning::Braked { count: harness.holds, held_ns: harness.held_ns });
    }
    let sockets = &harness.sockets;
    if let Some(from) = sockets.ports_scarce_from.filter(|from| sockets.connections_max > *from) {
        warnings.push(Warning::PortsScarce { connections: sockets.connections_max, easily: from });
    }
    let left = &harness.tasks;
    if left.left > left.stopped {
        warnings.push(Warning::TasksLeft { left: left.left, stopped: left.stopped, why: left.why.clone() });
    }
}

/// The share of shared reads over which gaps mislead.
const SHARED_READS_MAX: f64 = 0.05;
/// The share of new connections over which reuse can be said to fail.
const NEW_CONNECTIONS_MAX: f64 = 0.5;
/// How far Little's two sides may lie apart, as a share of what is in flight.
const LITTLE_MAX: f64 = 0.01;

/// Little's law: the mean in flight that the workers clocked, against rate × mean time by the rows.
fn little(harness: &Harness, facts: &Facts, summary: &Summary) -> Option<Warning> {
    // With a warm-up the two are of different stretches.
    let span_s = facts.span_ns() as f64 / 1e9;
    if summary.warmup_rows > 0 || span_s <= 0.0 {
        return None;
    }
    let in_flight = harness.in_flight_ns as f64 / 1e9 / span_s;
    let rates = &summary.overall().rates;
    let time_mean_s = if rates.started_per_s > 0.0 { rates.mean_in_flight / rates.started_per_s } else { 0.0 };
    let off = littles_law(in_flight, rates.started_per_s, time_mean_s);
    let breach = off.is_none_or(|off| off.abs() > LITTLE_MAX);
    breach.then_some(Warning::Little { in_flight, product: rates.mean_in_flight })
}

/// What the harness says of itself, in nanoseconds; a rough number rather than none.
struct OwnFigures {
    stamp_error_ns_p99: Option<u64>,
    start_lag_ns_p99: Option<u64>,
    client_lag_ns_p99: Option<u64>,
    smaller_median_ns: Option<u64>,
}

impl OwnFigures {
    fn of(digest: &Digest) -> Self {
        let p99 = |metric: Metric| digest.plain_quantile_ns(Series::of(metric), 0.99);
        let median = |metric: Metric| digest.plain_quantile_ns(Series::from_intended(metric), 0.5);
        Self {
            stamp_error_ns_p99: p99(Metric::StampError),
            start_lag_ns_p99: p99(Metric::StartLag),
            client_lag_ns_p99: p99(Metric::ClientLag),
            smaller_median_ns: [Metric::Ttfc, Metric::Finish].into_iter().filter_map(median).min(),
        }
    }
}

fn self_error(summary: &Summary, own: &OwnFigures, run: &Run, ledger_holds: bool, facts: &Facts) -> SelfError {
    let (totals, ledger) = (&summary.overall().totals, &summary.overall().ledger);
    let due = ledger.started() + facts.missed_by_limit + facts.missed_by_client + facts.missed_by_sockets;
    let harness = run.harness.as_ref();
    let sockets = harness.map(|harness| harness.sockets).unwrap_or_default();
    SelfError {
        arrival_clock: harness.map_or(ArrivalClock::User, |harness| harness.stamps.clock),
        stamp_error_ns_p99: own.stamp_error_ns_p99,
        start_lag_ns_p99: own.start_lag_ns_p99,
        client_lag_ns_p99: own.client_lag_ns_p99,
        shared_reads: if totals.events == 0 { 0.0 } else { totals.shared_reads as f64 / totals.events as f64 },
        starts_made: if due == 0 { 1.0 } else { ledger.started() as f64 / due as f64 },
        missed_by_limit: facts.missed_by_limit,
        missed_by_client: facts.missed_by_client,
        missed_by_sockets: facts.missed_by_sockets,
        ports_left: sockets.ports_left,
        descriptors_left: sockets.descriptors_left,
        smaller_median_ns: own.smaller_median_ns,
        worker_cpu: harness.map_or_else(Vec::new, |harness| harness.worker_cpu.clone()),
        machine_cpu: harness.and_then(|harness| harness.machine_cpu),
        steal: harness.and_then(|harness| harness.steal),
        ledger_holds,
        lost_workers: harness.map_or(0, |harness| harness.lost_workers),
    }
}
