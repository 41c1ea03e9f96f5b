//! How often the reported intervals hold the truth.
//!
//! `cargo bench --bench coverage` makes `reports/coverage.md` of 1,000 runs a row; `-- RUNS` prints the same of as many.
//! Either way a row that must lie in bounds and does not is said, and the exit code is 1.

#![expect(clippy::print_stdout, reason = "a command that prints a table")]
#![expect(clippy::expect_used, reason = "a benchmark may fail by panic")]

mod drawn;
mod plain;
mod scripts;

use std::process::ExitCode;

/// Runs a row when nothing else is asked for.
const RUNS: u32 = 1_000;
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/coverage.md");

fn main() -> ExitCode {
    let asked = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let runs = asked.unwrap_or(RUNS);
    let mut text = format!("{}\n", include_str!("head.md"));
    let mut outside = Vec::new();
    text += &drawn::table(runs, &mut outside);
    text += &plain::tables(runs);
    println!("{text}");
    outside.iter().for_each(|row| println!("OUT OF BOUNDS: {row}"));
    if asked.is_none() {
        std::fs::write(REPORT, text).expect("the repository is writable");
        println!("written to {REPORT}");
    }
    if outside.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The quotient of two counts in percent.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}
