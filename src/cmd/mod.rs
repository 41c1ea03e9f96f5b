//! One file a subcommand; each ends in an [`Exit`].

use std::process::ExitCode;

pub mod check;
pub mod probe;
pub mod workload;

/// How a command ended, as its exit code tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something unexpected.
    Unexpected = 1,
    /// The command line or the profile is wrong.
    Usage = 2,
    /// The target can't be reached, or the preflight was refused.
    Unreachable = 3,
    /// Nothing completed.
    NothingCompleted = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
