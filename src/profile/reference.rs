//! The reference of a profile's keys as Markdown, rendered from the table that the validation reads.

use std::fmt::Write;

use super::wire::keys::{Default, KEYS};

/// A Markdown table of every key: its type, its default, its meaning.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        let default = match key.default {
            Default::Required(_) => "**required**".to_owned(),
            Default::Absent(means) => means.to_owned(),
            Default::Value(value) => format!("`{value}`"),
        };
        let path = key.path;
        writeln!(text, "| `{path}` | {} | {default} | {} |", key.kind.word(), key.meaning)
            .expect("a string takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_holds_the_reference() {
        let readme = include_str!("../../README.md");
        let reference = super::reference();
        assert!(readme.contains(&reference), "put this into README.md, under \"Profile reference\":\n{reference}");
    }
}
