//! The first screen: how long to the first chunk, how long to `task_finished`, how many, did all finish, can it be
//! trusted, where are the files.

use std::io::{self, Write};

use super::figures::{
    CONVERSATION, interval, number, per_read, printable, quantile, rate_of_bytes, share, share_interval, time, title,
};
use super::parts;
use super::table::Table;
use crate::metrics::summary::{Group, QUANTILES, Refused, Totals};
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
    writeln!(out, "{}  {}", certificate.verdict, headline(run, summary))?;
    for reason in &certificate.reasons {
        writeln!(out, "  because {reason}")?;
    }
    writeln!(out)?;
    latencies(group, out)?;
    writeln!(out)?;
    for judged in &summary.objectives {
        writeln!(out, "{:<9} {}: {}", judged.answer.to_string(), printable(&judged.objective), judged.found)?;
    }
    streams(summary, out)?;
    trust(certificate, group, out)?;
    for warning in &run.warnings {
        writeln!(out, "warning   {}", printable(&warning.to_string()))?;
    }
    writeln!(out, "files     {}", printable(folder))
}

/// Did all of them finish?
fn headline(run: &Run, summary: &Summary) -> String {
    let ledger = &summary.overall().ledger;
    let completed = ledger.of(Outcome::Completed);
    let ended = match run.status {
        Status::Running => ", and the run did not end in order",
        Status::Done => "",
        Status::BudgetSpent => ", then stopped by its budget",
        Status::Aborted => ", then stopped by an objective that failed",
        Status::WorkerLost => ", then ended as a worker died",
        Status::WriteFailed => ", then cut since its files could not be written",
        Status::Interrupted => ", then interrupted",
        Status::Terminated => ", then terminated",
    };
    let target = printable(&run.target);
    let target = if target == "mock" { "the embedded mock" } else { &target };
    let of = match ledger.planned {
        0 if summary.warmup_rows > 0 => {
            format!("nothing was measured: all {} began in the warm-up", summary.warmup_rows)
        }
        0 => "nothing was started".to_owned(),
        planned if planned == completed => format!("all {planned} invocations completed"),
        planned => format!("{completed} of {planned} invocations completed"),
    };
    format!("{of} against {target}{ended}")
}

fn latencies(group: &Group, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["from the intended start, unless said", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    let mut refused = None;
    let (mut never, mut cut_off) = (false, false);
    let shown = SHOWN.into_iter().filter_map(|series| Some((title(series), series.origin, &group.metric(series)?.all)));
    let wholes = group.conversations.as_ref();
    let wholes = wholes.map(|wholes| (format!("{CONVERSATION}, without think times"), None, &wholes.all));
    for (name, origin, row) in shown.chain(wholes) {
        for quantile in &row.quantiles {
            match quantile.refused {
                Some(Refused::TooFew { effective, .. }) => refused = refused.or(Some(effective)),
                Some(Refused::NeverReached) => never = true,
                Some(Refused::CutOff) => cut_off = true,
                None => {}
            }
        }
        let quantiles = QUANTILES.map(|p| quantile(row.quantile(p)));
        table.row([name].into_iter().chain(quantiles).chain([time(row.max_ns)]));
        let intervals = QUANTILES.map(|p| interval(row.quantile(p)));
        // From the send they are much the same: once is enough for a first look.
        if origin != Some(Origin::Sent) && intervals.iter().any(|text| !text.is_empty()) {
            table.row(["  95 % interval".to_owned()].into_iter().chain(intervals));
        }
    }
    table.write_text(out)?;
    if let Some(effective) = refused {
        writeln!(out, "n<N: that quantile takes N independent samples; these are worth {effective}")?;
    }
    if cut_off {
        writeln!(out, "cut off: the run ended before this share got there; a longer load.drain would show it")?;
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
    scenarios(summary, out)?;
    if summary.warmup_rows > 0 {
        writeln!(out, "warm-up   {} more invocations, left out of these numbers", summary.warmup_rows)?;
    }
    where_the_time_went(group, out)?;
    if totals.stalls > 0 {
        let of = share(totals.stalled_invocations as f64 / ledger.started().max(1) as f64);
        let longest_ns = group.metric(Series::of(Metric::Gap)).and_then(|gap| gap.all.max_ns);
        writeln!(
            out,
            "stalls    {} in {of} of invocations, {} in all, longest {}: {}",
            totals.stalls,
            Human(totals.stalled_ns),
            time(longest_ns),
            parts::times_line(&totals.stalled_parts),
        )?;
    }
    noted(totals, out)?;
    for failure in summary.failures.iter().take(FAILURES_SHOWN) {
        writeln!(out, "failed    {} × {}: {}", failure.count, failure.outcome, printable(&failure.detail))?;
    }
    Ok(())
}

/// Each scenario in a line.
fn scenarios(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    for group in &summary.groups {
        let Some(name) = &group.scenario else { continue };
        let of = |metric: Metric| {
            let row = group.metric(Series::from_intended(metric)).map(|metric| &metric.all);
            let [p50, p95] = [0.5, 0.95].map(|p| quantile(row.and_then(|row| row.quantile(p))));
            format!("{} p50 {p50}, p95 {p95}", metric.name())
        };
        let (completed, planned) = (group.ledger.of(Outcome::Completed), group.ledger.planned);
        let (ttfc, finish) = (of(Metric::Ttfc), of(Metric::Finish));
        writeln!(out, "scenario  {}: {completed} of {planned} completed; {ttfc}; {finish}", printable(name))?;
    }
    Ok(())
}

/// What the mean invocation and the p99 are made of.
fn where_the_time_went(group: &Group, out: &mut impl Write) -> io::Result<()> {
    let Some(of) = &group.decomposition else { return Ok(()) };
    let mean = parts::line(of.parts.iter().map(|part| &part.mean));
    let largest = of.tail.as_ref().and_then(|tail| tail.parts.iter().max_by(|a, b| a.share.total_cmp(&b.share)));
    let tail = largest.map_or_else(String::new, |slice| format!("; p99: {}", parts::line([slice])));
    writeln!(out, "time      {mean}{tail}")
}

/// What was odd about the streams, when something was.
fn noted(totals: &Totals, out: &mut impl Write) -> io::Result<()> {
    let noted: Vec<_> = [
        (totals.unknown_events, "events of unknown type"),
        (totals.foreign_events, "events of other tasks"),
        (totals.events_after_end, "events after the end"),
        (totals.duplicate_creations, "further task_created events"),
        (totals.tool_unpaired, "tool calls without a pair"),
        (totals.tool_errors, "tool errors"),
        (totals.invalid_utf8, "events with broken UTF-8"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if noted.is_empty() { Ok(()) } else { writeln!(out, "noted     {}", noted.join(", ")) }
}

/// Can it be trusted?
fn trust(certificate: &Certificate, group: &Group, out: &mut impl Write) -> io::Result<()> {
    let measured = &certificate.measured;
    let busiest = measured.worker_cpu.iter().copied().reduce(f64::max);
    let cpu =
        |share: Option<f64>| share.map_or_else(|| "unknown".to_owned(), |share| format!("{:.0} %", share * 100.0));
    writeln!(
        out,
        "trust     {}: stamp error p99 {}, start lag p99 {} (limit {}); client lag p99 {}; shared reads {}{}; busiest worker {}, machine {}",
        certificate.verdict,
        time(measured.stamp_error_ns_p99),
        time(measured.start_lag_ns_p99),
        Human(certificate.limit_ns),
        time(measured.client_lag_ns_p99),
        share(measured.shared_reads),
        per_read(group).map_or_else(String::new, |per_read| format!(" ({per_read})")),
        cpu(busiest),
        cpu(measured.machine_cpu),
    )
}
