//! A load generator that parses nothing: oha, where it is installed.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::measure::{self, Measured};
use crate::workload::{BODY, PATH, Pace, Workload};

/// What is read of oha's report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    status_code_distribution: BTreeMap<String, u64>,
    /// Requests that never had a status.
    error_distribution: BTreeMap<String, u64>,
}

/// Whether it is there, and has a mode for this workload: it knows no endless responses.
pub fn can_run(workload: Workload) -> bool {
    let version = Command::new("oha").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    matches!(workload.pace, Pace::AtOnce(_)) && version.is_ok_and(|status| status.success())
}

pub fn run(workload: Workload, port: u16) -> Measured {
    measure::pin();
    let Pace::AtOnce(chunks) = workload.pace else { panic!("oha waits for the end of a response") };
    let (streams, time) = (workload.streams.to_string(), format!("{}s", workload.measure.as_secs()));
    let url = format!("http://127.0.0.1:{port}{PATH}");
    let output = Command::new("oha")
        .args(["--no-tui", "--output-format", "json", "--wait-ongoing-requests-after-deadline"])
        .args(["-c", &streams, "-z", &time, "-m", "POST", "-T", "application/json", "-d", BODY, &url])
        .output()
        .expect("oha runs");
    let report: Report = serde_json::from_slice(&output.stdout).expect("oha reports in JSON");
    let answered = |wanted: bool| {
        let counts = report.status_code_distribution.iter();
        counts.filter(|(status, _)| (*status == "200") == wanted).map(|(_, count)| count).sum::<u64>()
    };
    // With the event before the chunks, and the one behind them.
    let failed = answered(false) + report.error_distribution.values().sum::<u64>();
    Measured::of_children(workload, answered(true) * (chunks as u64 + 2), failed)
}
