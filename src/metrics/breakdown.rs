//! From completed invocations to their [`Decomposition`]: sums by label, one histogram a label, and the slowest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::decomposition::{Decomposition, PART_QUANTILES, PartSummary, Slice, Slow, Tail, TurnSummary};
use super::parts::{Part, PartTimes};
use super::record::Record;
use super::summary::{Quantile, Refused};
use super::tools::{ToolTime, place};
use crate::stats::order::floor;
use crate::stats::rank::{rank, weighted_quantile};
use crate::stats::{Histogram, histogram};

/// The quantile of time to finish whose invocations are taken apart together.
const TAIL: f64 = 0.99;
/// The slowest invocations that are kept for that; of a run of more than a million, the tail is these.
const TAIL_MAX: usize = 10_000;
/// The slowest invocations that are shown one by one.
const SLOWEST: usize = 5;

/// The parts of one invocation, in the order of reports.
#[must_use]
pub fn slices(record: &Record) -> Vec<Slice> {
    Sums::of(&record.parts, &record.tools).slices(1)
}

/// Completed invocations on their way to a [`Decomposition`].
#[derive(Debug, Clone, Default)]
pub(super) struct Breakdown {
    invocations: u64,
    start_lag_ns: u128,
    total_ns: u128,
    /// One for each label that had any time.
    labels: Vec<Label>,
    turns: BTreeMap<u32, Turn>,
    slowest: BinaryHeap<Reverse<Entry>>,
}

#[derive(Debug, Clone)]
struct Label {
    part: Part,
    /// Empty when it is no tool's.
    tool: Arc<str>,
    times: Histogram,
}

#[derive(Debug, Clone, Default)]
struct Turn {
    invocations: u64,
    parts: Sums,
}

/// Times by label, summed up.
#[derive(Debug, Clone, Default)]
struct Sums(BTreeMap<(Part, Arc<str>), u128>);

/// One of the slowest invocations; in order of time to finish.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    finish_ns: u64,
    plan_index: u64,
    variant: Arc<str>,
    scenario: Arc<str>,
    turn: u32,
    start_lag_ns: u64,
    parts: PartTimes,
    tools: Vec<ToolTime>,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.finish_ns, Reverse(self.plan_index)).cmp(&(other.finish_ns, Reverse(other.plan_index)))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The labelled times of an invocation, a tool's under its name.
fn labelled<'a>(parts: &'a PartTimes, tools: &'a [ToolTime]) -> impl Iterator<Item = (Part, &'a str, u64)> {
    let others = parts.each().filter(|(part, _)| *part != Part::Tool).map(|(part, ns)| (part, "", ns));
    let tools = tools.iter().filter(|tool| tool.ns > 0).map(|tool| (Part::Tool, &*tool.name, tool.ns));
    others.chain(tools)
}

impl Breakdown {
    /// One more invocation that has completed.
    pub(super) fn take(&mut self, record: &Record) {
        let total_ns = record.duration_ns();
        let start_lag_ns = record.start_lag_ns().unwrap_or_default();
        self.invocations += 1;
        self.start_lag_ns += u128::from(start_lag_ns);
        self.total_ns += u128::from(total_ns);
        let turn = self.turns.entry(record.turn).or_default();
        turn.invocations += 1;
        for (part, tool, ns) in labelled(&record.parts, &record.tools) {
            let label = label(&mut self.labels, part, tool);
            label.times.record(ns);
            turn.parts.add(part, &label.tool, u128::from(ns));
        }
        let finish_ns = start_lag_ns + total_ns;
        let is_slow = self.slowest.peek().is_none_or(|Reverse(least)| least.finish_ns <= finish_ns);
        if is_slow || self.slowest.len() < TAIL_MAX {
            self.keep(Entry {
                finish_ns,
                plan_index: record.plan_index,
                variant: Arc::clone(&record.variant),
                scenario: Arc::clone(&record.scenario),
                turn: record.turn,
                start_lag_ns,
                parts: record.parts,
                tools: record.tools.clone(),
            });
        }
    }

    /// Both together.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.invocations += other.invocations;
        self.start_lag_ns += other.start_lag_ns;
        self.total_ns += other.total_ns;
        for theirs in &other.labels {
            label(&mut self.labels, theirs.part, &theirs.tool).times.merge(&theirs.times);
        }
        for (number, theirs) in &other.turns {
            let turn = self.turns.entry(*number).or_default();
            turn.invocations += theirs.invocations;
            theirs.parts.0.iter().for_each(|((part, tool), ns)| turn.parts.add(*part, tool, *ns));
        }
        other.slowest.iter().for_each(|Reverse(entry)| self.keep(entry.clone()));
        self
    }

    fn keep(&mut self, entry: Entry) {
        self.slowest.push(Reverse(entry));
        if self.slowest.len() > TAIL_MAX {
            self.slowest.pop();
        }
    }

    /// What it comes to; nothing when no invocation completed.
    pub(super) fn decomposition(&self) -> Option<Decomposition> {
        if self.invocations == 0 {
            return None;
        }
        let mut slowest: Vec<_> = self.slowest.iter().map(|Reverse(entry)| entry).collect();
        slowest.sort_unstable_by(|a, b| b.cmp(a));
        Some(Decomposition {
            invocations: self.invocations,
            start_lag_ns_mean: mean(self.start_lag_ns, self.invocations),
            total_ns_mean: mean(self.total_ns, self.invocations),
            parts: self.parts(),
            turns: self.turns(),
            tail: self.tail(&slowest),
            slowest: slowest.into_iter().take(SLOWEST).map(Entry::slow).collect(),
        })
    }

    fn parts(&self) -> Vec<PartSummary> {
        let mut sums = Sums::default();
        self.labels.iter().for_each(|label| sums.add(label.part, &label.tool, label.times.sum_ns()));
        let summary = |mean: Slice| {
            let of =
                |label: &&Label| label.part == mean.part && *label.tool == *mean.tool.as_deref().unwrap_or_default();
            let times = &self.labels.iter().find(of).expect("each slice is of a label").times;
            let quantiles = PART_QUANTILES.map(|p| self.quantile(times, p)).to_vec();
            PartSummary { mean, invocations: times.count(), quantiles }
        };
        sums.slices(self.invocations).into_iter().map(summary).collect()
    }

    /// A quantile over all invocations, those without any of this part included.
    fn quantile(&self, times: &Histogram, p: f64) -> Quantile {
        let needed = floor(p);
        let refused = (self.invocations < needed).then_some(Refused::TooFew { effective: self.invocations, needed });
        let value = || {
            let without = (0, self.invocations - times.count());
            let beyond = (times.max_ns().unwrap_or_default(), times.above_range());
            let within = times.inner().into_iter().flat_map(histogram::counts);
            weighted_quantile(&[without].into_iter().chain(within).chain([beyond]).collect::<Vec<_>>(), p)
        };
        let value_ns = if refused.is_none() { value() } else { None };
        Quantile { p, value_ns, low_ns: None, high_ns: None, refused }
    }

    fn turns(&self) -> Vec<TurnSummary> {
        if self.turns.len() < 2 {
            return Vec::new();
        }
        let mut turns: Vec<_> = self.turns.iter().map(|(turn, of)| of.summary(*turn)).collect();
        let mut conversation = Sums::default();
        for slice in turns.iter().flat_map(|turn| &turn.parts) {
            conversation.add(slice.part, &Arc::from(slice.tool.as_deref().unwrap_or_default()), u128::from(slice.ns));
        }
        turns.push(TurnSummary {
            turn: None,
            invocations: turns.iter().map(|turn| turn.invocations).sum(),
            total_ns_mean: turns.iter().map(|turn| turn.total_ns_mean).sum(),
            parts: conversation.slices(1),
        });
        turns
    }

    /// The invocations whose time to finish is the p99 or more.
    fn tail(&self, slowest: &[&Entry]) -> Option<Tail> {
        if self.invocations < floor(TAIL) {
            return None;
        }
        let beyond = self.invocations - rank(TAIL, self.invocations) + 1;
        let tail = &slowest[..usize::try_from(beyond).map_or(slowest.len(), |beyond| beyond.min(slowest.len()))];
        let mut sums = Sums::default();
        for entry in tail {
            sums.add_all(&entry.parts, &entry.tools);
        }
        let invocations = tail.len() as u64;
        let from_ns = tail.last()?.finish_ns;
        Some(Tail { p: TAIL, invocations, from_ns, parts: sums.slices(invocations) })
    }
}

impl Turn {
    fn summary(&self, turn: u32) -> TurnSummary {
        let parts = self.parts.slices(self.invocations);
        let total: u128 = self.parts.0.values().sum();
        TurnSummary {
            turn: Some(turn),
            invocations: self.invocations,
            total_ns_mean: mean(total, self.invocations),
            parts,
        }
    }
}

impl Entry {
    fn slow(&self) -> Slow {
        Slow {
            plan_index: self.plan_index,
            variant: self.variant.to_string(),
            scenario: (!self.scenario.is_empty()).then(|| self.scenario.to_string()),
            turn: self.turn,
            finish_ns: self.finish_ns,
            start_lag_ns: self.start_lag_ns,
            parts: Sums::of(&self.parts, &self.tools).slices(1),
        }
    }
}

impl Sums {
    fn of(parts: &PartTimes, tools: &[ToolTime]) -> Self {
        let mut sums = Self::default();
        sums.add_all(parts, tools);
        sums
    }

    fn add_all(&mut self, parts: &PartTimes, tools: &[ToolTime]) {
        labelled(parts, tools).for_each(|(part, tool, ns)| self.add(part, &Arc::from(tool), u128::from(ns)));
    }

    fn add(&mut self, part: Part, tool: &Arc<str>, ns: u128) {
        *self.0.entry((part, Arc::clone(tool))).or_default() += ns;
    }

    /// The means over so many, in the order of reports, tools by their time.
    fn slices(&self, invocations: u64) -> Vec<Slice> {
        let total: u128 = self.0.values().sum();
        let slice = |((part, tool), ns): (&(Part, Arc<str>), &u128)| Slice {
            part: *part,
            tool: (!tool.is_empty()).then(|| tool.to_string()),
            ns: mean(*ns, invocations),
            share: *ns as f64 / total.max(1) as f64,
        };
        let mut slices: Vec<_> = self.0.iter().map(slice).collect();
        let order = |part: Part| Part::ALL.iter().position(|one| *one == part);
        slices.sort_by_key(|slice| (order(slice.part), Reverse(slice.ns)));
        slices
    }
}

/// The label of a part, or of a tool; as many tools as an invocation tells apart, then others together.
fn label<'l>(labels: &'l mut Vec<Label>, part: Part, tool: &str) -> &'l mut Label {
    let new = |tool: &str| Label { part, tool: Arc::from(tool), times: Histogram::default() };
    let at = match part {
        Part::Tool => place(labels, tool, |label| &label.tool, new),
        _ => labels.iter().position(|label| label.part == part).unwrap_or_else(|| {
            labels.push(new(""));
            labels.len() - 1
        }),
    };
    &mut labels[at]
}

fn mean(sum_ns: u128, count: u64) -> u64 {
    let count = u128::from(count.max(1));
    u64::try_from((sum_ns + count / 2) / count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Outcome;
    use proptest::prelude::*;

    fn record(plan_index: u64, turn: u32, lag_ns: u64, parts: &PartTimes, tools: &[(&str, u64)]) -> Record {
        let mut record = Record::unstarted(plan_index, Arc::from("base"), 1_000, 1_000, Outcome::NotStarted);
        (record.outcome, record.turn, record.parts) = (Outcome::Completed, turn, *parts);
        record.tools = tools.iter().map(|(name, ns)| ToolTime { name: Arc::from(*name), ns: *ns }).collect();
        record.parts.tool_ns = tools.iter().map(|(_, ns)| ns).sum();
        record.stamps.started_ns = Some(1_000 + lag_ns);
        record.stamps.finished_ns = Some(1_000 + lag_ns + record.parts.sum_ns());
        assert!(record.parts_add_up());
        record
    }

    fn breakdown<'r>(records: impl IntoIterator<Item = &'r Record>) -> Breakdown {
        let mut breakdown = Breakdown::default();
        records.into_iter().for_each(|record| breakdown.take(record));
        breakdown
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let ms = |max: u64| (0..=max).prop_map(|ms| ms * 1_000_000);
        let one = (0_u32..3, ms(3), ms(900), ms(900), ms(300), ms(300));
        prop::collection::vec(one, 1..1_500).prop_map(|drawn| {
            let row = |(index, (turn, lag_ns, model_ns, answer_ns, search_ns, fetch_ns)): (usize, _)| {
                let parts = PartTimes { model_ns, answer_ns, ..PartTimes::default() };
                record(index as u64, turn, lag_ns, &parts, &[("search", search_ns), ("fetch", fetch_ns)])
            };
            drawn.into_iter().enumerate().map(row).collect()
        })
    }

    fn rank_of(p: f64, count: usize) -> usize {
        usize::try_from(rank(p, count as u64)).expect("at most the count")
    }

    /// The time of a label, taken straight from a record.
    fn time_of(record: &Record, slice: &Slice) -> u64 {
        match &slice.tool {
            Some(name) => record.tools.iter().filter(|tool| *tool.name == **name).map(|tool| tool.ns).sum(),
            None => record.parts.of(slice.part),
        }
    }

    fn mean_of<'r>(records: impl Iterator<Item = &'r Record> + Clone, slice: &Slice) -> u64 {
        let sum: u128 = records.clone().map(|record| u128::from(time_of(record, slice))).sum();
        mean(sum, records.count() as u64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn means_quantiles_turns_and_the_tail_are_those_of_the_sorted_records(mut records in records()) {
            let of = breakdown(&records).decomposition().expect("they completed");
            for part in &of.parts {
                prop_assert_eq!(part.mean.ns, mean_of(records.iter(), &part.mean));
                let mut times: Vec<_> = records.iter().map(|record| time_of(record, &part.mean)).collect();
                times.sort_unstable();
                for quantile in part.quantiles.iter().filter(|quantile| quantile.refused.is_none()) {
                    let exact = times[rank_of(quantile.p, times.len()) - 1];
                    let read = quantile.value_ns.expect("it is not refused");
                    prop_assert!(read.abs_diff(exact) <= exact / 500, "{read} is not {exact}");
                }
            }
            for turn in of.turns.iter().filter(|turn| turn.turn.is_some()) {
                let own = records.iter().filter(|record| Some(record.turn) == turn.turn);
                prop_assert_eq!(turn.invocations, own.clone().count() as u64);
                for slice in &turn.parts {
                    prop_assert_eq!(slice.ns, mean_of(own.clone(), slice));
                }
            }
            let finish = |record: &Record| record.duration_ns() + record.start_lag_ns().unwrap_or_default();
            records.sort_by_key(|record| (Reverse(finish(record)), record.plan_index));
            let slowest: Vec<_> = records.iter().take(SLOWEST).map(|record| record.plan_index).collect();
            prop_assert_eq!(of.slowest.iter().map(|slow| slow.plan_index).collect::<Vec<_>>(), slowest);
            prop_assert_eq!(of.tail.is_some(), records.len() >= 662);
            if let Some(tail) = of.tail {
                let count = records.len() - rank_of(TAIL, records.len()) + 1;
                prop_assert_eq!((tail.invocations, tail.from_ns), (count as u64, finish(&records[count - 1])));
                for slice in &tail.parts {
                    prop_assert_eq!(slice.ns, mean_of(records[..count].iter(), slice));
                }
            }
        }

        #[test]
        fn the_parts_of_a_run_together_are_the_whole_of_it(records in records(), cut in 0_usize..1_500) {
            let (first, second) = records.split_at(cut.min(records.len()));
            let together = breakdown(first).and(&breakdown(second));
            prop_assert_eq!(together.decomposition(), breakdown(&records).decomposition());
        }
    }

    #[test]
    fn shares_are_of_the_whole_and_a_tool_goes_by_its_name() {
        let parts = PartTimes { queue_ns: 10, model_ns: 50, ..PartTimes::default() };
        let one = record(0, 0, 5, &parts, &[("search", 40)]);
        let told: Vec<_> = slices(&one)
            .iter()
            .map(|slice| format!("{} {} {:.0} %", slice.name(), slice.ns, slice.share * 100.0))
            .collect();
        assert_eq!(told.join(", "), "queue 10 10 %, model 50 50 %, search 40 40 %");
        assert_eq!(breakdown([]).decomposition(), None);
    }
}
