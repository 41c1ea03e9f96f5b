//! `plimsoll check`: validates a profile and says what it would do; sends nothing.

use std::io::{self, Write};

use crate::profile::{Place, Plan, Profile};
use crate::units::{Human, HumanBytes};

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
    writeln!(out, "bytes           {}", bytes(profile))?;
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

/// Each conversation's turns follow each other, with their think times, until the duration is over.
fn expected_starts(profile: &Profile) -> Option<u64> {
    let (finish_ns, duration_ns) = (profile.expect.finish_ns?, profile.load.duration_ns?);
    let turns = u64::try_from(profile.turns.len()).expect("turns are counted in 32 bits");
    let think_ns: u64 = profile.turns.iter().map(|turn| turn.think_ns).sum();
    let round_ns = finish_ns.saturating_mul(turns).saturating_add(think_ns).max(1);
    let each = u128::from(duration_ns) * u128::from(turns) / u128::from(round_ns);
    let rounds = u64::try_from(each).unwrap_or(u64::MAX).max(1);
    Some(rounds.saturating_mul(u64::from(profile.load.concurrency)))
}

/// How much goes out in requests' bodies, and how much is expected back.
fn bytes(profile: &Profile) -> String {
    let Some(starts) = profile.load.invocations.or_else(|| expected_starts(profile)) else {
        return "unknown (set expect.finish)".to_owned();
    };
    let body = |prompt: &str| {
        let mut request = profile.request.clone();
        prompt.clone_into(&mut request.input.text);
        request.to_json().to_string().len() as u64
    };
    let bodies: u64 = profile.turns.iter().map(|turn| body(&turn.prompt)).sum();
    let sent = starts.saturating_mul(bodies) / profile.turns.len().max(1) as u64;
    let received = profile.expect.response_bytes.map_or_else(
        || "an unknown number received (set expect.response)".to_owned(),
        |each| format!("about {} received", HumanBytes(starts.saturating_mul(each))),
    );
    format!("about {} sent, {received}", HumanBytes(sent))
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
    fn think_times_are_part_of_the_forecast() {
        let text = include_str!("../../profiles/chat.toml");
        let profile = Profile::parse("chat.toml", text, Vec::new()).expect("it is valid");
        // Three turns of 1.2 s and 3 s of thinking make a round of 6.6 s: 13 turns in 30 s, for 20 people.
        assert_eq!(expected_starts(&profile), Some(260));
    }

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
        bytes           about 39.1 KiB sent, about 5.9 MiB received
        cost            unknown (set expect.cost_per_invocation)
        seed            1, plan fnv1a64:cb89fded13c3fbd0
        ");
    }
}
