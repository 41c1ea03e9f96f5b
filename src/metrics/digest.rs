//! From the rows and the histograms of a bundle to its summary.
//!
//! Each row is packed into what the statistics need of it, about a hundred bytes, so that a million of them fit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::thread;

use super::burst::Burst;
use super::columns::Columns;
use super::conversations::{Conversation, Conversations};
use super::marginal::Marginal;
use super::metric::{Metric, Series};
use super::objective::{Objective, Recorded, Scope, Windows};
use super::packed::{Lot, NO_SCENARIO, Packed, Rows, Whose};
use super::part_samples::PartSamples;
use super::record::Record;
use super::summary::{Failure, Group, MetricRows, MetricSummary, QUANTILES, Quantile, Row, Settled, Share, Summary};
use super::tally::Tally;
use super::tools::ToolSamples;
use crate::stats::jackknife::{self, Counts};
use crate::stats::{self, Groups, Histogram, Incidence, Observation, proportion};

/// Ways to fail that are told apart; what comes after that many is counted as one.
const FAILURES_MAX: usize = 100;
/// Ways to fail that the summary keeps.
const FAILURES_KEPT: usize = 10;

/// The rows and histograms of a run, on their way to its summary.
#[derive(Debug, Default)]
pub struct Digest {
    variants: Marginal,
    /// Empty where the profile has none.
    scenarios: Marginal,
    rows: Rows,
    /// What the rows say of each series that has one sample an invocation.
    columns: Columns,
    /// The parts of completed invocations.
    parts: PartSamples,
    warmup_rows: u64,
    failures: BTreeMap<(String, String), u64>,
    objectives: Vec<Objective>,
    windows: Windows,
    many: BTreeMap<Key, Histogram>,
    /// The groups of streams for the jackknife, without the room that a histogram keeps for what did not happen: there
    /// are two for every variant and group.
    groups: BTreeMap<Key, Counts>,
    conversations: Conversations,
    /// All of them, once they are summed up.
    wholes: Vec<Conversation>,
}

/// What a histogram of many samples an invocation is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What is measured.
    pub metric: Metric,
    /// The variant's name.
    pub variant: String,
    /// The scenario's name; empty where the profile has none.
    pub scenario: String,
    /// Whether the invocations completed.
    pub completed: bool,
    /// The group of a jackknife's streams.
    pub group: Option<u64>,
}

impl Digest {
    /// Nothing yet; the summary will answer these objectives.
    #[must_use]
    pub fn new(objectives: Vec<Objective>) -> Self {
        Self { windows: Windows::of(&objectives), objectives, ..Self::default() }
    }

    /// The same, of conversations with so many turns by the name of their scenario.
    #[must_use]
    pub fn with_turns(mut self, turns: BTreeMap<String, u32>) -> Self {
        self.conversations = Conversations::new(turns);
        self
    }

    /// One more row.
    pub fn take(&mut self, record: &Record) {
        if record.warmup {
            self.warmup_rows += 1;
            return;
        }
        let (variant, scenario) = (self.variants.take(&record.variant, record), self.scenario(record));
        if let Some(detail) = record.detail.as_ref().filter(|_| !record.outcome.censors()) {
            let known = (record.outcome.name(), detail.clone());
            let room = self.failures.len() < FAILURES_MAX || self.failures.contains_key(&known);
            let key = if room { known } else { (known.0, "other causes".to_owned()) };
            *self.failures.entry(key).or_default() += 1;
        }
        self.columns.push(record);
        self.parts(record, variant, scenario);
        let variant = u32::try_from(variant).expect("variants are counted in 32 bits");
        self.conversations.take(record, (variant, scenario));
        let kept = self.objectives.iter().all(|objective| objective.is_kept_by(record));
        let lot = Lot::of(record.outcome, kept);
        self.rows.push(record, Packed { variant, scenario, lot, stalled: record.counts.stalls > 0 });
    }

    /// Keeps the parts of a row that has completed.
    fn parts(&mut self, record: &Record, variant: usize, scenario: u16) {
        if !record.outcome.is_completed() {
            return;
        }
        let variant = &mut self.variants.tallies[variant].breakdown;
        let mut scenario = self.scenarios.tallies.get_mut(usize::from(scenario)).map(|tally| &mut tally.breakdown);
        self.parts.take(self.rows.len(), record, |label, ns| {
            variant.spent(record.turn, label, ns);
            if let Some(scenario) = &mut scenario {
                scenario.spent(record.turn, label, ns);
            }
        });
    }

    fn scenario(&mut self, record: &Record) -> u16 {
        if record.scenario.is_empty() {
            return NO_SCENARIO;
        }
        let at = self.scenarios.take(&record.scenario, record);
        u16::try_from(at).expect("scenarios are counted in 16 bits")
    }

    /// One more histogram of many samples an invocation, of one outcome.
    pub fn take_histogram(&mut self, key: Key, part: &Histogram) {
        if key.group.is_none() {
            return self.many.entry(key).or_default().merge(part);
        }
        let counts = self.groups.entry(key).or_default();
        *counts = jackknife::pooled([std::mem::take(counts), part.counts().collect()].iter());
    }

    /// One more histogram of a second, for objectives over windows.
    pub fn take_second(&mut self, second: u64, of: Recorded<'_>, part: &Histogram) {
        self.windows.gather(second, of, || part.counts_within());
    }

    /// The plain quantile `p` of a series over all invocations, in nanoseconds: never refused, and without an interval.
    ///
    /// For what the harness says of itself, where a rough number is better than none.
    #[must_use]
    pub fn plain_quantile_ns(&self, series: Series, p: f64) -> Option<u64> {
        match self.columns.place(series) {
            Some(at) => Incidence::of(self.observations(at, self.rows.of(Whose::All).iter())).quantile_ns(p),
            None => self.many(series.metric, Whose::All, false).quantile_ns(p),
        }
    }

    /// The most starts that were due at once, and that were made.
    #[must_use]
    pub fn burst(&self) -> Burst {
        let lag = self.columns.place(Series::of(Metric::StartLag)).expect("it is one of the series");
        let rows = self.rows.of(Whose::All);
        let due_ns = rows.iter().map(|row| self.rows.intended_ns(*row));
        let made_ns = rows.iter().filter_map(|row| match self.columns.get(lag, *row as usize) {
            Some(Observation::Seen(lag_ns)) => Some(self.rows.intended_ns(*row).saturating_add(lag_ns)),
            _ => None,
        });
        Burst::of(due_ns.collect(), made_ns.collect())
    }

    /// The summary of all that was taken; `span_ns` is how long it took.
    #[must_use]
    pub fn summary(mut self, span_ns: u64) -> Summary {
        self.rows.put_in_order();
        let settled = self.settled();
        self.rows.forget_starts();
        self.wholes = std::mem::take(&mut self.conversations).in_order();
        let groups = self.summed_up(span_ns);
        self.windows.step();
        let judge = |objective: &Objective| objective.judge(self.of(objective, &groups), span_ns, &self.windows);
        let objectives = self.objectives.iter().map(judge).collect();
        let failures = failures(self.failures);
        let warmup_rows = self.warmup_rows;
        Summary { span_ns, warmup_rows, groups, objectives, settled, failures, server: None }
    }

    /// All rows together first. They take as long as all of their parts do, so each of the two has a thread of its own.
    fn summed_up(&self, span_ns: u64) -> Vec<Group> {
        let several = self.variants.names.len() > 1;
        let variants = self.variants.by_name().into_iter().filter(|_| several).map(Whose::Variant);
        let each: Vec<_> = variants.chain(self.scenarios.by_name().into_iter().map(Whose::Scenario)).collect();
        if each.is_empty() {
            return vec![self.group(Whose::All, span_ns)];
        }
        thread::scope(|scope| {
            let all = scope.spawn(|| self.group(Whose::All, span_ns));
            let each: Vec<_> = each.into_iter().map(|whose| self.group(whose, span_ns)).collect();
            let all = all.join().expect("it sums up, or this process ends");
            [all].into_iter().chain(each).collect()
        })
    }

    /// The group that an objective is about; none when it has no rows.
    fn of<'g>(&self, objective: &Objective, groups: &'g [Group]) -> Option<&'g Group> {
        match objective.scope() {
            None => groups.first(),
            // A variant alone has no group of its own beside that of all.
            Some(Scope::Variant(name)) if self.variants.names.len() == 1 => {
                groups.first().filter(|_| *self.variants.names[0] == **name)
            }
            Some(Scope::Variant(name)) => groups.iter().find(|group| group.variant.as_ref() == Some(name)),
            Some(Scope::Scenario(name)) => groups.iter().find(|group| group.scenario.as_ref() == Some(name)),
        }
    }

    /// When time to finish had settled, in order of intended start.
    fn settled(&self) -> Settled {
        let at = self.columns.place(Series::from_intended(Metric::Finish)).expect("it is one of the series");
        let rows = self.rows.of(Whose::All);
        let seen = || {
            rows.iter().filter_map(|row| match self.columns.get(at, *row as usize) {
                Some(Observation::Seen(ns)) => Some((*row, ns)),
                _ => None,
            })
        };
        let start_ns = |(row, _)| self.rows.intended_ns(row);
        match stats::settled(seen().map(|(_, ns)| ns)) {
            stats::Settled::FromTheStart => Settled::FromTheStart,
            stats::Settled::From(index) => {
                let [first_ns, from_ns] = [0, index].map(|index| seen().nth(index).map_or(0, start_ns));
                Settled::After(from_ns - first_ns)
            }
            stats::Settled::Never => Settled::Never,
            stats::Settled::TooShort => Settled::TooShort,
        }
    }

    /// The share of rows that are `good` among those that `count`.
    fn share(&self, rows: &[u32], count: impl Fn(&Packed) -> bool, good: fn(&Packed) -> bool) -> Option<Share> {
        let series: Vec<bool> = rows.iter().map(|row| self.rows.at(*row)).filter(|row| count(row)).map(good).collect();
        proportion(&series).map(|of| Share { share: of.share, low: of.low, high: of.high })
    }

    fn group(&self, whose: Whose, span_ns: u64) -> Group {
        let (variants, scenarios) = (&self.variants, &self.scenarios);
        let (tally, tools) = match whose {
            Whose::All => (Cow::Owned(variants.tallies.iter().fold(Tally::default(), Tally::and)), &variants.tools[..]),
            Whose::Variant(at) => (Cow::Borrowed(&variants.tallies[at]), &variants.tools[at..=at]),
            Whose::Scenario(at) => (Cow::Borrowed(&scenarios.tallies[at]), &scenarios.tools[at..=at]),
        };
        let rows = &*self.rows.of(whose);
        let per_invocation = self.columns.series().enumerate().map(|(at, series)| {
            let (all, completed) = self.both_rows(at, rows);
            MetricSummary { series, all, completed }
        });
        let mut metrics: Vec<_> = per_invocation.collect();
        for metric in Metric::ALL.into_iter().filter(|metric| metric.is_many()) {
            metrics.push(MetricSummary {
                series: Series::of(metric),
                all: self.many_row(metric, whose, false),
                completed: self.many_row(metric, whose, true),
            });
        }
        metrics.retain(|metric| metric.all.count + metric.all.failed + metric.all.censored > 0);
        let order = |series: Series| Metric::ALL.iter().position(|metric| *metric == series.metric);
        metrics.sort_by_key(|metric| (order(metric.series), metric.series.origin));
        let mut decomposition = tally.breakdown.decomposition(|label| self.parts.spread(label, self.completed(rows)));
        if scenarios.names.len() > 1 && !matches!(whose, Whose::Scenario(_)) {
            // Of conversations with other turns, the sum of the turns' means is that of none.
            decomposition.iter_mut().for_each(|of| of.turns.retain(|turn| turn.turn.is_some()));
        }
        Group {
            variant: if let Whose::Variant(at) = whose { Some(variants.names[at].to_string()) } else { None },
            scenario: if let Whose::Scenario(at) = whose { Some(scenarios.names[at].to_string()) } else { None },
            events_per_read: tally.totals.per_read(tally.totals.events),
            bytes_per_read: tally.totals.per_read(tally.totals.body_bytes),
            rates: tally.rates(span_ns),
            success: self.share(rows, Packed::is_judged, Packed::is_completed),
            stalled: self.share(rows, Packed::was_started, |row| row.stalled),
            good: self.share(rows, |_| !self.objectives.is_empty(), Packed::is_good),
            ledger: tally.ledger.clone(),
            totals: tally.totals,
            metrics,
            tools: ToolSamples::summaries(tools),
            decomposition,
            conversations: self.conversations(whose),
        }
    }

    /// The conversations as wholes, in order.
    fn conversations(&self, whose: Whose) -> Option<MetricRows> {
        let of = |one: &&Conversation| whose.holds(one.variant, one.scenario);
        let took = self.wholes.iter().filter(of).map(|one| one.took);
        let completed = took.clone().filter(|took| matches!(took, Observation::Seen(_)));
        (took.clone().next().is_some()).then(|| MetricRows { all: Row::of(took), completed: Row::of(completed) })
    }

    /// Both rows of a series: all, and completed only. Where nothing failed they are the same, and made once.
    fn both_rows(&self, at: usize, rows: &[u32]) -> (Row, Row) {
        let all = Row::of(self.observations(at, rows.iter()));
        let completed = self.observations(at, self.completed(rows));
        if completed.clone().count() as u64 == all.count + all.failed + all.censored {
            return (all.clone(), all);
        }
        (all, Row::of(completed))
    }

    /// Those of these rows that have completed.
    fn completed<'r>(&'r self, rows: &'r [u32]) -> impl Iterator<Item = &'r u32> + Clone {
        rows.iter().filter(|row| self.rows.at(**row).is_completed())
    }

    /// What rows say of the series at this place, in their order.
    fn observations<'r>(
        &'r self,
        at: usize,
        rows: impl Iterator<Item = &'r u32> + Clone,
    ) -> impl Iterator<Item = Observation> + Clone {
        rows.filter_map(move |row| self.columns.get(at, *row as usize))
    }

    fn many_row(&self, metric: Metric, whose: Whose, completed_only: bool) -> Row {
        let all = self.many(metric, whose, completed_only);
        if all.count() == 0 {
            return Row::default();
        }
        let groups = Groups::new(self.groups(metric, whose, completed_only));
        let exact = all.exact();
        let each = |p: f64| {
            if groups.is_empty() {
                // The groups come with the end of a run; one that was killed has the number and no interval.
                let value_ns = all.quantile_ns(p);
                return Quantile { p, value_ns, low_ns: None, high_ns: None, refused: None };
            }
            Quantile::of(p, &groups.quantile(p), 0.0).within(exact)
        };
        Row {
            count: exact.count(),
            min_ns: exact.min_ns(),
            mean_ns: exact.mean_ns(),
            max_ns: exact.max_ns(),
            quantiles: QUANTILES.into_iter().map(each).collect(),
            ..Row::default()
        }
    }

    /// The groups of streams for the jackknife: each is one of all names together, and of completed streams and others.
    fn groups(&self, metric: Metric, whose: Whose, completed_only: bool) -> Vec<Counts> {
        let mut groups: BTreeMap<Option<u64>, Vec<&Counts>> = BTreeMap::new();
        let wanted = self.groups.iter().filter(|(key, _)| self.wants(key, metric, whose, completed_only));
        wanted.for_each(|(key, counts)| groups.entry(key.group).or_default().push(counts));
        groups.into_values().map(|group| jackknife::pooled(group.into_iter())).collect()
    }

    fn wants(&self, key: &Key, metric: Metric, whose: Whose, completed_only: bool) -> bool {
        let named = match whose {
            Whose::All => true,
            Whose::Variant(at) => *key.variant == *self.variants.names[at],
            Whose::Scenario(at) => *key.scenario == *self.scenarios.names[at],
        };
        key.metric == metric && named && (key.completed || !completed_only)
    }

    /// Everything that was recorded of a metric of many samples an invocation.
    fn many(&self, metric: Metric, whose: Whose, completed_only: bool) -> Histogram {
        let mut all = Histogram::default();
        let wanted = self.many.iter().filter(|(key, _)| self.wants(key, metric, whose, completed_only));
        wanted.for_each(|(_, part)| all.merge(part));
        all
    }
}

fn failures(counted: BTreeMap<(String, String), u64>) -> Vec<Failure> {
    let mut failures: Vec<_> =
        counted.into_iter().map(|((outcome, detail), count)| Failure { outcome, detail, count }).collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
    failures.truncate(FAILURES_KEPT);
    failures
}
