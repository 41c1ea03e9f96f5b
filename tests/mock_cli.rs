//! `plimsoll mock` and `probe --record` as their users run them: processes, sockets, files, signals.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll::agent::Recording;

/// A running `plimsoll mock` on a free port.
struct Mock {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Mock {
    fn start(arguments: &[&str]) -> Self {
        let mut child = plimsoll(&[&["mock", "--listen", "127.0.0.1:0"], arguments].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.split("://").nth(1).and_then(|rest| rest.split(';').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Self { child, out, address }
    }

    /// Asks it to end; what it said after its first line, and its exit code.
    fn stop(&mut self) -> (String, Option<i32>) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        (said, self.child.wait().unwrap().code())
    }
}

impl Drop for Mock {
    /// A test that fails leaves none behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    // Settings of whoever runs the tests, and cargo's own, are none of theirs.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLIMSOLL_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("script.toml");
    fs::write(&path, format!("why = \"a test\"\n{text}")).unwrap();
    path.display().to_string()
}

fn get(address: &str, path: &str) -> String {
    let mut io = TcpStream::connect(address).unwrap();
    write!(io, "GET {path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_mock_serves_until_it_is_told_to_end_and_says_what_it_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let script = script(folder.path(), "first_chunk = \"0s\"\nchunks = 3\ngap = \"0s\"");
    let mut mock = Mock::start(&["--script", &script, "--truth", &file("truth.csv"), "--log", &file("log.jsonl")]);
    let probe = plimsoll(&["probe", "--url", &format!("http://{}", mock.address), "--agent", "a1"]).output().unwrap();
    assert!(probe.status.success(), "{}", String::from_utf8_lossy(&probe.stderr));
    assert!(get(&mock.address, "/metrics").contains("plimsoll_mock_completed_total 1\n"));
    let (said, code) = mock.stop();
    let served: Vec<_> = said.lines().skip_while(|line| !line.starts_with("served")).collect();
    insta::assert_snapshot!(served.join("\n"), @"
    served 1 invocations: 1 completed, 0 ended otherwise, 0 broken off by the script, 0 hung up on; 6 events
           3 requests on 3 connections, 1 refused
    ");
    assert_eq!(code, Some(0));
    let truth = fs::read_to_string(file("truth.csv")).unwrap();
    let kinds: Vec<_> = truth.lines().map(|line| line.split(',').nth(2).unwrap()).collect();
    assert_eq!(kinds, ["type", "task_created", "task_updated", "chunk", "chunk", "chunk", "task_finished"]);
    assert_eq!(fs::read_to_string(file("log.jsonl")).unwrap().lines().count(), 3, "preflight, invocation, metrics");
}

#[test]
fn a_recorded_stream_is_replayed_and_recorded_again_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let record = |mock: &Mock, name: &str, more: &[&str]| {
        let path = folder.path().join(name).display().to_string();
        let url = format!("http://{}", mock.address);
        let arguments = ["probe", "--url", &url, "--agent", "a1", "--record", &path];
        let probe = plimsoll(&[&arguments[..], more].concat()).output().unwrap();
        assert!(probe.status.success(), "{}", String::from_utf8_lossy(&probe.stderr));
        (Recording::read(&fs::read_to_string(&path).unwrap()).unwrap(), path)
    };
    let mut original =
        Mock::start(&["--script", &script(folder.path(), "first_chunk = \"30ms\"\nchunks = 8\ngap = \"5ms\"")]);
    let (first, path) = record(&original, "first.jsonl", &[]);
    original.stop();
    assert!(first.pieces.len() > 4 && first.end_ns.is_some(), "it came in several reads, to its end");
    let replay = script(folder.path(), &format!("replay = {{ files = [{path:?}] }}"));
    let mut again = Mock::start(&["--script", &replay]);
    let (second, _) = record(&again, "second.jsonl", &[]);
    let (redacted, _) = record(&again, "redacted.jsonl", &["--redact"]);
    again.stop();
    assert_eq!((second.status, &second.content_type), (first.status, &first.content_type));
    assert_eq!(second.body(), first.body());
    assert_eq!(redacted.body().len(), first.body().len());
    // A busy machine delays a read, but none comes before its time.
    let end = |recording: &Recording| recording.pieces.last().unwrap().at_ns;
    assert!(end(&second) >= end(&first) || end(&first) - end(&second) < 1_000_000, "{} {}", end(&first), end(&second));
}

#[test]
fn what_is_wrong_is_said_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output = plimsoll(&[&["mock"], arguments].concat()).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap().replace(&folder.path().display().to_string(), "FOLDER");
        format!("{:?} {}", output.status.code(), told.trim_end())
    };
    let mut first = Mock::start(&[]);
    let told = [
        refused(&["--script", &script(folder.path(), "gap = 20")]),
        refused(&["--script", &folder.path().join("none.toml").display().to_string()]),
        refused(&["--listen", &first.address]).replace(&first.address, "ADDRESS"),
        refused(&["--truth", &folder.path().join("no/such/folder").display().to_string()]),
        refused(&[
            "--listen",
            "127.0.0.1:0",
            "--script",
            &script(folder.path(), "replay = { files = [\"gone.jsonl\"] }"),
        ]),
    ];
    first.stop();
    insta::assert_snapshot!(told.join("\n"), @r#"
    Some(2) error: FOLDER/script.toml:2: gap: expected a duration such as "250ms", or a distribution of them such as { exponential = "20ms" }, found 20
    Some(2) error: failed to read the script FOLDER/none.toml: No such file or directory (os error 2)
    Some(2) error: failed to start the mock: listen on ADDRESS: Address already in use (os error 98); another program listens there: stop it, or choose another port (0 takes a free one)
    Some(9) error: failed to start the mock: write FOLDER/no/such/folder: No such file or directory (os error 2); is the folder writable, and is there space left?
    Some(2) error: failed to start the mock: read the recording gone.jsonl: No such file or directory (os error 2); check replay.files, which count from the working directory
    "#);
}
