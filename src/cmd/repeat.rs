//! `plimsoll run --repeat K`: the same workload K times, one run after another, and what the runs come to together.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::ending::{Once, unless_unread};
use super::run::once;
use super::signals::Requests;
use super::{Exit, output, provenance, report};
use crate::cli::RunArgs;
use crate::clock::Clock;
use crate::driver::Stop;
use crate::profile::{Budget, Profile};
use crate::runfile::repeats::REPEATS;
use crate::runfile::{Repeats, Run, Status, bundle};
use crate::units::Human;

/// Runs the profile as often as it says; prints each run's report, and that of all together.
///
/// # Errors
/// The folder of all can't be written, or the first run can't start. A later one that fails ends the series, whose
/// report comes first.
pub(super) fn run(
    profile: &Profile,
    args: &RunArgs,
    requests: &Requests,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    if args.plan.is_some() && profile.repeat.own_plans {
        bail!("failed to start: --plan writes one plan, and each repeat has its own: set repeat.plan = \"same\"");
    }
    let folder = create(profile, &args.out).context("failed to start")?;
    let mut series = Series { folder, asked: (profile.repeat.runs, profile.repeat.pause_ns), runs: Vec::new() };
    series.write()?;
    let ended = all(profile, args, requests, &mut series, out);
    requests.end_at_once();
    if series.runs.is_empty() {
        // Nothing was measured; a folder that holds a bundle after all stays.
        for name in [REPEATS, report::REPORT_MD] {
            let _ = fs::remove_file(series.folder.join(name));
        }
        let _ = fs::remove_dir(&series.folder);
        return ended;
    }
    let repeats = series.write()?;
    let shown = if args.json {
        out.write_all(repeats.to_json().as_bytes())
    } else {
        writeln!(out).and_then(|()| report::repeats_screen(&series.folder, &repeats, out))
    };
    shown.or_else(unless_unread)?;
    ended
}

/// The runs so far, and the folder that holds them.
struct Series {
    folder: PathBuf,
    asked: (u32, u64),
    runs: Vec<Run>,
}

impl Series {
    /// Writes down what the runs so far come to.
    fn write(&self) -> anyhow::Result<Repeats> {
        let id = self.folder.file_name().map_or_else(String::new, |name| name.display().to_string());
        let (asked, pause_ns) = self.asked;
        let repeats =
            Repeats::of(id, (Some(asked), Some(pause_ns)), &self.runs).context("failed to sum up the runs")?;
        report::write_repeats(&self.folder, &repeats)?;
        Ok(repeats)
    }
}

/// The folder of a series: when it began, the profile's name, and how many were asked for.
fn create(profile: &Profile, out: &Path) -> Result<PathBuf, bundle::Error> {
    fs::create_dir_all(out).map_err(output::unwritten(out))?;
    let began = provenance::began(Clock::start().wall_unix_ns());
    let name = format!("{}-x{}", provenance::run_id(&began, &profile.name), profile.repeat.runs);
    provenance::first_free(&name, |name| {
        let folder = out.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(bundle::Error::Exists { path: folder }),
            Err(error) => Err(output::unwritten(&folder)(error)),
        }
    })
}

/// One run after another, until all are made or something ends them.
fn all(
    profile: &Profile,
    args: &RunArgs,
    requests: &Requests,
    series: &mut Series,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let (mut left, mut worst, mut held_ns) = (profile.budget, Exit::Done, 0);
    for number in 0..profile.repeat.runs {
        if number > 0 {
            let pause_ns = pause_ns(profile, held_ns);
            if let Some(stop) = pause(requests, pause_ns, args.quiet)? {
                return Ok(worst.or(stop.into()));
            }
            if left.is_spent() {
                return Ok(worst.or(Exit::BudgetSpent));
            }
        }
        let mut next = profile.repeat(number);
        next.budget = left;
        let once = once(&next, &profile.budget, (&series.folder, args), requests)?;
        if let Some(harness) = &once.run.harness {
            left = left.less(harness.started, harness.end_ns);
        }
        (worst, held_ns) = (worst.or(once.exit()), once.held_ns);
        let whole = once.run.status == Status::Done;
        // It is one of the series whatever becomes of its report on the screen.
        series.runs.push(once.run.clone());
        let written = series.write();
        let shown = if args.json { Ok(()) } else { show(&once, (number, profile.repeat.runs), out) };
        once.tell_failures();
        written?;
        shown?;
        // What stopped one run would stop the next, or was meant for all.
        if !whole {
            break;
        }
    }
    Ok(worst)
}

fn show(once: &Once, (number, runs): (u32, u32), out: &mut impl Write) -> io::Result<()> {
    let told = writeln!(out, "{}run {} of {runs}", if number > 0 { "\n" } else { "" }, number + 1);
    told.and_then(|()| once.show(false, out)).or_else(unless_unread)
}

/// The pause that was asked for, or longer: the budget's rate and the target's word hold across it.
fn pause_ns(profile: &Profile, held_ns: u64) -> u64 {
    let Budget { rate, .. } = profile.budget;
    let apart_ns = rate.map_or(0, |rate| rate.instant_ns(1));
    profile.repeat.pause_ns.max(held_ns).max(apart_ns)
}

/// Waits; a request to end is what it comes back with.
fn pause(requests: &Requests, pause_ns: u64, quiet: bool) -> anyhow::Result<Option<Stop>> {
    let mut stops = requests.take();
    if !quiet && pause_ns > 0 {
        // A standard error that is gone is no reason to stop measuring.
        let _ = writeln!(io::stderr(), "pause of {}", Human(pause_ns));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = runtime.block_on(async {
        tokio::select! {
            stop = stops.recv() => stop,
            () = tokio::time::sleep(Duration::from_nanos(pause_ns)) => None,
        }
    });
    requests.end_at_once();
    Ok(stop)
}
