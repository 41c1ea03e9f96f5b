//! One HTTP/1.1 connection: a request goes out, a head comes back, and the body is read as it comes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Error;
use super::head::{self, Head};
use crate::client::buffer::{Buffer, Filled};
use crate::client::io::{Traffic, Wire};

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// One connection.
#[derive(Debug)]
pub struct Http1 {
    wire: Wire,
    buffer: Rc<Buffer>,
    /// Of a head that has not come whole; then what came behind it, until it is read.
    carried: Filled,
}

impl Http1 {
    /// Speaks over a new byte stream; `buffer` is its worker's.
    #[must_use]
    pub fn new(wire: Wire, buffer: Rc<Buffer>) -> Self {
        Self { wire, buffer, carried: Filled::default() }
    }

    /// What happened on its byte stream.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        self.wire.traffic()
    }

    /// Sends a request and waits for the answer's head. An answer that comes while the request is still going out ends
    /// the sending: then, the connection is not to be used again.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP.
    pub async fn send(&mut self, request: &[u8]) -> Result<Head, Error> {
        let mut outgoing = Outgoing { unsent: request, flushed: false };
        loop {
            if let Some(mut head) = self.take_head()? {
                head.keeps_alive &= outgoing.flushed;
                return Ok(head);
            }
            self.carried.keep();
            let read = poll_fn(|cx| {
                outgoing.poll(&mut self.wire, cx);
                self.poll_wire(cx)
            });
            let filled = read.await?;
            if filled.bytes().is_empty() {
                return Err(Error::ClosedInHead);
            }
            self.carried.append(filled);
        }
    }

    /// Reads what has come of the body; nothing when the connection has closed.
    ///
    /// # Errors
    /// The connection broke.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        if self.has_carried() {
            return Poll::Ready(Ok(std::mem::take(&mut self.carried)));
        }
        self.poll_wire(cx)
    }

    /// Whether something came behind the last head that nobody has read.
    #[must_use]
    pub fn has_carried(&self) -> bool {
        !self.carried.bytes().is_empty()
    }

    /// Whether another request can be sent: neither a close nor stray bytes have come.
    pub async fn is_idle(&mut self) -> bool {
        !self.has_carried() && poll_fn(|cx| Poll::Ready(self.poll_wire(cx).is_pending())).await
    }

    /// The final head among what was carried, when it is whole; what comes before it (RFC 9110 §15.2) is skipped.
    fn take_head(&mut self) -> Result<Option<Head>, Error> {
        while let Some((head, length)) = head::parse(self.carried.bytes())? {
            self.carried.take(length);
            let status = head.response.status();
            // 101 would be the last thing that is HTTP here.
            if !status.is_informational() || status.as_u16() == 101 {
                return Ok(Some(head));
            }
        }
        if self.carried.bytes().len() > HEAD_BYTES_MAX {
            return Err(Error::HeadTooLong { limit: HEAD_BYTES_MAX });
        }
        Ok(None)
    }

    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Filled>> {
        self.buffer.fill(|buf: &mut ReadBuf<'_>| Pin::new(&mut self.wire).poll_read(cx, buf))
    }
}

/// A request on its way out.
struct Outgoing<'a> {
    unsent: &'a [u8],
    flushed: bool,
}

impl Outgoing<'_> {
    /// Writes as much as goes. That it can't be written is no reason not to read the answer: a server may refuse a
    /// request before it has taken all of it, and a connection that is broken says so to its reader too.
    fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) {
        while !self.unsent.is_empty() {
            match Pin::new(&mut *wire).poll_write(cx, self.unsent) {
                Poll::Ready(Ok(taken)) if taken > 0 => self.unsent = &self.unsent[taken..],
                _ => return,
            }
        }
        if !self.flushed {
            self.flushed = matches!(Pin::new(wire).poll_flush(cx), Poll::Ready(Ok(())));
        }
    }
}
