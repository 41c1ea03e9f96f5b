//! What the worker's bookkeeping costs: an event from its envelope on, and a finished invocation.
//!
//! `cargo bench --manifest-path benches/recording/Cargo.toml`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use plimsoll::agent::Envelope;
use plimsoll::metrics::tracker::{Arrival, End, Start, Tracker, Watch};
use plimsoll::metrics::{Record, Recorder};
use plimsoll::runfile::invocations::Writer;

const MS: u64 = 1_000_000;
/// Events of one stream.
const EVENTS: u64 = 100;

const CREATED: &str = r#"{"type":"task_created","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":{"id":"t","status":"pending"}}"#;
const EXECUTING: &str = r#"{"type":"task_updated","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":{"id":"t","status":"executing"}}"#;
const THINK: &str = r#"{"type":"think","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":"hm"}"#;
const CHUNK: &str = r#"{"type":"chunk","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":"Hello, "}"#;
const REQUEST: &str = r#"{"type":"tool_call_request","task_id":"t","data":{"request_id":"66b54f7a-993f-436c-99b5-7ec4a6b3ca05","tool_name":"web_search","payload":{"query":"load line"}}}"#;
const RESULT: &str = r#"{"type":"tool_call_result","task_id":"t","data":{"request_id":"66b54f7a-993f-436c-99b5-7ec4a6b3ca05","tool_name":"web_search","result":"none","is_error":false}}"#;
/// With all that the contract has in it.
const WHOLE_RESULT: &str = r#"{"type":"tool_call_result","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":{"request_id":"66b54f7a-993f-436c-99b5-7ec4a6b3ca05","operation_id":"TavilyWebSearch","tool_call_id":"call_abc","graph_node_id":"node1","tool_name":"TavilyWebSearch","payload":{"payload":{"body_params":{"query":"load line"}}},"reasoning":null,"plan_task_id":null,"result":{"hits":[1,2]},"is_error":false,"approval_request_id":null},"identity":null}"#;
const WRAPPED: &str = r#"{"type":"chunk","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":"a \"word\",\n"}"#;
const UPDATED: &str = r#"{"type":"task_updated","task_id":"t","data":{"id":"t","status":"executing"}}"#;
const PLAN: &str =
    r#"{"type":"plan_updated","task_id":"t","data":{"enabled":true,"tasks":[{"id":"1","completed":true}]}}"#;
const LOGIN: &str =
    r#"{"type":"auth_event","task_id":"t","data":{"type":"login_required","data":{"url":"https://a"}}}"#;
const LOGGED_IN: &str = r#"{"type":"auth_event","task_id":"t","data":{"type":"token_ready","data":{}}}"#;
const FINISHED: &str = r#"{"type":"task_finished","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":{"id":"t","status":"completed","result":"Hello","created_at":"2026-03-23T00:46:03.782693Z","started_at":"2026-03-23T00:46:03.782693Z","finished_at":"2026-03-23T00:46:03.782693Z"}}"#;

fn tracker(variant: &Arc<str>, gaps_ns: Vec<u64>) -> Tracker {
    let start = Start {
        plan_index: 7,
        variant: Arc::clone(variant),
        conversation: 7,
        turn: 0,
        worker: 0,
        warmup: false,
        task_id: None,
        intended_ns: MS,
        started_ns: MS,
    };
    let watch = Watch {
        connect_ns: 1_000 * MS,
        headers_ns: 1_000 * MS,
        first_event_ns: 1_000 * MS,
        idle_ns: 1_000 * MS,
        total_ns: 1_000_000 * MS,
        linger_ns: MS,
        stall_ns: 1_000 * MS,
    };
    let mut tracker = Tracker::new(start, watch, gaps_ns);
    tracker.sent(MS + 1);
    tracker.headers(MS + 2);
    tracker
}

fn arrival(read: u64) -> Arrival {
    let arrival_ns = (2 + read) * MS;
    Arrival { read, arrival_ns, earliest_ns: arrival_ns, handled_ns: arrival_ns + 20_000, kernel: true, followed: false }
}

/// The names of a variant and a scenario.
type Of<'a> = (&'a Arc<str>, &'a Arc<str>);

/// Bytes, event, and the worker's histograms, as the client and the worker call them.
fn see(tracker: &mut Tracker, recorder: &mut Recorder, of: Of<'_>, envelope: &Envelope<'_>, read: u64) {
    let arrival = arrival(read);
    tracker.bytes(black_box(arrival), 182);
    tracker.event(black_box(envelope), arrival, false);
    recorder.event(of, false, arrival.handled_ns - arrival.arrival_ns, 0);
}

/// A stream that is taken up to before its end.
fn stream(recorder: &mut Recorder, of: Of<'_>, gaps_ns: Vec<u64>) -> Tracker {
    let mut tracker = tracker(of.0, gaps_ns);
    for (read, payload) in [CREATED, EXECUTING, THINK, REQUEST, RESULT].into_iter().chain([CHUNK; 36]).enumerate() {
        see(&mut tracker, recorder, of, &envelope(payload), read as u64);
    }
    see(&mut tracker, recorder, of, &envelope(FINISHED), EVENTS);
    tracker
}

fn envelope(payload: &str) -> Envelope<'_> {
    Envelope::parse(payload).expect("an event of the contract")
}

/// From an event's payload to what the tracker takes.
fn envelopes(criterion: &mut Criterion) {
    let payloads = [("chunk", CHUNK), ("tool call", REQUEST), ("tool result in full", WHOLE_RESULT)];
    for (name, payload) in payloads {
        criterion.bench_function(&format!("the envelope of an event: {name}"), |bencher| {
            bencher.iter(|| black_box(envelope(black_box(payload)).kind));
        });
    }
}

fn events(criterion: &mut Criterion) {
    let (variant, scenario): (Arc<str>, Arc<str>) = (Arc::from("base"), Arc::default());
    let of = (&variant, &scenario);
    for (name, payloads) in [
        ("chunk", [CHUNK, CHUNK]),
        ("chunk with escapes", [WRAPPED, WRAPPED]),
        ("chunk and think in turn", [CHUNK, THINK]),
        ("tool call", [REQUEST, RESULT]),
        ("tool call in full", [REQUEST, WHOLE_RESULT]),
        ("plan and task update in turn", [PLAN, UPDATED]),
        ("login", [LOGIN, LOGGED_IN]),
    ] {
        let envelopes = payloads.map(envelope);
        let mut recorder = Recorder::new();
        criterion.bench_function(&format!("one event: {name}"), |bencher| {
            bencher.iter_custom(|events| {
                let mut gaps_ns = Vec::with_capacity(EVENTS as usize);
                let mut spent = Duration::ZERO;
                for _ in 0..events.div_ceil(EVENTS) {
                    gaps_ns.clear();
                    let mut tracker = tracker(&variant, gaps_ns);
                    let began = Instant::now();
                    for read in 0..EVENTS {
                        see(&mut tracker, &mut recorder, of, &envelopes[(read % 2) as usize], read);
                    }
                    spent += began.elapsed();
                    gaps_ns = tracker.end(End::Eof, 1_000 * MS).1;
                }
                spent.mul_f64(events as f64 / (events.div_ceil(EVENTS) * EVENTS) as f64)
            });
        });
    }
}

/// The end of an invocation with one tool call and 36 chunks, and its row.
fn invocations(criterion: &mut Criterion) {
    let (variant, scenario): (Arc<str>, Arc<str>) = (Arc::from("base"), Arc::default());
    let of = (&variant, &scenario);
    let mut recorder = Recorder::new();
    let end = |recorder: &mut Recorder, gaps_ns: Vec<u64>| -> (Record, Vec<u64>, Duration) {
        let tracker = stream(recorder, of, gaps_ns);
        let began = Instant::now();
        let (record, gaps_ns) = tracker.end(End::Eof, 1_000 * MS);
        recorder.finished(&record, &gaps_ns);
        (record, gaps_ns, began.elapsed())
    };
    criterion.bench_function("one finished invocation", |bencher| {
        bencher.iter_custom(|invocations| {
            let (mut gaps_ns, mut spent) = (Vec::with_capacity(EVENTS as usize), Duration::ZERO);
            for _ in 0..invocations {
                gaps_ns.clear();
                let (record, kept, took) = end(&mut recorder, gaps_ns);
                black_box(record);
                (gaps_ns, spent) = (kept, spent + took);
            }
            spent
        });
    });
    let (record, ..) = end(&mut recorder, Vec::new());
    let mut writer = Writer::new(std::io::sink(), false).expect("a sink takes all");
    criterion.bench_function("one row of invocations.csv (the dispatcher's)", |bencher| {
        bencher.iter(|| writer.write(black_box(&record)).expect("a sink takes all"));
    });
}

criterion_group!(benches, envelopes, events, invocations);
criterion_main!(benches);
