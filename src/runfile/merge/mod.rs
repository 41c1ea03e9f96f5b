//! Bundles of one plan joined into one, without loss: those of several hosts that ran at the same time, or of several
//! runs after each other.
//!
//! Every row is kept, its stamps moved onto the first part's clock by what the wall clocks say, to the nanosecond; a
//! pause in which no part ran is taken out, so that rates stay rates under load. Histograms and seconds are added up by
//! whole seconds of that clock, and what follows a pause begins with a second of its own: none is longer than one. Events
//! follow part by part. What each part was, and by how much it was moved, stands in `run.json`.

mod events;
mod seconds;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use thiserror::Error;

use super::bundle::{self, Bundle, HISTOGRAMS, INTERVALS, INVOCATIONS};
use super::difference::{Difference, differences, told};
use super::events::Encoding;
use super::network::Sockets;
use super::run::{Harness, LeftTasks, Part, Stamps};
use super::table::Rows;
use super::{Run, Status, hlog, intervals, invocations, readback};
use crate::agent::Times;
use crate::metrics::certificate::ArrivalClock;
use crate::metrics::{Record, record};
use crate::units::NS_PER_S;

/// Why bundles can't be joined.
#[derive(Debug, Error)]
pub enum Error {
    /// There is nothing to join.
    #[error("join {0} bundles: name two or more")]
    TooFew(usize),
    /// Two bundles are of different loads.
    #[error("join {} and {}: they are not of one plan: {}", one.display(), other.display(), told(differences))]
    NotOnePlan {
        /// The first bundle.
        one: PathBuf,
        /// The one that differs from it.
        other: PathBuf,
        /// In what.
        differences: Vec<Difference>,
    },
    /// The same run twice.
    #[error("join {} and {}: they are the same run, which would count twice", one.display(), other.display())]
    Twice {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A run without an end.
    #[error("join {}: its run did not end in order, so nothing says what is missing; leave it out", .0.display())]
    Unfinished(PathBuf),
    /// A file that lacks its end.
    #[error("join {}: its end was cut off, and nothing says what is missing; leave its run out", .0.display())]
    CutOff(PathBuf),
    /// Some bundles have events, others do not.
    #[error(
        "join {} and {}: only the first has its events, so that theirs together would not be whole; move its events file away to join them without",
        with.display(), without.display()
    )]
    EventsMissing {
        /// One that has.
        with: PathBuf,
        /// One that has not.
        without: PathBuf,
    },
    /// A bundle can't be read.
    #[error("join {}: {source}", folder.display())]
    Read {
        /// The bundle.
        folder: PathBuf,
        /// Why.
        source: readback::Error,
    },
    /// The new one can't be written.
    #[error(transparent)]
    Write(#[from] bundle::Error),
}

/// A bundle that is to be joined, and where it comes to lie.
#[derive(Debug)]
struct Source {
    folder: PathBuf,
    run: Run,
    harness: Harness,
    /// What its stamps are moved by.
    shift_ns: u64,
    /// What its seconds are moved by: a second can't be cut.
    shift_seconds: u64,
    /// The pauses that were taken out before it.
    pauses_ns: u64,
    /// What its workers' numbers are moved by.
    worker_shift: u32,
}

impl Source {
    fn open(folder: &Path) -> Result<Self, Error> {
        let run = readback::read_run(folder).map_err(unread(folder))?;
        let harness = run.harness.clone().filter(|_| !matches!(run.status, Status::Running | Status::WriteFailed));
        let harness = harness.ok_or_else(|| Error::Unfinished(folder.to_owned()))?;
        Ok(Self {
            folder: folder.to_owned(),
            run,
            harness,
            shift_ns: 0,
            shift_seconds: 0,
            pauses_ns: 0,
            worker_shift: 0,
        })
    }

    /// Refuses a file of its that does not end.
    fn whole(&self, name: &str, rows: Rows) -> Result<(), Error> {
        if rows.truncated { Err(Error::CutOff(self.folder.join(name))) } else { Ok(()) }
    }

    fn file(&self, name: &str) -> Result<BufReader<File>, Error> {
        let path = self.folder.join(name);
        let file = File::open(&path).map_err(|source| readback::Error::Read { path, source });
        Ok(BufReader::new(file.map_err(unread(&self.folder))?))
    }

    /// What becomes of a log of its that can't be read.
    fn refused(&self, error: hlog::Error) -> Error {
        match error {
            hlog::Error::CutOff => Error::CutOff(self.folder.join(HISTOGRAMS)),
            error => unread(&self.folder)(error),
        }
    }

    /// How many seconds it has, the last one perhaps not a whole one.
    fn seconds(&self) -> Result<u64, Error> {
        let mut seconds = 0;
        let rows = intervals::read(self.file(INTERVALS)?, |row| seconds = row.second + 1);
        let rows = rows.map_err(unread(&self.folder))?;
        self.whole(INTERVALS, rows)?;
        Ok(seconds)
    }

    fn ends_ns(&self) -> u64 {
        self.shift_ns + self.harness.end_ns
    }

    fn same_run_as(&self, other: &Self) -> bool {
        self.run.is_same_run(&other.run)
    }

    /// What must be the same of all.
    fn load(&self) -> Value {
        let mut load = self.run.workload();
        load["plan_hash"] = json!(self.run.plan_hash);
        load["seed"] = json!(self.run.seed);
        load
    }
}

/// Says of which bundle it was.
fn unread<E: Into<readback::Error>>(folder: &Path) -> impl FnOnce(E) -> Error {
    let folder = folder.to_owned();
    move |source| Error::Read { folder, source: source.into() }
}

/// Joins the bundles in `folders` into a new one in the folder `parent`, and gives it with its run, summed up.
///
/// # Errors
/// They do not belong together, one can't be read, or the new one can't be written.
pub fn merge(folders: &[PathBuf], parent: &Path) -> Result<(PathBuf, Run), Error> {
    let sources = placed(folders)?;
    let encoding = events::encoding(&sources)?;
    let mut run = joined(&sources);
    let bundle = Bundle::create(parent, &run.id, &Run { status: Status::Running, ..run.clone() })?;
    let folder = bundle.folder().to_owned();
    write(&sources, encoding, bundle, &mut run).inspect_err(|_| {
        // A part of all would be taken for the whole; all of it was made here.
        let _ = fs::remove_dir_all(&folder);
    })?;
    Ok((folder, run))
}

fn write(sources: &[Source], encoding: Option<Encoding>, mut bundle: Bundle, run: &mut Run) -> Result<(), Error> {
    write_rows(sources, &mut bundle)?;
    seconds::write(sources, &mut bundle)?;
    if let Some(encoding) = encoding {
        events::write(sources, encoding, bundle.folder())?;
    }
    bundle.flush()?;
    run.adopt(readback::sum_up(bundle.folder(), run).map_err(unread(bundle.folder()))?);
    Ok(bundle.write_run(run)?)
}

/// The bundles in order of their beginning, each with its place on the common clock.
fn placed(folders: &[PathBuf]) -> Result<Vec<Source>, Error> {
    if folders.len() < 2 {
        return Err(Error::TooFew(folders.len()));
    }
    let mut sources = folders.iter().map(|folder| Source::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let first = &sources[0];
    for other in &sources[1..] {
        let differences = differences("", &first.load(), &other.load());
        if !differences.is_empty() {
            let (one, other) = (first.folder.clone(), other.folder.clone());
            return Err(Error::NotOnePlan { one, other, differences });
        }
    }
    sources.sort_by_key(|source| source.run.origin_unix_ns);
    for (at, one) in sources.iter().enumerate() {
        if let Some(other) = sources[at + 1..].iter().find(|other| one.same_run_as(other)) {
            return Err(Error::Twice { one: one.folder.clone(), other: other.folder.clone() });
        }
    }
    let (mut ends_ns, mut pauses_ns, mut workers) = (0, 0, 0);
    // Where those began that ran at once, on the common clock and among the seconds; and where the seconds end.
    let (mut began_ns, mut first_second, mut end_second) = (0, 0, 0);
    let origin_ns = sources[0].run.origin_unix_ns;
    for source in &mut sources {
        let after_ns = source.run.origin_unix_ns - origin_ns - pauses_ns;
        // What lies after all that came before follows it at once.
        source.shift_ns = after_ns.min(ends_ns);
        pauses_ns += after_ns - source.shift_ns;
        source.pauses_ns = pauses_ns;
        if source.shift_ns >= ends_ns {
            (began_ns, first_second) = (source.shift_ns, end_second);
        }
        source.shift_seconds = first_second + (source.shift_ns - began_ns + NS_PER_S / 2) / NS_PER_S;
        end_second = end_second.max(source.shift_seconds + source.seconds()?);
        source.worker_shift = workers;
        workers += source.run.workers;
        ends_ns = ends_ns.max(source.ends_ns());
    }
    Ok(sources)
}

/// The manifest of all together.
fn joined(sources: &[Source]) -> Run {
    let first = &sources[0].run;
    let status = sources.iter().map(|source| source.run.status).find(|status| *status != Status::Done);
    Run {
        status: status.unwrap_or(Status::Done),
        id: format!("{}-merged", first.id),
        workers: sources.iter().map(|source| source.run.workers).sum(),
        harness: Some(harness(sources)),
        parts: sources.iter().flat_map(parts).collect(),
        summary: None,
        certificate: None,
        warnings: Vec::new(),
        ..first.clone()
    }
}

/// What a source consists of: itself, or the parts that it was joined from before.
fn parts(source: &Source) -> Vec<Part> {
    let run = &source.run;
    if run.parts.is_empty() {
        return vec![Part {
            id: run.id.clone(),
            origin_unix_ns: run.origin_unix_ns,
            shift_ns: source.shift_ns,
            first_worker: source.worker_shift,
            workers: run.workers,
            machine: run.machine.clone(),
        }];
    }
    let moved = |part: &Part| Part {
        shift_ns: part.shift_ns + source.shift_ns,
        first_worker: part.first_worker + source.worker_shift,
        ..part.clone()
    };
    run.parts.iter().map(moved).collect()
}

/// Each part had a machine, or a time, of its own: of what was left, the least.
fn sockets(sources: &[Source]) -> Sockets {
    let all = || sources.iter().map(|source| source.harness.sockets);
    let least = |of: fn(Sockets) -> Option<u64>| all().filter_map(of).min();
    Sockets {
        connections_max: all().map(|one| one.connections_max).max().unwrap_or_default(),
        ports_left: least(|one| one.ports_left),
        ports_scarce_from: least(|one| one.ports_scarce_from),
        descriptors_left: least(|one| one.descriptors_left),
        in_flight_by_files: least(|one| one.in_flight_by_files),
    }
}

/// Sums of what adds up; of shares, the worst.
fn harness(sources: &[Source]) -> Harness {
    let all = || sources.iter().map(|source| &source.harness);
    let sum = |of: fn(&Harness) -> u64| all().map(of).sum::<u64>();
    let worst = |of: fn(&Harness) -> Option<f64>| all().filter_map(of).reduce(f64::max);
    Harness {
        end_ns: sources.iter().map(Source::ends_ns).max().unwrap_or_default(),
        planned: sum(|one| one.planned),
        started: sum(|one| one.started),
        events: sum(|one| one.events),
        body_bytes: sum(|one| one.body_bytes),
        in_flight_ns: sum(|one| one.in_flight_ns),
        cpu_ns: sum(|one| one.cpu_ns),
        worker_cpu: all().flat_map(|one| one.worker_cpu.clone()).collect(),
        machine_cpu: worst(|one| one.machine_cpu),
        steal: worst(|one| one.steal),
        lost_workers: all().map(|one| one.lost_workers).sum(),
        lost_why: all().find_map(|one| one.lost_why.clone()),
        budget_spent: all().find_map(|one| one.budget_spent),
        aborted: all().find_map(|one| one.aborted.clone()),
        pauses_asked: sum(|one| one.pauses_asked),
        holds: sum(|one| one.holds),
        held_ns: sum(|one| one.held_ns),
        put_off: sum(|one| one.put_off),
        put_off_ns: sum(|one| one.put_off_ns),
        tasks: LeftTasks {
            left: sum(|one| one.tasks.left),
            stopped: sum(|one| one.tasks.stopped),
            why: all().find_map(|one| one.tasks.why.clone()),
        },
        sockets: sockets(sources),
        stamps: Stamps {
            // One part's stamps of user space are enough for the whole to be no better.
            clock: match all().all(|one| one.stamps.clock == ArrivalClock::Kernel) {
                true => ArrivalClock::Kernel,
                false => ArrivalClock::User,
            },
            kernel_reads: sum(|one| one.stamps.kernel_reads),
            user_reads: sum(|one| one.stamps.user_reads),
            moved: sum(|one| one.stamps.moved),
            moved_ns_max: all().map(|one| one.stamps.moved_ns_max).max().unwrap_or_default(),
            in_doubt: sum(|one| one.stamps.in_doubt),
            mapping_error_ns_max: all().map(|one| one.stamps.mapping_error_ns_max).max().unwrap_or_default(),
            wall_steps: sum(|one| one.stamps.wall_steps),
            wall_step_ns_max: all().map(|one| one.stamps.wall_step_ns_max).max().unwrap_or_default(),
            wall_drift_ns: all().map(|one| one.stamps.wall_drift_ns).max().unwrap_or_default(),
        },
    }
}

fn write_rows(sources: &[Source], bundle: &mut Bundle) -> Result<(), Error> {
    for source in sources {
        let mut failed = Ok(());
        let rows = invocations::read(source.file(INVOCATIONS)?, |mut record: Record| {
            record.stamps = moved(&record.stamps, source.shift_ns);
            record.conduct.admitted_ns = record.conduct.admitted_ns.map(|at_ns| at_ns + source.shift_ns);
            (record.server, record.task) = brought_forward(&record, source.pauses_ns);
            record.worker = record.worker.map(|worker| worker + source.worker_shift);
            if failed.is_ok() {
                failed = bundle.write_invocation(&record);
            }
        });
        failed?;
        let rows = rows.map_err(unread(&source.folder))?;
        source.whole(INVOCATIONS, rows)?;
    }
    Ok(())
}

/// The server's own stamps without the pauses that were taken out: as far from ours as they were.
fn brought_forward(record: &Record, pauses_ns: u64) -> (record::ServerStamps, Times) {
    let (server, task) = (&record.server, &record.task);
    let earlier = |unix_ns: Option<u64>| unix_ns.map(|unix_ns| unix_ns.saturating_sub(pauses_ns));
    let server = record::ServerStamps {
        created_unix_ns: earlier(server.created_unix_ns),
        executing_unix_ns: earlier(server.executing_unix_ns),
        first_chunk_unix_ns: earlier(server.first_chunk_unix_ns),
        finished_unix_ns: earlier(server.finished_unix_ns),
    };
    let task = Times {
        created_unix_ns: earlier(task.created_unix_ns),
        started_unix_ns: earlier(task.started_unix_ns),
        finished_unix_ns: earlier(task.finished_unix_ns),
    };
    (server, task)
}

/// The stamps on a clock that began `by_ns` earlier. Every field is named: a new one must find its place here.
fn moved(stamps: &record::Stamps, by_ns: u64) -> record::Stamps {
    let later = |at_ns: Option<u64>| at_ns.map(|at_ns| at_ns + by_ns);
    record::Stamps {
        intended_ns: stamps.intended_ns + by_ns,
        started_ns: later(stamps.started_ns),
        dns_done_ns: later(stamps.dns_done_ns),
        connected_ns: later(stamps.connected_ns),
        tls_done_ns: later(stamps.tls_done_ns),
        sent_ns: later(stamps.sent_ns),
        headers_ns: later(stamps.headers_ns),
        first_byte_ns: later(stamps.first_byte_ns),
        first_event_ns: later(stamps.first_event_ns),
        task_created_ns: later(stamps.task_created_ns),
        executing_ns: later(stamps.executing_ns),
        first_activity_ns: later(stamps.first_activity_ns),
        first_chunk_ns: later(stamps.first_chunk_ns),
        last_chunk_ns: later(stamps.last_chunk_ns),
        finished_ns: later(stamps.finished_ns),
        eof_ns: later(stamps.eof_ns),
        last_known_ns: stamps.last_known_ns + by_ns,
    }
}
