//! `plimsoll mock`: serves a mock agent until a signal comes, then says what it served.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::cli::MockArgs;
use crate::mock::{Logs, Mock, Options, Served};
use crate::profile::script::Script;
use crate::seed::Seed;

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// The script is wrong, a log can't be created or written, or the address can't be listened on.
pub fn run(args: &MockArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let script = load(args.script.as_deref())?;
    let mut logs = Logs::default();
    if let Some(path) = &args.truth {
        logs = logs.truth(create(path)?);
    }
    if let Some(path) = &args.log {
        logs = logs.requests(create(path)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = Options { listen: args.listen };
    let mock = Mock::logging(&script, Seed(args.seed), &options, logs).context("failed to start the mock")?;
    greet(&mock, &script, out)?;
    runtime.block_on(stopped())?;
    let finished = mock.finish_logs();
    report(&mock.stop(), out)?;
    finished.context("failed to write a log of the mock")?;
    Ok(Exit::Done)
}

/// Reads a script file, or takes the built-in script.
fn load(path: Option<&Path>) -> anyhow::Result<Script> {
    let Some(path) = path else { return Ok(Script::built_in()) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read the script {name}"))?;
    Ok(Script::parse(&name, &text)?)
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write + Send>> {
    let file = File::create(path).with_context(|| format!("failed to create the log {}", path.display()))?;
    Ok(Box::new(file))
}

fn greet(mock: &Mock, script: &Script, out: &mut impl Write) -> io::Result<()> {
    let url = format!("http://{}", mock.address());
    writeln!(out, "mock agent at {url}; Ctrl-C stops it")?;
    if let Some(why) = &script.why {
        writeln!(out, "script  {why}")?;
    }
    writeln!(
        out,
        "try     curl -N {url}/v1/agents/mock-agent/invoke/stream -H 'content-type: application/json' \\\n             -d '{{\"input\":{{\"text\":\"Hi\"}}}}'"
    )?;
    out.flush()
}

/// Waits for the signal to stop.
async fn stopped() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn report(served: &Served, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "served {} invocations ({} completed, {} ended otherwise, {} broken off by the script, {} hung up on), {} events,\n       \
         {} requests on {} connections, {} refused",
        served.invocations,
        served.completed,
        served.not_completed,
        served.broken,
        served.hung_up,
        served.events,
        served.requests,
        served.connections,
        served.refused
    )
}
