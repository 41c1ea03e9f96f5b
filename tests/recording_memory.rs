//! Recording an event allocates nothing once its stream has begun.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::sync::Arc;

use allocation_counter::measure;
use plimsoll::agent::Envelope;
use plimsoll::metrics::Recorder;
use plimsoll::metrics::tracker::{Arrival, Start, Tracker, Watch};

const MS: u64 = 1_000_000;

fn tracker(variant: &Arc<str>) -> Tracker {
    let start = Start {
        plan_index: 0,
        variant: Arc::clone(variant),
        conversation: 0,
        turn: 0,
        worker: 0,
        warmup: false,
        task_id: None,
        intended_ns: 0,
        started_ns: 0,
    };
    let far = 1_000_000 * MS;
    let watch = Watch {
        connect_ns: far,
        headers_ns: far,
        first_event_ns: far,
        idle_ns: far,
        total_ns: far,
        linger_ns: far,
        stall_ns: 3 * MS,
    };
    Tracker::new(start, watch, Vec::with_capacity(1_024))
}

/// Allocations of so many rounds of these events, after one to begin with.
fn allocations(payloads: &[&str], rounds: u64) -> u64 {
    let (variant, scenario): (Arc<str>, Arc<str>) = (Arc::from("base"), Arc::default());
    let (mut tracker, mut recorder) = (tracker(&variant), Recorder::new());
    let envelopes: Vec<_> = payloads.iter().map(|payload| Envelope::parse(payload).unwrap()).collect();
    let mut read = 0;
    let mut round = || {
        for envelope in &envelopes {
            read += 1;
            // Every fifth gap is a stall.
            let at_ns = read * MS + read / 5 * 4 * MS;
            let arrival = Arrival {
                read,
                arrival_ns: at_ns,
                earliest_ns: at_ns,
                handled_ns: at_ns,
                kernel: true,
                followed: false,
            };
            tracker.bytes(arrival, 182);
            tracker.event(envelope, arrival, false);
            recorder.event((&variant, &scenario), false, 20_000, 1_000);
        }
    };
    round();
    measure(|| (0..rounds).for_each(|_| round())).count_total
}

const CHUNK: &str = r#"{"type":"chunk","task_id":"t","time":"2026-03-23T00:46:03.782693Z","data":"Hello"}"#;
const THINK: &str = r#"{"type":"think","task_id":"t","data":"hm"}"#;
const UNKNOWN: &str = r#"{"type":"mood_changed","task_id":"t","data":{"mood":"seasick"}}"#;
const REQUEST: &str = r#"{"type":"tool_call_request","task_id":"t","data":{"request_id":"r","tool_name":"search"}}"#;
const RESULT: &str = r#"{"type":"tool_call_result","task_id":"t","data":{"request_id":"r","tool_name":"search","result":[1,{"a":"b"}]}}"#;
const ESCAPED: &str = r#"{"type":"chunk","task_id":"t","data":"a \"word\",\n\u00e9"}"#;
const LOGIN: &str =
    r#"{"type":"auth_event","task_id":"t","data":{"type":"login_required","data":{"url":"https://a"}}}"#;
const LOGGED_IN: &str = r#"{"type":"auth_event","task_id":"t","data":{"type":"token_ready","data":{}}}"#;
const PLAN: &str = r#"{"type":"plan_updated","task_id":"t","data":{"tasks":[{"id":"1","completed":true}]}}"#;
const UPDATED: &str = r#"{"type":"task_updated","task_id":"t","data":{"id":"t","status":"executing"}}"#;

#[test]
fn events_allocate_nothing() {
    let events = [CHUNK, CHUNK, THINK, UNKNOWN, CHUNK, ESCAPED, LOGIN, LOGGED_IN, PLAN, UPDATED, CHUNK];
    assert_eq!(allocations(&events, 90), 0);
}

#[test]
fn a_tool_call_allocates_only_as_the_list_of_them_grows() {
    let (calls, doublings) = (100, 7);
    let seen = allocations(&[REQUEST, RESULT], calls);
    assert!(seen <= doublings, "{seen} allocations of {calls} calls");
}
