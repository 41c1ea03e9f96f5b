//! Files that a command writes where its user says: whatever is wrong with them ends it with the code for outputs.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use crate::runfile::bundle;

/// Creates the file, or empties the one that is there.
///
/// # Errors
/// The system refuses.
pub fn create(path: &Path) -> Result<BufWriter<File>, bundle::Error> {
    File::create(path).map(BufWriter::new).map_err(unwritten(path))
}

/// What a write to this file failed with, as a command's error.
pub fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> bundle::Error {
    |source| bundle::Error::Write { path: path.to_owned(), source }
}
