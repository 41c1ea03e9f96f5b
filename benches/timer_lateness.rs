//! How late sleepers wake: tokio's timer, ours, and ours with ten thousand others asleep on the same thread.
//!
//! `cargo bench --bench timer_lateness`: alternating samples of one process, each a sleep of about 1 ms.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(missing_docs, reason = "a program has no public items")]

use std::time::Duration;

use plimsoll::clock::Clock;
use tokio::task::LocalSet;

/// Sleeps of each kind.
const SAMPLES: usize = 3_000;
/// Streams that sleep meanwhile, each waking a few times a second.
const OTHERS: u64 = 10_000;
const NS_PER_MS: u64 = 1_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::start();
        let (mut tokio_ns, mut fine_ns) = (Vec::new(), Vec::new());
        for sample in 0..SAMPLES as u64 {
            // Not always the same distance to tokio's grid.
            let after_ns = NS_PER_MS + sample * 997 % NS_PER_MS;
            let at_ns = clock.now() + after_ns;
            tokio::time::sleep(Duration::from_nanos(after_ns)).await;
            tokio_ns.push(clock.now().saturating_sub(at_ns));
            fine_ns.push(lateness_ns(clock, after_ns).await);
        }
        print("tokio", tokio_ns);
        print("plimsoll", fine_ns);
        for other in 0..OTHERS {
            tokio::task::spawn_local(async move {
                let mut at_ns = clock.now() + other * 25_000;
                loop {
                    clock.sleep_until(at_ns).await;
                    at_ns += 250 * NS_PER_MS;
                }
            });
        }
        clock.sleep_until(clock.now() + 300 * NS_PER_MS).await;
        let mut crowded_ns = Vec::new();
        for sample in 0..SAMPLES as u64 {
            crowded_ns.push(lateness_ns(clock, NS_PER_MS + sample * 997 % NS_PER_MS).await);
        }
        print("plimsoll, 40,000 other wake-ups a second", crowded_ns);
    });
}

async fn lateness_ns(clock: Clock, after_ns: u64) -> u64 {
    let at_ns = clock.now() + after_ns;
    clock.sleep_until(at_ns).await;
    clock.now() - at_ns
}

fn print(name: &str, mut ns: Vec<u64>) {
    ns.sort_unstable();
    let us = |share: usize| ns[(ns.len() - 1) * share / 1_000].div_ceil(1_000);
    println!("{name:<42} late by p50 {:>6} µs   p99 {:>6} µs   p99.9 {:>6} µs", us(500), us(990), us(999));
}
