//! A worker that dies: every planned start has its row all the same, and the run says that it is worth nothing.

use std::sync::Arc;

use super::{Dial, SECOND, Simulated, exact, simulate_over};
use crate::metrics::certificate::{Reason, WORKER_DIED};
use crate::metrics::{Outcome, Verdict, Warning};
use crate::units::NS_PER_MS;

/// Whoever asks for this connection dies of it.
fn deadly(number: u64) -> Dial {
    Arc::new(move |dialed| {
        assert!(dialed != number, "connection {number} is deadly");
        Ok(())
    })
}

fn outcomes(run: &Simulated, outcome: Outcome) -> Vec<u64> {
    let mut found: Vec<_> =
        run.rows.iter().filter(|row| row.outcome == outcome).map(|row| (row.plan_index, row.worker)).collect();
    found.sort_unstable();
    found.into_iter().map(|(index, _)| index).collect()
}

#[test]
fn in_closed_load_what_it_had_in_flight_is_cut_and_the_others_drain() {
    // Four slots on two workers, each invocation on a connection of its own: the tenth is asked for at 680 ms, in the
    // third round, by worker 0 or 1.
    let load = "load.concurrency = 4\nload.invocations = 40\ntarget.connection = \"new\"";
    let run = simulate_over(&exact(load, ""), 2, &[], deadly(9));
    let ended = &run.ended;
    assert_eq!((ended.lost_workers, ended.lost_why.as_deref()), (1, Some("connection 9 is deadly")));
    assert_eq!((ended.ledger.planned, ended.progress.in_flight), (40, 0));
    let cut = outcomes(&run, Outcome::Cut);
    let dead = run.row(cut[0]).worker;
    assert!(cut.iter().all(|index| run.row(*index).worker == dead), "only the dead worker's: {cut:?}");
    assert!((1..=2).contains(&cut.len()), "{cut:?}");
    for row in run.rows.iter().filter(|row| row.outcome == Outcome::Cut) {
        assert_eq!(row.detail.as_deref(), Some(WORKER_DIED));
        assert_eq!(row.stamps.started_ns, Some(680 * NS_PER_MS));
        assert_eq!(row.stamps.last_known_ns, 680 * NS_PER_MS, "nothing is known of it after its start");
        assert!(row.parts_add_up());
    }
    // The other worker's slots went on to the end of what they had begun, and nobody took up anything more.
    assert_eq!(
        outcomes(&run, Outcome::Completed).len() + cut.len(),
        usize::try_from(ended.progress.made()).unwrap_or(0)
    );
    assert!(run.rows.iter().all(|row| row.stamps.started_ns <= Some(680 * NS_PER_MS)));
    assert_eq!(run.row(39).detail.as_deref(), Some("the run ended first"));
    assert_eq!(ended.end_ns, 1_020 * NS_PER_MS);
}

#[test]
fn in_open_load_its_share_of_the_plan_is_owed() {
    let load = "load.rate = 10\nload.duration = \"3s\"\ntarget.connection = \"new\"";
    let run = simulate_over(&exact(load, ""), 3, &[], deadly(14));
    assert_eq!((run.ended.lost_workers, run.rows.len()), (1, 30));
    // The fifteenth start is at 1.4 s and kills its worker with what that had begun in the 340 ms before: 1.1 s.
    assert_eq!(outcomes(&run, Outcome::Cut), [11, 14]);
    assert_eq!(run.ended.tasks_left, 1, "the request of the fifteenth never went out");
    assert_eq!(outcomes(&run, Outcome::Completed), (0..14).filter(|index| *index != 11).collect::<Vec<_>>());
    assert_eq!(outcomes(&run, Outcome::NotStarted), (15..30).collect::<Vec<_>>());
    assert!(run.ended.end_ns < 2 * SECOND, "it ended when the others had drained");
}

#[test]
fn the_bundle_agrees_with_itself_and_says_what_happened() {
    let load = "load.concurrency = 4\nload.duration = \"5s\"\ntarget.connection = \"new\"";
    // In the middle of answers: slots that begin 50 ms apart.
    let run = simulate_over(&exact(&format!("{load}\nload.ramp = \"200ms\""), ""), 2, &[], deadly(14));
    let (readback, differences) = run.verified();
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(readback.certificate.verdict, Verdict::Invalid);
    assert!(readback.certificate.reasons.contains(&Reason::WorkersLost { count: 1 }));
    let died = readback.warnings.iter().find(|warning| matches!(warning, Warning::WorkersLost { .. }));
    insta::assert_snapshot!(died.expect("it is said"), @"1 of the harness's workers died (connection 14 is deadly), which ended the run; what they had in flight was cut: please report this");
    assert!(!readback.warnings.iter().any(|warning| matches!(warning, Warning::Cut { .. })), "no drain cut anything");
    let seen: u64 = run.rows.iter().filter(|row| row.outcome == Outcome::Cut).map(|row| row.counts.events).sum();
    assert!(seen > 0, "what they had seen is counted");
}
