//! HdrHistogram's percentile distribution (`.hgrm`), in milliseconds, as its plotter and wrk2 know it.

use std::io::{self, Write};

use super::figures::printable;
use crate::stats::Histogram;
use crate::units::NS_PER_MS;

/// Steps in which the distance to 100 % is halved; what HdrHistogram's own tools use.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Linear buckets of each of ours: 3 significant digits.
const SUB_BUCKETS: u32 = 2_048;

/// Writes the distribution of one metric; `of` says of which invocations.
///
/// # Errors
/// The output can't be written.
pub fn write(metric: &str, of: &str, all: &Histogram, out: &mut impl Write) -> io::Result<()> {
    let ms = |ns: f64| ns / NS_PER_MS as f64;
    writeln!(out, "#[{}, {of}, milliseconds]", printable(metric))?;
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let (mut counted, buckets, exact) = (0, all.buckets(), all.exact());
    for step in buckets.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        counted += step.count_since_last_iteration();
        let (value, share) = (ms(step.value_iterated_to() as f64), step.quantile_iterated_to());
        write!(out, "{value:>12.3} {share:>14.12} {counted:>10}")?;
        match share < 1.0 {
            true => writeln!(out, " {:>14.2}", 1.0 / (1.0 - share))?,
            false => writeln!(out)?,
        }
    }
    let [mean_ns, max_ns] = [exact.mean_ns(), exact.max_ns()].map(|ns| ns.unwrap_or_default() as f64);
    writeln!(out, "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]", ms(mean_ns), ms(buckets.stdev()))?;
    writeln!(out, "#[Max     = {:>12.3}, Total count    = {:>12}]", ms(max_ns), all.count())?;
    writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]", buckets.buckets())
}
