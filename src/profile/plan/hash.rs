//! What tells plans apart: a hash over what a plan is made of.
//!
//! A plan is a pure function of that, so that its millions of starts need not be looked at.

use serde_json::{Value, json};

use crate::agent::Request;
use crate::profile::conversation::Piece;
use crate::profile::{Feed, Model, Order, Profile, Prompt, Scenario, Variant};
use crate::seed::fnv1a;

/// `fnv1a64:` and 16 hexadecimal digits.
pub(super) fn of(profile: &Profile) -> String {
    if let Some(replay) = &profile.replay {
        return replay.hash.clone();
    }
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
        [profile.variants.iter().map(variant).collect::<Vec<_>>(), scenarios(&profile.scenarios)],
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

/// A variant's name and what it asks differently. Its tokens are secret, and no part of a plan.
fn variant(variant: &Variant) -> Value {
    let request = Request { user_oidc_token: None, user_tokens: None, ..variant.request.clone() };
    let overrides = json!([
        request.llm_model_provider,
        request.llm_model_name,
        request.llm_reasoning_effort,
        request.think_mode,
        request.instructions_override,
        request.additional_context,
        request.expected_output,
        request.output_format,
    ]);
    json!([&*variant.name, variant.version, overrides])
}

/// A scenario's own feed, which is shuffled by its own name.
fn own_feed(own: &Feed) -> Value {
    if own.order == Order::Shuffled { json!([own.columns, &*own.rows, "by name"]) } else { feed(own) }
}

fn feed(feed: &Feed) -> Value {
    json!([feed.columns, &*feed.rows, feed.order == Order::Shuffled])
}
