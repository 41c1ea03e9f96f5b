//! The I/O object of the measured path: a byte stream that notes when what it read arrived and when it wrote.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::records::Records;
use super::stamper::{Stamp, Stamper};

/// What happened on one connection, below TLS.
#[derive(Debug, Default)]
pub struct Traffic {
    last_read: Read,
    last_write_ns: u64,
}

/// One read that brought bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    /// Its number on the connection, from 1.
    pub number: u64,
    /// When its last byte arrived.
    pub stamp: Stamp,
    /// None of its bytes had arrived before this, in nanoseconds.
    pub earliest_ns: u64,
    /// It filled the buffer: the next one may bring bytes that arrived together with these.
    pub(super) filled: bool,
    /// It stopped inside a TLS record: the last of its bytes, which the stamp is of, are of what comes out later.
    pub(super) cut: bool,
}

impl Traffic {
    /// The last read that brought bytes; its number is 0 when there was none.
    #[must_use]
    pub fn last_read(&self) -> Read {
        self.last_read
    }

    /// Just before the last write call that took bytes, in nanoseconds.
    #[must_use]
    pub fn last_write_ns(&self) -> u64 {
        self.last_write_ns
    }

    /// Notes a read. `turn_earliest_ns` says since when its bytes can have waited to be looked at.
    fn read(&mut self, stamp: Stamp, (filled, cut): (bool, bool), turn_earliest_ns: Option<u64>) {
        let before = self.last_read;
        let since_ns = if before.filled { before.earliest_ns } else { before.stamp.arrival_ns };
        let earliest_ns = since_ns.max(turn_earliest_ns.unwrap_or(0)).min(stamp.arrival_ns);
        self.last_read = Read { number: before.number + 1, stamp, earliest_ns, filled, cut };
    }
}

/// The kinds of byte stream at the bottom.
#[derive(Debug)]
pub enum Raw {
    /// TCP.
    Tcp(TcpStream),
    /// An in-memory pipe, for simulations.
    Pipe(DuplexStream),
}

/// A byte stream that notes its traffic.
#[derive(Debug)]
pub struct Stamped {
    raw: Raw,
    stamper: Rc<Stamper>,
    traffic: Traffic,
    /// Where TLS is spoken over it.
    records: Option<Records>,
    /// The latest attempt to read found nothing: what comes next, the loop's turn found.
    waits: bool,
}

impl Stamped {
    /// Wraps a stream; its reads are stamped by `stamper`.
    pub fn new(raw: Raw, stamper: &Rc<Stamper>) -> Self {
        if let Raw::Tcp(stream) = &raw {
            stamper.receiver().ask_for_stamps(stream);
        }
        Self { raw, stamper: Rc::clone(stamper), traffic: Traffic::default(), records: None, waits: false }
    }

    /// The same, as what TLS is spoken over from here on.
    #[must_use]
    pub fn under_tls(self) -> Self {
        Self { records: Some(Records::default()), ..self }
    }

    /// Runs one write call and notes the instant before it when it took bytes.
    fn noting(&mut self, write: impl FnOnce(&mut Raw) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let at = self.stamper.clock().now();
        let taken = ready!(write(&mut self.raw))?;
        if taken > 0 {
            self.traffic.last_write_ns = at;
        }
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for Stamped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { raw, stamper, traffic, records, waits } = &mut *self;
        let before = buf.filled().len();
        let polled = match raw {
            Raw::Tcp(stream) => stamper.receiver().poll_receive(stream, cx, buf),
            Raw::Pipe(pipe) => Pin::new(pipe).poll_read(cx, buf).map_ok(|()| None),
        };
        // What was there at once may have been there for many turns, as where a slow reader comes back.
        let waited = std::mem::replace(waits, polled.is_pending());
        let wall_ns = ready!(polled)?;
        let got = buf.filled().len() - before;
        if got > 0 {
            let stamp = stamper.stamp(wall_ns, traffic.last_read().stamp.arrival_ns);
            let turn_earliest_ns = if waited { stamper.clock().turn_earliest_ns() } else { None };
            let cut = records.as_mut().is_some_and(|records| {
                records.take(&buf.filled()[before..]);
                records.are_cut()
            });
            traffic.read(stamp, (buf.remaining() == 0, cut), turn_earliest_ns);
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs `$call` on whichever stream `$self` is.
macro_rules! each {
    ($kind:ident: $($variant:ident)|+, $self:expr, $io:ident => $call:expr) => {
        match $self {
            $($kind::$variant($io) => $call,)+
        }
    };
}

impl AsyncWrite for Stamped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.noting(|raw| each!(Raw: Tcp | Pipe, raw, io => Pin::new(io).poll_write(cx, buf)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.noting(|raw| each!(Raw: Tcp | Pipe, raw, io => Pin::new(io).poll_write_vectored(cx, bufs)))
    }

    fn is_write_vectored(&self) -> bool {
        each!(Raw: Tcp | Pipe, &self.raw, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Raw: Tcp | Pipe, &mut self.raw, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Raw: Tcp | Pipe, &mut self.raw, io => Pin::new(io).poll_shutdown(cx))
    }
}

/// What an invocation runs over; the stamps are always those of the stream at the bottom.
#[derive(Debug)]
pub enum Wire {
    /// In the clear.
    Clear(Stamped),
    /// TLS.
    Tls(Box<TlsStream<Stamped>>),
}

impl Wire {
    /// What happened on it, below TLS.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        match self {
            Self::Clear(stream) => &stream.traffic,
            Self::Tls(stream) => &stream.get_ref().0.traffic,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(Wire: Clear | Tls, &mut *self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(Wire: Clear | Tls, &mut *self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(Wire: Clear | Tls, &mut *self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(Wire: Clear | Tls, self, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Wire: Clear | Tls, &mut *self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(Wire: Clear | Tls, &mut *self, io => Pin::new(io).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(arrival_ns: u64) -> Stamp {
        Stamp { arrival_ns, kernel: true }
    }

    #[test]
    fn a_read_says_how_long_before_its_stamp_its_first_byte_can_have_come() {
        let mut traffic = Traffic::default();
        let mut earliest_ns = |stamp, filled, turn_earliest_ns| {
            traffic.read(stamp, (filled, false), turn_earliest_ns);
            traffic.last_read().earliest_ns
        };
        assert_eq!(earliest_ns(kernel(1_000), false, None), 0, "nothing is known");
        assert_eq!(earliest_ns(kernel(2_000), false, Some(500)), 1_000, "the read before it left nothing behind");
        assert_eq!(earliest_ns(kernel(3_000), true, Some(2_700)), 2_700, "nor had the loop's turn before it");
        assert_eq!(
            earliest_ns(kernel(3_100), false, Some(2_600)),
            2_700,
            "the buffer was full: the rest came no earlier than the first part"
        );
        assert_eq!(earliest_ns(kernel(4_000), false, Some(4_200)), 4_000, "it woke the thread");
        assert_eq!(traffic.last_read().number, 5);
    }

    #[tokio::test]
    async fn a_read_under_tls_says_whether_it_stopped_inside_a_record() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Stamped::new(Raw::Pipe(near), &Stamper::new(crate::clock::Clock::start())).under_tls();
        for (bytes, cut) in [(&b"\x17\x03\x03\0\x02ab"[..], false), (b"\x17\x03\x03\0\x02a", true), (b"b", false)] {
            far.write_all(bytes).await.expect("the pipe stands");
            near.read_exact(&mut vec![0; bytes.len()]).await.expect("the pipe stands");
            assert_eq!(near.traffic.last_read().cut, cut, "{bytes:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_lay_there_when_a_reader_came_back_is_not_said_to_have_come_since() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = crate::clock::watch_turns(builder.enable_all()).build().expect("a runtime");
        runtime.block_on(async {
            let clock = crate::clock::Clock::start();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let near = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
            let (mut far, _) = listener.accept().await.expect("a connection");
            let mut near = Stamped::new(Raw::Tcp(near), &Stamper::new(clock));
            let mut byte = [0];
            for _ in 0..3 {
                far.write_all(b"x").await.expect("written");
                let written_ns = clock.now();
                // The loop looks a few times while nobody reads.
                for _ in 0..3 {
                    clock.sleep_until(clock.now() + 50_000).await;
                }
                near.read_exact(&mut byte).await.expect("a byte");
                let read = near.traffic.last_read();
                assert!(read.earliest_ns <= written_ns, "{read:?} was written by {written_ns}");
            }
        });
    }
}
