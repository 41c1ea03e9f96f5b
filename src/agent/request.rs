//! The body of an invocation: `AgentExecutionRequest` of the public API, every documented field.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one invocation asks of the agent. Absent fields are not sent, so that the agent's own defaults hold.
///
/// As TOML in a profile (`[request]`) unknown keys are refused; undocumented fields go under `extra`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The prompt and what comes with it.
    pub input: Input,
    /// The task to continue; a new one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Files are not put into the model's context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_attachment_injection: Option<bool>,
    /// How hard the agent thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_mode: Option<ThinkMode>,
    /// Appended to the system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_override: Option<String>,
    /// Extra facts for this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_context: Option<String>,
    /// What the output should be like, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_output: Option<String>,
    /// Override of the model's provider, e.g. `anthropic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_model_provider: Option<String>,
    /// Override of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_model_name: Option<String>,
    /// Override of the reasoning effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_reasoning_effort: Option<ReasoningEffort>,
    /// The form of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<OutputFormat>,
    /// The JSON Schema of the answer, with `output_format = "json"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
    /// The task's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Free data that the task echoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_extension: Option<Map<String, Value>>,
    /// The execution that this one belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_execution_id: Option<String>,
    /// The agent that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggering_agent_id: Option<String>,
    /// The worker that should run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Where the request comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Runs on the caller's own worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_locally: Option<bool>,
    /// The legacy switch for streaming.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_streaming: Option<bool>,
    /// MCP servers for this run, as the API takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<Vec<Map<String, Value>>>,
    /// A token for MCP tools behind OAuth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_oidc_token: Option<String>,
    /// MCP tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_tokens: Option<Map<String, Value>>,
    /// Asks a workflow for its metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_metrics: Option<bool>,
    /// The workflow node under test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_run_node_id: Option<String>,
    /// Fields that this list does not have, sent as they stand at the top of the body.
    #[serde(skip_serializing)]
    pub extra: Map<String, Value>,
}

/// The prompt and what comes with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// The prompt.
    pub text: String,
    /// Addresses of files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
}

/// The end user on whose behalf the agent is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Their id in the caller's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Their address; the API requires it where a user is given.
    pub email: String,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Free data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_attributes: Option<Map<String, Value>>,
    /// Their role; `member` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether they administer the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_super_admin: Option<bool>,
    /// Their time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// How hard the agent thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThinkMode {
    /// As the agent is configured.
    Default,
    /// More than that.
    Harder,
}

/// The model's reasoning effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReasoningEffort {
    /// Least.
    Low,
    /// Middle.
    Medium,
    /// More.
    High,
    /// Most.
    Xhigh,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
    /// JSON, by `output_schema`.
    Json,
    /// For speaking.
    Voice,
}

impl Request {
    /// The JSON that goes on the wire: the fields that are set, and `extra` beside them.
    ///
    /// A field of `extra` never replaces a documented one.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut body = serde_json::to_value(self).expect("a request has string keys and finite numbers only");
        if let Value::Object(fields) = &mut body {
            for (key, value) in &self.extra {
                fields.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_smallest_body_is_the_documented_one() {
        let request = Request { input: Input { text: "Hello".into(), ..Input::default() }, ..Request::default() };
        assert_eq!(request.to_json(), json!({"input": {"text": "Hello"}}));
    }

    #[test]
    fn overrides_and_extra_fields_stand_at_the_top_of_the_body() {
        let request: Request = toml::from_str(
            r#"
            think_mode = "harder"
            llm_reasoning_effort = "xhigh"
            input = { text = "Hi", user = { email = "a@example.com" } }
            extra = { tool_call_limit = 3, think_mode = "default" }
            "#,
        )
        .expect("all keys are documented");
        let body = request.to_json();
        assert_eq!(body["think_mode"], "harder");
        assert_eq!(body["llm_reasoning_effort"], "xhigh");
        assert_eq!(body["tool_call_limit"], 3);
        assert_eq!(body["input"]["user"], json!({"email": "a@example.com"}));
        assert!(body.get("extra").is_none());
    }

    #[test]
    fn unknown_fields_are_refused_outside_extra() {
        assert!(toml::from_str::<Request>("llm_provider = \"openai\"").is_err());
    }
}
