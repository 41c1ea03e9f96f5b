//! The file that a plan is written to, for another run to replay.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::output;
use crate::profile::Plan;
use crate::runfile::bundle::Error;

/// The most starts that are written of a plan that nothing has counted.
pub const WRITTEN_MAX: u64 = 100_000;

/// A file that a plan is written to.
#[derive(Debug)]
pub struct PlanFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl PlanFile {
    /// Creates the file, so that one that can't be is known before anything else is done.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create(path: &Path) -> Result<Self, Error> {
        Ok(Self { path: path.to_owned(), file: output::create(path)? })
    }

    /// Writes the first `starts` of the plan.
    ///
    /// Of a closed load that nothing counts, these are all turns of the conversations that were taken up: also turns
    /// that its end cut off, and first turns whose user was still thinking. Nobody made those, so that they have no row,
    /// and the ledger, which counts rows, does not have them among its planned starts.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(mut self, plan: &Plan, starts: u64) -> Result<(), Error> {
        plan.write(starts, &mut self.file).map_err(output::unwritten(&self.path))
    }
}
