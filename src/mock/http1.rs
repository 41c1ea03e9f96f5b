//! HTTP/1.1 as the mock serves it (RFC 9112), with every write in its own hand.
//!
//! A server library decides itself when it writes and never breaks its own framing; the mock's promise is the very
//! instant and the very cut of each write. Requests are parsed by httparse, and what is not served is refused: a body
//! over the limit, a head over the limit, any transfer coding but chunked.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::agent::Agent;
use super::api::{self, Answer};
use super::batch::empty;
use super::http2;
use super::outlet::{Link, Nobody, Outlet};
use super::stage;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The largest body of a request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;
/// The most headers of a request.
const HEADERS_MAX: usize = 100;
/// How much is read at a time.
const READ_BYTES: usize = 4 << 10;

/// A connection that speaks HTTP/1.1.
#[derive(Debug)]
struct Connection<L> {
    link: L,
    /// Bytes that were read and not used yet.
    inbox: Vec<u8>,
    /// The head of an answer that waits for its first bytes of body, and what is written at once.
    outbox: Vec<u8>,
    /// The client knows chunks (HTTP/1.1).
    knows_chunks: bool,
    keep_alive: bool,
}

/// What is wrong with a request: the status that says so.
struct Wrong(StatusCode);

/// Serves one connection until one side closes it.
pub(super) async fn serve(link: impl Link, agent: Arc<Agent>) {
    let mut connection =
        Connection { link, inbox: Vec::new(), outbox: Vec::new(), knows_chunks: true, keep_alive: true };
    // Whatever breaks a connection is the client's to notice.
    if connection.serve(&agent).await.is_ok_and(|next| next == Next::Http2) {
        // In a box, as all that is rare here: a stream's task is not to be as large as the largest of these.
        Box::pin(http2::serve(connection.inbox, connection.link, agent)).await;
    }
}

/// What comes after HTTP/1.1 on a connection.
#[derive(PartialEq, Eq)]
enum Next {
    Nothing,
    /// The client speaks HTTP/2 by prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// What a client that speaks HTTP/2 by prior knowledge sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<L: Link> Connection<L> {
    async fn serve(&mut self, agent: &Arc<Agent>) -> io::Result<Next> {
        if self.is_preface().await? {
            return Ok(Next::Http2);
        }
        while self.keep_alive {
            let request = match Box::pin(self.read_request()).await? {
                None => return Ok(Next::Nothing),
                Some(Ok(request)) => request,
                Some(Err(Wrong(status))) => {
                    self.keep_alive = false;
                    let text = status.canonical_reason().unwrap_or_default();
                    self.write_whole(&api::whole(status, "text/plain", Bytes::from(text))).await?;
                    break;
                }
            };
            // The request's buffer is not kept over a long stream.
            if self.inbox.is_empty() {
                self.inbox = Vec::new();
            }
            let answer = api::answer(agent, &request);
            drop(request);
            self.give(agent, answer).await?;
        }
        self.link.shutdown().await?;
        Ok(Next::Nothing)
    }

    /// Whether the connection begins as one of HTTP/2 does.
    async fn is_preface(&mut self) -> io::Result<bool> {
        loop {
            let known = self.inbox.len().min(PREFACE.len());
            if self.inbox[..known] != PREFACE[..known] {
                return Ok(false);
            }
            if known == PREFACE.len() {
                return Ok(true);
            }
            if self.fill().await? == 0 {
                return Ok(false);
            }
        }
    }

    async fn give(&mut self, agent: &Arc<Agent>, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Whole(response) => self.write_whole(&response).await,
            Answer::Task(booking) => {
                let id = Arc::clone(&booking.begun.id);
                Box::pin(stage::perform(agent, &mut Nobody, *booking)).await;
                self.write_whole(&api::task(agent, &id)).await
            }
            Answer::Begun(booking) => {
                let begun = api::task(agent, &booking.begun.id);
                stage::spawn(agent, *booking);
                self.write_whole(&begun).await
            }
            Answer::Stream(booking) => {
                let ended = stage::perform(agent, self, *booking).await;
                if !matches!(ended, stage::Ended::Finished(_)) {
                    self.keep_alive = false;
                }
                Ok(())
            }
            Answer::Reset => {
                self.reset();
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Answer::Never => {
                self.hung_up().await;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// The next request; none when the client closed the connection between two.
    async fn read_request(&mut self) -> io::Result<Option<Result<Request<Bytes>, Wrong>>> {
        let (mut request, length) = loop {
            match self.parse_head() {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(wrong) => return Ok(Some(Err(wrong))),
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        };
        let expects = request.headers().get(http::header::EXPECT);
        if expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            self.link.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = match length {
            Length::Known(length) => self.read_body(length).await?,
            Length::Chunked => match self.read_chunks().await? {
                Ok(body) => body,
                Err(wrong) => return Ok(Some(Err(wrong))),
            },
        };
        *request.body_mut() = body;
        Ok(Some(Ok(request)))
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.inbox.reserve(READ_BYTES);
        self.link.read_buf(&mut self.inbox).await
    }

    fn parse_head(&mut self) -> Result<Option<(Request<Bytes>, Length)>, Wrong> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        let size = match head.parse(&self.inbox) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) if self.inbox.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Wrong(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            }
            Err(_) => return Err(Wrong(StatusCode::BAD_REQUEST)),
        };
        let is_1_1 = head.version == Some(1);
        let request = request_of(&head).ok_or(Wrong(StatusCode::BAD_REQUEST))?;
        let length = length_of(&request)?;
        self.knows_chunks = is_1_1;
        self.keep_alive = keeps_alive(&request, is_1_1);
        self.inbox.drain(..size);
        Ok(Some((request, length)))
    }

    async fn read_body(&mut self, length: usize) -> io::Result<Bytes> {
        while self.inbox.len() < length {
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.inbox.drain(..length).collect::<Vec<_>>().into())
    }

    /// A body in chunks (RFC 9112 §7.1); trailers are read over.
    async fn read_chunks(&mut self) -> io::Result<Result<Bytes, Wrong>> {
        let mut body = Vec::new();
        loop {
            let (head, size) = match httparse::parse_chunk_size(&self.inbox) {
                Ok(httparse::Status::Complete((head, size))) => (head, usize::try_from(size).unwrap_or(usize::MAX)),
                Ok(httparse::Status::Partial) if self.inbox.len() < HEAD_BYTES_MAX => {
                    if self.fill().await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    continue;
                }
                _ => return Ok(Err(Wrong(StatusCode::BAD_REQUEST))),
            };
            if size > BODY_BYTES_MAX || body.len() + size > BODY_BYTES_MAX {
                return Ok(Err(Wrong(StatusCode::PAYLOAD_TOO_LARGE)));
            }
            self.inbox.drain(..head);
            if size == 0 {
                self.skip_trailers().await?;
                return Ok(Ok(body.into()));
            }
            body.extend_from_slice(&self.read_body(size).await?);
            if &self.read_body(2).await?[..] != b"\r\n" {
                return Ok(Err(Wrong(StatusCode::BAD_REQUEST)));
            }
        }
    }

    async fn skip_trailers(&mut self) -> io::Result<()> {
        loop {
            let end = self.inbox.windows(2).position(|pair| pair == b"\r\n");
            match end {
                Some(end) => {
                    self.inbox.drain(..end + 2);
                    if end == 0 {
                        return Ok(());
                    }
                }
                None if self.inbox.len() > HEAD_BYTES_MAX || self.fill().await? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                None => {}
            }
        }
    }

    fn write_head(&mut self, response: &Response<()>, framing: &str) {
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        self.outbox.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
        for (name, value) in response.headers() {
            self.outbox.extend_from_slice(name.as_str().as_bytes());
            self.outbox.extend_from_slice(b": ");
            self.outbox.extend_from_slice(value.as_bytes());
            self.outbox.extend_from_slice(b"\r\n");
        }
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        self.outbox.extend_from_slice(format!("connection: {connection}\r\n{framing}\r\n").as_bytes());
    }

    async fn write_whole(&mut self, response: &Response<Bytes>) -> io::Result<()> {
        let framing = match response.status() {
            StatusCode::NO_CONTENT => String::new(),
            _ => format!("content-length: {}\r\n", response.body().len()),
        };
        self.write_head(&response.clone().map(|_| ()), &framing);
        self.outbox.extend_from_slice(response.body());
        self.send().await
    }

    /// Puts a piece of a body into the outbox.
    fn frame(&mut self, piece: &[u8]) {
        if piece.is_empty() || !self.knows_chunks {
            self.outbox.extend_from_slice(piece);
            return;
        }
        push_hex(piece.len(), &mut self.outbox);
        self.outbox.extend_from_slice(b"\r\n");
        self.outbox.extend_from_slice(piece);
        self.outbox.extend_from_slice(b"\r\n");
    }

    async fn send(&mut self) -> io::Result<()> {
        let sent = self.link.write_all(&self.outbox).await;
        empty(&mut self.outbox);
        sent?;
        self.link.flush().await
    }
}

impl<L: Link> Outlet for Connection<L> {
    const WRITES_AT_ONCE: bool = true;

    fn head(&mut self, head: Response<()>) {
        // Without chunks, the end of the connection is the end of the body.
        self.keep_alive &= self.knows_chunks;
        let framing = if self.knows_chunks { "transfer-encoding: chunked\r\n" } else { "" };
        self.write_head(&head, framing);
    }

    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.frame(piece);
        if self.outbox.is_empty() { Ok(()) } else { self.send().await }
    }

    async fn end(&mut self, piece: &[u8]) -> io::Result<()> {
        self.frame(piece);
        if self.knows_chunks {
            self.outbox.extend_from_slice(b"0\r\n\r\n");
        }
        self.send().await
    }

    async fn garble(&mut self) -> io::Result<()> {
        self.outbox.extend_from_slice(b"no chunk size\r\n");
        self.send().await
    }

    fn reset(&mut self) {
        self.link.make_reset();
        self.keep_alive = false;
    }

    /// What the client sends ahead is kept, up to the limit of a head; then nothing more is read of it.
    async fn hung_up(&mut self) {
        while self.inbox.len() < HEAD_BYTES_MAX {
            self.inbox.reserve(64);
            match self.link.read_buf(&mut self.inbox).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }
}

/// How the length of a request's body is known.
enum Length {
    Known(usize),
    Chunked,
}

fn request_of(head: &httparse::Request<'_, '_>) -> Option<Request<Bytes>> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::from_bytes(head.method?.as_bytes()).ok()?;
    *request.uri_mut() = head.path?.parse::<Uri>().ok()?;
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(request)
}

/// The length of a body (RFC 9112 §6.3).
fn length_of(request: &Request<Bytes>) -> Result<Length, Wrong> {
    let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(coding) = text(http::header::TRANSFER_ENCODING) {
        let is_chunked = coding.eq_ignore_ascii_case("chunked");
        return if is_chunked { Ok(Length::Chunked) } else { Err(Wrong(StatusCode::NOT_IMPLEMENTED)) };
    }
    let Some(length) = text(http::header::CONTENT_LENGTH) else { return Ok(Length::Known(0)) };
    let length: u64 = length.parse().map_err(|_| Wrong(StatusCode::BAD_REQUEST))?;
    match usize::try_from(length) {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(Length::Known(length)),
        _ => Err(Wrong(StatusCode::PAYLOAD_TOO_LARGE)),
    }
}

fn keeps_alive(request: &Request<Bytes>, is_1_1: bool) -> bool {
    let value = request.headers().get(http::header::CONNECTION).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = value.to_ascii_lowercase();
    let has = |word: &[u8]| value.split(|byte| *byte == b',').any(|part| part.trim_ascii() == word);
    if is_1_1 { !has(b"close") } else { has(b"keep-alive") }
}

fn push_hex(number: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let width = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..width).rev().map(|place| DIGITS[number >> (4 * place) & 0xf]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 4_095, 65_536, usize::MAX] {
            let mut out = Vec::new();
            push_hex(number, &mut out);
            assert_eq!(String::from_utf8(out).expect("digits"), format!("{number:x}"));
        }
    }
}
