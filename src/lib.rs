//! plimsoll: a load-testing and latency benchmark harness for streaming AI agents.
//!
//! It loads `POST /v1/agents/{agent_id}/invoke/stream` (server-sent events), stamps every event, and
//! reports time to first chunk, time to `task_finished` and everything between. One invocation in code:
//!
//! ```
//! # fn main() -> Result<(), plimsoll::sse::Error> {
//! let mut parser = plimsoll::sse::Parser::default();
//! let mut events = parser.feed(b"data: {\"type\":\"chunk\"}\n\n");
//! while let Some(event) = events.next()? {
//!     println!("{}", event.data_lossy());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The map: imports point down only (`tests/tidy.rs` checks it)
//!
//! | layer | modules | never |
//! |---|---|---|
//! | L0 foundations | [`units`] · [`clock`] · [`seed`] | anything of ours |
//! | L1 pure engines | [`sse`] · [`stats`] · [`pacer`] | clock, async, files |
//! | L2 vocabulary | [`agent`] · [`metrics`] · [`profile`] · [`runfile`] | sockets |
//! | L3 I/O | [`client`] · [`driver`] · [`mock`] | reports, the command line |
//! | L4 judgement | [`calibrate`] | clock, async, files, each other |
//! | L5 presentation | [`report`] | L3 |
//! | L6 edge | [`cli`] · [`cmd`] | |
//!
//! # Invariants, stated as absences
//!
//! Only L3 and `cmd` await. Nothing below L3 reads a clock; only [`clock`] asks the system for the time.
//! Only `cmd` and `main` print. Only `profile::wire` knows the TOML.

pub mod agent;
pub mod calibrate;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cmd;
pub mod driver;
pub mod metrics;
pub mod mock;
pub mod pacer;
pub mod profile;
pub mod report;
pub mod runfile;
pub mod seed;
pub mod sse;
pub mod stats;
pub mod units;
