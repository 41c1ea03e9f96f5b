//! Which scenario and variant each conversation is dealt to, and where its starts stand in the plan.
//!
//! Conversations come in blocks that hold each pair of scenario and variant as often as the scenario's weight says, in
//! an order drawn for each block, so that whatever drifts hits all alike. Every block has as many conversations and as
//! many starts as any other, so that any place is found by looking at its own block alone.

use crate::profile::Scenario;
use crate::seed::{Seed, shuffle};

/// How the conversations of a plan are dealt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deal {
    seed: Seed,
    /// The pairs of a block, each as often as it comes.
    pairs: Vec<Pair>,
    /// The turns of each scenario's conversations.
    turns: Vec<u32>,
    /// The starts of a block.
    starts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    scenario_at: usize,
    variant_at: usize,
}

/// One conversation: what it is dealt to, and its place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    /// Its number, from 0.
    pub number: u64,
    /// The place of its first start; those of its other turns follow.
    pub first_index: u64,
    /// Its turns; at least 1. Where starts are counted, the plan may end before the last of them.
    pub turns: u32,
    /// Which of the profile's scenarios it is of.
    pub scenario_at: usize,
    /// Which of the profile's variants it asks.
    pub variant_at: usize,
    /// How many of its scenario come before it.
    pub(super) of_scenario: u64,
}

impl Conversation {
    /// One of a plan that was read from a file, `of` a scenario and a variant.
    pub(super) fn replayed(number: u64, first_index: u64, turns: u32, of: (usize, usize)) -> Self {
        let (scenario_at, variant_at) = of;
        Self { number, first_index, turns: turns.max(1), scenario_at, variant_at, of_scenario: 0 }
    }

    /// The place of one of its turns.
    #[must_use]
    pub fn index(&self, turn: u32) -> u64 {
        self.first_index + u64::from(turn)
    }
}

impl Deal {
    /// Deals to every pair of these scenarios and so many variants.
    pub(super) fn new(scenarios: &[Scenario], variants: usize, seed: Seed) -> Self {
        let turns: Vec<_> = scenarios.iter().map(Scenario::count_turns).collect();
        let mut pairs = Vec::new();
        for (scenario_at, times) in times(scenarios).into_iter().enumerate() {
            for variant_at in 0..variants {
                pairs.extend((0..times).map(|_| Pair { scenario_at, variant_at }));
            }
        }
        let starts = pairs.iter().map(|pair| u64::from(turns[pair.scenario_at])).sum();
        Self { seed, pairs, turns, starts }
    }

    /// The conversation with this number.
    pub(super) fn conversation(&self, number: u64) -> Conversation {
        let block = number / self.pairs.len() as u64;
        let found = self.block(block).find(|conversation| conversation.number == number);
        found.expect("a block holds the conversations between its first and the next block's")
    }

    /// The conversation to which the start at `index` belongs.
    pub(super) fn holds(&self, index: u64) -> Conversation {
        let block = index / self.starts;
        let ends_behind =
            |conversation: &Conversation| index - conversation.first_index < u64::from(conversation.turns);
        self.block(block).find(ends_behind).expect("a block holds the starts between its first and the next block's")
    }

    /// Every conversation in order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Conversation> {
        (0..).flat_map(|block| self.block(block))
    }

    fn block(&self, block: u64) -> impl Iterator<Item = Conversation> {
        let mut order = self.pairs.clone();
        shuffle(&mut order, &mut self.seed.stream("variants", block));
        // How often each scenario comes in a block is how often it came in each block before.
        let each = |at: usize| self.pairs.iter().filter(|pair| pair.scenario_at == at).count() as u64;
        let mut of_scenario: Vec<_> = (0..self.turns.len()).map(|at| block * each(at)).collect();
        let mut first_index = block * self.starts;
        (block * self.pairs.len() as u64..).zip(order).map(move |(number, pair)| {
            let Pair { scenario_at, variant_at } = pair;
            let turns = self.turns[scenario_at];
            let of_scenario = &mut of_scenario[scenario_at];
            let conversation =
                Conversation { number, first_index, turns, scenario_at, variant_at, of_scenario: *of_scenario };
            *of_scenario += 1;
            first_index = first_index.saturating_add(u64::from(turns));
            conversation
        })
    }
}

/// How often each scenario comes in a block, for each variant: its weight, as small as their ratio allows.
pub(in crate::profile) fn times(scenarios: &[Scenario]) -> Vec<u32> {
    let divisor = scenarios.iter().map(|scenario| scenario.weight).fold(0, common);
    scenarios.iter().map(|scenario| scenario.weight / divisor.max(1)).collect()
}

/// The greatest common divisor (Euclid).
fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}
