//! `[load]`, `[limits]` and `[expect]`: how much, for how long, and when to give up.

use std::sync::Arc;

use super::form::Form;
use super::problem::Fault;
use super::{ReadFile, arrivals, rows};
use crate::pacer::Pacer;
use crate::profile::plan::Replay;
use crate::profile::{Expect, Limits, Load, Model, Overflow, Repeat, Scenario, Variant};
use crate::seed::Seed;
use crate::units::{ExactTime, NS_PER_MS};

/// How far apart the first starts of a closed load lie, unless the profile says: all at once would measure the
/// machine's own connecting.
const RAMP_EACH_NS: u64 = NS_PER_MS;

/// The most starts of one run: what its files and tables are made for.
const STARTS_MAX: u64 = 10_000_000;

/// Reads the load, and the plan that it replays; what is wrong is noted in the form.
///
/// `shape` is what a plan has to fit: the variants, and the scenarios.
pub(super) fn load(
    form: &mut Form,
    seed: Seed,
    shape: (&[Variant], &[Scenario]),
    read: ReadFile<'_>,
) -> (Load, Option<Replay>) {
    arrivals::check(form);
    let way = arrivals::way(form);
    let (replay, pacer) = match way {
        None => (None, None),
        Some("load.plan") => replay(form, shape, read),
        Some(way) => (None, arrivals::pacer(form, way, seed, read)),
    };
    let ends_itself = replay.is_some() || way.is_some_and(|way| way != "load.rate" && way != "load.burst.size");
    let (mut invocations, mut duration_ns) = end(form, ends_itself);
    if let Some(replay) = &replay {
        // An open load's plan that is given over the file brings its own end; a closed load's may go on without one.
        let stands = |key: &str| pacer.is_none() || form.rank(key) >= form.rank("load.plan");
        invocations = invocations.filter(|_| stands("load.invocations"));
        duration_ns = duration_ns.filter(|_| stands("load.duration"));
        invocations = Some(invocations.unwrap_or(u64::MAX).min(replay.len()));
    }
    let law_end_ns = pacer.as_ref().and_then(Pacer::end_ns);
    let own_end_ns = match &replay {
        Some(replay) => replay.end_ns(),
        // What a trace has begun may go on behind its last instant: its count ends it.
        None => law_end_ns.filter(|_| way != Some("load.trace.file")),
    };
    if let Some(own_end_ns) = own_end_ns {
        duration_ns = Some(duration_ns.unwrap_or(u64::MAX).min(own_end_ns));
    }
    let warmup_ns = form.number_or_default("load.warmup");
    let last_ns = duration_ns.or(law_end_ns);
    if let Some(duration_ns) = last_ns.filter(|last_ns| warmup_ns > 0 && warmup_ns >= *last_ns) {
        form.contradiction(
            "load.warmup",
            format!("{} of warm-up leave nothing of a duration of {}", ExactTime(warmup_ns), ExactTime(duration_ns)),
            "warm-up is the first part of load.duration: make that longer",
        );
    }
    let model = match (way, pacer) {
        (Some(way), Some(pacer)) => open(form, way, pacer, (invocations, duration_ns), shape.1),
        _ => closed(form, duration_ns),
    };
    let load = Load {
        model,
        invocations,
        duration_ns,
        warmup_ns,
        drain_ns: form.number_or_default("load.drain"),
        workers: form.number("load.workers").map(u32_of),
    };
    let turns_max = shape.1.iter().map(|scenario| scenario.turns.len()).max().unwrap_or(1);
    if let Some(count) = load.invocations.filter(|count| is_all_warmup(&load, *count, turns_max)) {
        let warmup = ExactTime(warmup_ns);
        let reason = format!("all {count} starts lie in the warm-up of {warmup}, so that nothing would be measured");
        form.contradiction("load.invocations", reason, "raise it, or set load.warmup = \"0s\"");
    }
    (load, replay)
}

/// Whether it is certain before the run that every start lies in the warm-up: those of a closed load's first round,
/// and those of an open load, are known; a conversation's further turns are not.
fn is_all_warmup(load: &Load, count: u64, turns: usize) -> bool {
    if load.warmup_ns == 0 || count == 0 || turns > 1 {
        return false;
    }
    match &load.model {
        Model::Closed { concurrency, ramp_ns, .. } => count <= u64::from(*concurrency) && *ramp_ns < load.warmup_ns,
        Model::Open { pacer, .. } => {
            let last = usize::try_from(count - 1).unwrap_or(usize::MAX);
            pacer.starts().nth(last).is_some_and(|at_ns| at_ns < load.warmup_ns)
        }
    }
}

fn closed(form: &mut Form, duration_ns: Option<u64>) -> Model {
    let concurrency = form.number_or_default("load.concurrency");
    let ramp_ns = form.number("load.ramp").unwrap_or_else(|| {
        let tenth_ns = duration_ns.map_or(u64::MAX, |duration_ns| duration_ns / 10);
        (concurrency * RAMP_EACH_NS).min(tenth_ns)
    });
    let ramp_down_ns = form.number_or_default("load.ramp_down");
    let ramps_ns = ramp_ns.saturating_add(ramp_down_ns);
    match duration_ns {
        None if ramp_down_ns > 0 => form.contradiction(
            "load.ramp_down",
            "a load that ends with its count can't know when to begin to end".to_owned(),
            "set load.duration instead of load.invocations",
        ),
        Some(duration_ns) if ramps_ns > duration_ns => {
            let key = if ramp_down_ns > 0 { "load.ramp_down" } else { "load.ramp" };
            let reason = format!(
                "{} of ramps are longer than the duration of {}, so that some conversations never start",
                ExactTime(ramps_ns),
                ExactTime(duration_ns)
            );
            form.contradiction(key, reason, "shorten the ramps, or raise load.duration");
        }
        _ => {}
    }
    Model::Closed { concurrency: u32_of(concurrency), ramp_ns, ramp_down_ns }
}

/// `-c` beside a rate is the in-flight limit; one that a higher `-q` has replaced counts for nothing.
fn open(
    form: &mut Form,
    way: &'static str,
    pacer: Pacer,
    (invocations, duration_ns): (Option<u64>, Option<u64>),
    scenarios: &[Scenario],
) -> Model {
    for key in ["load.ramp", "load.ramp_down"] {
        if form.origin(key).is_some() && form.rank(key) >= form.rank(way) {
            let reason = "open load follows its rate".to_owned();
            form.contradiction(key, reason, "shape it with [[load.stage]], or remove it");
        }
    }
    let concurrency = form
        .number("load.concurrency")
        .filter(|_| form.origin("load.concurrency").is_some() && form.rank("load.concurrency") >= form.rank(way));
    let in_flight = form.number("load.in_flight");
    if let (Some(concurrency), Some(in_flight)) = (concurrency, in_flight)
        && form.rank("load.concurrency") == form.rank("load.in_flight")
    {
        let reason = format!("the in-flight limit is {in_flight} here and {concurrency} in load.concurrency");
        form.contradiction("load.in_flight", reason, "keep one of them");
    }
    let stronger = form.rank("load.concurrency") > form.rank("load.in_flight");
    let in_flight = if stronger { concurrency.or(in_flight) } else { in_flight.or(concurrency) };
    let end_ns = duration_ns.unwrap_or(u64::MAX);
    let first_ns = pacer.starts().next().unwrap_or(u64::MAX);
    if first_ns >= end_ns {
        let reason = format!("nothing would start: the load ends after {}", ExactTime(end_ns));
        form.contradiction(way, reason, "raise load.duration, or the rate");
    }
    let wanted = invocations.map_or(f64::INFINITY, |count| count as f64);
    let turns = Scenario::mean(scenarios, |scenario| f64::from(scenario.count_turns().max(1)));
    let has_end = duration_ns.is_some() || invocations.is_some() || pacer.end_ns().is_some();
    let mut starts = (pacer.expected(end_ns) * turns).min(wanted);
    if starts <= STARTS_MAX as f64 && has_end {
        // Gaps that are drawn make more starts than are expected, or fewer.
        let most = usize::try_from(invocations.unwrap_or(STARTS_MAX)).unwrap_or(usize::MAX).saturating_add(1);
        let drawn = pacer.starts().take(most).take_while(|at_ns| *at_ns < end_ns).count();
        starts = (drawn as f64 * turns).min(wanted);
    }
    if has_end && starts > STARTS_MAX as f64 {
        let reason = format!("about {starts:.0} starts are more than the {STARTS_MAX} of one run");
        form.contradiction(way, reason, "lower the rate, load.duration or load.invocations");
    }
    let overflow = match form.text("load.overflow").as_deref() {
        Some("drop") => Overflow::Drop,
        _ => Overflow::Queue,
    };
    Model::Open { pacer, in_flight: in_flight.map(u32_of), overflow }
}

/// The plan of a file, and when its conversations begin where they do so by the clock.
fn replay(
    form: &mut Form,
    (variants, scenarios): (&[Variant], &[Scenario]),
    read: ReadFile<'_>,
) -> (Option<Replay>, Option<Pacer>) {
    const KEY: &str = "load.plan";
    let Some(path) = form.text(KEY) else { return (None, None) };
    let Some(text) = rows::text_of(form, KEY, &path, read) else { return (None, None) };
    let names: Vec<_> = variants.iter().map(|variant| Arc::clone(&variant.name)).collect();
    match Replay::read(&text, &names, scenarios) {
        Ok((replay, None)) => (Some(replay), None),
        Ok((replay, Some(instants))) => match Pacer::trace(&instants) {
            Ok(pacer) => (Some(replay), Some(pacer)),
            Err(error) => {
                rows::refuse::<()>(form, KEY, &path, &error.to_string());
                (Some(replay), None)
            }
        },
        Err(error) => {
            rows::refuse::<()>(form, KEY, &path, &error.to_string());
            (None, None)
        }
    }
}

/// The end of the run: an end that is given over the file (`-n`, `-z`) replaces the file's other one.
fn end(form: &mut Form, ends_itself: bool) -> (Option<u64>, Option<u64>) {
    const ENDS: [&str; 2] = ["load.invocations", "load.duration"];
    let [count, time] = ENDS.map(|key| form.number(key));
    if count.is_none()
        && time.is_none()
        && !ends_itself
        && form.problems.iter().all(|problem| !problem.key.starts_with("load."))
    {
        let remedy = "set duration = \"10s\" or invocations = 500 in [load], or -z or -n, so that the run ends";
        form.report(None, "load", Fault::Missing { remedy });
    }
    let [count_rank, time_rank] = ENDS.map(|key| form.rank(key));
    (count.filter(|_| count_rank >= time_rank), time.filter(|_| time_rank >= count_rank))
}

/// Reads how often the load is run.
pub(super) fn repeat(form: &mut Form) -> Repeat {
    Repeat {
        runs: u32_of(form.number_or_default("repeat.runs")),
        pause_ns: form.number_or_default("repeat.pause"),
        own_plans: form.text("repeat.plan").as_deref() != Some("same"),
    }
}

/// Reads the limits; a default is lowered to `limits.total`, but what is written beyond it is a mistake.
pub(super) fn limits(form: &mut Form) -> Limits {
    let total_ns = form.number_or_default("limits.total");
    let mut within = |key: &str| {
        let ns = form.number_or_default(key);
        if ns > total_ns && form.origin(key).is_some() {
            form.contradiction(
                key,
                format!("{} can never be reached within limits.total = {}", ExactTime(ns), ExactTime(total_ns)),
                "lower this limit or raise limits.total",
            );
        }
        ns.min(total_ns)
    };
    Limits {
        connect_ns: within("limits.connect"),
        headers_ns: within("limits.headers"),
        first_event_ns: within("limits.first_event"),
        idle_ns: within("limits.idle"),
        total_ns,
        linger_ns: form.number_or_default("limits.linger"),
        event_bytes: usize::try_from(form.number_or_default("limits.event_bytes"))
            .expect("the table of keys keeps it under 1 GiB"),
    }
}

/// Reads what the answers are expected to be like.
pub(super) fn expect(form: &Form) -> Expect {
    Expect {
        finish_ns: form.number("expect.finish"),
        response_bytes: form.number("expect.response"),
        cost_per_invocation: form.amount("expect.cost_per_invocation"),
    }
}

fn u32_of(number: u64) -> u32 {
    u32::try_from(number).expect("the table of keys keeps it within 32 bits")
}
