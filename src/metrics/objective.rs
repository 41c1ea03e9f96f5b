//! Objectives (SLOs): `ttfc p95 < 3s` parsed once, and judged on a summary: pass, fail, or inconclusive.
//!
//! An objective passes or fails only when its whole interval lies on one side of its limit (METRICS.md, "Objectives").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::metric::{Metric, Origin, Series};
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
    /// The value must lie under the limit; else over it.
    under: bool,
    limit: Limit,
    text: String,
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

/// Why a text is no objective.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not an objective: {why}; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s"
)]
pub struct NotAnObjective {
    text: String,
    why: String,
}

/// How an objective came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The objective as it was written.
    pub objective: String,
    /// How it came out.
    pub answer: Answer,
    /// The value and its interval in words.
    pub found: String,
}

impl FromStr for Objective {
    type Err = NotAnObjective;

    fn from_str(text: &str) -> Result<Self, NotAnObjective> {
        let refuse = |why: &str| NotAnObjective { text: text.to_owned(), why: why.to_owned() };
        let at = text.find(['<', '>']).ok_or_else(|| refuse("it has neither < nor >"))?;
        let (what, rest) = text.split_at(at);
        let under = rest.starts_with('<');
        let limit = rest[1..].strip_prefix('=').unwrap_or(&rest[1..]).trim();
        let words: Vec<_> = what.split_whitespace().collect();
        let subject = match words[..] {
            ["success"] => Subject::Success,
            ["stall", "rate"] => Subject::StallRate,
            ["goodput"] => Subject::Goodput,
            ["tool", _] => return Err(refuse("it names no tool; write tool.NAME")),
            [name, quantile] if name.strip_prefix(TOOL).is_some_and(|tool| !tool.is_empty()) => {
                let p = level(quantile).ok_or_else(|| refuse("a quantile is p50 to p99.9"))?;
                Subject::Tool(name[TOOL.len()..].to_owned(), p)
            }
            [name, quantile] => {
                let series = series(name).ok_or_else(|| refuse(&format!("{name} is no metric; {}", known())))?;
                let p = level(quantile).ok_or_else(|| refuse("a quantile is p50 to p99.9"))?;
                Subject::Quantile(series, p)
            }
            [name] if series(name).is_some() => return Err(refuse("it has no quantile")),
            _ => return Err(refuse(&format!("it names no metric; {}", known()))),
        };
        let limit = subject.limit(limit).map_err(|why| refuse(&why))?;
        match (&subject, under) {
            (Subject::Success | Subject::Goodput, true) => {
                return Err(refuse("it can only be asked to be over a limit"));
            }
            (Subject::Quantile(..) | Subject::Tool(..) | Subject::StallRate, false) => {
                return Err(refuse("it can only be asked to be under a limit"));
            }
            _ => {}
        }
        Ok(Self { subject, under, limit, text: text.trim().to_owned() })
    }
}

/// `ttfc`, `ttfc_from_sent`, `gap` …; a latency without suffix is from the intended start.
fn series(name: &str) -> Option<Series> {
    let plain = Series::all().into_iter().find(|series| series.name() == name);
    plain.or_else(|| {
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name && metric.has_origins())?;
        Some(Series { metric, origin: Some(Origin::Intended) })
    })
}

fn known() -> String {
    let name = |metric: Metric| if metric == Metric::Tool { "tool.NAME" } else { metric.name() };
    let names: Vec<_> = Metric::ALL.into_iter().map(name).collect();
    format!("known are {}", names.join(", "))
}

/// `p95` as 0.95; only quantiles that are reported.
fn level(word: &str) -> Option<f64> {
    let percent: f64 = word.strip_prefix('p')?.parse().ok()?;
    super::summary::QUANTILES.into_iter().find(|p| (p * 100.0 - percent).abs() < 1e-9)
}

impl Subject {
    fn limit(&self, text: &str) -> Result<Limit, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        match self {
            Self::Quantile(..) | Self::Tool(..) => {
                units::parse_duration_ns(text).map(Limit::Ns).map_err(|error| error.to_string())
            }
            Self::Success | Self::StallRate => {
                let percent = text.strip_suffix('%').and_then(number).filter(|percent| *percent <= 100.0);
                percent.map(|percent| Limit::Share(percent / 100.0)).ok_or_else(|| "a share is 0% to 100%".to_owned())
            }
            Self::Goodput => text
                .strip_suffix("/s")
                .and_then(number)
                .map(Limit::PerSecond)
                .ok_or_else(|| "a rate is a number with /s".to_owned()),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Objective {
    /// Whether one invocation lies within the objective's limit; a stamp that never came does not. What is not about
    /// single invocations is always kept (METRICS.md: objectives on success, stall rate or goodput don't enter).
    #[must_use]
    pub fn is_kept_by(&self, record: &Record) -> bool {
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

    /// Judges it on a group of invocations that took `span_ns`.
    #[must_use]
    pub fn judge(&self, group: &Group, span_ns: u64) -> Judged {
        let no_samples = || (Answer::Inconclusive, "no samples".to_owned());
        let (answer, found) = match (&self.subject, self.limit) {
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
                self.of_share(group.good, planned_per_s, limit, |value| format!("{value:.2}/s"))
            }
            _ => unreachable!("a limit is read as its subject has it"),
        };
        Judged { objective: self.text.clone(), answer, found }
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
            "success < 99%",
            "goodput > 5",
        ]
        .iter()
        .map(|text| text.parse::<Objective>().expect_err("no objective").why)
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        it has neither < nor >
        ttft is no metric; known are ttfc, finish, gap, ttfb, ttfe, connect, queue, tool.NAME, answer, closing, silence, event_silence, start_lag, client_lag, stamp_error
        it has no quantile
        a quantile is p50 to p99.9
        "3" is not a duration: write a number with its unit, such as 250ms, 10s or 1m30s
        it can only be asked to be under a limit
        it names no tool; write tool.NAME
        a share is 0% to 100%
        it can only be asked to be over a limit
        a rate is a number with /s
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
        assert_eq!(objective.judge(summary.overall(), 1).answer, Answer::Pass);
        let other: Objective = "tool.sear p50 < 2s".parse().expect("an objective");
        assert_eq!(other.judge(summary.overall(), 1).answer, Answer::Inconclusive);
        record.calls.push(call("search", 2_000));
        assert!(!objective.is_kept_by(&record));
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
