//! Every mistake that a profile can have, as its user sees it.

use super::*;
use crate::profile::script::Script;

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
            tag: false,
        },
        load: Load {
            concurrency: 1,
            invocations: Some(
                1,
            ),
            duration_ns: None,
            warmup_ns: 0,
            ramp_ns: 1000000,
            drain_ns: 30000000000,
            workers: None,
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
        turns: [
            Turn {
                prompt: "Hello",
                think_ns: 0,
            },
        ],
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
        objectives: [],
        stall_ns: 1000000000,
    "#);
}

#[test]
fn mistakes_name_place_key_expectation_and_remedy() {
    let flag = |text: &str| Override::new("load.concurrency", text, Origin::Flag("-c")).expect("a known key");
    assert_eq!(over(SMALLEST, &[flag("5")]).expect("valid").load.concurrency, 5);
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
