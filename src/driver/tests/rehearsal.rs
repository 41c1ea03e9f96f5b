//! The rehearsal of a script against the driver: both say the same of every invocation.

use super::{parse, simulate};
use crate::metrics::{Outcome, Record};
use crate::mock;
use crate::units::NS_PER_MS;

/// An open load whose agent thinks, calls tools, triggers a sub-agent and ends 3 in 100 streams early, on two slots; the
/// times are given.
fn rehearsed_load(think: &str, tool: &str, gap: &str, more: &str) -> String {
    format!(
        "why = \"a simulation\"\nload.rate = 4\nload.invocations = 400\nload.warmup = \"5s\"\n\
         request.input.text = \"Hello\"\n[mock]\nwhy = \"rehearsed\"\nheaders = \"2ms\"\ncreated = \"3ms\"\n\
         queue = {{ list = [\"5ms\", \"9ms\"] }}\nthink_steps = {{ uniform = [0, 3] }}\nthink = {think}\n\
         first_chunk = {tool}\nchunks = {{ uniform = [0, 6] }}\ngap = {gap}\nclosing = \"7ms\"\n\
         tool = [{{ name = \"web_search\", calls = {{ uniform = [0, 3] }}, time = {tool}, error_probability = 0.1 }}, \
         {{ name = \"read_page\", probability = 0.7, time = {tool} }}]\n\
         sub_agent = [{{ name = \"helper\", probability = 0.3, time = \"41ms\" }}]\n{more}\n\
         [[mock.fault]]\nkind = \"end_early\"\nprobability = 0.03\nafter_events = 4\n\
         [[mock.fault]]\nkind = \"failed\"\nprobability = 0.02\n"
    )
}

/// What the script alone says that the rows must be.
fn rehearsed(profile: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let drawn = mock::rehearse(&parse(profile), |record, _| records.push(record.clone()));
    drawn.expect("it can be rehearsed");
    records
}

/// What a rehearsal knows of an invocation; the sizes and the server's own words are the wire's.
fn told(record: &Record) -> impl PartialEq + std::fmt::Debug {
    let Record { plan_index, variant, warmup, task_id, outcome, detail, stamps, counts, parts, .. } = record.clone();
    let stamps = crate::metrics::Stamps { dns_done_ns: None, connected_ns: None, ..stamps };
    let counted = [counts.events, counts.chunks, counts.text_bytes, counts.tool_calls, counts.tool_errors];
    let longest = (record.longest.gap_ns, record.longest.event_silence_ns);
    let tools = (record.tools.clone(), record.calls.clone(), counts.tool_unpaired);
    ((plan_index, variant, warmup, task_id), (outcome, detail), stamps, counted, parts, longest, tools)
}

#[test]
fn what_the_driver_measures_is_what_the_script_says() {
    // Times in whole milliseconds, which is how fine virtual time is: every stamp, part, tool call and early end.
    let list = "{ list = [\"20ms\", \"45ms\", \"90ms\"] }";
    for slots in ["", "service = { slots = 2 }"] {
        let profile = rehearsed_load(list, list, list, slots);
        let expected = rehearsed(&profile);
        let run = simulate(&profile, 2, &[]);
        assert_eq!(run.rows.len(), expected.len());
        for record in &expected {
            assert_eq!(told(run.row(record.plan_index)), told(record), "{}", record.plan_index);
        }
        let count = |outcome| expected.iter().filter(|record| record.outcome == outcome).count();
        assert!(count(Outcome::Truncated) > 5 && count(Outcome::TaskFailed) > 2, "both are there");
        let queued = expected.iter().filter(|record| record.parts.queue_ns > 9 * NS_PER_MS).count();
        assert_eq!(queued > 40, !slots.is_empty(), "some wait for a slot, where there are any: {queued}");
    }
}

#[test]
fn drawn_times_come_out_up_to_the_timers_grid() {
    let exponential = "{ exponential = \"60ms\" }";
    let profile =
        rehearsed_load(exponential, "{ lognormal = { median = \"50ms\", p99 = \"400ms\" } }", exponential, "");
    let run = simulate(&profile, 2, &[]);
    for record in rehearsed(&profile) {
        let row = run.row(record.plan_index);
        let ended = |record: &Record| {
            let stamps = record.stamps;
            [stamps.first_activity_ns, stamps.first_chunk_ns, stamps.last_chunk_ns, stamps.finished_ns, stamps.eof_ns]
        };
        let on_grid = ended(&record).map(|at_ns| at_ns.map(|at_ns| at_ns.next_multiple_of(NS_PER_MS)));
        assert_eq!((row.outcome, ended(row)), (record.outcome, on_grid), "{}", record.plan_index);
    }
}

#[test]
fn a_queue_comes_out_up_to_the_timers_grid() {
    let profile = "why = \"a simulation\"\nload.rate = 8\nload.arrival = \"poisson\"\nload.invocations = 500\n\
        load.drain = \"10m\"\nrequest.input.text = \"Hello\"\n[mock]\nwhy = \"M/M/1\"\nservice.slots = 1\n\
        first_chunk = { exponential = \"100ms\" }\nchunks = 1\n";
    let run = simulate(profile, 2, &[]);
    let mut before_ns = 0;
    for record in rehearsed(profile) {
        let late_ns = run.row(record.plan_index).stamps.finished_ns.expect("it finished")
            - record.stamps.finished_ns.expect("it finishes");
        // Late by its own start or whom it waited for, and by its own end: each is rounded up to a millisecond.
        let most_ns = before_ns.max(NS_PER_MS) + NS_PER_MS;
        assert!(late_ns < most_ns, "{}: {late_ns} ns, {before_ns} ns before it", record.plan_index);
        before_ns = late_ns;
    }
}
