//! A task as the mock keeps and shows it: every key of the documented object.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::Notify;

use super::ask::Ask;
use super::text::Piece;
use super::time::Stamp;

/// An id of 128 random bits in the form of a version 4 UUID (RFC 9562 §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uuid(pub(super) u128);

impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        let bits = self.0 & !VERSION & !VARIANT | 4 << 76 | 0b10 << 62;
        let hex = format!("{bits:032x}");
        write!(out, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// Where a task is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Executing,
    Error,
    Failed,
    Completed,
    Stopped,
}

impl Status {
    pub(super) const ALL: [Self; 6] =
        [Self::Pending, Self::Executing, Self::Error, Self::Failed, Self::Completed, Self::Stopped];

    /// The word on the wire.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Executing => "executing",
            Self::Error => "error",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether nothing more comes.
    pub(super) fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Executing)
    }
}

/// What was told as a task's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// The agent's own words.
    Answer(Piece),
    /// Why it went wrong.
    Fault(&'static str),
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(piece) => write!(out, "{piece}"),
            Self::Fault(text) => out.write_str(text),
        }
    }
}

impl Told {
    fn len(self) -> usize {
        match self {
            Self::Answer(piece) => piece.len(),
            Self::Fault(text) => text.len(),
        }
    }
}

/// A wish to stop a task, from another request.
#[derive(Debug, Default)]
pub(super) struct StopSign {
    asked: AtomicBool,
    bell: Notify,
}

impl StopSign {
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.bell.notify_waiters();
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until someone asks.
    pub(super) async fn asked(&self) {
        let mut bell = std::pin::pin!(self.bell.notified());
        // Enabled before the flag is looked at, so that no wish falls between the two.
        bell.as_mut().enable();
        if !self.is_asked() {
            bell.await;
        }
    }
}

/// One turn of a task: what was asked, and what came of it. Instants are on the wall clock.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) ask: Arc<Ask>,
    pub(super) plan_index: u64,
    pub(super) status: Status,
    pub(super) created: Stamp,
    pub(super) started: Option<Stamp>,
    pub(super) finished: Option<Stamp>,
    pub(super) result: Option<Told>,
    pub(super) was_stopped: bool,
    pub(super) stop: Arc<StopSign>,
}

/// A task in one of its states, as JSON; of its turns, the latest.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) id: &'a str,
    pub(super) organization_id: &'a str,
    pub(super) turn: &'a Turn,
    /// The result is cut to this many bytes and marked.
    pub(super) trim: Option<usize>,
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let (turn, ask) = (self.turn, &self.turn.ask);
        let mut map = out.serialize_map(None)?;
        let (null, empty) = (&Value::Null, [(); 0]);
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("agent_id", &ask.agent_id)?;
        map.serialize_entry("organization_id", self.organization_id)?;
        map.serialize_entry("input", &Input(ask))?;
        map.serialize_entry("created_at", &turn.created)?;
        map.serialize_entry("status", turn.status.word())?;
        map.serialize_entry("internal_status", null)?;
        map.serialize_entry("last_executed_node_id", null)?;
        map.serialize_entry("agent_version", &ask.version)?;
        map.serialize_entry("started_at", &turn.started)?;
        map.serialize_entry("paused_at", null)?;
        map.serialize_entry("finished_at", &turn.finished)?;
        self.result(&mut map)?;
        map.serialize_entry("parent_execution", ask.echo("parent_execution_id"))?;
        map.serialize_entry("sub_executions", &empty)?;
        map.serialize_entry("finished_sub_executions", &empty)?;
        map.serialize_entry("is_manually_stopped", &turn.was_stopped)?;
        map.serialize_entry("payload_extension", ask.echo("payload_extension"))?;
        map.serialize_entry("hitl_request", null)?;
        map.serialize_entry("pending_eca_request", null)?;
        map.serialize_entry("source", ask.field("source").unwrap_or("api"))?;
        for name in ["worker_id", "additional_context", "instructions_override", "expected_output", "test_run_node_id"]
        {
            map.serialize_entry(name, ask.echo(name))?;
        }
        map.serialize_entry("is_orchestration", &false)?;
        map.serialize_entry("output_format", ask.field("output_format").unwrap_or("text"))?;
        map.serialize_entry("voice_id", null)?;
        map.serialize_entry("output_schema", ask.echo("output_schema"))?;
        for name in ["events_streaming", "used_mutating_tools", "is_continuous"] {
            map.serialize_entry(name, &false)?;
        }
        map.serialize_entry("mcp_servers", &empty)?;
        map.serialize_entry("triggering_agent_id", ask.echo("triggering_agent_id"))?;
        map.serialize_entry("title", ask.echo("title"))?;
        map.serialize_entry("think_mode", ask.field("think_mode").unwrap_or("default"))?;
        let injects_nothing = ask.echo("disable_attachment_injection").as_bool().unwrap_or_default();
        map.serialize_entry("disable_attachment_injection", &injects_nothing)?;
        map.serialize_entry("deep_planning", &DeepPlanning::default())?;
        map.serialize_entry("execution_attempts", &1)?;
        // Tokens of the user are never echoed.
        map.serialize_entry("user_tokens", null)?;
        map.serialize_entry("user_oidc_token", null)?;
        map.serialize_entry("return_metrics", &false)?;
        map.serialize_entry("tokens", &self.tokens())?;
        map.serialize_entry("llm_model_provider", ask.field("llm_model_provider").unwrap_or("openai"))?;
        map.serialize_entry("llm_model_name", ask.field("llm_model_name").unwrap_or("gpt-5"))?;
        map.serialize_entry("llm_reasoning_effort", ask.echo("llm_reasoning_effort"))?;
        map.end()
    }
}

impl View<'_> {
    fn result<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Some(told) = self.turn.result else { return map.serialize_entry("result", &Value::Null) };
        match self.trim.filter(|limit| told.len() > *limit) {
            None => map.serialize_entry("result", &Shown(told)),
            Some(limit) => {
                let text: String = told.to_string().chars().take(limit).collect();
                map.serialize_entry("result", &text)?;
                map.serialize_entry("_result_truncated", &true)
            }
        }
    }

    /// About four bytes make a token, as tokenisers of English go.
    fn tokens(&self) -> Option<Tokens> {
        let result = self.turn.result.filter(|_| self.turn.status.is_final())?;
        let (prompt_tokens, completion_tokens) = (self.turn.ask.text.len() / 4 + 1, result.len() / 4 + 1);
        Some(Tokens { completion_tokens, prompt_tokens, total_tokens: prompt_tokens + completion_tokens })
    }
}

#[derive(Default, Serialize)]
struct DeepPlanning {
    enabled: bool,
    enforce: bool,
    started: bool,
    question_raised: bool,
    tasks: [(); 0],
}

#[derive(Serialize)]
struct Tokens {
    completion_tokens: usize,
    prompt_tokens: usize,
    total_tokens: usize,
}

struct Shown(Told);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&self.0)
    }
}

struct Input<'a>(&'a Ask);

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let input = self.0.echo("input");
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("text", &self.0.text)?;
        match input.get("files") {
            None | Some(Value::Null) => map.serialize_entry("files", &[(); 0])?,
            Some(files) => map.serialize_entry("files", files)?,
        }
        map.serialize_entry("user", input.get("user").unwrap_or(&Value::Null))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_a_random_uuid() {
        assert_eq!(Uuid(0).to_string(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(Uuid(u128::MAX).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_task_shows_every_documented_key() {
        let body =
            r#"{"input":{"text":"Hi","user":{"email":"a@example.com"}},"llm_model_name":"m","user_oidc_token":"no"}"#;
        let turn = Turn {
            ask: Arc::new(Ask::read(body.as_bytes(), "a1", None).expect("accepted")),
            plan_index: 0,
            status: Status::Completed,
            created: Stamp(1_774_226_763_782_693),
            started: Some(Stamp(1_774_226_763_782_694)),
            finished: Some(Stamp(1_774_226_764_000_000)),
            result: Some(Told::Fault("done")),
            was_stopped: false,
            stop: Arc::default(),
        };
        let view = View { id: "t1", organization_id: "o1", turn: &turn, trim: Some(3) };
        insta::assert_snapshot!(serde_json::to_string(&view).expect("JSON"), @r#"{"id":"t1","agent_id":"a1","organization_id":"o1","input":{"text":"Hi","files":[],"user":{"email":"a@example.com"}},"created_at":"2026-03-23T00:46:03.782693Z","status":"completed","internal_status":null,"last_executed_node_id":null,"agent_version":null,"started_at":"2026-03-23T00:46:03.782694Z","paused_at":null,"finished_at":"2026-03-23T00:46:04.000000Z","result":"don","_result_truncated":true,"parent_execution":null,"sub_executions":[],"finished_sub_executions":[],"is_manually_stopped":false,"payload_extension":null,"hitl_request":null,"pending_eca_request":null,"source":"api","worker_id":null,"additional_context":null,"instructions_override":null,"expected_output":null,"test_run_node_id":null,"is_orchestration":false,"output_format":"text","voice_id":null,"output_schema":null,"events_streaming":false,"used_mutating_tools":false,"is_continuous":false,"mcp_servers":[],"triggering_agent_id":null,"title":null,"think_mode":"default","disable_attachment_injection":false,"deep_planning":{"enabled":false,"enforce":false,"started":false,"question_raised":false,"tasks":[]},"execution_attempts":1,"user_tokens":null,"user_oidc_token":null,"return_metrics":false,"tokens":{"completion_tokens":2,"prompt_tokens":1,"total_tokens":3},"llm_model_provider":"openai","llm_model_name":"m","llm_reasoning_effort":null}"#);
    }
}
