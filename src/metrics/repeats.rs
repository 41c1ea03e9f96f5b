//! Several runs of one workload side by side: what each came to, the interval across them beside the intervals within,
//! and whether the two agree. The run is the unit.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::metric::{Metric, Series};
use super::objective::Answer;
use super::summary::{Group, QUANTILES, Quantile, Share, Summary};
use crate::stats::effect::holm;
use crate::stats::repeats::{Measured, across, spread};

/// At what share of series of runs that differ by chance alone a disagreement may be told.
const ALPHA: f64 = 0.05;

/// The quantiles that are held against chance; success is, too (METRICS.md, "Gates").
const GATES: [(Series, f64); 4] = [
    (Series::from_intended(Metric::Ttfc), 0.5),
    (Series::from_intended(Metric::Ttfc), 0.95),
    (Series::from_intended(Metric::Finish), 0.5),
    (Series::from_intended(Metric::Finish), 0.95),
];

/// The least standard error of a time, as a share of it: what rounding to three digits does.
const ROUNDING: f64 = 0.001;

/// Runs of one workload, summed up across.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Across {
    /// All invocations first, then the groups of the runs' own summaries.
    pub groups: Vec<GroupAcross>,
    /// The objectives with each run's answer.
    pub objectives: Vec<AnswersAcross>,
    /// Where the runs differ by more than chance, by their own intervals.
    pub disagreements: Vec<Disagreement>,
}

/// The invocations of one variant, of one scenario, or all of them, run by run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupAcross {
    /// The variant; absent for all together.
    pub variant: Option<String>,
    /// The scenario; absent for all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Quantiles of every planned start (METRICS.md, row `all`), metric by metric.
    pub quantiles: Vec<QuantileAcross>,
    /// Shares of invocations.
    pub shares: Vec<ShareAcross>,
    /// How much a second.
    pub rates: Vec<RateAcross>,
}

/// One quantile of one metric; times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QuantileAcross {
    /// Of which metric.
    pub series: Series,
    /// Which quantile, from 0 to 1.
    pub p: f64,
    /// Each run's, with the interval within it; absent where it has no such sample.
    pub runs: Vec<Option<Quantile>>,
    /// Their mean with its interval; absent unless each of two or more runs has a number.
    pub mean: Option<MeanNs>,
    /// Whether the intervals within explain how far the runs lie apart; absent unless each run has one.
    pub spread: Option<Spread>,
}

/// A mean over runs in nanoseconds, with its two-sided 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MeanNs {
    /// The mean.
    pub mean_ns: u64,
    /// The median.
    pub median_ns: u64,
    /// The lower end.
    pub low_ns: u64,
    /// The upper end.
    pub high_ns: u64,
}

/// One share; from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShareAcross {
    /// Which one: `success`, `stall rate` or `good`.
    pub name: String,
    /// Each run's, with the interval within it.
    pub runs: Vec<Option<Share>>,
    /// Their mean with its interval; absent unless each of two or more runs has one.
    pub mean: Option<Mean>,
    /// Whether the intervals within explain how far the runs lie apart.
    pub spread: Option<Spread>,
}

/// One rate, or the mean in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateAcross {
    /// Which one, as in the summary of a run: `completed_per_s` …
    pub name: String,
    /// Each run's.
    pub runs: Vec<f64>,
    /// Their mean with its interval; absent for a single run.
    pub mean: Option<Mean>,
}

/// A mean over runs with its two-sided 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How far runs lie apart, beside what their own intervals explain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The variance between the runs over what their own intervals explain: about 1 where nothing else is at work.
    pub ratio: f64,
    /// What differs from run to run beside that, as a standard deviation: of a quantile as a share of it, of a share in
    /// points.
    pub between: f64,
    /// How likely runs that differ by chance alone lie as far apart.
    pub p_value: f64,
}

/// An objective and how it came out, run by run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswersAcross {
    /// The objective as it was written.
    pub objective: String,
    /// Each run's answer.
    pub runs: Vec<Answer>,
}

/// A figure in which runs differ by more than their own intervals explain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Disagreement {
    /// The figure: `ttfc p95`, `success`.
    pub figure: String,
    /// By how much.
    pub spread: Spread,
}

impl Spread {
    /// The probability in words.
    #[must_use]
    pub fn p_value_told(&self) -> String {
        if self.p_value < 0.001 { "under 0.001".to_owned() } else { format!("{:.3}", self.p_value) }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { ratio, between, .. } = self.spread;
        let (times, percent, chance) = (ratio.sqrt(), between * 100.0, self.spread.p_value_told());
        write!(out, "{} {times:.1} times ({percent:.1} % from run to run beside chance; p {chance})", self.figure)
    }
}

impl Across {
    /// What these runs come to together.
    #[must_use]
    pub fn of(runs: &[&Summary]) -> Self {
        let names = runs.iter().flat_map(|run| &run.groups).map(|group| (&group.variant, &group.scenario));
        let mut known: Vec<_> = Vec::new();
        names.for_each(|name| {
            if !known.contains(&name) {
                known.push(name);
            }
        });
        let groups: Vec<_> = known.into_iter().map(|name| GroupAcross::of(name, runs)).collect();
        let disagreements = groups.first().map_or_else(Vec::new, GroupAcross::disagreements);
        Self { groups, objectives: answers(runs), disagreements }
    }
}

fn answers(runs: &[&Summary]) -> Vec<AnswersAcross> {
    let Some(first) = runs.first() else { return Vec::new() };
    let of = |objective: &str| {
        let judged = runs.iter().flat_map(|run| &run.objectives).filter(|judged| judged.objective == objective);
        AnswersAcross { objective: objective.to_owned(), runs: judged.map(|judged| judged.answer).collect() }
    };
    first.objectives.iter().map(|judged| of(&judged.objective)).collect()
}

impl GroupAcross {
    fn of(name: (&Option<String>, &Option<String>), runs: &[&Summary]) -> Self {
        let is_it = |group: &&Group| (&group.variant, &group.scenario) == name;
        let find = |run: &&Summary| run.groups.iter().find(is_it).cloned();
        let groups: Vec<Option<Group>> = runs.iter().map(find).collect();
        let quantiles = Series::all().into_iter().flat_map(|series| quantiles(series, &groups)).collect();
        type Pick<T> = fn(&Group) -> T;
        let shares: [(&str, Pick<Option<Share>>); 3] =
            [("success", |group| group.success), ("stall rate", |group| group.stalled), ("good", |group| group.good)];
        let rates: [(&str, Pick<f64>); 5] = [
            ("started_per_s", |group| group.rates.started_per_s),
            ("completed_per_s", |group| group.rates.completed_per_s),
            ("events_per_s", |group| group.rates.events_per_s),
            ("text_bytes_per_s", |group| group.rates.text_bytes_per_s),
            ("mean_in_flight", |group| group.rates.mean_in_flight),
        ];
        let share = |(name, pick): (&str, Pick<Option<Share>>)| {
            ShareAcross::of(name, groups.iter().map(|group| group.as_ref().and_then(pick)).collect())
        };
        let rate = |(name, pick): (&str, Pick<f64>)| {
            let runs: Vec<_> = groups.iter().map(|group| group.as_ref().map_or(0.0, pick)).collect();
            RateAcross { name: name.to_owned(), mean: mean(&runs), runs }
        };
        Self {
            variant: name.0.clone(),
            scenario: name.1.clone(),
            quantiles,
            shares: shares.into_iter().map(share).filter(|of| of.runs.iter().any(Option::is_some)).collect(),
            rates: rates.into_iter().map(rate).collect(),
        }
    }

    /// A quantile of a series, where any run has a sample of it.
    #[must_use]
    pub fn quantile(&self, series: Series, p: f64) -> Option<&QuantileAcross> {
        self.quantiles.iter().find(|of| of.series == series && of.p.total_cmp(&p).is_eq())
    }

    /// The gates that chance does not explain, by Holm's correction over all of them.
    fn disagreements(&self) -> Vec<Disagreement> {
        let quantile = |(series, p): (Series, f64)| {
            let spread = self.quantile(series, p)?.spread?;
            Some(Disagreement { figure: format!("{} p{}", series.metric.name(), p * 100.0), spread })
        };
        let success = self.shares.iter().find(|of| of.name == "success");
        let success = success.and_then(|of| Some(Disagreement { figure: of.name.clone(), spread: of.spread? }));
        let gates: Vec<_> = GATES.into_iter().filter_map(quantile).chain(success).collect();
        let p_values: Vec<_> = gates.iter().map(|gate| gate.spread.p_value).collect();
        let levels = holm(&p_values, ALPHA);
        gates
            .into_iter()
            .zip(levels)
            .filter(|(gate, level)| gate.spread.p_value <= *level)
            .map(|(gate, _)| gate)
            .collect()
    }
}

fn quantiles(series: Series, groups: &[Option<Group>]) -> Vec<QuantileAcross> {
    let rows: Vec<_> = groups.iter().map(|group| group.as_ref()?.metric(series).map(|of| &of.all)).collect();
    if rows.iter().all(Option::is_none) {
        return Vec::new();
    }
    let of = |p: f64| {
        let runs: Vec<_> = rows.iter().map(|row| row.and_then(|row| row.quantile(p)).copied()).collect();
        QuantileAcross { series, p, mean: mean_ns(&runs), spread: spread_ns(&runs), runs }
    };
    QUANTILES.into_iter().map(of).collect()
}

/// Only where every run has a number: leaving out those that have none would leave out the worst.
fn mean_ns(runs: &[Option<Quantile>]) -> Option<MeanNs> {
    let values: Option<Vec<_>> = runs.iter().map(|run| Some(run.as_ref()?.value_ns? as f64)).collect();
    let of = mean(&values?)?;
    let [mean_ns, median_ns, low_ns, high_ns] = [of.mean, of.median, of.low, of.high].map(whole_ns);
    Some(MeanNs { mean_ns, median_ns, low_ns, high_ns })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time that is not negative, and under 24 hours"
)]
fn whole_ns(ns: f64) -> u64 {
    ns.max(0.0).round() as u64
}

/// On a logarithmic scale: the width of an interval grows with what it is about.
fn spread_ns(runs: &[Option<Quantile>]) -> Option<Spread> {
    let ln = |ns: Option<u64>| ns.map(|ns| (ns.max(1) as f64).ln());
    let one = |run: &Option<Quantile>| {
        let run = run.as_ref()?;
        let measured = Measured::of(ln(run.value_ns)?, ln(run.low_ns)?, ln(run.high_ns)?);
        Some(Measured { error: measured.error.max(ROUNDING), ..measured })
    };
    let of = spread(&runs.iter().map(one).collect::<Option<Vec<_>>>()?)?;
    Some(Spread { ratio: of.ratio, between: of.between.exp_m1(), p_value: of.p_value })
}

impl ShareAcross {
    fn of(name: &str, runs: Vec<Option<Share>>) -> Self {
        let one = |of: Share| Measured::of(of.share, of.low, of.high);
        let all: Option<Vec<Share>> = runs.iter().copied().collect();
        let values = |all: &[Share]| all.iter().map(|of| of.share).collect::<Vec<_>>();
        // Where no run differs Student's t has no width, and only the intervals within bound the share.
        let alike = all.as_ref().is_some_and(|all| all.iter().all(|of| of.share.total_cmp(&all[0].share).is_eq()));
        let ends = |of: Mean| match all.as_ref().filter(|_| alike) {
            Some(all) => all.iter().fold((of.low, of.high), |(low, high), run| (low.min(run.low), high.max(run.high))),
            None => (of.low.max(0.0), of.high.min(1.0)),
        };
        let bounded = |of: Mean| {
            let (low, high) = ends(of);
            Mean { low, high, ..of }
        };
        let spread = all.as_ref().and_then(|all| spread(&all.iter().copied().map(one).collect::<Vec<_>>()));
        Self {
            name: name.to_owned(),
            mean: all.as_ref().and_then(|all| mean(&values(all))).map(bounded),
            spread: spread.map(|of| Spread { ratio: of.ratio, between: of.between, p_value: of.p_value }),
            runs,
        }
    }
}

fn mean(values: &[f64]) -> Option<Mean> {
    let of = across(values)?;
    Some(Mean { mean: of.mean.mean, median: of.median, low: of.mean.low, high: of.mean.high })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::digest::Digest;
    use crate::metrics::{Outcome, Record};
    use crate::seed::{Seed, normal};
    use crate::units::NS_PER_MS;

    /// A run of 400 invocations with log-normal times to the first chunk about a median, all of which complete.
    fn run(number: u64, median_ms: f64) -> Summary {
        let mut digest = Digest::new(vec!["ttfc p50 < 300ms".parse().expect("an objective")]);
        let mut rng = Seed(3).stream("repeats", number);
        for index in 0..400 {
            let mut record = Record::unstarted(index, Arc::from("base"), index * NS_PER_MS, 0, Outcome::NotStarted);
            let first_ns = record.stamps.intended_ns + whole_ns(median_ms * 1e6 * (0.5 * normal(&mut rng)).exp());
            record.outcome = Outcome::Completed;
            let stamps = &mut record.stamps;
            (stamps.started_ns, stamps.sent_ns) = (Some(stamps.intended_ns), Some(stamps.intended_ns));
            (stamps.first_chunk_ns, stamps.finished_ns) = (Some(first_ns), Some(first_ns + 1));
            stamps.last_known_ns = first_ns + 1;
            digest.take(&record);
        }
        digest.summary(400 * NS_PER_MS)
    }

    fn across(medians: &[f64]) -> Across {
        let runs: Vec<_> = (0..).zip(medians).map(|(number, median)| run(number, *median)).collect();
        Across::of(&runs.iter().collect::<Vec<_>>())
    }

    const TTFC: Series = Series::from_intended(Metric::Ttfc);

    #[test]
    fn runs_alike_agree_and_have_an_interval_about_the_truth() {
        let across = across(&[250.0; 5]);
        assert_eq!(across.disagreements, []);
        let of = across.groups[0].quantile(TTFC, 0.5).expect("a median");
        let mean = of.mean.expect("every run has one");
        assert!((mean.low_ns..=mean.high_ns).contains(&(250 * NS_PER_MS)), "{mean:?}");
        assert_eq!((of.runs.len(), across.groups.len()), (5, 1));
        let answers = &across.objectives[0];
        assert_eq!((answers.objective.as_str(), &answers.runs[..]), ("ttfc p50 < 300ms", &[Answer::Pass; 5][..]));
    }

    #[test]
    fn a_run_that_differs_is_told_with_its_size() {
        let across = across(&[250.0, 250.0, 250.0, 400.0]);
        let figures: Vec<_> = across.disagreements.iter().map(|of| of.figure.as_str()).collect();
        assert_eq!(figures, ["ttfc p50", "ttfc p95", "finish p50", "finish p95"]);
        let between = across.disagreements[0].spread.between;
        // The standard deviation of three times ln 1 and once ln 1.6 is 0.235, a factor of 1.26.
        assert!((0.2..0.35).contains(&between), "{between}");
    }

    #[test]
    fn where_a_run_has_no_number_there_is_no_mean() {
        let mut runs = [run(0, 250.0), run(1, 250.0)];
        let metric = runs[1].groups[0].metrics.iter_mut().find(|metric| metric.series == TTFC).expect("ttfc");
        metric.all.quantiles[0].value_ns = None;
        let across = Across::of(&runs.iter().collect::<Vec<_>>());
        let of = |p| across.groups[0].quantile(TTFC, p).expect("there").mean;
        assert!(of(0.5).is_none() && of(0.9).is_some());
        let one = Across::of(&[&runs[0]]);
        assert!(one.groups[0].quantiles.iter().all(|of| of.mean.is_none() && of.spread.is_none()));
        assert_eq!(Across::of(&[]), Across { groups: vec![], objectives: vec![], disagreements: vec![] });
    }

    #[test]
    fn a_share_in_which_no_run_differs_keeps_the_bounds_of_a_single_run() {
        let across = across(&[250.0; 3]);
        let success = &across.groups[0].shares[0];
        let (mean, run) = (success.mean.expect("three"), success.runs[0].expect("it has one"));
        assert_eq!((mean.low, mean.high), (run.low, 1.0), "three times all of 400 is no proof of all");
    }
}
