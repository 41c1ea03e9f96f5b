//! Who makes invocations: the run's client, and its places in the load.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::Response;

use super::connection::Connection;
use super::dial::Dialer;
use super::exchange::Exchange;
use super::mask::Mask;
use super::pool::Pool;
use super::request::{Ask, Template};
use super::stamper::Stamper;
use crate::agent::Envelope;
use crate::clock::{Clock, Timer};
use crate::metrics::tracker::{Arrival, End, Start, Tracker, Watch};
use crate::metrics::{Checks, Outcome, Record};
use crate::profile::{Connection as Policy, Http, Profile};
use crate::sse;

/// Makes the invocations of one run; copies share what they are made of.
#[derive(Debug, Clone)]
pub struct Client(Arc<Settings>);

/// What all invocations of a run have in common.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) dialer: Dialer,
    pub(super) clock: Clock,
    pub(super) template: Template,
    pub(super) http: Http,
    pub(super) policy: Policy,
    pub(super) streams: u32,
    pub(super) watch: Watch,
    /// What must hold of each result, where the profile asks for anything.
    pub(super) checks: Option<Arc<Checks>>,
    pub(super) limits: sse::Limits,
    pub(super) mask: Mask,
}

/// What a watcher is shown of an invocation while it runs.
#[derive(Debug)]
pub enum Seen<'a> {
    /// The request is handed over to the connection.
    Sent,
    /// The answer's head came.
    Head(&'a Response<()>),
    /// Body bytes, as one read or frame brought them.
    Bytes(Arrival, &'a [u8]),
    /// A complete event.
    Event(Arrival, &'a Envelope<'a>, &'a [u8]),
    /// The read of this number went on behind the last event that it completed: its stamp is of what came there, and the
    /// latest possible for the event.
    Followed(u64),
}

/// Whoever watches an invocation.
pub type Watcher<'a> = &'a mut dyn FnMut(Seen<'_>);

/// One place in the load: its invocations follow each other, over one connection where that is allowed.
#[derive(Debug)]
pub struct Slot {
    client: Client,
    stamper: Rc<Stamper>,
    pool: Rc<Pool>,
    connection: Option<Connection>,
}

impl Client {
    /// The client of a run.
    #[must_use]
    pub fn new(profile: &Profile, dialer: Dialer, template: Template, clock: Clock) -> Self {
        let limits = &profile.limits;
        let watch = Watch {
            connect_ns: limits.connect_ns,
            headers_ns: limits.headers_ns,
            first_event_ns: limits.first_event_ns,
            idle_ns: limits.idle_ns,
            total_ns: limits.total_ns,
            linger_ns: limits.linger_ns,
            stall_ns: profile.stall_ns,
        };
        Self(Arc::new(Settings {
            mask: Mask::new(template.headers(), profile.variants.iter().map(|variant| &variant.request)),
            dialer,
            clock,
            template,
            http: profile.target.http,
            policy: profile.target.connection,
            streams: profile.target.streams,
            watch,
            checks: profile.checks.clone(),
            limits: sse::Limits { line_bytes: limits.event_bytes, event_bytes: limits.event_bytes },
        }))
    }

    /// A place in the load, without a connection yet, and with HTTP/2 connections of its own; its worker's stamper
    /// stamps what it reads.
    #[must_use]
    pub fn slot(&self, stamper: &Rc<Stamper>) -> Slot {
        self.slot_in(&self.pool(), stamper)
    }

    /// The same, which shares the HTTP/2 connections of a pool.
    #[must_use]
    pub fn slot_in(&self, pool: &Rc<Pool>, stamper: &Rc<Stamper>) -> Slot {
        Slot { client: self.clone(), stamper: Rc::clone(stamper), pool: Rc::clone(pool), connection: None }
    }

    /// A text of the target's without the secrets of the run's own requests.
    #[must_use]
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.0.mask.clean(text)
    }

    /// Makes them illegible in bytes of the target's, which keep their length.
    pub fn blot(&self, bytes: &mut [u8]) {
        self.0.mask.blot(bytes);
    }

    /// What the slots of a worker share.
    #[must_use]
    pub fn pool(&self) -> Rc<Pool> {
        Pool::new(self.0.http, self.0.dialer.speaks_tls(), self.0.streams, self.0.policy)
    }
}

impl Settings {
    /// Hides our own secrets in what a record has of the target's words. The task id stays, as the next turn needs it.
    fn hide_in(&self, record: &mut Record) {
        if let Some(detail) = &mut record.detail
            && let Cow::Owned(hidden) = self.mask.clean(detail)
        {
            *detail = hidden;
        }
        let mut hidden = false;
        for tool in &mut record.tools {
            if let Cow::Owned(name) = self.mask.clean(&tool.name) {
                (tool.name, hidden) = (name.into(), true);
            }
        }
        // Calls have the names of the tools.
        for call in record.calls.iter_mut().filter(|_| hidden) {
            call.name = self.mask.clean(&call.name).into();
        }
    }
}

impl Slot {
    /// Runs one invocation to its outcome: its record, and the gaps between its chunks in nanoseconds.
    ///
    /// `gaps_ns` is an empty buffer to fill; `cut` ends the invocation from outside, in the way and for the reason
    /// that it gives.
    pub async fn invoke(
        &mut self,
        start: Start,
        ask: impl Into<Ask<'_>>,
        gaps_ns: Vec<u64>,
        cut: impl Future<Output = (Outcome, &'static str)>,
        watcher: Watcher<'_>,
    ) -> (Record, Vec<u64>) {
        let (client, stamper) = (&*self.client.0, &self.stamper);
        let clock = client.clock;
        let tracker = Tracker::new(start, client.watch, gaps_ns);
        let tracker = match &client.checks {
            Some(checks) => tracker.checked_by(checks),
            None => tracker,
        };
        let timer = Timer::new(clock, tracker.deadline().0);
        let mut exchange = Exchange { client, stamper, pool: &self.pool, tracker, timer, cut: pin!(cut), watcher };
        // What is done once an invocation is boxed, so that a stream that waits holds no room for it.
        let (end, connection) = match Box::pin(exchange.connect(self.connection.take())).await {
            Ok(mut connection) => (exchange.run(&mut connection, ask.into()).await, Some(connection)),
            Err((outcome, detail)) => (End::Failed(outcome, detail), None),
        };
        let (mut record, gaps_ns) = exchange.tracker.end(end.clone(), clock.now());
        client.hide_in(&mut record);
        let record = if record.outcome.was_started() { record } else { record.unmade() };
        self.connection = connection.and_then(|connection| connection.after(&end, client.policy));
        (record, gaps_ns)
    }
}
