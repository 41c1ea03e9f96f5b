//! The measured client against scripted peers: in-memory pipes, virtual time, exact instants.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::LocalSet;

use super::connection::{Connection, Piece};
use super::dial::Dialed;
use super::io::{Raw, Stamped, Wire};
use super::{Base, Client, Dialer, Seen, Stamper, Template};
use crate::clock::Clock;
use crate::metrics::tracker::Start;
use crate::metrics::{Outcome, Phase, Record};
use crate::profile::{Http, Profile};
use crate::units::NS_PER_MS;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n\r\n";

/// One step of a scripted peer: wait so many milliseconds, then write these bytes.
type Step = (u64, String);

fn chunked(payloads: &[&str]) -> String {
    let body: String = payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect();
    format!("{:x}\r\n{body}\r\n", body.len())
}

fn event(kind: &str, data: &str) -> String {
    format!(r#"{{"type":"{kind}","task_id":"t1","organization_id":"o","time":"x","data":{data}}}"#)
}

/// A peer that reads a request and then follows its script, once for each connection.
async fn peer(mut io: DuplexStream, script: Vec<Step>) {
    let mut request = vec![0; 64 * 1024];
    let got = io.read(&mut request).await.expect("the pipe stands");
    assert!(request[..got].starts_with(b"POST /v1/agents/a1/invoke/stream HTTP/1.1\r\n"));
    for (wait_ms, bytes) in script {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        if io.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
    }
}

const PROFILE: &str = r#"
why = "a scripted peer"
load.invocations = 1
request.input.text = "Hello"
target.agent_id = "a1"
limits = { connect = "1s", headers = "2s", first_event = "3s", idle = "4s", total = "60s", linger = "1s" }
stall = "100ms"
"#;

/// Runs one invocation against the script, in virtual time; says how many events were seen too.
fn invoke(script: Vec<Step>) -> (Record, Vec<u64>, usize) {
    invoke_as(PROFILE, script)
}

/// The same by another profile.
fn invoke_as(profile: &str, script: Vec<Step>) -> (Record, Vec<u64>, usize) {
    let profile = Profile::parse("test.toml", profile, Vec::new()).expect("a valid profile");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async move {
        let (give, take) = mpsc::channel();
        let pipe = move || {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            give.send(theirs).expect("the test takes it");
            Ok(ours)
        };
        let base = Base::parse("http://127.0.0.1").expect("a URL");
        let template = Template::new(base, &profile.target, None, json!({"input": {}}), "run", true);
        let clock = Clock::start();
        let client = Client::new(&profile, Dialer::Pipe(Arc::new(pipe)), template, clock);
        tokio::task::spawn_local(async move {
            let theirs = loop {
                match take.try_recv() {
                    Ok(theirs) => break theirs,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            peer(theirs, script).await;
        });
        let start = Start {
            plan_index: 7,
            variant: Arc::from("base"),
            conversation: 0,
            turn: 0,
            worker: 0,
            warmup: false,
            task_id: None,
            intended_ns: 0,
            started_ns: clock.now(),
        };
        let mut events = 0;
        let mut watch = |seen: Seen<'_>| events += usize::from(matches!(seen, Seen::Event(..)));
        let mut slot = client.slot(&Stamper::new(clock));
        let (record, gaps_ns) = slot.invoke(start, "Hello", Vec::new(), std::future::pending(), &mut watch).await;
        (record, gaps_ns, events)
    })
}

fn ms(at_ns: Option<u64>) -> Option<u64> {
    at_ns.map(|ns| ns / NS_PER_MS)
}

#[test]
fn first_chunk_and_gaps_are_exact() {
    let mut script = vec![
        (50, HEAD.to_owned() + &chunked(&[&event("task_created", r#"{"id":"t1","status":"pending"}"#)])),
        (50, chunked(&[&event("task_updated", r#"{"status":"executing"}"#)])),
        (150, chunked(&[&event("chunk", "\"Hel\"")])),
    ];
    script.extend((0..3).map(|_| (20, chunked(&[&event("chunk", "\"lo\"")]))));
    script.push((300, chunked(&[&event("chunk", "\"!\"")])));
    script.push((40, chunked(&[&event("task_finished", r#"{"status":"completed","tokens":{"total_tokens":9}}"#)])));
    script.push((15, "0\r\n\r\n".to_owned()));
    let (record, gaps_ns, events) = invoke(script);
    let stamps = &record.stamps;
    assert_eq!((record.outcome, record.detail.as_deref(), events), (Outcome::Completed, None, 8));
    assert_eq!(stamps.sent_ns, Some(0));
    assert_eq!(
        (ms(stamps.headers_ns), ms(stamps.first_event_ns), ms(stamps.task_created_ns)),
        (Some(50), Some(50), Some(50))
    );
    assert_eq!((ms(stamps.executing_ns), ms(stamps.first_chunk_ns)), (Some(100), Some(250)));
    assert_eq!((ms(stamps.last_chunk_ns), ms(stamps.finished_ns)), (Some(610), Some(650)));
    assert_eq!(stamps.first_chunk_ns, Some(250 * NS_PER_MS), "to the nanosecond");
    assert_eq!(gaps_ns, [20, 20, 20, 300].map(|gap| gap * NS_PER_MS));
    assert_eq!((record.counts.chunks, record.counts.text_bytes, record.counts.stalls), (5, 10, 1));
    assert_eq!((record.tokens.total, record.task_id.as_deref(), record.reused), (Some(9), Some("t1"), Some(false)));
    assert_eq!(record.counts.shared_reads, 0);
    assert_eq!(stamps.eof_ns, Some(665 * NS_PER_MS), "the end of the body comes by itself");
}

#[test]
fn events_of_one_read_are_counted_as_sharing_it() {
    let script = vec![
        (5, HEAD.to_owned()),
        (
            5,
            chunked(&[
                &event("chunk", "\"a\""),
                &event("chunk", "\"b\""),
                &event("task_finished", r#"{"status":"failed"}"#),
            ]),
        ),
    ];
    let (record, gaps_ns, _) = invoke(script);
    assert_eq!((record.outcome, record.counts.shared_reads), (Outcome::TaskFailed, 2));
    assert_eq!(gaps_ns, [0]);
}

#[test]
fn an_event_whose_read_goes_on_behind_it_shares_it_with_what_came_there() {
    let finished = event("task_finished", r#"{"status":"completed"}"#);
    let end = chunked(&[&finished]) + "0\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let (data, of_next) = (format!("data: {}\n\n", event("chunk", "\"a\"")), "data: {\"type\":\"chunk\",\"da");
    let rest = "ta\":\"b\"}\n\n";
    for (first, second, shared) in [
        (chunk(&data), chunk(&format!("{of_next}{rest}")), 0),
        (chunk(&data.replace('\n', "\r\n")), String::new(), 0),
        (chunk(&format!("{data}{of_next}")), chunk(rest), 1),
        (chunk(&data) + &chunk(of_next), chunk(rest), 1),
        (format!("{}27", chunk(&data)), format!("\r\n{}\r\n", " ".repeat(0x26) + "\n"), 1),
        (chunk(&format!("{data}: still there\n\n")), String::new(), 1),
        (chunk(&data) + &chunk(": still there\n\n"), String::new(), 1),
        (chunk(&(data.clone() + &data)), String::new(), 1),
        (chunk(&(data.clone() + &data + of_next)), chunk(rest), 2),
    ] {
        let told = format!("{first:?} {second:?}");
        let script = vec![(5, HEAD.to_owned()), (5, first), (5, second), (5, end.clone())];
        let (record, ..) = invoke(script.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect());
        assert_eq!((record.outcome, record.counts.shared_reads), (Outcome::Completed, shared), "{told}");
    }
}

#[tokio::test]
async fn an_empty_answer_with_something_behind_it_is_its_connections_last() {
    for (behind, keeps_alive) in [("", true), ("x", false)] {
        let (ours, mut theirs) = tokio::io::duplex(4_096);
        theirs.write_all(format!("{EMPTY}{behind}").as_bytes()).await.expect("the pipe stands");
        let stamper = Stamper::new(Clock::start());
        let wire = Wire::Clear(Stamped::new(Raw::Pipe(ours), &stamper));
        let dialed = Dialed { wire, h2_agreed: false, place: None };
        let mut connection =
            Connection::handshake(dialed, Http::Http1, 1, &stamper).await.expect("nothing to agree on");
        let (_, mut body, _) = connection.send(Request::new(Bytes::new())).await.expect("a head");
        assert!(matches!(connection.next(&mut body).await, Ok(Piece::End)));
        assert_eq!(connection.keeps_alive(), keeps_alive, "{behind:?}");
    }
}

#[test]
fn each_way_to_fail_is_told_apart() {
    let created = chunked(&[&event("task_created", "{}")]);
    let html = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let status = |line: &str| vec![(1, format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))];
    let stream = |rest: &str| vec![(1, format!("{HEAD}{created}{rest}"))];
    let with_end = |mut script: Vec<Step>, wait_ms: u64| {
        script.push((wait_ms, String::new()));
        script
    };
    for (script, outcome) in [
        (vec![], Outcome::Reset),
        (vec![(1, "garbage\r\n\r\n".to_owned())], Outcome::Reset),
        (with_end(vec![], 10_000), Outcome::TimedOut(Phase::Headers)),
        (with_end(vec![(1, HEAD.to_owned())], 10_000), Outcome::TimedOut(Phase::FirstEvent)),
        (with_end(stream(""), 10_000), Outcome::Stalled),
        (stream(""), Outcome::Truncated),
        (stream("0\r\n\r\n"), Outcome::Truncated),
        (stream("5\r\ndata:\r\n0\r\n\r\n"), Outcome::Truncated),
        (stream(&chunked(&["not json"])), Outcome::BadEvent),
        (stream(&chunked(&["{}"])), Outcome::BadEvent),
        (vec![(1, html.to_owned())], Outcome::BadContentType),
        (with_end(vec![(1, EMPTY.to_owned())], 10_000), Outcome::Truncated),
        (stream("x\r\n"), Outcome::Reset),
        (status("404 Not Found"), Outcome::HttpStatus(404)),
        (status("429 Too Many Requests"), Outcome::RateLimited),
        (status("307 Temporary Redirect\r\nlocation: http://elsewhere.example/x"), Outcome::HttpStatus(307)),
    ] {
        let told = format!("{script:?}");
        let (record, ..) = invoke(script);
        assert_eq!(record.outcome, outcome, "{told} {:?}", record.detail);
        assert!(record.detail.is_some(), "{told} says why");
    }
}

#[test]
fn what_the_target_repeats_of_our_secrets_is_kept_nowhere() {
    let profile = format!("{PROFILE}\ntarget.headers.x-own = \"sk-canary-1\"");
    let head = |line: &str| vec![(1, format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))];
    let details = [
        head("200 OK\r\ncontent-type: text/sk-canary-1"),
        head("307 Temporary Redirect\r\nlocation: http://sk-canary-1.example/x"),
    ]
    .map(|script| invoke_as(&profile, script).0.detail.expect("it says why"));
    insta::assert_snapshot!(details.join("\n"), @"
    content type text/(hidden), not text/event-stream
    status 307 Temporary Redirect: redirected to http://(hidden).example; redirects are not followed
    ");
    let call = |kind: &str| event(kind, r#"{"request_id":"r1","tool_name":"sk-canary-1"}"#);
    let calls = chunked(&[&call("tool_call_request"), &call("tool_call_result")]);
    let (record, ..) = invoke_as(&profile, vec![(1, format!("{HEAD}{calls}"))]);
    assert_eq!([&*record.tools[0].name, &*record.calls[0].name], ["(hidden)"; 2]);
}

#[test]
fn a_limit_on_the_headers_that_is_shorter_than_the_one_on_the_connection_is_kept() {
    let profile = PROFILE.replace("connect = \"1s\"", "connect = \"30s\"");
    let (record, ..) = invoke_as(&profile, vec![(10_000, String::new())]);
    assert_eq!((record.outcome, ms(Some(record.duration_ns()))), (Outcome::TimedOut(Phase::Headers), Some(2_000)));
}

#[test]
fn what_is_odd_is_counted_and_not_fatal() {
    let foreign = r#"{"type":"task_finished","task_id":"t2","data":{"status":"completed"}}"#;
    let script = vec![(
        1,
        format!(
            "{HEAD}{}{}0\r\n\r\n",
            chunked(&[&event("task_created", "{}"), foreign, &event("party", "1"), &event("chunk", "\"\"")]),
            chunked(&[&event("task_finished", r#"{"status":"completed"}"#), &event("task_finished", "{}")]),
        ),
    )];
    let (record, ..) = invoke(script);
    assert_eq!(record.outcome, Outcome::Completed);
    let counts = record.counts;
    assert_eq!((counts.foreign_events, counts.unknown_events, counts.chunks), (1, 1, 0));
    assert_eq!((counts.events_after_end, counts.duplicate_finishes), (1, 1));
    assert_eq!(record.stamps.first_chunk_ns, None, "no chunk with text came");
}
