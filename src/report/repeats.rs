//! Several runs of one workload, shown: what each came to, the interval across them beside the ones within, and where
//! the two disagree.

use std::io::{self, Write};

use super::figures::{group_title, interval, number, printable, quantile, share, time, title};
use super::table::{Table, escape_markdown};
use crate::metrics::objective::Answer;
use crate::metrics::repeats::{AnswersAcross, GroupAcross, Mean, QuantileAcross, RateAcross, ShareAcross, Spread};
use crate::metrics::summary::{Quantile, Share};
use crate::metrics::{Metric, Series};
use crate::runfile::repeats::Repeat;
use crate::runfile::{Repeats, Status};
use crate::units::Human;

mod html;

pub use html::write as write_html;

/// What the first screen shows, in order.
const SHOWN: [(Series, &[f64]); 3] = [
    (Series::from_intended(Metric::Ttfc), &[0.5, 0.95, 0.99]),
    (Series::from_intended(Metric::Finish), &[0.5, 0.95, 0.99]),
    (Series::of(Metric::Gap), &[0.5, 0.99]),
];

/// How the numbers across runs are made.
const METHOD: &str = "The run is the unit: means, medians and 95 % intervals (Student's t) are over the complete runs; \
    beside each run's own value stands its interval within. Apart: the standard deviation between the runs over what \
    their own intervals explain, and how likely chance alone brings as much (F test of one-way random effects). A \
    warning is given for ttfc and finish (p50, p95) and success, by Holm's correction at 5 %. A figure that one of the \
    runs does not have has no mean. Latencies count from the intended start, unless the send is named.";

/// So many runs have a column each on the first screen; more have one for the lowest and one for the highest.
const COLUMNS_MAX: usize = 6;

/// One figure, as its cells.
struct Figure {
    name: String,
    runs: Vec<Cell>,
    median: String,
    mean: String,
    across: String,
    /// The ends of the intervals within, averaged; empty where a run has none.
    within: String,
    spread: Option<Spread>,
}

/// One run's value of a figure.
struct Cell {
    value: String,
    interval: String,
    /// By what the lowest and the highest are found; what has no number lies beyond all that have one.
    order: f64,
}

impl Figure {
    fn of_quantile(of: &QuantileAcross) -> Self {
        let cell = |run: &Option<Quantile>| Cell {
            value: quantile(run.as_ref()),
            interval: interval(run.as_ref()),
            order: run.and_then(|run| run.value_ns).map_or(f64::INFINITY, |ns| ns as f64),
        };
        let ends: Option<Vec<_>> =
            of.runs.iter().map(|run| Some((run.as_ref()?.low_ns?, run.as_ref()?.high_ns?))).collect();
        let within = ends.filter(|ends| !ends.is_empty()).map(|ends| {
            let count = ends.len() as u64;
            range(
                ends.iter().map(|end| end.0).sum::<u64>() / count,
                ends.iter().map(|end| end.1).sum::<u64>() / count,
                Human,
            )
        });
        let shown = |ns: Option<u64>| time(ns);
        Self {
            name: format!("{} p{}", title(of.series), of.p * 100.0),
            runs: of.runs.iter().map(cell).collect(),
            median: shown(of.mean.map(|mean| mean.median_ns)),
            mean: shown(of.mean.map(|mean| mean.mean_ns)),
            across: of.mean.map_or_else(String::new, |mean| range(mean.low_ns, mean.high_ns, Human)),
            within: within.unwrap_or_default(),
            spread: of.spread,
        }
    }

    fn of_share(of: &ShareAcross) -> Self {
        let cell = |run: &Option<Share>| Cell {
            value: run.map_or_else(absent, |of| share(of.share)),
            interval: run.map_or_else(String::new, |of| range(of.low, of.high, share)),
            order: run.map_or(f64::INFINITY, |of| of.share),
        };
        let all: Option<Vec<_>> = of.runs.iter().copied().collect();
        let within = all.filter(|all| !all.is_empty()).map(|all| {
            let mean = |end: fn(&Share) -> f64| all.iter().map(end).sum::<f64>() / all.len() as f64;
            range(mean(|of| of.low), mean(|of| of.high), share)
        });
        Self {
            runs: of.runs.iter().map(cell).collect(),
            within: within.unwrap_or_default(),
            spread: of.spread,
            ..Self::of_mean(of.name.clone(), of.mean, share)
        }
    }

    fn of_rate(of: &RateAcross) -> Self {
        let cell = |run: &f64| Cell { value: number(*run), interval: String::new(), order: *run };
        let name = of.name.strip_suffix("_per_s").map_or_else(|| of.name.clone(), |what| format!("{what}/s"));
        Self { runs: of.runs.iter().map(cell).collect(), ..Self::of_mean(name.replace('_', " "), of.mean, number) }
    }

    fn of_mean(name: String, mean: Option<Mean>, show: fn(f64) -> String) -> Self {
        Self {
            name,
            runs: Vec::new(),
            median: mean.map_or_else(absent, |mean| show(mean.median)),
            mean: mean.map_or_else(absent, |mean| show(mean.mean)),
            across: mean.map_or_else(String::new, |mean| range(mean.low.max(0.0), mean.high, show)),
            within: String::new(),
            spread: None,
        }
    }

    /// Each run where they are few, else the lowest and the highest.
    fn values(&self) -> Vec<String> {
        if self.runs.len() <= COLUMNS_MAX {
            return self.runs.iter().map(|cell| cell.value.clone()).collect();
        }
        let by = |a: &&Cell, b: &&Cell| a.order.total_cmp(&b.order);
        let ends = [self.runs.iter().min_by(by), self.runs.iter().max_by(by)];
        ends.into_iter().flatten().map(|cell| cell.value.clone()).collect()
    }
}

fn absent() -> String {
    "–".to_owned()
}

fn range<T, S: ToString>(low: T, high: T, show: impl Fn(T) -> S) -> String {
    format!("{}–{}", show(low).to_string(), show(high).to_string())
}

/// Writes the first screen of runs whose files are in `folder`.
///
/// # Errors
/// The output can't be written.
pub fn write_text(repeats: &Repeats, folder: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{} of {} runs complete: {}", repeats.complete(), repeats.asked, printable(&repeats.id))?;
    for (at, run) in repeats.runs.iter().enumerate() {
        let number = at + 1;
        let status = if run.status == Status::Done { String::new() } else { format!(", {}", run.status) };
        writeln!(out, "run {number:<5} {:<8}  seed {}  {}{status}", verdict(run), run.seed, printable(&run.id))?;
    }
    if let Some(group) = repeats.across.groups.first() {
        writeln!(out)?;
        first_figures(group, &numbers(repeats), out)?;
    }
    writeln!(out)?;
    for objective in &repeats.across.objectives {
        writeln!(out, "objective {}: {}", printable(&objective.objective), answers(objective))?;
    }
    for warning in &repeats.warnings {
        writeln!(out, "warning   {}", printable(&warning.to_string()))?;
    }
    writeln!(out, "files     {}", printable(folder))
}

/// The complete runs by their numbers.
fn numbers(repeats: &Repeats) -> Vec<String> {
    let complete = repeats.runs.iter().enumerate().filter(|(_, run)| run.complete);
    complete.map(|(at, _)| format!("run {}", at + 1)).collect()
}

fn verdict(run: &Repeat) -> String {
    run.verdict.map_or_else(absent, |verdict| verdict.to_string())
}

fn first_figures(group: &GroupAcross, runs: &[String], out: &mut impl Write) -> io::Result<()> {
    let each: Vec<&str> = runs.iter().map(String::as_str).collect();
    let each = if each.len() <= COLUMNS_MAX { each } else { vec!["lowest", "highest"] };
    let rest = ["median", "mean", "95 % across runs", "95 % within a run", "apart"];
    let mut table = Table::new(["from the intended start"].into_iter().chain(each).chain(rest));
    let quantiles =
        SHOWN.into_iter().flat_map(|(series, ps)| ps.iter().filter_map(move |p| group.quantile(series, *p)));
    let figures = quantiles.map(Figure::of_quantile).chain(group.shares.iter().map(Figure::of_share));
    for of in figures.chain(group.rates.iter().map(Figure::of_rate)) {
        let apart = of.spread.map_or_else(absent, |spread| format!("{:.1}", spread.ratio.sqrt()));
        let values = of.values();
        table.row([of.name].into_iter().chain(values).chain([of.median, of.mean, of.across, of.within, apart]));
    }
    table.write_text(out)?;
    writeln!(
        out,
        "within a run: the ends of each run's own interval, averaged; apart: how far the runs lie apart, over what these explain"
    )
}

fn answers(of: &AnswersAcross) -> String {
    let count = |answer: Answer| (of.runs.iter().filter(|one| **one == answer).count(), answer);
    let told = [Answer::Pass, Answer::Inconclusive, Answer::Fail].map(count);
    let told = told.iter().filter(|(count, _)| *count > 0).map(|(count, answer)| format!("{answer} in {count}"));
    told.collect::<Vec<_>>().join(", ")
}

/// Writes every number across the runs, and each run's with its own interval.
///
/// # Errors
/// The output can't be written.
pub fn write_markdown(repeats: &Repeats, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# {}\n", escape_markdown(&repeats.id))?;
    writeln!(out, "{} of {} runs complete.\n", repeats.complete(), repeats.asked)?;
    for warning in &repeats.warnings {
        writeln!(out, "> **Warning:** {}\n", escape_markdown(&warning.to_string()))?;
    }
    runs_table(repeats).write_markdown(out)?;
    if !repeats.across.objectives.is_empty() {
        writeln!(out, "\n## Objectives\n")?;
        answers_table(repeats).write_markdown(out)?;
    }
    for group in &repeats.across.groups {
        let title = group_title(group.variant.as_deref(), group.scenario.as_deref());
        writeln!(out, "\n## {}\n", escape_markdown(&title))?;
        every_figure(group, &numbers(repeats)).write_markdown(out)?;
    }
    writeln!(out, "\n{METHOD}")
}

fn runs_table(repeats: &Repeats) -> Table {
    let mut table = Table::new(["run", "name", "status", "verdict", "seed", "plan"]);
    for (at, run) in repeats.runs.iter().enumerate() {
        let (number, status, seed) = ((at + 1).to_string(), run.status.to_string(), run.seed.to_string());
        table.row([number, run.id.clone(), status, verdict(run), seed, run.plan_hash.clone()]);
    }
    table
}

fn answers_table(repeats: &Repeats) -> Table {
    let mut table = Table::new(["objective", "answers"]);
    repeats.across.objectives.iter().for_each(|of| table.row([of.objective.clone(), answers(of)]));
    table
}

fn every_figure(group: &GroupAcross, runs: &[String]) -> Table {
    let head = ["figure", "mean", "95 % across runs", "median", "apart"];
    let mut table = Table::new(head.into_iter().chain(runs.iter().map(String::as_str)));
    let shares_and_rates = group.shares.iter().map(Figure::of_share).chain(group.rates.iter().map(Figure::of_rate));
    for of in group.quantiles.iter().map(Figure::of_quantile).chain(shares_and_rates) {
        let apart = |spread: Spread| format!("{:.1} (p {})", spread.ratio.sqrt(), spread.p_value_told());
        let apart = of.spread.map_or_else(absent, apart);
        let own = of.runs.into_iter().map(|Cell { value, interval, .. }| match interval.is_empty() {
            true => value,
            false => format!("{value} ({interval})"),
        });
        table.row([of.name, of.mean, of.across, of.median, apart].into_iter().chain(own));
    }
    table
}
