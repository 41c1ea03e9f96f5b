//! What a process used, between two instants of its steady state.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use crate::workload::Workload;

/// Tells a child which core is its own.
pub const CORE: &str = "PLIMSOLL_BENCH_CORE";

/// Events that the client of this process has seen.
pub static EVENTS: AtomicU64 = AtomicU64::new(0);
/// Streams that failed.
pub static FAILED: AtomicU64 = AtomicU64::new(0);

/// What was measured.
#[derive(Clone, Copy)]
pub struct Measured {
    cpu_ns_per_event: u64,
    events_per_s: u64,
    rss_bytes_per_stream: u64,
    failed: u64,
}

/// Pins this process to the core that it was given.
pub fn pin() {
    let Ok(core) = std::env::var(CORE) else { return };
    let mut cores = CpuSet::new();
    cores.set(core.parse().expect("a core")).expect("a core that exists");
    // On a machine with a single core there is nothing to choose.
    let _ = sched_setaffinity(Pid::from_raw(0), &cores);
}

/// Notes an event.
pub fn event() {
    EVENTS.fetch_add(1, Ordering::Relaxed);
}

/// Starts measuring beside the client: the first line that this process prints is the result, and ends it.
pub fn start(workload: Workload) {
    pin();
    let rss_before = rss_bytes();
    std::thread::spawn(move || {
        std::thread::sleep(workload.settle);
        let (events, cpu_ns) = (EVENTS.load(Ordering::Relaxed), cpu_ns());
        std::thread::sleep(workload.measure);
        let events = EVENTS.load(Ordering::Relaxed) - events;
        let measured = Measured {
            cpu_ns_per_event: (self::cpu_ns() - cpu_ns).checked_div(events).unwrap_or(0),
            events_per_s: events * 1_000 / millis(workload.measure),
            rss_bytes_per_stream: rss_bytes().saturating_sub(rss_before) / workload.streams as u64,
            failed: FAILED.load(Ordering::Relaxed),
        };
        println!("{}", measured.line());
        std::process::exit(0);
    });
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a short time")
}

fn cpu_ns() -> u64 {
    cpu_ns_of(&getrusage(UsageWho::RUSAGE_SELF).expect("a process knows its usage"))
}

fn cpu_ns_of(usage: &Usage) -> u64 {
    let ns = usage.user_time().num_nanoseconds() + usage.system_time().num_nanoseconds();
    u64::try_from(ns).expect("time goes on")
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
    kib * 1_024
}

impl Measured {
    /// What the children of this process used in all, from their beginning on.
    pub fn of_children(workload: Workload, events: u64, failed: u64) -> Self {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a process knows its usage");
        let rss_bytes = u64::try_from(usage.max_rss()).expect("a size") * 1_024;
        Self {
            cpu_ns_per_event: cpu_ns_of(&usage).checked_div(events).unwrap_or(0),
            events_per_s: events * 1_000 / millis(workload.measure),
            rss_bytes_per_stream: rss_bytes / workload.streams as u64,
            failed,
        }
    }

    pub fn line(&self) -> String {
        let Self { cpu_ns_per_event, events_per_s, rss_bytes_per_stream, failed } = self;
        format!("{cpu_ns_per_event} {events_per_s} {rss_bytes_per_stream} {failed}")
    }

    pub fn parse(line: &str) -> Self {
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let &[cpu_ns_per_event, events_per_s, rss_bytes_per_stream, failed] = numbers.as_slice() else {
            panic!("a client printed {line:?}");
        };
        Self { cpu_ns_per_event, events_per_s, rss_bytes_per_stream, failed }
    }

    /// Each figure's own median; the failures are added up.
    pub fn median(of: Vec<Self>) -> Self {
        let median = |figure: fn(&Self) -> u64| {
            let mut figures: Vec<u64> = of.iter().map(figure).collect();
            figures.sort_unstable();
            figures[figures.len() / 2]
        };
        Self {
            cpu_ns_per_event: median(|one| one.cpu_ns_per_event),
            events_per_s: median(|one| one.events_per_s),
            rss_bytes_per_stream: median(|one| one.rss_bytes_per_stream),
            failed: of.iter().map(|one| one.failed).sum(),
        }
    }

    /// Its CPU an event beside that of others.
    pub fn ratios(&self, others: &[(&str, Self)]) -> String {
        let others = others.iter().filter(|(_, other)| other.cpu_ns_per_event.min(self.cpu_ns_per_event) > 0);
        let times = others.map(|(name, other)| {
            format!("{:.2}x {name}", self.cpu_ns_per_event as f64 / other.cpu_ns_per_event as f64)
        });
        let times: Vec<String> = times.collect();
        if times.is_empty() { String::new() } else { format!("CPU {}", times.join(", ")) }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>8.2} us CPU an event", self.cpu_ns_per_event as f64 / 1e3)?;
        write!(out, "{:>10} events/s", self.events_per_s)?;
        write!(out, "{:>8.1} KiB a stream", self.rss_bytes_per_stream as f64 / 1_024.0)?;
        if self.failed > 0 { write!(out, "  {} FAILED", self.failed) } else { Ok(()) }
    }
}
