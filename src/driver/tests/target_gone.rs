//! A target that goes away in the middle: what was in flight and what comes after it end as what they are, and a closed
//! load does not ask as fast as it can.

use std::io;
use std::sync::Arc;

use super::{Dial, SECOND, exact, simulate_over};
use crate::driver::Spent;
use crate::metrics::{Outcome, Warning};
use crate::units::NS_PER_MS;

/// Nobody listens from this connection on, until the other one.
fn gone(from: u64, until: u64) -> Dial {
    Arc::new(move |dialed| {
        let gone = (from..until).contains(&dialed);
        if gone { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) } else { Ok(()) }
    })
}

const NEW: &str = "load.ramp = \"0s\"\ntarget.connection = \"new\"\nload.concurrency = 4";

#[test]
fn a_slot_waits_longer_and_longer_and_the_load_is_back_when_the_target_is() {
    // 24 connections: six rounds, 2,040 ms; then nobody listens for 40 more.
    let load = format!("{NEW}\nload.duration = \"7s\"");
    let run = simulate_over(&exact(&load, ""), 2, &[], gone(24, 64));
    let failed: Vec<_> = run.rows.iter().filter(|row| row.outcome == Outcome::ConnectFailed).collect();
    assert_eq!((failed.len(), run.ended.ledger.failed()), (40, 40));
    // Each slot fails ten times: at once, again, and then 10, 20, … 640 ms and a second apart.
    let mut slot: Vec<_> = failed.iter().filter(|row| row.worker == Some(0)).collect();
    slot.sort_by_key(|row| row.stamps.started_ns);
    let starts: Vec<_> = slot.iter().step_by(2).filter_map(|row| row.stamps.started_ns).collect();
    let apart: Vec<_> = starts.windows(2).map(|pair| (pair[1] - pair[0]) / NS_PER_MS).collect();
    assert_eq!(apart, [0, 10, 20, 40, 80, 160, 320, 640, 1_000]);
    assert!(run.rows.iter().all(|row| row.start_lag_ns() == Some(0)), "a slower user, not a late client");
    let progress = run.ended.progress;
    assert_eq!((progress.put_off, progress.put_off_ns), (36, 4 * 3_270 * NS_PER_MS));
    let last = run.rows.iter().filter_map(|row| row.stamps.finished_ns).max();
    assert!(last > Some(7 * SECOND), "the load is back: {last:?}");
    let (readback, differences) = run.verified();
    assert_eq!(differences, Vec::<String>::new());
    assert!(readback.warnings.contains(&Warning::PutOff { count: 36, ns: 4 * 3_270 * NS_PER_MS }));
    assert!(!readback.warnings.iter().any(|warning| matches!(warning, Warning::TargetGone { .. })));
}

#[test]
fn a_target_that_stays_away_is_said() {
    let load = format!("{NEW}\nload.duration = \"5s\"");
    let run = simulate_over(&exact(&load, ""), 2, &[], gone(24, u64::MAX));
    let failed = run.ended.ledger.failed();
    assert_eq!(run.ended.ledger.of(Outcome::Completed), 24);
    assert!((36..=44).contains(&failed), "{failed}");
    let gone = Warning::TargetGone { after_ns: 1_700 * NS_PER_MS, failed, mostly: "connect_failed".into() };
    assert!(run.readback.warnings.contains(&gone), "{:?}", run.readback.warnings);
}

#[test]
fn the_profile_can_stop_a_run_whose_target_is_gone() {
    let load = format!("{NEW}\nload.invocations = 1000\nbudget.failures_in_a_row = 6");
    let run = simulate_over(&exact(&load, ""), 2, &[], gone(24, u64::MAX));
    assert_eq!(run.ended.spent, Some(Spent::FailuresInARow(6)));
    let ledger = &run.ended.ledger;
    let ends = [Outcome::Completed, Outcome::ConnectFailed].map(|outcome| ledger.of(outcome));
    assert_eq!((ends[0], ledger.planned), (24, 1_000));
    assert!((6..=12).contains(&ends[1]), "{ends:?}");
    assert_eq!(ledger.of(Outcome::NotStarted), 1_000 - ends[0] - ends[1]);
    // Failures between completions are none in a row.
    let fault = "[[mock.fault]]\nkind = \"failed\"\nprobability = 0.5";
    let flaky = simulate_over(
        &exact(&format!("{NEW}\nload.invocations = 200\nbudget.failures_in_a_row = 40"), fault),
        2,
        &[],
        gone(0, 0),
    );
    assert_eq!(flaky.ended.spent, None);
}

#[test]
fn open_load_keeps_its_schedule() {
    let load = "load.rate = 20\nload.duration = \"3s\"\ntarget.connection = \"new\"";
    let run = simulate_over(&exact(load, ""), 2, &[], gone(10, u64::MAX));
    let mut intended: Vec<_> = run.rows.iter().map(|row| row.stamps.intended_ns).collect();
    intended.sort_unstable();
    assert_eq!(intended, (0..60).map(|index| index * 50 * NS_PER_MS).collect::<Vec<_>>());
    assert_eq!((run.ended.ledger.of(Outcome::ConnectFailed), run.ended.progress.put_off), (50, 0));
    assert!(run.rows.iter().all(|row| row.start_lag_ns() <= Some(NS_PER_MS)));
}
