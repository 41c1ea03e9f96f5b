//! What the rows of a bundle say beside their sums: where they contradict what the workers counted, and what their
//! reader should know before the numbers.

use std::collections::BTreeMap;

use super::run::{Harness, Run};
use crate::metrics::certificate::{CLIENT_LATE, LIMIT_REACHED, NO_SOCKET, WORKER_DIED};
use crate::metrics::summary::Settled;
use crate::metrics::{Buffered, Ledger, Outcome, Record, Summary, Warning};
use crate::stats::littles_law;

/// What is noted on the way through the rows, the warm-up included.
#[derive(Debug, Default)]
pub(super) struct Facts {
    ledger: Ledger,
    pub(super) events: u64,
    /// Those that have a lag.
    pub(super) lagged_events: u64,
    body_bytes: u64,
    first_ns: Option<u64>,
    last_ns: u64,
    new_connections: u64,
    without_chunks: u64,
    /// Rows whose parts don't add up.
    odd_parts: u64,
    pub(super) missed_by_limit: u64,
    pub(super) missed_by_client: u64,
    pub(super) missed_by_sockets: u64,
    held_up: u64,
    cut_by_drain: u64,
    buffered: Buffered,
    /// Chunks of users that read as fast as they came: who reads slowly holds them back himself.
    prompt_chunks: u64,
    /// When those began that got no answer at all, in nanoseconds, and how they ended.
    unanswered: Vec<(u64, &'static str)>,
    /// When the last one began that completed.
    last_to_complete_ns: Option<u64>,
}

impl Facts {
    pub(super) fn take(&mut self, record: &Record) {
        self.ledger.count(record.outcome);
        self.events += record.counts.events;
        self.lagged_events += if record.conduct.shows_the_client() { record.counts.events } else { 0 };
        self.body_bytes += record.counts.body_bytes;
        self.odd_parts += u64::from(!record.parts_add_up());
        if record.warmup {
            return;
        }
        if !record.outcome.was_started() {
            let is = |why: &str| u64::from(record.detail.as_deref() == Some(why));
            self.missed_by_limit += is(LIMIT_REACHED);
            self.missed_by_client += is(CLIENT_LATE);
            let no_socket = record.detail.as_deref().is_some_and(|why| why.starts_with(NO_SOCKET));
            self.missed_by_sockets += u64::from(no_socket);
        }
        if record.outcome == Outcome::NotStarted {
            return;
        }
        if record.outcome.is_completed() {
            self.last_to_complete_ns = self.last_to_complete_ns.max(record.stamps.started_ns);
        } else if let Some(began_ns) = record.stamps.started_ns.filter(|_| record.got_no_answer()) {
            self.unanswered.push((began_ns, record.outcome.kind()));
        }
        if record.conduct.read_bytes_per_s.is_none() {
            self.buffered.add(&record.buffered);
            self.prompt_chunks += record.counts.chunks;
        }
        let died = record.detail.as_deref() == Some(WORKER_DIED);
        self.cut_by_drain += u64::from(record.outcome == Outcome::Cut && !died);
        self.held_up += u64::from(record.conduct.admitted_ns.is_some());
        let began_ns = record.stamps.intended_ns;
        self.first_ns = Some(self.first_ns.map_or(began_ns, |first| first.min(began_ns)));
        self.last_ns = self.last_ns.max(record.stamps.last_known_ns);
        self.new_connections += u64::from(record.reused == Some(false));
        self.without_chunks += u64::from(record.outcome.is_completed() && record.counts.chunks == 0);
    }

    pub(super) fn span_ns(&self) -> u64 {
        self.first_ns.map_or(0, |first| self.last_ns.saturating_sub(first))
    }

    /// Whether the rows add up in themselves and to what the workers counted; a run without their count has nothing to
    /// hold against.
    pub(super) fn holds(&self, harness: Option<&Harness>) -> bool {
        let sums = harness.is_none_or(|harness| self.differences(harness).is_empty());
        self.ledger.adds_up() && self.odd_parts == 0 && sums
    }

    fn differences(&self, harness: &Harness) -> Vec<Warning> {
        [
            ("planned starts", self.ledger.planned, harness.planned),
            ("started invocations", self.ledger.started(), harness.started),
            ("events", self.events, harness.events),
            ("body bytes", self.body_bytes, harness.body_bytes),
        ]
        .into_iter()
        .filter(|(_, rows, workers)| rows != workers)
        .map(|(what, rows, workers)| Warning::SumsDiffer { what: what.to_owned(), rows, workers })
        .collect()
    }

    /// Whether the target was gone from some instant on: so many that began after the last one to complete got no answer
    /// that chance, as often as that happened before, does not explain it. Starts are held against starts: at the end of
    /// a run those that take longest are left over, and they are the ones that hang.
    fn gone(&self, completed: u64) -> Option<Warning> {
        let last_ns = self.last_to_complete_ns?;
        let after: Vec<_> =
            self.unanswered.iter().filter(|(began_ns, _)| *began_ns > last_ns).map(|(_, kind)| *kind).collect();
        let before = (self.unanswered.len() - after.len()) as f64;
        let share = (before + 1.0) / (before + completed as f64 + 1.0);
        if after.len() < GONE_FAILURES || share.powf(after.len() as f64) > GONE_CHANCE {
            return None;
        }
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        after.iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
        let (mostly, _) = kinds.into_iter().max_by_key(|(_, count)| *count)?;
        let after_ns = last_ns.saturating_sub(self.first_ns.unwrap_or(0));
        Some(Warning::TargetGone { after_ns, failed: after.len() as u64, mostly: mostly.to_owned() })
    }

    pub(super) fn warnings(&self, summary: &Summary, run: &Run, own_delay_ns: u64) -> Vec<Warning> {
        let mut warnings = run.harness.as_ref().map_or_else(Vec::new, |harness| self.differences(harness));
        let group = summary.overall();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let mut warn = |holds: bool, warning: Warning| {
            if holds {
                warnings.push(warning);
            }
        };
        warn(self.odd_parts > 0, Warning::PartsDiffer { count: self.odd_parts });
        match summary.settled {
            Settled::After(after_ns) => warn(true, Warning::Unsettled { after_ns: Some(after_ns) }),
            Settled::Never => warn(true, Warning::Unsettled { after_ns: None }),
            Settled::FromTheStart | Settled::TooShort => {}
        }
        let cut = self.cut_by_drain;
        warn(cut > 0, Warning::Cut { count: cut, drain_ns: run.drain_ns });
        let limited = group.ledger.of(Outcome::RateLimited);
        warn(limited > 0, Warning::RateLimited { count: limited });
        let shared = share(group.totals.shared_reads, group.totals.events);
        warn(shared > SHARED_READS_MAX, Warning::SharedReads { share: shared });
        // A stream that did not end well takes its connection with it, whoever closed it.
        let whole = [Outcome::Completed, Outcome::CheckFailed].map(|outcome| group.ledger.of(outcome));
        let broken = group.ledger.started() - whole.iter().sum::<u64>();
        // And each of those that stood side by side has a first use, in each of the runs that were joined.
        let stood = run.harness.as_ref().map_or(0, |harness| harness.sockets.connections_max);
        let places = stood * run.parts.len().max(1) as u64;
        let closed = self.new_connections.saturating_sub(broken).saturating_sub(places);
        let fresh = share(closed, self.new_connections + group.totals.reused_connections);
        warn(
            run.reuse && fresh > NEW_CONNECTIONS_MAX && group.totals.reused_connections > 0,
            Warning::NotReused { share: fresh },
        );
        warn(self.without_chunks > 0, Warning::NoChunks { count: self.without_chunks });
        warn(group.totals.foreign_events > 0, Warning::ForeignEvents { count: group.totals.foreign_events });
        warn(self.held_up > 0, Warning::HeldUp { count: self.held_up });
        let count = summary.warmup_rows;
        warn(count > 0 && group.ledger.planned == 0, Warning::AllWarmup { count });
        warnings.extend(self.buffered.judge(self.prompt_chunks, own_delay_ns));
        warnings.extend(self.gone(group.ledger.of(Outcome::Completed)));
        run.harness.iter().for_each(|harness| own_limits(harness, &mut warnings));
        if let Some(warning) = run.harness.as_ref().and_then(|harness| little(harness, self, summary)) {
            warnings.push(warning);
        }
        warnings
    }
}

/// Failures in a row at the end of a run that may be the target's end.
const GONE_FAILURES: usize = 10;
/// How likely a run of failures by chance may be, for it not to be held for one.
const GONE_CHANCE: f64 = 0.001;

/// What the workers, the budget and the tasks that were left behind give to know.
fn own_limits(harness: &Harness, warnings: &mut Vec<Warning>) {
    if harness.lost_workers > 0 {
        warnings.push(Warning::WorkersLost { count: harness.lost_workers, why: harness.lost_why.clone() });
    }
    warnings.extend(harness.budget_spent.map(|spent| Warning::BudgetSpent { spent }));
    warnings.extend(
        harness
            .aborted
            .as_ref()
            .map(|aborted| Warning::Aborted { objective: aborted.objective.clone(), at_ns: aborted.at_ns }),
    );
    if harness.put_off > 0 {
        warnings.push(Warning::PutOff { count: harness.put_off, ns: harness.put_off_ns });
    }
    if harness.holds > 0 {
        warnings.push(Warning::Braked { count: harness.holds, held_ns: harness.held_ns });
    }
    if harness.pauses_asked > harness.holds {
        warnings.push(Warning::PausesIgnored { count: harness.pauses_asked - harness.holds });
    }
    let sockets = &harness.sockets;
    if let Some(from) = sockets.ports_scarce_from.filter(|from| sockets.connections_max > *from) {
        warnings.push(Warning::PortsScarce { connections: sockets.connections_max, easily: from });
    }
    let stamps = &harness.stamps;
    if stamps.wall_steps > 0 {
        let (steps, step_ns_max, in_doubt) = (stamps.wall_steps, stamps.wall_step_ns_max, stamps.in_doubt);
        warnings.push(Warning::WallClockSet { steps, step_ns_max, in_doubt });
    }
    let left = &harness.tasks;
    if left.left > left.stopped {
        warnings.push(Warning::TasksLeft { left: left.left, stopped: left.stopped, why: left.why.clone() });
    }
}

/// The share of shared reads over which gaps mislead.
const SHARED_READS_MAX: f64 = 0.05;
/// The share of new connections over which reuse can be said to fail.
const NEW_CONNECTIONS_MAX: f64 = 0.5;
/// How far Little's two sides may lie apart, as a share of what is in flight.
const LITTLE_MAX: f64 = 0.01;

/// Little's law: the mean in flight that the workers clocked, against rate × mean time by the rows.
fn little(harness: &Harness, facts: &Facts, summary: &Summary) -> Option<Warning> {
    // With a warm-up the two are of different stretches.
    let span_s = facts.span_ns() as f64 / 1e9;
    if summary.warmup_rows > 0 || span_s <= 0.0 {
        return None;
    }
    let in_flight = harness.in_flight_ns as f64 / 1e9 / span_s;
    let rates = &summary.overall().rates;
    let time_mean_s = if rates.started_per_s > 0.0 { rates.mean_in_flight / rates.started_per_s } else { 0.0 };
    let off = littles_law(in_flight, rates.started_per_s, time_mean_s);
    let breach = off.is_none_or(|off| off.abs() > LITTLE_MAX);
    breach.then_some(Warning::Little { in_flight, product: rates.mean_in_flight })
}
