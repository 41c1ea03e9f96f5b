//! The plan: which conversation, which turn, which prompt comes at which place, from profile and seed alone.
//!
//! In closed load the instants follow from the answers; everything else is here, and is the same for any number of
//! workers: a place in the plan is asked for by its index, and no answer depends on what was asked before.

use std::sync::Arc;

use serde_json::json;

use super::{Profile, Turn};
use crate::seed::fnv1a;

/// The variant of a profile that has none.
pub const BASE_VARIANT: &str = "base";

/// What every planned start is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    turns: Vec<Turn>,
    variant: Arc<str>,
    planned: Option<u64>,
    hash: String,
}

/// One planned start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its place: conversation × turns + turn.
    pub plan_index: u64,
    /// Its conversation, from 0.
    pub conversation: u64,
    /// Its turn within the conversation, from 0.
    pub turn: u32,
    /// The name of its variant.
    pub variant: Arc<str>,
    /// What is asked.
    pub prompt: Arc<str>,
    /// How long the user thinks before it, in nanoseconds.
    pub think_ns: u64,
}

impl Plan {
    /// The plan of a profile.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        Self {
            turns: profile.turns.clone(),
            variant: Arc::from(BASE_VARIANT),
            planned: profile.load.invocations,
            hash: hash(profile),
        }
    }

    /// The planned start at `index`, also beyond [`Plan::planned`].
    #[must_use]
    pub fn invocation(&self, index: u64) -> Planned {
        let turns = u64::from(self.turns());
        let turn = index % turns;
        let at = &self.turns[usize::try_from(turn).expect("a turn is an index into the turns")];
        Planned {
            plan_index: index,
            conversation: index / turns,
            turn: u32::try_from(turn).expect("turns are counted in 32 bits"),
            variant: Arc::clone(&self.variant),
            prompt: Arc::clone(&at.prompt),
            think_ns: at.think_ns,
        }
    }

    /// How many starts are planned, where the profile says how many (`-n`); else the duration ends them.
    #[must_use]
    pub fn planned(&self) -> Option<u64> {
        self.planned
    }

    /// How many conversations those starts make; the last may be cut short.
    #[must_use]
    pub fn conversations(&self) -> Option<u64> {
        self.planned.map(|planned| planned.div_ceil(u64::from(self.turns())))
    }

    /// The turns of one conversation; at least 1.
    #[must_use]
    pub fn turns(&self) -> u32 {
        u32::try_from(self.turns.len()).expect("a profile has fewer turns than 32 bits count")
    }

    /// What tells plans apart: `fnv1a64:` and 16 hexadecimal digits.
    ///
    /// FNV-1a over the JSON of what the plan is made of. Workers, target and limits are no part of it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

fn hash(profile: &Profile) -> String {
    let turns: Vec<_> = profile.turns.iter().map(|turn| json!([&*turn.prompt, turn.think_ns])).collect();
    let load = &profile.load;
    // Lists only: the order of a JSON object's keys is the library's business, and the hash must never change.
    let made_of = json!([
        "plan 1",
        profile.seed.0,
        ["closed", load.concurrency, load.invocations, load.duration_ns, load.warmup_ns, load.ramp_ns],
        [[BASE_VARIANT, turns]],
    ]);
    format!("fnv1a64:{:016x}", fnv1a(made_of.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = r#"
        why = "test"
        [load]
        concurrency = 2
        invocations = 5
        [[turn]]
        prompt = "Hello"
        [[turn]]
        prompt = "And then?"
        think = "2s"
    "#;

    fn plan(text: &str) -> Plan {
        Plan::new(&Profile::parse("chat.toml", text, Vec::new()).expect("the profile is valid"))
    }

    #[test]
    fn a_conversation_is_its_turns_in_order() {
        let plan = plan(CHAT);
        let lines: Vec<_> = (0..5)
            .map(|index| plan.invocation(index))
            .map(|at| {
                format!(
                    "{} c{} t{} {} {:?} {}",
                    at.plan_index, at.conversation, at.turn, at.variant, at.prompt, at.think_ns
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        0 c0 t0 base "Hello" 0
        1 c0 t1 base "And then?" 2000000000
        2 c1 t0 base "Hello" 0
        3 c1 t1 base "And then?" 2000000000
        4 c2 t0 base "Hello" 0
        "#);
        assert_eq!((plan.planned(), plan.conversations(), plan.turns()), (Some(5), Some(3), 2));
    }

    #[test]
    fn a_place_in_the_plan_is_the_same_whoever_asks_and_when() {
        let plan = plan(CHAT);
        let forwards: Vec<_> = (0..100).map(|index| plan.invocation(index)).collect();
        let mut backwards: Vec<_> = (0..100).rev().map(|index| plan.invocation(index)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        assert_eq!(plan.invocation(u64::MAX).plan_index, u64::MAX);
    }

    #[test]
    fn the_hash_tells_plans_apart_and_knows_no_workers() {
        let hash = |text: &str| plan(text).hash().to_owned();
        // The literal is the promise: a bundle of today is still one plan with a bundle of next year.
        insta::assert_snapshot!(hash(CHAT), @"fnv1a64:c02a305bcd76c2c2");
        assert_eq!(hash(CHAT), hash(&CHAT.replace("[load]", "[load]\nworkers = 7")));
        for (old, new) in [("2s", "3s"), ("Hello", "Hi"), ("invocations = 5", "invocations = 6"), ("y = 2", "y = 3")] {
            assert_ne!(hash(CHAT), hash(&CHAT.replace(old, new)), "{new}");
        }
        assert_ne!(hash(CHAT), hash(&format!("seed = 2\n{CHAT}")));
    }
}
