//! Several runs of one workload as a page for people.

use std::io::{self, Write};

use super::{METHOD, answers_table, every_figure, numbers, runs_table};
use crate::metrics::repeats::GroupAcross;
use crate::metrics::summary::Quantile;
use crate::metrics::{Metric, Series};
use crate::report::figures::{MARKS, axis_time, group_title, title};
use crate::report::page;
use crate::report::plot::{self, Curve};
use crate::report::xml::escape;
use crate::runfile::Repeats;

/// What is drawn run by run, with its colour.
const DRAWN: [(Series, f64, &str); 4] = [
    (Series::from_intended(Metric::Ttfc), 0.5, "#2a7de1"),
    (Series::from_intended(Metric::Ttfc), 0.95, "#7fb2f0"),
    (Series::from_intended(Metric::Finish), 0.5, "#d1495b"),
    (Series::from_intended(Metric::Finish), 0.95, "#e8a1aa"),
];

/// So many marks the scale of runs has at most, and one more.
const MARKS_MAX: usize = 8;

/// Writes the page.
///
/// # Errors
/// The output can't be written.
pub fn write(repeats: &Repeats, out: &mut impl Write) -> io::Result<()> {
    page::begin(&repeats.id, out)?;
    writeln!(out, "<p>{} of {} runs complete.</p>", repeats.complete(), repeats.asked)?;
    for warning in &repeats.warnings {
        page::warn(warning, out)?;
    }
    runs_table(repeats).write_html(out)?;
    if !repeats.across.objectives.is_empty() {
        writeln!(out, "<h2>Objectives</h2>")?;
        answers_table(repeats).write_html(out)?;
    }
    let numbers = numbers(repeats);
    if let Some(group) = repeats.across.groups.first() {
        writeln!(out, "<h2>Run by run</h2>\n{}", run_by_run(group, &numbers))?;
    }
    for group in &repeats.across.groups {
        let title = group_title(group.variant.as_deref(), group.scenario.as_deref());
        writeln!(out, "<h2>{}</h2>", escape(&title))?;
        every_figure(group, &numbers).write_html(out)?;
    }
    let marks = MARKS.map(|(mark, meaning)| format!("<code>{}</code>: {meaning}.", escape(mark))).join(" ");
    writeln!(out, "<h2>Definitions</h2>\n<p>{} {marks}</p>", escape(METHOD))
}

/// Each run's quantiles, with their intervals within.
fn run_by_run(group: &GroupAcross, numbers: &[String]) -> String {
    let curve = |(series, p, colour): (Series, f64, &'static str)| {
        let runs = (0_u32..).map(f64::from).zip(&group.quantile(series, p)?.runs);
        let value =
            |(x, run): (f64, &Option<Quantile>)| (x, run.as_ref().and_then(|run| run.value_ns).map(|ns| ns as f64));
        let points = runs.clone().map(value).collect();
        let ends = runs.filter_map(|(x, run)| Some((x, run.as_ref()?.low_ns? as f64, run.as_ref()?.high_ns? as f64)));
        Some(Curve { name: format!("{} p{}", title(series), p * 100.0), colour, points, intervals: ends.collect() })
    };
    let curves: Vec<_> = DRAWN.into_iter().filter_map(curve).collect();
    let step = numbers.len().div_ceil(MARKS_MAX).max(1);
    let marks: Vec<_> = (0_u32..).map(f64::from).zip(numbers.iter().cloned()).step_by(step).collect();
    plot::svg("Quantiles of each run with their 95 % intervals within it", &curves, &marks, axis_time)
}
