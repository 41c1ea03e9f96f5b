//! What is wrong with a profile, where it was written, and what to write instead.

use std::fmt;

use thiserror::Error;

use crate::metrics::check::NotAPattern;
use crate::metrics::objective::NotAnObjective;

/// Where a value of a profile was written; a later kind beats an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On this line of the file, counted from 1.
    File(usize),
    /// In this environment variable.
    Env(String),
    /// In `--set KEY=VALUE`.
    Set,
    /// With this flag, such as `-c`.
    Flag(&'static str),
}

impl Origin {
    /// Which origin wins: flag and `--set` > environment > file.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::File(_) => 1,
            Self::Env(_) => 2,
            Self::Set | Self::Flag(_) => 3,
        }
    }
}

/// One mistake: where, in which key, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written; absent when it is what was not written that is wrong.
    pub origin: Option<Origin>,
    /// The full dotted key, or nothing when the text is no TOML at all.
    pub key: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file is no TOML here.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// Nobody reads this key.
    #[error("unknown key{}", nearest.as_ref().map(|key| format!("; did you mean {key}?")).unwrap_or_default())]
    Unknown {
        /// The known key that is most like it.
        nearest: Option<String>,
    },
    /// A key without which there is no load.
    #[error("missing: {remedy}")]
    Missing {
        /// What to write.
        remedy: &'static str,
    },
    /// A value that this key cannot have.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What it can have, with an example.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A value whose text may be secret, so that it is not repeated.
    #[error("expected {expected} (what stands there is not shown, since it may be secret)")]
    Hidden {
        /// What it can have, with an example.
        expected: String,
    },
    /// An objective that is none.
    #[error(transparent)]
    Objective(NotAnObjective),
    /// A regular expression that is none.
    #[error(
        "{text:?} is no regular expression: {error}; a character that means itself takes a backslash before it, in TOML in 'single quotes'"
    )]
    Pattern {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        error: NotAPattern,
    },
    /// Two values that cannot both hold.
    #[error("{reason}; {remedy}")]
    Contradiction {
        /// Why not.
        reason: String,
        /// Which one to change, and how.
        remedy: &'static str,
    },
    /// A file that this key names can't be used.
    #[error("read {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// Why not, and where in it.
        why: String,
    },
    /// An API key that would end up in a file, a process list or a shell's history.
    #[error(
        "an API key does not belong here: put it into the environment (XPANDER_API_KEY) or into a file (target.key_file)"
    )]
    KeyHere,
}

/// Every mistake that was found, one a line, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Problems {
    /// What the profile's text is called.
    pub file: String,
    /// At least one.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            problem.write(&self.file, out)?;
        }
        Ok(())
    }
}

impl Problem {
    fn write(&self, file: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            None => write!(out, "{file}: ")?,
            Some(Origin::File(line)) => write!(out, "{file}:{line}: ")?,
            Some(Origin::Env(name)) => write!(out, "{name}: ")?,
            Some(Origin::Set) => write!(out, "--set: ")?,
            Some(Origin::Flag(flag)) => write!(out, "flag {flag}: ")?,
        }
        if !self.key.is_empty() {
            write!(out, "{}: ", printable(&self.key))?;
        }
        write!(out, "{}", printable(&self.fault.to_string()))
    }
}

/// The text with control characters escaped, so that a file cannot steer the terminal that shows its mistakes.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
