//! How a run reached its target, and what its connections took of the machine.

use serde::{Deserialize, Serialize};

/// The way to the target, settled before the load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Where connections went: the target's addresses, or the proxy's.
    pub addresses: Vec<String>,
    /// How long the one look-up of the name took, in nanoseconds; absent when there was nothing to look up.
    pub lookup_ns: Option<u64>,
    /// The addresses of this machine that connections came from, in turn; empty when the system chose.
    pub sources: Vec<String>,
    /// What they were tunnelled through, without its credentials.
    pub proxy: Option<String>,
}

/// What the connections of a run took of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// The most that there were at a time.
    pub connections_max: u64,
    /// Ports that were left then, over all pairs of addresses; absent where the system does not tell.
    pub ports_left: Option<u64>,
    /// How many of those connections, or more, take long to find a port; absent where the system does not tell.
    pub ports_scarce_from: Option<u64>,
    /// Descriptors that were left then; absent where the system does not tell.
    pub descriptors_left: Option<u64>,
    /// How many conversations at a time the limit on open files allowed; absent where something else was the limit.
    #[serde(default)]
    pub in_flight_by_files: Option<u64>,
}
