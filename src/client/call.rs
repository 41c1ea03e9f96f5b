//! Calls that are not measured: the preflight and Stop Task. They go the way that the load goes: the same addresses,
//! sources, proxy, TLS and HTTP; nothing is redirected or resent.

use std::rc::Rc;

use hyper::Response;

use super::connection::{Body, Connection, Piece};
use super::dial::{Dialer, Phases};
use super::failure::{self, Stage};
use super::http1::Step;
use super::request::Template;
use super::stamper::Stamper;
use super::target::Base;
use crate::clock::Clock;
use crate::profile::Http;

/// How much of an answer's body is read for the sake of its connection, in bytes.
const DRAINED_BYTES_MAX: usize = 64 * 1024;

/// What calls to one target have in common.
#[derive(Debug, Clone)]
pub struct Caller {
    template: Template,
    dialer: Dialer,
    http: Http,
    timeout_ns: u64,
}

/// Makes calls, one after another, over one connection where that is possible.
#[derive(Debug)]
pub struct Line {
    caller: Caller,
    clock: Clock,
    stamper: Rc<Stamper>,
    connection: Option<Connection>,
}

impl Caller {
    /// Calls to the target of `template`, each within `timeout_ns` nanoseconds.
    #[must_use]
    pub fn new(template: Template, dialer: Dialer, http: Http, timeout_ns: u64) -> Self {
        Self { template, dialer, http, timeout_ns }
    }

    /// Where calls go.
    pub(super) fn base(&self) -> &Base {
        self.template.base()
    }

    /// A line without a connection yet. HTTP/2 needs a `LocalSet`.
    #[must_use]
    pub fn line(&self) -> Line {
        let clock = Clock::start();
        Line { caller: self.clone(), clock, stamper: Stamper::new(clock), connection: None }
    }
}

impl Line {
    /// Whether calls go through a proxy.
    #[must_use]
    pub fn is_tunnelled(&self) -> bool {
        matches!(&self.caller.dialer, Dialer::Tcp { route, .. } if route.proxy().is_some())
    }

    /// Posts a JSON text to a path; gives the answer's head.
    ///
    /// # Errors
    /// There was no connection or no answer; the cause in words.
    pub async fn post(&mut self, path: &str, body: &'static str) -> Result<Response<()>, String> {
        let until_ns = self.clock.now().saturating_add(self.caller.timeout_ns);
        let clock = self.clock;
        tokio::select! {
            answer = self.post_at_leisure(path, body) => answer,
            () = clock.sleep_until(until_ns) => {
                Err("no answer within the limit on the connection and the headers".to_owned())
            }
        }
    }

    async fn post_at_leisure(&mut self, path: &str, body: &'static str) -> Result<Response<()>, String> {
        let mut connection = self.connect().await?;
        let request = self.caller.template.post(connection.version(), path, body.into());
        let answer = connection.send(request).await;
        let (answer, body, _) = answer.map_err(|error| failure::classify(&error, Stage::Headers).1)?;
        if drain(&mut connection, body).await && connection.keeps_alive() {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    async fn connect(&mut self) -> Result<Connection, String> {
        if let Some(mut kept) = self.connection.take()
            && kept.is_usable().await
        {
            return Ok(kept);
        }
        let dialed = self.caller.dialer.dial(&self.stamper, &mut Phases::default()).await;
        let dialed = dialed.map_err(|refused| refused.detail)?;
        let connection = Connection::handshake(dialed, self.caller.http, 1, &self.stamper).await;
        connection.map_err(|error| failure::classify(&error, Stage::Headers).1)
    }
}

/// Reads a body to its end; says whether there was one, and nothing behind it.
async fn drain(connection: &mut Connection, mut body: Body) -> bool {
    let mut drained = 0;
    while drained < DRAINED_BYTES_MAX {
        let Ok(piece) = connection.next(&mut body).await else { return false };
        match (piece, &mut body) {
            (Piece::End, _) => return true,
            (Piece::Read(read), Body::Http1(decoder)) if !read.bytes().is_empty() => {
                drained += read.bytes().len();
                let mut rest = read.bytes();
                loop {
                    match decoder.next(&mut rest) {
                        Ok(Step::Data(_)) => {}
                        Ok(Step::More) => break,
                        Ok(Step::End) => return rest.is_empty(),
                        Err(_) => return false,
                    }
                }
            }
            (Piece::Frame(frame, _), _) => drained += frame.len(),
            (Piece::Read(_), _) => return false,
        }
    }
    false
}
