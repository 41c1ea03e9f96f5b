//! A bundle read back: its rows and histograms, summed up. The one way to a summary, for a run that has just ended,
//! for one that was killed, and for a report made again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::bundle::{HISTOGRAMS, INTERVALS, INVOCATIONS, RUN};
use super::facts::Facts;
use super::files::Files;
use super::intervals::{self, Interval};
use super::run::Run;
use super::{Status, hlog, invocations, run, table};
use crate::metrics::certificate::{self, ArrivalClock, SelfError};
use crate::metrics::digest::{Digest, Key};
use crate::metrics::objective::{NotAnObjective, Recorded};
use crate::metrics::server::Observed;
use crate::metrics::{Burst, Certificate, Metric, Outcome, Series, Summary, Warning};
use crate::stats::Histogram;
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
    /// Neither rows nor what was made of them.
    #[error("read {INVOCATIONS}: it is missing, and run.json has no summary: the run left nothing to show")]
    Nothing,
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
    let (files, mut seconds) = (Files::of(folder), Vec::new());
    if let Some(file) = files.open(INTERVALS)? {
        intervals::read(file, |row| seconds.push(row))?;
    }
    Ok(seconds)
}

/// Everything that was recorded of each metric: of completed invocations, and of running ones where that is all there
/// is; without the warm-up.
///
/// # Errors
/// The file is missing or broken.
pub fn completed(folder: &Path) -> Result<BTreeMap<String, Histogram>, Error> {
    let (files, mut all) = (Files::of(folder), BTreeMap::<_, Histogram>::new());
    let Some(log) = files.open(HISTOGRAMS)? else { return Ok(all) };
    hlog::read(log, |line| {
        let wanted = line.outcome == Outcome::Completed.kind() || line.outcome == "any";
        if wanted && line.gap_group().is_none() {
            all.entry(line.metric).or_default().merge(&line.histogram);
        }
    })?;
    Ok(all)
}

/// Sums up the rows and histograms of a bundle.
///
/// # Errors
/// As [`sum_up_files`].
pub fn sum_up(folder: &Path, run: &Run) -> Result<Readback, Error> {
    sum_up_files(&Files::of(folder), run)
}

/// Sums up the rows and histograms of a bundle. What was cut off or is missing is left out with a warning; without its
/// rows a run is what its `run.json` has kept of them.
///
/// # Errors
/// A file is broken, or there are no rows and no summary.
pub fn sum_up_files(files: &Files, run: &Run) -> Result<Readback, Error> {
    let objectives = run.objectives.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let turns = run.scenarios.iter().map(|scenario| (scenario.name.clone(), scenario.turns));
    let mut digest = Digest::new(objectives).with_turns(turns.collect());
    let mut facts = Facts::default();
    let mut server = Observed::default();
    let Some(rows) = files.open(INVOCATIONS)? else { return stored(run) };
    let rows = invocations::read(rows, |record| {
        facts.take(&record);
        server.take(&record);
        digest.take(&record);
    })?;
    let mut log = Log::default();
    let cut_off = files
        .open(HISTOGRAMS)?
        .map(|text| {
            hlog::read(text, |line| {
                log.take(&line);
                let group = line.gap_group();
                let of = Recorded {
                    metric: &line.metric,
                    variant: &line.variant,
                    scenario: &line.scenario,
                    outcome: &line.outcome,
                };
                digest.take_second(line.start_ns / NS_PER_S, of, &line.histogram);
                let metric = Metric::ALL.into_iter().find(|metric| metric.is_many() && metric.name() == line.metric);
                let metric = group.map(|_| Metric::Gap).or(metric);
                if let Some(metric) = metric.filter(|_| line.outcome != "warmup") {
                    let completed = line.outcome == Outcome::Completed.kind();
                    let key = Key { metric, variant: line.variant, scenario: line.scenario, completed, group };
                    digest.take_histogram(key, &line.histogram);
                }
            })
        })
        .transpose()?;
    let own = OwnFigures::of(&digest);
    let mut summary = digest.summary(facts.span_ns());
    // Bundles that were joined had clocks of their own, and the pauses between them are cut out.
    let origin_unix_ns = run.parts.is_empty().then_some(run.origin_unix_ns);
    summary.server = server.view(origin_unix_ns);
    let holds = facts.holds(run.harness.as_ref());
    let measured = self_error(&summary, &own, run, holds, &facts);
    let mut warnings = facts.warnings(&summary, run, own.delay_ns());
    if let Some(warning) = seconds_incomplete(files)? {
        warnings.insert(0, warning);
    }
    if rows.truncated {
        warnings.insert(0, Warning::RowsTruncated);
    }
    match cut_off {
        None => warnings.insert(0, Warning::Missing { file: HISTOGRAMS.to_owned() }),
        Some(cut_off) if cut_off || log.is_short(&facts, run) => warnings.insert(0, Warning::HistogramsTruncated),
        Some(_) => {}
    }
    if run.status == Status::Running {
        warnings.insert(0, Warning::Unfinished);
    }
    // Nothing in the files tells why they lack their end.
    let unwritten = run.warnings.iter().find(|warning| matches!(warning, Warning::Unwritten { .. }));
    unwritten.into_iter().for_each(|warning| warnings.insert(0, warning.clone()));
    let mut certificate = Certificate::judge(measured);
    if cut_off.is_none() {
        certificate = certificate.without_histograms();
    }
    Ok(Readback { summary, certificate, warnings })
}

/// What `run.json` has kept, where the rows are gone.
fn stored(run: &Run) -> Result<Readback, Error> {
    let (Some(summary), Some(certificate)) = (run.summary.clone(), run.certificate.clone()) else {
        return Err(Error::Nothing);
    };
    let missing = Warning::Missing { file: INVOCATIONS.to_owned() };
    let warnings = [missing].into_iter().chain(run.warnings.iter().cloned()).collect();
    Ok(Readback { summary, certificate, warnings })
}

/// What is missing of the seconds, which are shown and no part of the summary.
fn seconds_incomplete(files: &Files) -> Result<Option<Warning>, Error> {
    let Some(file) = files.open(INTERVALS)? else {
        return Ok(Some(Warning::Missing { file: INTERVALS.to_owned() }));
    };
    Ok(intervals::read(file, drop)?.truncated.then_some(Warning::SecondsTruncated))
}

/// How much a log of histograms holds.
#[derive(Debug, Default)]
struct Log {
    lags: u64,
    gaps: u64,
    grouped_gaps: u64,
}

impl Log {
    fn take(&mut self, line: &hlog::Line) {
        let count = line.histogram.count();
        match line.metric.as_str() {
            _ if line.gap_group().is_some() => self.grouped_gaps += count,
            metric if metric == Metric::ClientLag.name() => self.lags += count,
            metric if metric == Metric::Gap.name() && line.outcome != "warmup" => self.gaps += count,
            _ => {}
        }
    }

    /// Whether whole lines are missing at its end. Of a run that has ended with all its workers every event has a lag
    /// that nobody read slowly, and every gap lies in the group of its stream, too.
    fn is_short(&self, facts: &Facts, run: &Run) -> bool {
        let lost_workers = run.harness.as_ref().map_or(0, |harness| harness.lost_workers);
        let complete = run.status != Status::Running && lost_workers == 0;
        complete && (self.lags < facts.lagged_events || self.gaps != self.grouped_gaps)
    }
}

/// What the harness says of itself, in nanoseconds; a rough number rather than none.
struct OwnFigures {
    stamp_error_ns_p99: Option<u64>,
    start_lag_ns_p99: Option<u64>,
    client_lag_ns_p99: Option<u64>,
    burst: Option<Burst>,
    smaller_median_ns: Option<u64>,
}

impl OwnFigures {
    fn of(digest: &Digest) -> Self {
        let p99 = |metric: Metric| digest.plain_quantile_ns(Series::of(metric), 0.99);
        let median = |metric: Metric| digest.plain_quantile_ns(Series::from_intended(metric), 0.5);
        let start_lag_ns_p99 = p99(Metric::StartLag);
        let is_late = start_lag_ns_p99 > Some(certificate::ERROR_FLOOR_NS);
        Self {
            stamp_error_ns_p99: p99(Metric::StampError),
            start_lag_ns_p99,
            burst: is_late.then(|| digest.burst()),
            client_lag_ns_p99: p99(Metric::ClientLag),
            smaller_median_ns: [Metric::Ttfc, Metric::Finish].into_iter().filter_map(median).min(),
        }
    }

    /// The most that the client let things lie, in nanoseconds: events that had come, and starts that were due.
    fn delay_ns(&self) -> u64 {
        self.client_lag_ns_p99.max(self.start_lag_ns_p99).unwrap_or(0)
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
        in_flight_by_files: sockets.in_flight_by_files,
        smaller_median_ns: own.smaller_median_ns,
        burst: own.burst,
        worker_cpu: harness.map_or_else(Vec::new, |harness| harness.worker_cpu.clone()),
        machine_cpu: harness.and_then(|harness| harness.machine_cpu),
        steal: harness.and_then(|harness| harness.steal),
        ledger_holds,
        lost_workers: harness.map_or(0, |harness| harness.lost_workers),
    }
}
