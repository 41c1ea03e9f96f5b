//! Objectives: over windows, answered alike by the run and by its bundle; of one variant.

use super::{SECOND, Simulated, simulate};
use crate::metrics::Outcome;
use crate::units::NS_PER_MS;

/// One after another: six of 488 ms with the first chunk after 100 ms, then ones of 788 ms with it after 400 ms.
fn slower(objectives: &str, more: &str) -> Simulated {
    let at = (6..40).map(|index| index.to_string()).collect::<Vec<_>>().join(", ");
    let load =
        format!("load.concurrency = 1\nload.duration = \"12s\"\nload.drain = \"50ms\"\nobjectives = [{objectives}]");
    let text = format!(
        "why = \"a simulation\"\n{load}\nrequest.input.text = \"Hello\"\n[mock]\nwhy = \"exact\"\nfirst_chunk = \"100ms\"\n\
         chunks = 5\ngap = \"97ms\"\n{more}[[mock.fault]]\nkind = \"slow_headers\"\ndelay = \"300ms\"\nat = [{at}]"
    );
    simulate(&text, 2, &[])
}

#[test]
fn a_window_that_fails_stops_the_run_when_it_says_so() {
    // The fast ones end by 2.93 s; slow ones end at 3.72, 4.50 and 5.29 s, one in each second.
    let objectives = r#""ttfc p50 < 300ms for 3s, abort", "ttfc p95 < 300ms for 3s""#;
    let run = slower(objectives, "");
    let aborted = run.ended.aborted.clone().expect("it was stopped");
    assert_eq!((aborted.objective.as_str(), aborted.at_ns), ("ttfc p50 < 300ms for 3s, abort", 6 * SECOND));
    let told: Vec<_> = run
        .readback
        .summary
        .objectives
        .iter()
        .map(|judged| format!("{}: {}: {}", judged.answer, judged.objective, judged.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    fail: ttfc p50 < 300ms for 3s, abort: violated in each of 3 seconds; the last, 400ms, ended 6 s into the run
    fail: ttfc p95 < 300ms for 3s: violated in each of 3 seconds; the last, 400ms, ended 6 s into the run
    ");
    // What was in flight had the drain's 50 ms, as after an interrupt.
    assert_eq!((run.ended.end_ns, run.ended.ledger.of(Outcome::Cut)), (6 * SECOND + 50 * NS_PER_MS, 1));
    let unasked = slower(&objectives.replace(", abort", ""), "");
    assert_eq!(unasked.ended.aborted, None);
    assert!(unasked.ended.end_ns > 11 * SECOND, "nobody asked it to stop");
}

#[test]
fn windows_are_answered_alike_by_the_run_and_by_its_bundle() {
    // `simulate` compares them; here is what they may differ in: variants, tools, failures, seconds without any end.
    let objectives = [
        "ttfc p95 < 300ms for 3s",
        "ttfc p95 < 300ms within 3s",
        "ttfc p95 < 300ms over 3s",
        "finish p50 < 1s over 4s",
        "success > 80% for 2s",
        "success > 80% over 5s",
        "gap p99 < 90ms within 2s",
        "tool.search p50 < 1s for 2s",
        "tool.other p50 < 1s for 2s",
        "ttfc_from_sent p99.9 < 10s within 11s",
        "start_lag p99 < 1s for 12s",
        "ttfc{variant=base} p50 < 300ms for 3s",
    ];
    let list = objectives.map(|text| format!("{text:?}")).join(", ");
    let run = slower(
        &list,
        "[[mock.tool]]\nname = \"search\"\nprobability = 0.5\ntime = \"1200ms\"\n[[mock.fault]]\nkind = \"end_early\"\nprobability = 0.4\n",
    );
    let told: Vec<_> = run
        .readback
        .summary
        .objectives
        .iter()
        .map(|judged| format!("{}: {}: {}", judged.answer, judged.objective, judged.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    fail: ttfc p95 < 300ms for 3s: violated in each of 3 seconds; the last, 1.30s, ended 5 s into the run
    fail: ttfc p95 < 300ms within 3s: 1.30s in up to 3 s that ended 2 s into the run
    fail: ttfc p95 < 300ms over 3s: never in the 3 s that ended 5 s into the run
    fail: finish p50 < 1s over 4s: 1.69s in the 4 s that ended 5 s into the run
    fail: success > 80% for 2s: violated in each of 2 seconds; the last, 0.00 %, ended 8 s into the run
    fail: success > 80% over 5s: 50.00 % in the 5 s that ended 7 s into the run
    fail: gap p99 < 90ms within 2s: 97.0ms in up to 2 s that ended 2 s into the run
    fail: tool.search p50 < 1s for 2s: violated in each of 2 seconds; the last, 1.20s, ended 5 s into the run
    inconclusive: tool.other p50 < 1s for 2s: only 0 seconds had data, and the window takes 2
    fail: ttfc_from_sent p99.9 < 10s within 11s: never in up to 11 s that ended 3 s into the run
    inconclusive: start_lag p99 < 1s for 12s: only 9 seconds had data, and the window takes 12
    fail: ttfc{variant=base} p50 < 300ms for 3s: violated in each of 3 seconds; the last, 1.30s, ended 5 s into the run
    ");
}

#[test]
fn objectives_of_a_variant_are_judged_on_it_alone() {
    let profile = "why = \"a simulation\"\nload.concurrency = 4\nload.invocations = 400\nrequest.input.text = \"Hello\"\n\
        objectives = [\"ttfc{variant=low} p50 < 200ms\", \"ttfc{variant=high} p50 < 200ms\", \"success{variant=high} > 90%\", \"goodput{variant=low} > 1/s\"]\n\
        [[variant]]\nname = \"low\"\nllm_reasoning_effort = \"low\"\n[[variant]]\nname = \"high\"\nllm_reasoning_effort = \"high\"\n\
        [mock]\nwhy = \"exact\"\nfirst_chunk = \"100ms\"\nchunks = 2\n[[mock.effect]]\nwhen = { llm_reasoning_effort = \"high\" }\nscale = { first_chunk = 3 }";
    let run = simulate(profile, 2, &[]);
    let told: Vec<_> = run
        .readback
        .summary
        .objectives
        .iter()
        .map(|judged| format!("{}: {}: {}", judged.answer, judged.objective, judged.found))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    pass: ttfc{variant=low} p50 < 200ms: 100ms (100ms–100ms)
    fail: ttfc{variant=high} p50 < 200ms: 300ms (300ms–300ms)
    pass: success{variant=high} > 90%: 100.00 % (98.17 %–100.00 %)
    pass: goodput{variant=low} > 1/s: 9.02/s (8.86/s–9.02/s)
    ");
    let good = run.readback.summary.groups.iter().map(|group| group.good.expect("there are objectives").share);
    assert_eq!(good.map(|share| (share * 100.0).round()).collect::<Vec<_>>(), [50.0, 0.0, 100.0]);
}
