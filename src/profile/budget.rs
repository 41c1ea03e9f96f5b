//! What a run may cost at most, and whether a target may be loaded without saying so.

use super::{Fault, Problem, Problems, Profile};
use crate::units::Rate;

/// What a run may cost at most; it is stopped there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Invocations that are started.
    pub invocations: Option<u64>,
    /// Time over which they are started, in nanoseconds.
    pub duration_ns: Option<u64>,
    /// Conversations at a time.
    pub in_flight: Option<u32>,
    /// How often something may be started, whatever the load asks for.
    pub rate: Option<Rate>,
    /// Whether the target's 429 (and its `Retry-After`) holds all starts up.
    pub brake: bool,
    /// Invocations that fail one after another.
    pub failures_in_a_row: Option<u64>,
    /// Somebody has said how much this run may be: in `[budget]`, or with `-c` and one of `-n` and `-z`.
    pub is_explicit: bool,
}

impl Budget {
    /// What is left after a run that started so many invocations and took so long.
    #[must_use]
    pub fn less(self, started: u64, run_ns: u64) -> Self {
        Self {
            invocations: self.invocations.map(|most| most.saturating_sub(started)),
            duration_ns: self.duration_ns.map(|most_ns| most_ns.saturating_sub(run_ns)),
            ..self
        }
    }

    /// Whether it lets nothing more start.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.invocations == Some(0) || self.duration_ns == Some(0)
    }
}

impl Profile {
    /// Whether the load may be sent: a target that is not this machine needs a budget.
    ///
    /// # Errors
    /// The target is somebody's, and nobody has said how much may be sent there.
    pub fn permits_load(&self) -> Result<(), Problems> {
        if self.budget.is_explicit || self.target.is_here() {
            return Ok(());
        }
        let remedy = "a target that is not this machine is loaded only within a budget: set invocations or duration, and in_flight, in [budget], or give -c with -n or -z";
        let problem = Problem { origin: None, key: "budget".into(), fault: Fault::Missing { remedy } };
        Err(Problems { file: self.name.clone(), list: vec![problem] })
    }
}
