//! HTTP/2 as the mock serves it: hyper's connection, with each piece of a stream as a DATA frame of its own.
//!
//! Unlike over HTTP/1.1, frames of several streams may share a write, which is the connection's own choice.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};

use super::agent::Agent;
use super::api::{self, Answer};
use super::http1::BODY_BYTES_MAX;
use super::outlet::{Link, Nobody, Outlet};
use super::stage;

/// The stream is to be reset.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the script breaks the stream off")
    }
}

impl std::error::Error for Broken {}

type Answered = Response<UnsyncBoxBody<Bytes, Broken>>;

/// Runs hyper's tasks on the thread that serves the connection.
#[derive(Debug, Clone, Copy)]
struct Here;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// Serves one connection, of which these bytes were read already, until one side closes it.
pub(super) async fn serve(read: Vec<u8>, link: impl Link, agent: Arc<Agent>) {
    let (rest, writer) = tokio::io::split(link);
    let io = tokio::io::join(Cursor::new(read).chain(rest), writer);
    let service = service_fn(move |request| answer(Arc::clone(&agent), request));
    // Whatever breaks a connection is the client's to notice.
    let _ = hyper::server::conn::http2::Builder::new(Here)
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::MAX)
        .serve_connection(TokioIo::new(io), service)
        .await;
}

async fn answer(agent: Arc<Agent>, request: Request<Incoming>) -> Result<Answered, Broken> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(whole(api::whole(status, "text/plain", Bytes::from_static(b"Payload Too Large"))));
    };
    match api::answer(&agent, &Request::from_parts(parts, body.to_bytes())) {
        Answer::Whole(response) => Ok(whole(response)),
        Answer::Task(booking) => {
            let id = Arc::clone(&booking.begun.id);
            stage::perform(&agent, &mut Nobody, *booking).await;
            Ok(whole(api::task(&agent, &id)))
        }
        Answer::Begun(booking) => {
            let begun = api::task(&agent, &booking.begun.id);
            stage::spawn(&agent, *booking);
            Ok(whole(begun))
        }
        Answer::Stream(booking) => {
            let (head, begun) = oneshot::channel();
            let (pieces, body) = mpsc::channel(1);
            let mut outlet = Frames { head: Some(head), pieces: Some(pieces) };
            tokio::task::spawn_local(async move { stage::perform(&agent, &mut outlet, *booking).await });
            // Without a head, the stream was broken off before it.
            let head = begun.await.map_err(|_| Broken)?;
            Ok(head.map(|()| Pieces(body).boxed_unsync()))
        }
        Answer::Reset => Err(Broken),
        Answer::Never => std::future::pending().await,
    }
}

fn whole(response: Response<Bytes>) -> Answered {
    response.map(|body| Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync())
}

/// The body of a stream: pieces as they come.
struct Pieces(mpsc::Receiver<Result<Bytes, Broken>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The stage's end of a stream.
#[derive(Debug)]
struct Frames {
    head: Option<oneshot::Sender<Response<()>>>,
    /// None once the stream has ended.
    pieces: Option<mpsc::Sender<Result<Bytes, Broken>>>,
}

impl Frames {
    async fn send(&mut self, piece: Result<Bytes, Broken>) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.as_ref().ok_or_else(gone)?.send(piece).await.map_err(|_| gone())
    }
}

impl Outlet for Frames {
    /// hyper does the writing, with the frames of other streams.
    const WRITES_AT_ONCE: bool = false;

    fn head(&mut self, head: Response<()>) {
        if let Some(give) = self.head.take() {
            // Nobody takes it any more when the client has hung up, which the first write notices.
            let _ = give.send(head);
        }
    }

    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if piece.is_empty() { Ok(()) } else { self.send(Ok(Bytes::copy_from_slice(piece))).await }
    }

    async fn end(&mut self, piece: &[u8]) -> io::Result<()> {
        self.write(piece).await?;
        self.pieces = None;
        Ok(())
    }

    /// A frame that breaks the framing of all streams is not for one of them to send.
    async fn garble(&mut self) -> io::Result<()> {
        self.send(Err(Broken)).await
    }

    fn reset(&mut self) {
        if let Some(pieces) = self.pieces.take() {
            tokio::task::spawn_local(async move {
                let _ = pieces.send(Err(Broken)).await;
            });
        }
    }

    async fn hung_up(&mut self) {
        match &self.pieces {
            Some(pieces) => pieces.closed().await,
            None => std::future::pending().await,
        }
    }
}
