//! What a worker tells the dispatcher.

use std::collections::BTreeMap;

use crate::client::stamper::Figures;
use crate::metrics::Record;
use crate::metrics::recorder::{GapGroup, Parts};
use crate::stats::Histogram;

/// How far a worker is: counts since the run began, but for `in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Invocations taken up.
    pub started: u64,
    /// Of those, the ones that could not be made after all, and so were never started.
    pub unmade: u64,
    /// Of those, the ones that go on.
    pub in_flight: u64,
    /// Events seen.
    pub events: u64,
    /// Of those, the ones whose time is from user space.
    pub user_stamped: u64,
    /// Body bytes seen.
    pub body_bytes: u64,
    /// Time in flight of the invocations that have ended, in nanoseconds.
    pub in_flight_ns: u64,
    /// Starts of a closed load that were put off because the ones before them got no answer.
    pub put_off: u64,
    /// For how long, all together, in nanoseconds.
    pub put_off_ns: u64,
    /// CPU time of the worker's thread, in nanoseconds; 0 where the system does not tell.
    pub cpu_ns: u64,
}

impl Progress {
    /// Invocations that were started.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.started - self.unmade
    }

    /// What several workers come to together.
    pub fn sum<'p>(all: impl Iterator<Item = &'p Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            started: sum.started + one.started,
            unmade: sum.unmade + one.unmade,
            in_flight: sum.in_flight + one.in_flight,
            events: sum.events + one.events,
            user_stamped: sum.user_stamped + one.user_stamped,
            body_bytes: sum.body_bytes + one.body_bytes,
            in_flight_ns: sum.in_flight_ns + one.in_flight_ns,
            put_off: sum.put_off + one.put_off,
            put_off_ns: sum.put_off_ns + one.put_off_ns,
            cpu_ns: sum.cpu_ns + one.cpu_ns,
        })
    }
}

/// What a worker tells the dispatcher.
#[derive(Debug)]
pub enum Message {
    /// A planned start ended.
    Finished(Box<Record>),
    /// This task was left behind, and goes on at the agent; its id may not have come yet.
    Left(Option<String>),
    /// How far it is.
    Tick(u32, Progress),
    /// A second of the run is over: its number, how far the worker is, and what it recorded in it.
    Second(u32, u64, Progress, Parts),
    /// The worker has ended in order.
    Done(u32, Box<LastWord>),
    /// The worker died; with the cause in words.
    Died(u32, String, Box<LastWord>),
}

/// What a worker leaves behind.
#[derive(Debug)]
pub struct LastWord {
    /// How far it got.
    pub progress: Progress,
    /// What it had not handed over yet.
    pub parts: Parts,
    /// Its gaps by group of streams.
    pub gap_groups: BTreeMap<GapGroup, Histogram>,
    /// What its stamps are worth.
    pub stamps: Figures,
}
