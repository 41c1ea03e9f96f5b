//! The histograms and seconds of several bundles, added up second by second.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter::Peekable;

use super::{Error, Source, unread};
use crate::runfile::bundle::{Bundle, HISTOGRAMS, INTERVALS};
use crate::runfile::hlog::{Line, Lines};
use crate::runfile::intervals::{self, Interval};
use crate::stats::Histogram;
use crate::units::NS_PER_S;

/// The metric, the variant, the outcome and the scenario of a line.
type Tag = (String, String, String, String);

/// The log of one source, on the common clock.
type Moved<'s> = Peekable<Box<dyn Iterator<Item = Result<Line, Error>> + 's>>;

/// Adds up the histograms and the rows of each second, one second after the other: a log of hours fits in memory.
pub(super) fn write(sources: &[Source], bundle: &mut Bundle) -> Result<(), Error> {
    let mut rows = rows(sources)?;
    let mut logs = sources.iter().map(log).collect::<Result<Vec<_>, _>>()?;
    let mut groups: BTreeMap<Tag, Histogram> = BTreeMap::new();
    while let Some(start_ns) = logs.iter_mut().filter_map(|log| Some(start(log.peek()?))).min() {
        let mut recorded: BTreeMap<Tag, Histogram> = BTreeMap::new();
        for log in &mut logs {
            while let Some(line) = log.next_if(|line| start(line) == start_ns) {
                let line = line?;
                let all = if line.gap_group().is_some() { &mut groups } else { &mut recorded };
                let tag = (line.metric, line.variant, line.outcome, line.scenario);
                all.entry(tag).or_default().merge(&line.histogram);
            }
        }
        let second = start_ns / NS_PER_S;
        if recorded.is_empty() {
            // Gaps of whole runs alone.
            continue;
        }
        let later = rows.split_off(&second);
        for row in std::mem::replace(&mut rows, later).values() {
            bundle.write_interval(row)?;
        }
        let row = rows.remove(&second).unwrap_or(Interval { second, length_ns: NS_PER_S, ..Interval::default() });
        write_lines(recorded.iter(), start_ns, row.length_ns, bundle)?;
        bundle.write_interval(&with_quantiles(row, &recorded))?;
    }
    for row in rows.values() {
        bundle.write_interval(row)?;
    }
    let end_ns = sources.iter().map(Source::ends_ns).max().unwrap_or_default();
    write_lines(groups.iter(), 0, end_ns, bundle)
}

/// The rows of all sources, added up by second; without quantiles, which do not add up.
fn rows(sources: &[Source]) -> Result<BTreeMap<u64, Interval>, Error> {
    let mut rows: BTreeMap<u64, Interval> = BTreeMap::new();
    for source in sources {
        let ended = intervals::read(source.file(INTERVALS)?, |row| {
            let second = row.second + source.shift_seconds;
            let all = rows.entry(second).or_insert(Interval { second, ..Interval::default() });
            all.length_ns = all.length_ns.max(row.length_ns);
            all.in_flight += row.in_flight;
            all.started += row.started;
            all.finished += row.finished;
            all.completed += row.completed;
            all.events += row.events;
            all.body_bytes += row.body_bytes;
            let worst =
                |one: &mut Option<f64>, other: Option<f64>| *one = (*one).into_iter().chain(other).reduce(f64::max);
            worst(&mut all.worker_cpu_max, row.worker_cpu_max);
            worst(&mut all.machine_cpu, row.machine_cpu);
            worst(&mut all.steal, row.steal);
        });
        let ended = ended.map_err(unread(&source.folder))?;
        source.whole(INTERVALS, ended)?;
    }
    Ok(rows)
}

/// The lines of a source, moved by whole seconds; those of a whole run stay at its beginning.
fn log(source: &Source) -> Result<Moved<'_>, Error> {
    let by_ns = source.shift_seconds * NS_PER_S;
    let lines: Box<dyn Iterator<Item = _>> = Box::new(Lines::new(source.file(HISTOGRAMS)?).map(move |line| {
        let mut line = line.map_err(|error| source.refused(error))?;
        line.start_ns += by_ns;
        Ok(line)
    }));
    Ok(lines.peekable())
}

/// Where a line begins; one that can't be read is due at once.
fn start(line: &Result<Line, Error>) -> u64 {
    line.as_ref().map_or(0, |line| line.start_ns / NS_PER_S * NS_PER_S)
}

fn with_quantiles(row: Interval, recorded: &BTreeMap<Tag, Histogram>) -> Interval {
    row.with_quantiles(|series| {
        let name = series.name();
        let mut all = Histogram::default();
        recorded.iter().filter(|((metric, ..), _)| *metric == name).for_each(|(_, part)| all.merge(part));
        Cow::Owned(all)
    })
}

fn write_lines<'h>(
    histograms: impl Iterator<Item = (&'h Tag, &'h Histogram)>,
    start_ns: u64,
    length_ns: u64,
    bundle: &mut Bundle,
) -> Result<(), Error> {
    for ((metric, variant, outcome, scenario), all) in histograms {
        let (metric, variant) = (metric.clone(), variant.clone());
        let (outcome, scenario) = (outcome.clone(), scenario.clone());
        bundle.write_line(&Line { metric, variant, outcome, scenario, start_ns, length_ns, histogram: all.clone() })?;
    }
    Ok(())
}
