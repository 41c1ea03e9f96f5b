//! The binary against the embedded mock and against servers that are no agents: outputs, exit codes, refusals.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The mock's shortest stream: what is tested here is everything around it.
const FAST: [&str; 6] = ["--set", "mock.first_chunk=5ms", "--set", "mock.chunks=3", "--set", "mock.gap=1ms"];

fn plimsoll(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    plimsoll(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A short run against the mock, its bundle in a folder of its own.
fn run(more: &[&str]) -> (Output, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap().to_owned();
    let args: Vec<&str> =
        ["run", "--quiet", "--out", &out].into_iter().chain(FAST).chain(more.iter().copied()).collect();
    (output(&args), folder)
}

/// The one bundle in a folder.
fn bundle(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    let bundle = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "one run makes one bundle");
    bundle
}

/// The run of a bundle, which fits the published schema whatever became of it.
fn run_json(bundle: &Path) -> Value {
    fitting(&bundle.join("run.json"), plimsoll::runfile::schema::RUN)
}

/// What several runs came to.
fn repeats_json(series: &Path) -> Value {
    fitting(&series.join("repeats.json"), plimsoll::runfile::schema::REPEATS)
}

fn fitting(file: &Path, schema: &str) -> Value {
    let value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    if let Err(error) = schema.validate(&value) {
        panic!("{}: {error} at {}", file.display(), error.instance_path());
    }
    value
}

fn rows(bundle: &Path) -> usize {
    fs::read_to_string(bundle.join("invocations.csv")).unwrap().lines().count() - 1
}

#[test]
fn a_run_ends_with_a_report_and_a_whole_bundle() {
    let (ended, folder) = run(&["-c", "4", "-n", "40"]);
    let screen = text(&ended.stdout);
    // How much a busy machine spoils is not this test's business, but that the code says it is.
    let code = if screen.starts_with("INVALID") { 8 } else { 0 };
    assert_eq!(ended.status.code(), Some(code), "{}", text(&ended.stderr));
    for answer in [
        "all 40 invocations completed against the embedded mock",
        "time to first chunk",
        "time to task_finished",
        "streams   40 started",
        "ended     40 completed = 40 planned; success 100 %",
        "trust     ",
        "files     ",
    ] {
        assert!(screen.contains(answer), "{answer:?} is missing in\n{screen}");
    }
    let bundle = bundle(folder.path());
    for file in ["run.json", "invocations.csv", "histograms.hlog", "intervals.csv", "report.md"] {
        assert!(bundle.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let run = run_json(&bundle);
    assert_eq!((rows(&bundle), run["status"].as_str()), (40, Some("done")));
    assert_eq!(run["summary"]["groups"][0]["ledger"]["outcomes"]["completed"], 40);
    let again = output(&["report", bundle.to_str().unwrap()]);
    assert_eq!(
        text(&again.stdout).replace(", report.md", ""),
        screen.replace(", report.md", ""),
        "the same, read back"
    );
    for (format, file) in
        [("html", "report.html"), ("csv", "summary.csv"), ("junit", "junit.xml"), ("hgrm", "ttfc_from_intended.hgrm")]
    {
        let rendered = output(&["report", "--format", format, bundle.to_str().unwrap()]);
        assert_eq!(rendered.status.code(), Some(0), "{format}: {}", text(&rendered.stderr));
        assert!(text(&rendered.stdout).contains(file), "{}", text(&rendered.stdout));
        assert!(bundle.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let verified = output(&["report", "--verify", bundle.to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
    let changed =
        fs::read_to_string(bundle.join("run.json")).unwrap().replacen("\"planned\": 40", "\"planned\": 41", 1);
    fs::write(bundle.join("run.json"), changed).unwrap();
    let refuted = output(&["report", "--verify", bundle.to_str().unwrap()]);
    assert_eq!(refuted.status.code(), Some(8), "{}", text(&refuted.stdout));
    assert!(text(&refuted.stdout).contains("ledger_holds"), "{}", text(&refuted.stdout));
}

#[test]
fn every_event_is_written_down_when_that_is_asked_for() {
    for (flag, file) in
        [("--events", "events.csv"), ("--events=gz", "events.csv.gz"), ("--events=zst", "events.csv.zst")]
    {
        let (ended, folder) = run(&["-c", "4", "-n", "20", flag]);
        assert!(matches!(ended.status.code(), Some(0 | 8)), "{}", text(&ended.stderr));
        let bundle = bundle(folder.path());
        let events = run_json(&bundle)["harness"]["events"].as_u64().unwrap();
        let mut rows = 0;
        let ended = plimsoll::runfile::events::read(&bundle, |_| rows += 1).unwrap().unwrap();
        assert_eq!((rows, ended.truncated, bundle.join(file).exists()), (events, false, true), "{flag}");
        let verified = output(&["report", "--verify", bundle.to_str().unwrap()]);
        assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
    }
}

#[test]
fn two_runs_of_one_plan_are_merged_and_runs_of_two_plans_are_not() {
    let [first, second, other] = ["1", "1", "2"].map(|seed| {
        let (_, folder) = run(&["-c", "2", "-n", "10", "--set", &format!("seed={seed}")]);
        (bundle(folder.path()), folder)
    });
    let out = tempfile::tempdir().unwrap();
    let merge = |one: &Path, other: &Path| {
        let [one, other] = [one, other].map(|path| path.to_str().unwrap());
        output(&["merge", one, other, "--out", out.path().to_str().unwrap()])
    };
    let refused = merge(&first.0, &other.0);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("seed: 1 against 2"), "{}", text(&refused.stderr));
    let merged = merge(&first.0, &second.0);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
    let joined = bundle(out.path());
    assert_eq!((rows(&joined), run_json(&joined)["parts"].as_array().unwrap().len()), (20, 2));
    let verified = output(&["report", "--verify", joined.to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
}

#[test]
fn repeats_are_independent_runs_held_beside_each_other() {
    let (ended, folder) = run(&["-c", "4", "-n", "30", "--repeat", "3"]);
    let screen = text(&ended.stdout);
    assert!(matches!(ended.status.code(), Some(0 | 8)), "{screen}{}", text(&ended.stderr));
    for told in
        ["run 1 of 3\n", "run 3 of 3\n", "3 of 3 runs complete: ", "95 % across runs", "time to first chunk p50"]
    {
        assert!(screen.contains(told), "{told:?} is missing in\n{screen}");
    }
    let series = bundle(folder.path());
    let told = repeats_json(&series);
    let runs = told["runs"].as_array().unwrap();
    let bundles: Vec<PathBuf> = runs.iter().map(|run| series.join(run["id"].as_str().unwrap())).collect();
    assert_eq!((bundles.len(), told["asked"].as_u64()), (3, Some(3)));
    assert!(bundles.iter().all(|bundle| rows(bundle) == 30) && series.join("report.md").exists());
    assert_ne!(runs[0]["plan_hash"], runs[1]["plan_hash"], "each has a plan of its own");
    let completed = &told["across"]["groups"][0]["rates"][1];
    assert_eq!((completed["name"].as_str(), completed["runs"].as_array().unwrap().len()), (Some("completed_per_s"), 3));
    assert!(completed["mean"]["low"].as_f64() <= completed["mean"]["high"].as_f64(), "{completed}");

    let again = output(&["report", series.to_str().unwrap(), "--format", "json"]);
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), told, "the same, read back");
    let two = output(&["report", bundles[0].to_str().unwrap(), bundles[1].to_str().unwrap()]);
    assert!(text(&two.stdout).contains("2 of 2 runs complete"), "{}{}", text(&two.stdout), text(&two.stderr));
    let page = output(&["report", series.to_str().unwrap(), "--format", "html"]);
    assert_eq!(text(&page.stdout).trim_end(), series.join("report.html").display().to_string());
    assert!(fs::read_to_string(series.join("report.html")).unwrap().contains("<h2>Run by run</h2>"));
    let verified = output(&["report", "--verify", series.to_str().unwrap()]);
    assert_eq!((verified.status.code(), text(&verified.stdout).matches("verified:").count()), (Some(0), 3));

    let (_, other) = run(&["-c", "3", "-n", "30"]);
    let other = bundle(other.path());
    let refused = output(&["report", bundles[0].to_str().unwrap(), other.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("profile.load.concurrency: 4 against 3"), "{}", text(&refused.stderr));
    let twice = output(&["report", bundles[0].to_str().unwrap(), bundles[0].to_str().unwrap()]);
    assert!(text(&twice.stderr).contains("it would count twice"), "{}", text(&twice.stderr));
}

#[test]
fn repeats_of_one_plan_can_be_merged() {
    let (ended, folder) = run(&["-c", "2", "-n", "10", "--repeat", "2", "--set", "repeat.plan=same", "--json"]);
    let series = bundle(folder.path());
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(told["warnings"].as_array().unwrap().iter().any(|warning| warning["kind"] == "one_plan"), "{told}");
    let ids = told["runs"].as_array().unwrap().iter().map(|run| series.join(run["id"].as_str().unwrap()));
    let ids: Vec<_> = ids.map(|path| path.to_str().unwrap().to_owned()).collect();
    let out = tempfile::tempdir().unwrap();
    let merged = output(&["merge", &ids[0], &ids[1], "--out", out.path().to_str().unwrap()]);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
    assert_eq!(rows(&bundle(out.path())), 20);
}

#[test]
fn a_budget_holds_over_all_repeats() {
    let (ended, folder) = run(&["-c", "2", "-n", "10", "--repeat", "4", "--set", "budget.invocations=25"]);
    let screen = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(5), "{screen}{}", text(&ended.stderr));
    assert!(screen.contains("stopped by budget.invocations = 25"), "{screen}");
    assert!(screen.contains("2 of 4 runs complete") && screen.contains("3 of 4 runs were made"), "{screen}");
    let series = bundle(folder.path());
    let told = repeats_json(&series);
    let started =
        |run: &Value| run_json(&series.join(run["id"].as_str().unwrap()))["harness"]["started"].as_u64().unwrap();
    assert_eq!(told["runs"].as_array().unwrap().iter().map(started).collect::<Vec<_>>(), [10, 10, 5]);
}

#[test]
fn an_interrupt_between_repeats_ends_them_with_their_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let args = ["run", "--out", out, "-n", "5", "--repeat", "2", "--pause", "10m"];
    let args: Vec<&str> = args.into_iter().chain(FAST).collect();
    let mut child = plimsoll(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("pause of")), "it comes to its pause");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let screen = text(&ended.stdout);
    assert!(screen.contains("1 of 2 runs complete") && screen.contains("1 of 2 runs were made"), "{screen}");
    assert!(screen.contains("an interval across runs takes two complete runs"), "{screen}");
}

#[test]
fn a_series_that_never_starts_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("reports");
    let args =
        ["run", "--out", out.to_str().unwrap(), "--url", "http://127.0.0.1:1", "--agent", "a", "-c", "1", "-n", "1"];
    let ended = output(&args.into_iter().chain(["--repeat", "2"]).collect::<Vec<_>>());
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stderr));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn a_report_goes_where_it_is_told_to() {
    let (_, folder) = run(&["-c", "2", "-n", "6"]);
    let bundle = bundle(folder.path());
    let place = tempfile::tempdir().unwrap();
    let report = |format: &str, to: &str| {
        let ended = output(&["report", bundle.to_str().unwrap(), "--format", format, "-o", to]);
        (ended.status.code().unwrap(), text(&ended.stdout), text(&ended.stderr))
    };
    let (file, folder) = (place.path().join("own.html"), place.path().to_str().unwrap());
    fs::write(&file, "an older one").unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(report("html", path), (0, format!("{path}\n"), String::new()));
    assert!(fs::read_to_string(&file).unwrap().starts_with("<!doctype html>"), "an older one is replaced");
    for (format, name) in
        [("text", "report.txt"), ("json", "report.json"), ("md", "report.md"), ("hgrm", "ttfc_from_intended.hgrm")]
    {
        let (code, told, _) = report(format, folder);
        assert!(code == 0 && told.contains(name) && place.path().join(name).exists(), "{format}: {told}");
    }
    assert!(!bundle.join("report.json").exists() && report("csv", "-").1.starts_with("variant,metric,"));
    let told = [report("md", "/nowhere/report.md"), report("md", "/dev/full"), report("hgrm", path)];
    let told: Vec<_> = told.into_iter().map(|(code, _, told)| format!("{code} {told}")).collect();
    insta::assert_snapshot!(told.concat().replace(folder, "FOLDER"), @"
    9 error: failed to report: write /nowhere/report.md: No such file or directory (os error 2); is the folder writable, and is there space left?
    9 error: failed to report: write /dev/full: No space left on device (os error 28); is the folder writable, and is there space left?
    2 error: failed to report: 18 files don't fit into FOLDER/own.html: name a folder with -o
    ");
}

#[test]
fn with_json_standard_output_holds_nothing_else() {
    let (ended, folder) = run(&["-c", "2", "-n", "6", "--json"]);
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told, run_json(&bundle(folder.path())));
    assert_eq!(text(&ended.stderr), "");
}

#[test]
fn where_nothing_completes_the_code_is_4_and_every_start_has_its_row() {
    let profile = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(
        profile.path(),
        "why = \"all fail\"\nload.concurrency = 3\nload.invocations = 9\nrequest.input.text = \"x\"\n\
         [mock]\nwhy = \"all fail\"\n[[mock.fault]]\nkind = \"end_early\"\n",
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let ended = output(&["run", "--quiet", "--out", out, profile.path().to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(4), "{}", text(&ended.stderr));
    assert!(text(&ended.stdout).contains("0 of 9 invocations completed"), "{}", text(&ended.stdout));
    assert_eq!(rows(&bundle(folder.path())), 9);
}

/// A run that goes on until it is told otherwise, once it has shown that it is under way.
fn running(folder: &Path) -> (Child, BufReader<std::process::ChildStderr>) {
    let out = folder.to_str().unwrap();
    let args: Vec<&str> = ["run", "--out", out, "-c", "4", "-z", "10m"].into_iter().chain(FAST).collect();
    let mut child = plimsoll(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("in flight"), "{line}");
    (child, lines)
}

#[test]
fn an_interrupt_drains_writes_a_whole_bundle_and_exits_130() {
    for (signal, code, status) in [(Signal::SIGINT, 130, "interrupted"), (Signal::SIGTERM, 143, "terminated")] {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, mut stderr) = running(folder.path());
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let mut screen = String::new();
        child.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
        stderr.read_to_string(&mut String::new()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let run = run_json(&bundle(folder.path()));
        assert_eq!(run["status"], status);
        assert!(screen.contains(&format!("then {status}")), "{screen}");
        let planned = run["harness"]["planned"].as_u64().unwrap();
        assert_eq!(rows(&bundle(folder.path())) as u64, planned);
        assert!(planned > 0);
    }
}

#[test]
fn after_a_kill_the_report_shows_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _stderr) = running(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    let bundle = bundle(folder.path());
    assert_eq!(run_json(&bundle)["status"], "running");
    let report = output(&["report", bundle.to_str().unwrap()]);
    assert_eq!(report.status.code(), Some(0), "{}", text(&report.stderr));
    let screen = text(&report.stdout);
    assert!(screen.contains("and the run did not end in order"), "{screen}");
    assert!(screen.contains("warning   the run did not end in order"), "{screen}");
    assert!(screen.contains("time to first chunk"), "{screen}");
}

#[test]
fn probe_prints_a_waterfall() {
    let args: Vec<&str> = ["probe"].into_iter().chain(FAST).collect();
    let probed = output(&args);
    assert_eq!(probed.status.code(), Some(0), "{}", text(&probed.stderr));
    let screen = text(&probed.stdout);
    let order: Vec<_> =
        ["tcp", "sent", "headers", "task_created", "task_updated", "chunk", "task_finished", "outcome   completed"]
            .map(|word| screen.find(word).unwrap_or_else(|| panic!("{word} is missing in\n{screen}")))
            .to_vec();
    assert!(order.is_sorted(), "{screen}");
    let (_, parts) = screen.split_once("where the time went\n").unwrap();
    // Which parts there are is up to how the machine cuts the stream.
    assert!(parts.contains('█'), "{screen}");
}

#[test]
fn probe_says_which_check_on_the_result_failed() {
    let checks = ["--check-contains", "no such words", "--check-matches", "(?i)."];
    let args: Vec<&str> = ["probe"].into_iter().chain(FAST).chain(checks).collect();
    let probed = output(&args);
    assert_eq!(probed.status.code(), Some(4), "{}", text(&probed.stderr));
    let screen = text(&probed.stdout);
    let outcome = screen.lines().find(|line| line.starts_with("outcome")).unwrap();
    insta::assert_snapshot!(outcome, @r#"outcome   check_failed: check.contains: "no such words" is not in the result"#);
}

/// A server that gives every request on every connection this answer, until the test ends.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 16 * 1024];
                while stream.read(&mut request).is_ok_and(|got| got > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() || answer.contains("connection: close") {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

/// What a run against a target says on standard error, with the target's address as ADDRESS.
fn refused(url: &str, code: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("reports");
    let args = ["run", "--quiet", "--out", out.to_str().unwrap(), "--url", url, "--agent", "a1", "-c", "2", "-n", "4"];
    let ended = output(&args);
    assert_eq!(ended.status.code(), Some(code), "{}{}", text(&ended.stderr), text(&ended.stdout));
    assert!(code != 3 || !out.exists(), "a load that did not start leaves no bundle");
    text(&ended.stderr).replace(url.trim_start_matches("http://"), "ADDRESS")
}

#[test]
fn a_target_that_is_no_agent_is_refused_before_the_load() {
    let head = |status: &str, rest: &str| -> &'static str {
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{rest}\r\n").leak()
    };
    let told: String = [
        head("401 Unauthorized", ""),
        head("403 Forbidden", ""),
        head("404 Not Found", ""),
        head("307 Temporary Redirect", "location: http://127.0.0.1:9/v1\r\n"),
        head("200 OK", "content-type: text/html\r\n"),
        head("200 OK", "content-type: application/json\r\n"),
    ]
    .map(|answer| refused(&server(answer), 3))
    .concat();
    insta::assert_snapshot!(told, @"
    error: failed to start: invoke the agent at http://ADDRESS: the API key was refused (status 401); check XPANDER_API_KEY or target.key_file
    error: failed to start: invoke agent a1 at http://ADDRESS: the API key may not use it (status 403); check the key's organisation
    error: failed to start: find agent a1 at http://ADDRESS (status 404); check target.agent_id, and the path in target.url
    error: failed to start: invoke the agent at http://ADDRESS: it redirects (status 307), and redirects are not followed; set target.url to where it really is
    error: failed to start: invoke the agent at http://ADDRESS: the answer is not an event stream (status 200, content type text/html); check target.url
    error: failed to start: invoke the agent at http://ADDRESS: the answer is not an event stream (status 200, content type application/json); check target.url
    ");
}

#[test]
fn a_target_that_fails_under_load_gives_rows() {
    for (status, outcome) in [
        ("429 Too Many Requests", "rate_limited"),
        ("422 Unprocessable Entity", "http_status"),
        ("500 Internal Server Error", "http_status"),
        ("503 Service Unavailable", "http_status"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").leak();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        let url = server(answer);
        let ended = output(&["run", "--quiet", "--out", out, "--url", &url, "--agent", "a1", "-c", "2", "-n", "4"]);
        assert_eq!(ended.status.code(), Some(4), "{status}: {}", text(&ended.stderr));
        assert_eq!(
            run_json(&bundle(folder.path()))["summary"]["groups"][0]["ledger"]["outcomes"][outcome],
            4,
            "{status}"
        );
    }
}

/// Everything in the files of a folder.
fn written(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| if file.is_dir() { written(&file) } else { fs::read_to_string(file).unwrap() }).collect()
}

#[test]
fn secrets_that_the_target_repeats_reach_neither_the_terminal_nor_the_bundle() {
    let secret = "sk-canary-secret-1";
    let event =
        |kind: &str, data: &str| format!("data: {{\"type\":\"{kind}\",\"task_id\":\"{secret}\",\"data\":{data}}}\n\n");
    let call = format!("{{\"request_id\":\"{secret}\",\"tool_name\":\"{secret}\"}}");
    let body = [
        event("task_created", &format!("{{\"id\":\"{secret}\"}}")),
        event(secret, "{}"),
        event("tool_call_request", &call),
        event("tool_call_result", &call),
        event("chunk", &format!("\"{secret}\"")),
        event("task_finished", &format!("{{\"id\":\"{secret}\",\"status\":\"completed\",\"result\":\"{secret}\"}}")),
    ]
    .concat();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; x={secret}\r\nconnection: close");
    let url = server(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak());
    let folder = tempfile::tempdir().unwrap();
    let (out, own) = (folder.path().to_str().unwrap(), format!("x-own: {secret}"));
    let target = ["--url", &url, "--agent", "a1", "-H", &own];
    let ran = output(&[&["run", "--quiet", "--events", "--out", out, "-c", "1", "-n", "2"][..], &target].concat());
    let record = folder.path().join("stream.jsonl");
    let recording = ["probe", "--redact", "--record", record.to_str().unwrap()];
    let probed = output(&[&recording[..], &target].concat());
    let all = [ran.stdout, ran.stderr, probed.stdout, probed.stderr].map(|out| text(&out)).concat();
    let all = all + &written(folder.path());
    assert!(all.contains("completed") && all.contains("tool.") && all.contains("(hidden)"), "{all}");
    assert!(!all.contains(secret), "{}", all.lines().filter(|line| line.contains(secret)).collect::<String>());
}

#[test]
fn a_pause_that_the_target_asks_the_preflight_for_is_counted_and_heeded_by_a_brake() {
    let url = server("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
    let ran = |brake: &str| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        output(&["run", "--quiet", "--out", out, "--url", &url, "--agent", "a1", "-c", "2", "-n", "2", "--set", brake]);
        run_json(&bundle(folder.path()))
    };
    let warned = |run: &Value, kind: &str| run["warnings"].as_array().unwrap().iter().any(|one| one["kind"] == kind);
    let heedless = ran("budget.brake=false");
    assert_eq!((&heedless["harness"]["pauses_asked"], &heedless["harness"]["holds"]), (&3.into(), &0.into()));
    assert!(warned(&heedless, "pauses_ignored") && !warned(&heedless, "braked"), "{}", heedless["warnings"]);
    let held = ran("budget.brake=true");
    assert_eq!((&held["harness"]["pauses_asked"], &held["harness"]["holds"]), (&3.into(), &3.into()));
    assert!(held["harness"]["held_ns"].as_u64().unwrap() > 500_000_000, "the first start waited");
    assert!(warned(&held, "braked") && !warned(&held, "pauses_ignored"), "{}", held["warnings"]);
}

#[test]
fn what_can_not_be_run_is_said_with_its_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let unreachable = refused(&closed, 3);
    assert!(unreachable.contains("reach http://ADDRESS: Connection refused"), "{unreachable}");
    let told: String = [
        &["run", "--url", "https://api.xpander.ai", "--agent", "a1", "-c", "1", "-n", "1"][..],
        &["run", "--url", "https://api.xpander.ai", "--agent", "a1", "-n", "1"],
        &["run", "--url", "https://api.xpander.ai", "-n", "1"],
        &["run", "--url", "ftp://x", "--agent", "a1"],
        &["run", "--agent", "a/b"],
        &["run", "-c", "0"],
        &["run", "-H", "x-api-key: sk-canary"],
        &["run", "--set", "target.api_key=sk-canary"],
        &["run", "--set", "limits.total=1s", "--set", "limits.idle=2s"],
        &["run", "no-such-profile.toml"],
        &["report", "/nowhere"],
    ]
    .map(|args| {
        let ended = output(args);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {}", text(&ended.stderr));
        assert!(!text(&ended.stderr).contains("canary"), "a key is never repeated");
        text(&ended.stderr)
    })
    .concat();
    insta::assert_snapshot!(told, @r#"
    error: failed to go on: find the API key for api.xpander.ai: the environment variable XPANDER_API_KEY is missing or empty; set it, or name a file with target.key_file
    error: quickstart: budget: missing: a target that is not this machine is loaded only within a budget: set invocations or duration, and in_flight, in [budget], or give -c with -n or -z
    error: quickstart: target.agent_id: missing: name the agent to invoke, as agent_id = "…" in [target] or with --agent
    error: flag --url: target.url: expected "mock" or a base URL such as "https://api.xpander.ai", that starts with http:// or https://, found "ftp://x"
    error: flag --agent: target.agent_id: expected up to 200 letters, digits, '-', '_', '.' or '~' in quotes (no slash, no space, not ".."), found "a/b"
    error: flag -c: load.concurrency: expected a whole number from 1 to 1000000, found 0
    error: flag -H: target.headers: an API key does not belong here: put it into the environment (XPANDER_API_KEY) or into a file (target.key_file)
    error: --set: target.api_key: an API key does not belong here: put it into the environment (XPANDER_API_KEY) or into a file (target.key_file)
    error: --set: limits.idle: 2s can never be reached within limits.total = 1s; lower this limit or raise limits.total
    error: failed to read the profile no-such-profile.toml: expected a TOML file, or one of the built-in profiles quickstart, chat, tools, mixed, open, soak: No such file or directory (os error 2)
    error: failed to report: find a run in /nowhere: there is neither run.json nor a folder that has one; name a run's folder, or one that holds runs, such as reports/…
    "#);
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    let ended = output(&["run", "--api-key", "sk-canary"]);
    assert_eq!(ended.status.code(), Some(2));
    insta::assert_snapshot!(text(&ended.stderr), @"error: failed to take an API key from the command line, where others can see it: put it into the environment (XPANDER_API_KEY) or into a file (target.key_file)");
}

#[test]
fn an_output_that_can_not_be_written_exits_9_before_the_load() {
    let ended = output(&["run", "--quiet", "-n", "1", "--out", "/dev/null/reports"]);
    assert_eq!(ended.status.code(), Some(9), "{}", text(&ended.stderr));
    insta::assert_snapshot!(text(&ended.stderr), @"error: failed to start: write /dev/null/reports: Not a directory (os error 20); is the folder writable, and is there space left?");
}

#[test]
fn a_file_of_the_users_that_can_not_be_written_exits_9() {
    let told: String = [
        &["probe", "--record", "/nowhere/stream.json"][..],
        &["probe", "--record", "/dev/full"],
        &["check", "quickstart", "--plan", "/dev/full"],
        &["mock", "--listen", "127.0.0.1:0", "--truth", "/nowhere/truth.csv"],
    ]
    .map(|args| {
        let ended = output(args);
        assert_eq!(ended.status.code(), Some(9), "{args:?}: {}", text(&ended.stderr));
        text(&ended.stderr)
    })
    .concat();
    insta::assert_snapshot!(told, @"
    error: failed to record: write /nowhere/stream.json: No such file or directory (os error 2); is the folder writable, and is there space left?
    error: failed to record: write /dev/full: No space left on device (os error 28); is the folder writable, and is there space left?
    error: failed to keep the plan: write /dev/full: No space left on device (os error 28); is the folder writable, and is there space left?
    error: failed to start the mock: write /nowhere/truth.csv: No such file or directory (os error 2); is the folder writable, and is there space left?
    ");
}

#[test]
fn too_many_streams_for_the_descriptors_are_refused_with_the_number_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let command = format!(
        "ulimit -n 100; exec {} run --quiet --out {out} -c 500 -n 500 --set load.workers=2",
        env!("CARGO_BIN_EXE_plimsoll")
    );
    let ended = Command::new("sh").args(["-c", &command]).env_clear().output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", text(&ended.stderr));
    insta::assert_snapshot!(text(&ended.stderr), @"error: failed to start: hold 500 connections at a time: the limit on open files is 100, and each connection takes 2; lower -c to 10, let HTTP/2 streams share connections (target.streams), or raise the hard limit (ulimit -Hn)");
}

/// A run whose files may have so many blocks of 512 bytes each, as on a disk that is full.
fn run_on_a_small_disk(blocks: u32, folder: &Path, more: &str) -> Output {
    let args = format!("run --quiet --out {} -c 4 -n 3000 {} {more}", folder.display(), FAST.join(" "));
    // A limit that is met raises a signal, which a disk does not.
    let command = format!("trap '' XFSZ; ulimit -f {blocks}; exec {} {args}", env!("CARGO_BIN_EXE_plimsoll"));
    Command::new("sh").args(["-c", &command]).env_clear().output().unwrap()
}

#[test]
fn what_a_full_disk_does_not_take_is_shown_and_the_code_is_9() {
    // Enough for run.json, and too little for the rows.
    let folder = tempfile::tempdir().unwrap();
    let ended = run_on_a_small_disk(240, folder.path(), "");
    let (screen, told) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(9), "{screen}{told}");
    assert!(screen.contains("then cut since its files could not be written"), "{screen}");
    assert!(
        screen.contains("time to first chunk") && told.contains("invocations.csv: File too large"),
        "{screen}{told}"
    );
    let bundle = bundle(folder.path());
    let run = run_json(&bundle);
    assert_eq!(
        (run["status"].as_str(), &run["warnings"][0]["kind"]),
        (Some("write_failed"), &Value::from("unwritten"))
    );
    let ledger = &run["summary"]["groups"][0]["ledger"];
    assert_eq!((&ledger["planned"], &run["harness"]["planned"]), (&Value::from(3_000), &Value::from(3_000)));
    assert!((rows(&bundle) as u64) < 3_000, "the file lacks its end, the summary does not");
    let again = output(&["report", bundle.to_str().unwrap()]);
    // Where the cut falls on the end of a row, only the sums tell it.
    assert!(text(&again.stdout).contains("but the workers counted 3000"), "{}", text(&again.stdout));

    // Too little for run.json, too: all there is stands on standard output.
    let folder = tempfile::tempdir().unwrap();
    let ended = run_on_a_small_disk(16, folder.path(), "--json");
    assert_eq!(ended.status.code(), Some(9), "{}", text(&ended.stderr));
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told["summary"]["groups"][0]["ledger"]["planned"], 3_000);
    assert!(text(&ended.stderr).contains("run.json: File too large"), "{}", text(&ended.stderr));
}

#[test]
fn a_repeat_whose_report_nobody_takes_is_in_the_series_and_what_failed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let args: Vec<&str> =
        ["run", "--quiet", "--out", out, "-n", "5", "--repeat", "2"].into_iter().chain(FAST).collect();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = plimsoll(&args).stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(9), "{}", text(&ended.stderr));
    assert_eq!(repeats_json(&bundle(folder.path()))["runs"].as_array().unwrap().len(), 1);

    let folder = tempfile::tempdir().unwrap();
    let ended = run_on_a_small_disk(240, folder.path(), "--repeat 2 --json");
    assert_eq!(ended.status.code(), Some(9), "{}", text(&ended.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&ended.stdout).unwrap()["runs"].as_array().unwrap().len(), 1);
    assert!(text(&ended.stderr).contains("invocations.csv: File too large"), "{}", text(&ended.stderr));
}

#[test]
fn events_that_a_full_disk_does_not_take_leave_the_run_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let args = format!("run --quiet --out {} -c 4 -n 40 --events {}", folder.path().display(), FAST.join(" "));
    let limit = "trap '' XFSZ; ulimit -f 400";
    let args = args.replace("mock.chunks=3", "mock.chunks=300");
    let command = format!("{limit}; exec {} {args}", env!("CARGO_BIN_EXE_plimsoll"));
    let ended = Command::new("sh").args(["-c", &command]).env_clear().output().unwrap();
    let screen = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(9), "{screen}{}", text(&ended.stderr));
    assert!(screen.contains("all 40 invocations completed"), "{screen}");
    assert!(text(&ended.stderr).contains("events.csv: File too large"), "{}", text(&ended.stderr));
    assert_eq!(run_json(&bundle(folder.path()))["status"], "done");
}

#[test]
fn a_run_that_can_not_be_summed_up_shows_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _stderr) = running(folder.path());
    fs::remove_file(bundle(folder.path()).join("invocations.csv")).unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut screen = String::new();
    child.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(screen.contains("the run could not be summed up") && screen.contains(" completed"), "{screen}");
    let run = run_json(&bundle(folder.path()));
    assert!(run["summary"].is_null() && run["harness"]["started"].as_u64() > Some(0), "{run}");
}

#[test]
fn a_bundle_without_one_of_its_files_shows_the_others() {
    let (_, folder) = run(&["-c", "2", "-n", "30"]);
    let bundle = bundle(folder.path());
    for file in ["histograms.hlog", "invocations.csv"] {
        fs::remove_file(bundle.join(file)).unwrap();
        let report = output(&["report", bundle.to_str().unwrap()]);
        let screen = text(&report.stdout);
        assert_eq!(report.status.code(), Some(0), "{}", text(&report.stderr));
        assert!(screen.contains("30 invocations completed") && screen.contains("time to first chunk"), "{screen}");
        assert!(screen.contains(&format!("warning   {file} is missing")), "{screen}");
        let verified = output(&["report", "--verify", bundle.to_str().unwrap()]);
        assert_eq!(verified.status.code(), Some(8), "{}", text(&verified.stderr));
        assert!(text(&verified.stdout).contains(&format!("{file}: stored missing")), "{}", text(&verified.stdout));
    }
}

#[test]
fn objectives_are_answered_and_decide_the_code() {
    for (objective, code) in [("success > 50%", 0), ("goodput > 1000000/s", 99), ("success > 99.99%", 6)] {
        let (ended, _folder) = run(&["-c", "4", "-n", "40", "--slo", objective]);
        let screen = text(&ended.stdout);
        // An INVALID measurement comes first, whatever it says of the objectives.
        let code = if screen.starts_with("INVALID") { 8 } else { code };
        assert_eq!(ended.status.code(), Some(code), "{screen}{}", text(&ended.stderr));
        assert!(screen.contains(&format!("{objective}: ")), "{screen}");
    }
    let ended = output(&["run", "--slo", "ttft p95 < 3s"]);
    assert_eq!(ended.status.code(), Some(2));
    insta::assert_snapshot!(text(&ended.stderr), @r#"error: flag --slo: objectives: "ttft p95 < 3s" is not an objective: ttft is no metric; known are ttfc, finish, gap, ttfb, ttfe, connect, queue, tool.NAME, answer, closing, silence, event_silence, start_lag, client_lag, stamp_error; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{variant=NAME} p95 < 3s, over a window as ttfc p95 < 3s for 10s"#);
}

#[test]
fn what_the_bodies_of_variants_hold_is_kept_nowhere() {
    let body = "you sent canary-of-all and canary-of-low";
    let answer = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak();
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("x.toml");
    let url = server(answer);
    fs::write(
        &profile,
        format!(
            "why = \"secrets\"\nload.invocations = 4\ntarget = {{ url = \"{url}\", agent_id = \"a\" }}\n\
             [request]\ninput.text = \"Hi\"\nextra.token = \"canary-of-all\"\n\
             [[variant]]\nname = \"low\"\nextra.token = \"canary-of-low\"\n[[variant]]\nname = \"high\"\n"
        ),
    )
    .unwrap();
    let (profile, out) = (profile.to_str().unwrap(), folder.path().join("reports"));
    let ended = output(&["run", profile, "--json", "--out", out.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(4), "{}", text(&ended.stderr));
    let bundle = bundle(&out);
    let report = |format: &str| output(&["report", bundle.to_str().unwrap(), "--format", format, "-o", "-"]);
    let others = ["text", "json", "md", "html", "csv", "junit"].map(report);
    let all = [output(&["check", profile]), ended].into_iter().chain(others);
    let mut told: Vec<_> = all.flat_map(|ended| [text(&ended.stdout), text(&ended.stderr)]).collect();
    assert!(told.iter().all(|text| !text.contains("error: ")), "{told:#?}");
    for file in fs::read_dir(bundle).unwrap() {
        told.push(String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned());
    }
    assert!(told.iter().any(|text| text.contains("you sent (hidden) and (hidden)")));
    assert!(told.iter().all(|text| !text.contains("canary")), "{told:#?}");
}

#[test]
fn probe_asks_the_variant_that_is_dealt_to_the_first_start() {
    let variants = "variant=[{ name = \"low\", llm_reasoning_effort = \"low\" }, { name = \"high\", llm_reasoning_effort = \"high\" }]";
    let longer = "mock.effect=[{ when = { llm_reasoning_effort = \"high\" }, scale = { chunks = 2 } }]";
    let place = tempfile::tempdir().unwrap();
    let plan = place.path().join("plan.jsonl");
    let mut seen = Vec::new();
    for seed in 1..9 {
        let seed = format!("seed={seed}");
        let set = ["--set", &seed, "--set", variants, "--set", longer];
        assert!(output(&[&["check", "-n", "2", "--plan", plan.to_str().unwrap()], &set[..]].concat()).status.success());
        let first = fs::read_to_string(&plan).unwrap().lines().nth(1).unwrap().to_owned();
        let is_high = first.contains("\"variant\":\"high\"");
        let screen = text(&output(&[&["probe"], &set[..], &FAST].concat()).stdout);
        assert!(screen.contains(if is_high { ", 6 chunks, " } else { ", 3 chunks, " }), "{first}\n{screen}");
        seen.push(is_high);
    }
    assert!(seen.contains(&true) && seen.contains(&false), "each is dealt first with some seed");
}

#[test]
fn a_key_that_the_server_echoes_is_kept_nowhere() {
    let body = "you sent x-api-key: sk-canary-123456 and x-team: tell-no-one";
    let answer = format!("HTTP/1.1 500 Oops\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak();
    let folder = tempfile::tempdir().unwrap();
    let (url, out) = (server(answer), folder.path().to_str().unwrap());
    let args = ["run", "--out", out, "--url", &url, "--agent", "a1", "-n", "2", "-c", "1", "-H", "x-team: tell-no-one"];
    let ended = plimsoll(&args).env("XPANDER_API_KEY", "sk-canary-123456").output().unwrap();
    assert_eq!(ended.status.code(), Some(4), "{}", text(&ended.stderr));
    assert!(
        text(&ended.stdout).contains("you sent x-api-key: (hidden) and x-team: (hidden)"),
        "{}",
        text(&ended.stdout)
    );
    let mut told = vec![text(&ended.stdout), text(&ended.stderr)];
    for file in fs::read_dir(bundle(folder.path())).unwrap() {
        told.push(String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned());
    }
    assert!(told.iter().all(|text| !text.contains("canary") && !text.contains("tell-no-one")));
}
