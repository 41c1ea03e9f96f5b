//! Flags and their help; what they mean is `cmd`'s business.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::calibrate::{self, Load, Transport};
use crate::profile::script::FaultKind;
use crate::units;

/// Load-testing and latency benchmark harness for streaming AI agents.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load an agent and write a run bundle.
    Run(RunArgs),
    /// Run one invocation and print it as a waterfall of its events.
    Probe(ProbeArgs),
    /// Validate a profile; sends nothing.
    Check(CheckArgs),
    /// Serve a mock agent: the documented API with scripted timing, faults and capacity.
    #[command(after_long_help = faults())]
    Mock(MockArgs),
    /// Render a run bundle again, also one whose run was killed.
    Report(ReportArgs),
    /// Join the run bundles of one plan: several hosts, or several runs.
    Merge(MergeArgs),
    /// Hold every event that a run reports against a known truth: how wrong this harness is on this machine.
    Calibrate(CalibrateArgs),
    /// Print the events of a raw event stream as JSON, a line each.
    Sse(SseArgs),
}

/// What is checked, and where its plan goes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What is checked.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Write every planned start to this file, as lines of JSON that --replay reads.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

/// A run and where it goes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What is run.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// The folder that the run bundle is made in.
    #[arg(long, default_value = "reports")]
    pub out: PathBuf,
    /// Exit with 8 unless the measurement is at least this good.
    #[arg(long, value_enum, value_name = "VERDICT")]
    pub require: Option<Require>,
    /// Write every event down too, as events.csv, or compressed: --events=gz, --events=zst.
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "csv")]
    pub events: Option<EventFormat>,
    /// Write the plan that is run to this file, as lines of JSON that --replay reads: what is planned, or of a closed
    /// load that only its duration ends, the conversations that were taken up.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// No progress; the report alone.
    #[arg(long)]
    pub quiet: bool,
    /// The summary as JSON on standard output; everything else goes to standard error.
    #[arg(long)]
    pub json: bool,
}

/// How good a measurement must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Require {
    /// TRUSTED; DEGRADED is as bad as INVALID then.
    Trusted,
}

/// How the events of a run are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventFormat {
    /// As they are: events.csv.
    Csv,
    /// In gzip: events.csv.gz.
    Gz,
    /// In Zstandard: events.csv.zst.
    Zst,
}

/// Bundles and how to show them.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The folder of a run; several, or a folder that holds several, are shown beside each other.
    #[arg(required_unless_present = "schema", value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReportFormat,
    /// A file, which is replaced, or a folder that the report goes into; `-` for standard output. Else it goes into the
    /// bundle, and text and JSON to standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Instead of a report, make every number again from the bundle's files and say what differs (exit 8).
    #[arg(long, conflicts_with_all = ["format", "output"])]
    pub verify: bool,
    /// Instead of a report, print the JSON Schema of run.json, or of what several runs come to.
    #[arg(long, value_enum, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "run",
        conflicts_with_all = ["runs", "format", "output", "verify"])]
    pub schema: Option<Schema>,
}

/// What has a published JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// A run's run.json.
    Run,
    /// The repeats.json of several runs.
    Repeats,
}

/// Bundles and where they are joined.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The folders of the runs.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The folder that the joined bundle is made in.
    #[arg(long, default_value = "reports")]
    pub out: PathBuf,
}

/// How a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The first screen, on standard output.
    Text,
    /// Every number with its definition, as `report.md` in the bundle.
    Md,
    /// The whole of `run.json`, summed up again, on standard output.
    Json,
    /// One page that opens offline, as `report.html` in the bundle.
    Html,
    /// A row for each metric, as `summary.csv` in the bundle.
    Csv,
    /// Objectives and trust as test cases, as `junit.xml` in the bundle.
    Junit,
    /// HdrHistogram's percentile distribution of each metric, as `METRIC.hgrm` in the bundle.
    Hgrm,
}

/// What is swept, and where the result goes.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// A load: streams and the gap between their events, such as 1000x20ms; once for each. A ladder when absent, which
    /// ends where the machine does.
    #[arg(long = "load", value_name = "LOAD")]
    pub loads: Vec<Load>,
    /// plain, tls or h2 (over TLS); once for each. All three when absent.
    #[arg(long = "transport", value_name = "TRANSPORT")]
    pub transports: Vec<Transport>,
    /// How long all streams of a load stand together, at most 1h [default: 3s, or 1s with --quick].
    #[arg(long, value_name = "DURATION", value_parser = calibrate::parse_duration_ns)]
    pub duration: Option<u64>,
    /// Run each load so often, and take each figure's median.
    #[arg(long, value_name = "N", default_value = "1")]
    pub repeat: NonZeroU32,
    /// Workers of the client; it is pinned to as many cores, or to all but the mock's where that is fewer [default: 1].
    #[arg(short = 'w', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub workers: Option<u32>,
    /// Two loads of a second, to see that it works.
    #[arg(long)]
    pub quick: bool,
    /// Client and mock wherever the system puts them, instead of on cores of their own.
    #[arg(long)]
    pub no_pin: bool,
    /// Write the study down too, in Markdown.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// No progress; the table alone.
    #[arg(long)]
    pub quiet: bool,
}

/// An event stream and how it is read.
#[derive(Debug, Args)]
pub struct SseArgs {
    /// What `curl -N` or a capture brought home; `-` or nothing for standard input.
    pub file: Option<PathBuf>,
    /// How much is read at a time, at most 64MiB.
    #[arg(long, value_name = "N", default_value = "64KiB", value_parser = read_size)]
    pub read_size: usize,
    /// The longest line, and the largest event.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size)]
    pub limit: usize,
}

/// The kinds of faults that a script can plant.
fn faults() -> String {
    let line = |kind: &FaultKind| format!("\n  {:<22}{}", kind.word(), kind.meaning());
    let lines: String = FaultKind::ALL.iter().map(line).collect();
    format!("Faults of a script, each with a `probability` or `at` plan indices:{lines}")
}

/// What is probed, and what is kept of it.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// What is probed.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Keep the stream's bytes with the time of each read, for a mock to replay.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Mask what may be personal or secret in the recording, the API key among it; sizes and times stay.
    #[arg(long, requires = "record")]
    pub redact: bool,
}

/// How the mock is served.
#[derive(Debug, Args)]
pub struct MockArgs {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8484")]
    pub listen: SocketAddr,
    /// The script's file (TOML); the built-in one when absent.
    #[arg(long)]
    pub script: Option<PathBuf>,
    /// Where every random choice comes from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Speak TLS, with a certificate made at the start.
    #[arg(long)]
    pub tls: bool,
    /// Speak TLS, and write its certificate authority (PEM) here, for --cacert of a client.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Say what capacity follows from the script, and end.
    #[arg(long)]
    pub explain: bool,
    /// Write down when each event was handed to the socket, as CSV.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Write down each request, as lines of JSON; never keys or bodies.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// A profile and what overrides it.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// A profile's file, or a built-in one: quickstart (when absent), chat, tools, mixed, open, soak.
    pub profile: Option<PathBuf>,
    /// Base URL of the agents' API, such as https://api.xpander.ai.
    #[arg(long)]
    pub url: Option<String>,
    /// The agent that is invoked.
    #[arg(long)]
    pub agent: Option<String>,
    /// Conversations at a time; with -q, at most.
    #[arg(short = 'c', long)]
    pub concurrency: Option<String>,
    /// Stop after this many invocations.
    #[arg(short = 'n', long)]
    pub invocations: Option<String>,
    /// Start nothing more after this long.
    #[arg(short = 'z', long)]
    pub duration: Option<String>,
    /// Open load: conversations begun a second, whatever the answers do (50, 0.5, 90/m).
    #[arg(short = 'q', long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Run it so many times, each with a plan of its own, and report what they have in common.
    #[arg(long, value_name = "K")]
    pub repeat: Option<String>,
    /// From the end of a run to the beginning of the next, with --repeat.
    #[arg(long, value_name = "DURATION")]
    pub pause: Option<String>,
    /// Make the starts of this plan again, which --plan has written.
    #[arg(long, value_name = "FILE")]
    pub replay: Option<String>,
    /// A further header, as in curl: 'Name: value'.
    #[arg(short = 'H', long = "header")]
    pub headers: Vec<String>,
    /// A PEM file with further certificate authorities.
    #[arg(long)]
    pub cacert: Option<String>,
    /// The address that stands for a name and its port, as in curl: HOST:PORT:ADDRESS; once for each.
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    pub resolve: Vec<String>,
    /// An address of this machine that connections come from; several take turns.
    #[arg(long, value_name = "ADDRESS")]
    pub source: Vec<String>,
    /// The proxy that every connection is tunnelled through, such as http://proxy:3128; never one from the environment.
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// Never taken: a key does not belong into a process list or a shell's history.
    #[arg(long, alias = "key", alias = "token", hide = true)]
    pub api_key: Option<String>,
    /// What must hold of the run, such as 'ttfc p95 < 3s'; once for each, in place of the profile's.
    #[arg(long = "slo", value_name = "OBJECTIVE")]
    pub slo: Vec<String>,
    /// A text that each result must have, or its invocation has not completed; once for each.
    #[arg(long = "check-contains", value_name = "TEXT")]
    pub check_contains: Vec<String>,
    /// A regular expression that each result must match somewhere.
    #[arg(long = "check-matches", value_name = "REGEX")]
    pub check_matches: Option<String>,
    /// Any key of the profile: --set KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The largest `--read-size`, in bytes.
const READ_BYTES_MAX: usize = 64 << 20;

fn read_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes if (1..=READ_BYTES_MAX).contains(&bytes) => Ok(bytes),
        _ => Err("expected a size from 1B to 64MiB".to_owned()),
    }
}

/// A size in bytes, with a unit or without.
fn size(text: &str) -> Result<usize, String> {
    let bytes = text.parse().or_else(|_| units::parse_bytes(text)).map_err(|error| error.to_string())?;
    usize::try_from(bytes).map_err(|error| error.to_string())
}
