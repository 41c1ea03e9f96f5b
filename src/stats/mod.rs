//! Statistics of samples: pure functions of numbers, whose definitions stand in the README ("What is measured").
//!
//! Values are nanoseconds in `u64` unless a name says otherwise. Nothing here reads a clock, a file or a random number
//! that is not drawn from the seed handed in.

pub mod binomial;
pub mod histogram;
pub mod incidence;
pub mod rank;

pub use histogram::Histogram;
pub use incidence::{Incidence, Observation};
