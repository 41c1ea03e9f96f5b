//! `plimsoll check`: validates a profile and says what it would do; sends nothing.

use std::io::{self, Write};

use crate::profile::{Place, Plan, Profile};
use crate::units::Human;

/// Prints what the profile plans.
///
/// # Errors
/// The output can't be written.
pub fn run(profile: &Profile, out: &mut impl Write) -> io::Result<()> {
    let plan = Plan::new(profile);
    let target = match &profile.target.place {
        Place::Mock => "the embedded mock",
        Place::Url(url) => url,
    };
    writeln!(out, "{}: {}", profile.name, profile.why)?;
    writeln!(out, "target          {target}, agent {}", profile.target.agent_id)?;
    writeln!(out, "in flight       {} at most", profile.load.concurrency)?;
    writeln!(out, "turns           {} a conversation", plan.turns())?;
    writeln!(out, "starts          {}", starts(profile))?;
    if let Some(duration_ns) = profile.load.duration_ns {
        writeln!(out, "length          {}, then up to {} of drain", Human(duration_ns), Human(profile.load.drain_ns))?;
    }
    writeln!(out, "cost            {}", cost(profile))?;
    writeln!(out, "seed            {}, plan {}", profile.seed.0, plan.hash())
}

/// How many starts are planned, or how many the expected length of an answer makes of the duration.
fn starts(profile: &Profile) -> String {
    match (profile.load.invocations, expected_starts(profile)) {
        (Some(planned), _) => format!("{planned} planned"),
        (None, Some(expected)) => format!("about {expected}, by expect.finish"),
        (None, None) => "unknown: the answers decide (set expect.finish)".to_owned(),
    }
}

fn expected_starts(profile: &Profile) -> Option<u64> {
    let (finish_ns, duration_ns) = (profile.expect.finish_ns?, profile.load.duration_ns?);
    let rounds = duration_ns.div_ceil(finish_ns.max(1));
    Some(rounds.saturating_mul(u64::from(profile.load.concurrency)))
}

fn cost(profile: &Profile) -> String {
    let starts = profile.load.invocations.or_else(|| expected_starts(profile));
    match (starts, profile.expect.cost_per_invocation) {
        (Some(starts), Some(price)) => format!("{:.2}", starts as f64 * price),
        (_, None) => "unknown (set expect.cost_per_invocation)".to_owned(),
        (None, Some(_)) => "unknown (set expect.finish)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_shown() {
        let text = include_str!("../../profiles/quickstart.toml");
        let profile = Profile::parse("quickstart.toml", text, Vec::new()).expect("it is valid");
        let mut out = Vec::new();
        run(&profile, &mut out).expect("a vector takes it");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @"
        quickstart: Shows on any machine, in ten seconds, what plimsoll measures: 50 streams of about one second at a time
        target          the embedded mock, agent mock-agent
        in flight       50 at most
        turns           1 a conversation
        starts          about 500, by expect.finish
        length          10.0s, then up to 30.0s of drain
        cost            unknown (set expect.cost_per_invocation)
        seed            1, plan fnv1a64:cb89fded13c3fbd0
        ");
    }
}
