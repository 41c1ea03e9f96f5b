//! The JSON of each event: the documented envelope around the documented data.

use serde_json::json;

use super::agent::Agent;
use super::batch::empty;
use super::performance::{Call, What};
use super::stage::{Booking, TRIMMED_CHARS};
use super::task::{Uuid, View};
use super::text;
use super::time::{Stamp, Ticker};
use crate::sse::{Encoder, Fields};

/// A tool result over this many characters is cut as the platform cuts it.
const RESULT_CHARS_MAX: usize = 8_000;
/// What is left of it.
const RESULT_CHARS_SHOWN: usize = 2_000;
/// What the `retry:` line asks for, in milliseconds.
const RETRY_MS: u64 = 3_000;

/// An event that is none of the performance.
#[derive(Debug, Clone, Copy)]
pub(super) enum Odd<'t> {
    /// Cut off in the middle of its JSON.
    Malformed,
    /// Of a type that nobody knows.
    Unknown,
    /// A chunk with this text.
    Chunk(&'t str),
    /// Of another task, of this type.
    Foreign(&'static str),
}

/// Writes the events of one stream.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    agent: &'a Agent,
    booking: &'a Booking,
    /// `","task_id":"…","organization_id":"…","time":"`: the same in every event.
    ids: String,
    ticker: Ticker,
    payload: Vec<u8>,
    /// `event:`, `id:` and `retry:` lines are written.
    with_fields: bool,
}

fn ids(task_id: &str, organization_id: &str) -> String {
    let mut ids = b"\",\"task_id\":\"".to_vec();
    text::escape(task_id, &mut ids);
    ids.extend_from_slice(format!("\",\"organization_id\":\"{organization_id}\",\"time\":\"").as_bytes());
    String::from_utf8(ids).expect("pieces of text")
}

impl<'a> Writer<'a> {
    pub(super) fn new(agent: &'a Agent, booking: &'a Booking, with_fields: bool) -> Self {
        let ids = ids(&booking.begun.id, &agent.organization_id);
        Self { agent, booking, ids, ticker: Ticker::default(), payload: Vec::new(), with_fields }
    }

    /// Writes the payload of an event of the performance; returns its type.
    pub(super) fn write(&mut self, what: What, now: Stamp) -> &'static str {
        let kind = match what {
            What::Connected => "connected",
            What::Created => "task_created",
            What::Executing => "task_updated",
            What::Think(_) => "think",
            What::ToolRequest(_) => "tool_call_request",
            What::ToolResult(_) => "tool_call_result",
            What::SubAgent(_) => "sub_agent_trigger",
            What::Chunk(_) => "chunk",
            What::Finished => "task_finished",
        };
        self.open(kind, now);
        match what {
            What::Connected => self.payload.extend_from_slice(b"{}"),
            What::Created | What::Executing | What::Finished => self.task(what == What::Finished),
            What::Think(call) => self.think(call),
            What::ToolRequest(call) => self.tool(call, false),
            What::ToolResult(call) => self.tool(call, true),
            What::SubAgent(call) => self.sub_agent(call, now),
            What::Chunk(piece) => {
                self.payload.push(b'"');
                piece.write_json(&mut self.payload);
                self.payload.push(b'"');
            }
        }
        self.close();
        kind
    }

    /// Writes a payload that is none of the performance; returns its type.
    pub(super) fn write_odd(&mut self, odd: &Odd<'_>, now: Stamp) -> &'static str {
        let kind = match odd {
            Odd::Malformed => "malformed",
            Odd::Unknown => "mood_changed",
            Odd::Chunk(_) => "chunk",
            Odd::Foreign(kind) => kind,
        };
        self.open(kind, now);
        match odd {
            Odd::Malformed => return kind,
            Odd::Unknown => self.payload.extend_from_slice(b"{\"mood\":\"seasick\"}"),
            Odd::Chunk(text) => {
                self.payload.push(b'"');
                text::escape(text, &mut self.payload);
                self.payload.push(b'"');
            }
            Odd::Foreign(kind) => self.foreign(kind, now),
        }
        self.close();
        kind
    }

    /// The data of an event of another task, whose envelope is made anew.
    fn foreign(&mut self, kind: &'static str, now: Stamp) {
        let id = Uuid(self.booking.prelude.task_id ^ 1 << 100).to_string();
        let own = std::mem::replace(&mut self.ids, ids(&id, &self.agent.organization_id));
        self.open(kind, now);
        self.ids = own;
        let data = match kind {
            "chunk" => json!("from elsewhere"),
            "task_finished" => json!({"id": id, "status": "completed", "result": "from elsewhere"}),
            _ => json!({"id": id, "status": "pending"}),
        };
        self.json(&data);
    }

    fn open(&mut self, kind: &str, now: Stamp) {
        empty(&mut self.payload);
        self.payload.extend_from_slice(b"{\"type\":\"");
        self.payload.extend_from_slice(kind.as_bytes());
        self.payload.extend_from_slice(self.ids.as_bytes());
        self.payload.extend_from_slice(self.ticker.text(now));
        self.payload.extend_from_slice(b"\",\"data\":");
    }

    fn close(&mut self) {
        let end: &[u8] = if self.agent.script.shape.identity { b",\"identity\":null}" } else { b"}" };
        self.payload.extend_from_slice(end);
    }

    fn task(&mut self, is_end: bool) {
        let Some(turn) = self.agent.store.change(&self.booking.begun, |_| ()) else {
            // Deleted or forgotten meanwhile.
            self.payload.extend_from_slice(b"null");
            return;
        };
        let trim = (is_end && self.agent.script.shape.trim_result).then_some(TRIMMED_CHARS);
        let view = View { id: &self.booking.begun.id, organization_id: &self.agent.organization_id, turn: &turn, trim };
        serde_json::to_writer(&mut self.payload, &view).expect("a task has a JSON form");
    }

    fn json(&mut self, value: &impl serde::Serialize) {
        serde_json::to_writer(&mut self.payload, value).expect("it has a JSON form");
    }

    fn think(&mut self, call: Call) {
        let thought = call.piece.to_string();
        if self.agent.script.shape.think_text {
            return self.json(&thought);
        }
        self.json(&json!({
            "request_id": Uuid(call.id).to_string(), "operation_id": "think", "tool_call_id": null,
            "graph_node_id": null, "tool_name": "think",
            "payload": {"input": {"title": "Next step", "thought": thought, "action": "final_answer", "confidence": 0.9}},
            "reasoning": null, "plan_task_id": null,
        }));
    }

    fn tool(&mut self, call: Call, is_result: bool) {
        let name = &self.agent.script.tools[call.of as usize].name;
        let mut data = json!({
            "request_id": Uuid(call.id).to_string(), "operation_id": name,
            "tool_call_id": format!("call_{:012x}", call.id & 0xffff_ffff_ffff), "graph_node_id": null, "tool_name": name,
            "payload": {"payload": {"body_params": {"query": "load line"}, "headers": {
                "toolcallreasoningtitle": "Looking it up", "toolcallreasoningdescription": "The answer needs it"}}},
            "reasoning": {"title": "Looking it up", "description": "The answer needs it"}, "plan_task_id": null,
        });
        if is_result {
            data["result"] = json!(shortened(call.piece.to_string()));
            data["is_error"] = json!(call.is_error);
            data["approval_request_id"] = json!(null);
        }
        self.json(&data);
    }

    fn sub_agent(&mut self, call: Call, now: Stamp) {
        let name = &self.agent.script.sub_agents[call.of as usize].name;
        self.json(&json!({
            "id": Uuid(call.id).to_string(), "created_at": now, "agent_id": name, "query": call.piece.to_string(),
            "files": [], "reasoning": {"title": "Asking a specialist", "description": "It knows more"},
            "plan_task_id": null,
        }));
    }

    /// Appends the payload as an event.
    pub(super) fn encode(&self, encoder: Encoder, number: u64, kind: &str, out: &mut Vec<u8>) {
        if !self.with_fields {
            return encoder.data(&self.payload, out);
        }
        let id = number.to_string();
        let fields = Fields {
            event_type: Some(kind.as_bytes()),
            id: Some(id.as_bytes()),
            retry_ms: (number == 0).then_some(RETRY_MS),
        };
        encoder.event(fields, &self.payload, out);
    }
}

fn shortened(text: String) -> String {
    let chars = text.chars().count();
    if chars <= RESULT_CHARS_MAX {
        return text;
    }
    let shown: String = text.chars().take(RESULT_CHARS_SHOWN).collect();
    format!(
        "{shown}\n\n[TRUNCATED OUTPUT - {} chars (~{} tokens) total, showing first 2,000 chars - display truncation only, the \
         model received the full content]",
        thousands(chars),
        thousands(chars / 4)
    )
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let group = |(at, digit): (usize, char)| {
        let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
        [comma.then_some(','), Some(digit)].into_iter().flatten()
    };
    digits.chars().enumerate().flat_map(group).collect()
}
