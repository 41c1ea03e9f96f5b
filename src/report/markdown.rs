//! `report.md`: every number of a run with its definition.

use std::io::{self, Write};

use super::figures::{
    CONVERSATION, MARKS, PER_READ, Pick, bounded, clock_offset, group_title, number, per_read, rate_of_bytes, samples,
    share, share_interval, time,
};
use super::parts;
use super::table::{Table, escape_markdown};
use crate::metrics::certificate::ArrivalClock;
use crate::metrics::server::ServerView;
use crate::metrics::summary::{Group, QUANTILES, Row};
use crate::metrics::{Certificate, Metric, Outcome, Summary, conversations};
use crate::runfile::Run;
use crate::units::Human;

/// Writes the report of a run.
///
/// # Errors
/// The output can't be written.
pub fn write(run: &Run, summary: &Summary, certificate: &Certificate, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# {}\n", escape_markdown(&run.id))?;
    writeln!(out, "{}\n", escape_markdown(&run.why))?;
    writeln!(
        out,
        "**{}** · target {} · began {} · seed {} · plan `{}` · {} workers · plimsoll {}{}\n",
        certificate.verdict,
        escape_markdown(&run.target),
        run.began,
        run.seed,
        run.plan_hash,
        run.workers,
        run.plimsoll.version,
        run.plimsoll.revision.as_ref().map(|revision| format!(" ({revision})")).unwrap_or_default(),
    )?;
    for warning in &run.warnings {
        writeln!(out, "> **Warning:** {}\n", escape_markdown(&warning.to_string()))?;
    }
    objectives(summary, out)?;
    for group in &summary.groups {
        write_group(group, summary, certificate, out)?;
    }
    failures(summary, out)?;
    if let Some(server) = &summary.server {
        write_server(server, out)?;
    }
    write_certificate(run, certificate, out)?;
    definitions(summary, out)
}

fn write_group(group: &Group, summary: &Summary, certificate: &Certificate, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "## {}\n", escape_markdown(&group_title(group.variant.as_deref(), group.scenario.as_deref())))?;
    ledger(group, out)?;
    writeln!(
        out,
        "{} started in {} ({}/s), {} completed/s, {} in flight on average, {} events/s, {} of text.",
        group.ledger.started(),
        Human(summary.span_ns),
        number(group.rates.started_per_s),
        number(group.rates.completed_per_s),
        number(group.rates.mean_in_flight),
        number(group.rates.events_per_s),
        rate_of_bytes(group.rates.text_bytes_per_s),
    )?;
    if summary.warmup_rows > 0 && group.is_all() {
        writeln!(out, "\n{} invocations of the warm-up are left out.", summary.warmup_rows)?;
    }
    writeln!(out, "\n### Every planned start\n")?;
    rows(group, Pick::All, certificate, out)?;
    writeln!(out, "\n### Completed invocations only\n")?;
    rows(group, Pick::Completed, certificate, out)?;
    writeln!(out)?;
    if let Some(of) = &group.decomposition {
        parts::write_markdown(of, out)?;
        writeln!(out)?;
    }
    tools(group, out)?;
    stalls(group, out)?;
    observations(group, out)
}

fn ledger(group: &Group, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["outcome", "invocations", "share"]);
    let planned = group.ledger.planned;
    for (kind, count) in &group.ledger.outcomes {
        table.row([kind.clone(), count.to_string(), share(*count as f64 / planned.max(1) as f64)]);
    }
    table.row(["planned".to_owned(), planned.to_string(), String::new()]);
    table.write_markdown(out)?;
    writeln!(out)
}

fn rows(group: &Group, pick: Pick, certificate: &Certificate, out: &mut impl Write) -> io::Result<()> {
    let named = pick.rows(group).into_iter().map(|(name, row)| {
        let median_ns = row.quantile(0.5).and_then(|quantile| quantile.value_ns);
        let mark = if certificate.marks(median_ns) { " †" } else { "" };
        (format!("{name}{mark}"), row)
    });
    rows_of("metric", named, out)
}

fn rows_of<'r>(what: &str, rows: impl Iterator<Item = (String, &'r Row)>, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([what, "samples", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    for (name, row) in rows.filter(|(_, row)| row.count > 0) {
        let cell = |p: f64| bounded(row.quantile(p));
        let before = [name, samples(row), time(row.min_ns), time(row.mean_ns)];
        table.row(before.into_iter().chain(QUANTILES.map(cell)).chain([time(row.max_ns)]));
    }
    table.write_markdown(out)
}

fn tools(group: &Group, out: &mut impl Write) -> io::Result<()> {
    if group.tools.is_empty() {
        return Ok(());
    }
    writeln!(out, "### Tool calls, from request to result\n")?;
    rows_of("tool", group.tools.iter().map(|tool| (format!("tool.{}", tool.name), &tool.all)), out)?;
    writeln!(out)
}

fn stalls(group: &Group, out: &mut impl Write) -> io::Result<()> {
    let totals = &group.totals;
    if totals.stalls == 0 {
        return Ok(());
    }
    writeln!(out, "### Stalls\n")?;
    let of =
        group.stalled.map_or_else(String::new, |stalled| format!(" in {} of invocations", share_interval(stalled)));
    let (count, in_all) = (totals.stalls, Human(totals.stalled_ns));
    writeln!(out, "{count} gaps over the threshold{of}, {in_all} in all; what the streams were doing:\n")?;
    let mut table = Table::new(["part", "time", "share", "of the time in stalls"]);
    for (part, ns) in totals.stalled_parts.each() {
        let of = ns as f64 / totals.stalled_ns.max(1) as f64;
        table.row([format!("part.{}", part.name()), Human(ns).to_string(), share(of), parts::bar(of)]);
    }
    table.write_markdown(out)?;
    writeln!(out)
}

fn observations(group: &Group, out: &mut impl Write) -> io::Result<()> {
    let totals = &group.totals;
    let mut table = Table::new(["counted", "sum"]);
    for (name, count) in [
        ("events", totals.events),
        ("chunks with text", totals.chunks),
        ("text bytes", totals.text_bytes),
        ("body bytes", totals.body_bytes),
        ("reads", totals.reads),
        ("events that shared their read with a later one", totals.shared_reads),
        ("tool calls", totals.tool_calls),
        ("tool errors", totals.tool_errors),
        ("tool calls without a pair", totals.tool_unpaired),
        ("tool calls over the number whose times are kept", totals.tool_untimed),
        ("stalls", totals.stalls),
        ("comments (heartbeats)", totals.comments),
        ("events of unknown type", totals.unknown_events),
        ("events of other tasks", totals.foreign_events),
        ("events after the end", totals.events_after_end),
        ("further task_finished events", totals.duplicate_finishes),
        ("further task_created events", totals.duplicate_creations),
        ("events with broken UTF-8", totals.invalid_utf8),
        ("stamps moved to keep their order", totals.stamps_moved),
        ("invocations on a reused connection", totals.reused_connections),
        ("tokens, as the agent counts them", totals.total_tokens),
    ] {
        table.row([name.to_owned(), count.to_string()]);
    }
    table.write_markdown(out)?;
    if let Some(per_read) = per_read(group) {
        writeln!(out, "\n{per_read} on average.")?;
    }
    writeln!(out)
}

fn objectives(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    if summary.objectives.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Objectives\n")?;
    let mut table = Table::new(["objective", "found", "answer"]);
    for judged in &summary.objectives {
        table.row([judged.objective.clone(), judged.found.clone(), judged.answer.to_string()]);
    }
    table.write_markdown(out)?;
    if let Some(good) = summary.overall().good {
        writeln!(
            out,
            "\nGood (completed within every latency objective): {} of planned starts.",
            share_interval(good)
        )?;
    }
    writeln!(out)
}

fn failures(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    if summary.failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Causes of failure\n")?;
    let mut table = Table::new(["outcome", "cause", "invocations"]);
    for failure in &summary.failures {
        table.row([failure.outcome.clone(), failure.detail.clone(), failure.count.to_string()]);
    }
    table.write_markdown(out)?;
    writeln!(out)
}

fn write_server(server: &ServerView, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "## The server's own view\n")?;
    if let Some(clock) = &server.clock {
        writeln!(out, "{}\n", clock_offset(clock))?;
    }
    let mut table = Table::new(["what we saw, against what the server says", "invocations", "seen", "said", "share"]);
    for account in &server.accounts {
        table.row([
            account.span.definition().to_owned(),
            account.invocations.to_string(),
            Human(account.client_ns_mean).to_string(),
            Human(account.server_ns_mean).to_string(),
            share(account.share),
        ]);
    }
    table.write_markdown(out)?;
    writeln!(
        out,
        "\nMeans over completed invocations. What the server does not account for lies before its first stamp, in the \
         network, in its own buffers, or in this client.\n"
    )
}

fn write_certificate(run: &Run, certificate: &Certificate, out: &mut impl Write) -> io::Result<()> {
    let measured = &certificate.measured;
    writeln!(out, "## Certificate: {}\n", certificate.verdict)?;
    for reason in &certificate.reasons {
        writeln!(out, "- {}", escape_markdown(&reason.to_string()))?;
    }
    if !certificate.reasons.is_empty() {
        writeln!(out)?;
    }
    let clock = match measured.arrival_clock {
        ArrivalClock::Kernel => "the kernel's receive stamp",
        ArrivalClock::User => "user space, right after the read",
    };
    let workers: Vec<_> = measured.worker_cpu.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
    let left = |left: Option<u64>| left.map_or_else(|| "unknown".to_owned(), |left| left.to_string());
    let or_unknown = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), share);
    let mut table = Table::new(["measured of itself", "value"]);
    for (name, value) in [
        ("arrival stamps from", clock.to_owned()),
        ("stamp error p99", time(measured.stamp_error_ns_p99)),
        ("start lag p99", time(measured.start_lag_ns_p99)),
        ("limit on both", Human(certificate.limit_ns).to_string()),
        ("client lag p99", time(measured.client_lag_ns_p99)),
        ("events in shared reads", share(measured.shared_reads)),
        ("starts made", share(measured.starts_made)),
        ("ports left", left(measured.ports_left)),
        ("descriptors left", left(measured.descriptors_left)),
        ("CPU of each worker", workers.join(", ")),
        ("CPU of the machine", or_unknown(measured.machine_cpu)),
        ("stolen by the hypervisor", or_unknown(measured.steal)),
        ("machine", format!("{}, {} cores", run.machine.cpu.as_deref().unwrap_or("unknown CPU"), run.machine.cores)),
        ("system", format!("{} {}", run.machine.system, run.machine.kernel.as_deref().unwrap_or_default())),
    ] {
        table.row([name.to_owned(), value]);
    }
    table.write_markdown(out)?;
    writeln!(out)
}

fn definitions(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "## Definitions\n")?;
    let marks = MARKS.map(|(mark, meaning)| format!("`{mark}`: {meaning}.")).join(" ");
    writeln!(
        out,
        "Latencies count from the intended start, unless the send is named. {marks} †: the median is under 100 times what an arrival stamp can be wrong by. Intervals are two-sided at 95 %. \
         `{}` and the like are outcomes; a stream without its own `task_finished` is no success.\n",
        Outcome::Truncated
    )?;
    let mut table = Table::new(["metric", "definition"]);
    for metric in Metric::ALL {
        table.row([metric.name().to_owned(), metric.definition().to_owned()]);
    }
    for (name, definition) in PER_READ {
        table.row([name.to_owned(), definition.to_owned()]);
    }
    if summary.overall().conversations.is_some() {
        table.row([CONVERSATION.to_owned(), conversations::DEFINITION.to_owned()]);
    }
    parts::definitions(&mut table);
    table.write_markdown(out)
}
