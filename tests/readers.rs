//! A bundle's files in the hands of programs that are not ours.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use plimsoll::runfile::hlog;
use plimsoll::stats::Histogram;
use plimsoll::stats::rank::weighted_quantile;

#[test]
#[ignore = "needs node, and the package hdr-histogram-js in the folder that NODE_MODULES names"]
fn the_histogram_log_says_the_same_to_hdr_histograms_own_reader() {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["run", "--quiet", "-c", "8", "-z", "2500ms", "--out", folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(matches!(run.status.code(), Some(0 | 8)), "{}", String::from_utf8_lossy(&run.stderr));
    let log = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path().join("histograms.hlog");

    let mut merged: BTreeMap<String, Histogram> = BTreeMap::new();
    hlog::read(&fs::read(&log).unwrap()[..], |line| {
        let tag = format!("{}:{}:{}", line.metric, line.variant, line.outcome);
        merged.entry(tag).or_default().merge(&line.histogram);
    })
    .unwrap();
    let ours: Vec<String> = merged
        .iter()
        .map(|(tag, all)| {
            let counted: Vec<_> = all.counts().collect();
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|p| weighted_quantile(&counted, p).unwrap());
            format!("{tag} {} {p50} {p95} {p99}", all.count())
        })
        .collect();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/hdr_histogram.mjs");
    let modules = std::env::var("NODE_MODULES").unwrap();
    let read = Command::new("node").args([script, &modules, log.to_str().unwrap()]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let theirs = String::from_utf8(read.stdout).unwrap();
    assert!(ours.len() > 10, "the run has its metrics: {ours:?}");
    assert_eq!(theirs.lines().collect::<Vec<_>>(), ours);
}
