//! The file that a plan is written to, for another run to replay.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use crate::profile::Plan;
use crate::runfile::bundle::Error;

/// The most starts that are written of a plan that nothing has counted.
pub const WRITTEN_MAX: u64 = 100_000;

/// A file that a plan is written to.
#[derive(Debug)]
pub struct PlanFile {
    path: PathBuf,
    file: File,
}

impl PlanFile {
    /// Creates the file, so that one that can't be is known before anything else is done.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| refused(path, source))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes the first `starts` of the plan.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(self, plan: &Plan, starts: u64) -> Result<(), Error> {
        plan.write(starts, &mut BufWriter::new(self.file)).map_err(|source| refused(&self.path, source))
    }
}

fn refused(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}
