//! Every key that a profile may have: its type, its default, its meaning.
//!
//! This table is what the validation reads and what the README's reference is rendered from.

use super::kind::Kind;
use crate::profile::script::FaultKind;

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::profile) enum Default {
    /// It must be written; the text says what to write.
    Required(&'static str),
    /// Nothing, which means this.
    Absent(&'static str),
    /// This, as TOML.
    Value(&'static str),
}

/// One key of a profile.
#[derive(Debug, Clone, Copy)]
pub(in crate::profile) struct Key {
    /// The dotted path; `[]` stands behind what is a list of tables.
    pub(in crate::profile) path: &'static str,
    pub(in crate::profile) kind: Kind,
    pub(in crate::profile) default: Default,
    pub(in crate::profile) meaning: &'static str,
    /// Whether its value may be a secret, though never the API key: headers are free, and servers have tokens.
    pub(in crate::profile) secret: bool,
}

const fn key(path: &'static str, kind: Kind, default: Default, meaning: &'static str) -> Key {
    Key { path, kind, default, meaning, secret: false }
}

const fn secret(path: &'static str, kind: Kind, default: Default, meaning: &'static str) -> Key {
    Key { secret: true, ..key(path, kind, default, meaning) }
}

const ANY_TIME: Kind = Kind::Duration { zero: true };
const TIME: Kind = Kind::Duration { zero: false };
/// An agent's own default holds for what a request does not say.
const NOT_SENT: Default = Default::Absent("not sent");
/// What a variant does not set.
const AS_REQUEST: Default = Default::Absent("as in `request`");
/// What a matrix does not span.
const NOT_VARIED: Default = Default::Absent("not varied");
/// An effect holds for every request that its conditions do not shut out.
const ANY: Default = Default::Absent("any");

/// Every key, in the order of the reference.
#[rustfmt::skip]
pub(in crate::profile) const KEYS: &[Key] = &[
    key("why", Kind::Filled, Default::Required("say why this workload exists, as why = \"…\"; it is printed beside the results"),
        "Why this workload exists; printed beside its results."),
    key("name", Kind::Name, Default::Absent("the file's name"), "What the run bundle is called."),
    key("seed", Kind::Count { min: 0, max: u64::MAX }, Default::Value("1"), "Where every random choice comes from; the same seed gives the same plan."),
    key("stall", TIME, Default::Value("\"1s\""), "A gap between chunks over this is a stall."),

    key("objectives", Kind::Texts, Default::Value("[]"), "What must hold of a run (`--slo`), such as `ttfc p95 < 3s`, `gap p99 < 400ms`, `success > 99%`, `stall rate < 1%` or `goodput > 5/s`; of one variant, or over a window: see [Objectives](#objectives)."),
    key("target.url", Kind::Url, Default::Value("\"mock\""), "Base URL of the agents' API, or `mock` for the embedded mock."),
    key("target.agent_id", Kind::Name, Default::Absent("`mock-agent` for the mock; else required"), "The agent that is invoked."),
    key("target.version", Kind::Name, Default::Absent("the latest deployed"), "The agent's version; `draft` for undeployed changes."),
    key("target.http", Kind::OneOf(&["auto", "1", "2"]), Default::Value("\"auto\""), "HTTP version: what TLS agrees on, HTTP/1.1 only, or HTTP/2 only (in the clear by prior knowledge)."),
    key("target.cacert", Kind::Path, Default::Absent("the system's roots only"), "A PEM file with further certificate authorities."),
    secret("target.headers", Kind::Headers, Default::Value("{}"), "Further headers of each invocation."),
    key("target.key_env", Kind::Variable, Default::Value("\"XPANDER_API_KEY\""), "The environment variable that holds the API key."),
    key("target.key_file", Kind::Path, Default::Absent("`key_env` is read"), "A file that holds the API key and nothing else."),
    key("target.connection", Kind::WordOrCount { words: &["reuse", "new"], min: 1, max: 1_000_000_000 }, Default::Value("\"reuse\""), "How many invocations a connection serves: as many as it stands for, one, or so many."),
    key("target.streams", Kind::Count { min: 1, max: 10_000 }, Default::Value("1"), "Over HTTP/2: how many streams share a connection at most. With 1, each user has a connection of their own; more is what a gateway or a backend does."),
    key("target.resolve", Kind::Texts, Default::Value("[]"), "Addresses that stand for names, as in curl (`--resolve`): `\"api.example:443:10.0.0.7\"`. TLS still checks the name."),
    key("target.source", Kind::Texts, Default::Absent("the system chooses; for a target on this machine, as many of `127.0.0.*` as the ports call for"), "Addresses of this machine that connections come from, in turn (`--source`)."),
    key("target.proxy", Kind::Proxy, Default::Absent("none; the environment's is never used"), "A proxy that every connection is tunnelled through by `CONNECT` (`--proxy`): `\"http://user:password@proxy:3128\"`."),
    key("target.stop_tasks", Kind::Flag, Default::Value("true"), "Tasks that the run leaves behind (cut, abandoned) are stopped by Stop Task."),
    key("target.tag", Kind::Flag, Default::Value("false"), "Puts run id and plan index into `payload_extension`, so that a run is found in the agent's own logs."),

    key("load.concurrency", Kind::Count { min: 1, max: 1_000_000 }, Default::Value("1"), "Conversations at a time. In open load: at most so many, and `overflow` says what becomes of the others."),
    key("load.invocations", Kind::Count { min: 1, max: 10_000_000 }, Default::Absent("no such end"), "Stop after this many invocations. This or `duration` is required, but for open load that ends by itself."),
    key("load.duration", TIME, Default::Absent("no such end"), "Start nothing more after this long, warm-up included."),
    key("load.warmup", ANY_TIME, Default::Value("\"0s\""), "The first part, left out of the summary."),
    key("load.ramp", ANY_TIME, Default::Absent("1 ms a conversation, a tenth of `duration` at most"), "Over how long the conversations begin, one after another."),
    key("load.ramp_down", ANY_TIME, Default::Value("\"0s\""), "Over how long before the end of `duration` the conversations stop, one after another."),
    key("load.rate", Kind::Rate { zero: false }, Default::Absent("closed load"), "Open load: so many conversations begin each second (or `\"90/m\"`, `\"1000/h\"`), whatever the answers do."),
    key("load.arrival", Kind::OneOf(&["constant", "poisson", "gamma"]), Default::Value("\"constant\""), "How the starts of an open load lie around its rate: evenly, independently of each other, or in gamma distributed gaps."),
    key("load.burstiness", Kind::Positive, Default::Absent("required for `gamma`"), "The shape of the gamma distribution, from 0.01 to 1,000,000: under 1 starts clump, 1 is `poisson`, above they are evener."),
    key("load.stage[].rate", Kind::Rate { zero: true }, Default::Required("each stage goes to a rate, as rate = 20"), "Open load whose rate changes: the rate that this stage goes to. The first stage comes from 0."),
    key("load.stage[].ramp", ANY_TIME, Default::Value("\"0s\""), "Over how long it gets there, in a straight line; at once when 0."),
    key("load.stage[].hold", ANY_TIME, Default::Value("\"0s\""), "How long it stays there."),
    key("load.burst.size", Kind::Count { min: 1, max: 1_000_000 }, Default::Absent("no bursts"), "Open load in bursts: so many conversations begin at once."),
    key("load.burst.every", TIME, Default::Absent("required for bursts"), "From burst to burst."),
    key("load.series.file", Kind::Path, Default::Absent("no series"), "Open load whose rate is a series: a CSV with the rates a second in the column `rate`, or in its only one, which may stand without a head."),
    key("load.series.step", TIME, Default::Value("\"1s\""), "How long each rate of the series holds."),
    key("load.trace.file", Kind::Path, Default::Absent("no trace"), "Open load that replays a trace: a CSV with an instant a row, counted from the first one; a single column may stand without a head."),
    key("load.trace.column", Kind::Filled, Default::Absent("the first"), "The column that holds the instants."),
    key("load.trace.unit", Kind::OneOf(&["s", "ms", "us", "ns"]), Default::Value("\"s\""), "The unit of the instants."),
    key("load.trace.scale", Kind::Positive, Default::Value("1"), "A factor on the distances: 0.5 replays in half the time."),
    key("load.plan", Kind::Path, Default::Absent("a plan is made"), "A file of `--plan` (`check`, `run`) whose starts are made again, instead of planning new ones."),
    key("load.in_flight", Kind::Count { min: 1, max: 1_000_000 }, Default::Absent("`concurrency`, if written, else what the machine can hold"), "Open load: conversations at a time at most."),
    key("load.overflow", Kind::OneOf(&["queue", "drop"]), Default::Value("\"queue\""), "Open load: a start at whose instant there are as many waits for its turn (and is timed from its instant), or is dropped (and counted)."),
    key("load.drain", ANY_TIME, Default::Value("\"30s\""), "How long what is in flight at the end may go on before it is cut."),
    key("load.workers", Kind::Count { min: 1, max: 1024 }, Default::Absent("as many as cores"), "Worker threads."),

    key("turn[].prompt", Kind::Filled, Default::Required("each turn says something, as prompt = \"…\""), "What the user says in this turn. A conversation of one turn may use `request.input.text` instead."),
    key("turn[].think", Kind::Times, Default::Value("\"0s\""), "How long the user thinks before saying it."),

    key("scenario[].name", Kind::Name, Default::Required("each scenario has a name, as name = \"…\""), "A kind of conversations, with turns of its own, in place of `[[turn]]`: each conversation is dealt to one, in balanced random blocks."),
    key("scenario[].weight", Kind::Count { min: 1, max: 1_000_000 }, Default::Value("1"), "How often it comes against the others: with weights 3 and 1, exactly three times in every four conversations (of each variant)."),
    key("scenario[].objectives", Kind::Texts, Default::Value("[]"), "What must hold of its own invocations: `ttfc p95 < 3s` here is `ttfc{scenario=NAME} p95 < 3s` at the top. `--slo` replaces those at the top alone."),
    key("scenario[].turn[].prompt", Kind::Filled, Default::Required("each turn says something, as prompt = \"…\""), "What the user says in this turn."),
    key("scenario[].turn[].think", Kind::Times, Default::Value("\"0s\""), "How long the user thinks before saying it."),
    key("scenario[].feed.file", Kind::Path, Default::Absent("`feed.file`"), "Rows of its own: each of its conversations takes one."),
    key("scenario[].feed.order", Kind::OneOf(&["as_written", "shuffled"]), Default::Absent("`as_written`"), "In which order they come."),

    key("feed.file", Kind::Path, Default::Absent("prompts are as written"), "A CSV with a head, or lines of JSON objects (`.jsonl`, `.ndjson`): each conversation takes a row, and `{{name}}` in a prompt stands for its column of that name. Numbers stand as they are written, `null` and an empty cell are an empty text."),
    key("feed.order", Kind::OneOf(&["as_written", "shuffled"]), Default::Value("\"as_written\""), "In which order the rows come; after the last they begin again, `shuffled` in another order."),

    key("variant[].name", Kind::Name, Default::Required("each variant has a name, as name = \"…\""), "A variant: each conversation is dealt to one, in balanced random blocks. What it does not set stays as in `request` and `target`."),
    key("variant[].agent_id", Kind::Name, Default::Absent("`target.agent_id`"), "The agent that it asks."),
    key("variant[].version", Kind::Name, Default::Absent("`target.version`"), "The agent's version."),
    key("variant[].llm_model_provider", Kind::Text, AS_REQUEST, "The model's provider."),
    key("variant[].llm_model_name", Kind::Text, AS_REQUEST, "The model."),
    key("variant[].llm_reasoning_effort", Kind::OneOf(&["low", "medium", "high", "xhigh"]), AS_REQUEST, "The reasoning effort."),
    key("variant[].think_mode", Kind::OneOf(&["default", "harder"]), AS_REQUEST, "How hard the agent thinks."),
    key("variant[].instructions_override", Kind::Text, AS_REQUEST, "Appended to the system prompt."),
    key("variant[].additional_context", Kind::Text, AS_REQUEST, "Extra facts."),
    key("variant[].expected_output", Kind::Text, AS_REQUEST, "What the output should be like, in words."),
    key("variant[].output_format", Kind::OneOf(&["text", "markdown", "json", "voice"]), AS_REQUEST, "The form of the answer."),
    secret("variant[].extra", Kind::Json, AS_REQUEST, "Further fields of the body, beside those of `request.extra`."),
    key("matrix.version", Kind::Texts, NOT_VARIED, "Variants as every combination of the lists under `matrix`, named by their values: versions of the agent."),
    key("matrix.llm_model_provider", Kind::Texts, NOT_VARIED, "Providers."),
    key("matrix.llm_model_name", Kind::Texts, NOT_VARIED, "Models."),
    key("matrix.llm_reasoning_effort", Kind::Texts, NOT_VARIED, "Reasoning efforts."),
    key("matrix.think_mode", Kind::Texts, NOT_VARIED, "Think modes."),

    key("user.hang_up.share", Kind::Share, Default::Value("0"), "How many users hang up before the answer is there; their outcome is `abandoned`."),
    key("user.hang_up.after", Kind::Times, Default::Absent("required with `share`"), "How long after the start of their invocation."),
    key("user.slow.share", Kind::Share, Default::Value("0"), "How many users read slowly."),
    key("user.slow.bytes_per_s", Kind::Size { min: 1, max: 1 << 30 }, Default::Absent("required with `share`"), "How fast they read the response's body."),
    key("user.after_failure", Kind::OneOf(&["leave", "go_on"]), Default::Value("\"leave\""), "What becomes of a conversation after a turn that did not complete: its other turns are never made, or are invoked on the same task all the same."),

    key("budget.invocations", Kind::Count { min: 1, max: u64::MAX }, Default::Absent("`4500` for api.xpander.ai, which documents 5,000 a day; else no such limit"), "The run is stopped after so many invocations. A target that is not this machine needs a budget: this or `duration`, and `in_flight`; or `-c` with `-n` or `-z`."),
    key("budget.duration", TIME, Default::Absent("no such limit"), "The run is stopped after this long."),
    key("budget.in_flight", Kind::Count { min: 1, max: 1_000_000 }, Default::Absent("no such limit"), "Conversations at a time at most."),
    key("budget.rate", Kind::Rate { zero: false }, Default::Absent("`\"15/m\"` for api.xpander.ai, which documents 100 a minute and 1,000 an hour; else no such limit"), "Invocations are started, and tasks stopped, this often at most together, whatever the load asks for."),
    key("budget.failures_in_a_row", Kind::Count { min: 1, max: u64::MAX }, Default::Absent("no such limit"), "The run is stopped when so many invocations in a row, in order of their ends, have failed: the target is gone."),
    key("budget.brake", Kind::Flag, Default::Value("false"), "Status 429, and 503 with a `Retry-After`, hold all starts up for as long as that says (seconds or a date; 10 minutes at most), 429 without it for a second. What the preflight and Stop Task are answered counts as well, and Stop Task waits, too."),

    key("check.contains", Kind::Texts, Default::Value("[]"), "Checks on the result (`--check-contains`): it has each of these texts. Where one fails the outcome is `check_failed`, and the invocation has not completed. The result is that of `task_finished`; where that is empty or cut by the server, it is the text of the chunks, of which 1 MiB is kept."),
    key("check.lacks", Kind::Texts, Default::Value("[]"), "It has none of these texts, such as an apology in place of an answer."),
    key("check.matches", Kind::Filled, Default::Absent("not asked"), "It matches this regular expression somewhere (`--check-matches`; `^` and `$` bind it, `(?i)` ignores case)."),
    key("check.non_empty", Kind::Flag, Default::Value("false"), "It has more than white space."),
    key("check.tool_errors_max", Kind::Count { min: 0, max: u64::MAX }, Default::Absent("any number"), "So many tool results were errors, at most."),

    key("repeat.runs", Kind::Count { min: 1, max: 1_000 }, Default::Value("1"), "How often the load is run (`--repeat`), one run after another; their spread is reported beside the intervals of each. `budget` holds over all of them."),
    key("repeat.pause", ANY_TIME, Default::Value("\"0s\""), "From the end of a run to the beginning of the next (`--pause`)."),
    key("repeat.plan", Kind::OneOf(&["own", "same"]), Default::Value("\"own\""), "Each run has a plan of its own, from a seed that follows from `seed`, so that they are independent; or all have the same, so that `merge` can join them, but their spread leaves out what another plan would change."),

    key("limits.connect", TIME, Default::Value("\"10s\""), "Name look-up, TCP, TLS and HTTP handshake together."),
    key("limits.headers", TIME, Default::Value("\"60s\""), "From the send to the response's headers."),
    key("limits.first_event", TIME, Default::Value("\"60s\""), "From the headers to the first event."),
    key("limits.idle", TIME, Default::Value("\"120s\""), "Without any byte."),
    key("limits.total", TIME, Default::Value("\"20m\""), "The whole invocation; defaults of the limits above are lowered to it."),
    key("limits.linger", ANY_TIME, Default::Value("\"1s\""), "How long the body's end is awaited after `task_finished`, so that the connection can be used again."),
    key("limits.event_bytes", Kind::Size { min: 1 << 10, max: 1 << 30 }, Default::Value("\"16MiB\""), "One event of the stream, and one line of it."),

    key("expect.finish", TIME, Default::Absent("unknown"), "How long an invocation takes. For `plimsoll check` only, as all of `expect`."),
    key("expect.response", Kind::Size { min: 0, max: u64::MAX }, Default::Absent("unknown"), "How many bytes a response has."),
    key("expect.cost_per_invocation", Kind::Amount, Default::Absent("unknown"), "What one invocation costs, in any currency."),

    key("request.input.text", Kind::Filled, Default::Absent("the turns' prompts"), "The prompt of a conversation of one turn."),
    key("request.input.files", Kind::Texts, NOT_SENT, "Addresses of files."),
    key("request.input.user.id", Kind::Text, NOT_SENT, "The end user's id in the caller's system."),
    key("request.input.user.email", Kind::Text, Default::Absent("required where a user is given"), "The end user's address."),
    key("request.input.user.first_name", Kind::Text, NOT_SENT, "First name."),
    key("request.input.user.last_name", Kind::Text, NOT_SENT, "Last name."),
    key("request.input.user.additional_attributes", Kind::Json, NOT_SENT, "Free data on the user."),
    key("request.input.user.role", Kind::Text, NOT_SENT, "Their role."),
    key("request.input.user.is_super_admin", Kind::Flag, NOT_SENT, "Whether they administer the organisation."),
    key("request.input.user.timezone", Kind::Text, NOT_SENT, "Their time zone."),
    key("request.id", Kind::Filled, NOT_SENT, "The task to continue; needs `load.concurrency = 1`."),
    key("request.disable_attachment_injection", Kind::Flag, NOT_SENT, "Files are not put into the model's context."),
    key("request.think_mode", Kind::OneOf(&["default", "harder"]), NOT_SENT, "How hard the agent thinks."),
    key("request.instructions_override", Kind::Text, NOT_SENT, "Appended to the system prompt."),
    key("request.additional_context", Kind::Text, NOT_SENT, "Extra facts for this run."),
    key("request.expected_output", Kind::Text, NOT_SENT, "What the output should be like, in words."),
    key("request.llm_model_provider", Kind::Text, NOT_SENT, "Override of the model's provider, such as `anthropic`."),
    key("request.llm_model_name", Kind::Text, NOT_SENT, "Override of the model."),
    key("request.llm_reasoning_effort", Kind::OneOf(&["low", "medium", "high", "xhigh"]), NOT_SENT, "Override of the reasoning effort."),
    key("request.output_format", Kind::OneOf(&["text", "markdown", "json", "voice"]), NOT_SENT, "The form of the answer."),
    key("request.output_schema", Kind::Json, NOT_SENT, "The JSON Schema of the answer, with `output_format = \"json\"`."),
    key("request.title", Kind::Text, NOT_SENT, "The task's title."),
    secret("request.payload_extension", Kind::Json, NOT_SENT, "Free data that the task echoes."),
    key("request.parent_execution_id", Kind::Text, NOT_SENT, "The execution that this one belongs to."),
    key("request.triggering_agent_id", Kind::Text, NOT_SENT, "The agent that asks."),
    key("request.worker_id", Kind::Text, NOT_SENT, "The worker that should run it."),
    key("request.source", Kind::Text, NOT_SENT, "Where the request comes from."),
    key("request.run_locally", Kind::Flag, NOT_SENT, "Runs on the caller's own worker."),
    key("request.events_streaming", Kind::Flag, NOT_SENT, "The legacy switch for streaming."),
    secret("request.mcp_servers", Kind::JsonList, NOT_SENT, "MCP servers for this run, as the API takes them."),
    secret("request.user_oidc_token", Kind::Text, NOT_SENT, "A token for MCP tools behind OAuth; never written into a run bundle."),
    secret("request.user_tokens", Kind::Json, NOT_SENT, "MCP tokens; never written into a run bundle."),
    key("request.return_metrics", Kind::Flag, NOT_SENT, "Asks a workflow for its metrics."),
    key("request.test_run_node_id", Kind::Text, NOT_SENT, "The workflow node under test."),
    secret("request.extra", Kind::Json, Default::Value("{}"), "Fields that this list does not have, sent as they stand at the top of the body."),


    key("mock.why", Kind::Filled, Default::Absent("required in a script file"), "Why this script exists. The mock's keys hold when the target is `mock`; without any, the built-in script holds (`profiles/mock/agent.toml`). In a script file they stand without `mock.`"),
    key("mock.headers", Kind::Times, Default::Value("\"0s\""), "From the request to the headers."),
    key("mock.created", Kind::Times, Default::Value("\"0s\""), "From the headers to `task_created`."),
    key("mock.queue", Kind::Times, Default::Value("\"0s\""), "From `task_created` to `executing`, not counting the wait for a slot."),
    key("mock.think_steps", Kind::Counts { max: 1_000 }, Default::Value("0"), "How many `think` events come."),
    key("mock.think", Kind::Times, Default::Value("\"0s\""), "From each `think` event to what follows it."),
    key("mock.first_chunk", Kind::Times, Default::Value("\"250ms\""), "From the last event before it to the first chunk."),
    key("mock.chunks", Kind::Counts { max: 10_000_000 }, Default::Value("36"), "How many chunks come."),
    key("mock.chunk_chars", Kind::Counts { max: 1_000_000 }, Default::Value("12"), "How many characters a chunk has."),
    key("mock.gap", Kind::Times, Default::Value("\"20ms\""), "Between neighbouring chunks."),
    key("mock.closing", Kind::Times, Default::Value("\"0s\""), "From the last chunk to `task_finished`."),
    key("mock.result_chars", Kind::Counts { max: 100_000_000 }, Default::Absent("the answer's own"), "How many characters the task's result has."),
    key("mock.writes", Kind::OneOf(&["each", "together"]), Default::Value("\"each\""), "Each event is a write of its own, or those that are due at the same instant share one."),
    key("mock.ping", TIME, Default::Absent("none"), "A comment comes whenever nothing else came for this long."),
    key("mock.slower_per_turn", Kind::Amount, Default::Value("0"), "Every further turn of a conversation takes longer by this share of the first."),
    key("mock.tool[].name", Kind::Name, Default::Required("each tool has a name, as name = \"…\""), "A tool that may be called, in this order."),
    key("mock.tool[].probability", Kind::Share, Default::Value("1"), "Whether an invocation calls it at all."),
    key("mock.tool[].calls", Kind::Counts { max: 1_000 }, Default::Value("1"), "How often, then."),
    key("mock.tool[].time", Kind::Times, Default::Value("\"100ms\""), "From each request to its result."),
    key("mock.tool[].result_chars", Kind::Counts { max: 1_000_000 }, Default::Value("200"), "How many characters the result has; over 8,000 it is cut as the platform cuts it."),
    key("mock.tool[].error_probability", Kind::Share, Default::Value("0"), "How likely a call's result is an error."),
    key("mock.sub_agent[].name", Kind::Name, Default::Required("each sub-agent has an id, as name = \"…\""), "A sub-agent that may be triggered, after the tools."),
    key("mock.sub_agent[].probability", Kind::Share, Default::Value("1"), "Whether an invocation triggers it."),
    key("mock.sub_agent[].time", Kind::Times, Default::Value("\"100ms\""), "From the trigger to what follows it."),
    key("mock.effect[].when.llm_model_provider", Kind::Text, ANY, "The effect holds for this provider."),
    key("mock.effect[].when.llm_model_name", Kind::Text, ANY, "For this model."),
    key("mock.effect[].when.llm_reasoning_effort", Kind::OneOf(&["low", "medium", "high", "xhigh"]), ANY, "For this reasoning effort."),
    key("mock.effect[].when.think_mode", Kind::OneOf(&["default", "harder"]), ANY, "For this think mode."),
    key("mock.effect[].when.version", Kind::Name, ANY, "For this version of the agent."),
    key("mock.effect[].when.agent_id", Kind::Name, ANY, "For this agent."),
    key("mock.effect[].from_turn", Kind::Count { min: 0, max: u64::MAX }, Default::Value("0"), "From this turn of a conversation on, counted from 0."),
    key("mock.effect[].scale.time", Kind::Factor, Default::Value("1"), "A factor on every time."),
    key("mock.effect[].scale.queue", Kind::Factor, Default::Value("1"), "On the queueing time."),
    key("mock.effect[].scale.think_steps", Kind::Factor, Default::Value("1"), "On the number of thinking steps."),
    key("mock.effect[].scale.think", Kind::Factor, Default::Value("1"), "On the time of each."),
    key("mock.effect[].scale.tool", Kind::Factor, Default::Value("1"), "On the time of tool calls."),
    key("mock.effect[].scale.first_chunk", Kind::Factor, Default::Value("1"), "On the time before the first chunk."),
    key("mock.effect[].scale.chunks", Kind::Factor, Default::Value("1"), "On the number of chunks."),
    key("mock.effect[].scale.gap", Kind::Factor, Default::Value("1"), "On the gaps."),
    key("mock.effect[].scale.closing", Kind::Factor, Default::Value("1"), "On the time before the end."),
    key("mock.service.slots", Kind::Count { min: 1, max: 1_000_000 }, Default::Absent("no limit"), "How many tasks execute at a time; others wait, first come first served."),
    key("mock.service.queue_max", Kind::Count { min: 0, max: u64::MAX }, Default::Absent("no limit"), "How many tasks may wait for a slot."),
    key("mock.service.overflow", Kind::Statuses(&[429, 503]), Default::Value("429"), "The status that further ones get."),
    key("mock.service.stretch", Kind::Amount, Default::Value("0"), "By what share a task takes longer when all slots are busy; in between in proportion."),
    key("mock.service.rate", Kind::Positive, Default::Absent("no limit"), "Requests a second that a token bucket lets through; others get 429."),
    key("mock.service.burst", Kind::Count { min: 1, max: u64::MAX }, Default::Value("1"), "How many requests the bucket holds."),
    key("mock.service.cold_start", Kind::Times, Default::Value("\"0s\""), "What an execution takes longer on a slot that was not used lately."),
    key("mock.service.warm", TIME, Default::Value("\"1m\""), "How long a slot stays warm."),
    key("mock.fault[].kind", Kind::OneOf(FaultKind::WORDS), Default::Required("each fault has a kind, as kind = \"stall\""), "What goes wrong; see `plimsoll mock --help`."),
    key("mock.fault[].at", Kind::Indices, Default::Absent("`probability` decides"), "At these plan indices; for clients that send none, in order of arrival."),
    key("mock.fault[].probability", Kind::Share, Default::Absent("1, or 0 beside `at`"), "At any other with this probability."),
    key("mock.fault[].after_events", Kind::Count { min: 0, max: u64::MAX }, Default::Value("3"), "In the stream: behind this many events."),
    key("mock.fault[].delay", ANY_TIME, Default::Absent("by kind"), "How long, where the kind has a length: `slow_headers` 1 s, `drip` 1 ms a byte, `hold` 100 ms, `stall` without end."),
    key("mock.fault[].bytes", Kind::Size { min: 0, max: 1 << 30 }, Default::Value("\"1MiB\""), "How large a `huge_event` is, or how much a `hold` gathers."),
    key("mock.fault[].status", Kind::Count { min: 400, max: 599 }, Default::Value("500"), "Which `status`."),
    key("mock.shape.connected", Kind::Flag, Default::Value("false"), "A `connected` event comes first."),
    key("mock.shape.think_text", Kind::Flag, Default::Value("false"), "`think` carries a text instead of an object."),
    key("mock.shape.identity", Kind::Flag, Default::Value("true"), "Each event has an `identity`, which is null."),
    key("mock.shape.trim_result", Kind::Flag, Default::Value("false"), "The result in `task_finished` is cut and marked `_result_truncated`; Get Task has it whole."),
    key("mock.shape.unknown_agent", Kind::Statuses(&[404, 403]), Default::Value("404"), "The status for an agent that is not in `access.agents`."),
    key("mock.shape.busy", Kind::OneOf(&["interleave", "refuse"]), Default::Value("\"interleave\""), "What a second request on a task that is still executing gets: it runs beside the first, or 409."),
    key("mock.shape.nested_detail", Kind::Flag, Default::Value("false"), "The detail of a 429 lies three levels deep."),
    key("mock.shape.hang_up", Kind::OneOf(&["continue", "stop"]), Default::Value("\"continue\""), "What the end of the connection does to its task."),
    key("mock.access.accept", Kind::Texts, Default::Absent("any, or none at all"), "Made-up keys that the mock takes; others get 401."),
    key("mock.access.forbid", Kind::Texts, Default::Absent("none"), "Made-up keys that get 403."),
    key("mock.access.agents", Kind::Texts, Default::Absent("any"), "Agents that exist."),
    key("mock.replay.files", Kind::Texts, Default::Absent("nothing is replayed"), "Recordings (`probe --record`) that are replayed instead of all the above, by plan index."),
    key("mock.replay.speed", Kind::Positive, Default::Value("1"), "2 replays in half the time."),
];

/// The key at exactly this path.
pub(in crate::profile) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
