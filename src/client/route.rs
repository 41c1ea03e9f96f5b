//! The way to a target, settled before the load: its addresses, looked up once, the addresses of this machine that
//! connections come from, and the proxy that they go through.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream};

use super::ports::Ports;
use super::target::Base;
use crate::clock::Clock;
use crate::profile::{Proxy, Target};

/// Addresses of this machine that are used without being asked for, at most.
const LOOPBACK_SOURCES_MAX: u64 = 200;

/// Why there is no way to a target.
#[derive(Debug, Error)]
pub enum Error {
    /// The name has no address.
    #[error("look up {host}: {why}; is the name right? --resolve {host}:{port}:ADDRESS says where it is")]
    Lookup {
        /// The name.
        host: String,
        /// The port, as `--resolve` takes it.
        port: u16,
        /// What the system said.
        why: String,
    },
    /// A source address is not this machine's.
    #[error("connect from {address}: {source}; target.source (--source) takes addresses that this machine has")]
    Source {
        /// The address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A source address and the target's are of different families.
    #[error(
        "connect from {address} to {host}, which has no {family} address; set target.source (--source) to addresses of the other kind"
    )]
    Family {
        /// The source address.
        address: IpAddr,
        /// The target or the proxy.
        host: String,
        /// What the target has not.
        family: &'static str,
    },
    /// More connections than ports.
    #[error(
        "hold {wanted} connections at a time: two addresses can have {ports} (ports {range}), and {pairs} pairs of addresses make {fits}; lower -c to {fits}, add addresses of this machine with --source, let HTTP/2 streams share connections (target.streams), or widen net.ipv4.ip_local_port_range"
    )]
    TooFewPorts {
        /// Connections that were asked for.
        wanted: u64,
        /// What a pair of addresses can have.
        ports: u64,
        /// From which port to which.
        range: Ports,
        /// Pairs of a source and a target address.
        pairs: u64,
        /// Connections that fit.
        fits: u64,
    },
}

/// The way to a target.
pub struct Route {
    /// Where connections go, in the resolver's order: the target's addresses, or the proxy's.
    addresses: Vec<SocketAddr>,
    /// Where they come from; the system's choice when empty.
    sources: Vec<IpAddr>,
    proxy: Option<Proxy>,
    lookup_ns: Option<u64>,
    ports: Option<Ports>,
    dealt: AtomicU64,
    open: AtomicU64,
    open_max: AtomicU64,
}

/// A connection's place among those that are open; it is given back when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Route>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Route {
    /// Settles the way to `base`, for so many connections at a time. A name is looked up here and never again.
    ///
    /// # Errors
    /// The name has no address, a source address can't be used, or there are too few ports.
    pub async fn settle(base: &Base, target: &Target, connections: u64, clock: Clock) -> Result<Self, Error> {
        let (host, port) = target.proxy.as_ref().map_or((&base.host, base.port), |proxy| (&proxy.host, proxy.port));
        let (addresses, lookup_ns) = addresses(host, port, target, clock).await?;
        let ports = Ports::of_this_machine();
        let sources = if target.sources.is_empty() {
            own_sources(&addresses, ports, connections)
        } else {
            check(&target.sources, &addresses, host)?;
            target.sources.clone()
        };
        let [dealt, open, open_max] = [(); 3].map(|()| AtomicU64::new(0));
        let proxy = target.proxy.clone();
        let route = Self { addresses, sources, proxy, lookup_ns, ports, dealt, open, open_max };
        route.holds(connections)?;
        Ok(route)
    }

    /// Where connections go.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where they come from; empty when that is the system's choice.
    #[must_use]
    pub fn sources(&self) -> &[IpAddr] {
        &self.sources
    }

    /// What they go through.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// How long the look-up took, in nanoseconds; absent when there was nothing to look up.
    #[must_use]
    pub fn lookup_ns(&self) -> Option<u64> {
        self.lookup_ns
    }

    /// How many connections there can be at a time; absent where the system does not tell.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.ports.map(|ports| ports.most() * self.pairs())
    }

    /// How many there can be before looking for a free port takes long; absent where the system does not tell.
    #[must_use]
    pub fn easy_room(&self) -> Option<u64> {
        self.ports.map(|ports| ports.easily() * self.pairs())
    }

    /// The most connections that there were at a time.
    #[must_use]
    pub fn open_max(&self) -> u64 {
        self.open_max.load(Ordering::Relaxed)
    }

    /// Counts a connection as open.
    pub(super) fn place(self: &Arc<Self>) -> Place {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.open_max.fetch_max(open, Ordering::Relaxed);
        Place(Arc::clone(self))
    }

    /// Connects over the pair of addresses whose turn it is. Where that fails, the other addresses are tried in order;
    /// the last failure is told.
    ///
    /// # Errors
    /// Nobody listens at any address, or this machine has no port or descriptor left.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let turn = usize::try_from(self.dealt.fetch_add(1, Ordering::Relaxed) % (1 << 31)).expect("31 bits fit");
        let source = (!self.sources.is_empty()).then(|| self.sources[turn % self.sources.len()]);
        let fits = |address: &&SocketAddr| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4());
        let reachable: Vec<_> = self.addresses.iter().filter(fits).collect();
        // Of a name with addresses of both kinds, the kind that the resolver puts first is dealt; the other is a way out.
        let first = reachable[0].is_ipv4();
        let (among, others): (Vec<&SocketAddr>, Vec<&SocketAddr>) =
            reachable.into_iter().partition(|address| address.is_ipv4() == first);
        let at = turn / self.sources.len().max(1) % among.len();
        let mut failure: Option<io::Error> = None;
        for address in among[at..].iter().chain(&among[..at]).chain(&others) {
            match connect(source, **address).await {
                Ok(stream) => return Ok(stream),
                // What failed on this side says nothing about the target, whatever another address did.
                Err(error) if failure.as_ref().is_none_or(|failure| !is_own(failure)) => failure = Some(error),
                Err(_) => {}
            }
        }
        Err(failure.expect("there is an address"))
    }

    /// Pairs of addresses that connections can be between.
    fn pairs(&self) -> u64 {
        if self.sources.is_empty() {
            return self.addresses.len() as u64;
        }
        let fitting = |source: &IpAddr| self.addresses.iter().filter(|at| at.is_ipv4() == source.is_ipv4()).count();
        self.sources.iter().map(fitting).sum::<usize>() as u64
    }

    fn holds(&self, wanted: u64) -> Result<(), Error> {
        let Some(ports) = self.ports else { return Ok(()) };
        let fits = ports.most() * self.pairs();
        if wanted <= fits {
            return Ok(());
        }
        Err(Error::TooFewPorts { wanted, ports: ports.most(), range: ports, pairs: self.pairs(), fits })
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Route({:?} from {:?})", self.addresses, self.sources)
    }
}

/// Whether a connection failed on this side, for want of a port, a descriptor or memory: no word of the target's.
pub(super) fn is_own(error: &io::Error) -> bool {
    use nix::errno::Errno::{EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    let number = error.raw_os_error().map(nix::errno::Errno::from_raw);
    number.is_some_and(|number| [EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(&number))
}

/// The addresses of a host: itself, what the profile says, or what the resolver says, with the time that it took.
async fn addresses(
    host: &str,
    port: u16,
    target: &Target,
    clock: Clock,
) -> Result<(Vec<SocketAddr>, Option<u64>), Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((vec![SocketAddr::new(address, port)], None));
    }
    let mut known =
        target.resolve.iter().rev().filter(|known| known.port == port && known.host.eq_ignore_ascii_case(host));
    // Of two that are given for one name, the later holds, as in curl.
    if let Some(known) = known.next() {
        return Ok((known.sockets().collect(), None));
    }
    let refuse = |why: String| Error::Lookup { host: host.to_owned(), port, why };
    let began_ns = clock.now();
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| refuse(error.to_string()))?;
    let lookup_ns = clock.now().saturating_sub(began_ns);
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    if all.is_empty() {
        return Err(refuse("the name has no address".to_owned()));
    }
    // A machine without IPv6 would fail at such an address, each time and by itself.
    let (routed, _): (Vec<_>, Vec<_>) = all.iter().partition(|address| has_route(address));
    Ok((if routed.is_empty() { all } else { routed }, Some(lookup_ns)))
}

/// Whether this machine knows a way to an address at all; nothing is sent.
fn has_route(address: &SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).is_ok()
}

/// For a target on this machine, as many loopback addresses as its connections call for; Linux has all of 127.0.0.0/8.
fn own_sources(addresses: &[SocketAddr], ports: Option<Ports>, connections: u64) -> Vec<IpAddr> {
    let loopback = addresses.iter().all(|address| matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()));
    let Some(ports) = ports.filter(|_| loopback && cfg!(target_os = "linux")) else { return Vec::new() };
    let each = ports.easily() * addresses.len() as u64;
    let wanted = connections.div_ceil(each).min(LOOPBACK_SOURCES_MAX);
    if wanted < 2 {
        return Vec::new();
    }
    (1..=wanted).map(|last| Ipv4Addr::new(127, 0, 0, u8::try_from(last).expect("they are few")).into()).collect()
}

/// Whether connections can come from these addresses.
fn check(sources: &[IpAddr], addresses: &[SocketAddr], host: &str) -> Result<(), Error> {
    for address in sources {
        if addresses.iter().all(|target| target.is_ipv4() != address.is_ipv4()) {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(Error::Family { address: *address, host: host.to_owned(), family });
        }
        // Any free port will do.
        UdpSocket::bind((*address, 0)).map_err(|source| Error::Source { address: *address, source })?;
    }
    Ok(())
}

async fn connect(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(source) = source {
        late_port(&socket);
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Puts the choice of a port off until it is known where the connection goes, so that each pair of addresses has all
/// ports instead of all pairs of one source sharing them.
#[cfg(target_os = "linux")]
fn late_port(socket: &TcpSocket) {
    let _ = nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true);
}

#[cfg(not(target_os = "linux"))]
fn late_port(_socket: &TcpSocket) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn target(more: &str) -> Target {
        let text = format!(
            "why = \"a test\"\nload.invocations = 1\nrequest.input.text = \"Hi\"\ntarget.agent_id = \"a1\"\n{more}"
        );
        Profile::parse("test.toml", &text, Vec::new()).expect("a valid profile").target
    }

    async fn settle(url: &str, more: &str, connections: u64) -> Result<Route, Error> {
        let base = Base::parse(url).expect("a URL");
        Route::settle(&base, &target(more), connections, Clock::start()).await
    }

    #[tokio::test]
    async fn a_name_leads_where_the_profile_says() {
        let more = "target.resolve = [\"api.example:443:10.0.0.1\", \"API.example:443:10.0.0.2,::2\", \"api.example:80:10.0.0.3\"]";
        let route = settle("https://api.example", more, 1).await.expect("nothing is looked up");
        assert_eq!(format!("{:?}", route.addresses()), "[10.0.0.2:443, [::2]:443]");
        assert_eq!(route.lookup_ns(), None);
        let more = format!("{more}\ntarget.proxy = \"http://127.0.0.1:3128\"");
        let route = settle("https://api.example", &more, 1).await.expect("the proxy is an address");
        assert_eq!(format!("{:?}", route.addresses()), "[127.0.0.1:3128]", "the proxy looks the target up");
    }

    #[tokio::test]
    async fn what_leads_nowhere_is_said() {
        let told = [
            settle("http://127.0.0.1:1", "target.source = [\"::1\"]", 1).await.expect_err("IPv6 to IPv4"),
            settle("http://127.0.0.1:1", "target.source = [\"192.0.2.1\"]", 1).await.expect_err("not ours"),
            Error::Lookup { host: "no.example".into(), port: 443, why: "Name or service not known".into() },
        ]
        .map(|error| error.to_string());
        let told = told.join("\n").replace(" (os error 99)", "").replace(" (os error 49)", "");
        insta::assert_snapshot!(told, @"
        connect from ::1 to 127.0.0.1, which has no IPv6 address; set target.source (--source) to addresses of the other kind
        connect from 192.0.2.1: Cannot assign requested address; target.source (--source) takes addresses that this machine has
        look up no.example: Name or service not known; is the name right? --resolve no.example:443:ADDRESS says where it is
        ");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn loopback_sources_are_as_many_as_the_ports_call_for() {
        let ports = Ports::of_this_machine().expect("Linux tells");
        let at = |text: &str| [SocketAddr::new(text.parse().expect("an address"), 80)];
        let sources = |to: &str, connections: u64| own_sources(&at(to), Some(ports), connections).len();
        let easily = ports.easily();
        assert_eq!([1, easily, easily + 1, easily * 3].map(|count| sources("127.0.0.1", count)), [0, 0, 2, 3]);
        assert_eq!((sources("10.0.0.1", easily * 3), sources("::1", easily * 3)), (0, 0));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn more_connections_than_ports_are_refused() {
        let more = "target.source = [\"127.0.0.2\", \"127.0.0.3\"]";
        let ports = Ports::of_this_machine().expect("Linux tells");
        let route = settle("http://127.0.0.1:1", more, 2 * ports.most()).await.expect("that is what fits");
        assert_eq!((route.room(), route.easy_room()), (Some(2 * ports.most()), Some(2 * ports.easily())));
        assert!(settle("http://127.0.0.1:1", more, 2 * ports.most() + 1).await.is_err());
        let range = Ports::of_this_machine().expect("Linux tells");
        let told = Error::TooFewPorts { wanted: 60_000, ports: 28_232, range, pairs: 2, fits: 56_464 }.to_string();
        insta::assert_snapshot!(told.replace(&range.to_string(), "32768-60999"), @"hold 60000 connections at a time: two addresses can have 28232 (ports 32768-60999), and 2 pairs of addresses make 56464; lower -c to 56464, add addresses of this machine with --source, let HTTP/2 streams share connections (target.streams), or widen net.ipv4.ip_local_port_range");
    }

    #[test]
    fn what_failed_on_this_side_is_told_from_what_the_target_did() {
        use nix::libc::{EADDRNOTAVAIL, ECONNREFUSED, EHOSTUNREACH, EMFILE, ETIMEDOUT};
        let own = |number: i32| is_own(&io::Error::from_raw_os_error(number));
        assert!([EADDRNOTAVAIL, EMFILE].into_iter().all(own));
        assert!(![ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT].into_iter().any(own));
    }
}
