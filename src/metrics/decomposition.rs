//! Where the time of completed invocations went: the mean one, each turn, the slowest ones, and what the p99 is made of.
//!
//! Means are exact. A quantile of a part is read from a histogram of three digits over all completed invocations, those
//! without that part included, and has no interval: it describes, and no verdict rests on it.

use serde::{Deserialize, Serialize};

use super::parts::Part;
use super::summary::Quantile;

/// The quantiles of each part that are reported.
pub const PART_QUANTILES: [f64; 2] = [0.5, 0.95];

/// Completed invocations, taken apart. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Decomposition {
    /// How many.
    pub invocations: u64,
    /// Mean lateness of the start: it lies before the parts.
    pub start_lag_ns_mean: u64,
    /// Mean from start to finish: what the parts add up to.
    pub total_ns_mean: u64,
    /// The parts of the mean invocation, those of tools by name; one without any time is left out.
    pub parts: Vec<PartSummary>,
    /// By turn of the conversation, and a last one without a number for all turns together where all conversations are
    /// of one scenario; empty when there is one turn.
    pub turns: Vec<TurnSummary>,
    /// The invocations that make up the p99 of time to finish; absent where that is refused.
    pub tail: Option<Tail>,
    /// The slowest invocations, one by one.
    pub slowest: Vec<Slow>,
}

/// A piece of some time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// Its label.
    pub part: Part,
    /// The tool's name, when it is one's.
    pub tool: Option<String>,
    /// How long, in nanoseconds.
    pub ns: u64,
    /// Its share of the whole, from 0 to 1.
    pub share: f64,
}

/// One part over all completed invocations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartSummary {
    /// Its mean time, and its share of all the time.
    pub mean: Slice,
    /// Invocations that had any of it.
    pub invocations: u64,
    /// [`PART_QUANTILES`], in order, over all invocations.
    pub quantiles: Vec<Quantile>,
}

/// The mean invocation of one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TurnSummary {
    /// The turn, from 0; absent for the conversation, whose times are the sums of its turns' means.
    pub turn: Option<u32>,
    /// Completed invocations of it.
    pub invocations: u64,
    /// Mean from start to finish, in nanoseconds.
    pub total_ns_mean: u64,
    /// Its parts.
    pub parts: Vec<Slice>,
}

/// The slowest invocations together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The quantile of time to finish from the intended start from which on they are.
    pub p: f64,
    /// How many they are.
    pub invocations: u64,
    /// The fastest of them, in nanoseconds from the intended start.
    pub from_ns: u64,
    /// What their mean is made of.
    pub parts: Vec<Slice>,
}

/// One slow invocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Its place in the plan.
    pub plan_index: u64,
    /// Its variant.
    pub variant: String,
    /// Its scenario, where the profile has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Its turn, from 0.
    pub turn: u32,
    /// From the intended start to its end, in nanoseconds.
    pub finish_ns: u64,
    /// Of those, until it was taken up.
    pub start_lag_ns: u64,
    /// The others, by label.
    pub parts: Vec<Slice>,
}

impl Slice {
    /// What it is called: the tool's name, else the part's.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tool.as_deref().unwrap_or(self.part.name())
    }
}
