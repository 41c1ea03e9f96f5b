//! Whole reports of a made-up run, as their readers see them.

use std::sync::Arc;

use serde_json::Value;

use super::{csv, html, junit, markdown, terminal};
use crate::metrics::certificate::{ArrivalClock, SelfError};
use crate::metrics::digest::{Digest, Key};
use crate::metrics::server::{Account, ClockOffset, ServerView, Span};
use crate::metrics::{Certificate, Metric, Outcome, PartTimes, Record, Summary, ToolTime, Warning};
use crate::runfile::intervals::Interval;
use crate::runfile::network::Network;
use crate::runfile::run::{Build, Machine, VERSION};
use crate::runfile::{Run, Status};
use crate::stats::Histogram;
use crate::units::NS_PER_MS;

mod ci;
mod distribution;
mod first_screen;
mod full_report;
mod metric_table;
mod page;
mod scenarios;
mod several_runs;

const OBJECTIVES: [&str; 4] = ["ttfc p95 < 1s", "finish p95 < 999ms", "success > 99.5%", "goodput > 5/s"];

/// A run of 700 invocations, of which some failed in two ways and two were cut.
fn summary() -> Summary {
    let mut digest = Digest::new(OBJECTIVES.iter().map(|text| text.parse().expect("an objective")).collect());
    let mut gaps = Histogram::default();
    for index in 0..700_u64 {
        let mut record = Record::unstarted(index, Arc::from("base"), index * NS_PER_MS, 0, Outcome::NotStarted);
        let stamps = &mut record.stamps;
        stamps.started_ns = Some(stamps.intended_ns + 20_000);
        stamps.sent_ns = Some(stamps.intended_ns + 120_000);
        record.outcome = match index {
            13 | 14 => Outcome::Cut,
            i if i % 100 == 7 => Outcome::HttpStatus(503),
            i if i % 350 == 9 => Outcome::Truncated,
            _ => Outcome::Completed,
        };
        let first_ns = 200 * NS_PER_MS + (index * 7_919 % 101) * NS_PER_MS;
        if record.outcome == Outcome::Completed {
            let stamps = &mut record.stamps;
            stamps.first_chunk_ns = Some(stamps.intended_ns + first_ns);
            stamps.last_chunk_ns = Some(stamps.intended_ns + first_ns + 700 * NS_PER_MS);
            stamps.finished_ns = Some(stamps.intended_ns + first_ns + 705 * NS_PER_MS);
            record.counts.chunks = 36;
            record.counts.events = 40;
            record.counts.text_bytes = 500;
            (record.counts.reads, record.counts.body_bytes) = (32, 7_000);
            take_apart(&mut record, index, first_ns);
            (0..35).for_each(|gap| gaps.record((15 + (index + gap) % 11) * NS_PER_MS));
            gaps.record_n(record.counts.stalled_ns, record.counts.stalls);
        } else {
            record.detail = Some(format!("made up: {}", record.outcome));
        }
        let stamps = &mut record.stamps;
        stamps.last_known_ns = stamps.finished_ns.unwrap_or(stamps.intended_ns + 50 * NS_PER_MS);
        digest.take(&record);
    }
    let (variant, scenario) = ("base".to_owned(), String::new());
    let key = Key { metric: Metric::Gap, variant, scenario, completed: true, group: None };
    digest.take_histogram(key, &gaps);
    Summary { server: Some(server()), ..digest.summary(1_700 * NS_PER_MS) }
}

/// The parts of a made-up invocation: every third one searches the web, and one in a hundred stalls.
fn take_apart(record: &mut Record, index: u64, first_ns: u64) {
    let search_ns = if index.is_multiple_of(3) { 90 * NS_PER_MS } else { 0 };
    record.turn = u32::try_from(index % 2).expect("0 or 1");
    record.parts = PartTimes {
        connect_ns: 100_000,
        wait_ns: 20 * NS_PER_MS,
        queue_ns: 30 * NS_PER_MS,
        tool_ns: search_ns,
        model_ns: first_ns - search_ns - 50 * NS_PER_MS - 120_000,
        answer_ns: 700 * NS_PER_MS,
        closing_ns: 5 * NS_PER_MS,
        ..PartTimes::default()
    };
    if search_ns > 0 {
        record.tools = vec![ToolTime { name: Arc::from("web_search"), ns: search_ns }];
        record.calls = record.tools.clone();
        record.counts.tool_calls = 1;
    }
    if index.is_multiple_of(100) {
        (record.counts.stalls, record.counts.stalled_ns) = (1, 400 * NS_PER_MS);
        record.stalled = PartTimes { answer_ns: 400 * NS_PER_MS, ..PartTimes::default() };
        record.counts.foreign_events = 2;
    }
    assert!(record.parts_add_up(), "{record:?}");
}

fn server() -> ServerView {
    let account = |span, client_ns_mean, server_ns_mean, share| Account {
        span,
        invocations: 689,
        client_ns_mean: client_ns_mean * NS_PER_MS,
        server_ns_mean: server_ns_mean * NS_PER_MS,
        share,
    };
    ServerView {
        clock: Some(ClockOffset { low_ns: -1_250_000, high_ns: 250_000, resolution_ns: 1_000 }),
        accounts: vec![account(Span::Ttfc, 250, 225, 0.9), account(Span::Finish, 955, 930, 0.9738)],
    }
}

fn certificate() -> Certificate {
    Certificate::judge(SelfError {
        arrival_clock: ArrivalClock::Kernel,
        stamp_error_ns_p99: Some(4_100),
        start_lag_ns_p99: Some(3_000_000),
        client_lag_ns_p99: Some(310_000),
        shared_reads: 0.0712,
        starts_made: 1.0,
        burst: None,
        missed_by_limit: 0,
        missed_by_client: 0,
        missed_by_sockets: 0,
        ports_left: Some(28_000),
        descriptors_left: None,
        in_flight_by_files: None,
        smaller_median_ns: Some(250 * NS_PER_MS),
        worker_cpu: vec![0.12, 0.91],
        machine_cpu: Some(0.5),
        steal: Some(0.0),
        ledger_holds: true,
        lost_workers: 0,
    })
}

fn run() -> Run {
    Run {
        version: VERSION,
        status: Status::Interrupted,
        id: "2026-01-01T000000Z-made_up".into(),
        began: "2026-01-01T00:00:00Z".into(),
        origin_unix_ns: 0,
        origin_monotonic_ns: None,
        plimsoll: Build { version: "0.0.0".into(), revision: Some("0123456789ab".into()) },
        machine: Machine { system: "linux-x86_64".into(), kernel: Some("6.1".into()), cpu: None, cores: 2 },
        target: "http://127.0.0.1:8080".into(),
        network: Network::default(),
        why: "A made-up run, to look at".into(),
        objectives: Vec::new(),
        scenarios: Vec::new(),
        profile: Value::Null,
        seed: 1,
        plan_hash: "fnv1a64:0".into(),
        workers: 2,
        drain_ns: 30_000 * NS_PER_MS,
        reuse: true,
        parts: Vec::new(),
        harness: None,
        summary: None,
        certificate: None,
        warnings: vec![Warning::Cut { count: 2, drain_ns: 30_000 * NS_PER_MS }],
    }
}

#[test]
fn a_writer_that_fails_is_not_swallowed() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(terminal::write(&run(), &summary(), &certificate(), "reports", &mut Full).is_err());
    assert!(markdown::write(&run(), &summary(), &certificate(), &mut Full).is_err());
}

/// What a writer writes, as text.
fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes it");
    String::from_utf8(out).expect("text")
}

fn seconds() -> Vec<Interval> {
    let row = |second: u64| Interval {
        second,
        length_ns: NS_PER_MS * if second < 2 { 1_000 } else { 250 },
        in_flight: 5 + second,
        started: 10,
        ttfc_from_intended_ns_p50: (second != 1).then_some(250 * NS_PER_MS),
        ttfc_from_intended_ns_p99: Some((300 + second) * NS_PER_MS),
        ..Interval::default()
    };
    (0..3).map(row).collect()
}

#[test]
fn an_output_that_fails_is_an_error_in_every_format() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (run, summary, certificate) = (run(), summary(), certificate());
    assert!(csv::write(&summary, &mut Full).is_err());
    assert!(junit::write(&run, &summary, &certificate, &mut Full).is_err());
    assert!(html::write(&run, &summary, &certificate, &seconds(), &mut Full).is_err());
    assert!(markdown::write(&run, &summary, &certificate, &mut Full).is_err());
}
