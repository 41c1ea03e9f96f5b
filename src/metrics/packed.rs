//! The rows of a run on their way to the summary: what tells each apart. Its observations are in the columns.

use std::borrow::Cow;

use super::outcome::Outcome;
use super::record::Record;

/// The scenario of a row that has none.
pub(super) const NO_SCENARIO: u16 = u16::MAX;

/// Whose rows are summed up: those of all, or those under one name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    All,
    Variant(usize),
    Scenario(usize),
}

/// The rows of a run by their place, which is that in which they came.
#[derive(Debug, Default)]
pub(super) struct Rows {
    packed: Vec<Packed>,
    /// Of each row, until nobody asks any more.
    intended_ns: Vec<u64>,
    /// Of each row, until they are in order.
    plan_index: Vec<u64>,
    /// Their places in order of intended start; as they came until they are put in order.
    order: Vec<u32>,
}

/// One row, in eight bytes.
#[derive(Debug)]
pub(super) struct Packed {
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

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    pub(super) fn push(&mut self, record: &Record, packed: Packed) {
        self.order.push(u32::try_from(self.packed.len()).expect("rows are counted in 32 bits"));
        self.packed.push(packed);
        self.intended_ns.push(record.stamps.intended_ns);
        self.plan_index.push(record.plan_index);
    }

    /// Puts them in order of intended start: what neighbours in time have in common must lie side by side.
    pub(super) fn put_in_order(&mut self) {
        let Self { intended_ns, plan_index, order, .. } = self;
        order.sort_by_key(|row| (intended_ns[*row as usize], plan_index[*row as usize]));
        *plan_index = Vec::new();
    }

    /// When the row at a place was meant to start, in nanoseconds.
    pub(super) fn intended_ns(&self, place: u32) -> u64 {
        self.intended_ns[place as usize]
    }

    /// Nobody will ask when a row was meant to start.
    pub(super) fn forget_starts(&mut self) {
        self.intended_ns = Vec::new();
    }

    /// The places of rows in order.
    pub(super) fn of(&self, whose: Whose) -> Cow<'_, [u32]> {
        match whose {
            Whose::All => Cow::Borrowed(&self.order),
            _ => self.order.iter().copied().filter(|place| self.at(*place).is(whose)).collect(),
        }
    }

    /// The row at a place.
    pub(super) fn at(&self, place: u32) -> &Packed {
        &self.packed[place as usize]
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
