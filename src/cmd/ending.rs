//! The end of a run: summed up, written down, shown. Whatever fails of that, the rest is done, and nothing that was
//! measured is lost.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exit, report, told};
use crate::cli::Require;
use crate::metrics::objective::Answer;
use crate::metrics::{Ledger, Outcome, Verdict, Warning};
use crate::runfile::{Bundle, Run, Status, bundle, readback};

/// What one run came to.
#[derive(Debug)]
pub(super) struct Once {
    pub(super) run: Run,
    pub(super) folder: PathBuf,
    /// For how long the target's word would still have held starts up, in nanoseconds.
    pub(super) held_ns: u64,
    ledger: Ledger,
    require: Option<Require>,
    failures: Vec<(Exit, anyhow::Error)>,
}

impl Once {
    pub(super) fn new(run: Run, folder: &Path, ledger: Ledger, require: Option<Require>, held_ns: u64) -> Self {
        Self { run, folder: folder.to_owned(), held_ns, ledger, require, failures: Vec::new() }
    }

    /// Sums the run up and writes it down; `unwritten` is what the disk did not take of them while it went on, `others`
    /// what it did not of other files.
    pub(super) fn end(
        mut self,
        bundle: &Bundle,
        unwritten: Option<bundle::Error>,
        others: [Option<bundle::Error>; 2],
    ) -> Self {
        if let Some(error) = &unwritten {
            self.run.warnings.push(Warning::Unwritten { why: error.to_string() });
        }
        match readback::sum_up_files(&bundle.files(), &self.run).context("failed to sum up the run") {
            Ok(readback) => self.run.adopt(readback),
            Err(error) => self.failures.push((Exit::Unexpected, error)),
        }
        for error in unwritten.into_iter().chain(others.into_iter().flatten()) {
            self.note::<()>(Err(error).context("failed to go on"));
        }
        self.note(bundle.write_run(&self.run).context("failed to end the run"));
        self.note(report::write_files(bundle.folder(), &self.run).context("failed to write the report"));
        self
    }

    fn note<T>(&mut self, result: anyhow::Result<T>) {
        self.failures.extend(result.err().map(|error| (Exit::Unwritable, error)));
    }

    /// The report for people, or with `json` the whole of `run.json` on one output that nothing else is written to.
    pub(super) fn show(&self, json: bool, out: &mut impl Write) -> io::Result<()> {
        match (json, &self.run.summary) {
            (true, _) => out.write_all(self.run.to_json().as_bytes()),
            (false, Some(_)) => report::first_screen(&self.run, &self.folder, out),
            (false, None) => self.show_ledger(out),
        }
    }

    /// What went wrong at the run's end, on standard error: behind its report, whether or not that is shown.
    pub(super) fn tell_failures(&self) {
        for (_, error) in &self.failures {
            // A standard error that is gone changes nothing about the exit code, which says it too.
            let _ = writeln!(io::stderr(), "error: {}", told(error));
        }
    }

    /// What is known without its files.
    fn show_ledger(&self, out: &mut impl Write) -> io::Result<()> {
        let ended = self.ledger.outcomes.iter().map(|(kind, count)| format!("{count} {kind}"));
        let ended = ended.collect::<Vec<_>>().join(" + ");
        writeln!(out, "INVALID  {} invocations started; the run could not be summed up", self.ledger.started())?;
        writeln!(out, "ended     {ended} = {} planned, the warm-up included", self.ledger.planned)?;
        writeln!(out, "files     {}; what is whole there is shown by: plimsoll report", self.folder.display())
    }

    /// When several hold, the first of: interrupted, an output not written, stopped by the budget, nothing completed,
    /// invalid, an objective missed, one undecided.
    pub(super) fn exit(&self) -> Exit {
        self.failures.iter().fold(self.outcome(), |all, (exit, _)| all.or(*exit))
    }

    fn outcome(&self) -> Exit {
        match self.run.status {
            Status::Interrupted => return Exit::Interrupted,
            Status::Terminated => return Exit::Terminated,
            Status::WriteFailed => return Exit::Unwritable,
            Status::BudgetSpent => return Exit::BudgetSpent,
            Status::Running | Status::Done | Status::Aborted | Status::WorkerLost => {}
        }
        let summary = self.run.summary.as_ref();
        let completed = summary.map_or(0, |summary| summary.overall().ledger.of(Outcome::Completed));
        let verdict = self.run.certificate.as_ref().map_or(Verdict::Invalid, |certificate| certificate.verdict);
        let worst = if self.require == Some(Require::Trusted) { Verdict::Trusted } else { Verdict::Degraded };
        let answers = summary.into_iter().flat_map(|summary| &summary.objectives).map(|judged| judged.answer);
        match (completed, verdict > worst, answers.max()) {
            (0, ..) => Exit::NothingCompleted,
            (_, true, _) => Exit::Invalid,
            (.., Some(Answer::Fail)) => Exit::ObjectiveMissed,
            (.., Some(Answer::Inconclusive)) => Exit::Inconclusive,
            _ => Exit::Done,
        }
    }
}

/// Who read the report has seen enough; that changes nothing about what the run came to.
pub(super) fn unless_unread(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
