//! Files that a command writes where its user says: whatever is wrong with them ends it with the code for outputs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

use crate::runfile::bundle;

/// Creates the file, or empties the one that is there.
///
/// # Errors
/// The system refuses.
pub fn create(path: &Path) -> Result<BufWriter<File>, bundle::Error> {
    File::create(path).map(BufWriter::new).map_err(unwritten(path))
}

/// Tries whether the file can be written later, and leaves what is there as it is.
///
/// # Errors
/// It can't.
pub fn check(path: &Path) -> Result<(), bundle::Error> {
    let try_it = || match replaced(path)? {
        Some((folder, _)) => tempfile::tempfile_in(folder).map(drop),
        None => File::options().write(true).open(path).map(drop),
    };
    try_it().map_err(unwritten(path))
}

/// Writes the file whole, or leaves what is there as it is; a device or a pipe is written into.
///
/// # Errors
/// The system refuses.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), bundle::Error> {
    match replaced(path).map_err(unwritten(path))? {
        Some((folder, name)) => bundle::write_whole(&folder, &name, bytes),
        None => fs::write(path, bytes).map_err(unwritten(path)),
    }
}

/// Folder and name of the file that is to be replaced, links followed; none for what is no file.
fn replaced(path: &Path) -> io::Result<Option<(PathBuf, String)>> {
    let path = match fs::canonicalize(path) {
        Ok(there) if !there.is_file() => return Ok(None),
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let name = path.file_name().and_then(OsStr::to_str).ok_or(ErrorKind::InvalidFilename)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Some((folder.to_owned(), name.to_owned())))
}

/// What a write to this file failed with, as a command's error.
pub fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> bundle::Error {
    |source| bundle::Error::Write { path: path.to_owned(), source }
}
