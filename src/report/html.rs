//! `report.html`: one page for people.

use std::io::{self, Write};

use super::figures::{
    CONVERSATION, MARKS, PER_READ, Pick, axis_time, bounded, group_title, number, per_read, samples, share,
    share_interval, time, title,
};
use super::page;
use super::plot::{self, Curve};
use super::table::Table;
use super::xml::escape;
use crate::metrics::summary::{Group, QUANTILES, Row};
use crate::metrics::{Certificate, Metric, Series, Summary, conversations};
use crate::runfile::Run;
use crate::runfile::intervals::Interval;
use crate::units::Human;

/// What is drawn, with its colour.
const DRAWN: [(Series, &str); 3] = [
    (Series::from_intended(Metric::Ttfc), "#2a7de1"),
    (Series::from_intended(Metric::Finish), "#d1495b"),
    (Series::of(Metric::Gap), "#3a9d5d"),
];

/// Writes the page of a run and its seconds.
///
/// # Errors
/// The output can't be written.
pub fn write(
    run: &Run,
    summary: &Summary,
    certificate: &Certificate,
    seconds: &[Interval],
    out: &mut impl Write,
) -> io::Result<()> {
    page::begin(&run.id, out)?;
    writeln!(out, "<p>{}</p>\n<p><b>{}</b></p>", escape(&run.why), certificate.verdict)?;
    for reason in &certificate.reasons {
        page::warn(reason, out)?;
    }
    for warning in &run.warnings {
        page::warn(warning, out)?;
    }
    objectives(summary, out)?;
    writeln!(out, "<h2>Quantiles</h2>\n{}", quantiles(summary.overall()))?;
    if !seconds.is_empty() {
        writeln!(out, "<h2>Over time</h2>\n{}", timeline(seconds))?;
    }
    for group in &summary.groups {
        write_group(group, out)?;
    }
    failures(summary, out)?;
    provenance(run, summary, out)?;
    definitions(summary, out)
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(head.iter().copied());
    rows.into_iter().for_each(|row| table.row(row));
    table.write_html(out)
}

fn objectives(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    if summary.objectives.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Objectives</h2>")?;
    let rows = summary.objectives.iter();
    let rows = rows.map(|judged| vec![judged.objective.clone(), judged.answer.to_string(), judged.found.clone()]);
    table(&["objective", "answer", "found"], rows, out)
}

/// The quantiles by how many are slower: each step to the right is a tenth of those before.
fn quantiles(group: &Group) -> String {
    let place = |p: f64| -(1.0 - p).log10();
    let curve = |(series, colour): (Series, &'static str)| {
        let row = &group.metric(series)?.all;
        let of = |p: f64| row.quantile(p);
        let points = QUANTILES.map(|p| (place(p), of(p).and_then(|quantile| quantile.value_ns).map(|ns| ns as f64)));
        let interval = |p: f64| {
            let quantile = of(p)?;
            Some((place(p), quantile.low_ns? as f64, quantile.high_ns? as f64))
        };
        let intervals = QUANTILES.into_iter().filter_map(interval).collect();
        Some(Curve { name: title(series), colour, points: points.to_vec(), intervals })
    };
    let curves: Vec<_> = DRAWN.into_iter().filter_map(curve).collect();
    let marks = QUANTILES.map(|p| (place(p), format!("p{}", p * 100.0)));
    plot::svg("Quantiles with their 95 % intervals", &curves, &marks, axis_time)
}

/// What a curve shows of a second.
type OfSecond = fn(&Interval) -> Option<f64>;

/// Each second's quantiles, and under them how many were in flight.
fn timeline(seconds: &[Interval]) -> String {
    let at = |row: &Interval| row.second as f64;
    let of: [(&str, &str, OfSecond); 3] = [
        ("time to first chunk, p50", "#2a7de1", |row| row.ttfc_from_intended_ns_p50.map(|ns| ns as f64)),
        ("time to first chunk, p99", "#7fb2f0", |row| row.ttfc_from_intended_ns_p99.map(|ns| ns as f64)),
        ("time to task_finished, p99", "#d1495b", |row| row.finish_from_intended_ns_p99.map(|ns| ns as f64)),
    ];
    let curve = |(name, colour, value): (&str, &'static str, OfSecond)| {
        let points = seconds.iter().map(|row| (at(row), value(row))).collect();
        Curve { name: name.to_owned(), colour, points, intervals: Vec::new() }
    };
    let counted: [(&str, &str, OfSecond); 2] = [
        ("in flight", "#777", |row| Some(row.in_flight as f64)),
        ("started a second", "#c9a227", |row| row.per_s(row.started)),
    ];
    let last = seconds.iter().map(|row| row.second).max().unwrap_or_default();
    let step = last.div_ceil(8).max(1);
    let marks: Vec<_> = (0..=last / step).map(|mark| (mark * step) as f64).map(|at| (at, format!("{at} s"))).collect();
    plot::svg("Quantiles of each second", &of.map(curve), &marks, axis_time)
        + &plot::svg("In flight and started, each second", &counted.map(curve), &marks, number)
}

fn write_group(group: &Group, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<h2>{}</h2>", escape(&group_title(group.variant.as_deref(), group.scenario.as_deref())))?;
    let planned = group.ledger.planned;
    let ended = group.ledger.outcomes.iter();
    let ended =
        ended.map(|(kind, count)| vec![kind.clone(), count.to_string(), share(*count as f64 / planned.max(1) as f64)]);
    table(
        &["outcome", "invocations", "share"],
        ended.chain([vec!["planned".to_owned(), planned.to_string(), String::new()]]),
        out,
    )?;
    if let Some(success) = group.success {
        writeln!(out, "<p>Success {}.</p>", share_interval(success))?;
    }
    if let Some(per_read) = per_read(group) {
        writeln!(out, "<p>{per_read} on average.</p>")?;
    }
    writeln!(out, "<h3>Every planned start</h3>")?;
    rows(group, Pick::All, out)?;
    writeln!(out, "<h3>Completed invocations only</h3>")?;
    rows(group, Pick::Completed, out)
}

fn rows(group: &Group, pick: Pick, out: &mut impl Write) -> io::Result<()> {
    let head = ["metric", "samples", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let line = |(name, row): (String, &Row)| {
        let before = [name, samples(row), time(row.min_ns), time(row.mean_ns)];
        before.into_iter().chain(QUANTILES.map(|p| bounded(row.quantile(p)))).chain([time(row.max_ns)]).collect()
    };
    table(&head, pick.rows(group).into_iter().filter(|(_, row)| row.count > 0).map(line), out)
}

fn failures(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    if summary.failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Causes of failure</h2>")?;
    let rows = summary.failures.iter();
    let rows = rows.map(|failure| vec![failure.outcome.clone(), failure.detail.clone(), failure.count.to_string()]);
    table(&["outcome", "cause", "invocations"], rows, out)
}

fn provenance(run: &Run, summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let revision = run.plimsoll.revision.as_ref().map(|revision| format!(" ({revision})")).unwrap_or_default();
    writeln!(out, "<h2>Provenance</h2>")?;
    let facts = [
        ("target", run.target.clone()),
        ("began", run.began.clone()),
        ("span", Human(summary.span_ns).to_string()),
        ("seed", run.seed.to_string()),
        ("plan", run.plan_hash.clone()),
        ("workers", run.workers.to_string()),
        ("plimsoll", format!("{}{revision}", run.plimsoll.version)),
        ("machine", format!("{}, {} cores", run.machine.cpu.as_deref().unwrap_or("unknown CPU"), run.machine.cores)),
        ("system", format!("{} {}", run.machine.system, run.machine.kernel.as_deref().unwrap_or_default())),
    ];
    table(&["", ""], facts.map(|(name, value)| vec![name.to_owned(), value]), out)?;
    let profile = serde_json::to_string_pretty(&run.profile).unwrap_or_default();
    let profile: Vec<_> = profile.lines().map(escape).collect();
    writeln!(out, "<details><summary>Profile</summary><pre>{}</pre></details>", profile.join("\n"))
}

fn definitions(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let marks = MARKS.map(|(mark, meaning)| format!("<code>{}</code>: {meaning}.", escape(mark))).join(" ");
    writeln!(
        out,
        "<h2>Definitions</h2>\n<p>Latencies count from the intended start, unless the send is named. {marks} Intervals are \
         two-sided at 95 %.</p>"
    )?;
    let each = Metric::ALL.into_iter().map(|metric| vec![metric.name().to_owned(), metric.definition().to_owned()]);
    let per_read = PER_READ.map(|(name, definition)| vec![name.to_owned(), definition.to_owned()]);
    let wholes = summary.overall().conversations.iter();
    let wholes = wholes.map(|_| vec![CONVERSATION.to_owned(), conversations::DEFINITION.to_owned()]);
    table(&["metric", "definition"], each.chain(per_read).chain(wholes), out)
}
