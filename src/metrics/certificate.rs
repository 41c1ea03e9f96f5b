//! The certificate: the run's measured self-error, and whether its numbers can be trusted (METRICS.md, "Certificate").

use std::fmt;

use serde::{Deserialize, Serialize};

use super::burst::Burst;
pub use super::reason::Reason;
use super::reason::{BUSY, Figure};
use crate::units::NS_PER_MS;

/// Client lag p99 up to which a run is trusted, in nanoseconds.
const CLIENT_LAG_MAX_NS: u64 = 20 * NS_PER_MS;
/// The least stamp error and start lag (p99) that spoil a run, in nanoseconds.
pub const ERROR_FLOOR_NS: u64 = NS_PER_MS;
/// The share of the plan's starts that a trusted run has made.
const STARTS_MADE_MIN: f64 = 0.99;
/// The share under which a run is invalid.
const STARTS_MADE_INVALID: f64 = 0.90;
/// So many times over a limit, a run is invalid.
const INVALID_TIMES: u64 = 10;
/// The share of events in shared reads from which the 99th percentile of the stamp error is one of theirs.
const SHARED_IS_P99: f64 = 0.01;
/// A metric whose median is under so many times the stamp error is marked.
const MARKED_UNDER_TIMES: u64 = 100;

/// Why a start was not made although its instant came, as its row says it: the in-flight limit.
pub const LIMIT_REACHED: &str = "the in-flight limit was reached";
/// The same: the client.
pub const CLIENT_LATE: &str = "its instant came, but the client did not get to it";
/// The same: no connection could be made, for want of a port or a descriptor on this side. The cause stands behind it.
pub const NO_SOCKET: &str = "this machine had no port or descriptor left for its connection";
/// The same: the budget, which is no shortcoming of anybody's.
pub const BUDGET_HELD: &str = "the budget held it up until the run ended";
/// Why an invocation was cut that no drain cut.
pub const WORKER_DIED: &str = "its worker died; what it had seen of it is lost";

/// Which clock an event's time is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArrivalClock {
    /// The kernel's receive stamp.
    Kernel,
    /// Ours, right after the read.
    User,
}

/// Whether a run's numbers can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The harness's own error is small against what it measured.
    Trusted,
    /// It is not negligible: read the reasons.
    Degraded,
    /// The numbers say more about the harness than about the target.
    Invalid,
}

/// What a run measured of itself; times in nanoseconds, shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SelfError {
    /// Which clock the arrival stamps are from.
    pub arrival_clock: ArrivalClock,
    /// The error of an arrival stamp.
    pub stamp_error_ns_p99: Option<u64>,
    /// Started − intended.
    pub start_lag_ns_p99: Option<u64>,
    /// Handled − arrived.
    pub client_lag_ns_p99: Option<u64>,
    /// Events that were not the last of their read.
    pub shared_reads: f64,
    /// Starts that were made of those whose instant came.
    pub starts_made: f64,
    /// The most starts at once; absent where they were in time.
    #[serde(default)]
    pub burst: Option<Burst>,
    /// Starts that the in-flight limit kept from being made.
    pub missed_by_limit: u64,
    /// Starts that the client did not get to.
    pub missed_by_client: u64,
    /// Starts for whose connection this machine had no port or descriptor left.
    #[serde(default)]
    pub missed_by_sockets: u64,
    /// Ports that were left when there were the most connections.
    #[serde(default)]
    pub ports_left: Option<u64>,
    /// Descriptors that were left then.
    #[serde(default)]
    pub descriptors_left: Option<u64>,
    /// How many conversations at a time the limit on open files allowed; absent where something else was the limit.
    #[serde(default)]
    pub in_flight_by_files: Option<u64>,
    /// The smaller median of time to first chunk and time to finish, from intended.
    pub smaller_median_ns: Option<u64>,
    /// Each worker's share of a core.
    pub worker_cpu: Vec<f64>,
    /// The machine's busy share.
    pub machine_cpu: Option<f64>,
    /// What the hypervisor took away.
    pub steal: Option<f64>,
    /// Whether every planned start has exactly one end, and the rows are what the workers counted.
    pub ledger_holds: bool,
    /// Workers that died.
    #[serde(default)]
    pub lost_workers: u32,
}

/// The verdict on a run, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not better.
    pub reasons: Vec<Reason>,
    /// The limit on stamp error and start lag that applied, in nanoseconds.
    pub limit_ns: u64,
    /// What it rests on.
    pub measured: SelfError,
}

impl SelfError {
    /// What a figure is over for, where the plan or the target had it so: starts that came too thick, and the share of
    /// events of whose read the kernel has stamped another one.
    fn causes(&self, figure: Figure) -> (Option<Burst>, Option<f64>) {
        let is_shared = self.arrival_clock == ArrivalClock::Kernel && self.shared_reads >= SHARED_IS_P99;
        match figure {
            Figure::StartLag => (self.burst.filter(|burst| burst.is_too_dense()), None),
            Figure::StampError => (None, is_shared.then_some(self.shared_reads)),
            Figure::ClientLag => (None, None),
        }
    }
}

impl Certificate {
    /// Judges what a run measured of itself.
    #[must_use]
    pub fn judge(measured: SelfError) -> Self {
        let limit_ns = ERROR_FLOOR_NS.max(measured.smaller_median_ns.unwrap_or(0) / 100);
        let busiest_worker = measured.worker_cpu.iter().copied().reduce(f64::max);
        let busy_workers = measured.worker_cpu.iter().filter(|share| **share > BUSY).count();
        let figures = [
            (Figure::StampError, measured.stamp_error_ns_p99, limit_ns),
            (Figure::StartLag, measured.start_lag_ns_p99, limit_ns),
            (Figure::ClientLag, measured.client_lag_ns_p99, CLIENT_LAG_MAX_NS),
        ];
        let mut verdict = Verdict::Trusted;
        let mut reasons = Vec::new();
        for (figure, p99_ns, limit_ns) in figures {
            let Some(p99_ns) = p99_ns.filter(|p99| *p99 > limit_ns) else { continue };
            let invalid = p99_ns > limit_ns.saturating_mul(INVALID_TIMES);
            verdict = verdict.max(if invalid { Verdict::Invalid } else { Verdict::Degraded });
            let (machine_cpu, (burst, shared_reads)) = (measured.machine_cpu, measured.causes(figure));
            reasons.push(Reason::Over {
                figure,
                p99_ns,
                limit_ns,
                busiest_worker,
                busy_workers,
                machine_cpu,
                burst,
                shared_reads,
            });
        }
        let missed = if measured.starts_made < STARTS_MADE_INVALID { Verdict::Invalid } else { Verdict::Degraded };
        if measured.missed_by_sockets > 0 {
            verdict = verdict.max(missed);
            reasons.push(Reason::SocketsShort {
                count: measured.missed_by_sockets,
                made: measured.starts_made,
                ports_left: measured.ports_left,
                descriptors_left: measured.descriptors_left,
            });
        }
        let (made, by_client) = (measured.starts_made, measured.missed_by_client);
        let (by_limit, by_files) = match measured.in_flight_by_files {
            Some(_) => (0, measured.missed_by_limit),
            None => (measured.missed_by_limit, 0),
        };
        if made < STARTS_MADE_MIN && by_limit + by_client > 0 {
            verdict = verdict.max(missed);
            reasons.push(Reason::StartsMissed { made, by_limit, by_client });
        }
        if let Some(conversations) = measured.in_flight_by_files.filter(|_| made < STARTS_MADE_MIN && by_files > 0) {
            verdict = verdict.max(missed);
            reasons.push(Reason::FilesShort { count: by_files, made, conversations });
        }
        if measured.lost_workers > 0 {
            verdict = Verdict::Invalid;
            reasons.push(Reason::WorkersLost { count: measured.lost_workers });
        }
        if !measured.ledger_holds {
            verdict = Verdict::Invalid;
            reasons.push(Reason::LedgerBroken);
        }
        if measured.start_lag_ns_p99.is_none() {
            verdict = verdict.max(Verdict::Degraded);
            reasons.push(Reason::NothingMeasured);
        }
        Self { verdict, reasons, limit_ns, measured }
    }
}

impl Certificate {
    /// The same without the histograms that it ought to rest on.
    #[must_use]
    pub fn without_histograms(mut self) -> Self {
        self.verdict = self.verdict.max(Verdict::Degraded);
        self.reasons.push(Reason::HistogramsMissing);
        self
    }

    /// Whether a metric of this median, in nanoseconds, is so short that the stamp error matters to it.
    #[must_use]
    pub fn marks(&self, median_ns: Option<u64>) -> bool {
        let error_ns = self.measured.stamp_error_ns_p99.unwrap_or(0);
        median_ns.is_some_and(|median_ns| median_ns < error_ns.saturating_mul(MARKED_UNDER_TIMES))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Trusted => "TRUSTED",
            Self::Degraded => "DEGRADED",
            Self::Invalid => "INVALID",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> SelfError {
        SelfError {
            arrival_clock: ArrivalClock::User,
            stamp_error_ns_p99: Some(200_000),
            start_lag_ns_p99: Some(300_000),
            client_lag_ns_p99: Some(200_000),
            shared_reads: 0.0,
            starts_made: 1.0,
            burst: None,
            missed_by_limit: 0,
            missed_by_client: 0,
            missed_by_sockets: 0,
            ports_left: Some(28_000),
            descriptors_left: Some(19_000),
            in_flight_by_files: None,
            smaller_median_ns: Some(250 * NS_PER_MS),
            worker_cpu: vec![0.2, 0.97],
            machine_cpu: Some(0.4),
            steal: Some(0.0),
            ledger_holds: true,
            lost_workers: 0,
        }
    }

    #[test]
    fn a_small_error_is_trusted_and_the_limit_grows_with_what_is_measured() {
        let judged = Certificate::judge(good());
        assert_eq!((judged.verdict, judged.limit_ns, judged.reasons.len()), (Verdict::Trusted, 2_500_000, 0));
        let short = Certificate::judge(SelfError { smaller_median_ns: Some(NS_PER_MS), ..good() });
        assert_eq!(short.limit_ns, NS_PER_MS, "never under a millisecond");
    }

    #[test]
    fn each_limit_has_its_two_steps() {
        let at = |change: fn(&mut SelfError, u64), ns: u64| {
            let mut measured = good();
            change(&mut measured, ns);
            Certificate::judge(measured).verdict
        };
        let start_lag: fn(&mut SelfError, u64) = |measured, ns| measured.start_lag_ns_p99 = Some(ns);
        let client_lag: fn(&mut SelfError, u64) = |measured, ns| measured.client_lag_ns_p99 = Some(ns);
        for (change, limit) in [(start_lag, 2_500_000), (client_lag, 20_000_000)] {
            assert_eq!(at(change, limit), Verdict::Trusted);
            assert_eq!(at(change, limit + 1), Verdict::Degraded);
            assert_eq!(at(change, limit * 10), Verdict::Degraded);
            assert_eq!(at(change, limit * 10 + 1), Verdict::Invalid);
        }
        for (made, verdict) in [(0.99, Verdict::Trusted), (0.95, Verdict::Degraded), (0.89, Verdict::Invalid)] {
            assert_eq!(
                Certificate::judge(SelfError { starts_made: made, missed_by_client: 1, ..good() }).verdict,
                verdict,
                "{made}"
            );
        }
        // One start for which nothing was left is one too many, as it says nothing of the target.
        for (made, verdict) in [(0.999, Verdict::Degraded), (0.89, Verdict::Invalid)] {
            let measured = SelfError { starts_made: made, missed_by_sockets: 1, ..good() };
            let judged = Certificate::judge(measured);
            assert_eq!((judged.verdict, judged.reasons.len()), (verdict, 1), "{made}");
        }
        assert_eq!(Certificate::judge(SelfError { ledger_holds: false, ..good() }).verdict, Verdict::Invalid);
    }

    #[test]
    fn where_descriptors_were_the_limit_they_are_named() {
        let measured = SelfError {
            starts_made: 0.5,
            missed_by_limit: 70,
            missed_by_client: 0,
            in_flight_by_files: Some(112),
            ..good()
        };
        let judged = Certificate::judge(measured);
        assert_eq!((judged.verdict, judged.reasons.len()), (Verdict::Invalid, 1));
        insta::assert_snapshot!(judged.reasons[0], @"only 50.0 % of the plan's starts were made; 70 found no place, as the limit on open files allows 112 conversations at a time: raise it (ulimit -n, up to ulimit -Hn), or lower the rate");
    }

    #[test]
    fn a_cause_is_named_only_for_the_figure_that_it_explains() {
        let over = SelfError {
            arrival_clock: ArrivalClock::Kernel,
            stamp_error_ns_p99: Some(9 * NS_PER_MS),
            start_lag_ns_p99: Some(9 * NS_PER_MS),
            client_lag_ns_p99: Some(90 * NS_PER_MS),
            shared_reads: 0.01,
            burst: Some(Burst { due: 30, made: 10 }),
            ..good()
        };
        let causes = |measured: SelfError| {
            let cause = |reason| match reason {
                Reason::Over { burst, shared_reads, .. } => (burst.is_some(), shared_reads.is_some()),
                other => panic!("{other:?}"),
            };
            Certificate::judge(measured).reasons.into_iter().map(cause).collect::<Vec<_>>()
        };
        assert_eq!(causes(over.clone()), [(false, true), (true, false), (false, false)]);
        let fewer = SelfError { shared_reads: 0.009, burst: Some(Burst { due: 20, made: 10 }), ..over.clone() };
        assert_eq!(causes(fewer), [(false, false); 3]);
        // Stamps of user space are late by the client's lag, whichever event of a read it is.
        assert_eq!(causes(SelfError { arrival_clock: ArrivalClock::User, ..over })[0], (false, false));
    }

    #[test]
    fn reasons_name_the_remedy() {
        let measured = SelfError {
            start_lag_ns_p99: Some(40 * NS_PER_MS),
            starts_made: 0.5,
            missed_by_limit: 70,
            missed_by_client: 2,
            missed_by_sockets: 3,
            descriptors_left: None,
            lost_workers: 1,
            ..good()
        };
        let late = |worker_cpu: Vec<f64>, machine_cpu| SelfError {
            client_lag_ns_p99: Some(25 * NS_PER_MS),
            worker_cpu,
            machine_cpu: Some(machine_cpu),
            ..good()
        };
        let together = SelfError {
            arrival_clock: ArrivalClock::Kernel,
            stamp_error_ns_p99: Some(9 * NS_PER_MS),
            shared_reads: 0.42,
            worker_cpu: vec![0.02],
            ..good()
        };
        let at_once =
            SelfError { start_lag_ns_p99: Some(30 * NS_PER_MS), burst: Some(Burst { due: 1_000, made: 34 }), ..good() };
        let all = [
            measured,
            late(vec![0.98, 0.5, 0.81], 0.9),
            late(vec![0.31], 0.81),
            late(vec![0.31], 0.5),
            together,
            at_once,
        ];
        let reasons = all.into_iter().flat_map(|measured| Certificate::judge(measured).reasons);
        let told: Vec<_> = reasons.map(|reason| reason.to_string()).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        start lag p99 is 40.0ms, over 2.50ms (a worker was busy, up to 97 % of a core): lower the load (-c, -q) by 18 % or more, or add cores
        3 starts found no port or descriptor left on this machine (50.0 % of the plan's were made; at the peak 28000 ports and an unknown number of descriptors were left): lower -c, let connections serve more than one invocation (target.connection), add addresses of this machine with --source, or raise net.ipv4.ip_local_port_range and ulimit -n
        only 50.0 % of the plan's starts were made; 70 met the in-flight limit: raise it, or lower the rate; 2 the client did not get to: lower the rate, or add cores
        1 of the harness's workers died: the load was not what was asked for
        client lag p99 is 25.0ms, over 20.0ms (2 workers were busy, up to 98 % of a core): lower the load (-c, -q) by 18 % or more, or add cores
        client lag p99 is 25.0ms, over 20.0ms: the machine was busy 81 %, of which no worker used more than 31 % of a core: end what else runs there (an embedded mock does, too), or lower the load
        client lag p99 is 25.0ms, over 20.0ms: something held the workers up for a moment: run it again, longer
        stamp error p99 is 9.00ms, over 2.50ms: 42.0 % of events came in one read with a later one, and only the last of a read is stamped: take their times as upper bounds, or have the target write each event by itself
        start lag p99 is 30.0ms, over 2.50ms: up to 1000 starts were due within a millisecond, and never more than 34 made in one: lower the rate or its bursts (-q), or let a closed load begin more slowly (load.ramp)
        ");
    }
}
