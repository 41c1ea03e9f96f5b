//! All windowed objectives of a run, fed with its seconds: live from the workers' parts, later from the bundle's log.

use super::window::{Passage, Rule, Said};
use super::{Answer, Limit, Objective, Subject};
use crate::metrics::metric::{Metric, Series};
use crate::metrics::outcome::Outcome;
use crate::metrics::recorder::Parts;

/// The windowed objectives of a run, as its seconds go by.
#[derive(Debug, Default)]
pub struct Windows {
    watched: Vec<Watched>,
    /// The second that is being gathered, in the order of `watched`.
    pending: Option<(u64, Vec<Gathered>)>,
}

/// One of them.
#[derive(Debug)]
struct Watched {
    objective: Objective,
    /// Whose samples it is about.
    metric: String,
    of: Of,
    passage: Passage,
}

/// What a histogram of a second is of, as histograms.hlog names it.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// The metric.
    pub metric: &'a str,
    /// The variant.
    pub variant: &'a str,
    /// The scenario; empty where the profile has none.
    pub scenario: &'a str,
    /// How the invocations ended; `any` of running ones, `warmup`.
    pub outcome: &'a str,
}

/// Whose word counts in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The samples alone.
    Samples,
    /// Everyone who ended: who has no sample never got there.
    Latency,
    /// Everyone who ended: who did not complete never got there.
    Success,
}

/// What was recorded in one second of what one objective is about.
#[derive(Debug, Clone, Default)]
struct Gathered {
    said: Said,
    /// Who ended, without those who were cut off from outside, and those of them who have a sample.
    ended: u64,
    seen: u64,
}

/// The metric of which every invocation that was started has a sample when it ends: it counts them.
const ONE_EACH: Series = Series::of(Metric::StartLag);

impl Windows {
    /// Those of the objectives that have a window.
    #[must_use]
    pub fn of(objectives: &[Objective]) -> Self {
        Self { watched: objectives.iter().filter_map(Watched::of).collect(), pending: None }
    }

    /// One more histogram of a second; those of a later second come after all of it.
    pub fn gather<C: Iterator<Item = (u64, u64)>>(&mut self, second: u64, of: Recorded<'_>, counts: impl Fn() -> C) {
        if of.outcome == "warmup" {
            return;
        }
        if self.pending.as_ref().is_some_and(|(pending, _)| *pending != second) {
            self.step();
        }
        let one_each = ONE_EACH.name();
        for (at, watched) in self.watched.iter().enumerate() {
            let is_own = of.metric == watched.metric;
            let is_each = watched.of != Of::Samples && of.metric == one_each;
            if !watched.objective.is_about(of.variant, of.scenario) || !is_own && !is_each {
                continue;
            }
            let none = || (second, vec![Gathered::default(); self.watched.len()]);
            let gathered = &mut self.pending.get_or_insert_with(none).1[at];
            if is_own {
                gathered.samples(counts(), of.outcome);
            } else {
                gathered.ends(counts().map(|(_, count)| count).sum(), of.outcome, watched.of);
            }
        }
    }

    /// One more second of a run under way; gives the objective that stops it, if one has failed by this second.
    pub fn take(&mut self, second: u64, parts: &Parts) -> Option<&Objective> {
        if self.watched.is_empty() {
            return None;
        }
        for (tag, histogram) in &parts.histograms {
            let metric = tag.metric();
            let of = Recorded { metric: &metric, variant: &tag.variant, scenario: &tag.scenario, outcome: tag.ended() };
            self.gather(second, of, || histogram.counts_within());
        }
        self.step()
    }

    /// The second that was gathered is over; gives the objective that stops the run, if one has failed by it.
    pub fn step(&mut self) -> Option<&Objective> {
        let (second, gathered) = self.pending.take()?;
        let mut stops = None;
        for (at, (watched, gathered)) in self.watched.iter_mut().zip(gathered).enumerate() {
            let failed = watched.passage.take(second, gathered.said());
            if failed && watched.objective.window.is_some_and(|window| window.abort) {
                stops = stops.or(Some(at));
            }
        }
        stops.map(|at| &self.watched[at].objective)
    }

    /// How an objective came out, when it is one of these.
    #[must_use]
    pub fn answer(&self, objective: &Objective) -> Option<(Answer, String)> {
        let watched = self.watched.iter().find(|watched| watched.objective == *objective)?;
        Some(watched.passage.answer())
    }
}

impl Watched {
    fn of(objective: &Objective) -> Option<Self> {
        let window = objective.window?;
        let (metric, of, rule) = match (&objective.subject, objective.limit) {
            (Subject::Quantile(series, p), Limit::Ns(ns)) => {
                let of = if series.metric.has_origins() { Of::Latency } else { Of::Samples };
                (series.name(), of, Rule::Quantile(*p, ns))
            }
            (Subject::Tool(name, p), Limit::Ns(ns)) => {
                (format!("{}.{name}", Metric::Tool.name()), Of::Samples, Rule::Quantile(*p, ns))
            }
            (Subject::Success, Limit::Share(share)) => (String::new(), Of::Success, Rule::Share(share)),
            _ => return None,
        };
        Some(Self { objective: objective.clone(), metric, of, passage: Passage::new(window, rule) })
    }
}

impl Gathered {
    /// Samples of the objective's own metric.
    fn samples(&mut self, counts: impl Iterator<Item = (u64, u64)>, outcome: &str) {
        for (ns, count) in counts {
            *self.said.counts.entry(ns).or_default() += count;
            self.seen += if is_cut_off(outcome) { 0 } else { count };
        }
    }

    /// So many ended in this way.
    fn ends(&mut self, count: u64, outcome: &str, of: Of) {
        if is_cut_off(outcome) || count == 0 {
            return;
        }
        match of {
            Of::Success if outcome == Outcome::Completed.kind() => *self.said.counts.entry(0).or_default() += count,
            Of::Success => self.said.never += count,
            Of::Samples | Of::Latency => self.ended += count,
        }
    }

    fn said(mut self) -> Said {
        self.said.never += self.ended.saturating_sub(self.seen);
        self.said
    }
}

/// Whether who ended in this way was stopped from outside, so that nobody knows how it would have gone on.
fn is_cut_off(outcome: &str) -> bool {
    [Outcome::Cut, Outcome::Abandoned].iter().any(|cut| cut.kind() == outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(objectives: &[&str]) -> (Windows, Vec<Objective>) {
        let objectives: Vec<Objective> = objectives.iter().map(|text| text.parse().expect("an objective")).collect();
        (Windows::of(&objectives), objectives)
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn who_ended_without_a_sample_counts_and_who_was_cut_off_does_not() {
        let (mut windows, objectives) =
            windows(&["ttfc p50 < 3s for 1s", "success > 50% for 1s", "gap p99 < 1s for 1s", "ttfc p99 < 1s"]);
        let mut gather = |metric: &str, outcome: &str, samples: &[(u64, u64)]| {
            let of = Recorded { metric, variant: "base", scenario: "", outcome };
            windows.gather(4, of, || samples.iter().map(|(ms, count)| (ms * MS, *count)));
        };
        gather("start_lag", "completed", &[(1, 4)]);
        gather("start_lag", "reset", &[(1, 4)]);
        gather("start_lag", "cut", &[(1, 50)]);
        gather("start_lag", "warmup", &[(1, 50)]);
        gather("ttfc_from_intended", "completed", &[(20, 2), (30, 2)]);
        gather("ttfc_from_intended", "cut", &[(700, 1)]);
        gather("ttfc_from_intended", "warmup", &[(9_000, 50)]);
        gather("gap_group_03", "completed", &[(9_000, 50)]);
        assert_eq!(windows.step(), None, "nothing is to stop the run");
        let told: Vec<_> = objectives.iter().map(|objective| format!("{:?}", windows.answer(objective))).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        Some((Pass, "violated in 0 seconds on end at most; the worst, 700ms, ended 5 s into the run"))
        Some((Fail, "violated in each of 1 seconds; the last, 50.00 %, ended 5 s into the run"))
        Some((Inconclusive, "only 0 seconds had data, and the window takes 1"))
        None
        "#);
    }

    #[test]
    fn each_variant_has_its_own_and_the_first_that_fails_stops_the_run() {
        let (mut windows, objectives) = windows(&[
            "tool.search{scenario=c} p50 < 1s for 1s, abort",
            "tool.search{scenario=d} p50 < 1s for 1s, abort",
            "tool.search{variant=a} p50 < 1s for 1s, abort",
            "tool.search{variant=b} p50 < 1s for 1s, abort",
        ]);
        let mut gather = |second: u64, variant: &str, ms: u64| {
            let of = Recorded { metric: "tool.search", variant, scenario: "c", outcome: "completed" };
            windows.gather(second, of, || [(ms * MS, 1)].into_iter());
        };
        gather(0, "a", 20);
        gather(1, "a", 20);
        gather(1, "b", 2_000);
        assert_eq!(windows.step(), Some(&objectives[3]));
        let of = Recorded { metric: "tool.search", variant: "a", scenario: "c", outcome: "completed" };
        windows.gather(2, of, || [(20 * MS, 1)].into_iter());
        assert_eq!(windows.step(), None, "it fails once");
        let answers = objectives.iter().map(|objective| windows.answer(objective).expect("it is one").0);
        let expected = [Answer::Pass, Answer::Inconclusive, Answer::Pass, Answer::Fail];
        assert_eq!(answers.collect::<Vec<_>>(), expected);
    }
}
