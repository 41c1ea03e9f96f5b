//! Plain samples, straight into the statistics: what no script draws (ends of runs that cut off, users who give up,
//! ratios of two arms, streams that differ).

use plimsoll::seed::Seed;
use plimsoll::stats::coverage::{Coverage, Scenario, coverage, gap_coverage, ratio_coverage};

use super::percent;

/// The three tables.
pub(super) fn tables(runs: u32) -> String {
    let mut text = head("Plain samples", "sample", "n", "effective size");
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
        text += &row(&format!("{scenario:?}"), &format!("{n}"), p, &coverage(scenario, n, p, runs, Seed(1)));
    }
    text += &head("Gaps within streams that differ from each other", "sample", "streams × gaps", "effective size");
    for (streams, gaps, p) in [(64, 20, 0.5), (200, 50, 0.5), (200, 50, 0.95), (1_000, 50, 0.99)] {
        text += &row("Streams", &format!("{streams} × {gaps}"), p, &gap_coverage(streams, gaps, p, runs, Seed(1)));
    }
    text += &head("The ratio of two arms that differ by nothing", "sample", "blocks × size", "degrees of freedom");
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
        text += &row(&format!("{scenario:?}"), &shape, p, &ratio_coverage(scenario, blocks, size, p, runs, Seed(1)));
    }
    text
}

fn head(title: &str, sample: &str, size: &str, effective: &str) -> String {
    format!(
        "\n## {title}\n\n| {sample} | {size} | p | covered | below | above | refused | {effective} |\n\
         |---|---|---|---|---|---|---|---|\n"
    )
}

fn row(name: &str, size: &str, p: f64, of: &Coverage) -> String {
    let Coverage { covered, below, above, refused, effective } = of;
    let given = u64::from(covered + below + above);
    let (covered, refused) =
        (percent((*covered).into(), given), percent((*refused).into(), given + u64::from(*refused)));
    format!("| {name} | {size} | {p} | {covered} | {below} | {above} | {refused} | {effective:.0} |\n")
}
