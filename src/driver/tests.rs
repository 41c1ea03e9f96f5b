//! The driver against the mock over in-memory pipes, in virtual time: whole runs, from a profile to the bundle's rows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::{Control, Crew, Dispatcher, Ended, Stop, Window};
use crate::client::{Base, Client, Dialer, Template};
use crate::clock::Clock;
use crate::metrics::Record;
use crate::metrics::certificate::ArrivalClock;
use crate::mock::{self, Agent, Logs};
use crate::profile::{Plan, Profile};
use crate::runfile::network::Sockets;
use crate::runfile::readback::{self, Readback};
use crate::runfile::run::{self, Build, Harness, LeftTasks, Machine, Stamps, VERSION};
use crate::runfile::verify::verify;
use crate::runfile::{Bundle, Run, Status, invocations};
use crate::units::NS_PER_MS;

mod buffering;
mod conversations;
mod decomposition;
mod faults;
mod lost_worker;
mod objectives;
mod phases;
mod rehearsal;
mod seeds;
mod target_gone;
mod times;

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
        pauses_asked: ended.holds.asked,
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
            wall_step_ns_max: 0,
            wall_drift_ns: 0,
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
