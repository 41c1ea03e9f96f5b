//! The binary's ways to load: open load, plans that are written and replayed, budgets, people who hang up.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The mock's shortest stream: what is tested here is everything around it.
const FAST: [&str; 6] = ["--set", "mock.first_chunk=5ms", "--set", "mock.chunks=3", "--set", "mock.gap=1ms"];

fn output(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll")).args(args).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A run against the embedded mock: how it ended, its `run.json` and its rows.
fn run(more: &[&str]) -> (Output, Value, Vec<Vec<String>>) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let args: Vec<&str> =
        ["run", "--quiet", "--out", out].into_iter().chain(FAST).chain(more.iter().copied()).collect();
    let ended = output(&args);
    let mut entries = fs::read_dir(folder.path()).unwrap();
    let bundle: PathBuf = entries.next().expect("the run made a bundle").unwrap().path();
    let run = serde_json::from_str(&fs::read_to_string(bundle.join("run.json")).unwrap()).unwrap();
    (ended, run, rows(&bundle))
}

fn rows(bundle: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(bundle.join("invocations.csv")).unwrap();
    let columns: Vec<_> = ["plan_index", "variant", "outcome", "intended_ns", "started_ns", "conversation"]
        .iter()
        .map(|name| reader.headers().unwrap().iter().position(|column| column == *name).unwrap())
        .collect();
    let row = |row: csv::StringRecord| columns.iter().map(|at| row[*at].to_owned()).collect();
    let mut rows: Vec<Vec<String>> = reader.records().map(|record| row(record.unwrap())).collect();
    rows.sort_by_key(|row| row[0].parse::<u64>().unwrap());
    rows
}

/// The intended instants, counted from the first.
fn instants(rows: &[Vec<String>]) -> Vec<u64> {
    let at: Vec<u64> = rows.iter().map(|row| row[3].parse().unwrap()).collect();
    at.iter().map(|at_ns| at_ns - at[0]).collect()
}

#[test]
fn where_descriptors_bound_an_open_load_the_certificate_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let load = ["-q", "400", "-z", "1s", "--set", "load.workers=1", "--set", "mock.first_chunk=1s"];
    let args = [&["run", "--quiet", "--json", "--out", folder.path().to_str().unwrap()][..], &load].concat();
    let (limited, binary) = ("ulimit -n 200 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_plimsoll"));
    let ran = Command::new("sh").args(["-c", limited, binary]).args(args).stdin(Stdio::null()).output().unwrap();
    assert_eq!(ran.status.code(), Some(8), "{}", text(&ran.stderr));
    let run: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let reasons = run["certificate"]["reasons"].as_array().unwrap();
    let short = reasons.iter().find(|reason| reason["kind"] == "files_short").expect("it is said");
    assert_eq!(short["conversations"], 64, "200 less 64 and 8, two a conversation");
    assert!(reasons.iter().all(|reason| reason["kind"] != "starts_missed"), "{reasons:?}");
}

#[test]
fn an_objective_that_fails_over_its_window_stops_the_run_where_it_says_so() {
    let slo = "ttfc p50 < 1ms for 1s, abort";
    let (ended, run, rows) = run(&["-c", "2", "-z", "60s", "--slo", slo]);
    assert!(matches!(ended.status.code(), Some(99 | 8)), "{}", text(&ended.stderr));
    let told = text(&ended.stdout);
    assert!(told.contains(", then stopped by an objective that failed"), "{told}");
    assert!(told.contains(&format!("fail      {slo}: violated in each of 1 seconds; the last, ")), "{told}");
    assert!(told.contains(&format!("when the objective {slo:?} had failed: ")), "{told}");
    assert_eq!((&run["status"], &run["harness"]["aborted"]["objective"]), (&"aborted".into(), &slo.into()));
    assert!(rows.len() > 2 && rows.iter().all(|row| row[2] == "completed"), "what was in flight drained");
}

#[test]
fn with_a_rate_starts_follow_the_clock() {
    let (ended, run, rows) = run(&["-q", "200", "-n", "30"]);
    assert!(matches!(ended.status.code(), Some(0 | 8)), "{}", text(&ended.stderr));
    assert_eq!(run["status"], "done");
    assert_eq!(instants(&rows), (0..30).map(|index| index * 5_000_000).collect::<Vec<_>>());
    let early = rows.iter().filter(|row| row[4].parse::<u64>().unwrap() < row[3].parse().unwrap()).count();
    assert_eq!(early, 0, "nothing starts before its instant");
}

#[test]
fn a_rate_that_can_not_be_sent_is_invalid_and_every_planned_start_has_its_row() {
    // At most five streams at a time, of at least 7 ms each, are far from 100,000 a second.
    for overflow in ["queue", "drop"] {
        let overflow_is = format!("load.overflow={overflow}");
        let (ended, run, rows) = run(&["-q", "100000", "-c", "5", "-z", "100ms", "--set", &overflow_is]);
        assert_eq!(ended.status.code(), Some(8), "{}", text(&ended.stderr));
        let told = text(&ended.stdout);
        assert!(told.starts_with("INVALID"), "{told}");
        assert!(told.contains(" met the in-flight limit: raise it, or lower the rate"), "{told}");
        assert_eq!((&run["status"], rows.len()), (&"done".into(), 10_000));
        let not_made = if overflow == "drop" { "dropped" } else { "not_started" };
        let made = rows.iter().filter(|row| row[2] == "completed").count();
        let others = rows.iter().filter(|row| row[2] == not_made).count();
        assert_eq!(made + others, 10_000, "{told}");
        assert!(made > 0 && others > 5_000, "{told}");
    }
}

#[test]
fn a_plan_that_was_written_is_replayed_by_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.jsonl");
    let plan = path.to_str().unwrap();
    let variants = "variant=[{ name = \"low\", llm_reasoning_effort = \"low\" }, { name = \"high\", llm_reasoning_effort = \"high\" }]";
    let shape = ["--set", "load.arrival=poisson", "-q", "400", "-n", "40"];
    let args = [&["check", "--plan", plan, "--set", variants][..], &shape].concat();
    let checked = output(&args);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 42, "a head, forty starts, a foot");
    let (_, first, first_rows) = run(&[&["--set", variants][..], &shape].concat());
    let (_, second, second_rows) = run(&["--set", variants, "--replay", plan]);
    assert_eq!(first["plan_hash"], second["plan_hash"]);
    assert!(text(&checked.stdout).contains(first["plan_hash"].as_str().unwrap()));
    assert_eq!(instants(&first_rows), instants(&second_rows));
    let variants = |rows: &[Vec<String>]| rows.iter().map(|row| row[1].clone()).collect::<Vec<_>>();
    assert_eq!(variants(&first_rows), variants(&second_rows));
    assert!(
        variants(&first_rows).chunks(2).all(|block| block.contains(&"low".into()) && block.contains(&"high".into()))
    );
}

#[test]
fn a_run_writes_its_own_plan_and_another_makes_the_same_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.jsonl");
    let plan = path.to_str().unwrap();
    let scenarios = "scenario=[{ name = \"ask\", weight = 3, turn = [{ prompt = \"When?\" }] },\
                     { name = \"talk\", turn = [{ prompt = \"Hello\" }, { prompt = \"Bye\" }] }]";
    let mixed = folder.path().join("mixed.toml");
    fs::write(&mixed, format!("why = \"a test\"\n{scenarios}\n")).unwrap();
    let mixed = mixed.to_str().unwrap();
    let places = |rows: &[Vec<String>]| rows.iter().map(|row| (row[0].clone(), row[5].clone())).collect::<Vec<_>>();
    for end in [["-n", "24"], ["-z", "300ms"]] {
        let (ended, first, first_rows) = run(&[&[mixed, "-c", "3", "--plan", plan], &end[..]].concat());
        assert!(matches!(ended.status.code(), Some(0 | 8)), "{}", text(&ended.stderr));
        let (_, second, second_rows) = run(&[mixed, "-c", "3", "--replay", plan]);
        if end[0] == "-n" {
            assert_eq!(first["plan_hash"], second["plan_hash"], "it is the whole plan");
            assert_eq!(places(&first_rows), places(&second_rows));
        }
        // What ended with its time made its last starts or did not; the replay makes them all.
        assert!(places(&first_rows).iter().all(|start| places(&second_rows).contains(start)), "{end:?}");
        assert!(second_rows.len() - first_rows.len() <= 3 * 2, "{} and {}", first_rows.len(), second_rows.len());
        assert_eq!(first["scenarios"][0]["name"], "ask");
    }
    let nowhere = folder.path().join("no/such/plan.jsonl");
    let refused = output(&["run", mixed, "-n", "1", "--out", plan, "--plan", nowhere.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(9), "{}", text(&refused.stderr));
}

/// A profile of conversations of two turns, and the trace of ten of them.
fn two_turns(folder: &Path) -> (String, String) {
    let (profile, trace) = (folder.join("two.toml"), folder.join("trace.csv"));
    let turns = "turn = [{ prompt = \"Hi\" }, { prompt = \"Bye\", think = \"50ms\" }]";
    fs::write(&profile, format!("why = \"a test\"\n{turns}\n")).unwrap();
    fs::write(&trace, (0..10).fold("ms\n".to_owned(), |text, at| format!("{text}{at}\n"))).unwrap();
    [profile, trace].map(|path| path.to_str().unwrap().to_owned()).into()
}

#[test]
fn the_later_turns_of_an_open_load_are_made_when_its_plan_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let (profile, trace) = two_turns(folder.path());
    let plan = folder.path().join("plan.jsonl");
    let plan = plan.to_str().unwrap();
    let trace = format!("load.trace={{ file = \"{trace}\", unit = \"ms\" }}");
    let made = |rows: &[Vec<String>]| {
        rows.iter().map(|row| [0, 2, 5].map(|at| row[at].clone()).join(" ")).collect::<Vec<_>>().join("\n")
    };
    for way in [["-q", "1000", "-n", "20"].as_slice(), &["--set", &trace]] {
        let (_, first, first_rows) = run(&[&[&profile, "--plan", plan], way].concat());
        assert_eq!(made(&first_rows).matches(" completed ").count(), 20, "{way:?}: {}", made(&first_rows));
        let (_, second, second_rows) = run(&[&profile, "--replay", plan]);
        assert_eq!(made(&first_rows), made(&second_rows));
        assert_eq!(first["plan_hash"], second["plan_hash"]);
    }
}

#[test]
fn a_plan_is_written_before_the_load_begins_and_whole_when_the_run_is_interrupted_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, out) = (folder.path().join("plan.jsonl"), folder.path().join("reports"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // More than a pipe holds, so that writing it waits for the reader.
    let args = ["run", "--out", out.to_str().unwrap(), "-n", "5000", "--plan", pipe.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let child =
        command.args(args).args(FAST).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut plan = BufReader::new(fs::File::open(&pipe).unwrap());
    let mut head = String::new();
    plan.read_line(&mut head).unwrap();
    assert!(!out.exists(), "no load waits for its plan");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(plan.lines().count(), 5_001, "the starts and the foot");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    let bundle = fs::read_dir(&out).unwrap().next().expect("the run made a bundle").unwrap().path();
    let run: Value = serde_json::from_str(&fs::read_to_string(bundle.join("run.json")).unwrap()).unwrap();
    assert_eq!(run["status"], "interrupted");
}

#[test]
fn the_budget_stops_the_run_with_code_5_and_every_planned_start_has_its_row() {
    let (ended, run, rows) = run(&["-c", "2", "-n", "20", "--set", "budget.invocations=7"]);
    assert_eq!(ended.status.code(), Some(5), "{}", text(&ended.stderr));
    assert_eq!(run["status"], "budget_spent");
    let count = |outcome: &str| rows.iter().filter(|row| row[2] == outcome).count();
    assert_eq!((count("completed"), count("not_started")), (7, 13));
    let screen = text(&ended.stdout);
    assert!(screen.contains("the run was stopped by budget.invocations = 7"), "{screen}");
}

#[test]
fn tasks_that_people_hang_up_on_are_stopped() {
    let slow = [
        "--set",
        "mock.first_chunk=5s",
        "--set",
        "user.hang_up={ share = 1, after = \"300ms\" }",
        "-c",
        "3",
        "-n",
        "6",
    ];
    let (ended, stopped, rows) = run(&slow);
    assert_eq!(ended.status.code(), Some(4), "nobody waited for an answer: {}", text(&ended.stderr));
    assert!(rows.iter().all(|row| row[2] == "abandoned"));
    let tasks = &stopped["harness"]["tasks"];
    // On a busy machine one may hang up before it knows what to stop, and that is said.
    assert_eq!(tasks["left"], 6, "{tasks}");
    assert!(tasks["stopped"] == 6 || tasks["why"] == "some before their id had come", "{tasks}");
    let (ended, left, _) = run(&[&slow[..], &["--set", "target.stop_tasks=false"]].concat());
    let tasks = &left["harness"]["tasks"];
    assert_eq!((tasks["left"].as_u64(), tasks["stopped"].as_u64()), (Some(6), Some(0)));
    let screen = text(&ended.stdout);
    assert!(screen.contains("6 of 6 tasks that the run left behind were not stopped"), "{screen}");
}

#[test]
fn a_target_elsewhere_is_not_loaded_without_a_budget() {
    let elsewhere = ["--url", "https://agents.example.com", "--agent", "a"];
    for command in ["run", "check"] {
        let refused = output(&[&[command][..], &elsewhere].concat());
        assert_eq!(refused.status.code(), Some(2));
        let told = text(&refused.stderr);
        assert!(told.contains("loaded only within a budget"), "{told}");
    }
    let checked = output(&[&["check"][..], &elsewhere, &["-c", "2", "-n", "10"]].concat());
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[test]
fn without_a_file_that_the_profile_names_nothing_is_sent() {
    let refused = output(&["run", "--set", "load.trace.file=no/such.csv"]);
    assert_eq!(refused.status.code(), Some(2));
    let told = text(&refused.stderr);
    assert!(told.contains("load.trace.file: read no/such.csv: No such file"), "{told}");
}
