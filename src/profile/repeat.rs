//! How often a workload is run, and what the runs have in common.

use rand_core::Rng as _;

use super::{Model, Profile};
use crate::seed::Seed;

/// How often a workload is run, one run after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Runs; at least 1.
    pub runs: u32,
    /// From the end of a run to the beginning of the next, in nanoseconds.
    pub pause_ns: u64,
    /// Whether each run has a plan of its own, or all have the first one's.
    pub own_plans: bool,
}

/// Bits of a derived seed: as many as every reader of JSON keeps.
const SEED_BITS: u32 = 53;

impl Profile {
    /// The workload of run `number`, from 0.
    ///
    /// The first one is the profile itself. The others draw arrivals, prompts, variants and think times anew, from seeds
    /// that follow from the profile's, so that the runs are independent replications of the *workload*: with one plan
    /// for all, the interval across them would leave out what another plan would have changed, and could not be held
    /// against the intervals within them, which do not.
    #[must_use]
    pub fn repeat(&self, number: u32) -> Self {
        if number == 0 || !self.repeat.own_plans {
            return self.clone();
        }
        let drawn = self.seed.stream("repeat", u64::from(number)).next_u64();
        self.clone().seeded(Seed(drawn >> (u64::BITS - SEED_BITS)))
    }

    /// The same workload with every random choice made from another seed.
    fn seeded(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self.resolved.0["seed"] = seed.0.into();
        if let Model::Open { pacer, .. } = &mut self.load.model {
            *pacer = pacer.seeded(seed);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Override, Plan};

    fn parse(text: &str, seed: Option<u64>) -> Profile {
        let seed = seed.map(|seed| Override::set(&format!("seed={seed}")).expect("a key"));
        Profile::parse("x.toml", text, seed.into_iter().collect()).expect("it is valid")
    }

    #[test]
    fn another_seed_makes_the_profile_that_is_read_with_it() {
        for text in [
            include_str!("../../profiles/chat.toml"),
            include_str!("../../profiles/open.toml"),
            include_str!("../../profiles/tools.toml"),
        ] {
            assert_eq!(parse(text, None).seeded(Seed(77)), parse(text, Some(77)));
        }
    }

    #[test]
    fn each_repeat_has_a_plan_of_its_own_unless_all_are_to_have_one() {
        let text = include_str!("../../profiles/open.toml");
        let plan = |profile: &Profile, run| Plan::new(&profile.repeat(run)).hash().to_owned();
        let own = parse(text, None);
        assert_eq!(plan(&own, 0), plan(&parse(text, Some(own.seed.0)), 0), "the first is the run without repeats");
        let mut plans: Vec<_> = (0..5).map(|run| plan(&own, run)).collect();
        assert_eq!(plan(&own, 3), plans[3], "the same seed, the same plans");
        plans.sort();
        plans.dedup();
        assert_eq!(plans.len(), 5);
        assert!((0..5).all(|run| own.repeat(run).seed.0 < 1 << SEED_BITS), "a seed can be written into a profile");
        let one = parse(&format!("{text}\n[repeat]\nplan = \"same\"\n"), None);
        assert_eq!(plan(&one, 4), plan(&one, 0));
    }
}
