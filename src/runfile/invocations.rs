//! `invocations.csv`: a row for every planned start, written and read by one list of columns.
//!
//! The scenario has a column where the profile has any. Units are in the column names, what is absent is empty. Text that a spreadsheet would run as a formula is marked
//! with an apostrophe, which reading takes off again.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;

use csv::StringRecord;
use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::bundle::INVOCATIONS;
use super::hlog::ESCAPED;
use super::table::{self, Error, Rows};
use crate::metrics::{Outcome, Part, PartTimes, Record, ToolTime};

/// A value as one cell.
trait Cell: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

impl<T: Cell> Cell for Option<T> {
    fn write(&self) -> String {
        self.as_ref().map_or(String::new(), Cell::write)
    }

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }
}

macro_rules! plain_cell {
    ($($kind:ty),*) => {
        $(impl Cell for $kind {
            fn write(&self) -> String {
                self.to_string()
            }

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

plain_cell!(u64, u32, bool, Outcome);

/// What a spreadsheet takes as the start of a formula (OWASP, "CSV Injection"), and our own mark.
const MARKED: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

/// Text that no spreadsheet runs.
pub(crate) fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(MARKED) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

impl Cell for String {
    fn write(&self) -> String {
        defused(self).into_owned()
    }

    fn read(text: &str) -> Option<Self> {
        Some(text.strip_prefix('\'').unwrap_or(text).to_owned())
    }
}

impl Cell for Arc<str> {
    fn write(&self) -> String {
        self.to_string().write()
    }

    fn read(text: &str) -> Option<Self> {
        String::read(text).map(Self::from)
    }
}

/// Times by name in one cell: `name=ns;name=ns`, the name percent-encoded as in histograms.hlog.
fn write_times<'a>(times: impl Iterator<Item = (&'a str, u64)>) -> String {
    let pairs: Vec<_> = times.map(|(name, ns)| format!("{}={ns}", utf8_percent_encode(name, ESCAPED))).collect();
    pairs.join(";").write()
}

fn read_times(text: &str) -> Option<Vec<(Arc<str>, u64)>> {
    let text = String::read(text)?;
    let pair = |pair: &str| {
        let (name, ns) = pair.split_once('=')?;
        let name = percent_decode_str(name).decode_utf8().ok()?;
        Some((Arc::from(&*name), ns.parse().ok()?))
    };
    text.split(';').filter(|_| !text.is_empty()).map(pair).collect()
}

impl Cell for Vec<ToolTime> {
    fn write(&self) -> String {
        write_times(self.iter().map(|time| (&*time.name, time.ns)))
    }

    fn read(text: &str) -> Option<Self> {
        Some(read_times(text)?.into_iter().map(|(name, ns)| ToolTime { name, ns }).collect())
    }
}

impl Cell for PartTimes {
    fn write(&self) -> String {
        write_times(self.each().map(|(part, ns)| (part.name(), ns)))
    }

    fn read(text: &str) -> Option<Self> {
        let mut times = Self::default();
        for (name, ns) in read_times(text)? {
            *times.of_mut(Part::of(&name)?) = ns;
        }
        Some(times)
    }
}

/// Where the scenario's column stands, behind the variant's.
const SCENARIO_AT: usize = 2;

/// The columns in their order, each with its place in a [`Record`]: what is written is what is read.
macro_rules! columns {
    ($($name:literal => $($field:ident).+;)*) => {
        /// The names of the columns, in order; where there are scenarios, theirs stands behind the variant's.
        pub const COLUMNS: &[&str] = &[$($name),*];

        fn cells(record: &Record) -> Vec<String> {
            vec![$(Cell::write(&record.$($field).+)),*]
        }

        fn record_of(cells: &StringRecord, row: u64) -> Result<Record, Error> {
            let mut record = blank();
            let has_scenario = cells.len() > COLUMNS.len();
            if has_scenario {
                record.scenario = Cell::read(&cells[SCENARIO_AT]).unwrap_or_default();
            }
            let mut at = (0..).filter(|at| !has_scenario || *at != SCENARIO_AT);
            $(
                let text = at.next().and_then(|at| cells.get(at)).unwrap_or_default();
                record.$($field).+ = Cell::read(text).ok_or_else(|| Error::Cell {
                    file: INVOCATIONS,
                    row,
                    column: $name.to_owned(),
                    text: text.to_owned(),
                })?;
            )*
            Ok(record)
        }
    };
}

columns! {
    "plan_index" => plan_index;
    "variant" => variant;
    "conversation" => conversation;
    "turn" => turn;
    "worker" => worker;
    "warmup" => warmup;
    "task_id" => task_id;
    "reused" => reused;
    "outcome" => outcome;
    "detail" => detail;
    "intended_ns" => stamps.intended_ns;
    "started_ns" => stamps.started_ns;
    "dns_done_ns" => stamps.dns_done_ns;
    "connected_ns" => stamps.connected_ns;
    "tls_done_ns" => stamps.tls_done_ns;
    "sent_ns" => stamps.sent_ns;
    "headers_ns" => stamps.headers_ns;
    "first_byte_ns" => stamps.first_byte_ns;
    "first_event_ns" => stamps.first_event_ns;
    "task_created_ns" => stamps.task_created_ns;
    "executing_ns" => stamps.executing_ns;
    "first_activity_ns" => stamps.first_activity_ns;
    "first_chunk_ns" => stamps.first_chunk_ns;
    "last_chunk_ns" => stamps.last_chunk_ns;
    "finished_ns" => stamps.finished_ns;
    "eof_ns" => stamps.eof_ns;
    "last_known_ns" => stamps.last_known_ns;
    "events" => counts.events;
    "chunks" => counts.chunks;
    "text_bytes" => counts.text_bytes;
    "body_bytes" => counts.body_bytes;
    "reads" => counts.reads;
    "shared_reads" => counts.shared_reads;
    "buffered_reads" => buffered.reads;
    "buffered_chunks" => buffered.chunks;
    "buffered_bytes" => buffered.bytes;
    "buffered_squeezed_ns" => buffered.squeezed_ns;
    "comments" => counts.comments;
    "unknown_events" => counts.unknown_events;
    "foreign_events" => counts.foreign_events;
    "events_after_end" => counts.events_after_end;
    "duplicate_finishes" => counts.duplicate_finishes;
    "duplicate_creations" => counts.duplicate_creations;
    "invalid_utf8" => counts.invalid_utf8;
    "tool_calls" => counts.tool_calls;
    "tool_errors" => counts.tool_errors;
    "tool_unpaired" => counts.tool_unpaired;
    "tool_untimed" => counts.tool_untimed;
    "stalls" => counts.stalls;
    "stalled_ns" => counts.stalled_ns;
    "stamps_moved" => counts.stamps_moved;
    "longest_gap_ns" => longest.gap_ns;
    "longest_silence_ns" => longest.silence_ns;
    "longest_event_silence_ns" => longest.event_silence_ns;
    "longest_client_lag_ns" => longest.client_lag_ns;
    "part_connect_ns" => parts.connect_ns;
    "part_wait_ns" => parts.wait_ns;
    "part_queue_ns" => parts.queue_ns;
    "part_model_ns" => parts.model_ns;
    "part_thinking_ns" => parts.thinking_ns;
    "part_tool_ns" => parts.tool_ns;
    "part_sub_agent_ns" => parts.sub_agent_ns;
    "part_auth_ns" => parts.auth_ns;
    "part_answer_ns" => parts.answer_ns;
    "part_closing_ns" => parts.closing_ns;
    "tool_parts_ns" => tools;
    "tool_calls_ns" => calls;
    "stalled_parts_ns" => stalled;
    "server_created_unix_ns" => server.created_unix_ns;
    "server_executing_unix_ns" => server.executing_unix_ns;
    "server_first_chunk_unix_ns" => server.first_chunk_unix_ns;
    "server_finished_unix_ns" => server.finished_unix_ns;
    "task_created_unix_ns" => task.created_unix_ns;
    "task_started_unix_ns" => task.started_unix_ns;
    "task_finished_unix_ns" => task.finished_unix_ns;
    "prompt_tokens" => tokens.prompt;
    "completion_tokens" => tokens.completion;
    "total_tokens" => tokens.total;
    "admitted_ns" => conduct.admitted_ns;
    "hang_up_ns" => conduct.hang_up_ns;
    "read_bytes_per_s" => conduct.read_bytes_per_s;
    "resumed" => conduct.resumed;
}

fn columns(scenarios: bool) -> Vec<&'static str> {
    let mut columns = COLUMNS.to_vec();
    if scenarios {
        columns.insert(SCENARIO_AT, "scenario");
    }
    columns
}

fn blank() -> Record {
    Record::unstarted(0, Arc::from(""), 0, 0, Outcome::NotStarted)
}

/// Writes rows as invocations end.
#[derive(Debug)]
pub struct Writer<W: Write> {
    rows: csv::Writer<W>,
    scenarios: bool,
}

impl<W: Write> Writer<W> {
    /// Begins a file: its columns, one of them for the scenario where there are `scenarios`.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn new(out: W, scenarios: bool) -> io::Result<Self> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record(columns(scenarios))?;
        rows.flush()?;
        Ok(Self { rows, scenarios })
    }

    /// One more row.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut cells = cells(record);
        if self.scenarios {
            cells.insert(SCENARIO_AT, record.scenario.write());
        }
        self.rows.write_record(cells).map_err(Into::into)
    }

    /// Hands what was written to the system, so that it outlives this process.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.rows.flush()
    }
}

/// Reads all whole rows; a last one that was cut off is left out, and said.
///
/// # Errors
/// The columns are others, a cell holds something else, or the input can't be read.
pub fn read(input: impl Read, mut take: impl FnMut(Record)) -> Result<Rows, Error> {
    let known = [false, true].map(|scenarios| columns(scenarios).join(","));
    table::read(INVOCATIONS, &known.each_ref().map(String::as_str), input, |cells, row| {
        take(record_of(cells, row)?);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Phase;

    fn some() -> Vec<Record> {
        let mut first = blank();
        first.variant = Arc::from("base");
        first.outcome = Outcome::TimedOut(Phase::FirstEvent);
        first.detail = Some("=cmd|' /C calc'!A0, \"quoted\"\nzweite Zeile, größer".into());
        first.task_id = Some("-1".into());
        first.stamps.started_ns = Some(0);
        first.counts.events = 7;
        let mut second = blank();
        second.variant = Arc::from("'=x");
        second.plan_index = u64::MAX;
        second.outcome = Outcome::HttpStatus(503);
        second.reused = Some(true);
        let time = |name: &str, ns: u64| ToolTime { name: Arc::from(name), ns };
        second.tools = vec![time("-a b;c=d,\"ö%\n", 7), time("web_search", u64::MAX)];
        second.calls = vec![time("web_search", 1), time("web_search", 2)];
        second.stalled = PartTimes { answer_ns: 5, tool_ns: 6, ..PartTimes::default() };
        second.parts.sub_agent_ns = 9;
        second.server.finished_unix_ns = Some(1_774_226_763_782_693_000);
        second.tokens.total = Some(9);
        vec![first, second]
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut out = Vec::new();
        let scenarios = records.iter().any(|record| !record.scenario.is_empty());
        let mut writer = Writer::new(&mut out, scenarios).expect("a vector takes it");
        records.iter().for_each(|record| writer.write(record).expect("a vector takes it"));
        writer.flush().expect("a vector takes it");
        drop(writer);
        out
    }

    fn read_all(bytes: &[u8]) -> (Vec<Record>, Rows) {
        let mut records = Vec::new();
        let ended = read(bytes, |record| records.push(record)).expect("it was written by us");
        (records, ended)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (records, ended) = read_all(&written(&some()));
        assert_eq!(records, some());
        assert_eq!(ended, Rows { whole: 2, truncated: false });
        assert_eq!(read_all(&written(&[])), (vec![], Rows { whole: 0, truncated: false }));
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_rows() {
        let whole = written(&some());
        let header = written(&[]).len();
        let first = written(&some()[..1]).len();
        for cut in header..whole.len() {
            let (records, ended) = read_all(&whole[..cut]);
            let rows = usize::from(cut >= first);
            assert_eq!(records, some()[..rows], "cut at {cut}");
            assert_eq!(ended.truncated, cut != header && cut != first, "cut at {cut}");
        }
    }

    #[test]
    fn scenarios_have_a_column_where_there_are_any() {
        let mut records = some();
        records[0].scenario = Arc::from("search, then =talk");
        let text = written(&records);
        assert!(text.starts_with(b"plan_index,variant,scenario,conversation,turn,"));
        assert_eq!(read_all(&text), (records, Rows { whole: 2, truncated: false }));
        assert!(written(&some()).starts_with(b"plan_index,variant,conversation,turn,"));
    }

    #[test]
    fn formulas_are_defused() {
        let text = String::from_utf8(written(&some())).expect("text");
        assert!(text.contains("\"'=cmd|") && text.contains(",'-1,"), "{text}");
    }

    #[test]
    fn what_is_no_row_of_ours_is_said() {
        let other = read(&b"a,b\n1,2\n"[..], drop).expect_err("other columns");
        insta::assert_snapshot!(other, @r#"read invocations.csv: column 1 is "a", expected "plan_index"; use the plimsoll that wrote it, which run.json names"#);
        let broken = String::from_utf8(written(&some())).expect("text").replace("http_status:503", "fine");
        insta::assert_snapshot!(
            read(broken.as_bytes(), drop).expect_err("no outcome"),
            @r#"read invocations.csv: row 2, column outcome: "fine" is not what that column holds; the file was changed: take it from a copy of its folder"#
        );
    }
}
