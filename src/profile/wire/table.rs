//! Rows of values by the names of their columns, read from CSV (RFC 4180) or from lines of JSON objects.
//!
//! Stricter than most readers: what could lose a row or a value without a word is refused, with its line.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The most rows that are taken, which is the most conversations that a run has.
const ROWS_MAX: usize = 10_000_000;

/// The rows of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// Where the columns' names stand, from 1.
    head_line: usize,
}

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it begins in the file, from 1.
    pub(super) line: usize,
    /// A value for each column.
    pub(super) cells: Vec<String>,
}

impl Table {
    /// A CSV whose first row names the columns. Blank lines are no rows.
    pub(super) fn csv(text: &str) -> Result<Self, String> {
        let mut records = Records { rest: without_mark(text), line: 1 };
        let Some(head) = records.next()? else { return Ok(Self::default()) };
        let columns: Vec<_> = head.cells.iter().map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        while let Some(row) = records.next()? {
            if row.cells.len() != columns.len() {
                return Err(format!(
                    "line {}: expected as many values as the head has names ({}), found {}: write each, empty ones too, \
                     and put one with a comma into quotes",
                    row.line,
                    columns.len(),
                    row.cells.len()
                ));
            }
            rows.push(row);
        }
        Ok(Self { columns, rows, head_line: head.line })
    }

    /// Lines of JSON objects that all have the keys of the first one. A value that is no text stands as it is written;
    /// null is an empty text, as an empty cell of a CSV is.
    pub(super) fn json_lines(text: &str) -> Result<Self, String> {
        let mut table = Self { head_line: 1, ..Self::default() };
        for (at, text) in without_mark(text).lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let line = at + 1;
            let refuse = |error: serde_json::Error| {
                let why = error.to_string();
                let why = why.split(" at line ").next().unwrap_or_default();
                format!(
                    "line {line}: expected a JSON object such as {{\"name\": \"value\"}}, found something else: {why}"
                )
            };
            let Fields(fields) = serde_json::from_str(text).map_err(refuse)?;
            if let Some(name) = twice(fields.iter().map(|(name, _)| name)) {
                return Err(format!("line {line}: the key {name:?} stands twice: keep one of them"));
            }
            if table.rows.is_empty() {
                table.columns = fields.iter().map(|(name, _)| name.clone()).collect();
                table.columns.sort_unstable();
            }
            let cell = |name: &String| match fields.iter().find(|(key, _)| key == name) {
                Some((_, value)) => text_of(value).map_err(refuse),
                None => Err(format!(
                    "line {line}: expected the key {name:?}, as the first line has it: give each line the same keys, with \
                     null for no value"
                )),
            };
            let cells = table.columns.iter().map(cell).collect::<Result<_, _>>()?;
            table.rows.push(Row { line, cells });
        }
        Ok(table)
    }

    /// Takes the first row of a single column as a value when it is one, since nobody has named that column; refuses it
    /// where there are several, which can't be told apart.
    pub(super) fn with_its_head(mut self, is_value: impl Fn(&str) -> bool) -> Result<Self, String> {
        match &self.columns[..] {
            [only] if is_value(only) => {
                let head = Row { line: self.head_line, cells: vec![only.clone()] };
                self.rows.insert(0, head);
                self.columns = vec![String::new()];
            }
            [first, ..] if is_value(first) => {
                return Err(format!(
                    "line {}: expected a head that names the columns, found {first:?}: put one above the rows",
                    self.head_line
                ));
            }
            _ => {}
        }
        Ok(self)
    }

    /// The table, when its columns can be told apart and it has as many rows as a run can use.
    pub(super) fn checked(self) -> Result<Self, String> {
        if let Some(name) = twice(self.columns.iter().filter(|name| !name.is_empty())) {
            return Err(format!(
                "line {}: the column {name:?} stands twice: give each a name of its own",
                self.head_line
            ));
        }
        match self.rows.len() {
            0 => Err("it has no rows: expected at least one, below the head of a CSV".to_owned()),
            1..=ROWS_MAX => Ok(self),
            rows => Err(format!("it has {rows} rows, and {ROWS_MAX} are the most that a run can use: shorten it")),
        }
    }

    /// The place of the column of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

/// The text without the byte order mark that some editors put before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The first name that has come before.
fn twice<'n>(mut names: impl Iterator<Item = &'n String>) -> Option<&'n String> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name))
}

/// The records of a CSV, one after another.
struct Records<'t> {
    rest: &'t str,
    /// The line of what comes next, from 1.
    line: usize,
}

impl Records<'_> {
    fn next(&mut self) -> Result<Option<Row>, String> {
        while self.line_end() {}
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (line, mut cells) = (self.line, vec![self.cell()?]);
        while let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            cells.push(self.cell()?);
        }
        Ok(Some(Row { line, cells }))
    }

    /// Takes a line's end, if there is one.
    fn line_end(&mut self) -> bool {
        let Some(rest) = ["\r\n", "\n", "\r"].iter().find_map(|end| self.rest.strip_prefix(end)) else { return false };
        self.rest = rest;
        self.line += 1;
        true
    }

    fn cell(&mut self) -> Result<String, String> {
        if let Some(quoted) = self.rest.strip_prefix('"') {
            self.rest = quoted;
            return self.quoted();
        }
        let (cell, rest) = self.rest.split_at(self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len()));
        self.rest = rest;
        Ok(cell.to_owned())
    }

    /// What stands up to the closing quote, with each doubled one as one.
    fn quoted(&mut self) -> Result<String, String> {
        let (began, mut cell) = (self.line, String::new());
        loop {
            let Some((before, behind)) = self.rest.split_once('"') else {
                return Err(format!(
                    "line {began}: the quote that begins a value here is never closed: close it, and write a quote within a \
                     value twice"
                ));
            };
            cell.push_str(before);
            self.line += before.matches('\n').count();
            self.rest = behind;
            let Some(rest) = behind.strip_prefix('"') else { break };
            cell.push('"');
            self.rest = rest;
        }
        match self.rest.chars().next() {
            None | Some(',' | '\n' | '\r') => Ok(cell),
            Some(found) => Err(format!(
                "line {}: expected a comma or the line's end behind a value in quotes, found {found:?}: write a quote within \
                 a value twice",
                self.line
            )),
        }
    }
}

/// The fields of a JSON object as they are written.
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Fields<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'t> Visitor<'t> for Seen {
            type Value = Fields<'t>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Fields<'t>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Seen)
    }
}

fn text_of(value: &RawValue) -> Result<String, serde_json::Error> {
    match value.get() {
        "null" => Ok(String::new()),
        text if text.starts_with('"') => serde_json::from_str(text),
        other => Ok(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: Result<Table, String>) -> Vec<(usize, Vec<String>)> {
        let table = table.expect("it is a table");
        table.rows.into_iter().map(|row| (row.line, row.cells)).collect()
    }

    #[test]
    fn values_of_a_csv_stand_as_they_were_meant_with_their_lines() {
        let told = rows(Table::csv("\u{feff} q , n\r\n\r\n\"he, \"\"x\"\"\nllo\",1\n\n bye ,\n"));
        insta::assert_debug_snapshot!(told, @r#"
        [
            (
                3,
                [
                    "he, \"x\"\nllo",
                    "1",
                ],
            ),
            (
                6,
                [
                    " bye ",
                    "",
                ],
            ),
        ]
        "#);
    }

    #[test]
    fn values_of_json_lines_keep_their_own_text() {
        let lines = "\u{feff}{\"q\":\"h\\u00e9\",\"n\":12345678901234567890123}\n\n{\"n\":5.0,\"q\":null}\n{\"q\":[1, 2],\"n\":1e2}";
        let told = rows(Table::json_lines(lines));
        insta::assert_debug_snapshot!(told, @r#"
        [
            (
                1,
                [
                    "12345678901234567890123",
                    "hé",
                ],
            ),
            (
                3,
                [
                    "5.0",
                    "",
                ],
            ),
            (
                4,
                [
                    "1e2",
                    "[1, 2]",
                ],
            ),
        ]
        "#);
    }

    #[test]
    fn what_could_lose_a_value_is_refused_with_its_line() {
        let csv = |text: &str| Table::csv(text).and_then(Table::checked).expect_err("it is no table");
        let json = |text: &str| Table::json_lines(text).and_then(Table::checked).expect_err("it is no table");
        let told = [
            csv(""),
            csv("q,n\n"),
            csv("q,n\n\nhello,1\nbye\n"),
            csv("q,n\nhello,1\n\"un,2\nmore,3\n"),
            csv("q,n\n\"un,2\nmore,\"3\"\n"),
            csv("q, q\nhello,1\n"),
            json("\n"),
            json("{\"q\":1,\"q\":2}"),
            json("\n{\"q\":1}\n{\"r\":1}"),
            json("{\"q\":1}\n{\"q\":"),
            json("[1]"),
            json("{\"q\":\"\\ud800\"}"),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        it has no rows: expected at least one, below the head of a CSV
        it has no rows: expected at least one, below the head of a CSV
        line 4: expected as many values as the head has names (2), found 1: write each, empty ones too, and put one with a comma into quotes
        line 3: the quote that begins a value here is never closed: close it, and write a quote within a value twice
        line 3: expected a comma or the line's end behind a value in quotes, found '3': write a quote within a value twice
        line 1: the column "q" stands twice: give each a name of its own
        it has no rows: expected at least one, below the head of a CSV
        line 1: the key "q" stands twice: keep one of them
        line 3: expected the key "q", as the first line has it: give each line the same keys, with null for no value
        line 2: expected a JSON object such as {"name": "value"}, found something else: EOF while parsing a value
        line 1: expected a JSON object such as {"name": "value"}, found something else: invalid type: sequence, expected an object
        line 1: expected a JSON object such as {"name": "value"}, found something else: unexpected end of hex escape
        "#);
    }

    proptest::proptest! {
        #[test]
        fn a_csv_is_read_as_by_its_naive_twin(
            rows in proptest::collection::vec(proptest::collection::vec("[ab\",\n\r ]{0,4}", 3), 1..6),
        ) {
            let mut written = csv::Writer::from_writer(Vec::new());
            written.write_record(["a", "b", "c"]).expect("a vector takes it");
            for row in &rows {
                written.write_record(row).expect("a vector takes it");
            }
            let text = String::from_utf8(written.into_inner().expect("a vector takes it")).expect("text");
            let read = Table::csv(&text).expect("it is a table");
            proptest::prop_assert_eq!(read.rows.into_iter().map(|row| row.cells).collect::<Vec<_>>(), rows);
        }
    }
}
