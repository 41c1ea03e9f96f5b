//! plimsoll's event-stream parser beside the crates that people use: corpora, feeds and subjects under one form.
//!
//! `cargo bench` runs Criterion over all of them; `cargo run --release` measures them in turn and writes the table of
//! `reports/sse-parser.md`. Never part of plimsoll's own build.

pub mod corpus;
mod peers;
pub mod subjects;

use corpus::Feed;
use subjects::Subject;

impl Subject {
    /// Whether it ends within reason: what is quadratic in the size of a read is spared the largest one.
    #[must_use]
    pub fn can_bear(&self, feed: Feed) -> bool {
        !(self.name.starts_with("eventsource-stream") && feed == Feed::Whole)
    }
}
