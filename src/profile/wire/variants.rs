//! `[[variant]]` and `[matrix]`: what is compared within one run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::document::{Node, Value};
use super::form::Form;
use super::problem::Origin;
use super::{keys, kind};
use crate::agent::Request;
use crate::profile::{BASE_VARIANT, Target, Variant};

/// What a matrix can span, in the order of the names: the key, and the field of a variant.
const AXES: [(&str, &str); 5] = [
    ("matrix.llm_model_provider", "llm_model_provider"),
    ("matrix.llm_model_name", "llm_model_name"),
    ("matrix.llm_reasoning_effort", "llm_reasoning_effort"),
    ("matrix.think_mode", "think_mode"),
    ("matrix.version", "version"),
];

/// The most variants of one run: what a person can still read.
const VARIANTS_MAX: usize = 64;

/// Reads the variants; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form, request: &Request, target: &Target) -> Vec<Variant> {
    let listed: Vec<_> = (0..form.len("variant")).map(|index| overrides(form, index)).collect();
    let Some(spanned) = matrix(form) else { return vec![variant(BASE_VARIANT, Map::new(), request, target)] };
    if !listed.is_empty() && !spanned.is_empty() {
        let reason = "variants are listed in [[variant]] as well as spanned by [matrix]".to_owned();
        form.contradiction("variant[0].name", reason, "keep one of them");
    }
    let is_listed = !listed.is_empty();
    let all = if is_listed { listed } else { spanned };
    if all.is_empty() {
        return vec![variant(BASE_VARIANT, Map::new(), request, target)];
    }
    let mut names = BTreeSet::new();
    let mut variants = Vec::new();
    for (index, (name, fields)) in all.into_iter().enumerate() {
        if !names.insert(name.clone()) {
            let reason = format!("two variants are called {name:?}");
            if is_listed {
                form.contradiction(&format!("variant[{index}].name"), reason, "give each a name of its own");
            } else if doubled(form, axis(form)) {
                form.contradiction(axis(form), reason, "write each value once");
            } else {
                let reason = format!("{reason}, which is what their values make as a name");
                form.contradiction(axis(form), reason, "list them in [[variant]], each with a name of its own");
            }
        }
        variants.push(variant(&name, fields, request, target));
    }
    if variants.len() > VARIANTS_MAX {
        too_many(form, "variant[0].name", variants.len());
    }
    variants
}

/// Notes that there are more variants than one run can have.
fn too_many(form: &mut Form, key: &str, count: usize) {
    let reason = format!("{count} variants are more than the {VARIANTS_MAX} of one run");
    form.contradiction(key, reason, "compare fewer at a time");
}

/// The axis of a matrix that is to blame for what is wrong with its names: the one that says something twice, or the
/// longest.
fn axis(form: &Form) -> &'static str {
    AXES.map(|(axis, _)| axis)
        .into_iter()
        .max_by_key(|axis| (doubled(form, axis), form.texts(axis).len()))
        .expect("there are axes")
}

/// Whether an axis has a value twice.
fn doubled(form: &Form, axis: &str) -> bool {
    let values = form.texts(axis);
    values.iter().collect::<BTreeSet<_>>().len() < values.len()
}

/// The name of a listed variant, and what it overrides.
fn overrides(form: &Form, index: usize) -> (String, Map<String, Json>) {
    let section = format!("variant[{index}]");
    let mut fields = match form.section(&section) {
        Json::Object(fields) => fields,
        _ => Map::new(),
    };
    let name = fields.remove("name").and_then(|name| name.as_str().map(str::to_owned));
    // A variant without a name has its problem noted already.
    (name.unwrap_or_else(|| section.clone()), fields)
}

/// Every combination of the lists under `matrix`; none when there would be too many of them to make.
fn matrix(form: &mut Form) -> Option<Vec<(String, Map<String, Json>)>> {
    let lengths = AXES.map(|(key, _)| form.origin(key).map_or(1, |_| form.texts(key).len()));
    let count = lengths.into_iter().fold(1, usize::saturating_mul);
    if count > VARIANTS_MAX {
        too_many(form, axis(form), count);
        return None;
    }
    let mut all: Vec<(Vec<String>, Map<String, Json>)> = vec![(Vec::new(), Map::new())];
    for (key, axis) in AXES {
        if form.origin(key).is_none() {
            continue;
        }
        let values = form.texts(key);
        if values.is_empty() {
            form.contradiction(key, "an empty list spans nothing".to_owned(), "give it a value, or remove it");
        }
        refuse_words(form, key, axis, &values);
        all = all
            .iter()
            .flat_map(|(names, fields)| {
                values.iter().map(|value| {
                    let mut fields = fields.clone();
                    fields.insert(axis.to_owned(), Json::from(value.as_str()));
                    ([&names[..], std::slice::from_ref(value)].concat(), fields)
                })
            })
            .collect();
    }
    all.retain(|(names, _)| !names.is_empty());
    Some(all.into_iter().map(|(names, fields)| (name_of(&names), fields)).collect())
}

/// Each value must be one that the variants' own key takes.
fn refuse_words(form: &mut Form, key: &str, axis: &str, values: &[String]) {
    let kind = keys::find(&format!("variant[].{axis}")).expect("each axis is a variant's key").kind;
    let origin = form.origin(key).cloned();
    for value in values {
        let node = Node { origin: Origin::Set, value: Value::Text(value.clone()) };
        if let Err(fault) = kind.read(&node) {
            form.report(origin.as_ref(), key, fault);
        }
    }
}

/// The values as a name that is safe in a path.
fn name_of(values: &[String]) -> String {
    let safe = |c: char| if kind::is_name(&c.to_string()) || c == '.' { c } else { '-' };
    values.join("_").chars().map(safe).collect()
}

/// The variant: the request with its overrides put in.
fn variant(name: &str, mut fields: Map<String, Json>, request: &Request, target: &Target) -> Variant {
    let mut text = |field: &str| fields.remove(field).and_then(|value| value.as_str().map(str::to_owned));
    let (agent_id, version) = (text("agent_id"), text("version"));
    let extra = fields.remove("extra");
    let mut body = serde_json::to_value(request).expect("a request has string keys and finite numbers only");
    for (field, value) in fields {
        body[field] = value;
    }
    // What could not be a request has its problem noted already.
    let mut changed: Request = serde_json::from_value(body).unwrap_or_else(|_| request.clone());
    changed.extra.clone_from(&request.extra);
    if let Some(Json::Object(more)) = extra {
        changed.extra.extend(more);
    }
    Variant {
        name: Arc::from(name),
        request: changed,
        agent_id: agent_id.unwrap_or_else(|| target.agent_id.clone()),
        version: version.or_else(|| target.version.clone()),
    }
}
