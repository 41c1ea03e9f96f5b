//! What a run sums up to: immutable, and made from the bundle's files alone, so that a report of a killed run, of a
//! merged one and of one that has just ended are made the same way.

use serde::{Deserialize, Serialize};

use super::decomposition::Decomposition;
use super::ledger::Ledger;
use super::metric::Series;
use super::objective::Judged;
use super::parts::PartTimes;
use super::server::ServerView;
use super::tools::ToolSummary;
use crate::stats::{Estimate, Exact, Observation, Sample};

/// The quantiles that are reported.
pub const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// A run, summed up. Times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// From the end of the warm-up to the last known instant of any invocation in it.
    pub span_ns: u64,
    /// Rows of the warm-up, left out of everything here.
    pub warmup_rows: u64,
    /// All invocations first, then those of each variant where there are several, then those of each scenario.
    pub groups: Vec<Group>,
    /// The objectives with their answers, on all variants together.
    pub objectives: Vec<Judged>,
    /// When time to finish had settled.
    pub settled: Settled,
    /// Why invocations failed, most frequent first.
    pub failures: Vec<Failure>,
    /// What the server says of itself; absent where it says nothing.
    pub server: Option<ServerView>,
}

/// When a run had settled, by MSER-5 on time to finish in order of intended start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Settled {
    /// Nothing speaks for a warm-up.
    FromTheStart,
    /// From the intended start that lies this many nanoseconds after the first one.
    After(u64),
    /// Not before half of it had passed.
    Never,
    /// Too few invocations to tell.
    TooShort,
}

/// The invocations of one variant, of one scenario, or all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The variant; absent for all together.
    pub variant: Option<String>,
    /// The scenario; absent for all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Every planned start by its end.
    pub ledger: Ledger,
    /// What was counted, summed up.
    pub totals: Totals,
    /// Complete events a read that brought body bytes; absent where there was none.
    #[serde(default)]
    pub events_per_read: Option<f64>,
    /// Body bytes a read, likewise.
    #[serde(default)]
    pub bytes_per_read: Option<f64>,
    /// How much a second.
    pub rates: Rates,
    /// Completed among those that were given the time to complete (METRICS.md, `success`).
    pub success: Option<Share>,
    /// Started invocations with at least one stall.
    pub stalled: Option<Share>,
    /// Planned starts that completed within every latency objective; absent without such an objective.
    pub good: Option<Share>,
    /// The metrics, in the order of reports; one without any sample is left out.
    pub metrics: Vec<MetricSummary>,
    /// Tool calls by the tool's name.
    pub tools: Vec<ToolSummary>,
    /// Where the time of completed invocations went; absent when none completed.
    pub decomposition: Option<Decomposition>,
    /// How long conversations took as wholes, their user's think times left out; absent where each has one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversations: Option<MetricRows>,
}

/// Sums over invocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Complete events.
    pub events: u64,
    /// Chunks with text.
    pub chunks: u64,
    /// Their text, in bytes of UTF-8.
    pub text_bytes: u64,
    /// Bodies, in bytes.
    pub body_bytes: u64,
    /// Reads that brought body bytes.
    pub reads: u64,
    /// Events that were not the last of their read.
    pub shared_reads: u64,
    /// Comment lines.
    pub comments: u64,
    /// Events of unknown type.
    pub unknown_events: u64,
    /// Events of another task.
    pub foreign_events: u64,
    /// Events after the own `task_finished`.
    pub events_after_end: u64,
    /// Further `task_finished` events.
    pub duplicate_finishes: u64,
    /// Further `task_created` events.
    pub duplicate_creations: u64,
    /// Events whose data was no valid UTF-8.
    pub invalid_utf8: u64,
    /// Tool calls.
    pub tool_calls: u64,
    /// Tool results that were errors.
    pub tool_errors: u64,
    /// Tool requests without result, and results without request.
    pub tool_unpaired: u64,
    /// Paired calls whose time was not kept, since there were too many.
    pub tool_untimed: u64,
    /// Gaps over the threshold.
    pub stalls: u64,
    /// Invocations with at least one such gap.
    pub stalled_invocations: u64,
    /// Time in such gaps, in nanoseconds.
    pub stalled_ns: u64,
    /// That time by what the streams were doing.
    pub stalled_parts: PartTimes,
    /// Stamps that were moved to keep their order.
    pub stamps_moved: u64,
    /// Invocations on a connection that had served another before.
    pub reused_connections: u64,
    /// Tokens, as the agent counts them; 0 where it does not.
    pub total_tokens: u64,
}

/// Per second of [`Summary::span_ns`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Invocations taken up.
    pub started_per_s: f64,
    /// Completed invocations.
    pub completed_per_s: f64,
    /// Events.
    pub events_per_s: f64,
    /// Text, in bytes.
    pub text_bytes_per_s: f64,
    /// Invocations in flight on average: time in flight / span.
    pub mean_in_flight: f64,
}

/// A share and its two-sided 95 % interval, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The share.
    pub share: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// One metric in its two rows (METRICS.md, "Two rows a metric").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MetricSummary {
    /// Which one.
    pub series: Series,
    /// Every planned start whose instant came.
    pub all: Row,
    /// Completed invocations only, as other tools print it.
    pub completed: Row,
}

/// What is no series of invocations, in its two rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MetricRows {
    /// Every one that was begun.
    pub all: Row,
    /// Completed ones only.
    pub completed: Row,
}

/// Some samples, summed up. Times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Samples that were taken.
    pub count: u64,
    /// Invocations cut off before theirs could come.
    pub censored: u64,
    /// Invocations whose sample never comes.
    pub failed: u64,
    /// The smallest sample.
    pub min_ns: Option<u64>,
    /// The mean of the samples.
    pub mean_ns: Option<u64>,
    /// The largest sample.
    pub max_ns: Option<u64>,
    /// [`QUANTILES`], in order.
    pub quantiles: Vec<Quantile>,
}

/// One quantile with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// Which one, from 0 to 1.
    pub p: f64,
    /// Its estimate; absent where it is refused or never reached.
    pub value_ns: Option<u64>,
    /// The lower end of the two-sided 95 % interval.
    pub low_ns: Option<u64>,
    /// The upper end; absent where there is none.
    pub high_ns: Option<u64>,
    /// Why there is no estimate.
    pub refused: Option<Refused>,
}

/// Why a quantile has no number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Refused {
    /// Too few samples: the effective sample size is under what the quantile needs.
    TooFew {
        /// How many there are, effectively.
        effective: u64,
        /// How many it takes.
        needed: u64,
    },
    /// So many failed or were cut off that this share never got there.
    NeverReached,
    /// So many were cut off before theirs could come that nobody knows when this share would have got there.
    CutOff,
}

/// One way to fail, with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The outcome with its detail, such as `http_status:503`.
    pub outcome: String,
    /// The cause in words.
    pub detail: String,
    /// How many invocations.
    pub count: u64,
}

impl Totals {
    /// So many a read that brought body bytes; absent where there was none.
    pub(super) fn per_read(&self, count: u64) -> Option<f64> {
        (self.reads > 0).then(|| count as f64 / self.reads as f64)
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            events: self.events + other.events,
            chunks: self.chunks + other.chunks,
            text_bytes: self.text_bytes + other.text_bytes,
            body_bytes: self.body_bytes + other.body_bytes,
            reads: self.reads + other.reads,
            shared_reads: self.shared_reads + other.shared_reads,
            comments: self.comments + other.comments,
            unknown_events: self.unknown_events + other.unknown_events,
            foreign_events: self.foreign_events + other.foreign_events,
            events_after_end: self.events_after_end + other.events_after_end,
            duplicate_finishes: self.duplicate_finishes + other.duplicate_finishes,
            duplicate_creations: self.duplicate_creations + other.duplicate_creations,
            invalid_utf8: self.invalid_utf8 + other.invalid_utf8,
            tool_calls: self.tool_calls + other.tool_calls,
            tool_errors: self.tool_errors + other.tool_errors,
            tool_unpaired: self.tool_unpaired + other.tool_unpaired,
            tool_untimed: self.tool_untimed + other.tool_untimed,
            stalls: self.stalls + other.stalls,
            stalled_invocations: self.stalled_invocations + other.stalled_invocations,
            stalled_ns: self.stalled_ns + other.stalled_ns,
            stalled_parts: self.stalled_parts.and(&other.stalled_parts),
            stamps_moved: self.stamps_moved + other.stamps_moved,
            reused_connections: self.reused_connections + other.reused_connections,
            total_tokens: self.total_tokens + other.total_tokens,
        }
    }
}

impl Summary {
    /// All variants together.
    ///
    /// # Panics
    /// Never: a summary has at least that group.
    #[must_use]
    pub fn overall(&self) -> &Group {
        self.groups.first().expect("the first group is that of all")
    }
}

impl Group {
    /// Whether it is that of all invocations together.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.variant.is_none() && self.scenario.is_none()
    }

    /// The summary of a series, when it has any sample.
    #[must_use]
    pub fn metric(&self, series: Series) -> Option<&MetricSummary> {
        self.metrics.iter().find(|metric| metric.series == series)
    }
}

impl Row {
    /// What observations in order of intended start come to.
    pub(super) fn of(observations: impl Iterator<Item = Observation> + Clone) -> Self {
        let sample = Sample::of(observations);
        let mut row = Self::default();
        let (mut total, mut sum_ns) = (0_u64, 0_u128);
        for observation in sample.incidence().observations() {
            total += 1;
            match observation {
                Observation::Seen(ns) => {
                    row.count += 1;
                    sum_ns += u128::from(ns);
                    row.min_ns = row.min_ns.or(Some(ns));
                    row.max_ns = Some(ns);
                }
                Observation::Censored(_) => row.censored += 1,
                Observation::Failed(_) => row.failed += 1,
            }
        }
        if total == 0 {
            return row;
        }
        row.mean_ns = u64::try_from(sum_ns / u128::from(row.count.max(1))).ok().filter(|_| row.count > 0);
        let failed_share = row.failed as f64 / total as f64;
        let quantile = |p: f64| Quantile::of(p, &sample.quantile(p), failed_share);
        Self { quantiles: QUANTILES.into_iter().map(quantile).collect(), ..row }
    }

    /// The quantile `p` of [`QUANTILES`].
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<&Quantile> {
        self.quantiles.iter().find(|quantile| quantile.p.total_cmp(&p).is_eq())
    }
}

impl Quantile {
    /// The same with no value beyond what there was: those of a histogram are its buckets' ends.
    pub(super) fn within(self, exact: Exact) -> Self {
        let [value_ns, low_ns, high_ns] =
            [self.value_ns, self.low_ns, self.high_ns].map(|ns| ns.map(|ns| exact.nearest(ns)));
        Self { value_ns, low_ns, high_ns, ..self }
    }

    /// A quantile as the statistics have it; `failed_share` of all will never get there.
    pub(super) fn of(p: f64, estimate: &Estimate, failed_share: f64) -> Self {
        let (low_ns, high_ns) = estimate.interval.map_or((None, None), |interval| (interval.low, interval.high));
        let refused = match estimate.refused {
            #[expect(clippy::cast_possible_truncation, reason = "a size of a sample that was held in memory")]
            Some(refusal) => Some(Refused::TooFew { effective: refusal.effective as u64, needed: refusal.needed }),
            // Where not even the lower end is reached, failures must explain that, too, not those that were cut off.
            None if estimate.value.is_none()
                && failed_share > 1.0 - p
                && (low_ns.is_some() || failed_share > 1.0 - estimate.low_level) =>
            {
                Some(Refused::NeverReached)
            }
            None if estimate.value.is_none() => Some(Refused::CutOff),
            None => None,
        };
        Self { p, value_ns: estimate.value, low_ns, high_ns, refused }
    }
}
