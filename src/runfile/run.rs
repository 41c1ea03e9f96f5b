//! `run.json`: the versioned manifest and summary of a run; written first with status `running`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use super::network::{Network, Sockets};
use super::readback::Readback;
use crate::metrics::certificate::{ArrivalClock, Certificate};
use crate::metrics::summary::Summary;
use crate::metrics::warning::{BudgetPart, Warning};
use crate::profile;

/// The version of the bundle's files that this build writes and reads.
pub const VERSION: u32 = 1;

/// Why a `run.json` can't be read.
#[derive(Debug, Error)]
pub enum Error {
    /// Another version.
    #[error(
        "read run.json: it is of version {found}, and this plimsoll reads version {VERSION}; use the one that wrote it ({by})"
    )]
    Version {
        /// What stands there.
        found: u64,
        /// Which build wrote it.
        by: String,
    },
    /// Not a run.
    #[error("read run.json: {0}; it is no whole run.json of version {VERSION}: take it from a copy of its folder")]
    Form(#[from] serde_json::Error),
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It goes on, or was killed.
    Running,
    /// The plan is done.
    Done,
    /// Stopped by its budget; complete up to there.
    BudgetSpent,
    /// Stopped by an objective that failed; complete up to there.
    Aborted,
    /// Ended by the death of a worker; complete up to there.
    WorkerLost,
    /// Cut because the disk took no more of its files.
    WriteFailed,
    /// Ended by an interrupt; complete up to there.
    Interrupted,
    /// Ended by a request to terminate; complete up to there.
    Terminated,
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Running => "unfinished",
            Self::Done => "done",
            Self::WorkerLost => "ended by the death of a worker",
            Self::BudgetSpent => "stopped by its budget",
            Self::Aborted => "stopped by an objective",
            Self::WriteFailed => "cut short, since its files could not be written",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        })
    }
}

/// A run: what was asked, on what it ran, and what it came to. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The version of the bundle's files.
    pub version: u32,
    /// How far the run is.
    pub status: Status,
    /// The run's name: that of its folder.
    pub id: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// Its origin on the wall clock, since the Unix epoch.
    pub origin_unix_ns: u64,
    /// Its origin on the system's monotonic clock; absent where that can't be read.
    pub origin_monotonic_ns: Option<u64>,
    /// Who wrote it.
    pub plimsoll: Build,
    /// Where it ran.
    pub machine: Machine,
    /// What was loaded: the base URL, or `mock`.
    pub target: String,
    /// The way there; that of a bundle from before it was kept is not known.
    #[serde(default)]
    pub network: Network,
    /// Why the workload exists.
    pub why: String,
    /// What must hold of the run.
    pub objectives: Vec<String>,
    /// The kinds of conversations; none where the profile has no scenario and its conversations have one turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<Scenario>,
    /// Every key of the profile as it held, secrets hidden.
    pub profile: Value,
    /// The seed.
    pub seed: u64,
    /// What tells plans apart.
    pub plan_hash: String,
    /// Worker threads.
    pub workers: u32,
    /// The drain, for the warning about what it cut.
    pub drain_ns: u64,
    /// Whether connections may serve more than one invocation.
    pub reuse: bool,
    /// The runs that it was joined from; none for a run as it was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What the harness measured of itself while it ran; absent until its end.
    pub harness: Option<Harness>,
    /// Absent until the end.
    pub summary: Option<Summary>,
    /// Absent until the end.
    pub certificate: Option<Certificate>,
    /// What to know before the numbers.
    pub warnings: Vec<Warning>,
}

/// One kind of conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; empty where the profile has no scenario.
    pub name: String,
    /// How often it comes in a block of conversations.
    pub weight: u32,
    /// The turns of its conversations.
    pub turns: u32,
}

/// A run that was joined with others of the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub id: String,
    /// Its origin on the wall clock, since the Unix epoch.
    pub origin_unix_ns: u64,
    /// By how much its stamps were moved, in nanoseconds.
    pub shift_ns: u64,
    /// The number of its first worker among those of all parts.
    pub first_worker: u32,
    /// Its workers.
    pub workers: u32,
    /// Where it ran.
    pub machine: Machine,
}

/// What wrote a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Its version.
    pub version: String,
    /// The git revision that it was built from; absent outside a repository.
    pub revision: Option<String>,
}

/// Where a run ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The CPU's model.
    pub cpu: Option<String>,
    /// Cores that the process may use.
    pub cores: u32,
}

/// What the workers counted and spent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Harness {
    /// From the origin to the end of the last worker, in nanoseconds.
    pub end_ns: u64,
    /// Planned starts, warm-up included.
    pub planned: u64,
    /// Invocations taken up, warm-up included.
    pub started: u64,
    /// Events, warm-up included.
    pub events: u64,
    /// Body bytes, warm-up included.
    pub body_bytes: u64,
    /// Time in flight of all invocations, as the workers clocked it, in nanoseconds.
    pub in_flight_ns: u64,
    /// CPU time of all workers, in nanoseconds.
    pub cpu_ns: u64,
    /// Each worker's share of a core, from 0 to 1.
    pub worker_cpu: Vec<f64>,
    /// The machine's busy share, from 0 to 1.
    pub machine_cpu: Option<f64>,
    /// What the hypervisor took away, from 0 to 1.
    pub steal: Option<f64>,
    /// Workers that died.
    pub lost_workers: u32,
    /// What the first of them died of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_why: Option<String>,
    /// Which part of the budget ended the run, when one did.
    pub budget_spent: Option<BudgetPart>,
    /// The objective that stopped the run, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<Aborted>,
    /// Answers that asked for a pause: status 429, and 503 with a `Retry-After`; those to the preflight and to Stop Task
    /// are among them.
    #[serde(default)]
    pub pauses_asked: u64,
    /// Of those, the ones that held all starts up.
    pub holds: u64,
    /// For how long they did, in nanoseconds.
    pub held_ns: u64,
    /// Starts of a closed load that were put off because the ones before them got no answer.
    #[serde(default)]
    pub put_off: u64,
    /// For how long, in nanoseconds.
    #[serde(default)]
    pub put_off_ns: u64,
    /// Tasks that were left behind.
    pub tasks: LeftTasks,
    /// What the connections took of the machine.
    #[serde(default)]
    pub sockets: Sockets,
    /// What the arrival stamps are worth.
    pub stamps: Stamps,
}

/// The objective that stopped a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Aborted {
    /// As it was written.
    pub objective: String,
    /// When it did, in nanoseconds since the run's origin.
    pub at_ns: u64,
}

/// Tasks that the run left behind at the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LeftTasks {
    /// How many.
    pub left: u64,
    /// How many of them Stop Task stopped, or found ended.
    pub stopped: u64,
    /// Why the others were not.
    pub why: Option<String>,
}

/// Where the arrival stamps came from, and what was wrong with them; times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stamps {
    /// Which clock most events' times are from.
    pub clock: ArrivalClock,
    /// Reads that the kernel stamped.
    pub kernel_reads: u64,
    /// Reads that were stamped in user space, right after them.
    pub user_reads: u64,
    /// Kernel stamps that were moved, since they mapped after their own read or before the one before it.
    pub moved: u64,
    /// The largest of those moves.
    pub moved_ns_max: u64,
    /// Kernel stamps taken in the millisecond in which the wall clock was set.
    pub in_doubt: u64,
    /// The largest error of the mapping from the wall clock to the run's clock.
    pub mapping_error_ns_max: u64,
    /// Times the wall clock was set.
    pub wall_steps: u64,
    /// By how much at most, either way.
    pub wall_step_ns_max: u64,
    /// By how much it drifted from the run's clock, either way.
    pub wall_drift_ns: u64,
}

/// How a run keeps the scenarios of its profile: not at all where conversations are single invocations of one kind.
#[must_use]
pub fn scenarios(all: &[profile::Scenario]) -> Vec<Scenario> {
    if let [only] = all
        && only.name.is_empty()
        && only.turns.len() == 1
    {
        return Vec::new();
    }
    let kept =
        |of: &profile::Scenario| Scenario { name: of.name.to_string(), weight: of.weight, turns: of.count_turns() };
    all.iter().map(kept).collect()
}

impl Run {
    /// Whether its conversations are told apart by scenario.
    #[must_use]
    pub fn has_scenarios(&self) -> bool {
        self.scenarios.iter().any(|scenario| !scenario.name.is_empty())
    }

    /// Takes over what its rows and histograms come to.
    pub fn adopt(&mut self, readback: Readback) {
        self.summary = Some(readback.summary);
        self.certificate = Some(readback.certificate);
        self.warnings = readback.warnings;
    }

    /// What is the same of every run of one workload, whatever its seed and however often it was run.
    #[must_use]
    pub fn workload(&self) -> Value {
        let mut profile = self.profile.clone();
        if let Value::Object(keys) = &mut profile {
            keys.retain(|key, _| key != "seed" && key != "repeat");
        }
        json!({
            "target": self.target,
            "objectives": self.objectives,
            "scenarios": self.scenarios,
            "profile": profile,
            "drain_ns": self.drain_ns,
            "reuse": self.reuse,
            "plimsoll": {"version": self.plimsoll.version},
        })
    }

    /// Whether both are one run, in two copies perhaps.
    #[must_use]
    pub fn is_same_run(&self, other: &Self) -> bool {
        let key = |run: &Self| (run.origin_unix_ns, run.origin_monotonic_ns, run.id.clone());
        key(self) == key(other)
    }

    /// Its text: what [`Run::read`] reads.
    ///
    /// # Panics
    /// Never: a run has string keys and finite numbers only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a run has string keys and finite numbers only");
        text.push('\n');
        text
    }

    /// Reads a run.
    ///
    /// # Errors
    /// Another version, or no run at all.
    pub fn read(text: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text)?;
        match value["version"].as_u64() {
            Some(found) if found != u64::from(VERSION) => {
                let by = value["plimsoll"]["version"].as_str().unwrap_or("unknown").to_owned();
                Err(Error::Version { found, by })
            }
            _ => Ok(serde_json::from_value(value)?),
        }
    }
}
