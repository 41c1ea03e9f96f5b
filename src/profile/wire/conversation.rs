//! `[request]`, `[[turn]]` and `[user]`: what each invocation sends, and how people behave.

use std::sync::Arc;

use serde_json::Value as Json;

use super::form::Form;
use super::keys::KEYS;
use super::problem::{Fault, Origin};
use crate::agent::Request;
use crate::profile::conversation::Piece;
use crate::profile::script::Distribution;
use crate::profile::{Feed, HangUp, Model, Prompt, Slow, Turn, User};

const TEXT: &str = "request.input.text";
const USER_EMAIL: &str = "request.input.user.email";

/// Reads the request and the turns, whose prompts may be filled from a feed; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form, feed: Option<&Feed>) -> (Request, Vec<Turn>) {
    let turns = turns(form, feed);
    check_user(form);
    check_extra(form);
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
    if let [Turn { prompt: Prompt::Plain(text), .. }] = &turns[..] {
        request.input.text = text.to_string();
    }
    (request, turns)
}

/// One prompt in the request or a list of turns: of the two, what stands over the file wins.
fn turns(form: &mut Form, feed: Option<&Feed>) -> Vec<Turn> {
    if form.len("scenario") > 0 {
        for key in [TEXT, "turn[0].prompt"].into_iter().filter(|key| form.origin(key).is_some()).collect::<Vec<_>>() {
            let reason = "prompts stand both here and in [[scenario]]".to_owned();
            form.contradiction(key, reason, "keep the scenarios, or this");
        }
        return Vec::new();
    }
    let listed = listed(form, "turn", feed);
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
    if single < list {
        return listed;
    }
    vec![Turn { prompt: template(form, TEXT, &prompt, feed), think: Distribution::default() }]
}

/// The turns of a list of them; what is wrong is noted in the form.
pub(super) fn listed(form: &mut Form, list: &str, feed: Option<&Feed>) -> Vec<Turn> {
    (0..form.len(list)).filter_map(|index| turn(form, &format!("{list}[{index}]"), feed)).collect()
}

fn turn(form: &mut Form, section: &str, feed: Option<&Feed>) -> Option<Turn> {
    let key = format!("{section}.prompt");
    let prompt = form.text(&key)?;
    let think = form.spread(&format!("{section}.think"))?;
    Some(Turn { prompt: template(form, &key, &prompt, feed), think })
}

/// The prompt, with `{{name}}` for the feed's column of that name; without a feed, braces are just braces.
fn template(form: &mut Form, key: &str, text: &str, feed: Option<&Feed>) -> Prompt {
    let Some(feed) = feed else { return Prompt::Plain(Arc::from(text)) };
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((name, after)) = behind.split_once("}}") else {
            let reason = "with a feed, braces begin the name of a column, and these are never closed".to_owned();
            form.contradiction(key, reason, "close them, as in {{name}}");
            break;
        };
        match feed.columns.iter().position(|column| column == name.trim()) {
            Some(column) => pieces.extend([Piece::Text(before.to_owned()), Piece::Column(column)]),
            None => {
                let reason = format!("the feed has no column {:?}, only {}", name.trim(), feed.columns.join(", "));
                form.contradiction(key, reason, "name one of its columns between the braces");
            }
        }
        rest = after;
    }
    if pieces.is_empty() {
        return Prompt::Plain(Arc::from(text));
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    Prompt::Template(pieces)
}

/// Reads how people behave; what is wrong is noted in the form.
pub(super) fn user(form: &mut Form) -> User {
    let mut share = |key: &str, needs: &'static str, remedy: &'static str| {
        let share = form.amount(key).filter(|share| *share > 0.0)?;
        if form.origin(needs).is_none() && form.clean(needs) {
            form.contradiction(key, format!("a share over 0 needs {needs}"), remedy);
        }
        Some(share)
    };
    let hang_ups = share("user.hang_up.share", "user.hang_up.after", "say when they hang up, such as after = \"2s\"");
    let slow = share("user.slow.share", "user.slow.bytes_per_s", "say how fast they read, such as \"1KiB\"");
    User {
        hang_up: hang_ups.and_then(|share| Some(HangUp { share, after: form.spread("user.hang_up.after")? })),
        slow: slow.and_then(|share| Some(Slow { share, bytes_per_s: form.number("user.slow.bytes_per_s")? })),
        goes_on: form.text("user.after_failure").as_deref() == Some("go_on"),
    }
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
pub(super) fn check_id(form: &mut Form, model: &Model) {
    let found = match model {
        _ if form.text("request.id").is_none() => return,
        Model::Closed { concurrency: 1, .. } => return,
        Model::Closed { concurrency, .. } => format!("load.concurrency = {concurrency}"),
        Model::Open { .. } => "the load is open".to_owned(),
    };
    form.contradiction(
        "request.id",
        format!("one task takes its turns one after another, but {found}"),
        "load it closed with load.concurrency = 1, or leave out the id so that each conversation gets a task of its own",
    );
}
