//! From the plan to the records: workers carry the load, one dispatcher owns what the user sees.
//!
//! The driver does not know what a report is; it fills a run bundle and says how far it is.

mod closed;
pub mod control;
mod conversation;
pub mod crew;
pub mod dispatcher;
mod in_flight;
pub mod machine;
pub mod message;
mod open;
pub mod seconds;
mod seen;
pub mod window;
pub mod worker;

#[cfg(test)]
mod tests;

pub use control::{Control, Phase, Spent};
pub use crew::Crew;
pub use dispatcher::{Aborted, Dispatcher, Ended, Live, Stop};
pub use message::{Message, Progress};
pub use window::Window;
pub use worker::{Share, Worker};
