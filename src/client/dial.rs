//! A new connection: name, TCP, TLS, each phase stamped and with its own failure.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::io::{Raw, Stamped, Traffic, Wire};
use super::stamper::Stamper;
use super::target::Base;
use crate::clock::Clock;
use crate::metrics::Outcome;

/// Makes connections to one target.
#[derive(Clone)]
pub enum Dialer {
    /// A real target.
    Tcp {
        /// Where it is.
        base: Base,
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
    /// The name was resolved.
    pub dns_done_ns: Option<u64>,
    /// TCP stood.
    pub connected_ns: Option<u64>,
    /// TLS stood.
    pub tls_done_ns: Option<u64>,
}

/// A connection that could not be made: the outcome of the invocation that wanted it, and the cause.
#[derive(Debug)]
pub struct Refused {
    /// `connect_failed` or `tls_failed`.
    pub outcome: Outcome,
    /// The cause in words.
    pub detail: String,
}

/// A new connection.
#[derive(Debug)]
pub struct Dialed {
    /// The stream.
    pub wire: Wire,
    /// Its traffic, below TLS.
    pub traffic: Rc<Traffic>,
    /// Whether TLS agreed on HTTP/2.
    pub h2_agreed: bool,
}

impl Dialer {
    /// Makes a connection; `phases` is filled as far as it gets.
    ///
    /// # Errors
    /// The name is not known, nobody listens, or TLS fails.
    pub async fn dial(&self, stamper: &Rc<Stamper>, phases: &mut Phases) -> Result<Dialed, Refused> {
        let clock = stamper.clock();
        match self {
            Self::Pipe(pipe) => {
                let pipe = pipe().map_err(|error| refused(&error))?;
                let (io, traffic) = Stamped::new(Raw::Pipe(pipe), stamper);
                phases.connected_ns = Some(clock.now());
                Ok(Dialed { wire: Wire::Clear(io), traffic, h2_agreed: false })
            }
            Self::Tcp { base, tls } => {
                let stream = tcp(base, clock, phases).await.map_err(|error| refused(&error))?;
                let (io, traffic) = Stamped::new(Raw::Tcp(stream), stamper);
                let Some(connector) = tls else {
                    return Ok(Dialed { wire: Wire::Clear(io), traffic, h2_agreed: false });
                };
                let (wire, h2_agreed) = handshake(connector, base, io).await?;
                phases.tls_done_ns = Some(clock.now());
                Ok(Dialed { wire, traffic, h2_agreed })
            }
        }
    }
}

/// Tries the addresses of a name in order; the last one's failure is told.
async fn tcp(base: &Base, clock: Clock, phases: &mut Phases) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((base.host.as_str(), base.port)).await?.collect();
    phases.dns_done_ns = Some(clock.now());
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                phases.connected_ns = Some(clock.now());
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn handshake(connector: &TlsConnector, base: &Base, io: Stamped) -> Result<(Wire, bool), Refused> {
    let tls_failed = |detail: String| Refused { outcome: Outcome::TlsFailed, detail };
    let name = ServerName::try_from(base.host.clone()).map_err(|error| tls_failed(error.to_string()))?;
    let stream = connector.connect(name, io).await.map_err(|error| tls_failed(error.to_string()))?;
    let h2_agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Wire::Tls(Box::new(stream)), h2_agreed))
}

fn refused(error: &io::Error) -> Refused {
    Refused { outcome: Outcome::ConnectFailed, detail: error.to_string() }
}
