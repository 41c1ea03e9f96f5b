//! Whether a bundle agrees with itself: what `run.json` says against the rows and histograms that it was made from, and
//! these against each other.
//!
//! The summary is made again, field by field. The histograms of what an invocation has once are recorded again from the
//! rows; those of what it has often hold as many samples as the rows count, with the sums and the largest that rows know of;
//! each second's quantiles are read again from its histograms, and it is as long as the run says. Exact throughout; only what comes from `events.csv`, which keeps every stamp as it was taken, is
//! held to 0.1 %.

mod events;
mod log;
mod rows;

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use self::log::Log;
use self::rows::Rows;
use super::bundle::{HISTOGRAMS, INTERVALS, INVOCATIONS};
use super::difference::{Difference, differences};
use super::files::Files;
use super::intervals::Interval;
use super::readback::{Error, sum_up};
use super::{Run, intervals, invocations};
use crate::units::{NS_PER_MS, NS_PER_S};

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
        found.extend(seconds(text, &log, &rows, run)?);
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

/// A metric's name, the variant, the outcome and the scenario: the tag of a histogram.
type Tag = (String, String, String, String);

/// Each second's quantiles against its histograms, and the sums of the seconds against the rows.
fn seconds(text: impl Read, log: &Log, rows: &Rows, run: &Run) -> Result<Vec<Difference>, Error> {
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
        found.extend(length_differs(&row, log, run));
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

/// How long a second was, against the run's end and against the lines of its histograms, which tell milliseconds.
fn length_differs(row: &Interval, log: &Log, run: &Run) -> Option<Difference> {
    let field = format!("{INTERVALS} second {}.length_ns", row.second);
    let end_ns = run.harness.as_ref().filter(|_| run.parts.is_empty()).map(|harness| harness.end_ns);
    if let Some(end_ns) = end_ns {
        let differs = Difference::between(&*field, &row.length_ns, &Interval::length_ns(row.second, end_ns));
        if differs.is_some() {
            return differs;
        }
    } else if row.length_ns > NS_PER_S {
        return Difference::between(field, &row.length_ns, &format!("{NS_PER_S} or less"));
    }
    let (least_ns, most_ns) = log.lengths_ns.get(&row.second)?;
    let off_ns = row.length_ns.abs_diff(*least_ns).max(row.length_ns.abs_diff(*most_ns));
    let told = if *least_ns == *most_ns { least_ns.to_string() } else { format!("{least_ns} to {most_ns}") };
    if off_ns < NS_PER_MS { None } else { Difference::between(field, &row.length_ns, &told) }
}

fn quantiles_differ(row: Interval, again: Interval) -> Vec<Difference> {
    // Everything but the quantiles is taken over, so that only they can differ.
    let again = Interval {
        second: row.second,
        length_ns: row.length_ns,
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
