//! Our statistics against scipy's and lifelines', and against published tables: the figures lie in
//! `tests/data/statistics.json`, and `tests/reference/statistics.py` makes them.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::process::Command;

use plimsoll::stats::incidence::Observation::{Censored, Failed, Seen};
use plimsoll::stats::normal::{normal, student_t};
use plimsoll::stats::order::{floor, ranks};
use plimsoll::stats::rank::weighted_quantile;
use plimsoll::stats::{Incidence, proportion};
use serde_json::Value;

fn figures(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("data/statistics.json")).unwrap();
    all[name].clone()
}

/// Rows of numbers.
fn rows(figures: &Value) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(figures.clone()).unwrap();
    assert!(!rows.is_empty());
    rows
}

fn near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(1e-3)
}

#[test]
#[ignore = "needs python with scipy, numpy and lifelines"]
fn the_figures_are_what_python_says() {
    let python = Command::new("python3").arg("tests/reference/statistics.py").output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    assert_eq!(String::from_utf8_lossy(&python.stdout), include_str!("data/statistics.json"));
}

#[test]
fn quantiles_of_distributions_are_scipys() {
    for row in rows(&figures("normal")) {
        assert!(near(normal(row[0]), row[1], 1e-9), "{row:?}: {}", normal(row[0]));
    }
    for row in rows(&figures("student_t")) {
        assert!(near(student_t(row[0], row[1]), row[2], 1e-8), "{row:?}: {}", student_t(row[0], row[1]));
    }
}

#[test]
fn ranks_and_floors_are_scipys_at_every_size() {
    for row in rows(&figures("ranks")) {
        let (low, high) = ranks(row[0], row[1]).unwrap();
        assert!(near(low as f64, row[2], 0.0) && near(high as f64, row[3], 0.0), "{row:?}: {low} {high}");
    }
    for row in rows(&figures("floors")) {
        assert!(near(floor(row[0]) as f64, row[1], 0.0), "{row:?}: {}", floor(row[0]));
    }
}

#[test]
fn intervals_of_shares_are_scipys() {
    let all: Vec<(u32, u32, f64, f64)> = serde_json::from_value(figures("clopper_pearson")).unwrap();
    for (good, n, low, high) in all {
        // Spread evenly, so that nothing depends on its neighbour and all count.
        let series: Vec<bool> = (0..n).map(|at| (at + 1) * good / n > at * good / n).collect();
        let found = proportion(&series).unwrap();
        assert!(near(found.low, low, 1e-8) && near(found.high, high, 1e-8), "{good} of {n}: {found:?}");
    }
}

#[test]
fn the_plain_quantile_is_numpys_inverted_cdf() {
    let plain = figures("plain");
    let mut counts: Vec<(u64, u64)> =
        serde_json::from_value::<Vec<u64>>(plain["values"].clone()).unwrap().into_iter().map(|ns| (ns, 1)).collect();
    counts.sort_unstable();
    for row in rows(&plain["quantiles"]) {
        assert!(near(weighted_quantile(&counts, row[0]).unwrap() as f64, row[1], 0.0), "{row:?}");
    }
}

#[test]
fn the_cumulative_incidence_is_that_of_lifelines() {
    let figures = figures("incidence");
    let observations: Vec<(String, u64)> = serde_json::from_value(figures["observations"].clone()).unwrap();
    let observations: Vec<_> = observations
        .into_iter()
        .map(|(end, ns)| match end.as_str() {
            "seen" => Seen(ns),
            "failed" => Failed(ns),
            _ => Censored(ns),
        })
        .collect();
    let incidence = Incidence::new(&observations);
    let curve: Vec<(u64, f64)> = serde_json::from_value(figures["curve"].clone()).unwrap();
    for (ns, share) in curve {
        let found = incidence.at(ns);
        assert!(near(found, share, 1e-9), "{ns}: {found} against {share}");
    }
}

#[test]
fn without_failures_it_is_the_published_kaplan_meier_curve() {
    // Weeks of remission on 6-MP: Freireich et al., Blood 21 (1963) 699; the curve as in Kalbfleisch and Prentice, The
    // Statistical Analysis of Failure Time Data, and in every course since.
    let seen = [6, 6, 6, 7, 10, 13, 16, 22, 23].map(Seen);
    let censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35].map(Censored);
    let incidence = Incidence::new(&[&seen[..], &censored[..]].concat());
    for (week, remaining) in
        [(6, 0.857), (7, 0.807), (10, 0.753), (13, 0.690), (16, 0.627), (22, 0.538), (23, 0.448), (35, 0.448)]
    {
        let found = 1.0 - incidence.at(week);
        assert!((found - remaining).abs() < 5e-4, "week {week}: {found} against {remaining}");
    }
    assert_eq!(incidence.quantile_ns(0.5), Some(23));
}
