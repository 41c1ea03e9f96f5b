//! The ledger: every planned start, counted once by the way it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;

/// How many planned starts ended in which way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Planned starts: in closed load what was taken up and what `-n` still owed.
    pub planned: u64,
    /// By [`Outcome::kind`]; what did not happen is left out.
    pub outcomes: BTreeMap<String, u64>,
}

impl Ledger {
    /// Counts the end of one planned start.
    pub fn count(&mut self, outcome: Outcome) {
        self.planned += 1;
        *self.outcomes.entry(outcome.kind().to_owned()).or_default() += 1;
    }

    /// Counts what another ledger has counted.
    pub fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        for (kind, count) in &other.outcomes {
            *self.outcomes.entry(kind.clone()).or_default() += count;
        }
    }

    /// How many ended in this way; phases and statuses are one.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome.kind()).copied().unwrap_or_default()
    }

    /// How many were taken up.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.planned - self.of(Outcome::Dropped) - self.of(Outcome::NotStarted)
    }

    /// How many were taken up and did not complete.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.started() - self.of(Outcome::Completed) - self.of(Outcome::Cut) - self.of(Outcome::Abandoned)
    }

    /// Whether every planned start ended in exactly one way.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.outcomes.values().sum::<u64>() == self.planned
    }

    /// Completed ones among those that were given the time to complete, from 0 to 1; none when there were none.
    ///
    /// METRICS.md: completed / (planned − cut − abandoned − `not_started`).
    #[must_use]
    pub fn success(&self) -> Option<f64> {
        let unjudged = self.of(Outcome::Cut) + self.of(Outcome::Abandoned) + self.of(Outcome::NotStarted);
        let judged = self.planned - unjudged;
        (judged > 0).then(|| self.of(Outcome::Completed) as f64 / judged as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Phase;

    #[test]
    fn each_end_is_counted_once_and_the_sum_holds() {
        let mut ledger = Ledger::default();
        for outcome in [
            Outcome::Completed,
            Outcome::Completed,
            Outcome::TimedOut(Phase::Headers),
            Outcome::TimedOut(Phase::Total),
            Outcome::Cut,
            Outcome::NotStarted,
        ] {
            ledger.count(outcome);
        }
        assert!(ledger.adds_up());
        assert_eq!((ledger.planned, ledger.started(), ledger.failed()), (6, 5, 2));
        assert_eq!(ledger.of(Outcome::TimedOut(Phase::Connect)), 2, "phases are one row");
        assert_eq!(ledger.success(), Some(0.5));
        ledger.planned += 1;
        assert!(!ledger.adds_up());
        assert_eq!(Ledger::default().success(), None);
    }
}
