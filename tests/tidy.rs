//! The style, executable: layers, lengths, who may read the clock, who may print, and that profiles load.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer may import those before it; modules of one layer may import each other only where that is listed.
const LAYERS: &[&[&str]] = &[
    &["units", "clock", "seed"],
    &["sse", "stats", "pacer"],
    &["agent", "metrics", "profile", "runfile"],
    &["client", "driver", "mock"],
    &["calibrate"],
    &["report"],
    &["cli", "cmd"],
];

/// The longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// The longest file without its tests, in lines.
const FILE_LINES_MAX: usize = 400;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("src"), &mut found);
    assert!(found.len() > 20, "the sources were found");
    found
}

/// A file's text without its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// A file that is compiled for tests alone, or is an example.
fn is_test(path: &Path) -> bool {
    let alone = [Path::new("src/sse/reference.rs"), Path::new("src/sse/example.rs")];
    path.ends_with("tests.rs") || path.iter().any(|folder| folder == "tests") || alone.contains(&path)
}

/// The module at the top of the crate that a file belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down() {
    for (path, text) in sources() {
        let (own, at) = (module(&path), layer(&module(&path)));
        if matches!(own.as_str(), "lib" | "main" | "build") {
            continue;
        }
        let at = at.unwrap_or_else(|| panic!("{}: give {own} a layer in tests/tidy.rs and lib.rs", path.display()));
        for used in code(&text).split("use crate::").skip(1) {
            let used = used.split([':', ';', '{']).next().unwrap();
            let below = layer(used).unwrap_or_else(|| panic!("{}: {used} has no layer", path.display()));
            assert!(below <= at, "{}: {own} may not import {used}, which lies above it", path.display());
        }
    }
}

#[test]
fn functions_and_files_stay_short() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        let lines: Vec<_> = code(&text).lines().collect();
        assert!(lines.len() <= FILE_LINES_MAX, "{} has {} lines: split it by noun", path.display(), lines.len());
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            if !(head.starts_with("fn ") || head.starts_with("pub") || head.starts_with("async fn "))
                || !head.contains("fn ")
            {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| *line == close).unwrap_or(0);
            assert!(length < FUNCTION_LINES_MAX, "{}:{} is {length} lines long", path.display(), start + 1);
        }
    }
}

#[test]
fn only_the_clock_reads_the_time_and_only_the_edge_prints() {
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        let (own, text) = (module(&path), code(&text));
        assert!(text.starts_with("//!"), "{} says what it is for", path.display());
        if own != "clock" {
            for word in ["Instant::now", "SystemTime"] {
                assert!(!text.contains(word), "{}: ask clock instead of {word}", path.display());
            }
        }
        let prints = ["println!(", "print!("]
            .iter()
            .any(|word| text.lines().any(|line| line.contains(word) && !line.trim_start().starts_with("//")));
        assert!(!prints || matches!(own.as_str(), "cmd" | "main" | "build"), "{} prints", path.display());
    }
}

#[test]
fn every_profile_loads_and_says_why() {
    let mut seen = 0;
    for entry in fs::read_dir("profiles").unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let profile = plimsoll::profile::Profile::parse(&path.display().to_string(), &text, Vec::new()).unwrap();
        assert!(!profile.why.is_empty(), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 0, "profiles were found");
}

#[test]
fn every_script_of_the_mock_loads_and_says_why() {
    let mut seen = 0;
    for entry in fs::read_dir("profiles/mock").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let script = plimsoll::profile::script::Script::parse(&path.display().to_string(), &text).unwrap();
        assert!(script.why.is_some_and(|why| !why.is_empty()), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 0, "scripts were found");
}

#[test]
fn the_readme_has_no_gap_and_names_every_command() {
    let readme = fs::read_to_string("README.md").unwrap();
    assert!(!readme.contains("@@"), "a placeholder was left in README.md");
    let cli = fs::read_to_string("src/cli.rs").unwrap();
    let commands = cli.split("pub enum Command {").nth(1).unwrap().split("\n}").next().unwrap();
    let names = commands
        .lines()
        .filter_map(|line| line.trim().split_once('('))
        .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()));
    let names: Vec<_> = names.map(|(name, _)| name.to_lowercase()).collect();
    assert!(names.len() > 5, "the commands were found");
    for name in names {
        assert!(readme.contains(&format!("| `{name} ")), "README.md, \"Commands\": {name} is missing");
    }
}
