//! Reads TCP sockets together with the kernel's receive stamps.
//!
//! `recvmsg` gives back the wall-clock instant at which the kernel received the last segment of what it returned
//! (`SO_TIMESTAMPNS`). On other platforms sockets are read as usual, without stamps.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

#[cfg(target_os = "linux")]
pub(super) use linux::Receiver;
#[cfg(not(target_os = "linux"))]
pub(super) use plain::Receiver;

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::io::IoSliceMut;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::task::ready;
    use std::time::Duration;

    use nix::sys::socket::sockopt::ReceiveTimestampns;
    use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType};
    use nix::sys::socket::{recvmsg, setsockopt, socket};
    use nix::sys::time::TimeSpec;
    use tokio::io::Interest;

    use super::*;
    use crate::units;

    /// What the reads of a worker share.
    #[derive(Debug)]
    pub(in super::super) struct Receiver {
        /// Where the kernel puts the stamp of a read.
        control: RefCell<Vec<u8>>,
        /// The kernel stamps packets only while some socket asks for it, and takes a moment to begin: this one asks all
        /// the time. None when no stamps are wanted.
        asking: Option<OwnedFd>,
    }

    /// What one read gave.
    struct Received {
        bytes: usize,
        wall_ns: Option<u64>,
    }

    impl Receiver {
        pub(in super::super) fn new(stamps: bool) -> Self {
            let control = RefCell::new(nix::cmsg_space!(nix::libc::timespec));
            Self { control, asking: stamps.then(asking_socket).flatten() }
        }

        /// Asks the kernel to stamp what this socket receives. A socket for which that fails has no stamps.
        pub(in super::super) fn ask_for_stamps(&self, stream: &TcpStream) {
            if self.asking.is_some() {
                let _ = setsockopt(stream, ReceiveTimestampns, &true);
            }
        }

        /// Reads once; gives the kernel's stamp on the wall clock, in nanoseconds.
        pub(in super::super) fn poll_receive(
            &self,
            stream: &mut TcpStream,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<Option<u64>>> {
            if self.asking.is_none() {
                return Pin::new(stream).poll_read(cx, buf).map_ok(|()| None);
            }
            let mut control = self.control.borrow_mut();
            let want = buf.remaining();
            loop {
                ready!(stream.poll_read_ready(cx))?;
                let mut received = None;
                let tried = stream.try_io(Interest::READABLE, || {
                    let got = received.insert(receive(stream, buf.initialize_unfilled(), &mut control)?);
                    // A short read has emptied the socket, and the readiness is edge-triggered: saying "would block" now
                    // clears it as tokio's own reads do, and saves the call that would only find nothing.
                    let emptied = 0 < got.bytes && got.bytes < want;
                    if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
                });
                match (received, tried) {
                    (Some(got), _) => {
                        buf.advance(got.bytes);
                        return Poll::Ready(Ok(got.wall_ns));
                    }
                    (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                    (None, Err(error)) => return Poll::Ready(Err(error)),
                    (None, Ok(())) => unreachable!("an attempt that went well has received"),
                }
            }
        }
    }

    fn receive(stream: &TcpStream, data: &mut [u8], control: &mut [u8]) -> io::Result<Received> {
        let mut into = [IoSliceMut::new(data)];
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut into, Some(control), MsgFlags::empty())?;
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(unix_ns(at)),
            _ => None,
        });
        Ok(Received { bytes: message.bytes, wall_ns: stamp })
    }

    fn unix_ns(at: TimeSpec) -> u64 {
        units::ns(Duration::from(at))
    }

    /// A socket that receives nothing and asks for stamps.
    fn asking_socket() -> Option<OwnedFd> {
        let asking = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
        setsockopt(&asking, ReceiveTimestampns, &true).ok()?;
        Some(asking)
    }
}

#[cfg(not(target_os = "linux"))]
mod plain {
    use super::*;

    /// What the reads of a worker share: nothing here.
    #[derive(Debug)]
    pub(in super::super) struct Receiver;

    impl Receiver {
        pub(in super::super) fn new(_stamps: bool) -> Self {
            Self
        }

        pub(in super::super) fn ask_for_stamps(&self, _stream: &TcpStream) {}

        /// Reads once; there is never a stamp.
        pub(in super::super) fn poll_receive(
            &self,
            stream: &mut TcpStream,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<Option<u64>>> {
            Pin::new(stream).poll_read(cx, buf).map_ok(|()| None)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use crate::client::Stamper;
    use crate::clock::Clock;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let ours = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        (ours, listener.accept().await.expect("somebody connects").0)
    }

    async fn receive(stamper: &Stamper, stream: &mut TcpStream, buf: &mut ReadBuf<'_>) -> Option<u64> {
        poll_fn(|cx| stamper.receiver().poll_receive(stream, cx, buf)).await.expect("the connection stands")
    }

    #[tokio::test]
    async fn the_stamp_is_of_the_arrival_and_not_of_the_read() {
        let clock = Clock::start();
        let stamper = Stamper::new(clock);
        let (mut ours, mut theirs) = pair().await;
        stamper.receiver().ask_for_stamps(&ours);
        // The kernel begins to stamp a moment after it is asked to.
        for _ in 0..10_000 {
            let sent_ns = clock.now();
            theirs.write_all(b"x").await.expect("the connection stands");
            ours.readable().await.expect("the connection stands");
            let arrived_ns = clock.now();
            let mut space = [0; 8];
            let mut buf = ReadBuf::new(&mut space);
            let wall_ns = receive(&stamper, &mut ours, &mut buf).await;
            assert_eq!(buf.filled(), b"x");
            let stamp = stamper.stamp(wall_ns, 0);
            if stamp.kernel {
                let error_ns = stamper.figures().mapping.error_ns_max;
                let earliest_ns = sent_ns.saturating_sub(error_ns);
                assert!((earliest_ns..=arrived_ns + error_ns).contains(&stamp.arrival_ns), "{stamp:?}");
                return;
            }
        }
        panic!("the kernel never stamped");
    }

    #[tokio::test]
    async fn everything_is_read_in_order_to_the_end_whatever_the_size_of_the_reads() {
        let stamper = Stamper::new(Clock::start());
        let (mut ours, mut theirs) = pair().await;
        stamper.receiver().ask_for_stamps(&ours);
        let sent: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            for piece in sent.chunks(1_357) {
                theirs.write_all(piece).await.expect("the connection stands");
            }
        });
        let (mut got, mut space) = (Vec::new(), vec![0; 9_000]);
        for size in (1..).map(|round| 1 + round * 37 % 9_000) {
            let mut buf = ReadBuf::new(&mut space[..size]);
            receive(&stamper, &mut ours, &mut buf).await;
            if buf.filled().is_empty() {
                break;
            }
            got.extend_from_slice(buf.filled());
        }
        writing.await.expect("the writer ends");
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    }
}
