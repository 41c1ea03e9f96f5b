//! A plan as a file: a first line that says what it is, then each planned start as a line of JSON, then a last line
//! that says whether the lines are still those that were written.
//!
//! What is written is what is read: a run that replays the file makes the same starts, and is of the same plan unless
//! somebody has changed a line, or the profile that replays it says otherwise what is sent, or when.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Conversation, Plan, Planned, hash};
use crate::profile::Scenario;
use crate::units::PLANNED_MAX_NS;

/// The version of the file that this build writes and reads.
const VERSION: u32 = 1;

/// A plan that was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    pub(super) planned: Arc<[Planned]>,
    pub(super) conversations: Arc<[Conversation]>,
    /// From when the open load that it is of starts nothing more, in nanoseconds since its start.
    end_ns: Option<u64>,
    pub(super) lines_hash: String,
    /// The plan that these lines are all of, when they are those that were written.
    pub(super) whole: Option<Whole>,
}

/// A plan of which a file has all starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Whole {
    pub(super) hash: String,
    /// What [`hash::beside`] gave for the profile that it was made from.
    pub(super) profile_hash: String,
}

/// Why a text is no plan that this profile can replay.
#[derive(Debug, Error)]
pub enum Error {
    /// The first line is not that of a plan.
    #[error("line 1: expected {{\"plimsoll_plan\":{VERSION},…}}, as plimsoll check --plan writes it")]
    NoPlan,
    /// A line that is no planned start.
    #[error("line {line}: {source}")]
    Line {
        /// Which one, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A line out of its place.
    #[error("line {line}: expected the start with plan_index {expected}: {why}")]
    Place {
        /// Which one, from 1.
        line: usize,
        /// The place that is due.
        expected: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A variant that the profile does not have.
    #[error("line {line}: the profile has no variant {name:?}")]
    Variant {
        /// Which one, from 1.
        line: usize,
        /// The variant.
        name: String,
    },
    /// A scenario that the profile does not have.
    #[error("line {line}: the profile has no scenario {name:?}")]
    Scenario {
        /// Which one, from 1.
        line: usize,
        /// The scenario.
        name: String,
    },
    /// A head that is not the one that was written above these lines.
    #[error(
        "line 1: expected the head that was written with these lines, whose hash is {expected}, found another one: take the file as it was written, or remove its last line, which makes it a plan of its own"
    )]
    Head {
        /// The hash in the last line.
        expected: String,
    },
    /// A time that no run lasts.
    #[error("line {line}: expected {key} of at most {PLANNED_MAX_NS} (146 years), found {found}")]
    Time {
        /// Which one, from 1.
        line: usize,
        /// Its key.
        key: &'static str,
        /// What stands there.
        found: u64,
    },
    /// A start that the head's end leaves no time for.
    #[error(
        "line {line}: expected intended_ns before end_ns = {end_ns} of the first line, found {found}: take the line out, or take the file as it was written"
    )]
    BehindEnd {
        /// Which one, from 1.
        line: usize,
        /// What the head says.
        end_ns: u64,
        /// What stands there.
        found: u64,
    },
    /// No start at all.
    #[error("it plans nothing")]
    Empty,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    plimsoll_plan: u32,
    hash: String,
    /// Of what the profile adds to the lines; files of older builds have none, and are plans of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile_hash: Option<String>,
    /// Whether these are all starts of that plan.
    whole: bool,
    /// Open load that has an end: from when it starts nothing more, in nanoseconds since its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_ns: Option<u64>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foot {
    starts: u64,
    lines_hash: String,
    /// Of the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head_hash: Option<String>,
}

/// One planned start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    plan_index: u64,
    conversation: u64,
    turn: u32,
    /// Open load: since the load's start. The further turns of a conversation follow from the answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    intended_ns: Option<u64>,
    /// Absent where the profile has no scenario.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scenario: String,
    variant: String,
    prompt: String,
    think_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hang_up_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_bytes_per_s: Option<u64>,
}

impl Plan {
    /// Writes the first `count` planned starts (all that are planned, when there are fewer).
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write(&self, count: u64, out: &mut impl Write) -> io::Result<()> {
        let count = count.min(self.planned.unwrap_or(u64::MAX));
        let whole = self.planned == Some(count);
        let (hash, profile_hash) = (self.hash.clone(), Some(self.profile_hash.clone()));
        let head = Head { plimsoll_plan: VERSION, hash, profile_hash, whole, end_ns: self.end_ns };
        let head = serde_json::to_string(&head)?;
        writeln!(out, "{head}")?;
        let (mut starts, mut lines_hash) = (self.starts(), hash::text(b""));
        for conversation in self.in_order().take_while(|conversation| conversation.first_index < count) {
            let mut intended_ns = starts.as_mut().and_then(Iterator::next);
            for turn in (0..conversation.turns).take_while(|turn| conversation.index(*turn) < count) {
                let line = serde_json::to_string(&Line::of(&self.start(&conversation, turn), intended_ns.take()))?;
                lines_hash = chained(&lines_hash, &line);
                writeln!(out, "{line}")?;
            }
        }
        let foot = Foot { starts: count, lines_hash, head_hash: Some(hash::text(head.as_bytes())) };
        writeln!(out, "{}", serde_json::to_string(&foot)?)?;
        out.flush()
    }
}

impl Head {
    /// The plan that the lines between this head, as it stands in `text`, and the foot are all of.
    fn of(&self, text: &str, foot: Option<Foot>, lines: (u64, &str)) -> Result<Option<Whole>, Error> {
        let Some(Foot { starts, lines_hash, head_hash: Some(expected) }) = foot else { return Ok(None) };
        if expected != hash::text(text.as_bytes()) {
            return Err(Error::Head { expected });
        }
        let same = self.whole && lines == (starts, lines_hash.as_str());
        let whole = |profile_hash: &String| Whole { hash: self.hash.clone(), profile_hash: profile_hash.clone() };
        Ok(self.profile_hash.as_ref().filter(|_| same).map(whole))
    }
}

/// The hash of the lines so far and one more.
fn chained(before: &str, line: &str) -> String {
    hash::text(format!("{before}{line}").as_bytes())
}

impl Line {
    /// Refuses what no clock of a run reaches, and what the load's end cuts off.
    fn check(&self, line: usize, end_ns: Option<u64>) -> Result<(), Error> {
        let times =
            [("intended_ns", self.intended_ns), ("think_ns", Some(self.think_ns)), ("hang_up_ns", self.hang_up_ns)];
        for (key, found) in times {
            if let Some(found) = found.filter(|ns| *ns > PLANNED_MAX_NS) {
                return Err(Error::Time { line, key, found });
            }
        }
        match (self.intended_ns, end_ns) {
            (Some(found), Some(end_ns)) if found >= end_ns => Err(Error::BehindEnd { line, end_ns, found }),
            _ => Ok(()),
        }
    }

    fn planned(self, scenario: &Arc<str>, variant: &Arc<str>, variant_at: usize) -> Planned {
        Planned {
            plan_index: self.plan_index,
            conversation: self.conversation,
            turn: self.turn,
            scenario: Arc::clone(scenario),
            variant: Arc::clone(variant),
            variant_at,
            prompt: Arc::from(self.prompt),
            think_ns: self.think_ns,
            hang_up_ns: self.hang_up_ns,
            read_bytes_per_s: self.read_bytes_per_s.map(|rate| rate.max(1)),
        }
    }

    fn of(planned: &Planned, intended_ns: Option<u64>) -> Self {
        Self {
            plan_index: planned.plan_index,
            conversation: planned.conversation,
            turn: planned.turn,
            intended_ns,
            scenario: planned.scenario.to_string(),
            variant: planned.variant.to_string(),
            prompt: planned.prompt.to_string(),
            think_ns: planned.think_ns,
            hang_up_ns: planned.hang_up_ns,
            read_bytes_per_s: planned.read_bytes_per_s,
        }
    }
}

/// A plan that is being read.
#[derive(Default)]
struct Reading<'p> {
    variants: &'p [Arc<str>],
    scenarios: &'p [Scenario],
    planned: Vec<Planned>,
    conversations: Vec<Conversation>,
    instants: Vec<u64>,
}

impl Reading<'_> {
    fn line(&mut self, number: usize, line: Line) -> Result<(), Error> {
        let expected = self.planned.len() as u64;
        let misplaced = |why| Error::Place { line: number, expected, why };
        if line.plan_index != expected {
            return Err(misplaced("they stand in order, without holes"));
        }
        let scenario_at = self.scenarios.iter().position(|scenario| *scenario.name == *line.scenario);
        let scenario_at = scenario_at.ok_or_else(|| Error::Scenario { line: number, name: line.scenario.clone() })?;
        let variant_at = self.variants.iter().position(|name| **name == *line.variant);
        let variant_at = variant_at.ok_or_else(|| Error::Variant { line: number, name: line.variant.clone() })?;
        // The conversation that goes on, unless its last turn has come.
        let open = self.conversations.last().filter(|open| expected < open.first_index + u64::from(open.turns));
        let due = open.map_or((self.conversations.len() as u64, 0), |open| (open.number, expected - open.first_index));
        if (line.conversation, u64::from(line.turn)) != due {
            return Err(misplaced("the profile's conversations have another number of turns"));
        }
        if open.is_some_and(|open| open.scenario_at != scenario_at) {
            return Err(misplaced("a conversation has one scenario"));
        }
        if line.turn == 0 {
            let turns = self.scenarios[scenario_at].count_turns();
            let conversation = Conversation::replayed(line.conversation, expected, turns, (scenario_at, variant_at));
            self.conversations.push(conversation);
            self.instants.extend(line.intended_ns);
            if !self.instants.is_empty() && self.instants.len() != self.conversations.len() {
                return Err(misplaced("all conversations have an intended_ns, or none has"));
            }
        }
        let (scenario, variant) = (&self.scenarios[scenario_at].name, &self.variants[variant_at]);
        self.planned.push(line.planned(scenario, variant, variant_at));
        Ok(())
    }
}

impl Replay {
    /// Reads a plan of a profile with these variants and scenarios. Gives the plan, and for open load when its
    /// conversations begin, in nanoseconds.
    ///
    /// # Errors
    /// The text is no plan, or not one of this profile.
    pub fn read(text: &str, variants: &[Arc<str>], scenarios: &[Scenario]) -> Result<(Self, Option<Vec<u64>>), Error> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty());
        let first = lines.next().map_or("", |(_, line)| line);
        let head: Option<Head> = serde_json::from_str(first).ok();
        let head = head.filter(|head| head.plimsoll_plan == VERSION).ok_or(Error::NoPlan)?;
        let mut read = Reading { variants, scenarios, ..Reading::default() };
        let (mut lines_hash, mut foot) = (hash::text(b""), None);
        for (number, text) in lines {
            foot = serde_json::from_str::<Foot>(text).ok();
            if foot.is_some() {
                continue;
            }
            lines_hash = chained(&lines_hash, text);
            let line: Line = serde_json::from_str(text).map_err(|source| Error::Line { line: number, source })?;
            line.check(number, head.end_ns)?;
            read.line(number, line)?;
        }
        if read.planned.is_empty() {
            return Err(Error::Empty);
        }
        let whole = head.of(first, foot, (read.planned.len() as u64, &lines_hash))?;
        let instants = (!read.instants.is_empty()).then_some(read.instants);
        let (planned, conversations) = (read.planned.into(), read.conversations.into());
        Ok((Self { planned, conversations, end_ns: head.end_ns, lines_hash, whole }, instants))
    }

    /// From when the open load that it is of starts nothing more, in nanoseconds since its start; none where its starts
    /// alone end it.
    #[must_use]
    pub fn end_ns(&self) -> Option<u64> {
        self.end_ns
    }

    /// How many starts it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.planned.len() as u64
    }

    /// Whether it has none; one that was read never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.planned.is_empty()
    }

    pub(super) fn conversation(&self, number: u64) -> Option<Conversation> {
        self.conversations.get(usize::try_from(number).ok()?).copied()
    }

    pub(super) fn at(&self, index: u64) -> Option<&Planned> {
        self.planned.get(usize::try_from(index).ok()?)
    }
}
