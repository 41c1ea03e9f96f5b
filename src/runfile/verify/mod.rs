//! Whether a bundle agrees with itself: what `run.json` says against the rows and histograms that it was made from, and
//! these against each other.
//!
//! The summary is made again, field by field. The histograms of what an invocation has once are recorded again from the
//! rows; those of what it has often hold as many samples as the rows count; each second's quantiles are read again from
//! its histograms. Exact throughout; only what comes from `events.csv`, which keeps every stamp as it was taken, is
//! held to 0.1 %.

mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read};
use std::path::Path;

use hdrhistogram::Histogram as Hdr;
use serde_json::{Value, json};

use super::bundle::{HISTOGRAMS, INTERVALS, INVOCATIONS};
use super::difference::{Difference, differences};
use super::files::Files;
use super::intervals::Interval;
use super::readback::{Error, sum_up};
use super::{Run, hlog, intervals, invocations};
use crate::metrics::certificate::NO_SOCKET;
use crate::metrics::{Metric, Outcome, Record, Series};
use crate::stats::{Histogram, Observation, histogram};
use crate::units::NS_PER_S;

/// Every field in which a bundle contradicts itself, `one` being what is stored and `other` what it ought to be.
///
/// # Errors
/// A file is missing or broken.
pub fn verify(folder: &Path, run: &Run) -> Result<Vec<Difference>, Error> {
    let files = Files::of(folder);
    let mut found = Vec::new();
    for name in [INVOCATIONS, HISTOGRAMS, INTERVALS] {
        if files.open(name)?.is_none() {
            found.extend(Difference::between(name, "missing", "a file"));
        }
    }
    found.extend(summary(folder, run)?);
    let mut rows = Rows::default();
    // Without rows there is nothing that the other files could be held against.
    let Some(text) = files.open(INVOCATIONS)? else { return Ok(found) };
    invocations::read(text, |record| rows.take(&record))?;
    let log = files.open(HISTOGRAMS)?.map(Log::read).transpose()?;
    let log = log.inspect(|log| found.extend(log.against(&rows))).unwrap_or_default();
    if let Some(text) = files.open(INTERVALS)? {
        found.extend(seconds(text, &log, &rows)?);
    }
    found.extend(events::against(folder, &log.by_metric())?);
    Ok(found)
}

/// The stored summary against the one that the rows and histograms come to.
fn summary(folder: &Path, run: &Run) -> Result<Vec<Difference>, Error> {
    let mut again = run.clone();
    again.adopt(sum_up(folder, run)?);
    let told = |run: &Run| {
        let told = json!({"summary": run.summary, "certificate": run.certificate, "warnings": run.warnings});
        // Through its text: that is what is stored, and a number in it has one value.
        serde_json::from_str::<Value>(&told.to_string()).expect("it was written by us")
    };
    Ok(differences("", &told(run), &told(&again)))
}

/// What a row has too often to hold each: only how often.
const MANY: [Metric; 3] = [Metric::Gap, Metric::ClientLag, Metric::StampError];

/// What the name of a tool's calls begins with.
const TOOL_PREFIX: &str = "tool.";

/// A metric's name, the variant, the outcome and the scenario: the tag of a histogram.
type Tag = (String, String, String, String);

/// A variant, a scenario, and whether the streams completed.
type OfGaps = (String, String, bool);

/// What the histograms must hold, by the rows.
#[derive(Debug, Default)]
struct Rows {
    recorded: BTreeMap<Tag, Histogram>,
    counted: BTreeMap<Tag, u64>,
    /// Those that a worker took up, whether or not they could be made.
    taken_up: u64,
    started: u64,
    completed: u64,
    events: u64,
    body_bytes: u64,
}

impl Rows {
    fn take(&mut self, record: &Record) {
        let no_socket = record.detail.as_deref().is_some_and(|why| why.starts_with(NO_SOCKET));
        self.taken_up += u64::from(record.outcome.was_started() || no_socket);
        self.started += u64::from(record.outcome.was_started());
        self.completed += u64::from(record.outcome.is_completed());
        self.events += record.counts.events;
        self.body_bytes += record.counts.body_bytes;
        let (variant, scenario) = (record.variant.to_string(), record.scenario.to_string());
        let warm = |outcome: &str| if record.warmup { "warmup" } else { outcome }.to_owned();
        for series in Series::all() {
            if let Some(Observation::Seen(ns)) = series.observe(record) {
                let tag = (series.name(), variant.clone(), warm(record.outcome.kind()), scenario.clone());
                self.recorded.entry(tag).or_default().record(ns);
            }
        }
        for call in &record.calls {
            let outcome = warm(record.outcome.kind());
            let tag = (Metric::Tool.name().to_owned(), variant.clone(), outcome, scenario.clone());
            self.recorded.entry(tag).or_default().record(call.ns);
        }
        let many = [
            (Metric::Gap, record.outcome.kind(), record.counts.chunks.saturating_sub(1)),
            (Metric::ClientLag, "any", record.counts.events),
            (Metric::StampError, "any", record.counts.events),
        ];
        for (metric, outcome, count) in many.into_iter().filter(|(.., count)| *count > 0) {
            let tag = (metric.name().to_owned(), variant.clone(), warm(outcome), scenario.clone());
            *self.counted.entry(tag).or_default() += count;
        }
    }
}

/// A log of histograms, summed up by tag and by second.
#[derive(Debug, Default)]
struct Log {
    by_tag: BTreeMap<Tag, Hdr<u64>>,
    /// Gaps over the groups of the jackknife.
    groups: BTreeMap<OfGaps, Hdr<u64>>,
    quantiles: BTreeMap<u64, Interval>,
    /// The second that is being read, by metric.
    second: (u64, BTreeMap<String, Hdr<u64>>),
}

impl Log {
    fn read(text: impl BufRead) -> Result<Self, Error> {
        let mut log = Self::default();
        hlog::read(text, |line| log.take(line))?;
        log.close_second();
        Ok(log)
    }

    fn take(&mut self, line: hlog::Line) {
        if line.gap_group().is_some() {
            let completed = line.outcome == Outcome::Completed.kind();
            histogram::add(&mut self.groups, (line.variant, line.scenario, completed), &line.histogram);
            return;
        }
        let second = line.start_ns / NS_PER_S;
        if second != self.second.0 {
            self.close_second();
            self.second.0 = second;
        }
        histogram::add(&mut self.second.1, line.metric.clone(), &line.histogram);
        // All tools together: which of them are told apart depends on which came first.
        let metric = if line.metric.starts_with(TOOL_PREFIX) { Metric::Tool.name().to_owned() } else { line.metric };
        histogram::add(&mut self.by_tag, (metric, line.variant, line.outcome, line.scenario), &line.histogram);
    }

    fn close_second(&mut self) {
        let (second, recorded) = std::mem::take(&mut self.second);
        let row = Interval { second, ..Interval::default() };
        let counts =
            |series: Series| recorded.get(&series.name()).map_or_else(Vec::new, |all| histogram::counts(all).collect());
        self.quantiles.insert(second, row.with_quantiles(counts));
    }

    /// All of each metric, the warm-up included.
    fn by_metric(&self) -> BTreeMap<String, Hdr<u64>> {
        let mut all = BTreeMap::new();
        self.by_tag.iter().for_each(|((metric, ..), part)| histogram::add(&mut all, metric.clone(), part));
        all
    }

    /// The histograms against what they must hold by the rows.
    fn against(&self, rows: &Rows) -> Vec<Difference> {
        let nothing = Histogram::default();
        let is_many = |tag: &&Tag| MANY.iter().any(|metric| metric.name() == tag.0);
        let mut found = Vec::new();
        let once = self.by_tag.keys().filter(|tag| !is_many(tag)).chain(rows.recorded.keys());
        for tag in once.collect::<BTreeSet<_>>() {
            let stored = self.by_tag.get(tag).map_or_else(Vec::new, |all| histogram::counts(all).collect());
            let again: Vec<_> = rows.recorded.get(tag).unwrap_or(&nothing).counts().collect();
            found.extend(buckets(&named(tag), &stored, &again));
        }
        let often = self.by_tag.keys().filter(is_many).chain(rows.counted.keys());
        for tag in often.collect::<BTreeSet<_>>() {
            let stored = self.by_tag.get(tag).map_or(0, Hdr::len);
            let counted = rows.counted.get(tag).copied().unwrap_or_default();
            found.extend(Difference::between(format!("{}.samples", named(tag)), &stored, &counted));
        }
        found.extend(self.against_groups());
        found
    }

    /// The gaps by group against the gaps by second: the same samples, dealt in another way.
    fn against_groups(&self) -> Vec<Difference> {
        let mut by_second: BTreeMap<OfGaps, Hdr<u64>> = BTreeMap::new();
        for ((metric, variant, outcome, scenario), all) in &self.by_tag {
            if metric == Metric::Gap.name() && outcome != "warmup" {
                let completed = outcome == Outcome::Completed.kind();
                histogram::add(&mut by_second, (variant.clone(), scenario.clone(), completed), all);
            }
        }
        let keys = self.groups.keys().chain(by_second.keys()).collect::<BTreeSet<_>>();
        let of = |all: Option<&Hdr<u64>>| all.map_or_else(Vec::new, |all| histogram::counts(all).collect());
        let differ = |key: &OfGaps| {
            let (variant, scenario, completed) = key;
            let scenario = if scenario.is_empty() { String::new() } else { format!(", {scenario}") };
            let outcome = if *completed { "completed" } else { "other" };
            let name = format!("gap groups of {variant}{scenario}, {outcome}");
            buckets(&format!("{HISTOGRAMS} {name}"), &of(self.groups.get(key)), &of(by_second.get(key)))
        };
        keys.into_iter().filter_map(differ).collect()
    }
}

fn named((metric, variant, outcome, scenario): &Tag) -> String {
    let scenario = if scenario.is_empty() { String::new() } else { format!(":{scenario}") };
    format!("{HISTOGRAMS} {metric}:{variant}:{outcome}{scenario}")
}

/// The number of samples when that differs, else the first bucket that does.
fn buckets(name: &str, stored: &[(u64, u64)], again: &[(u64, u64)]) -> Option<Difference> {
    let samples = |counts: &[(u64, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    Difference::between(format!("{name}.samples"), &samples(stored), &samples(again)).or_else(|| {
        let at = stored.iter().zip(again).position(|(one, other)| one != other)?;
        let bucket = |(ns, count): (u64, u64)| format!("{count} up to {ns} ns");
        Difference::between(format!("{name}.bucket[{at}]"), &bucket(stored[at]), &bucket(again[at]))
    })
}

/// Each second's quantiles against its histograms, and the sums of the seconds against the rows.
fn seconds(text: impl Read, log: &Log, rows: &Rows) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    let mut left = log.quantiles.clone();
    let mut sums = Interval::default();
    let ended = intervals::read(text, |row| {
        sums.started += row.started;
        sums.finished += row.finished;
        sums.completed += row.completed;
        sums.events += row.events;
        sums.body_bytes += row.body_bytes;
        let again = left.remove(&row.second).unwrap_or_default();
        found.extend(quantiles_differ(row, again));
    })?;
    for (second, recorded) in left {
        if recorded != (Interval { second, ..Interval::default() }) {
            found.extend(Difference::between(format!("{INTERVALS} second {second}"), "no row", "a row"));
        }
    }
    found.extend(Difference::between(format!("{INTERVALS} last row"), cut_off(ended.truncated), cut_off(false)));
    let sums = [
        ("started", sums.started, rows.taken_up),
        ("finished", sums.finished, rows.started),
        ("completed", sums.completed, rows.completed),
        ("events", sums.events, rows.events),
        ("body_bytes", sums.body_bytes, rows.body_bytes),
    ];
    let differ = |(what, stored, again)| Difference::between(format!("{INTERVALS} sum of {what}"), &stored, &again);
    found.extend(sums.into_iter().filter_map(differ));
    Ok(found)
}

fn cut_off(truncated: bool) -> &'static str {
    if truncated { "cut off" } else { "whole" }
}

fn quantiles_differ(row: Interval, again: Interval) -> Vec<Difference> {
    // Everything but the quantiles is taken over, so that only they can differ.
    let again = Interval {
        second: row.second,
        in_flight: row.in_flight,
        started: row.started,
        finished: row.finished,
        completed: row.completed,
        events: row.events,
        body_bytes: row.body_bytes,
        worker_cpu_max: row.worker_cpu_max,
        machine_cpu: row.machine_cpu,
        steal: row.steal,
        ..again
    };
    let field = format!("{INTERVALS} second {}", row.second);
    differences(&field, &json!(row), &json!(again))
}
