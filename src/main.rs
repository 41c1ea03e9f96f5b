//! The process edge: arguments in, exit code out.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::{Cli, Command};
use plimsoll::cmd::{Exit, calibrate, check, merge, mock, probe, report, run, sse, told, workload};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match command(&cli) {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}", told(&error));
            Exit::of_failure(&error).into()
        }
    }
}

fn command(cli: &Cli) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    match &cli.command {
        Command::Check(args) => {
            check::run(&workload::load(&args.profile)?, args.plan.as_deref(), &mut out)?;
            Ok(Exit::Done)
        }
        Command::Run(args) => run::run(&workload::load(&args.profile)?, args, &mut out),
        Command::Report(args) => report::run(args, &mut out),
        Command::Merge(args) => merge::run(args, &mut out),
        Command::Calibrate(args) => calibrate::run(args, &mut out),
        Command::Sse(args) => sse::run(args, &mut out, &mut io::stderr()),
        Command::Mock(args) => mock::run(args, &mut out),
        Command::Probe(args) => probe::run(&workload::load(&args.profile)?, args, &mut out),
    }
}

/// A reader that has seen enough is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
