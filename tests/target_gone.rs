//! The binary against a mock in another process that is killed in the middle of the run.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn plimsoll(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A mock in a process of its own, and its URL.
fn mock() -> (Child, String) {
    let mut child = plimsoll(&["mock", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| panic!("{line}"));
    (child, url.trim_end_matches(['/', ';']).to_owned())
}

/// What became of a run whose target was killed when it was under way: its exit code, its screen, its bundle.
fn run(more: &[&str]) -> (Option<i32>, String, PathBuf, tempfile::TempDir) {
    let (mut mock, url) = mock();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let args = ["run", "--out", out, "--url", &url, "--agent", "a1", "--set", "load.drain=1s"];
    let mut child = plimsoll(&[&args, more].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("completed"), "{line}");
    mock.kill().unwrap();
    mock.wait().unwrap();
    let (mut screen, mut rest) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
    lines.read_to_string(&mut rest).unwrap();
    let code = child.wait().unwrap().code();
    let bundle = fs::read_dir(out).unwrap().next().expect("the run made a bundle").unwrap().path();
    (code, format!("{screen}{rest}"), bundle, folder)
}

/// The ledger's counts by outcome, and the rows of the table.
fn ends(bundle: &Path) -> (Value, usize, Value) {
    let run: Value = serde_json::from_str(&fs::read_to_string(bundle.join("run.json")).unwrap()).unwrap();
    let rows = fs::read_to_string(bundle.join("invocations.csv")).unwrap().lines().count() - 1;
    (run["summary"]["groups"][0]["ledger"].clone(), rows, run)
}

#[test]
fn a_closed_load_stops_after_its_failures_in_a_row_with_a_whole_bundle() {
    let stop = ["-c", "4", "-n", "2000", "--set", "budget.failures_in_a_row=20"];
    let (code, screen, bundle, _folder) = run(&stop);
    assert_eq!(code, Some(5), "{screen}");
    let (ledger, rows, run) = ends(&bundle);
    let of = |outcome: &str| ledger["outcomes"][outcome].as_u64().unwrap_or(0);
    let broken = of("truncated") + of("reset");
    assert!(of("completed") > 0 && (1..=8).contains(&broken), "{ledger}");
    assert!(of("connect_failed") >= 12, "{ledger}");
    assert_eq!(of("completed") + broken + of("connect_failed") + of("not_started"), 2_000, "{ledger}");
    assert_eq!((rows, run["status"].as_str()), (2_000, Some("budget_spent")));
    for told in ["the run was stopped by budget.failures_in_a_row = 20", "the target seems to be gone", "were put off"]
    {
        assert!(screen.contains(told), "{told:?} is missing in\n{screen}");
    }
    let verified = plimsoll(&["report", "--verify", bundle.to_str().unwrap()]).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn an_open_load_makes_every_start_of_its_plan() {
    let (code, screen, bundle, _folder) = run(&["-q", "40", "-z", "8s"]);
    assert!(matches!(code, Some(0 | 8)), "{code:?} {screen}");
    let (ledger, rows, run) = ends(&bundle);
    assert_eq!((rows, ledger["planned"].as_u64(), run["status"].as_str()), (320, Some(320), Some("done")));
    let of = |outcome: &str| ledger["outcomes"][outcome].as_u64().unwrap_or(0);
    assert!(of("completed") > 0 && of("connect_failed") > 0, "{ledger}");
    assert!(screen.contains("the target seems to be gone"), "{screen}");
}
