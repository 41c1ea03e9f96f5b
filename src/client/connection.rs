//! One HTTP connection that we own: nothing is pooled, resent or redirected behind our back.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::{Request, Response};
use thiserror::Error;

use super::buffer::Filled;
use super::dial::Dialed;
use super::http1::{self, Decoder, Http1};
use super::http2::{Completed, Http2, Streamed};
use super::io::{Read, Traffic};
use super::pool::Lease;
use super::route::Place;
use super::stamper::Stamper;
use crate::metrics::Outcome;
use crate::metrics::tracker::End;
use crate::profile::{Connection as Policy, Http};

/// Which HTTP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Why an exchange broke.
#[derive(Debug, Error)]
pub enum Error {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] http1::Error),
    /// Over HTTP/2; what breaks a connection breaks all of its streams.
    #[error(transparent)]
    Http2(#[from] Rc<h2::Error>),
}

/// One HTTP connection, or a place on one that is shared.
#[derive(Debug)]
pub struct Connection {
    wire: Speaking,
    /// The last answer allows another request.
    keeps_alive: bool,
    /// Invocations that it has served.
    pub served: u64,
    lease: Option<Lease>,
    /// The last read that brought something of this invocation; over HTTP/2.
    last_read: u64,
    _place: Option<Place>,
}

#[derive(Debug)]
enum Speaking {
    Http1(Http1),
    Http2(Http2),
}

/// An answer's body that is still coming.
#[derive(Debug)]
pub enum Body {
    /// Over HTTP/1.1: what is read is the connection's, framing and all.
    Http1(Decoder),
    /// Over HTTP/2: frames of this stream alone.
    Http2(Streamed),
}

/// What came of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes of the connection, framing and all; none when it has closed.
    Read(Filled),
    /// Bytes of the body, and when their frame had come whole.
    Frame(Bytes, Completed),
    /// Its end.
    End,
}

impl Connection {
    /// Speaks HTTP over a new byte stream, over HTTP/2 for so many streams. HTTP/2 needs a `LocalSet`.
    ///
    /// # Errors
    /// The HTTP/2 preface could not be sent.
    pub async fn handshake(dialed: Dialed, http: Http, streams: u32, stamper: &Stamper) -> Result<Self, Error> {
        let Dialed { wire, h2_agreed, place } = dialed;
        let (wire, place) = if http == Http::Http2 || h2_agreed {
            (Speaking::Http2(Http2::handshake(wire, place, streams).await?), None)
        } else {
            (Speaking::Http1(Http1::new(wire, Rc::clone(stamper.buffer()))), place)
        };
        Ok(Self { wire, keeps_alive: true, served: 0, lease: None, last_read: 0, _place: place })
    }

    /// A place on a shared connection.
    pub(super) fn leased(wire: Http2, lease: Lease) -> Self {
        let (served, last_read) = (lease.served_before(), wire.last_read());
        Self { wire: Speaking::Http2(wire), keeps_alive: true, served, lease: Some(lease), last_read, _place: None }
    }

    /// The connection itself, when it speaks HTTP/2.
    pub(super) fn into_http2(self) -> Option<Http2> {
        match self.wire {
            Speaking::Http1(_) => None,
            Speaking::Http2(wire) => Some(wire),
        }
    }

    /// Which HTTP it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.wire {
            Speaking::Http1(_) => Version::Http1,
            Speaking::Http2(_) => Version::Http2,
        }
    }

    /// Its traffic, below TLS; none over HTTP/2, where a read may be of other streams too.
    #[must_use]
    pub fn traffic(&self) -> Option<&Traffic> {
        match &self.wire {
            Speaking::Http1(wire) => Some(wire.traffic()),
            Speaking::Http2(_) => None,
        }
    }

    /// Sends a request and waits for the answer's headers; tells which read completed them.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<(Response<()>, Body, Read), Error> {
        match &mut self.wire {
            Speaking::Http1(wire) => {
                let head = wire.send(&http1::head::encode(&request)).await?;
                self.keeps_alive = head.keeps_alive;
                let read = wire.traffic().last_read();
                Ok((head.response, Body::Http1(Decoder::new(head.framing)), read))
            }
            Speaking::Http2(wire) => {
                let (head, body, read) = wire.send(request).await?;
                self.last_read = read.number;
                Ok((head, Body::Http2(body), read))
            }
        }
    }

    /// Waits for more of a body.
    ///
    /// # Errors
    /// The connection or the stream broke.
    pub async fn next(&mut self, body: &mut Body) -> Result<Piece, Error> {
        poll_fn(|cx| self.poll_next(body, cx)).await
    }

    /// More of a body, when it has come: [`next`](Self::next) for who waits for other things too.
    ///
    /// # Errors
    /// The connection or the stream broke.
    pub fn poll_next(&mut self, body: &mut Body, cx: &mut Context<'_>) -> Poll<Result<Piece, Error>> {
        match (&mut self.wire, body) {
            (Speaking::Http1(wire), Body::Http1(decoder)) if decoder.is_done() => {
                // An answer without a body, and something behind it.
                self.keeps_alive &= !wire.has_carried();
                Poll::Ready(Ok(Piece::End))
            }
            (Speaking::Http1(wire), _) => {
                let read = ready!(wire.poll_read(cx)).map_err(http1::Error::from)?;
                Poll::Ready(Ok(Piece::Read(read)))
            }
            (_, Body::Http2(body)) => {
                let Some((data, completed)) = ready!(body.poll_next(cx))? else { return Poll::Ready(Ok(Piece::End)) };
                self.last_read = completed.read.number;
                Poll::Ready(Ok(Piece::Frame(data, completed)))
            }
            (Speaking::Http2(_), Body::Http1(_)) => unreachable!("a body is of its connection's version"),
        }
    }

    /// When the end of this body had come, in nanoseconds, once it has.
    #[must_use]
    pub fn ended_ns(&self, body: &Body) -> Option<u64> {
        match body {
            Body::Http1(_) => self.traffic().map(|traffic| traffic.last_read().stamp.arrival_ns),
            Body::Http2(body) => body.latest_ns(),
        }
    }

    /// Notes that bytes came which are no part of the last answer: the connection is not to be used again.
    pub fn stray_bytes(&mut self) {
        self.keeps_alive = false;
    }

    /// Whether the last answer lets the connection live.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Whether another invocation can be sent: notices a close that came while nobody looked.
    pub async fn is_usable(&mut self) -> bool {
        match &mut self.wire {
            Speaking::Http1(wire) => self.keeps_alive && wire.is_idle().await,
            Speaking::Http2(wire) => wire.is_open(),
        }
    }

    /// Notes how an invocation on it ended; gives it back when it is the next one's, too. A place on a shared connection
    /// is given up, and the connection with it when nothing came over it any more, for whichever stream.
    pub(super) fn after(mut self, end: &End, policy: Policy) -> Option<Self> {
        self.served += 1;
        if let Some(lease) = &self.lease {
            let waited = matches!(end, End::Failed(Outcome::TimedOut(_) | Outcome::Stalled, _));
            let is_silent = matches!(&self.wire, Speaking::Http2(wire) if wire.last_read() == self.last_read);
            if waited && is_silent {
                lease.retire();
            }
            return None;
        }
        // Only after the body's end is a connection free for the next invocation.
        let goes_on = *end == End::Eof && self.keeps_alive && policy.allows(self.served);
        goes_on.then_some(self)
    }
}
