//! The processes of one round: this binary again, as a mock and as a client. None outlives its use.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that ends when it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// What it says on standard error.
    errors: PathBuf,
    name: &'static str,
}

impl Running {
    /// Starts this binary with these arguments; none of the user's settings reaches it.
    pub(super) fn start(name: &'static str, arguments: &[&str], folder: &Path, stdout: Stdio) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("failed to find this program's own file")?;
        let errors = folder.join(format!("{name}.stderr"));
        let mut command = Command::new(this);
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(File::create(&errors)?);
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("PLIMSOLL_") || text == "XPANDER_API_KEY" {
                command.env_remove(variable);
            }
        }
        let child = command.spawn().with_context(|| format!("failed to start the {name}"))?;
        Ok(Self { child, errors, name })
    }

    /// The first line that it prints.
    pub(super) fn first_line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if let Some(out) = self.child.stdout.take() {
            let mut out = BufReader::new(out);
            out.read_line(&mut line)?;
            // It goes on printing: a pipe that is closed would end it.
            self.child.stdout = Some(out.into_inner());
        }
        if line.is_empty() {
            bail!("failed to start the {}: {}", self.name, self.said());
        }
        Ok(line)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        // One that has ended already needs no asking: its id stays its own until it is waited for.
        let _ = kill(self.pid(), Signal::SIGTERM);
    }

    /// What it said on standard error.
    pub(super) fn said(&self) -> String {
        let said = fs::read_to_string(&self.errors).unwrap_or_default();
        let said = said.trim().trim_start_matches("error: ");
        if said.is_empty() { "it said nothing".to_owned() } else { said.to_owned() }
    }

    /// Its own resident memory in bytes, without that of files; absent where the system does not tell.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(&fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("the system's ids are positive and have 31 bits"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line `RssAnon` of `/proc/PID/status` (proc_pid_status(5)): pages of the binary that are read in are no cost of a
/// stream.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_of_a_process() {
        assert_eq!(resident_bytes("Name:\tplimsoll\nVmRSS:\t   90 kB\nRssAnon:\t   12 kB\n"), Some(12_288));
        assert_eq!(resident_bytes("Name:\tkthreadd\n"), None);
    }
}
