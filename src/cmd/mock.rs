//! `plimsoll mock`: serves a mock agent until a signal comes, then says what it served.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, output};
use crate::cli::MockArgs;
use crate::mock::{Logs, Mock, Options, Served};
use crate::profile::script::{Capacity, Scale, Script};
use crate::seed::Seed;
use crate::units::Human;

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// The script is wrong, a file can't be created or written, or the address can't be listened on.
pub fn run(args: &MockArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let script = load(args.script.as_deref())?;
    if args.explain {
        explain(&script, out)?;
        return Ok(Exit::Done);
    }
    let mut logs = Logs::default();
    if let Some(path) = &args.truth {
        logs = logs.truth(create(path)?);
    }
    if let Some(path) = &args.log {
        logs = logs.requests(create(path)?);
    }
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = Options { listen: args.listen, tls: args.tls || args.tls_ca.is_some() };
    let mock = Mock::logging(&script, Seed(args.seed), &options, logs).context("failed to start the mock")?;
    if let (Some(path), Some(pem)) = (&args.tls_ca, mock.authority_pem()) {
        let written = std::fs::write(path, pem).map_err(output::unwritten(path));
        written.context("failed to hand out the certificate authority")?;
    }
    greet(&mock, args, &script, out)?;
    runtime.block_on(stopped())?;
    let agent = mock.agent();
    report(&mock.stop(), out)?;
    agent.finish_logs().map_err(output::unwritten(Path::new("a log of the mock"))).context("failed to end in order")?;
    Ok(Exit::Done)
}

/// Lets the mock hold as many connections as the system allows this process at all.
fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where that is refused, accepting waits until a connection is free.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Reads a script file, or takes the built-in script.
fn load(path: Option<&Path>) -> anyhow::Result<Script> {
    let Some(path) = path else { return Ok(Script::built_in()) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read the script {name}"))?;
    Ok(Script::parse(&name, &text)?)
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Write + Send>> {
    let file = File::create(path).map_err(output::unwritten(path)).context("failed to start the mock")?;
    Ok(Box::new(file))
}

fn greet(mock: &Mock, args: &MockArgs, script: &Script, out: &mut impl Write) -> io::Result<()> {
    let (scheme, trust) = match (mock.authority_pem(), &args.tls_ca) {
        (None, _) => ("http", String::new()),
        (Some(_), Some(path)) => ("https", format!(" --cacert {}", path.display())),
        (Some(_), None) => ("https", " --insecure".to_owned()),
    };
    let url = format!("{scheme}://{}", mock.address());
    writeln!(out, "mock agent at {url}; Ctrl-C stops it")?;
    if let Some(why) = &script.why {
        writeln!(out, "script  {why}")?;
    }
    writeln!(
        out,
        "try     curl -N{trust} {url}/v1/agents/mock-agent/invoke/stream -d '{{\"input\":{{\"text\":\"Hi\"}}}}'"
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
        "served {} invocations: {} completed, {} ended otherwise, {} broken off by the script, {} hung up on; {} events",
        served.invocations, served.completed, served.not_completed, served.broken, served.hung_up, served.events,
    )?;
    writeln!(
        out,
        "       {} requests on {} connections, {} refused",
        served.requests, served.connections, served.refused
    )
}

/// Shares of the capacity at which the wait is told.
const UTILISATIONS: [f64; 6] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99];

/// Says what follows from the script's own figures: for requests without overrides, then under each effect.
fn explain(script: &Script, out: &mut impl Write) -> io::Result<()> {
    if let Some(why) = &script.why {
        writeln!(out, "script       {why}")?;
    }
    if script.replay.is_some() {
        writeln!(out, "             it replays recordings: nothing below holds for them")?;
    }
    figures(&Capacity::of(script, Scale::default()), out)?;
    let service = &script.service;
    if let Some(rate) = service.rate {
        writeln!(out, "rate limit   {rate} requests/s after a burst of {}; others get 429", service.burst)?;
    }
    match service.queue_max {
        Some(queue_max) => writeln!(out, "queue        {queue_max} may wait; further ones get {}", service.overflow)?,
        None if service.slots.is_some() => writeln!(out, "queue        without a bound")?,
        None => {}
    }
    if service.cold_start.mean() > 0.0 {
        let (cold, warm) = (human(service.cold_start.mean()), Human(service.warm_ns));
        writeln!(out, "cold start   {cold} more (mean) on a slot that was idle for {warm}; not in the figures above")?;
    }
    if script.slower_per_turn > 0.0 {
        writeln!(
            out,
            "turns        each further one {:.1} % slower; the figures are of first turns",
            script.slower_per_turn * 100.0
        )?;
    }
    for effect in &script.effects {
        let when: Vec<_> = effect.when.iter().map(|(field, value)| format!("{field} = {value:?}")).collect();
        let from = if effect.from_turn > 0 { format!(" from turn {} on", effect.from_turn) } else { String::new() };
        let when = if when.is_empty() { "any request".to_owned() } else { when.join(", ") };
        writeln!(out, "\neffect       {when}{from}")?;
        figures(&Capacity::of(script, effect.scale), out)?;
    }
    Ok(())
}

fn figures(capacity: &Capacity, out: &mut impl Write) -> io::Result<()> {
    let Capacity { before, to_first_chunk, service, .. } = capacity;
    let spread = |moments: &crate::profile::script::capacity::Moments| {
        format!("{} mean, {} standard deviation", human(moments.mean_ns), human(moments.deviation_ns()))
    };
    writeln!(out, "first chunk  {}, when nobody waits", spread(&before.and(*to_first_chunk)))?;
    writeln!(out, "finish       {}, when nobody waits", spread(&before.and(*service)))?;
    writeln!(out, "service      {}: from executing to the end", spread(service))?;
    let (Some(slots), Some(per_second)) = (capacity.slots, capacity.per_second()) else {
        return writeln!(out, "capacity     no limit");
    };
    let stretched = if capacity.stretch > 0.0 { format!(" × {}", 1.0 + capacity.stretch) } else { String::new() };
    let mean = human(service.mean_ns);
    writeln!(out, "capacity     {per_second:.3} invocations/s = {slots} slots / ({mean}{stretched})")?;
    if capacity.stretch > 0.0 {
        return writeln!(out, "wait         not computed: the service stretches with its load");
    }
    writeln!(out, "wait         mean time for a slot with Poisson arrivals (M/G/{slots})")?;
    for utilisation in UTILISATIONS {
        let wait = human(capacity.wait_ns(utilisation).unwrap_or_default());
        writeln!(out, "  at {:>3.0} %   {:>8.3} invocations/s  {wait}", utilisation * 100.0, per_second * utilisation)?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn human(ns: f64) -> Human {
    Human(ns.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_of_a_script_is_explained() {
        let text = r#"
why = "eight slots"
queue = "10ms"
service = { slots = 8, queue_max = 100, rate = 50, burst = 10, cold_start = "2s" }
first_chunk = { exponential = "500ms" }
chunks = 11
gap = "50ms"
[[effect]]
when = { llm_model_name = "slow" }
scale = { time = 1.2 }
"#;
        let script = Script::parse("x.toml", text).expect("a valid script");
        let mut out = Vec::new();
        explain(&script, &mut out).expect("a vector takes it");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r#"
        script       eight slots
        first chunk  510ms mean, 500ms standard deviation, when nobody waits
        finish       1.01s mean, 500ms standard deviation, when nobody waits
        service      1.00s mean, 500ms standard deviation: from executing to the end
        capacity     8.000 invocations/s = 8 slots / (1.00s)
        wait         mean time for a slot with Poisson arrivals (M/G/8)
          at  50 %      4.000 invocations/s  9.23ms
          at  70 %      5.600 invocations/s  70.5ms
          at  80 %      6.400 invocations/s  179ms
          at  90 %      7.200 invocations/s  548ms
          at  95 %      7.600 invocations/s  1.32s
          at  99 %      7.920 invocations/s  7.56s
        rate limit   50 requests/s after a burst of 10; others get 429
        queue        100 may wait; further ones get 429
        cold start   2.00s more (mean) on a slot that was idle for 60.0s; not in the figures above

        effect       llm_model_name = "slow"
        first chunk  612ms mean, 600ms standard deviation, when nobody waits
        finish       1.21s mean, 600ms standard deviation, when nobody waits
        service      1.20s mean, 600ms standard deviation: from executing to the end
        capacity     6.667 invocations/s = 8 slots / (1.20s)
        wait         mean time for a slot with Poisson arrivals (M/G/8)
          at  50 %      3.333 invocations/s  11.1ms
          at  70 %      4.667 invocations/s  84.6ms
          at  80 %      5.333 invocations/s  215ms
          at  90 %      6.000 invocations/s  658ms
          at  95 %      6.333 invocations/s  1.58s
          at  99 %      6.600 invocations/s  9.07s
        "#);
    }
}
