//! Flags and their help; what they mean is `cmd`'s business.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Run one invocation and print it as a waterfall of its events.
    Probe(ProfileArgs),
    /// Validate a profile; sends nothing.
    Check(ProfileArgs),
}

/// A profile and what overrides it.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The profile's file; the built-in quickstart when absent.
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
    /// Any key of the profile: --set KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}
