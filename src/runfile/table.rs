//! The rows of a CSV file of ours, of which the last may have been cut off: the writer was killed.

use std::io::{self, Read};

use csv::StringRecord;
use thiserror::Error;

/// Why rows can't be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The columns are not those of this version.
    #[error("read {file}: {difference}; use the plimsoll that wrote it, which run.json names")]
    Columns {
        /// The file's name.
        file: &'static str,
        /// The first column that differs.
        difference: String,
    },
    /// A cell that is none.
    #[error(
        "read {file}: row {row}, column {column}: {text:?} is not what that column holds; the file was changed: take it from a copy of its folder"
    )]
    Cell {
        /// The file's name.
        file: &'static str,
        /// The row, from 1.
        row: u64,
        /// The column's name.
        column: String,
        /// What stands there.
        text: String,
    },
    /// The file can't be read, or is no CSV.
    #[error("read {file}: {source}{}", changed(source))]
    Csv {
        /// The file's name.
        file: &'static str,
        /// Why.
        source: csv::Error,
    },
}

/// What to do about input that is no table; nothing where the system refused it.
fn changed(error: &csv::Error) -> &'static str {
    let refused = matches!(error.kind(), csv::ErrorKind::Io(error) if error.raw_os_error().is_some());
    if refused { "" } else { "; the file was changed: take it from a copy of its folder" }
}

/// How the reading of rows ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Rows that were read whole.
    pub whole: u64,
    /// The last row, or the head, was cut off and left out.
    pub truncated: bool,
}

/// Reads all whole rows of `file`, whose head must be one of `known`; `take` is given each with its number, from 1.
///
/// # Errors
/// The columns are others, the input can't be read, or `take` refuses a row.
pub fn read(
    file: &'static str,
    known: &[&str],
    input: impl Read,
    mut take: impl FnMut(&StringRecord, u64) -> Result<(), Error>,
) -> Result<Rows, Error> {
    let refuse = |source| Error::Csv { file, source };
    let input = LastByte { inner: input, last: 0 };
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let found = rows.headers().map_err(refuse)?.iter().collect::<Vec<_>>().join(",");
    let mut seen = Rows { whole: 0, truncated: false };
    if !known.contains(&found.as_str()) {
        if known.iter().any(|columns| columns.starts_with(&found)) && !rows.get_ref().ended() {
            return Ok(Rows { truncated: true, ..seen });
        }
        return Err(Error::Columns { file, difference: difference(known, &found) });
    }
    // One row is held back: only what follows it shows that it was written whole.
    let (mut next, mut held) = (StringRecord::new(), StringRecord::new());
    let (mut holds, mut cut_in_a_character) = (false, false);
    loop {
        match rows.read_record(&mut next) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let broken_text = matches!(error.kind(), csv::ErrorKind::Utf8 { .. });
                // Only the last row can have been cut inside a character.
                if !broken_text || rows.read_byte_record(&mut csv::ByteRecord::new()).map_err(refuse)? {
                    return Err(refuse(error));
                }
                cut_in_a_character = true;
                break;
            }
        }
        std::mem::swap(&mut next, &mut held);
        if std::mem::replace(&mut holds, true) {
            seen.whole += 1;
            take(&next, seen.whole)?;
        }
    }
    if holds {
        // A line end may also be one inside a quoted text that was cut off.
        if cut_in_a_character || rows.get_ref().ended() && held.len() == 1 + found.matches(',').count() {
            seen.whole += 1;
            take(&held, seen.whole)?;
            seen.truncated = cut_in_a_character;
        } else {
            seen.truncated = true;
        }
    } else {
        seen.truncated = !rows.get_ref().ended();
    }
    Ok(seen)
}

/// The first column in which a head differs from the one of the known that it is most like.
fn difference(known: &[&str], found: &str) -> String {
    let found: Vec<_> = found.split(',').filter(|name| !name.is_empty()).collect();
    let alike = |columns: &Vec<&str>| columns.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let nearest = known.iter().rev().map(|columns| columns.split(',').collect::<Vec<_>>()).max_by_key(alike);
    let nearest = nearest.unwrap_or_default();
    let at = alike(&nearest);
    match (nearest.get(at), found.get(at)) {
        (Some(expected), Some(found)) => format!("column {} is {found:?}, expected {expected:?}", at + 1),
        (Some(expected), None) => format!("column {}, {expected:?}, is missing", at + 1),
        (None, Some(found)) => format!("column {}, {found:?}, is none of its own", at + 1),
        (None, None) => "its columns are others".to_owned(),
    }
}

/// Remembers the last byte that was read.
struct LastByte<R> {
    inner: R,
    last: u8,
}

impl<R> LastByte<R> {
    /// Whether what was read so far ends with a line.
    fn ended(&self) -> bool {
        self.last == b'\n'
    }
}

impl<R: Read> Read for LastByte<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buf)?;
        if let Some(last) = buf[..got].last() {
            self.last = *last;
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> (Vec<String>, Result<Rows, Error>) {
        let mut taken = Vec::new();
        let ended = read("some.csv", &["a,b", "a,x,b"], text.as_bytes(), |cells, _| {
            taken.push(cells.iter().collect::<Vec<_>>().join("|"));
            Ok(())
        });
        (taken, ended)
    }

    #[test]
    fn a_table_that_was_cut_off_anywhere_gives_its_whole_rows() {
        let whole = "a,b\n1,2\n3,4\n";
        for cut in 0..=whole.len() {
            let (taken, ended) = rows(&whole[..cut]);
            let expected = Rows { whole: (cut.max(4) as u64 - 4) / 4, truncated: cut == 0 || cut % 4 != 0 };
            assert_eq!(ended.expect("ours"), expected, "cut at {cut}");
            assert_eq!(taken, ["1|2", "3|4"][..taken.len()], "cut at {cut}");
        }
    }

    #[test]
    fn other_columns_are_refused() {
        let told = ["a,c\n1,2\n", "a,x,c\n", "a\n", "a,b,c\n", "\n", ""].map(|text| match rows(text).1 {
            Err(error) => error.to_string(),
            Ok(ended) => format!("{ended:?}"),
        });
        insta::assert_snapshot!(told.join("\n"), @r#"
        read some.csv: column 2 is "c", expected "b"; use the plimsoll that wrote it, which run.json names
        read some.csv: column 3 is "c", expected "b"; use the plimsoll that wrote it, which run.json names
        read some.csv: column 2, "b", is missing; use the plimsoll that wrote it, which run.json names
        read some.csv: column 3, "c", is none of its own; use the plimsoll that wrote it, which run.json names
        read some.csv: column 1, "a", is missing; use the plimsoll that wrote it, which run.json names
        Rows { whole: 0, truncated: true }
        "#);
    }
}
