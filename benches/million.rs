//! A run of a million short invocations against a mock in another process: the most memory that the client ever held, its
//! rate, and what its report costs.
//!
//! `cargo bench --bench million [-- INVOCATIONS]`; exits 1 when the client took 200 MiB or more, or its report 5 s.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail by panic, and prints")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use plimsoll::runfile::readback;

const CLIENT_MIB_MAX: i64 = 200;
const REPORT_MAX: Duration = Duration::from_secs(5);

/// Short streams of three variants, of which some end early, badly or in a refusal.
const PROFILE: &str = r#"
why = "measures what a million invocations cost the client"
load.concurrency = 64
load.ramp = "0s"
request.input.text = "Hello"
matrix.llm_reasoning_effort = ["low", "medium", "high"]

[mock]
why = "as short as streams are"
first_chunk = "1ms"
chunks = 3
gap = "1ms"
think_steps = 1
tool = [{ name = "web_search", probability = 0.25, time = "1ms" }]

[[mock.fault]]
kind = "end_early"
probability = 0.02

[[mock.fault]]
kind = "failed"
probability = 0.01

[[mock.fault]]
kind = "status"
status = 503
probability = 0.01
"#;

/// A mock that ends with this process.
struct Mock(Child);

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let invocations: u64 = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("million.toml");
    fs::write(&profile, PROFILE).unwrap();
    let (mock, url) = start_mock(&profile);
    let began = Instant::now();
    let out = folder.path().join("out");
    let planned = invocations.to_string();
    let ended = plimsoll(["run", profile.to_str().unwrap(), "--quiet", "--url", &url, "--agent", "mock-agent"])
        .args(["-n", &planned])
        .args(["--out", out.to_str().unwrap()])
        .status()
        .unwrap();
    let took = began.elapsed();
    // Of children that have ended: the client alone.
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let client_mib = usage.max_rss() / 1_024;
    drop(mock);
    let bundle = fs::read_dir(&out).unwrap().next().expect("the run made a bundle").unwrap().path();
    let run = readback::read_run(&bundle).unwrap();
    let ledger = &run.summary.as_ref().expect("it has ended").overall().ledger;
    assert_eq!(ledger.planned, invocations, "every planned start has a row: {ended}");
    let cpu = Duration::from_secs_f64(
        (usage.user_time().tv_sec() + usage.system_time().tv_sec()) as f64
            + (usage.user_time().tv_usec() + usage.system_time().tv_usec()) as f64 / 1e6,
    );
    println!("{invocations} invocations in {took:.1?} ({cpu:.1?} of the client's CPU): {:?}", ledger.outcomes);
    println!(
        "client: at most {client_mib} MiB (must stay under {CLIENT_MIB_MAX}), {}",
        run.certificate.unwrap().verdict
    );
    let report = report(&bundle);
    println!("report: {report:.2?} (must stay under {REPORT_MAX:.0?})");
    if client_mib < CLIENT_MIB_MAX && report < REPORT_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plimsoll<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn start_mock(profile: &Path) -> (Mock, String) {
    // A script is what stands under [mock], without that table's name.
    let text = fs::read_to_string(profile).unwrap();
    let script = text.split_once("[mock]").unwrap().1.replace("mock.", "");
    let path: PathBuf = profile.with_file_name("script.toml");
    fs::write(&path, script).unwrap();
    let args = ["mock", "--listen", "127.0.0.1:0", "--script", path.to_str().unwrap()];
    let mut child = plimsoll(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mock = Mock(child);
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line.split("://").nth(1).and_then(|rest| rest.split(';').next());
    let url = format!("http://{}", address.unwrap_or_else(|| panic!("no address in {line:?}")).trim());
    (mock, url)
}

/// How long `plimsoll report` takes from the bundle's files to a page.
fn report(bundle: &Path) -> Duration {
    let began = Instant::now();
    let ended = plimsoll(["report", bundle.to_str().unwrap(), "--format", "html", "-o", "-"]).status().unwrap();
    assert!(ended.success(), "{ended}");
    began.elapsed()
}
