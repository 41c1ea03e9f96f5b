//! A row on its way to the summary: what tells it apart. Its observations are in the columns.

use super::outcome::Outcome;

/// The scenario of a row that has none.
pub(super) const NO_SCENARIO: u16 = u16::MAX;

/// Whose rows are summed up: those of all, or those under one name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    All,
    Variant(usize),
    Scenario(usize),
}

/// One row, in 24 bytes.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) intended_ns: u64,
    pub(super) plan_index: u64,
    pub(super) variant: u32,
    /// [`NO_SCENARIO`] where there is none.
    pub(super) scenario: u16,
    pub(super) lot: Lot,
    pub(super) stalled: bool,
}

/// What became of a row, as far as shares ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lot {
    /// Completed within every latency objective.
    Good,
    Completed,
    Failed,
    /// In flight when something from outside ended it.
    CutOff,
    Dropped,
    NotStarted,
}

impl Lot {
    /// The lot of an outcome; `good` says whether every latency objective was kept.
    pub(super) fn of(outcome: Outcome, good: bool) -> Self {
        match (outcome.was_started(), outcome.censors()) {
            _ if outcome.is_completed() && good => Self::Good,
            _ if outcome.is_completed() => Self::Completed,
            (true, false) => Self::Failed,
            (true, true) => Self::CutOff,
            (false, false) => Self::Dropped,
            (false, true) => Self::NotStarted,
        }
    }
}

impl Packed {
    pub(super) fn is_good(&self) -> bool {
        self.lot == Lot::Good
    }

    pub(super) fn is_completed(&self) -> bool {
        matches!(self.lot, Lot::Good | Lot::Completed)
    }

    /// Whether it had the time to complete: neither cut off from outside nor never started.
    pub(super) fn is_judged(&self) -> bool {
        !matches!(self.lot, Lot::CutOff | Lot::NotStarted)
    }

    pub(super) fn was_started(&self) -> bool {
        !matches!(self.lot, Lot::Dropped | Lot::NotStarted)
    }

    pub(super) fn is(&self, whose: Whose) -> bool {
        whose.holds(self.variant, self.scenario)
    }
}

impl Whose {
    /// Whether what is of this variant and scenario counts.
    pub(super) fn holds(self, variant: u32, scenario: u16) -> bool {
        match self {
            Self::All => true,
            Self::Variant(at) => variant as usize == at,
            Self::Scenario(at) => usize::from(scenario) == at,
        }
    }
}
