//! Every smell of a measurement that we know: what was seen, why it matters, what to try.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Human;

/// Something about a run that its reader should know before its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Warning {
    /// The run did not end in order: its summary is of what was written until then.
    Unfinished,
    /// The last row was cut off.
    RowsTruncated,
    /// The last histogram was cut off.
    HistogramsTruncated,
    /// Workers died.
    WorkersLost {
        /// How many.
        count: u32,
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
    /// Events of tasks that are not the invocation's own.
    ForeignEvents {
        /// How many.
        count: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| format!("{:.1} %", share * 100.0);
        match self {
            Self::Unfinished => write!(
                out,
                "the run did not end in order: these are the numbers of what it had written; gaps by group are missing, so gaps have no intervals"
            ),
            Self::RowsTruncated => write!(out, "the last row of invocations.csv was cut off and is left out"),
            Self::HistogramsTruncated => write!(out, "the last line of histograms.hlog was cut off and is left out"),
            Self::WorkersLost { count } => write!(
                out,
                "{count} workers died; what they had in flight is not in these numbers: the message above says why"
            ),
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
            Self::SharedReads { share } => write!(
                out,
                "{} of events came in one read with a later one: their times are upper bounds, and short gaps between them say nothing about the server",
                percent(share)
            ),
            Self::NotReused { share } => write!(
                out,
                "{} of invocations had to make a new connection although target.connection = \"reuse\": the server closes them",
                percent(share)
            ),
            Self::RateLimited { count } => {
                write!(
                    out,
                    "{count} invocations were refused with status 429: the target's rate limit is what was measured; lower the load"
                )
            }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_say_what_was_seen_why_it_matters_and_what_to_try() {
        let told = [
            Warning::Cut { count: 3, drain_ns: 30_000_000_000 },
            Warning::Little { in_flight: 50.0, product: 41.25 },
            Warning::SharedReads { share: 0.125 },
            Warning::RateLimited { count: 7 },
        ]
        .map(|warning| warning.to_string());
        insta::assert_snapshot!(told.join("\n"), @r"
        3 invocations were still in flight after the drain of 30.0s and were cut: raise load.drain to see them end
        mean in flight is 50.00 but rate × mean time is 41.25 (Little's law): the run was too short to settle, or a count is wrong
        12.5 % of events came in one read with a later one: their times are upper bounds, and short gaps between them say nothing about the server
        7 invocations were refused with status 429: the target's rate limit is what was measured; lower the load
        ");
    }
}
