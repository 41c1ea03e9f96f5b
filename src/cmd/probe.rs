//! `plimsoll probe`: one invocation, printed as a waterfall of its events.

use std::io::{self, Write};

use anyhow::Context;
use hyper::header::CONTENT_TYPE;

use super::endpoint::Endpoint;
use super::{Exit, output};
use crate::agent::Recording;
use crate::agent::recording::Piece;
use crate::cli::ProbeArgs;
use crate::client::{Ask, Client, Seen, Stamper};
use crate::clock::{self, Clock};
use crate::metrics::breakdown;
use crate::metrics::tracker::Start;
use crate::metrics::{Outcome, Record};
use crate::profile::{Plan, Profile};
use crate::report::parts;
use crate::runfile::bundle;
use crate::units::{Human, HumanBytes};

/// How much of an event's data is shown, in characters.
const VIEW_CHARS: usize = 60;

/// Runs one invocation against the profile's target.
///
/// # Errors
/// The key or TLS can't be had, the preflight is refused, or the output can't be written.
pub fn run(profile: &Profile, args: &ProbeArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    // Opened before anything is sent: an invocation costs something.
    let file = args.record.as_deref().map(|path| Ok::<_, bundle::Error>((path, output::create(path)?))).transpose();
    let file = file.context("failed to record")?;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = clock::watch_turns(builder.enable_all()).build()?;
    let local = tokio::task::LocalSet::new();
    let endpoint = local.block_on(&runtime, Endpoint::open(profile, 1))?;
    local.block_on(&runtime, endpoint.preflight(profile))?;
    let clock = Clock::start();
    let client = endpoint.client(profile, "probe", clock);
    let (mut lines, mut recording) = (Vec::new(), Recording::default());
    let record = local.block_on(&runtime, invoke(&client, profile, clock, &mut lines, &mut recording));
    let lookup_ns = endpoint.route().lookup_ns();
    endpoint.close();
    // First what was measured, then what may fail.
    if let Some(lookup_ns) = lookup_ns {
        writeln!(out, "{:>10} before the start  dns", Human(lookup_ns).to_string())?;
    }
    waterfall(&record, &lines, out)?;
    if let Some((path, mut file)) = file {
        count_from_send(&mut recording, &record);
        if args.redact {
            recording.redact(|bytes| client.blot(bytes));
        }
        let written = recording.write(&mut file).and_then(|()| file.flush());
        written.map_err(output::unwritten(path)).context("failed to record")?;
    }
    Ok(if record.outcome == Outcome::Completed { Exit::Done } else { Exit::NothingCompleted })
}

/// One event as the waterfall shows it.
#[derive(Debug)]
struct Line {
    arrival_ns: u64,
    bytes: usize,
    kind: String,
    view: String,
}

/// Moves the recording's origin from the run's to the send of its request.
fn count_from_send(recording: &mut Recording, record: &Record) {
    let sent_ns = record.stamps.sent_ns.unwrap_or_default();
    for piece in &mut recording.pieces {
        piece.at_ns = piece.at_ns.saturating_sub(sent_ns);
    }
    recording.end_ns = record.stamps.eof_ns.map(|eof_ns| eof_ns.saturating_sub(sent_ns));
}

async fn invoke(
    client: &Client,
    profile: &Profile,
    clock: Clock,
    lines: &mut Vec<Line>,
    recording: &mut Recording,
) -> Record {
    let planned = Plan::new(profile).invocation(0);
    let ask = Ask { variant_at: planned.variant_at, prompt: &planned.prompt, read_bytes_per_s: None };
    let started_ns = clock.now();
    let start = Start {
        plan_index: 0,
        variant: planned.variant,
        conversation: 0,
        turn: 0,
        worker: 0,
        warmup: false,
        task_id: None,
        intended_ns: started_ns,
        started_ns,
    };
    let mut watch = |seen: Seen<'_>| match seen {
        Seen::Sent | Seen::Followed(_) => {}
        Seen::Head(head) => {
            recording.status = head.status().as_u16();
            let content_type = head.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            recording.content_type = content_type.unwrap_or_default().to_owned();
        }
        Seen::Bytes(arrival, bytes) => {
            recording.pieces.push(Piece { at_ns: arrival.arrival_ns, bytes: bytes.to_vec() });
        }
        Seen::Event(arrival, envelope, payload) => lines.push(Line {
            arrival_ns: arrival.arrival_ns,
            bytes: payload.len(),
            kind: view(&client.hide(&type_of(payload))),
            view: view(&client.hide(envelope.data.unwrap_or_default())),
        }),
    };
    let mut slot = client.slot(&Stamper::new(clock));
    slot.invoke(start, ask, Vec::new(), std::future::pending(), &mut watch).await.0
}

/// The event's `type` as it came, also one that the contract does not know.
fn type_of(payload: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    event["type"].as_str().unwrap_or_default().to_owned()
}

/// The start of some data in one line, safe for a terminal.
fn view(data: &str) -> String {
    data.chars().take(VIEW_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn waterfall(record: &Record, lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let stamps = &record.stamps;
    let started_ns = stamps.started_ns.unwrap_or(stamps.intended_ns);
    let phases = [
        ("tcp", stamps.connected_ns),
        ("tls", stamps.tls_done_ns),
        ("sent", stamps.sent_ns),
        ("headers", stamps.headers_ns),
    ];
    for (name, at_ns) in phases {
        if let Some(at_ns) = at_ns {
            writeln!(out, "{:>10} after the start  {name}", Human(at_ns.saturating_sub(started_ns)).to_string())?;
        }
    }
    writeln!(out, "{:>10} {:>10} {:>8}  event", "since send", "gap", "bytes")?;
    let sent_ns = stamps.sent_ns.unwrap_or(started_ns);
    let mut before_ns = sent_ns;
    for line in lines {
        let since = Human(line.arrival_ns.saturating_sub(sent_ns));
        let gap = Human(line.arrival_ns.saturating_sub(before_ns));
        before_ns = line.arrival_ns;
        writeln!(out, "{since:>10} {gap:>10} {:>8}  {:<18} {}", line.bytes, line.kind, line.view)?;
    }
    let detail = record.detail.as_deref().map(|detail| format!(": {}", view(detail))).unwrap_or_default();
    writeln!(out, "\noutcome   {}{detail}", record.outcome)?;
    for (name, stamp) in [("ttfc", stamps.first_chunk_ns), ("finish", stamps.finished_ns)] {
        if let Some(at_ns) = stamp {
            writeln!(out, "{name:<9} {} from the send", Human(at_ns.saturating_sub(sent_ns)))?;
        }
    }
    let counts = &record.counts;
    writeln!(
        out,
        "{} events, {} chunks, {} of text, {} of body; {} events shared their read",
        counts.events,
        counts.chunks,
        HumanBytes(counts.text_bytes),
        HumanBytes(counts.body_bytes),
        counts.shared_reads
    )?;
    writeln!(out, "\nwhere the time went")?;
    parts::write_bars(&breakdown::slices(record), out)
}
