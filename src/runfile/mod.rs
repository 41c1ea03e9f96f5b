//! The saved run: the files of a run bundle, written and read here and nowhere else.
//!
//! Each file has a module of its own that takes a writer or a reader; `bundle` knows the folder.

pub mod bundle;
pub mod difference;
pub mod events;
mod facts;
pub mod files;
pub mod hlog;
pub mod intervals;
pub mod invocations;
pub mod kept;
pub mod merge;
pub mod network;
pub mod readback;
pub mod repeats;
pub mod run;
pub mod schema;
pub mod table;
pub mod verify;

pub use bundle::Bundle;
pub use repeats::Repeats;
pub use run::{Run, Status};

#[cfg(test)]
mod tests;
