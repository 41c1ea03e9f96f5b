//! What was asked: the body of an invocation, checked as the documented API checks it.
//!
//! The answer to a wrong body has the form of FastAPI with pydantic v2, which is what the platform runs.

use serde_json::{Map, Value, json};

/// A body that was accepted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ask {
    /// The prompt.
    pub(super) text: String,
    /// The task to continue.
    pub(super) id: Option<String>,
    /// The agent of the path.
    pub(super) agent_id: String,
    /// The query `version`.
    pub(super) version: Option<String>,
    /// The whole body, for what the task echoes.
    body: Map<String, Value>,
}

/// Fields with a closed list of words.
const WORDS: [(&str, &[&str]); 3] = [
    ("think_mode", &["default", "harder"]),
    ("llm_reasoning_effort", &["low", "medium", "high", "xhigh"]),
    ("output_format", &["text", "markdown", "json", "voice"]),
];

/// Fields that are texts.
const TEXTS: [&str; 13] = [
    "id",
    "instructions_override",
    "additional_context",
    "expected_output",
    "llm_model_provider",
    "llm_model_name",
    "title",
    "parent_execution_id",
    "triggering_agent_id",
    "worker_id",
    "source",
    "user_oidc_token",
    "test_run_node_id",
];

impl Ask {
    /// Reads a body.
    ///
    /// # Errors
    /// The `detail` of the 422 that the API answers.
    pub(super) fn read(body: &[u8], agent_id: &str, version: Option<String>) -> Result<Self, Value> {
        let body = match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => body,
            Ok(other) => return Err(json!([problem("model_attributes_type", &[], NO_OBJECT, &other)])),
            Err(error) => return Err(json!([no_json(body, &error)])),
        };
        let problems = problems(&body);
        if !problems.is_empty() {
            return Err(Value::Array(problems));
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            text: body["input"].get("text").and_then(text).unwrap_or_default(),
            id: body.get("id").and_then(text),
            agent_id: agent_id.to_owned(),
            version,
            body,
        })
    }

    /// A field that effects depend on.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        match name {
            "agent_id" => Some(&self.agent_id),
            "version" => self.version.as_deref(),
            _ => self.body.get(name)?.as_str(),
        }
    }

    /// The plan index that plimsoll puts into `payload_extension` where its profile says `target.tag`.
    pub(super) fn plan_index(&self) -> Option<u64> {
        self.echo("payload_extension").pointer("/plimsoll/plan_index")?.as_u64()
    }

    /// A field of the body, for what the task echoes.
    pub(super) fn echo(&self, name: &str) -> &Value {
        self.body.get(name).unwrap_or(&Value::Null)
    }
}

const NO_OBJECT: &str = "Input should be a valid dictionary or object to extract fields from";

fn problems(body: &Map<String, Value>) -> Vec<Value> {
    let mut found = Vec::new();
    match body.get("input") {
        None => found.push(problem("missing", &["input"], "Field required", &Value::Object(body.clone()))),
        Some(Value::Object(input)) => input_problems(input, &mut found),
        Some(other) => found.push(problem("model_attributes_type", &["input"], NO_OBJECT, other)),
    }
    for field in TEXTS {
        text_problem(body.get(field), &[field], &mut found);
    }
    found.extend(WORDS.iter().filter_map(|(field, words)| wrong_word(field, words, body.get(*field)?)));
    found
}

fn input_problems(input: &Map<String, Value>, found: &mut Vec<Value>) {
    text_problem(input.get("text"), &["input", "text"], found);
    match input.get("user") {
        None | Some(Value::Null) => {}
        Some(Value::Object(user)) => {
            text_problem(user.get("id"), &["input", "user", "id"], found);
            match user.get("email") {
                None => {
                    let user = Value::Object(user.clone());
                    found.push(problem("missing", &["input", "user", "email"], "Field required", &user));
                }
                Some(Value::Null) => found.push(no_text(&["input", "user", "email"], &Value::Null)),
                email => text_problem(email, &["input", "user", "email"], found),
            }
        }
        Some(other) => found.push(problem("model_attributes_type", &["input", "user"], NO_OBJECT, other)),
    }
}

fn text_problem(value: Option<&Value>, path: &[&str], found: &mut Vec<Value>) {
    if let Some(value) = value.filter(|value| !value.is_null() && !value.is_string()) {
        found.push(no_text(path, value));
    }
}

fn wrong_word(field: &str, words: &[&str], value: &Value) -> Option<Value> {
    if value.is_null() || value.as_str().is_some_and(|word| words.contains(&word)) {
        return None;
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, rest) = quoted.split_last()?;
    let expected = format!("{} or {last}", rest.join(", "));
    let mut wrong = problem("enum", &[field], &format!("Input should be {expected}"), value);
    wrong["ctx"] = json!({"expected": expected});
    Some(wrong)
}

fn no_text(path: &[&str], value: &Value) -> Value {
    problem("string_type", path, "Input should be a valid string", value)
}

fn problem(kind: &str, path: &[&str], message: &str, input: &Value) -> Value {
    let place: Vec<_> = ["body"].iter().chain(path).collect();
    json!({"type": kind, "loc": place, "msg": message, "input": input})
}

fn no_json(body: &[u8], error: &serde_json::Error) -> Value {
    if body.is_empty() {
        return problem("missing", &[], "Field required", &Value::Null);
    }
    let before: usize = body.split(|byte| *byte == b'\n').take(error.line() - 1).map(|line| line.len() + 1).sum();
    let at = before + error.column().saturating_sub(1);
    json!({"type": "json_invalid", "loc": ["body", at], "msg": "JSON decode error", "input": {}, "ctx": {"error": what(error)}})
}

/// The parser's own words without its line and column, which stand in `loc`.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        Ask::read(body.as_bytes(), "a1", None).expect_err("refused").to_string()
    }

    #[test]
    fn a_wrong_body_is_refused_in_the_form_of_pydantic() {
        let told = [
            "",
            "{\n\"input\": }",
            "[]",
            "{}",
            r#"{"input":"Hi"}"#,
            r#"{"input":{"text":7,"user":{"id":"u"}},"think_mode":"hardest","id":5}"#,
        ]
        .map(refused)
        .join("\n");
        insta::assert_snapshot!(told, @r#"
        [{"input":null,"loc":["body"],"msg":"Field required","type":"missing"}]
        [{"ctx":{"error":"expected value"},"input":{},"loc":["body",11],"msg":"JSON decode error","type":"json_invalid"}]
        [{"input":[],"loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","type":"model_attributes_type"}]
        [{"input":{},"loc":["body","input"],"msg":"Field required","type":"missing"}]
        [{"input":"Hi","loc":["body","input"],"msg":"Input should be a valid dictionary or object to extract fields from","type":"model_attributes_type"}]
        [{"input":7,"loc":["body","input","text"],"msg":"Input should be a valid string","type":"string_type"},{"input":{"id":"u"},"loc":["body","input","user","email"],"msg":"Field required","type":"missing"},{"input":5,"loc":["body","id"],"msg":"Input should be a valid string","type":"string_type"},{"ctx":{"expected":"'default' or 'harder'"},"input":"hardest","loc":["body","think_mode"],"msg":"Input should be 'default' or 'harder'","type":"enum"}]
        "#);
    }

    #[test]
    fn what_the_documents_do_not_name_is_ignored() {
        let body = r#"{"input":{"text":"Hi","user":{"email":""},"images":[]},"llm_provider":"x","output_format":null}"#;
        let ask = Ask::read(body.as_bytes(), "a1", Some("draft".into())).expect("accepted");
        assert_eq!((ask.text.as_str(), ask.id.as_deref()), ("Hi", None));
        assert_eq!((ask.field("agent_id"), ask.field("version")), (Some("a1"), Some("draft")));
        assert_eq!(ask.field("think_mode"), None);
        assert_eq!(ask.plan_index(), None);
    }

    #[test]
    fn a_tagged_body_says_its_plan_index() {
        let body = r#"{"input":{"text":"Hi"},"payload_extension":{"plimsoll":{"run_id":"r","plan_index":7}}}"#;
        assert_eq!(Ask::read(body.as_bytes(), "a1", None).expect("accepted").plan_index(), Some(7));
    }
}
