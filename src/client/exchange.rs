//! One invocation, from connection to outcome.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::Response;

use super::connection::{Body, Connection, Error, Piece};
use super::dial::Phases;
use super::failure::{self, Stage};
use super::http1::{self, Decoder, Step};
use super::http2::Completed;
use super::invoke::{Seen, Settings, Watcher};
use super::io::Traffic;
use super::pool::{Leased, Pool};
use super::request::Ask;
use super::stamper::{Stamp, Stamper};
use crate::agent::Envelope;
use crate::clock::Timer;
use crate::metrics::Outcome;
use crate::metrics::tracker::{Arrival, End, Expiry, Tracker};
use crate::sse;
use crate::units::NS_PER_S;

/// How much of an answer that is no event stream is kept to explain it, in bytes.
const EXCERPT_BYTES: usize = 200;

/// What ends the chunk that an event is in: it is sent with the event.
const CHUNK_END_BYTES: usize = b"\r\n".len();

const TIME_LIMIT: &str = "the limit was reached";

/// Why an exchange ended early: the outcome and its cause.
type Ended = (Outcome, String);

/// What stops an invocation from outside: the run's drain has ended, or the user hangs up.
type Cut<'a> = Pin<&'a mut dyn Future<Output = (Outcome, &'static str)>>;

/// One invocation under way: everything that its steps share.
#[repr(C)] // What every event touches lies together, the first part of the tracker included.
pub(super) struct Exchange<'a> {
    pub(super) cut: Cut<'a>,
    pub(super) watcher: Watcher<'a>,
    pub(super) timer: Timer,
    pub(super) client: &'a Settings,
    pub(super) stamper: &'a Rc<Stamper>,
    pub(super) pool: &'a Rc<Pool>,
    pub(super) tracker: Tracker,
}

impl Exchange<'_> {
    /// The connection to use: the slot's own when it still stands, else a new one.
    pub(super) async fn connect(&mut self, kept: Option<Connection>) -> Result<Connection, Ended> {
        if let Some(mut connection) = kept
            && connection.is_usable().await
        {
            self.tracker.reused(true);
            return Ok(connection);
        }
        let mut phases = Phases::default();
        let (client, stamper) = (self.client, self.stamper);
        let mut mine = false;
        let make = async {
            mine = true;
            let dialed = client.dialer.dial(stamper, &mut phases).await;
            let dialed = dialed.map_err(|refused| (refused.outcome, refused.detail))?;
            let connection = Connection::handshake(dialed, client.http, client.streams, stamper).await;
            connection.map_err(|error| failure::classify(&error, Stage::Headers))
        };
        let Some(lease) = self.pool.lease() else {
            let connection = self.within(make).await;
            self.tracker.connected(phases.connected_ns, phases.tls_done_ns);
            let connection = connection??;
            self.tracker.reused(false);
            return Ok(connection);
        };
        let leased = self.within(lease.connect(make)).await;
        self.tracker.connected(phases.connected_ns, phases.tls_done_ns);
        match leased?? {
            Leased::Shared(wire) => {
                self.tracker.reused(!mine);
                Ok(Connection::leased(wire, lease))
            }
            Leased::Own(connection) => {
                self.tracker.reused(false);
                Ok(connection)
            }
            Leased::Nowhere => {
                drop(lease);
                Box::pin(self.connect(None)).await
            }
        }
    }

    /// Sends the request and reads the answer to its end.
    pub(super) async fn run(&mut self, connection: &mut Connection, ask: Ask<'_>) -> End {
        let (answer, body) = match Box::pin(self.send(connection, ask)).await {
            Ok(answer) => answer,
            Err((outcome, detail)) => return End::Failed(outcome, detail),
        };
        (self.watcher)(Seen::Head(&answer));
        if let Some((outcome, detail)) = failure::refusal(&answer) {
            let excerpt = Box::pin(self.excerpt(connection, body)).await;
            let detail = if excerpt.is_empty() { detail } else { format!("{detail}: {excerpt}") };
            return End::Failed(outcome, detail);
        }
        drop(answer);
        match self.stream(connection, body, ask.read_bytes_per_s).await {
            Ok(()) => End::Eof,
            Err((outcome, detail)) => End::Failed(outcome, detail),
        }
    }

    async fn send(&mut self, connection: &mut Connection, ask: Ask<'_>) -> Result<(Response<()>, Body), Ended> {
        let clock = self.client.clock;
        let version = connection.version();
        let request = self.client.template.request(version, self.tracker.plan_index(), ask, self.tracker.task_id());
        let handed_over_ns = clock.now();
        // Provisional, so that the limit on the headers counts from here.
        self.tracker.sent(handed_over_ns);
        self.timer.no_later_than(self.tracker.deadline().0);
        (self.watcher)(Seen::Sent);
        let answer = self.within(connection.send(request)).await;
        if let Some(traffic) = connection.traffic() {
            // The request is all that HTTP/1.1 writes, so its last write is the connection's last one.
            if traffic.last_write_ns() >= handed_over_ns {
                self.tracker.sent(traffic.last_write_ns());
            } else {
                self.tracker.unsent();
            }
        }
        let (answer, body, read) = answer?.map_err(|error| lost(&error, connection))?;
        self.tracker.headers(read.stamp.arrival_ns);
        Ok((answer, body))
    }

    /// Reads an event stream to its end, no faster than so many bytes a second.
    async fn stream(
        &mut self,
        connection: &mut Connection,
        mut body: Body,
        bytes_per_s: Option<u64>,
    ) -> Result<(), Ended> {
        let mut parser = sse::Parser::new(self.client.limits);
        let began_ns = self.client.clock.now();
        self.timer.no_later_than(self.tracker.deadline().0);
        let mut closed = false;
        loop {
            let piece = self.within(poll_fn(|cx| connection.poll_next(&mut body, cx))).await?;
            let ended = match (piece.map_err(|error| failure::classify(&error, Stage::Body))?, &mut body) {
                (Piece::Read(filled), Body::Http1(decoder)) => {
                    let read = connection.traffic().map(Traffic::last_read).unwrap_or_default();
                    let arrival = self.arrival(Completed { read, followed: read.cut });
                    let mut rest = filled.bytes();
                    closed = rest.is_empty();
                    let ended = self.feed_framed(&mut parser, decoder, &mut rest, arrival)?;
                    if !rest.is_empty() {
                        connection.stray_bytes();
                    }
                    ended
                }
                (Piece::Frame(frame, completed), _) => {
                    let arrival = self.arrival(completed);
                    self.feed(&mut parser, &frame, arrival)?;
                    false
                }
                (Piece::End | Piece::Read(_), _) => true,
            };
            if ended {
                self.end_of_body(&parser)?;
                // Nothing stamps a close.
                self.tracker.body_ended(if closed { None } else { connection.ended_ns(&body) });
                return Ok(());
            }
            // Bytes move the deadline away, and only the end of the task brings it closer.
            if self.tracker.is_finished() {
                self.timer.no_later_than(self.tracker.deadline().0);
            }
            if let Some(bytes_per_s) = bytes_per_s {
                self.digest(began_ns, bytes_per_s).await?;
            }
        }
    }

    /// Waits until a reader of so many bytes a second has read what came so far. What comes meanwhile fills the
    /// connection's buffers, and then the server has to wait. Of the limits only that on the whole invocation ends this:
    /// the others are the server's.
    async fn digest(&mut self, began_ns: u64, bytes_per_s: u64) -> Result<(), Ended> {
        let bytes = u128::from(self.tracker.body_bytes());
        let took_ns = u64::try_from(bytes * u128::from(NS_PER_S) / u128::from(bytes_per_s)).unwrap_or(u64::MAX);
        let (read_ns, (limit_ns, outcome)) = (began_ns.saturating_add(took_ns), self.tracker.limit());
        tokio::select! {
            biased;
            () = self.client.clock.sleep_until(read_ns.min(limit_ns)) => {}
            (outcome, why) = self.cut.as_mut() => return Err((outcome, why.to_owned())),
        }
        if read_ns < limit_ns { Ok(()) } else { Err((outcome, TIME_LIMIT.to_owned())) }
    }

    /// Takes one read of a connection; says whether the body has ended.
    fn feed_framed(
        &mut self,
        parser: &mut sse::Parser,
        decoder: &mut Decoder,
        rest: &mut &[u8],
        arrival: Arrival,
    ) -> Result<bool, Ended> {
        let broken = |error: http1::Error| failure::classify(&Error::from(error), Stage::Body);
        if rest.is_empty() {
            return decoder.close().map(|()| true).map_err(broken);
        }
        let (mut whole, mut behind) = (true, 0);
        let ended = loop {
            match decoder.next(rest).map_err(broken)? {
                Step::Data(data) => (whole, behind) = (self.feed(parser, data, arrival)?, rest.len()),
                Step::More => break false,
                Step::End => break true,
            }
        };
        // The body's end is no news of its own: it is sent as soon as the last event is.
        if !whole || (!ended && behind > CHUNK_END_BYTES) {
            self.tracker.followed(arrival.read);
            (self.watcher)(Seen::Followed(arrival.read));
        }
        Ok(ended)
    }

    /// The stamps of the bytes at hand.
    fn arrival(&self, completed: Completed) -> Arrival {
        let Completed { read, followed } = completed;
        let Stamp { arrival_ns, kernel } = read.stamp;
        let handled_ns = self.client.clock.now();
        Arrival { read: read.number, arrival_ns, earliest_ns: read.earliest_ns, handled_ns, kernel, followed }
    }

    /// Takes bytes of the body; says whether the last of them completed an event.
    fn feed(&mut self, parser: &mut sse::Parser, data: &[u8], arrival: Arrival) -> Result<bool, Ended> {
        (self.watcher)(Seen::Bytes(arrival, data));
        self.tracker.bytes(arrival, data.len());
        let comments_before = parser.counts().comments;
        let mut events = parser.feed(data);
        let mut end = self.tracker.body_bytes() - data.len() as u64;
        loop {
            let event = match events.next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => return Err((Outcome::EventTooLarge, error.to_string())),
            };
            end = event.end();
            // Almost every event is valid UTF-8, and to see that is faster than to repair it.
            let text = std::str::from_utf8(event.data()).map_or_else(|_| event.data_lossy(), Cow::Borrowed);
            let envelope = Envelope::parse(&text)
                .map_err(|error| (Outcome::BadEvent, format!("{error}: {}", self.client.excerpt_of(event.data()))))?;
            self.tracker.event(&envelope, arrival, matches!(text, Cow::Owned(_)));
            (self.watcher)(Seen::Event(arrival, &envelope, text.as_bytes()));
        }
        self.tracker.comments(parser.counts().comments - comments_before);
        let behind = usize::try_from(self.tracker.body_bytes() - end).expect("no more than was just fed");
        // An event is due with the carriage return of its last line; the line feed belongs to that.
        Ok(matches!(&data[data.len() - behind..], b"" | b"\n"))
    }

    fn end_of_body(&self, parser: &sse::Parser) -> Result<(), Ended> {
        if parser.pending() && !self.tracker.is_finished() {
            let detail = "the body ended inside an event, before task_finished".to_owned();
            return Err((Outcome::Truncated, detail));
        }
        Ok(())
    }

    /// The first bytes of an answer that is no event stream, for its explanation.
    async fn excerpt(&mut self, connection: &mut Connection, mut body: Body) -> String {
        let mut kept = Vec::new();
        while kept.len() < EXCERPT_BYTES + self.client.mask.longest() {
            let Ok(Ok(piece)) = self.within(connection.next(&mut body)).await else { break };
            match (&piece, &mut body) {
                (Piece::Read(read), Body::Http1(decoder)) => {
                    let mut rest = read.bytes();
                    while let Ok(Step::Data(data)) = decoder.next(&mut rest) {
                        kept.extend_from_slice(data);
                    }
                    // Closed, or no framing.
                    if read.bytes().is_empty() || !rest.is_empty() {
                        break;
                    }
                }
                (Piece::Frame(frame, _), _) => kept.extend_from_slice(frame),
                (Piece::End | Piece::Read(_), _) => break,
            }
        }
        self.client.excerpt_of(&kept)
    }

    /// Waits for `step`, but not past the tracker's deadline nor the end of the run's drain.
    async fn within<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Ended> {
        let mut step = pin!(step);
        poll_fn(|cx| match step.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll_ended(cx).map(Err),
        })
        .await
    }

    /// Whether the deadline has passed, or the invocation is ended from outside.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while self.timer.poll_ring(cx).is_ready() {
            let (at, expiry) = self.tracker.deadline();
            if self.client.clock.now() < at {
                self.timer.arm(at);
                continue;
            }
            return Poll::Ready(match expiry {
                Expiry::End(outcome) => (outcome, TIME_LIMIT.to_owned()),
                Expiry::LingerOver => (Outcome::Completed, String::new()),
            });
        }
        let (outcome, why) = ready!(self.cut.as_mut().poll(cx));
        Poll::Ready((outcome, why.to_owned()))
    }
}

/// An answer that never came; a kept connection that the server had closed is said to be one.
fn lost(error: &Error, connection: &Connection) -> Ended {
    let (outcome, detail) = failure::classify(error, Stage::Headers);
    let detail = if connection.served > 0 {
        format!("{detail} (on a reused connection; target.connection = \"new\" avoids those)")
    } else {
        detail
    };
    (outcome, detail)
}

impl Settings {
    /// The start of what the server said, printable, in one line, and without our own secrets.
    fn excerpt_of(&self, bytes: &[u8]) -> String {
        // What lies behind can't be seen, so a longer search than a secret's length past it finds nothing more.
        let within = &bytes[..bytes.len().min(EXCERPT_BYTES + self.mask.longest())];
        let masked = self.mask.hide(within);
        String::from_utf8_lossy(&masked[..masked.len().min(EXCERPT_BYTES)])
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>()
            .trim()
            .to_owned()
    }
}
