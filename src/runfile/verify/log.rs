//! What a log of histograms holds, against what it must hold by the rows and by itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::Tag;
use super::rows::{MANY, Often, Rows};
use crate::metrics::{Metric, Outcome, Series};
use crate::runfile::bundle::HISTOGRAMS;
use crate::runfile::difference::Difference;
use crate::runfile::hlog;
use crate::runfile::intervals::Interval;
use crate::runfile::readback::Error;
use crate::stats::Histogram;
use crate::units::NS_PER_S;

/// What the name of a tool's calls begins with.
const TOOL_PREFIX: &str = "tool.";

/// A variant, a scenario, and whether the streams completed.
type OfGaps = (String, String, bool);

/// A log of histograms, summed up by tag and by second.
#[derive(Debug, Default)]
pub(super) struct Log {
    by_tag: BTreeMap<Tag, Histogram>,
    /// Gaps over the groups of the jackknife.
    groups: BTreeMap<OfGaps, Histogram>,
    pub(super) quantiles: BTreeMap<u64, Interval>,
    /// The shortest and the longest line of each second, in nanoseconds.
    pub(super) lengths_ns: BTreeMap<u64, (u64, u64)>,
    /// The second that is being read, by metric.
    second: (u64, BTreeMap<String, Histogram>),
}

impl Log {
    pub(super) fn read(text: impl BufRead) -> Result<Self, Error> {
        let mut log = Self::default();
        hlog::read(text, |line| log.take(line))?;
        log.close_second();
        Ok(log)
    }

    fn take(&mut self, line: hlog::Line) {
        if line.gap_group().is_some() {
            let completed = line.outcome == Outcome::Completed.kind();
            self.groups.entry((line.variant, line.scenario, completed)).or_default().merge(&line.histogram);
            return;
        }
        let (second, length_ns) = (line.start_ns / NS_PER_S, line.length_ns);
        let (least_ns, most_ns) = self.lengths_ns.entry(second).or_insert((length_ns, length_ns));
        (*least_ns, *most_ns) = (length_ns.min(*least_ns), length_ns.max(*most_ns));
        if second != self.second.0 {
            self.close_second();
            self.second.0 = second;
        }
        self.second.1.entry(line.metric.clone()).or_default().merge(&line.histogram);
        // All tools together: which of them are told apart depends on which came first.
        let metric = if line.metric.starts_with(TOOL_PREFIX) { Metric::Tool.name().to_owned() } else { line.metric };
        let tag = (metric, line.variant, line.outcome, line.scenario);
        self.by_tag.entry(tag).or_default().merge(&line.histogram);
    }

    fn close_second(&mut self) {
        let (second, recorded) = std::mem::take(&mut self.second);
        let row = Interval { second, ..Interval::default() };
        let all = |series: Series| recorded.get(&series.name()).map_or_else(Cow::default, Cow::Borrowed);
        self.quantiles.insert(second, row.with_quantiles(all));
    }

    /// All of each metric, the warm-up included.
    pub(super) fn by_metric(&self) -> BTreeMap<String, Histogram> {
        let mut all: BTreeMap<String, Histogram> = BTreeMap::new();
        self.by_tag.iter().for_each(|((metric, ..), part)| all.entry(metric.clone()).or_default().merge(part));
        all
    }

    /// The histograms against what they must hold by the rows.
    pub(super) fn against(&self, rows: &Rows) -> Vec<Difference> {
        let nothing = Histogram::default();
        let is_many = |tag: &&Tag| MANY.iter().any(|metric| metric.name() == tag.0);
        let mut found = Vec::new();
        let once = self.by_tag.keys().filter(|tag| !is_many(tag)).chain(rows.recorded.keys());
        for tag in once.collect::<BTreeSet<_>>() {
            let [stored, again] = [&self.by_tag, &rows.recorded].map(|all| all.get(tag).unwrap_or(&nothing));
            found.extend(differ(&named(tag), stored, again));
        }
        let often = self.by_tag.keys().filter(is_many).chain(rows.often.keys());
        for tag in often.collect::<BTreeSet<_>>() {
            let stored = self.by_tag.get(tag).unwrap_or(&nothing);
            found.extend(differ_from_known(&named(tag), stored, &rows.often.get(tag).copied().unwrap_or_default()));
        }
        found.extend(self.against_groups());
        found
    }

    /// The gaps by group against the gaps by second: the same samples, dealt in another way.
    fn against_groups(&self) -> Vec<Difference> {
        let nothing = Histogram::default();
        let mut by_second: BTreeMap<OfGaps, Histogram> = BTreeMap::new();
        for ((metric, variant, outcome, scenario), all) in &self.by_tag {
            if metric == Metric::Gap.name() && outcome != "warmup" {
                let completed = outcome == Outcome::Completed.kind();
                by_second.entry((variant.clone(), scenario.clone(), completed)).or_default().merge(all);
            }
        }
        let keys = self.groups.keys().chain(by_second.keys()).collect::<BTreeSet<_>>();
        let of_key = |key: &OfGaps| {
            let (variant, scenario, completed) = key;
            let scenario = if scenario.is_empty() { String::new() } else { format!(", {scenario}") };
            let outcome = if *completed { "completed" } else { "other" };
            let name = format!("{HISTOGRAMS} gap groups of {variant}{scenario}, {outcome}");
            let [stored, again] = [&self.groups, &by_second].map(|all| all.get(key).unwrap_or(&nothing));
            differ(&name, stored, again)
        };
        keys.into_iter().flat_map(of_key).collect()
    }
}

fn named((metric, variant, outcome, scenario): &Tag) -> String {
    let scenario = if scenario.is_empty() { String::new() } else { format!(":{scenario}") };
    format!("{HISTOGRAMS} {metric}:{variant}:{outcome}{scenario}")
}

/// The number of samples when that differs, else the first bucket that does, else the exact totals that do.
fn differ(name: &str, stored: &Histogram, again: &Histogram) -> Vec<Difference> {
    let samples = Difference::between(format!("{name}.samples"), &stored.count(), &again.count());
    let first = samples.or_else(|| {
        let (at, (one, other)) =
            stored.counts().zip(again.counts()).enumerate().find(|(_, (one, other))| one != other)?;
        let bucket = |(ns, count): (u64, u64)| format!("{count} up to {ns} ns");
        Difference::between(format!("{name}.bucket[{at}]"), &bucket(one), &bucket(other))
    });
    if first.is_some() {
        return first.into_iter().collect();
    }
    let (stored, again) = (stored.exact(), again.exact());
    let end = |of: Option<u64>| of.map_or_else(|| "nothing".to_owned(), |ns| ns.to_string());
    let totals = [
        Difference::between(format!("{name}.sum_ns"), &stored.sum_ns(), &again.sum_ns()),
        Difference::between(format!("{name}.min_ns"), &end(stored.min_ns()), &end(again.min_ns())),
        Difference::between(format!("{name}.max_ns"), &end(stored.max_ns()), &end(again.max_ns())),
    ];
    totals.into_iter().flatten().collect()
}

/// A histogram against what the rows know of it, and its exact sum against its own buckets.
fn differ_from_known(name: &str, stored: &Histogram, known: &Often) -> Vec<Difference> {
    let exact = stored.exact();
    let sum = || match known.sum_ns {
        Some(sum_ns) => Difference::between(format!("{name}.sum_ns"), &exact.sum_ns(), &sum_ns),
        None => sum_outside(name, stored),
    };
    let max = || {
        let max_ns = exact.max_ns().unwrap_or(0);
        let holds = if known.max_is_whole { max_ns == known.max_ns } else { max_ns >= known.max_ns };
        let expected = if known.max_is_whole { known.max_ns.to_string() } else { format!("{} or more", known.max_ns) };
        if holds { None } else { Difference::between(format!("{name}.max_ns"), &max_ns, &expected) }
    };
    let samples = Difference::between(format!("{name}.samples"), &stored.count(), &known.count);
    if samples.is_some() {
        return samples.into_iter().collect();
    }
    [sum(), max()].into_iter().flatten().collect()
}

fn sum_outside(name: &str, stored: &Histogram) -> Option<Difference> {
    let (low_ns, high_ns) = stored.sum_bounds_ns();
    let sum_ns = stored.exact().sum_ns();
    if stored.above_range() > 0 || (low_ns..=high_ns).contains(&sum_ns) {
        return None;
    }
    Difference::between(format!("{name}.sum_ns"), &sum_ns, &format!("{low_ns} to {high_ns} by its buckets"))
}
