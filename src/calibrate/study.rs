//! What a sweep came to: each load over each transport, and where the harness stops being trusted.

use super::join::Joined;
use super::load::{Load, Transport};
use super::spread::{self, Spread};
use crate::metrics::Verdict;
use crate::metrics::certificate::ArrivalClock;
use crate::runfile::run::{Build, Machine};

/// One load over one transport, measured; of several runs the medians. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Over what.
    pub transport: Transport,
    /// How much.
    pub load: Load,
    /// How many runs it is the median of.
    pub runs: u32,
    /// Which clock the events' times are from.
    pub clock: ArrivalClock,
    /// The error of the time to first chunk.
    pub ttfc: Spread,
    /// The error of the gaps, either way.
    pub gap: Spread,
    /// The error of the time to `task_finished`.
    pub finish: Spread,
    /// The error of every event.
    pub all: Spread,
    /// Of those, the last of their read.
    pub last: Spread,
    /// Of those, the others.
    pub others: Spread,
    /// The error of every event, by the instant at which it was handled in user space.
    pub handled: Spread,
    /// How long each of the mock's writes took: as wide the truth is.
    pub writes: Spread,
    /// What can't be compared or lies outside of what was stated.
    pub kept: Kept,
    /// What the run says of itself.
    pub trust: Trust,
    /// What it cost.
    pub cost: Cost,
}

/// What can't be compared, or lies outside of what was stated; sums over the runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Events that were reported and that nobody sent.
    pub without_truth: u64,
    /// Events that were sent and that nobody reported.
    pub unreported: u64,
    /// Streams that did not complete.
    pub not_completed: u64,
    /// Events that were the last of their read, with a stamp outside of the write that sent them.
    pub last_outside: u64,
    /// Other events, outside of the bound that was stated for them.
    pub others_outside: u64,
}

/// What the client and the mock say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// The certificate's verdict; of several runs the median, as of every other figure, and the worse of the middle two.
    pub verdict: Verdict,
    /// The worst verdict of several runs.
    pub worst: Verdict,
    /// The stamp error as the certificate states it.
    pub stamp_error_ns_p99: u64,
    /// The client's lag.
    pub client_lag_ns_p99: u64,
    /// The start lag.
    pub start_lag_ns_p99: u64,
    /// How late the mock handed events over.
    pub mock_late_ns_p99: u64,
    /// Events that the mock sent in a second, while all streams stood.
    pub events_per_s: u64,
}

/// What the client spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// CPU time of the workers for an event, in nanoseconds.
    pub cpu_ns_per_event: u64,
    /// The share of a core that the busiest worker used, in thousandths.
    pub busiest_per_mille: u64,
    /// How much the client's resident memory grew with the load, for each stream; absent where the system does not tell.
    pub memory_bytes_per_stream: Option<u64>,
}

impl Measured {
    /// What one run came to.
    #[must_use]
    pub fn of(
        of: (Transport, Load),
        clock: ArrivalClock,
        joined: Joined,
        not_completed: u64,
        trust: Trust,
        cost: Cost,
    ) -> Self {
        let errors = joined.errors;
        let all = errors.last_ns.iter().chain(&errors.others_ns).copied().collect();
        Self {
            transport: of.0,
            load: of.1,
            runs: 1,
            clock,
            all: Spread::of(all),
            ttfc: Spread::of(errors.ttfc_ns),
            gap: Spread::either_way(&errors.gap_ns),
            finish: Spread::of(errors.finish_ns),
            last: Spread::of(errors.last_ns),
            others: Spread::of(errors.others_ns),
            handled: Spread::of(errors.handled_ns),
            writes: Spread::of(joined.writes_ns),
            kept: Kept {
                without_truth: joined.without_truth,
                unreported: joined.unreported,
                not_completed,
                last_outside: joined.last_outside,
                others_outside: joined.others_outside,
            },
            trust,
            cost,
        }
    }

    /// The medians of several runs of one load over one transport: each figure's own. Of an even number it is the mean of
    /// the middle two, and of verdicts the worse of them.
    ///
    /// # Panics
    /// There are no runs.
    #[must_use]
    pub fn median(runs: &[Self]) -> Self {
        let first = runs.first().expect("a load is run at least once");
        let spread = |figure: fn(&Self) -> Spread| Spread::median(&runs.iter().map(figure).collect::<Vec<_>>());
        let of_times = |figures: Vec<u64>| spread::middle(figures).map(|(low, high)| low.midpoint(high));
        let middle = |figure: fn(&Self) -> u64| of_times(runs.iter().map(figure).collect()).unwrap_or_default();
        let verdicts = || runs.iter().map(|run| run.trust.verdict).collect();
        let worse = |(_, worse): (Verdict, Verdict)| worse;
        let sum = |figure: fn(&Kept) -> u64| runs.iter().map(|run| figure(&run.kept)).sum();
        Self {
            transport: first.transport,
            load: first.load,
            runs: u32::try_from(runs.len()).expect("runs are few"),
            clock: first.clock,
            ttfc: spread(|run| run.ttfc),
            gap: spread(|run| run.gap),
            finish: spread(|run| run.finish),
            all: spread(|run| run.all),
            last: spread(|run| run.last),
            others: spread(|run| run.others),
            handled: spread(|run| run.handled),
            writes: spread(|run| run.writes),
            kept: Kept {
                without_truth: sum(|kept| kept.without_truth),
                unreported: sum(|kept| kept.unreported),
                not_completed: sum(|kept| kept.not_completed),
                last_outside: sum(|kept| kept.last_outside),
                others_outside: sum(|kept| kept.others_outside),
            },
            trust: Trust {
                verdict: spread::middle(verdicts()).map_or(Verdict::Invalid, worse),
                worst: verdicts().into_iter().max().unwrap_or(Verdict::Invalid),
                stamp_error_ns_p99: middle(|run| run.trust.stamp_error_ns_p99),
                client_lag_ns_p99: middle(|run| run.trust.client_lag_ns_p99),
                start_lag_ns_p99: middle(|run| run.trust.start_lag_ns_p99),
                mock_late_ns_p99: middle(|run| run.trust.mock_late_ns_p99),
                events_per_s: middle(|run| run.trust.events_per_s),
            },
            cost: Cost {
                cpu_ns_per_event: middle(|run| run.cost.cpu_ns_per_event),
                busiest_per_mille: middle(|run| run.cost.busiest_per_mille),
                memory_bytes_per_stream: of_times(
                    runs.iter().filter_map(|run| run.cost.memory_bytes_per_stream).collect(),
                ),
            },
        }
    }

    /// Whether every event met its truth and every stream completed; nothing is known of an error otherwise.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Kept { without_truth, unreported, not_completed, .. } = self.kept;
        self.all.count > 0 && without_truth + unreported + not_completed == 0
    }

    /// Whether the mock kept the pace: it was late by less than a gap.
    #[must_use]
    pub fn mock_kept_up(&self) -> bool {
        self.trust.mock_late_ns_p99 < self.load.gap_ns
    }

    /// The share of events that were not the last of their read, from 0 to 1.
    #[must_use]
    pub fn shared(&self) -> f64 {
        if self.all.count == 0 { 0.0 } else { self.others.count as f64 / self.all.count as f64 }
    }
}

/// A whole sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// What was called.
    pub command: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// By which build.
    pub build: Build,
    /// Where.
    pub machine: Machine,
    /// Where client and mock ran, in words.
    pub placement: String,
    /// Workers of the client.
    pub workers: u32,
    /// How long all streams of a load stood together, in nanoseconds.
    pub duration_ns: u64,
    /// How often each load was to be run.
    pub runs: u32,
    /// What was measured, in order.
    pub rows: Vec<Measured>,
    /// Why it ended before its end, when it did: what is missing was not run.
    pub cut_short: Option<String>,
    /// Loads that were left out, since the one before them was past the line already.
    pub left_out: Vec<(Transport, Load)>,
}

impl Study {
    /// What was measured over a transport.
    pub fn over(&self, transport: Transport) -> impl Iterator<Item = &Measured> {
        self.rows.iter().filter(move |row| row.transport == transport)
    }

    /// Where TRUSTED ends over a transport: the highest load below the lowest one that is not trusted, or at which the mock
    /// fell behind and so made another load of it, and that one, in whatever order they were run.
    #[must_use]
    pub fn line(&self, transport: Transport) -> (Option<&Measured>, Option<&Measured>) {
        let mut rows: Vec<_> = self.over(transport).collect();
        rows.sort_by_key(|row| (row.load.events_per_s(), row.load.streams));
        let mut within = None;
        for row in rows {
            if row.trust.verdict != Verdict::Trusted || !row.mock_kept_up() {
                return (within, Some(row));
            }
            within = Some(row);
        }
        (within, None)
    }

    /// Whether every load was run, and every event of every run met its truth.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cut_short.is_none() && !self.rows.is_empty() && self.rows.iter().all(Measured::is_complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::tests::{measured, study};

    #[test]
    fn the_line_is_where_the_first_load_is_not_trusted() {
        let row = |load: &str, verdict| measured(Transport::Plain, load, 1_000, verdict);
        let study = study(vec![
            row("10x20ms", Verdict::Trusted),
            row("20x20ms", Verdict::Trusted),
            row("30x20ms", Verdict::Degraded),
            measured(Transport::Tls, "200x20ms", 1_000, Verdict::Trusted),
            measured(Transport::Tls, "20x20ms", 1_000, Verdict::Trusted),
            measured(Transport::Tls, "20x2ms", 1_000, Verdict::Trusted),
            // The mock is forty times as late.
            measured(Transport::H2, "20x20ms", 500_000, Verdict::Trusted),
        ]);
        let names = |(within, past): (Option<&Measured>, Option<&Measured>)| {
            [within, past].map(|row| row.map_or("none".to_owned(), |row| row.load.to_string()))
        };
        assert_eq!(names(study.line(Transport::Plain)), ["20x20ms", "30x20ms"]);
        assert_eq!(names(study.line(Transport::Tls)), ["200x20ms", "none"]);
        assert_eq!(names(study.line(Transport::H2)), ["none", "20x20ms"]);
    }

    #[test]
    fn of_several_runs_each_figure_has_its_own_median_and_nothing_that_is_missing_is_lost() {
        let mut runs = [10, 30, 20].map(|ns| measured(Transport::Plain, "10x20ms", ns, Verdict::Trusted)).to_vec();
        runs[1].kept.unreported = 1;
        runs[2].trust.verdict = Verdict::Degraded;
        let median = Measured::median(&runs);
        assert_eq!((median.runs, median.ttfc.p50_ns, median.trust.client_lag_ns_p99), (3, 20, 400));
        assert_eq!((median.trust.verdict, median.trust.worst), (Verdict::Trusted, Verdict::Degraded));
        assert_eq!((median.kept.unreported, median.is_complete()), (1, false));
        assert!(runs[0].is_complete() && runs[0].mock_kept_up());
        assert!((runs[0].shared() - 0.09).abs() < 1e-9);
        let of_two = Measured::median(&runs[1..]);
        assert_eq!((of_two.ttfc.p50_ns, of_two.trust.client_lag_ns_p99), (25, 500), "the mean of the middle two");
        assert_eq!(of_two.trust.verdict, Verdict::Degraded, "the worse of the middle two");
    }
}
