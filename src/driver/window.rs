//! When a load starts and stops.

use crate::profile::{Budget, Load, Model};

/// When a load starts and stops; instants in nanoseconds since the run's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first start; what an open load's instants count from.
    pub start_ns: u64,
    /// Over how long the slots of a closed load start, one after another, in nanoseconds.
    pub ramp_ns: u64,
    /// Over how long before `stop_ns` they end, one after another, in nanoseconds.
    pub ramp_down_ns: u64,
    /// Until when the intended starts belong to the warm-up.
    pub warmup_until_ns: u64,
    /// From when nothing more is started.
    pub stop_ns: Option<u64>,
    /// From when the budget lets nothing more start.
    pub budget_ns: Option<u64>,
    /// How long what is in flight may go on after that, in nanoseconds.
    pub drain_ns: u64,
}

impl Window {
    /// The window of a load that starts at `start_ns`.
    #[must_use]
    pub fn new(load: &Load, budget: &Budget, start_ns: u64) -> Self {
        let (ramp_ns, ramp_down_ns) = match load.model {
            Model::Closed { ramp_ns, ramp_down_ns, .. } => (ramp_ns, ramp_down_ns),
            Model::Open { .. } => (0, 0),
        };
        let after = |length_ns: u64| start_ns.saturating_add(length_ns);
        Self {
            start_ns,
            ramp_ns,
            ramp_down_ns,
            warmup_until_ns: after(load.warmup_ns),
            stop_ns: load.duration_ns.map(after),
            budget_ns: budget.duration_ns.map(after),
            drain_ns: load.drain_ns,
        }
    }

    /// From when nothing more is started, whoever says so.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.stop_ns.unwrap_or(u64::MAX).min(self.budget_ns.unwrap_or(u64::MAX))
    }

    /// When slot `number` of `slots` starts and stops.
    #[must_use]
    pub fn slot(&self, number: u32, slots: u32) -> (u64, Option<u64>) {
        let part = |ramp_ns: u64, number: u32| {
            let part = u128::from(ramp_ns) * u128::from(number) / u128::from(slots.max(1));
            u64::try_from(part).expect("a part of a ramp is no longer than it")
        };
        let left_ns = self.ramp_down_ns - part(self.ramp_down_ns, number + 1);
        let stop_ns = self.stop_ns.map(|stop_ns| stop_ns.saturating_sub(left_ns));
        (self.start_ns + part(self.ramp_ns, number), stop_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_start_and_stop_one_after_another() {
        let window = Window {
            start_ns: 100,
            ramp_ns: 40,
            ramp_down_ns: 80,
            warmup_until_ns: 100,
            stop_ns: Some(1_100),
            budget_ns: None,
            drain_ns: 0,
        };
        let told: Vec<_> = (0..4).map(|number| window.slot(number, 4)).collect();
        assert_eq!(told, [(100, Some(1_040)), (110, Some(1_060)), (120, Some(1_080)), (130, Some(1_100))]);
    }
}
