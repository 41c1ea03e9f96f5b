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

/// What one read gave; the buffer goes back when it is dropped.
#[derive(Debug)]
pub struct Filled {
    data: Vec<u8>,
    length: usize,
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
        let mut filled = Filled { data, length: 0, home: Some(Rc::clone(self)) };
        let mut buf = ReadBuf::new(&mut filled.data);
        ready!(read(&mut buf))?;
        filled.length = buf.filled().len();
        Poll::Ready(Ok(filled))
    }
}

impl Filled {
    /// The bytes that were read; none at the end of the stream.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.data[..self.length]
    }
}

impl From<Vec<u8>> for Filled {
    fn from(data: Vec<u8>) -> Self {
        Self { length: data.len(), data, home: None }
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

    #[test]
    fn the_buffer_comes_back_and_a_second_reader_gets_one_of_its_own() {
        let buffer = Rc::new(Buffer::default());
        let fill = |text: &'static [u8]| {
            let filled = buffer.fill(|buf| {
                buf.put_slice(text);
                Poll::Ready(Ok(()))
            });
            let Poll::Ready(Ok(filled)) = filled else { panic!("it was filled") };
            filled
        };
        let (one, two) = (fill(b"one"), fill(b"second"));
        assert_eq!((one.bytes(), two.bytes()), (&b"one"[..], &b"second"[..]));
        drop((one, two));
        assert_eq!(fill(b"").bytes(), b"");
        assert!(buffer.fill(|_| Poll::Pending).is_pending());
        assert_eq!(buffer.0.borrow().len(), READ_BYTES_MAX);
    }
}
