//! `plimsoll check`: validates a profile and says what it would do; sends nothing.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use super::plan::{PlanFile, WRITTEN_MAX};
use crate::pacer::Pacer;
use crate::profile::{Load, Model, Overflow, Place, Plan, Profile, Scenario};
use crate::units::{Human, HumanBytes, Significant, two_decimals};

/// How many planned starts are looked at for what an average one sends.
const SAMPLE: u64 = 1_000;

/// Prints what the profile plans, and writes its plan to `file`.
///
/// # Errors
/// The target needs a budget, or the output can't be written.
pub fn run(profile: &Profile, file: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    profile.permits_load()?;
    let plan = Plan::new(profile);
    show(profile, &plan, out)?;
    if let Some(path) = file {
        let starts = plan.planned().unwrap_or(WRITTEN_MAX);
        PlanFile::create(path).and_then(|file| file.write(&plan, starts)).context("failed to keep the plan")?;
    }
    Ok(())
}

fn show(profile: &Profile, plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let target = match &profile.target.place {
        Place::Mock => "the embedded mock",
        Place::Url(url) => url,
    };
    let load = &profile.load;
    writeln!(out, "{}: {}", profile.name, profile.why)?;
    writeln!(out, "target          {target}, agent {}", profile.target.agent_id)?;
    if let Some(proxy) = &profile.target.proxy {
        writeln!(out, "through         the proxy {proxy}")?;
    }
    writeln!(out, "load            {}", model(profile))?;
    if let Some(repeats) = repeats(profile) {
        writeln!(out, "repeats         {repeats}")?;
    }
    writeln!(out, "in flight       {}", in_flight(profile))?;
    if let [_, _, ..] = &profile.variants[..] {
        let names: Vec<_> = profile.variants.iter().map(|variant| &*variant.name).collect();
        writeln!(out, "variants        {}: {}", names.len(), names.join(", "))?;
    }
    if let Some(scenarios) = scenarios(profile) {
        writeln!(out, "scenarios       {scenarios}")?;
    }
    writeln!(out, "turns           {}", turns(profile))?;
    writeln!(out, "starts          {}", starts(profile, plan))?;
    if let Some(told) = warmup(profile, plan) {
        writeln!(out, "warm-up         {told}")?;
    }
    if let Some(length) = length(load) {
        let each = if profile.repeat.runs > 1 { ", each run" } else { "" };
        writeln!(out, "length          {length}{each}")?;
    }
    writeln!(out, "bytes           {}", bytes(profile, plan))?;
    writeln!(out, "cost            {}", cost(profile, plan))?;
    for objective in &profile.objectives {
        writeln!(out, "objective       {objective}")?;
    }
    if let Some(budget) = budget(profile) {
        writeln!(out, "budget          {budget}")?;
    }
    writeln!(out, "seed            {}, plan {}", profile.seed.0, plan.hash())
}

/// The scenarios, and how often each comes in a block.
fn scenarios(profile: &Profile) -> Option<String> {
    let named = profile.scenarios.iter().filter(|scenario| !scenario.name.is_empty());
    let told: Vec<_> = named.map(|scenario| format!("{} × {}", scenario.weight, scenario.name)).collect();
    (!told.is_empty()).then(|| format!("{}: {}", told.len(), told.join(", ")))
}

fn turns(profile: &Profile) -> String {
    let each = profile.scenarios.iter().map(Scenario::count_turns);
    match (each.clone().min().unwrap_or(1), each.max().unwrap_or(1)) {
        (least, most) if least == most => format!("{most} a conversation"),
        (least, most) => format!("{least} to {most} a conversation, {} on average", Significant(mean_turns(profile))),
    }
}

fn mean_turns(profile: &Profile) -> f64 {
    Scenario::mean(&profile.scenarios, |scenario| f64::from(scenario.count_turns()))
}

/// Who decides when an invocation starts.
fn model(profile: &Profile) -> String {
    let load = &profile.load;
    match &load.model {
        Model::Closed { concurrency, ramp_ns, ramp_down_ns } => {
            let down = if *ramp_down_ns > 0 { format!(", down over {}", Human(*ramp_down_ns)) } else { String::new() };
            format!("closed: {concurrency} conversations at a time, begun over {}{down}", Human(*ramp_ns))
        }
        Model::Open { pacer, .. } => format!("open: {}", rates(pacer, load)),
    }
}

/// The mean rate of an open load, and the peak where it changes.
fn rates(pacer: &Pacer, load: &Load) -> String {
    let Some(end_ns) = end_ns(load, pacer) else {
        let hour_ns = 3_600_000_000_000;
        return format!("{} conversations a second", Significant(pacer.expected(hour_ns) / 3_600.0));
    };
    let mean = pacer.expected(end_ns) / (end_ns as f64 / 1e9);
    let peak = peak_per_s(pacer, end_ns);
    let peak = if peak > mean * 1.1 { format!(", {} at the peak", Significant(peak)) } else { String::new() };
    format!("{} conversations a second on average{peak}", Significant(mean))
}

/// When the last conversation of an open load has begun, where it has an end but its count, in nanoseconds.
fn end_ns(load: &Load, pacer: &Pacer) -> Option<u64> {
    load.duration_ns.into_iter().chain(pacer.end_ns()).min()
}

/// How long it takes, as far as that does not depend on the answers.
fn length(load: &Load) -> Option<String> {
    match (load.duration_ns, &load.model) {
        (Some(duration_ns), _) => Some(format!("{}, then up to {} of drain", Human(duration_ns), Human(load.drain_ns))),
        (None, Model::Open { pacer, .. }) => {
            let end_ns = pacer.end_ns()?;
            Some(format!("{} until the last conversation begins; it goes on to its end", Human(end_ns)))
        }
        (None, Model::Closed { .. }) => None,
    }
}

/// The most that is expected in any of a hundred parts of the load, a second.
fn peak_per_s(pacer: &Pacer, end_ns: u64) -> f64 {
    let step_ns = (end_ns / 100).max(1);
    let within = |part: u64| pacer.expected((part + 1) * step_ns) - pacer.expected(part * step_ns);
    (0..100).map(within).fold(0.0, f64::max) / (step_ns as f64 / 1e9)
}

/// How many conversations there are at a time: what is set, and for open load what is to be expected.
fn in_flight(profile: &Profile) -> String {
    let Model::Open { pacer, in_flight, overflow } = &profile.load.model else {
        return format!("{} at most", profile.load.in_flight().unwrap_or(1));
    };
    let limit = in_flight.map_or("as many as the machine can hold".to_owned(), |limit| {
        let more = match overflow {
            Overflow::Queue => "wait",
            Overflow::Drop => "are dropped",
        };
        format!("{limit} at most, further ones {more}")
    });
    let Some(round_ns) = round_ns(profile) else {
        return format!("{limit} (set expect.finish for a forecast)");
    };
    let end_ns = end_ns(&profile.load, pacer).unwrap_or(3_600_000_000_000);
    // Little's law at the peak: what has come within one conversation's time.
    let window_ns = round_ns.min(end_ns).max(1);
    let step_ns = ((end_ns - window_ns) / 100).max(1);
    let within = |part: u64| pacer.expected(part * step_ns + window_ns) - pacer.expected(part * step_ns);
    let peak = (0..=100).map(within).fold(0.0, f64::max);
    format!("{limit}; about {} at the peak, by expect.finish", Significant(peak.ceil()))
}

/// How often the load is run, where that is more than once.
fn repeats(profile: &Profile) -> Option<String> {
    let repeat = profile.repeat;
    let plans = if repeat.own_plans { "each with a plan of its own" } else { "all of one plan" };
    (repeat.runs > 1).then(|| format!("{} runs, {} apart, {plans}", repeat.runs, Human(repeat.pause_ns)))
}

/// How many starts are planned, or how many the expected length of an answer makes of the duration; with repeats, those
/// of a run, too.
fn starts(profile: &Profile, plan: &Plan) -> String {
    let runs = u64::from(profile.repeat.runs);
    // Every run of an open load draws its own instants, and so may have a start more or less.
    let about = if profile.repeat.own_plans && profile.load.invocations.is_none() { "about " } else { "" };
    match (plan.planned(), expected_starts(profile)) {
        (Some(planned), _) if runs > 1 => {
            format!("{about}{} planned, {planned} in the first run", planned.saturating_mul(runs))
        }
        (Some(planned), _) => format!("{planned} planned"),
        (None, Some(expected)) if runs > 1 => {
            format!("about {}, {expected} in each run, by expect.finish", expected.saturating_mul(runs))
        }
        (None, Some(expected)) => format!("about {expected}, by expect.finish"),
        (None, None) => "unknown: the answers decide (set expect.finish)".to_owned(),
    }
}

/// How long a conversation takes, its think times included, in nanoseconds.
fn round_ns(profile: &Profile) -> Option<u64> {
    let think_ns = |scenario: &Scenario| scenario.turns.iter().map(|turn| turn.think.mean()).sum::<f64>();
    let turns_ns = profile.expect.finish_ns? as f64 * mean_turns(profile);
    let round_ns = turns_ns + Scenario::mean(&profile.scenarios, think_ns);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not negative")]
    let round_ns = round_ns as u64;
    Some(round_ns.max(1))
}

/// How long the warm-up is, and whether anything is expected after it.
fn warmup(profile: &Profile, plan: &Plan) -> Option<String> {
    let warmup_ns = Some(profile.load.warmup_ns).filter(|warmup_ns| *warmup_ns > 0)?;
    let more = only_warmup(profile, plan).map_or_else(String::new, |told| format!("; {told}"));
    Some(format!("{}, left out{more}", Human(warmup_ns)))
}

/// What to say when, by the expected length of an answer, every start lies in the warm-up.
pub(super) fn only_warmup(profile: &Profile, plan: &Plan) -> Option<String> {
    let warmup_ns = profile.load.warmup_ns;
    let last_ns = expected_last_start_ns(profile, plan).filter(|last_ns| *last_ns < warmup_ns)?;
    Some(format!(
        "by expect.finish the last start is at {}, within load.warmup = {}, so that nothing will be measured: raise load.invocations (-n), or set load.warmup = \"0s\"",
        Human(last_ns),
        Human(warmup_ns)
    ))
}

/// When the last invocation of a closed load with a count starts, by the expected length of an answer, in nanoseconds
/// after the first.
fn expected_last_start_ns(profile: &Profile, plan: &Plan) -> Option<u64> {
    let Model::Closed { concurrency, .. } = profile.load.model else { return None };
    let rounds_before = (plan.conversations()?.max(1) - 1) / u64::from(concurrency);
    let round_ns = round_ns(profile)?;
    Some(round_ns.saturating_mul(rounds_before + 1).saturating_sub(profile.expect.finish_ns?))
}

/// Each conversation's turns follow each other, with their think times, until the duration is over.
fn expected_starts(profile: &Profile) -> Option<u64> {
    let Model::Closed { concurrency, .. } = profile.load.model else { return None };
    let (round_ns, duration_ns) = (round_ns(profile)?, profile.load.duration_ns?);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float's cast saturates, which is meant"
    )]
    let each = (duration_ns as f64 * mean_turns(profile) / round_ns as f64) as u64;
    Some(each.max(1).saturating_mul(u64::from(concurrency)))
}

/// The starts of all runs together, within the budget.
fn all_starts(profile: &Profile, plan: &Plan) -> Option<u64> {
    let planned = plan.planned().or_else(|| expected_starts(profile));
    let all = planned.map(|starts| starts.saturating_mul(u64::from(profile.repeat.runs)));
    all.map(|starts| starts.min(profile.budget.invocations.unwrap_or(u64::MAX)))
}

/// How much goes out in requests' bodies, and how much is expected back.
fn bytes(profile: &Profile, plan: &Plan) -> String {
    let Some(starts) = all_starts(profile, plan) else {
        return "unknown (set expect.finish)".to_owned();
    };
    let body = |index: u64| {
        let planned = plan.invocation(index);
        let mut request = profile.variants[planned.variant_at].request.clone();
        planned.prompt.as_ref().clone_into(&mut request.input.text);
        request.to_json().to_string().len() as u64
    };
    let sample = starts.clamp(1, SAMPLE);
    let sampled: u64 = (0..sample).map(body).sum();
    let sent = starts.saturating_mul(sampled) / sample;
    let received = profile.expect.response_bytes.map_or_else(
        || "an unknown number received (set expect.response)".to_owned(),
        |each| format!("about {} received", HumanBytes(starts.saturating_mul(each))),
    );
    format!("about {} sent, {received}", HumanBytes(sent))
}

fn cost(profile: &Profile, plan: &Plan) -> String {
    match (all_starts(profile, plan), profile.expect.cost_per_invocation) {
        (Some(starts), Some(price)) => two_decimals(starts as f64 * price),
        (_, None) => "unknown (set expect.cost_per_invocation)".to_owned(),
        (None, Some(_)) => "unknown (set expect.finish)".to_owned(),
    }
}

/// Where the run is stopped, whatever it planned.
fn budget(profile: &Profile) -> Option<String> {
    let budget = &profile.budget;
    let parts = [
        budget.invocations.map(|count| format!("{count} invocations")),
        budget.duration_ns.map(|ns| format!("{} of starts", Human(ns))),
        budget.in_flight.map(|count| format!("{count} in flight")),
        budget.rate.map(|rate| format!("{rate} started")),
        budget.failures_in_a_row.map(|count| format!("stopped after {count} failures in a row")),
        budget.brake.then(|| "429 and Retry-After are a brake".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let profile = Profile::parse("x.toml", text, Vec::new()).expect("it is valid");
        let mut out = Vec::new();
        run(&profile, None, &mut out).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn think_times_are_part_of_the_forecast() {
        let text = include_str!("../../profiles/chat.toml");
        let profile = Profile::parse("chat.toml", text, Vec::new()).expect("it is valid");
        // Three turns of 1.2 s and 3 s of thinking make a round of 6.6 s: 13 turns in 30 s, for 20 people.
        assert_eq!(expected_starts(&profile), Some(260));
    }

    #[test]
    fn a_count_that_the_warmup_is_expected_to_take_all_of_is_said() {
        let text = "why = \"a few\"\nload = { concurrency = 5, invocations = 10, warmup = \"3s\" }\n\
                    request.input.text = \"Hello\"\nexpect.finish = \"2s\"";
        let told = shown(text);
        insta::assert_snapshot!(told.lines().find(|line| line.starts_with("warm-up")).expect("it has one"), @r#"warm-up         3.00s, left out; by expect.finish the last start is at 2.00s, within load.warmup = 3.00s, so that nothing will be measured: raise load.invocations (-n), or set load.warmup = "0s""#);
        let longer = shown(&text.replace("invocations = 10", "invocations = 11"));
        insta::assert_snapshot!(longer.lines().find(|line| line.starts_with("warm-up")).expect("it has one"), @"warm-up         3.00s, left out");
    }

    #[test]
    fn the_plan_is_shown() {
        insta::assert_snapshot!(shown(include_str!("../../profiles/quickstart.toml")), @"
        x: Shows on any machine, in ten seconds, what plimsoll measures: 50 streams of about one second at a time
        target          the embedded mock, agent mock-agent
        load            closed: 50 conversations at a time, begun over 50.0ms
        in flight       50 at most
        turns           1 a conversation
        starts          about 500, by expect.finish
        length          10.0s, then up to 30.0s of drain
        bytes           about 39.1 KiB sent, about 5.9 MiB received
        cost            unknown (set expect.cost_per_invocation)
        seed            1, plan fnv1a64:019cc1465d5c8412
        ");
    }

    #[test]
    fn a_trace_is_shown_to_its_last_instant() {
        let text = "why = \"as it was\"\nload.trace.file = \"t.csv\"\n\
                    turn = [{ prompt = \"Hello\" }, { prompt = \"Bye\", think = \"1s\" }]";
        let mut read = |_: &Path| Ok("at\n0\n2\n10\n".to_owned());
        let profile = Profile::parse_with("x.toml", text, Vec::new(), &mut read).expect("it is valid");
        let mut out = Vec::new();
        run(&profile, None, &mut out).expect("a vector takes it");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @"
        x: as it was
        target          the embedded mock, agent mock-agent
        load            open: 0.3 conversations a second on average, 10 at the peak
        in flight       as many as the machine can hold (set expect.finish for a forecast)
        turns           2 a conversation
        starts          6 planned
        length          10.0s until the last conversation begins; it goes on to its end
        bytes           about 150 B sent, an unknown number received (set expect.response)
        cost            unknown (set expect.cost_per_invocation)
        seed            1, plan fnv1a64:45241cbfdf771de7
        ");
    }

    #[test]
    fn repeats_are_part_of_the_forecast() {
        let line =
            |told: &str, name: &str| told.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>().join("\n");
        let told = |load: &str| {
            let text = format!(
                "why = \"often\"\n{load}\nrepeat = {{ runs = 5, pause = \"30s\" }}\nrequest.input.text = \"Hello\"\n\
                 expect = {{ finish = \"2s\", response = \"1KiB\", cost_per_invocation = 1e-9 }}"
            );
            let told = shown(&text);
            ["load", "repeats", "starts", "length", "bytes", "cost"].map(|name| line(&told, name)).join("\n")
        };
        let told = [
            told("load = { concurrency = 10, invocations = 100 }"),
            told("load = { concurrency = 10, duration = \"20s\" }"),
            told("load = { rate = \"10/h\", duration = \"10h\" }\nbudget.invocations = 450"),
        ];
        insta::assert_snapshot!(told.join("\n\n"), @"
        load            closed: 10 conversations at a time, begun over 10.0ms
        repeats         5 runs, 30.0s apart, each with a plan of its own
        starts          500 planned, 100 in the first run

        bytes           about 12.7 KiB sent, about 500 KiB received
        cost            0.0000005

        load            closed: 10 conversations at a time, begun over 10.0ms
        repeats         5 runs, 30.0s apart, each with a plan of its own
        starts          about 500, 100 in each run, by expect.finish
        length          20.0s, then up to 30.0s of drain, each run
        bytes           about 12.7 KiB sent, about 500 KiB received
        cost            0.0000005

        load            open: 0.00278 conversations a second on average
        repeats         5 runs, 30.0s apart, each with a plan of its own
        starts          about 500 planned, 100 in the first run
        length          36000s, then up to 30.0s of drain, each run
        bytes           about 11.4 KiB sent, about 450 KiB received
        cost            0.00000045
        ");
    }

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let text = "why = \"x\"\nload.invocations = 1\nrequest.input.text = \"Hi\"\ntarget.agent_id = \"a1\"\n\
                    target.url = \"http://127.0.0.1\"\ntarget.proxy = \"http://me:canary@127.0.0.1:3128\"";
        let told = shown(text);
        assert!(told.contains("\nthrough         the proxy http://(hidden)@127.0.0.1:3128\n"), "{told}");
        assert!(!told.contains("canary"));
    }

    #[test]
    fn open_load_is_shown_with_its_peak() {
        let text = r#"
            why = "a morning"
            load.arrival = "poisson"
            load.concurrency = 30
            load.stage = [{ rate = 20, ramp = "1m" }, { rate = 20, hold = "1m" }, { rate = 0, ramp = "30s" }]
            load.overflow = "drop"
            request.input.text = "Hello"
            expect = { finish = "2s", response = "1KiB", cost_per_invocation = 0.01 }
            variant = [{ name = "low", llm_reasoning_effort = "low" }, { name = "high", llm_reasoning_effort = "high" }]
            budget = { invocations = 1000, rate = "100", brake = true }
        "#;
        insta::assert_snapshot!(shown(text), @"
        x: a morning
        target          the embedded mock, agent mock-agent
        load            open: 14 conversations a second on average, 20 at the peak
        in flight       30 at most, further ones are dropped; about 41 at the peak, by expect.finish
        variants        2: low, high
        turns           1 a conversation
        starts          2112 planned
        length          150s, then up to 30.0s of drain
        bytes           about 54.2 KiB sent, about 1000 KiB received
        cost            10.00
        budget          1000 invocations, 100/s started, 429 and Retry-After are a brake
        seed            1, plan fnv1a64:def422ed1dba8090
        ");
    }
}
