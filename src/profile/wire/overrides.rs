//! What stands over the file: flags, `--set` and `PLIMSOLL_*` variables, all put into the document before any check.
//!
//! The higher kind wins: flag or `--set` > environment > file > default; of two of one kind, the later.

use super::document::{self, Node, Value};
use super::form;
use super::keys::KEYS;
use super::problem::{Fault, Origin, Problem};

/// What every variable that sets a key begins with.
pub const VARIABLE_PREFIX: &str = "PLIMSOLL_";

/// One value that stands over the file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: Vec<String>,
    node: Node,
}

impl Override {
    /// `key` set to `text`, where both come from a command line or a variable.
    ///
    /// The text is read as TOML when the key takes no text and it is TOML, else as text: `50`, `10s`, `"10s"`,
    /// `[{ prompt = "Hi" }]`.
    ///
    /// # Errors
    /// `key` is no dotted TOML key.
    pub fn new(key: &str, text: &str, origin: Origin) -> Result<Self, Problem> {
        let path = path(key).ok_or_else(|| Problem {
            origin: Some(origin.clone()),
            key: key.to_owned(),
            fault: Fault::Expected {
                expected: "a dotted key such as load.concurrency".into(),
                found: format!("{key:?}"),
            },
        })?;
        let as_text = form::kind_of(&path.join(".")).is_some_and(super::kind::Kind::is_text);
        let node = match document::parse_value(text, &origin) {
            Some(node) if !as_text || matches!(node.value, Value::Text(_)) => node,
            _ => Node { origin, value: Value::Text(text.to_owned()) },
        };
        Ok(Self { path, node })
    }

    /// `KEY=VALUE`, as `--set` takes it.
    ///
    /// # Errors
    /// There is no `=`, or no key before it.
    pub fn set(text: &str) -> Result<Self, Problem> {
        // The key's own form decides where it ends: a quoted part of it may hold an `=`.
        let split = text.match_indices('=').find(|(at, _)| path(&text[..*at]).is_some());
        let Some((at, _)) = split else {
            // What was written is not repeated: it may be a key to be kept secret.
            let fault = Fault::Hidden { expected: "KEY=VALUE, such as --set load.concurrency=50".into() };
            return Err(Problem { origin: Some(Origin::Set), key: String::new(), fault });
        };
        Self::new(text[..at].trim(), text[at + 1..].trim(), Origin::Set)
    }

    /// `Name: value`, as `-H` takes it.
    ///
    /// # Errors
    /// There is no `:`, or nothing before it.
    pub fn header(text: &str) -> Result<Self, Problem> {
        let origin = Origin::Flag("-H");
        let split = text.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = split.filter(|(name, _)| !name.is_empty()) else {
            let fault = Fault::Hidden { expected: "'Name: value', such as -H 'x-team: search'".into() };
            return Err(Problem { origin: Some(origin), key: "target.headers".into(), fault });
        };
        let path = vec!["target".into(), "headers".into(), name.to_owned()];
        Ok(Self { path, node: Node { origin, value: Value::Text(value.to_owned()) } })
    }

    /// The overrides of an environment: each key's variable is `PLIMSOLL_` and its path in capitals with `_` for `.`.
    ///
    /// An empty variable counts as not set. `others` are the variables of that prefix that are no profile key's.
    ///
    /// # Errors
    /// A variable of the prefix that nobody reads: a typing mistake must not pass for a setting. Or a proxy, which the
    /// environment does not set.
    pub fn of_environment(
        variables: impl IntoIterator<Item = (String, String)>,
        others: &[&str],
    ) -> Result<Vec<Self>, Vec<Problem>> {
        let (mut overrides, mut problems) = (Vec::new(), Vec::new());
        let ours = |(name, value): &(String, String)| {
            name.starts_with(VARIABLE_PREFIX) && !others.contains(&name.as_str()) && !value.is_empty()
        };
        for (name, value) in variables.into_iter().filter(ours) {
            match settable().find(|path| variable(path) == name) {
                Some("target.proxy") => problems.push(proxy(name)),
                Some(path) => match Self::new(path, &value, Origin::Env(name)) {
                    Ok(found) => overrides.push(found),
                    Err(problem) => problems.push(problem),
                },
                None => problems.push(unknown(name)),
            }
        }
        if problems.is_empty() { Ok(overrides) } else { Err(problems) }
    }

    /// Puts the value into the document.
    pub(super) fn apply(self, document: &mut Node) -> Result<(), Problem> {
        let Some((header, section)) = self.path.split_last().filter(|(_, section)| *section == ["target", "headers"])
        else {
            document.put(&self.path, self.node);
            return Ok(());
        };
        // Header names know no case, so that `-H 'X-Team: b'` replaces the file's `x-team`.
        let written = document.get("target").and_then(|target| target.get("headers")).and_then(|headers| {
            let Value::Table(entries) = &headers.value else { return None };
            entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(header))
        });
        let (name, twice) = match written {
            Some((name, node)) => (name.clone(), node.origin == self.node.origin && node.origin == Origin::Flag("-H")),
            None => (header.clone(), false),
        };
        if twice {
            let reason = "this header is given twice".into();
            let fault =
                Fault::Contradiction { reason, remedy: "give it once; a list goes into one value, with commas" };
            return Err(Problem { origin: Some(self.node.origin), key: format!("target.headers.{name}"), fault });
        }
        let path: Vec<String> = section.iter().cloned().chain([name]).collect();
        document.put(&path, self.node);
        Ok(())
    }

    /// Which layer it belongs to; they are applied from the lowest.
    pub(super) fn rank(&self) -> u8 {
        self.node.origin.rank()
    }
}

/// The keys that a variable can set: those that stand at one place in the file.
fn settable() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path).filter(|path| !path.contains("[]"))
}

/// The variable of a key.
pub(super) fn variable(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.to_ascii_uppercase().replace('.', "_"))
}

/// Who loads a target must see what stands between, in what he runs.
fn proxy(name: String) -> Problem {
    let reason = "a proxy from the environment is never used".into();
    let fault = Fault::Contradiction { reason, remedy: "name it with --proxy, or in the profile" };
    Problem { origin: Some(Origin::Env(name)), key: "target.proxy".into(), fault }
}

fn unknown(name: String) -> Problem {
    let likeness = |candidate: &String| strsim::normalized_damerau_levenshtein(candidate, &name);
    let best = settable().map(variable).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = best.filter(|candidate| likeness(candidate) > 0.8);
    let fault = if name.contains("API_KEY") { Fault::KeyHere } else { Fault::Unknown { nearest } };
    Problem { origin: Some(Origin::Env(name)), key: String::new(), fault }
}

/// The parts of a dotted TOML key; `None` when the text is none.
fn path(key: &str) -> Option<Vec<String>> {
    if key.contains('\n') {
        return None;
    }
    let mut node = document::parse(&format!("{key} = 0")).ok()?;
    let mut parts = Vec::new();
    loop {
        match node.value {
            Value::Table(mut entries) if entries.len() == 1 => {
                let (name, child) = entries.swap_remove(0);
                parts.push(name);
                node = child;
            }
            Value::Integer(0) => return Some(parts),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_from_the_environment_is_refused() {
        let proxy = ("PLIMSOLL_TARGET_PROXY".to_owned(), "http://me:canary@proxy".to_owned());
        let refused = Override::of_environment([proxy], &[]).expect_err("it is never used");
        let told = super::super::Problems { file: "x.toml".into(), list: refused }.to_string();
        insta::assert_snapshot!(told, @"PLIMSOLL_TARGET_PROXY: target.proxy: a proxy from the environment is never used; name it with --proxy, or in the profile");
        let empty = ("PLIMSOLL_TARGET_PROXY".to_owned(), String::new());
        assert_eq!(Override::of_environment([empty], &[]).map(|found| found.len()).ok(), Some(0), "it is not set");
    }
}
