//! `summary.csv`: a row for each metric of all invocations, of each variant and of each scenario, in both of its rows,
//! for spreadsheets and scripts.

use std::io::{self, Write};

use super::figures::CONVERSATION;
use crate::metrics::Summary;
use crate::metrics::summary::{QUANTILES, Quantile, Refused, Row};
use crate::runfile::invocations::defused;

/// Writes the metrics of a run. Times are in nanoseconds, as the column names say; what is absent is empty.
///
/// # Errors
/// The output can't be written.
pub fn write(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    let scenarios = summary.groups.iter().any(|group| group.scenario.is_some());
    rows.write_record(head(scenarios))?;
    for group in &summary.groups {
        let name = |name: &Option<String>| name.as_deref().map_or_else(String::new, |name| defused(name).into_owned());
        let scenario = scenarios.then(|| name(&group.scenario));
        let names: Vec<_> = [name(&group.variant)].into_iter().chain(scenario).collect();
        let metrics = group.metrics.iter().map(|metric| (metric.series.name(), &metric.all, &metric.completed));
        let wholes = group.conversations.iter();
        let wholes = wholes.map(|wholes| (CONVERSATION.to_owned(), &wholes.all, &wholes.completed));
        for (metric, all, completed) in metrics.chain(wholes) {
            for (name, row) in [("all", all), ("completed", completed)] {
                let before = names.iter().cloned().chain([metric.clone(), name.to_owned()]);
                rows.write_record(before.chain(cells(row)))?;
            }
        }
    }
    rows.flush()
}

fn head(scenarios: bool) -> Vec<String> {
    let names = ["variant"].into_iter().chain(scenarios.then_some("scenario"));
    let plain = ["metric", "row", "count", "censored", "failed", "min_ns", "mean_ns", "max_ns"];
    let each = |p: f64| {
        let name = format!("p{}", p * 100.0);
        [format!("{name}_ns"), format!("{name}_ns_low"), format!("{name}_ns_high"), format!("{name}_refused")]
    };
    names.chain(plain).map(ToOwned::to_owned).chain(QUANTILES.into_iter().flat_map(each)).collect()
}

fn cells(row: &Row) -> impl Iterator<Item = String> {
    let counts = [row.count, row.censored, row.failed].map(|count| count.to_string());
    let times = [row.min_ns, row.mean_ns, row.max_ns].map(or_empty);
    let quantiles: Vec<_> = QUANTILES.into_iter().flat_map(|p| quantile(row.quantile(p))).collect();
    counts.into_iter().chain(times).chain(quantiles)
}

fn quantile(quantile: Option<&Quantile>) -> [String; 4] {
    let Some(quantile) = quantile else { return Default::default() };
    let refused = match quantile.refused {
        None => String::new(),
        Some(Refused::TooFew { needed, .. }) => format!("n<{needed}"),
        Some(Refused::NeverReached) => "never".to_owned(),
        Some(Refused::CutOff) => "cut off".to_owned(),
    };
    [or_empty(quantile.value_ns), or_empty(quantile.low_ns), or_empty(quantile.high_ns), refused]
}

fn or_empty(ns: Option<u64>) -> String {
    ns.map_or_else(String::new, |ns| ns.to_string())
}
