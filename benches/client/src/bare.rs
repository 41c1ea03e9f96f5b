//! The floor: epoll, recvmsg with the kernel's stamps, and a scan for the ends of events. Nothing is decoded.

use std::io::{IoSliceMut, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};

use crate::measure;
use crate::workload::{BODY, PATH, Pace, Workload};

pub fn run(workload: Workload, port: u16) {
    measure::start(workload);
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
    let mut streams: Vec<TcpStream> = Vec::new();
    let mut events = vec![EpollEvent::empty(); 1_024];
    let mut reader = Reader::new(matches!(workload.pace, Pace::AtOnce(_)));
    let origin = Instant::now();
    loop {
        while streams.len() < workload.streams && origin.elapsed() >= workload.opened_after(streams.len()) {
            streams.push(open(&epoll, &request, port, streams.len() as u64));
        }
        let timeout = if streams.len() < workload.streams { EpollTimeout::from(1u8) } else { EpollTimeout::NONE };
        let ready = match epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            ready => ready.expect("an epoll can be waited for"),
        };
        for event in &events[..ready] {
            let stream = &mut streams[usize::try_from(event.data()).expect("an index")];
            if reader.read(stream) {
                stream.write_all(request.as_bytes()).expect("the server listens");
            }
        }
    }
}

fn open(epoll: &Epoll, request: &str, port: u16, number: u64) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_nodelay(true).expect("TCP knows this");
    setsockopt(&stream, ReceiveTimestampns, &true).expect("Linux knows this");
    stream.write_all(request.as_bytes()).expect("the server listens");
    stream.set_nonblocking(true).expect("sockets know this");
    epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, number)).expect("it is watched");
    stream
}

struct Reader {
    data: Vec<u8>,
    control: Vec<u8>,
    event_end: Finder<'static>,
    body_end: Finder<'static>,
    /// Responses end, and the next request follows.
    ends: bool,
    last: (Duration, Option<Instant>),
}

impl Reader {
    fn new(ends: bool) -> Self {
        Self {
            data: vec![0; 64 * 1_024],
            control: nix::cmsg_space!(nix::sys::time::TimeSpec),
            event_end: Finder::new(b"}\n\n"),
            body_end: Finder::new(b"\r\n0\r\n\r\n"),
            ends,
            last: (Duration::ZERO, None),
        }
    }

    /// Reads what is there; says whether a response has ended.
    fn read(&mut self, stream: &TcpStream) -> bool {
        let mut into = [IoSliceMut::new(&mut self.data)];
        let message = match recvmsg::<()>(stream.as_raw_fd(), &mut into, Some(&mut self.control), MsgFlags::empty()) {
            Err(Errno::EAGAIN) => return false,
            message => message.expect("the connection stands"),
        };
        for control in message.cmsgs().expect("there is room for the stamp") {
            if let ControlMessageOwned::ScmTimestampns(at) = control {
                self.last.0 = Duration::from(at);
            }
        }
        let bytes = message.bytes;
        self.last.1 = Some(Instant::now());
        std::hint::black_box(self.last);
        let data = &self.data[..bytes];
        self.event_end.find_iter(data).for_each(|_| measure::event());
        self.ends && self.body_end.find(&data[bytes.saturating_sub(64)..]).is_some()
    }
}
