//! From the plan to the records: workers carry the load, one dispatcher owns what the user sees.
//!
//! The driver does not know what a report is; it fills a run bundle and says how far it is.

pub mod control;
pub mod crew;
pub mod dispatcher;
pub mod machine;
pub mod seconds;
pub mod worker;

#[cfg(test)]
mod tests;

pub use control::{Control, Phase};
pub use crew::Crew;
pub use dispatcher::{Dispatcher, Ended, Live, Stop};
pub use worker::{Message, Progress, Window, Worker};
