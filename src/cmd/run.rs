//! `plimsoll run`: loads a target and writes a run bundle.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::endpoint::Endpoint;
use super::progress::Progress;
use super::{Exit, provenance, report, signals};
use crate::cli::{EventFormat, Require, RunArgs};
use crate::client::stamper::Figures;
use crate::clock::Clock;
use crate::driver::{Control, Crew, Dispatcher, Ended, Stop, Window, machine};
use crate::metrics::certificate::ArrivalClock;
use crate::metrics::objective::Answer;
use crate::metrics::{Outcome, Verdict};
use crate::profile::{Connection, Load, Plan, Profile};
use crate::runfile::events::{Encoding, EventLog};
use crate::runfile::run::{Harness, Stamps, VERSION};
use crate::runfile::{Bundle, Run, Status, readback};

/// From the run's origin to its first start, in nanoseconds: the workers are up by then.
const LEAD_NS: u64 = 20_000_000;

/// Runs the profile and prints its report to `out`.
///
/// # Errors
/// The target can't be reached or refuses, the machine can't hold the load, or the bundle can't be written.
pub fn run(profile: &Profile, args: &RunArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let workers = workers(&profile.load);
    let endpoint = Endpoint::open(profile)?;
    let streams = u64::from(profile.load.concurrency);
    // Both ends of a stream are in this process when the mock is.
    machine::make_room(streams, 1 + u64::from(endpoint.is_mock())).context("failed to start")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, endpoint.preflight(profile))?;

    let clock = Clock::start();
    let began = provenance::began(clock.wall_unix_ns());
    let id = provenance::run_id(&began, &profile.name);
    let mut manifest = manifest(profile, &endpoint, id, began, clock, workers);
    let mut bundle = Bundle::create(&args.out, &manifest.id, &manifest).context("failed to start")?;
    let log = args.events.map(|format| EventLog::create(bundle.folder(), encoding(format))).transpose();
    let log = log.context("failed to start")?;
    let sheet = log.as_ref().map(EventLog::sheet);
    let crew = Crew { sheet, ..crew(profile, &endpoint, &manifest.id, clock, workers) };
    let ended = load(&crew, &mut bundle, &runtime, &local, args.quiet).context("failed to go on")?;
    endpoint.close();
    drop(crew);
    if let Some(log) = log {
        log.finish().context("failed to go on")?;
    }

    let stopped = ended.stopped;
    manifest.status = match stopped {
        None => Status::Done,
        Some(Stop::Interrupt) => Status::Interrupted,
        Some(Stop::Terminate) => Status::Terminated,
    };
    manifest.harness = Some(harness(ended));
    let readback = readback::sum_up(bundle.folder(), &manifest).context("failed to sum up the run")?;
    manifest.adopt(readback);
    bundle.write_run(&manifest).context("failed to end the run")?;
    report::write_files(bundle.folder(), &manifest)?;
    show(&manifest, bundle.folder(), args.json, out)?;
    Ok(exit(&manifest, stopped, args.require))
}

fn encoding(format: EventFormat) -> Encoding {
    match format {
        EventFormat::Csv => Encoding::Plain,
        EventFormat::Gz => Encoding::Gzip,
        EventFormat::Zst => Encoding::Zstd,
    }
}

fn workers(load: &Load) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    load.workers.unwrap_or(cores).min(load.concurrency)
}

fn crew(profile: &Profile, endpoint: &Endpoint, run_id: &str, clock: Clock, workers: u32) -> Crew {
    let load = &profile.load;
    let plan = Arc::new(Plan::new(profile));
    let start_ns = clock.now() + LEAD_NS;
    let window = Window {
        start_ns,
        ramp_ns: load.ramp_ns,
        warmup_until_ns: start_ns + load.warmup_ns,
        stop_ns: load.duration_ns.map(|duration_ns| start_ns + duration_ns),
        drain_ns: load.drain_ns,
    };
    Crew {
        sheet: None,
        client: endpoint.client(profile, run_id, clock),
        control: Arc::new(Control::new(plan.conversations())),
        plan,
        window,
        clock,
        workers,
        slots: load.concurrency,
    }
}

fn load(crew: &Crew, bundle: &mut Bundle, runtime: &Runtime, local: &LocalSet, quiet: bool) -> anyhow::Result<Ended> {
    let mut progress = Progress::new(quiet);
    let ended = local.block_on(runtime, async {
        let stops = signals::listen()?;
        let dispatcher = Dispatcher::new(crew, bundle);
        let (inbox, threads) = crew.start()?;
        let ended = dispatcher.run(inbox, stops, &mut |live| progress.show(live)).await;
        for thread in threads {
            // A worker that panicked has said why on standard error; the dispatcher counts it as lost.
            drop(thread.join());
        }
        anyhow::Ok(ended?)
    });
    progress.finish();
    ended
}

fn manifest(profile: &Profile, endpoint: &Endpoint, id: String, began: String, clock: Clock, workers: u32) -> Run {
    Run {
        version: VERSION,
        status: Status::Running,
        id,
        began,
        origin_unix_ns: clock.wall_unix_ns(),
        origin_monotonic_ns: clock.monotonic_ns(),
        plimsoll: provenance::build(),
        machine: provenance::machine(),
        target: endpoint.name(),
        why: profile.why.clone(),
        objectives: profile.objectives.iter().map(ToString::to_string).collect(),
        profile: profile.resolved.0.clone(),
        seed: profile.seed.0,
        plan_hash: Plan::new(profile).hash().to_owned(),
        workers,
        drain_ns: profile.load.drain_ns,
        reuse: profile.target.connection == Connection::Reuse,
        parts: Vec::new(),
        harness: None,
        summary: None,
        certificate: None,
        warnings: Vec::new(),
    }
}

fn harness(ended: Ended) -> Harness {
    Harness {
        end_ns: ended.end_ns,
        planned: ended.ledger.planned,
        started: ended.progress.started,
        events: ended.progress.events,
        body_bytes: ended.progress.body_bytes,
        in_flight_ns: ended.progress.in_flight_ns,
        cpu_ns: ended.progress.cpu_ns,
        worker_cpu: ended.worker_cpu,
        machine_cpu: ended.machine_cpu.map(|cpu| cpu.busy),
        steal: ended.machine_cpu.map(|cpu| cpu.stolen),
        lost_workers: ended.lost_workers,
        stamps: stamps(&ended.stamps),
    }
}

fn stamps(figures: &Figures) -> Stamps {
    let most = figures.kernel_reads > figures.user_reads;
    Stamps {
        clock: if most { ArrivalClock::Kernel } else { ArrivalClock::User },
        kernel_reads: figures.kernel_reads,
        user_reads: figures.user_reads,
        moved: figures.moved_earlier + figures.moved_later,
        moved_ns_max: figures.moved_ns_max,
        in_doubt: figures.in_doubt,
        mapping_error_ns_max: figures.mapping.error_ns_max,
        wall_steps: figures.mapping.steps,
    }
}

/// The report for people, or with `--json` the whole of `run.json` on one output that nothing else is written to.
fn show(run: &Run, folder: &Path, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        out.write_all(run.to_json().as_bytes())?;
        return Ok(());
    }
    Ok(report::first_screen(run, folder, out)?)
}

/// When several hold, the first of: interrupted, nothing completed, invalid, an objective missed, one undecided.
fn exit(run: &Run, stopped: Option<Stop>, require: Option<Require>) -> Exit {
    match stopped {
        Some(Stop::Interrupt) => return Exit::Interrupted,
        Some(Stop::Terminate) => return Exit::Terminated,
        None => {}
    }
    let completed = run.summary.as_ref().map_or(0, |summary| summary.overall().ledger.of(Outcome::Completed));
    let verdict = run.certificate.as_ref().map_or(Verdict::Invalid, |certificate| certificate.verdict);
    let worst = if require == Some(Require::Trusted) { Verdict::Trusted } else { Verdict::Degraded };
    let answers = run.summary.iter().flat_map(|summary| &summary.objectives).map(|judged| judged.answer);
    match (completed, verdict > worst, answers.max()) {
        (0, ..) => Exit::NothingCompleted,
        (_, true, _) => Exit::Invalid,
        (.., Some(Answer::Fail)) => Exit::ObjectiveMissed,
        (.., Some(Answer::Inconclusive)) => Exit::Inconclusive,
        _ => Exit::Done,
    }
}
