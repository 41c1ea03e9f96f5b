//! Heads: the request's as bytes, and the answer's from bytes. Pure.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};

use super::Error;

/// Header lines of an answer that are taken; as many as hyper takes.
const HEADERS_MAX: usize = 100;

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// By chunks.
    Chunked,
    /// The connection closes.
    UntilClose,
}

/// An answer's head.
#[derive(Debug)]
pub struct Head {
    /// Status and headers.
    pub response: Response<()>,
    /// How the end of the body is known.
    pub framing: Framing,
    /// The connection can serve another request after the body.
    pub keeps_alive: bool,
}

/// A request as it goes over the wire, its body included.
#[must_use]
pub fn encode(request: &Request<Bytes>) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let body = request.body();
    let mut bytes = Vec::with_capacity(512 + body.len());
    bytes.extend_from_slice(format!("{} {path} HTTP/1.1\r\n", request.method()).as_bytes());
    for (name, value) in request.headers() {
        line(&mut bytes, name, value.as_bytes());
    }
    line(&mut bytes, &header::CONTENT_LENGTH, body.len().to_string().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn line(bytes: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    bytes.extend_from_slice(name.as_str().as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// Reads an answer's head: none when more bytes are needed, else the head and its length in bytes.
///
/// # Errors
/// The bytes are no head of HTTP/1, or its framing headers contradict each other.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let length = match parsed.parse(bytes).map_err(|error| Error::Head(error.to_string()))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut response = Response::new(());
    *response.status_mut() = status.ok_or_else(|| Error::Head("invalid status".to_owned()))?;
    *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Error::Head(format!("invalid header {:?}", header.name)));
        };
        response.headers_mut().append(name, value);
    }
    let framing = framing(&response)?;
    let keeps_alive = framing != Framing::UntilClose && keeps_alive(&response);
    Ok(Some((Head { response, framing, keeps_alive }, length)))
}

/// RFC 9112 §6.3, for the answer to a POST.
fn framing(response: &Response<()>) -> Result<Framing, Error> {
    let (status, headers) = (response.status(), response.headers());
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        if response.version() == Version::HTTP_10 {
            return Err(Error::Head("transfer-encoding in HTTP/1.0".to_owned()));
        }
        // "If a Transfer-Encoding header field is present in a response and the chunked transfer coding is not the final
        // encoding, the message body length is determined by reading the connection until it is closed by the server."
        let last = members(headers, &header::TRANSFER_ENCODING).last();
        let chunked = last.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        return Ok(if chunked { Framing::Chunked } else { Framing::UntilClose });
    }
    let mut length = None;
    for value in members(headers, &header::CONTENT_LENGTH) {
        // `parse` alone would take a sign.
        let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
        let number = number.ok_or_else(|| Error::Head("invalid content-length".to_owned()))?;
        if length.replace(number).is_some_and(|before| before != number) {
            return Err(Error::Head("content-length twice, and not the same".to_owned()));
        }
    }
    Ok(length.map_or(Framing::UntilClose, Framing::Length))
}

/// RFC 9112 §9.3.
fn keeps_alive(response: &Response<()>) -> bool {
    let headers = response.headers();
    let says = |word: &str| members(headers, &header::CONNECTION).any(|member| member.eq_ignore_ascii_case(word));
    // Both framings at once may be an attack on somebody between (§6.3): the connection is not used again.
    let ambiguous = headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH);
    let asked = says("keep-alive") || response.version() == Version::HTTP_11;
    asked && !says("close") && !ambiguous
}

/// The members of a comma-separated header, over all its lines; a line that is no ASCII is one empty member.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().flat_map(|line| line.to_str().unwrap_or_default().split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(head: &str) -> Result<(Framing, bool), String> {
        match parse(format!("{head}\r\n\r\n").as_bytes()) {
            Ok(head) => head.map(|(head, _)| (head.framing, head.keeps_alive)).ok_or("more".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_end_of_a_body_is_known_as_rfc_9112_says() {
        use Framing::{Chunked, Length, UntilClose};
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", (Chunked, true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked", (Chunked, true)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: gzip", (UntilClose, false)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 7", (Chunked, false)),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: x, Close", (Chunked, false)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 7", (Length(7), true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 7, 7", (Length(7), true)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 7", (Length(7), false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 7\r\nconnection: keep-alive", (Length(7), true)),
            ("HTTP/1.1 200 OK", (UntilClose, false)),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 7", (Length(0), true)),
            ("HTTP/1.1 100 Continue", (Length(0), true)),
        ] {
            assert_eq!(framed(head), Ok(expected), "{head}");
        }
        for bad in [
            "content-length: 7\r\ncontent-length: 8",
            "content-length: -1",
            "content-length: 99999999999999999999",
            "a b: c",
        ] {
            assert!(framed(&format!("HTTP/1.1 200 OK\r\n{bad}")).is_err(), "{bad}");
        }
        assert!(framed("HTTP/2 200 OK").is_err() && framed("<html>").is_err());
    }

    #[test]
    fn a_request_is_written_whole() {
        let mut request = Request::new(Bytes::from_static(b"{}"));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = "/v1/a?b=c".parse().expect("a path");
        request.headers_mut().insert("host", HeaderValue::from_static("h:1"));
        let bytes = String::from_utf8(encode(&request)).expect("all is ASCII");
        assert_eq!(bytes, "POST /v1/a?b=c HTTP/1.1\r\nhost: h:1\r\ncontent-length: 2\r\n\r\n{}");
    }
}
