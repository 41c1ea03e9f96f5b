//! `[request]` and `[[turn]]`: what each invocation sends.

use std::sync::Arc;

use serde_json::Value as Json;

use super::form::Form;
use super::keys::KEYS;
use super::problem::{Fault, Origin};
use crate::agent::Request;
use crate::profile::Turn;

const TEXT: &str = "request.input.text";
const USER_EMAIL: &str = "request.input.user.email";

/// Reads the request and the turns; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form) -> (Request, Vec<Turn>) {
    let turns = turns(form);
    check_user(form);
    check_extra(form);
    check_id(form);
    let request = serde_json::from_value(form.section("request"));
    let mut request: Request = match request {
        Ok(request) => request,
        Err(error) => {
            // Each key was held against its kind, so this is what no single key shows: a user without an address.
            if form.problems.is_empty() {
                form.report(None, "request", Fault::Syntax(error.to_string()));
            }
            Request::default()
        }
    };
    if let [only] = &turns[..] {
        request.input.text = only.prompt.to_string();
    }
    (request, turns)
}

/// One prompt in the request or a list of turns: of the two, what stands over the file wins.
fn turns(form: &mut Form) -> Vec<Turn> {
    let listed = (0..form.len("turn")).filter_map(|index| turn(form, index)).collect::<Vec<_>>();
    let Some(prompt) = form.text(TEXT) else {
        if listed.is_empty()
            && form.problems.iter().all(|problem| !problem.key.starts_with("turn") && problem.key != TEXT)
        {
            let remedy = "say what is asked, as text = \"…\" in [request.input] or as prompt = \"…\" in [[turn]]";
            form.report(None, TEXT, Fault::Missing { remedy });
        }
        return listed;
    };
    let rank = |key: &str| form.origin(key).map_or(0, Origin::rank);
    let (single, list) = (rank(TEXT), rank("turn[0].prompt"));
    if single == list {
        let reason = "the prompt stands both here and in [[turn]]".into();
        form.contradiction(TEXT, reason, "keep the turns, or this one prompt");
    }
    if single >= list { vec![Turn { prompt: Arc::from(prompt), think_ns: 0 }] } else { listed }
}

fn turn(form: &Form, index: usize) -> Option<Turn> {
    let prompt = form.text(&format!("turn[{index}].prompt"))?;
    let think_ns = form.number(&format!("turn[{index}].think"))?;
    Some(Turn { prompt: Arc::from(prompt), think_ns })
}

fn check_user(form: &mut Form) {
    let user = form.section("request.input.user");
    let given = user.as_object().is_some_and(|fields| !fields.is_empty());
    if given && form.text(USER_EMAIL).is_none() && form.clean(USER_EMAIL) {
        let remedy = "the API requires the user's email where a user is given";
        form.report(None, USER_EMAIL, Fault::Missing { remedy });
    }
}

/// A documented field under `extra` would lose against the documented key without a word.
fn check_extra(form: &mut Form) {
    let extra = form.section("request")["extra"].clone();
    let Json::Object(fields) = extra else { return };
    for name in fields.keys() {
        let documented = format!("request.{name}");
        if KEYS.iter().any(|key| key.path == documented || key.path.starts_with(&format!("{documented}."))) {
            let reason = format!("{name} is a documented field");
            form.contradiction("request.extra", reason, "write it in [request] itself");
        }
    }
}

/// The turns of one task come strictly one after another, so one task has room for one conversation.
fn check_id(form: &mut Form) {
    let concurrency = form.number_or_default("load.concurrency");
    if form.text("request.id").is_some() && concurrency > 1 {
        form.contradiction(
            "request.id",
            format!("one task takes its turns one after another, but load.concurrency = {concurrency}"),
            "set load.concurrency = 1, or leave out the id so that each conversation gets a task of its own",
        );
    }
}
