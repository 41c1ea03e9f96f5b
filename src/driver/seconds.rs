//! The seconds of a run: what the workers report of each, put together once all have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::machine::{self, CpuTicks};
use super::message::Progress;
use crate::metrics::{Outcome, Parts};
use crate::runfile::intervals::Interval;
use crate::units::NS_PER_S;

/// A second that is whole.
#[derive(Debug)]
pub struct Closed {
    /// Its row.
    pub interval: Interval,
    /// What was recorded in it.
    pub parts: Parts,
}

/// The seconds that are not whole yet.
#[derive(Debug, Default)]
pub struct Seconds {
    open: BTreeMap<u64, Open>,
    next: u64,
    /// The workers that have not ended.
    running: BTreeSet<u32>,
    workers: BTreeMap<u32, Progress>,
    ticks: Option<CpuTicks>,
}

#[derive(Debug, Default)]
struct Open {
    workers: BTreeMap<u32, Progress>,
    parts: Parts,
}

impl Seconds {
    /// A run of so many workers that begins now.
    #[must_use]
    pub fn new(workers: u32) -> Self {
        Self { ticks: machine::cpu_ticks(), running: (0..workers).collect(), ..Self::default() }
    }

    /// A worker's report of a whole second.
    pub fn report(&mut self, second: u64, worker: u32, progress: Progress, parts: Parts) {
        let open = self.open.entry(second).or_default();
        open.workers.insert(worker, progress);
        open.parts.merge(parts);
    }

    /// What a worker that has ended had not reported yet: it belongs to the second that it ended in, and an instant to
    /// the second that it ends.
    pub fn last_report(&mut self, now_ns: u64, worker: u32, progress: Progress, parts: Parts) {
        self.running.remove(&worker);
        let open = self.open.entry((now_ns.saturating_sub(1) / NS_PER_S).max(self.next)).or_default();
        open.workers.insert(worker, progress);
        open.parts.merge(parts);
    }

    /// The next second that every worker has reported that has not ended; none when one is still missing.
    pub fn close(&mut self) -> Option<Closed> {
        let (&second, open) = self.open.first_key_value()?;
        let reported = |worker: &u32| open.workers.contains_key(worker);
        let whole = !self.running.is_empty() && self.running.iter().all(reported);
        if whole { self.close_next(second, NS_PER_S) } else { None }
    }

    /// The next second whoever has reported it, of a run that has ended at `end_ns`.
    pub fn close_any(&mut self, end_ns: u64) -> Option<Closed> {
        let (&second, _) = self.open.first_key_value()?;
        self.close_next(second, Interval::length_ns(second, end_ns))
    }

    fn close_next(&mut self, second: u64, length_ns: u64) -> Option<Closed> {
        let open = self.open.remove(&second)?;
        let before = Progress::sum(self.workers.values());
        let mut worker_cpu_max: Option<f64> = None;
        for (worker, now) in open.workers {
            let then = self.workers.insert(worker, now).unwrap_or_default();
            let share = now.cpu_ns.saturating_sub(then.cpu_ns) as f64 / length_ns.max(1) as f64;
            worker_cpu_max = Some(worker_cpu_max.map_or(share, |most| most.max(share)));
        }
        let after = Progress::sum(self.workers.values());
        let ticks = machine::cpu_ticks();
        let machine_cpu = ticks.zip(self.ticks).and_then(|(now, then)| now.since(then));
        self.ticks = ticks;
        self.next = second + 1;
        let interval = Interval {
            length_ns,
            worker_cpu_max: worker_cpu_max.filter(|_| length_ns > 0),
            machine_cpu: machine_cpu.map(|cpu| cpu.busy),
            steal: machine_cpu.map(|cpu| cpu.stolen),
            ..interval(second, before, after, &open.parts)
        };
        Some(Closed { interval, parts: open.parts })
    }
}

/// The row of a second that began at `before` and ended at `after`.
fn interval(second: u64, before: Progress, after: Progress, parts: &Parts) -> Interval {
    let row = Interval {
        second,
        in_flight: after.in_flight,
        started: after.started - before.started,
        finished: parts.finished.values().sum(),
        completed: parts.finished.get(Outcome::Completed.kind()).copied().unwrap_or_default(),
        events: after.events - before.events,
        body_bytes: after.body_bytes - before.body_bytes,
        ..Interval::default()
    };
    row.with_quantiles(|series| Cow::Owned(parts.all(series)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(started: u64, in_flight: u64) -> Progress {
        Progress { started, in_flight, ..Progress::default() }
    }

    #[test]
    fn a_second_is_whole_when_every_running_worker_has_reported_it() {
        let mut seconds = Seconds::new(2);
        seconds.report(0, 0, progress(5, 2), Parts::default());
        assert!(seconds.close().is_none());
        seconds.report(1, 0, progress(9, 1), Parts::default());
        seconds.report(0, 1, progress(4, 4), Parts::default());
        let first = seconds.close().expect("both have reported");
        assert_eq!((first.interval.second, first.interval.started, first.interval.in_flight), (0, 9, 6));
        assert!(seconds.close().is_none());
        seconds.last_report(1_200_000_000, 1, progress(6, 0), Parts::default());
        let second = seconds.close().expect("the other one has ended");
        assert_eq!((second.interval.second, second.interval.started, second.interval.in_flight), (1, 6, 1));
    }

    #[test]
    fn a_second_waits_for_whoever_runs_even_when_one_that_reported_it_has_ended() {
        let mut seconds = Seconds::new(2);
        seconds.report(0, 1, progress(4, 4), Parts::default());
        seconds.last_report(1_000_000_001, 1, progress(4, 0), Parts::default());
        assert!(seconds.close().is_none(), "worker 0 has not reported it");
        seconds.report(0, 0, progress(5, 2), Parts::default());
        assert_eq!(seconds.close().expect("now it has").interval.started, 9);
    }

    #[test]
    fn a_second_in_which_more_starts_prove_unmade_than_are_taken_up_has_its_own_count() {
        let mut seconds = Seconds::new(1);
        let unmade = Progress { unmade: 3, ..progress(5, 2) };
        seconds.report(0, 0, progress(5, 5), Parts::default());
        seconds.report(1, 0, unmade, Parts::default());
        let rows: Vec<_> = std::iter::from_fn(|| seconds.close()).map(|closed| closed.interval.started).collect();
        assert_eq!((rows, unmade.made()), (vec![5, 0], 2));
    }

    #[test]
    fn at_the_end_nothing_is_left() {
        let mut seconds = Seconds::new(1);
        seconds.report(3, 0, progress(1, 1), Parts::default());
        seconds.last_report(4_250_000_000, 0, progress(2, 0), Parts::default());
        assert!(seconds.close().is_none());
        let told = |closed: Closed| (closed.interval.started, closed.interval.span_ns());
        let closed: Vec<_> = std::iter::from_fn(|| seconds.close_any(4_250_000_000)).map(told).collect();
        let (whole, last) = ((3_000_000_000, 4_000_000_000), (4_000_000_000, 4_250_000_000));
        assert_eq!(closed, [(1, whole), (1, last)]);
    }
}
