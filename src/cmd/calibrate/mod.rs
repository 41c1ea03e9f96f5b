//! `plimsoll calibrate`: loads a mock in a process of its own, and holds every event that was reported against its truth.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use tokio::sync::mpsc::UnboundedReceiver;

use super::signals::Requests;
use super::{Exit, output, provenance, told};
use crate::calibrate::{Load, Measured, Study, Transport};
use crate::cli::CalibrateArgs;
use crate::clock::Clock;
use crate::driver::Stop;
use crate::metrics::Verdict;
use crate::report::calibration;
use crate::units::NS_PER_S;

mod child;
mod cores;
mod round;

use cores::Placement;
use round::Round;

/// What is swept, in order of the events a second: up to beyond what two cores carry.
const LOADS: [(u32, u64); 8] =
    [(100, 20), (1_000, 50), (10_000, 250), (1_000, 20), (5_000, 60), (5_000, 50), (5_000, 40), (10_000, 40)];
/// What is swept where it has to be quick.
const QUICK_LOADS: [(u32, u64); 2] = [(100, 20), (1_000, 20)];
/// How long all streams stand together, in nanoseconds.
const DURATION_NS: u64 = 3 * NS_PER_S;
/// The same where it has to be quick.
const QUICK_DURATION_NS: u64 = NS_PER_S;

/// Sweeps, prints the table, and writes the study where it was asked for.
///
/// # Errors
/// A process does not start or fails, or the output can't be written.
pub fn run(args: &CalibrateArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    // Tried before anything runs: a sweep takes minutes.
    args.output.as_deref().map_or(Ok(()), output::check).context("failed to start")?;
    let clock = Clock::start();
    if clock.monotonic_ns().is_none() {
        bail!(
            "failed to calibrate: this system shares no monotonic clock between processes, so there is no truth to hold stamps against"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut study = study(args, clock);
    let requests = Requests::listen().context("failed to start")?;
    let mut stops = requests.take();
    let ended = runtime.block_on(sweep(args, clock, &mut study, &mut stops));
    study.cut_short = match &ended {
        Ok(None) => None,
        Ok(Some(Stop::Interrupt)) => Some("interrupted".to_owned()),
        Ok(Some(Stop::Terminate)) => Some("terminated".to_owned()),
        Err(error) => Some(told(error)),
    };
    // What was measured is kept however the sweep ended; an earlier study is not replaced by nothing.
    if !study.rows.is_empty() {
        let kept = args.output.as_deref().map_or(Ok(()), |path| keep(&study, path));
        requests.end_at_once();
        let shown = calibration::write_text(&study, out);
        kept?;
        shown?;
    }
    Ok(match ended? {
        Some(stop) => stop.into(),
        None if study.is_complete() => Exit::Done,
        None => Exit::Invalid,
    })
}

fn keep(study: &Study, path: &Path) -> anyhow::Result<()> {
    let mut text = Vec::new();
    calibration::write_markdown(study, &mut text)?;
    output::write_whole(path, &text).context("failed to keep the study")
}

fn study(args: &CalibrateArgs, clock: Clock) -> Study {
    let workers = args.workers.unwrap_or(1);
    let words: Vec<_> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    Study {
        command: format!("plimsoll {}", words.join(" ")),
        began: provenance::began(clock.wall_unix_ns()),
        build: provenance::build(),
        machine: provenance::machine(),
        placement: placement(args).to_string(),
        workers,
        duration_ns: duration_ns(args),
        runs: args.repeat.get(),
        rows: Vec::new(),
        cut_short: None,
        left_out: Vec::new(),
    }
}

fn placement(args: &CalibrateArgs) -> Placement {
    if args.no_pin { Placement::Free } else { Placement::of_this_machine(args.workers.unwrap_or(1)) }
}

fn duration_ns(args: &CalibrateArgs) -> u64 {
    let usual_ns = if args.quick { QUICK_DURATION_NS } else { DURATION_NS };
    args.duration.unwrap_or(usual_ns)
}

/// The loads that are meant, and whether those past the line are left out.
fn loads(args: &CalibrateArgs) -> (Vec<Load>, bool) {
    let of = |loads: &[(u32, u64)]| {
        loads.iter().map(|(streams, gap_ms)| Load { streams: *streams, gap_ns: gap_ms * 1_000_000 }).collect()
    };
    match (args.loads.as_slice(), args.quick) {
        ([], true) => (of(&QUICK_LOADS), true),
        ([], false) => (of(&LOADS), true),
        (loads, _) => (loads.to_vec(), false),
    }
}

/// Runs each load over each transport; says who asked for the end, when somebody did. What was run until then, or until
/// one failed, is in the study.
async fn sweep(
    args: &CalibrateArgs,
    clock: Clock,
    study: &mut Study,
    stops: &mut UnboundedReceiver<Stop>,
) -> anyhow::Result<Option<Stop>> {
    let (loads, stops_at_line) = loads(args);
    let transports = if args.transports.is_empty() { Transport::ALL.to_vec() } else { args.transports.clone() };
    for transport in transports {
        let mut past = false;
        for load in &loads {
            if past && stops_at_line {
                study.left_out.push((transport, *load));
                continue;
            }
            let mut runs = Vec::new();
            let ended = repeat(args, clock, (transport, *load), &mut runs, stops).await;
            if !runs.is_empty() {
                let row = Measured::median(&runs);
                past = row.trust.verdict == Verdict::Invalid || !row.mock_kept_up();
                study.rows.push(row);
            }
            if let Some(stop) = ended? {
                return Ok(Some(stop));
            }
        }
    }
    Ok(None)
}

/// Runs one load over one transport as often as was asked for.
async fn repeat(
    args: &CalibrateArgs,
    clock: Clock,
    (transport, load): (Transport, Load),
    runs: &mut Vec<Measured>,
    stops: &mut UnboundedReceiver<Stop>,
) -> anyhow::Result<Option<Stop>> {
    for number in 1..=args.repeat.get() {
        tell(args, transport, load, number);
        let round = Round {
            transport,
            load,
            duration_ns: duration_ns(args),
            workers: args.workers.unwrap_or(1),
            placement: placement(args),
            clock,
        };
        let measured = tokio::select! {
            biased;
            Some(stop) = stops.recv() => return Ok(Some(stop)),
            measured = round.run() => measured,
        };
        match measured {
            Ok(measured) => runs.push(measured),
            // A terminal's Ctrl-C reaches the round's processes too, and may have ended them first.
            Err(error) => return stops.try_recv().map(Some).map_err(|_| error),
        }
    }
    Ok(None)
}

/// Says on standard error what goes on.
#[expect(clippy::print_stderr, reason = "a sweep takes minutes")]
fn tell(args: &CalibrateArgs, transport: Transport, load: Load, number: u32) {
    if args.quiet {
        return;
    }
    let of = match args.repeat.get() {
        1 => String::new(),
        runs => format!(", run {number} of {runs}"),
    };
    eprintln!("calibrate  {load} over {}: {} events/s{of}", transport.word(), load.events_per_s());
}
