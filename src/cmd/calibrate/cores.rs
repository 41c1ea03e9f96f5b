//! Which cores the mock and the client run on: apart, where the machine has two.

use std::fmt;

/// Where the two run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// Wherever the system puts them.
    Free,
    /// There is one core for both.
    OneCore,
    /// The system knows no pinning, or refuses it.
    Unknown,
    /// Apart.
    Apart {
        /// The mock's core.
        mock: usize,
        /// The client's cores.
        client: Vec<usize>,
    },
}

impl Placement {
    /// The mock on the first core, the client on as many others as it has workers.
    pub(super) fn of_this_machine(workers: u32) -> Self {
        Self::on(&system::cores(), workers)
    }

    fn on(cores: &[usize], workers: u32) -> Self {
        match cores {
            [] => Self::Unknown,
            [_] => Self::OneCore,
            [mock, others @ ..] => {
                let count = usize::try_from(workers).unwrap_or(usize::MAX).clamp(1, others.len());
                Self::Apart { mock: *mock, client: others[..count].to_vec() }
            }
        }
    }

    /// Runs `start` where the mock belongs: a process that it starts stays there.
    pub(super) fn at_the_mock<T>(&self, start: impl FnOnce() -> T) -> T {
        match self {
            Self::Apart { mock, .. } => system::on(&[*mock], start),
            _ => start(),
        }
    }

    /// Runs `start` where the client belongs.
    pub(super) fn at_the_client<T>(&self, start: impl FnOnce() -> T) -> T {
        match self {
            Self::Apart { client, .. } => system::on(client, start),
            _ => start(),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => out.write_str("client and mock wherever the system puts them (--no-pin)"),
            Self::OneCore => out.write_str("client and mock on the one core that there is"),
            Self::Unknown => out.write_str("client and mock wherever the system puts them: it knows no pinning"),
            Self::Apart { mock, client } => {
                let cores: Vec<_> = client.iter().map(ToString::to_string).collect();
                let word = if client.len() == 1 { "core" } else { "cores" };
                write!(out, "the mock on core {mock}, the client on {word} {}", cores.join(", "))
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    /// This thread.
    const SELF: Pid = Pid::from_raw(0);

    /// The cores that this process may use.
    pub(super) fn cores() -> Vec<usize> {
        let Ok(set) = sched_getaffinity(SELF) else { return Vec::new() };
        (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
    }

    /// Runs `start` on these cores; whatever process it starts inherits them.
    pub(super) fn on<T>(cores: &[usize], start: impl FnOnce() -> T) -> T {
        let before = sched_getaffinity(SELF);
        let mut set = CpuSet::new();
        // Cores that were listed a moment ago fit into a set; where pinning is refused all the same, the run's own
        // figures show what that did.
        let _ = cores.iter().try_for_each(|core| set.set(*core)).and_then(|()| sched_setaffinity(SELF, &set));
        let started = start();
        if let Ok(before) = before {
            let _ = sched_setaffinity(SELF, &before);
        }
        started
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    /// Nothing is known of cores here.
    pub(super) fn cores() -> Vec<usize> {
        Vec::new()
    }

    pub(super) fn on<T>(_cores: &[usize], start: impl FnOnce() -> T) -> T {
        start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_mock_never_share_a_core_where_there_are_two() {
        let told = [(&[][..], 1), (&[3], 1), (&[0, 1], 1), (&[0, 1], 4), (&[2, 4, 6, 7], 2)]
            .map(|(cores, workers)| Placement::on(cores, workers).to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        client and mock wherever the system puts them: it knows no pinning
        client and mock on the one core that there is
        the mock on core 0, the client on core 1
        the mock on core 0, the client on core 1
        the mock on core 2, the client on cores 4, 6
        ");
    }

    #[test]
    fn what_was_pinned_for_a_moment_is_free_again() {
        let cores = system::cores();
        let [first, ..] = cores.as_slice() else { return };
        assert_eq!(system::on(&[*first], system::cores), [*first]);
        assert_eq!(system::cores(), cores);
    }
}
