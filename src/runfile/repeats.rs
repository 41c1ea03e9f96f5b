//! Runs of one workload held beside each other: `repeats.json`, in the folder that holds their bundles.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::bundle::{self, RUN};
use super::difference::{Difference, differences, told};
use super::{Run, Status, readback};
use crate::metrics::repeats::Across;
use crate::metrics::{Summary, Verdict};

/// What several runs come to, beside their bundles.
pub const REPEATS: &str = "repeats.json";

/// The version of the file that this build writes and reads.
pub const VERSION: u32 = 1;

/// Why runs can't be held beside each other.
#[derive(Debug, Error)]
pub enum Error {
    /// Two runs are of different workloads.
    #[error("hold {one} beside {other}: they are not of one workload: {}", told(differences))]
    NotOneWorkload {
        /// The first run.
        one: String,
        /// The one that differs from it.
        other: String,
        /// In what.
        differences: Vec<Difference>,
    },
    /// The same run twice.
    #[error("hold {0} beside itself: it would count twice")]
    Twice(String),
    /// A folder that holds no runs.
    #[error("find a run in {}: there is neither {RUN} nor a folder that has one; name a run's folder, or one that holds runs, such as reports/…", .0.display())]
    NoRun(PathBuf),
    /// `repeats.json` is none of this version.
    #[error("read {}: {why}; move it away: report reads the runs beside it without it", path.display())]
    Repeats {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A folder can't be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A bundle can't be read.
    #[error(transparent)]
    Bundle(#[from] readback::Error),
}

/// Runs of one workload, one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// The version of this file.
    pub version: u32,
    /// What they are called together: the folder's name, where one holds them.
    pub id: String,
    /// How many were asked for.
    pub asked: u32,
    /// From the end of a run to the beginning of the next, in nanoseconds; absent where nobody planned it.
    pub pause_ns: Option<u64>,
    /// The runs, in order of their beginning.
    pub runs: Vec<Repeat>,
    /// What the complete ones come to together.
    pub across: Across,
    /// What to know before the numbers.
    pub warnings: Vec<Warning>,
}

/// One of the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// Its name: that of its folder.
    pub id: String,
    /// How far it got; only one that is done counts.
    pub status: Status,
    /// Its seed.
    pub seed: u64,
    /// What tells its plan from others.
    pub plan_hash: String,
    /// Whether its numbers can be trusted; absent where nothing is known.
    pub verdict: Option<Verdict>,
    /// Whether its numbers are among those across the runs.
    pub complete: bool,
}

/// Something about the runs that their reader should know before the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Warning {
    /// Fewer runs than were asked for.
    Fewer {
        /// How many there are.
        made: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// A run that is not complete, and is left out.
    LeftOut {
        /// Which one.
        id: String,
        /// How far it got.
        status: Status,
    },
    /// A run whose numbers say more about the harness than about the target.
    Untrusted {
        /// Which one.
        id: String,
        /// What was found.
        verdict: Verdict,
    },
    /// There is nothing to hold beside each other.
    TooFew {
        /// Complete runs.
        complete: u32,
    },
    /// All runs have the same plan.
    OnePlan,
    /// Runs differ by more than their own intervals explain.
    Disagree {
        /// In what, and by how much, in words.
        what: Vec<String>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fewer { made, asked } => {
                write!(out, "{made} of {asked} runs were made: the series ended before the others")
            }
            Self::LeftOut { id, status } => {
                write!(out, "{id} ({status}) is not complete: it is left out of what stands here; report it by itself")
            }
            Self::Untrusted { id, verdict } => {
                write!(out, "{id} is {verdict}: its numbers count here as any; plimsoll report {id} says why")
            }
            Self::TooFew { complete } => write!(
                out,
                "an interval across runs takes two complete runs at least, and says more from five on; these are {complete}"
            ),
            Self::OnePlan => write!(
                out,
                "all runs have the same plan: the intervals across them say how target and machine vary, not what another plan of the workload would come to"
            ),
            Self::Disagree { what } => write!(
                out,
                "the runs lie further apart than their own intervals explain: {}; no interval of a single run shows that: trust the one across the runs, and look for what changed between them",
                what.join(", ")
            ),
        }
    }
}

impl Repeats {
    /// Holds these runs beside each other; all are summed up.
    ///
    /// # Errors
    /// They are not of one workload, or one is there twice.
    pub fn of(id: String, (asked, pause_ns): (Option<u32>, Option<u64>), runs: &[Run]) -> Result<Self, Error> {
        check(runs)?;
        let mut ordered: Vec<_> = runs.iter().collect();
        ordered.sort_by_key(|run| run.origin_unix_ns);
        let complete: Vec<_> = ordered.iter().copied().filter(|run| is_complete(run)).collect();
        let summaries: Vec<&Summary> = complete.iter().filter_map(|run| run.summary.as_ref()).collect();
        let across = Across::of(&summaries);
        let made = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        let asked = asked.unwrap_or(made);
        let warnings = warnings(&ordered, &complete, &across, (made, asked));
        let repeat = |run: &&Run| Repeat {
            id: run.id.clone(),
            status: run.status,
            seed: run.seed,
            plan_hash: run.plan_hash.clone(),
            verdict: run.certificate.as_ref().map(|certificate| certificate.verdict),
            complete: is_complete(run),
        };
        let runs = ordered.iter().map(repeat).collect();
        Ok(Self { version: VERSION, id, asked, pause_ns, runs, across, warnings })
    }

    /// How many runs count.
    #[must_use]
    pub fn complete(&self) -> usize {
        self.runs.iter().filter(|run| run.complete).count()
    }

    /// Its text: what [`read`] reads.
    ///
    /// # Panics
    /// Never: it has string keys and finite numbers only.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("string keys and finite numbers only");
        text.push('\n');
        text
    }

    /// Writes it beside the bundles in `folder`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), bundle::Error> {
        bundle::write_whole(folder, REPEATS, self.to_json().as_bytes())
    }
}

/// Whether a run has numbers, and they are of all that it was to do.
fn is_complete(run: &Run) -> bool {
    run.status == Status::Done && run.summary.is_some()
}

/// All are of one workload, and each is there once.
fn check(runs: &[Run]) -> Result<(), Error> {
    for (at, run) in runs.iter().enumerate() {
        if runs[..at].iter().any(|before| before.is_same_run(run)) {
            return Err(Error::Twice(run.id.clone()));
        }
        let differences = differences("", &runs[0].workload(), &run.workload());
        if !differences.is_empty() {
            return Err(Error::NotOneWorkload { one: runs[0].id.clone(), other: run.id.clone(), differences });
        }
    }
    Ok(())
}

fn warnings(runs: &[&Run], complete: &[&Run], across: &Across, (made, asked): (u32, u32)) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if made < asked {
        warnings.push(Warning::Fewer { made, asked });
    }
    for run in runs {
        let id = run.id.clone();
        match &run.certificate {
            _ if !is_complete(run) => warnings.push(Warning::LeftOut { id, status: run.status }),
            Some(certificate) if certificate.verdict == Verdict::Invalid => {
                warnings.push(Warning::Untrusted { id, verdict: certificate.verdict });
            }
            _ => {}
        }
    }
    let count = u32::try_from(complete.len()).unwrap_or(u32::MAX);
    if count < 2 {
        warnings.push(Warning::TooFew { complete: count });
    } else if complete.iter().all(|run| run.plan_hash == complete[0].plan_hash) {
        warnings.push(Warning::OnePlan);
    }
    if !across.disagreements.is_empty() {
        warnings.push(Warning::Disagree { what: across.disagreements.iter().map(ToString::to_string).collect() });
    }
    warnings
}

/// Reads `repeats.json` of a folder; nothing where there is none.
///
/// # Errors
/// It is of another version, or no such file at all.
pub fn read(folder: &Path) -> Result<Option<Repeats>, Error> {
    let path = folder.join(REPEATS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path, source }),
        Ok(text) => text,
    };
    let refuse = |why: String| Error::Repeats { path: path.clone(), why };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    match value["version"].as_u64() {
        Some(found) if found != u64::from(VERSION) => {
            Err(refuse(format!("it is of version {found}, and this plimsoll reads version {VERSION}")))
        }
        _ => serde_json::from_value(value).map(Some).map_err(|error| refuse(error.to_string())),
    }
}

/// The bundles that a folder is or holds, by name.
///
/// # Errors
/// There is none, or the folder can't be read.
pub fn bundles(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if folder.join(RUN).is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let refuse = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(Error::NoRun(folder.to_owned()));
        }
        other => other.map_err(refuse)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(refuse)?.path();
        if path.join(RUN).is_file() {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() { Err(Error::NoRun(folder.to_owned())) } else { Ok(found) }
}
