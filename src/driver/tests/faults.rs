//! Whatever goes wrong with an invocation: each start ends in one way, and it is the true one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Simulated, exact, simulate, simulate_over};
use crate::metrics::{Metric, Outcome, Record, Series};
use crate::profile::script::FaultKind;
use crate::units::NS_PER_MS;

/// How an invocation ends that the mock plants this fault into.
fn expected(kind: FaultKind) -> Outcome {
    match kind {
        FaultKind::Refuse | FaultKind::ResetBeforeHeaders | FaultKind::BadFraming => Outcome::Reset,
        FaultKind::NeverAnswer => Outcome::TimedOut(crate::metrics::Phase::Headers),
        FaultKind::Status => Outcome::HttpStatus(500),
        FaultKind::Redirect => Outcome::HttpStatus(307),
        // A pipe knows no reset, only its end.
        FaultKind::Empty | FaultKind::EndEarly | FaultKind::ResetInStream => Outcome::Truncated,
        FaultKind::WrongContentType | FaultKind::ErrorBody => Outcome::BadContentType,
        FaultKind::Garbage => Outcome::Truncated,
        FaultKind::MalformedJson => Outcome::BadEvent,
        FaultKind::Stall => Outcome::Stalled,
        FaultKind::HugeEvent => Outcome::EventTooLarge,
        FaultKind::Failed => Outcome::TaskFailed,
        FaultKind::Error => Outcome::TaskError,
        FaultKind::Stopped => Outcome::TaskStopped,
        FaultKind::WrongAnswer | FaultKind::EmptyAnswer => Outcome::CheckFailed,
        FaultKind::SlowHeaders
        | FaultKind::UnknownEvent
        | FaultKind::ForeignTask
        | FaultKind::AfterEnd
        | FaultKind::DuplicateFinish
        | FaultKind::Connected
        | FaultKind::Drip
        | FaultKind::Buffer
        | FaultKind::Hold
        | FaultKind::SplitUtf8
        | FaultKind::SplitLineEnd
        | FaultKind::Cr
        | FaultKind::Crlf
        | FaultKind::Comments
        | FaultKind::Fields => Outcome::Completed,
    }
}

#[test]
fn whatever_the_agent_does_wrong_each_start_ends_in_one_way_and_the_others_complete() {
    // A pipe has no listener that could refuse it; the binary's own tests do that over a socket.
    for kind in FaultKind::ALL.iter().filter(|kind| **kind != FaultKind::Refuse) {
        let fault = format!("[[mock.fault]]\nkind = \"{}\"\nat = [1]\nbytes = \"64KiB\"", kind.word());
        let load = "load.concurrency = 2\nload.invocations = 6\nlimits.idle = \"5s\"\nlimits.headers = \"5s\"\n\
                    limits.event_bytes = \"16KiB\"\ncheck.non_empty = true\ncheck.lacks = [\"sorry\"]";
        let run = simulate(&exact(load, &fault), 1, &[]);
        let told = kind.word();
        let outcomes: BTreeMap<u64, Outcome> = run.rows.iter().map(|row| (row.plan_index, row.outcome)).collect();
        let faulty = outcomes.iter().filter(|(_, outcome)| !outcome.is_completed()).count();
        assert_eq!(outcomes[&1], expected(*kind), "{told}: {:?}", run.row(1).detail);
        assert_eq!(faulty, usize::from(!expected(*kind).is_completed()), "{told}: only the one is touched");
        assert!(run.row(1).detail.is_some() || expected(*kind).is_completed(), "{told} says why");
    }
}

#[test]
fn a_planted_share_of_wrong_answers_is_reported_to_the_invocation() {
    let run = |kind: &str, check: &str| {
        let load =
            format!("load.concurrency = 20\nload.invocations = 500\n{check}\nobjectives = [\"finish p95 < 9s\"]");
        let fault = format!("chunk_chars = 400\n[[mock.fault]]\nkind = \"{kind}\"\nprobability = 0.03");
        simulate(&exact(&load, &fault), 2, &[])
    };
    let those = |run: &Simulated, outcome: Outcome| -> BTreeSet<u64> {
        run.rows.iter().filter(|row| row.outcome == outcome).map(|row| row.plan_index).collect()
    };
    // The same fault in the same place hits the same invocations, and what it does to these needs no check.
    let planted = those(&run("failed", ""), Outcome::TaskFailed);
    assert!((5..=30).contains(&planted.len()), "{} of 500 at 3 %", planted.len());
    for (kind, check) in [
        ("wrong_answer", "check.contains = [\"Plimsoll\"]"),
        ("wrong_answer", "check.lacks = [\"I am sorry\"]"),
        ("empty_answer", "check.non_empty = true"),
    ] {
        let checked = run(kind, check);
        assert_eq!(those(&checked, Outcome::CheckFailed), planted, "{kind} with {check}");
        let summary = &checked.readback.summary;
        let all = summary.overall();
        let count = planted.len() as u64;
        assert_eq!((all.ledger.of(Outcome::Completed), all.ledger.failed()), (500 - count, count));
        let share = 1.0 - count as f64 / 500.0;
        assert!((all.success.expect("there were some").share - share).abs() < 1e-9);
        assert!((all.good.expect("there is an objective").share - share).abs() < 1e-9, "a wrong answer is not good");
        let finish = all.metric(Series::from_intended(Metric::Finish)).expect("some finished");
        assert_eq!((finish.all.count, finish.all.failed, finish.all.censored), (500 - count, count, 0));
        assert_eq!(finish.completed.count, 500 - count);
        assert_eq!((summary.failures.len(), summary.failures[0].count), (1, count));
        assert!(summary.failures[0].detail.starts_with("check."), "{:?}", summary.failures[0]);
    }
    let unchecked = run("wrong_answer", "");
    assert_eq!(unchecked.readback.summary.overall().ledger.of(Outcome::Completed), 500, "nobody asked");
}

#[test]
fn a_task_that_failed_by_itself_is_not_checked_and_one_that_failed_a_check_keeps_its_connection() {
    let more = "[[mock.tool]]\nname = \"search\"\nerror_probability = 1\n[[mock.fault]]\nkind = \"failed\"\nat = [1]";
    let run = simulate(&exact("load.concurrency = 1\nload.invocations = 3\ncheck.tool_errors_max = 0", more), 1, &[]);
    assert_eq!(run.outcomes(), ["check_failed", "task_failed", "check_failed"]);
    assert_eq!(run.row(2).reused, Some(true));
    assert_eq!(run.row(2).detail.as_deref(), Some("check.tool_errors_max: more than 0 tool results were errors"));
}

#[test]
fn truncated_streams_are_reported_to_the_invocation() {
    let fault = "[[mock.fault]]\nkind = \"end_early\"\nprobability = 0.03\nafter_events = 4";
    let run = simulate(&exact("load.concurrency = 20\nload.invocations = 3000", fault), 2, &[]);
    let finished: BTreeSet<u64> =
        run.truth.iter().filter(|(_, kind, _)| kind == "task_finished").map(|(index, ..)| *index).collect();
    let told: BTreeSet<u64> =
        run.rows.iter().filter(|row| row.outcome == Outcome::Truncated).map(|row| row.plan_index).collect();
    let planted: BTreeSet<u64> = (0..3_000).filter(|index| !finished.contains(index)).collect();
    assert_eq!(told, planted);
    assert!((50..150).contains(&told.len()), "about 3 % of 3,000: {}", told.len());
    assert_eq!(run.readback.summary.overall().ledger.of(Outcome::Truncated), told.len() as u64);
    assert!(run.rows.iter().all(Record::parts_add_up), "what was cut off adds up to the last known instant");
}

/// [`simulate`] on a machine that has ports for so many connections.
fn simulate_with(profile: &str, workers: u32, stops: &[u64], ports: u64) -> Simulated {
    let none_left = || std::io::Error::from_raw_os_error(nix::libc::EADDRNOTAVAIL);
    let dial = move |dialed| if dialed < ports { Ok(()) } else { Err(none_left()) };
    simulate_over(profile, workers, stops, Arc::new(dial))
}

#[test]
fn a_start_for_which_no_port_was_left_says_nothing_of_the_target() {
    let profile = r#"
        why = "a machine that has run out of ports"
        load = { rate = 100, invocations = 20 }
        target.connection = "new"
        request.input.text = "Hello"
    "#;
    let run = simulate_with(profile, 1, &[], 18);
    let ledger = &run.ended.ledger;
    assert_eq!((ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted), ledger.planned), (18, 2, 20));
    assert_eq!((run.ended.progress.made(), run.ended.progress.in_flight), (18, 0));
    let row = &run.rows.iter().find(|row| row.plan_index == 19).expect("a row for each");
    assert_eq!((row.stamps.started_ns, row.stamps.intended_ns), (None, 190 * NS_PER_MS));
    let certificate = &run.readback.certificate;
    assert_eq!((certificate.measured.missed_by_sockets, certificate.measured.ledger_holds), (2, true));
    let why = row.detail.as_deref().expect("it says why");
    insta::assert_snapshot!(format!("{why}\n{}", certificate.reasons.last().expect("a reason")), @"
    this machine had no port or descriptor left for its connection: Cannot assign requested address (os error 99)
    2 starts found no port or descriptor left on this machine (90.0 % of the plan's were made; at the peak an unknown number of ports and an unknown number of descriptors were left): lower -c, let connections serve more than one invocation (target.connection), add addresses of this machine with --source, or raise net.ipv4.ip_local_port_range and ulimit -n
    ");
}
