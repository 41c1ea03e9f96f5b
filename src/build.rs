//! Tells the crate which git revision it is built from; outside a repository it is told nothing.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let answer = Command::new("git").args(args).output().ok().filter(|answer| answer.status.success())?;
        Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    // Not PLIMSOLL_…: cargo hands it to what it runs, too, and those are settings.
    println!("cargo:rustc-env=BUILD_GIT_REVISION={revision}");
    println!("cargo:rerun-if-changed=src/build.rs");
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={head}");
    }
}
