//! The phases of a run: its warm-up, its drain, and what an interrupt makes of them.

use super::{SECOND, exact, simulate};
use crate::driver::Stop;
use crate::metrics::{Metric, Outcome, Series};
use crate::runfile::readback;
use crate::units::NS_PER_MS;

#[test]
fn the_warm_up_is_kept_as_rows_and_left_out_of_the_summary() {
    let run = simulate(&exact("load.concurrency = 1\nload.duration = \"2s\"\nload.warmup = \"1s\"", ""), 1, &[]);
    let warm = run.rows.iter().filter(|row| row.warmup).count();
    assert_eq!((warm, run.rows.len()), (3, 6));
    let summary = &run.readback.summary;
    assert_eq!((summary.warmup_rows, summary.overall().ledger.planned), (3, 3));
    let gaps = summary.overall().metric(Series::of(Metric::Gap)).expect("there were gaps");
    assert_eq!(gaps.all.count, 3 * 4, "the warm-up's gaps are left out, too");
}

#[test]
fn nothing_starts_after_the_end_and_what_the_drain_cuts_is_censored() {
    let load = "load.concurrency = 4\nload.duration = \"1s\"\nload.drain = \"100ms\"";
    let run = simulate(&exact(load, ""), 2, &[]);
    // Rounds begin at 0, 340 and 680 ms; the third one ends at 1,020 ms, inside the drain.
    assert_eq!(run.ended.ledger.planned, 12);
    assert!(run.rows.iter().all(|row| row.stamps.started_ns < Some(SECOND)));
    assert_eq!(run.outcomes(), vec!["completed"; 12]);
    let run = simulate(&exact(&load.replace("100ms", "10ms"), ""), 2, &[]);
    assert_eq!((run.ended.ledger.of(Outcome::Completed), run.ended.ledger.of(Outcome::Cut)), (8, 4));
    let cut = run.rows.iter().find(|row| row.outcome == Outcome::Cut).expect("some were cut");
    assert!(cut.stamps.first_chunk_ns.is_some() && cut.stamps.finished_ns.is_none());
    let finish =
        &run.readback.summary.overall().metric(Series::from_intended(Metric::Finish)).expect("some finished").all;
    assert_eq!((finish.count, finish.censored, finish.failed), (8, 4, 0));
}

#[test]
fn an_interrupt_drains_and_a_second_one_cuts() {
    let load = "load.concurrency = 2\nload.invocations = 10\nload.drain = \"30s\"";
    let drained = simulate(&exact(load, ""), 1, &[400]);
    assert_eq!(drained.ended.stopped, Some(Stop::Interrupt));
    let ledger = &drained.ended.ledger;
    assert_eq!((ledger.of(Outcome::Completed), ledger.of(Outcome::NotStarted), ledger.planned), (4, 6, 10));
    assert_eq!(drained.row(9).detail.as_deref(), Some("the run ended first"));
    let cut = simulate(&exact(load, ""), 1, &[400, 500]);
    let ledger = &cut.ended.ledger;
    let ends = [Outcome::Completed, Outcome::Cut, Outcome::NotStarted].map(|outcome| ledger.of(outcome));
    assert_eq!((ends, cut.ended.end_ns), ([2, 2, 6], 500 * NS_PER_MS));
}

#[test]
fn the_last_second_of_a_run_is_as_long_as_the_run_still_was() {
    // Rounds of 340 ms, two at a time: the fifth one ends at 1.7 s.
    let run = simulate(&exact("load.concurrency = 2\nload.invocations = 10", ""), 2, &[]);
    let seconds = readback::seconds(&run.bundle).expect("they were written");
    let told: Vec<_> = seconds.iter().map(|row| (row.second, row.length_ns / NS_PER_MS, row.finished)).collect();
    assert_eq!(told, [(0, 1_000, 4), (1, 700, 6)]);
    assert_eq!(seconds[1].per_s(6), Some(6.0 / 0.7));
    assert_eq!(run.verified().1, Vec::<String>::new());
}
