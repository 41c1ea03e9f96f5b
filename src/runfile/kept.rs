//! A file that loses nothing: what the system does not take stays in memory, to be summed up.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The most of one file that is kept in memory, in bytes; the load ends with the first failure, so that little comes.
const KEPT_MAX: usize = 64 << 20;

/// A file, and behind it what it did not take.
#[derive(Debug)]
pub struct Kept {
    file: File,
    rest: Rest,
}

/// What a file did not take, shared with whoever sums it up.
#[derive(Debug, Clone, Default)]
pub struct Rest(Arc<Mutex<Unwritten>>);

#[derive(Debug, Default)]
struct Unwritten {
    bytes: Vec<u8>,
    failure: Option<(io::ErrorKind, String)>,
}

impl Kept {
    /// Writes to this file; `rest` is told what it does not take.
    #[must_use]
    pub fn new(file: File, rest: Rest) -> Self {
        Self { file, rest }
    }
}

impl Write for Kept {
    /// Takes everything, whatever the system says: that is told by [`Kept::flush`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = self.rest.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.failure.is_none() {
            match self.file.write(bytes) {
                Ok(0) if !bytes.is_empty() => {
                    rest.failure = Some((io::ErrorKind::WriteZero, "it takes no more".into()));
                }
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    rest.failure = Some((error.kind(), error.to_string()));
                }
                other => return other,
            }
        }
        let room = KEPT_MAX - rest.bytes.len();
        rest.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    /// Fails from the first failure of a write on.
    fn flush(&mut self) -> io::Result<()> {
        let rest = self.rest.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &rest.failure {
            Some((kind, why)) => Err(io::Error::new(*kind, why.clone())),
            None => self.file.flush(),
        }
    }
}

impl Rest {
    /// What the file did not take.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_full_disk_does_not_take_is_kept_and_told() {
        let rest = Rest::default();
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut kept = Kept::new(full, rest.clone());
        kept.write_all(b"one ").and_then(|()| kept.write_all(b"two")).expect("it takes everything");
        assert_eq!(rest.bytes(), b"one two");
        assert_eq!(kept.flush().expect_err("it is told").kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_a_file_takes_is_not_kept() {
        let rest = Rest::default();
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut kept = Kept::new(file.reopen().expect("it is there"), rest.clone());
        kept.write_all(b"one").and_then(|()| kept.flush()).expect("written");
        assert_eq!((rest.bytes(), std::fs::read(file.path()).expect("read")), (Vec::new(), b"one".to_vec()));
    }
}
