//! How many connections there can be between two addresses: each takes a port of its own on the side that connects.

use std::fmt;
use std::path::Path;

/// The ports that the system gives to connections (Linux: `net.ipv4.ip_local_port_range`, which holds for IPv6, too).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
    /// Of those, the ones that are never given away.
    reserved: u32,
}

impl Ports {
    /// Those of this machine; none where the system does not tell.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        let read = |name: &str| std::fs::read_to_string(Path::new("/proc/sys/net/ipv4").join(name)).ok();
        Self::parse(&read("ip_local_port_range")?, &read("ip_local_reserved_ports").unwrap_or_default())
    }

    /// Reads a range (`32768 60999`) and a list of reserved ports and ranges (`8080,9148-9150`).
    fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut bounds = range.split_ascii_whitespace().map(str::parse);
        let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
        let within = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to): (u16, u16) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
            let (from, to) = (from.max(first), to.min(last));
            (from <= to).then(|| u32::from(to - from) + 1)
        };
        let reserved = reserved.split(',').filter_map(within).sum();
        (first <= last).then_some(Self { first, last, reserved })
    }

    /// How many connections two addresses can have at most.
    #[must_use]
    pub fn most(self) -> u64 {
        u64::from(u32::from(self.last - self.first) + 1 - self.reserved)
    }

    /// How many they have easily. Linux looks for a free port among those of one parity first: up to half of the range a
    /// connection costs some 20 µs, and from there on up to 1 ms, in which its worker does nothing else.
    #[must_use]
    pub fn easily(self) -> u64 {
        // A little below the half: others on the machine have connections, too.
        (self.most() * 9 / 20).max(1)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_read_without_what_is_reserved() {
        let ports = Ports::parse("32768\t60999\n", "\n").expect("a range");
        assert_eq!((ports.most(), ports.easily(), ports.to_string().as_str()), (28_232, 12_704, "32768-60999"));
        let ports = Ports::parse("1000 1099", "80,1000-1009,1099-2000").expect("a range");
        assert_eq!(ports.most(), 89);
        assert_eq!(Ports::parse("7 7", "").expect("a range").easily(), 1);
        assert_eq!(Ports::parse("9 7", ""), None);
        assert_eq!(Ports::parse("", ""), None);
    }
}
