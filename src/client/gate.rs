//! When the target may be asked: the budget's rate deals places, and the target's own word moves them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::profile::Budget;
use crate::units::{NS_PER_S, Rate, ns};

/// How long status 429 without a `Retry-After` asks to wait, in nanoseconds.
const HOLD_NS: u64 = NS_PER_S;
/// The longest that any `Retry-After` is heeded, in nanoseconds.
pub(super) const HOLD_MAX_NS: u64 = 600 * NS_PER_S;

/// What the target asked for, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Answers that asked for a pause.
    pub asked: u64,
    /// Of those, the ones that held all starts up.
    pub count: u64,
    /// Time in which nothing could start, in nanoseconds.
    pub held_ns: u64,
}

/// What whoever asks the target shares: one atomic operation a start, none an event.
#[derive(Debug)]
pub struct Gate {
    rate: Option<Rate>,
    /// Whether the target's word holds.
    brake: bool,
    /// The next place in the rate.
    next_place_ns: AtomicU64,
    /// The last place at which somebody went.
    passed_ns: AtomicU64,
    /// Places have become free.
    reopened: Notify,
    held_until_ns: AtomicU64,
    /// Answers that asked for a pause.
    asked: AtomicU64,
    /// From when nothing more is started anyway.
    end_ns: AtomicU64,
    /// Until when `held_ns` counts.
    held_counted_ns: AtomicU64,
    held_ns: AtomicU64,
}

impl Gate {
    /// A gate that nobody has passed.
    #[must_use]
    pub fn new(budget: &Budget) -> Self {
        Self {
            rate: budget.rate,
            brake: budget.brake,
            next_place_ns: AtomicU64::new(0),
            passed_ns: AtomicU64::new(0),
            reopened: Notify::new(),
            held_until_ns: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            end_ns: AtomicU64::new(u64::MAX),
            held_counted_ns: AtomicU64::new(0),
            held_ns: AtomicU64::new(0),
        }
    }

    /// When a start that is due at `due_ns` may be made: by the rate, and behind what the target has asked for so far. Each
    /// call takes a place, unless that lies behind the end of the starts.
    #[must_use]
    pub fn place_ns(&self, due_ns: u64) -> u64 {
        self.take_ns(due_ns, self.end_ns.load(Ordering::Relaxed))
    }

    /// A place that was taken, as it is now: one that a hold has come over is lost, and another one lies behind it. Those
    /// who only waited for the hold's end would all go at once.
    #[must_use]
    pub fn still_ns(&self, place_ns: u64) -> u64 {
        if self.held_until_ns() > place_ns { self.place_ns(place_ns) } else { place_ns }
    }

    /// Somebody goes, at the place that he took.
    pub fn passed(&self, place_ns: u64) {
        self.passed_ns.fetch_max(place_ns, Ordering::Relaxed);
    }

    /// Waits for a place of its own, for what is no start.
    pub async fn pass(&self, clock: Clock) {
        loop {
            let reopened = self.reopened.notified();
            let at_ns = self.take_ns(clock.now(), u64::MAX);
            if at_ns > clock.now() {
                tokio::select! {
                    () = clock.sleep_until(at_ns) => {}
                    () = reopened => continue,
                }
            }
            if self.held_until_ns() <= at_ns {
                return self.passed(at_ns);
            }
        }
    }

    fn take_ns(&self, due_ns: u64, before_ns: u64) -> u64 {
        let due_ns = due_ns.max(self.held_until_ns());
        if self.rate.is_none() {
            return due_ns;
        }
        let at_ns = |next_ns: u64| next_ns.max(due_ns);
        let take = |next_ns| (at_ns(next_ns) < before_ns).then(|| at_ns(next_ns).saturating_add(self.apart_ns()));
        let before = self.next_place_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        at_ns(before.unwrap_or_else(|unchanged| unchanged))
    }

    /// How far two places lie apart, in nanoseconds; 0 without a rate.
    #[must_use]
    pub fn apart_ns(&self) -> u64 {
        self.rate.map_or(0, |rate| rate.instant_ns(1))
    }

    /// When whoever asks now would pass, in nanoseconds.
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        self.next_place_ns.load(Ordering::Relaxed).max(self.held_until_ns())
    }

    /// By the run's plan, or as it ends sooner, nothing starts from `end_ns` on, held up or not.
    pub fn starts_end_at(&self, end_ns: u64) {
        self.end_ns.fetch_min(end_ns, Ordering::Relaxed);
    }

    /// The starts have ended: places that were taken for more of them are free.
    pub fn starts_have_ended(&self) {
        self.starts_end_at(0);
        let next_ns = self.passed_ns.load(Ordering::Relaxed).saturating_add(self.apart_ns());
        self.next_place_ns.fetch_min(next_ns, Ordering::Relaxed);
        self.reopened.notify_waiters();
    }

    /// Takes in what an answer asks for.
    pub fn heed(&self, answer: &Response<()>, clock: Clock) {
        let now_ns = clock.now();
        if let Some(pause_ns) = pause_ns(answer, clock.wall_unix_ns() + now_ns) {
            self.hold(now_ns, pause_ns);
        }
    }

    /// The target asked for silence of `pause_ns` from `now_ns` on: counted, and heeded when the budget says so.
    pub fn hold(&self, now_ns: u64, pause_ns: u64) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.brake {
            return;
        }
        let until_ns = now_ns.saturating_add(pause_ns);
        self.held_until_ns.fetch_max(until_ns, Ordering::Relaxed);
        let counted_ns = until_ns.min(self.end_ns.load(Ordering::Relaxed));
        let before_ns = self.held_counted_ns.fetch_max(counted_ns, Ordering::Relaxed);
        self.held_ns.fetch_add(counted_ns.saturating_sub(before_ns.max(now_ns)), Ordering::Relaxed);
    }

    /// Until when the target's word holds, in nanoseconds.
    #[must_use]
    pub fn held_until_ns(&self) -> u64 {
        self.held_until_ns.load(Ordering::Relaxed)
    }

    /// How often and for how long it did, in a run whose starts ended at `ended_ns`.
    #[must_use]
    pub fn holds(&self, ended_ns: u64) -> Holds {
        let over_ns = self.held_counted_ns.load(Ordering::Relaxed).saturating_sub(ended_ns);
        let held_ns = self.held_ns.load(Ordering::Relaxed).saturating_sub(over_ns);
        let asked = self.asked.load(Ordering::Relaxed);
        Holds { asked, count: if self.brake { asked } else { 0 }, held_ns }
    }
}

/// What an answer before a run asked for.
#[derive(Debug, Clone, Copy)]
pub struct Pause {
    /// Counts from the answer on.
    since: Clock,
    pause_ns: u64,
}

impl Pause {
    /// What an answer that has just come asks for; most ask for nothing.
    #[must_use]
    pub fn of(answer: &Response<()>) -> Option<Self> {
        let since = Clock::start();
        pause_ns(answer, since.wall_unix_ns()).map(|pause_ns| Self { since, pause_ns })
    }

    /// How much of it is still to come, in nanoseconds.
    #[must_use]
    pub fn left_ns(&self) -> u64 {
        self.pause_ns.saturating_sub(self.since.now())
    }
}

/// For how long an answer asks not to be asked again, in nanoseconds: status 429, and 503 that says when to come again.
fn pause_ns(answer: &Response<()>, now_unix_ns: u64) -> Option<u64> {
    let told_ns = || retry_after_ns(answer.headers(), now_unix_ns).map(|told_ns| told_ns.min(HOLD_MAX_NS));
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => Some(told_ns().unwrap_or(HOLD_NS)),
        StatusCode::SERVICE_UNAVAILABLE => told_ns(),
        _ => None,
    }
}

/// What a `Retry-After` says (RFC 9110 §10.2.3), in nanoseconds: a number of seconds, or a date, which counts from the
/// answer's own `Date`, so that the two clocks need not agree, and else from `now_unix_ns`.
fn retry_after_ns(headers: &HeaderMap, now_unix_ns: u64) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let after = text(RETRY_AFTER)?;
    if let Ok(seconds) = after.parse::<u64>() {
        return Some(seconds.saturating_mul(NS_PER_S));
    }
    let now = text(DATE).and_then(date).unwrap_or(UNIX_EPOCH + Duration::from_nanos(now_unix_ns));
    // What has passed already asks for no more time.
    Some(ns(date(after)?.duration_since(now).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::units::NS_PER_MS;

    /// 31 December 1999, 23:59:00 GMT.
    const NOW_NS: u64 = 946_684_740 * NS_PER_S;

    fn asked(status: u16, headers: &[(HeaderName, &str)]) -> Option<u64> {
        let mut answer = Response::builder().status(status).body(()).expect("a head");
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header")));
        answer.headers_mut().extend(headers);
        pause_ns(&answer, NOW_NS).map(|pause_ns| pause_ns / NS_PER_S)
    }

    fn told(headers: &[(HeaderName, &str)]) -> u64 {
        asked(429, headers).expect("it always asks for a pause")
    }

    #[test]
    fn a_503_asks_for_a_pause_when_it_says_so() {
        assert_eq!([asked(503, &[(RETRY_AFTER, "30")]), asked(503, &[(RETRY_AFTER, "soon")])], [Some(30), None]);
        assert_eq!([asked(503, &[]), asked(500, &[(RETRY_AFTER, "30")]), asked(200, &[])], [None; 3]);
    }

    #[test]
    fn a_retry_after_is_heeded_within_bounds() {
        let seconds = ["0", "30", " 7 ", "999999999999", "soon"].map(|value| told(&[(RETRY_AFTER, value)]));
        assert_eq!(seconds, [0, 30, 7, 600, 1]);
        assert_eq!(told(&[]), 1);
    }

    #[test]
    fn a_date_counts_from_the_servers_own_and_else_from_ours() {
        let after = (RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(told(std::slice::from_ref(&after)), 59);
        assert_eq!(told(&[after.clone(), (DATE, "Fri, 31 Dec 1999 23:59:54 GMT")]), 5);
        assert_eq!(told(&[after, (DATE, "Sat, 01 Jan 2000 00:00:10 GMT")]), 0);
        assert_eq!(told(&[(RETRY_AFTER, "Sat, 01 Jan 2000 10:00:00 GMT")]), 600);
    }

    #[test]
    fn places_at_the_budgets_rate_lie_apart_and_holds_are_counted_once() {
        let budget = Budget { rate: Some(Rate::parse("10").expect("a rate")), brake: true, ..Budget::default() };
        let gate = Gate::new(&budget);
        let places: Vec<_> = [0, 0, 50, 1_000].map(|ms| gate.place_ns(ms * NS_PER_MS) / NS_PER_MS).to_vec();
        assert_eq!(places, [0, 100, 200, 1_000]);
        gate.hold(10, 90);
        gate.hold(50, 90);
        gate.hold(60, 10);
        assert_eq!((gate.held_until_ns(), gate.holds(900)), (140, Holds { asked: 3, count: 3, held_ns: 130 }));
    }

    #[test]
    fn places_that_a_hold_comes_over_lie_apart_behind_it() {
        let budget = Budget { rate: Some(Rate::parse("10").expect("a rate")), brake: true, ..Budget::default() };
        let gate = Gate::new(&budget);
        let before: Vec<_> = (0..6).map(|_| gate.place_ns(0)).collect();
        gate.hold(0, 350 * NS_PER_MS);
        let ms = |places: Vec<u64>| places.into_iter().map(|at_ns| at_ns / NS_PER_MS).collect::<Vec<_>>();
        let mut still = ms(before.iter().map(|at_ns| gate.still_ns(*at_ns)).collect());
        still.sort_unstable();
        assert_eq!(still, [400, 500, 600, 700, 800, 900], "two keep their places, and four get others");
        gate.hold(0, 2_000 * NS_PER_MS);
        assert_eq!(ms((0..3).map(|_| gate.place_ns(0)).collect()), [2_000, 2_100, 2_200]);
    }

    #[test]
    fn what_the_target_asks_for_beyond_the_end_of_the_starts_held_nothing_up() {
        let gate = Gate::new(&Budget { brake: true, ..Budget::default() });
        gate.starts_end_at(1_000);
        gate.hold(900, 600);
        assert_eq!((gate.held_until_ns(), gate.holds(1_000)), (1_500, Holds { asked: 1, count: 1, held_ns: 100 }));
        assert_eq!(gate.holds(950).held_ns, 50, "somebody asked for the end");
        gate.hold(1_700, 100);
        gate.starts_end_at(0);
        gate.hold(2_000, 100);
        assert_eq!((gate.held_until_ns(), gate.holds(1_000)), (2_100, Holds { asked: 3, count: 3, held_ns: 100 }));
    }

    #[test]
    fn what_nobody_heeds_is_counted() {
        let gate = Gate::new(&Budget::default());
        gate.hold(0, 600);
        assert_eq!((gate.held_until_ns(), gate.holds(1_000)), (0, Holds { asked: 1, count: 0, held_ns: 0 }));
    }

    #[tokio::test(start_paused = true)]
    async fn starts_that_are_never_made_keep_no_places_from_what_comes_behind_them() {
        let budget = Budget { rate: Some(Rate::parse("10").expect("a rate")), ..Budget::default() };
        let (gate, clock) = (Gate::new(&budget), Clock::start());
        gate.starts_end_at(450 * NS_PER_MS);
        let ms: Vec<_> = (0..50).map(|_| gate.place_ns(0) / NS_PER_MS).collect();
        assert_eq!((ms[..6].to_vec(), gate.next_ns() / NS_PER_MS), (vec![0, 100, 200, 300, 400, 500], 500));
        gate.passed(100 * NS_PER_MS);
        let end = async {
            clock.sleep_until(150 * NS_PER_MS).await;
            gate.starts_have_ended();
        };
        let stops = async {
            gate.pass(clock).await;
            gate.pass(clock).await;
            clock.now() / NS_PER_MS
        };
        assert_eq!(tokio::join!(stops, end).0, 300, "the first one had the place at 500 ms");
    }
}
