//! A plan as a file: a first line that says what it is, then each planned start as a line of JSON, then a last line
//! that says whether the lines are still those that were written.
//!
//! What is written is what is read: a run that replays the file makes the same starts, and is of the same plan unless
//! somebody has changed a line.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Plan, Planned, hash};

/// The version of the file that this build writes and reads.
const VERSION: u32 = 1;

/// A plan that was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    pub(super) planned: Arc<[Planned]>,
    pub(super) hash: String,
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
    /// No start at all.
    #[error("it plans nothing")]
    Empty,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    plimsoll_plan: u32,
    hash: String,
    /// Whether these are all starts of that plan.
    whole: bool,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Foot {
    starts: u64,
    lines_hash: String,
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
        let head = Head { plimsoll_plan: VERSION, hash: self.hash.clone(), whole: self.planned == Some(count) };
        writeln!(out, "{}", serde_json::to_string(&head)?)?;
        let (mut starts, mut lines_hash) = (self.starts(), hash::text(b""));
        for index in 0..count {
            let planned = self.invocation(index);
            let first = planned.turn == 0;
            let intended_ns = starts.as_mut().filter(|_| first).and_then(Iterator::next);
            let line = serde_json::to_string(&Line::of(&planned, intended_ns))?;
            lines_hash = chained(&lines_hash, &line);
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", serde_json::to_string(&Foot { starts: count, lines_hash })?)?;
        out.flush()
    }
}

/// The hash of the lines so far and one more.
fn chained(before: &str, line: &str) -> String {
    hash::text(format!("{before}{line}").as_bytes())
}

impl Line {
    fn planned(self, variant: &Arc<str>, variant_at: usize) -> Planned {
        Planned {
            plan_index: self.plan_index,
            conversation: self.conversation,
            turn: self.turn,
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
            variant: planned.variant.to_string(),
            prompt: planned.prompt.to_string(),
            think_ns: planned.think_ns,
            hang_up_ns: planned.hang_up_ns,
            read_bytes_per_s: planned.read_bytes_per_s,
        }
    }
}

impl Replay {
    /// Reads a plan; `variants` are the profile's, `turns` those of its conversations. Gives the plan, and for open
    /// load when its conversations begin, in nanoseconds.
    ///
    /// # Errors
    /// The text is no plan, or not one of this profile.
    pub fn read(text: &str, variants: &[Arc<str>], turns: u32) -> Result<(Self, Option<Vec<u64>>), Error> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty());
        let head: Head = lines
            .next()
            .and_then(|(_, line)| serde_json::from_str(line).ok())
            .filter(|head: &Head| head.plimsoll_plan == VERSION)
            .ok_or(Error::NoPlan)?;
        let (mut planned, mut instants) = (Vec::new(), Vec::new());
        let (mut lines_hash, mut foot) = (hash::text(b""), None);
        for (number, text) in lines {
            foot = serde_json::from_str::<Foot>(text).ok();
            if foot.is_some() {
                continue;
            }
            lines_hash = chained(&lines_hash, text);
            let line: Line = serde_json::from_str(text).map_err(|source| Error::Line { line: number, source })?;
            let expected = planned.len() as u64;
            let misplaced = |why| Error::Place { line: number, expected, why };
            if line.plan_index != expected {
                return Err(misplaced("they stand in order, without holes"));
            }
            if (line.conversation, u64::from(line.turn)) != (expected / u64::from(turns), expected % u64::from(turns)) {
                return Err(misplaced("the profile's conversations have another number of turns"));
            }
            if line.turn == 0 {
                instants.extend(line.intended_ns);
                let at = usize::try_from(line.conversation + 1).expect("it is one of these lines");
                if !instants.is_empty() && instants.len() != at {
                    return Err(misplaced("all conversations have an intended_ns, or none has"));
                }
            }
            let variant_at = variants.iter().position(|name| **name == *line.variant);
            let variant_at = variant_at.ok_or_else(|| Error::Variant { line: number, name: line.variant.clone() })?;
            planned.push(line.planned(&variants[variant_at], variant_at));
        }
        if planned.is_empty() {
            return Err(Error::Empty);
        }
        let same = head.whole && foot == Some(Foot { starts: planned.len() as u64, lines_hash });
        let hash = if same { head.hash } else { hash::text(text.as_bytes()) };
        Ok((Self { planned: planned.into(), hash }, (!instants.is_empty()).then_some(instants)))
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

    pub(super) fn at(&self, index: u64) -> Option<&Planned> {
        self.planned.get(usize::try_from(index).ok()?)
    }
}
