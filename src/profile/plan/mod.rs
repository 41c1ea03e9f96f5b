//! The plan: which conversation, turn, variant and prompt comes at which place and when, from profile and seed alone.
//!
//! In closed load the instants follow from the answers; everything else is here, and is the same for any number of
//! workers: a place in the plan is asked for by its index, and no answer depends on what was asked before.

use std::sync::Arc;

use super::{Feed, Load, Model, Profile, Scenario, User};
use crate::pacer::Pacer;
use crate::seed::{Seed, unit};

mod deal;
pub mod file;
mod hash;

pub use deal::Conversation;
pub(super) use deal::times;
pub use file::Replay;

use deal::Deal;

/// What every planned start is taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    seed: Seed,
    scenarios: Vec<Scenario>,
    deal: Deal,
    variants: Vec<Arc<str>>,
    feed: Option<Feed>,
    user: User,
    pacer: Option<Pacer>,
    /// From when an open load starts nothing more, in nanoseconds since its start.
    end_ns: Option<u64>,
    conversations: Option<u64>,
    planned: Option<u64>,
    replay: Option<Replay>,
    hash: String,
    profile_hash: String,
}

/// One planned start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its place: starts are numbered without holes, conversation by conversation.
    pub plan_index: u64,
    /// Its conversation, from 0.
    pub conversation: u64,
    /// Its turn within the conversation, from 0.
    pub turn: u32,
    /// The name of its scenario; empty where the profile has none.
    pub scenario: Arc<str>,
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
        let deal = Deal::new(&profile.scenarios, profile.variants.len(), profile.seed);
        let (pacer, end_ns) = match &profile.load.model {
            Model::Closed { .. } => (None, None),
            Model::Open { pacer, .. } => (Some(pacer.clone()), profile.load.duration_ns),
        };
        let mut plan = Self {
            seed: profile.seed,
            scenarios: profile.scenarios.clone(),
            deal,
            variants: profile.variants.iter().map(|variant| Arc::clone(&variant.name)).collect(),
            feed: profile.feed.clone(),
            user: profile.user.clone(),
            pacer,
            end_ns,
            conversations: None,
            planned: None,
            replay: profile.replay.clone(),
            hash: hash::of(profile),
            profile_hash: hash::beside(profile),
        };
        (plan.conversations, plan.planned) = plan.counts(&profile.load);
        plan
    }

    /// How many conversations and how many starts are planned.
    fn counts(&self, load: &Load) -> (Option<u64>, Option<u64>) {
        let last_of = |count: u64| count.checked_sub(1).map(|last| self.invocation(last).conversation);
        let wanted = load.invocations.map(|count| last_of(count).map_or(0, |last| last + 1));
        let Some(pacer) = &self.pacer else { return (wanted, load.invocations) };
        let end_ns = self.end_ns.unwrap_or(u64::MAX);
        let most = wanted.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let conversations = pacer.starts().take(most).take_while(|at| *at < end_ns).count() as u64;
        let last = conversations.checked_sub(1).map(|last| self.conversation(last));
        let planned = last.map_or(0, |last| last.first_index + u64::from(last.turns));
        (Some(conversations), Some(planned.min(load.invocations.unwrap_or(u64::MAX))))
    }

    /// The planned start at `index`, also beyond [`Plan::planned`].
    #[must_use]
    pub fn invocation(&self, index: u64) -> Planned {
        if let Some(planned) = self.replay.as_ref().and_then(|replay| replay.at(index)) {
            return planned.clone();
        }
        let conversation = self.deal.holds(index);
        let turn = u32::try_from(index - conversation.first_index).expect("it is below the conversation's turns");
        self.drawn(&conversation, turn)
    }

    /// The conversation with this number, also beyond [`Plan::conversations`].
    #[must_use]
    pub fn conversation(&self, number: u64) -> Conversation {
        let replayed = self.replay.as_ref().and_then(|replay| replay.conversation(number));
        replayed.unwrap_or_else(|| self.deal.conversation(number))
    }

    /// Every conversation in order; without an end where the plan has none.
    pub fn in_order(&self) -> impl Iterator<Item = Conversation> {
        let replayed = self.replay.iter().flat_map(|replay| replay.conversations.iter().copied());
        let drawn = self.replay.is_none().then(|| self.deal.in_order()).into_iter().flatten();
        let end = self.planned.unwrap_or(u64::MAX);
        replayed.chain(drawn).take_while(move |conversation| conversation.first_index < end)
    }

    /// One of a conversation's starts: [`Plan::invocation`] where the conversation is known.
    #[must_use]
    pub fn start(&self, conversation: &Conversation, turn: u32) -> Planned {
        let replayed = self.replay.as_ref().and_then(|replay| replay.at(conversation.index(turn)));
        replayed.cloned().unwrap_or_else(|| self.drawn(conversation, turn))
    }

    fn drawn(&self, conversation: &Conversation, turn: u32) -> Planned {
        let Conversation { number, scenario_at, variant_at, of_scenario, .. } = *conversation;
        let (scenario, index) = (&self.scenarios[scenario_at], conversation.index(turn));
        let at = &scenario.turns[usize::try_from(turn).expect("a turn is an index into the turns")];
        let row = match (&scenario.feed, &self.feed) {
            (Some(own), _) => own.row(of_scenario, self.seed, &scenario.name),
            (None, Some(feed)) => feed.row(number, self.seed, ""),
            (None, None) => &[],
        };
        Planned {
            plan_index: index,
            conversation: number,
            turn,
            scenario: Arc::clone(&scenario.name),
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

    /// What tells plans apart: `fnv1a64:` and 16 hexadecimal digits.
    ///
    /// FNV-1a over the JSON of what the plan is made of. Workers, target and limits are no part of it, nor are the
    /// values of keys that may hold a secret: of those, the names alone. A replay has the hash of the plan that it
    /// replays while it makes the same starts at the same instants and sends the same.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

#[cfg(test)]
mod tests;
