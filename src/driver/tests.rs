//! The driver against the mock over in-memory pipes, in virtual time: whole runs, from a profile to the bundle's rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::{Control, Crew, Dispatcher, Ended, Stop, Window};
use crate::client::{Base, Client, Dialer, Template};
use crate::clock::Clock;
use crate::metrics::certificate::ArrivalClock;
use crate::metrics::{Metric, Outcome, PartTimes, Record, Series, Verdict, Warning};
use crate::mock::{self, Agent, Logs};
use crate::profile::script::FaultKind;
use crate::profile::{Plan, Profile};
use crate::runfile::network::Sockets;
use crate::runfile::readback::{self, Readback};
use crate::runfile::run::{self, Build, Harness, LeftTasks, Machine, Stamps, VERSION};
use crate::runfile::verify::verify;
use crate::runfile::{Bundle, Run, Status, invocations};
use crate::units::NS_PER_MS;

mod buffering;
mod lost_worker;
mod target_gone;

const SECOND: u64 = 1_000 * NS_PER_MS;

/// A run that has ended: what the dispatcher says, and what stands in its bundle.
pub(super) struct Simulated {
    pub(super) ended: Ended,
    pub(super) rows: Vec<Record>,
    pub(super) readback: Readback,
    /// Tasks that would be stopped.
    pub(super) left: Vec<String>,
    /// The mock's own log: plan index, type of event, and when it was handed over, in nanoseconds.
    truth: Vec<(u64, String, u64)>,
    bundle: std::path::PathBuf,
    manifest: Run,
    _folder: TempDir,
}

impl Simulated {
    pub(super) fn row(&self, plan_index: u64) -> &Record {
        self.rows.iter().find(|row| row.plan_index == plan_index).expect("every planned start has a row")
    }

    pub(super) fn outcomes(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.plan_index);
        rows.iter().map(|row| row.outcome.to_string()).collect()
    }

    /// The bundle summed up together with what the workers counted, and where it contradicts itself then.
    pub(super) fn verified(&self) -> (Readback, Vec<String>) {
        let mut run = Run { harness: Some(harness(&self.ended)), ..self.manifest.clone() };
        run.adopt(readback::sum_up(&self.bundle, &run).expect("the bundle is whole"));
        let found = verify(&self.bundle, &run).expect("the bundle is whole");
        let readback = readback::sum_up(&self.bundle, &run).expect("the bundle is whole");
        (readback, found.iter().map(ToString::to_string).collect())
    }
}

/// What the workers counted, as far as rows are held against it.
fn harness(ended: &Ended) -> Harness {
    Harness {
        end_ns: ended.end_ns,
        planned: ended.ledger.planned,
        started: ended.progress.made(),
        events: ended.progress.events,
        body_bytes: ended.progress.body_bytes,
        in_flight_ns: ended.progress.in_flight_ns,
        cpu_ns: 0,
        worker_cpu: Vec::new(),
        machine_cpu: None,
        steal: None,
        lost_workers: ended.lost_workers,
        lost_why: ended.lost_why.clone(),
        budget_spent: None,
        aborted: None,
        holds: ended.holds.count,
        held_ns: ended.holds.held_ns,
        sockets: Sockets::default(),
        put_off: ended.progress.put_off,
        put_off_ns: ended.progress.put_off_ns,
        tasks: LeftTasks::default(),
        stamps: Stamps {
            clock: ArrivalClock::User,
            kernel_reads: 0,
            user_reads: 0,
            moved: 0,
            moved_ns_max: 0,
            in_doubt: 0,
            mapping_error_ns_max: 0,
            wall_steps: 0,
        },
    }
}

/// The files that a test's profile can name.
pub(super) fn parse(profile: &str) -> Profile {
    let read = &mut |path: &Path| {
        Ok(match path.to_str() {
            Some("trace.csv") => "id,at\n1,5.5\n2,5.75\n3,5.75\n4,7.000000001\n".to_owned(),
            Some("series.csv") => "rate\n20\n0\n45.5\n".to_owned(),
            other => panic!("no test has a file {other:?}"),
        })
    };
    Profile::parse_with("sim.toml", profile, Vec::new(), read).expect("the test's profile is valid")
}

/// What happens to each connection that is asked for, by its number from 0.
pub(super) type Dial = Arc<dyn Fn(u64) -> std::io::Result<()> + Send + Sync>;

/// Runs a profile against its own `[mock]` in virtual time; `stops` are requests to end, at milliseconds of the run.
pub(super) fn simulate(profile: &str, workers: u32, stops: &[u64]) -> Simulated {
    simulate_over(profile, workers, stops, Arc::new(|_| Ok(())))
}

/// The same on a machine that has ports for so many connections.
fn simulate_with(profile: &str, workers: u32, stops: &[u64], ports: u64) -> Simulated {
    let none_left = || std::io::Error::from_raw_os_error(nix::libc::EADDRNOTAVAIL);
    let dial = move |dialed| if dialed < ports { Ok(()) } else { Err(none_left()) };
    simulate_over(profile, workers, stops, Arc::new(dial))
}

/// The same, over connections that may fail.
pub(super) fn simulate_over(profile: &str, workers: u32, stops: &[u64], dial: Dial) -> Simulated {
    let profile = parse(profile);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut manifest = manifest(&profile, workers);
    let mut bundle = Bundle::create(folder.path(), "run", &manifest).expect("the folder is writable");
    let truth_path = folder.path().join("truth.csv");
    let truth = Logs::default().truth(Box::new(std::fs::File::create(&truth_path).expect("the folder is writable")));
    let loaded = LocalSet::new().block_on(&runtime, load(&profile, workers, stops, &mut bundle, (truth, dial)));
    let (ended, left, clock) = loaded;
    manifest.origin_unix_ns = clock.wall_unix_ns();
    let mut rows = Vec::new();
    let file = std::fs::File::open(bundle.folder().join("invocations.csv")).expect("the rows were written");
    invocations::read(file, |record| rows.push(record)).expect("they are ours");
    let readback = readback::sum_up(bundle.folder(), &manifest).expect("the bundle is whole");
    let windowed = profile.objectives.iter().zip(&readback.summary.objectives);
    let windowed = windowed.filter(|(objective, _)| objective.window().is_some());
    let read_back: Vec<_> = windowed.map(|(_, judged)| (judged.answer, judged.found.clone())).collect();
    assert_eq!(ended.windows, read_back, "a bundle answers what the run itself has answered");
    assert!(ended.ledger.adds_up());
    assert_eq!(ended.ledger.planned, rows.len() as u64, "every planned start has a row");
    let bundle = bundle.folder().to_owned();
    Simulated { ended, rows, readback, left, truth: truth_of(&truth_path), bundle, manifest, _folder: folder }
}

fn truth_of(path: &Path) -> Vec<(u64, String, u64)> {
    let text = std::fs::read_to_string(path).expect("the mock has written it");
    let row = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        (cells[0].parse().expect("an index"), cells[2].to_owned(), cells[5].parse().expect("an instant"))
    };
    text.lines().skip(1).map(row).collect()
}

async fn load(
    profile: &Profile,
    workers: u32,
    stops: &[u64],
    bundle: &mut Bundle,
    (truth, dial): (Logs, Dial),
) -> (Ended, Vec<String>, Clock) {
    let clock = Clock::start();
    let agent = Agent::logging(profile.mock.clone(), profile.seed, clock, truth);
    let at_end = Arc::clone(&agent);
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Some(pipe) = take.recv().await {
            tokio::task::spawn_local(mock::serve_pipe(pipe, Arc::clone(&agent)));
        }
    });
    let dialed = AtomicU64::new(0);
    let pipe = move || {
        dial(dialed.fetch_add(1, Ordering::Relaxed))?;
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        give.send(theirs).map_err(std::io::Error::other)?;
        Ok(ours)
    };
    let base = Base::parse("http://127.0.0.1").expect("a URL");
    let template = Template::new(base, &profile.target, None, profile.request.to_json(), "run", true)
        .for_variants(&profile.variants);
    let plan = Arc::new(Plan::new(profile));
    let crew = Crew {
        sheet: None,
        client: Client::new(profile, Dialer::Pipe(Arc::new(pipe)), template, clock),
        control: Arc::new(Control::new(&plan, profile.budget, profile.load.in_flight())),
        plan,
        window: Window::new(&profile.load, &profile.budget, 0),
        clock,
        workers,
        model: profile.load.model.clone(),
    };
    let (give_stop, mut take_stop) = tokio::sync::mpsc::unbounded_channel();
    let stops = stops.to_vec();
    tokio::task::spawn_local(async move {
        for at_ms in stops {
            clock.sleep_until(at_ms * NS_PER_MS).await;
            let _ = give_stop.send(Stop::Interrupt);
        }
        std::future::pending::<()>().await;
    });
    let (give_left, mut take_left) = tokio::sync::mpsc::unbounded_channel();
    let dispatcher = Dispatcher::new(&crew, bundle).leaving(give_left).watching(&profile.objectives);
    let (workers, inbox) = crew.workers();
    for worker in workers {
        tokio::task::spawn_local(worker.run());
    }
    let mut watch = |_: &super::Live| {};
    let served = dispatcher.run(inbox, &mut take_stop, &mut watch);
    let limit = Duration::from_secs(3_600);
    let ended = tokio::time::timeout(limit, served).await.expect("the run ends by itself");
    at_end.finish_logs().expect("the folder is writable");
    let left = std::iter::from_fn(|| take_left.try_recv().ok()).collect();
    assert!(ended.unwritten.is_none(), "the bundle is writable");
    (ended, left, clock)
}

fn manifest(profile: &Profile, workers: u32) -> Run {
    Run {
        version: VERSION,
        status: Status::Done,
        id: "run".into(),
        began: "2026-01-01T00:00:00Z".into(),
        origin_unix_ns: 0,
        origin_monotonic_ns: None,
        plimsoll: Build { version: "0".into(), revision: None },
        machine: Machine { system: "test".into(), kernel: None, cpu: None, cores: 1 },
        target: "mock".into(),
        network: crate::runfile::network::Network::default(),
        why: profile.why.clone(),
        objectives: profile.objectives.iter().map(ToString::to_string).collect(),
        scenarios: run::scenarios(&profile.scenarios),
        profile: Value::Null,
        seed: profile.seed.0,
        plan_hash: Plan::new(profile).hash().to_owned(),
        workers,
        drain_ns: profile.load.drain_ns,
        reuse: true,
        parts: Vec::new(),
        harness: None,
        summary: None,
        certificate: None,
        warnings: Vec::new(),
    }
}

/// A profile with exact times: 250 ms to the first chunk, 5 chunks 20 ms apart, then the end.
pub(super) fn exact(load: &str, more: &str) -> String {
    let at_once = if load.contains("load.concurrency") && !load.contains("ramp") && !load.contains("load.rate") {
        "load.ramp = \"0s\"\n"
    } else {
        ""
    };
    format!(
        "why = \"a simulation\"\n{at_once}{load}\nrequest.input.text = \"Hello\"\n[mock]\nwhy = \"exact\"\n\
         first_chunk = \"250ms\"\nchunks = 5\ngap = \"20ms\"\nclosing = \"10ms\"\n{more}"
    )
}

#[test]
fn scripted_times_come_out_to_the_nanosecond() {
    let run = simulate(&exact("load.concurrency = 3\nload.invocations = 12", ""), 2, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 12]);
    for row in &run.rows {
        let since = |stamp: Option<u64>| stamp.map(|at| at - row.stamps.sent_ns.expect("it was sent"));
        assert_eq!(since(row.stamps.first_chunk_ns), Some(250 * NS_PER_MS));
        assert_eq!(since(row.stamps.last_chunk_ns), Some(330 * NS_PER_MS));
        assert_eq!(since(row.stamps.finished_ns), Some(340 * NS_PER_MS));
        assert_eq!((row.start_lag_ns(), row.counts.chunks), (Some(0), 5));
        assert_eq!(row.longest.gap_ns, Some(20 * NS_PER_MS));
    }
    let group = run.readback.summary.overall();
    let gaps = &group.metric(Series::of(Metric::Gap)).expect("there were gaps").all;
    // A histogram keeps three digits.
    assert_eq!(gaps.count, 48);
    assert!(
        gaps.min_ns
            .zip(gaps.max_ns)
            .is_some_and(|(min, max)| min.abs_diff(20 * NS_PER_MS) < 20_000 && max.abs_diff(20 * NS_PER_MS) < 20_000)
    );
    // Closed load: three at a time, four rounds of 340 ms each.
    assert_eq!(run.readback.summary.span_ns, 4 * 340 * NS_PER_MS);
}

#[test]
fn the_quantiles_of_a_known_mixture_come_out_exactly() {
    let first_chunk = "first_chunk = { mixture = [{ weight = 90, of = \"100ms\" }, { weight = 8, of = \"300ms\" }, { weight = 2, of = \"700ms\" }] }";
    let profile =
        exact("load.concurrency = 20\nload.invocations = 4000", "").replace("first_chunk = \"250ms\"", first_chunk);
    let run = simulate(&profile, 2, &[]);
    let ttfc = &run.readback.summary.overall().metric(Series::from_sent(Metric::Ttfc)).expect("there were chunks").all;
    let at = |p: f64| ttfc.quantile(p).and_then(|quantile| quantile.value_ns).map(|ns| ns / NS_PER_MS);
    assert_eq!((ttfc.count, at(0.5), at(0.95), at(0.99)), (4_000, Some(100), Some(300), Some(700)));
    let interval = ttfc.quantile(0.95).expect("it is reported");
    assert_eq!((interval.low_ns, interval.high_ns), (Some(300 * NS_PER_MS), Some(300 * NS_PER_MS)));
}

/// How an invocation ends that the mock plants this fault into.
fn expected(kind: FaultKind) -> Outcome {
    match kind {
        FaultKind::Refuse | FaultKind::ResetBeforeHeaders | FaultKind::BadFraming => Outcome::Reset,
        FaultKind::NeverAnswer => Outcome::TimedOut(crate::metrics::Phase::Headers),
        FaultKind::Status => Outcome::HttpStatus(500),
        FaultKind::Redirect => Outcome::HttpStatus(307),
        // A pipe knows no reset, only its end.
        FaultKind::Empty | FaultKind::EndEarly | FaultKind::ResetInStream => Outcome::Truncated,
        FaultKind::WrongContentType | FaultKind::ErrorBody => Outcome::BadContentType,
        FaultKind::Garbage => Outcome::Truncated,
        FaultKind::MalformedJson => Outcome::BadEvent,
        FaultKind::Stall => Outcome::Stalled,
        FaultKind::HugeEvent => Outcome::EventTooLarge,
        FaultKind::Failed => Outcome::TaskFailed,
        FaultKind::Error => Outcome::TaskError,
        FaultKind::Stopped => Outcome::TaskStopped,
        FaultKind::WrongAnswer | FaultKind::EmptyAnswer => Outcome::CheckFailed,
        FaultKind::SlowHeaders
        | FaultKind::UnknownEvent
        | FaultKind::ForeignTask
        | FaultKind::AfterEnd
        | FaultKind::DuplicateFinish
        | FaultKind::Connected
        | FaultKind::Drip
        | FaultKind::Buffer
        | FaultKind::Hold
        | FaultKind::SplitUtf8
        | FaultKind::SplitLineEnd
        | FaultKind::Cr
        | FaultKind::Crlf
        | FaultKind::Comments
        | FaultKind::Fields => Outcome::Completed,
    }
}

#[test]
fn whatever_the_agent_does_wrong_each_start_ends_in_one_way_and_the_others_complete() {
    // A pipe has no listener that could refuse it; the binary's own tests do that over a socket.
    for kind in FaultKind::ALL.iter().filter(|kind| **kind != FaultKind::Refuse) {
        let fault = format!("[[mock.fault]]\nkind = \"{}\"\nat = [1]\nbytes = \"64KiB\"", kind.word());
        let load = "load.concurrency = 2\nload.invocations = 6\nlimits.idle = \"5s\"\nlimits.headers = \"5s\"\n\
                    limits.event_bytes = \"16KiB\"\ncheck.non_empty = true\ncheck.lacks = [\"sorry\"]";
        let run = simulate(&exact(load, &fault), 1, &[]);
        let told = kind.word();
        let outcomes: BTreeMap<u64, Outcome> = run.rows.iter().map(|row| (row.plan_index, row.outcome)).collect();
        let faulty = outcomes.iter().filter(|(_, outcome)| !outcome.is_completed()).count();
        assert_eq!(outcomes[&1], expected(*kind), "{told}: {:?}", run.row(1).detail);
        assert_eq!(faulty, usize::from(!expected(*kind).is_completed()), "{told}: only the one is touched");
        assert!(run.row(1).detail.is_some() || expected(*kind).is_completed(), "{told} says why");
    }
}

#[test]
fn a_planted_share_of_wrong_answers_is_reported_to_the_invocation() {
    let run = |kind: &str, check: &str| {
        let load =
            format!("load.concurrency = 20\nload.invocations = 500\n{check}\nobjectives = [\"finish p95 < 9s\"]");
        let fault = format!("chunk_chars = 400\n[[mock.fault]]\nkind = \"{kind}\"\nprobability = 0.03");
        simulate(&exact(&load, &fault), 2, &[])
    };
    let those = |run: &Simulated, outcome: Outcome| -> BTreeSet<u64> {
        run.rows.iter().filter(|row| row.outcome == outcome).map(|row| row.plan_index).collect()
    };
    // The same fault in the same place hits the same invocations, and what it does to these needs no check.
    let planted = those(&run("failed", ""), Outcome::TaskFailed);
    assert!((5..=30).contains(&planted.len()), "{} of 500 at 3 %", planted.len());
    for (kind, check) in [
        ("wrong_answer", "check.contains = [\"Plimsoll\"]"),
        ("wrong_answer", "check.lacks = [\"I am sorry\"]"),
        ("empty_answer", "check.non_empty = true"),
    ] {
        let checked = run(kind, check);
        assert_eq!(those(&checked, Outcome::CheckFailed), planted, "{kind} with {check}");
        let summary = &checked.readback.summary;
        let all = summary.overall();
        let count = planted.len() as u64;
        assert_eq!((all.ledger.of(Outcome::Completed), all.ledger.failed()), (500 - count, count));
        let share = 1.0 - count as f64 / 500.0;
        assert!((all.success.expect("there were some").share - share).abs() < 1e-9);
        assert!((all.good.expect("there is an objective").share - share).abs() < 1e-9, "a wrong answer is not good");
        let finish = all.metric(Series::from_intended(Metric::Finish)).expect("some finished");
        assert_eq!((finish.all.count, finish.all.failed, finish.all.censored), (500 - count, count, 0));
        assert_eq!(finish.completed.count, 500 - count);
        assert_eq!((summary.failures.len(), summary.failures[0].count), (1, count));
        assert!(summary.failures[0].detail.starts_with("check."), "{:?}", summary.failures[0]);
    }
    let unchecked = run("wrong_answer", "");
    assert_eq!(unchecked.readback.summary.overall().ledger.of(Outcome::Completed), 500, "nobody asked");
}

/// One after another: six of 488 ms with the first chunk after 100 ms, then ones of 788 ms with it after 400 ms.
fn slower(objectives: &str, more: &str) -> Simulated {
    let at = (6..40).map(|index| index.to_string()).collect::<Vec<_>>().join(", ");
    let load =
        format!("load.concurrency = 1\nload.duration = \"12s\"\nload.drain = \"50ms\"\nobjectives = [{objectives}]");
    let text = format!(
        "why = \"a simulation\"\n{load}\nrequest.input.text = \"Hello\"\n[mock]\nwhy = \"exact\"\nfirst_chunk = \"100ms\"\n\
         chunks = 5\ngap = \"97ms\"\n{more}[[mock.fault]]\nkind = \"slow_headers\"\ndelay = \"300ms\"\nat = [{at}]"
    );
    simulate(&text, 2, &[])
}

#[test]
fn a_window_that_fails_stops_the_run_when_it_says_so() {
    // The fast ones end by 2.93 s; slow ones end at 3.72, 4.50 and 5.29 s, one in each second.
    let objectives = r#""ttfc p50 < 300ms for 3s, abort", "ttfc p95 < 300ms for 3s""#;
    let run = slower(objectives, "");
    let aborted = run.ended.aborted.clone().expect("it was stopped");
    assert_eq!((aborted.objective.as_str(), aborted.at_ns), ("ttfc p50 < 300ms for 3s, abort", 6 * SECOND));
    let told: Vec<_> = run
        .readback
        .summary
        .objectives
        .iter()
        .map(|judged| format!("{}: {}: {}", judged.answer, judged.objective, judged.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    fail: ttfc p50 < 300ms for 3s, abort: violated in each of 3 seconds; the last, 400ms, ended 6 s into the run
    fail: ttfc p95 < 300ms for 3s: violated in each of 3 seconds; the last, 400ms, ended 6 s into the run
    ");
    // What was in flight had the drain's 50 ms, as after an interrupt.
    assert_eq!((run.ended.end_ns, run.ended.ledger.of(Outcome::Cut)), (6 * SECOND + 50 * NS_PER_MS, 1));
    let unasked = slower(&objectives.replace(", abort", ""), "");
    assert_eq!(unasked.ended.aborted, None);
    assert!(unasked.ended.end_ns > 11 * SECOND, "nobody asked it to stop");
}

#[test]
fn windows_are_answered_alike_by_the_run_and_by_its_bundle() {
    // `simulate` compares them; here is what they may differ in: variants, tools, failures, seconds without any end.
    let objectives = [
        "ttfc p95 < 300ms for 3s",
        "ttfc p95 < 300ms within 3s",
        "ttfc p95 < 300ms over 3s",
        "finish p50 < 1s over 4s",
        "success > 80% for 2s",
        "success > 80% over 5s",
        "gap p99 < 90ms within 2s",
        "tool.search p50 < 1s for 2s",
        "tool.other p50 < 1s for 2s",
        "ttfc_from_sent p99.9 < 10s within 11s",
        "start_lag p99 < 1s for 12s",
        "ttfc{variant=base} p50 < 300ms for 3s",
    ];
    let list = objectives.map(|text| format!("{text:?}")).join(", ");
    let run = slower(
        &list,
        "[[mock.tool]]\nname = \"search\"\nprobability = 0.5\ntime = \"1200ms\"\n[[mock.fault]]\nkind = \"end_early\"\nprobability = 0.4\n",
    );
    let told: Vec<_> = run
        .readback
        .summary
        .objectives
        .iter()
        .map(|judged| format!("{}: {}: {}", judged.answer, judged.objective, judged.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    fail: ttfc p95 < 300ms for 3s: violated in each of 3 seconds; the last, 1.30s, ended 5 s into the run
    fail: ttfc p95 < 300ms within 3s: 1.30s in up to 3 s that ended 2 s into the run
    fail: ttfc p95 < 300ms over 3s: never in the 3 s that ended 5 s into the run
    fail: finish p50 < 1s over 4s: 1.69s in the 4 s that ended 5 s into the run
    fail: success > 80% for 2s: violated in each of 2 seconds; the last, 0.00 %, ended 8 s into the run
    fail: success > 80% over 5s: 50.00 % in the 5 s that ended 7 s into the run
    fail: gap p99 < 90ms within 2s: 97.1ms in up to 2 s that ended 2 s into the run
    fail: tool.search p50 < 1s for 2s: violated in each of 2 seconds; the last, 1.20s, ended 5 s into the run
    inconclusive: tool.other p50 < 1s for 2s: only 0 seconds had data, and the window takes 2
    fail: ttfc_from_sent p99.9 < 10s within 11s: never in up to 11 s that ended 3 s into the run
    inconclusive: start_lag p99 < 1s for 12s: only 9 seconds had data, and the window takes 12
    fail: ttfc{variant=base} p50 < 300ms for 3s: violated in each of 3 seconds; the last, 1.30s, ended 5 s into the run
    ");
}

#[test]
fn objectives_of_a_variant_are_judged_on_it_alone() {
    let profile = "why = \"a simulation\"\nload.concurrency = 4\nload.invocations = 400\nrequest.input.text = \"Hello\"\n\
        objectives = [\"ttfc{variant=low} p50 < 200ms\", \"ttfc{variant=high} p50 < 200ms\", \"success{variant=high} > 90%\", \"goodput{variant=low} > 1/s\"]\n\
        [[variant]]\nname = \"low\"\nllm_reasoning_effort = \"low\"\n[[variant]]\nname = \"high\"\nllm_reasoning_effort = \"high\"\n\
        [mock]\nwhy = \"exact\"\nfirst_chunk = \"100ms\"\nchunks = 2\n[[mock.effect]]\nwhen = { llm_reasoning_effort = \"high\" }\nscale = { first_chunk = 3 }";
    let run = simulate(profile, 2, &[]);
    let told: Vec<_> = run
        .readback
        .summary
        .objectives
        .iter()
        .map(|judged| format!("{}: {}: {}", judged.answer, judged.objective, judged.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    pass: ttfc{variant=low} p50 < 200ms: 100ms (100ms–100ms)
    fail: ttfc{variant=high} p50 < 200ms: 300ms (300ms–300ms)
    pass: success{variant=high} > 90%: 100.00 % (98.17 %–100.00 %)
    pass: goodput{variant=low} > 1/s: 9.02/s (8.86/s–9.02/s)
    ");
    let good = run.readback.summary.groups.iter().map(|group| group.good.expect("there are objectives").share);
    assert_eq!(good.map(|share| (share * 100.0).round()).collect::<Vec<_>>(), [50.0, 0.0, 100.0]);
}

#[test]
fn a_task_that_failed_by_itself_is_not_checked_and_one_that_failed_a_check_keeps_its_connection() {
    let more = "[[mock.tool]]\nname = \"search\"\nerror_probability = 1\n[[mock.fault]]\nkind = \"failed\"\nat = [1]";
    let run = simulate(&exact("load.concurrency = 1\nload.invocations = 3\ncheck.tool_errors_max = 0", more), 1, &[]);
    assert_eq!(run.outcomes(), ["check_failed", "task_failed", "check_failed"]);
    assert_eq!(run.row(2).reused, Some(true));
    assert_eq!(run.row(2).detail.as_deref(), Some("check.tool_errors_max: more than 0 tool results were errors"));
}

#[test]
fn nothing_starts_after_the_end_and_what_the_drain_cuts_is_censored() {
    let load = "load.concurrency = 4\nload.duration = \"1s\"\nload.drain = \"100ms\"";
    let run = simulate(&exact(load, ""), 2, &[]);
    // Rounds begin at 0, 340 and 680 ms; the third one ends at 1,020 ms, inside the drain.
    assert_eq!(run.ended.ledger.planned, 12);
    assert!(run.rows.iter().all(|row| row.stamps.started_ns < Some(SECOND)));
    assert_eq!(run.outcomes(), vec!["completed"; 12]);
    let run = simulate(&exact(&load.replace("100ms", "10ms"), ""), 2, &[]);
    assert_eq!((run.ended.ledger.of(Outcome::Completed), run.ended.ledger.of(Outcome::Cut)), (8, 4));
    let cut = run.rows.iter().find(|row| row.outcome == Outcome::Cut).expect("some were cut");
    assert!(cut.stamps.first_chunk_ns.is_some() && cut.stamps.finished_ns.is_none());
    let finish =
        &run.readback.summary.overall().metric(Series::from_intended(Metric::Finish)).expect("some finished").all;
    assert_eq!((finish.count, finish.censored, finish.failed), (8, 4, 0));
}

#[test]
fn an_interrupt_drains_and_a_second_one_cuts() {
    let load = "load.concurrency = 2\nload.invocations = 10\nload.drain = \"30s\"";
    let drained = simulate(&exact(load, ""), 1, &[400]);
    assert_eq!(drained.ended.stopped, Some(Stop::Interrupt));
    let ledger = &drained.ended.ledger;
    assert_eq!((ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted), ledger.planned), (4, 6, 10));
    assert_eq!(drained.row(9).detail.as_deref(), Some("the run ended first"));
    let cut = simulate(&exact(load, ""), 1, &[400, 500]);
    let ledger = &cut.ended.ledger;
    let ends = [Outcome::Completed, Outcome::Cut, Outcome::NotStarted].map(|outcome| ledger.of(outcome));
    assert_eq!((ends, cut.ended.end_ns), ([2, 2, 6], 500 * NS_PER_MS));
}

const CHAT: &str = "why = \"a simulation\"\nload.ramp = \"0s\"\nload.concurrency = 2\nload.invocations = 9\n\
    [[turn]]\nprompt = \"a\"\n[[turn]]\nprompt = \"b\"\nthink = \"2s\"\n[[turn]]\nprompt = \"c\"\n\
    [mock]\nwhy = \"exact\"\nfirst_chunk = \"100ms\"\nchunks = 1\n";

#[test]
fn a_conversation_goes_on_with_one_task_turn_after_turn() {
    let run = simulate(CHAT, 1, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 9]);
    for conversation in 0..3 {
        let turns: Vec<_> = (0..3).map(|turn| run.row(conversation * 3 + turn)).collect();
        assert!(turns.iter().all(|row| row.task_id == turns[0].task_id && row.task_id.is_some()));
        let began = |turn: usize| turns[turn].stamps.started_ns.expect("it was started");
        let ended = |turn: usize| turns[turn].stamps.finished_ns.expect("it has finished");
        assert_eq!((began(1) - ended(0), began(2) - ended(1)), (2 * SECOND, 0), "think time lies between turns");
        assert_eq!(turns.iter().map(|row| row.reused).collect::<Vec<_>>()[1..], [Some(true), Some(true)]);
    }
    let ids: BTreeSet<_> = run.rows.iter().map(|row| &row.task_id).collect();
    assert_eq!(ids.len(), 3, "each conversation has its own");
}

#[test]
fn a_turn_that_fails_ends_its_conversation_and_the_owed_turns_are_rows() {
    let run = simulate(&format!("{CHAT}[[mock.fault]]\nkind = \"end_early\"\nat = [3]"), 1, &[]);
    assert_eq!(
        run.outcomes(),
        [
            "completed",
            "completed",
            "completed",
            "truncated",
            "not_started",
            "not_started",
            "completed",
            "completed",
            "completed"
        ]
    );
    assert_eq!(run.row(4).detail.as_deref(), Some("its conversation ended before this turn"));
    assert_eq!((run.row(4).conversation, run.row(5).turn), (1, 2));
}

#[test]
fn the_warm_up_is_kept_as_rows_and_left_out_of_the_summary() {
    let run = simulate(&exact("load.concurrency = 1\nload.duration = \"2s\"\nload.warmup = \"1s\"", ""), 1, &[]);
    let warm = run.rows.iter().filter(|row| row.warmup).count();
    assert_eq!((warm, run.rows.len()), (3, 6));
    let summary = &run.readback.summary;
    assert_eq!((summary.warmup_rows, summary.overall().ledger.planned), (3, 3));
    let gaps = summary.overall().metric(Series::of(Metric::Gap)).expect("there were gaps");
    assert_eq!(gaps.all.count, 3 * 4, "the warm-up's gaps are left out, too");
}

/// A mock with everything in it, drawn from the seed.
fn lively(seed: u64) -> String {
    format!(
        "why = \"a simulation\"\nseed = {seed}\nload.concurrency = 8\nload.invocations = 120\nlimits.idle = \"3s\"\n\
         request.input.text = \"Hello\"\n[mock]\nwhy = \"lively\"\nfirst_chunk = {{ exponential = \"200ms\" }}\n\
         chunks = {{ uniform = [0, 20] }}\ngap = {{ lognormal = {{ median = \"20ms\", p99 = \"90ms\" }} }}\n\
         [[mock.fault]]\nkind = \"reset_in_stream\"\nprobability = 0.05\n\
         [[mock.fault]]\nkind = \"stall\"\nprobability = 0.05\n\
         [[mock.fault]]\nkind = \"status\"\nstatus = 429\nprobability = 0.05"
    )
}

#[test]
fn the_same_seed_runs_to_the_same_summary() {
    for seed in 1..=3 {
        let [mut first, second] = [(), ()].map(|()| simulate(&lively(seed), 2, &[]));
        // Where the mock's clock lies is the one thing that is real: its stamps are on today's wall clock.
        let clock = second.readback.summary.server.as_ref().and_then(|server| server.clock);
        first.readback.summary.server.as_mut().expect("the mock stamps its events").clock = clock;
        assert_eq!(first.readback.summary, second.readback.summary, "seed {seed}");
        assert!(first.ended.ledger.outcomes.len() > 2, "seed {seed} has faults: {:?}", first.ended.ledger);
    }
}

#[test]
fn what_an_invocation_meets_does_not_depend_on_the_number_of_workers() {
    let met = |workers: u32| -> BTreeMap<u64, Value> {
        let run = simulate(&lively(4), workers, &[]);
        let facts = |row: &Record| {
            json!([row.outcome.to_string(), row.counts.chunks, row.counts.text_bytes, row.counts.events])
        };
        run.rows.iter().map(|row| (row.plan_index, facts(row))).collect()
    };
    let one = met(1);
    assert_eq!(one.len(), 120);
    assert_eq!(one, met(3));
}

/// An agent that thinks, calls two tools and triggers a sub-agent before it answers, all at drawn times.
const AT_WORK: &str = "why = \"a simulation\"\nload.concurrency = 10\nload.invocations = 400\n\
    request.input.text = \"Hello\"\n[mock]\nwhy = \"at work\"\ncreated = \"5ms\"\nqueue = { uniform = [\"5ms\", \"30ms\"] }\n\
    think_steps = { uniform = [0, 3] }\nthink = { exponential = \"120ms\" }\nfirst_chunk = { exponential = \"180ms\" }\n\
    chunks = { uniform = [0, 9] }\ngap = { exponential = \"15ms\" }\nclosing = \"10ms\"\n\
    [[mock.tool]]\nname = \"web_search\"\ntime = { exponential = \"350ms\" }\ncalls = { uniform = [0, 3] }\n\
    [[mock.tool]]\nname = \"read_page\"\nprobability = 0.7\ntime = { exponential = \"150ms\" }\n\
    [[mock.sub_agent]]\nname = \"helper\"\nprobability = 0.3\ntime = \"200ms\"\n";

/// What the mock's own log says that the parts of an invocation must be.
fn true_parts(row: &Record, events: &[(&str, u64)]) -> PartTimes {
    let (started_ns, sent_ns) = row.stamps.started_ns.zip(row.stamps.sent_ns).expect("it was sent");
    let mut parts = PartTimes { connect_ns: sent_ns - started_ns, ..PartTimes::default() };
    parts.wait_ns = events[0].1 - sent_ns;
    let mut chunks = events.iter().filter(|(kind, _)| *kind == "chunk").count();
    let answered = chunks > 0;
    for pair in events.windows(2) {
        let ((kind, at_ns), (next, next_ns)) = (pair[0], pair[1]);
        chunks -= usize::from(kind == "chunk");
        let part = match kind {
            "task_created" => &mut parts.queue_ns,
            "think" => &mut parts.thinking_ns,
            "tool_call_request" => &mut parts.tool_ns,
            "sub_agent_trigger" => &mut parts.sub_agent_ns,
            "chunk" if next == "chunk" => &mut parts.answer_ns,
            _ if answered && chunks == 0 => &mut parts.closing_ns,
            _ => &mut parts.model_ns,
        };
        *part += next_ns - at_ns;
    }
    parts
}

#[test]
fn the_decomposition_gives_back_the_scripts_times() {
    let run = simulate(AT_WORK, 2, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 400]);
    let mut calls_ns: BTreeMap<String, u64> = BTreeMap::new();
    for row in &run.rows {
        let events = run.truth.iter().filter(|(index, ..)| *index == row.plan_index);
        let events: Vec<_> = events.map(|(_, kind, at_ns)| (kind.as_str(), *at_ns)).collect();
        assert_eq!(row.parts, true_parts(row, &events), "{}: {events:?}", row.plan_index);
        assert!(row.parts_add_up());
        // The mock's calls don't overlap: the part of a tool is the sum of its calls.
        assert_eq!(row.calls.iter().map(|call| call.ns).sum::<u64>(), row.parts.tool_ns);
        row.calls.iter().for_each(|call| *calls_ns.entry(call.name.to_string()).or_default() += call.ns);
        assert_eq!((row.calls.len() as u64, row.counts.tool_unpaired), (row.counts.tool_calls, 0));
    }
    let group = run.readback.summary.overall();
    let of = group.decomposition.as_ref().expect("all completed");
    let total_ns: u64 = run.rows.iter().map(Record::duration_ns).sum();
    assert_eq!((of.invocations, of.total_ns_mean), (400, (total_ns + 200) / 400));
    let tools: Vec<_> = group.tools.iter().map(|tool| (tool.name.as_str(), tool.all.count)).collect();
    let counted =
        |name: &str| run.rows.iter().flat_map(|row| &row.calls).filter(|call| &*call.name == name).count() as u64;
    assert_eq!(tools, [("read_page", counted("read_page")), ("web_search", counted("web_search"))]);
    for (name, sum_ns) in calls_ns {
        let slice = of.parts.iter().find(|part| part.mean.name() == name).expect("it was called");
        assert_eq!(slice.mean.ns, (sum_ns + 200) / 400, "{name}");
    }
}

/// An open load whose agent thinks, calls tools, triggers a sub-agent and ends 3 in 100 streams early, on two slots; the
/// times are given.
fn rehearsed_load(think: &str, tool: &str, gap: &str, more: &str) -> String {
    format!(
        "why = \"a simulation\"\nload.rate = 4\nload.invocations = 400\nload.warmup = \"5s\"\n\
         request.input.text = \"Hello\"\n[mock]\nwhy = \"rehearsed\"\nheaders = \"2ms\"\ncreated = \"3ms\"\n\
         queue = {{ list = [\"5ms\", \"9ms\"] }}\nthink_steps = {{ uniform = [0, 3] }}\nthink = {think}\n\
         first_chunk = {tool}\nchunks = {{ uniform = [0, 6] }}\ngap = {gap}\nclosing = \"7ms\"\n\
         tool = [{{ name = \"web_search\", calls = {{ uniform = [0, 3] }}, time = {tool}, error_probability = 0.1 }}, \
         {{ name = \"read_page\", probability = 0.7, time = {tool} }}]\n\
         sub_agent = [{{ name = \"helper\", probability = 0.3, time = \"41ms\" }}]\n{more}\n\
         [[mock.fault]]\nkind = \"end_early\"\nprobability = 0.03\nafter_events = 4\n\
         [[mock.fault]]\nkind = \"failed\"\nprobability = 0.02\n"
    )
}

/// What the script alone says that the rows must be.
fn rehearsed(profile: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let drawn = mock::rehearse(&parse(profile), |record, _| records.push(record.clone()));
    drawn.expect("it can be rehearsed");
    records
}

/// What a rehearsal knows of an invocation; the sizes and the server's own words are the wire's.
fn told(record: &Record) -> impl PartialEq + std::fmt::Debug {
    let Record { plan_index, variant, warmup, task_id, outcome, detail, stamps, counts, parts, .. } = record.clone();
    let stamps = crate::metrics::Stamps { dns_done_ns: None, connected_ns: None, ..stamps };
    let counted = [counts.events, counts.chunks, counts.text_bytes, counts.tool_calls, counts.tool_errors];
    let longest = (record.longest.gap_ns, record.longest.event_silence_ns);
    let tools = (record.tools.clone(), record.calls.clone(), counts.tool_unpaired);
    ((plan_index, variant, warmup, task_id), (outcome, detail), stamps, counted, parts, longest, tools)
}

#[test]
fn what_the_driver_measures_is_what_the_script_says() {
    // Times in whole milliseconds, which is how fine virtual time is: every stamp, part, tool call and early end.
    let list = "{ list = [\"20ms\", \"45ms\", \"90ms\"] }";
    for slots in ["", "service = { slots = 2 }"] {
        let profile = rehearsed_load(list, list, list, slots);
        let expected = rehearsed(&profile);
        let run = simulate(&profile, 2, &[]);
        assert_eq!(run.rows.len(), expected.len());
        for record in &expected {
            assert_eq!(told(run.row(record.plan_index)), told(record), "{}", record.plan_index);
        }
        let count = |outcome| expected.iter().filter(|record| record.outcome == outcome).count();
        assert!(count(Outcome::Truncated) > 5 && count(Outcome::TaskFailed) > 2, "both are there");
        let queued = expected.iter().filter(|record| record.parts.queue_ns > 9 * NS_PER_MS).count();
        assert_eq!(queued > 40, !slots.is_empty(), "some wait for a slot, where there are any: {queued}");
    }
}

#[test]
fn drawn_times_come_out_up_to_the_timers_grid() {
    let exponential = "{ exponential = \"60ms\" }";
    let profile =
        rehearsed_load(exponential, "{ lognormal = { median = \"50ms\", p99 = \"400ms\" } }", exponential, "");
    let run = simulate(&profile, 2, &[]);
    for record in rehearsed(&profile) {
        let row = run.row(record.plan_index);
        let ended = |record: &Record| {
            let stamps = record.stamps;
            [stamps.first_activity_ns, stamps.first_chunk_ns, stamps.last_chunk_ns, stamps.finished_ns, stamps.eof_ns]
        };
        let on_grid = ended(&record).map(|at_ns| at_ns.map(|at_ns| at_ns.next_multiple_of(NS_PER_MS)));
        assert_eq!((row.outcome, ended(row)), (record.outcome, on_grid), "{}", record.plan_index);
    }
}

#[test]
fn a_queue_comes_out_up_to_the_timers_grid() {
    let profile = "why = \"a simulation\"\nload.rate = 8\nload.arrival = \"poisson\"\nload.invocations = 500\n\
        load.drain = \"10m\"\nrequest.input.text = \"Hello\"\n[mock]\nwhy = \"M/M/1\"\nservice.slots = 1\n\
        first_chunk = { exponential = \"100ms\" }\nchunks = 1\n";
    let run = simulate(profile, 2, &[]);
    let mut before_ns = 0;
    for record in rehearsed(profile) {
        let late_ns = run.row(record.plan_index).stamps.finished_ns.expect("it finished")
            - record.stamps.finished_ns.expect("it finishes");
        // Late by its own start or whom it waited for, and by its own end: each is rounded up to a millisecond.
        let most_ns = before_ns.max(NS_PER_MS) + NS_PER_MS;
        assert!(late_ns < most_ns, "{}: {late_ns} ns, {before_ns} ns before it", record.plan_index);
        before_ns = late_ns;
    }
}

#[test]
fn truncated_streams_are_reported_to_the_invocation() {
    let fault = "[[mock.fault]]\nkind = \"end_early\"\nprobability = 0.03\nafter_events = 4";
    let run = simulate(&exact("load.concurrency = 20\nload.invocations = 3000", fault), 2, &[]);
    let finished: BTreeSet<u64> =
        run.truth.iter().filter(|(_, kind, _)| kind == "task_finished").map(|(index, ..)| *index).collect();
    let told: BTreeSet<u64> =
        run.rows.iter().filter(|row| row.outcome == Outcome::Truncated).map(|row| row.plan_index).collect();
    let planted: BTreeSet<u64> = (0..3_000).filter(|index| !finished.contains(index)).collect();
    assert_eq!(told, planted);
    assert!((50..150).contains(&told.len()), "about 3 % of 3,000: {}", told.len());
    assert_eq!(run.readback.summary.overall().ledger.of(Outcome::Truncated), told.len() as u64);
    assert!(run.rows.iter().all(Record::parts_add_up), "what was cut off adds up to the last known instant");
}

#[test]
fn a_silence_that_comments_fill_is_told_from_a_real_one() {
    let slow = |more: &str| exact("load.concurrency = 1\nload.invocations = 2", more).replace("\"20ms\"", "\"3s\"");
    let quiet = simulate(&slow(""), 1, &[]);
    let pinged = simulate(&slow("ping = \"500ms\""), 1, &[]);
    let longest = |run: &Simulated| (run.row(1).longest.silence_ns, run.row(1).longest.event_silence_ns);
    assert_eq!(longest(&quiet), (Some(3 * SECOND), Some(3 * SECOND)));
    assert_eq!(longest(&pinged), (Some(500 * NS_PER_MS), Some(3 * SECOND)));
    let totals = pinged.readback.summary.overall().totals;
    assert_eq!((totals.stalls, totals.stalled_ns, totals.stalled_parts.answer_ns), (8, 24 * SECOND, 24 * SECOND));
}

#[test]
fn the_servers_own_view_is_what_its_stamps_say() {
    let run =
        simulate(&exact("load.concurrency = 2\nload.invocations = 4", "created = \"40ms\"\nqueue = \"60ms\""), 1, &[]);
    let server = run.readback.summary.server.as_ref().expect("the mock stamps its events");
    let told: Vec<_> =
        server.accounts.iter().map(|of| [of.client_ns_mean, of.server_ns_mean].map(|ns| ns / NS_PER_MS)).collect();
    // Times from the send: 40 ms to task_created, 60 ms more to executing, 250 ms more to the first chunk, 90 to the end.
    assert_eq!(told, [[350, 310], [440, 400], [60, 60], [100, 100], [340, 340]]);
    let clock = server.clock.expect("both bounds");
    // One machine: no offset; a pipe takes no time, so only the wait for task_created is in doubt.
    assert!(clock.low_ns <= 0 && clock.high_ns >= 0, "{clock:?}");
    assert!(clock.low_ns > -2_000 && clock.high_ns < 42_000_000, "{clock:?}");
}

#[test]
fn parts_that_dont_add_up_make_a_run_invalid() {
    let run = simulate(&exact("load.concurrency = 2\nload.invocations = 4", ""), 1, &[]);
    let path = run.bundle.join("invocations.csv");
    let text = std::fs::read_to_string(&path).expect("it was written");
    // 80 ms of answer, told as 81.
    std::fs::write(&path, text.replacen(",80000000,", ",81000000,", 1)).expect("the folder is writable");
    let profile = Profile::parse("sim.toml", &exact("load.invocations = 4", ""), Vec::new()).expect("valid");
    let readback = readback::sum_up(&run.bundle, &manifest(&profile, 1)).expect("it is whole");
    assert_eq!(readback.certificate.verdict, Verdict::Invalid);
    assert!(readback.warnings.contains(&Warning::PartsDiffer { count: 1 }), "{:?}", readback.warnings);
}

#[test]
fn a_start_for_which_no_port_was_left_says_nothing_of_the_target() {
    let profile = r#"
        why = "a machine that has run out of ports"
        load = { rate = 100, invocations = 20 }
        target.connection = "new"
        request.input.text = "Hello"
    "#;
    let run = simulate_with(profile, 1, &[], 18);
    let ledger = &run.ended.ledger;
    assert_eq!((ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted), ledger.planned), (18, 2, 20));
    assert_eq!((run.ended.progress.made(), run.ended.progress.in_flight), (18, 0));
    let row = &run.rows.iter().find(|row| row.plan_index == 19).expect("a row for each");
    assert_eq!((row.stamps.started_ns, row.stamps.intended_ns), (None, 190 * NS_PER_MS));
    let certificate = &run.readback.certificate;
    assert_eq!((certificate.measured.missed_by_sockets, certificate.measured.ledger_holds), (2, true));
    let why = row.detail.as_deref().expect("it says why");
    insta::assert_snapshot!(format!("{why}\n{}", certificate.reasons.last().expect("a reason")), @"
    this machine had no port or descriptor left for its connection: Cannot assign requested address (os error 99)
    2 starts found no port or descriptor left on this machine (90.0 % of the plan's were made; at the peak an unknown number of ports and an unknown number of descriptors were left): lower -c, let connections serve more than one invocation (target.connection), add addresses of this machine with --source, or raise net.ipv4.ip_local_port_range and ulimit -n
    ");
}
