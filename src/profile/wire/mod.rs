//! A profile's TOML, and every check on it.
//!
//! The way of a profile: text → document (each value knows its line) → overrides put in → held against the table
//! of keys → typed form with defaults → checks across keys → [`Profile`]. All mistakes are collected on the way.
//! Adding a key: a line in `keys`, a field in `profile`, its reading in the section's file here, and in `resolved`.

mod conversation;
mod document;
mod form;
pub(super) mod keys;
pub(super) mod kind;
mod load;
mod overrides;
mod problem;
mod script;
mod spread;
mod target;
mod url;

pub use overrides::{Override, VARIABLE_PREFIX};
pub use problem::{Fault, Origin, Problem, Problems};
pub use target::MOCK_AGENT;

use form::Form;

use super::{Profile, Resolved};
use crate::metrics::Objective;
use crate::seed::Seed;

impl Profile {
    /// Reads a profile: `file` is what its text is called in errors, and names the profile unless it names itself.
    ///
    /// # Errors
    /// Every mistake that was found, each with its line, flag or variable, its key, and what to write instead.
    pub fn parse(file: &str, text: &str, overrides: Vec<Override>) -> Result<Self, Problems> {
        let refuse = |list| Problems { file: file.to_owned(), list };
        let mut document = document::parse(text).map_err(refuse)?;
        let mut twice = Vec::new();
        let mut overrides = overrides;
        overrides.sort_by_key(Override::rank);
        for item in overrides {
            twice.extend(item.apply(&mut document).err());
        }
        let mut form = Form::of(&document);
        form.problems.append(&mut twice);
        let profile = build(&mut form, file);
        if form.problems.is_empty() { Ok(profile) } else { Err(refuse(in_order(form.problems))) }
    }
}

/// The profile that the form makes; it counts only when the form has no problem then.
fn build(form: &mut Form, file: &str) -> Profile {
    form.require("why");
    let (request, turns) = conversation::read(form);
    Profile {
        name: form.text("name").unwrap_or_else(|| name_of(file)),
        why: form.text("why").unwrap_or_default(),
        seed: Seed(form.number_or_default("seed")),
        target: target::read(form),
        load: load::load(form),
        request,
        turns,
        limits: load::limits(form),
        expect: load::expect(form),
        objectives: objectives(form),
        stall_ns: form.number_or_default("stall"),
        mock: script::read(form),
        resolved: Resolved(form.resolved()),
    }
}

/// What must hold of a run, each read as it was written.
fn objectives(form: &mut Form) -> Vec<Objective> {
    let mut objectives = Vec::new();
    for text in form.texts("objectives") {
        match text.parse() {
            Ok(objective) => objectives.push(objective),
            Err(error) => {
                let origin = form.origin("objectives").cloned();
                form.report(origin.as_ref(), "objectives", Fault::Objective(error));
            }
        }
    }
    objectives
}

/// The file's stem as a name that is safe in a path.
fn name_of(file: &str) -> String {
    let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = stem.strip_suffix(".toml").unwrap_or(stem);
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).take(100).collect();
    if kind::is_name(&name) { name } else { "profile".into() }
}

/// By line, and after those what has none.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match &problem.origin {
        Some(Origin::File(line)) => (0, *line),
        Some(_) => (1, 0),
        None => (2, 0),
    });
    problems
}

#[cfg(test)]
mod tests;
