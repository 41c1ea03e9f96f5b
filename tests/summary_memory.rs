//! Summing up a run takes a little more than a hundred bytes an invocation, whatever it looks like at its peak.

use std::sync::Arc;

use allocation_counter::measure;
use plimsoll::metrics::digest::Digest;
use plimsoll::metrics::{Outcome, PartTimes, Record};

const MS: u64 = 1_000_000;

/// One of a run of a thousand starts a second, of which one in 16 fails and one in 32 is cut off.
fn record(plan_index: u64, variant: &Arc<str>) -> Record {
    let dice = plan_index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let intended_ns = plan_index * MS;
    let mut record = Record::unstarted(plan_index, Arc::clone(variant), intended_ns, 0, Outcome::NotStarted);
    record.outcome = match dice % 32 {
        0 => Outcome::Cut,
        1 | 2 => Outcome::Truncated,
        _ => Outcome::Completed,
    };
    let (parts, stamps) = (&mut record.parts, &mut record.stamps);
    *parts = PartTimes {
        connect_ns: 1 + dice % 1_000,
        wait_ns: 2 * MS + dice % 999_983,
        queue_ns: MS,
        model_ns: dice % (400 * MS),
        answer_ns: 20 * MS,
        closing_ns: 7,
        ..PartTimes::default()
    };
    let started_ns = intended_ns + dice % 9_999;
    let sent_ns = started_ns + parts.connect_ns;
    let created_ns = sent_ns + parts.wait_ns;
    let executing_ns = created_ns + parts.queue_ns;
    let first_chunk_ns = executing_ns + parts.model_ns;
    (stamps.started_ns, stamps.sent_ns, stamps.first_byte_ns) = (Some(started_ns), Some(sent_ns), Some(created_ns));
    (stamps.first_event_ns, stamps.task_created_ns) = (stamps.first_byte_ns, stamps.first_byte_ns);
    (stamps.executing_ns, stamps.first_chunk_ns) = (Some(executing_ns), Some(first_chunk_ns));
    stamps.last_chunk_ns = Some(first_chunk_ns + parts.answer_ns);
    stamps.last_known_ns = started_ns + parts.sum_ns();
    stamps.finished_ns = Some(stamps.last_known_ns).filter(|_| record.outcome.is_completed());
    record.longest.silence_ns = Some(parts.model_ns);
    record.longest.event_silence_ns = Some(parts.model_ns);
    record
}

/// The most bytes that are held at a time from the first row of so many to their summary.
fn peak(rows: u64) -> u64 {
    let variant = Arc::from("base");
    let used = measure(|| {
        let mut digest = Digest::new(Vec::new());
        (0..rows).for_each(|index| digest.take(&record(index, &variant)));
        let summary = digest.summary(rows * MS);
        assert_eq!(summary.overall().ledger.planned, rows);
    });
    used.bytes_max
}

#[test]
fn a_row_takes_little_more_than_a_hundred_bytes() {
    // The slowest ten thousand are kept whole in either; storage doubles, so both are full.
    let (half, whole) = (peak(1 << 16), peak(1 << 17));
    let each = (whole - half) as f64 / f64::from(1 << 16);
    assert!(each < 110.0, "{each:.1} bytes a row: {half} for half as many as {whole}");
}
