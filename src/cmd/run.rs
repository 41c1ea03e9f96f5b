//! `plimsoll run`: loads a target and writes a run bundle.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, LocalSet};

use super::ending::{Once, unless_unread};
use super::endpoint::Endpoint;
use super::plan::PlanFile;
use super::progress::Progress;
use super::signals::Requests;
use super::{Exit, check, provenance, repeat};
use crate::cli::{EventFormat, RunArgs};
use crate::client::Route;
use crate::client::gate::Holds;
use crate::client::stamper::Figures;
use crate::client::stop::{self, Stopped, Stopper};
use crate::clock::Clock;
use crate::driver::{self, Aborted, Control, Crew, Dispatcher, Ended, Spent, Stop, Window, machine};
use crate::metrics::Objective;
use crate::metrics::certificate::ArrivalClock;
use crate::metrics::warning::BudgetPart;
use crate::profile::{Budget, Connection, Http, Place, Plan, Profile};
use crate::runfile::events::{Encoding, EventLog};
use crate::runfile::network::Sockets;
use crate::runfile::run::{self, Harness, LeftTasks, Stamps, VERSION};
use crate::runfile::{Bundle, Run, Status, bundle};

/// From the run's origin to its first start, in nanoseconds: the workers are up by then.
const LEAD_NS: u64 = 20_000_000;

/// Runs the profile, as often as it says, and prints its report to `out`.
///
/// # Errors
/// The target can't be reached or refuses, the machine can't hold the load, or the bundle can't be written.
pub fn run(profile: &Profile, args: &RunArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    profile.permits_load()?;
    let requests = Requests::listen().context("failed to start")?;
    if profile.repeat.runs > 1 {
        return repeat::run(profile, args, &requests, out);
    }
    let once = once(profile, &profile.budget, (&args.out, args), &requests)?;
    requests.end_at_once();
    let shown = once.show(args.json, out).or_else(unless_unread);
    once.tell_failures();
    shown?;
    Ok(once.exit())
}

/// Runs the profile once, within what is left of the `whole` budget, and writes its bundle into `parent`.
pub(super) fn once(
    profile: &Profile,
    whole: &Budget,
    (parent, args): (&Path, &RunArgs),
    requests: &Requests,
) -> anyhow::Result<Once> {
    let size = Size::of(profile);
    machine::make_room(size.connections, size.each, size.workers).context("failed to start")?;
    let plan = Arc::new(Plan::new(profile));
    if let Some(told) = check::only_warmup(profile, &plan) {
        // A standard error that is gone is no reason not to measure.
        let _ = writeln!(io::stderr(), "warning: {told}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let endpoint = local.block_on(&runtime, Endpoint::open(profile, size.connections))?;
    let pauses = local.block_on(&runtime, endpoint.preflight(profile))?;
    // From here on a request to end is for the dispatcher, so that no file is left half written.
    let stops = requests.take();
    let mut plan_file = args.plan.as_deref().map(PlanFile::create).transpose().context("failed to start")?;
    if let Some(planned) = plan.planned() {
        // A long plan takes its time, and no load waits for it.
        write_plan(plan_file.take(), &plan, planned).context("failed to start")?;
    }

    let clock = Clock::start();
    let began = provenance::began(clock.wall_unix_ns());
    let id = provenance::run_id(&began, &profile.name);
    let hash = plan.hash().to_owned();
    let mut manifest = manifest(profile, &endpoint, (id, hash), began, clock, size.workers);
    let mut bundle = open(parent, &mut manifest).context("failed to start")?;
    let log = args.events.map(|format| EventLog::create(bundle.folder(), encoding(format))).transpose();
    let log = log.context("failed to start")?;
    let sheet = log.as_ref().map(EventLog::sheet);
    let crew = Crew { sheet, ..crew(profile, plan, &endpoint, &manifest.id, clock, size) };
    crew.heed(&pauses);
    let stopper = endpoint.stopper(profile);
    let loaded = load(&crew, &mut bundle, (&runtime, &local), &profile.objectives, (stopper, args.quiet), stops);
    let (mut ended, tasks) = loaded.context("failed to go on")?;
    let held_ns = crew.control.gate().held_until_ns().saturating_sub(clock.now());
    // What nothing had counted is known now: the starts before the first conversation that nobody took up.
    let taken_up = crew.plan.conversation(crew.control.taken()).first_index;
    let plan = write_plan(plan_file, &crew.plan, taken_up);
    drop(crew);
    let sockets = sockets(endpoint.route(), size);
    endpoint.close();
    let events = log.map_or(Ok(()), EventLog::finish);
    requests.end_at_once();
    let unwritten = ended.unwritten.take();
    manifest.status = match (ended.stopped, &unwritten, ended.spent, &ended.aborted) {
        (Some(Stop::Interrupt), ..) => Status::Interrupted,
        (Some(Stop::Terminate), ..) => Status::Terminated,
        (None, Some(_), ..) => Status::WriteFailed,
        (None, None, Some(_), _) => Status::BudgetSpent,
        (None, None, None, Some(_)) => Status::Aborted,
        (None, None, None, None) if ended.lost_workers > 0 => Status::WorkerLost,
        (None, None, None, None) => Status::Done,
    };
    let ledger = ended.ledger.clone();
    manifest.harness = Some(harness(ended, tasks, sockets, whole));
    let once = Once::new(manifest, bundle.folder(), ledger, args.require, held_ns);
    Ok(once.end(&bundle, unwritten, [events.err(), plan.err()]))
}

/// Opens the bundle under the run's name; where another run has it already, under the next one that is free.
fn open(out: &Path, manifest: &mut Run) -> Result<Bundle, bundle::Error> {
    provenance::first_free(&manifest.id.clone(), |name| {
        manifest.id = name;
        Bundle::create(out, &manifest.id, manifest)
    })
}

fn write_plan(file: Option<PlanFile>, plan: &Plan, starts: u64) -> Result<(), bundle::Error> {
    file.map_or(Ok(()), |file| file.write(plan, starts))
}

fn encoding(format: EventFormat) -> Encoding {
    match format {
        EventFormat::Csv => Encoding::Plain,
        EventFormat::Gz => Encoding::Gzip,
        EventFormat::Zst => Encoding::Zstd,
    }
}

/// The most conversations that an open load without a limit of its own has at a time.
const IN_FLIGHT_MAX: u64 = 10_000;

/// How large a run is at its largest.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Conversations at a time: what the profile says, else what the machine can hold; never over the budget.
    in_flight: u32,
    workers: u32,
    /// Connections at a time.
    connections: u64,
    /// Descriptors for each connection: both of its ends are in this process when the mock is.
    each: u64,
    /// The limit on open files, and nothing else, says how many conversations there are.
    by_files: bool,
}

impl Size {
    fn of(profile: &Profile) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        let workers = profile.load.workers.unwrap_or(cores);
        let each = 1 + u64::from(profile.target.place == Place::Mock);
        let holds = || u32::try_from(machine::room(each, workers).clamp(1, IN_FLIGHT_MAX)).expect("it is clamped");
        let asked = profile.load.in_flight().unwrap_or_else(holds);
        let in_flight = asked.min(profile.budget.in_flight.unwrap_or(u32::MAX));
        let by_files =
            profile.load.in_flight().is_none() && u64::from(in_flight) == machine::room(each, workers).max(1);
        let workers = workers.min(in_flight);
        let shared = match profile.target.http {
            // Each worker may have one that is not full.
            Http::Http2 => in_flight.div_ceil(profile.target.streams).saturating_add(workers),
            Http::Http1 | Http::Auto => in_flight,
        };
        Self { in_flight, workers, connections: u64::from(shared.min(in_flight)), each, by_files }
    }
}

/// What the connections of a run took of the machine.
fn sockets(route: &Route, size: Size) -> Sockets {
    let open_max = route.open_max();
    Sockets {
        connections_max: open_max,
        ports_left: route.room().map(|room| room.saturating_sub(open_max)),
        ports_scarce_from: route.easy_room(),
        descriptors_left: machine::descriptors_left(open_max, size.each, size.workers),
        in_flight_by_files: size.by_files.then(|| size.in_flight.into()),
    }
}

fn crew(profile: &Profile, plan: Arc<Plan>, endpoint: &Endpoint, run_id: &str, clock: Clock, size: Size) -> Crew {
    Crew {
        sheet: None,
        client: endpoint.client(profile, run_id, clock),
        control: Arc::new(Control::new(&plan, profile.budget, Some(size.in_flight))),
        plan,
        window: Window::new(&profile.load, &profile.budget, clock.now() + LEAD_NS),
        clock,
        workers: size.workers,
        model: profile.load.model.clone(),
    }
}

/// Runs the crew to its end, and stops the tasks that it leaves behind.
fn load(
    crew: &Crew,
    bundle: &mut Bundle,
    (runtime, local): (&Runtime, &LocalSet),
    objectives: &[Objective],
    (stopper, quiet): (Option<Stopper>, bool),
    mut stops: UnboundedReceiver<Stop>,
) -> anyhow::Result<(Ended, Option<Stopped>)> {
    let mut progress = Progress::new(quiet);
    let loaded = local.block_on(runtime, async {
        let mut dispatcher = Dispatcher::new(crew, bundle).watching(objectives);
        let stopping = stopper.map(|stopper| Stopping::begin(stopper, crew));
        if let Some(stopping) = &stopping {
            dispatcher = dispatcher.leaving(stopping.give.clone());
        }
        let (inbox, threads) = crew.start()?;
        let ended = dispatcher.run(inbox, &mut stops, &mut |live| progress.show(live)).await;
        for thread in threads {
            // A worker that panicked has said why on standard error; the dispatcher counts it as lost.
            drop(thread.join());
        }
        anyhow::Ok((ended, stopping))
    });
    progress.finish();
    let (mut ended, stopping) = loaded?;
    let gate = crew.control.gate();
    let Some(stopping) = stopping else { return Ok((ended, None)) };
    if !quiet && ended.tasks_left > 0 && gate.next_ns() > crew.clock.now() {
        tell_of_stops();
    }
    let stopped = local.block_on(runtime, stopping.end(crew, ended.tasks_left, &mut stops))?;
    // Calls that stopped tasks after the run were told of pauses, too.
    ended.holds = Holds { held_ns: ended.holds.held_ns, ..gate.holds(0) };
    Ok((ended, Some(stopped)))
}

/// Whoever stops the tasks that a run leaves behind, while it goes on and for a while after it.
struct Stopping {
    give: UnboundedSender<String>,
    give_up: oneshot::Sender<&'static str>,
    task: JoinHandle<Stopped>,
}

impl Stopping {
    fn begin(stopper: Stopper, crew: &Crew) -> Self {
        let (give, take) = tokio::sync::mpsc::unbounded_channel();
        let (give_up, given_up) = oneshot::channel();
        let given_up = async {
            match given_up.await {
                Ok(why) => why,
                // Whoever is gone says nothing.
                Err(_) => std::future::pending().await,
            }
        };
        let gate = (Arc::clone(crew.control.gate()), crew.clock);
        Self { give, give_up, task: tokio::task::spawn_local(stopper.stop_all(take, gate, given_up)) }
    }

    async fn end(self, crew: &Crew, left: u64, stops: &mut UnboundedReceiver<Stop>) -> Result<Stopped, JoinError> {
        let Self { give, give_up, mut task } = self;
        // Without a sender, the stopper ends when it has stopped what it was given.
        drop(give);
        let why = tokio::select! {
            biased;
            stopped = &mut task => return stopped,
            Some(_) = stops.recv() => "somebody asked for the end first",
            () = stop::patience(crew.control.gate(), crew.clock, left) => "there was no time left",
        };
        let _ = give_up.send(why);
        task.await
    }
}

/// Why the command does not come to its end yet; that standard error is gone is no reason not to stop them.
fn tell_of_stops() {
    let told = "the tasks that the run left behind are being stopped, at the budget's rate and when the target allows it; Ctrl-C leaves them";
    let _ = writeln!(io::stderr(), "{told}");
}

fn manifest(
    profile: &Profile,
    endpoint: &Endpoint,
    (id, plan_hash): (String, String),
    began: String,
    clock: Clock,
    workers: u32,
) -> Run {
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
        network: endpoint.network(),
        why: profile.why.clone(),
        objectives: profile.objectives.iter().map(ToString::to_string).collect(),
        scenarios: run::scenarios(&profile.scenarios),
        profile: profile.resolved.0.clone(),
        seed: profile.seed.0,
        plan_hash,
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

fn harness(ended: Ended, stopped: Option<Stopped>, sockets: Sockets, whole: &Budget) -> Harness {
    let tasks = left_tasks(&ended, stopped);
    Harness {
        budget_spent: ended.spent.map(|spent| match spent {
            Spent::Invocations(left) => BudgetPart::Invocations(whole.invocations.unwrap_or(left)),
            Spent::Duration(left_ns) => BudgetPart::DurationNs(whole.duration_ns.unwrap_or(left_ns)),
            Spent::FailuresInARow(count) => BudgetPart::FailuresInARow(count),
        }),
        aborted: ended.aborted.map(|Aborted { objective, at_ns }| run::Aborted { objective, at_ns }),
        pauses_asked: ended.holds.asked,
        holds: ended.holds.count,
        held_ns: ended.holds.held_ns,
        put_off: ended.progress.put_off,
        put_off_ns: ended.progress.put_off_ns,
        tasks,
        end_ns: ended.end_ns,
        planned: ended.ledger.planned,
        started: ended.progress.made(),
        events: ended.progress.events,
        body_bytes: ended.progress.body_bytes,
        in_flight_ns: ended.progress.in_flight_ns,
        cpu_ns: ended.progress.cpu_ns,
        worker_cpu: ended.worker_cpu,
        machine_cpu: ended.machine_cpu.map(|cpu| cpu.busy),
        steal: ended.machine_cpu.map(|cpu| cpu.stolen),
        lost_workers: ended.lost_workers,
        sockets,
        lost_why: ended.lost_why,
        stamps: stamps(&ended.stamps, &ended.progress),
    }
}

fn left_tasks(ended: &Ended, stopped: Option<Stopped>) -> LeftTasks {
    let nameless = || (ended.tasks_unnamed > 0).then(|| "some before their id had come".to_owned());
    let (stopped, why) = stopped.map_or((0, None), |tasks| (tasks.stopped, tasks.why.or_else(nameless)));
    LeftTasks { left: ended.tasks_left, stopped, why }
}

fn stamps(figures: &Figures, progress: &driver::Progress) -> Stamps {
    // What reads were stamped by says less: some bring no event.
    let kernel = progress.user_stamped * 2 < progress.events;
    Stamps {
        clock: if kernel { ArrivalClock::Kernel } else { ArrivalClock::User },
        kernel_reads: figures.kernel_reads,
        user_reads: figures.user_reads,
        moved: figures.moved_earlier + figures.moved_later,
        moved_ns_max: figures.moved_ns_max,
        in_doubt: figures.in_doubt,
        mapping_error_ns_max: figures.mapping.error_ns_max,
        wall_steps: figures.mapping.steps,
        wall_step_ns_max: figures.mapping.step_ns_max,
        wall_drift_ns: figures.mapping.drift_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_second_get_bundles_of_their_own_and_none_is_overwritten() {
        let profile = Profile::parse("x.toml", include_str!("../../profiles/quickstart.toml"), Vec::new());
        let profile = profile.expect("it is valid");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let endpoint = runtime.block_on(Endpoint::open(&profile, 1)).expect("the mock listens on a free port");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = [(); 3].map(|()| {
            let mut run =
                manifest(&profile, &endpoint, ("run".into(), String::new()), String::new(), Clock::start(), 1);
            let bundle = open(folder.path(), &mut run).expect("a name is free");
            assert!(bundle.folder().ends_with(&run.id), "the manifest knows its folder");
            run.id
        });
        assert_eq!(names, ["run", "run-2", "run-3"]);
        let run = manifest(&profile, &endpoint, ("run".into(), String::new()), String::new(), Clock::start(), 1);
        let told = Bundle::create(folder.path(), "run", &run).expect_err("it is there").to_string();
        let told = told.replace(&folder.path().display().to_string(), "FOLDER");
        insta::assert_snapshot!(told, @"create the run bundle FOLDER/run: it exists already, and a bundle is never overwritten; name another with --out");
    }
}
