//! The metrics of a run: their names, their definitions, and where each is read from.
//!
//! METRICS.md, "Metrics", is the source of every definition; reports print it beside the number.

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::record::Record;
use crate::stats::incidence::Observation;

/// From where a latency is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The intended start: what a user who wanted it then had to wait.
    Intended,
    /// The send: what the service took.
    Sent,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Time to the first body byte.
    Ttfb,
    /// Time to the first event.
    Ttfe,
    /// Time to the first chunk.
    Ttfc,
    /// Time to `task_finished`.
    Finish,
    /// A new connection.
    Connect,
    /// Waiting to be executed.
    Queue,
    /// Between neighbouring chunks.
    Gap,
    /// A tool call.
    Tool,
    /// The longest wait for a body byte.
    Silence,
    /// The longest wait for an event.
    EventSilence,
    /// From the first chunk to the last.
    Answer,
    /// From the last chunk to `task_finished`.
    Closing,
    /// The harness's own lateness.
    StartLag,
    /// From an event's arrival to its handling.
    ClientLag,
    /// By how much an event's arrival stamp may be too late.
    StampError,
}

/// One kind of sample: a metric and, for a latency, its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Series {
    /// What is measured.
    pub metric: Metric,
    /// From where; absent for what has an origin of its own.
    pub origin: Option<Origin>,
}

impl Metric {
    /// Every metric, in the order of reports.
    pub const ALL: [Self; 15] = [
        Self::Ttfc,
        Self::Finish,
        Self::Gap,
        Self::Ttfb,
        Self::Ttfe,
        Self::Connect,
        Self::Queue,
        Self::Tool,
        Self::Answer,
        Self::Closing,
        Self::Silence,
        Self::EventSilence,
        Self::StartLag,
        Self::ClientLag,
        Self::StampError,
    ];

    /// The stable name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttfb => "ttfb",
            Self::Ttfe => "ttfe",
            Self::Ttfc => "ttfc",
            Self::Finish => "finish",
            Self::Connect => "connect",
            Self::Queue => "queue",
            Self::Gap => "gap",
            Self::Tool => "tool",
            Self::Silence => "silence",
            Self::EventSilence => "event_silence",
            Self::Answer => "answer",
            Self::Closing => "closing",
            Self::StartLag => "start_lag",
            Self::ClientLag => "client_lag",
            Self::StampError => "stamp_error",
        }
    }

    /// The definition, as reports print it.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Ttfb => "first body byte − origin",
            Self::Ttfe => "first complete event of any kind − origin",
            Self::Ttfc => "first chunk with text − origin",
            Self::Finish => "task_finished of the own task, when completed − origin",
            Self::Connect => "connection (with TLS) − taken up; new connections only",
            Self::Queue => "first task_updated executing − task_created",
            Self::Gap => "between neighbouring chunks of a stream; one sample a gap",
            Self::Silence => "longest wait between body bytes; one sample a stream",
            Self::Tool => {
                "tool_call_result − tool_call_request, paired by request_id; one sample a call, by the tool's name"
            }
            Self::EventSilence => {
                "longest wait between events; one sample a stream: over silence by what comments alone filled"
            }
            Self::Answer => "last chunk − first chunk",
            Self::Closing => "task_finished − last chunk",
            Self::StartLag => "taken up − intended: the harness's own lateness",
            Self::ClientLag => "handled − arrived, each event: the harness's own slowness",
            Self::StampError => "by how much an event's arrival stamp may be too late, at most; each event",
        }
    }

    /// Whether it is counted from the intended start and from the send.
    #[must_use]
    pub fn has_origins(self) -> bool {
        matches!(self, Self::Ttfb | Self::Ttfe | Self::Ttfc | Self::Finish)
    }

    /// Whether an invocation can have several samples of it, so that only histograms hold them.
    #[must_use]
    pub fn is_many(self) -> bool {
        matches!(self, Self::Gap | Self::Tool | Self::ClientLag | Self::StampError)
    }
}

impl Series {
    /// A metric that has an origin of its own.
    #[must_use]
    pub const fn of(metric: Metric) -> Self {
        Self { metric, origin: None }
    }

    /// A latency counted from the intended start.
    #[must_use]
    pub const fn from_intended(metric: Metric) -> Self {
        Self { metric, origin: Some(Origin::Intended) }
    }

    /// A latency counted from the send.
    #[must_use]
    pub const fn from_sent(metric: Metric) -> Self {
        Self { metric, origin: Some(Origin::Sent) }
    }

    /// Every series, in the order of reports.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of = |metric: Metric| {
            let origins: &[Option<Origin>] =
                if metric.has_origins() { &[Some(Origin::Intended), Some(Origin::Sent)] } else { &[None] };
            origins.iter().map(move |origin| Self { metric, origin: *origin })
        };
        Metric::ALL.into_iter().flat_map(of).collect()
    }

    /// The stable name in files: `ttfc_from_intended`, `gap`.
    #[must_use]
    pub fn name(self) -> String {
        match self.origin {
            None => self.metric.name().to_owned(),
            Some(Origin::Intended) => format!("{}_from_intended", self.metric.name()),
            Some(Origin::Sent) => format!("{}_from_sent", self.metric.name()),
        }
    }

    /// What an invocation says about this series, in row `all` (METRICS.md, "Two rows a metric"); nothing where the
    /// series is not about it.
    ///
    /// A stamp that was taken counts, but `finish` only when the invocation completed. An absent one is censored at
    /// its last known time for the outcomes that cut it off from outside, and never comes for every other outcome; that
    /// holds for the second stamp of a span whose first one was taken, too, or only those who got through would count.
    #[must_use]
    pub fn observe(self, record: &Record) -> Option<Observation> {
        let stamps = &record.stamps;
        if record.outcome == Outcome::NotStarted && stamps.intended_ns >= stamps.last_known_ns {
            // The run ended before its instant came: nobody waited for it.
            return None;
        }
        let span = |from: Option<u64>, to: Option<u64>| match (from?, to) {
            (from_ns, Some(to_ns)) => Some(Observation::Seen(to_ns.saturating_sub(from_ns))),
            // An agent that completes without the second stamp does not send that event, whatever its answer is worth.
            (from_ns, None) => {
                let is_through = record.outcome.is_completed() || record.outcome == Outcome::CheckFailed;
                (!is_through).then(|| absent(record, from_ns))
            }
        };
        let stamp = match self.metric {
            Metric::Ttfb => stamps.first_byte_ns,
            Metric::Ttfe => stamps.first_event_ns,
            Metric::Ttfc => stamps.first_chunk_ns,
            Metric::Finish => stamps.finished_ns.filter(|_| record.outcome.is_completed()),
            Metric::Connect if record.reused == Some(true) => return None,
            Metric::Connect => return span(stamps.started_ns, record.connected_ns()),
            Metric::Queue => return span(stamps.task_created_ns, stamps.executing_ns),
            Metric::Answer => return span(stamps.first_chunk_ns, stamps.last_chunk_ns),
            Metric::Closing => return span(stamps.last_chunk_ns, stamps.finished_ns),
            Metric::Silence => return record.longest.silence_ns.map(Observation::Seen),
            Metric::EventSilence => return record.longest.event_silence_ns.map(Observation::Seen),
            Metric::StartLag => return record.start_lag_ns().map(Observation::Seen),
            Metric::Gap | Metric::Tool | Metric::ClientLag | Metric::StampError => return None,
        };
        let from_ns = self.origin_of(record)?;
        Some(stamp.map_or_else(|| absent(record, from_ns), |at_ns| Observation::Seen(at_ns.saturating_sub(from_ns))))
    }

    /// Where the latency begins for this invocation; absent when it never began.
    fn origin_of(self, record: &Record) -> Option<u64> {
        match self.origin {
            Some(Origin::Sent) => record.stamps.sent_ns,
            _ => Some(record.stamps.intended_ns),
        }
    }
}

/// What is known of a stamp that was not taken, from the instant at which the wait for it began.
fn absent(record: &Record, from_ns: u64) -> Observation {
    let waited_ns = record.stamps.last_known_ns.saturating_sub(from_ns);
    match record.outcome {
        outcome if outcome.censors() => Observation::Censored(waited_ns),
        Outcome::Dropped => Observation::Failed(0),
        _ => Observation::Failed(waited_ns),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn record(outcome: Outcome) -> Record {
        let mut record = Record::unstarted(0, Arc::from("base"), 100, 900, Outcome::Dropped);
        record.outcome = outcome;
        record.stamps.started_ns = Some(110);
        record.stamps.sent_ns = Some(200);
        record
    }

    fn observe(metric: Metric, origin: Origin, record: &Record) -> Option<Observation> {
        Series { metric, origin: Some(origin) }.observe(record)
    }

    #[test]
    fn a_stamp_that_was_taken_counts_whatever_the_outcome() {
        let mut failed = record(Outcome::Reset);
        failed.stamps.first_chunk_ns = Some(500);
        failed.stamps.finished_ns = Some(600);
        assert_eq!(observe(Metric::Ttfc, Origin::Intended, &failed), Some(Observation::Seen(400)));
        assert_eq!(observe(Metric::Ttfc, Origin::Sent, &failed), Some(Observation::Seen(300)));
        let finish = observe(Metric::Finish, Origin::Sent, &failed);
        assert_eq!(finish, Some(Observation::Failed(700)), "finish counts only when completed");
        failed.outcome = Outcome::Completed;
        assert_eq!(observe(Metric::Finish, Origin::Sent, &failed), Some(Observation::Seen(400)));
    }

    #[test]
    fn an_absent_stamp_is_censored_only_when_it_was_cut_off_from_outside() {
        for (outcome, expected) in [
            (Outcome::Cut, Observation::Censored(800)),
            (Outcome::Abandoned, Observation::Censored(800)),
            (Outcome::NotStarted, Observation::Censored(800)),
            (Outcome::Truncated, Observation::Failed(800)),
            (Outcome::Dropped, Observation::Failed(0)),
        ] {
            assert_eq!(observe(Metric::Ttfc, Origin::Intended, &record(outcome)), Some(expected), "{outcome}");
        }
        let mut unsent = record(Outcome::ConnectFailed);
        unsent.stamps.sent_ns = None;
        assert_eq!(observe(Metric::Ttfc, Origin::Sent, &unsent), None);
    }

    #[test]
    fn who_never_got_through_a_span_is_not_left_out_of_it() {
        let queue = Series::of(Metric::Queue);
        let mut stuck = record(Outcome::TimedOut(crate::metrics::Phase::Total));
        stuck.stamps.task_created_ns = Some(300);
        assert_eq!(queue.observe(&stuck), Some(Observation::Failed(600)));
        stuck.outcome = Outcome::Cut;
        assert_eq!(queue.observe(&stuck), Some(Observation::Censored(600)));
        stuck.outcome = Outcome::Completed;
        assert_eq!(queue.observe(&stuck), None, "the agent does not say when it executes");
        stuck.outcome = Outcome::CheckFailed;
        assert_eq!(queue.observe(&stuck), None, "nor does one whose answer is wrong");
        let connect = Series::of(Metric::Connect);
        assert_eq!(connect.observe(&record(Outcome::ConnectFailed)), Some(Observation::Failed(790)));
        let mut reused = record(Outcome::Reset);
        reused.reused = Some(true);
        assert_eq!(connect.observe(&reused), None);
    }

    #[test]
    fn a_start_whose_instant_never_came_says_nothing() {
        let owed = Record::unstarted(9, Arc::from("base"), 900, 900, Outcome::NotStarted);
        assert!(Series::all().into_iter().all(|series| series.observe(&owed).is_none()));
        let due = Record::unstarted(9, Arc::from("base"), 100, 900, Outcome::NotStarted);
        assert_eq!(Series::from_intended(Metric::Ttfc).observe(&due), Some(Observation::Censored(800)));
    }

    #[test]
    fn series_are_named_once() {
        let mut names: Vec<_> = Series::all().into_iter().map(Series::name).collect();
        assert_eq!(names.len(), 19);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 19);
    }
}
