//! The driver against the mock over in-memory pipes, in virtual time: whole runs, from a profile to the bundle's rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::{Control, Crew, Dispatcher, Ended, Stop, Window};
use crate::client::{Base, Client, Dialer, Template};
use crate::clock::Clock;
use crate::metrics::{Metric, Outcome, Record, Series};
use crate::mock::{self, Agent};
use crate::profile::script::FaultKind;
use crate::profile::{Plan, Profile};
use crate::runfile::readback::{self, Readback};
use crate::runfile::run::{Build, Machine, VERSION};
use crate::runfile::{Bundle, Run, Status, invocations};
use crate::units::NS_PER_MS;

const SECOND: u64 = 1_000 * NS_PER_MS;

/// A run that has ended: what the dispatcher says, and what stands in its bundle.
struct Simulated {
    ended: Ended,
    rows: Vec<Record>,
    readback: Readback,
    _folder: TempDir,
}

impl Simulated {
    fn row(&self, plan_index: u64) -> &Record {
        self.rows.iter().find(|row| row.plan_index == plan_index).expect("every planned start has a row")
    }

    fn outcomes(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.plan_index);
        rows.iter().map(|row| row.outcome.to_string()).collect()
    }
}

/// Runs a profile against its own `[mock]` in virtual time; `stops` are requests to end, at milliseconds of the run.
fn simulate(profile: &str, workers: u32, stops: &[u64]) -> Simulated {
    let profile = Profile::parse("sim.toml", profile, Vec::new()).expect("the test's profile is valid");
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = manifest(&profile, workers);
    let mut bundle = Bundle::create(folder.path(), "run", &manifest).expect("the folder is writable");
    let ended = LocalSet::new().block_on(&runtime, load(&profile, workers, stops, &mut bundle));
    let mut rows = Vec::new();
    let file = std::fs::File::open(bundle.folder().join("invocations.csv")).expect("the rows were written");
    invocations::read(file, |record| rows.push(record)).expect("they are ours");
    let readback = readback::sum_up(bundle.folder(), &manifest).expect("the bundle is whole");
    assert!(ended.ledger.adds_up());
    assert_eq!(ended.ledger.planned, rows.len() as u64, "every planned start has a row");
    Simulated { ended, rows, readback, _folder: folder }
}

async fn load(profile: &Profile, workers: u32, stops: &[u64], bundle: &mut Bundle) -> Ended {
    let clock = Clock::start();
    let agent = Agent::new(profile.mock.clone(), profile.seed, clock);
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Some(pipe) = take.recv().await {
            tokio::task::spawn_local(mock::serve_pipe(pipe, Arc::clone(&agent)));
        }
    });
    let pipe = move || {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        give.send(theirs).map_err(std::io::Error::other)?;
        Ok(ours)
    };
    let base = Base::parse("http://127.0.0.1").expect("a URL");
    let template = Template::new(base, &profile.target, None, profile.request.to_json(), "run", true);
    let plan = Arc::new(Plan::new(profile));
    let crew = Crew {
        client: Client::new(profile, Dialer::Pipe(Arc::new(pipe)), template, clock),
        control: Arc::new(Control::new(plan.conversations())),
        plan,
        window: Window {
            start_ns: 0,
            ramp_ns: profile.load.ramp_ns,
            warmup_until_ns: profile.load.warmup_ns,
            stop_ns: profile.load.duration_ns,
            drain_ns: profile.load.drain_ns,
        },
        clock,
        workers,
        slots: profile.load.concurrency,
    };
    let (give_stop, take_stop) = tokio::sync::mpsc::unbounded_channel();
    let stops = stops.to_vec();
    tokio::task::spawn_local(async move {
        for at_ms in stops {
            clock.sleep_until(at_ms * NS_PER_MS).await;
            let _ = give_stop.send(Stop::Interrupt);
        }
        std::future::pending::<()>().await;
    });
    let dispatcher = Dispatcher::new(&crew, bundle);
    let (workers, inbox) = crew.workers();
    for worker in workers {
        tokio::task::spawn_local(worker.run());
    }
    let mut watch = |_: &super::Live| {};
    let served = dispatcher.run(inbox, take_stop, &mut watch);
    let limit = Duration::from_secs(3_600);
    tokio::time::timeout(limit, served).await.expect("the run ends by itself").expect("the bundle is writable")
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
        why: profile.why.clone(),
        objectives: Vec::new(),
        profile: Value::Null,
        seed: profile.seed.0,
        plan_hash: Plan::new(profile).hash().to_owned(),
        workers,
        drain_ns: profile.load.drain_ns,
        reuse: true,
        harness: None,
        summary: None,
        certificate: None,
        warnings: Vec::new(),
    }
}

/// A profile with exact times: 250 ms to the first chunk, 5 chunks 20 ms apart, then the end.
fn exact(load: &str, more: &str) -> String {
    format!(
        "why = \"a simulation\"\nload.ramp = \"0s\"\n{load}\nrequest.input.text = \"Hello\"\n[mock]\nwhy = \"exact\"\n\
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
        FaultKind::SlowHeaders
        | FaultKind::UnknownEvent
        | FaultKind::ForeignTask
        | FaultKind::AfterEnd
        | FaultKind::DuplicateFinish
        | FaultKind::Connected
        | FaultKind::Drip
        | FaultKind::Buffer
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
                    limits.event_bytes = \"16KiB\"";
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
    let ids: std::collections::BTreeSet<_> = run.rows.iter().map(|row| &row.task_id).collect();
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
        let [first, second] = [(), ()].map(|()| simulate(&lively(seed), 2, &[]));
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
