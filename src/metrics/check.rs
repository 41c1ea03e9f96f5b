//! The profile's own checks on the result: an agent that answers fast and wrong has not completed.
//!
//! The result is what `task_finished` carries. Where that is empty, or cut by the server (`_result_truncated`), it is
//! the text of the chunks put together, which is all that the user has seen.

use std::borrow::Cow;
use std::sync::Arc;

use regex::Regex;
use thiserror::Error;

use crate::agent::TaskResult;

/// How much of the chunks' text is kept for the checks, a stream; what lies behind is not looked at.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How much of a check's own text its failure repeats, in characters.
const SHOWN_CHARS: usize = 40;

/// What must hold of each result for its invocation to have completed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checks {
    /// It has each of these.
    pub contains: Vec<String>,
    /// It has none of these.
    pub lacks: Vec<String>,
    /// It matches this somewhere.
    pub matches: Option<Pattern>,
    /// It has more than white space.
    pub non_empty: bool,
    /// So many tool results were errors, at most.
    pub tool_errors_max: Option<u64>,
}

/// A regular expression, equal to another one of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a text is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NotAPattern(String);

/// The answer of one invocation as it comes, held against the checks at its end.
#[derive(Debug)]
pub(super) struct Answer {
    checks: Arc<Checks>,
    text: String,
    cut: bool,
    failure: Option<String>,
}

impl Pattern {
    /// Reads a regular expression.
    ///
    /// # Errors
    /// It is none, or too large to be compiled.
    pub fn parse(text: &str) -> Result<Self, NotAPattern> {
        // The last line of the library's own account is the reason; the others draw the place.
        let reason = |error: &regex::Error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        };
        Regex::new(text).map(Self).map_err(|error| NotAPattern(reason(&error)))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Checks {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.read_text() && self.tool_errors_max.is_none()
    }

    /// Whether the answer's text matters.
    fn read_text(&self) -> bool {
        self.non_empty || self.matches.is_some() || !self.contains.is_empty() || !self.lacks.is_empty()
    }

    /// Every check that fails, in words that are the same for all who fail it; `extent` says how much of the answer
    /// was looked at.
    fn failures(&self, text: &str, extent: &str, tool_errors: u64) -> Vec<String> {
        let mut failures = Vec::new();
        for wanted in self.contains.iter().filter(|wanted| !text.contains(*wanted)) {
            failures.push(format!("check.contains: {} is not in {extent}", shown(wanted)));
        }
        for unwanted in self.lacks.iter().filter(|unwanted| text.contains(*unwanted)) {
            failures.push(format!("check.lacks: {} is in {extent}", shown(unwanted)));
        }
        if let Some(Pattern(regex)) = self.matches.as_ref().filter(|Pattern(regex)| !regex.is_match(text)) {
            failures.push(format!("check.matches: {} matches nothing in {extent}", shown(regex.as_str())));
        }
        if self.non_empty && text.trim().is_empty() {
            failures.push("check.non_empty: the result is empty".to_owned());
        }
        if let Some(most) = self.tool_errors_max.filter(|most| tool_errors > *most) {
            failures.push(format!("check.tool_errors_max: more than {most} tool results were errors"));
        }
        failures
    }
}

/// A check's own text in quotes, with its end left out where it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

impl Answer {
    pub(super) fn new(checks: &Arc<Checks>) -> Self {
        Self { checks: Arc::clone(checks), text: String::new(), cut: false, failure: None }
    }

    /// A piece of the answer came; it is decoded only where a check reads it.
    pub(super) fn chunk<'t>(&mut self, text: impl FnOnce() -> Cow<'t, str>) {
        if self.cut || !self.checks.read_text() {
            return;
        }
        let text = text();
        let mut fits = text.len().min(ANSWER_BYTES_MAX - self.text.len());
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        self.text.push_str(&text[..fits]);
        self.cut = fits < text.len();
    }

    /// The task has completed, with this result.
    pub(super) fn judge(&mut self, result: &TaskResult<'_>, tool_errors: u64) {
        let told = result.text.as_deref().filter(|text| !text.is_empty());
        let (text, extent) = match told {
            Some(text) if result.whole || self.text.is_empty() => {
                (text, if result.whole { "the result" } else { "what the server left of the result" })
            }
            _ if self.cut => (&*self.text, "the first MiB of the answer"),
            _ => (&*self.text, "the result"),
        };
        let failures = self.checks.failures(text, extent, tool_errors);
        self.failure = (!failures.is_empty()).then(|| failures.join("; "));
        self.text = String::new();
    }

    /// Which checks failed, if any did.
    pub(super) fn into_failure(self) -> Option<String> {
        self.failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn checks(change: impl FnOnce(&mut Checks)) -> Arc<Checks> {
        let mut checks = Checks::default();
        change(&mut checks);
        Arc::new(checks)
    }

    fn judged(checks: &Arc<Checks>, chunks: &[&str], result: Option<&str>, whole: bool, tool_errors: u64) -> String {
        let mut answer = Answer::new(checks);
        chunks.iter().for_each(|chunk| answer.chunk(|| Cow::Borrowed(chunk)));
        answer.judge(&TaskResult { text: result.map(Cow::Borrowed), whole }, tool_errors);
        answer.into_failure().unwrap_or_else(|| "holds".to_owned())
    }

    #[test]
    fn each_check_that_fails_is_named_and_the_answer_is_not_repeated() {
        let strict = checks(|checks| {
            checks.contains = vec!["42".into(), "the ship sails at dawn with all that she can carry".into()];
            checks.lacks = vec!["sorry".into()];
            checks.matches = Some(Pattern::parse("^[0-9]+$").expect("a pattern"));
            checks.non_empty = true;
            checks.tool_errors_max = Some(1);
        });
        let told =
            |result: &str, tool_errors| judged(&strict, &[], Some(result), true, tool_errors).replace("; ", "\n");
        insta::assert_snapshot!(told("I am sorry", 2), @r#"
        check.contains: "42" is not in the result
        check.contains: "the ship sails at dawn with all that she"… is not in the result
        check.lacks: "sorry" is in the result
        check.matches: "^[0-9]+$" matches nothing in the result
        check.tool_errors_max: more than 1 tool results were errors
        "#);
        insta::assert_snapshot!(told(" \n", 0), @r#"
        check.contains: "42" is not in the result
        check.contains: "the ship sails at dawn with all that she"… is not in the result
        check.matches: "^[0-9]+$" matches nothing in the result
        check.non_empty: the result is empty
        "#);
        let number = checks(|checks| checks.matches = Some(Pattern::parse("^[0-9]+$").expect("a pattern")));
        assert_eq!(judged(&number, &[], Some("42"), true, 9), "holds");
    }

    #[test]
    fn the_chunks_stand_in_for_a_result_that_is_empty_or_cut() {
        let wants = checks(|checks| checks.contains = vec!["load line".into()]);
        let chunks = ["the lo", "ad li", "ne"];
        assert_eq!(judged(&wants, &chunks, None, true, 0), "holds");
        assert_eq!(judged(&wants, &chunks, Some(""), true, 0), "holds");
        assert_eq!(judged(&wants, &chunks, Some("the lo"), false, 0), "holds", "the server cut it");
        assert_eq!(judged(&wants, &[], Some("the load line"), false, 0), "holds", "nothing else came");
        assert_ne!(judged(&wants, &chunks, Some("another text"), true, 0), "holds", "the result is the result");
        let told = judged(&wants, &[], Some("the lo"), false, 0);
        insta::assert_snapshot!(told, @r#"check.contains: "load line" is not in what the server left of the result"#);
    }

    #[test]
    fn no_more_of_an_answer_is_kept_than_its_limit() {
        let wants = checks(|checks| checks.contains = vec!["the end".into()]);
        let mut answer = Answer::new(&wants);
        let chunk = "ü".repeat(300_001);
        (0..9).for_each(|_| answer.chunk(|| Cow::Borrowed(&chunk)));
        answer.chunk(|| Cow::Borrowed("the end"));
        assert!((ANSWER_BYTES_MAX - 1..=ANSWER_BYTES_MAX).contains(&answer.text.len()), "cut between characters");
        answer.judge(&TaskResult { text: None, whole: true }, 0);
        insta::assert_snapshot!(answer.into_failure().expect("it lies behind the limit"), @r#"check.contains: "the end" is not in the first MiB of the answer"#);
        let tools_only = checks(|checks| checks.tool_errors_max = Some(0));
        let mut answer = Answer::new(&tools_only);
        answer.chunk(|| Cow::Borrowed(&chunk));
        assert_eq!(answer.text.capacity(), 0, "nothing is kept that no check reads");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let told = |text: &str| Pattern::parse(text).expect_err("no pattern").to_string();
        insta::assert_snapshot!([told("(a"), told("[z-a]"), told("a{9999999}")].join("\n"), @"
        unclosed group
        invalid character class range, the start must be <= the end
        Compiled regex exceeds size limit of 10485760 bytes.
        ");
    }
}
