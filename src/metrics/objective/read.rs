//! An objective's text: what it is about, of whom, its limit, and over which seconds.

use std::str::FromStr;

use thiserror::Error;

use super::window::{Logic, Window};
use super::{Limit, Objective, Scope, Subject, TOOL};
use crate::metrics::metric::{Metric, Origin, Series};
use crate::metrics::summary::QUANTILES;
use crate::units::{self, NS_PER_S};

/// Why a text is no objective.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not an objective: {why}; write it as ttfc p95 < 3s, gap p99 < 400ms, success > 99%, stall rate < 1% or goodput > 5/s, of one variant as ttfc{{variant=NAME}} p95 < 3s, over a window as ttfc p95 < 3s for 10s"
)]
pub struct NotAnObjective {
    pub(super) text: String,
    pub(super) why: String,
}

impl FromStr for Objective {
    type Err = NotAnObjective;

    fn from_str(text: &str) -> Result<Self, NotAnObjective> {
        read(text).map_err(|why| NotAnObjective { text: text.to_owned(), why })
    }
}

fn read(text: &str) -> Result<Objective, String> {
    let at = text.find(['<', '>']).ok_or("it has neither < nor >")?;
    let (what, rest) = text.split_at(at);
    let under = rest.starts_with('<');
    let (what, scope) = scope(what)?;
    let subject = subject(&what)?;
    let (limit, window) = window(rest[1..].strip_prefix('=').unwrap_or(&rest[1..]))?;
    let limit = subject.limit(limit.trim())?;
    match (&subject, under) {
        (Subject::Success | Subject::Goodput, true) => Err("it can only be asked to be over a limit"),
        (Subject::Quantile(..) | Subject::Tool(..) | Subject::StallRate, false) => {
            Err("it can only be asked to be under a limit")
        }
        _ => Ok(()),
    }?;
    match (&subject, window) {
        (Subject::StallRate, Some(_)) => Err("stalls are not known by the second; ask for gap p99 < 1s for 10s"),
        (Subject::Goodput, Some(_)) => Err("goodput is not known by the second; ask for success > 99% for 10s"),
        _ => Ok(()),
    }?;
    Ok(Objective { subject, scope, under, limit, window, text: text.trim().to_owned() })
}

/// What stands in braces, and the text without it.
fn scope(what: &str) -> Result<(String, Option<Scope>), String> {
    let Some((before, rest)) = what.split_once('{') else { return Ok((what.to_owned(), None)) };
    let (inside, after) = rest.split_once('}').ok_or("its { has no }")?;
    let (key, name) = inside.split_once('=').ok_or("in braces it takes variant=NAME or scenario=NAME")?;
    let name = name.trim().trim_matches('"');
    let scope = match key.trim() {
        _ if name.is_empty() || name.contains([',', '=', '"']) => return Err("in braces it takes one name".to_owned()),
        "variant" => Scope::Variant(name.to_owned()),
        "scenario" => Scope::Scenario(name.to_owned()),
        other => return Err(format!("{other:?} is no scope; known are variant and scenario")),
    };
    Ok((format!("{before} {after}"), Some(scope)))
}

fn subject(what: &str) -> Result<Subject, String> {
    let words: Vec<_> = what.split_whitespace().collect();
    match words[..] {
        ["success"] => Ok(Subject::Success),
        ["stall", "rate"] => Ok(Subject::StallRate),
        ["goodput"] => Ok(Subject::Goodput),
        ["tool", _] => Err("it names no tool; write tool.NAME".to_owned()),
        [name, quantile] if name.strip_prefix(TOOL).is_some_and(|tool| !tool.is_empty()) => {
            Ok(Subject::Tool(name[TOOL.len()..].to_owned(), level(quantile)?))
        }
        [name, quantile] => {
            let series = series(name).ok_or_else(|| format!("{name} is no metric; {}", known()))?;
            Ok(Subject::Quantile(series, level(quantile)?))
        }
        [name] if series(name).is_some() => Err("it has no quantile".to_owned()),
        _ => Err(format!("it names no metric; {}", known())),
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
fn level(word: &str) -> Result<f64, String> {
    let percent = word.strip_prefix('p').and_then(|number| number.parse::<f64>().ok());
    let known = percent.and_then(|percent| QUANTILES.into_iter().find(|p| (p * 100.0 - percent).abs() < 1e-9));
    known.ok_or_else(|| format!("{word} is no quantile that is reported; those are p50, p90, p95, p99 and p99.9"))
}

/// The limit's text, and what stands behind it: `for 10s, abort`.
fn window(rest: &str) -> Result<(String, Option<Window>), String> {
    let (rest, action) = rest.split_once(',').map_or((rest, None), |(rest, action)| (rest, Some(action.trim())));
    if let Some(action) = action.filter(|action| *action != "abort") {
        return Err(format!("{action:?} is no action; after the comma only abort can stand"));
    }
    let words: Vec<_> = rest.split_whitespace().collect();
    let Some((at, logic)) = words.iter().enumerate().find_map(|(at, word)| Some((at, Logic::of(word)?))) else {
        return match action {
            Some(_) => Err("abort takes a window; write for 10s, within 10s or over 10s before it".to_owned()),
            None => Ok((rest.to_owned(), None)),
        };
    };
    let (length, word) = (words[at + 1..].join(" "), words[at]);
    let ns = units::parse_duration_ns(&length).map_err(|error| error.to_string())?;
    if ns == 0 || !ns.is_multiple_of(NS_PER_S) {
        return Err(format!("a window is whole seconds, one or more; write {word} 10s"));
    }
    Ok((words[..at].join(" "), Some(Window { logic, seconds: ns / NS_PER_S, abort: action.is_some() })))
}

impl Subject {
    fn limit(&self, text: &str) -> Result<Limit, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let percent = || text.strip_suffix('%').and_then(number).filter(|percent| *percent <= 100.0);
        match self {
            Self::Quantile(..) | Self::Tool(..) => match units::parse_duration_ns(text) {
                Ok(0) => Err("no time is under 0".to_owned()),
                Ok(ns) => Ok(Limit::Ns(ns)),
                Err(error) => Err(error.to_string()),
            },
            Self::Success | Self::StallRate => {
                let share = percent().ok_or_else(|| "a share is 0% to 100%, with its %".to_owned())? / 100.0;
                match self {
                    Self::Success if share >= 1.0 => Err("no share is over 100%; write success > 99.9%".to_owned()),
                    Self::StallRate if share <= 0.0 => Err("no share is under 0%; write stall rate < 0.1%".to_owned()),
                    _ => Ok(Limit::Share(share)),
                }
            }
            Self::Goodput => text
                .strip_suffix("/s")
                .and_then(number)
                .map(Limit::PerSecond)
                .ok_or_else(|| "a rate is a number with /s".to_owned()),
        }
    }
}
