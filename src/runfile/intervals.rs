//! `intervals.csv`: a row for each second of a run. The last one is as long as the run still was.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use csv::{StringRecord, WriterBuilder};
use serde::{Deserialize, Serialize};

use super::bundle::INTERVALS;
use super::table::{self, Error, Rows};
use crate::metrics::{Metric, Series};
use crate::stats::Histogram;
use crate::units::NS_PER_S;

/// One second of a run. Counts are of that second, but for `in_flight`, which is at its end; quantiles are those of
/// what was recorded in it, in nanoseconds, absent where that was nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The second, from 0, since the run's origin.
    pub second: u64,
    /// How long it was, in nanoseconds: a run's last one ends with it.
    pub length_ns: u64,
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

impl Interval {
    /// How long this second of a run is, or was when the run ended at `end_ns`; in nanoseconds.
    #[must_use]
    pub fn length_ns(second: u64, end_ns: u64) -> u64 {
        end_ns.saturating_sub(second.saturating_mul(NS_PER_S)).min(NS_PER_S)
    }

    /// From when to when, in nanoseconds since the run's origin.
    #[must_use]
    pub fn span_ns(&self) -> (u64, u64) {
        let start_ns = self.second.saturating_mul(NS_PER_S);
        (start_ns, start_ns.saturating_add(self.length_ns))
    }

    /// What was counted in it, per second; absent where it had no length.
    #[must_use]
    pub fn per_s(&self, count: u64) -> Option<f64> {
        (self.length_ns > 0).then(|| count as f64 * NS_PER_S as f64 / self.length_ns as f64)
    }

    /// With the quantiles of what was recorded in this second: `all` gives all of a series.
    #[must_use]
    pub fn with_quantiles<'h>(self, all: impl Fn(Series) -> Cow<'h, Histogram>) -> Self {
        let quantiles = |series: Series| {
            let all = all(series);
            [0.5, 0.95, 0.99].map(|p| all.quantile_ns(p))
        };
        let [ttfc_p50, ttfc_p95, ttfc_p99] = quantiles(Series::from_intended(Metric::Ttfc));
        let [finish_p50, finish_p95, finish_p99] = quantiles(Series::from_intended(Metric::Finish));
        let [gap_p50, _, gap_p99] = quantiles(Series::of(Metric::Gap));
        let p99 = |metric: Metric| quantiles(Series::of(metric))[2];
        Self {
            ttfc_from_intended_ns_p50: ttfc_p50,
            ttfc_from_intended_ns_p95: ttfc_p95,
            ttfc_from_intended_ns_p99: ttfc_p99,
            finish_from_intended_ns_p50: finish_p50,
            finish_from_intended_ns_p95: finish_p95,
            finish_from_intended_ns_p99: finish_p99,
            gap_ns_p50: gap_p50,
            gap_ns_p99: gap_p99,
            start_lag_ns_p99: p99(Metric::StartLag),
            client_lag_ns_p99: p99(Metric::ClientLag),
            ..self
        }
    }
}

/// The names of the columns, in order.
fn columns() -> Vec<String> {
    let mut head = csv::Writer::from_writer(Vec::new());
    head.serialize(Interval::default()).expect("a row of numbers can be written");
    let text = head.into_inner().expect("a vector takes it");
    let mut rows = csv::Reader::from_reader(&text[..]);
    rows.headers().expect("it was written by us").iter().map(ToOwned::to_owned).collect()
}

/// Writes rows as the seconds go by.
#[derive(Debug)]
pub struct Writer<W: Write> {
    rows: csv::Writer<W>,
}

impl<W: Write> Writer<W> {
    /// Begins a file: its columns.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut rows = WriterBuilder::new().has_headers(false).from_writer(out);
        rows.write_record(columns())?;
        rows.flush()?;
        Ok(Self { rows })
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

/// Reads all whole rows; a last one that was cut off is left out, and said.
///
/// # Errors
/// The columns are others, a row is none, or the input can't be read.
pub fn read(input: impl Read, mut take: impl FnMut(Interval)) -> Result<Rows, Error> {
    let head = columns();
    let names = StringRecord::from(head.clone());
    table::read(INTERVALS, &[&head.join(",")], input, |cells, row| {
        take(cells.deserialize(Some(&names)).map_err(|source| refused(source, &names, cells, row))?);
        Ok(())
    })
}

/// Names the cell that a row was refused for.
fn refused(source: csv::Error, names: &StringRecord, cells: &StringRecord, row: u64) -> Error {
    let at = match source.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.field().and_then(|at| usize::try_from(at).ok()),
        _ => None,
    };
    match at.and_then(|at| names.get(at).zip(cells.get(at))) {
        Some((column, text)) => Error::Cell { file: INTERVALS, row, column: column.to_owned(), text: text.to_owned() },
        None => Error::Csv { file: INTERVALS, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_second_of_a_run_is_shorter_and_its_rates_are_by_its_own_length() {
        let lengths = [0, 1, 2, 3].map(|second| Interval::length_ns(second, 2_250_000_000));
        assert_eq!(lengths, [NS_PER_S, NS_PER_S, 250_000_000, 0]);
        let of = |length_ns: u64| Interval { length_ns, started: 5, ..Interval::default() };
        assert_eq!(lengths.map(|length_ns| of(length_ns).per_s(5)), [Some(5.0), Some(5.0), Some(20.0), None]);
    }

    #[test]
    fn a_row_has_its_units_in_the_names_and_nothing_where_nothing_was() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out).expect("a vector takes it");
        let row = Interval {
            second: 3,
            length_ns: 250_000_000,
            in_flight: 5,
            gap_ns_p99: Some(21_000_000),
            ..Interval::default()
        };
        writer.write(&row).expect("a vector takes it");
        drop(writer);
        insta::assert_snapshot!(String::from_utf8(out.clone()).expect("text"), @r"
        second,length_ns,in_flight,started,finished,completed,events,body_bytes,ttfc_from_intended_ns_p50,ttfc_from_intended_ns_p95,ttfc_from_intended_ns_p99,finish_from_intended_ns_p50,finish_from_intended_ns_p95,finish_from_intended_ns_p99,gap_ns_p50,gap_ns_p99,start_lag_ns_p99,client_lag_ns_p99,worker_cpu_max,machine_cpu,steal
        3,250000000,5,0,0,0,0,0,,,,,,,,21000000,,,,,
        ");
        let mut rows = Vec::new();
        let ended = read(&out[..], |row| rows.push(row)).expect("it was written by us");
        assert_eq!((rows, ended), (vec![row], Rows { whole: 1, truncated: false }));
        let broken = String::from_utf8(out).expect("text").replace(",5,", ",five,");
        insta::assert_snapshot!(read(broken.as_bytes(), drop).expect_err("no number"), @r#"read intervals.csv: row 1, column in_flight: "five" is not what that column holds; the file was changed: take it from a copy of its folder"#);
    }
}
