//! How wrong plimsoll is: what it reported, held against a known truth, event by event.
//!
//! The truth of an event is the instant at which the mock handed its write to the kernel; the error is the reported
//! instant minus that one. So an error holds the mock's system call and the delivery over loopback too: it can be 0
//! only where these take no time, and a negative one is a stamp that lies before the truth. Since the mock also notes
//! when the write had ended, and loopback delivers within the write, the true arrival lies between the two.
//!
//! Pure: rows and events come in, errors and their statistics come out.

mod join;
mod load;
mod spread;
mod study;
#[cfg(test)]
pub(crate) mod tests;

pub use join::{Errors, Join, Joined, Kind, Reported, Truth};
pub use load::{Load, NotADuration, NotALoad, NotATransport, Transport, parse_duration_ns};
pub use spread::Spread;
pub use study::{Cost, Kept, Measured, Study, Trust};
