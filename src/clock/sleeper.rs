//! The fine timer of a runtime: one timer descriptor that all its sleepers share.
//!
//! tokio's own timer counts whole milliseconds, which is late by 1.1 ms at the median. The first sleeper that is polled
//! on a runtime opens a timer descriptor and spawns one task there; the task waits until the descriptor is readable,
//! wakes whoever is due, and sets the descriptor to the next deadline. When the runtime goes, so does the task.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::{self, Handle};

use super::deadlines::{Deadlines, Key};

thread_local! {
    /// The sleepers of the runtimes that this thread has worked for; almost always one.
    static SLEEPERS: RefCell<Vec<(runtime::Id, Weak<Sleeper>)>> = const { RefCell::new(Vec::new()) };
}

/// One runtime's timer, shared by its task and its sleepers.
#[derive(Debug)]
struct Sleeper {
    timer: TimerFd,
    /// Up to which deadline everybody has been woken, in nanoseconds; the end of time when the runtime is gone and nobody
    /// will wake anyone here any more.
    woken_ns: AtomicU64,
    /// Never held while a waker is woken or dropped: both may drop a sleeping task, which comes back here to cancel.
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    deadlines: Deadlines<Waker>,
    /// What the descriptor is set to.
    armed_ns: Option<u64>,
}

/// A sleeper's place on a runtime's timer; dropping it cancels.
#[derive(Debug)]
pub(super) struct Registration {
    sleeper: Arc<Sleeper>,
    key: Key,
    waker: Waker,
}

impl Registration {
    /// Asks the current runtime's timer to wake at `at_ns` of the system's monotonic clock.
    ///
    /// # Errors
    /// The runtime has no timer descriptor yet and can't get one.
    pub(super) fn new(at_ns: u64, waker: &Waker) -> io::Result<Self> {
        let sleeper = Sleeper::of_this_runtime()?;
        let key = sleeper.add(at_ns, waker.clone())?;
        Ok(Self { sleeper, key, waker: waker.clone() })
    }

    /// Whether it has yet to wake this one; a stream that is polled for other reasons asks often.
    pub(super) fn will_wake(&self, waker: &Waker) -> bool {
        self.waker.will_wake(waker) && !self.key.is_due(self.sleeper.woken_ns.load(Ordering::Acquire))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let cancelled = self.sleeper.lock().deadlines.cancel(self.key);
        drop(cancelled); // The lock is not held any more.
    }
}

impl Sleeper {
    /// The current runtime's timer, opened when this is the first sleeper on it.
    fn of_this_runtime() -> io::Result<Arc<Self>> {
        let handle = Handle::current();
        SLEEPERS.with_borrow_mut(|known| {
            let found = known.iter().find(|(id, _)| *id == handle.id()).and_then(|(_, weak)| weak.upgrade());
            if let Some(open) = found.filter(|sleeper| !sleeper.is_closed()) {
                return Ok(open);
            }
            known.retain(|(id, weak)| weak.strong_count() > 0 && *id != handle.id());
            let new = Self::start(&handle)?;
            known.push((handle.id(), Arc::downgrade(&new)));
            Ok(new)
        })
    }

    fn start(handle: &Handle) -> io::Result<Arc<Self>> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        // tokio's own wrapper of any descriptor can't be made without `unsafe`; the reading end of a pipe takes one.
        let expiries = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        let sleeper = Arc::new(Self { timer, woken_ns: AtomicU64::new(0), waiting: Mutex::default() });
        handle.spawn(wake_the_due(expiries, Closing(Arc::clone(&sleeper))));
        Ok(sleeper)
    }

    fn is_closed(&self) -> bool {
        self.woken_ns.load(Ordering::Acquire) == u64::MAX
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at_ns: u64, waker: Waker) -> io::Result<Key> {
        let mut waiting = self.lock();
        if waiting.armed_ns.is_none_or(|armed_ns| at_ns < armed_ns) {
            self.arm(at_ns)?;
            waiting.armed_ns = Some(at_ns);
        }
        Ok(waiting.deadlines.set(at_ns, waker))
    }

    fn take_due(&self, now_ns: u64, due: &mut Vec<Waker>) -> io::Result<()> {
        let mut waiting = self.lock();
        waiting.deadlines.take_due(now_ns, due);
        self.woken_ns.store(now_ns, Ordering::Release);
        waiting.armed_ns = waiting.deadlines.next_ns();
        waiting.armed_ns.map_or(Ok(()), |at_ns| self.arm(at_ns))
    }

    fn arm(&self, at_ns: u64) -> io::Result<()> {
        let at = Expiration::OneShot(TimeSpec::from(Duration::from_nanos(at_ns)));
        Ok(self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }
}

/// The runtime's hold on the sleeper: it is dropped with the runtime.
#[derive(Debug)]
struct Closing(Arc<Sleeper>);

impl Drop for Closing {
    /// Wakes everybody once more, so that whoever has moved to another runtime registers there.
    fn drop(&mut self) {
        let mut left = Vec::new();
        {
            let mut waiting = self.0.lock();
            self.0.woken_ns.store(u64::MAX, Ordering::Release);
            waiting.deadlines.take_due(u64::MAX, &mut left);
        }
        left.into_iter().for_each(Waker::wake);
    }
}

async fn wake_the_due(expiries: Receiver, sleeper: Closing) {
    let mut due = Vec::new();
    // Either fails only when the runtime shuts down or the descriptor is none; `Closing` then tells the sleepers.
    while expiries.readable().await.is_ok() {
        // Clears the readiness. The descriptor needs no read: it is watched for edges, and setting it takes back that
        // it had expired.
        let _ = expiries.try_io(|| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        if sleeper.0.take_due(super::monotonic_ns(), &mut due).is_err() {
            return;
        }
        due.drain(..).for_each(Waker::wake);
    }
}
