//! Where two values that ought to be equal differ, field by field.

use std::fmt;

use serde_json::Value;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: `summary.groups[0].rates.events_per_s`.
    pub field: String,
    /// What the first one says.
    pub one: String,
    /// What the other one says.
    pub other: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} against {}", self.field, self.one, self.other)
    }
}

impl Difference {
    /// A field and what both say of it; nothing when that is the same.
    pub fn between(
        field: impl Into<String>,
        one: &(impl ToString + ?Sized),
        other: &(impl ToString + ?Sized),
    ) -> Option<Self> {
        let (one, other) = (one.to_string(), other.to_string());
        (one != other).then(|| Self { field: field.into(), one, other })
    }
}

/// Every field in which two values differ, in order; `field` is where both stand.
#[must_use]
pub fn differences(field: &str, one: &Value, other: &Value) -> Vec<Difference> {
    match (one, other) {
        _ if one == other => Vec::new(),
        (Value::Object(left), Value::Object(right)) => {
            let added = right.keys().filter(|key| !left.contains_key(*key));
            let both = left.keys().chain(added);
            let below = |key: &String| if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            both.flat_map(|key| differences(&below(key), &one[key], &other[key])).collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let both = left.iter().zip(right).enumerate();
            both.flat_map(|(at, (one, other))| differences(&format!("{field}[{at}]"), one, other)).collect()
        }
        (Value::Array(left), Value::Array(right)) => {
            Difference::between(format!("{field}.length"), &left.len(), &right.len()).into_iter().collect()
        }
        _ => vec![Difference { field: field.to_owned(), one: text(one), other: text(other) }],
    }
}

/// The differences that an error names.
const DIFFERENCES_SHOWN: usize = 8;

/// The first differences in words, and how many more there are.
pub(super) fn told(differences: &[Difference]) -> String {
    let mut told: Vec<_> = differences.iter().take(DIFFERENCES_SHOWN).map(ToString::to_string).collect();
    if differences.len() > DIFFERENCES_SHOWN {
        told.push(format!("and {} more", differences.len() - DIFFERENCES_SHOWN));
    }
    told.join("; ")
}

/// The most of a value that is shown, in characters.
const SHOWN_MAX: usize = 80;

fn text(value: &Value) -> String {
    let text = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    text.chars().take(SHOWN_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_that_differs_is_named_once() {
        let one = json!({"a": 1, "b": {"c": [1, 2], "d": [1]}, "e": "x", "f": 0.1});
        let other = json!({"a": 1, "b": {"c": [1, 3], "d": []}, "f": 0.1, "g": {"h": 1}});
        let told: Vec<_> = differences("", &one, &other).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        b.c[1]: 2 against 3
        b.d.length: 1 against 0
        e: "x" against nothing
        g: nothing against {"h":1}
        "#);
        assert_eq!(differences("", &one, &one), []);
    }
}
