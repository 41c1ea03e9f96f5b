//! Every smell of a measurement that we know: what was seen, why it matters, what to try.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Human;

/// Something about a run that its reader should know before its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Warning {
    /// The run did not end in order: its summary is of what was written until then.
    Unfinished,
    /// The last row was cut off.
    RowsTruncated,
    /// The last histogram was cut off.
    HistogramsTruncated,
    /// The last row of the seconds was cut off.
    SecondsTruncated,
    /// A file of the bundle is missing.
    Missing {
        /// Which one.
        file: String,
    },
    /// The disk did not take the run's files, and the load was cut.
    Unwritten {
        /// What failed.
        why: String,
    },
    /// Workers died.
    WorkersLost {
        /// How many.
        count: u32,
        /// What the first of them died of.
        #[serde(default)]
        why: Option<String>,
    },
    /// In flight at the end of the drain.
    Cut {
        /// How many.
        count: u64,
        /// The drain, in nanoseconds.
        drain_ns: u64,
    },
    /// Mean in flight is not rate × mean time (Little's law).
    Little {
        /// Mean in flight.
        in_flight: f64,
        /// Rate × mean time.
        product: f64,
    },
    /// The sums of the rows are not what the workers counted.
    SumsDiffer {
        /// What was summed up.
        what: String,
        /// By the rows.
        rows: u64,
        /// By the workers.
        workers: u64,
    },
    /// The parts of invocations don't add up to their whole.
    PartsDiffer {
        /// Of how many.
        count: u64,
    },
    /// The run had not settled from its start.
    Unsettled {
        /// When it had, in nanoseconds after its first start; absent when it never did.
        after_ns: Option<u64>,
    },
    /// Events shared their read: their gaps are not what the server sent.
    SharedReads {
        /// Their share of all events, from 0 to 1.
        share: f64,
    },
    /// Chunks that the server had sent apart came together.
    Buffered {
        /// Their share of all chunks, from 0 to 1.
        share: f64,
        /// The reads that they came in.
        reads: u64,
        /// How many they were.
        chunks: u64,
        /// The bytes of those reads.
        bytes: u64,
        /// What lay between the first and the last of each read by the server's clock, in nanoseconds, summed up.
        squeezed_ns: u64,
    },
    /// Connections were made for most invocations although they may be reused.
    NotReused {
        /// Share of invocations on a new connection, from 0 to 1.
        share: f64,
    },
    /// The target asked to slow down.
    RateLimited {
        /// How many invocations.
        count: u64,
    },
    /// Completed invocations without any chunk: no time to first chunk.
    NoChunks {
        /// How many.
        count: u64,
    },
    /// Starts that a limit of the run's own held up.
    HeldUp {
        /// How many.
        count: u64,
    },
    /// The budget ended the run.
    BudgetSpent {
        /// Which part of it.
        spent: BudgetPart,
    },
    /// An objective that failed stopped the run.
    Aborted {
        /// As it was written.
        objective: String,
        /// When, in nanoseconds since the run's origin.
        at_ns: u64,
    },
    /// Starts of a closed load that were put off because the ones before them got no answer.
    PutOff {
        /// How many.
        count: u64,
        /// For how long all together, in nanoseconds.
        ns: u64,
    },
    /// From some instant on nothing completed.
    TargetGone {
        /// After the first start, in nanoseconds.
        after_ns: u64,
        /// How many failed from then on.
        failed: u64,
        /// The outcome that most of them ended in.
        mostly: String,
    },
    /// Everything began in the warm-up, which is left out.
    AllWarmup {
        /// How many.
        count: u64,
    },
    /// The target's word held all starts up.
    Braked {
        /// Answers that asked for it.
        count: u64,
        /// For how long nothing could start, in nanoseconds.
        held_ns: u64,
    },
    /// Answers asked for a pause, and nobody heeded them.
    PausesIgnored {
        /// How many.
        count: u64,
    },
    /// Tasks go on at the agent.
    TasksLeft {
        /// How many were left behind.
        left: u64,
        /// How many of them were stopped.
        stopped: u64,
        /// Why the others were not.
        why: Option<String>,
    },
    /// So many connections between two addresses that each new one had to look long for a port.
    PortsScarce {
        /// The most that there were at a time.
        connections: u64,
        /// How many there can be without that.
        easily: u64,
    },
    /// Somebody set the wall clock, with which the kernel stamps what arrives.
    WallClockSet {
        /// How often.
        steps: u64,
        /// By how much at most, either way, in nanoseconds.
        step_ns_max: u64,
        /// Reads that were stamped before it was noticed.
        in_doubt: u64,
    },
    /// Events of tasks that are not the invocation's own.
    ForeignEvents {
        /// How many.
        count: u64,
    },
}

/// A part of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BudgetPart {
    /// So many invocations.
    Invocations(u64),
    /// So long, in nanoseconds.
    DurationNs(u64),
    /// So many failures in a row.
    FailuresInARow(u64),
}

impl fmt::Display for BudgetPart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invocations(count) => write!(out, "budget.invocations = {count}"),
            Self::DurationNs(ns) => write!(out, "budget.duration = {}", Human(*ns)),
            Self::FailuresInARow(count) => write!(out, "budget.failures_in_a_row = {count}"),
        }
    }
}

/// What can't be told without this file.
fn fmt_missing(file: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let without = match file {
        "invocations.csv" => "these are the numbers that run.json has kept",
        "histograms.hlog" => "there are no gaps, and nothing is known of the harness's own error",
        _ => "nothing is shown second by second",
    };
    write!(out, "{file} is missing: {without}")
}

/// What the numbers and the files are of then.
fn fmt_unwritten(why: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        out,
        "failed to {why}; the load was cut there: these numbers are of all that was measured, but the files lack their end"
    )
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => write!(
                out,
                "the run did not end in order: these are the numbers of what it had written; gaps by group are missing, so gaps have no intervals"
            ),
            Self::RowsTruncated => write!(out, "the last row of invocations.csv was cut off and is left out"),
            Self::HistogramsTruncated => write!(out, "the end of histograms.hlog was cut off and is left out"),
            Self::SecondsTruncated => write!(out, "the last row of intervals.csv was cut off and is left out"),
            Self::Missing { file } => fmt_missing(file, out),
            Self::Unwritten { why } => fmt_unwritten(why, out),
            Self::Cut { count, drain_ns } => write!(
                out,
                "{count} invocations were still in flight after the drain of {} and were cut: raise load.drain to see them end",
                Human(*drain_ns)
            ),
            Self::Little { in_flight, product } => write!(
                out,
                "mean in flight is {in_flight:.2} but rate × mean time is {product:.2} (Little's law): the run was too short to settle, or a count is wrong"
            ),
            Self::SumsDiffer { what, rows, workers } => {
                write!(
                    out,
                    "the rows sum up to {rows} {what}, but the workers counted {workers}: do not trust this run"
                )
            }
            Self::PartsDiffer { count } => write!(
                out,
                "the parts of {count} invocations don't add up to finish − started: do not trust this run, and please report it"
            ),
            Self::Unsettled { after_ns: Some(after_ns) } => write!(
                out,
                "time to finish settled only after {}: set load.warmup to leave what comes before out",
                Human(*after_ns)
            ),
            Self::Unsettled { after_ns: None } => write!(
                out,
                "time to finish never settled: its quantiles depend on how long the run is; look at intervals.csv"
            ),
            Self::NotReused { share } => write!(
                out,
                "{} of invocations had to make a new connection although target.connection = \"reuse\": the server closes them",
                percent(*share)
            ),
            Self::RateLimited { count } => {
                write!(
                    out,
                    "{count} invocations were refused with status 429: the target's rate limit is what was measured; lower the load"
                )
            }
            limits => limits.fmt_limits(out),
        }
    }
}

impl Warning {
    /// What the run's own limits, and what it left behind, give to know.
    fn fmt_limits(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkersLost { count, why } => write!(
                out,
                "{count} of the harness's workers died ({}), which ended the run; what they had in flight was cut: please report this",
                why.as_deref().unwrap_or("without a word")
            ),
            Self::HeldUp { count } => write!(
                out,
                "{count} starts had to wait for a limit of the run's own (in flight, or the budget's rate or brake): their times from the intended start include that wait, and the load was not fully open"
            ),
            Self::BudgetSpent { spent } => {
                write!(out, "the run was stopped by {spent}: these are the numbers of what it had done by then")
            }
            Self::Aborted { objective, at_ns } => write!(
                out,
                "the run was stopped {} after its start, when the objective {objective:?} had failed: these are the numbers of what it had done by then",
                Human(*at_ns)
            ),
            Self::PutOff { count, ns } => write!(
                out,
                "{count} starts were put off, by {} in all, as the ones before them in their slots got no answer: the load was lower than asked for",
                Human(*ns)
            ),
            Self::TargetGone { after_ns, failed, mostly } => write!(
                out,
                "nothing that began later than {} after the first start completed, and {failed} got no answer at all, most of them {mostly}: the target seems to be gone; budget.failures_in_a_row stops such a run",
                Human(*after_ns)
            ),
            Self::AllWarmup { count } => write!(
                out,
                "all {count} invocations began in the warm-up, which is left out, so that nothing was measured: raise load.invocations (-n), or set load.warmup = \"0s\""
            ),
            Self::Braked { count, held_ns } => write!(
                out,
                "{count} answers (status 429, or 503 with a Retry-After) held all starts up, for {} in all: the target's rate limit set the pace",
                Human(*held_ns)
            ),
            Self::PausesIgnored { count } => write!(
                out,
                "{count} answers asked for a pause (status 429, or 503 with a Retry-After) and got none: budget.brake = true heeds them"
            ),
            Self::PortsScarce { connections, easily } => write!(
                out,
                "there were {connections} connections at a time, and over {easily} the system looks up to 1 ms for a free port, in which a worker does nothing else: spread them over more addresses of this machine with --source"
            ),
            Self::WallClockSet { steps, step_ns_max, in_doubt } => write!(
                out,
                "this machine's wall clock was set while the run went on, by up to {} (steps: {steps}): arrivals were brought onto a clock that nobody sets, but {in_doubt} reads that were stamped just before a step was seen may be off by as much, though never beyond the reads beside them; have the time service slew the clock instead of stepping it, and run again",
                Human(*step_ns_max)
            ),
            Self::TasksLeft { left, stopped, why } => {
                write!(out, "{} of {left} tasks that the run left behind were not stopped", left - stopped)?;
                match why {
                    Some(why) => write!(out, " ({why}): they may go on at the agent, and cost"),
                    None => write!(out, " (target.stop_tasks = false): they may go on at the agent, and cost"),
                }
            }
            streams => streams.fmt_streams(out),
        }
    }

    /// What the streams themselves were like.
    fn fmt_streams(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedReads { share } => write!(
                out,
                "{} of events came in one read with a later one: their times are upper bounds, and short gaps between them say nothing about the server",
                percent(*share)
            ),
            Self::Buffered { share, reads, chunks, bytes, squeezed_ns } => write!(
                out,
                "{} of chunks were held back and came together: each of {reads} reads brought about {:.0} chunks in {} bytes at once that the server had stamped over {}, {} in all, and the client did not cause it: the server or a proxy on the way buffers the stream, so first chunks are late and gaps are not the server's; turn that off (nginx: proxy_buffering off, or the header X-Accel-Buffering: no), and compression and the CDN for this path",
                percent(*share),
                *chunks as f64 / (*reads).max(1) as f64,
                bytes / (*reads).max(1),
                Human(squeezed_ns / (*reads).max(1)),
                Human(*squeezed_ns)
            ),
            Self::NoChunks { count } => write!(
                out,
                "{count} invocations completed without any chunk of text, so they have no time to first chunk: does the agent stream its answer?"
            ),
            Self::ForeignEvents { count } => {
                write!(
                    out,
                    "{count} events belonged to other tasks than the invocation's own; they were counted and left out"
                )
            }
            _ => Ok(()),
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_say_what_was_seen_why_it_matters_and_what_to_try() {
        let told = [
            Warning::WorkersLost { count: 1, why: Some("index out of bounds".into()) },
            Warning::Cut { count: 3, drain_ns: 30_000_000_000 },
            Warning::Little { in_flight: 50.0, product: 41.25 },
            Warning::SharedReads { share: 0.125 },
            Warning::Buffered {
                share: 0.983,
                reads: 412,
                chunks: 4_079,
                bytes: 1_697_028,
                squeezed_ns: 75_190_000_000,
            },
            Warning::RateLimited { count: 7 },
            Warning::HeldUp { count: 12 },
            Warning::BudgetSpent { spent: BudgetPart::Invocations(500) },
            Warning::BudgetSpent { spent: BudgetPart::FailuresInARow(20) },
            Warning::PutOff { count: 12, ns: 5_250_000_000 },
            Warning::TargetGone { after_ns: 12_300_000_000, failed: 417, mostly: "connect_failed".into() },
            Warning::AllWarmup { count: 20 },
            Warning::Braked { count: 2, held_ns: 31_000_000_000 },
            Warning::PausesIgnored { count: 2 },
            Warning::PortsScarce { connections: 20_000, easily: 12_704 },
            Warning::WallClockSet { steps: 1, step_ns_max: 2_000_000_000, in_doubt: 14 },
            Warning::TasksLeft { left: 5, stopped: 3, why: Some("status 404".into()) },
            Warning::TasksLeft { left: 5, stopped: 0, why: None },
        ]
        .map(|warning| warning.to_string());
        insta::assert_snapshot!(told.join("\n"), @r#"
        1 of the harness's workers died (index out of bounds), which ended the run; what they had in flight was cut: please report this
        3 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end
        mean in flight is 50.00 but rate × mean time is 41.25 (Little's law): the run was too short to settle, or a count is wrong
        12.5 % of events came in one read with a later one: their times are upper bounds, and short gaps between them say nothing about the server
        98.3 % of chunks were held back and came together: each of 412 reads brought about 10 chunks in 4119 bytes at once that the server had stamped over 182ms, 75.2s in all, and the client did not cause it: the server or a proxy on the way buffers the stream, so first chunks are late and gaps are not the server's; turn that off (nginx: proxy_buffering off, or the header X-Accel-Buffering: no), and compression and the CDN for this path
        7 invocations were refused with status 429: the target's rate limit is what was measured; lower the load
        12 starts had to wait for a limit of the run's own (in flight, or the budget's rate or brake): their times from the intended start include that wait, and the load was not fully open
        the run was stopped by budget.invocations = 500: these are the numbers of what it had done by then
        the run was stopped by budget.failures_in_a_row = 20: these are the numbers of what it had done by then
        12 starts were put off, by 5.25s in all, as the ones before them in their slots got no answer: the load was lower than asked for
        nothing that began later than 12.3s after the first start completed, and 417 got no answer at all, most of them connect_failed: the target seems to be gone; budget.failures_in_a_row stops such a run
        all 20 invocations began in the warm-up, which is left out, so that nothing was measured: raise load.invocations (-n), or set load.warmup = "0s"
        2 answers (status 429, or 503 with a Retry-After) held all starts up, for 31.0s in all: the target's rate limit set the pace
        2 answers asked for a pause (status 429, or 503 with a Retry-After) and got none: budget.brake = true heeds them
        there were 20000 connections at a time, and over 12704 the system looks up to 1 ms for a free port, in which a worker does nothing else: spread them over more addresses of this machine with --source
        this machine's wall clock was set while the run went on, by up to 2.00s (steps: 1): arrivals were brought onto a clock that nobody sets, but 14 reads that were stamped just before a step was seen may be off by as much, though never beyond the reads beside them; have the time service slew the clock instead of stepping it, and run again
        2 of 5 tasks that the run left behind were not stopped (status 404): they may go on at the agent, and cost
        5 of 5 tasks that the run left behind were not stopped (target.stop_tasks = false): they may go on at the agent, and cost
        "#);
    }
}
