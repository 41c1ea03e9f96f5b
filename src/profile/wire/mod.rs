//! A profile's TOML, and every check on it.
//!
//! The way of a profile: text → document (each value knows its line) → overrides put in → held against the table
//! of keys → typed form with defaults → checks across keys → [`Profile`]. All mistakes are collected on the way.
//! Adding a key: a line in `keys`, a field in `profile`, its reading in the section's file here, and in `resolved`.

mod arrivals;
mod budget;
mod check;
mod conversation;
mod document;
mod form;
pub(super) mod keys;
pub(super) mod kind;
mod load;
mod objectives;
mod overrides;
mod problem;
mod rows;
mod scenarios;
mod script;
mod spread;
mod table;
mod target;
mod url;
mod variants;

pub(super) use form::hidden;
pub use overrides::{Override, VARIABLE_PREFIX};
pub use problem::{Fault, Origin, Problem, Problems};
pub use target::MOCK_AGENT;
pub use url::is_here;

use std::io;
use std::path::Path;

use form::Form;

use super::{Profile, Resolved};
use crate::seed::Seed;

/// Gives the text of a file that a profile names.
pub type ReadFile<'a> = &'a mut dyn FnMut(&Path) -> io::Result<String>;

impl Profile {
    /// Reads a profile that names no other file: `file` is what its text is called in errors, and names the profile
    /// unless it names itself.
    ///
    /// # Errors
    /// Every mistake that was found, each with its line, flag or variable, its key, and what to write instead.
    pub fn parse(file: &str, text: &str, overrides: Vec<Override>) -> Result<Self, Problems> {
        Self::parse_with(file, text, overrides, &mut |_| Err(io::ErrorKind::Unsupported.into()))
    }

    /// Reads a profile; `read` gives the files that it names (traces, series, feeds, plans).
    ///
    /// # Errors
    /// As for [`Profile::parse`]; those of the named files stand at their key.
    pub fn parse_with(file: &str, text: &str, overrides: Vec<Override>, read: ReadFile<'_>) -> Result<Self, Problems> {
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
        let profile = build(&mut form, file, read);
        if form.problems.is_empty() { Ok(profile) } else { Err(refuse(in_order(form.problems))) }
    }
}

/// The profile that the form makes; it counts only when the form has no problem then.
fn build(form: &mut Form, file: &str, read: ReadFile<'_>) -> Profile {
    form.require("why");
    let feed = rows::feed(form, "", read);
    let (request, turns) = conversation::read(form, feed.as_ref());
    let target = target::read(form);
    let variants = variants::read(form, &request, &target);
    let seed = Seed(form.number_or_default("seed"));
    let scenarios = scenarios::read(form, turns, feed.as_ref(), read);
    scenarios::check(form, &scenarios, &variants);
    let (load, replay) = load::load(form, seed, (&variants, &scenarios), read);
    conversation::check_id(form, &load.model);
    Profile {
        name: form.text("name").unwrap_or_else(|| name_of(file)),
        why: form.text("why").unwrap_or_default(),
        seed,
        budget: budget::read(form, &target, &load),
        repeat: load::repeat(form),
        objectives: objectives::read(form, (&variants, &scenarios), &load),
        target,
        load,
        request,
        variants,
        scenarios,
        feed,
        user: conversation::user(form),
        replay,
        limits: load::limits(form),
        expect: load::expect(form),
        checks: check::read(form),
        stall_ns: form.number_or_default("stall"),
        mock: script::read(form),
        resolved: Resolved(form.resolved()),
    }
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
