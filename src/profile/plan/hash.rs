//! What tells plans apart: a hash over what a plan is made of.
//!
//! A plan is a pure function of that, so that its millions of starts need not be looked at.
//!
//! Of what may be a secret only the names go in, as `run.json` shows it: 64 bits without a salt stand in every report,
//! and a short secret behind them could be found by trying.

use serde_json::{Value, json};

use super::Replay;
use crate::profile::conversation::Piece;
use crate::profile::wire::{hidden, keys};
use crate::profile::{Feed, Model, Order, Profile, Prompt, Scenario, Target, Variant};
use crate::seed::fnv1a;

/// `fnv1a64:` and 16 hexadecimal digits.
pub(super) fn of(profile: &Profile) -> String {
    profile.replay.as_ref().map_or_else(|| made(profile), |replay| replayed(profile, replay))
}

/// The hash of what a profile adds to the lines of a plan's file.
pub(super) fn beside(profile: &Profile) -> String {
    let load = &profile.load;
    let model = match &load.model {
        Model::Closed { concurrency, ramp_ns, ramp_down_ns } => {
            json!([concurrency, ramp_ns, ramp_down_ns, load.duration_ns])
        }
        // Its instants stand in the lines, and its end in the head.
        Model::Open { .. } => json!("open"),
    };
    text(json!(["beside", model, load.warmup_ns, variants(profile), profile.user.goes_on]).to_string().as_bytes())
}

/// The hash of the plan that is replayed, unless this profile makes another one of its lines.
fn replayed(profile: &Profile, replay: &Replay) -> String {
    let (load, profile_hash) = (&profile.load, beside(profile));
    let end_ns = load.duration_ns.filter(|_| matches!(load.model, Model::Open { .. }));
    let same = (load.invocations, end_ns) == (Some(replay.len()), replay.end_ns());
    match &replay.whole {
        Some(whole) if same && whole.profile_hash == profile_hash => whole.hash.clone(),
        _ => text(json!(["replay", replay.lines_hash, profile_hash, load.invocations, end_ns]).to_string().as_bytes()),
    }
}

/// The hash of a plan that the profile itself makes.
fn made(profile: &Profile) -> String {
    let load = &profile.load;
    let (model, end_ns) = match &load.model {
        Model::Closed { concurrency, ramp_ns, ramp_down_ns } => {
            (json!(["closed", concurrency, ramp_ns, ramp_down_ns]), load.duration_ns)
        }
        // A law that ends by itself begins nothing more behind its end.
        Model::Open { pacer, .. } => {
            (json!(["open", pacer.facts()]), load.duration_ns.into_iter().chain(pacer.end_ns()).min())
        }
    };
    let user = &profile.user;
    // Lists only: the order of a JSON object's keys is the library's business, and the hash must never change.
    let made_of = json!([
        "plan 2",
        profile.seed.0,
        [model, load.invocations, end_ns, load.warmup_ns],
        [variants(profile), scenarios(&profile.scenarios)],
        profile.feed.as_ref().map(feed),
        [
            user.hang_up.as_ref().map(|hang_up| json!([hang_up.share, hang_up.after.to_json()])),
            user.slow.map(|slow| json!([slow.share, slow.bytes_per_s])),
            user.goes_on,
        ],
    ]);
    text(made_of.to_string().as_bytes())
}

/// The hash of some bytes, as it is written.
pub(super) fn text(bytes: &[u8]) -> String {
    format!("fnv1a64:{:016x}", fnv1a(bytes))
}

/// The turns of a profile without scenarios; else each scenario with its name and weight.
fn scenarios(scenarios: &[Scenario]) -> Value {
    let turns = |scenario: &Scenario| -> Value {
        scenario.turns.iter().map(|turn| json!([prompt(&turn.prompt), turn.think.to_json()])).collect()
    };
    match scenarios {
        [unnamed] if unnamed.name.is_empty() => turns(unnamed),
        _ => scenarios
            .iter()
            .map(|one| json!([&*one.name, one.weight, turns(one), one.feed.as_ref().map(own_feed)]))
            .collect(),
    }
}

fn prompt(prompt: &Prompt) -> Value {
    match prompt {
        Prompt::Plain(text) => json!(&**text),
        Prompt::Template(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => json!(text),
                Piece::Column(at) => json!(at),
            })
            .collect(),
    }
}

fn variants(profile: &Profile) -> Value {
    profile.variants.iter().map(|one| variant(one, &profile.target)).collect()
}

/// What a variant overrides most, each at a place of its own.
const OVERRIDES: [&str; 8] = [
    "llm_model_provider",
    "llm_model_name",
    "llm_reasoning_effort",
    "think_mode",
    "instructions_override",
    "additional_context",
    "expected_output",
    "output_format",
];

/// A variant's name and what it sends beside the prompt; its agent where that is not the target's.
fn variant(variant: &Variant, target: &Target) -> Value {
    let body = serde_json::to_value(&variant.request).expect("a request has string keys and finite numbers only");
    let Value::Object(mut body) = body else { unreachable!("a request is a table") };
    let overrides: Vec<_> = OVERRIDES.map(|name| body.remove(name).unwrap_or_default()).into();
    // The prompt is the turn's.
    body["input"].as_object_mut().map(|input| input.remove("text"));
    body.insert("extra".to_owned(), variant.request.extra.clone().into());
    let shown = |name: &str, value: &Value| if is_secret(name) { hidden(value) } else { value.clone() };
    let mut more: Vec<_> = body.iter().map(|(name, value)| (name.clone(), listed(&shown(name, value)))).collect();
    // What nobody wrote is left out, so that plans without it keep their hash.
    more.retain(|(_, value)| *value != json!([]));
    if variant.agent_id != target.agent_id {
        more.push(("agent_id".to_owned(), json!(variant.agent_id)));
    }
    more.sort_by(|one, other| one.0.cmp(&other.0));
    let mut all = vec![json!(&*variant.name), json!(variant.version), overrides.into()];
    all.extend((!more.is_empty()).then(|| json!(more)));
    all.into()
}

/// Whether a field of the request may hold a secret; `input` is a section of keys, none of which may.
fn is_secret(name: &str) -> bool {
    keys::find(&format!("request.{name}")).is_some_and(|key| key.secret)
}

/// The value with its tables as lists of names and values, in the names' order.
fn listed(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name, listed(value))).collect();
            fields.sort_by_key(|(name, _)| *name);
            json!(fields)
        }
        Value::Array(items) => items.iter().map(listed).collect(),
        other => other.clone(),
    }
}

/// A scenario's own feed, which is shuffled by its own name.
fn own_feed(own: &Feed) -> Value {
    if own.order == Order::Shuffled { json!([own.columns, &*own.rows, "by name"]) } else { feed(own) }
}

fn feed(feed: &Feed) -> Value {
    json!([feed.columns, &*feed.rows, feed.order == Order::Shuffled])
}
