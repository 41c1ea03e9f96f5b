//! The first screen: how long to the first chunk, how long to `task_finished`, how many, did all finish, can it be
//! trusted, where are the files.

use std::io::{self, Write};

use super::figures::{interval, number, printable, quantile, rate_of_bytes, share, share_interval, time, title};
use super::table::Table;
use crate::metrics::summary::{Group, QUANTILES, Refused};
use crate::metrics::{Certificate, Metric, Origin, Outcome, Series, Summary};
use crate::runfile::{Run, Status};
use crate::units::Human;

/// The causes of failure that the first screen shows.
const FAILURES_SHOWN: usize = 3;

/// What the first screen shows of each series, in order.
const SHOWN: [Series; 5] = [
    Series::from_intended(Metric::Ttfc),
    Series::from_sent(Metric::Ttfc),
    Series::from_intended(Metric::Finish),
    Series::from_sent(Metric::Finish),
    Series::of(Metric::Gap),
];

/// Writes the first screen of a run whose files are in `folder`.
///
/// # Errors
/// The output can't be written.
pub fn write(
    run: &Run,
    summary: &Summary,
    certificate: &Certificate,
    folder: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let group = summary.overall();
    writeln!(out, "{}  {}", certificate.verdict, headline(run, group))?;
    for reason in &certificate.reasons {
        writeln!(out, "  because {reason}")?;
    }
    writeln!(out)?;
    latencies(group, out)?;
    writeln!(out)?;
    for judged in &summary.objectives {
        writeln!(out, "{:<9} {}: {}", judged.answer.to_string(), judged.objective, judged.found)?;
    }
    streams(summary, out)?;
    trust(certificate, out)?;
    for warning in &run.warnings {
        writeln!(out, "warning   {}", printable(&warning.to_string()))?;
    }
    writeln!(out, "files     {folder}")
}

/// Did all of them finish?
fn headline(run: &Run, group: &Group) -> String {
    let ledger = &group.ledger;
    let completed = ledger.of(Outcome::Completed);
    let ended = match run.status {
        Status::Running => ", and the run did not end in order",
        Status::Done => "",
        Status::Interrupted => ", then interrupted",
        Status::Terminated => ", then terminated",
    };
    let target = printable(&run.target);
    let target = if target == "mock" { "the embedded mock" } else { &target };
    let of = match ledger.planned {
        0 => "nothing was started".to_owned(),
        planned if planned == completed => format!("all {planned} invocations completed"),
        planned => format!("{completed} of {planned} invocations completed"),
    };
    format!("{of} against {target}{ended}")
}

fn latencies(group: &Group, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["from the intended start, unless said", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    let mut refused = None;
    let mut never = false;
    for series in SHOWN {
        let Some(metric) = group.metric(series) else { continue };
        let row = &metric.all;
        for quantile in &row.quantiles {
            match quantile.refused {
                Some(Refused::TooFew { effective, .. }) => refused = refused.or(Some(effective)),
                Some(Refused::NeverReached) => never = true,
                None => {}
            }
        }
        let quantiles = QUANTILES.map(|p| quantile(row.quantile(p)));
        table.row([title(series)].into_iter().chain(quantiles).chain([time(row.max_ns)]));
        let intervals = QUANTILES.map(|p| interval(row.quantile(p)));
        // From the send they are much the same: once is enough for a first look.
        if series.origin != Some(Origin::Sent) && intervals.iter().any(|text| !text.is_empty()) {
            table.row(["  95 % interval".to_owned()].into_iter().chain(intervals));
        }
    }
    table.write_text(out)?;
    if let Some(effective) = refused {
        writeln!(out, "n<N: that quantile takes N independent samples; these are worth {effective}")?;
    }
    if never {
        writeln!(out, "never: so many failed that this share never got there; report.md has the completed ones alone")?;
    }
    Ok(())
}

/// How many, and how they ended.
fn streams(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let group = summary.overall();
    let (ledger, rates, totals) = (&group.ledger, &group.rates, &group.totals);
    writeln!(
        out,
        "streams   {} started in {}, {} in flight on average; {} completed/s, {} events/s, {} of text",
        ledger.started(),
        Human(summary.span_ns),
        number(rates.mean_in_flight),
        number(rates.completed_per_s),
        number(rates.events_per_s),
        rate_of_bytes(rates.text_bytes_per_s),
    )?;
    let ends: Vec<_> = ledger.outcomes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let ends = if ends.is_empty() { "none".to_owned() } else { ends.join(" + ") };
    let success = group.success.map_or_else(String::new, |success| format!("; success {}", share_interval(success)));
    writeln!(out, "ended     {ends} = {} planned{success}", ledger.planned)?;
    if summary.warmup_rows > 0 {
        writeln!(out, "warm-up   {} more invocations, left out of these numbers", summary.warmup_rows)?;
    }
    if totals.stalls > 0 {
        let of = share(totals.stalled_invocations as f64 / ledger.started().max(1) as f64);
        writeln!(out, "stalls    {} in {of} of invocations, {} in all", totals.stalls, Human(totals.stalled_ns))?;
    }
    for failure in summary.failures.iter().take(FAILURES_SHOWN) {
        writeln!(out, "failed    {} × {}: {}", failure.count, failure.outcome, printable(&failure.detail))?;
    }
    Ok(())
}

/// Can it be trusted?
fn trust(certificate: &Certificate, out: &mut impl Write) -> io::Result<()> {
    let measured = &certificate.measured;
    let busiest = measured.worker_cpu.iter().copied().reduce(f64::max);
    let cpu =
        |share: Option<f64>| share.map_or_else(|| "unknown".to_owned(), |share| format!("{:.0} %", share * 100.0));
    writeln!(
        out,
        "trust     {}: stamp error p99 {}, start lag p99 {} (limit {}); client lag p99 {}; shared reads {}; busiest worker {}, machine {}",
        certificate.verdict,
        time(measured.stamp_error_ns_p99),
        time(measured.start_lag_ns_p99),
        Human(certificate.limit_ns),
        time(measured.client_lag_ns_p99),
        share(measured.shared_reads),
        cpu(busiest),
        cpu(measured.machine_cpu),
    )
}
