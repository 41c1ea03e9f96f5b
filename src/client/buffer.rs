//! One read buffer for all streams of a worker: a stream that waits holds none.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Poll, ready};

use tokio::io::ReadBuf;

/// The most that one read takes, in bytes: what a TCP segment on loopback has.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A worker's read buffer. It is away while what was read into it is being handled, which takes no waiting.
#[derive(Debug, Default)]
pub struct Buffer(RefCell<Vec<u8>>);

/// What one read gave, and nobody has taken yet; the buffer goes back when it is dropped.
#[derive(Debug, Default)]
pub struct Filled {
    data: Vec<u8>,
    start: usize,
    end: usize,
    home: Option<Rc<Buffer>>,
}

impl Buffer {
    /// Reads into the buffer; it is taken only when something came.
    pub fn fill(
        self: &Rc<Self>,
        read: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<Filled>> {
        let mut data = self.0.take();
        // The first time, or when somebody kept the last one over a wait.
        data.resize(READ_BYTES_MAX, 0);
        let mut filled = Filled { data, start: 0, end: 0, home: Some(Rc::clone(self)) };
        let mut buf = ReadBuf::new(&mut filled.data);
        ready!(read(&mut buf))?;
        filled.end = buf.filled().len();
        Poll::Ready(Ok(filled))
    }
}

impl Filled {
    /// The bytes that were read; none at the end of the stream.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Takes this many of the bytes; with the last of them the buffer goes back.
    pub fn take(&mut self, bytes: usize) {
        self.start += bytes;
        if self.bytes().is_empty() {
            *self = Self::default();
        }
    }

    /// Makes the bytes its own: what is kept over a wait must not keep the buffer from the other streams.
    pub fn keep(&mut self) {
        if self.home.is_some() {
            *self = Self::from(self.bytes().to_vec());
        }
    }

    /// Adds what a later read gave.
    pub fn append(&mut self, later: Self) {
        if self.bytes().is_empty() {
            *self = later;
        } else {
            *self = Self::from([self.bytes(), later.bytes()].concat());
        }
    }
}

impl From<Vec<u8>> for Filled {
    fn from(data: Vec<u8>) -> Self {
        Self { start: 0, end: data.len(), data, home: None }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.0.replace(std::mem::take(&mut self.data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &Rc<Buffer>, text: &[u8]) -> Filled {
        let filled = buffer.fill(|buf| {
            buf.put_slice(text);
            Poll::Ready(Ok(()))
        });
        let Poll::Ready(Ok(filled)) = filled else { panic!("it was filled") };
        filled
    }

    #[test]
    fn the_buffer_comes_back_and_a_second_reader_gets_one_of_its_own() {
        let buffer = Rc::new(Buffer::default());
        let (one, two) = (fill(&buffer, b"one"), fill(&buffer, b"second"));
        assert_eq!((one.bytes(), two.bytes()), (&b"one"[..], &b"second"[..]));
        drop((one, two));
        assert_eq!(fill(&buffer, b"").bytes(), b"");
        assert!(buffer.fill(|_| Poll::Pending).is_pending());
        assert_eq!(buffer.0.borrow().len(), READ_BYTES_MAX);
    }

    #[test]
    fn what_is_kept_or_taken_to_its_end_gives_the_buffer_back() {
        let buffer = Rc::new(Buffer::default());
        let is_home = || buffer.0.borrow().len() == READ_BYTES_MAX;
        let mut filled = fill(&buffer, b"one, two");
        filled.take(5);
        assert_eq!((filled.bytes(), is_home()), (&b"two"[..], false));
        filled.keep();
        assert_eq!((filled.bytes(), is_home()), (&b"two"[..], true));
        filled.append(fill(&buffer, b", three"));
        assert_eq!((filled.bytes(), is_home()), (&b"two, three"[..], true));
        filled.take(10);
        filled.append(fill(&buffer, b"four"));
        assert_eq!((filled.bytes(), is_home()), (&b"four"[..], false));
        filled.take(4);
        assert_eq!((filled.bytes(), is_home()), (&b""[..], true));
    }
}
