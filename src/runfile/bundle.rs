//! The folder of one run: opened before the load starts, written as it goes, never overwritten.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files::Files;
use super::intervals::{self, Interval};
use super::kept::{Kept, Rest};
use super::run::Run;
use super::{hlog, invocations};
use crate::metrics::Record;
use crate::metrics::recorder::{GapGroup, Parts};
use crate::stats::Histogram;

/// The rows of a run: one a planned start.
pub const INVOCATIONS: &str = "invocations.csv";
/// The histograms of each second.
pub const HISTOGRAMS: &str = "histograms.hlog";
/// The seconds of a run.
pub const INTERVALS: &str = "intervals.csv";
/// The manifest and the summary.
pub const RUN: &str = "run.json";

/// A bundle that can't be written.
#[derive(Debug, Error)]
pub enum Error {
    /// The folder is there already.
    #[error("create the run bundle {}: it exists already, and a bundle is never overwritten; name another with --out", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("write {}: {source}; is the folder writable, and is there space left?", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bundle that is being written. What the disk does not take is kept, and told as an error once.
#[derive(Debug)]
pub struct Bundle {
    folder: PathBuf,
    invocations: invocations::Writer<BufWriter<Kept>>,
    histograms: hlog::Writer<BufWriter<Kept>>,
    intervals: intervals::Writer<BufWriter<Kept>>,
    rest: [(&'static str, Rest); 3],
}

impl Bundle {
    /// Creates `parent/name` with all its files, and writes `run` into it as the run's first state.
    ///
    /// # Errors
    /// The folder exists, or can't be written.
    pub fn create(parent: &Path, name: &str, run: &Run) -> Result<Self, Error> {
        let refuse = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        fs::create_dir_all(parent).map_err(refuse(parent))?;
        let folder = parent.join(name);
        fs::create_dir(&folder).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: folder.clone() },
            _ => Error::Write { path: folder.clone(), source },
        })?;
        let rest = [INVOCATIONS, HISTOGRAMS, INTERVALS].map(|name| (name, Rest::default()));
        let open = |(name, rest): &(&'static str, Rest)| {
            let path = folder.join(name);
            let kept = |file| BufWriter::new(Kept::new(file, rest.clone()));
            File::create_new(&path).map(kept).map_err(refuse(&path))
        };
        let [of_invocations, of_histograms, of_intervals] = &rest;
        let scenarios = run.has_scenarios();
        let invocations = invocations::Writer::new(open(of_invocations)?, scenarios);
        let invocations = invocations.map_err(refuse(&folder.join(INVOCATIONS)))?;
        let tag_parts = if scenarios { hlog::TAG_PARTS_WITH_SCENARIO } else { hlog::TAG_PARTS };
        let histograms = hlog::Writer::new(open(of_histograms)?, run.origin_unix_ns, tag_parts);
        let histograms = histograms.map_err(refuse(&folder.join(HISTOGRAMS)))?;
        let intervals = intervals::Writer::new(open(of_intervals)?).map_err(refuse(&folder.join(INTERVALS)))?;
        let bundle = Self { folder, invocations, histograms, intervals, rest };
        bundle.write_run(run)?;
        Ok(bundle)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its files as they can be read back, with what the disk did not take.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::with_rest(&self.folder, &self.rest)
    }

    /// One more planned start that has ended.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_invocation(&mut self, record: &Record) -> Result<(), Error> {
        self.invocations.write(record).map_err(|source| self.refused(INVOCATIONS, source))
    }

    /// One more second: what was recorded in it and what it comes to. All files are handed to the system.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write_second(&mut self, interval: &Interval, parts: &Parts) -> Result<(), Error> {
        let (start_ns, end_ns) = interval.span_ns();
        for (tag, histogram) in &parts.histograms {
            let written = self.histograms.write(tag, start_ns, end_ns, histogram);
            written.map_err(|source| self.refused(HISTOGRAMS, source))?;
        }
        // Both, whatever becomes of the first: what is not written is kept.
        let (interval, flushed) = (self.write_interval(interval), self.flush());
        interval.and(flushed)
    }

    /// One more row of a second.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_interval(&mut self, interval: &Interval) -> Result<(), Error> {
        self.intervals.write(interval).map_err(|source| self.refused(INTERVALS, source))
    }

    /// A line of histograms, as it was read from other bundles.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_line(&mut self, line: &hlog::Line) -> Result<(), Error> {
        self.histograms.write_line(line).map_err(|source| self.refused(HISTOGRAMS, source))
    }

    /// The gaps of one group of streams, at the end of the run.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_gap_group(&mut self, group: &GapGroup, end_ns: u64, histogram: &Histogram) -> Result<(), Error> {
        let written = self.histograms.write_gap_group(group, end_ns, histogram);
        written.map_err(|source| self.refused(HISTOGRAMS, source))
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        let invocations = self.invocations.flush().map_err(|source| self.refused(INVOCATIONS, source));
        invocations.and(self.histograms.flush().map_err(|source| self.refused(HISTOGRAMS, source)))
    }

    /// Replaces `run.json` at once: a reader sees the old one or the new one, never half of one.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_run(&self, run: &Run) -> Result<(), Error> {
        write_whole(&self.folder, RUN, run.to_json().as_bytes())
    }

    fn refused(&self, name: &str, source: io::Error) -> Error {
        Error::Write { path: self.folder.join(name), source }
    }
}

/// Writes a file of a bundle whole, replacing an older one at once.
///
/// # Errors
/// The file can't be written.
pub fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let (path, draft) = (folder.join(name), folder.join(format!(".{name}.draft")));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    write().map_err(|source| Error::Write { path: path.clone(), source })
}
