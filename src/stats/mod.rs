//! Statistics of samples: pure functions of numbers, whose definitions stand in the README ("What is measured").
//!
//! Values are nanoseconds in `u64` unless a name says otherwise. Nothing here reads a clock, a file or a random number
//! that is not drawn from the seed handed in.

mod binomial;
pub mod bootstrap;
pub mod coverage;
pub mod effect;
pub mod effective;
pub mod exact;
pub mod histogram;
pub mod incidence;
pub mod jackknife;
pub mod mean;
pub mod normal;
pub mod order;
pub mod proportion;
pub mod rank;
mod ranking;
pub mod repeats;
pub mod sample;
pub mod warmup;

pub use bootstrap::{Arm, Pairing};
pub use effect::{Effect, Verdict, Worse};
pub use exact::Exact;
pub use histogram::Histogram;
pub use incidence::{Incidence, Observation};
pub use jackknife::Groups;
pub use mean::{Mean, littles_law, mean_interval};
pub use proportion::{Proportion, proportion};
pub use sample::{Estimate, Interval, Refusal, Sample};
pub use warmup::{Settled, settled};
