//! What `calibrate` came to: for a terminal, and as a study in Markdown that says what it is.

use std::io::{self, Write};

use super::figures::time;
use super::table::Table;
use crate::calibrate::{Measured, Spread, Study, Transport};
use crate::metrics::Verdict;
use crate::metrics::certificate::ArrivalClock;
use crate::units::{ExactTime, Human, HumanBytes, HumanSigned};

/// The study's prose around its tables.
const PROSE: &str = include_str!("calibration.md");

/// Writes it for a terminal.
///
/// # Errors
/// The output can't be written.
pub fn write_text(study: &Study, out: &mut impl Write) -> io::Result<()> {
    for transport in transports(study) {
        writeln!(out, "{}, {}", transport.title(), clock_of(study, transport))?;
        errors(study, transport).write_text(out)?;
        writeln!(out)?;
        itself(study, transport).write_text(out)?;
        writeln!(out, "{}\n", line(study, transport))?;
    }
    write_odd(study, out)?;
    write_cut_short(study, out)?;
    writeln!(out, "{}; all streams stood for {}, {}", study.placement, ExactTime(study.duration_ns), runs(study))?;
    writeln!(out, "error = reported - handed to the kernel: the mock's write and loopback's delivery are in it")
}

/// Writes it as a study of its own.
///
/// # Errors
/// The output can't be written.
pub fn write_markdown(study: &Study, out: &mut impl Write) -> io::Result<()> {
    for paragraph in PROSE.split("\n\n") {
        match paragraph.trim() {
            "{{facts}}" => write_facts(study, out)?,
            "{{tables}}" => write_tables(study, out)?,
            text => writeln!(out, "{text}\n")?,
        }
    }
    Ok(())
}

fn write_facts(study: &Study, out: &mut impl Write) -> io::Result<()> {
    let machine = &study.machine;
    let told = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "unknown".to_owned());
    writeln!(out, "```sh\n{}\n```\n", study.command)?;
    writeln!(
        out,
        "Machine: {}, {} cores, {}, kernel {}. plimsoll {}{}, {}. Placement: {}. Workers of the client: {}. All streams of a load stood for {}; {}.\n",
        told(&machine.cpu),
        machine.cores,
        machine.system,
        told(&machine.kernel),
        study.build.version,
        study.build.revision.as_ref().map(|revision| format!(" ({revision})")).unwrap_or_default(),
        study.began,
        study.placement,
        study.workers,
        ExactTime(study.duration_ns),
        runs(study),
    )
}

fn write_tables(study: &Study, out: &mut impl Write) -> io::Result<()> {
    for transport in transports(study) {
        writeln!(out, "### {}\n\nEvents' times are from {}.\n", transport.title(), clock_of(study, transport))?;
        errors(study, transport).write_markdown(out)?;
        writeln!(out)?;
        itself(study, transport).write_markdown(out)?;
        writeln!(out, "\n**{}**\n", line(study, transport))?;
    }
    write_odd(study, out)?;
    write_cut_short(study, out)
}

fn transports(study: &Study) -> impl Iterator<Item = Transport> {
    Transport::ALL.into_iter().filter(|transport| study.over(*transport).next().is_some())
}

fn runs(study: &Study) -> String {
    match study.runs {
        1 => "one run of each load".to_owned(),
        runs if study.rows.iter().any(|row| row.runs != runs) => {
            format!("medians of as many runs of each load as the column \"runs\" says, of {runs} that were asked for")
        }
        runs => format!("medians of {runs} runs of each load"),
    }
}

fn clock_of(study: &Study, transport: Transport) -> &'static str {
    let kernel = study.over(transport).all(|row| row.clock == ArrivalClock::Kernel);
    if kernel { "the kernel's receive stamps" } else { "user space, right after the read" }
}

/// The errors of each load: a row a figure.
fn errors(study: &Study, transport: Transport) -> Table {
    let mut table = Table::new(["load", "error of", "p50", "p99", "p99.9", "max", "min", "before the truth", "events"]);
    for row in study.over(transport) {
        let shared = format!("not last of their read ({:.1} %)", row.shared() * 100.0);
        let figures: [(&str, &Spread); 7] = [
            ("time to first chunk", &row.ttfc),
            ("gap, either way", &row.gap),
            ("time to task_finished", &row.finish),
            ("every event", &row.all),
            ("last of their read", &row.last),
            (&shared, &row.others),
            ("every event, user space", &row.handled),
        ];
        let figures = figures.into_iter().filter(|(_, spread)| spread.count > 0);
        for (at, (name, spread)) in figures.enumerate() {
            let load = if at == 0 { row.load.to_string() } else { String::new() };
            let quantiles = [spread.p50_ns, spread.p99_ns, spread.p999_ns, spread.max_ns, spread.min_ns];
            let quantiles = quantiles.map(|ns| HumanSigned(ns).to_string());
            let counts = [spread.before, spread.count].map(|count| count.to_string());
            table.row([load, name.to_owned()].into_iter().chain(quantiles).chain(counts));
        }
    }
    table
}

/// What client and mock say of themselves at each load.
fn itself(study: &Study, transport: Transport) -> Table {
    let mut table = Table::new([
        "load",
        "runs",
        "events/s",
        "verdict",
        "stamp error p99",
        "client lag p99",
        "start lag p99",
        "mock late p99",
        "write p50 / p99.9",
        "outside: last, others",
        "CPU a million events",
        "busiest worker",
        "memory a stream",
    ]);
    for row in study.over(transport) {
        let (trust, cost) = (&row.trust, &row.cost);
        let late = if row.mock_kept_up() { "" } else { " (fell behind)" };
        let write = [row.writes.p50_ns, row.writes.p999_ns].map(|ns| HumanSigned(ns).to_string()).join(" / ");
        let last_outside = match row.clock {
            ArrivalClock::Kernel => row.kept.last_outside.to_string(),
            // They are of the read, and never claimed to lie within a write.
            ArrivalClock::User => "–".to_owned(),
        };
        let outside = format!("{last_outside}, {}", row.kept.others_outside);
        let known = row.writes.count > 0;
        let if_known = |figure: String| if known { figure } else { "–".to_owned() };
        table.row([
            row.load.to_string(),
            row.runs.to_string(),
            trust.events_per_s.to_string(),
            if trust.worst == trust.verdict {
                trust.verdict.to_string()
            } else {
                format!("{} (worst {})", trust.verdict, trust.worst)
            },
            time(Some(trust.stamp_error_ns_p99)),
            Human(trust.client_lag_ns_p99).to_string(),
            Human(trust.start_lag_ns_p99).to_string(),
            format!("{}{late}", Human(trust.mock_late_ns_p99)),
            if_known(write),
            if_known(outside),
            format!("{:.1}s", cost.cpu_ns_per_event as f64 / 1e3),
            format!("{:.0} %", cost.busiest_per_mille as f64 / 10.0),
            cost.memory_bytes_per_stream.map_or_else(|| "–".to_owned(), |bytes| HumanBytes(bytes).to_string()),
        ]);
    }
    table
}

/// Where TRUSTED ends.
fn line(study: &Study, transport: Transport) -> String {
    let name = |row: &Measured| format!("{} ({} events/s)", row.load, row.trust.events_per_s);
    let left_out: Vec<_> = study.left_out.iter().filter(|(over, _)| *over == transport).collect();
    let left_out = match left_out.as_slice() {
        [] => String::new(),
        loads => {
            let loads: Vec<_> = loads.iter().map(|(_, load)| load.to_string()).collect();
            format!("; not run, since that was past the line: {}", loads.join(", "))
        }
    };
    let ends = |past: &Measured| match past.trust.verdict {
        Verdict::Trusted => format!("the mock fell behind at {}", name(past)),
        verdict => format!("{verdict} at {}", name(past)),
    };
    let told = match study.line(transport) {
        (Some(within), Some(past)) => format!("TRUSTED up to {}; {}", name(within), ends(past)),
        (Some(within), None) => format!("TRUSTED up to {}, the highest load that was run", name(within)),
        (None, Some(past)) => format!("not TRUSTED at any load: {}", ends(past)),
        (None, None) => "nothing was run".to_owned(),
    };
    format!("{told}{left_out}")
}

/// What makes a result invalid.
fn write_odd(study: &Study, out: &mut impl Write) -> io::Result<()> {
    for row in study.rows.iter().filter(|row| !row.is_complete()) {
        writeln!(
            out,
            "INVALID: {} over {}: {} events without a truth, {} that were sent and not reported, {} streams that did not complete\n",
            row.load,
            row.transport.word(),
            row.kept.without_truth,
            row.kept.unreported,
            row.kept.not_completed,
        )?;
    }
    Ok(())
}

/// Why there may be less than was asked for.
fn write_cut_short(study: &Study, out: &mut impl Write) -> io::Result<()> {
    match &study.cut_short {
        Some(why) => writeln!(out, "INCOMPLETE: {why}; what is missing above was not measured\n"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::tests::{measured, study};
    use crate::metrics::Verdict;

    fn sample() -> Study {
        let mut past = measured(Transport::Plain, "5000x20ms", 900_000, Verdict::Invalid);
        past.kept.unreported = 2;
        let mut over_h2 = measured(Transport::H2, "1000x20ms", 8_000, Verdict::Trusted);
        over_h2.writes = Spread::default();
        let mut study = study(vec![measured(Transport::Plain, "1000x20ms", 4_000, Verdict::Trusted), past, over_h2]);
        study.left_out = vec![(Transport::Plain, "9000x20ms".parse().expect("a load"))];
        study
    }

    #[test]
    fn a_terminal_shows_the_errors_of_each_load_and_where_trust_ends() {
        let mut out = Vec::new();
        write_text(&sample(), &mut out).expect("a vector takes it");
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @"
        HTTP/1.1 in the clear, the kernel's receive stamps
        load                             error of     p50     p99   p99.9     max      min  before the truth  events
        1000x20ms             time to first chunk  4.00µs  4.00µs  4.00µs  4.00µs   4.00µs                 0      10
                                  gap, either way  4.00µs  4.00µs  4.00µs  4.00µs  -4.00µs                 1       2
                            time to task_finished  8.00µs  8.00µs  8.00µs  8.00µs   8.00µs                 0      10
                                      every event  4.05µs  12.0µs  12.0µs  12.0µs     -5ns                 1     100
                               last of their read  4.04µs  4.09µs  4.09µs  4.09µs     -5ns                 1      91
                   not last of their read (9.0 %)  12.0µs  12.0µs  12.0µs  12.0µs   12.0µs                 0       9
                          every event, user space  40.0µs  40.0µs  40.0µs  40.0µs   40.0µs                 0     100
        5000x20ms             time to first chunk   900µs   900µs   900µs   900µs    900µs                 0      10
                                  gap, either way   900µs   900µs   900µs   900µs   -900µs                 1       2
                            time to task_finished  1.80ms  1.80ms  1.80ms  1.80ms   1.80ms                 0      10
                                      every event   900µs  2.70ms  2.70ms  2.70ms     -5ns                 1     100
                               last of their read   900µs   900µs   900µs   900µs     -5ns                 1      91
                   not last of their read (9.0 %)  2.70ms  2.70ms  2.70ms  2.70ms   2.70ms                 0       9
                          every event, user space  9.00ms  9.00ms  9.00ms  9.00ms   9.00ms                 0     100

        load       runs  events/s  verdict  stamp error p99  client lag p99  start lag p99         mock late p99  write p50 / p99.9  outside: last, others  CPU a million events  busiest worker  memory a stream
        1000x20ms     1     49000  TRUSTED           8.00µs          80.0µs          120µs                 160µs    4.00µs / 4.00µs                   0, 0                  8.0s            40 %         11.7 KiB
        5000x20ms     1     49000  INVALID           1.80ms          18.0ms         27.0ms  36.0ms (fell behind)      900µs / 900µs                   0, 0                  8.0s            40 %         11.7 KiB
        TRUSTED up to 1000x20ms (49000 events/s); INVALID at 5000x20ms (49000 events/s); not run, since that was past the line: 9000x20ms

        HTTP/2 over TLS, the kernel's receive stamps
        load                             error of     p50     p99   p99.9     max      min  before the truth  events
        1000x20ms             time to first chunk  8.00µs  8.00µs  8.00µs  8.00µs   8.00µs                 0      10
                                  gap, either way  8.00µs  8.00µs  8.00µs  8.00µs  -8.00µs                 1       2
                            time to task_finished  16.0µs  16.0µs  16.0µs  16.0µs   16.0µs                 0      10
                                      every event  8.05µs  24.0µs  24.0µs  24.0µs     -5ns                 1     100
                               last of their read  8.04µs  8.09µs  8.09µs  8.09µs     -5ns                 1      91
                   not last of their read (9.0 %)  24.0µs  24.0µs  24.0µs  24.0µs   24.0µs                 0       9
                          every event, user space  80.0µs  80.0µs  80.0µs  80.0µs   80.0µs                 0     100

        load       runs  events/s  verdict  stamp error p99  client lag p99  start lag p99  mock late p99  write p50 / p99.9  outside: last, others  CPU a million events  busiest worker  memory a stream
        1000x20ms     1     49000  TRUSTED           16.0µs           160µs          240µs          320µs                  –                      –                  8.0s            40 %         11.7 KiB
        TRUSTED up to 1000x20ms (49000 events/s), the highest load that was run

        INVALID: 5000x20ms over plain: 0 events without a truth, 2 that were sent and not reported, 0 streams that did not complete

        the mock on core 0, the client on core 1; all streams stood for 5s, one run of each load
        error = reported - handed to the kernel: the mock's write and loopback's delivery are in it
        ");
    }

    #[test]
    fn a_study_that_was_cut_short_says_so_and_why() {
        let mut study = study(vec![measured(Transport::Plain, "1000x20ms", 4_000, Verdict::Trusted)]);
        study.cut_short = Some("interrupted".to_owned());
        assert!(!study.is_complete());
        let (mut text, mut page) = (Vec::new(), Vec::new());
        write_text(&study, &mut text).expect("a vector takes it");
        write_markdown(&study, &mut page).expect("a vector takes it");
        for told in [text, page].map(|told| String::from_utf8(told).expect("text")) {
            assert_eq!(told.matches("INCOMPLETE: interrupted; what is missing above was not measured\n").count(), 1);
            assert!(told.contains("1000x20ms"), "what was measured is there: {told}");
        }
    }

    #[test]
    fn each_row_says_how_many_runs_it_really_has() {
        let run = measured(Transport::Plain, "1000x20ms", 4_000, Verdict::Trusted);
        let whole = Measured::median(&[run.clone(), run.clone(), run.clone()]);
        let mut study = Study { runs: 3, ..study(vec![whole]) };
        assert_eq!(runs(&study), "medians of 3 runs of each load");
        study.rows.push(run);
        assert_eq!(
            runs(&study),
            "medians of as many runs of each load as the column \"runs\" says, of 3 that were asked for"
        );
        let mut out = Vec::new();
        itself(&study, Transport::Plain).write_markdown(&mut out).expect("a vector takes it");
        let text = String::from_utf8(out).expect("text");
        let counts: Vec<_> = text.lines().skip(2).map(|line| line.split('|').nth(2).expect("a cell").trim()).collect();
        assert_eq!(counts, ["3", "1"], "{text}");
    }

    #[test]
    fn a_study_is_whole_in_itself() {
        let mut out = Vec::new();
        write_markdown(&sample(), &mut out).expect("a vector takes it");
        let text = String::from_utf8(out).expect("text");
        assert!(!text.contains("{{"), "every place was filled");
        insta::assert_snapshot!(text, @r#"
        # How wrong plimsoll is

        Every number of a load test is off by what the harness itself adds. This is how much that is for plimsoll: the same binary
        serves a mock agent in one process, which writes down when it handed each event to the kernel, and loads it from another,
        which writes down every event that it reports; the two are joined event by event. This page is made as a whole by

        ```sh
        plimsoll calibrate
        ```

        Machine: A CPU, 2 cores, linux-x86_64, kernel 6.18.0. plimsoll 0.1.0, 2026-01-02T03:04:05Z. Placement: the mock on core 0, the client on core 1. Workers of the client: 1. All streams of a load stood for 5s; one run of each load.

        **What an error is.** The instant that the client reports minus the instant at which the mock handed the event to the
        kernel, just before its write, both on the system's monotonic clock. The mock's system call and the delivery over loopback
        are in it, and nothing is taken off for them. Time to first chunk and time to `task_finished` are compared through the first
        chunk's and the last event's instants: both are counted from the same send, so their errors are those of these instants. A
        gap's error is the difference of two such errors and can have either sign: its quantiles are those of its size, its minimum
        keeps the sign. Nothing is clipped: an event that was reported before its truth is counted as such, and the smallest error
        stands beside the largest.

        **What the truth is worth.** The mock also notes when each write had ended. Loopback delivers within the write, unless TCP
        holds the bytes back for a receiver that has fallen behind; so the true arrival lies between the two instants, and where the
        write took long (the mock's thread was interrupted in it) the truth itself is that wide: the column "write" has it.
        "Outside: last" counts events that were the last of their read and whose stamp lies outside of the write that sent them, by
        more than the stated error of the clock's mapping. "Outside: others" counts events that shared their read with a later one,
        and that had been written before they can have arrived by the bound which the client states for them (`earliest_ns` in
        `events.csv`, the certificate's stamp error). That bound is the instant at which the client's loop had gone to look at all
        sockets the time before: what it found this time was not there then. Over HTTP/2 the mock hands an event to its HTTP library,
        which puts it into a frame and writes it with others: that time is in the error, and since nobody notes when that write ends,
        neither "write" nor "outside" has a figure there.

        **Which events.** All of them, from the first connection to the last byte, also those that arrive while others still connect.
        The load is closed, and its streams begin one after another, evenly over a ramp that lasts a whole number of gaps: at least a
        second, or the time for which all streams stand where that is shorter, and a millisecond a stream. So their events lie evenly
        within a gap, as those of streams that know nothing of each other do. The first chunk is due 250 ms after the start. "Start lag"
        is how much later than the ramp wanted a stream began, and spoils the verdict where its p99 is over 1 % of the time to first
        chunk. As there is one start a stream, a single pause is enough for that: where one begins each millisecond, a pause of fifteen
        makes fifteen of them late, and of a thousand the 99th percentile is the eleventh latest, which is late by four to five. An event
        that has no truth, a truth that nobody reported, and a stream that did not complete each make the result invalid.

        ## The tables

        Over HTTP/1.1 each event is a write of its own and, over TLS, a record of its own. "Client lag" is how much later than it
        arrived an event was handled, "mock late" how much later than its script wanted the mock handed an event over; where that
        exceeds the gap the mock could not keep the pace, and the load is what it could keep. CPU is that of the client's workers, the
        writing of `events.csv` included. Memory is the growth of the client's own resident memory from before the load to its largest,
        divided by the streams: histograms and all else that does not depend on their number included, which is why it is large for few
        streams.

        Of several runs of a load (column "runs") each quantile, each rate and each cost is the median of that figure alone over the
        runs: the mean of the middle two where their number is even, and of two middle verdicts the worse one, with the worst of all in
        brackets. "Max" and "min" are those of all runs; "before the truth", "events" and "outside" are sums over them, and so is the
        share in "not last of their read".

        ### HTTP/1.1 in the clear

        Events' times are from the kernel's receive stamps.

        | load | error of | p50 | p99 | p99.9 | max | min | before the truth | events |
        |---|---:|---:|---:|---:|---:|---:|---:|---:|
        | 1000x20ms | time to first chunk | 4.00µs | 4.00µs | 4.00µs | 4.00µs | 4.00µs | 0 | 10 |
        |  | gap, either way | 4.00µs | 4.00µs | 4.00µs | 4.00µs | -4.00µs | 1 | 2 |
        |  | time to task\_finished | 8.00µs | 8.00µs | 8.00µs | 8.00µs | 8.00µs | 0 | 10 |
        |  | every event | 4.05µs | 12.0µs | 12.0µs | 12.0µs | -5ns | 1 | 100 |
        |  | last of their read | 4.04µs | 4.09µs | 4.09µs | 4.09µs | -5ns | 1 | 91 |
        |  | not last of their read (9.0 %) | 12.0µs | 12.0µs | 12.0µs | 12.0µs | 12.0µs | 0 | 9 |
        |  | every event, user space | 40.0µs | 40.0µs | 40.0µs | 40.0µs | 40.0µs | 0 | 100 |
        | 5000x20ms | time to first chunk | 900µs | 900µs | 900µs | 900µs | 900µs | 0 | 10 |
        |  | gap, either way | 900µs | 900µs | 900µs | 900µs | -900µs | 1 | 2 |
        |  | time to task\_finished | 1.80ms | 1.80ms | 1.80ms | 1.80ms | 1.80ms | 0 | 10 |
        |  | every event | 900µs | 2.70ms | 2.70ms | 2.70ms | -5ns | 1 | 100 |
        |  | last of their read | 900µs | 900µs | 900µs | 900µs | -5ns | 1 | 91 |
        |  | not last of their read (9.0 %) | 2.70ms | 2.70ms | 2.70ms | 2.70ms | 2.70ms | 0 | 9 |
        |  | every event, user space | 9.00ms | 9.00ms | 9.00ms | 9.00ms | 9.00ms | 0 | 100 |

        | load | runs | events/s | verdict | stamp error p99 | client lag p99 | start lag p99 | mock late p99 | write p50 / p99.9 | outside: last, others | CPU a million events | busiest worker | memory a stream |
        |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
        | 1000x20ms | 1 | 49000 | TRUSTED | 8.00µs | 80.0µs | 120µs | 160µs | 4.00µs / 4.00µs | 0, 0 | 8.0s | 40 % | 11.7 KiB |
        | 5000x20ms | 1 | 49000 | INVALID | 1.80ms | 18.0ms | 27.0ms | 36.0ms (fell behind) | 900µs / 900µs | 0, 0 | 8.0s | 40 % | 11.7 KiB |

        **TRUSTED up to 1000x20ms (49000 events/s); INVALID at 5000x20ms (49000 events/s); not run, since that was past the line: 9000x20ms**

        ### HTTP/2 over TLS

        Events' times are from the kernel's receive stamps.

        | load | error of | p50 | p99 | p99.9 | max | min | before the truth | events |
        |---|---:|---:|---:|---:|---:|---:|---:|---:|
        | 1000x20ms | time to first chunk | 8.00µs | 8.00µs | 8.00µs | 8.00µs | 8.00µs | 0 | 10 |
        |  | gap, either way | 8.00µs | 8.00µs | 8.00µs | 8.00µs | -8.00µs | 1 | 2 |
        |  | time to task\_finished | 16.0µs | 16.0µs | 16.0µs | 16.0µs | 16.0µs | 0 | 10 |
        |  | every event | 8.05µs | 24.0µs | 24.0µs | 24.0µs | -5ns | 1 | 100 |
        |  | last of their read | 8.04µs | 8.09µs | 8.09µs | 8.09µs | -5ns | 1 | 91 |
        |  | not last of their read (9.0 %) | 24.0µs | 24.0µs | 24.0µs | 24.0µs | 24.0µs | 0 | 9 |
        |  | every event, user space | 80.0µs | 80.0µs | 80.0µs | 80.0µs | 80.0µs | 0 | 100 |

        | load | runs | events/s | verdict | stamp error p99 | client lag p99 | start lag p99 | mock late p99 | write p50 / p99.9 | outside: last, others | CPU a million events | busiest worker | memory a stream |
        |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
        | 1000x20ms | 1 | 49000 | TRUSTED | 16.0µs | 160µs | 240µs | 320µs | – | – | 8.0s | 40 % | 11.7 KiB |

        **TRUSTED up to 1000x20ms (49000 events/s), the highest load that was run**

        INVALID: 5000x20ms over plain: 0 events without a truth, 2 that were sent and not reported, 0 streams that did not complete

        ## What others reach

        Not measured in this study; for scale only: each is the time to first chunk as the tool reports it, minus the truth, over HTTP/1.1
        in the clear.

        *Measured earlier* means: by this project, one run of each, on a like machine (two virtual cores of an AMD EPYC, Linux 6.18),
        1,000 streams, an event every 20 ms, the first chunk after 100 ms. The server had one core, and all processes of a client the
        other: tools that spread over many cores do better where they have them. AIPerf held 510 of the streams at most, and GuideLLM
        384, whose run was ended at its time limit.

        *Its authors* means: of vllm-bench, in [their comparison](https://github.com/vllm-project/vllm-bench/blob/f3131823f167aa1e6f31a48be1ae15a18667a534/bench-overhead/README.md)
        (commit of 2026-08-03), 1,000 streams, an event every 10 ms, the first chunk after 50 ms, client and server on four virtual
        cores; the error of the mean, as mean and standard deviation of three runs.

        | client | error of the time to first chunk, p50 / p99 | source |
        |---|---|---|
        | hyper with a hand-written parser | under 0.1 ms / 1.4 ms | measured earlier |
        | reqwest with eventsource-stream | 0.1 ms / 4 ms | measured earlier |
        | inference-perf 0.7.0 | 6.5 ms / 547 ms | measured earlier |
        | Locust 2.47.0 (FastHttp) | 94 ms / 1,000 ms | measured earlier |
        | AIPerf 0.13.0 | 111 ms / 922 ms | measured earlier |
        | GuideLLM 0.8.1 | 223 ms / 1,314 ms | measured earlier |
        | evalscope 1.14.1 | 949 ms / 1,028 ms | measured earlier |
        | vllm-bench (Rust) | mean 28 ms ± 4 ms | its authors |
        | `vllm bench serve` 0.17.1 (Python) | mean 294 ms ± 17 ms | the authors of vllm-bench |
        "#);
    }
}
