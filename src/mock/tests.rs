//! The mock over in-memory pipes in virtual time: exact instants and every fault; endpoints and transport beside it.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::LocalSet;

use super::{Agent, Mock, Options, serve_pipe};
use crate::clock::Clock;
use crate::profile::script::{FaultKind, Script};
use crate::seed::Seed;
use crate::sse::Parser;
use crate::units::{NS_PER_MS, NS_PER_S};

mod endpoints;
mod transport;

const HI: &str = r#"{"input":{"text":"Hi"}}"#;

fn script(text: &str) -> Script {
    Script::parse("x.toml", &format!("why = \"a test\"\n{text}")).expect("a valid script")
}

/// A request as it stands on the wire.
fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: mock\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn invoke(index: u64) -> String {
    request("POST", "/v1/agents/a1/invoke/stream", &format!("x-plimsoll-plan-index: {index}\r\n"), HI)
}

/// Runs a test in virtual time.
fn in_virtual_time<T>(test: impl AsyncFnOnce(Clock) -> T) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async { test(Clock::start()).await })
}

/// A client's end of a pipe to the agent.
fn connect(agent: &Arc<Agent>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::task::spawn_local(serve_pipe(theirs, Arc::clone(agent)));
    ours
}

/// What came back: the head, and the pieces of the body with the instant of each, in milliseconds; and how it ended.
#[derive(Debug, Default)]
struct Got {
    head: String,
    pieces: Vec<(u64, Vec<u8>)>,
    end: &'static str,
}

impl Got {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("none")
    }

    fn body(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(_, piece)| piece.clone()).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).expect("a JSON body")
    }

    /// Each event with the instant at which it was whole.
    fn events(&self) -> Vec<(u64, String)> {
        let (mut parser, mut seen) = (Parser::default(), Vec::new());
        for (at_ms, piece) in &self.pieces {
            let mut events = parser.feed(piece);
            while let Some(event) = events.next().expect("far below the limits") {
                seen.push((*at_ms, event.data_lossy().into_owned()));
            }
        }
        seen
    }

    /// The types of the events with their instants: `250 chunk`.
    fn told(&self) -> String {
        let kind = |data: &String| match serde_json::from_str::<Value>(data) {
            Ok(event) => event["type"].as_str().unwrap_or("untyped").to_owned(),
            Err(_) => "no JSON".to_owned(),
        };
        let mut told: Vec<_> = self.events().iter().map(|(at_ms, data)| format!("{at_ms} {}", kind(data))).collect();
        told.push(self.end.to_owned());
        told.join(", ")
    }

    fn event(&self, kind: &str) -> Value {
        let events = self.events();
        let parsed = events.iter().filter_map(|(_, data)| serde_json::from_str::<Value>(data).ok());
        parsed.into_iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("{kind} in {}", self.told()))
    }
}

/// Reads one answer; after a minute of silence the client gives up.
async fn read(io: &mut DuplexStream, clock: Clock) -> Got {
    let (mut got, mut raw, started_ns) = (Got::default(), Vec::new(), clock.now());
    let mut at = 0;
    loop {
        let mut piece = vec![0; 1 << 16];
        let silence = clock.sleep_until(clock.now() + 60 * NS_PER_S);
        let size = tokio::select! {
            size = io.read(&mut piece) => size.unwrap_or(0),
            () = silence => { got.end = "silence"; return got; }
        };
        let now_ms = (clock.now() - started_ns) / NS_PER_MS;
        raw.extend_from_slice(&piece[..size]);
        if got.head.is_empty()
            && let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n")
        {
            got.head = String::from_utf8(raw[..end].to_vec()).expect("text");
            at = end + 4;
        }
        let is_whole = !got.head.is_empty() && take_body(&mut got, &raw, &mut at, now_ms);
        if is_whole || size == 0 {
            got.end = if is_whole { "whole" } else { "closed" };
            return got;
        }
    }
}

/// Takes what is complete of the body; says whether that was all of it.
fn take_body(got: &mut Got, raw: &[u8], at: &mut usize, now_ms: u64) -> bool {
    if let Some(length) = got.head.split("content-length: ").nth(1) {
        let length: usize = length.lines().next().expect("a line").parse().expect("a number");
        if raw.len() >= *at + length {
            got.pieces.push((now_ms, raw[*at..*at + length].to_vec()));
            return true;
        }
        return false;
    }
    while let Ok(httparse::Status::Complete((head, size))) = httparse::parse_chunk_size(&raw[*at..]) {
        let (from, size) = (*at + head, usize::try_from(size).expect("small"));
        if raw.len() < from + size + 2 {
            return false;
        }
        *at = from + size + 2;
        if size == 0 {
            return true;
        }
        got.pieces.push((now_ms, raw[from..from + size].to_vec()));
    }
    false
}

/// One invocation of a script, alone, in virtual time.
fn played(text: &str, index: u64) -> Got {
    in_virtual_time(async |clock| {
        let agent = Agent::new(script(text), Seed(1), clock);
        let mut io = connect(&agent);
        io.write_all(invoke(index).as_bytes()).await.expect("the pipe stands");
        read(&mut io, clock).await
    })
}

/// Three chunks, a thought and a tool call.
const SHORT: &str = r#"
created = "10ms"
queue = "40ms"
think_steps = 1
think = "100ms"
first_chunk = "50ms"
chunks = 3
gap = "20ms"
closing = "5ms"
tool = [{ name = "web_search", time = "30ms" }]
"#;

#[test]
fn the_documented_order_comes_at_the_scripted_instants() {
    let got = played(SHORT, 0);
    insta::assert_snapshot!(got.head, @"
    HTTP/1.1 200 OK
    content-type: text/event-stream; charset=utf-8
    cache-control: no-cache
    server: plimsoll-mock/0.1.0
    connection: keep-alive
    transfer-encoding: chunked
    ");
    insta::assert_snapshot!(got.told(), @"10 task_created, 50 task_updated, 50 think, 150 tool_call_request, 180 tool_call_result, 230 chunk, 250 chunk, 270 chunk, 275 task_finished, whole");
    assert_eq!(played("", 0).told().split(", ").nth(2), Some("250 chunk"), "a plain script's first chunk");
}

#[test]
fn the_answer_is_the_result_and_the_task_is_shown_in_each_status() {
    let got = played(SHORT, 0);
    let [created, executing, finished] =
        ["task_created", "task_updated", "task_finished"].map(|kind| got.event(kind)["data"].clone());
    assert_eq!([&created["status"], &executing["status"], &finished["status"]], ["pending", "executing", "completed"]);
    let chunks = got.events().into_iter().filter_map(|(_, data)| {
        let event: Value = serde_json::from_str(&data).expect("JSON");
        (event["type"] == "chunk").then(|| event["data"].as_str().expect("text").to_owned())
    });
    assert_eq!(finished["result"].as_str(), Some(chunks.collect::<String>().as_str()));
    assert_eq!((&created["started_at"], &created["finished_at"]), (&Value::Null, &Value::Null));
    let request = got.event("tool_call_request");
    assert_eq!(request["data"]["request_id"], got.event("tool_call_result")["data"]["request_id"]);
    assert_eq!((&request["task_id"], &request["organization_id"]), (&created["id"], &created["organization_id"]));
}

#[test]
fn the_same_seed_and_plan_index_give_the_same_stream_whatever_came_before() {
    let without_time = |got: &Got| {
        let events = got.events().into_iter().map(|(at_ms, data)| {
            let mut event: Value = serde_json::from_str(&data).expect("JSON");
            event["time"] = Value::Null;
            for instant in ["created_at", "started_at", "finished_at"] {
                if event["data"].get(instant).is_some() {
                    event["data"][instant] = Value::Null;
                }
            }
            (at_ms, event)
        });
        events.collect::<Vec<_>>()
    };
    let in_order = |order: &[u64]| {
        in_virtual_time(async |clock| {
            let agent = Agent::new(Script::built_in(), Seed(5), clock);
            let mut seen = Vec::new();
            for index in order {
                let mut io = connect(&agent);
                io.write_all(invoke(*index).as_bytes()).await.expect("the pipe stands");
                seen.push((*index, without_time(&read(&mut io, clock).await)));
            }
            seen.sort_by_key(|(index, _)| *index);
            seen
        })
    };
    let (forwards, backwards) = (in_order(&[0, 1, 2, 7]), in_order(&[7, 2, 0, 1]));
    assert_eq!(forwards, backwards);
    assert_ne!(forwards[0].1, forwards[1].1, "plan indices differ");
}

/// What a client sees of each kind of fault.
#[test]
fn each_fault_is_seen_as_what_it_is() {
    let mut told = Vec::new();
    for kind in FaultKind::ALL.iter().filter(|kind| **kind != FaultKind::Refuse) {
        let text =
            format!("first_chunk = \"50ms\"\nchunks = 2\nwrites = \"together\"\n[[fault]]\nkind = \"{}\"", kind.word());
        let got = played(&text, 0);
        let body = String::from_utf8_lossy(&got.body()).into_owned();
        let told_body = if got.events().is_empty() { format!("{body:?}") } else { got.told() };
        told.push(format!("{}: {} {told_body}, {}", kind.word(), got.status(), got.pieces.len()));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    reset_before_headers: none "", 0
    never_answer: none "", 0
    slow_headers: 200 1000 task_created, 1000 task_updated, 1050 chunk, 1070 chunk, 1070 task_finished, whole, 3
    status: 500 "<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n", 1
    redirect: 307 "", 1
    empty: 200 "", 1
    wrong_content_type: 200 "<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n", 1
    error_body: 200 "{\"detail\":\"Upstream agent unavailable\"}", 1
    garbage: 200 0 task_created, 0 task_updated, 50 chunk, whole, 3
    bad_framing: 200 0 task_created, 0 task_updated, 50 chunk, closed, 2
    reset_in_stream: 200 0 task_created, 0 task_updated, 50 chunk, closed, 2
    end_early: 200 0 task_created, 0 task_updated, 50 chunk, whole, 2
    stall: 200 0 task_created, 0 task_updated, 50 chunk, silence, 2
    malformed_json: 200 0 task_created, 0 task_updated, 50 chunk, 70 no JSON, 70 chunk, 70 task_finished, whole, 3
    huge_event: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 chunk, 70 task_finished, whole, 4
    unknown_event: 200 0 task_created, 0 task_updated, 50 chunk, 70 mood_changed, 70 chunk, 70 task_finished, whole, 3
    foreign_task: 200 0 task_created, 0 task_updated, 50 chunk, 70 task_created, 70 chunk, 70 task_finished, 70 chunk, 70 task_finished, whole, 3
    after_end: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, 70 chunk, whole, 3
    duplicate_finish: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, 70 task_finished, whole, 3
    failed: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    error: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    stopped: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    wrong_answer: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    empty_answer: 200 0 task_created, 0 task_updated, 0 task_finished, whole, 1
    connected: 200 0 connected, 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    drip: 200 1433 task_created, 2894 task_updated, 3099 chunk, 3304 chunk, 4867 task_finished, whole, 4868
    buffer: 200 70 task_created, 70 task_updated, 70 chunk, 70 chunk, 70 task_finished, whole, 1
    hold: 200 70 task_created, 70 task_updated, 70 chunk, 70 chunk, 70 task_finished, whole, 1
    split_utf8: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 10
    split_line_end: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 10
    cr: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    crlf: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    comments: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    fields: 200 0 task_created, 0 task_updated, 50 chunk, 70 chunk, 70 task_finished, whole, 3
    "#);
}

#[test]
fn a_connection_serves_one_request_after_another() {
    in_virtual_time(async |clock| {
        // The delayed headers keep the two answers apart.
        let agent = Agent::new(script("chunks = 1\nheaders = \"1ms\""), Seed(1), clock);
        let mut io = connect(&agent);
        // Both at once: the second waits in the buffer while the first streams.
        io.write_all(format!("{}{}", invoke(0), invoke(1)).as_bytes()).await.expect("the pipe stands");
        let (first, second) = (read(&mut io, clock).await, read(&mut io, clock).await);
        assert_eq!((first.end, second.end), ("whole", "whole"));
        assert_ne!(first.event("task_created")["task_id"], second.event("task_created")["task_id"]);
        let served = agent.served();
        assert_eq!((served.invocations, served.completed, served.connections), (2, 2, 1));
    });
}

#[test]
fn a_conversation_keeps_its_task_and_begins_each_turn_anew() {
    in_virtual_time(async |clock| {
        let agent = Agent::new(script("chunks = 1\nslower_per_turn = 1"), Seed(1), clock);
        let mut io = connect(&agent);
        let body = r#"{"input":{"text":"Hi"},"id":"mine"}"#;
        for expected_ms in [250, 500, 750] {
            let text = request("POST", "/v1/agents/a1/invoke/stream", "", body);
            io.write_all(text.as_bytes()).await.expect("the pipe stands");
            let got = read(&mut io, clock).await;
            assert_eq!(got.event("task_created")["task_id"], "mine");
            assert_eq!(got.event("task_created")["data"]["status"], "pending");
            assert!(got.told().contains(&format!("{expected_ms} chunk")), "{}", got.told());
        }
    });
}

#[test]
fn slots_are_waited_for_and_refused_when_too_many_wait() {
    in_virtual_time(async |clock| {
        let text = "first_chunk = \"1s\"\nchunks = 1\nservice = { slots = 1, queue_max = 1, overflow = 503 }";
        let agent = Agent::new(script(text), Seed(1), clock);
        let mut streams = [0, 1, 2].map(|_| connect(&agent));
        for (index, io) in (0..).zip(&mut streams) {
            io.write_all(invoke(index).as_bytes()).await.expect("the pipe stands");
            // Each arrives before the next.
            tokio::task::yield_now().await;
        }
        let [first, second, third] = &mut streams;
        assert_eq!(read(third, clock).await.status(), "503");
        let (first, second) = tokio::join!(read(first, clock), read(second, clock));
        assert_eq!(first.told(), "0 task_created, 0 task_updated, 1000 chunk, 1000 task_finished, whole");
        assert_eq!(second.told(), "0 task_created, 1000 task_updated, 2000 chunk, 2000 task_finished, whole");
    });
}

#[test]
fn effects_of_overrides_and_the_rate_limit_hold() {
    in_virtual_time(async |clock| {
        let text = "chunks = 1\nservice = { rate = 1, burst = 2 }\n[[effect]]\nwhen = { llm_reasoning_effort = \"high\" }\nscale = { first_chunk = 2 }";
        let agent = Agent::new(script(text), Seed(1), clock);
        let mut io = connect(&agent);
        let mut told = Vec::new();
        for effort in ["low", "high", "high"] {
            let body = format!(r#"{{"input":{{"text":"Hi"}},"llm_reasoning_effort":"{effort}"}}"#);
            let text = request("POST", "/v1/agents/a1/invoke/stream", "", &body);
            io.write_all(text.as_bytes()).await.expect("the pipe stands");
            let got = read(&mut io, clock).await;
            let remaining = got.head.lines().find(|line| line.starts_with("x-ratelimit-remaining")).unwrap_or_default();
            told.push(format!("{} {remaining}: {}", got.status(), got.told()));
        }
        insta::assert_snapshot!(told.join("\n"), @"
        200 x-ratelimit-remaining: 1: 0 task_created, 0 task_updated, 250 chunk, 250 task_finished, whole
        200 x-ratelimit-remaining: 0: 0 task_created, 0 task_updated, 500 chunk, 500 task_finished, whole
        429 x-ratelimit-remaining: 0: whole
        ");
    });
}

#[test]
fn pings_come_in_silence_and_a_result_can_be_trimmed() {
    let got = played("first_chunk = \"1s\"\nping = \"400ms\"\nchunks = 9\n[shape]\ntrim_result = true", 0);
    let pings: Vec<_> = got.pieces.iter().filter(|(_, piece)| piece == b": ping\n\n").map(|(at, _)| *at).collect();
    assert_eq!(pings, [400, 800]);
    let data = &got.event("task_finished")["data"];
    assert_eq!(
        (&data["_result_truncated"], data["result"].as_str().map(|text| text.chars().count())),
        (&true.into(), Some(64))
    );
}

#[test]
fn the_truth_is_written_down_for_each_event() {
    #[derive(Clone, Default)]
    struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (truth, requests) = (Shared::default(), Shared::default());
    let logs = super::Logs::default().truth(Box::new(truth.clone())).requests(Box::new(requests.clone()));
    let got = in_virtual_time(async |clock| {
        let agent = Agent::logging(script(SHORT), Seed(1), clock, logs);
        let mut io = connect(&agent);
        io.write_all(invoke(4).as_bytes()).await.expect("the pipe stands");
        let got = read(&mut io, clock).await;
        agent.finish_logs().expect("a vector takes it");
        got
    });
    let text = |shared: &Shared| String::from_utf8(shared.0.lock().expect("not poisoned").clone()).expect("text");
    let truth = text(&truth);
    let rows: Vec<Vec<&str>> = truth.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let told = rows.iter().map(|row| format!("{} {}", row[5].parse::<u64>().expect("ns") / NS_PER_MS, row[2]));
    let told: Vec<_> = told.collect();
    assert_eq!(told.join(", ") + ", whole", got.told());
    assert!(rows.iter().all(|row| row[0] == "4" && row[4] == row[5]), "{truth}");
    let bytes: usize = rows.iter().map(|row| row[3].parse::<usize>().expect("bytes")).sum();
    assert_eq!(bytes, got.body().len());
    assert!(text(&requests).contains(r#""path":"/v1/agents/a1/invoke/stream","status":200,"plan_index":4"#));
}

#[test]
fn a_recording_is_replayed_byte_for_byte_with_its_timing_or_faster() {
    use crate::agent::recording::{Piece, Recording};
    let piece = |at_ms: u64, bytes: &[u8]| Piece { at_ns: at_ms * NS_PER_MS, bytes: bytes.to_vec() };
    let recording = Recording {
        status: 200,
        content_type: "text/event-stream".into(),
        pieces: vec![
            piece(100, b"data: {\"type\":\"chunk\",\"data\":\"\xc3"),
            piece(240, b"\xa9\"}\r\n\r\n"),
            piece(500, b": bye\n\n"),
        ],
        end_ns: Some(600 * NS_PER_MS),
    };
    for (speed, expected_ms) in [("1", [100, 240, 500]), ("2", [50, 120, 250])] {
        let text = format!("[replay]\nfiles = [\"not read here\"]\nspeed = {speed}");
        let (got, took_ns) = in_virtual_time(async |clock| {
            let recordings = vec![recording.clone()];
            let agent = Agent::replaying(script(&text), Seed(1), clock, super::Logs::default(), recordings);
            let mut io = connect(&agent);
            io.write_all(invoke(0).as_bytes()).await.expect("the pipe stands");
            (read(&mut io, clock).await, clock.now())
        });
        let expected: Vec<_> =
            expected_ms.into_iter().zip(&recording.pieces).map(|(at_ms, piece)| (at_ms, piece.bytes.clone())).collect();
        assert_eq!((got.pieces, got.end, took_ns), (expected, "whole", expected_ms[2] * NS_PER_MS * 6 / 5));
    }
}

#[test]
fn the_measured_capacity_is_the_computed_one() {
    // Ten clients at three slots: the slots are always busy, so what is served in a time is the capacity.
    let text = "first_chunk = { exponential = \"400ms\" }\nchunks = { uniform = [1, 9] }\ngap = \"25ms\"\nservice = { slots = 3 }";
    let capacity = crate::profile::script::Capacity::of(&script(text), crate::profile::script::Scale::default());
    const SECONDS: u64 = 1_000;
    let completed = in_virtual_time(async |clock| {
        let agent = Agent::new(script(text), Seed(1), clock);
        for _ in 0..10 {
            let mut io = connect(&agent);
            tokio::task::spawn_local(async move {
                loop {
                    let text = request("POST", "/v1/agents/a1/invoke/stream", "", HI);
                    io.write_all(text.as_bytes()).await.expect("the pipe stands");
                    assert_eq!(read(&mut io, clock).await.end, "whole");
                }
            });
        }
        clock.sleep_until(SECONDS * NS_PER_S).await;
        agent.served().completed
    });
    let expected = capacity.per_second().expect("a limit") * SECONDS as f64;
    assert!((completed as f64 / expected - 1.0).abs() < 0.04, "{completed} against {expected}");
}

#[test]
fn a_stream_that_waits_is_small() {
    let agent = Agent::new(script(""), Seed(1), Clock::start());
    let (_, theirs) = tokio::io::duplex(1);
    let future = serve_pipe(theirs, agent);
    assert!(size_of_val(&future) <= 4 << 10, "{} bytes", size_of_val(&future));
}
