//! Scripted and drawn times, silences and the server's own stamps come out as the mock made them.

use super::{SECOND, Simulated, exact, simulate};
use crate::metrics::{Metric, Series};
use crate::units::NS_PER_MS;

#[test]
fn scripted_times_come_out_to_the_nanosecond() {
    let run = simulate(&exact("load.concurrency = 3\nload.invocations = 12", ""), 2, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 12]);
    for row in &run.rows {
        let since = |stamp: Option<u64>| stamp.map(|at| at - row.stamps.sent_ns.expect("it was sent"));
        assert_eq!(since(row.stamps.first_chunk_ns), Some(250 * NS_PER_MS));
        assert_eq!(since(row.stamps.last_chunk_ns), Some(330 * NS_PER_MS));
        assert_eq!(since(row.stamps.finished_ns), Some(340 * NS_PER_MS));
        assert_eq!((row.start_lag_ns(), row.counts.chunks), (Some(0), 5));
        assert_eq!(row.longest.gap_ns, Some(20 * NS_PER_MS));
    }
    let group = run.readback.summary.overall();
    let gaps = &group.metric(Series::of(Metric::Gap)).expect("there were gaps").all;
    let exact = Some(20 * NS_PER_MS);
    assert_eq!((gaps.count, gaps.min_ns, gaps.mean_ns, gaps.max_ns), (48, exact, exact, exact));
    // Closed load: three at a time, four rounds of 340 ms each.
    assert_eq!(run.readback.summary.span_ns, 4 * 340 * NS_PER_MS);
}

#[test]
fn the_quantiles_of_a_known_mixture_come_out_exactly() {
    let first_chunk = "first_chunk = { mixture = [{ weight = 90, of = \"100ms\" }, { weight = 8, of = \"300ms\" }, { weight = 2, of = \"700ms\" }] }";
    let profile =
        exact("load.concurrency = 20\nload.invocations = 4000", "").replace("first_chunk = \"250ms\"", first_chunk);
    let run = simulate(&profile, 2, &[]);
    let ttfc = &run.readback.summary.overall().metric(Series::from_sent(Metric::Ttfc)).expect("there were chunks").all;
    let at = |p: f64| ttfc.quantile(p).and_then(|quantile| quantile.value_ns).map(|ns| ns / NS_PER_MS);
    assert_eq!((ttfc.count, at(0.5), at(0.95), at(0.99)), (4_000, Some(100), Some(300), Some(700)));
    let interval = ttfc.quantile(0.95).expect("it is reported");
    assert_eq!((interval.low_ns, interval.high_ns), (Some(300 * NS_PER_MS), Some(300 * NS_PER_MS)));
}

#[test]
fn a_silence_that_comments_fill_is_told_from_a_real_one() {
    let slow = |more: &str| exact("load.concurrency = 1\nload.invocations = 2", more).replace("\"20ms\"", "\"3s\"");
    let quiet = simulate(&slow(""), 1, &[]);
    let pinged = simulate(&slow("ping = \"500ms\""), 1, &[]);
    let longest = |run: &Simulated| (run.row(1).longest.silence_ns, run.row(1).longest.event_silence_ns);
    assert_eq!(longest(&quiet), (Some(3 * SECOND), Some(3 * SECOND)));
    assert_eq!(longest(&pinged), (Some(500 * NS_PER_MS), Some(3 * SECOND)));
    let totals = pinged.readback.summary.overall().totals;
    assert_eq!((totals.stalls, totals.stalled_ns, totals.stalled_parts.answer_ns), (8, 24 * SECOND, 24 * SECOND));
}

#[test]
fn the_servers_own_view_is_what_its_stamps_say() {
    let run =
        simulate(&exact("load.concurrency = 2\nload.invocations = 4", "created = \"40ms\"\nqueue = \"60ms\""), 1, &[]);
    let server = run.readback.summary.server.as_ref().expect("the mock stamps its events");
    let told: Vec<_> =
        server.accounts.iter().map(|of| [of.client_ns_mean, of.server_ns_mean].map(|ns| ns / NS_PER_MS)).collect();
    // Times from the send: 40 ms to task_created, 60 ms more to executing, 250 ms more to the first chunk, 90 to the end.
    assert_eq!(told, [[350, 310], [440, 400], [60, 60], [100, 100], [340, 340]]);
    let clock = server.clock.expect("both bounds");
    // One machine: no offset; a pipe takes no time, so only the wait for task_created is in doubt.
    assert!(clock.low_ns <= 0 && clock.high_ns >= 0, "{clock:?}");
    assert!(clock.low_ns > -2_000 && clock.high_ns < 42_000_000, "{clock:?}");
}
