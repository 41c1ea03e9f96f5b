//! The API: a request in, what is to be answered out. Nothing here waits.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::agent::{Agent, count};
use super::ask::Ask;
use super::flaws::Flaws;
use super::performance::Prelude;
use super::service::Rate;
use super::stage::Booking;
use super::task::{Status, Turn, Uuid};
use crate::agent::PLAN_INDEX_HEADER;
use crate::profile::script::{Busy, Fault, FaultKind};
use crate::units::NS_PER_S;

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    /// At once, and whole.
    Whole(Response<Bytes>),
    /// As a stream of events.
    Stream(Box<Booking>),
    /// After some nanoseconds, and whole.
    Late(u64, Response<Bytes>),
    /// The connection is reset.
    Reset,
    /// Nothing ever comes.
    Never,
}

/// A refusal on its way out.
type Refused = Box<Answer>;

/// Answers a request.
pub(super) fn answer(agent: &Agent, request: &Request<Bytes>) -> Answer {
    count(&agent.counters().requests, 1);
    let path = request.uri().path();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    if segments == ["health"] && request.method() == Method::GET {
        return Answer::Whole(whole(StatusCode::OK, "application/json", Bytes::from_static(b"\"ok\"")));
    }
    let answered = permitted(agent, request).and_then(|()| route(agent, request, &segments));
    let answer = answered.unwrap_or_else(|refused| *refused);
    if let Answer::Whole(response) = &answer
        && !response.status().is_success()
    {
        count(&agent.counters().refused, 1);
    }
    answer
}

fn route(agent: &Agent, request: &Request<Bytes>, segments: &[&str]) -> Result<Answer, Refused> {
    match (request.method().as_str(), segments) {
        ("POST", ["v1", "agents" | "workflows", id, "invoke", "stream"]) => {
            let booking = book(agent, request, id, false)?;
            Ok(Answer::Stream(Box::new(booking)))
        }
        ("POST", ["v1", "agents", id, "gateway", "invoke", "stream"]) => {
            let booking = book(agent, request, id, true)?;
            Ok(Answer::Stream(Box::new(booking)))
        }
        (_, ["v1", "agents" | "workflows", _, "invoke", "stream"]) => {
            Err(detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        }
        _ => Err(detail(StatusCode::NOT_FOUND, "Not Found")),
    }
}

/// Whether the key is one that may ask at all.
fn permitted(agent: &Agent, request: &Request<Bytes>) -> Result<(), Refused> {
    let access = &agent.script.access;
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let key = header("x-api-key").or_else(|| header("authorization")?.strip_prefix("Bearer "));
    if key.is_some_and(|key| access.forbid.iter().any(|known| known == key)) {
        return Err(detail(StatusCode::FORBIDDEN, "API key not allowed for this agent"));
    }
    if access.accept.is_empty() || key.is_some_and(|key| access.accept.iter().any(|known| known == key)) {
        return Ok(());
    }
    Err(detail(StatusCode::UNAUTHORIZED, "Invalid or missing API key"))
}

/// Takes an invocation up, or says why not.
fn book(agent: &Agent, request: &Request<Bytes>, agent_id: &str, connected: bool) -> Result<Booking, Refused> {
    let known = &agent.script.access.agents;
    if !known.is_empty() && !known.iter().any(|known| known == agent_id) {
        let status = StatusCode::from_u16(agent.script.shape.unknown_agent).expect("the script checked it");
        return Err(detail(status, "Agent not found"));
    }
    let version = query(request, "version").map(str::to_owned);
    let ask = Ask::read(request.body(), agent_id, version)
        .map_err(|problems| json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": problems})))?;
    let rate = agent.service.rate(agent.clock.now());
    if let Some(rate) = rate.filter(|rate| rate.is_over) {
        return Err(limited(agent, StatusCode::TOO_MANY_REQUESTS, Some(rate)));
    }
    let header = request.headers().get(PLAN_INDEX_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let index = header.unwrap_or_else(|| agent.next_arrival());
    count(&agent.counters().invocations, 1);
    if let Some(fault) = Flaws::new(&agent.script, agent.seed, index).instead {
        count(&agent.counters().broken, 1);
        return Err(Box::new(instead(agent, fault)));
    }
    let place = agent
        .service
        .admit()
        .map_err(|status| limited(agent, StatusCode::from_u16(status).expect("the script checked it"), rate))?;
    let prelude = Prelude::new(&agent.script, agent.seed, index);
    let task_id = ask.id.clone().unwrap_or_else(|| Uuid(prelude.task_id).to_string());
    let turn = turn(agent, ask, index);
    let stop = std::sync::Arc::clone(&turn.stop);
    let refuse_busy = agent.script.shape.busy == Busy::Refuse;
    let begun = agent
        .store
        .begin(&task_id, turn, refuse_busy)
        .ok_or_else(|| detail(StatusCode::CONFLICT, "Task is still executing"))?;
    Ok(Booking { index, begun, prelude, _place: place, stop, connected })
}

fn turn(agent: &Agent, ask: Ask, plan_index: u64) -> Turn {
    Turn {
        ask: std::sync::Arc::new(ask),
        plan_index,
        status: Status::Pending,
        created: agent.stamp(),
        started: None,
        finished: None,
        result: None,
        was_stopped: false,
        stop: std::sync::Arc::default(),
    }
}

/// What a fault answers instead of a stream.
fn instead(agent: &Agent, fault: &Fault) -> Answer {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let html =
        Bytes::from_static(b"<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n");
    Answer::Whole(match fault.kind {
        FaultKind::ResetBeforeHeaders => return Answer::Reset,
        FaultKind::NeverAnswer => return Answer::Never,
        FaultKind::Status if status == StatusCode::TOO_MANY_REQUESTS => {
            return *limited(agent, status, agent.service.rate(agent.clock.now()));
        }
        FaultKind::Status if status.is_server_error() => whole(status, "text/html", html),
        FaultKind::Status => return *detail(status, told_of(status)),
        FaultKind::Redirect => {
            let mut response = whole(StatusCode::TEMPORARY_REDIRECT, "text/plain", Bytes::new());
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("http://elsewhere.example/"));
            response
        }
        FaultKind::Empty => whole(StatusCode::OK, EVENT_STREAM, Bytes::new()),
        FaultKind::WrongContentType => whole(StatusCode::OK, "text/html; charset=utf-8", html),
        _ => whole(
            StatusCode::OK,
            "application/json",
            Bytes::from_static(b"{\"detail\":\"Upstream agent unavailable\"}"),
        ),
    })
}

/// The platform's words for a status.
fn told_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Invalid or missing API key",
        403 => "API key not allowed for this agent",
        404 => "Agent not found",
        _ => status.canonical_reason().unwrap_or("Refused"),
    }
}

/// The content type of a stream.
pub(super) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

fn limited(agent: &Agent, status: StatusCode, rate: Option<Rate>) -> Refused {
    let detail = json!({"detail": "Rate limit exceeded"});
    let body = if agent.script.shape.nested_detail { json!({"detail": {"detail": detail}}) } else { detail };
    let mut response = json_response(status, &body);
    if let Some(rate) = rate {
        let reset_s = (agent.stamp().0 * 1_000).saturating_add(rate.wait_ns).div_ceil(NS_PER_S);
        let told = [
            ("x-ratelimit-limit", rate.limit),
            ("x-ratelimit-remaining", rate.remaining),
            ("x-ratelimit-reset", reset_s),
        ];
        for (name, value) in told {
            response.headers_mut().insert(name, HeaderValue::from(value));
        }
    }
    Box::new(Answer::Whole(response))
}

/// A parameter of the query, as it stands there.
fn query<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn detail(status: StatusCode, text: &str) -> Refused {
    json_answer(status, &json!({"detail": text}))
}

fn json_answer(status: StatusCode, body: &Value) -> Refused {
    Box::new(Answer::Whole(json_response(status, body)))
}

fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    whole(status, "application/json", Bytes::from(body.to_string()))
}

/// A whole answer.
pub(super) fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
