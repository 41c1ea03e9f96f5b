//! A document held against the table of keys: what is left is typed, and every default is in place.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::document::{self, Node, Value};
use super::keys::{self, Default, KEYS, Key};
use super::kind::{Checked, Kind};
use super::problem::{Fault, Origin, Problem};
use crate::profile::Proxy;
use crate::profile::script::Distribution;
use crate::units::Rate;

/// The accepted values by their shown path (`turn[0].prompt`), and every problem so far.
#[derive(Debug)]
pub(super) struct Form {
    values: BTreeMap<String, Entry>,
    pub(super) problems: Vec<Problem>,
}

/// An accepted value: where it was written, unless it is a default, and whether it may be a secret.
#[derive(Debug)]
struct Entry {
    value: Checked,
    origin: Option<Origin>,
    secret: bool,
}

/// How alike two names must be for one to be offered in place of the other (Damerau–Levenshtein, 0 to 1).
const ALIKE: f64 = 0.6;
/// Names under which people write their key into a profile; case and '-' for '_' aside.
const KEY_NAMES: [&str; 8] =
    ["api_key", "apikey", "x_api_key", "xpander_api_key", "key", "token", "bearer", "authorization"];

/// A value without its texts: only its shape and its names are left.
pub(in crate::profile) fn hidden(value: &Json) -> Json {
    match value {
        Json::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), hidden(value))).collect(),
        Json::Array(items) => items.iter().map(hidden).collect(),
        _ => Json::from("(hidden)"),
    }
}

/// What is wrong with a value that may be secret, without the value.
fn without(node: &Node, fault: Fault) -> Fault {
    match fault {
        Fault::Expected { expected, .. } if !matches!(node.value, Value::Table(_) | Value::List(_)) => {
            Fault::Hidden { expected }
        }
        fault => fault,
    }
}

impl Form {
    /// Holds a document against the table.
    pub(super) fn of(document: &Node) -> Self {
        let mut form = Self { values: BTreeMap::new(), problems: Vec::new() };
        form.walk(document, "", "");
        form
    }

    /// `path` is the table's form of it (`turn[].prompt`), `shown` the document's (`turn[0].prompt`).
    fn walk(&mut self, node: &Node, path: &str, shown: &str) {
        if let Some(key) = keys::find(path) {
            match key.kind.read(node) {
                Ok(value) => self.put(key, shown, value, Some(node.origin.clone())),
                Err(fault) if key.secret => self.report(Some(&node.origin), shown, without(node, fault)),
                Err(fault) => self.report(Some(&node.origin), shown, fault),
            }
            return;
        }
        let list = format!("{path}[].");
        if !path.is_empty() && KEYS.iter().any(|key| key.path.starts_with(&list)) {
            return self.walk_list(node, path, shown);
        }
        match &node.value {
            Value::Table(entries) => {
                for (name, child) in entries {
                    self.enter(child, path, shown, name);
                }
                self.fill(path, shown);
            }
            _ => self.expect(node, shown, "a table"),
        }
    }

    fn put(&mut self, key: &Key, shown: &str, value: Checked, origin: Option<Origin>) {
        self.values.insert(shown.to_owned(), Entry { value, origin, secret: key.secret });
    }

    fn walk_list(&mut self, node: &Node, path: &str, shown: &str) {
        let Value::List(items) = &node.value else {
            return self.expect(node, shown, &format!("a list of tables, each written as [[{path}]]"));
        };
        for (index, item) in items.iter().enumerate() {
            self.walk(item, &format!("{path}[]"), &format!("{shown}[{index}]"));
        }
    }

    fn enter(&mut self, child: &Node, path: &str, shown: &str, name: &str) {
        let (child_path, child_shown) = (join(path, name), join(shown, name));
        if is_known(&child_path) {
            return self.walk(child, &child_path, &child_shown);
        }
        let plain = name.to_ascii_lowercase().replace('-', "_");
        let fault = if KEY_NAMES.contains(&plain.as_str()) {
            Fault::KeyHere
        } else {
            Fault::Unknown { nearest: nearest(path, name) }
        };
        self.report(Some(&child.origin), &child_shown, fault);
    }

    /// The defaults of a table that was written; those of one that was not come when it is asked for.
    fn fill(&mut self, path: &str, shown: &str) {
        for key in KEYS.iter().filter(|key| path.ends_with("[]") && parent(key.path) == path) {
            let full = join(shown, leaf(key.path));
            if !self.values.contains_key(&full) && self.clean(&full) {
                self.fill_one(key, &full);
            }
        }
    }

    fn fill_one(&mut self, key: &Key, shown: &str) {
        match key.default {
            Default::Required(remedy) => self.report(None, shown, Fault::Missing { remedy }),
            Default::Absent(_) => {}
            Default::Value(_) => self.put(key, shown, default(key), None),
        }
    }

    fn expect(&mut self, node: &Node, shown: &str, expected: &str) {
        let fault = Fault::Expected { expected: expected.to_owned(), found: node.found() };
        self.report(Some(&node.origin), shown, fault);
    }

    /// Notes a problem.
    pub(super) fn report(&mut self, origin: Option<&Origin>, key: &str, fault: Fault) {
        self.problems.push(Problem { origin: origin.cloned(), key: key.to_owned(), fault });
    }

    /// Notes that this key, as written, cannot stand beside another.
    pub(super) fn contradiction(&mut self, key: &str, reason: String, remedy: &'static str) {
        let origin = self.origin(key).cloned();
        self.report(origin.as_ref(), key, Fault::Contradiction { reason, remedy });
    }

    /// Whether nothing was found wrong with this key so far.
    pub(super) fn clean(&self, key: &str) -> bool {
        self.problems.iter().all(|problem| problem.key != key)
    }

    /// Where the key was written; absent when it was not.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key)?.origin.as_ref()
    }

    /// Notes it when a key that must be written is not.
    pub(super) fn require(&mut self, path: &'static str) {
        let key = keys::find(path).expect("only keys of the table are asked for");
        if let Default::Required(remedy) = key.default
            && !self.values.contains_key(path)
            && self.clean(path)
        {
            self.report(None, path, Fault::Missing { remedy });
        }
    }

    /// How many tables a list has.
    pub(super) fn len(&self, list: &str) -> usize {
        let prefix = format!("{list}[");
        let index = |key: &String| key.strip_prefix(&prefix)?.split(']').next()?.parse::<usize>().ok();
        self.values.keys().filter_map(index).map(|index| index + 1).max().unwrap_or(0)
    }

    fn value(&self, shown: &str) -> Option<Checked> {
        if let Some(entry) = self.values.get(shown) {
            return Some(entry.value.clone());
        }
        let key = keys::find(shown)?;
        matches!(key.default, Default::Value(_)).then(|| default(key))
    }

    /// A text, or its default.
    pub(super) fn text(&self, shown: &str) -> Option<String> {
        match self.value(shown)? {
            Checked::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A count, nanoseconds or bytes, or their default.
    pub(super) fn number(&self, shown: &str) -> Option<u64> {
        match self.value(shown)? {
            Checked::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A number that has a default.
    pub(super) fn number_or_default(&self, shown: &str) -> u64 {
        self.number(shown).expect("this key has a default in the table")
    }

    /// An amount.
    pub(super) fn amount(&self, shown: &str) -> Option<f64> {
        match self.value(shown)? {
            Checked::Amount(amount) => Some(amount),
            _ => None,
        }
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, shown: &str) -> bool {
        self.value(shown) == Some(Checked::Flag(true))
    }

    /// A proxy.
    pub(super) fn proxy(&self, shown: &str) -> Option<Proxy> {
        match self.value(shown)? {
            Checked::Proxy(proxy) => Some(proxy),
            _ => None,
        }
    }

    /// The headers in their order.
    pub(super) fn headers(&self, shown: &str) -> Vec<(String, String)> {
        match self.value(shown) {
            Some(Checked::Headers(headers)) => headers,
            _ => Vec::new(),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, shown: &str) -> Vec<String> {
        match self.value(shown) {
            Some(Checked::Json(Json::Array(list))) => {
                list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A distribution, or its default.
    pub(super) fn spread(&self, shown: &str) -> Option<Distribution> {
        match self.value(shown)? {
            Checked::Spread(distribution) => Some(distribution),
            _ => None,
        }
    }

    /// A list of whole numbers.
    pub(super) fn numbers(&self, shown: &str) -> Vec<u64> {
        match self.value(shown) {
            Some(Checked::Numbers(numbers)) => numbers,
            _ => Vec::new(),
        }
    }

    /// A rate.
    pub(super) fn rate(&self, shown: &str) -> Option<Rate> {
        match self.value(shown)? {
            Checked::Rate(rate) => Some(rate),
            _ => None,
        }
    }

    /// How strongly a key is written: 0 when it is not, else the rank of its origin.
    pub(super) fn rank(&self, shown: &str) -> u8 {
        self.origin(shown).map_or(0, Origin::rank)
    }

    /// Whether any key of this section was written, rightly or not.
    pub(super) fn has_section(&self, section: &str) -> bool {
        let within = |key: &str| key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.values.keys().any(|key| within(key)) || self.problems.iter().any(|problem| within(&problem.key))
    }

    /// Every key that holds, written or by default, as nested JSON; what may hold a secret is hidden.
    pub(super) fn resolved(&self) -> Json {
        let mut root = Json::Object(serde_json::Map::new());
        for key in KEYS.iter().filter(|key| !key.path.contains("[]") && matches!(key.default, Default::Value(_))) {
            put(&mut root, key.path, json(&default(key)));
        }
        for (shown, entry) in &self.values {
            let value = json(&entry.value);
            put(&mut root, shown, if entry.secret { hidden(&value) } else { value });
        }
        root
    }

    /// What was written under `section`, as nested JSON.
    pub(super) fn section(&self, section: &str) -> Json {
        let prefix = format!("{section}.");
        let mut root = Json::Object(serde_json::Map::new());
        for (shown, entry) in &self.values {
            if let Some(path) = shown.strip_prefix(&prefix) {
                put(&mut root, path, json(&entry.value));
            }
        }
        root
    }
}

fn put(root: &mut Json, path: &str, value: Json) {
    let mut at = root;
    for name in path.split('.') {
        at = match name.split_once('[') {
            None => &mut at[name],
            Some((list, index)) => element(&mut at[list], index.trim_end_matches(']')),
        };
    }
    *at = value;
}

/// The place in a list, which grows as far as that.
fn element<'j>(list: &'j mut Json, index: &str) -> &'j mut Json {
    let index: usize = index.parse().expect("the form numbers its lists");
    if !list.is_array() {
        *list = Json::Array(Vec::new());
    }
    let items = list.as_array_mut().expect("it was just made one");
    while items.len() <= index {
        items.push(Json::Null);
    }
    &mut items[index]
}

fn json(value: &Checked) -> Json {
    match value {
        Checked::Text(text) => Json::from(text.as_str()),
        Checked::Number(number) => Json::from(*number),
        Checked::Amount(amount) => Json::from(*amount),
        Checked::Flag(flag) => Json::from(*flag),
        Checked::Proxy(proxy) => Json::from(proxy.to_string()),
        Checked::Json(json) => json.clone(),
        Checked::Spread(distribution) => distribution.to_json(),
        Checked::Numbers(numbers) => Json::from(numbers.as_slice()),
        Checked::Rate(rate) => Json::from(rate.to_string()),
        Checked::Headers(headers) => headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

/// The value of a default, which the table holds as TOML.
fn default(key: &Key) -> Checked {
    let Default::Value(text) = key.default else { unreachable!("only keys with a default are asked for it") };
    let node = document::parse_value(text, &Origin::Set).expect("defaults of the table are TOML");
    key.kind.read(&node).expect("defaults of the table are of their kind")
}

fn is_known(path: &str) -> bool {
    KEYS.iter()
        .any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn leaf(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, leaf)| leaf)
}

/// The known key most like `name`: one of the same name elsewhere, a neighbour spelt alike, then any spelt alike.
pub(super) fn nearest(path: &str, name: &str) -> Option<String> {
    let known = KEYS.iter().flat_map(|key| {
        // Sections are keys too: `[limit]` should find `[limits]`.
        key.path.match_indices('.').map(|(at, _)| &key.path[..at]).chain([key.path])
    });
    let score = |candidate: &str| {
        let likeness = strsim::normalized_damerau_levenshtein(leaf(candidate).trim_end_matches("[]"), name);
        let neighbour = f64::from(u8::from(parent(candidate) == path));
        // A neighbour wins against what is as much alike elsewhere, but not against the very name.
        if leaf(candidate) == name { 2.0 + neighbour } else { likeness + 0.2 * neighbour }
    };
    let alike = |candidate: &&str| {
        strsim::normalized_damerau_levenshtein(leaf(candidate).trim_end_matches("[]"), name) >= ALIKE
            || leaf(candidate).contains(name) && name.len() >= 4
    };
    known.filter(alike).max_by(|a, b| score(a).total_cmp(&score(b))).map(|path| path.replace("[]", ""))
}

/// The kind of the key at a path, for values that come as bare words.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    keys::find(path).map(|key| key.kind)
}
