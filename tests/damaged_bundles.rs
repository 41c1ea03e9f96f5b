//! The binary on bundles that are not as they were written: what it says, and with which exit code.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

fn plimsoll(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll")).args(args).current_dir(folder).env_clear().output();
    let output = output.unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), told)
}

/// A folder with the bundles `one` and `other` of one plan, and `series`, which holds a copy of the first.
fn bundles() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let args =
            ["run", "--quiet", "-n", "4", "--set", "mock.first_chunk=5ms", "--set", "mock.chunks=3", "--out", "made"];
        let (code, told) = plimsoll(folder.path(), &args);
        assert!(matches!(code, 0 | 8), "{told}");
        let bundle = fs::read_dir(folder.path().join("made")).unwrap().next().unwrap().unwrap().path();
        fs::rename(bundle, folder.path().join(name)).unwrap();
    };
    made("one");
    made("other");
    fs::remove_dir(folder.path().join("made")).unwrap();
    copy(&folder.path().join("one"), &folder.path().join("series/one"));
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A change of a text.
type Change = fn(&str) -> String;

const CHANGES: [(&str, Change); 13] = [
    ("run.json", |text| text.replacen("\"version\": 1", "\"version\": 2", 1)),
    ("run.json", |text| text[..30].to_owned()),
    ("run.json", |_| "{}".to_owned()),
    ("run.json", |text| text.replacen("\"plan_hash\"", "\"plan\"", 1)),
    ("invocations.csv", |text| text.replacen("plan_index", "index", 1)),
    ("invocations.csv", |text| text.replacen(",completed,", ",finished,", 1)),
    ("invocations.csv", |text| text[..text.len() - 9].to_owned()),
    ("histograms.hlog", |text| text.replacen("Tag=", "Tug=", 1)),
    ("histograms.hlog", |text| text.replacen("HISTF", "HOSTF", 1)),
    ("histograms.hlog", |text| text.replacen("min=", "min=999999999", 1)),
    ("histograms.hlog", |text| text[..text.len() - 9].to_owned()),
    ("intervals.csv", |text| text.replacen("\n0,", "\nzero,", 1)),
    ("intervals.csv", |text| text[..text.len() - 9].to_owned()),
];

/// What stands first of what was told: an error, or the warning about what is missing.
fn first(told: &str) -> &str {
    let is_it = |line: &&str| line.starts_with("error") || line.contains("cut off");
    told.lines().find(is_it).or_else(|| told.lines().last()).unwrap_or_default()
}

#[test]
fn whatever_is_wrong_with_a_file_is_said_with_its_place_and_the_remedy() {
    let folder = bundles();
    let (one, changed) = (folder.path().join("one"), folder.path().join("changed"));
    let mut told = String::new();
    for (file, change) in CHANGES {
        copy(&one, &changed);
        let text = fs::read_to_string(one.join(file)).unwrap();
        assert_ne!(change(&text), text, "the change of {file} finds its place");
        fs::write(changed.join(file), change(&text)).unwrap();
        for args in [&["report", "changed"][..], &["merge", "changed", "other", "--out", "joined"]] {
            let (code, said) = plimsoll(folder.path(), args);
            writeln!(told, "{} of {file}: exit {code}\n  {}", args[0], first(&said)).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path().join("joined")).map_or(0, Iterator::count), 0, "{file}: {told}");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_no_bundle_and_what_does_not_belong_together_is_refused() {
    let folder = bundles();
    fs::write(folder.path().join("series/repeats.json"), "{\"version\": 3}").unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let elsewhere = ["run", "--quiet", "-n", "5", "--set", "mock.chunks=1", "--out", "elsewhere"];
    let (code, said) = plimsoll(folder.path(), &elsewhere);
    assert!(matches!(code, 0 | 8), "{said}");
    let unlike = fs::read_dir(folder.path().join("elsewhere")).unwrap().next().unwrap().unwrap().path();
    fs::rename(unlike, folder.path().join("unlike")).unwrap();
    let commands = [
        &["report", "nowhere"][..],
        &["report", "file"],
        &["report", "series"],
        &["report", "series", "one", "one"],
        &["report", "one", "unlike"],
        &["report", "one", "other", "--format", "junit"],
        &["merge", "one"],
        &["merge", "one", "one"],
        &["merge", "one", "nowhere"],
        &["merge", "one", "unlike"],
    ];
    let mut told = String::new();
    for args in commands {
        let (code, said) = plimsoll(folder.path(), args);
        writeln!(told, "{}: exit {code}\n  {}", args.join(" "), first(&said)).unwrap();
    }
    for bundle in ["one", "unlike"] {
        let run = fs::read_to_string(folder.path().join(bundle).join("run.json")).unwrap();
        let run: serde_json::Value = serde_json::from_str(&run).unwrap();
        // The time is in the name, and the hash is the plan's.
        told = told.replace(run["id"].as_str().unwrap(), "ID").replace(run["plan_hash"].as_str().unwrap(), "HASH");
    }
    insta::assert_snapshot!(told);
}
