//! `[check]`: what must hold of each result.

use std::sync::Arc;

use super::form::Form;
use super::problem::Fault;
use crate::metrics::Checks;
use crate::metrics::check::Pattern;

/// Reads the checks; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form) -> Option<Arc<Checks>> {
    let checks = Checks {
        contains: texts(form, "check.contains"),
        lacks: texts(form, "check.lacks"),
        matches: pattern(form, "check.matches"),
        non_empty: form.flag("check.non_empty"),
        tool_errors_max: form.number("check.tool_errors_max"),
    };
    let both = |wanted: &&String| checks.lacks.iter().any(|unwanted| wanted.contains(unwanted));
    if let Some(wanted) = checks.contains.iter().find(both) {
        let reason = format!("no result has {wanted:?} and lacks it at once");
        form.contradiction("check.lacks", reason, "remove it here or from check.contains");
    }
    (!checks.is_empty()).then(|| Arc::new(checks))
}

/// The texts under a key; the empty one, which every result has, is refused.
fn texts(form: &mut Form, key: &str) -> Vec<String> {
    let texts = form.texts(key);
    if texts.iter().any(String::is_empty) {
        form.contradiction(key, "every result has the empty text".to_owned(), "remove it; non_empty asks for any text");
    }
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

fn pattern(form: &mut Form, key: &str) -> Option<Pattern> {
    let text = form.text(key)?;
    match Pattern::parse(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let origin = form.origin(key).cloned();
            form.report(origin.as_ref(), key, Fault::Pattern { text, error });
            None
        }
    }
}
