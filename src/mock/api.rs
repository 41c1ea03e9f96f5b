//! The API: a request in, what is to be answered out. Nothing here waits.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SERVER};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::agent::{Agent, count};
use super::ask::Ask;
use super::flaws::Flaws;
use super::logs::Line;
use super::performance::Prelude;
use super::service::Rate;
use super::stage::Booking;
use super::task::{Status, Turn, Uuid};
use super::{metrics, tasks};
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
    /// With the task, once it has ended.
    Task(Box<Booking>),
    /// With the task as it is now; it goes on by itself.
    Begun(Box<Booking>),
    /// The connection is reset.
    Reset,
    /// Nothing ever comes.
    Never,
}

/// A refusal on its way out.
pub(super) type Refused = Box<Answer>;

/// Answers a request.
pub(super) fn answer(agent: &Agent, request: &Request<Bytes>) -> Answer {
    count(&agent.counters().requests, 1);
    let segments: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let answered = match (request.method().as_str(), &segments[..]) {
        ("GET", ["metrics"]) => Ok(Answer::Whole(metrics(agent))),
        ("GET", ["health"]) => Ok(Answer::Whole(json_response(StatusCode::OK, &json!("ok")))),
        _ => permitted(agent, request).and_then(|()| route(agent, request, &segments)),
    };
    let answer = answered.unwrap_or_else(|refused| *refused);
    if let Answer::Whole(response) = &answer
        && !response.status().is_success()
    {
        count(&agent.counters().refused, 1);
    }
    agent.logs.request(|| line(agent, request, &answer));
    answer
}

fn metrics(agent: &Agent) -> Response<Bytes> {
    let text = metrics::render(&agent.served(), agent.service.load());
    whole(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", Bytes::from(text))
}

/// The request's line in the log.
fn line(agent: &Agent, request: &Request<Bytes>, answer: &Answer) -> Option<String> {
    let booking = match answer {
        Answer::Stream(booking) | Answer::Task(booking) | Answer::Begun(booking) => Some(booking),
        _ => None,
    };
    let status = match answer {
        Answer::Whole(response) => Some(response.status().as_u16()),
        Answer::Reset | Answer::Never => None,
        _ => Some(200),
    };
    let line = Line {
        time: agent.stamp(),
        method: request.method().as_str(),
        path: request.uri().path(),
        status,
        plan_index: booking.map(|booking| booking.index),
        task_id: booking.map(|booking| &*booking.begun.id),
    };
    serde_json::to_string(&line).ok()
}

fn route(agent: &Agent, request: &Request<Bytes>, segments: &[&str]) -> Result<Answer, Refused> {
    let book = |id: &str, connected: bool| book(agent, request, id, connected).map(Box::new);
    match (request.method().as_str(), segments) {
        ("POST", ["v1", "agents" | "workflows", id, "invoke", "stream"]) => book(id, false).map(Answer::Stream),
        ("POST", ["v1", "agents", id, "gateway", "invoke", "stream"]) => book(id, true).map(Answer::Stream),
        ("POST", ["v1", "agents" | "workflows", id, "invoke"]) => book(id, false).map(Answer::Task),
        ("POST", ["v1", "agents" | "workflows", id, "invoke", "async"]) => book(id, false).map(Answer::Begun),
        ("POST", ["v1", "tasks", id, "stop"]) => tasks::stop(agent, id),
        ("DELETE", ["v1", "tasks", id]) => tasks::delete(agent, id),
        ("GET", ["v1", "tasks"]) => tasks::list(agent, request.uri().query().unwrap_or_default(), None),
        ("GET", ["v1", "agents", id, "tasks"]) => {
            tasks::list(agent, request.uri().query().unwrap_or_default(), Some(id))
        }
        ("GET", ["v1", "tasks", id]) => tasks::get(agent, id),
        ("GET", ["v1", "tasks", id, "thread"]) => tasks::thread(agent, id),
        ("GET", ["v1", "tasks", id, "thread", "full"]) => tasks::thread_full(agent, id),
        ("GET", ["v1", "llm_providers"]) => Ok(tasks::providers()),
        ("GET", ["v1", "llm_providers", id, "models"]) => tasks::models(id),
        (_, ["v1", "agents" | "workflows", _, "invoke", ..] | ["v1", "agents", _, "gateway", ..])
        | (_, ["health" | "metrics"] | ["v1", "tasks", ..] | ["v1", "llm_providers", ..]) => {
            Err(detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        }
        _ => Err(detail(StatusCode::NOT_FOUND, "Not Found")),
    }
}

/// A task as it is now.
pub(super) fn task(agent: &Agent, id: &str) -> Response<Bytes> {
    match tasks::get(agent, id) {
        Ok(Answer::Whole(response)) => response,
        // It was deleted while it ran.
        _ => json_response(StatusCode::NOT_FOUND, &json!({"detail": "Task not found"})),
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
    let version = query(request.uri().query().unwrap_or_default(), "version").map(str::to_owned);
    let ask = Ask::read(request.body(), agent_id, version)
        .map_err(|problems| json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({"detail": problems})))?;
    let rate = agent.service.rate(agent.clock.now());
    if let Some(rate) = rate.filter(|rate| rate.is_over) {
        return Err(limited(agent, StatusCode::TOO_MANY_REQUESTS, Some(rate)));
    }
    let header = request.headers().get(PLAN_INDEX_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let index = header.or_else(|| ask.plan_index()).unwrap_or_else(|| agent.next_arrival());
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
    Ok(Booking { index, begun, prelude, _place: place, stop, connected, head: head(agent, rate) })
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

/// The head of a stream.
fn head(agent: &Agent, rate: Option<Rate>) -> Response<()> {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    head.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.headers_mut().insert(SERVER, HeaderValue::from_static(NAME));
    tell_rate(agent, rate, head.headers_mut());
    head
}

fn limited(agent: &Agent, status: StatusCode, rate: Option<Rate>) -> Refused {
    let detail = json!({"detail": "Rate limit exceeded"});
    let body = if agent.script.shape.nested_detail { json!({"detail": {"detail": detail}}) } else { detail };
    let mut response = json_response(status, &body);
    tell_rate(agent, rate, response.headers_mut());
    Box::new(Answer::Whole(response))
}

fn tell_rate(agent: &Agent, rate: Option<Rate>, headers: &mut HeaderMap) {
    let Some(rate) = rate else { return };
    let reset_s = (agent.stamp().0 * 1_000).saturating_add(rate.wait_ns).div_ceil(NS_PER_S);
    let told =
        [("x-ratelimit-limit", rate.limit), ("x-ratelimit-remaining", rate.remaining), ("x-ratelimit-reset", reset_s)];
    for (name, value) in told {
        headers.insert(name, HeaderValue::from(value));
    }
}

/// A parameter of a query, as it stands there.
pub(super) fn query<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

pub(super) fn detail(status: StatusCode, text: &str) -> Refused {
    json_answer(status, &json!({"detail": text}))
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Refused {
    Box::new(Answer::Whole(json_response(status, body)))
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    whole(status, "application/json", Bytes::from(body.to_string()))
}

/// A whole answer.
pub(super) fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(SERVER, HeaderValue::from_static(NAME));
    response
}

/// How the mock names itself, so that nobody takes it for an agent.
const NAME: &str = concat!("plimsoll-mock/", env!("CARGO_PKG_VERSION"));
