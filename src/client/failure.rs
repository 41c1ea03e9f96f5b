//! What a broken exchange means: errors of HTTP and an answer's head, told apart into outcomes.

use std::error::Error as _;
use std::io;

use hyper::Response;
use hyper::header::{self, HeaderMap};

use super::connection::Error;
use super::http1;
use crate::metrics::Outcome;

/// Where in an exchange something broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the answer's headers.
    Headers,
    /// Inside its body.
    Body,
}

/// The outcome that a broken exchange means, and its cause in words.
#[must_use]
pub fn classify(error: &Error, stage: Stage) -> (Outcome, String) {
    let closed_early = match error {
        Error::Http1(http1::Error::ClosedInBody) => true,
        Error::Http1(http1::Error::Io(error)) => error.kind() == io::ErrorKind::UnexpectedEof,
        Error::Http1(_) => false,
        Error::Http2(error) => error.get_io().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof),
    };
    // METRICS.md: the end of the body before task_finished, also without its last chunk.
    let outcome = if stage == Stage::Body && closed_early { Outcome::Truncated } else { Outcome::Reset };
    (outcome, chain(error))
}

/// The outcome of an answer that is no event stream; none when it is one.
#[must_use]
pub fn refusal<B>(answer: &Response<B>) -> Option<(Outcome, String)> {
    let status = answer.status();
    if status.as_u16() == 429 {
        return Some((Outcome::RateLimited, "status 429".to_owned()));
    }
    if status.as_u16() != 200 {
        let detail = if status.is_redirection() {
            format!("status {status}: redirected to {}; redirects are not followed", redirect_origin(answer.headers()))
        } else {
            format!("status {status}")
        };
        return Some((Outcome::HttpStatus(status.as_u16()), detail));
    }
    let content_type = answer.headers().get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| is_event_stream(value.as_bytes())) {
        return None;
    }
    let told =
        content_type.map_or("missing".to_owned(), |value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Some((Outcome::BadContentType, format!("content type {told}, not text/event-stream")))
}

/// Whether a content type's essence is `text/event-stream`, whatever its case and parameters (RFC 9110 §8.3.1).
pub(super) fn is_event_stream(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// Only the origin of a redirect's target: its path and query may hold secrets.
fn redirect_origin(headers: &HeaderMap) -> String {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let uri: Option<hyper::Uri> = location.and_then(|text| text.parse().ok());
    match uri {
        Some(uri) if uri.host().is_some() => {
            let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())
        }
        Some(_) => "the same origin".to_owned(),
        None => "nowhere".to_owned(),
    }
}

/// An error with its causes, each once, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response<()> {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("a valid head")
    }

    #[test]
    fn an_event_stream_is_known_by_its_essence() {
        for good in ["text/event-stream", "Text/Event-Stream; charset=utf-8", "text/event-stream;"] {
            assert_eq!(refusal(&answer(200, &[("content-type", good)])), None, "{good}");
        }
        for bad in ["text/html", "application/json", "text/event-streams", "x bogus"] {
            let refused = refusal(&answer(200, &[("content-type", bad)]));
            assert!(matches!(refused, Some((Outcome::BadContentType, _))), "{bad}");
        }
        let (outcome, detail) = refusal(&answer(200, &[])).expect("no content type");
        assert_eq!(
            (outcome, detail.as_str()),
            (Outcome::BadContentType, "content type missing, not text/event-stream")
        );
    }

    #[test]
    fn statuses_are_told_apart() {
        assert_eq!(refusal(&answer(429, &[])).map(|told| told.0), Some(Outcome::RateLimited));
        assert_eq!(refusal(&answer(204, &[])).map(|told| told.0), Some(Outcome::HttpStatus(204)));
        let redirect = answer(307, &[("location", "https://evil.example:8443/take?key=secret")]);
        insta::assert_snapshot!(
            refusal(&redirect).expect("a redirect").1,
            @"status 307 Temporary Redirect: redirected to https://evil.example:8443; redirects are not followed"
        );
        assert!(refusal(&answer(301, &[])).expect("a redirect").1.contains("nowhere"));
    }
}
