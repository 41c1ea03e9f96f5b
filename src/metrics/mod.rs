//! What happened: the record of one invocation, the outcome it ended in, and what a run sums up to.
//!
//! The definitions stand in the README ("What is measured"); nothing here reads a clock or a socket.

pub mod breakdown;
pub mod buffering;
pub mod burst;
pub mod certificate;
pub mod check;
mod column;
mod columns;
pub mod conversations;
pub mod decomposition;
pub mod digest;
mod labeller;
pub mod ledger;
mod marginal;
pub mod metric;
pub mod objective;
pub mod outcome;
mod packed;
mod part_samples;
pub mod parts;
mod pulse;
pub mod reason;
pub mod record;
pub mod recorder;
pub mod repeats;
pub mod server;
mod start;
pub mod summary;
mod tally;
pub mod tools;
pub mod tracker;
pub mod warning;
mod watch;

pub use buffering::Buffered;
pub use burst::Burst;
pub use certificate::{Certificate, Verdict};
pub use check::Checks;
pub use ledger::Ledger;
pub use metric::{Metric, Origin, Series};
pub use objective::Objective;
pub use outcome::{Outcome, Phase};
pub use parts::{Part, PartTimes};
pub use record::{Conduct, Counts, Longest, Record, ServerStamps, Stamps};
pub use recorder::{Parts, Recorder};
pub use summary::Summary;
pub use tools::ToolTime;
pub use warning::Warning;
