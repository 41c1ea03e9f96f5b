//! One HTTP/2 connection, by h2, whose streams are told apart down to the bytes that each read brought.
//!
//! Its machinery runs in a task of its own, so that reads are taken and stamped whoever of its streams is held up.

mod arrivals;
mod frames;
mod watched;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::{Request, Response};
use tokio::sync::Notify;

use arrivals::Arrivals;
pub use arrivals::Completed;
use watched::Watched;

use super::io::{Read, Wire};
use super::route::Place;

/// How much of a body may come ahead of its reader, in bytes: as hyper has it.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// How much of all bodies may, at the least and at the most.
const WINDOW_BYTES: std::ops::RangeInclusive<u32> = 5 << 20..=i32::MAX as u32;

/// One connection; copies share it, and it ends with the last of them and of its streams.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    shared: Rc<Shared>,
}

struct Shared {
    arrivals: Rc<RefCell<Arrivals>>,
    /// Woken when there may be room for another stream, or never will be.
    changed: Rc<Notify>,
    /// The machinery has ended, with this failure if it had one.
    ended: Cell<bool>,
    failure: RefCell<Option<Rc<h2::Error>>>,
}

/// An answer's body that is still coming; dropped before its end, it resets its stream alone.
#[derive(Debug)]
pub struct Streamed {
    receiver: RecvStream,
    watch: Watch,
    /// Body bytes that were handed out.
    bytes: u64,
}

/// A stream whose arrivals are kept while this is.
struct Watch {
    stream: u32,
    arrivals: Rc<RefCell<Arrivals>>,
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Http2").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Watch({})", self.stream)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.arrivals.borrow_mut().close(self.stream);
    }
}

impl Http2 {
    /// Speaks over a new byte stream, for so many streams at a time. Needs a `LocalSet`.
    ///
    /// # Errors
    /// The preface could not be sent.
    pub async fn handshake(wire: Wire, place: Option<Place>, streams: u32) -> Result<Self, Rc<h2::Error>> {
        let arrivals = Rc::new(RefCell::new(Arrivals::default()));
        let watched = Watched::new(wire, Rc::clone(&arrivals));
        // A reader that is held up must not hold up the others.
        let window = STREAM_WINDOW_BYTES.saturating_mul(streams).clamp(*WINDOW_BYTES.start(), *WINDOW_BYTES.end());
        let (sender, machine) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(window)
            .handshake(watched)
            .await
            .map_err(Rc::new)?;
        let changed = arrivals.borrow().changed();
        let shared = Rc::new(Shared { arrivals, changed, ended: Cell::new(false), failure: RefCell::default() });
        let told = Rc::downgrade(&shared);
        tokio::task::spawn_local(async move {
            let ended = machine.await;
            drop(place);
            if let Some(shared) = told.upgrade() {
                shared.failure.replace(ended.err().map(Rc::new));
                shared.ended.set(true);
                shared.changed.notify_waiters();
            }
        });
        Ok(Self { sender, shared })
    }

    /// Whether it takes new streams, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.shared.ended.get() && !self.shared.arrivals.borrow().is_going_away()
    }

    /// How many streams the server allows at a time; any number before it has said so.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// The number of the last read of the connection.
    pub(super) fn last_read(&self) -> u64 {
        self.shared.arrivals.borrow().last_read()
    }

    /// Whether the server has said how many streams it allows.
    pub(super) fn is_settled(&self) -> bool {
        self.shared.arrivals.borrow().is_settled()
    }

    /// Waits until it has, or takes none.
    pub(super) async fn settled(&self) {
        self.until(|| self.is_settled()).await;
    }

    /// Waits until this holds, or no new stream is taken.
    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            if holds() || !self.is_open() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the server allows one more stream.
    ///
    /// # Errors
    /// The connection broke, or the server takes no more streams.
    pub async fn ready(&mut self) -> Result<(), Rc<h2::Error>> {
        self.until(|| self.shared.arrivals.borrow().open_streams() < self.streams_max()).await;
        let ready = poll_fn(|cx| self.sender.poll_ready(cx)).await;
        ready.map_err(|error| self.told(error))
    }

    /// Sends a request and waits for the answer's headers; tells which read completed them.
    ///
    /// # Errors
    /// The connection broke, or the stream was refused.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<(Response<()>, Streamed, Read), Rc<h2::Error>> {
        self.ready().await?;
        let (mut head, body) = request.into_parts();
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let sent = self.sender.send_request(Request::from_parts(head, ()), body.is_empty());
        let (answer, mut out) = sent.map_err(|error| self.told(error))?;
        let stream = answer.stream_id().as_u32();
        self.shared.arrivals.borrow_mut().open(stream);
        let watch = Watch { stream, arrivals: Rc::clone(&self.shared.arrivals) };
        if !body.is_empty() {
            out.send_data(body, true).map_err(|error| self.told(error))?;
        }
        let (head, receiver) = answer.await.map_err(|error| self.told(error))?.into_parts();
        let read = watch.arrivals.borrow().headers(stream).unwrap_or_default();
        Ok((Response::from_parts(head, ()), Streamed { receiver, watch, bytes: 0 }, read))
    }

    /// What broke the connection is more telling than that it is gone.
    fn told(&self, error: h2::Error) -> Rc<h2::Error> {
        let failure = self.shared.failure.borrow().clone();
        failure.filter(|_| !error.is_reset()).unwrap_or_else(|| Rc::new(error))
    }
}

/// Bytes of a body, and when the frame that carried them had come whole.
type Frame = (Bytes, Completed);

impl Streamed {
    /// When its latest frame had come whole, in nanoseconds.
    pub(super) fn latest_ns(&self) -> Option<u64> {
        self.watch.arrivals.borrow().latest_ns(self.watch.stream)
    }

    /// The next frame of the body that has bytes, and when it had come whole; none at the end.
    ///
    /// # Errors
    /// The connection or the stream broke.
    ///
    /// # Panics
    /// Never: the codec gives only what was read.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Rc<h2::Error>>> {
        loop {
            let Some(data) = ready!(self.receiver.poll_data(cx)) else { return Poll::Ready(Ok(None)) };
            let data = data.map_err(Rc::new)?;
            if data.is_empty() {
                continue;
            }
            self.bytes += data.len() as u64;
            let _ = self.receiver.flow_control().release_capacity(data.len());
            let completed = self.watch.arrivals.borrow_mut().take(self.watch.stream, self.bytes);
            let completed = completed.expect("a frame that the codec gives has come whole");
            return Poll::Ready(Ok(Some((data, completed))));
        }
    }
}
