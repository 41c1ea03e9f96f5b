//! From the rows and the histograms of a bundle to its summary.
//!
//! Each row is packed into what the statistics need of it, about a hundred bytes, so that a million of them fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use hdrhistogram::Histogram as Hdr;

use super::column::Column;
use super::metric::{Metric, Series};
use super::objective::Objective;
use super::record::Record;
use super::summary::{Failure, Group, MetricSummary, QUANTILES, Quantile, Row, Settled, Share, Summary};
use super::tally::Tally;
use super::tools::ToolSamples;
use crate::stats::rank::weighted_quantile;
use crate::stats::{self, Groups, Incidence, Observation, histogram, proportion};

/// Ways to fail that are told apart; what comes after that many is counted as one.
const FAILURES_MAX: usize = 100;
/// Ways to fail that the summary keeps.
const FAILURES_KEPT: usize = 10;

/// The rows and histograms of a run, on their way to its summary.
#[derive(Debug, Default)]
pub struct Digest {
    series: Vec<Series>,
    variants: Vec<Arc<str>>,
    rows: Vec<Packed>,
    /// What the rows say of each series.
    columns: Vec<Column>,
    /// The rows in order of intended start; as they came until they are summed up.
    order: Vec<u32>,
    tallies: Vec<Tally>,
    /// The tool calls of each variant.
    tools: Vec<ToolSamples>,
    warmup_rows: u64,
    failures: BTreeMap<(String, String), u64>,
    objectives: Vec<Objective>,
    many: BTreeMap<Key, Hdr<u64>>,
}

/// What a histogram of many samples an invocation is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    metric: Metric,
    variant: String,
    completed: bool,
    group: Option<u64>,
}

/// One row: what tells it apart. Its observations are in the columns.
#[derive(Debug)]
struct Packed {
    intended_ns: u64,
    plan_index: u64,
    variant: u32,
    completed: bool,
    /// Whether it had the time to complete: neither cut off from outside nor never started.
    judged: bool,
    started: bool,
    stalled: bool,
    /// Whether it completed within every latency objective.
    good: bool,
}

impl Digest {
    /// Nothing yet; the summary will answer these objectives.
    #[must_use]
    pub fn new(objectives: Vec<Objective>) -> Self {
        let series: Vec<_> = Series::all().into_iter().filter(|series| !series.metric.is_many()).collect();
        let columns = series.iter().map(|_| Column::default()).collect();
        Self { series, columns, objectives, ..Self::default() }
    }

    /// One more row.
    pub fn take(&mut self, record: &Record) {
        if record.warmup {
            self.warmup_rows += 1;
            return;
        }
        let variant = self.variant(&record.variant);
        self.tallies[variant].add(record);
        self.tools[variant].take(record);
        if let Some(detail) = record.detail.as_ref().filter(|_| !record.outcome.censors()) {
            let known = (record.outcome.name(), detail.clone());
            let room = self.failures.len() < FAILURES_MAX || self.failures.contains_key(&known);
            let key = if room { known } else { (known.0, "other causes".to_owned()) };
            *self.failures.entry(key).or_default() += 1;
        }
        for (series, column) in self.series.iter().zip(&mut self.columns) {
            column.push(series.observe(record));
        }
        self.order.push(u32::try_from(self.rows.len()).expect("rows are counted in 32 bits"));
        self.rows.push(Packed {
            intended_ns: record.stamps.intended_ns,
            plan_index: record.plan_index,
            variant: u32::try_from(variant).expect("variants are counted in 32 bits"),
            completed: record.outcome.is_completed(),
            judged: !record.outcome.censors(),
            started: record.outcome.was_started(),
            stalled: record.counts.stalls > 0,
            good: record.outcome.is_completed() && self.objectives.iter().all(|objective| objective.is_kept_by(record)),
        });
    }

    /// One more histogram of many samples an invocation, of one outcome; `group` is that of a jackknife's streams.
    ///
    /// # Panics
    /// Never: every histogram of a bundle has the same range and precision.
    pub fn take_histogram(
        &mut self,
        metric: Metric,
        variant: &str,
        completed: bool,
        group: Option<u64>,
        part: &Hdr<u64>,
    ) {
        let key = Key { metric, variant: variant.to_owned(), completed, group };
        histogram::add(&mut self.many, key, part);
    }

    fn variant(&mut self, name: &Arc<str>) -> usize {
        self.variants.iter().position(|known| known == name).unwrap_or_else(|| {
            self.variants.push(Arc::clone(name));
            self.tallies.push(Tally::default());
            self.tools.push(ToolSamples::default());
            self.variants.len() - 1
        })
    }

    /// The plain quantile `p` of a series over all invocations, in nanoseconds: never refused, and without an interval.
    ///
    /// For what the harness says of itself, where a rough number is better than none.
    #[must_use]
    pub fn plain_quantile_ns(&self, series: Series, p: f64) -> Option<u64> {
        match self.series.iter().position(|known| *known == series) {
            Some(at) => Incidence::new(&self.observations(at, None, false)).quantile_ns(p),
            None => {
                let all = self.many(series.metric, None, false)?;
                weighted_quantile(&histogram::counts(&all).collect::<Vec<_>>(), p)
            }
        }
    }

    /// The summary of all that was taken; `span_ns` is how long it took.
    #[must_use]
    pub fn summary(mut self, span_ns: u64) -> Summary {
        // In order of intended start: what neighbours in time have in common must lie side by side.
        let mut order = std::mem::take(&mut self.order);
        order.sort_by_key(|row| {
            let row = &self.rows[*row as usize];
            (row.intended_ns, row.plan_index)
        });
        self.order = order;
        let mut groups = vec![self.group(None, span_ns)];
        if self.variants.len() > 1 {
            // By name: rows come in the order in which invocations ended, which says nothing about variants.
            let mut variants: Vec<_> = (0..self.variants.len()).collect();
            variants.sort_by_key(|variant| &self.variants[*variant]);
            groups.extend(variants.into_iter().map(|variant| self.group(Some(variant), span_ns)));
        }
        let objectives = self.objectives.iter().map(|objective| objective.judge(&groups[0], span_ns)).collect();
        let (settled, failures) = (self.settled(), failures(self.failures));
        let warmup_rows = self.warmup_rows;
        Summary { span_ns, warmup_rows, groups, objectives, settled, failures, server: None }
    }

    /// When time to finish had settled, in order of intended start.
    fn settled(&self) -> Settled {
        let finish = self.series.iter().position(|series| *series == Series::from_intended(Metric::Finish));
        let at = finish.expect("it is one of the series");
        let seen: Vec<_> = self
            .ordered()
            .filter_map(|(place, row)| match self.columns[at].get(place) {
                Some(Observation::Seen(ns)) => Some((row.intended_ns, ns)),
                _ => None,
            })
            .collect();
        match stats::settled(&seen.iter().map(|(_, ns)| *ns).collect::<Vec<_>>()) {
            stats::Settled::FromTheStart => Settled::FromTheStart,
            stats::Settled::From(index) => Settled::After(seen[index].0 - seen[0].0),
            stats::Settled::Never => Settled::Never,
            stats::Settled::TooShort => Settled::TooShort,
        }
    }

    /// The share of rows that are `good` among those that `count`.
    fn share(
        &self,
        variant: Option<usize>,
        count: impl Fn(&Packed) -> bool,
        good: fn(&Packed) -> bool,
    ) -> Option<Share> {
        let of = |row: &&Packed| variant.is_none_or(|variant| row.variant as usize == variant) && count(row);
        let series: Vec<bool> = self.ordered().map(|(_, row)| row).filter(of).map(good).collect();
        proportion(&series).map(|of| Share { share: of.share, low: of.low, high: of.high })
    }

    fn group(&self, variant: Option<usize>, span_ns: u64) -> Group {
        let tally = match variant {
            Some(variant) => self.tallies[variant].clone(),
            None => self.tallies.iter().fold(Tally::default(), Tally::and),
        };
        let name = variant.map(|variant| self.variants[variant].to_string());
        let per_invocation = self.series.iter().enumerate().map(|(at, series)| {
            let (all, completed) = self.both_rows(at, variant);
            MetricSummary { series: *series, all, completed }
        });
        let mut metrics: Vec<_> = per_invocation.collect();
        for metric in Metric::ALL.into_iter().filter(|metric| metric.is_many()) {
            metrics.push(MetricSummary {
                series: Series::of(metric),
                all: self.many_row(metric, name.as_deref(), false),
                completed: self.many_row(metric, name.as_deref(), true),
            });
        }
        metrics.retain(|metric| metric.all.count + metric.all.failed + metric.all.censored > 0);
        let order = |series: Series| Metric::ALL.iter().position(|metric| *metric == series.metric);
        metrics.sort_by_key(|metric| (order(metric.series), metric.series.origin));
        Group {
            variant: name,
            rates: tally.rates(span_ns),
            success: self.share(variant, |row| row.judged, |row| row.completed),
            stalled: self.share(variant, |row| row.started, |row| row.stalled),
            good: self.share(variant, |_| !self.objectives.is_empty(), |row| row.good),
            ledger: tally.ledger,
            totals: tally.totals,
            metrics,
            tools: ToolSamples::summaries(variant.map_or(&self.tools[..], |variant| &self.tools[variant..=variant])),
            decomposition: tally.breakdown.decomposition(),
        }
    }

    /// Both rows of a series: all, and completed only. Where nothing failed they are the same, and made once.
    fn both_rows(&self, at: usize, variant: Option<usize>) -> (Row, Row) {
        let observations = self.observations(at, variant, false);
        let (all, count) = (Row::of(&observations), observations.len());
        // Two at a time would be the peak of a large run's memory.
        drop(observations);
        let completed = self.observations(at, variant, true);
        if completed.len() == count {
            return (all.clone(), all);
        }
        (all, Row::of(&completed))
    }

    /// The rows in order, each with its place.
    fn ordered(&self) -> impl Iterator<Item = (usize, &Packed)> {
        self.order.iter().map(|row| (*row as usize, &self.rows[*row as usize]))
    }

    fn observations(&self, at: usize, variant: Option<usize>, completed_only: bool) -> Vec<Observation> {
        let wanted = |(_, row): &(usize, &Packed)| {
            variant.is_none_or(|variant| row.variant as usize == variant) && (row.completed || !completed_only)
        };
        self.ordered().filter(wanted).filter_map(|(place, _)| self.columns[at].get(place)).collect()
    }

    fn many_row(&self, metric: Metric, variant: Option<&str>, completed_only: bool) -> Row {
        let Some(all) = self.many(metric, variant, completed_only).filter(|all| !all.is_empty()) else {
            return Row::default();
        };
        let counts: Vec<_> = histogram::counts(&all).collect();
        let groups = Groups::new(self.groups(metric, variant, completed_only));
        let each = |p: f64| {
            if groups.is_empty() {
                // The groups come with the end of a run; one that was killed has the number and no interval.
                let value_ns = weighted_quantile(&counts, p);
                return Quantile { p, value_ns, low_ns: None, high_ns: None, refused: None };
            }
            Quantile::of(p, &groups.quantile(p), 0.0)
        };
        #[expect(clippy::cast_possible_truncation, reason = "a mean of times that are under 24 hours")]
        let mean_ns = all.mean() as u64;
        Row {
            count: all.len(),
            min_ns: Some(all.min()),
            mean_ns: Some(mean_ns),
            max_ns: Some(all.max()),
            quantiles: QUANTILES.into_iter().map(each).collect(),
            ..Row::default()
        }
    }

    /// The groups of streams for the jackknife; one may lie in two histograms, of those that completed and others.
    fn groups(&self, metric: Metric, variant: Option<&str>, completed_only: bool) -> Vec<Vec<(u64, u64)>> {
        let mut groups: BTreeMap<u64, BTreeMap<u64, u64>> = BTreeMap::new();
        for (key, part) in &self.many {
            let wanted = key.metric == metric
                && variant.is_none_or(|variant| key.variant == variant)
                && (key.completed || !completed_only);
            let Some(group) = key.group.filter(|_| wanted) else { continue };
            let counts = groups.entry(group).or_default();
            histogram::counts(part).for_each(|(value, count)| *counts.entry(value).or_default() += count);
        }
        groups.into_values().map(|counts| counts.into_iter().collect()).collect()
    }

    /// Everything that was recorded of a metric of many samples an invocation.
    fn many(&self, metric: Metric, variant: Option<&str>, completed_only: bool) -> Option<Hdr<u64>> {
        let wanted = |key: &&Key| {
            key.metric == metric
                && key.group.is_none()
                && variant.is_none_or(|variant| key.variant == variant)
                && (key.completed || !completed_only)
        };
        let mut parts = self.many.iter().filter(|(key, _)| wanted(key)).map(|(_, part)| part);
        let mut all = parts.next()?.clone();
        for part in parts {
            all.add(part).expect("every histogram has the same range and precision");
        }
        Some(all)
    }
}

fn failures(counted: BTreeMap<(String, String), u64>) -> Vec<Failure> {
    let mut failures: Vec<_> =
        counted.into_iter().map(|((outcome, detail), count)| Failure { outcome, detail, count }).collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
    failures.truncate(FAILURES_KEPT);
    failures
}
