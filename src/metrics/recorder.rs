//! What a worker records: a histogram for each series, variant, scenario and outcome, and the totals of its events.
//!
//! Owned by its worker: no lock, no atomic. What was recorded is handed over once a second as [`Parts`], and merging
//! all parts of a run gives what one recorder would have recorded of the whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::metric::{Metric, Series};
use super::outcome::Outcome;
use super::record::Record;
use super::tools::place;
use crate::stats::Histogram;
use crate::stats::incidence::Observation;

/// Streams are dealt by plan index into so many groups, for the jackknife over gaps (METRICS.md, "Gaps").
pub const GAP_GROUPS: u64 = 32;

/// What a histogram is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// The series.
    pub series: Series,
    /// The tool's name, for calls of tools.
    pub tool: Option<Arc<str>>,
    /// The variant's name.
    pub variant: Arc<str>,
    /// The scenario's name; empty where the profile has none.
    pub scenario: Arc<str>,
    /// How the invocations ended; nothing for what is recorded while they run, and for the warm-up.
    pub outcome: Option<&'static str>,
    /// Whether they belong to the warm-up.
    pub warmup: bool,
}

/// What was recorded in one stretch of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// The histograms.
    pub histograms: BTreeMap<Tag, Histogram>,
    /// Invocations that ended, by outcome.
    pub finished: BTreeMap<&'static str, u64>,
}

/// The gaps of one group of streams of one variant and scenario, without the warm-up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GapGroup {
    /// The variant's name.
    pub variant: Arc<str>,
    /// The scenario's name; empty where the profile has none.
    pub scenario: Arc<str>,
    /// Whether the streams completed.
    pub completed: bool,
    /// The group, below [`GAP_GROUPS`].
    pub group: u64,
}

/// What is recorded of the events of one variant's and scenario's invocations, inside or outside the warm-up.
#[derive(Debug)]
struct OfEvents {
    variant: Arc<str>,
    scenario: Arc<str>,
    warmup: bool,
    client_lag: Histogram,
    stamp_error: Histogram,
}

/// A worker's recorder.
#[derive(Debug, Default)]
pub struct Recorder {
    parts: Parts,
    /// By variant, scenario and warm-up: few, and found faster by looking at each than in a map, once an event.
    events: Vec<OfEvents>,
    gap_groups: BTreeMap<GapGroup, Histogram>,
    /// The tools that are told apart.
    tools: Vec<Arc<str>>,
    series: Vec<Series>,
}

impl Tag {
    /// The metric's name in files: that of the series, and for a tool's calls its name behind it.
    #[must_use]
    pub fn metric(&self) -> String {
        match &self.tool {
            Some(tool) => format!("{}.{tool}", self.series.name()),
            None => self.series.name(),
        }
    }

    /// How the invocations ended, as files say it: the outcome, `any` of running ones, or `warmup`.
    #[must_use]
    pub fn ended(&self) -> &'static str {
        if self.warmup { "warmup" } else { self.outcome.unwrap_or("any") }
    }
}

impl Parts {
    /// Adds what another part recorded.
    pub fn merge(&mut self, other: Self) {
        for (tag, histogram) in other.histograms {
            self.histograms.entry(tag).or_default().merge(&histogram);
        }
        for (outcome, count) in other.finished {
            *self.finished.entry(outcome).or_default() += count;
        }
    }

    /// All of a series, whatever the variant, the scenario and the outcome.
    #[must_use]
    pub fn all(&self, series: Series) -> Histogram {
        let mut all = Histogram::default();
        self.histograms.iter().filter(|(tag, _)| tag.series == series).for_each(|(_, part)| all.merge(part));
        all
    }
}

impl Recorder {
    /// An empty recorder.
    #[must_use]
    pub fn new() -> Self {
        let per_invocation = |series: &Series| !series.metric.is_many();
        Self { series: Series::all().into_iter().filter(per_invocation).collect(), ..Self::default() }
    }

    /// Counts an invocation that has ended, with the gaps between its chunks in nanoseconds.
    pub fn finished(&mut self, record: &Record, gaps_ns: &[u64]) {
        *self.parts.finished.entry(record.outcome.kind()).or_default() += 1;
        for index in 0..self.series.len() {
            let series = self.series[index];
            if let Some(Observation::Seen(ns)) = series.observe(record) {
                self.histogram(series, record).record(ns);
            }
        }
        for call in &record.calls {
            self.tool(&call.name, record).record(call.ns);
        }
        if gaps_ns.is_empty() {
            return;
        }
        let all = self.histogram(Series::of(Metric::Gap), record);
        gaps_ns.iter().for_each(|gap| all.record(*gap));
        if !record.warmup {
            let group = GapGroup {
                variant: Arc::clone(&record.variant),
                scenario: Arc::clone(&record.scenario),
                completed: record.outcome == Outcome::Completed,
                group: record.plan_index % GAP_GROUPS,
            };
            let group = self.gap_groups.entry(group).or_default();
            gaps_ns.iter().for_each(|gap| group.record(*gap));
        }
    }

    /// Counts one event of a running invocation: its lag, and by how much its stamp may be too late, in nanoseconds.
    ///
    /// `of` names the invocation's variant and scenario.
    pub fn event(&mut self, of: (&Arc<str>, &Arc<str>), warmup: bool, lag_ns: u64, stamp_error_ns: u64) {
        let (variant, scenario) = of;
        let is_it = |of: &OfEvents| {
            Arc::ptr_eq(&of.variant, variant) && Arc::ptr_eq(&of.scenario, scenario) && of.warmup == warmup
        };
        let at = self.events.iter().position(is_it).unwrap_or_else(|| {
            self.events.push(OfEvents {
                variant: Arc::clone(variant),
                scenario: Arc::clone(scenario),
                warmup,
                client_lag: Histogram::of_many(),
                stamp_error: Histogram::of_many(),
            });
            self.events.len() - 1
        });
        self.events[at].client_lag.record(lag_ns);
        self.events[at].stamp_error.record(stamp_error_ns);
    }

    /// Hands over what was recorded since the last time.
    #[must_use]
    pub fn take(&mut self) -> Parts {
        let mut parts = std::mem::take(&mut self.parts);
        for of in &mut self.events {
            let each = [(Metric::ClientLag, &mut of.client_lag), (Metric::StampError, &mut of.stamp_error)];
            for (metric, recorded) in each.into_iter().filter(|(_, recorded)| recorded.count() > 0) {
                let tag = Tag {
                    series: Series::of(metric),
                    tool: None,
                    variant: Arc::clone(&of.variant),
                    scenario: Arc::clone(&of.scenario),
                    outcome: None,
                    warmup: of.warmup,
                };
                parts.histograms.entry(tag).or_default().merge(recorded);
                recorded.clear();
            }
        }
        parts
    }

    /// Hands over the gaps by group, at the end of the run.
    #[must_use]
    pub fn into_gap_groups(self) -> BTreeMap<GapGroup, Histogram> {
        self.gap_groups
    }

    fn histogram(&mut self, series: Series, record: &Record) -> &mut Histogram {
        self.parts.histograms.entry(tag(series, None, record)).or_default()
    }

    fn tool(&mut self, name: &str, record: &Record) -> &mut Histogram {
        let at = place(&mut self.tools, name, |known| known, |name| Arc::from(name));
        let tool = Some(Arc::clone(&self.tools[at]));
        self.parts.histograms.entry(tag(Series::of(Metric::Tool), tool, record)).or_default()
    }
}

fn tag(series: Series, tool: Option<Arc<str>>, record: &Record) -> Tag {
    // The warm-up is told from the rest, not by how its invocations ended.
    let outcome = (!record.warmup).then(|| record.outcome.kind());
    let (variant, scenario) = (Arc::clone(&record.variant), Arc::clone(&record.scenario));
    Tag { series, tool, variant, scenario, outcome, warmup: record.warmup }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ToolTime;

    fn record(plan_index: u64, outcome: Outcome, finish_ns: u64) -> Record {
        let mut record = Record::unstarted(plan_index, Arc::from("base"), 1_000, 1_000, Outcome::Dropped);
        record.outcome = outcome;
        record.stamps.started_ns = Some(3_000);
        record.stamps.sent_ns = Some(4_000);
        record.stamps.finished_ns = Some(finish_ns);
        record
    }

    const FINISH: Series = Series::from_sent(Metric::Finish);
    const GAP: Series = Series::of(Metric::Gap);

    #[test]
    fn outcomes_never_mix_and_parts_make_the_whole() {
        let ended = [
            (record(0, Outcome::Completed, 9_000), vec![20_000, 30_000]),
            (record(1, Outcome::TaskFailed, 8_000), vec![40_000]),
            (record(2, Outcome::Completed, 7_000), vec![]),
        ];
        let mut whole = Recorder::new();
        let mut by_second = Recorder::new();
        let mut merged = Parts::default();
        for (record, gaps) in &ended {
            whole.finished(record, gaps);
            by_second.finished(record, gaps);
            by_second.event((&record.variant, &record.scenario), false, 5_000, 7_000);
            whole.event((&record.variant, &record.scenario), false, 5_000, 7_000);
            merged.merge(by_second.take());
        }
        let whole_parts = whole.take();
        assert_eq!(merged, whole_parts);
        assert_eq!(merged.finished, BTreeMap::from([("completed", 2), ("task_failed", 1)]));
        assert_eq!(merged.all(FINISH).count(), 2, "a failed invocation has no finish");
        assert_eq!((merged.all(GAP).count(), merged.all(GAP).exact().sum_ns()), (3, 90_000));
        assert_eq!(whole.take(), Parts::default(), "what was handed over is gone");
    }

    #[test]
    fn calls_are_kept_by_the_tools_name() {
        let mut recorder = Recorder::new();
        let mut one = record(0, Outcome::Completed, 9_000);
        let call = |name: &str, ns: u64| ToolTime { name: Arc::from(name), ns };
        one.calls = vec![call("search", 5_000), call("fetch", 6_000), call("search", 7_000)];
        recorder.finished(&one, &[]);
        let parts = recorder.take();
        let calls: Vec<_> = parts
            .histograms
            .iter()
            .filter(|(tag, _)| tag.tool.is_some())
            .map(|(tag, calls)| (tag.metric(), calls.count(), calls.exact().sum_ns()))
            .collect();
        assert_eq!(calls, [("tool.fetch".to_owned(), 1, 6_000), ("tool.search".to_owned(), 2, 12_000)]);
    }

    #[test]
    fn gaps_are_dealt_into_groups_by_plan_index_and_the_warm_up_is_left_out() {
        let mut recorder = Recorder::new();
        let mut warm = record(GAP_GROUPS, Outcome::Completed, 9_000);
        recorder.finished(&record(1, Outcome::Completed, 9_000), &[1_000]);
        recorder.finished(&record(1 + GAP_GROUPS, Outcome::Completed, 9_000), &[2_000]);
        warm.warmup = true;
        recorder.finished(&warm, &[3_000]);
        let groups = recorder.into_gap_groups();
        let told: Vec<_> = groups.iter().map(|(key, gaps)| (key.group, key.completed, gaps.count())).collect();
        assert_eq!(told, [(1, true, 2)]);
    }
}
