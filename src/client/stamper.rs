//! When bytes arrived: the kernel's receive stamps, brought onto the run's clock.
//!
//! One [`Stamper`] serves all connections of a worker. The kernel stamps with the wall clock; how that lies to the run's
//! clock is read once a millisecond while bytes come, so that a step of the wall clock spoils at most the stamps of a
//! millisecond, which are counted. Where a stamp is missing, or the platform has none, the instant just after the read
//! takes its place.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::buffer::Buffer;
use super::socket::Receiver;
use crate::clock::{Clock, wall};
use crate::units::NS_PER_MS;

/// How often the wall clock is read beside the run's clock while bytes come.
const READING_EVERY_NS: u64 = NS_PER_MS;
/// Readings before the first stamp: each can be wide when the thread is interrupted, the best of a few is not.
const FIRST_READINGS: usize = 16;

/// Stamps the reads of one worker.
pub struct Stamper {
    clock: Clock,
    read_wall: Box<dyn Fn() -> Option<wall::Reading>>,
    mapping: RefCell<Option<wall::Mapping>>,
    next_reading_ns: Cell<u64>,
    /// Reads that the kernel stamped since the wall clock was last read.
    since_reading: Cell<u64>,
    figures: Cell<Figures>,
    receiver: Receiver,
    buffer: Rc<Buffer>,
}

/// What a worker's stamps are worth; the certificate states it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Reads with a kernel stamp.
    pub kernel_reads: u64,
    /// Reads without one, stamped just after the read.
    pub user_reads: u64,
    /// Kernel stamps that mapped later than the read, and were set to it.
    pub moved_earlier: u64,
    /// Kernel stamps that mapped earlier than the read before them on their connection, and were set to that.
    pub moved_later: u64,
    /// The largest of those moves, in nanoseconds.
    pub moved_ns_max: u64,
    /// Kernel stamps taken within the millisecond in which the wall clock was set: off by up to the step.
    pub in_doubt: u64,
    /// The mapping of the wall clock.
    pub mapping: wall::Seen,
}

impl Figures {
    /// Adds what another worker's stamps are worth.
    pub fn merge(&mut self, other: &Self) {
        self.kernel_reads += other.kernel_reads;
        self.user_reads += other.user_reads;
        self.moved_earlier += other.moved_earlier;
        self.moved_later += other.moved_later;
        self.moved_ns_max = self.moved_ns_max.max(other.moved_ns_max);
        self.in_doubt += other.in_doubt;
        self.mapping.readings += other.mapping.readings;
        self.mapping.error_ns_max = self.mapping.error_ns_max.max(other.mapping.error_ns_max);
        // All workers watch the same wall clock.
        self.mapping.steps = self.mapping.steps.max(other.mapping.steps);
        self.mapping.step_ns_max = self.mapping.step_ns_max.max(other.mapping.step_ns_max);
        self.mapping.drift_ns = self.mapping.drift_ns.max(other.mapping.drift_ns);
    }
}

/// The stamp of one read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When its last byte arrived, in nanoseconds.
    pub arrival_ns: u64,
    /// The kernel said so; else it is the instant just after the read.
    pub kernel: bool,
}

impl fmt::Debug for Stamper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Stamper").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

impl Stamper {
    /// A stamper for the connections of one worker.
    #[must_use]
    pub fn new(clock: Clock) -> Rc<Self> {
        Self::reading_by(clock, move || clock.reading())
    }

    /// A stamper that reads the wall clock beside the run's clock in this way.
    fn reading_by(clock: Clock, read_wall: impl Fn() -> Option<wall::Reading> + 'static) -> Rc<Self> {
        let mut mapping = read_wall().map(wall::Mapping::new);
        if let Some(mapping) = &mut mapping {
            for reading in (1..FIRST_READINGS).filter_map(|_| read_wall()) {
                mapping.observe(reading);
            }
        }
        Rc::new(Self {
            clock,
            read_wall: Box::new(read_wall),
            receiver: Receiver::new(mapping.is_some()),
            mapping: RefCell::new(mapping),
            next_reading_ns: Cell::new(clock.now().saturating_add(READING_EVERY_NS)),
            since_reading: Cell::new(0),
            figures: Cell::default(),
            buffer: Rc::default(),
        })
    }

    /// What the stamps so far are worth.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mapping = self.mapping.borrow().as_ref().map(wall::Mapping::seen).unwrap_or_default();
        Figures { mapping, ..self.figures.get() }
    }

    /// The largest error of the mapping from the wall clock so far, in nanoseconds: what the stamp of a read's last
    /// event may be wrong by.
    #[must_use]
    pub fn mapping_error_ns(&self) -> u64 {
        self.mapping.borrow().as_ref().map_or(0, |mapping| mapping.seen().error_ns_max)
    }

    /// The run's clock.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// What reads sockets.
    pub(super) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What is read into.
    pub(super) fn buffer(&self) -> &Rc<Buffer> {
        &self.buffer
    }

    /// The stamp of a read that has just returned, given the kernel's stamp on the wall clock and the stamp of the read
    /// before it on the same connection, all in nanoseconds.
    pub(super) fn stamp(&self, wall_ns: Option<u64>, before_ns: u64) -> Stamp {
        let now_ns = self.clock.now();
        let mut figures = self.figures.get();
        let stamp = match (wall_ns, &mut *self.mapping.borrow_mut()) {
            (Some(wall_ns), Some(mapping)) => {
                figures.kernel_reads += 1;
                self.since_reading.set(self.since_reading.get() + 1);
                let arrival_ns = self.place(wall_ns, (before_ns, now_ns), mapping, &mut figures);
                Stamp { arrival_ns, kernel: true }
            }
            _ => {
                figures.user_reads += 1;
                Stamp { arrival_ns: now_ns, kernel: false }
            }
        };
        self.figures.set(figures);
        stamp
    }

    /// Maps a kernel stamp to between the stamp before it and now. One that lies outside is mapped again after a fresh
    /// reading of the wall clock, and moved when it still does.
    fn place(
        &self,
        wall_ns: u64,
        (before_ns, now_ns): (u64, u64),
        mapping: &mut wall::Mapping,
        figures: &mut Figures,
    ) -> u64 {
        if now_ns >= self.next_reading_ns.get() {
            self.read_wall(mapping, now_ns, figures);
        }
        let mut at_ns = mapping.map(wall_ns);
        if at_ns < before_ns || now_ns < at_ns {
            self.read_wall(mapping, now_ns, figures);
            at_ns = mapping.map(wall_ns);
        }
        let placed_ns = at_ns.max(before_ns).min(now_ns);
        figures.moved_earlier += u64::from(placed_ns < at_ns);
        figures.moved_later += u64::from(at_ns < placed_ns);
        figures.moved_ns_max = figures.moved_ns_max.max(at_ns.abs_diff(placed_ns));
        placed_ns
    }

    fn read_wall(&self, mapping: &mut wall::Mapping, now_ns: u64, figures: &mut Figures) {
        let Some(reading) = (self.read_wall)() else { return };
        let doubtful = self.since_reading.take();
        if mapping.observe(reading) {
            figures.in_doubt += doubtful;
        }
        self.next_reading_ns.set(now_ns.saturating_add(READING_EVERY_NS));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_stamp_outside_of_the_read_is_moved_and_counted() {
        let clock = Clock::start();
        let stamper = Stamper::new(clock);
        let wall_of = |at_ns: u64| clock.wall_unix_ns() + at_ns;
        let (before_ns, future_ns) = (clock.now(), clock.now() + 3_600_000_000_000);
        let late = stamper.stamp(Some(wall_of(future_ns)), before_ns);
        assert!(late.kernel && (before_ns..=clock.now()).contains(&late.arrival_ns));
        let figures = stamper.figures();
        assert_eq!((figures.kernel_reads, figures.moved_earlier, figures.moved_later), (1, 1, 0));
        let early = stamper.stamp(Some(wall_of(0) - 1_000_000_000), before_ns);
        assert_eq!(early.arrival_ns, before_ns);
        let figures = stamper.figures();
        assert_eq!((figures.kernel_reads, figures.moved_earlier, figures.moved_later), (2, 1, 1));
        assert!(figures.moved_ns_max > 1_000_000_000, "{figures:?}");
        assert_eq!((figures.mapping.steps, figures.in_doubt), (0, 0), "the wall clock is not to blame");
    }

    #[test]
    fn without_a_kernel_stamp_the_instant_of_the_read_is_taken_and_counted() {
        let clock = Clock::start();
        let stamper = Stamper::new(clock);
        let before_ns = clock.now();
        let stamp = stamper.stamp(None, 0);
        assert!(!stamp.kernel && stamp.arrival_ns >= before_ns);
        assert_eq!((stamper.figures().kernel_reads, stamper.figures().user_reads), (0, 1));
    }

    #[test]
    fn a_wall_clock_that_is_set_during_the_run_moves_no_arrival_beyond_its_read_and_is_counted() {
        const EPOCH_NS: u64 = 1_800_000_000_000_000_000;
        let clock = Clock::start();
        let wall_ahead_ns = Rc::new(Cell::new(EPOCH_NS));
        let ahead_ns = Rc::clone(&wall_ahead_ns);
        let stamper = Stamper::reading_by(clock, move || {
            let (before_ns, after_ns) = (clock.now(), clock.now());
            Some(wall::Reading { before_ns, wall_ns: before_ns + ahead_ns.get(), after_ns })
        });
        let mut before_ns = 0;
        let mut arrives = || {
            let came_ns = clock.now();
            let stamp = stamper.stamp(Some(came_ns + wall_ahead_ns.get()), before_ns);
            before_ns = stamp.arrival_ns;
            (came_ns, stamp.arrival_ns, stamper.figures())
        };
        for (step, ahead_ns) in [EPOCH_NS, EPOCH_NS + 5_000_000_000, EPOCH_NS - 5_000_000_000].into_iter().enumerate() {
            wall_ahead_ns.set(ahead_ns);
            for _ in 0..3 {
                let (came_ns, arrival_ns, figures) = arrives();
                assert!(arrival_ns.abs_diff(came_ns) <= figures.mapping.error_ns_max + 1, "{figures:?}");
                // A reading that was interrupted is as wide as its interruption, and so is what it may map wrongly.
                assert!(figures.moved_ns_max <= figures.mapping.error_ns_max + 1, "{figures:?}");
                assert_eq!(figures.mapping.steps, step as u64);
            }
        }
        let figures = stamper.figures();
        assert!((9_999_000_000..=10_000_000_000).contains(&figures.mapping.step_ns_max), "{figures:?}");
        assert!(
            (2..=9).contains(&figures.in_doubt),
            "the stamp that showed each step, and those just before: {figures:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn virtual_time_has_no_kernel_stamps() {
        let stamper = Stamper::new(Clock::start());
        assert_eq!(stamper.stamp(Some(1), 0), Stamp { arrival_ns: 0, kernel: false });
    }
}
