//! From completed invocations to their [`Decomposition`]: sums by label and turn, and the slowest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::decomposition::{Decomposition, PartSummary, Slice, Slow, Tail, TurnSummary};
use super::part_samples::{Label, Spread, labelled};
use super::parts::{Part, PartTimes};
use super::record::Record;
use super::tools::ToolTime;
use crate::stats::order::floor;
use crate::stats::rank::rank;

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
    turns: BTreeMap<u32, Turn>,
    slowest: BinaryHeap<Reverse<Entry>>,
}

#[derive(Debug, Clone, Default)]
struct Turn {
    invocations: u64,
    parts: Sums,
}

/// Times by label, summed up.
#[derive(Debug, Clone, Default)]
struct Sums(BTreeMap<Label, u128>);

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

impl Breakdown {
    /// Some time of an invocation of this turn that has completed.
    pub(super) fn spent(&mut self, turn: u32, label: &Label, ns: u64) {
        self.turns.entry(turn).or_default().parts.add(label, u128::from(ns));
    }

    /// One more invocation that has completed.
    pub(super) fn take(&mut self, record: &Record) {
        let total_ns = record.duration_ns();
        let start_lag_ns = record.start_lag_ns().unwrap_or_default();
        self.invocations += 1;
        self.start_lag_ns += u128::from(start_lag_ns);
        self.total_ns += u128::from(total_ns);
        self.turns.entry(record.turn).or_default().invocations += 1;
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
        for (number, theirs) in &other.turns {
            let turn = self.turns.entry(*number).or_default();
            turn.invocations += theirs.invocations;
            turn.parts.merge(&theirs.parts);
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

    /// What it comes to, given how each label spreads; nothing when no invocation completed.
    pub(super) fn decomposition(&self, spread: impl Fn(&Label) -> Spread) -> Option<Decomposition> {
        if self.invocations == 0 {
            return None;
        }
        let mut slowest: Vec<_> = self.slowest.iter().map(|Reverse(entry)| entry).collect();
        slowest.sort_unstable_by(|a, b| b.cmp(a));
        Some(Decomposition {
            invocations: self.invocations,
            start_lag_ns_mean: mean(self.start_lag_ns, self.invocations),
            total_ns_mean: mean(self.total_ns, self.invocations),
            parts: self.parts(spread),
            turns: self.turns(),
            tail: self.tail(&slowest),
            slowest: slowest.into_iter().take(SLOWEST).map(Entry::slow).collect(),
        })
    }

    fn parts(&self, spread: impl Fn(&Label) -> Spread) -> Vec<PartSummary> {
        let mut sums = Sums::default();
        self.turns.values().for_each(|turn| sums.merge(&turn.parts));
        let summary = |mean: Slice| {
            let Spread { invocations, quantiles } = spread(&mean.label());
            PartSummary { mean, invocations, quantiles }
        };
        sums.slices(self.invocations).into_iter().map(summary).collect()
    }

    fn turns(&self) -> Vec<TurnSummary> {
        if self.turns.len() < 2 {
            return Vec::new();
        }
        let mut turns: Vec<_> = self.turns.iter().map(|(turn, of)| of.summary(*turn)).collect();
        let mut conversation = Sums::default();
        for slice in turns.iter().flat_map(|turn| &turn.parts) {
            conversation.add(&slice.label(), u128::from(slice.ns));
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
        for (part, tool, ns) in labelled(parts, tools) {
            self.add(&Label { part, tool: Arc::from(tool) }, u128::from(ns));
        }
    }

    fn add(&mut self, label: &Label, ns: u128) {
        match self.0.get_mut(label) {
            Some(sum) => *sum += ns,
            None => drop(self.0.insert(label.clone(), ns)),
        }
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(label, ns)| self.add(label, *ns));
    }

    /// The means over so many, in the order of reports, tools by their time.
    fn slices(&self, invocations: u64) -> Vec<Slice> {
        let total: u128 = self.0.values().sum();
        let slice = |(label, ns): (&Label, &u128)| Slice {
            part: label.part,
            tool: (!label.tool.is_empty()).then(|| label.tool.to_string()),
            ns: mean(*ns, invocations),
            share: *ns as f64 / total.max(1) as f64,
        };
        let mut slices: Vec<_> = self.0.iter().map(slice).collect();
        let order = |part: Part| Part::ALL.iter().position(|one| *one == part);
        slices.sort_by_key(|slice| (order(slice.part), Reverse(slice.ns)));
        slices
    }
}

impl Slice {
    fn label(&self) -> Label {
        Label { part: self.part, tool: Arc::from(self.tool.as_deref().unwrap_or_default()) }
    }
}

fn mean(sum_ns: u128, count: u64) -> u64 {
    let count = u128::from(count.max(1));
    u64::try_from((sum_ns + count / 2) / count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Outcome;
    use crate::metrics::part_samples::PartSamples;
    use crate::metrics::summary::Refused;
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

    /// Records whose rows are their plan indices.
    fn breakdown<'r>(records: impl IntoIterator<Item = &'r Record>, samples: &mut PartSamples) -> Breakdown {
        let mut breakdown = Breakdown::default();
        for record in records {
            let row = usize::try_from(record.plan_index).expect("small");
            samples.take(row, record, |label, ns| breakdown.spent(record.turn, label, ns));
            breakdown.take(record);
        }
        breakdown
    }

    fn decomposition(records: &[Record]) -> Option<Decomposition> {
        let mut samples = PartSamples::default();
        breakdown(records, &mut samples).decomposition(|label| samples.spread(label, rows(records).iter()))
    }

    fn rows(records: &[Record]) -> Vec<u32> {
        records.iter().map(|record| u32::try_from(record.plan_index).expect("small")).collect()
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
            let of = decomposition(&records).expect("they completed");
            for part in &of.parts {
                prop_assert_eq!(part.mean.ns, mean_of(records.iter(), &part.mean));
                let mut times: Vec<_> = records.iter().map(|record| time_of(record, &part.mean)).collect();
                times.sort_unstable();
                for quantile in &part.quantiles {
                    let few = times.len() < usize::try_from(floor(quantile.p)).expect("small");
                    prop_assert!(!few || matches!(quantile.refused, Some(Refused::TooFew { .. })), "{quantile:?}");
                    prop_assert_eq!(quantile.value_ns.is_some(), quantile.refused.is_none());
                    let Some(read) = quantile.value_ns else { continue };
                    let exact = times[rank_of(quantile.p, times.len()) - 1];
                    prop_assert!(read >= exact && read - exact <= exact / 1_000, "{read} is not {exact}");
                    let (low, high) = quantile.low_ns.zip(quantile.high_ns).expect("it is not refused");
                    prop_assert!(low <= read && read <= high, "{quantile:?}");
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
            let mut samples = PartSamples::default();
            let together = breakdown(first, &mut samples);
            let together = together.and(&breakdown(second, &mut samples));
            let together = together.decomposition(|label| samples.spread(label, rows(&records).iter()));
            prop_assert_eq!(together, decomposition(&records));
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
        assert_eq!(decomposition(&[]), None);
    }
}
