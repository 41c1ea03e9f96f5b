//! A TOML text as a tree in which every value knows where it was written.

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Origin, Problem};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A TOML value; tables keep the order of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Flag(bool),
    Instant(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

/// Reads a TOML text whole.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let place = |at: usize| Origin::File(1 + text[..at].matches('\n').count());
        return Ok(table_node(table.span().start, table.into_inner(), &place));
    }
    Err(syntax_problems(text, &errors))
}

/// One problem a line: what follows a mistake on its line is most often the same mistake.
fn syntax_problems(text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        let origin = Some(Origin::File(line));
        if problems.iter().all(|known| known.origin != origin) {
            problems.push(Problem { origin, key: String::new(), fault: Fault::Syntax(error.message().to_owned()) });
        }
    }
    problems
}

/// Reads one value as `--set` and the environment give it; `None` when it is no TOML value.
pub(super) fn parse_value(text: &str, origin: &Origin) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(node(value, &|_| origin.clone()))
}

fn node(value: Spanned<DeValue<'_>>, place: &impl Fn(usize) -> Origin) -> Node {
    let start = value.span().start;
    let value = match value.into_inner() {
        DeValue::Table(table) => return table_node(start, table, place),
        DeValue::String(text) => Value::Text(text.into_owned()),
        // What no 128 bits hold is no number of anything here; its range is refused where it is used.
        DeValue::Integer(number) => {
            Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(instant) => Value::Instant(instant.to_string()),
        DeValue::Array(list) => Value::List(list.into_iter().map(|item| node(item, place)).collect()),
    };
    Node { origin: place(start), value }
}

fn table_node(start: usize, table: DeTable<'_>, place: &impl Fn(usize) -> Origin) -> Node {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries
        .into_iter()
        .map(|(key, value)| {
            let at = place(key.span().start);
            // A value is where its key is: of a long text or table that is the line to look at.
            let value = Node { origin: at, ..node(value, place) };
            (key.into_inner().into_owned(), value)
        })
        .collect();
    Node { origin: place(start), value: Value::Table(entries) }
}

impl Node {
    /// The value under `key`, when this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Puts `leaf` at `path`, in place of what was there; what is no table on the way becomes one.
    pub(super) fn put(&mut self, path: &[String], leaf: Self) {
        let Some((name, rest)) = path.split_first() else {
            *self = leaf;
            return;
        };
        if !matches!(self.value, Value::Table(_)) {
            *self = Self { origin: leaf.origin.clone(), value: Value::Table(Vec::new()) };
        }
        let Value::Table(entries) = &mut self.value else { unreachable!("it was made a table above") };
        match entries.iter_mut().find(|(key, _)| key == name) {
            Some((_, child)) => child.put(rest, leaf),
            None => {
                let mut child = Self { origin: leaf.origin.clone(), value: Value::Table(Vec::new()) };
                child.put(rest, leaf);
                entries.push((name.clone(), child));
            }
        }
    }

    /// The value as JSON; `None` when a number in it has no place there.
    pub(super) fn json(&self) -> Option<Json> {
        Some(match &self.value {
            Value::Text(text) | Value::Instant(text) => Json::String(text.clone()),
            Value::Integer(number) => Json::Number(Number::from_i128(*number)?),
            Value::Float(number) => Json::Number(Number::from_f64(*number)?),
            Value::Flag(flag) => Json::Bool(*flag),
            Value::List(list) => Json::Array(list.iter().map(Self::json).collect::<Option<_>>()?),
            Value::Table(entries) => Json::Object(
                entries.iter().map(|(key, node)| Some((key.clone(), node.json()?))).collect::<Option<Map<_, _>>>()?,
            ),
        })
    }

    /// What stands there, in words, for an error about it.
    pub(super) fn found(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => format!("{number}"),
            Value::Float(number) => format!("{number}"),
            Value::Flag(flag) => format!("{flag}"),
            Value::Instant(text) => format!("the date {text}"),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
        }
    }
}
