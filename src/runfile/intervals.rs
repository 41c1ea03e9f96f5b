//! `intervals.csv`: a row for each second of a run.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// One second of a run. Counts are of that second, but for `in_flight`, which is at its end; quantiles are those of
/// what was recorded in it, in nanoseconds, absent where that was nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The second, from 0, since the run's origin.
    pub second: u64,
    /// Invocations in flight at its end.
    pub in_flight: u64,
    /// Invocations taken up.
    pub started: u64,
    /// Invocations that ended, in whatever way.
    pub finished: u64,
    /// Of those, the completed ones.
    pub completed: u64,
    /// Events.
    pub events: u64,
    /// Body bytes.
    pub body_bytes: u64,
    /// Time to first chunk from the intended start.
    pub ttfc_from_intended_ns_p50: Option<u64>,
    /// The same.
    pub ttfc_from_intended_ns_p95: Option<u64>,
    /// The same.
    pub ttfc_from_intended_ns_p99: Option<u64>,
    /// Time to `task_finished` from the intended start, of completed invocations.
    pub finish_from_intended_ns_p50: Option<u64>,
    /// The same.
    pub finish_from_intended_ns_p95: Option<u64>,
    /// The same.
    pub finish_from_intended_ns_p99: Option<u64>,
    /// Gaps between chunks of the invocations that ended.
    pub gap_ns_p50: Option<u64>,
    /// The same.
    pub gap_ns_p99: Option<u64>,
    /// The harness's lateness in starting.
    pub start_lag_ns_p99: Option<u64>,
    /// The harness's lag in handling events.
    pub client_lag_ns_p99: Option<u64>,
    /// The busiest worker's CPU share, from 0 to 1.
    pub worker_cpu_max: Option<f64>,
    /// The machine's CPU share, from 0 to 1.
    pub machine_cpu: Option<f64>,
    /// The share that the hypervisor took away, from 0 to 1.
    pub steal: Option<f64>,
}

/// Writes rows as the seconds go by.
#[derive(Debug)]
pub struct Writer<W: Write> {
    rows: csv::Writer<W>,
}

impl<W: Write> Writer<W> {
    /// Begins a file; its columns come with the first row.
    #[must_use]
    pub fn new(out: W) -> Self {
        Self { rows: csv::Writer::from_writer(out) }
    }

    /// One more row, handed to the system at once.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write(&mut self, interval: &Interval) -> io::Result<()> {
        self.rows.serialize(interval)?;
        self.rows.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_units_in_the_names_and_nothing_where_nothing_was() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        let row = Interval { second: 3, in_flight: 5, gap_ns_p99: Some(21_000_000), ..Interval::default() };
        writer.write(&row).expect("a vector takes it");
        drop(writer);
        insta::assert_snapshot!(String::from_utf8(out.clone()).expect("text"), @r"
        second,in_flight,started,finished,completed,events,body_bytes,ttfc_from_intended_ns_p50,ttfc_from_intended_ns_p95,ttfc_from_intended_ns_p99,finish_from_intended_ns_p50,finish_from_intended_ns_p95,finish_from_intended_ns_p99,gap_ns_p50,gap_ns_p99,start_lag_ns_p99,client_lag_ns_p99,worker_cpu_max,machine_cpu,steal
        3,5,0,0,0,0,0,,,,,,,,21000000,,,,,
        ");
        let read: Vec<Interval> =
            csv::Reader::from_reader(&out[..]).deserialize().map(|row| row.expect("a row")).collect();
        assert_eq!(read, [row]);
    }
}
