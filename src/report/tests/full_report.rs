//! The report with every number.

use super::{certificate, run, summary};
use crate::report::markdown;

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
    | body bytes | 4823000 |
    | reads | 22048 |
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

    1.25 events and 219 B a read on average.

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

    - start lag p99 is 3.00ms, over 2.50ms (a worker was busy, up to 91 % of a core): lower the load (-c, -q) by 12 % or more, or add cores

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
    | events\_per\_read | complete events / reads that brought bytes of a body; over 1, events shared their reads |
    | bytes\_per\_read | body bytes / the same reads |
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
