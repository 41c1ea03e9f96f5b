//! What a large bundle costs: a million made-up invocations of three variants that end in six ways are written as a run
//! writes them, then summed up and rendered. Times are printed with the peak of this process's memory after each step.
//!
//! `cargo bench --bench bundle -- [INVOCATIONS]`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail by panic, and prints")]

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use plimsoll::metrics::certificate::ArrivalClock;
use plimsoll::metrics::{Outcome, PartTimes, Record, Recorder, ToolTime, Warning};
use plimsoll::report::{html, markdown};
use plimsoll::runfile::intervals::Interval;
use plimsoll::runfile::network::{Network, Sockets};
use plimsoll::runfile::run::{Build, Harness, LeftTasks, Machine, Stamps, VERSION};
use plimsoll::runfile::{Bundle, Run, Status, readback};
use plimsoll::units::{NS_PER_MS, NS_PER_S};

/// Starts a second: the million takes as long as a run of ten minutes.
const PER_SECOND: u64 = 1_667;
/// Chunks of each invocation.
const CHUNKS: u64 = 20;

fn main() {
    let invocations = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let parent = tempfile::tempdir().unwrap();
    let started = Lap::begin();
    let (folder, run) = write(parent.path(), invocations);
    println!("{invocations} invocations written in {started}, peak {} MiB", peak_mib());
    for file in ["invocations.csv", "histograms.hlog", "intervals.csv"] {
        println!("  {file}: {:.1} MiB", fs::metadata(folder.join(file)).unwrap().len() as f64 / f64::from(1 << 20));
    }
    let before = Lap::begin();
    let mut run = run;
    run.adopt(readback::sum_up(&folder, &run).unwrap());
    let odd =
        run.warnings.iter().find(|warning| matches!(warning, Warning::SumsDiffer { .. } | Warning::PartsDiffer { .. }));
    assert_eq!(odd, None, "the rows add up");
    println!("summed up in {before}, peak {} MiB", peak_mib());
    let rendering = Lap::begin();
    let (summary, certificate) = (run.summary.as_ref().unwrap(), run.certificate.as_ref().unwrap());
    assert_eq!(summary.overall().ledger.planned, invocations, "every row is in the summary");
    let mut text = Vec::new();
    markdown::write(&run, summary, certificate, &mut text).unwrap();
    html::write(&run, summary, certificate, &readback::seconds(&folder).unwrap(), &mut text).unwrap();
    println!("rendered in {rendering}; report in all {before}, peak {} MiB", peak_mib());
}

/// A stretch of time, with the CPU time that this process spent in it: on a busy machine the latter tells more.
struct Lap {
    began: Instant,
    cpu: Duration,
}

impl Lap {
    fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu_time() }
    }
}

impl fmt::Display for Lap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.2?} ({:.2?} of CPU)", self.began.elapsed(), cpu_time() - self.cpu)
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// The most memory that this process ever held, in MiB; 0 where the system does not tell.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() / 1_024
}

/// Every outcome that a run of ours has, in hundredths; those that are left completed.
const ENDS: [(u64, Outcome); 5] = [
    (3, Outcome::Truncated),
    (2, Outcome::HttpStatus(503)),
    (1, Outcome::Dropped),
    (1, Outcome::TaskFailed),
    (1, Outcome::Cut),
];

fn outcome(dice: u64) -> Outcome {
    let mut left = dice % 100;
    let of = ENDS.into_iter().find(|(share, _)| {
        let is_it = left < *share;
        left = left.wrapping_sub(*share);
        is_it
    });
    of.map_or(Outcome::Completed, |(_, outcome)| outcome)
}

fn record(plan_index: u64, variants: &[Arc<str>], gaps_ns: &mut Vec<u64>) -> Record {
    let dice = plan_index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let intended_ns = plan_index * NS_PER_S / PER_SECOND;
    let variant = Arc::clone(&variants[usize::try_from(dice / 128).unwrap() % variants.len()]);
    let mut record = Record::unstarted(plan_index, variant, intended_ns, 0, Outcome::NotStarted);
    record.conversation = plan_index;
    record.outcome = outcome(dice);
    gaps_ns.clear();
    if record.outcome == Outcome::Dropped {
        return record;
    }
    (record.worker, record.reused) = (Some(0), Some(true));
    record.detail = (!record.outcome.is_completed()).then(|| "made up".to_owned());
    let stamps = &mut record.stamps;
    stamps.started_ns = Some(intended_ns + 20_000 + dice % 50_000);
    stamps.sent_ns = Some(intended_ns + 150_000);
    stamps.headers_ns = Some(intended_ns + 3 * NS_PER_MS);
    stamps.last_known_ns = intended_ns + 3 * NS_PER_MS;
    record.parts.connect_ns = 130_000 - dice % 50_000;
    if record.outcome == Outcome::HttpStatus(503) {
        record.parts.wait_ns = record.duration_ns() - record.parts.connect_ns;
        return record;
    }
    stream(&mut record, dice, gaps_ns);
    record
}

/// The stream of an answer, to wherever it came.
fn stream(record: &mut Record, dice: u64, gaps_ns: &mut Vec<u64>) {
    let intended_ns = record.stamps.intended_ns;
    record.task_id = Some(format!("task-{:016x}", record.plan_index));
    let is_whole = matches!(record.outcome, Outcome::Completed | Outcome::TaskFailed);
    let chunks = if is_whole { CHUNKS } else { CHUNKS / 2 };
    gaps_ns.extend((1..chunks).map(|chunk| (10 + (dice + chunk) % 30) * NS_PER_MS + chunk));
    let (tool_ns, thinking_ns) =
        (if dice.is_multiple_of(4) { dice % 300 * NS_PER_MS } else { 0 }, dice % 7 * NS_PER_MS);
    let answer_ns = gaps_ns.iter().sum::<u64>();
    let stamps = &mut record.stamps;
    let executing_ns = intended_ns + 9 * NS_PER_MS;
    let first_ns = executing_ns + tool_ns + thinking_ns + (100 + dice % 400) * NS_PER_MS + dice % 999_983;
    stamps.first_byte_ns = Some(intended_ns + 4 * NS_PER_MS);
    (stamps.first_event_ns, stamps.task_created_ns) = (stamps.first_byte_ns, stamps.first_byte_ns);
    (stamps.executing_ns, stamps.first_chunk_ns) = (Some(executing_ns), Some(first_ns));
    (stamps.last_chunk_ns, stamps.last_known_ns) = (Some(first_ns + answer_ns), first_ns + answer_ns + NS_PER_MS);
    if is_whole {
        (stamps.finished_ns, stamps.eof_ns) = (Some(stamps.last_known_ns), Some(stamps.last_known_ns));
    }
    record.parts = PartTimes {
        connect_ns: record.parts.connect_ns,
        wait_ns: 3_850_000,
        queue_ns: 5 * NS_PER_MS,
        tool_ns,
        thinking_ns,
        answer_ns,
        closing_ns: NS_PER_MS,
        ..PartTimes::default()
    };
    record.parts.model_ns = record.duration_ns() - record.parts.sum_ns();
    if tool_ns > 0 {
        record.tools = vec![ToolTime { name: Arc::from("web_search"), ns: tool_ns }];
        record.calls.clone_from(&record.tools);
        record.counts.tool_calls = 1;
    }
    record.longest.gap_ns = gaps_ns.iter().copied().max();
    record.longest.client_lag_ns = Some(20_000 + chunks + 2);
    record.longest.silence_ns = Some(first_ns - intended_ns);
    record.longest.event_silence_ns = record.longest.silence_ns;
    (record.counts.chunks, record.counts.events) = (chunks, chunks + 3);
    (record.counts.text_bytes, record.counts.body_bytes) = (chunks * 14, chunks * 180);
}

fn write(parent: &Path, invocations: u64) -> (std::path::PathBuf, Run) {
    let mut run = manifest();
    let mut bundle = Bundle::create(parent, &run.id, &run).unwrap();
    let (mut recorder, mut gaps_ns) = (Recorder::new(), Vec::new());
    let variants = ["low", "medium", "high"].map(Arc::from);
    let (mut events, mut body_bytes, mut in_flight_ns, mut started) = (0, 0, 0, 0);
    let seconds = invocations.div_ceil(PER_SECOND);
    for second in 0..seconds {
        let mut row = Interval { second, length_ns: NS_PER_S, ..Interval::default() };
        for plan_index in second * PER_SECOND..((second + 1) * PER_SECOND).min(invocations) {
            let record = record(plan_index, &variants, &mut gaps_ns);
            if !record.outcome.was_started() {
                bundle.write_invocation(&record).unwrap();
                continue;
            }
            recorder.finished(&record, &gaps_ns);
            let (names, events) = ((&record.variant, &record.scenario), record.counts.events);
            (0..events).for_each(|event| recorder.event(names, false, 20_000 + event, 4_000));
            row.started += 1;
            row.finished += 1;
            row.completed += u64::from(record.outcome.is_completed());
            row.events += record.counts.events;
            row.body_bytes += record.counts.body_bytes;
            in_flight_ns += record.duration_ns();
            bundle.write_invocation(&record).unwrap();
        }
        (events, body_bytes, started) = (events + row.events, body_bytes + row.body_bytes, started + row.started);
        let parts = recorder.take();
        let row = row.with_quantiles(|series| Cow::Owned(parts.all(series)));
        bundle.write_second(&row, &parts).unwrap();
    }
    for (group, gaps) in recorder.into_gap_groups() {
        bundle.write_gap_group(&group, seconds * NS_PER_S, &gaps).unwrap();
    }
    bundle.flush().unwrap();
    run.status = Status::Done;
    run.harness = Some(Harness {
        end_ns: seconds * NS_PER_S,
        planned: invocations,
        started,
        events,
        body_bytes,
        in_flight_ns,
        cpu_ns: 0,
        worker_cpu: vec![0.5],
        machine_cpu: None,
        steal: None,
        lost_workers: 0,
        lost_why: None,
        put_off: 0,
        put_off_ns: 0,
        budget_spent: None,
        aborted: None,
        pauses_asked: 0,
        holds: 0,
        held_ns: 0,
        tasks: LeftTasks { left: 0, stopped: 0, why: None },
        sockets: Sockets::default(),
        stamps: Stamps {
            clock: ArrivalClock::Kernel,
            kernel_reads: events,
            user_reads: 0,
            moved: 0,
            moved_ns_max: 0,
            in_doubt: 0,
            mapping_error_ns_max: 4_000,
            wall_steps: 0,
            wall_step_ns_max: 0,
            wall_drift_ns: 0,
        },
    });
    (bundle.folder().to_owned(), run)
}

fn manifest() -> Run {
    Run {
        version: VERSION,
        status: Status::Running,
        id: "made_up".to_owned(),
        began: "2026-01-01T00:00:00Z".to_owned(),
        origin_unix_ns: 1_767_225_600 * NS_PER_S,
        origin_monotonic_ns: None,
        plimsoll: Build { version: "0.0.0".to_owned(), revision: None },
        machine: Machine { system: "any".to_owned(), kernel: None, cpu: None, cores: 1 },
        target: "none".to_owned(),
        network: Network::default(),
        why: "made up, to measure what a large bundle costs".to_owned(),
        objectives: vec!["ttfc p95 < 1s".to_owned()],
        scenarios: Vec::new(),
        profile: serde_json::Value::Null,
        seed: 1,
        plan_hash: "none".to_owned(),
        workers: 1,
        drain_ns: NS_PER_S,
        reuse: true,
        parts: Vec::new(),
        harness: None,
        summary: None,
        certificate: None,
        warnings: Vec::new(),
    }
}
