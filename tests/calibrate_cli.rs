//! `plimsoll calibrate` as its users run it: two processes, the table, the study. Counts only: times are the machine's.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn calibrate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("calibrate").args(arguments);
    // A setting of the user's reaches neither side.
    command.env("PLIMSOLL_LOAD_CONCURRENCY", "none").output().unwrap()
}

/// A text with every number masked, and its columns joined.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(mask).collect();
        out.push_str(cells.join(" | ").trim_end());
        out.push('\n');
    }
    out
}

/// A cell in which whatever depends on the machine is masked.
fn mask(cell: &str) -> String {
    let words = cell.trim_end_matches(" (fell behind)").split(' ').map(|word| {
        let is_figure = word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        match word {
            "TRUSTED" | "DEGRADED" | "INVALID" => "VERDICT",
            // Nobody looked in time.
            "–" => "# SIZE",
            "B" | "KiB" | "MiB" => "SIZE",
            _ if is_figure && !word.contains('x') => "#",
            _ => word,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_event_of_a_tiny_load_meets_its_truth_over_each_transport() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("study.md").display().to_string();
    let output = calibrate(&["--load", "4x20ms", "--duration", "100ms", "--no-pin", "--quiet", "-o", &study]);
    let (out, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""), "{out}");
    // Eleven chunks a stream, and three other events.
    for (figure, count) in [
        ("time to first chunk", 4),
        ("gap, either way", 40),
        ("time to task_finished", 4),
        ("every event", 56),
        ("every event, user space", 56),
    ] {
        let lines = out.lines().filter(|line| line.contains(&format!("{figure}  ")));
        let counts: Vec<u32> = lines.map(|line| line.split_whitespace().last().unwrap().parse().unwrap()).collect();
        assert_eq!(counts, [count; 3], "{figure}: {out}");
    }
    let study = fs::read_to_string(study).unwrap();
    assert!(study.starts_with("# How wrong plimsoll is\n") && !study.contains("{{"), "{study}");
    assert!(study.contains("plimsoll calibrate --load 4x20ms"), "it says how it is made again");
    assert_eq!(study.matches("| every event | ").count(), 3);
}

#[test]
fn the_table_has_its_form() {
    let output =
        calibrate(&["--load", "2x20ms", "--transport", "plain", "--duration", "40ms", "--no-pin", "--repeat", "2"]);
    let out = String::from_utf8(output.stdout).unwrap();
    // Whether a tiny load is trusted, and whether its events shared reads, is the machine's business.
    let odd = ["TRUSTED up to", "not TRUSTED at", "not last of"];
    let lines = out.lines().filter(|line| !odd.iter().any(|odd| line.trim_start().starts_with(odd)));
    let form = masked(&lines.collect::<Vec<_>>().join("\n"));
    let told = format!("{:?}\n{form}{}", output.status.code(), String::from_utf8(output.stderr).unwrap());
    insta::assert_snapshot!(told, @"
    Some(0)
    HTTP/1.1 in the clear, the kernel's receive stamps
    load | error of | p50 | p99 | p99.9 | max | min | before the truth | events
    2x20ms | time to first chunk | # | # | # | # | # | # | #
    gap, either way | # | # | # | # | # | # | #
    time to task_finished | # | # | # | # | # | # | #
    every event | # | # | # | # | # | # | #
    last of their read | # | # | # | # | # | # | #
    every event, user space | # | # | # | # | # | # | #

    load | runs | events/s | verdict | stamp error p99 | client lag p99 | start lag p99 | mock late p99 | write p50 / p99.9 | outside: last, others | CPU a million events | busiest worker | memory a stream
    2x20ms | # | # | VERDICT | # | # | # | # | # / # | # # | # | # % | # SIZE

    client and mock wherever the system puts them (--no-pin); all streams stood for # medians of # runs of each load
    error = reported - handed to the kernel: the mock's write and loopback's delivery are in it
    calibrate  2x20ms over plain: 100 events/s, run 1 of 2
    calibrate  2x20ms over plain: 100 events/s, run 2 of 2
    ");
}

/// Two loads, of which the second one does not come to its end.
const TWO_LOADS: [&str; 11] = [
    "--load",
    "2x20ms",
    "--load",
    "1000x20ms",
    "--transport",
    "plain",
    "--duration",
    "100ms",
    "--no-pin",
    "-o",
    "study.md",
];

#[test]
fn a_request_to_end_keeps_and_shows_what_was_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("calibrate").args(TWO_LOADS).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.into_iter().any(|line| line.contains("1000x20ms")), "it begins the second load");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    cut_short(&output, folder.path(), "INCOMPLETE: terminated; what is missing above was not measured");
}

#[test]
fn a_load_that_fails_takes_none_of_the_others_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 500; exec "$0" calibrate "$@""#, env!("CARGO_BIN_EXE_plimsoll")]);
    let output = command.args(TWO_LOADS).arg("--quiet").current_dir(folder.path()).output().unwrap();
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    let told = format!("{:?} {told}", output.status.code());
    insta::assert_snapshot!(told, @"Some(2) error: failed to run 1000x20ms over plain: hold 1000 streams: the limit on open files has room for 428 of the client's connections; give --load at most 428 streams, or raise the hard limit (ulimit -Hn)");
    let why = told.split_once("error: ").unwrap().1.trim();
    cut_short(&output, folder.path(), &format!("INCOMPLETE: {why}; what is missing above was not measured"));
}

/// Both the table and the study have the first load, not the second, and say why.
fn cut_short(output: &Output, folder: &Path, why: &str) {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let study = fs::read_to_string(folder.join("study.md")).unwrap();
    for told in [out, study] {
        assert!(told.contains(why), "{why:?} is missing in {told}");
        assert!(told.contains("TRUSTED") && told.contains("2x20ms"), "{told}");
        assert!(!told.contains("| 1000x20ms") && !told.contains("\n1000x20ms"), "{told}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn an_earlier_study_stays_until_there_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("study.md");
    fs::write(&study, "the earlier one").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 80; exec "$0" calibrate --load 1000x20ms --quiet -o "$1""#]);
    let output = command.arg(env!("CARGO_BIN_EXE_plimsoll")).arg(&study).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(fs::read_to_string(&study).unwrap(), "the earlier one");
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let refused = |arguments: &[&str]| {
        let output = calibrate(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        format!("{:?} {}", output.status.code(), told.lines().next().unwrap_or_default())
    };
    let told = [
        refused(&["--load", "1000"]),
        refused(&["--load", "0x20ms"]),
        refused(&["--load", "2000000x20ms"]),
        refused(&["--transport", "quic"]),
        refused(&["--repeat", "0"]),
        refused(&["-w", "0"]),
        refused(&["--duration", "4"]),
        refused(&["--duration", "300000h"]),
        refused(&["-o", "/no/such/folder/study.md"]),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    Some(2) error: invalid value '1000' for '--load <LOAD>': "1000" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
    Some(2) error: invalid value '0x20ms' for '--load <LOAD>': "0x20ms" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
    Some(2) error: invalid value '2000000x20ms' for '--load <LOAD>': "2000000x20ms" is not a load: write streams and gap, such as 1000x20ms; from 1 to 50000 streams, and a gap from 1ms to 10s
    Some(2) error: invalid value 'quic' for '--transport <TRANSPORT>': "quic" is not a transport: write plain, tls or h2
    Some(2) error: invalid value '0' for '--repeat <N>': number would be zero for non-zero type
    Some(2) error: invalid value '0' for '--workers <N>': 0 is not in 1..=4294967295
    Some(2) error: invalid value '4' for '--duration <DURATION>': "4" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s
    Some(2) error: invalid value '300000h' for '--duration <DURATION>': "300000h" is too long: all streams of a load stand for at most 1h, since every event is kept until it is joined
    Some(9) error: failed to start: write /no/such/folder/study.md: No such file or directory (os error 2); is the folder writable, and is there space left?
    "#);
}
