//! The first screen of a run.

use super::{certificate, run, summary};
use crate::report::terminal;

#[test]
fn the_first_screen_answers_what_its_reader_asks_first() {
    let mut out = Vec::new();
    terminal::write(&run(), &summary(), &certificate(), "reports/made_up (run.json)", &mut out).expect("a vector");
    insta::assert_snapshot!(String::from_utf8(out).expect("text"), @"
    DEGRADED  689 of 700 invocations completed against http://127.0.0.1:8080, then interrupted
      because start lag p99 is 3.00ms, over 2.50ms (a worker was busy, up to 91 % of a core): lower the load (-c, -q) by 12 % or more, or add cores

    from the intended start, unless said          p50          p90          p95     p99   p99.9    max
    time to first chunk                         250ms        292ms        297ms   never  n<6636  300ms
      95 % interval                       247ms–254ms  290ms–294ms  295ms–299ms
    time to first chunk, from the send          250ms        292ms        297ms   never  n<6636  300ms
    time to task_finished                       955ms        997ms        1.00s   never  n<6636  1.00s
      95 % interval                       952ms–959ms  995ms–999ms  1.00s–1.00s
    time to task_finished, from the send        955ms        997ms        1.00s   never  n<6636  1.00s
    gap between chunks                         20.0ms       24.0ms       25.0ms  25.0ms  25.0ms  400ms
    n<N: that quantile takes N independent samples; these are worth 699
    never: so many failed that this share never got there; report.md has the completed ones alone

    pass      ttfc p95 < 1s: 297ms (295ms–299ms)
    fail      finish p95 < 999ms: 1.00s (1.00s–1.00s)
    fail      success > 99.5%: 98.71 % (97.57 %–99.41 %)
    pass      goodput > 5/s: 377.06/s (367.55/s–385.09/s)
    streams   700 started in 1.70s, 387 in flight on average; 405 completed/s, 16212 events/s, 198 KiB/s of text
    ended     689 completed + 2 cut + 7 http_status + 2 truncated = 700 planned; success 98.7 % (97.6 %–99.4 %)
    time      73 % answer · 18 % model · 3 % web_search · 3 % queue · 3 % 3 others; p99: 70 % answer
    stalls    7 in 1 % of invocations, 2.80s in all, longest 400ms: 100 % answer
    noted     14 events of other tasks
    failed    7 × http_status:503: made up: http_status:503
    failed    2 × truncated: made up: truncated
    trust     DEGRADED: stamp error p99 4.10µs, start lag p99 3.00ms (limit 2.50ms); client lag p99 310µs; shared reads 7.1 % (1.25 events and 219 B a read); busiest worker 91 %, machine 50 %
    warning   2 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end
    files     reports/made_up (run.json)
    ");
}

#[test]
fn what_the_target_says_can_not_steer_a_terminal() {
    let mut hostile = run();
    hostile.target = "http://x\u{1b}[2J".into();
    let mut summary = summary();
    summary.failures[0].detail = "\u{1b}]0;owned\u{7}\nfake line".into();
    let mut out = Vec::new();
    terminal::write(&hostile, &summary, &certificate(), "reports", &mut out).expect("a vector takes it");
    let screen = String::from_utf8(out).expect("text");
    assert!(!screen.contains('\u{1b}') && !screen.contains('\u{7}'), "{screen}");
    assert!(!screen.lines().any(|line| line.starts_with("fake")), "{screen}");
}
