//! What a run is known by later: its name, the build that made it, the machine that it ran on.

use std::fs;

use jiff::Timestamp;

use crate::runfile::bundle::Error;
use crate::runfile::run::{Build, Machine};

/// The run's beginning in RFC 3339, UTC, to the second.
#[must_use]
pub fn began(unix_ns: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The name of a run's folder: when it began, and the profile's name.
#[must_use]
pub fn run_id(began: &str, profile: &str) -> String {
    format!("{}-{profile}", began.replace(':', ""))
}

/// Runs that begin in one second and in one folder at most; they are told apart by a number behind the name.
const SAME_SECOND_MAX: u32 = 100;

/// Makes the folder of this name; where another has it already, the one under the next name that is free.
///
/// # Errors
/// It can't be made, or no name is free.
pub fn first_free<T>(name: &str, mut make: impl FnMut(String) -> Result<T, Error>) -> Result<T, Error> {
    let numbered = (2..=SAME_SECOND_MAX).map(|number| format!("{name}-{number}"));
    numbered.fold(
        make(name.to_owned()),
        |made, name| if matches!(made, Err(Error::Exists { .. })) { make(name) } else { made },
    )
}

/// This build.
#[must_use]
pub fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("BUILD_GIT_REVISION").filter(|revision| !revision.is_empty()).map(ToOwned::to_owned),
    }
}

/// This machine, as far as it tells.
#[must_use]
pub fn machine() -> Machine {
    let trimmed = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    Machine {
        system: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        kernel: trimmed("/proc/sys/kernel/osrelease"),
        cpu,
        cores: std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_beginning() {
        let began = began(1_700_000_000_999_999_999);
        assert_eq!(began, "2023-11-14T22:13:20Z");
        assert_eq!(run_id(&began, "quickstart"), "2023-11-14T221320Z-quickstart");
    }
}
