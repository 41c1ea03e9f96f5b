//! Gaps and lags made again from `events.csv`, where it was asked for.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;

use crate::metrics::Metric;
use crate::runfile::bundle::INVOCATIONS;
use crate::runfile::difference::Difference;
use crate::runfile::events::{self, EVENTS};
use crate::runfile::invocations;
use crate::runfile::readback::Error;
use crate::stats::Histogram;
use crate::stats::rank::weighted_quantile;

/// The quantiles that must agree.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 1.0];
/// How far they may lie apart, as a share.
const TOLERANCE: f64 = 0.001;
/// How far they may lie apart in any case: a bucket of the lowest histogram values, in nanoseconds.
const LEAST_NS: u64 = 1_024;

/// What is known of an invocation whose events come by.
#[derive(Debug, Default, Clone, Copy)]
struct Stream {
    last_chunk_ns: Option<u64>,
    finished: bool,
}

/// The lags and gaps of all events against those of the histograms; nothing where no events were written.
///
/// Gaps are compared where the rows count no event of another task: the events do not say whose they are.
pub(super) fn against(folder: &Path, stored: &BTreeMap<String, Histogram>) -> Result<Vec<Difference>, Error> {
    let (mut gaps, mut lags) = (Histogram::default(), Histogram::default());
    let of_rows = OfRows::read(folder)?;
    let mut streams: BTreeMap<u64, Stream> = BTreeMap::new();
    let ended = events::read(folder, |event| {
        if !of_rows.read_slowly.contains(&event.plan_index) {
            lags.record(event.handled_ns.saturating_sub(event.arrival_ns));
        }
        let stream = streams.entry(event.plan_index).or_default();
        if event.event_index == 0 {
            // Joined runs of one plan have its indices in common, one run's after the other's.
            *stream = Stream::default();
        }
        if event.text_bytes > 0
            && !stream.finished
            && let Some(before_ns) = stream.last_chunk_ns.replace(event.arrival_ns)
        {
            gaps.record(event.arrival_ns.saturating_sub(before_ns));
        }
        stream.finished |= event.kind == "task_finished";
    })?;
    let Some(ended) = ended else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if ended.truncated {
        found.extend(Difference::between(format!("{EVENTS} last row"), "cut off", "whole"));
    }
    found.extend(apart(Metric::ClientLag, stored, &lags));
    if !of_rows.foreign_events {
        found.extend(apart(Metric::Gap, stored, &gaps));
    }
    Ok(found)
}

/// What the rows say of which events are counted.
#[derive(Default)]
struct OfRows {
    /// Plan indices of invocations whose user read slowly.
    read_slowly: HashSet<u64>,
    /// There are events of other tasks.
    foreign_events: bool,
}

impl OfRows {
    fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(INVOCATIONS);
        let rows = File::open(&path).map_err(|source| Error::Read { path, source })?;
        let mut of_rows = Self::default();
        invocations::read(rows, |record| {
            of_rows.foreign_events |= record.counts.foreign_events > 0;
            if !record.conduct.shows_the_client() {
                of_rows.read_slowly.insert(record.plan_index);
            }
        })?;
        Ok(of_rows)
    }
}

fn apart(metric: Metric, stored: &BTreeMap<String, Histogram>, again: &Histogram) -> Vec<Difference> {
    let stored: Vec<_> = stored.get(metric.name()).map_or_else(Vec::new, |all| all.counts().collect());
    let again: Vec<_> = again.counts().collect();
    let samples = |counts: &[(u64, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    let name = format!("{EVENTS} {}", metric.name());
    let mut found: Vec<_> =
        Difference::between(format!("{name}.samples"), &samples(&stored), &samples(&again)).into_iter().collect();
    for p in QUANTILES {
        let (Some(one), Some(other)) = (weighted_quantile(&stored, p), weighted_quantile(&again, p)) else { continue };
        if one.abs_diff(other) > LEAST_NS && one.abs_diff(other) as f64 > TOLERANCE * one as f64 {
            found.extend(Difference::between(format!("{name}.quantile[{p}]_ns"), &one, &other));
        }
    }
    found
}
