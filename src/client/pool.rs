//! The HTTP/2 connections of a worker: each carries so many streams at a time, and they are opened as needed.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use tokio::sync::OnceCell;

use super::connection::{Connection, Version};
use super::http2::Http2;
use crate::profile::{Connection as Policy, Http};

/// The connections that the slots of a worker share.
#[derive(Debug)]
pub struct Pool {
    /// Streams that share a connection, at most.
    streams: u32,
    /// Streams that a connection of this server carries, at most, by the last one that said so.
    allowed: Cell<u32>,
    policy: Policy,
    /// HTTP/2 is spoken, or may be.
    shares: Cell<bool>,
    lines: RefCell<Vec<Rc<Line>>>,
}

/// A connection that is shared, or is to be once somebody has made it.
#[derive(Debug)]
struct Line {
    /// Empty when HTTP/2 was not what the server wanted.
    made: OnceCell<Option<Http2>>,
    /// Streams that it carries now.
    carries: Cell<u32>,
    /// Invocations that have begun on it.
    served: Cell<u64>,
    /// Nothing new is to begin on it.
    retired: Cell<bool>,
}

/// A place on a shared connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Rc<Pool>,
    line: Rc<Line>,
}

/// What a lease led to.
pub(super) enum Leased {
    /// A place on a connection.
    Shared(Http2),
    /// The server speaks HTTP/1.1: the connection is whoever's who made it.
    Own(Connection),
    /// There is no room for this one, or no use in it: another lease leads further.
    Nowhere,
}

impl Pool {
    /// No connections yet.
    #[must_use]
    pub fn new(http: Http, tls: bool, streams: u32, policy: Policy) -> Rc<Self> {
        let shares = http == Http::Http2 || http == Http::Auto && tls;
        let (allowed, lines) = (Cell::new(u32::MAX), RefCell::default());
        Rc::new(Self { streams, allowed, policy, shares: Cell::new(shares), lines })
    }

    /// A place on a connection that has room, or on one that is yet to be made; none where HTTP/1.1 is spoken.
    pub(super) fn lease(self: &Rc<Self>) -> Option<Lease> {
        if !self.shares.get() {
            return None;
        }
        let mut lines = self.lines.borrow_mut();
        lines.retain(|line| line.carries.get() > 0 || line.is_usable(self.policy));
        let line = lines.iter().find(|line| line.is_usable(self.policy) && line.carries.get() < self.room(line));
        let line = line.cloned().unwrap_or_else(|| {
            let line = Rc::new(Line::new());
            lines.push(Rc::clone(&line));
            line
        });
        line.carries.set(line.carries.get() + 1);
        Some(Lease { pool: Rc::clone(self), line })
    }

    /// How many streams a line carries, at most; until its server has said what it allows, as many as others of it do.
    fn room(&self, line: &Line) -> u32 {
        let made = line.made.get().and_then(Option::as_ref).filter(|made| made.is_settled());
        if let Some(made) = made {
            // A server that allows none at the moment may allow one later.
            self.allowed.set(u32::try_from(made.streams_max()).unwrap_or(u32::MAX).max(1));
        }
        self.streams.min(self.allowed.get())
    }
}

impl Line {
    fn new() -> Self {
        Self { made: OnceCell::new(), carries: Cell::new(0), served: Cell::new(0), retired: Cell::new(false) }
    }

    fn is_usable(&self, policy: Policy) -> bool {
        // What is being made counts those who wait for it: each of them will begin on it.
        let begun = self.served.get().max(u64::from(self.carries.get()));
        let stands = self.made.get().is_none_or(|made| made.as_ref().is_some_and(Http2::is_open));
        stands && !self.retired.get() && policy.allows(begun)
    }
}

impl Lease {
    /// The connection, made by `make` unless that has been done; then the others wait for whoever makes it, and when
    /// that fails the next one tries. Whoever waited looks again whether there is room: only now it is known what the
    /// server allows.
    pub(super) async fn connect<E>(&self, make: impl Future<Output = Result<Connection, E>>) -> Result<Leased, E> {
        let (mut own, mut mine) = (None, false);
        let made = self.line.made.get_or_try_init(|| async {
            let connection = make.await?;
            mine = true;
            if connection.version() == Version::Http2 {
                return Ok(connection.into_http2());
            }
            self.pool.shares.set(false);
            own = Some(connection);
            Ok(None)
        });
        let Some(mut wire) = made.await?.clone() else { return Ok(own.map_or(Leased::Nowhere, Leased::Own)) };
        if !mine {
            wire.settled().await;
            if self.line.carries.get() > self.pool.room(&self.line) {
                return Ok(Leased::Nowhere);
            }
            if wire.ready().await.is_err() || !wire.is_open() {
                self.retire();
                return Ok(Leased::Nowhere);
            }
        }
        self.line.served.set(self.line.served.get() + 1);
        Ok(Leased::Shared(wire))
    }

    /// Invocations that had begun on the connection before this one.
    pub(super) fn served_before(&self) -> u64 {
        self.line.served.get().saturating_sub(1)
    }

    /// Begins nothing new on the connection: it is broken, or may be.
    pub(super) fn retire(&self) {
        self.line.retired.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.line.carries.set(self.line.carries.get() - 1);
        let over = self.line.carries.get() == 0 && !self.line.is_usable(self.pool.policy);
        if over {
            // So that it is closed now and not when somebody looks for another one.
            self.pool.lines.borrow_mut().retain(|line| !Rc::ptr_eq(line, &self.line));
        }
    }
}
