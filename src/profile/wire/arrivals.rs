//! Open load: which of the ways to say when its starts come holds, and what it says.

use super::ReadFile;
use super::form::Form;
use super::problem::Fault;
use super::rows;
use crate::pacer::{Arrival, Error, Pacer, SHAPES, Stretch};
use crate::seed::Seed;
use crate::units::Rate;

/// The ways to say when the starts of an open load come, each by the key that it can't be without.
const WAYS: [&str; 6] =
    ["load.rate", "load.stage[0].rate", "load.burst.size", "load.series.file", "load.trace.file", "load.plan"];

/// Keys that only open load has.
const OPEN_ONLY: [&str; 4] = ["load.arrival", "load.burstiness", "load.in_flight", "load.overflow"];

/// Keys that say something of a way only beside the key that it can't be without.
const PARTS: [(&str, &str); 5] = [
    ("load.burst.every", "load.burst.size"),
    ("load.series.step", "load.series.file"),
    ("load.trace.column", "load.trace.file"),
    ("load.trace.unit", "load.trace.file"),
    ("load.trace.scale", "load.trace.file"),
];

/// The way that holds: of several, the one that stands highest; none for closed load.
pub(super) fn way(form: &Form) -> Option<&'static str> {
    highest(form).next()
}

/// The ways that stand as high as any.
fn highest(form: &Form) -> impl Iterator<Item = &'static str> {
    let highest = WAYS.into_iter().map(|key| form.rank(key)).max().unwrap_or(0);
    WAYS.into_iter().filter(move |key| highest > 0 && form.rank(key) == highest)
}

/// Notes what is written beside the way that holds, and does not go with it.
pub(super) fn check(form: &mut Form) {
    let mut ways = highest(form);
    let (way, other) = (ways.next(), ways.next());
    drop(ways);
    if let (Some(way), Some(other)) = (way, other) {
        let reason = format!("{way} says already when starts come");
        form.contradiction(other, reason, "keep one of them");
    }
    for (part, of) in PARTS {
        if form.rank(part) > 0 && form.rank(of) == 0 && form.clean(of) {
            form.contradiction(part, format!("without {of} it says nothing"), "write that, too, or remove this");
        }
    }
    if way.is_none() {
        for key in OPEN_ONLY.into_iter().filter(|key| form.rank(key) > 0).collect::<Vec<_>>() {
            let reason = "closed load starts a conversation when another has ended".to_owned();
            form.contradiction(key, reason, "set load.rate (-q) for open load, or remove it");
        }
    }
    if let Some(way) = way.filter(|way| !has_rate(way)) {
        for key in ["load.arrival", "load.burstiness"] {
            if form.rank(key) >= form.rank(way) {
                form.contradiction(key, format!("{way} says each instant itself"), "remove it, or give a rate");
            }
        }
    }
}

/// Whether starts lie around a rate, in a way that can be chosen.
fn has_rate(way: &str) -> bool {
    matches!(way, "load.rate" | "load.stage[0].rate" | "load.series.file")
}

/// What the way says; what is wrong is noted in the form. A plan's file is read by the caller.
pub(super) fn pacer(form: &mut Form, way: &'static str, seed: Seed, read: ReadFile<'_>) -> Option<Pacer> {
    let arrival = arrival(form, way);
    let made = match way {
        "load.rate" => Pacer::steady(form.rate("load.rate")?, arrival, seed),
        "load.burst.size" => {
            let (size, every_ns) = (form.number("load.burst.size")?, form.number("load.burst.every"));
            if every_ns.is_none() && form.clean("load.burst.every") {
                form.contradiction(way, "bursts need a distance".to_owned(), "set load.burst.every");
                return None;
            }
            Pacer::bursts(size, every_ns?)
        }
        "load.trace.file" => Pacer::trace(&rows::trace(form, read)?),
        "load.series.file" => {
            let length_ns = form.number_or_default("load.series.step");
            let rates = rows::series(form, read)?;
            let flat = |rate: &Rate| Stretch { from: *rate, to: *rate, length_ns };
            Pacer::changing(&rates.iter().map(flat).collect::<Vec<_>>(), arrival, seed)
        }
        _ => Pacer::changing(&stages(form)?, arrival, seed),
    };
    made.map_err(|error| refuse(form, way, &error)).ok()
}

/// The ramp and the hold of each stage; the first comes from 0.
fn stages(form: &Form) -> Option<Vec<Stretch>> {
    let mut before = Rate::per_s(0.0).expect("0 is a rate");
    let mut stretches = Vec::new();
    for index in 0..form.len("load.stage") {
        let key = |name: &str| format!("load.stage[{index}].{name}");
        let to = form.rate(&key("rate"))?;
        stretches.push(Stretch { from: before, to, length_ns: form.number(&key("ramp"))? });
        stretches.push(Stretch { from: to, to, length_ns: form.number(&key("hold"))? });
        before = to;
    }
    stretches.retain(|stretch| stretch.length_ns > 0);
    Some(stretches)
}

/// How starts lie around their rate, where there is a rate.
fn arrival(form: &mut Form, way: &'static str) -> Arrival {
    if !has_rate(way) {
        return Arrival::Constant;
    }
    let word = form.text("load.arrival");
    let shape = form.amount("load.burstiness");
    if word.as_deref() != Some("gamma") && shape.is_some() {
        let reason = "only gamma distributed gaps have a burstiness".to_owned();
        form.contradiction("load.burstiness", reason, "set load.arrival = \"gamma\", or remove it");
    }
    if let Some(shape) = shape.filter(|shape| !SHAPES.contains(shape)) {
        let (low, high) = (SHAPES.start(), SHAPES.end());
        let expected =
            format!("a number from {low} to {high}: 1 is poisson, and gaps vary by √(1/burstiness) of their mean");
        let origin = form.origin("load.burstiness").cloned();
        form.report(origin.as_ref(), "load.burstiness", Fault::Expected { expected, found: format!("{shape:?}") });
        return Arrival::Poisson;
    }
    match (word.as_deref(), shape) {
        (Some("poisson"), _) => Arrival::Poisson,
        (Some("gamma"), Some(shape)) => Arrival::Gamma { shape },
        (Some("gamma"), None) => {
            if form.clean("load.burstiness") {
                let reason = "gamma distributed gaps need a shape".to_owned();
                form.contradiction("load.arrival", reason, "set load.burstiness, such as 0.5");
            }
            Arrival::Poisson
        }
        _ => Arrival::Constant,
    }
}

/// Notes why there is no such load.
pub(super) fn refuse(form: &mut Form, way: &'static str, error: &Error) {
    let remedy = match error {
        Error::NoLength => "give a stage a ramp or a hold, such as hold = \"10s\"",
        Error::NeverStarts => "give it a rate over 0 for some time",
        Error::EmptyTrace => "give it at least one row",
        _ => "correct it, or remove it for closed load",
    };
    form.contradiction(way, error.to_string(), remedy);
}
