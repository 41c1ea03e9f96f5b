//! The files of a bundle as they are read back: what lies on the disk, and behind it what the disk did not take.

use std::fs::File;
use std::io::{self, BufReader, Chain, Read};
use std::path::{Path, PathBuf};

use super::kept::Rest;
use super::readback::Error;

/// The files of one bundle.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    rest: Vec<(&'static str, Vec<u8>)>,
}

/// What can be read of one of them.
pub type Text<'a> = BufReader<Chain<File, &'a [u8]>>;

impl Files {
    /// Those of a folder, as they lie there.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), rest: Vec::new() }
    }

    /// Those of a bundle that this process has written, with what the disk did not take.
    #[must_use]
    pub fn with_rest(folder: &Path, rest: &[(&'static str, Rest)]) -> Self {
        Self { rest: rest.iter().map(|(name, rest)| (*name, rest.bytes())).collect(), ..Self::of(folder) }
    }

    /// Opens a file; nothing where it is missing.
    ///
    /// # Errors
    /// It is there and can't be read.
    pub fn open(&self, name: &str) -> Result<Option<Text<'_>>, Error> {
        let path = self.folder.join(name);
        let rest = self.rest.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, bytes)| bytes);
        match File::open(&path) {
            Ok(file) => Ok(Some(BufReader::new(file.chain(rest)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }
}
