//! Runs whose records are drawn straight from the mock's script: digested and summed up as those of a bundle are, and
//! each asked for the quantiles that its report would show.

use std::thread;

use plimsoll::metrics::digest::{Digest, Key};
use plimsoll::metrics::summary::{Group, Quantile, Refused};
use plimsoll::metrics::{Metric, Outcome, Recorder, Series, Summary};
use plimsoll::mock::rehearse;
use plimsoll::profile::Profile;
use plimsoll::stats::coverage::Coverage;
use plimsoll::stats::rank::rank;

use super::percent;
use super::scripts::{Asked, Figure, LARGE_DRAW, SCENARIOS, Scenario};

/// What one quantile came to over all runs.
#[derive(Clone, Copy, Default)]
struct Tally {
    coverage: Coverage,
    /// Samples of all runs, and those at or below the truth.
    samples: u64,
    at_or_below: u64,
    /// Sum of the intervals' widths as shares of the truth, over those with two ends.
    widths: f64,
    two_ended: u32,
}

/// The table, with a check of every row that must lie in bounds.
pub(super) fn table(runs: u32, outside: &mut Vec<String>) -> String {
    let mut text = format!(
        "## Records drawn from the mock's script\n\n{runs} runs a row.\n\n\
         | load | n | quantile | covered | must | below | above | refused | mean width | truth | by | draws at or below it |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for scenario in &SCENARIOS {
        let truths = truths_ns(scenario);
        let tallies = study(scenario, &truths, runs);
        for ((Asked { figure, p, bounds }, truth_ns), tally) in scenario.asked.iter().zip(&truths).zip(&tallies) {
            let what = format!("{} p{}", figure.name(), p * 100.0);
            let Coverage { covered, below, above, refused, .. } = tally.coverage;
            let given = covered + below + above;
            let share = percent(covered.into(), given.into());
            let must = bounds.map_or_else(String::new, |bounds| {
                if !tally.coverage.is_plausible(bounds.least, bounds.most) {
                    outside.push(format!("{}, n = {}, {what}: {share} of {given}", scenario.name, scenario.n));
                }
                let most = if bounds.most < 1.0 { format!("–{:.0}", bounds.most * 100.0) } else { String::new() };
                format!("{}{:.0}{most} %", if most.is_empty() { "≥ " } else { "" }, bounds.least * 100.0)
            });
            text += &format!(
                "| {} | {} | {what} | {share} | {must} | {below} | {above} | {} | {:.1} % | {:.4} s | {} | {:.2} % |\n",
                scenario.name,
                scenario.n,
                percent(refused.into(), u64::from(given + refused)),
                100.0 * tally.widths / f64::from(tally.two_ended.max(1)),
                *truth_ns as f64 / 1e9,
                if scenario.truth.known_ns(*p).is_some() { "formula" } else { "large draw" },
                100.0 * tally.at_or_below as f64 / tally.samples.max(1) as f64,
            );
        }
    }
    text
}

/// The load of one run: its seed decides both the plan and the script's draws.
fn profile(scenario: &Scenario, seed: u64, invocations: u64) -> Profile {
    let text = format!(
        "why = \"coverage\"\nseed = {seed}\nload.invocations = {invocations}\nrequest.input.text = \"Hi\"\n{}",
        scenario.load
    );
    Profile::parse("coverage.toml", &text, Vec::new()).expect("a valid profile")
}

/// The true quantiles in nanoseconds.
fn truths_ns(scenario: &Scenario) -> Vec<u64> {
    let mut drawn: Vec<Vec<u64>> = vec![Vec::new(); scenario.asked.len()];
    if scenario.truth.known_ns(0.5).is_none() {
        // Of a seed that no run has.
        let taken = rehearse(&profile(scenario, 0, LARGE_DRAW), |record, gaps_ns| {
            for (asked, all) in scenario.asked.iter().zip(&mut drawn) {
                all.extend(asked.figure.samples_ns(record, gaps_ns).into_iter().map(|ns| ns.unwrap_or(u64::MAX)));
            }
        });
        taken.expect("the load can be rehearsed");
    }
    let quantile = |(all, p): (&mut Vec<u64>, f64)| {
        let at = usize::try_from(rank(p, all.len() as u64)).expect("a place in a list") - 1;
        *all.select_nth_unstable(at).1
    };
    let each = scenario.asked.iter().zip(&mut drawn);
    each.map(|(asked, all)| scenario.truth.known_ns(asked.p).unwrap_or_else(|| quantile((all, asked.p)))).collect()
}

/// Draws the runs on all cores.
fn study(scenario: &Scenario, truths_ns: &[u64], runs: u32) -> Vec<Tally> {
    let cores = u32::try_from(thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1);
    let share = |core: u32| {
        let mut tallies = vec![Tally::default(); truths_ns.len()];
        for run in (core..runs).step_by(cores as usize) {
            one_run(scenario, truths_ns, u64::from(run) + 1, &mut tallies);
        }
        tallies
    };
    thread::scope(|scope| {
        let shares: Vec<_> = (0..cores).map(|core| scope.spawn(move || share(core))).collect();
        let shares = shares.into_iter().map(|share| share.join().expect("no run panics"));
        shares.reduce(|all, some| all.iter().zip(&some).map(|(one, other)| one.and(other)).collect())
    })
    .expect("a machine has a core")
}

fn one_run(scenario: &Scenario, truths_ns: &[u64], seed: u64, tallies: &mut [Tally]) {
    let (mut digest, mut recorder, mut counted) = (Digest::new(Vec::new()), Recorder::new(), 0);
    let drawn = rehearse(&profile(scenario, seed, scenario.n + scenario.spare), |record, gaps_ns| {
        if counted == scenario.n {
            return;
        }
        counted += u64::from(!record.warmup);
        digest.take(record);
        recorder.finished(record, gaps_ns);
        let figures = scenario.asked.iter().zip(truths_ns).zip(&mut *tallies);
        for ((asked, truth_ns), tally) in figures.filter(|_| !record.warmup) {
            for sample in asked.figure.samples_ns(record, gaps_ns) {
                tally.samples += 1;
                tally.at_or_below += u64::from(sample.is_some_and(|ns| ns <= *truth_ns));
            }
        }
    });
    drawn.expect("the load can be rehearsed");
    assert_eq!(counted, scenario.n, "the warm-up leaves enough");
    let summary = summed_up(digest, recorder);
    for ((asked, truth_ns), tally) in scenario.asked.iter().zip(truths_ns).zip(tallies) {
        tally.count(&reported(summary.overall(), asked.figure, asked.p), *truth_ns);
    }
}

/// The summary, with the histograms that a bundle would hold.
fn summed_up(mut digest: Digest, mut recorder: Recorder) -> Summary {
    for (tag, recorded) in recorder.take().histograms {
        let is_gap = tag.series == Series::of(Metric::Gap) && !tag.warmup;
        if is_gap {
            let completed = tag.outcome == Some(Outcome::Completed.kind());
            digest.take_histogram(gaps(&tag.variant, completed, None), &recorded);
        }
    }
    for (of, recorded) in recorder.into_gap_groups() {
        digest.take_histogram(gaps(&of.variant, of.completed, Some(of.group)), &recorded);
    }
    digest.summary(1)
}

/// What gaps are known by.
fn gaps(variant: &str, completed: bool, group: Option<u64>) -> Key {
    Key { metric: Metric::Gap, variant: variant.to_owned(), scenario: String::new(), completed, group }
}

/// The quantile as a report shows it.
fn reported(group: &Group, figure: Figure, p: f64) -> Quantile {
    let row = |series| group.metric(series).map(|metric| &metric.all);
    let found = match figure {
        Figure::Series(series) => row(series).and_then(|row| row.quantile(p)),
        Figure::Gap => row(Series::of(Metric::Gap)).and_then(|row| row.quantile(p)),
        Figure::Tool(tool) => group.tools.iter().find(|of| of.name == tool).and_then(|of| of.all.quantile(p)),
        Figure::Part(part) => group.decomposition.as_ref().and_then(|of| {
            let of = of.parts.iter().find(|of| of.mean.part == part)?;
            of.quantiles.iter().find(|quantile| quantile.p.total_cmp(&p).is_eq())
        }),
    };
    *found.expect("it is reported")
}

impl Tally {
    fn count(&mut self, quantile: &Quantile, truth_ns: u64) {
        let coverage = &mut self.coverage;
        match (quantile.refused, quantile.low_ns, quantile.high_ns) {
            (Some(Refused::TooFew { .. }), ..) => coverage.refused += 1,
            // An end that is absent lies where the event never comes.
            (_, None, _) => coverage.above += 1,
            (_, Some(low), _) if low > truth_ns => coverage.above += 1,
            (_, _, Some(high)) if high < truth_ns => coverage.below += 1,
            _ => coverage.covered += 1,
        }
        if let Some((low, high)) = quantile.low_ns.zip(quantile.high_ns) {
            self.widths += (high - low) as f64 / truth_ns as f64;
            self.two_ended += 1;
        }
    }

    fn and(&self, other: &Self) -> Self {
        let (one, two) = (&self.coverage, &other.coverage);
        Self {
            coverage: Coverage {
                covered: one.covered + two.covered,
                below: one.below + two.below,
                above: one.above + two.above,
                refused: one.refused + two.refused,
                effective: 0.0,
            },
            samples: self.samples + other.samples,
            at_or_below: self.at_or_below + other.at_or_below,
            widths: self.widths + other.widths,
            two_ended: self.two_ended + other.two_ended,
        }
    }
}
