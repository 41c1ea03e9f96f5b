//! What the rows say that the histograms must hold.

use std::collections::BTreeMap;

use super::Tag;
use crate::metrics::certificate::NO_SOCKET;
use crate::metrics::{Metric, Record, Series};
use crate::stats::{Histogram, Observation};

/// What a row has too often to hold each: only how often.
pub(super) const MANY: [Metric; 3] = [Metric::Gap, Metric::ClientLag, Metric::StampError];

/// What the rows know of samples that an invocation has often.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Often {
    /// How many.
    pub(super) count: u64,
    /// Their sum in nanoseconds, where rows tell it.
    pub(super) sum_ns: Option<u128>,
    /// The largest that rows tell, in nanoseconds.
    pub(super) max_ns: u64,
    /// Whether none can be larger.
    pub(super) max_is_whole: bool,
}

/// What the histograms must hold, by the rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// What an invocation has once, and its calls of tools: recorded again.
    pub(super) recorded: BTreeMap<Tag, Histogram>,
    /// What it has often.
    pub(super) often: BTreeMap<Tag, Often>,
    /// Those that a worker took up, whether or not they could be made.
    pub(super) taken_up: u64,
    pub(super) started: u64,
    pub(super) completed: u64,
    pub(super) events: u64,
    pub(super) body_bytes: u64,
}

impl Rows {
    pub(super) fn take(&mut self, record: &Record) {
        let no_socket = record.detail.as_deref().is_some_and(|why| why.starts_with(NO_SOCKET));
        self.taken_up += u64::from(record.outcome.was_started() || no_socket);
        self.started += u64::from(record.outcome.was_started());
        self.completed += u64::from(record.outcome.is_completed());
        self.events += record.counts.events;
        self.body_bytes += record.counts.body_bytes;
        let (variant, scenario) = (record.variant.to_string(), record.scenario.to_string());
        let warm = |outcome: &str| if record.warmup { "warmup" } else { outcome }.to_owned();
        for series in Series::all() {
            if let Some(Observation::Seen(ns)) = series.observe(record) {
                let tag = (series.name(), variant.clone(), warm(record.outcome.kind()), scenario.clone());
                self.recorded.entry(tag).or_default().record(ns);
            }
        }
        for call in &record.calls {
            let outcome = warm(record.outcome.kind());
            let tag = (Metric::Tool.name().to_owned(), variant.clone(), outcome, scenario.clone());
            self.recorded.entry(tag).or_default().record(call.ns);
        }
        for (metric, often) in Often::of(record).into_iter().filter(|(_, often)| often.count > 0) {
            // An event is counted while its invocation runs.
            let outcome = if metric == Metric::Gap { record.outcome.kind() } else { "any" };
            let tag = (metric.name().to_owned(), variant.clone(), warm(outcome), scenario.clone());
            self.often.entry(tag).or_default().add(&often);
        }
    }
}

impl Often {
    /// Of one row: gaps add up to what lies between the first chunk and the last, and the longest ones are kept.
    fn of(record: &Record) -> [(Metric, Self); 3] {
        let (stamps, counts, longest) = (&record.stamps, &record.counts, &record.longest);
        let answer_ns = stamps.last_chunk_ns.unwrap_or(0).saturating_sub(stamps.first_chunk_ns.unwrap_or(0));
        let gaps = Self {
            count: counts.chunks.saturating_sub(1),
            sum_ns: Some(u128::from(answer_ns)),
            max_ns: longest.gap_ns.unwrap_or(0),
            max_is_whole: true,
        };
        let lagged = if record.conduct.shows_the_client() { counts.events } else { 0 };
        let lags = Self {
            count: lagged,
            sum_ns: None,
            max_ns: longest.client_lag_ns.unwrap_or(0),
            // A stamp that was moved has a lag from where it is now; a worker that died took its own along.
            max_is_whole: counts.stamps_moved == 0 && longest.client_lag_ns.is_some(),
        };
        let errors = Self { count: lagged, sum_ns: None, max_ns: 0, max_is_whole: false };
        [(Metric::Gap, gaps), (Metric::ClientLag, lags), (Metric::StampError, errors)]
    }

    fn add(&mut self, other: &Self) {
        let first = self.count == 0;
        self.sum_ns = if first { other.sum_ns } else { self.sum_ns.zip(other.sum_ns).map(|(one, other)| one + other) };
        self.max_is_whole = other.max_is_whole && (first || self.max_is_whole);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.count += other.count;
    }
}
