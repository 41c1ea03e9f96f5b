//! What the machine can carry and what it spends: descriptors, CPU time of threads and of the whole.
//!
//! Where a system does not tell, the figure is absent or 0, never a guess.

use std::fs::File;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::close;
use thiserror::Error;

/// Descriptors that a run needs beside its connections: files, standard streams, the calls that are not measured.
const RESERVE: u64 = 64;
/// Descriptors that a worker needs beside its connections: epoll, timers, signals, the stamps.
const RESERVE_OF_WORKER: u64 = 8;

/// Descriptors for which room is made in advance at most; each takes 8 bytes of the kernel.
const TABLE_MAX: u64 = 1 << 17;

/// Too few descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "hold {wanted} connections at a time: the limit on open files is {limit}, and each connection takes {each}; lower -c to {fits}, let HTTP/2 streams share connections (target.streams), or raise the hard limit (ulimit -Hn)"
)]
pub struct TooFewDescriptors {
    /// Connections that were asked for.
    pub wanted: u64,
    /// The hard limit on open files.
    pub limit: u64,
    /// Descriptors for each.
    pub each: u64,
    /// Connections that fit.
    pub fits: u64,
}

/// CPU time of the whole machine since it started, in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// All time, of all cores.
    pub total: u64,
    /// Of that, idle or waiting for a disk.
    pub idle: u64,
    /// Of that, taken away by the hypervisor.
    pub steal: u64,
}

/// Raises the soft limit on open files so that so many connections can be held, each with `each` descriptors, and has the
/// system make room for them now.
///
/// # Errors
/// The hard limit is too low.
pub fn make_room(connections: u64, each: u64, workers: u32) -> Result<(), TooFewDescriptors> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    let needed = connections.saturating_mul(each).saturating_add(reserve(workers));
    if needed > hard {
        let fits = hard.saturating_sub(reserve(workers)) / each;
        return Err(TooFewDescriptors { wanted: connections, limit: hard, each, fits });
    }
    if needed > soft {
        // Allowed up to the hard limit; where a system refuses all the same, connecting will say so, start by start.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    grow_table(needed.min(TABLE_MAX));
    Ok(())
}

/// Has the kernel's table of this process's descriptors hold so many. It doubles when it is full, and in a process of
/// several threads Linux has whoever opens that descriptor wait until every core has passed by (`expand_fdtable`): ten
/// milliseconds and more, in which a worker would do nothing, at the 256th, the 512th, the 1,024th connection. It never
/// shrinks.
fn grow_table(descriptors: u64) {
    let Ok(highest) = i32::try_from(descriptors.saturating_sub(1)) else { return };
    let Ok(any) = File::open("/dev/null") else { return };
    // Where that is refused the table grows as it always does.
    if let Ok(copy) = fcntl(&any, FcntlArg::F_DUPFD_CLOEXEC(highest)) {
        let _ = close(copy);
    }
}

/// How many connections, each with `each` descriptors, the machine can hold at most.
#[must_use]
pub fn room(each: u64, workers: u32) -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard.saturating_sub(reserve(workers)) / each)
}

/// How many descriptors are left beside so many connections; absent where the system does not tell.
#[must_use]
pub fn descriptors_left(connections: u64, each: u64, workers: u32) -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(soft.saturating_sub(reserve(workers) + connections * each))
}

fn reserve(workers: u32) -> u64 {
    RESERVE + u64::from(workers) * RESERVE_OF_WORKER
}

/// CPU time of the calling thread, in nanoseconds; 0 where the system does not tell.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| crate::units::ns(time.into()))
}

/// CPU time of the machine; absent where the system does not tell.
#[must_use]
pub fn cpu_ticks() -> Option<CpuTicks> {
    parse_ticks(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal … (proc_stat(5)).
fn parse_ticks(text: &str) -> Option<CpuTicks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    // Guest time is in user time already.
    let total = ticks.iter().take(8).sum();
    Some(CpuTicks { total, idle: ticks.get(3)? + ticks.get(4)?, steal: *ticks.get(7)? })
}

/// How the machine's time was spent, in shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuShares {
    /// Not idle, stolen time included.
    pub busy: f64,
    /// Taken away by the hypervisor.
    pub stolen: f64,
}

impl CpuTicks {
    /// How the time since an earlier reading was spent; absent when there was none.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<CpuShares> {
        let total = self.total.checked_sub(earlier.total).filter(|total| *total > 0)? as f64;
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / total;
        Some(CpuShares { busy: 1.0 - share(self.idle, earlier.idle), stolen: share(self.steal, earlier.steal) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_stat_is_read() {
        let text = "cpu  100 0 50 800 40 0 5 5 0 0\ncpu0 1 2 3\n";
        let then = parse_ticks(text).expect("a line of totals");
        assert_eq!(then, CpuTicks { total: 1_000, idle: 840, steal: 5 });
        let now = CpuTicks { total: 1_100, idle: 890, steal: 15 };
        assert_eq!(now.since(then), Some(CpuShares { busy: 0.5, stolen: 0.1 }));
        assert_eq!(then.since(then), None);
        assert_eq!(parse_ticks(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_connection_of_a_run_waits_until_the_table_of_descriptors_has_grown() {
        make_room(700, 1, 1).expect("the hard limit is higher");
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("Linux says it");
        assert!(size.trim().parse::<u64>().expect("a number") >= 700 + reserve(1), "{size}");
    }

    #[test]
    fn too_many_streams_are_refused_with_the_number_that_fits() {
        let refused = make_room(u64::MAX / 4, 2, 2).expect_err("no machine has as many");
        assert_eq!(refused.fits, (refused.limit - RESERVE - 2 * RESERVE_OF_WORKER) / 2);
        make_room(refused.fits, 2, 2).expect("that is what fits");
        let told = TooFewDescriptors { wanted: 50_000, limit: 20_000, each: 2, fits: 9_968 };
        insta::assert_snapshot!(told, @"hold 50000 connections at a time: the limit on open files is 20000, and each connection takes 2; lower -c to 9968, let HTTP/2 streams share connections (target.streams), or raise the hard limit (ulimit -Hn)");
    }
}
