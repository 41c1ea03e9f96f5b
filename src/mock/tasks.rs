//! The endpoints beside the invocation: tasks, their lists and threads, providers and models.

use http::StatusCode;
use serde_json::{Value, json};

use super::agent::Agent;
use super::api::{Answer, Refused, detail, json_answer, json_response, query, whole};
use super::performance::{Performance, What};
use super::task::{Status, Turn, Uuid, View};

/// The most items of one page.
const PER_PAGE_MAX: u64 = 50;
/// The items of one page when the query does not say.
const PER_PAGE: u64 = 20;

/// Providers and their models; which ones there are is made up, the shape is the platform's.
const PROVIDERS: [(&str, &str, &[&str]); 3] = [
    ("openai", "OpenAI", &["gpt-5", "gpt-5-mini"]),
    ("anthropic", "Anthropic", &["claude-sonnet-4-6", "claude-haiku-4-5"]),
    ("bedrock", "Amazon Bedrock", &["amazon.nova-pro-v1:0"]),
];

fn not_found() -> Refused {
    detail(StatusCode::NOT_FOUND, "Task not found")
}

fn shown(agent: &Agent, id: &str, turn: &Turn) -> Answer {
    let view = View { id, organization_id: &agent.organization_id, turn, trim: None };
    let body = serde_json::to_vec(&view).expect("a task has a JSON form");
    Answer::Whole(whole(StatusCode::OK, "application/json", body.into()))
}

fn told(value: &Value) -> Answer {
    Answer::Whole(json_response(StatusCode::OK, value))
}

/// Get Task: its latest turn.
pub(super) fn get(agent: &Agent, id: &str) -> Result<Answer, Refused> {
    let turn = agent.store.latest(id).ok_or_else(not_found)?;
    Ok(shown(agent, id, &turn))
}

/// Stop Task: a task that has ended comes back unchanged.
pub(super) fn stop(agent: &Agent, id: &str) -> Result<Answer, Refused> {
    let turn = agent.store.stop(id, agent.stamp()).ok_or_else(not_found)?;
    Ok(shown(agent, id, &turn))
}

/// Delete Task: one that runs is stopped.
pub(super) fn delete(agent: &Agent, id: &str) -> Result<Answer, Refused> {
    if !agent.store.delete(id, agent.stamp()) {
        return Err(not_found());
    }
    Ok(Answer::Whole(whole(StatusCode::NO_CONTENT, "application/json", bytes::Bytes::new())))
}

/// List Tasks, of one agent or of all.
pub(super) fn list(agent: &Agent, asked: &str, agent_id: Option<&str>) -> Result<Answer, Refused> {
    let page = number(asked, "page", 1, u64::MAX)?;
    let per_page = number(asked, "per_page", PER_PAGE, PER_PAGE_MAX)?;
    let status = query(asked, "status");
    if let Some(word) = status.filter(|word| Status::ALL.iter().all(|known| known.word() != *word) && *word != "paused")
    {
        let expected = "'pending', 'executing', 'paused', 'error', 'failed', 'completed' or 'stopped'";
        return Err(refuse("status", "enum", &format!("Input should be {expected}"), word));
    }
    let agent_id = agent_id.or_else(|| query(asked, "agent_id"));
    let user_id = query(asked, "user_id");
    let user = |turn: &Turn| turn.ask.echo("input").pointer("/user/id").and_then(Value::as_str).map(str::to_owned);
    let found = agent.store.list(|turn| {
        agent_id.is_none_or(|id| turn.ask.agent_id == id)
            && status.is_none_or(|word| turn.status.word() == word)
            && user_id.is_none_or(|id| user(turn).as_deref() == Some(id))
    });
    let total = found.len() as u64;
    let skip = usize::try_from((page - 1).saturating_mul(per_page)).unwrap_or(usize::MAX);
    let items = found.iter().skip(skip).take(usize::try_from(per_page).unwrap_or(usize::MAX));
    let items: Vec<Value> = items.map(|(id, turn)| item(agent, id, turn, user(turn).as_deref())).collect();
    Ok(told(&json!({
        "items": items, "total": total, "page": page, "per_page": per_page, "total_pages": total.div_ceil(per_page),
    })))
}

fn item(agent: &Agent, id: &str, turn: &Turn, user_id: Option<&str>) -> Value {
    let updated = turn.finished.or(turn.started).unwrap_or(turn.created);
    json!({
        "id": id, "agent_id": turn.ask.agent_id, "user_id": user_id,
        "parent_task_id": turn.ask.echo("parent_execution_id"), "triggering_agent_id": turn.ask.echo("triggering_agent_id"),
        "organization_id": agent.organization_id, "status": turn.status.word(), "created_at": turn.created,
        "updated_at": updated, "source_node_type": null, "result": turn.result.map(|told| told.to_string()),
        "title": turn.ask.echo("title"),
    })
}

fn number(asked: &str, name: &str, default: u64, max: u64) -> Result<u64, Refused> {
    let Some(text) = query(asked, name) else { return Ok(default) };
    let Ok(number) = text.parse::<i128>() else {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        return Err(refuse(name, "int_parsing", message, text));
    };
    match u64::try_from(number) {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        Ok(number) if number > max => {
            Err(refuse(name, "less_than_equal", &format!("Input should be less than or equal to {max}"), text))
        }
        _ => Err(refuse(name, "greater_than_equal", "Input should be greater than or equal to 1", text)),
    }
}

fn refuse(name: &str, kind: &str, message: &str, input: &str) -> Refused {
    let problem = json!({"type": kind, "loc": ["query", name], "msg": message, "input": input});
    json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": [problem]}))
}

/// The messages of all turns, the oldest first.
fn messages(id: &str, turns: &[Turn]) -> Vec<Value> {
    let mut messages = Vec::new();
    for (number, turn) in (1..).zip(turns) {
        messages.push(json!({
            "id": format!("{id}_user_{number}"), "role": "user", "content": turn.ask.text,
            "created_at": turn.created.seconds(),
        }));
        if let (Some(told), Some(finished)) = (turn.result, turn.finished) {
            messages.push(json!({
                "id": format!("{id}_agent_{number}"), "role": "assistant", "content": told.to_string(),
                "created_at": finished.seconds(),
            }));
        }
    }
    messages
}

/// Get Task Thread: a list, of the root task only.
pub(super) fn thread(agent: &Agent, id: &str) -> Result<Answer, Refused> {
    let turns = agent.store.turns(id).ok_or_else(not_found)?;
    Ok(told(&Value::Array(messages(id, &turns))))
}

/// Get Task Thread (Full): the root's messages, and those of each sub-task under its id.
pub(super) fn thread_full(agent: &Agent, id: &str) -> Result<Answer, Refused> {
    let turns = agent.store.turns(id).ok_or_else(not_found)?;
    let mut full = serde_json::Map::new();
    full.insert("root".to_owned(), Value::Array(messages(id, &turns)));
    for (number, turn) in (0..).zip(&turns) {
        // What was told is not kept: the same seed and plan index tell it again.
        let performance = Performance::new(&agent.script, agent.seed, turn.plan_index, &turn.ask, number);
        for cue in performance.take_while(|cue| !matches!(cue.what, What::Chunk(_))) {
            if let What::SubAgent(call) = cue.what {
                let sub_task = Uuid(call.id).to_string();
                let message = json!({
                    "id": format!("{sub_task}_user_1"), "role": "user", "content": call.piece.to_string(),
                    "created_at": turn.created.seconds(),
                });
                full.insert(sub_task, json!([message]));
            }
        }
    }
    Ok(told(&Value::Object(full)))
}

/// The providers.
pub(super) fn providers() -> Answer {
    let list = PROVIDERS.iter().map(|(id, name, _)| json!({"id": id, "name": name}));
    told(&Value::Array(list.collect()))
}

/// The models of a provider.
pub(super) fn models(id: &str) -> Result<Answer, Refused> {
    let Some((_, _, models)) = PROVIDERS.iter().find(|(known, ..)| *known == id) else {
        return Err(detail(StatusCode::NOT_FOUND, "LLM provider not found"));
    };
    let list = models.iter().map(|model| json!({"id": model, "name": model, "provider": id}));
    Ok(told(&Value::Array(list.collect())))
}
