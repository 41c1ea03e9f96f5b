//! A new connection: name, TCP, TLS, each phase stamped and with its own failure.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::io::{Raw, Stamped, Wire};
use super::route::{self, Place, Route};
use super::stamper::Stamper;
use super::target::Base;
use super::tunnel;
use crate::metrics::Outcome;
use crate::metrics::certificate::NO_SOCKET;

/// Makes connections to one target.
#[derive(Clone)]
pub enum Dialer {
    /// A real target.
    Tcp {
        /// Where it is.
        base: Base,
        /// The way there.
        route: Arc<Route>,
        /// The TLS settings, when TLS is spoken.
        tls: Option<TlsConnector>,
    },
    /// In-memory pipes, for simulations: each call gives the client's end of a new one.
    Pipe(Arc<dyn Fn() -> io::Result<DuplexStream> + Send + Sync>),
}

impl fmt::Debug for Dialer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { base, .. } => write!(out, "Dialer({base})"),
            Self::Pipe(_) => out.write_str("Dialer(pipe)"),
        }
    }
}

/// When the phases of a new connection ended, in nanoseconds; absent where there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// TCP stood, the proxy's tunnel included.
    pub connected_ns: Option<u64>,
    /// TLS stood.
    pub tls_done_ns: Option<u64>,
}

/// A connection that could not be made: the outcome of the invocation that wanted it, and the cause.
#[derive(Debug)]
pub struct Refused {
    /// `connect_failed`, `tls_failed`, or `not_started` when it failed for want of a port or a descriptor here.
    pub outcome: Outcome,
    /// The cause in words.
    pub detail: String,
}

/// A new connection.
#[derive(Debug)]
pub struct Dialed {
    /// The stream.
    pub wire: Wire,
    /// Whether TLS agreed on HTTP/2.
    pub h2_agreed: bool,
    /// Its place among the open connections; an in-memory pipe takes none.
    pub place: Option<Place>,
}

impl Dialer {
    /// Whether TLS is spoken.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: Some(_), .. })
    }

    /// Makes a connection; `phases` is filled as far as it gets.
    ///
    /// # Errors
    /// Nobody listens, the proxy refuses, TLS fails, or this machine has no port or descriptor left.
    pub async fn dial(&self, stamper: &Rc<Stamper>, phases: &mut Phases) -> Result<Dialed, Refused> {
        let clock = stamper.clock();
        match self {
            Self::Pipe(pipe) => {
                let pipe = pipe().map_err(|error| refused(&error, ""))?;
                let io = Stamped::new(Raw::Pipe(pipe), stamper);
                phases.connected_ns = Some(clock.now());
                Ok(Dialed { wire: Wire::Clear(io), h2_agreed: false, place: None })
            }
            Self::Tcp { base, tls, route } => {
                let stream = tcp(base, route).await?;
                phases.connected_ns = Some(clock.now());
                let place = Some(route.place());
                let io = Stamped::new(Raw::Tcp(stream), stamper);
                let Some(connector) = tls else {
                    return Ok(Dialed { wire: Wire::Clear(io), h2_agreed: false, place });
                };
                let (wire, h2_agreed) = handshake(connector, base, io).await?;
                phases.tls_done_ns = Some(clock.now());
                Ok(Dialed { wire, h2_agreed, place })
            }
        }
    }
}

/// TCP to the target, through the proxy where there is one.
async fn tcp(base: &Base, route: &Route) -> Result<TcpStream, Refused> {
    let Some(proxy) = route.proxy() else { return route.connect().await.map_err(|error| refused(&error, "")) };
    let mut stream = route.connect().await.map_err(|error| refused(&error, &format!("reach the proxy {proxy}: ")))?;
    let told = |error: tunnel::Error| Refused { outcome: Outcome::ConnectFailed, detail: error.to_string() };
    tunnel::open(&mut stream, proxy, base).await.map_err(told)?;
    Ok(stream)
}

async fn handshake(connector: &TlsConnector, base: &Base, io: Stamped) -> Result<(Wire, bool), Refused> {
    let tls_failed = |detail: String| Refused { outcome: Outcome::TlsFailed, detail };
    let name = ServerName::try_from(base.host.clone()).map_err(|error| tls_failed(error.to_string()))?;
    let stream = connector.connect(name, io.under_tls()).await.map_err(|error| tls_failed(error.to_string()))?;
    let h2_agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Wire::Tls(Box::new(stream)), h2_agreed))
}

/// `towards` says where the connection was to lead, when that is not the target.
fn refused(error: &io::Error, towards: &str) -> Refused {
    if route::is_own(error) {
        return Refused { outcome: Outcome::NotStarted, detail: format!("{NO_SOCKET}: {error}") };
    }
    Refused { outcome: Outcome::ConnectFailed, detail: format!("{towards}{error}") }
}
