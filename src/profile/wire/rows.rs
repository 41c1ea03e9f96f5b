//! The files of rows that a profile names: feeds of prompts, traces of instants, series of rates.

use std::io::ErrorKind;
use std::path::Path;

use super::ReadFile;
use super::form::Form;
use super::problem::Fault;
use super::table::{Row, Table};
use crate::profile::{Feed, Order};
use crate::units::{NS_PER_MS, NS_PER_S, PLANNED_MAX_NS, Rate};

/// Reads the feed whose keys stand under `prefix`, when one is named; what is wrong is noted in the form.
pub(super) fn feed(form: &mut Form, prefix: &str, read: ReadFile<'_>) -> Option<Feed> {
    let key = format!("{prefix}feed.file");
    let path = form.text(&key)?;
    let order = match form.text(&format!("{prefix}feed.order")).as_deref() {
        Some("shuffled") => Order::Shuffled,
        _ => Order::AsWritten,
    };
    let text = text_of(form, &key, &path, read)?;
    let is_json = Path::new(&path)
        .extension()
        .is_some_and(|ending| ["jsonl", "ndjson"].iter().any(|json| ending.eq_ignore_ascii_case(json)));
    let table = if is_json { Table::json_lines(&text) } else { Table::csv(&text) };
    match table.and_then(Table::checked) {
        Ok(Table { columns, rows, .. }) => {
            Some(Feed { columns, rows: rows.into_iter().map(|row| row.cells).collect(), order })
        }
        Err(why) => refuse(form, &key, &path, &why),
    }
}

/// The instants of a trace in nanoseconds, counted from the first; what is wrong is noted in the form.
pub(super) fn trace(form: &mut Form, read: ReadFile<'_>) -> Option<Vec<u64>> {
    const KEY: &str = "load.trace.file";
    const SCALE: &str = "load.trace.scale";
    let path = form.text(KEY)?;
    let unit = form.text("load.trace.unit")?;
    let scale = form.amount(SCALE).unwrap_or(1.0);
    let text = text_of(form, KEY, &path, read)?;
    let column = form.text("load.trace.column");
    let raw = match raw_instants(&text, column.as_deref(), &unit) {
        Ok(raw) => raw,
        Err(why) => return refuse(form, KEY, &path, &why),
    };
    let first_ns = raw.first().map_or(0, |(_, at_ns)| *at_ns);
    let instants: Result<Vec<_>, usize> =
        raw.iter().map(|(line, at_ns)| scaled(at_ns - first_ns, scale).ok_or(*line)).collect();
    let refuse = |line| {
        let (key, times) = match form.origin(SCALE) {
            Some(_) => (SCALE, format!(", times {scale:?},")),
            None => (KEY, String::new()),
        };
        let reason = format!("line {line} of {path}{times} lies more than 146 years behind the first row");
        form.contradiction(key, reason, "lower load.trace.scale, or check load.trace.unit");
    };
    instants.map_err(refuse).ok()
}

/// The instants as they stand in a trace, in nanoseconds, each with its line.
fn raw_instants(text: &str, column: Option<&str>, unit: &str) -> Result<Vec<(usize, u64)>, String> {
    let unit_ns = match unit {
        "ms" => NS_PER_MS,
        "us" => 1_000,
        "ns" => 1,
        _ => NS_PER_S,
    };
    let table = Table::csv(text)?;
    let table = match column {
        None => table.with_its_head(|cell| decimal(cell, unit_ns).is_some())?,
        Some(_) => table,
    };
    let table = table.checked()?;
    let at = match column {
        None => 0,
        Some(name) => table.find(name).ok_or_else(|| {
            let columns = table.columns.join(", ");
            format!("it has no column {name:?}, only {columns}: name one of them in load.trace.column")
        })?,
    };
    let mut instants: Vec<(usize, u64)> = Vec::with_capacity(table.rows.len());
    for Row { line, cells } in &table.rows {
        let cell = &cells[at];
        let at_ns = decimal(cell, unit_ns).ok_or_else(|| {
            format!(
                "line {line}: expected an instant in {unit} from 0 to {}, such as 12.5, found {cell:?}: correct it, or name \
                 the column of the instants in load.trace.column",
                u64::MAX / unit_ns
            )
        })?;
        if instants.last().is_some_and(|(_, before_ns)| at_ns < *before_ns) {
            return Err(format!(
                "line {line}: expected an instant no earlier than that of the row above it, found {cell:?}: sort the rows \
                 by time"
            ));
        }
        instants.push((*line, at_ns));
    }
    Ok(instants)
}

/// The rates of a series; what is wrong is noted in the form.
pub(super) fn series(form: &mut Form, read: ReadFile<'_>) -> Option<Vec<Rate>> {
    const KEY: &str = "load.series.file";
    let path = form.text(KEY)?;
    let text = text_of(form, KEY, &path, read)?;
    let rates = Table::csv(&text)
        .and_then(|table| table.with_its_head(|cell| Rate::parse(cell).is_ok()))
        .and_then(Table::checked)
        .and_then(|table| rates(&table));
    rates.map_err(|why| refuse::<()>(form, KEY, &path, &why)).ok()
}

/// The column `rate` of a table, or its only one.
fn rates(table: &Table) -> Result<Vec<Rate>, String> {
    let at = match table.find("rate") {
        Some(at) => at,
        None if table.columns.len() == 1 => 0,
        None => {
            let columns = table.columns.join(", ");
            return Err(format!(
                "it has no column \"rate\", only {columns}: give that name to the column of the rates"
            ));
        }
    };
    let rate =
        |Row { line, cells }: &Row| Rate::parse(cells[at].trim()).map_err(|error| format!("line {line}: {error}"));
    table.rows.iter().map(rate).collect()
}

/// The text of a file that a key names.
pub(super) fn text_of(form: &mut Form, key: &str, path: &str, read: ReadFile<'_>) -> Option<String> {
    match read(Path::new(path)) {
        Ok(text) => Some(text),
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::NotFound if Path::new(path).is_relative() => ": paths count from the working directory",
                ErrorKind::InvalidData => ": save it as UTF-8",
                _ => "",
            };
            refuse(form, key, path, &format!("{error}{remedy}"))
        }
    }
}

/// Notes what is wrong with a file that a key names.
pub(super) fn refuse<T>(form: &mut Form, key: &str, path: &str, why: &str) -> Option<T> {
    let origin = form.origin(key).cloned();
    form.report(origin.as_ref(), key, Fault::File { path: path.to_owned(), why: why.to_owned() });
    None
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

/// A distance times a factor, exact for a factor of 1; none where it is longer than anything that can be planned.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn scaled(ns: u64, scale: f64) -> Option<u64> {
    let ns = if (scale - 1.0).abs() < f64::EPSILON { ns } else { (ns as f64 * scale).round() as u64 };
    (ns <= PLANNED_MAX_NS).then_some(ns)
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
