//! What happened: the record of one invocation, the outcome it ended in, and what a run sums up to.
//!
//! The definitions stand in the README ("What is measured"); nothing here reads a clock or a socket.

pub mod outcome;
pub mod record;
pub mod tracker;

pub use outcome::{Outcome, Phase};
pub use record::{Counts, Longest, Record, Stamps};
