//! One HTTP connection that we own: nothing is pooled, resent or redirected behind our back.
//!
//! The connection's own machinery is polled from within the invocation ([`Connection::drive`]) instead of in a
//! task of its own. Over HTTP/1.1 hyper then holds at most one body frame that we have not taken, and reads no
//! further before we take it, so the last read is the one that completed the frame at hand.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::dial::Dialed;
use super::io::{Traffic, Wire};
use crate::profile::Http;

/// How far hyper's read buffer for HTTP/1.1 may grow from its 8 KiB, in bytes: for heads and reads that are larger.
const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;

type Body = Full<Bytes>;
type Io = TokioIo<Wire>;
type Machine = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Which HTTP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// One HTTP connection.
pub struct Connection {
    sender: Sender,
    machine: Option<Machine>,
    failure: Option<hyper::Error>,
    traffic: Rc<Traffic>,
    /// Invocations that it has served.
    pub served: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Connection").field("version", &self.version()).field("served", &self.served).finish()
    }
}

/// Spawns what HTTP/2 needs beside the stream onto the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

impl Connection {
    /// Speaks HTTP over a new byte stream.
    ///
    /// # Errors
    /// The HTTP/2 preface could not be sent.
    pub async fn handshake(dialed: Dialed, http: Http) -> hyper::Result<Self> {
        let traffic = dialed.traffic;
        let io: Io = TokioIo::new(dialed.wire);
        let (sender, machine): (Sender, Machine) = if http == Http::Http2 || dialed.h2_agreed {
            let (sender, machine) = http2::handshake(Local, io).await?;
            (Sender::Http2(sender), Box::pin(machine))
        } else {
            let (sender, machine) = http1::Builder::new().max_buf_size(READ_BUFFER_BYTES_MAX).handshake(io).await?;
            (Sender::Http1(sender), Box::pin(machine))
        };
        Ok(Self { sender, machine: Some(machine), failure: None, traffic, served: 0 })
    }

    /// Which HTTP it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::Http1,
            Sender::Http2(_) => Version::Http2,
        }
    }

    /// Its traffic, below TLS.
    #[must_use]
    pub fn traffic(&self) -> Rc<Traffic> {
        Rc::clone(&self.traffic)
    }

    /// Sends a request and waits for the answer's headers.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP.
    pub async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                let answer = sender.send_request(request);
                self.drive(answer).await
            }
            Sender::Http2(sender) => {
                let answer = sender.send_request(request);
                self.drive(answer).await
            }
        }
    }

    /// Waits for `future` while the connection's machinery runs.
    pub async fn drive<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(value);
            }
            self.turn(cx);
            // What the machinery has just read may be what the future waits for.
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Whether another invocation can be sent: notices a close that came while nobody looked.
    pub async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        })
        .await;
        self.machine.is_some()
            && match &self.sender {
                Sender::Http1(sender) => sender.is_ready(),
                Sender::Http2(sender) => sender.is_ready(),
            }
    }

    /// Why the machinery stopped, when it failed.
    #[must_use]
    pub fn failure(&self) -> Option<&hyper::Error> {
        self.failure.as_ref()
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        let Some(machine) = &mut self.machine else { return };
        if let Poll::Ready(end) = machine.as_mut().poll(cx) {
            self.machine = None;
            self.failure = end.err();
        }
    }
}
