//! Every mistake that a profile can have, as its user sees it.

use super::*;
use crate::metrics::Objective;
use crate::metrics::check::Pattern;
use crate::pacer::{Arrival, Pacer};
use crate::profile::script::Script;
use crate::profile::{Model, Overflow, Scenario};
use crate::units::Rate;

const SMALLEST: &str = r#"
why = "a test"
load.invocations = 1
request.input.text = "Hello"
"#;

fn errors(text: &str) -> String {
    Profile::parse("profiles/x.toml", text, Vec::new()).expect_err("the profile has a mistake").to_string()
}

/// The errors of the smallest profile with these lines behind it.
fn with(lines: &str) -> String {
    errors(&format!("{SMALLEST}{lines}"))
}

fn over(text: &str, overrides: &[Override]) -> Result<Profile, Problems> {
    Profile::parse("profiles/x.toml", text, overrides.to_vec())
}

#[test]
fn objectives_that_can_never_be_answered_are_refused() {
    let many = SMALLEST.replace("load.invocations = 1", "load.invocations = 1000");
    let with = |objectives: &str| {
        errors(&format!("{many}load.duration = \"20s\"\nload.warmup = \"5s\"\nobjectives = [{objectives}]"))
    };
    insta::assert_snapshot!(with(r#""ttft p95 < 3s", "ttfc p100 < 3s", "ttfc p95 < 3", "ttfc p95 < 1s", "ttfc p95 > 2s""#), @r#"
    profiles/x.toml:7: objectives: "ttft p95 < 3s" is not an objective: ttft is no metric; known are ttfc, finish, gap, ttfb, ttfe, connect, queue, tool.NAME, answer, closing, silence, event_silence, start_lag, client_lag, stamp_error; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    profiles/x.toml:7: objectives: "ttfc p100 < 3s" is not an objective: p100 is no quantile that is reported; those are p50, p90, p95, p99 and p99.9; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    profiles/x.toml:7: objectives: "ttfc p95 < 3" is not an objective: "3" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    profiles/x.toml:7: objectives: "ttfc p95 > 2s" is not an objective: it can only be asked to be under a limit; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    "#);
    insta::assert_snapshot!(with(r#""ttfc p95 < 1s", "ttfc p95 < 2s", "ttfc p95 < 2s for 3s", "ttfc p95 <= 2s for 3s, abort""#), @r#"
    profiles/x.toml:7: objectives: "ttfc p95 < 2s": "ttfc p95 < 1s" has another limit for the same; keep one of them
    profiles/x.toml:7: objectives: "ttfc p95 <= 2s for 3s, abort": "ttfc p95 < 2s for 3s" asks for it already; keep one of them
    "#);
    insta::assert_snapshot!(with(r#""ttfc{variant=high} p95 < 1s", "success{scenario=chat} > 99%""#), @r#"
    profiles/x.toml:7: objectives: "ttfc{variant=high} p95 < 1s": the profile has no variant "high"; known are base; name one of them, or leave out the braces
    profiles/x.toml:7: objectives: "success{scenario=chat} > 99%": the profile has no scenario "chat"; there is none; name one of them, or leave out the braces
    "#);
    insta::assert_snapshot!(with(r#""ttfc p95 < 1s for 15s", "ttfc p95 < 1s over 16s", "ttfc p95 < 1s within 0s""#), @r#"
    profiles/x.toml:7: objectives: "ttfc p95 < 1s over 16s": a window of 16.0s is longer than the 15.0s that are measured (load.duration without load.warmup); shorten the window, or lengthen load.duration
    profiles/x.toml:7: objectives: "ttfc p95 < 1s within 0s" is not an objective: a window is whole seconds, one or more; write within 10s; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    "#);
    let variants = "[[variant]]\nname = \"low\"\n[[variant]]\nname = \"high\"";
    let scoped = |name: &str| format!("{SMALLEST}objectives = [\"ttfc{{variant={name}}} p95 < 1s\"]\n{variants}");
    insta::assert_snapshot!(errors(&scoped("hgh")), @r#"profiles/x.toml:5: objectives: "ttfc{variant=hgh} p95 < 1s": the profile has no variant "hgh"; known are low, high; name one of them, or leave out the braces"#);
    assert_eq!(over(&scoped("high"), &[]).expect("it is known").objectives.len(), 1);
    let mixed = include_str!("../../../profiles/mixed.toml");
    assert_eq!(over(mixed, &[]).expect("it is valid").objectives.len(), 4);
    insta::assert_snapshot!(errors(&mixed.replace("success > 95%", "ttfc{scenario=chat} p95 < 1s")), @r#"profiles/x.toml:5: objectives: "ttfc{scenario=chat} p95 < 1s": the profile has no scenario "chat"; known are ask, book; name one of them, or leave out the braces"#);
}

#[test]
fn checks_that_can_never_tell_anything_are_refused() {
    insta::assert_snapshot!(with("[check]\ncontains = [\"a load line\", \"\"]\nlacks = [\"load\"]\nmatches = \"(42\"\ntool_errors_max = -1\nnon_empty = \"yes\"\nequals = \"x\""), @r#"
    profiles/x.toml:6: check.contains: every result has the empty text; remove it; non_empty asks for any text
    profiles/x.toml:7: check.lacks: no result has "a load line" and lacks it at once; remove it here or from check.contains
    profiles/x.toml:8: check.matches: "(42" is no regular expression: unclosed group; a character that means itself takes a backslash before it, in TOML in 'single quotes'
    profiles/x.toml:9: check.tool_errors_max: expected a whole number of at least 0, found -1
    profiles/x.toml:10: check.non_empty: expected true or false, found "yes"
    profiles/x.toml:11: check.equals: unknown key
    "#);
    let flag = |key: &str, value: &str, name: &'static str| {
        over(SMALLEST, &[Override::new(key, value, Origin::Flag(name)).expect("a known key")])
    };
    let told = flag("check.matches", "[", "--check-matches").expect_err("no pattern");
    insta::assert_snapshot!(told.to_string(), @r#"flag --check-matches: check.matches: "[" is no regular expression: unclosed character class; a character that means itself takes a backslash before it, in TOML in 'single quotes'"#);
    let checks = flag("check.matches", "^4+2$", "--check-matches").expect("valid").checks.expect("there is one");
    assert_eq!(checks.matches, Some(Pattern::parse("^4+2$").expect("a pattern")));
}

#[test]
fn the_smallest_profile_gets_every_default() {
    let profile = Profile::parse("profiles/smallest.toml", SMALLEST, Vec::new()).expect("it is valid");
    assert_eq!(profile.mock, Script::built_in());
    let told = format!("{profile:#?}");
    insta::assert_snapshot!(told.split("    mock: ").next().expect("the start"), @r#"
    Profile {
        name: "smallest",
        why: "a test",
        seed: Seed(
            1,
        ),
        target: Target {
            place: Mock,
            agent_id: "mock-agent",
            version: None,
            http: Auto,
            cacert: None,
            headers: [],
            key: Env(
                "XPANDER_API_KEY",
            ),
            connection: Reuse,
            streams: 1,
            resolve: [],
            sources: [],
            proxy: None,
            stop_tasks: true,
            tag: false,
        },
        load: Load {
            model: Closed {
                concurrency: 1,
                ramp_ns: 1000000,
                ramp_down_ns: 0,
            },
            invocations: Some(
                1,
            ),
            duration_ns: None,
            warmup_ns: 0,
            drain_ns: 30000000000,
            workers: None,
        },
        budget: Budget {
            invocations: None,
            duration_ns: None,
            in_flight: None,
            rate: None,
            brake: false,
            failures_in_a_row: None,
            is_explicit: false,
        },
        repeat: Repeat {
            runs: 1,
            pause_ns: 0,
            own_plans: true,
        },
        request: Request {
            input: Input {
                text: "Hello",
                files: [],
                user: None,
            },
            id: None,
            disable_attachment_injection: None,
            think_mode: None,
            instructions_override: None,
            additional_context: None,
            expected_output: None,
            llm_model_provider: None,
            llm_model_name: None,
            llm_reasoning_effort: None,
            output_format: None,
            output_schema: None,
            title: None,
            payload_extension: None,
            parent_execution_id: None,
            triggering_agent_id: None,
            worker_id: None,
            source: None,
            run_locally: None,
            events_streaming: None,
            mcp_servers: None,
            user_oidc_token: None,
            user_tokens: None,
            return_metrics: None,
            test_run_node_id: None,
            extra: {},
        },
        variants: [
            Variant {
                name: "base",
                request: Request {
                    input: Input {
                        text: "Hello",
                        files: [],
                        user: None,
                    },
                    id: None,
                    disable_attachment_injection: None,
                    think_mode: None,
                    instructions_override: None,
                    additional_context: None,
                    expected_output: None,
                    llm_model_provider: None,
                    llm_model_name: None,
                    llm_reasoning_effort: None,
                    output_format: None,
                    output_schema: None,
                    title: None,
                    payload_extension: None,
                    parent_execution_id: None,
                    triggering_agent_id: None,
                    worker_id: None,
                    source: None,
                    run_locally: None,
                    events_streaming: None,
                    mcp_servers: None,
                    user_oidc_token: None,
                    user_tokens: None,
                    return_metrics: None,
                    test_run_node_id: None,
                    extra: {},
                },
                agent_id: "mock-agent",
                version: None,
            },
        ],
        scenarios: [
            Scenario {
                name: "",
                weight: 1,
                turns: [
                    Turn {
                        prompt: Plain(
                            "Hello",
                        ),
                        think: Constant(
                            0.0,
                        ),
                    },
                ],
                feed: None,
            },
        ],
        feed: None,
        user: User {
            hang_up: None,
            slow: None,
            goes_on: false,
        },
        replay: None,
        limits: Limits {
            connect_ns: 10000000000,
            headers_ns: 60000000000,
            first_event_ns: 60000000000,
            idle_ns: 120000000000,
            total_ns: 1200000000000,
            linger_ns: 1000000000,
            event_bytes: 16777216,
        },
        expect: Expect {
            finish_ns: None,
            response_bytes: None,
            cost_per_invocation: None,
        },
        checks: None,
        objectives: [],
        stall_ns: 1000000000,
    "#);
}

#[test]
fn mistakes_name_place_key_expectation_and_remedy() {
    let flag = |text: &str| Override::new("load.concurrency", text, Origin::Flag("-c")).expect("a known key");
    assert_eq!(over(SMALLEST, &[flag("5")]).expect("valid").load.in_flight(), Some(5));
    let told = [
        with("load.concurency = 5"),
        with("load.concurrency = 0"),
        with("load.concurrency = -1"),
        with("limits.idle = 5"),
        with("target.headers = { x-api-key = \"secret\" }"),
        with("target.url = \"ftp://x\""),
        errors("why = \"x\""),
        over(SMALLEST, &[flag("0")]).expect_err("no streams").to_string(),
    ]
    .join("\n");
    insta::assert_snapshot!(told, @r#"
    profiles/x.toml:5: load.concurency: unknown key; did you mean load.concurrency?
    profiles/x.toml:5: load.concurrency: expected a whole number from 1 to 1000000, found 0
    profiles/x.toml:5: load.concurrency: expected a whole number from 1 to 1000000, found -1
    profiles/x.toml:5: limits.idle: expected a duration in quotes over 0, such as "250ms" or "1m30s", found 5
    profiles/x.toml:5: target.headers: an API key does not belong here: put it into the environment (XPANDER_API_KEY) or into a file (target.key_file)
    profiles/x.toml:5: target.url: expected "mock" or a base URL such as "https://api.xpander.ai", that starts with http:// or https://, found "ftp://x"
    profiles/x.toml: request.input.text: missing: say what is asked, as text = "…" in [request.input] or as prompt = "…" in [[turn]]
    profiles/x.toml: load: missing: set duration = "10s" or invocations = 500 in [load], or -z or -n, so that the run ends
    flag -c: load.concurrency: expected a whole number from 1 to 1000000, found 0
    "#);
}

/// A plan of one start by the clock.
const PLAN: &str = r#"{"plimsoll_plan":1,"hash":"x","whole":true}
{"plan_index":0,"conversation":0,"turn":0,"intended_ns":0,"variant":"base","prompt":"Hi","think_ns":0}"#;

/// The errors of an open load of this shape, whose files all hold `file`.
fn open(lines: &str, file: &str) -> String {
    let text = format!("why = \"a test\"\nrequest.input.text = \"Hello\"\n{lines}");
    let read = &mut |_: &Path| Ok(file.to_owned());
    let refused = Profile::parse_with("x.toml", &text, Vec::new(), read).expect_err("the load has a mistake");
    refused.to_string().replace("\n", " | ")
}

#[test]
fn loads_that_cannot_be_are_refused_with_what_to_write_instead() {
    let trace = "load.trace.file = \"t.csv\"";
    let told = [
        open("load.rate = 0\nload.duration = \"9s\"", ""),
        open("load.rate = -5\nload.duration = \"9s\"", ""),
        open("load.rate = 2000000\nload.duration = \"9s\"", ""),
        open("load.rate = \"fast\"\nload.duration = \"9s\"", ""),
        open("load.rate = 5", ""),
        open("load.rate = 5000\nload.duration = \"2h\"", ""),
        open("load.rate = \"1/m\"\nload.arrival = \"poisson\"\nload.duration = \"5ms\"", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nload.ramp = \"1s\"", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nload.burst.size = 5\nload.burst.every = \"1s\"", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nload.arrival = \"gamma\"", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nload.burstiness = 2", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nload.in_flight = 5\nload.concurrency = 6", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nload.warmup = \"9s\"", ""),
        open("load.rate = 5\nload.invocations = 20\nload.warmup = \"4s\"", ""),
        open("load.concurrency = 9\nload.invocations = 9\nload.warmup = \"4s\"", ""),
        open("load.rate = 5\nload.duration = \"9s\"\nrequest.id = \"t1\"", ""),
        open("load.concurrency = 5\nload.duration = \"9s\"\nload.overflow = \"drop\"", ""),
        open("load.burst.size = 5\nload.duration = \"9s\"", ""),
        open("load.stage = [{ rate = 0, ramp = \"1m\" }, { rate = 0, hold = \"1m\" }]", ""),
        open("load.stage = [{ rate = 5 }]", ""),
        open("load.stage = [{ hold = \"1m\" }]", ""),
        open("load.concurrency = 9\nload.duration = \"9s\"\nload.ramp = \"8s\"\nload.ramp_down = \"2s\"", ""),
        open("load.concurrency = 9\nload.invocations = 9\nload.ramp_down = \"2s\"", ""),
        open("load.stage = [{ rate = 0, hold = \"1m\" }]", ""),
        open("load.rate = 5\nload.arrival = \"gamma\"\nload.burstiness = 1e-8\nload.duration = \"9s\"", ""),
        open(&format!("{trace}\nload.trace.scale = 1e308"), "at\n1\n1\n2\n"),
        open(&format!("{trace}\nload.trace.unit = \"s\""), "at\n0\n9999999999\n"),
        open(trace, "0,5\n1,5\n"),
        open(trace, "at,at\n1,5\n"),
        open(trace, "at\n"),
        open(trace, "at\n1.5\n2.5\n2.25\n"),
        open(trace, "at\n\n1.5\n\nsoon\n"),
        open(&format!("{trace}\nload.trace.column = \"when\""), "at\n1.5\n"),
        open(&format!("{trace}\nload.arrival = \"poisson\""), "at\n1.5\n"),
        open("load.series.file = \"s.csv\"", "rate\n0\n0\n"),
        open("load.series.file = \"s.csv\"", "rate\n5\nfast\n"),
        open("load.series.file = \"s.csv\"", "at,per_s\n5,5\n"),
        open("load.plan = \"p.jsonl\"", "hello\n"),
        open("load.burst.every = \"1s\"\nload.invocations = 9", ""),
        open("load.series.step = \"1s\"\nload.invocations = 9", ""),
        open("load.trace = { column = \"at\", unit = \"ms\", scale = 2 }\nload.rate = 5\nload.invocations = 9", ""),
        open(&format!("{trace}\nload.burstiness = 2"), "at\n1.5\n"),
        open("load.burst = { size = 5, every = \"1s\" }\nload.burstiness = 2\nload.duration = \"9s\"", ""),
        open(&format!("{trace}\nload.warmup = \"2s\""), "at\n1.5\n2.5\n"),
        open("request.id = \"t1\"\nload.plan = \"p.jsonl\"", PLAN),
        open("request.id = \"t1\"\nload.concurrency = 2\nload.invocations = 9", ""),
        with("feed.file = \"f.csv\""),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    x.toml:3: load.rate: expected a rate over 0 and up to 1000000 a second, such as 50, 0.5 or "90/m", found 0
    x.toml:3: load.rate: expected a rate over 0 and up to 1000000 a second, such as 50, 0.5 or "90/m", found -5
    x.toml:3: load.rate: expected a rate over 0 and up to 1000000 a second, such as 50, 0.5 or "90/m", found 2000000
    x.toml:3: load.rate: expected a rate over 0 and up to 1000000 a second, such as 50, 0.5 or "90/m", found "fast"
    x.toml: load: missing: set duration = "10s" or invocations = 500 in [load], or -z or -n, so that the run ends
    x.toml:3: load.rate: about 36000000 starts are more than the 10000000 of one run; lower the rate, load.duration or load.invocations
    x.toml:3: load.rate: nothing would start: the load ends after 5ms; raise load.duration, or the rate
    x.toml:5: load.ramp: open load follows its rate; shape it with [[load.stage]], or remove it
    x.toml:5: load.burst.size: load.rate says already when starts come; keep one of them
    x.toml:5: load.arrival: gamma distributed gaps need a shape; set load.burstiness, such as 0.5
    x.toml:5: load.burstiness: only gamma distributed gaps have a burstiness; set load.arrival = "gamma", or remove it
    x.toml:5: load.in_flight: the in-flight limit is 5 here and 6 in load.concurrency; keep one of them
    x.toml:5: load.warmup: 9s of warm-up leave nothing of a duration of 9s; warm-up is the first part of load.duration: make that longer
    x.toml:4: load.invocations: all 20 starts lie in the warm-up of 4s, so that nothing would be measured; raise it, or set load.warmup = "0s"
    x.toml:4: load.invocations: all 9 starts lie in the warm-up of 4s, so that nothing would be measured; raise it, or set load.warmup = "0s"
    x.toml:5: request.id: one task takes its turns one after another, but the load is open; load it closed with load.concurrency = 1, or leave out the id so that each conversation gets a task of its own
    x.toml:5: load.overflow: closed load starts a conversation when another has ended; set load.rate (-q) for open load, or remove it
    x.toml:3: load.burst.size: bursts need a distance; set load.burst.every
    x.toml:3: load.stage[0].rate: its rate is 0 throughout, so that it never starts anything; give it a rate over 0 for some time
    x.toml:3: load.stage[0].rate: it takes no time, so that it never starts anything; give a stage a ramp or a hold, such as hold = "10s"
    x.toml: load.stage[0].rate: missing: each stage goes to a rate, as rate = 20
    x.toml:6: load.ramp_down: 10s of ramps are longer than the duration of 9s, so that some conversations never start; shorten the ramps, or raise load.duration
    x.toml:5: load.ramp_down: a load that ends with its count can't know when to begin to end; set load.duration instead of load.invocations
    x.toml:3: load.stage[0].rate: its rate is 0 throughout, so that it never starts anything; give it a rate over 0 for some time
    x.toml:5: load.burstiness: expected a number from 0.01 to 1000000: 1 is poisson, and gaps vary by √(1/burstiness) of their mean, found 1e-8
    x.toml:4: load.trace.scale: line 4 of t.csv, times 1e308, lies more than 146 years behind the first row; lower load.trace.scale, or check load.trace.unit
    x.toml:3: load.trace.file: line 3 of t.csv lies more than 146 years behind the first row; lower load.trace.scale, or check load.trace.unit
    x.toml:3: load.trace.file: read t.csv: line 1: expected a head that names the columns, found "0": put one above the rows
    x.toml:3: load.trace.file: read t.csv: line 1: the column "at" stands twice: give each a name of its own
    x.toml:3: load.trace.file: read t.csv: it has no rows: expected at least one, below the head of a CSV
    x.toml:3: load.trace.file: read t.csv: line 4: expected an instant no earlier than that of the row above it, found "2.25": sort the rows by time
    x.toml:3: load.trace.file: read t.csv: line 5: expected an instant in s from 0 to 18446744073, such as 12.5, found "soon": correct it, or name the column of the instants in load.trace.column
    x.toml:3: load.trace.file: read t.csv: it has no column "when", only at: name one of them in load.trace.column
    x.toml:4: load.arrival: load.trace.file says each instant itself; remove it, or give a rate
    x.toml:3: load.series.file: its rate is 0 throughout, so that it never starts anything; give it a rate over 0 for some time
    x.toml:3: load.series.file: read s.csv: line 3: "fast" is not a rate: write how many a second, such as 50 or 0.5, or with their time, such as 90/m
    x.toml:3: load.series.file: read s.csv: it has no column "rate", only at, per_s: give that name to the column of the rates
    x.toml:3: load.plan: read p.jsonl: line 1: expected {"plimsoll_plan":1,…}, as plimsoll check --plan writes it
    x.toml:3: load.burst.every: without load.burst.size it says nothing; write that, too, or remove this
    x.toml:3: load.series.step: without load.series.file it says nothing; write that, too, or remove this
    x.toml:3: load.trace.column: without load.trace.file it says nothing; write that, too, or remove this | x.toml:3: load.trace.unit: without load.trace.file it says nothing; write that, too, or remove this | x.toml:3: load.trace.scale: without load.trace.file it says nothing; write that, too, or remove this
    x.toml:4: load.burstiness: load.trace.file says each instant itself; remove it, or give a rate
    x.toml:4: load.burstiness: load.burst.size says each instant itself; remove it, or give a rate
    x.toml:4: load.warmup: 2s of warm-up leave nothing of a duration of 1000000001ns; warm-up is the first part of load.duration: make that longer
    x.toml:3: request.id: one task takes its turns one after another, but the load is open; load it closed with load.concurrency = 1, or leave out the id so that each conversation gets a task of its own
    x.toml:3: request.id: one task takes its turns one after another, but load.concurrency = 2; load it closed with load.concurrency = 1, or leave out the id so that each conversation gets a task of its own
    profiles/x.toml:5: feed.file: read f.csv: unsupported
    "#);
}

#[test]
fn a_flag_replaces_what_the_file_says_of_the_load() {
    let closed = "why = \"a test\"\nload.concurrency = 50\nload.ramp = \"1s\"\nload.duration = \"9s\"\nrequest.input.text = \"Hello\"";
    let flag = |key: &str, text: &str, flag: &'static str| Override::new(key, text, Origin::Flag(flag)).expect("known");
    let rate = || flag("load.rate", "90/m", "-q");
    let model = |text: &str, overrides: &[Override]| over(text, overrides).expect("valid").load.model;
    let Model::Open { pacer, in_flight, overflow } = model(closed, &[rate()]) else { panic!("-q makes it open") };
    assert_eq!((pacer.starts().nth(3), in_flight, overflow), (Some(2_000_000_000), None, Overflow::Queue));
    let both = [rate(), flag("load.concurrency", "7", "-c")];
    assert_eq!(over(closed, &both).expect("valid").load.in_flight(), Some(7), "-c beside -q is the limit");
    let open = closed.replace("load.ramp = \"1s\"", "load.burst = { size = 5, every = \"1s\" }");
    let Model::Open { pacer, in_flight, .. } = model(&open, &[rate()]) else { panic!("it is open") };
    assert_eq!(
        (pacer.starts().nth(1), in_flight),
        (Some(666_666_666), None),
        "-q replaces the file's bursts and limit"
    );
    let file_limit = model(&open, &[]);
    assert!(matches!(file_limit, Model::Open { in_flight: Some(50), .. }), "in one file, they belong together");
}

#[test]
fn a_trace_counts_from_its_first_row_and_is_scaled() {
    let text = "why = \"a test\"\nrequest.input.text = \"Hello\"\nload.trace = { file = \"t.csv\", column = \"at\", unit = \"ms\", scale = 0.5 }";
    let read = &mut |_: &Path| Ok("id,at\n1,1000\n2,1000.5\n3,1100\n".to_owned());
    let profile = Profile::parse_with("x.toml", text, Vec::new(), read).expect("valid");
    let Model::Open { pacer, .. } = &profile.load.model else { panic!("it is open") };
    assert_eq!(pacer.starts().collect::<Vec<_>>(), [0, 250_000, 50_000_000]);
    assert_eq!((profile.load.invocations, profile.load.duration_ns), (None, None));
}

#[test]
fn starts_that_are_drawn_are_counted_for_the_limit_of_one_run() {
    let turns = "[[turn]]\nprompt = \"a\"\n".repeat(1_000);
    let too_many = |seed: u64| {
        let arrival = Arrival::Gamma { shape: 0.01 };
        let pacer = Pacer::steady(Rate::per_s(9_990.0).expect("a rate"), arrival, Seed(seed)).expect("a law");
        let text = format!(
            "why = \"a test\"\nseed = {seed}\nload.duration = \"1s\"\nload.rate = 9990\nload.arrival = \"gamma\"\n\
             load.burstiness = 0.01\n{turns}"
        );
        let refused = Profile::parse("x.toml", &text, Vec::new()).err().map(|problems| problems.to_string());
        let drawn = pacer.starts().take_while(|at_ns| *at_ns < 1_000_000_000).count();
        assert_eq!(refused.is_some(), drawn > 10_000, "{drawn}: {refused:?}");
        refused
    };
    let refused: Vec<_> = (1..9).map(too_many).collect();
    assert!(refused.contains(&None));
    let first = refused.into_iter().flatten().next().expect("some have more than are expected");
    insta::assert_snapshot!(first, @"x.toml:4: load.rate: about 11648000 starts are more than the 10000000 of one run; lower the rate, load.duration or load.invocations");
}

#[test]
fn a_single_column_needs_no_head() {
    let instants = |load: &str, file: &str| {
        let text = format!("why = \"a test\"\nrequest.input.text = \"Hello\"\n{load}");
        let profile = Profile::parse_with("x.toml", &text, Vec::new(), &mut |_| Ok(file.to_owned())).expect("valid");
        let Model::Open { pacer, .. } = &profile.load.model else { panic!("it is open") };
        pacer.starts().collect::<Vec<_>>()
    };
    let s = 1_000_000_000;
    assert_eq!(instants("load.trace.file = \"t.csv\"", "0\n1\n2\n"), [0, s, 2 * s]);
    assert_eq!(instants("load.trace.file = \"t.csv\"", "7\n"), [0]);
    assert_eq!(instants("load.trace = { file = \"t.csv\", column = \"0\" }", "0\n1\n2\n"), [0, s]);
    assert_eq!(instants("load.series.file = \"s.csv\"", "2\n0\n1\n"), [0, s / 2, 2 * s]);
}

#[test]
fn a_feed_is_lines_of_json_by_its_ending_in_any_case() {
    for path in ["f.jsonl", "f.JSONL", "f.NDJson"] {
        let text = format!(
            "why = \"a test\"\nload.invocations = 1\nrequest.input.text = \"{{{{q}}}}\"\nfeed.file = \"{path}\""
        );
        let read = &mut |_: &Path| Ok("{\"q\":7}\n".to_owned());
        let profile = Profile::parse_with("x.toml", &text, Vec::new(), read).expect("valid");
        assert_eq!(profile.feed.expect("it has one").rows[..], [["7".to_owned()]], "{path}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_said_with_what_to_do() {
    use io::ErrorKind::{InvalidData, NotFound};
    let told = |path: &str, kind: io::ErrorKind| {
        let text = format!("why = \"a test\"\nrequest.input.text = \"Hello\"\nload.trace.file = {path:?}");
        let refused = Profile::parse_with("x.toml", &text, Vec::new(), &mut |_| Err(kind.into()));
        refused.expect_err("there is no such file").to_string()
    };
    let told = [told("t.csv", NotFound), told("/t.csv", NotFound), told("t.csv", InvalidData)];
    insta::assert_snapshot!(told.join("\n"), @"
    x.toml:3: load.trace.file: read t.csv: entity not found: paths count from the working directory
    x.toml:3: load.trace.file: read /t.csv: entity not found
    x.toml:3: load.trace.file: read t.csv: invalid data: save it as UTF-8
    ");
}

#[test]
fn braces_that_are_never_closed_name_no_column() {
    let refused = |prompt: &str| {
        let text =
            format!("why = \"a test\"\nload.invocations = 1\nfeed.file = \"f.csv\"\nrequest.input.text = {prompt:?}");
        let read = &mut |_: &Path| Ok("q,n\na,1\n".to_owned());
        Profile::parse_with("x.toml", &text, Vec::new(), read).expect_err("it has a mistake").to_string()
    };
    insta::assert_snapshot!([refused("{{n}} and {{q"), refused("{{m}}")].join("\n"), @r#"
    x.toml:4: request.input.text: with a feed, braces begin the name of a column, and these are never closed; close them, as in {{name}}
    x.toml:4: request.input.text: the feed has no column "m", only q, n; name one of its columns between the braces
    "#);
}

#[test]
fn a_matrix_spans_every_combination() {
    let text = "[matrix]\nllm_model_name = [\"gpt 5\", \"opus\"]\nllm_reasoning_effort = [\"low\", \"high\"]";
    let profile = Profile::parse("x.toml", &format!("{SMALLEST}{text}"), Vec::new()).expect("valid");
    let told = profile.variants.iter().map(|variant| {
        let request = &variant.request;
        (variant.name.to_string(), request.llm_model_name.clone(), request.llm_reasoning_effort)
    });
    insta::assert_debug_snapshot!(told.collect::<Vec<_>>(), @r#"
    [
        (
            "gpt-5_low",
            Some(
                "gpt 5",
            ),
            Some(
                Low,
            ),
        ),
        (
            "gpt-5_high",
            Some(
                "gpt 5",
            ),
            Some(
                High,
            ),
        ),
        (
            "opus_low",
            Some(
                "opus",
            ),
            Some(
                Low,
            ),
        ),
        (
            "opus_high",
            Some(
                "opus",
            ),
            Some(
                High,
            ),
        ),
    ]
    "#);
    let many: Vec<_> = (0..2_000).map(|at| at.to_string()).collect();
    let told = [
        with("[matrix]\nllm_reasoning_effort = [\"most\"]"),
        with("[matrix]\nversion = []"),
        with("[[variant]]\nname = \"b\"\n[[variant]]\nname = \"a\"\n[[variant]]\nname = \"a\""),
        with("[matrix]\nthink_mode = [\"default\", \"harder\"]\nversion = [\"1\", \"2\", \"2\"]"),
        with("[matrix]\nllm_model_name = [\"a b\", \"a-b\"]"),
        with("[matrix]\nllm_model_name = [\"a_b\", \"a\"]\nversion = [\"c\", \"b_c\"]"),
        with(&format!("[matrix]\nllm_model_provider = {many:?}\nllm_model_name = {many:?}\nversion = {many:?}")),
        with(&format!(
            "[matrix]\nthink_mode = [\"default\"]\nversion = {:?}",
            Vec::from_iter((0..65).map(|at| at.to_string()))
        )),
        with("[[variant]]\nversion = \"a\""),
        with("[[variant]]\nname = \"a\"\n[matrix]\nversion = [\"1\"]"),
        with("user.hang_up.share = 0.5"),
        with("user.slow = { share = 2, bytes_per_s = \"1KiB\" }"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    profiles/x.toml:6: matrix.llm_reasoning_effort: expected one of "low", "medium", "high", "xhigh", found "most"
    profiles/x.toml:6: matrix.version: an empty list spans nothing; give it a value, or remove it
    profiles/x.toml:10: variant[2].name: two variants are called "a"; give each a name of its own
    profiles/x.toml:7: matrix.version: two variants are called "default_2"; write each value once
    profiles/x.toml:7: matrix.version: two variants are called "harder_2"; write each value once
    profiles/x.toml:6: matrix.llm_model_name: two variants are called "a-b", which is what their values make as a name; list them in [[variant]], each with a name of its own
    profiles/x.toml:7: matrix.version: two variants are called "a_b_c", which is what their values make as a name; list them in [[variant]], each with a name of its own
    profiles/x.toml:8: matrix.version: 8000000000 variants are more than the 64 of one run; compare fewer at a time
    profiles/x.toml:7: matrix.version: 65 variants are more than the 64 of one run; compare fewer at a time
    profiles/x.toml: variant[0].name: missing: each variant has a name, as name = "…"
    profiles/x.toml:6: variant[0].name: variants are listed in [[variant]] as well as spanned by [matrix]; keep one of them
    profiles/x.toml:5: user.hang_up.share: a share over 0 needs user.hang_up.after; say when they hang up, such as after = "2s"
    profiles/x.toml:5: user.slow.share: expected a number from 0 to 1, found 2
    "#);
}

#[test]
fn scenarios_that_cannot_be_are_refused_with_what_to_write_instead() {
    let of = |lines: &str| errors(&format!("why = \"a test\"\nload.invocations = 1\n{lines}"));
    let named =
        |name: &str, more: &str| format!("[[scenario]]\nname = \"{name}\"\nturn = [{{ prompt = \"Hi\" }}]\n{more}\n");
    let many = |count: u32| (0..count).map(|at| named(&format!("s{at}"), "")).collect::<String>();
    let told = [
        of("[[scenario]]\nname = \"a\""),
        of("[[scenario]]\nturn = [{ prompt = \"Hi\" }]"),
        of(&named("a", "weight = 0")),
        of(&named("a", "wait = 1")),
        of(&(named("a", "") + &named("a", ""))),
        of(&(named("a", "") + "[[turn]]\nprompt = \"Hi\"")),
        with(&named("a", "")),
        of(&(named("a", "weight = 1000") + &named("b", "weight = 7"))),
        of(&many(65)),
        of("[[scenario]]\nname = \"a\"\nturn = [{ prompt = \"Hi\", think = \"soon\" }]"),
        of("[[scenario]]\nname = \"a\"\nfeed.file = \"rows.csv\"\nturn = [{ prompt = \"{{x}}\" }]"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    profiles/x.toml: scenario[0].turn: missing: say what is asked, as prompt = "…" in [[scenario.turn]]
    profiles/x.toml: scenario[0].name: missing: each scenario has a name, as name = "…"
    profiles/x.toml:6: scenario[0].weight: expected a whole number from 1 to 1000000, found 0
    profiles/x.toml:6: scenario[0].wait: unknown key
    profiles/x.toml:8: scenario[1].name: two scenarios are called "a"; give each a name of its own
    profiles/x.toml:8: turn[0].prompt: prompts stand both here and in [[scenario]]; keep the scenarios, or this
    profiles/x.toml:4: request.input.text: prompts stand both here and in [[scenario]]; keep the scenarios, or this
    profiles/x.toml:6: scenario[0].weight: the weights make blocks of 1007 conversations, more than the 1000 in which shares come out exactly; write weights with a ratio of smaller numbers, such as 3 and 1
    profiles/x.toml: scenario[0].weight: 65 pairs of scenario and variant are more than the 64 of one run; mix fewer scenarios, or compare fewer variants at a time
    profiles/x.toml:5: scenario[0].turn[0].think: expected a duration such as "250ms", or a distribution of them such as { exponential = "20ms" }, found "soon"
    profiles/x.toml:5: scenario[0].feed.file: read rows.csv: unsupported
    "#);
    let even = of_scenarios(&(named("a", "weight = 900000") + &named("b", "weight = 300000")));
    assert_eq!(even.iter().map(|scenario| scenario.weight).collect::<Vec<_>>(), [900_000, 300_000], "3 and 1");
}

#[test]
fn objectives_of_a_scenario_are_about_its_own_invocations() {
    let text = |objectives: &str| {
        format!(
            "why = \"a test\"\nload.invocations = 1\nobjectives = [\"success > 95%\", \"ttfc{{scenario=b}} p50 < 1s\"]\n\
             [[scenario]]\nname = \"a\"\nturn = [{{ prompt = \"Hi\" }}]\nobjectives = [{objectives}]\n\
             [[scenario]]\nname = \"b\"\nturn = [{{ prompt = \"Hi\" }}]\n"
        )
    };
    let all = r#""ttfc p95 < 3s for 1s", "tool.search p99<1s", "success>99%", "stall rate < 1%", "goodput > 5/s""#;
    let objectives = over(&text(all), &[]).expect("valid").objectives;
    let told: Vec<_> = objectives.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    success > 95%
    ttfc{scenario=b} p50 < 1s
    ttfc{scenario=a} p95 < 3s for 1s
    tool.search{scenario=a} p99<1s
    success{scenario=a} >99%
    stall rate{scenario=a} < 1%
    goodput{scenario=a} > 5/s
    ");
    let again: Vec<_> = told.iter().map(|text| text.parse::<Objective>().expect("it is kept as its text")).collect();
    assert_eq!(again, objectives);
    let told = [
        errors(&text(r#""ttfc{scenario=b} p95 < 3s""#)),
        errors(&text(r#""ttft p95 < 3s""#)),
        errors(&text(r#""success > 99%", "success > 98%""#)),
        errors(&text("").replace("scenario=b", "scenario=c")),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    profiles/x.toml:7: scenario[0].objectives: "ttfc{scenario=b} p95 < 3s" is not an objective: in a scenario it is about that scenario; leave out the braces, or write it at the top; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    profiles/x.toml:7: scenario[0].objectives: "ttft p95 < 3s" is not an objective: ttft is no metric; known are ttfc, finish, gap, ttfb, ttfe, connect, queue, tool.NAME, answer, closing, silence, event_silence, start_lag, client_lag, stamp_error; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s
    profiles/x.toml:7: scenario[0].objectives: "success > 98%": "success{scenario=a} > 99%" has another limit for the same; keep one of them
    profiles/x.toml:3: objectives: "ttfc{scenario=c} p50 < 1s": the profile has no scenario "c"; known are a, b; name one of them, or leave out the braces
    "#);
}

#[test]
fn what_may_be_a_secret_is_shown_nowhere() {
    let text = format!(
        "{SMALLEST}target.headers = {{ x-team = \"canary 1\" }}\n\
         variant = [{{ name = \"a\", extra = {{ token = \"canary 2\", deep = [{{ of = \"canary 3\" }}] }} }}]\n\
         request.mcp_servers = [{{ url = \"canary 4\" }}]\nrequest.user_oidc_token = \"canary 5\"\n\
         request.user_tokens = {{ a = \"canary 6\" }}\nrequest.extra = {{ b = \"canary 7\" }}\nrequest.payload_extension = {{ c = \"canary 8\" }}\n"
    );
    let resolved = over(&text, &[]).expect("valid").resolved.0;
    assert!(!resolved.to_string().contains("canary"), "{resolved:#}");
    insta::assert_snapshot!(resolved["variant"], @r#"[{"extra":{"deep":[{"of":"(hidden)"}],"token":"(hidden)"},"name":"a"}]"#);
    let told = [
        with("request.user_tokens = \"canary\""),
        with("request.mcp_servers = \"canary\""),
        with("request.extra = \"canary\""),
        with("request.payload_extension = \"canary\""),
        with("target.headers = \"x-team: canary\""),
        with("variant = [{ name = \"a\", extra = \"canary\" }]"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    profiles/x.toml:5: request.user_tokens: expected a table (what stands there is not shown, since it may be secret)
    profiles/x.toml:5: request.mcp_servers: expected a list of tables (what stands there is not shown, since it may be secret)
    profiles/x.toml:5: request.extra: expected a table (what stands there is not shown, since it may be secret)
    profiles/x.toml:5: request.payload_extension: expected a table (what stands there is not shown, since it may be secret)
    profiles/x.toml:5: target.headers: expected a table of names and texts, such as { x-team = "search" } (what stands there is not shown, since it may be secret)
    profiles/x.toml:5: variant[0].extra: expected a table (what stands there is not shown, since it may be secret)
    "#);
}

#[test]
fn the_public_api_has_its_documented_limits_however_its_name_is_spelt() {
    let limits = |host: &str| {
        let text = format!("{SMALLEST}target.url = \"https://{host}\"\ntarget.agent_id = \"a\"");
        let budget = over(&text, &[]).expect("valid").budget;
        (budget.rate.map(|rate| rate.to_string()), budget.invocations)
    };
    for host in ["api.xpander.ai", "API.xpander.ai", "api.xpander.ai.", "Api.Xpander.AI.:443"] {
        assert_eq!(limits(host), (Some("15/m".to_owned()), Some(4_500)), "{host}");
    }
    assert_eq!(limits("api.xpander.ai.example"), (None, None));
}

fn of_scenarios(lines: &str) -> Vec<Scenario> {
    let text = format!("why = \"a test\"\nload.invocations = 1\n{lines}");
    over(&text, &[]).expect("valid").scenarios
}

#[test]
fn a_target_that_is_not_this_machine_needs_a_budget() {
    let remote = format!("{SMALLEST}target.url = \"https://api.xpander.ai\"\ntarget.agent_id = \"a\"\n");
    let flag = |key: &str, text: &str, flag: &'static str| Override::new(key, text, Origin::Flag(flag)).expect("known");
    let (c, n) = (flag("load.concurrency", "2", "-c"), flag("load.invocations", "5", "-n"));
    let permits = |text: &str, overrides: &[Override]| over(text, overrides).expect("valid").permits_load();
    let refused = permits(&remote, &[]).expect_err("nobody has said how much");
    insta::assert_snapshot!(refused, @"x: budget: missing: a target that is not this machine is loaded only within a budget: set invocations or duration, and in_flight, in [budget], or give -c with -n or -z");
    assert!(permits(&remote, std::slice::from_ref(&c)).is_err() && permits(&remote, std::slice::from_ref(&n)).is_err());
    permits(&remote, &[c, n]).expect("-c and -n are one");
    permits(&format!("{remote}budget = {{ duration = \"1m\", in_flight = 2 }}"), &[]).expect("it has one");
    for here in ["http://127.0.0.1:80", "http://localhost", "http://[::1]:8080", "mock"] {
        permits(&remote.replace("https://api.xpander.ai", here), &[]).expect("it is this machine");
    }
    let told = [
        with("load.concurrency = 5\nbudget.in_flight = 2"),
        errors(&remote.replace("load.invocations = 1", "load.rate = 1\nload.duration = \"1m\"")),
        errors(&remote.replace("load.invocations = 1", "load.stage = [{ rate = 1, hold = \"1m\" }]")),
        errors(
            &format!("{remote}budget.rate = \"1/h\"")
                .replace("load.invocations = 1", "load.rate = \"10/h\"\nload.duration = \"9h\""),
        ),
        over(
            &SMALLEST.replace(
                "load.invocations = 1",
                "load.rate = 1\nload.duration = \"1m\"\nload.in_flight = 1\nbudget.in_flight = 2",
            ),
            &[flag("load.concurrency", "5", "-c")],
        )
        .expect_err("over the budget")
        .to_string(),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    profiles/x.toml:5: load.concurrency: 5 conversations at a time are over budget.in_flight = 2; lower it, or raise the budget
    profiles/x.toml:3: load.rate: the load starts 1 a second, over budget.rate = 15/m (the default for this host); lower the load, or set budget.rate to what the target allows
    profiles/x.toml:3: load.stage[0].rate: the load starts 1 a second, over budget.rate = 15/m (the default for this host); lower the load, or set budget.rate to what the target allows
    profiles/x.toml:3: load.rate: the load starts 0.00278 a second, over budget.rate = 1/h; lower the load, or set budget.rate to what the target allows
    flag -c: load.concurrency: 5 conversations at a time are over budget.in_flight = 2; lower it, or raise the budget
    ");
    let budget = over(&remote, &[]).expect("valid").budget;
    assert_eq!(budget.rate.map(|rate| rate.to_string()).as_deref(), Some("15/m"));
    assert_eq!(over(SMALLEST, &[]).expect("valid").budget.rate, None);
}
