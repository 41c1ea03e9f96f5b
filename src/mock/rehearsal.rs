//! A rehearsal: the records of an open load on the mock as they are when nothing is in the way, without time passing.
//!
//! What happens in each invocation is drawn as the stage draws it and goes through the tracker that real streams go
//! through, so that thousands of runs whose truth is known take seconds. Who waits for a slot waits as in the service:
//! first come, first served. Sizes on the wire and the server's own stamps are not rehearsed.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde_json::json;
use thiserror::Error;

use super::ask::Ask;
use super::flaws::Flaws;
use super::performance::{Cue, Performance, Prelude, What};
use super::task::Uuid;
use crate::agent::{Envelope, EventKind};
use crate::metrics::Record;
use crate::metrics::tracker::{Arrival, End, Start, Tracker, Watch};
use crate::profile::script::{FaultKind, Script};
use crate::profile::{Model, Plan, Planned, Profile};

/// Why a profile can't be rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("rehearse the load: {0}")]
pub struct NotRehearsed(&'static str);

/// What one invocation does, before it is known when it may execute.
struct Act {
    headers_ns: u64,
    /// The last one is not shown when the body ends before it.
    cues: Vec<Cue>,
    ends_early: bool,
    ending: &'static str,
}

/// Draws the records of all planned starts of a profile, each with the gaps between its chunks in nanoseconds.
///
/// # Errors
/// The load is closed, or the script has something that is not rehearsed; nothing was drawn then.
pub fn rehearse(profile: &Profile, mut take: impl FnMut(&Record, &[u64])) -> Result<(), NotRehearsed> {
    if let Some(why) = obstacle(profile) {
        return Err(NotRehearsed(why));
    }
    let plan = Plan::new(profile);
    let starts =
        || plan.starts().into_iter().flatten().zip(0_u64..).take_while(|(_, index)| Some(*index) < plan.planned());
    let mut slots = profile.mock.service.slots.map(|slots| executions(profile, starts(), slots).into_iter());
    for (intended_ns, index) in starts() {
        let executes_ns = slots.as_mut().and_then(Iterator::next).unwrap_or(0);
        let (record, gaps_ns) = play(profile, &plan.invocation(index), intended_ns, executes_ns);
        take(&record, &gaps_ns);
    }
    Ok(())
}

/// What keeps a profile from being rehearsed.
fn obstacle(profile: &Profile) -> Option<&'static str> {
    let (script, user) = (&profile.mock, &profile.user);
    let known = [FaultKind::EndEarly, FaultKind::Failed, FaultKind::Error, FaultKind::Stopped];
    let limits = &script.service;
    [
        (matches!(profile.load.model, Model::Closed { .. }), "it is closed: its starts follow from the answers"),
        (profile.load.in_flight().is_some(), "it limits how many are in flight"),
        (profile.scenarios.iter().any(|of| of.turns.len() > 1), "its conversations have several turns"),
        (profile.scenarios.len() > 1, "its conversations are of several kinds"),
        (user.hang_up.is_some() || user.slow.is_some(), "its users hang up or read slowly"),
        (!script.effects.is_empty(), "overrides have effects on the script"),
        (script.replay.is_some(), "the script is a recording"),
        (script.faults.iter().any(|fault| !known.contains(&fault.kind)), "it has faults beside early and bad endings"),
        (limits.queue_max.is_some() || limits.rate.is_some(), "the service refuses some"),
        (limits.stretch > 0.0 || limits.cold_start.constant() != Some(0), "the service slows down"),
    ]
    .into_iter()
    .find_map(|(holds, why)| holds.then_some(why))
}

impl Act {
    fn new(script: &Script, profile: &Profile, index: u64) -> Self {
        let flaws = Flaws::new(script, profile.seed, index);
        let mut cues: Vec<_> = Performance::new(script, profile.seed, index, &Ask::default(), 0).collect();
        if let Some(fault) = flaws.inside.first() {
            // As the stage breaks off: at the instant of the event that does not come.
            let last = usize::try_from(fault.after_events).unwrap_or(usize::MAX).min(cues.len() - 1);
            cues.truncate(last + 1);
        }
        Self {
            headers_ns: Prelude::new(script, profile.seed, index).headers_ns,
            cues,
            ends_early: !flaws.inside.is_empty(),
            ending: match flaws.ending {
                Some(FaultKind::Failed) => r#"{"status":"failed"}"#,
                Some(FaultKind::Error) => r#"{"status":"error"}"#,
                Some(FaultKind::Stopped) => r#"{"status":"stopped"}"#,
                _ => r#"{"status":"completed"}"#,
            },
        }
    }

    /// From the request to when a slot is asked for, and how long it is held, in nanoseconds; none when the body ends
    /// before.
    fn on_slot(&self) -> Option<(u64, u64)> {
        let at = self.cues.iter().position(|cue| cue.what == What::Executing)?;
        let sum = |cues: &[Cue]| cues.iter().map(|cue| cue.wait_ns).sum::<u64>();
        Some((self.headers_ns + sum(&self.cues[..=at]), sum(&self.cues[at + 1..])))
    }
}

/// When each invocation gets its slot, by plan index, in nanoseconds.
fn executions(profile: &Profile, starts: impl Iterator<Item = (u64, u64)>, slots: u32) -> Vec<u64> {
    let on_slot = |(intended_ns, index): (u64, u64)| {
        Act::new(&profile.mock, profile, index).on_slot().map(|(after_ns, held_ns)| (intended_ns + after_ns, held_ns))
    };
    let asked: Vec<_> = starts.map(on_slot).collect();
    let mut executes_ns = vec![0; asked.len()];
    let mut in_order: Vec<_> = (0..asked.len()).filter_map(|at| Some((asked[at]?, at))).collect();
    in_order.sort_by_key(|((asks_ns, _), at)| (*asks_ns, *at));
    let mut free_ns: BinaryHeap<_> = (0..slots).map(|_| Reverse(0)).collect();
    for ((asks_ns, held_ns), at) in in_order {
        let Reverse(earliest_ns) = free_ns.pop().expect("a service has a slot");
        executes_ns[at] = asks_ns.max(earliest_ns);
        free_ns.push(Reverse(executes_ns[at] + held_ns));
    }
    executes_ns
}

/// The record of one invocation that executes no earlier than `executes_ns`.
fn play(profile: &Profile, planned: &Planned, intended_ns: u64, executes_ns: u64) -> (Record, Vec<u64>) {
    let script = &profile.mock;
    let act = Act::new(script, profile, planned.plan_index);
    let prelude = Prelude::new(script, profile.seed, planned.plan_index);
    let task_id = Uuid(prelude.task_id).to_string();
    let mut tracker = Tracker::new(start(profile, planned, intended_ns), watch(profile), Vec::new());
    tracker.reused(true);
    tracker.sent(intended_ns);
    let mut at_ns = intended_ns + act.headers_ns;
    tracker.headers(at_ns);
    let shown = act.cues.len() - usize::from(act.ends_early);
    for (read, cue) in (0..).zip(&act.cues) {
        at_ns += cue.wait_ns;
        if cue.what == What::Executing {
            at_ns = at_ns.max(executes_ns);
        }
        if read < shown {
            let arrival = Arrival {
                read: read as u64,
                arrival_ns: at_ns,
                earliest_ns: at_ns,
                handled_ns: at_ns,
                kernel: true,
                followed: false,
            };
            let (kind, data) = event(script, cue.what, act.ending);
            let task_id = Some(Cow::Borrowed(task_id.as_str()));
            tracker.bytes(arrival, 0);
            tracker.event(&Envelope::new(kind, task_id, &data), arrival, false);
        }
    }
    tracker.end(End::Eof, at_ns)
}

fn start(profile: &Profile, planned: &Planned, intended_ns: u64) -> Start {
    Start {
        plan_index: planned.plan_index,
        variant: planned.variant.clone(),
        conversation: planned.conversation,
        turn: planned.turn,
        worker: 0,
        warmup: intended_ns < profile.load.warmup_ns,
        task_id: None,
        intended_ns,
        started_ns: intended_ns,
    }
}

/// No limit is ever reached.
fn watch(profile: &Profile) -> Watch {
    Watch {
        connect_ns: u64::MAX,
        headers_ns: u64::MAX,
        first_event_ns: u64::MAX,
        idle_ns: u64::MAX,
        total_ns: u64::MAX,
        linger_ns: u64::MAX,
        stall_ns: profile.stall_ns,
    }
}

/// What an event is about, and what the tracker reads of its data.
fn event(script: &Script, what: What, ending: &'static str) -> (EventKind, Cow<'static, str>) {
    let tool = |call: super::performance::Call| {
        let (id, name) = (Uuid(call.id).to_string(), &script.tools[call.of as usize].name);
        json!({"request_id": id, "tool_name": name, "is_error": call.is_error}).to_string().into()
    };
    match what {
        What::Connected => (EventKind::Connected, "{}".into()),
        What::Created => (EventKind::TaskCreated, r#"{"status":"pending"}"#.into()),
        What::Executing => (EventKind::TaskUpdated, r#"{"status":"executing"}"#.into()),
        What::Think(_) => (EventKind::Think, "{}".into()),
        What::SubAgent(_) => (EventKind::SubAgentTrigger, "{}".into()),
        What::ToolRequest(call) => (EventKind::ToolCallRequest, tool(call)),
        What::ToolResult(call) => (EventKind::ToolCallResult, tool(call)),
        What::Chunk(piece) => {
            let mut text = vec![b'"'];
            piece.write_json(&mut text);
            text.push(b'"');
            (EventKind::Chunk, String::from_utf8(text).expect("pieces of text").into())
        }
        What::Finished => (EventKind::TaskFinished, ending.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(more: &str) -> String {
        let rate = if more.contains("concurrency") { "" } else { "load.rate = 5\n" };
        let text = format!("why = \"a test\"\n{rate}load.invocations = 3\nrequest.input.text = \"Hi\"\n{more}");
        let profile = Profile::parse("x.toml", &text, Vec::new()).expect("a valid profile");
        rehearse(&profile, |_, _| {}).map_or_else(|why| why.to_string(), |()| "rehearsed".to_owned())
    }

    #[test]
    fn what_is_not_rehearsed_is_said() {
        let told = [
            "",
            "load.concurrency = 3",
            "load.in_flight = 3",
            "user.hang_up = { share = 0.1, after = \"1s\" }",
            "mock.why = \"x\"\nmock.service.slots = 2\nmock.service.stretch = 0.5",
            "mock.why = \"x\"\n[[mock.fault]]\nkind = \"stall\"",
        ]
        .map(refused)
        .join("\n");
        insta::assert_snapshot!(told, @"
        rehearsed
        rehearse the load: it is closed: its starts follow from the answers
        rehearse the load: it limits how many are in flight
        rehearse the load: its users hang up or read slowly
        rehearse the load: the service slows down
        rehearse the load: it has faults beside early and bad endings
        ");
    }
}
