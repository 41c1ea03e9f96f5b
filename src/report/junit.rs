//! `junit.xml`: what CI asks of a run, a test case each: can it be trusted, did anything complete, does each objective
//! hold.

use std::io::{self, Write};

use super::xml::escape;
use crate::metrics::objective::Answer;
use crate::metrics::{Certificate, Outcome, Summary, Verdict};
use crate::runfile::Run;

/// One test case: its name, what it rests on, and how it failed.
struct Case {
    name: String,
    found: String,
    /// `failure` or `error`, when it did not pass.
    element: Option<&'static str>,
}

/// Writes the test suite of a run. What is missed is a failure, what can't be decided or trusted an error.
///
/// # Errors
/// The output can't be written.
pub fn write(run: &Run, summary: &Summary, certificate: &Certificate, out: &mut impl Write) -> io::Result<()> {
    let cases = cases(summary, certificate);
    let count = |element: &str| cases.iter().filter(|case| case.element == Some(element)).count();
    let seconds = summary.span_ns as f64 / 1e9;
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuites>\n  <testsuite name=\"{}\" timestamp=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.3}\">",
        escape(&run.id),
        escape(run.began.trim_end_matches('Z')),
        cases.len(),
        count("failure"),
        count("error"),
    )?;
    for case in &cases {
        let (name, found) = (escape(&case.name), escape(&case.found));
        write!(out, "    <testcase classname=\"plimsoll\" name=\"{name}\" time=\"{seconds:.3}\">")?;
        match case.element {
            Some(element) => writeln!(out, "<{element} message=\"{found}\"/></testcase>")?,
            None => writeln!(out, "<system-out>{found}</system-out></testcase>")?,
        }
    }
    if !run.warnings.is_empty() {
        let warnings: Vec<_> = run.warnings.iter().map(|warning| escape(&warning.to_string())).collect();
        writeln!(out, "    <system-err>{}</system-err>", warnings.join("\n"))?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn cases(summary: &Summary, certificate: &Certificate) -> Vec<Case> {
    let ledger = &summary.overall().ledger;
    let completed = ledger.of(Outcome::Completed);
    let reasons: Vec<_> = certificate.reasons.iter().map(ToString::to_string).collect();
    let mut cases = vec![
        Case {
            name: "the measurement can be trusted".to_owned(),
            found: format!("{} {}", certificate.verdict, reasons.join("; ")).trim_end().to_owned(),
            element: (certificate.verdict == Verdict::Invalid).then_some("error"),
        },
        Case {
            name: "invocations complete".to_owned(),
            found: format!("{completed} of {} planned starts completed", ledger.planned),
            element: (completed == 0).then_some("failure"),
        },
    ];
    cases.extend(summary.objectives.iter().map(|judged| Case {
        name: judged.objective.clone(),
        found: format!("{}: {}", judged.answer, judged.found),
        element: match judged.answer {
            Answer::Pass => None,
            Answer::Fail => Some("failure"),
            Answer::Inconclusive => Some("error"),
        },
    }));
    cases
}
