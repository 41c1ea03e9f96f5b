//! The server's own view: how its clock lies to ours, and how much of each latency it accounts for itself.
//!
//! The offset's bounds are those of NTP's on-wire protocol (RFC 5905 §8), each from one direction: an event was not
//! seen before the server had stamped it, and the task was not created before the request was sent. No symmetry of the
//! paths is assumed, so the truth lies between the bounds unless a clock was set or drifted during the run.

use serde::{Deserialize, Serialize};

use super::record::Record;

/// The coarsest resolution that is believed of the server's stamps, in nanoseconds.
const COARSEST_NS: u64 = 1_000_000_000;

/// What the server says of itself. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerView {
    /// How its clock lies to ours.
    pub clock: Option<ClockOffset>,
    /// How much of each latency it accounts for, over completed invocations.
    pub accounts: Vec<Account>,
}

/// The server's wall clock less ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClockOffset {
    /// At least: it stamped an event before that was seen.
    pub low_ns: i64,
    /// At most: it stamped a task's creation after that was asked for.
    pub high_ns: i64,
    /// The resolution of its stamps.
    pub resolution_ns: u64,
}

/// A latency as we see it and as the server accounts for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Which one.
    pub span: Span,
    /// Completed invocations with stamps of both sides.
    pub invocations: u64,
    /// Our mean.
    pub client_ns_mean: u64,
    /// The server's mean.
    pub server_ns_mean: u64,
    /// The server's share, from 0; over 1 when the server says more than we saw.
    pub share: f64,
}

/// A latency that both sides stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Time to first chunk from the send, against the stamps of `task_created` and of that chunk.
    Ttfc,
    /// Time to finish from the send, against the stamps of `task_created` and of `task_finished`.
    Finish,
    /// The queue, against the stamps of the same events.
    Queue,
    /// From the send to executing, against the task's `created_at` and `started_at`.
    TaskQueue,
    /// From executing to finished, against the task's `started_at` and `finished_at`.
    TaskWork,
}

impl Span {
    /// Every span, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Ttfc, Self::Finish, Self::Queue, Self::TaskQueue, Self::TaskWork];

    /// What is held against what, as reports print it.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Ttfc => "sent → first chunk, against the time of task_created → of that chunk",
            Self::Finish => "sent → task_finished, against the time of task_created → of task_finished",
            Self::Queue => "task_created → executing, against the time of both",
            Self::TaskQueue => "sent → executing, against the task's created_at → started_at",
            Self::TaskWork => "executing → task_finished, against the task's started_at → finished_at",
        }
    }

    /// Our time and the server's, in nanoseconds, where both are known.
    fn of(self, record: &Record) -> Option<(u64, u64)> {
        let (ours, server, task) = (&record.stamps, &record.server, &record.task);
        // A further turn of a task may keep the times of its first.
        let is_first = record.turn == 0;
        let (from, to, server_from, server_to) = match self {
            Self::Ttfc => (ours.sent_ns, ours.first_chunk_ns, server.created_unix_ns, server.first_chunk_unix_ns),
            Self::Finish => (ours.sent_ns, ours.finished_ns, server.created_unix_ns, server.finished_unix_ns),
            Self::Queue => (ours.task_created_ns, ours.executing_ns, server.created_unix_ns, server.executing_unix_ns),
            Self::TaskQueue if is_first => {
                (ours.sent_ns, ours.executing_ns, task.created_unix_ns, task.started_unix_ns)
            }
            Self::TaskWork if is_first => {
                (ours.executing_ns, ours.finished_ns, task.started_unix_ns, task.finished_unix_ns)
            }
            Self::TaskQueue | Self::TaskWork => return None,
        };
        Some((to?.checked_sub(from?)?, server_to?.checked_sub(server_from?)?))
    }
}

impl ClockOffset {
    /// The middle of the bounds and how far the truth may lie from it, in nanoseconds; none when the bounds cross,
    /// since a clock was set or drifted during the run.
    #[must_use]
    pub fn estimate_ns(&self) -> Option<(i64, u64)> {
        let width = u64::try_from(self.high_ns.checked_sub(self.low_ns)?).ok()?;
        let half = width.div_ceil(2);
        Some((self.low_ns.checked_add_unsigned(width / 2)?, half))
    }
}

/// The rows of a run, on their way to the server's view.
#[derive(Debug, Default)]
pub struct Observed {
    /// The server's clock (Unix) less the run's.
    low_ns: Option<i64>,
    high_ns: Option<i64>,
    resolution_ns: Option<u64>,
    sums: [Sums; Span::ALL.len()],
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    invocations: u64,
    client_ns: u128,
    server_ns: u128,
}

impl Observed {
    /// One more row.
    pub fn take(&mut self, record: &Record) {
        let (ours, server) = (&record.stamps, &record.server);
        for (server_ns, seen_ns) in [
            (server.created_unix_ns, ours.task_created_ns),
            (server.executing_unix_ns, ours.executing_ns),
            (server.first_chunk_unix_ns, ours.first_chunk_ns),
            (server.finished_unix_ns, ours.finished_ns),
        ] {
            let Some((server_ns, seen_ns)) = server_ns.zip(seen_ns) else { continue };
            self.resolve(server_ns);
            let low_ns = difference(server_ns, seen_ns);
            self.low_ns = Some(self.low_ns.map_or(low_ns, |known| known.max(low_ns)));
        }
        if let Some((server_ns, sent_ns)) = server.created_unix_ns.zip(ours.sent_ns) {
            let high_ns = difference(server_ns, sent_ns);
            self.high_ns = Some(self.high_ns.map_or(high_ns, |known| known.min(high_ns)));
        }
        if record.outcome.is_completed() && !record.warmup {
            for (span, sums) in Span::ALL.into_iter().zip(&mut self.sums) {
                if let Some((client_ns, server_ns)) = span.of(record) {
                    sums.invocations += 1;
                    sums.client_ns += u128::from(client_ns);
                    sums.server_ns += u128::from(server_ns);
                }
            }
        }
    }

    /// What it comes to; `origin_unix_ns` is the run's origin on our wall clock, when all rows have one in common.
    #[must_use]
    pub fn view(&self, origin_unix_ns: Option<u64>) -> Option<ServerView> {
        let origin_ns = origin_unix_ns.and_then(|origin_ns| i64::try_from(origin_ns).ok());
        let resolution_ns = self.resolution_ns.unwrap_or(COARSEST_NS);
        let bounds = origin_ns.zip(self.low_ns.zip(self.high_ns));
        let clock = bounds.map(|(origin_ns, (low_ns, high_ns))| ClockOffset {
            low_ns: low_ns.saturating_sub(origin_ns),
            // The stamp may have been cut off: the instant itself was up to so much later.
            high_ns: high_ns.saturating_sub(origin_ns).saturating_add_unsigned(resolution_ns),
            resolution_ns,
        });
        let pairs = Span::ALL.into_iter().zip(&self.sums).filter(|(_, sums)| sums.invocations > 0);
        let accounts: Vec<_> = pairs.map(|(span, sums)| sums.account(span)).collect();
        (clock.is_some() || !accounts.is_empty()).then_some(ServerView { clock, accounts })
    }

    /// The resolution is the largest power of ten that divides every stamp.
    fn resolve(&mut self, server_ns: u64) {
        let mut resolution_ns = self.resolution_ns.unwrap_or(COARSEST_NS);
        while !server_ns.is_multiple_of(resolution_ns) {
            resolution_ns /= 10;
        }
        self.resolution_ns = Some(resolution_ns);
    }
}

impl Sums {
    fn account(&self, span: Span) -> Account {
        let mean = |sum: u128| u64::try_from(sum / u128::from(self.invocations)).unwrap_or(u64::MAX);
        Account {
            span,
            invocations: self.invocations,
            client_ns_mean: mean(self.client_ns),
            server_ns_mean: mean(self.server_ns),
            share: if self.client_ns == 0 { 1.0 } else { self.server_ns as f64 / self.client_ns as f64 },
        }
    }
}

fn difference(server_unix_ns: u64, run_ns: u64) -> i64 {
    i64::try_from(i128::from(server_unix_ns) - i128::from(run_ns)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Outcome;
    use proptest::prelude::*;

    const ORIGIN: u64 = 1_774_226_763_000_000_000;
    const MS: u64 = 1_000_000;

    /// An invocation sent at `sent_ns` to a server whose clock is `offset_ns` ahead: so long there, at work, and back.
    fn record(sent_ns: u64, offset_ns: i64, [there_ns, work_ns, back_ns]: [u64; 3], resolution_ns: u64) -> Record {
        let mut record = Record::unstarted(0, Arc::from("base"), sent_ns, sent_ns, Outcome::NotStarted);
        record.outcome = Outcome::Completed;
        let server = |at_ns: u64| {
            let at_ns = (ORIGIN + at_ns).checked_add_signed(offset_ns).expect("within the era");
            Some(at_ns - at_ns % resolution_ns)
        };
        let (created_ns, finished_ns) = (sent_ns + there_ns, sent_ns + there_ns + work_ns);
        record.stamps.sent_ns = Some(sent_ns);
        record.stamps.task_created_ns = Some(created_ns + back_ns);
        record.stamps.finished_ns = Some(finished_ns + back_ns);
        record.server.created_unix_ns = server(created_ns);
        record.server.finished_unix_ns = server(finished_ns);
        record
    }

    #[test]
    fn the_servers_share_is_what_lies_between_its_own_stamps() {
        let mut observed = Observed::default();
        observed.take(&record(0, 0, [10 * MS, 80 * MS, 10 * MS], 1_000));
        let view = observed.view(Some(ORIGIN)).expect("it has stamps");
        let finish = view.accounts[0];
        assert_eq!((finish.span, finish.client_ns_mean, finish.server_ns_mean), (Span::Finish, 100 * MS, 80 * MS));
        assert!((finish.share - 0.8).abs() < 1e-12);
        let clock = view.clock.expect("both bounds");
        assert_eq!((clock.low_ns, clock.high_ns), (-10_000_000, 20_000_000), "stamps that end in ms read as such");
        assert_eq!(observed.view(None).expect("its shares stay").clock, None, "no origin in common, no offset");
        assert_eq!(Observed::default().view(Some(ORIGIN)), None);
    }

    #[test]
    fn bounds_that_cross_are_no_estimate() {
        let offset = |low_ns, high_ns| ClockOffset { low_ns, high_ns, resolution_ns: 1 }.estimate_ns();
        assert_eq!(offset(-10, 20), Some((5, 15)));
        assert_eq!(offset(7, 8), Some((7, 1)));
        assert_eq!(offset(20, -10), None);
    }

    proptest! {
        #[test]
        fn the_true_offset_lies_within_the_bounds(
            offset_ns in -3_600_000_000_000_i64..3_600_000_000_000,
            resolution_ns in prop::sample::select(vec![1_u64, 1_000, MS, 1_000 * MS]),
            streams in prop::collection::vec(
                (0_u64..10_000_000_000, 0_u64..50_000_000, 0_u64..9_000_000_000, 0_u64..50_000_000), 1..20),
        ) {
            let mut observed = Observed::default();
            for (sent_ns, there_ns, work_ns, back_ns) in streams {
                observed.take(&record(sent_ns, offset_ns, [there_ns, work_ns, back_ns], resolution_ns));
            }
            let clock = observed.view(Some(ORIGIN)).and_then(|view| view.clock).expect("both bounds");
            prop_assert!(clock.low_ns <= offset_ns && offset_ns <= clock.high_ns, "{clock:?}");
            let (middle_ns, half_ns) = clock.estimate_ns().expect("nothing drifted");
            prop_assert!(middle_ns.abs_diff(offset_ns) <= half_ns);
        }
    }
}
