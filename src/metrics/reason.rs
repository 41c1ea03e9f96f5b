//! Why a run is not trusted, in words: what was seen, and what helps.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::burst::Burst;
use crate::units::Human;

/// The share from which a core counts as busy.
pub(super) const BUSY: f64 = 0.8;

/// Why a run is not trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reason {
    /// A figure of the harness's own is over its limit; nanoseconds.
    Over {
        /// Which figure.
        figure: Figure,
        /// Its p99.
        p99_ns: u64,
        /// The limit.
        limit_ns: u64,
        /// The busiest worker's share of a core.
        busiest_worker: Option<f64>,
        /// Workers whose core was busy.
        busy_workers: usize,
        /// The machine's busy share.
        machine_cpu: Option<f64>,
        /// Where more starts were due at once than could be made: how many.
        #[serde(default)]
        burst: Option<Burst>,
        /// Where it is the error of events that shared their read with a later one: their share.
        #[serde(default)]
        shared_reads: Option<f64>,
    },
    /// Starts of the plan were not made.
    StartsMissed {
        /// The share that was made.
        made: f64,
        /// How many met the in-flight limit.
        by_limit: u64,
        /// How many the client did not get to.
        by_client: u64,
    },
    /// This machine had no port or descriptor left.
    SocketsShort {
        /// For so many starts.
        count: u64,
        /// The share of the plan's starts that were made.
        made: f64,
        /// Ports that were left when there were the most connections.
        ports_left: Option<u64>,
        /// Descriptors that were left then.
        descriptors_left: Option<u64>,
    },
    /// The limit on open files held the load up.
    FilesShort {
        /// So many starts.
        count: u64,
        /// The share of the plan's starts that were made.
        made: f64,
        /// The conversations at a time that it allowed.
        conversations: u64,
    },
    /// Workers died.
    WorkersLost {
        /// How many.
        count: u32,
    },
    /// The ledger does not add up.
    LedgerBroken,
    /// The run measured nothing of itself.
    NothingMeasured,
    /// What it measured of itself is missing.
    HistogramsMissing,
}

/// A figure of the harness's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The error of an arrival stamp.
    StampError,
    /// Started − intended.
    StartLag,
    /// Handled − arrived.
    ClientLag,
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::StampError => "stamp error",
            Self::StartLag => "start lag",
            Self::ClientLag => "client lag",
        })
    }
}

impl Reason {
    /// Why a figure is over, and what helps.
    fn explain(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Over { busiest_worker, busy_workers, machine_cpu, burst, shared_reads, .. } = self else {
            return Ok(());
        };
        let (worker, machine) = (busiest_worker.unwrap_or(0.0), machine_cpu.unwrap_or(0.0));
        if let Some(Burst { due, made }) = burst {
            write!(
                out,
                ": up to {due} starts were due within a millisecond, and never more than {made} made in one: lower the rate or its bursts (-q), or let a closed load begin more slowly (load.ramp)"
            )
        } else if worker > BUSY {
            write!(
                out,
                " ({} busy, up to {:.0} % of a core): lower the load (-c, -q) by {:.0} % or more, or add cores",
                if *busy_workers == 1 { "a worker was".into() } else { format!("{busy_workers} workers were") },
                worker * 100.0,
                (1.0 - BUSY / worker) * 100.0
            )
        } else if machine > BUSY && busiest_worker.is_some() {
            write!(
                out,
                ": the machine was busy {:.0} %, of which no worker used more than {:.0} % of a core: end what else runs there (an embedded mock does, too), or lower the load",
                machine * 100.0,
                worker * 100.0
            )
        } else if let Some(share) = shared_reads {
            write!(
                out,
                ": {:.1} % of events came in one read with a later one, and only the last of a read is stamped: take their times as upper bounds, or have the target write each event by itself",
                share * 100.0
            )
        } else {
            write!(out, ": something held the workers up for a moment: run it again, longer")
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over { figure, p99_ns, limit_ns, .. } => {
                write!(out, "{figure} p99 is {}, over {}", Human(*p99_ns), Human(*limit_ns))?;
                self.explain(out)
            }
            Self::StartsMissed { made, by_limit, by_client } => {
                write!(out, "only {:.1} % of the plan's starts were made", made * 100.0)?;
                if *by_limit > 0 {
                    write!(out, "; {by_limit} met the in-flight limit: raise it, or lower the rate")?;
                }
                if *by_client > 0 {
                    write!(out, "; {by_client} the client did not get to: lower the rate, or add cores")?;
                }
                Ok(())
            }
            Self::SocketsShort { count, made, ports_left, descriptors_left } => {
                let left = |left: &Option<u64>| {
                    left.map_or_else(|| "an unknown number of".to_owned(), |left| left.to_string())
                };
                write!(
                    out,
                    "{count} starts found no port or descriptor left on this machine ({:.1} % of the plan's were made; at the peak {} ports and {} descriptors were left): lower -c, let connections serve more than one invocation (target.connection), add addresses of this machine with --source, or raise net.ipv4.ip_local_port_range and ulimit -n",
                    made * 100.0,
                    left(ports_left),
                    left(descriptors_left)
                )
            }
            Self::FilesShort { count, made, conversations } => write!(
                out,
                "only {:.1} % of the plan's starts were made; {count} found no place, as the limit on open files allows {conversations} conversations at a time: raise it (ulimit -n, up to ulimit -Hn), or lower the rate",
                made * 100.0
            ),
            Self::WorkersLost { count } => {
                write!(out, "{count} of the harness's workers died: the load was not what was asked for")
            }
            Self::LedgerBroken => write!(
                out,
                "the rows do not add up to what the workers counted: files of the bundle are cut short, or plimsoll is wrong; in the latter case please report it"
            ),
            Self::NothingMeasured => {
                write!(out, "no start was measured, so nothing is known of the harness's own error")
            }
            Self::HistogramsMissing => {
                write!(out, "histograms.hlog is missing, and with it what is known of the harness's own error")
            }
        }
    }
}
