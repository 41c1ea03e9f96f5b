//! The envelope of an event and the types that the contract knows.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::scan::{self, Members, scan};
use super::task::Task;

/// What an event is about: its JSON `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The stream stands; before any task.
    Connected,
    /// A task was created, or a turn of it.
    TaskCreated,
    /// The task changed.
    TaskUpdated,
    /// A step of reasoning.
    Think,
    /// A step of analysis.
    Analyze,
    /// A tool is called.
    ToolCallRequest,
    /// A tool has answered.
    ToolCallResult,
    /// A piece of the answer.
    Chunk,
    /// The task has ended.
    TaskFinished,
    /// A sub-agent was triggered.
    SubAgentTrigger,
    /// The plan changed.
    PlanUpdated,
    /// A tool needs the user's login.
    AuthEvent,
    /// Another type that the vendor's own client knows, without a part in any metric.
    Other,
    /// A type that the contract does not know.
    Unknown,
}

/// Why a payload is no event of the contract.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// Not JSON.
    #[error("read the event as JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON, but no object with a `type`.
    #[error("find the event's type: {0}")]
    NoEnvelope(serde_json::Error),
}

/// An event's envelope, borrowed from its payload.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// What it is about.
    pub kind: EventKind,
    /// The task that it belongs to.
    pub task_id: Option<Cow<'a, str>>,
    /// When the server says that it happened, as it wrote it; absent when it is no plain text.
    pub time: Option<&'a str>,
    /// Its data as JSON text, not decoded; absent when it is `null`.
    pub data: Option<&'a str>,
    /// What is sought in `data`, where that was seen on the way.
    pub(super) members: Option<Members<'a>>,
}

/// A tool call as its request and its result have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall<'a> {
    /// What pairs a result with its request.
    pub request_id: Cow<'a, str>,
    /// The tool's name, else its operation's.
    pub name: Cow<'a, str>,
    /// The result is an error.
    pub is_error: bool,
}

#[derive(Deserialize)]
struct WireEnvelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    task_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireAuth<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Borrowed<'a>>,
}

#[derive(Deserialize)]
struct WireToolCall<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default)]
    tool_name: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    operation_id: Option<Borrowed<'a>>,
    #[serde(default)]
    is_error: Option<bool>,
}

impl EventKind {
    /// The kind that a `type` names.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "connected" => Self::Connected,
            "task_created" => Self::TaskCreated,
            "task_updated" => Self::TaskUpdated,
            "think" => Self::Think,
            "analyze" => Self::Analyze,
            "tool_call_request" => Self::ToolCallRequest,
            "tool_call_result" => Self::ToolCallResult,
            "chunk" => Self::Chunk,
            "task_finished" => Self::TaskFinished,
            "sub_agent_trigger" => Self::SubAgentTrigger,
            "plan_updated" => Self::PlanUpdated,
            "auth_event" => Self::AuthEvent,
            "task_compactization"
            | "context_status"
            | "agent_gateway_decision"
            | "process_state_changed"
            | "process_update"
            | "gateway_steer_applied"
            | "ask_user_questions"
            | "sub_task_created"
            | "sub_task_updated"
            | "sub_task_finished"
            | "invite_member"
            | "member_invited"
            | "ask_for_secret"
            | "secret_saved"
            | "live_surface_created"
            | "inline_card" => Self::Other,
            _ => Self::Unknown,
        }
    }

    /// Whether it shows the agent at work: think, analyze, tool, plan and sub-agent events.
    #[must_use]
    pub fn is_activity(self) -> bool {
        matches!(
            self,
            Self::Think
                | Self::Analyze
                | Self::ToolCallRequest
                | Self::ToolCallResult
                | Self::PlanUpdated
                | Self::SubAgentTrigger
        )
    }
}

impl From<serde_json::Error> for EnvelopeError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() { Self::NoEnvelope(error) } else { Self::NotJson(error) }
    }
}

impl<'a> Envelope<'a> {
    /// An envelope that was never written, with its data as JSON text.
    #[must_use]
    pub fn new(kind: EventKind, task_id: Option<Cow<'a, str>>, data: &'a str) -> Self {
        Self { kind, task_id, time: None, data: Some(data), members: None }
    }

    /// Reads the envelope; unknown keys and any form of `data` are taken.
    ///
    /// # Errors
    /// The payload is not JSON, or has no `type`.
    pub fn parse(payload: &'a str) -> Result<Self, EnvelopeError> {
        scan(payload).map_or_else(|| Self::parse_fully(payload), Ok)
    }

    /// Reads the envelope by a JSON parser, whatever its form.
    pub(super) fn parse_fully(payload: &'a str) -> Result<Self, EnvelopeError> {
        let wire: WireEnvelope<'a> = serde_json::from_str(payload)?;
        let task_id = wire.task_id.and_then(|id| serde_json::from_str::<Borrowed<'a>>(id.get()).ok());
        Ok(Self {
            kind: EventKind::of(&wire.kind),
            task_id: task_id.map(|id| id.0),
            time: wire.time.and_then(|time| plain_text(time.get())),
            data: wire.data.map(RawValue::get),
            members: None,
        })
    }

    /// The text of a chunk; none when its data is no string.
    #[must_use]
    pub fn chunk_text(&self) -> Option<Cow<'a, str>> {
        let data = self.data?;
        match plain_text(data) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => serde_json::from_str::<Borrowed<'a>>(data).ok().map(|text| text.0),
        }
    }

    /// How many bytes of UTF-8 the text of a chunk has; none when its data is no string.
    #[must_use]
    pub fn chunk_text_bytes(&self) -> Option<usize> {
        scan::text_bytes(self.data?).or_else(|| self.chunk_text().map(|text| text.len()))
    }

    /// The task in `data`; none when that is no object.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        Task::read(self.data?)
    }

    /// The tool call in `data`; none when it has no `request_id`.
    #[must_use]
    pub fn tool_call(&self) -> Option<ToolCall<'a>> {
        if let Some(call) = self.members.as_ref().and_then(Members::tool_call) {
            return Some(call);
        }
        let wire: WireToolCall<'a> = serde_json::from_str(self.data?).ok()?;
        Some(ToolCall {
            request_id: wire.request_id,
            name: wire.tool_name.or(wire.operation_id).map(|name| name.0).unwrap_or_default(),
            is_error: wire.is_error.unwrap_or_default(),
        })
    }

    /// Whether `data` asks for a login, which is then waited for.
    #[must_use]
    pub fn asks_for_login(&self) -> bool {
        const LOGIN: &str = "login_required";
        if let Some(kind) = self.members.as_ref().and_then(Members::kind) {
            return kind == LOGIN;
        }
        let wire = self.data.and_then(|data| serde_json::from_str::<WireAuth<'a>>(data).ok());
        wire.and_then(|wire| wire.kind).is_some_and(|kind| kind.0 == LOGIN)
    }
}

/// The text of a JSON string without escapes.
fn plain_text(json: &str) -> Option<&str> {
    // Valid JSON between quotes and without a backslash is the text itself.
    json.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
}

/// A JSON string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Status, TaskResult};

    fn parse(payload: &str) -> Envelope<'_> {
        Envelope::parse(payload).expect("an envelope")
    }

    #[test]
    fn a_chunk_is_read_with_its_text() {
        let chunk = parse(
            r#"{"type":"chunk","task_id":"t","organization_id":"o","time":"x","data":"Hel\nlo","identity":null}"#,
        );
        assert_eq!((chunk.kind, chunk.task_id.as_deref()), (EventKind::Chunk, Some("t")));
        assert_eq!(chunk.chunk_text().as_deref(), Some("Hel\nlo"));
        assert_eq!(parse(r#"{"type":"chunk","data":"plain"}"#).chunk_text().as_deref(), Some("plain"));
        assert_eq!(parse(r#"{"type":"chunk","data":null}"#).chunk_text(), None);
        assert_eq!(parse(r#"{"type":"chunk","task_id":7}"#).task_id, None);
    }

    #[test]
    fn tools_and_tasks_are_read_from_their_data() {
        let call = parse(
            r#"{"type":"tool_call_result","data":{"request_id":"r","operation_id":"op","tool_name":null,"is_error":true}}"#,
        );
        let read = call.tool_call().expect("a tool call");
        assert_eq!((&*read.request_id, &*read.name, read.is_error), ("r", "op", true));
        let done = parse(
            r#"{"type":"task_finished","data":{"id":"t","status":"completed","result":"ok","_result_truncated":true,"tokens":{"total_tokens":7}}}"#,
        );
        let task = done.task().expect("a task");
        assert_eq!(task.status, Status::Completed);
        assert_eq!(task.tokens.and_then(|tokens| tokens.total), Some(7));
        let compaction = parse(r#"{"type":"task_compactization","data":{"type":"retry","data":{}}}"#);
        assert_eq!(compaction.kind, EventKind::Other);
    }

    #[test]
    fn a_result_is_a_text_or_the_json_of_what_is_none() {
        let result = |data: &str| {
            let result = TaskResult::read(data);
            (result.text.map(Cow::into_owned), result.whole)
        };
        assert_eq!(result(r#"{"result":"a\nb"}"#), (Some("a\nb".into()), true));
        assert_eq!(result(r#"{"result":"ab","_result_truncated":true}"#), (Some("ab".into()), false));
        assert_eq!(result(r#"{"result":{"n":7}}"#), (Some(r#"{"n":7}"#.into()), true));
        assert_eq!(result(r#"{"result":null,"_result_truncated":false}"#), (None, true));
        assert_eq!([result("{}"), result("[]"), result("7")], [(None, true), (None, true), (None, true)]);
    }

    #[test]
    fn a_login_is_asked_for_until_another_word_comes() {
        let asks = |data: &str| parse(&format!(r#"{{"type":"auth_event","data":{data}}}"#)).asks_for_login();
        assert!(asks(r#"{"type":"login_required","data":{"url":"https://a"}}"#));
        assert!(!asks(r#"{"type":"token_ready","data":{}}"#) && !asks("null") && !asks("\"login_required\""));
    }

    #[test]
    fn the_servers_time_is_read_as_it_stands() {
        let time = |value: &str| {
            let (plain, full) = (
                format!(r#"{{"type":"chunk","time":{value}}}"#),
                format!(r#"{{"type":"think","time":{value},"data":[7]}}"#),
            );
            let read = [plain, full].map(|payload| parse(&payload).time.map(str::to_owned));
            assert_eq!(read[0], read[1], "{value}");
            read[0].clone()
        };
        assert_eq!(time(r#""2026-03-23T00:46:03Z""#).as_deref(), Some("2026-03-23T00:46:03Z"));
        assert_eq!(time("null"), None);
        assert_eq!(time("true"), None);
    }

    #[test]
    fn think_may_be_a_text_or_an_object() {
        assert!(parse(r#"{"type":"think","data":"hm"}"#).kind.is_activity());
        assert!(parse(r#"{"type":"think","data":{"operation_id":"think"}}"#).kind.is_activity());
    }

    #[test]
    fn what_is_no_envelope_says_what_is_missing() {
        assert!(matches!(Envelope::parse("<html>"), Err(EnvelopeError::NotJson(_))));
        let error = Envelope::parse("{}").expect_err("no type");
        insta::assert_snapshot!(error, @"find the event's type: missing field `type` at line 1 column 2");
    }
}
