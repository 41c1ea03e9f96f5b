//! The I/O object of the measured path: a byte stream that notes when it read and when it wrote.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::clock::Clock;

/// What happened on one connection, below TLS; shared between the I/O object and whoever asks.
#[derive(Debug, Default)]
pub struct Traffic {
    reads: Cell<u64>,
    read_bytes: Cell<u64>,
    last_read_ns: Cell<u64>,
    last_write_ns: Cell<u64>,
}

impl Traffic {
    /// Reads that brought bytes so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Bytes read so far, headers and framing included.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.get()
    }

    /// When the last read brought bytes, in nanoseconds.
    #[must_use]
    pub fn last_read_ns(&self) -> u64 {
        self.last_read_ns.get()
    }

    /// Just before the last write call that took bytes, in nanoseconds.
    #[must_use]
    pub fn last_write_ns(&self) -> u64 {
        self.last_write_ns.get()
    }
}

/// A byte stream that notes its traffic.
#[derive(Debug)]
pub struct Stamped<T> {
    inner: T,
    clock: Clock,
    traffic: Rc<Traffic>,
}

impl<T> Stamped<T> {
    /// Wraps a stream; its traffic is noted on the given clock.
    pub fn new(inner: T, clock: Clock) -> (Self, Rc<Traffic>) {
        let traffic = Rc::new(Traffic::default());
        (Self { inner, clock, traffic: Rc::clone(&traffic) }, traffic)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stamped<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let got = (buf.filled().len() - before) as u64;
        if got > 0 {
            self.traffic.last_read_ns.set(self.clock.now());
            self.traffic.reads.set(self.traffic.reads.get() + 1);
            self.traffic.read_bytes.set(self.traffic.read_bytes.get() + got);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Stamped<T> {
    /// Runs one write call and notes the instant before it when it took bytes.
    fn noting(&mut self, write: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let at = self.clock.now();
        let taken = ready!(write(Pin::new(&mut self.inner)))?;
        if taken > 0 {
            self.traffic.last_write_ns.set(at);
        }
        Poll::Ready(Ok(taken))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stamped<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.noting(|inner| inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.noting(|inner| inner.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The kinds of stream that an invocation runs over.
#[derive(Debug)]
pub enum Wire {
    /// TCP in the clear.
    Tcp(Stamped<TcpStream>),
    /// TLS over TCP; the stamps are those of the socket below.
    Tls(Box<TlsStream<Stamped<TcpStream>>>),
    /// An in-memory pipe, for simulations.
    Pipe(Stamped<DuplexStream>),
}

/// Runs `$call` on whichever stream a [`Wire`] is.
macro_rules! each_wire {
    ($self:expr, $io:ident => $call:expr) => {
        match $self {
            Wire::Tcp($io) => $call,
            Wire::Tls($io) => $call,
            Wire::Pipe($io) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each_wire!(&mut *self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each_wire!(&mut *self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each_wire!(&mut *self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each_wire!(self, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_wire!(&mut *self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each_wire!(&mut *self, io => Pin::new(io).poll_shutdown(cx))
    }
}
