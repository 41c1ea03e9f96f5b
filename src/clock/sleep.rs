//! The future that ends at an instant.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

#[cfg(target_os = "linux")]
use super::sleeper::Registration;

/// Ends at an instant; dropping it cancels.
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep(State);

#[derive(Debug)]
enum State {
    /// Waits on the runtime's own fine timer; registered there when first polled.
    #[cfg(target_os = "linux")]
    Fine { at_ns: u64, registration: Option<Registration> },
    /// Waits on tokio's timer: to the millisecond, and virtual where time is paused.
    Coarse(Pin<Box<tokio::time::Sleep>>),
}

impl Sleep {
    /// Until the system's monotonic clock shows `at_ns`.
    #[cfg(target_os = "linux")]
    pub(super) fn fine(at_ns: u64) -> Self {
        Self(State::Fine { at_ns, registration: None })
    }

    /// Until tokio's clock shows `at`.
    pub(super) fn coarse(at: Instant) -> Self {
        Self(State::Coarse(Box::pin(tokio::time::sleep_until(at))))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            State::Fine { at_ns, registration } => {
                if registration.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    return Poll::Pending;
                }
                *registration = None;
                let now_ns = super::monotonic_ns();
                if now_ns >= *at_ns {
                    return Poll::Ready(());
                }
                match Registration::new(*at_ns, cx.waker()) {
                    Ok(new) => *registration = Some(new),
                    // Out of descriptors, most likely: late by a millisecond is better than never.
                    Err(_) => {
                        *self = Self::coarse(super::instant(Instant::now(), *at_ns - now_ns));
                        return self.poll(cx);
                    }
                }
                Poll::Pending
            }
            State::Coarse(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::rc::Rc;
    use std::sync::mpsc;

    use proptest::prelude::*;
    use tokio::runtime::Runtime;
    use tokio::task::LocalSet;

    use crate::clock::Clock;

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_sleeper_ends_and_none_of_them_early(
            deadlines_us in proptest::collection::vec(0u64..3_000, 1..200),
        ) {
            let ended = LocalSet::new().block_on(&runtime(), async {
                let clock = Clock::start();
                let (give, take) = mpsc::channel();
                let give = Rc::new(give);
                let sleepers: Vec<_> = deadlines_us.iter().map(|us| {
                    let (at_ns, give) = (us * 1_000, Rc::clone(&give));
                    tokio::task::spawn_local(async move {
                        clock.sleep_until(at_ns).await;
                        give.send((at_ns, clock.now())).expect("somebody listens");
                    })
                }).collect();
                for sleeper in sleepers {
                    sleeper.await.expect("no sleeper panics");
                }
                drop(give);
                take.into_iter().collect::<Vec<_>>()
            });
            prop_assert_eq!(ended.len(), deadlines_us.len());
            prop_assert!(ended.iter().all(|(at_ns, ended_ns)| ended_ns >= at_ns));
        }
    }

    #[test]
    fn a_cancelled_sleeper_holds_nobody_up_and_a_moved_one_ends_where_it_was_moved_to() {
        runtime().block_on(async {
            let clock = Clock::start();
            let never = clock.sleep_until(u64::MAX);
            tokio::select! {
                () = never => unreachable!("nobody waits 584 years"),
                () = clock.sleep_until(clock.now() + 100_000) => {}
            }
            let mut timer = crate::clock::Timer::new(clock, u64::MAX);
            timer.no_later_than(clock.now() + 100_000);
            std::future::poll_fn(|cx| timer.poll_ring(cx)).await;
        });
    }

    #[test]
    fn runtimes_on_one_thread_each_have_their_sleeper() {
        let clock = Clock::start();
        let sleep = || clock.sleep_until(clock.now() + 50_000);
        let (first, second) = (runtime(), runtime());
        for _ in 0..3 {
            first.block_on(async { sleep().await });
            second.block_on(async { sleep().await });
        }
        drop(first);
        second.block_on(async { sleep().await });
        runtime().block_on(async { sleep().await });
    }

    #[test]
    fn a_sleeper_outlives_the_runtime_that_it_was_first_polled_on() {
        let clock = Clock::start();
        let mut sleep = clock.sleep_until(clock.now() + 20_000_000);
        let first = runtime();
        first.block_on(async {
            tokio::select! {
                biased;
                () = &mut sleep => {}
                () = tokio::task::yield_now() => {}
            }
        });
        drop(first);
        runtime().block_on(sleep);
    }
}
