//! The files of rows that a profile names: feeds of prompts, traces of instants, series of rates.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::ReadFile;
use super::form::Form;
use super::problem::Fault;
use crate::profile::{Feed, Order};
use crate::units::{NS_PER_MS, NS_PER_S, Rate};

/// The most rows that are taken, which is the most conversations that a run has.
const ROWS_MAX: usize = 10_000_000;

/// The rows of a file by the names of their columns.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Reads the feed whose keys stand under `prefix`, when one is named; what is wrong is noted in the form.
pub(super) fn feed(form: &mut Form, prefix: &str, read: ReadFile<'_>) -> Option<Feed> {
    let key = format!("{prefix}feed.file");
    let path = form.text(&key)?;
    let order = match form.text(&format!("{prefix}feed.order")).as_deref() {
        Some("shuffled") => Order::Shuffled,
        _ => Order::AsWritten,
    };
    let text = text_of(form, &key, &path, read)?;
    let is_json = Path::new(&path).extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
    let table = if is_json { json_lines(&text) } else { csv(&text) };
    match table {
        Ok(Table { columns, rows }) => Some(Feed { columns, rows: rows.into(), order }),
        Err(why) => refuse(form, &key, &path, &why),
    }
}

/// The instants of a trace in nanoseconds, counted from the first; what is wrong is noted in the form.
pub(super) fn trace(form: &mut Form, read: ReadFile<'_>) -> Option<Vec<u64>> {
    const KEY: &str = "load.trace.file";
    let path = form.text(KEY)?;
    let unit_ns = match form.text("load.trace.unit").as_deref() {
        Some("ms") => NS_PER_MS,
        Some("us") => 1_000,
        Some("ns") => 1,
        _ => NS_PER_S,
    };
    let scale = form.amount("load.trace.scale").unwrap_or(1.0);
    let text = text_of(form, KEY, &path, read)?;
    let column = form.text("load.trace.column");
    let instants = csv(&text).and_then(|table| {
        let at = table.column(column.as_deref(), None)?;
        let raw = table.rows.iter().enumerate().map(|(row, cells)| {
            let exact = decimal(&cells[at], unit_ns);
            exact.ok_or_else(|| format!("row {}: {:?} is no instant of at least 0", row + 1, cells[at]))
        });
        let raw = raw.collect::<Result<Vec<_>, _>>()?;
        let first = raw.first().copied().unwrap_or_default();
        match raw.windows(2).position(|pair| pair[1] < pair[0]) {
            Some(row) => Err(format!("row {} lies before the row above it: a trace goes forward in time", row + 2)),
            None => Ok(raw.iter().map(|at| scaled(at - first, scale)).collect()),
        }
    });
    instants.map_err(|why| refuse::<()>(form, KEY, &path, &why)).ok()
}

/// The rates of a series; what is wrong is noted in the form.
pub(super) fn series(form: &mut Form, read: ReadFile<'_>) -> Option<Vec<Rate>> {
    const KEY: &str = "load.series.file";
    let path = form.text(KEY)?;
    let text = text_of(form, KEY, &path, read)?;
    let rates = csv(&text).and_then(|table| {
        let at = table.column(None, Some("rate"))?;
        let rate = |(row, cells): (usize, &Vec<String>)| {
            Rate::parse(cells[at].trim()).map_err(|error| format!("row {}: {error}", row + 1))
        };
        table.rows.iter().enumerate().map(rate).collect::<Result<Vec<_>, _>>()
    });
    rates.map_err(|why| refuse::<()>(form, KEY, &path, &why)).ok()
}

/// The text of a file that a key names.
pub(super) fn text_of(form: &mut Form, key: &str, path: &str, read: ReadFile<'_>) -> Option<String> {
    match read(Path::new(path)) {
        Ok(text) => Some(text),
        Err(error) => refuse(form, key, path, &error.to_string()),
    }
}

/// Notes what is wrong with a file that a key names.
pub(super) fn refuse<T>(form: &mut Form, key: &str, path: &str, why: &str) -> Option<T> {
    let origin = form.origin(key).cloned();
    form.report(origin.as_ref(), key, Fault::File { path: path.to_owned(), why: why.to_owned() });
    None
}

impl Table {
    /// The named column; without a name the `usual` one, or the first.
    fn column(&self, name: Option<&str>, usual: Option<&str>) -> Result<usize, String> {
        let find = |name: &str| self.columns.iter().position(|column| column == name);
        match (name, usual.and_then(find)) {
            (Some(name), _) => find(name).ok_or_else(|| format!("it has no column {name:?}")),
            (None, Some(at)) => Ok(at),
            (None, None) if usual.is_some() && self.columns.len() > 1 => {
                Err(format!("it has no column {:?}", usual.unwrap_or_default()))
            }
            (None, None) => Ok(0),
        }
    }
}

fn csv(text: &str) -> Result<Table, String> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let columns = reader.headers().map_err(|error| error.to_string())?.iter().map(|name| name.trim().to_owned());
    let columns: Vec<_> = columns.collect();
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        rows.push(row.iter().map(str::to_owned).collect());
    }
    checked(Table { columns, rows })
}

fn json_lines(text: &str) -> Result<Table, String> {
    let mut table = Table { columns: Vec::new(), rows: Vec::new() };
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row: Map<String, Json> =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        if table.rows.is_empty() {
            table.columns = row.keys().cloned().collect();
        }
        let cell = |name: &String| match row.get(name) {
            Some(Json::String(text)) => Ok(text.clone()),
            Some(other) => Ok(other.to_string()),
            None => Err(format!("line {}: it has no {name:?}, as the first line has", number + 1)),
        };
        table.rows.push(table.columns.iter().map(cell).collect::<Result<_, _>>()?);
    }
    checked(table)
}

fn checked(table: Table) -> Result<Table, String> {
    match table.rows.len() {
        0 => Err("it has no rows".to_owned()),
        1..=ROWS_MAX => Ok(table),
        rows => Err(format!("it has {rows} rows, and {ROWS_MAX} are the most that a run can use")),
    }
}

/// A decimal number of units in nanoseconds, exactly; digits beyond the nanosecond are cut off.
fn decimal(text: &str, unit_ns: u64) -> Option<u64> {
    let text = text.trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut fraction = 0_u64;
    let mut scale = unit_ns;
    for digit in part.bytes() {
        scale /= 10;
        fraction += u64::from(digit - b'0') * scale;
    }
    whole.parse::<u64>().ok()?.checked_mul(unit_ns)?.checked_add(fraction)
}

/// A distance times a factor; exact for a factor of 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn scaled(ns: u64, scale: f64) -> u64 {
    if (scale - 1.0).abs() < f64::EPSILON { ns } else { (ns as f64 * scale).round() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_to_the_nanosecond() {
        for (text, unit, ns) in [
            ("0", NS_PER_S, Some(0)),
            ("1.5", NS_PER_S, Some(1_500_000_000)),
            (" 1689000000.123456789 ", NS_PER_S, Some(1_689_000_000_123_456_789)),
            ("12.25", NS_PER_MS, Some(12_250_000)),
            ("7.9999", 1, Some(7)),
            ("-1", NS_PER_S, None),
            ("", NS_PER_S, None),
            (".5", NS_PER_S, None),
            ("1e3", NS_PER_S, None),
            ("99999999999999", NS_PER_S, None),
        ] {
            assert_eq!(decimal(text, unit), ns, "{text:?}");
        }
    }
}
