//! Conversations as wholes: how long the turns of one took together, its user's think times left out.

use std::collections::{BTreeMap, HashMap};

use super::metric::{Metric, Series};
use super::record::Record;
use crate::stats::Observation;

/// What a report says the metric is.
pub const DEFINITION: &str = "task_finished − intended start, added up over the turns of a conversation, when all completed; without think times";

/// Rows on their way to whole conversations. A conversation's rows come in order of its turns.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    /// The turns of each scenario's conversations.
    turns: BTreeMap<String, u32>,
    open: HashMap<u64, Open>,
    ended: Vec<Conversation>,
}

/// A conversation that has ended, or was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conversation {
    /// When its first turn was meant to start.
    pub(super) intended_ns: u64,
    pub(super) number: u64,
    pub(super) variant: u32,
    pub(super) scenario: u16,
    /// How long its turns took, as far as is known.
    pub(super) took: Observation,
}

#[derive(Debug)]
struct Open {
    /// What is known of it so far, without its end.
    so_far: Conversation,
    sum_ns: u64,
    turns: u32,
}

impl Conversations {
    /// Of scenarios with so many turns, by name; nothing is kept where all have one.
    pub(super) fn new(turns: BTreeMap<String, u32>) -> Self {
        let has_wholes = turns.values().any(|turns| *turns > 1);
        Self { turns: if has_wholes { turns } else { BTreeMap::new() }, ..Self::default() }
    }

    /// One more row outside the warm-up, of this variant and scenario.
    pub(super) fn take(&mut self, record: &Record, (variant, scenario): (u32, u16)) {
        let Some(turns) = self.turns.get(&*record.scenario).copied() else { return };
        let finish = Series::from_intended(Metric::Finish).observe(record);
        if record.turn == 0 {
            self.begin(record, turns, (variant, scenario), finish.is_some());
        }
        let Some(open) = self.open.get_mut(&record.conversation) else { return };
        let sum_ns = open.sum_ns;
        open.so_far.took = match finish {
            Some(Observation::Seen(ns)) if record.turn + 1 < open.turns => {
                open.sum_ns += ns;
                open.so_far.took = Observation::Censored(open.sum_ns);
                return;
            }
            Some(Observation::Seen(ns)) => Observation::Seen(sum_ns + ns),
            Some(Observation::Censored(ns)) => Observation::Censored(sum_ns + ns),
            Some(Observation::Failed(ns)) => Observation::Failed(sum_ns + ns),
            None => Observation::Censored(sum_ns),
        };
        // Whatever comes after a turn that did not complete changes nothing about it.
        self.ended.extend(self.open.remove(&record.conversation).map(|open| open.so_far));
    }

    /// A first turn: nobody waited for one whose instant never came. Joined runs of one plan have the same numbers.
    fn begin(&mut self, record: &Record, turns: u32, (variant, scenario): (u32, u16), waited: bool) {
        let (intended_ns, number) = (record.stamps.intended_ns, record.conversation);
        let so_far = Conversation { intended_ns, number, variant, scenario, took: Observation::Censored(0) };
        let before = match waited {
            true => self.open.insert(number, Open { so_far, sum_ns: 0, turns }),
            false => self.open.remove(&number),
        };
        self.ended.extend(before.map(|open| open.so_far));
    }

    /// All conversations in order of their intended starts; those that were left before their end are cut off there.
    pub(super) fn in_order(self) -> Vec<Conversation> {
        let mut all = self.ended;
        all.extend(self.open.into_values().map(|open| open.so_far));
        all.sort_by_key(|one| (one.intended_ns, one.number));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Outcome;

    /// A turn that was meant for its place in time and took `ms`; the dice say how it ended.
    fn row(conversation: u64, turn: u32, ms: u64, dice: u8) -> Record {
        let intended_ns = 1_000_000 * (conversation + 100 * u64::from(turn));
        let mut record = Record::unstarted(0, Arc::from("base"), intended_ns, 0, Outcome::NotStarted);
        (record.conversation, record.turn) = (conversation, turn);
        record.outcome = match dice {
            0 => Outcome::Reset,
            1 => Outcome::Cut,
            2 => Outcome::NotStarted,
            _ => Outcome::Completed,
        };
        record.stamps.last_known_ns = intended_ns + ms * u64::from(dice != 2);
        record.stamps.finished_ns = (record.outcome == Outcome::Completed).then_some(intended_ns + ms);
        record
    }

    /// The conversation looked at as a whole.
    fn naive(rows: &[Record]) -> Option<Observation> {
        let mut sum_ns = 0;
        for (at, row) in rows.iter().enumerate() {
            match row.outcome {
                Outcome::Completed => sum_ns += row.stamps.finished_ns? - row.stamps.intended_ns,
                Outcome::NotStarted if at == 0 => return None,
                Outcome::NotStarted => return Some(Observation::Censored(sum_ns)),
                Outcome::Cut => {
                    return Some(Observation::Censored(sum_ns + row.stamps.last_known_ns - row.stamps.intended_ns));
                }
                _ => return Some(Observation::Failed(sum_ns + row.stamps.last_known_ns - row.stamps.intended_ns)),
            }
        }
        Some(if rows.len() == 3 { Observation::Seen(sum_ns) } else { Observation::Censored(sum_ns) })
    }

    proptest! {
        #[test]
        fn rows_that_come_mixed_are_the_conversations_looked_at_one_by_one(
            all in prop::collection::vec(prop::collection::vec((1_u64..1_000, 0_u8..12), 1..=3), 1..20),
            order in prop::collection::vec(0_usize..20, 60),
        ) {
            let rows = |(number, turns): (usize, &Vec<(u64, u8)>)| -> Vec<Record> {
                turns.iter().zip(0..).map(|((ms, dice), turn)| row(number as u64, turn, *ms, *dice)).collect()
            };
            let all: Vec<Vec<_>> = all.iter().enumerate().map(rows).collect();
            let mut found = Conversations::new(BTreeMap::from([(String::new(), 3)]));
            let mut next = vec![0; all.len()];
            for at in order.into_iter().chain((0..3).flat_map(|_| 0..20)).filter(|at| *at < all.len()) {
                all[at].get(next[at]).into_iter().for_each(|row| found.take(row, (0, 0)));
                next[at] += 1;
            }
            let found: Vec<_> = found.in_order().into_iter().map(|one| (one.number, one.took)).collect();
            let expected = all.iter().zip(0_u64..).filter_map(|(rows, number)| Some((number, naive(rows)?)));
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn joined_runs_of_one_plan_have_conversations_of_their_own_and_the_warm_up_has_none() {
        let mut found = Conversations::new(BTreeMap::from([(String::new(), 2)]));
        for _ in 0..2 {
            found.take(&row(7, 0, 10, 9), (0, 0));
            found.take(&row(7, 1, 20, 9), (0, 0));
        }
        found.take(&row(8, 1, 10, 9), (0, 0));
        let took: Vec<_> = found.in_order().into_iter().map(|one| one.took).collect();
        assert_eq!(took, [Observation::Seen(30); 2], "a conversation that began in the warm-up is left out whole");
        let single = Conversations::new(BTreeMap::from([(String::new(), 1)]));
        assert!(single.turns.is_empty(), "of one turn, it is time to finish");
    }
}
