//! One file a subcommand; each ends in an [`Exit`].

use std::io;
use std::process::ExitCode;

use crate::client::preflight;
use crate::driver::Stop;
use crate::runfile::{bundle, merge as merge_of};

pub mod calibrate;
pub mod check;
mod ending;
pub mod endpoint;
pub mod merge;
pub mod mock;
pub mod output;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod provenance;
pub mod repeat;
pub mod report;
pub mod run;
pub mod signals;
pub mod sse;
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
    /// Stopped by its budget; the bundle is complete up to there.
    BudgetSpent = 5,
    /// An objective is neither met nor missed for certain.
    Inconclusive = 6,
    /// The harness's own error is too large for the numbers to mean anything.
    Invalid = 8,
    /// A file or the output could not be written.
    Unwritable = 9,
    /// An objective was missed (k6's number).
    ObjectiveMissed = 99,
    /// Interrupted; the bundle is complete up to there.
    Interrupted = 130,
    /// Terminated; the bundle is complete up to there.
    Terminated = 143,
}

/// An error with its causes, each told once: some texts name their cause themselves. It can't steer the terminal, whoever
/// wrote it; lines stay lines.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let text = error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text {
        text if text.contains(&cause) => text,
        text if text.is_empty() => cause,
        text => format!("{text}: {cause}"),
    });
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// When several hold, the first of these decides.
const PRECEDENCE: [Exit; 12] = [
    Exit::Interrupted,
    Exit::Terminated,
    Exit::Unwritable,
    Exit::Usage,
    Exit::Unreachable,
    Exit::Unexpected,
    Exit::BudgetSpent,
    Exit::NothingCompleted,
    Exit::Invalid,
    Exit::ObjectiveMissed,
    Exit::Inconclusive,
    Exit::Done,
];

impl Exit {
    /// How a command ends of which parts ended like this and like `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        PRECEDENCE.into_iter().find(|exit| *exit == self || *exit == other).unwrap_or(self)
    }

    /// How a command ends that failed: by what the user wrote, by the target, or by something unexpected.
    #[must_use]
    pub fn of_failure(error: &anyhow::Error) -> Self {
        if error.is::<bundle::Error>() || matches!(error.downcast_ref(), Some(merge_of::Error::Write(_))) {
            return Self::Unwritable;
        }
        match error.downcast_ref::<preflight::Error>() {
            Some(_) => Self::Unreachable,
            // A bare I/O error is a write that failed; a file of the user's that can't be read comes with a context
            // that names it.
            None if error.is::<io::Error>() && error.chain().count() == 1 => Self::Unwritable,
            None => Self::Usage,
        }
    }
}

impl From<Stop> for Exit {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Interrupt => Self::Interrupted,
            Stop::Terminate => Self::Terminated,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_first_of_the_documented_order_decides() {
        let codes = |exits: &[Exit]| exits.iter().fold(Exit::Done, |all, one| all.or(*one));
        assert_eq!(codes(&[]), Exit::Done);
        assert_eq!(codes(&[Exit::Done, Exit::Inconclusive, Exit::Done]), Exit::Inconclusive);
        assert_eq!(codes(&[Exit::Invalid, Exit::ObjectiveMissed]), Exit::Invalid);
        assert_eq!(codes(&[Exit::Unwritable, Exit::Terminated, Exit::BudgetSpent]), Exit::Terminated);
    }

    #[test]
    fn a_failure_ends_with_the_code_of_its_cause() {
        let refused = Err::<(), _>(preflight::Error::WrongKey { base: "http://a".into() }).context("failed to start");
        assert_eq!(Exit::of_failure(&refused.expect_err("refused")), Exit::Unreachable);
        let write = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Exit::of_failure(&write().into()), Exit::Unwritable);
        let unread = Err::<(), _>(write()).context("failed to read the profile x.toml").expect_err("unread");
        assert_eq!(Exit::of_failure(&unread), Exit::Usage);
        assert_eq!(Exit::of_failure(&anyhow::anyhow!("no target is named")), Exit::Usage);
    }
}
