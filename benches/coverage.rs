//! `cargo bench --bench coverage [-- RUNS]`: how often the intervals hold the truth, by scenario.

#![expect(clippy::print_stdout, reason = "a command that prints a table")]

use plimsoll::seed::Seed;
use plimsoll::stats::coverage::{Coverage, Scenario, coverage, gap_coverage, ratio_coverage};

fn main() {
    let runs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1_000);
    println!("{runs} runs each");
    println!(
        "{:<22}{:>8}{:>6}{:>9}{:>7}{:>7}{:>9}{:>11}",
        "quantile", "n", "p", "covered", "below", "above", "refused", "effective"
    );
    for (scenario, n, p) in [
        (Scenario::Mixture, 500, 0.5),
        (Scenario::Mixture, 500, 0.95),
        (Scenario::Mixture, 2_000, 0.99),
        (Scenario::CutAtTheEnd, 500, 0.5),
        (Scenario::CutAtTheEnd, 500, 0.95),
        (Scenario::CutAtTheEnd, 2_000, 0.95),
        (Scenario::Abandoned, 500, 0.5),
        (Scenario::Abandoned, 500, 0.9),
        (Scenario::Abandoned, 2_000, 0.95),
        (Scenario::Queue, 10_000, 0.5),
        (Scenario::Queue, 10_000, 0.9),
        (Scenario::Queue, 10_000, 0.95),
    ] {
        row(&format!("{scenario:?}"), &format!("{n}"), p, &coverage(scenario, n, p, runs, Seed(1)));
    }
    println!("gaps, by streams × gaps");
    for (streams, gaps, p) in [(64, 20, 0.5), (200, 50, 0.5), (200, 50, 0.95), (1_000, 50, 0.99)] {
        row("Streams", &format!("{streams} × {gaps}"), p, &gap_coverage(streams, gaps, p, runs, Seed(1)));
    }
    println!("ratio of two arms, by blocks × size");
    for (scenario, blocks, size, p) in [
        (Scenario::Mixture, 5, 100, 0.5),
        (Scenario::Mixture, 10, 50, 0.5),
        (Scenario::Mixture, 10, 50, 0.95),
        (Scenario::Mixture, 20, 100, 0.95),
        (Scenario::CutAtTheEnd, 10, 100, 0.5),
        (Scenario::Queue, 10, 1_000, 0.5),
        (Scenario::Queue, 20, 1_000, 0.95),
    ] {
        let shape = format!("{blocks} × {size}");
        row(&format!("{scenario:?}"), &shape, p, &ratio_coverage(scenario, blocks, size, p, runs, Seed(1)));
    }
}

fn row(name: &str, size: &str, p: f64, coverage: &Coverage) {
    let Coverage { below, above, refused, effective, .. } = coverage;
    let covered = 100.0 * coverage.share().unwrap_or(f64::NAN);
    println!("{name:<20}{size:>10}{p:>6}{covered:>8.1}%{below:>7}{above:>7}{refused:>9}{effective:>11.0}");
}
