//! What is summed up over the rows of a run: ends, counts, time in flight.

use super::breakdown::Breakdown;
use super::ledger::Ledger;
use super::outcome::Outcome;
use super::record::Record;
use super::summary::{Rates, Totals};

/// What is summed up over the rows of one variant.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) ledger: Ledger,
    pub(super) totals: Totals,
    pub(super) breakdown: Breakdown,
    in_flight_ns: u128,
}

impl Tally {
    pub(super) fn add(&mut self, record: &Record) {
        self.ledger.count(record.outcome);
        if let Some(started_ns) = record.stamps.started_ns {
            self.in_flight_ns += u128::from(record.stamps.last_known_ns.saturating_sub(started_ns));
        }
        let (totals, counts) = (&mut self.totals, &record.counts);
        totals.events += counts.events;
        totals.chunks += counts.chunks;
        totals.text_bytes += counts.text_bytes;
        totals.body_bytes += counts.body_bytes;
        totals.reads += counts.reads;
        totals.shared_reads += counts.shared_reads;
        totals.comments += counts.comments;
        totals.unknown_events += counts.unknown_events;
        totals.foreign_events += counts.foreign_events;
        totals.events_after_end += counts.events_after_end;
        totals.duplicate_finishes += counts.duplicate_finishes;
        totals.duplicate_creations += counts.duplicate_creations;
        totals.invalid_utf8 += counts.invalid_utf8;
        totals.tool_calls += counts.tool_calls;
        totals.tool_errors += counts.tool_errors;
        totals.tool_unpaired += counts.tool_unpaired;
        totals.tool_untimed += counts.tool_untimed;
        totals.stalls += counts.stalls;
        totals.stalled_invocations += u64::from(counts.stalls > 0);
        totals.stalled_ns += counts.stalled_ns;
        totals.stalled_parts = totals.stalled_parts.and(&record.stalled);
        totals.stamps_moved += counts.stamps_moved;
        totals.reused_connections += u64::from(record.reused == Some(true));
        totals.total_tokens += record.tokens.total.unwrap_or_default();
        if record.outcome.is_completed() {
            self.breakdown.take(record);
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.ledger.add(&other.ledger);
        self.totals = self.totals.and(&other.totals);
        self.breakdown = self.breakdown.and(&other.breakdown);
        self.in_flight_ns += other.in_flight_ns;
        self
    }

    pub(super) fn rates(&self, span_ns: u64) -> Rates {
        if span_ns == 0 {
            return Rates::default();
        }
        let seconds = span_ns as f64 / 1e9;
        Rates {
            started_per_s: self.ledger.started() as f64 / seconds,
            completed_per_s: self.ledger.of(Outcome::Completed) as f64 / seconds,
            events_per_s: self.totals.events as f64 / seconds,
            text_bytes_per_s: self.totals.text_bytes as f64 / seconds,
            mean_in_flight: self.in_flight_ns as f64 / span_ns as f64,
        }
    }
}
