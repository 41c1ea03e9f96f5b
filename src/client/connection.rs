//! One HTTP connection that we own: nothing is pooled, resent or redirected behind our back.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::{Request, Response};
use thiserror::Error;

use super::buffer::Filled;
use super::dial::Dialed;
use super::http1::{self, Decoder, Http1};
use super::http2::Http2;
use super::io::Traffic;
use super::route::Place;
use super::stamper::Stamper;
use crate::profile::Http;

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
    /// Over HTTP/2.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// One HTTP connection.
#[derive(Debug)]
#[repr(align(64))] // Over HTTP/1.1, two cache lines a read.
pub struct Connection {
    wire: Speaking,
    /// The last answer allows another request.
    keeps_alive: bool,
    /// Invocations that it has served.
    pub served: u64,
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
    Http2(Incoming),
}

/// What came of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes of the connection, framing and all; none when it has closed.
    Read(Filled),
    /// Bytes of the body.
    Frame(Bytes),
    /// Its end.
    End,
}

impl Connection {
    /// Speaks HTTP over a new byte stream.
    ///
    /// # Errors
    /// The HTTP/2 preface could not be sent.
    pub async fn handshake(dialed: Dialed, http: Http, stamper: &Stamper) -> Result<Self, Error> {
        let wire = if http == Http::Http2 || dialed.h2_agreed {
            Speaking::Http2(Http2::handshake(dialed.wire).await?)
        } else {
            Speaking::Http1(Http1::new(dialed.wire, Rc::clone(stamper.buffer())))
        };
        Ok(Self { wire, keeps_alive: true, served: 0, _place: dialed.place })
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

    /// Sends a request and waits for the answer's headers.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<(Response<()>, Body), Error> {
        match &mut self.wire {
            Speaking::Http1(wire) => {
                let head = wire.send(&http1::head::encode(&request)).await?;
                self.keeps_alive = head.keeps_alive;
                Ok((head.response, Body::Http1(Decoder::new(head.framing))))
            }
            Speaking::Http2(wire) => {
                let (head, body) = wire.send(request).await?.into_parts();
                Ok((Response::from_parts(head, ()), Body::Http2(body)))
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
            (Speaking::Http1(_), Body::Http1(decoder)) if decoder.is_done() => Poll::Ready(Ok(Piece::End)),
            (Speaking::Http1(wire), _) => {
                let read = ready!(wire.poll_read(cx)).map_err(http1::Error::from)?;
                Poll::Ready(Ok(Piece::Read(read)))
            }
            (Speaking::Http2(wire), Body::Http2(body)) => {
                match ready!(wire.poll_driving(cx, |cx| Pin::new(&mut *body).poll_frame(cx))) {
                    None => Poll::Ready(Ok(Piece::End)),
                    Some(frame) => Poll::Ready(Ok(Piece::Frame(frame?.into_data().unwrap_or_default()))),
                }
            }
            (Speaking::Http2(_), Body::Http1(_)) => unreachable!("a body is of its connection's version"),
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
            Speaking::Http2(wire) => wire.is_usable().await,
        }
    }

    /// Waits while the idle connection is looked after.
    pub async fn rest(&mut self, pause: impl Future<Output = ()>) {
        match &mut self.wire {
            // It needs nothing; its close is noticed when it is to be used again.
            Speaking::Http1(_) => pause.await,
            Speaking::Http2(wire) => wire.drive(pause).await,
        }
    }
}
