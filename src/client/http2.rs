//! One HTTP/2 connection, by hyper.
//!
//! The connection's own machinery is polled from within the invocation ([`Http2::drive`]) instead of in a task of its
//! own.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::io::Wire;

type Body = Full<Bytes>;
type Machine = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// One connection.
pub struct Http2 {
    sender: http2::SendRequest<Body>,
    machine: Option<Machine>,
    failure: Option<hyper::Error>,
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Http2").field("open", &self.machine.is_some()).finish_non_exhaustive()
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

impl Http2 {
    /// Speaks over a new byte stream.
    ///
    /// # Errors
    /// The preface could not be sent.
    pub async fn handshake(wire: Wire) -> hyper::Result<Self> {
        let (sender, machine) = http2::handshake(Local, TokioIo::new(wire)).await?;
        Ok(Self { sender, machine: Some(Box::pin(machine)), failure: None })
    }

    /// Sends a request and waits for the answer's headers.
    ///
    /// # Errors
    /// The connection broke, or the stream was refused. What broke the connection is more telling than that it is gone,
    /// and is told instead.
    pub async fn send(&mut self, request: Request<Bytes>) -> hyper::Result<Response<Incoming>> {
        let answer = self.sender.send_request(request.map(Full::new));
        let answer = self.drive(answer).await;
        answer.map_err(|error| self.failure.take().unwrap_or(error))
    }

    /// Waits for `future` while the connection's machinery runs.
    pub async fn drive<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| self.poll_driving(cx, |cx| future.as_mut().poll(cx))).await
    }

    /// Polls while the connection's machinery runs.
    pub fn poll_driving<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if let Poll::Ready(value) = poll(cx) {
            return Poll::Ready(value);
        }
        self.turn(cx);
        // What the machinery has just read may be what is waited for.
        poll(cx)
    }

    /// Whether another request can be sent: notices a close that came while nobody looked.
    pub async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        })
        .await;
        self.machine.is_some() && self.sender.is_ready()
    }

    fn turn(&mut self, cx: &mut Context<'_>) {
        let Some(machine) = &mut self.machine else { return };
        if let Poll::Ready(end) = machine.as_mut().poll(cx) {
            self.machine = None;
            self.failure = end.err();
        }
    }
}
