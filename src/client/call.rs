//! Calls that are not measured: the preflight and Stop Task. They go the way that the load goes: the same addresses,
//! sources, proxy, TLS and HTTP; nothing is redirected or resent.

use std::rc::Rc;

use hyper::Response;
use thiserror::Error;

use super::connection::{Body, Connection, Piece};
use super::dial::{Dialer, Phases};
use super::failure::{self, Stage};
use super::http1::Step;
use super::mask::Mask;
use super::request::Template;
use super::stamper::Stamper;
use super::target::Base;
use crate::clock::Clock;
use crate::profile::Http;
use crate::units::NS_PER_S;

/// How much of an answer's body is read for the sake of its connection, in bytes.
const DRAINED_BYTES_MAX: usize = 64 * 1024;

/// For how long it is waited for, in nanoseconds.
const DRAIN_NS: u64 = NS_PER_S / 4;

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum Unanswered {
    /// None came in time.
    #[error("no answer within the limit on the connection and the headers")]
    TimedOut,
    /// There was no connection, or it broke; the cause in words.
    #[error("{0}")]
    Broken(String),
}

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
    /// Calls to the target of `template`, each answer's head within `timeout_ns` nanoseconds.
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

    /// The secrets of its requests.
    pub(super) fn mask(&self) -> Mask {
        Mask::new(self.caller.template.headers(), [])
    }

    /// Posts a JSON text to a path; gives the answer's head. The connection is kept for the next call where the body ends
    /// soon.
    ///
    /// # Errors
    /// There was no connection or no answer.
    pub async fn post(&mut self, path: &str, body: &'static str) -> Result<Response<()>, Unanswered> {
        let clock = self.clock;
        let until_ns = clock.now().saturating_add(self.caller.timeout_ns);
        let (mut connection, answer, body) = tokio::select! {
            answered = self.answer(path, body) => answered.map_err(Unanswered::Broken)?,
            () = clock.sleep_until(until_ns) => return Err(Unanswered::TimedOut),
        };
        let drained = tokio::select! {
            drained = drain(&mut connection, body) => drained,
            () = clock.sleep_until(clock.now().saturating_add(DRAIN_NS)) => false,
        };
        self.connection = Some(connection).filter(|connection| drained && connection.keeps_alive());
        Ok(answer)
    }

    /// Waits for so many nanoseconds.
    pub(super) async fn pause(&self, pause_ns: u64) {
        self.clock.sleep_until(self.clock.now().saturating_add(pause_ns)).await;
    }

    async fn answer(&mut self, path: &str, body: &'static str) -> Result<(Connection, Response<()>, Body), String> {
        let mut connection = self.connect().await?;
        let request = self.caller.template.post(connection.version(), path, body.into());
        let answer = connection.send(request).await;
        let (answer, body, _) = answer.map_err(|error| failure::classify(&error, Stage::Headers).1)?;
        Ok((connection, answer, body))
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

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::future::Future;
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::LocalSet;

    use super::*;
    use crate::profile::Profile;
    use crate::units::NS_PER_MS;

    /// An answer: after so many milliseconds, these bytes; what follows them does not come.
    pub(in crate::client) type Answer = (u64, &'static str);

    pub(in crate::client) const NO_BODY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

    /// Answers one request after another, whichever connection it comes on, and none once there is no answer left.
    async fn serve(mut io: DuplexStream, answers: Rc<RefCell<Vec<Answer>>>) {
        let mut request = vec![0; 64 * 1024];
        while io.read(&mut request).await.is_ok_and(|got| got > 0) {
            let next = answers.borrow_mut().pop();
            let Some((wait_ms, bytes)) = next else { std::future::pending().await };
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            if io.write_all(bytes.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Whoever calls a target that gives these answers; waits for each a second at most.
    pub(in crate::client) fn caller(answers: &[Answer]) -> Caller {
        let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
        let pipe = move || {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            give.send(theirs).map_err(std::io::Error::other)?;
            Ok(ours)
        };
        let answers = Rc::new(RefCell::new(answers.iter().rev().copied().collect()));
        tokio::task::spawn_local(async move {
            while let Some(io) = take.recv().await {
                tokio::task::spawn_local(serve(io, Rc::clone(&answers)));
            }
        });
        let text = "why = \"calls\"\nload.invocations = 1\nrequest.input.text = \"Hello\"\ntarget.agent_id = \"a1\"";
        let profile = Profile::parse("test.toml", text, Vec::new()).expect("a valid profile");
        let base = Base::parse("http://127.0.0.1").expect("a URL");
        let template = Template::new(base, &profile.target, None, Value::Null, "", false);
        Caller::new(template, Dialer::Pipe(Arc::new(pipe)), Http::Http1, 1_000 * NS_PER_MS)
    }

    pub(in crate::client) fn in_virtual_time(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
        LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn an_answer_is_its_head_however_long_its_body_takes() {
        in_virtual_time(async {
            let endless = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let refused = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\n\r\n";
            let mut line = caller(&[(900, endless), (0, refused), (0, NO_BODY), (0, NO_BODY)]).line();
            let mut told = Vec::new();
            for _ in 0..4 {
                let answer = line.post("/x", "{}").await.expect("a head comes");
                told.push((answer.status().as_u16(), line.connection.is_some()));
            }
            assert_eq!(told, [(200, false), (401, false), (200, true), (200, true)], "kept where the body has ended");
            assert_eq!(line.clock.now(), (900 + 250 + 250) * NS_PER_MS);
            assert!(matches!(line.post("/x", "{}").await, Err(Unanswered::TimedOut)));
        });
    }
}
