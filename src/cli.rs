//! Flags and their help; what they mean is `cmd`'s business.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    Probe(ProfileArgs),
    /// Validate a profile; sends nothing.
    Check(ProfileArgs),
    /// Render a run bundle again, also one whose run was killed.
    Report(ReportArgs),
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
    /// No progress; the report alone.
    #[arg(long)]
    pub quiet: bool,
    /// The summary as JSON on standard output; everything else goes to standard error.
    #[arg(long)]
    pub json: bool,
}

/// A bundle and how to show it.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of the run.
    pub run: PathBuf,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReportFormat,
    /// `-` for standard output; else the file goes into the bundle.
    #[arg(short = 'o', long)]
    pub output: Option<String>,
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
}

/// A profile and what overrides it.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// A profile's file, or a built-in one: quickstart (when absent), chat, tools, soak.
    pub profile: Option<PathBuf>,
    /// Base URL of the agents' API, such as https://api.xpander.ai.
    #[arg(long)]
    pub url: Option<String>,
    /// The agent that is invoked.
    #[arg(long)]
    pub agent: Option<String>,
    /// Conversations at a time.
    #[arg(short = 'c', long)]
    pub concurrency: Option<String>,
    /// Stop after this many invocations.
    #[arg(short = 'n', long)]
    pub invocations: Option<String>,
    /// Start nothing more after this long.
    #[arg(short = 'z', long)]
    pub duration: Option<String>,
    /// A further header, as in curl: 'Name: value'.
    #[arg(short = 'H', long = "header")]
    pub headers: Vec<String>,
    /// A PEM file with further certificate authorities.
    #[arg(long)]
    pub cacert: Option<String>,
    /// Never taken: a key does not belong into a process list or a shell's history.
    #[arg(long, alias = "key", alias = "token", hide = true)]
    pub api_key: Option<String>,
    /// Any key of the profile: --set KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}
