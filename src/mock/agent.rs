//! The mock agent: its script, its service, the tasks that it remembers, and what it has served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;
use super::logs::Logs;
use super::performance::Prelude;
use super::service::Service;
use super::stage::{Booking, Ended};
use super::store::{self, Begun, Store};
use super::task::{Status, Told, Uuid};
use super::time::Stamp;
use crate::agent::Recording;
use crate::clock::Clock;
use crate::profile::script::Script;
use crate::seed::Seed;

/// A mock agent, shared by all connections that it is reached by.
#[derive(Debug)]
pub struct Agent {
    pub(super) script: Script,
    pub(super) seed: Seed,
    pub(super) clock: Clock,
    pub(super) service: Service,
    pub(super) store: Store,
    pub(super) organization_id: String,
    /// Invocations that came without a plan index, which get one by the order of arrival.
    arrivals: AtomicU64,
    pub(super) connections: AtomicU64,
    served: Counters,
    pub(super) logs: Logs,
    /// What is replayed, by plan index.
    pub(super) recordings: Vec<Recording>,
}

/// What was served, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections taken.
    pub connections: u64,
    /// Requests of any kind that were read whole.
    pub requests: u64,
    /// Invocations that began.
    pub invocations: u64,
    /// Invocations whose task ended as completed.
    pub completed: u64,
    /// Invocations whose task ended otherwise.
    pub not_completed: u64,
    /// Invocations that a fault of the script answered or broke off.
    pub broken: u64,
    /// Invocations whose client hung up before the end, whatever came of their task.
    pub hung_up: u64,
    /// Requests that were refused, by the script's limits or for what they asked.
    pub refused: u64,
    /// Events written.
    pub events: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) invocations: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) not_completed: AtomicU64,
    pub(super) broken: AtomicU64,
    pub(super) hung_up: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) events: AtomicU64,
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// Reads what a script replays.
pub(super) fn load(script: &Script) -> Result<Vec<Recording>, Error> {
    let files = script.replay.as_ref().map(|replay| &replay.files[..]).unwrap_or_default();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|why| Error::Read { path: path.clone(), why })?;
        Recording::read(&text).map_err(|why| Error::Recording { path: path.clone(), why })
    };
    files.iter().map(read).collect()
}

impl Agent {
    /// An agent that does what the script says; its instants count on the given clock.
    #[must_use]
    pub fn new(script: Script, seed: Seed, clock: Clock) -> Arc<Self> {
        Self::logging(script, seed, clock, Logs::default())
    }

    /// The same, which writes logs.
    #[must_use]
    pub fn logging(script: Script, seed: Seed, clock: Clock, logs: Logs) -> Arc<Self> {
        Self::replaying(script, seed, clock, logs, Vec::new())
    }

    /// The same, which replays recordings where there are any.
    #[must_use]
    pub fn replaying(script: Script, seed: Seed, clock: Clock, logs: Logs, recordings: Vec<Recording>) -> Arc<Self> {
        let organization_id = Uuid(Prelude::new(&script, seed, 0).organization_id).to_string();
        Arc::new(Self {
            service: Service::new(&script.service),
            store: Store::default(),
            organization_id,
            arrivals: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            served: Counters::default(),
            logs,
            recordings,
            script,
            seed,
            clock,
        })
    }

    /// What was served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let served = &self.served;
        Served {
            connections: get(&self.connections),
            requests: get(&served.requests),
            invocations: get(&served.invocations),
            completed: get(&served.completed),
            not_completed: get(&served.not_completed),
            broken: get(&served.broken),
            hung_up: get(&served.hung_up),
            refused: get(&served.refused),
            events: get(&served.events),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.served
    }

    /// The recording that an invocation replays, and how fast.
    pub(super) fn replay(&self, index: u64) -> Option<(&Recording, f64)> {
        let speed = self.script.replay.as_ref()?.speed;
        let count = u64::try_from(self.recordings.len()).ok().filter(|count| *count > 0)?;
        let at = usize::try_from(index % count).expect("it is below the count");
        Some((&self.recordings[at], speed))
    }

    /// Writes the logs out.
    ///
    /// # Errors
    /// A log could not be written.
    pub fn finish_logs(&self) -> std::io::Result<()> {
        self.logs.finish()
    }

    /// The present, on the wall clock.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(self.clock.wall_unix_ns().saturating_add(self.clock.now()) / 1_000)
    }

    /// The plan index of an invocation that brought none.
    pub(super) fn next_arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a turn has ended, unless someone stopped it before.
    pub(super) fn finish(&self, begun: &Begun, status: Status, result: Option<Told>) {
        let now = self.stamp();
        self.store.change(begun, |turn| {
            if !turn.status.is_final() {
                store::end(turn, status, result, now);
            }
        });
    }

    /// Notes how a performance ended.
    pub(super) fn ended(&self, booking: &Booking, ended: Ended, events: u64) {
        let served = &self.served;
        count(&served.events, events);
        count(
            match ended {
                Ended::Finished(Status::Completed) => &served.completed,
                Ended::Finished(_) | Ended::HungUp => &served.not_completed,
                Ended::Broken => &served.broken,
            },
            1,
        );
        // A task whose stream broke does not execute for ever.
        let status = match ended {
            Ended::Finished(status) => status,
            Ended::HungUp => Status::Stopped,
            Ended::Broken => Status::Error,
        };
        self.finish(&booking.begun, status, None);
    }
}
