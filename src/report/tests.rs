//! Whole reports of a made-up run, as their readers see them.

use std::sync::Arc;

use serde_json::Value;

use super::{csv, hgrm, html, junit, markdown, repeats, terminal};
use crate::metrics::certificate::{ArrivalClock, SelfError};
use crate::metrics::digest::{Digest, Key};
use crate::metrics::server::{Account, ClockOffset, ServerView, Span};
use crate::metrics::{Certificate, Metric, Outcome, PartTimes, Record, Summary, ToolTime, Warning};
use crate::runfile::intervals::Interval;
use crate::runfile::network::Network;
use crate::runfile::run::{Build, Machine, VERSION};
use crate::runfile::{Repeats, Run, Status};
use crate::stats::Histogram;
use crate::units::NS_PER_MS;

const OBJECTIVES: [&str; 4] = ["ttfc p95 < 1s", "finish p95 < 999ms", "success > 99.5%", "goodput > 5/s"];

/// A run of 700 invocations, of which some failed in two ways and two were cut.
fn summary() -> Summary {
    let mut digest = Digest::new(OBJECTIVES.iter().map(|text| text.parse().expect("an objective")).collect());
    let mut gaps = Histogram::default();
    for index in 0..700_u64 {
        let mut record = Record::unstarted(index, Arc::from("base"), index * NS_PER_MS, 0, Outcome::NotStarted);
        let stamps = &mut record.stamps;
        stamps.started_ns = Some(stamps.intended_ns + 20_000);
        stamps.sent_ns = Some(stamps.intended_ns + 120_000);
        record.outcome = match index {
            13 | 14 => Outcome::Cut,
            i if i % 100 == 7 => Outcome::HttpStatus(503),
            i if i % 350 == 9 => Outcome::Truncated,
            _ => Outcome::Completed,
        };
        let first_ns = 200 * NS_PER_MS + (index * 7_919 % 101) * NS_PER_MS;
        if record.outcome == Outcome::Completed {
            let stamps = &mut record.stamps;
            stamps.first_chunk_ns = Some(stamps.intended_ns + first_ns);
            stamps.last_chunk_ns = Some(stamps.intended_ns + first_ns + 700 * NS_PER_MS);
            stamps.finished_ns = Some(stamps.intended_ns + first_ns + 705 * NS_PER_MS);
            record.counts.chunks = 36;
            record.counts.events = 40;
            record.counts.text_bytes = 500;
            take_apart(&mut record, index, first_ns);
            (0..35).for_each(|gap| gaps.record((15 + (index + gap) % 11) * NS_PER_MS));
            gaps.record_n(record.counts.stalled_ns, record.counts.stalls);
        } else {
            record.detail = Some(format!("made up: {}", record.outcome));
        }
        let stamps = &mut record.stamps;
        stamps.last_known_ns = stamps.finished_ns.unwrap_or(stamps.intended_ns + 50 * NS_PER_MS);
        digest.take(&record);
    }
    let gaps = gaps.hdr().expect("gaps were recorded");
    let (variant, scenario) = ("base".to_owned(), String::new());
    let key = Key { metric: Metric::Gap, variant, scenario, completed: true, group: None };
    digest.take_histogram(key, &gaps);
    Summary { server: Some(server()), ..digest.summary(1_700 * NS_PER_MS) }
}

/// The parts of a made-up invocation: every third one searches the web, and one in a hundred stalls.
fn take_apart(record: &mut Record, index: u64, first_ns: u64) {
    let search_ns = if index.is_multiple_of(3) { 90 * NS_PER_MS } else { 0 };
    record.turn = u32::try_from(index % 2).expect("0 or 1");
    record.parts = PartTimes {
        connect_ns: 100_000,
        wait_ns: 20 * NS_PER_MS,
        queue_ns: 30 * NS_PER_MS,
        tool_ns: search_ns,
        model_ns: first_ns - search_ns - 50 * NS_PER_MS - 120_000,
        answer_ns: 700 * NS_PER_MS,
        closing_ns: 5 * NS_PER_MS,
        ..PartTimes::default()
    };
    if search_ns > 0 {
        record.tools = vec![ToolTime { name: Arc::from("web_search"), ns: search_ns }];
        record.calls = record.tools.clone();
        record.counts.tool_calls = 1;
    }
    if index.is_multiple_of(100) {
        (record.counts.stalls, record.counts.stalled_ns) = (1, 400 * NS_PER_MS);
        record.stalled = PartTimes { answer_ns: 400 * NS_PER_MS, ..PartTimes::default() };
        record.counts.foreign_events = 2;
    }
    assert!(record.parts_add_up(), "{record:?}");
}

fn server() -> ServerView {
    let account = |span, client_ns_mean, server_ns_mean, share| Account {
        span,
        invocations: 689,
        client_ns_mean: client_ns_mean * NS_PER_MS,
        server_ns_mean: server_ns_mean * NS_PER_MS,
        share,
    };
    ServerView {
        clock: Some(ClockOffset { low_ns: -1_250_000, high_ns: 250_000, resolution_ns: 1_000 }),
        accounts: vec![account(Span::Ttfc, 250, 225, 0.9), account(Span::Finish, 955, 930, 0.9738)],
    }
}

fn certificate() -> Certificate {
    Certificate::judge(SelfError {
        arrival_clock: ArrivalClock::Kernel,
        stamp_error_ns_p99: Some(4_100),
        start_lag_ns_p99: Some(3_000_000),
        client_lag_ns_p99: Some(310_000),
        shared_reads: 0.0712,
        starts_made: 1.0,
        missed_by_limit: 0,
        missed_by_client: 0,
        missed_by_sockets: 0,
        ports_left: Some(28_000),
        descriptors_left: None,
        smaller_median_ns: Some(250 * NS_PER_MS),
        worker_cpu: vec![0.12, 0.91],
        machine_cpu: Some(0.5),
        steal: Some(0.0),
        ledger_holds: true,
        lost_workers: 0,
    })
}

fn run() -> Run {
    Run {
        version: VERSION,
        status: Status::Interrupted,
        id: "2026-01-01T000000Z-made_up".into(),
        began: "2026-01-01T00:00:00Z".into(),
        origin_unix_ns: 0,
        origin_monotonic_ns: None,
        plimsoll: Build { version: "0.0.0".into(), revision: Some("0123456789ab".into()) },
        machine: Machine { system: "linux-x86_64".into(), kernel: Some("6.1".into()), cpu: None, cores: 2 },
        target: "http://127.0.0.1:8080".into(),
        network: Network::default(),
        why: "A made-up run, to look at".into(),
        objectives: Vec::new(),
        scenarios: Vec::new(),
        profile: Value::Null,
        seed: 1,
        plan_hash: "fnv1a64:0".into(),
        workers: 2,
        drain_ns: 30_000 * NS_PER_MS,
        reuse: true,
        parts: Vec::new(),
        harness: None,
        summary: None,
        certificate: None,
        warnings: vec![Warning::Cut { count: 2, drain_ns: 30_000 * NS_PER_MS }],
    }
}

#[test]
fn the_first_screen_answers_what_its_reader_asks_first() {
    let mut out = Vec::new();
    terminal::write(&run(), &summary(), &certificate(), "reports/made_up (run.json)", &mut out).expect("a vector");
    insta::assert_snapshot!(String::from_utf8(out).expect("text"), @"
    DEGRADED  689 of 700 invocations completed against http://127.0.0.1:8080, then interrupted
      because start lag p99 is 3.00ms, over 2.50ms (a worker was busy 91 %): lower -c, or add cores

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
    trust     DEGRADED: stamp error p99 4.10µs, start lag p99 3.00ms (limit 2.50ms); client lag p99 310µs; shared reads 7.1 %; busiest worker 91 %, machine 50 %
    warning   2 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end
    files     reports/made_up (run.json)
    ");
}

#[test]
fn the_report_has_every_number_with_its_definition() {
    let mut out = Vec::new();
    markdown::write(&run(), &summary(), &certificate(), &mut out).expect("a vector takes it");
    insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r"
    # 2026-01-01T000000Z-made\_up

    A made-up run, to look at

    **DEGRADED** · target http://127.0.0.1:8080 · began 2026-01-01T00:00:00Z · seed 1 · plan `fnv1a64:0` · 2 workers · plimsoll 0.0.0 (0123456789ab)

    > **Warning:** 2 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end

    ## Objectives

    | objective | found | answer |
    |---|---:|---:|
    | ttfc p95 \< 1s | 297ms (295ms–299ms) | pass |
    | finish p95 \< 999ms | 1.00s (1.00s–1.00s) | fail |
    | success \> 99.5% | 98.71 % (97.57 %–99.41 %) | fail |
    | goodput \> 5/s | 377.06/s (367.55/s–385.09/s) | pass |

    Good (completed within every latency objective): 91.6 % (89.3 %–93.5 %) of planned starts.

    ## All invocations

    | outcome | invocations | share |
    |---|---:|---:|
    | completed | 689 | 98.4 % |
    | cut | 2 | 0.3 % |
    | http\_status | 7 | 1 % |
    | truncated | 2 | 0.3 % |
    | planned | 700 |  |

    700 started in 1.70s (412/s), 405 completed/s, 387 in flight on average, 16212 events/s, 198 KiB/s of text.

    ### Every planned start

    | metric | samples | min | mean | p50 | p90 | p95 | p99 | p99.9 | max |
    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
    | time to first chunk | 689 +9 failed +2 cut off | 200ms | 250ms | 250ms (247ms–254ms) | 292ms (290ms–294ms) | 297ms (295ms–299ms) | never | n\<6636 | 300ms |
    | time to first chunk, from the send | 689 +9 failed +2 cut off | 200ms | 250ms | 250ms (247ms–254ms) | 292ms (290ms–294ms) | 297ms (295ms–299ms) | never | n\<6636 | 300ms |
    | time to task\_finished | 689 +9 failed +2 cut off | 905ms | 955ms | 955ms (952ms–959ms) | 997ms (995ms–999ms) | 1.00s (1.00s–1.00s) | never | n\<6636 | 1.00s |
    | time to task\_finished, from the send | 689 +9 failed +2 cut off | 905ms | 955ms | 955ms (952ms–959ms) | 997ms (995ms–999ms) | 1.00s (1.00s–1.00s) | never | n\<6636 | 1.00s |
    | gap between chunks | 24122 | 15.0ms | 20.1ms | 20.0ms | 24.0ms | 25.0ms | 25.0ms | 25.0ms | 400ms |
    | answer | 689 | 700ms | 700ms | 700ms (700ms–700ms) | 700ms (700ms–700ms) | 700ms (700ms–700ms) | 700ms (700ms–700ms) | n\<6636 | 700ms |
    | closing | 689 | 5.00ms | 5.00ms | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | n\<6636 | 5.00ms |
    | start lag (ours) † | 700 | 20.0µs | 20.0µs | 20.0µs (20.0µs–20.0µs) | 20.0µs (20.0µs–20.0µs) | 20.0µs (20.0µs–20.0µs) | 20.0µs (20.0µs–20.0µs) | n\<6636 | 20.0µs |

    ### Completed invocations only

    | metric | samples | min | mean | p50 | p90 | p95 | p99 | p99.9 | max |
    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
    | time to first chunk | 689 | 200ms | 250ms | 250ms (246ms–254ms) | 291ms (288ms–293ms) | 295ms (294ms–297ms) | 300ms (299ms–300ms) | n\<6636 | 300ms |
    | time to first chunk, from the send | 689 | 200ms | 250ms | 250ms (246ms–254ms) | 291ms (288ms–293ms) | 295ms (294ms–297ms) | 300ms (299ms–300ms) | n\<6636 | 300ms |
    | time to task\_finished | 689 | 905ms | 955ms | 955ms (951ms–959ms) | 996ms (993ms–998ms) | 1.00s (999ms–1.00s) | 1.00s (1.00s–1.00s) | n\<6636 | 1.00s |
    | time to task\_finished, from the send | 689 | 905ms | 955ms | 955ms (951ms–959ms) | 996ms (993ms–998ms) | 1.00s (999ms–1.00s) | 1.00s (1.00s–1.00s) | n\<6636 | 1.00s |
    | gap between chunks | 24122 | 15.0ms | 20.1ms | 20.0ms | 24.0ms | 25.0ms | 25.0ms | 25.0ms | 400ms |
    | answer | 689 | 700ms | 700ms | 700ms (700ms–700ms) | 700ms (700ms–700ms) | 700ms (700ms–700ms) | 700ms (700ms–700ms) | n\<6636 | 700ms |
    | closing | 689 | 5.00ms | 5.00ms | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | n\<6636 | 5.00ms |
    | start lag (ours) † | 689 | 20.0µs | 20.0µs | 20.0µs (20.0µs–20.0µs) | 20.0µs (20.0µs–20.0µs) | 20.0µs (20.0µs–20.0µs) | 20.0µs (20.0µs–20.0µs) | n\<6636 | 20.0µs |

    ### Where the time of completed invocations went

    The mean one took 955ms from its start to its finish, 20.0µs after the intended start; its parts add up to that.

    | part | mean | share | p50 | p95 | invocations with it | of the mean |
    |---|---:|---:|---:|---:|---:|---:|
    | part.connect | 100µs | under 0.1 % | 100µs (100µs–100µs) | 100µs (100µs–100µs) | 689 | ▏ |
    | part.wait | 20.0ms | 2.1 % | 20.0ms (20.0ms–20.0ms) | 20.0ms (20.0ms–20.0ms) | 689 | ▉ |
    | part.queue | 30.0ms | 3.1 % | 30.0ms (30.0ms–30.0ms) | 30.0ms (30.0ms–30.0ms) | 689 | █▎ |
    | part.model | 170ms | 17.8 % | 175ms (169ms–180ms) | 243ms (241ms–245ms) | 689 | ███████▏ |
    | part.tool.web\_search | 30.2ms | 3.2 % | 0ns (0ns–0ns) | 90.0ms (90.0ms–90.0ms) | 231 | █▎ |
    | part.answer | 700ms | 73.3 % | 700ms (700ms–700ms) | 700ms (700ms–700ms) | 689 | █████████████████████████████▍ |
    | part.closing | 5.00ms | 0.5 % | 5.00ms (5.00ms–5.00ms) | 5.00ms (5.00ms–5.00ms) | 689 | ▎ |
    | sum | 955ms | 100 % |  |  | 689 |  |

    The p99 is made of 70 % answer · 22 % model · 3 % queue · 3 % web\_search · 2 % 3 others: the mean of the 7 invocations that took 1.00s or more.

    #### By turn

    | turn | invocations | mean | part.connect | part.wait | part.queue | part.model | part.tool.web\_search | part.answer | part.closing |
    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
    | 1 | 349 | 955ms | 100µs | 20.0ms | 30.0ms | 170ms | 30.2ms | 700ms | 5.00ms |
    | 2 | 340 | 955ms | 100µs | 20.0ms | 30.0ms | 170ms | 30.2ms | 700ms | 5.00ms |
    | conversation, as the sum | 689 | 1.91s | 200µs | 40.0ms | 60.0ms | 339ms | 60.3ms | 1.40s | 10.0ms |

    #### The slowest

    | plan index | variant | turn | from the intended start | start lag | made of |
    |---|---:|---:|---:|---:|---:|
    | 32 | base | 1 | 1.00s | 20.0µs | 70 % answer · 25 % model · 3 % queue · 2 % wait · 1 % 2 others |
    | 133 | base | 2 | 1.00s | 20.0µs | 70 % answer · 25 % model · 3 % queue · 2 % wait · 1 % 2 others |
    | 234 | base | 1 | 1.00s | 20.0µs | 70 % answer · 16 % model · 9 % web\_search · 3 % queue · 2 % 3 others |
    | 335 | base | 2 | 1.00s | 20.0µs | 70 % answer · 25 % model · 3 % queue · 2 % wait · 1 % 2 others |
    | 436 | base | 1 | 1.00s | 20.0µs | 70 % answer · 25 % model · 3 % queue · 2 % wait · 1 % 2 others |

    ### Tool calls, from request to result

    | tool | samples | min | mean | p50 | p90 | p95 | p99 | p99.9 | max |
    |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
    | tool.web\_search | 231 | 90.0ms | 90.0ms | 90.0ms (90.0ms–90.0ms) | 90.0ms (90.0ms–90.0ms) | 90.0ms (90.0ms–90.0ms) | n\<662 | n\<6636 | 90.0ms |

    ### Stalls

    7 gaps over the threshold in 1 % (0.4 %–2.0 %) of invocations, 2.80s in all; what the streams were doing:

    | part | time | share | of the time in stalls |
    |---|---:|---:|---:|
    | part.answer | 2.80s | 100 % | ████████████████████████████████████████ |

    | counted | sum |
    |---|---:|
    | events | 27560 |
    | chunks with text | 24804 |
    | text bytes | 344500 |
    | body bytes | 0 |
    | reads | 0 |
    | events that shared their read with a later one | 0 |
    | tool calls | 231 |
    | tool errors | 0 |
    | tool calls without a pair | 0 |
    | tool calls over the number whose times are kept | 0 |
    | stalls | 7 |
    | comments (heartbeats) | 0 |
    | events of unknown type | 0 |
    | events of other tasks | 14 |
    | events after the end | 0 |
    | further task\_finished events | 0 |
    | further task\_created events | 0 |
    | events with broken UTF-8 | 0 |
    | stamps moved to keep their order | 0 |
    | invocations on a reused connection | 0 |
    | tokens, as the agent counts them | 0 |

    ## Causes of failure

    | outcome | cause | invocations |
    |---|---:|---:|
    | http\_status:503 | made up: http\_status:503 | 7 |
    | truncated | made up: truncated | 2 |

    ## The server's own view

    Its clock less ours is −500µs ± 750µs (surely −1.25ms to +250µs; its stamps tell 1.00µs).

    | what we saw, against what the server says | invocations | seen | said | share |
    |---|---:|---:|---:|---:|
    | sent → first chunk, against the time of task\_created → of that chunk | 689 | 250ms | 225ms | 90 % |
    | sent → task\_finished, against the time of task\_created → of task\_finished | 689 | 955ms | 930ms | 97.4 % |

    Means over completed invocations. What the server does not account for lies before its first stamp, in the network, in its own buffers, or in this client.

    ## Certificate: DEGRADED

    - start lag p99 is 3.00ms, over 2.50ms (a worker was busy 91 %): lower -c, or add cores

    | measured of itself | value |
    |---|---:|
    | arrival stamps from | the kernel's receive stamp |
    | stamp error p99 | 4.10µs |
    | start lag p99 | 3.00ms |
    | limit on both | 2.50ms |
    | client lag p99 | 310µs |
    | events in shared reads | 7.1 % |
    | starts made | 100 % |
    | ports left | 28000 |
    | descriptors left | unknown |
    | CPU of each worker | 12 %, 91 % |
    | CPU of the machine | 50 % |
    | stolen by the hypervisor | 0 % |
    | machine | unknown CPU, 2 cores |
    | system | linux-x86\_64 6.1 |

    ## Definitions

    Latencies count from the intended start, unless the send is named. `n<N`: the quantile takes N independent samples. `never`: so many failed that this share never got there. `cut off`: the run ended before it did. †: the median is under 100 times what an arrival stamp can be wrong by. Intervals are two-sided at 95 %. `truncated` and the like are outcomes; a stream without its own `task_finished` is no success.

    | metric | definition |
    |---|---:|
    | ttfc | first chunk with text − origin |
    | finish | task\_finished of the own task, when completed − origin |
    | gap | between neighbouring chunks of a stream; one sample a gap |
    | ttfb | first body byte − origin |
    | ttfe | first complete event of any kind − origin |
    | connect | connection (with TLS) − taken up; new connections only |
    | queue | first task\_updated executing − task\_created |
    | tool | tool\_call\_result − tool\_call\_request, paired by request\_id; one sample a call, by the tool's name |
    | answer | last chunk − first chunk |
    | closing | task\_finished − last chunk |
    | silence | longest wait between body bytes; one sample a stream |
    | event\_silence | longest wait between events; one sample a stream: over silence by what comments alone filled |
    | start\_lag | taken up − intended: the harness's own lateness |
    | client\_lag | handled − arrived, each event: the harness's own slowness |
    | stamp\_error | by how much an event's arrival stamp may be too late, at most; each event |
    | part.connect | taken up → request sent |
    | part.wait | request sent → task\_created, or the first event that tells anything |
    | part.queue | task\_created → executing, or the first event that is of no task |
    | part.model | no event says what the agent does: most often the model at work |
    | part.thinking | the last event was think, analyze or plan |
    | part.tool | a tool call is open; its time goes to the one opened last |
    | part.sub\_agent | a sub-agent was triggered and nothing else has come since |
    | part.auth | a login is waited for |
    | part.answer | between two chunks with no other event between them |
    | part.closing | after the last chunk |
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

#[test]
fn a_writer_that_fails_is_not_swallowed() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(terminal::write(&run(), &summary(), &certificate(), "reports", &mut Full).is_err());
    assert!(markdown::write(&run(), &summary(), &certificate(), &mut Full).is_err());
}

/// What a writer writes, as text.
fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes it");
    String::from_utf8(out).expect("text")
}

#[test]
fn the_table_of_metrics_has_a_row_for_each() {
    let table = text(|out| csv::write(&summary(), out));
    let lines: Vec<_> = table.lines().take(5).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    variant,metric,row,count,censored,failed,min_ns,mean_ns,max_ns,p50_ns,p50_ns_low,p50_ns_high,p50_refused,p90_ns,p90_ns_low,p90_ns_high,p90_refused,p95_ns,p95_ns_low,p95_ns_high,p95_refused,p99_ns,p99_ns_low,p99_ns_high,p99_refused,p99.9_ns,p99.9_ns_low,p99.9_ns_high,p99.9_refused
    ,ttfc_from_intended,all,689,2,9,200000000,249936139,300000000,250000000,247000000,254000000,,292000000,290000000,294000000,,297000000,295000000,299000000,,,300000000,,never,,,,n<6636
    ,ttfc_from_intended,completed,689,0,0,200000000,249936139,300000000,250000000,246000000,254000000,,291000000,288000000,293000000,,295000000,294000000,297000000,,300000000,299000000,300000000,,,,,n<6636
    ,ttfc_from_sent,all,689,2,9,199880000,249816139,299880000,249880000,246880000,253880000,,291880000,289880000,293880000,,296880000,294880000,298880000,,,299880000,,never,,,,n<6636
    ,ttfc_from_sent,completed,689,0,0,199880000,249816139,299880000,249880000,245880000,253880000,,290880000,287880000,292880000,,294880000,293880000,296880000,,299880000,298880000,299880000,,,,,n<6636
    ");
}

#[test]
fn ci_gets_a_test_case_for_each_objective_and_for_trust() {
    let mut run = run();
    run.id = "a<b>&\"c\"\u{1b}".into();
    insta::assert_snapshot!(text(|out| junit::write(&run, &summary(), &certificate(), out)), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites>
      <testsuite name="a&lt;b&gt;&amp;&quot;c&quot;�" timestamp="2026-01-01T00:00:00" tests="6" failures="2" errors="0" time="1.700">
        <testcase classname="plimsoll" name="the measurement can be trusted" time="1.700"><system-out>DEGRADED start lag p99 is 3.00ms, over 2.50ms (a worker was busy 91 %): lower -c, or add cores</system-out></testcase>
        <testcase classname="plimsoll" name="invocations complete" time="1.700"><system-out>689 of 700 planned starts completed</system-out></testcase>
        <testcase classname="plimsoll" name="ttfc p95 &lt; 1s" time="1.700"><system-out>pass: 297ms (295ms–299ms)</system-out></testcase>
        <testcase classname="plimsoll" name="finish p95 &lt; 999ms" time="1.700"><failure message="fail: 1.00s (1.00s–1.00s)"/></testcase>
        <testcase classname="plimsoll" name="success &gt; 99.5%" time="1.700"><failure message="fail: 98.71 % (97.57 %–99.41 %)"/></testcase>
        <testcase classname="plimsoll" name="goodput &gt; 5/s" time="1.700"><system-out>pass: 377.06/s (367.55/s–385.09/s)</system-out></testcase>
        <system-err>2 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end</system-err>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn a_distribution_is_what_hdr_histograms_plotter_reads() {
    let mut histogram = Histogram::default();
    (1..=20_u64).for_each(|ms| histogram.record(ms * ms * NS_PER_MS));
    let all = histogram.hdr().expect("recorded");
    insta::assert_snapshot!(text(|out| hgrm::write("ttfc_from_intended", "completed invocations", &all, out)), @"
    #[ttfc_from_intended, completed invocations, milliseconds]
           Value     Percentile TotalCount 1/(1-Percentile)

           1.000 0.000000000000          1           1.00
           4.002 0.100000000000          2           1.11
          16.007 0.200000000000          4           1.25
          49.021 0.300000000000          7           1.43
          64.029 0.400000000000          8           1.67
         100.008 0.500000000000         10           2.00
         121.045 0.550000000000         11           2.22
         169.083 0.600000000000         13           2.50
         196.084 0.650000000000         14           2.86
         225.051 0.700000000000         15           3.33
         256.115 0.750000000000         16           4.00
         256.115 0.775000000000         16           4.44
         289.145 0.800000000000         17           5.00
         289.145 0.825000000000         17           5.71
         324.010 0.850000000000         18           6.67
         324.010 0.875000000000         18           8.00
         324.010 0.887500000000         18           8.89
         361.234 0.900000000000         19          10.00
         361.234 0.912500000000         19          11.43
         361.234 0.925000000000         19          13.33
         361.234 0.937500000000         19          16.00
         361.234 0.943750000000         19          17.78
         400.032 0.950000000000         20          20.00
         400.032 1.000000000000         20
    #[Mean    =      143.496, StdDeviation   =      124.658]
    #[Max     =      400.032, Total count    =           20]
    #[Buckets =           28, SubBuckets     =         2048]
    ");
}

fn seconds() -> Vec<Interval> {
    let row = |second: u64| Interval {
        second,
        in_flight: 5 + second,
        started: 10,
        ttfc_from_intended_ns_p50: (second != 1).then_some(250 * NS_PER_MS),
        ttfc_from_intended_ns_p99: Some((300 + second) * NS_PER_MS),
        ..Interval::default()
    };
    (0..3).map(row).collect()
}

#[test]
fn the_page_opens_offline_and_shows_hostile_text_as_text() {
    let mut run = run();
    run.why = "<script>alert(1)</script>".into();
    run.target = "http://a/\"onload=\"x".into();
    run.profile = serde_json::json!({"</pre><img src=x>": "'&"});
    let page = text(|out| html::write(&run, &summary(), &certificate(), &seconds(), out));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    for forbidden in ["<script", "<img", "onload=\"", "src=\"", "href=", "url(", "@import", "NaN", "inf"] {
        assert!(!page.contains(forbidden), "{forbidden} stands in\n{page}");
    }
    assert!(page.contains("default-src 'none'"), "nothing is fetched");
    assert_eq!((page.matches("<svg").count(), page.matches("</svg>").count()), (3, 3));
    for shown in ["DEGRADED", "in flight after the drain", "p99.9", "250ms", "1 s", "planned", "fnv1a64:0"] {
        assert!(page.contains(shown), "{shown} is missing in\n{page}");
    }
    let plot = page.split("<svg").nth(2).and_then(|rest| rest.split("</svg>").next()).expect("a plot");
    insta::assert_snapshot!(plot, @r##"
     viewBox="0 0 760 260" role="img" aria-label="Quantiles of each second">
    <path class="grid" d="M72 226.0H744"/><text class="scale" x="64" y="230.0">0</text>
    <path class="grid" d="M72 173.5H744"/><text class="scale" x="64" y="177.5">75.5ms</text>
    <path class="grid" d="M72 121.0H744"/><text class="scale" x="64" y="125.0">151ms</text>
    <path class="grid" d="M72 68.5H744"/><text class="scale" x="64" y="72.5">226ms</text>
    <path class="grid" d="M72 16.0H744"/><text class="scale" x="64" y="20.0">302ms</text>
    <text class="mark" x="72.0" y="244">0 s</text>
    <text class="mark" x="408.0" y="244">1 s</text>
    <text class="mark" x="744.0" y="244">2 s</text>
    <path stroke="#2a7de1" class="curve" d="M72.0 52.2h0M744.0 52.2h0"><title>time to first chunk, p50</title></path>
    <path stroke="#7fb2f0" class="curve" d="M72.0 17.4h0L408.0 16.7L744.0 16.0"><title>time to first chunk, p99</title></path>
    <path stroke="#d1495b" class="curve" d=""><title>time to task_finished, p99</title></path>
    "##);
}

#[test]
fn an_output_that_fails_is_an_error_in_every_format() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (run, summary, certificate) = (run(), summary(), certificate());
    assert!(csv::write(&summary, &mut Full).is_err());
    assert!(junit::write(&run, &summary, &certificate, &mut Full).is_err());
    assert!(html::write(&run, &summary, &certificate, &seconds(), &mut Full).is_err());
    assert!(markdown::write(&run, &summary, &certificate, &mut Full).is_err());
}

/// Questions of one turn and talks of two; every seventh talk loses its second turn.
fn mixed() -> Summary {
    let turns = [("ask".to_owned(), 1), ("talk".to_owned(), 2)];
    let objectives = ["finish p95 < 1s", "finish{scenario=ask} p95 < 1s", "success{scenario=talk} > 99%"];
    let objectives = objectives.iter().map(|text| text.parse().expect("an objective")).collect();
    let mut digest = Digest::new(objectives).with_turns(turns.into());
    for conversation in 0..300_u64 {
        let (scenario, turns) = if conversation.is_multiple_of(3) { ("talk", 2) } else { ("ask", 1) };
        for turn in 0..turns {
            let intended_ns = (10 * conversation + 3_000 * u64::from(turn)) * NS_PER_MS;
            let mut record = Record::unstarted(conversation, Arc::from("base"), intended_ns, 0, Outcome::NotStarted);
            (record.conversation, record.turn) = (conversation, turn);
            record.scenario = Arc::from(scenario);
            let lost = turn == 1 && conversation.is_multiple_of(21);
            record.outcome = if lost { Outcome::Reset } else { Outcome::Completed };
            let stamps = &mut record.stamps;
            stamps.started_ns = Some(intended_ns);
            stamps.first_chunk_ns = Some(intended_ns + (100 + conversation * 7_919 % 101) * NS_PER_MS);
            stamps.last_known_ns = intended_ns + (900 + conversation * 7_919 % 101) * NS_PER_MS;
            stamps.finished_ns = (!lost).then_some(stamps.last_known_ns);
            record.parts.model_ns = record.duration_ns();
            digest.take(&record);
        }
    }
    digest.summary(6_000 * NS_PER_MS)
}

#[test]
fn scenarios_and_whole_conversations_are_shown_wherever_there_are_any() {
    let (run, summary, certificate) = (run(), mixed(), certificate());
    let of = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut out = Vec::new();
        write(&mut out).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    };
    let screen = of(&|out| terminal::write(&run, &summary, &certificate, "reports/x", out));
    let wanted = |line: &&str| {
        ["scenario", "conversation", "pass", "fail", "inconclusive"].iter().any(|start| line.starts_with(start))
    };
    insta::assert_snapshot!(screen.lines().filter(wanted).collect::<Vec<_>>().join("\n"), @"
    conversation, without think times           975ms        1.97s        2.00s  n<662  n<6636  2.00s
    inconclusive finish p95 < 1s: 999ms (997ms–never)
    pass      finish{scenario=ask} p95 < 1s: 995ms (992ms–999ms)
    fail      success{scenario=talk} > 99%: 92.50 % (87.93 %–95.74 %)
    scenario  ask: 200 of 200 completed; ttfc p50 150ms, p95 195ms; finish p50 950ms, p95 995ms
    scenario  talk: 185 of 200 completed; ttfc p50 149ms, p95 195ms; finish p50 954ms, p95 never
    ");
    let report = of(&|out| markdown::write(&run, &summary, &certificate, out));
    let wanted =
        |line: &&str| line.starts_with("## ") || line.starts_with("| conversation") || line.starts_with("| plan index");
    insta::assert_snapshot!(report.lines().filter(wanted).collect::<Vec<_>>().join("\n"), @r"
    ## Objectives
    ## All invocations
    | conversation | 285 +15 failed | 900ms | 1.23s | 975ms (967ms–984ms) | 1.97s (1.94s–1.99s) | 2.00s (1.99s–none) | n\<662 | n\<6636 | 2.00s |
    | conversation | 285 | 900ms | 1.23s | 972ms (963ms–981ms) | 1.93s (1.91s–1.96s) | 1.97s (1.95s–1.99s) | n\<662 | n\<6636 | 2.00s |
    | plan index | variant | scenario | turn | from the intended start | start lag | made of |
    ## Scenario ask
    | conversation | 200 | 900ms | 950ms | 950ms (943ms–957ms) | 990ms (986ms–995ms) | 995ms (992ms–999ms) | n\<662 | n\<6636 | 1.00s |
    | conversation | 200 | 900ms | 950ms | 950ms (943ms–957ms) | 990ms (986ms–995ms) | 995ms (992ms–999ms) | n\<662 | n\<6636 | 1.00s |
    | plan index | variant | scenario | turn | from the intended start | start lag | made of |
    ## Scenario talk
    | conversation | 85 +15 failed | 1.80s | 1.90s | 1.92s (1.90s–1.94s) | never | n\<130 | n\<662 | n\<6636 | 2.00s |
    | conversation | 85 | 1.80s | 1.90s | 1.90s (1.88s–1.92s) | 1.98s (1.97s–1.99s) | n\<130 | n\<662 | n\<6636 | 2.00s |
    | conversation, as the sum | 185 | 1.90s | 1.90s |
    | plan index | variant | scenario | turn | from the intended start | start lag | made of |
    ## Certificate: DEGRADED
    ## Definitions
    | conversation | task\_finished − intended start, added up over the turns of a conversation, when all completed; without think times |
    ");
    let table = of(&|out| csv::write(&summary, out));
    let start = |line: &str| line.split(',').take(7).collect::<Vec<_>>().join(",");
    let wanted = |line: &&str| line.starts_with("variant") || line.contains("conversation");
    insta::assert_snapshot!(table.lines().filter(wanted).map(start).collect::<Vec<_>>().join("\n"), @"
    variant,scenario,metric,row,count,censored,failed
    ,,conversation,all,285,0,15
    ,,conversation,completed,285,0,0
    ,ask,conversation,all,200,0,0
    ,ask,conversation,completed,200,0,0
    ,talk,conversation,all,85,0,15
    ,talk,conversation,completed,85,0,0
    ");
    let page = of(&|out| html::write(&run, &summary, &certificate, &[], out));
    assert!(page.contains("<h2>Scenario ask</h2>") && page.contains("<td>conversation</td>"), "{page}");
}

/// Runs whose quantiles lie so many milliseconds over those of the made-up one; the last one was interrupted.
fn repeated(shifts_ms: &[u64]) -> Repeats {
    let run = |(number, shift_ms): (u64, &u64)| {
        let mut summary = summary();
        let rows = summary.groups.iter_mut().flat_map(|group| &mut group.metrics).map(|metric| &mut metric.all);
        for quantile in rows.flat_map(|row| &mut row.quantiles) {
            for ns in [&mut quantile.value_ns, &mut quantile.low_ns, &mut quantile.high_ns].into_iter().flatten() {
                *ns += shift_ms * NS_PER_MS;
            }
        }
        summary.groups[0].rates.completed_per_s += number as f64;
        Run {
            id: format!("{}-{number}", run().id),
            seed: number,
            origin_unix_ns: number,
            plan_hash: format!("fnv1a64:{number}"),
            status: if number + 1 == shifts_ms.len() as u64 { Status::Interrupted } else { Status::Done },
            summary: Some(summary),
            certificate: Some(certificate()),
            ..run()
        }
    };
    let runs: Vec<_> = (0..).zip(shifts_ms).map(run).collect();
    let asked = runs.len().max(5);
    Repeats::of("made_up-x5".to_owned(), (u32::try_from(asked).ok(), Some(0)), &runs).expect("they are of one workload")
}

#[test]
fn several_runs_beside_each_other_in_text() {
    let told = |shifts_ms: &[u64]| {
        let mut out = Vec::new();
        repeats::write_text(&repeated(shifts_ms), "reports/made_up-x5", &mut out).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    };
    insta::assert_snapshot!("repeats_text", told(&[0, 2, 70, 0]));
    insta::assert_snapshot!("repeats_text_many", told(&[0, 1, 2, 3, 4, 5, 6, 9, 0]));
    insta::assert_snapshot!("repeats_text_one", told(&[0, 0]));
}

#[test]
fn several_runs_beside_each_other_in_markdown() {
    let mut out = Vec::new();
    repeats::write_markdown(&repeated(&[0, 2, 70, 0]), &mut out).expect("a vector takes it");
    let told = String::from_utf8(out).expect("text");
    // What is said of one metric is said of all.
    let shown = |line: &&str| !line.starts_with("| ") || line.contains("chunk") || !line.contains(" p");
    insta::assert_snapshot!(told.lines().filter(shown).collect::<Vec<_>>().join("\n"));
}
