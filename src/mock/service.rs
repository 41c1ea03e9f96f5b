//! The limit of the service: slots with a queue, work that stretches with load, cold starts, a rate limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::profile::script::Service as Limits;
use crate::units::NS_PER_S;

/// The service as it is now.
#[derive(Debug)]
pub(super) struct Service {
    limits: Limits,
    slots: Option<Arc<Semaphore>>,
    /// Tasks between admission and end.
    admitted: Arc<AtomicU64>,
    /// Tasks that hold a slot.
    executing: Arc<AtomicU64>,
    /// When each free slot that was used before was left, the latest last.
    left_ns: Arc<Mutex<Vec<u64>>>,
    bucket: Option<Bucket>,
}

/// A task's place in the service, from its admission to its end.
#[derive(Debug)]
pub(super) struct Place {
    admitted: Arc<AtomicU64>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A slot that a task executes on.
#[derive(Debug)]
pub(super) struct Slot {
    /// None where there is no limit.
    permit: Option<OwnedSemaphorePermit>,
    executing: Arc<AtomicU64>,
    left_ns: Arc<Mutex<Vec<u64>>>,
    /// How much longer everything takes, by the load at its start.
    pub(super) stretch: f64,
    /// Nobody used it lately.
    pub(super) is_cold: bool,
}

impl Slot {
    /// Gives the slot back.
    pub(super) fn leave(self, now_ns: u64) {
        if self.permit.is_none() {
            return;
        }
        self.left_ns.lock().unwrap_or_else(PoisonError::into_inner).push(now_ns);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.executing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the rate limit stands, for the headers of every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) is_over: bool,
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// Until a request is let through again, in nanoseconds.
    pub(super) wait_ns: u64,
}

impl Service {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            slots: limits.slots.map(|slots| Arc::new(Semaphore::new(slots as usize))),
            admitted: Arc::default(),
            executing: Arc::default(),
            left_ns: Arc::default(),
            bucket: limits.rate.map(|rate| Bucket::new(rate, limits.burst)),
            limits: limits.clone(),
        }
    }

    /// Counts a request against the rate limit; nothing when there is none.
    pub(super) fn rate(&self, now_ns: u64) -> Option<Rate> {
        self.bucket.as_ref().map(|bucket| bucket.take(now_ns))
    }

    /// A place for a task, or the status that it is refused with.
    pub(super) fn admit(&self) -> Result<Place, u16> {
        let admitted = self.admitted.fetch_add(1, Ordering::Relaxed);
        let place = Place { admitted: Arc::clone(&self.admitted) };
        let (Some(slots), Some(queue_max)) = (self.limits.slots, self.limits.queue_max) else { return Ok(place) };
        if admitted >= queue_max.saturating_add(u64::from(slots)) {
            return Err(self.limits.overflow);
        }
        Ok(place)
    }

    /// Waits for a slot, first come first served.
    pub(super) async fn slot(&self, now: impl Fn() -> u64) -> Slot {
        let permit = match &self.slots {
            Some(slots) => {
                let permit = Arc::clone(slots).acquire_owned().await;
                Some(permit.expect("the semaphore is never closed"))
            }
            None => None,
        };
        self.take(permit, now())
    }

    /// A slot, if one is free and nobody waits for it.
    pub(super) fn free_slot(&self, now_ns: u64) -> Option<Slot> {
        let permit = match &self.slots {
            // A permit that others wait for is handed to them, never given away here.
            Some(slots) => Some(Arc::clone(slots).try_acquire_owned().ok()?),
            None => None,
        };
        Some(self.take(permit, now_ns))
    }

    fn take(&self, permit: Option<OwnedSemaphorePermit>, now_ns: u64) -> Slot {
        let busy = self.executing.fetch_add(1, Ordering::Relaxed) + 1;
        let share = self.limits.slots.map_or(0.0, |slots| busy as f64 / f64::from(slots));
        let left_ns = permit.as_ref().and_then(|_| self.left_ns.lock().unwrap_or_else(PoisonError::into_inner).pop());
        let is_cold = left_ns.is_none_or(|left_ns| now_ns.saturating_sub(left_ns) > self.limits.warm_ns);
        Slot {
            permit,
            executing: Arc::clone(&self.executing),
            left_ns: Arc::clone(&self.left_ns),
            stretch: 1.0 + self.limits.stretch * share,
            is_cold: is_cold && self.limits.slots.is_some(),
        }
    }

    /// Tasks that hold a slot, and tasks that do not yet.
    pub(super) fn load(&self) -> (u64, u64) {
        let executing = self.executing.load(Ordering::Relaxed);
        (executing, self.admitted.load(Ordering::Relaxed).saturating_sub(executing))
    }
}

/// A token bucket as the generic cell rate algorithm keeps it (ITU-T I.371, annex A): one instant.
#[derive(Debug)]
struct Bucket {
    interval_ns: u64,
    burst: u64,
    limit: u64,
    /// When the bucket is full again.
    full_at_ns: AtomicU64,
}

impl Bucket {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
    fn new(rate: f64, burst: u64) -> Self {
        let interval_ns = ((NS_PER_S as f64 / rate) as u64).max(1);
        // The platform tells its limit by the minute.
        Self { interval_ns, burst, limit: (rate * 60.0) as u64, full_at_ns: AtomicU64::new(0) }
    }

    fn take(&self, now_ns: u64) -> Rate {
        let room_ns = self.interval_ns.saturating_mul(self.burst);
        let mut told = Rate { is_over: false, limit: self.limit, remaining: 0, wait_ns: 0 };
        let _ = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at_ns| {
            let after_ns = full_at_ns.max(now_ns).saturating_add(self.interval_ns);
            let needed_ns = after_ns - now_ns;
            told.is_over = needed_ns > room_ns;
            told.remaining = room_ns.saturating_sub(needed_ns) / self.interval_ns;
            told.wait_ns = needed_ns.saturating_sub(room_ns);
            (!told.is_over).then_some(after_ns)
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::script::Script;
    use crate::units::NS_PER_MS;

    fn service(text: &str) -> Service {
        let script = Script::parse("x.toml", &format!("why = \"a test\"\n[service]\n{text}")).expect("a valid script");
        Service::new(&script.service)
    }

    #[test]
    fn the_bucket_lets_a_burst_through_and_then_its_rate() {
        let service = service("rate = 10\nburst = 3");
        let over = |now_ms: u64| service.rate(now_ms * NS_PER_MS).expect("a limit").is_over;
        assert_eq!([0, 0, 0, 0, 99, 100, 100, 200].map(over), [false, false, false, true, true, false, true, false]);
        let told = service.rate(250 * NS_PER_MS).expect("a limit");
        assert_eq!((told.limit, told.remaining, told.wait_ns), (600, 0, 50 * NS_PER_MS));
        assert_eq!(service.rate(10_000 * NS_PER_MS).expect("a limit").remaining, 2);
    }

    #[tokio::test]
    async fn slots_are_held_queued_for_and_given_back() {
        let service = service("slots = 1\nqueue_max = 1\noverflow = 503\nstretch = 0.5\nwarm = \"1s\"");
        let first = service.admit().expect("room");
        let slot = service.slot(|| 0).await;
        assert!(slot.is_cold && (slot.stretch - 1.5).abs() < f64::EPSILON);
        let second = service.admit().expect("one may wait");
        assert_eq!(service.admit().expect_err("no more"), 503);
        assert_eq!(service.load(), (1, 1));
        slot.leave(0);
        drop(first);
        assert!(!service.slot(|| NS_PER_S).await.is_cold);
        drop(second);
        service.slot(|| 0).await.leave(0);
        assert!(service.slot(|| NS_PER_S + 1).await.is_cold);
        assert_eq!(service.load(), (0, 0));
    }
}
