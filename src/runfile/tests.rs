//! Made-up bundles: whether they agree with themselves, what is said when they were tampered with, and that parts
//! joined are the whole.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::bundle::{HISTOGRAMS, INTERVALS, INVOCATIONS, RUN};
use super::events::{Encoding, Event, EventLog};
use super::intervals::Interval;
use super::network::{Network, Sockets};
use super::run::{Build, Harness, LeftTasks, Machine, Stamps, VERSION};
use super::verify::verify;
use super::{Bundle, Run, Status, events, hlog, intervals, invocations, merge, readback, run};
use crate::metrics::certificate::ArrivalClock;
use crate::metrics::{Outcome, Parts, Record, Recorder, ToolTime};
use crate::units::{NS_PER_MS, NS_PER_S};

/// An invocation that has ended, with the gaps between its chunks in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) record: Record,
    pub(super) gaps_ns: Vec<u64>,
}

/// The invocation at a place of the plan; `dice` decides how it went.
pub(super) fn ended(plan_index: u64, dice: u64) -> Ended {
    let variant = if dice.is_multiple_of(3) { "fast, \"cheap\"" } else { "base" };
    let intended_ns = plan_index * 7 * NS_PER_MS;
    let mut record = Record::unstarted(plan_index, Arc::from(variant), intended_ns, 0, Outcome::NotStarted);
    record.outcome = match dice % 17 {
        0 => Outcome::NotStarted,
        1 => Outcome::HttpStatus(503),
        2 => Outcome::Cut,
        _ => Outcome::Completed,
    };
    if record.outcome == Outcome::NotStarted {
        return Ended { record, gaps_ns: Vec::new() };
    }
    record.worker = Some(u32::try_from(dice % 2).expect("small"));
    record.warmup = plan_index < 3;
    let stamps = &mut record.stamps;
    stamps.started_ns = Some(intended_ns + dice % 90_000);
    stamps.sent_ns = Some(intended_ns + 100_000);
    stamps.last_known_ns = intended_ns + 10 * NS_PER_MS;
    record.parts.model_ns = record.duration_ns();
    if record.outcome != Outcome::Completed {
        record.detail = Some("made up".to_owned());
        return Ended { record, gaps_ns: Vec::new() };
    }
    let gaps_ns: Vec<_> = (0..dice % 5).map(|gap| (3 + (dice + gap) % 40) * NS_PER_MS).collect();
    let first_ns = intended_ns + (50 + dice % 200) * NS_PER_MS;
    let last_ns = first_ns + gaps_ns.iter().sum::<u64>();
    let stamps = &mut record.stamps;
    (stamps.first_chunk_ns, stamps.last_chunk_ns) = (Some(first_ns), Some(last_ns));
    stamps.finished_ns = Some(last_ns + NS_PER_MS);
    stamps.last_known_ns = last_ns + NS_PER_MS;
    record.server.created_unix_ns = Some(1_700_000_000 * NS_PER_S + intended_ns + NS_PER_MS);
    record.parts.model_ns = record.duration_ns();
    if dice.is_multiple_of(2) {
        record.calls = vec![ToolTime { name: Arc::from("search"), ns: dice % 9 * NS_PER_MS }];
    }
    record.counts.chunks = gaps_ns.len() as u64 + 1;
    record.counts.events = record.counts.chunks + 2;
    record.counts.body_bytes = 100 * record.counts.events;
    record.counts.reads = record.counts.events;
    record.longest.gap_ns = gaps_ns.iter().copied().max();
    record.longest.client_lag_ns = Some(2_000 + record.counts.events - 1);
    Ended { record, gaps_ns }
}

pub(super) fn manifest(id: &str, origin_unix_ns: u64) -> Run {
    Run {
        version: VERSION,
        status: Status::Running,
        id: id.to_owned(),
        began: "2026-01-01T00:00:00Z".to_owned(),
        origin_unix_ns,
        origin_monotonic_ns: Some(7),
        plimsoll: Build { version: "0.0.0".to_owned(), revision: None },
        machine: Machine { system: "linux-x86_64".to_owned(), kernel: None, cpu: None, cores: 2 },
        target: "mock".to_owned(),
        network: Network::default(),
        why: "made up".to_owned(),
        objectives: vec!["ttfc p50 < 1s".to_owned()],
        scenarios: Vec::new(),
        profile: json!({"load": {"concurrency": 2}}),
        seed: 1,
        plan_hash: "fnv1a64:0".to_owned(),
        workers: 2,
        drain_ns: NS_PER_S,
        reuse: true,
        parts: Vec::new(),
        harness: None,
        summary: None,
        certificate: None,
        warnings: Vec::new(),
    }
}

/// The events of some invocations: chunks with their gaps, between two that are none; with the lags of [`write`].
fn write_events(folder: &Path, encoding: Encoding, all: &[Ended]) {
    let log = EventLog::create(folder, encoding).expect("the folder is new");
    let mut sheet = log.sheet();
    for Ended { record, gaps_ns } in all.iter().filter(|one| one.record.counts.events > 0) {
        let mut at_ns = record.stamps.first_chunk_ns.expect("who has events has chunks");
        for event_index in 0..record.counts.events {
            let is_chunk = (1..=record.counts.chunks).contains(&event_index);
            let gap = usize::try_from(event_index).expect("few").checked_sub(2).and_then(|gap| gaps_ns.get(gap));
            at_ns += gap.copied().unwrap_or_default();
            sheet.write(&Event {
                plan_index: record.plan_index,
                event_index,
                kind: if is_chunk { "chunk" } else { "think" }.into(),
                earliest_ns: at_ns - 500,
                arrival_ns: at_ns,
                handled_ns: at_ns + 2_000 + event_index,
                read: event_index,
                bytes: 90,
                text_bytes: if is_chunk { 5 } else { 0 },
            });
        }
    }
    drop(sheet);
    log.finish().expect("written");
}

/// Writes a bundle as a run does, and gives its folder.
pub(super) fn write(parent: &Path, run: Run, all: &[Ended]) -> PathBuf {
    write_with(parent, run, all, None)
}

/// The same, with its events where they are asked for.
fn write_with(parent: &Path, mut run: Run, all: &[Ended], encoding: Option<Encoding>) -> PathBuf {
    let mut bundle = Bundle::create(parent, &run.id, &run).expect("the folder is new");
    let mut recorder = Recorder::new();
    let second_of = |one: &Ended| one.record.stamps.last_known_ns / NS_PER_S;
    let last = all.iter().map(second_of).max().unwrap_or_default();
    let end_ns = end_ns(all);
    for second in 0..=last {
        let length_ns = Interval::length_ns(second, end_ns);
        let mut row = Interval { second, length_ns, ..Interval::default() };
        for one in all.iter().filter(|one| second_of(one) == second) {
            bundle.write_invocation(&one.record).expect("written");
            if !one.record.outcome.was_started() {
                continue;
            }
            let record = &one.record;
            recorder.finished(record, &one.gaps_ns);
            (0..record.counts.events).for_each(|event| {
                recorder.event((&record.variant, &record.scenario), record.warmup, 2_000 + event, 3_000);
            });
            row.started += 1;
            row.finished += 1;
            row.completed += u64::from(record.outcome.is_completed());
            row.events += record.counts.events;
            row.body_bytes += record.counts.body_bytes;
        }
        let parts: Parts = recorder.take();
        let row = row.with_quantiles(|series| Cow::Owned(parts.all(series)));
        bundle.write_second(&row, &parts).expect("written");
    }
    if let Some(encoding) = encoding {
        write_events(bundle.folder(), encoding, all);
    }
    for (group, gaps) in recorder.into_gap_groups() {
        bundle.write_gap_group(&group, end_ns, &gaps).expect("written");
    }
    bundle.flush().expect("written");
    run.status = Status::Done;
    run.harness = Some(harness(all, end_ns));
    let readback = readback::sum_up(bundle.folder(), &run).expect("it was written by us");
    run.adopt(readback);
    bundle.write_run(&run).expect("written");
    bundle.folder().to_owned()
}

/// Two milliseconds after all is known.
fn end_ns(all: &[Ended]) -> u64 {
    all.iter().map(|one| one.record.stamps.last_known_ns).max().unwrap_or_default() + 2 * NS_PER_MS
}

fn harness(all: &[Ended], end_ns: u64) -> Harness {
    let stamps = |one: &Ended| {
        one.record.stamps.last_known_ns - one.record.stamps.started_ns.unwrap_or(one.record.stamps.last_known_ns)
    };
    Harness {
        end_ns,
        planned: all.len() as u64,
        started: all.iter().filter(|one| one.record.outcome.was_started()).count() as u64,
        events: all.iter().map(|one| one.record.counts.events).sum(),
        body_bytes: all.iter().map(|one| one.record.counts.body_bytes).sum(),
        in_flight_ns: all.iter().map(stamps).sum(),
        cpu_ns: 5,
        worker_cpu: vec![0.1, 0.300_000_000_000_000_04],
        machine_cpu: Some(0.7),
        steal: None,
        lost_workers: 0,
        lost_why: None,
        budget_spent: None,
        aborted: None,
        pauses_asked: 0,
        holds: 0,
        held_ns: 0,
        put_off: 0,
        put_off_ns: 0,
        tasks: LeftTasks::default(),
        sockets: Sockets::default(),
        stamps: Stamps {
            clock: ArrivalClock::Kernel,
            kernel_reads: 9,
            user_reads: 0,
            moved: 0,
            moved_ns_max: 0,
            in_doubt: 0,
            mapping_error_ns_max: 5,
            wall_steps: 0,
            wall_step_ns_max: 0,
            wall_drift_ns: 0,
        },
    }
}

fn some() -> Vec<Ended> {
    (0..300).map(|index| ended(index, index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)).collect()
}

/// What `verify` says of the bundle once `change` has been made to the text of one of its files.
fn told_after(file: &str, change: impl Fn(&str) -> String) -> String {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = write(parent.path(), manifest("made_up", 1_700_000_000 * NS_PER_S), &some());
    let text = fs::read_to_string(folder.join(file)).expect("it was written");
    let changed = change(&text);
    assert_ne!(text, changed, "the change finds its place");
    fs::write(folder.join(file), changed).expect("written");
    let run = readback::read_run(&folder).expect("a run");
    let told = verify(&folder, &run).map_or_else(
        |error| vec![error.to_string()],
        |found| found.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    told.join("\n")
}

/// The first differences, and how many there are.
fn first(told: &str) -> String {
    let shown: Vec<_> = told.lines().take(6).collect();
    format!("{}\n{} differences", shown.join("\n"), told.lines().count())
}

#[test]
fn a_bundle_as_it_was_written_agrees_with_itself() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = write(parent.path(), manifest("made_up", 0), &some());
    let run = readback::read_run(&folder).expect("a run");
    assert_eq!(verify(&folder, &run).expect("whole"), []);
    let summary = run.summary.expect("it has ended");
    assert!(summary.overall().ledger.of(Outcome::Completed) > 200 && summary.warmup_rows > 0, "{summary:?}");
}

#[test]
fn no_quantile_of_many_samples_lies_beyond_the_smallest_and_the_largest_of_them() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = write(parent.path(), manifest("made_up", 0), &some());
    let run = readback::read_run(&folder).expect("a run");
    let groups = &run.summary.as_ref().expect("it has ended").groups;
    let many = groups.iter().flat_map(|group| &group.metrics).filter(|metric| metric.series.metric.is_many());
    let rows: Vec<_> = many.flat_map(|metric| [&metric.all, &metric.completed]).filter(|row| row.count > 0).collect();
    for row in &rows {
        let told = row.quantiles.iter().flat_map(|quantile| [quantile.value_ns, quantile.low_ns, quantile.high_ns]);
        assert!(told.flatten().all(|ns| (row.min_ns..=row.max_ns).contains(&Some(ns))), "{row:?}");
    }
    assert!(rows.iter().any(|row| row.quantiles.iter().any(|quantile| quantile.high_ns.is_some())), "{rows:?}");
    let certificate = run.certificate.as_ref().expect("it was judged");
    assert_eq!(certificate.measured.stamp_error_ns_p99, Some(3_000));
    let seconds = readback::seconds(&folder).expect("whole");
    assert!(seconds.iter().all(|second| second.client_lag_ns_p99.is_none_or(|ns| ns <= 2_006)), "{seconds:?}");
}

/// The same invocations, dealt to two scenarios.
fn mixed(index: u64) -> Ended {
    let mut one = ended(index, index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40);
    one.record.scenario = Arc::from(if index.is_multiple_of(3) { "long: talk" } else { "search" });
    one
}

#[test]
fn scenarios_are_summed_up_beside_the_variants_and_survive_verify_and_merge() {
    let parent = tempfile::tempdir().expect("a folder");
    let scenario = |name: &str| run::Scenario { name: name.to_owned(), weight: 1, turns: 1 };
    let manifest = |id: &str| Run { scenarios: vec![scenario("search"), scenario("long: talk")], ..manifest(id, 0) };
    let all: Vec<_> = (0..300).map(mixed).collect();
    let whole = write(parent.path(), manifest("whole"), &all);
    let run = readback::read_run(&whole).expect("a run");
    assert_eq!(verify(&whole, &run).expect("whole"), []);
    let groups = &run.summary.as_ref().expect("it has ended").groups;
    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.variant.as_deref(), group.scenario.as_deref(), group.ledger.planned))
        .collect();
    let marginal = |at: usize| told[at..at + 2].iter().map(|group| group.2).sum::<u64>();
    assert_eq!((marginal(1), marginal(3)), (told[0].2, told[0].2));
    let names: Vec<_> = told.iter().map(|group| (group.0, group.1)).collect();
    let variants = [(Some("base"), None), (Some("fast, \"cheap\""), None)];
    assert_eq!(names, [&[(None, None)], &variants[..], &[(None, Some("long: talk")), (None, Some("search"))]].concat());
    let head = |file: &str| fs::read_to_string(whole.join(file)).expect("written").lines().take(2).collect::<String>();
    assert!(head(INVOCATIONS).starts_with("plan_index,variant,scenario,conversation,"));
    assert!(head(HISTOGRAMS).ends_with("tags metric:variant:outcome:scenario"));

    let parts = [&all[..100], &all[100..]].into_iter().enumerate();
    let parts: Vec<_> = parts.map(|(at, some)| write(parent.path(), manifest(&format!("part{at}")), some)).collect();
    let (joined, merged) = merge::merge(&parts, parent.path()).expect("they are of one plan");
    assert_eq!(contents(&joined), contents(&whole));
    assert_eq!(merged.summary, run.summary);
    assert_eq!(verify(&joined, &merged).expect("whole"), []);
}

#[test]
fn a_changed_summary_is_found() {
    let told = told_after(RUN, |text| {
        let mut run: Value = serde_json::from_str(text).expect("JSON");
        let row = &mut run["summary"]["groups"][0]["metrics"][0]["all"];
        row["max_ns"] = json!(1);
        row["quantiles"][0]["value_ns"] = json!(row["quantiles"][0]["value_ns"].as_u64().expect("a number") + 1);
        run["summary"]["groups"][0]["events_per_read"] = json!(2.0);
        run["summary"]["groups"][0]["bytes_per_read"] = json!(99.0);
        run["certificate"]["verdict"] = json!("INVALID");
        run["harness"]["events"] = json!(1);
        run.to_string()
    });
    insta::assert_snapshot!(first(&told), @"
    certificate.measured.ledger_holds: true against false
    certificate.reasons.length: 0 against 1
    summary.groups[0].bytes_per_read: 99.0 against 100.0
    summary.groups[0].events_per_read: 2.0 against 1.0
    summary.groups[0].metrics[0].all.max_ns: 1 against 247000000
    summary.groups[0].metrics[0].all.quantiles[0].value_ns: 152000001 against 152000000
    7 differences
    ");
}

#[test]
fn a_changed_row_is_found_in_the_summary_and_in_the_histograms() {
    let told = told_after(INVOCATIONS, |text| {
        let line = text.lines().find(|line| line.contains(",completed,")).expect("one completed");
        text.replacen(&format!("{line}\n"), "", 1)
    });
    insta::assert_snapshot!(first(&told), @r#"
    certificate.measured.ledger_holds: true against false
    certificate.reasons.length: 0 against 1
    certificate.verdict: "TRUSTED" against "INVALID"
    summary.warmup_rows: 2 against 1
    warnings.length: 1 against 5
    histograms.hlog answer:base:warmup.samples: 2 against 1
    20 differences
    "#);
}

#[test]
fn changed_histograms_and_seconds_are_found() {
    let told = told_after(HISTOGRAMS, |text| {
        let line = text.lines().find(|line| line.starts_with("Tag=gap:base:completed")).expect("gaps");
        text.replacen(&format!("{line}\n"), "", 1)
    });
    insta::assert_snapshot!(first(&told), @"
    summary.groups[0].metrics[4].all.count: 493 against 369
    summary.groups[0].metrics[4].all.mean_ns: 21837728 against 21544715
    summary.groups[0].metrics[4].completed.count: 493 against 369
    summary.groups[0].metrics[4].completed.mean_ns: 21837728 against 21544715
    summary.groups[1].metrics[4].all.count: 327 against 203
    summary.groups[1].metrics[4].all.mean_ns: 21284403 against 20413793
    12 differences
    ");
    let told = told_after(INTERVALS, |text| {
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        let mut cells: Vec<&str> = lines[2].split(',').collect();
        (cells[1], cells[3], cells[9]) = ("999", "99", "1");
        lines[2] = cells.join(",");
        lines.join("\n") + "\n"
    });
    insta::assert_snapshot!(first(&told), @"
    intervals.csv second 1.length_ns: 999 against 1000000000
    intervals.csv second 1.ttfc_from_intended_ns_p95: 1 against 235012095
    intervals.csv sum of started: 244 against 282
    3 differences
    ");
}

/// The text of a log with another total before the first histogram of a tag.
fn with_total(text: &str, tag: &str, name: &str, change: impl Fn(u64) -> u64) -> String {
    let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("Tag={tag},"))).expect("it was recorded");
    let totals = lines[at - 1].clone();
    let (before, rest) = totals.split_once(&format!("{name}=")).expect("it has that total");
    let digits = rest.find(|c: char| !c.is_ascii_digit()).expect("it ends");
    let changed = change(rest[..digits].parse().expect("a number"));
    lines[at - 1] = format!("{before}{name}={changed}{}", &rest[digits..]);
    lines.join("\n") + "\n"
}

#[test]
fn changed_totals_are_found_to_the_nanosecond() {
    type Change = (&'static str, &'static str, fn(u64) -> u64);
    let changes: [Change; 7] = [
        ("gap:base:completed", "sum", |ns| ns + 1),
        ("gap:base:completed", "max", |ns| ns + 1),
        ("gap:base:completed", "count", |count| count + 1),
        ("start_lag:base:completed", "sum", |ns| ns - 1),
        ("client_lag:base:any", "sum", |ns| ns + 100_000),
        ("client_lag:base:any", "max", |ns| ns + 1),
        ("stamp_error:base:any", "sum", |ns| ns * 2),
    ];
    let told = changes.map(|(tag, name, change)| {
        let told = told_after(HISTOGRAMS, |text| with_total(text, tag, name, change));
        // What the summary makes of it comes first.
        let kept: Vec<_> = told.lines().filter(|line| !line.starts_with("summary")).collect();
        format!("{tag} {name}\n  {}", kept.join("\n  "))
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn files_that_were_cut_off_are_said() {
    let cut = |text: &str| text[..text.len() - 5].to_owned();
    for (file, expected) in [
        (INVOCATIONS, "ledger_holds: true against false"),
        (HISTOGRAMS, "warnings.length: 1 against 2"),
        (INTERVALS, "intervals.csv last row: cut off against whole"),
    ] {
        let told = told_after(file, cut);
        assert!(told.contains(expected), "{file}: {told}");
    }
}

/// Cuts that differ in what they fall into: every one in the head and in the last lines, and some between.
fn cuts(text: &[u8]) -> Vec<usize> {
    let ends: Vec<_> = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    let last = ends[ends.len().saturating_sub(2)].max(text.len().saturating_sub(400));
    let head = ends[0].min(40);
    let between = ends.iter().flat_map(|end| [*end, *end + 1, end.saturating_sub(1)]).step_by(13);
    (0..=head).chain(between).chain(last..text.len()).filter(|cut| *cut < text.len()).collect()
}

#[test]
fn wherever_a_file_is_cut_off_what_is_whole_is_used_and_what_is_missing_is_said() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = write(parent.path(), manifest("made_up", 0), &some()[..24]);
    let run = readback::read_run(&folder).expect("a run");
    assert_eq!(verify(&folder, &run).expect("whole"), []);
    let known = run.warnings.len();
    for file in [INVOCATIONS, HISTOGRAMS, INTERVALS] {
        let whole = fs::read(folder.join(file)).expect("it was written");
        for cut in cuts(&whole) {
            fs::write(folder.join(file), &whole[..cut]).expect("written");
            let found = readback::sum_up(&folder, &run).unwrap_or_else(|error| panic!("{file} cut at {cut}: {error}"));
            // A row of a second that is missing as a whole shows only when it is held against the others.
            let said = found.warnings.len() > known || file == INTERVALS && whole[cut - 1] == b'\n';
            assert!(said, "{file} cut at {cut}: {:?}", found.warnings);
            let differs = verify(&folder, &run).unwrap_or_else(|error| panic!("{file} cut at {cut}: {error}"));
            assert!(!differs.is_empty(), "{file} cut at {cut}");
        }
        fs::write(folder.join(file), &whole).expect("written");
    }
}

#[test]
fn a_file_that_is_missing_is_said_and_the_others_are_used() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = write(parent.path(), manifest("made_up", 0), &some()[..20]);
    let run = readback::read_run(&folder).expect("a run");
    let mut told = Vec::new();
    for file in [INTERVALS, HISTOGRAMS, INVOCATIONS] {
        fs::rename(folder.join(file), folder.join("aside")).expect("it was there");
        let found = readback::sum_up(&folder, &run).expect("the others are there");
        assert_eq!(found.summary.overall().ledger.planned, 18, "{file}: {:?}", found.summary);
        told.push(format!("{} {}", found.certificate.verdict, found.warnings[0]));
        let differs = verify(&folder, &run).expect("the others are there");
        told.push(format!("{} and {} more", differs[0], differs.len() - 1));
        fs::rename(folder.join("aside"), folder.join(file)).expect("it was there");
    }
    fs::remove_file(folder.join(INVOCATIONS)).expect("it was there");
    let running = Run { summary: None, certificate: None, ..run };
    told.push(readback::sum_up(&folder, &running).expect_err("nothing is left").to_string());
    insta::assert_snapshot!(told.join("\n"), @"
    TRUSTED intervals.csv is missing: nothing is shown second by second
    intervals.csv: missing against a file and 1 more
    DEGRADED histograms.hlog is missing: there are no gaps, and nothing is known of the harness's own error
    histograms.hlog: missing against a file and 18 more
    TRUSTED invocations.csv is missing: these are the numbers that run.json has kept
    invocations.csv: missing against a file and 1 more
    read invocations.csv: it is missing, and run.json has no summary: the run left nothing to show
    ");
}

/// What a bundle holds, in an order that does not depend on who wrote what first; workers are told by the rest.
fn contents(folder: &Path) -> (Vec<String>, Vec<String>, Vec<Interval>) {
    let open = |name: &str| std::io::BufReader::new(fs::File::open(folder.join(name)).expect("it is there"));
    let (mut rows, mut lines, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    let take = |mut record: Record| {
        record.worker = None;
        rows.push(format!("{record:?}"));
    };
    invocations::read(open(INVOCATIONS), take).expect("whole");
    hlog::read(open(HISTOGRAMS), |line| {
        let (counts, exact): (Vec<_>, _) = (line.histogram.counts().collect(), line.histogram.exact());
        let tag = [line.metric, line.variant, line.outcome, line.scenario].join(":");
        lines.push(format!("{tag} {}+{} {counts:?} {exact:?}", line.start_ns, line.length_ns));
    })
    .expect("whole");
    let cpu_aside = |row: Interval| Interval { worker_cpu_max: None, machine_cpu: None, steal: None, ..row };
    intervals::read(open(INTERVALS), |row| seconds.push(cpu_aside(row))).expect("whole");
    rows.sort();
    lines.sort();
    (rows, lines, seconds)
}

/// Every event, in order of plan index and event; none where none were written.
fn events_of(folder: &Path) -> Option<Vec<Event<'static>>> {
    let mut found = Vec::new();
    let owned = |event: &Event<'_>| Event { kind: event.kind.clone().into_owned().into(), ..*event };
    let rows = events::read(folder, |event| found.push(owned(event))).expect("they were written by us")?;
    assert_eq!((rows.whole, rows.truncated), (found.len() as u64, false));
    found.sort_by_key(|event| (event.plan_index, event.event_index, event.arrival_ns));
    Some(found)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(9))]
    #[test]
    fn parts_joined_are_the_whole(
        dice in proptest::collection::vec((0_u64..1_000_000, 0_usize..3), 1..60),
        spacing in 1_u64..40,
        encodings in proptest::sample::select(&[None, Some(Encoding::ALL), Some([Encoding::Zstd; 3])]),
    ) {
        let encoding = |part: usize| encodings.map(|encodings| encodings[part]);
        let parent = tempfile::tempdir().expect("a folder");
        let (mut all, mut dealt) = (Vec::new(), vec![Vec::new(); 3]);
        for (index, (dice, part)) in dice.iter().enumerate() {
            let one = ended(index as u64 * spacing, *dice);
            dealt[*part].push(one.clone());
            all.push(one);
        }
        let whole = write_with(parent.path(), manifest("whole", 0), &all, encoding(2));
        let parts: Vec<_> = dealt.iter().enumerate().map(|(part, some)| {
            write_with(parent.path(), manifest(&format!("part{part}"), 0), some, encoding(part))
        }).collect();
        let (joined, run) = merge::merge(&parts, parent.path()).expect("they are of one plan");
        let told = contents(&joined);
        let expected = contents(&whole);
        proptest::prop_assert_eq!(told.0, expected.0);
        proptest::prop_assert_eq!(told.1, expected.1);
        proptest::prop_assert_eq!(told.2, expected.2);
        proptest::prop_assert_eq!(events_of(&joined), events_of(&whole));
        let whole = readback::read_run(&whole).expect("a run");
        proptest::prop_assert_eq!(&run.summary, &whole.summary);
        proptest::prop_assert_eq!(verify(&joined, &run).expect("whole"), []);
    }
}

#[test]
fn events_of_several_runs_of_one_plan_are_joined_and_agree() {
    let parent = tempfile::tempdir().expect("a folder");
    let all = &some()[..60];
    let write = |id: &str, seconds: u64, encoding| {
        write_with(parent.path(), manifest(id, (1_700_000_000 + seconds) * NS_PER_S), all, encoding)
    };
    let (gzip, zstd) = (Some(Encoding::Gzip), Some(Encoding::Zstd));
    let (first, second) = (write("first", 0, gzip), write("second", 900, zstd));
    let (joined, run) = merge::merge(&[first.clone(), second.clone()], parent.path()).expect("they are of one plan");
    assert_eq!(events::encoding(&joined), gzip, "as the first");
    let [one, other, both] = [&first, &second, &joined].map(|folder| events_of(folder).expect("it has events"));
    let shift_ns = run.parts[1].shift_ns;
    assert!(shift_ns > 0);
    let moved = |event: &Event<'static>| Event {
        earliest_ns: event.earliest_ns + shift_ns,
        arrival_ns: event.arrival_ns + shift_ns,
        handled_ns: event.handled_ns + shift_ns,
        ..event.clone()
    };
    let mut expected: Vec<_> = one.iter().cloned().chain(other.iter().map(moved)).collect();
    expected.sort_by_key(|event| (event.plan_index, event.event_index, event.arrival_ns));
    assert_eq!(both, expected);
    assert_eq!(verify(&joined, &run).expect("whole"), []);
    let without = write("without", 1_800, None);
    let told = merge::merge(&[first, without], parent.path()).expect_err("refused").to_string();
    insta::assert_snapshot!(
        told.replace(parent.path().to_str().expect("text"), "DIR"),
        @"join DIR/first and DIR/without: only the first has its events, so that theirs together would not be whole; move its events file away to join them without"
    );
    assert!(fs::read_dir(parent.path()).expect("a folder").count() == 4, "nothing was begun");
}

#[test]
fn a_pause_between_runs_is_taken_out_and_what_ran_at_once_stays_at_once() {
    let parent = tempfile::tempdir().expect("a folder");
    let write = |id: &str, after_ms: u64| {
        let origin_ns = 1_700_000_000 * NS_PER_S + after_ms * NS_PER_MS;
        write(parent.path(), manifest(id, origin_ns), &some()[..200])
    };
    let (first, later, beside) = (write("first", 0), write("later", 900_000), write("beside", 1_300));
    let end_ns = readback::read_run(&first).expect("a run").harness.expect("ended").end_ns;
    assert_eq!(end_ns, 1_665 * NS_PER_MS);
    let (joined, run) = merge::merge(&[later, first, beside], parent.path()).expect("they are of one plan");
    let parts: Vec<_> = run.parts.iter().map(|part| (part.id.as_str(), part.shift_ns, part.first_worker)).collect();
    let beside_ns = 1_300 * NS_PER_MS;
    assert_eq!(parts, [("first", 0, 0), ("beside", beside_ns, 2), ("later", beside_ns + end_ns, 4)]);
    assert_eq!((run.id.as_str(), run.workers), ("first-merged", 6));
    assert_eq!(verify(&joined, &run).expect("whole"), []);
    assert_eq!(run.harness.expect("ended").end_ns, beside_ns + 2 * end_ns);
    // The second run's seconds begin with the first one's second, as the nearest; the third run has its own.
    let seconds = readback::seconds(&joined).expect("they were written");
    let told: Vec<_> = seconds.iter().map(|row| (row.second, row.length_ns / NS_PER_MS)).collect();
    assert_eq!(told, [(0, 1_000), (1, 1_000), (2, 665), (3, 1_000), (4, 665)]);
    let alone = readback::seconds(&parent.path().join("later")).expect("they were written");
    let rates = |rows: &[Interval]| rows.iter().map(|row| row.per_s(row.started)).collect::<Vec<_>>();
    assert_eq!(rates(&seconds[3..]), rates(&alone));
    assert_eq!(seconds[1].started, alone[0].started + alone[1].started);
}

#[test]
fn bundles_that_do_not_belong_together_are_refused_with_what_differs() {
    let parent = tempfile::tempdir().expect("a folder");
    let bundle = |run: Run| write(parent.path(), run, &some()[..5]);
    let one = bundle(manifest("one", 0));
    let mut run = manifest("other_seed", 1);
    (run.seed, run.plan_hash) = (2, "fnv1a64:1".to_owned());
    run.profile = json!({"load": {"concurrency": 3, "ramp": "1s"}});
    let other = bundle(run);
    let unfinished = bundle(manifest("unfinished", 2));
    fs::write(unfinished.join(RUN), manifest("unfinished", 2).to_json()).expect("written");
    let (twice, unlike) = (vec![one.clone(), one.clone()], vec![one.clone(), other]);
    let mut refused = vec![vec![one.clone()], unlike, twice, vec![one.clone(), unfinished]];
    let files = [(INVOCATIONS, "cut_rows"), (HISTOGRAMS, "cut_log"), (INTERVALS, "cut_seconds")];
    for (origin, (file, id)) in (3..).zip(files) {
        let cut_off = bundle(manifest(id, origin));
        let text = fs::read(cut_off.join(file)).expect("it was written");
        fs::write(cut_off.join(file), &text[..text.len() - 3]).expect("written");
        refused.push(vec![one.clone(), cut_off]);
    }
    let changed = bundle(manifest("changed", 9));
    let text = fs::read_to_string(changed.join(HISTOGRAMS)).expect("it was written");
    fs::write(changed.join(HISTOGRAMS), text.replacen(":completed,", ",", 1)).expect("written");
    refused.push(vec![one, changed]);
    let held = || fs::read_dir(parent.path()).expect("a folder").count();
    let before = held();
    let told: Vec<_> = refused
        .iter()
        .map(|folders| merge::merge(folders, parent.path()).expect_err("refused").to_string())
        .map(|told| told.replace(parent.path().to_str().expect("text"), "DIR"))
        .collect();
    assert_eq!(held(), before, "nothing is left of what was refused");
    let told = told.join("\n");
    insta::assert_snapshot!(told, @r#"
    join 1 bundles: name two or more
    join DIR/one and DIR/other_seed: they are not of one plan: plan_hash: "fnv1a64:0" against "fnv1a64:1"; profile.load.concurrency: 2 against 3; profile.load.ramp: nothing against "1s"; seed: 1 against 2
    join DIR/one and DIR/one: they are the same run, which would count twice
    join DIR/unfinished: its run did not end in order, so nothing says what is missing; leave it out
    join DIR/cut_rows/invocations.csv: its end was cut off, and nothing says what is missing; leave its run out
    join DIR/cut_log/histograms.hlog: its end was cut off, and nothing says what is missing; leave its run out
    join DIR/cut_seconds/intervals.csv: its end was cut off, and nothing says what is missing; leave its run out
    join DIR/changed: read histograms.hlog: the histogram under "ttfc_from_intended:base": its tag is not metric:variant:outcome; another version of plimsoll wrote it, or it was changed: take it from a copy of its folder
    "#);
}

#[test]
fn another_version_is_refused_with_what_reads_it_and_this_one_is_read_back_whole() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = write(parent.path(), manifest("made_up", 0), &some());
    let text = fs::read_to_string(folder.join(RUN)).expect("it was written");
    assert_eq!(Run::read(&text).expect("a run").to_json(), text);
    let told = [0, VERSION + 1].map(|version| {
        let other = text.replacen(&format!("\"version\": {VERSION}"), &format!("\"version\": {version}"), 1);
        Run::read(&other).expect_err("another version").to_string()
    });
    insta::assert_snapshot!(told.join("\n"), @"
    read run.json: it is of version 0, and this plimsoll reads version 1; use the one that wrote it (0.0.0)
    read run.json: it is of version 2, and this plimsoll reads version 1; use the one that wrote it (0.0.0)
    ");
    insta::assert_snapshot!(Run::read(&text[..400]).expect_err("cut off"), @"read run.json: EOF while parsing a string at line 22 column 10; it is no whole run.json of version 1: take it from a copy of its folder");
}
