//! The plan: which conversation, turn, variant and prompt comes at which place and when, from profile and seed alone.
//!
//! In closed load the instants follow from the answers; everything else is here, and is the same for any number of
//! workers: a place in the plan is asked for by its index, and no answer depends on what was asked before.

use std::sync::Arc;

use super::{Feed, Load, Model, Profile, Turn, User};
use crate::pacer::Pacer;
use crate::seed::{Seed, shuffle, unit};

pub mod file;
mod hash;

pub use file::Replay;

/// What every planned start is taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    seed: Seed,
    turns: Vec<Turn>,
    variants: Vec<Arc<str>>,
    feed: Option<Feed>,
    user: User,
    pacer: Option<Pacer>,
    conversations: Option<u64>,
    planned: Option<u64>,
    replay: Option<Replay>,
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
    /// Which of the profile's variants that is.
    pub variant_at: usize,
    /// What is asked.
    pub prompt: Arc<str>,
    /// How long the user thinks before it, in nanoseconds.
    pub think_ns: u64,
    /// How long after its start the user hangs up, in nanoseconds.
    pub hang_up_ns: Option<u64>,
    /// How fast the user reads, in bytes a second; as fast as it comes when absent.
    pub read_bytes_per_s: Option<u64>,
}

impl Plan {
    /// The plan of a profile.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let turns = profile.turns.len().max(1) as u64;
        let pacer = match &profile.load.model {
            Model::Closed { .. } => None,
            Model::Open { pacer, .. } => Some(pacer.clone()),
        };
        let (conversations, planned) = counts(&profile.load, pacer.as_ref(), turns);
        Self {
            seed: profile.seed,
            turns: profile.turns.clone(),
            variants: profile.variants.iter().map(|variant| Arc::clone(&variant.name)).collect(),
            feed: profile.feed.clone(),
            user: profile.user.clone(),
            pacer,
            conversations,
            planned,
            replay: profile.replay.clone(),
            hash: hash::of(profile),
        }
    }

    /// The planned start at `index`, also beyond [`Plan::planned`].
    #[must_use]
    pub fn invocation(&self, index: u64) -> Planned {
        if let Some(planned) = self.replay.as_ref().and_then(|replay| replay.at(index)) {
            return planned.clone();
        }
        let turns = u64::from(self.turns());
        let (conversation, turn) = (index / turns, index % turns);
        let at = &self.turns[usize::try_from(turn).expect("a turn is an index into the turns")];
        let variant_at = self.variant_at(conversation);
        let row = self.feed.as_ref().map_or(&[][..], |feed| feed.row(conversation, self.seed));
        Planned {
            plan_index: index,
            conversation,
            turn: u32::try_from(turn).expect("turns are counted in 32 bits"),
            variant: Arc::clone(&self.variants[variant_at]),
            variant_at,
            prompt: at.prompt.fill(row),
            think_ns: at.think.constant().unwrap_or_else(|| at.think.draw(&mut self.seed.stream("think", index))),
            hang_up_ns: self.hang_up_ns(index),
            read_bytes_per_s: self.read_bytes_per_s(index),
        }
    }

    /// When each conversation begins, in order, in nanoseconds since the load's start; none for closed load.
    pub fn starts(&self) -> Option<impl Iterator<Item = u64> + use<>> {
        let count = self.conversations.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        Some(self.pacer.as_ref()?.starts().take(count))
    }

    /// Conversations are dealt to the variants in blocks that hold each once, in an order drawn for each block, so
    /// that whatever drifts hits all alike.
    fn variant_at(&self, conversation: u64) -> usize {
        let count = self.variants.len();
        if count == 1 {
            return 0;
        }
        let (block, place) = (conversation / count as u64, conversation % count as u64);
        let mut order: Vec<usize> = (0..count).collect();
        shuffle(&mut order, &mut self.seed.stream("variants", block));
        order[usize::try_from(place).expect("it is below the number of variants")]
    }

    fn hang_up_ns(&self, index: u64) -> Option<u64> {
        let hang_up = self.user.hang_up.as_ref()?;
        let mut rng = self.seed.stream("hang up", index);
        (unit(&mut rng) < hang_up.share).then(|| hang_up.after.draw(&mut rng))
    }

    fn read_bytes_per_s(&self, index: u64) -> Option<u64> {
        let slow = self.user.slow?;
        (unit(&mut self.seed.stream("slow", index)) < slow.share).then_some(slow.bytes_per_s)
    }

    /// How many starts are planned, where they are counted; else (closed load without `-n`) the duration ends them.
    #[must_use]
    pub fn planned(&self) -> Option<u64> {
        self.planned
    }

    /// How many conversations those starts make; the last may be cut short.
    #[must_use]
    pub fn conversations(&self) -> Option<u64> {
        self.conversations
    }

    /// Whether a conversation goes on after a turn that did not complete.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.user.goes_on
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

/// How many conversations and how many starts are planned.
fn counts(load: &Load, pacer: Option<&Pacer>, turns: u64) -> (Option<u64>, Option<u64>) {
    let wanted = load.invocations.map(|count| count.div_ceil(turns));
    let Some(pacer) = pacer else { return (wanted, load.invocations) };
    let end_ns = load.duration_ns.unwrap_or(u64::MAX);
    let most = wanted.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let conversations = pacer.starts().take(most).take_while(|at| *at < end_ns).count() as u64;
    let planned = (conversations * turns).min(load.invocations.unwrap_or(u64::MAX));
    (Some(conversations), Some(planned))
}

#[cfg(test)]
mod tests;
