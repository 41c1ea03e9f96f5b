//! Objectives (SLOs): `ttfc p95 < 3s` parsed once, and judged on a summary: pass, fail, or inconclusive.
//!
//! An objective passes or fails only when its whole interval lies on one side of its limit (METRICS.md, "Objectives").
//! One with a window is a rule over seconds instead, see [`window`].

use std::fmt;

use serde::{Deserialize, Serialize};

mod read;
pub mod window;
mod windows;

pub use read::NotAnObjective;
pub use windows::{Recorded, Windows};

use window::Window;

use super::metric::{Metric, Series};
use super::record::Record;
use super::summary::{Group, Quantile, Refused, Share};
use crate::stats::Observation;
use crate::units;

/// What stands before a tool's name.
const TOOL: &str = "tool.";

/// What must hold of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    subject: Subject,
    /// Whose; everyone's when absent.
    scope: Option<Scope>,
    /// The value must lie under the limit; else over it.
    under: bool,
    limit: Limit,
    /// Over which seconds; over the whole run when absent.
    window: Option<Window>,
    text: String,
}

/// Whose invocations an objective is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of this variant.
    Variant(String),
    /// Those of this scenario.
    Scenario(String),
}

/// What an objective is about.
#[derive(Debug, Clone, PartialEq)]
enum Subject {
    /// A quantile of a latency.
    Quantile(Series, f64),
    /// A quantile of the calls of a tool.
    Tool(String, f64),
    /// Completed ones among those that had the time.
    Success,
    /// Started ones with a stall.
    StallRate,
    /// Good ones a second.
    Goodput,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Ns(u64),
    Share(f64),
    PerSecond(f64),
}

/// How an objective came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It holds, with its whole interval.
    Pass,
    /// The interval lies on both sides, or there are too few samples to tell.
    Inconclusive,
    /// It does not hold, with its whole interval.
    Fail,
}

/// An objective with its answer and what that rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The objective as it was written.
    pub objective: String,
    /// How it came out.
    pub answer: Answer,
    /// The value and its interval in words.
    pub found: String,
}

impl fmt::Display for Objective {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Objective {
    /// Whose invocations it is about; everyone's when absent.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Over which seconds it holds; over the whole run when absent.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The same, of this scenario's invocations alone; its text says so as it would be written at the top of a profile.
    ///
    /// # Errors
    /// It says already whose they are.
    pub fn of_scenario(self, name: &str) -> Result<Self, NotAnObjective> {
        if self.scope.is_some() {
            let why = "in a scenario it is about that scenario; leave out the braces, or write it at the top";
            return Err(NotAnObjective { text: self.text, why: why.to_owned() });
        }
        // Behind the metric, and for what has no quantile before the comparison.
        let ends_subject: &[char] = match self.subject {
            Subject::Quantile(..) | Subject::Tool(..) => &[' ', '\t'],
            Subject::Success | Subject::StallRate | Subject::Goodput => &['<', '>'],
        };
        let (subject, rest) = self.text.split_at(self.text.find(ends_subject).unwrap_or(self.text.len()));
        let text = format!("{}{{scenario={name}}} {}", subject.trim_end(), rest.trim_start());
        Ok(Self { scope: Some(Scope::Scenario(name.to_owned())), text, ..self })
    }

    /// Whether it is about invocations of this variant and scenario.
    #[must_use]
    pub fn is_about(&self, variant: &str, scenario: &str) -> bool {
        match &self.scope {
            None => true,
            Some(Scope::Variant(name)) => name == variant,
            Some(Scope::Scenario(name)) => name == scenario,
        }
    }

    /// Why it can't stand beside another one: both ask for the same in the same way.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<String> {
        let window = |of: &Self| of.window.map(|window| (window.logic, window.seconds));
        if self.subject != other.subject || self.scope != other.scope || window(self) != window(other) {
            return None;
        }
        let why = if self.limit == other.limit { "asks for it already" } else { "has another limit for the same" };
        Some(format!("{:?} {why}", other.text))
    }

    /// Whether one invocation lies within the objective's limit; a stamp that never came does not. What is not about
    /// single invocations is always kept (METRICS.md: objectives on success, stall rate or goodput don't enter), and so
    /// is what is about others, or about the seconds of a window.
    #[must_use]
    pub fn is_kept_by(&self, record: &Record) -> bool {
        if self.window.is_some() || !self.is_about(&record.variant, &record.scenario) {
            return true;
        }
        let (series, limit_ns) = match (&self.subject, self.limit) {
            (Subject::Quantile(series, _), Limit::Ns(limit_ns)) => (series, limit_ns),
            (Subject::Tool(name, _), Limit::Ns(limit_ns)) => {
                return record.calls.iter().filter(|call| *call.name == **name).all(|call| call.ns < limit_ns);
            }
            _ => return true,
        };
        let own = match series.metric {
            Metric::Gap => return record.longest.gap_ns.is_none_or(|gap| gap < limit_ns),
            Metric::ClientLag | Metric::StampError => return true,
            _ => series.observe(record),
        };
        match own {
            None => true,
            Some(Observation::Seen(ns)) => ns < limit_ns,
            Some(Observation::Censored(_) | Observation::Failed(_)) => false,
        }
    }

    /// Judges it on the group of invocations that it is about, which took `span_ns`, or over its window.
    #[must_use]
    pub fn judge(&self, group: Option<&Group>, span_ns: u64, windows: &Windows) -> Judged {
        let none = || (Answer::Inconclusive, "no samples".to_owned());
        let over_run = || group.map_or_else(none, |group| self.over_run(group, span_ns));
        let (answer, found) = windows.answer(self).unwrap_or_else(over_run);
        Judged { objective: self.text.clone(), answer, found }
    }

    fn over_run(&self, group: &Group, span_ns: u64) -> (Answer, String) {
        let no_samples = || (Answer::Inconclusive, "no samples".to_owned());
        match (&self.subject, self.limit) {
            (Subject::Quantile(series, p), Limit::Ns(limit_ns)) => {
                let quantile = group.metric(*series).and_then(|metric| metric.all.quantile(*p));
                quantile.map_or_else(no_samples, |quantile| of_quantile(quantile, limit_ns))
            }
            (Subject::Tool(name, p), Limit::Ns(limit_ns)) => {
                let tool = group.tools.iter().find(|tool| tool.name == *name);
                let quantile = tool.and_then(|tool| tool.all.quantile(*p));
                quantile.map_or_else(no_samples, |quantile| of_quantile(quantile, limit_ns))
            }
            (Subject::Success, Limit::Share(limit)) => self.of_share(group.success, 1.0, limit, percent),
            (Subject::StallRate, Limit::Share(limit)) => self.of_share(group.stalled, 1.0, limit, percent),
            (Subject::Goodput, Limit::PerSecond(limit)) => {
                let planned_per_s =
                    if span_ns == 0 { 0.0 } else { group.ledger.planned as f64 / (span_ns as f64 / 1e9) };
                self.of_share(group.good, planned_per_s, limit, per_s)
            }
            _ => unreachable!("a limit is read as its subject has it"),
        }
    }

    fn of_share(&self, share: Option<Share>, scale: f64, limit: f64, show: fn(f64) -> String) -> (Answer, String) {
        let Some(of) = share else { return (Answer::Inconclusive, "no samples".to_owned()) };
        let (low, high) = (of.low * scale, of.high * scale);
        let answer = match self.under {
            true if high < limit => Answer::Pass,
            true if low >= limit => Answer::Fail,
            false if low > limit => Answer::Pass,
            false if high <= limit => Answer::Fail,
            _ => Answer::Inconclusive,
        };
        (answer, format!("{} ({}–{})", show(of.share * scale), show(low), show(high)))
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn per_s(rate: f64) -> String {
    format!("{}/s", units::two_decimals(rate))
}

fn of_quantile(quantile: &Quantile, limit_ns: u64) -> (Answer, String) {
    let show = |ns: Option<u64>| ns.map_or_else(|| "never".to_owned(), |ns| units::Human(ns).to_string());
    match quantile.refused {
        Some(Refused::TooFew { effective, needed }) => {
            return (
                Answer::Inconclusive,
                format!("it takes {needed} independent samples, these are worth {effective}"),
            );
        }
        Some(Refused::CutOff) => {
            return (Answer::Inconclusive, "the run ended before enough of them got there".to_owned());
        }
        // Where even the lower end is never reached, it lies beyond every limit.
        Some(Refused::NeverReached) if quantile.low_ns.is_none() => return (Answer::Fail, "never".to_owned()),
        _ => {}
    }
    let answer = match (quantile.low_ns, quantile.high_ns) {
        (_, Some(high)) if high < limit_ns => Answer::Pass,
        (Some(low), _) if low >= limit_ns => Answer::Fail,
        _ => Answer::Inconclusive,
    };
    (answer, format!("{} ({}–{})", show(quantile.value_ns), show(quantile.low_ns), show(quantile.high_ns)))
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::digest::Digest;
    use crate::metrics::{Outcome, ToolTime};

    #[test]
    fn objectives_are_read_and_shown_as_they_were_written() {
        for text in [
            "ttfc p95 < 3s",
            "finish_from_sent p99 < 60s",
            "gap p99.9 <= 400ms",
            "tool.web_search p95 < 2s",
            "stall rate < 1%",
            "success > 99%",
            "goodput > 5/s",
            "ttfc{variant=high} p95 < 3s",
            "stall rate{scenario=\"look it up\"} < 1%",
            "ttfc p95 < 3s for 10s",
            "tool.web_search{variant=high} p99 < 1m30s within 1m, abort",
            "success > 99% over 30s",
        ] {
            assert_eq!(text.parse::<Objective>().expect("an objective").to_string(), text);
        }
    }

    #[test]
    fn what_is_no_objective_says_why() {
        let told: Vec<_> = [
            "ttfc p95",
            "ttft p95 < 3s",
            "ttfc < 3s",
            "ttfc p42 < 3s",
            "ttfc p95 < 3",
            "ttfc p95 > 3s",
            "tool p95 < 2s",
            "success > 101%",
            "success > 100%",
            "success > 99",
            "success < 99%",
            "stall rate < 0%",
            "ttfc p95 < 0s",
            "goodput > 5",
            "ttfc{variant=high p95 < 3s",
            "ttfc{high} p95 < 3s",
            "ttfc{variant=a, scenario=b} p95 < 3s",
            "ttfc{model=high} p95 < 3s",
            "ttfc p95 < 3s for 0s",
            "ttfc p95 < 3s for 1500ms",
            "ttfc p95 < 3s for ten seconds",
            "ttfc p95 < 3s for 10s, continue",
            "ttfc p95 < 3s, abort",
            "stall rate < 1% for 10s",
            "goodput > 5/s over 10s",
        ]
        .iter()
        .map(|text| text.parse::<Objective>().expect_err("no objective").why)
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        it has neither < nor >
        ttft is no metric; known are ttfc, finish, gap, ttfb, ttfe, connect, queue, tool.NAME, answer, closing, silence, event_silence, start_lag, client_lag, stamp_error
        it has no quantile
        p42 is no quantile that is reported; those are p50, p90, p95, p99 and p99.9
        "3" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s
        it can only be asked to be under a limit
        it names no tool; write tool.NAME
        a share is 0% to 100%, with its %
        no share is over 100%; write success > 99.9%
        a share is 0% to 100%, with its %
        it can only be asked to be over a limit
        no share is under 0%; write stall rate < 0.1%
        no time is under 0
        a rate is a number with /s
        its { has no }
        in braces it takes variant=NAME or scenario=NAME
        in braces it takes one name
        "model" is no scope; known are variant and scenario
        a window is whole seconds, one or more; write for 10s
        a window is whole seconds, one or more; write for 10s
        "ten seconds" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s
        "continue" is no action; after the comma only abort can stand
        abort takes a window; write for 10s, within 10s or over 10s before it
        stalls are not known by the second; ask for gap p99 < 1s for 10s
        goodput is not known by the second; ask for success > 99% for 10s
        "#);
    }

    #[test]
    fn a_tool_is_judged_by_its_calls() {
        let objective: Objective = "tool.search p50 < 2s".parse().expect("an objective");
        let mut record = Record::unstarted(0, Arc::from("base"), 0, 0, Outcome::NotStarted);
        let call = |name: &str, ms: u64| ToolTime { name: Arc::from(name), ns: ms * 1_000_000 };
        record.calls = vec![call("search", 1_999), call("fetch", 5_000)];
        assert!(objective.is_kept_by(&record));
        let mut digest = Digest::new(Vec::new());
        (0..100).for_each(|_| digest.take(&record));
        let summary = digest.summary(1);
        assert_eq!(objective.over_run(summary.overall(), 1).0, Answer::Pass);
        let other: Objective = "tool.sear p50 < 2s".parse().expect("an objective");
        assert_eq!(other.over_run(summary.overall(), 1).0, Answer::Inconclusive);
        record.calls.push(call("search", 2_000));
        assert!(!objective.is_kept_by(&record));
    }

    /// Of a thousand starts 60 fail and the rest completes, but for so many, the slowest, that the run cuts off.
    fn with_cut_off(cut: u64) -> Answer {
        let mut digest = Digest::new(Vec::new());
        for index in 0..1_000 {
            let at = index * 617 % 1_000;
            let mut record = Record::unstarted(index, Arc::from("base"), index, 0, Outcome::NotStarted);
            record.outcome = match at {
                0..60 => Outcome::Reset,
                _ if at >= 1_000 - cut => Outcome::Cut,
                _ => Outcome::Completed,
            };
            let ended_ns = index + at * 1_000_000;
            (record.stamps.started_ns, record.stamps.last_known_ns) = (Some(index), ended_ns);
            record.stamps.finished_ns = record.outcome.is_completed().then_some(ended_ns);
            digest.take(&record);
        }
        let objective: Objective = "finish p95 < 10s".parse().expect("an objective");
        objective.over_run(digest.summary(1).overall(), 1).0
    }

    #[test]
    fn cutting_the_slowest_off_refutes_nothing() {
        assert_eq!(with_cut_off(0), Answer::Inconclusive, "6 of 100 do not refute 5");
        assert_eq!(with_cut_off(20), Answer::Inconclusive, "nor do they when the run ends early");
    }

    fn quantile(low_ms: Option<u64>, high_ms: Option<u64>) -> Quantile {
        let ns = |ms: Option<u64>| ms.map(|ms| ms * 1_000_000);
        Quantile { p: 0.95, value_ns: ns(low_ms), low_ns: ns(low_ms), high_ns: ns(high_ms), refused: None }
    }

    #[test]
    fn only_a_whole_interval_on_one_side_decides() {
        let limit = 100_000_000;
        for (low, high, answer) in [
            (Some(90), Some(99), Answer::Pass),
            (Some(90), Some(100), Answer::Inconclusive),
            (Some(99), Some(120), Answer::Inconclusive),
            (Some(100), Some(120), Answer::Fail),
            (Some(90), None, Answer::Inconclusive),
            (Some(100), None, Answer::Fail),
        ] {
            assert_eq!(of_quantile(&quantile(low, high), limit).0, answer, "{low:?}–{high:?}");
        }
        let few = Quantile { refused: Some(Refused::TooFew { effective: 9, needed: 130 }), ..quantile(None, None) };
        assert_eq!(of_quantile(&few, limit).0, Answer::Inconclusive);
        let never = Quantile { refused: Some(Refused::NeverReached), ..quantile(None, None) };
        assert_eq!(of_quantile(&never, limit).0, Answer::Fail);
        let cut_off = Quantile { refused: Some(Refused::CutOff), ..quantile(None, None) };
        assert_eq!(of_quantile(&cut_off, limit).0, Answer::Inconclusive, "nobody knows how long it would have taken");
    }

    #[test]
    fn a_share_is_judged_by_its_interval() {
        let success: Objective = "success > 99%".parse().expect("an objective");
        let of = |low: f64, high: f64| success.of_share(Some(Share { share: low, low, high }), 1.0, 0.99, percent).0;
        assert_eq!(of(0.991, 1.0), Answer::Pass);
        assert_eq!(of(0.985, 0.995), Answer::Inconclusive);
        assert_eq!(of(0.9, 0.99), Answer::Fail);
        assert_eq!(success.of_share(None, 1.0, 0.99, percent).0, Answer::Inconclusive);
    }
}
