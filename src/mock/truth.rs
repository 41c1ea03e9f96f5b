//! The truth, event by event, as the mock writes it down and others read it.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use crate::runfile::table::{self, Error, Rows};

/// How errors name the file.
const FILE: &str = "the truth log";

/// The columns, in order.
pub(super) const COLUMNS: &str =
    "plan_index,event_index,type,bytes,due_ns,handed_ns,handed_unix_ns,handed_monotonic_ns,written_monotonic_ns";

/// One event. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// The place of its invocation in the plan.
    pub plan_index: u64,
    /// Its number within the invocation, from 0.
    pub event_index: u64,
    /// Its type.
    pub kind: Cow<'a, str>,
    /// What it takes on the wire, without the framing of HTTP.
    pub bytes: u64,
    /// When the script wanted it to leave, since the mock's origin.
    pub due_ns: u64,
    /// When it was handed to the socket, just before the write: since the mock's origin.
    pub handed_ns: u64,
    /// The same on the wall clock.
    pub handed_unix_ns: u64,
    /// The same on the system's monotonic clock, which other processes share; absent where time is virtual.
    pub handed_monotonic_ns: Option<u64>,
    /// When the write had ended, on that clock; absent over HTTP/2, where the events wait for the library's own write.
    pub written_monotonic_ns: Option<u64>,
}

impl Row<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { plan_index, event_index, kind, bytes, due_ns, handed_ns, handed_unix_ns, .. } = self;
        write!(out, "{plan_index},{event_index},{kind},{bytes},{due_ns},{handed_ns},{handed_unix_ns}")?;
        for at_ns in [self.handed_monotonic_ns, self.written_monotonic_ns] {
            match at_ns {
                Some(at_ns) => write!(out, ",{at_ns}")?,
                None => out.write_all(b",")?,
            }
        }
        out.write_all(b"\n")
    }
}

/// Reads a truth log; `take` is given each row.
///
/// # Errors
/// It can't be read, or holds something else.
pub fn read(input: impl Read, mut take: impl FnMut(&Row<'_>)) -> Result<Rows, Error> {
    table::read(FILE, &[COLUMNS], input, |cells, row| {
        let text = |at: usize| cells.get(at).unwrap_or_default();
        let refuse = |at: usize, column: &str| Error::Cell {
            file: FILE,
            row,
            column: column.to_owned(),
            text: text(at).to_owned(),
        };
        let number = |at: usize, column| text(at).parse::<u64>().map_err(|_| refuse(at, column));
        let maybe = |at: usize, column| if text(at).is_empty() { Ok(None) } else { number(at, column).map(Some) };
        take(&Row {
            plan_index: number(0, "plan_index")?,
            event_index: number(1, "event_index")?,
            kind: Cow::Borrowed(text(2)),
            bytes: number(3, "bytes")?,
            due_ns: number(4, "due_ns")?,
            handed_ns: number(5, "handed_ns")?,
            handed_unix_ns: number(6, "handed_unix_ns")?,
            handed_monotonic_ns: maybe(7, "handed_monotonic_ns")?,
            written_monotonic_ns: maybe(8, "written_monotonic_ns")?,
        });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let row = |event_index: u64, monotonic_ns: Option<u64>| Row {
            plan_index: 7,
            event_index,
            kind: Cow::Borrowed("chunk"),
            bytes: 190,
            due_ns: 1_000,
            handed_ns: 1_020,
            handed_unix_ns: 1_800_000_000_000_001_020,
            handed_monotonic_ns: monotonic_ns,
            written_monotonic_ns: monotonic_ns.map(|at_ns| at_ns + 9_000),
        };
        let rows = [row(0, Some(5_000)), row(1, None)];
        let mut text = format!("{COLUMNS}\n").into_bytes();
        rows.iter().for_each(|row| row.write(&mut text).expect("a vector takes it"));
        let mut found = Vec::new();
        let ended = read(&*text, |row| found.push(format!("{row:?}"))).expect("it was written by us");
        assert_eq!(found, rows.map(|row| format!("{row:?}")));
        assert_eq!(ended, Rows { whole: 2, truncated: false });
    }
}
