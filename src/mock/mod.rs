//! The mock agent: xpander's documented API with scripted timing, faults and a limited capacity.
//!
//! What it promises: each event leaves at its scripted instant, in a write of its own where the script says so, and
//! the same seed and plan index give the same ids, texts, cuts and delays whatever the order of arrival. What it is
//! not: an agent. [`Mock`] serves sockets on a thread of its own; [`serve_pipe`] serves an in-memory pipe on the
//! current runtime, in virtual time when that is paused.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use thiserror::Error;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::agent::recording;
use crate::clock::Clock;
use crate::profile::script::Script;
use crate::seed::Seed;

mod agent;
mod api;
mod ask;
mod batch;
mod flaws;
mod http1;
mod http2;
mod logs;
mod metrics;
mod outlet;
mod payload;
mod performance;
mod rehearsal;
mod replay;
mod server;
mod service;
mod stage;
mod store;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod tls;
pub mod truth;

pub use agent::{Agent, Served};
pub use logs::Logs;
pub use rehearsal::{NotRehearsed, rehearse};

/// Why a mock does not run.
#[derive(Debug, Error)]
pub enum Error {
    /// The address can't be listened on.
    #[error("listen on {address}: {why}{}", remedy(why))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        why: io::Error,
    },
    /// A recording can't be read.
    #[error("read the recording {}: {why}; check replay.files, which count from the working directory", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// A file is no recording.
    #[error("replay {}: {why}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: recording::Error,
    },
    /// No certificate could be made.
    #[error("make a certificate for the mock: {0}")]
    Certificate(String),
    /// The thread or its runtime did not start.
    #[error("start the mock's thread: {0}")]
    Start(io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another port (0 takes a free one)"
        }
        io::ErrorKind::PermissionDenied => "; choose a port of 1024 or above",
        io::ErrorKind::AddrNotAvailable => "; choose an address of this machine, such as 127.0.0.1",
        _ => "",
    }
}

/// How a mock is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS is spoken, with a certificate that is made at the start, and HTTP/2 is offered.
    pub tls: bool,
}

impl Default for Options {
    /// A free port of the loopback interface.
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tls: false }
    }
}

/// A running mock, on a thread of its own; it stops when it is dropped.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    authority_pem: Option<String>,
    agent: Arc<Agent>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Mock {
    /// Starts a mock that does what the script says.
    ///
    /// # Errors
    /// The address can't be listened on, or the thread does not start.
    pub fn start(script: &Script, seed: Seed, options: &Options) -> Result<Self, Error> {
        Self::logging(script, seed, options, Logs::default())
    }

    /// The same, which writes logs.
    ///
    /// # Errors
    /// The address can't be listened on, or the thread does not start.
    pub fn logging(script: &Script, seed: Seed, options: &Options, logs: Logs) -> Result<Self, Error> {
        let listener = server::listen(options.listen).map_err(|why| Error::Listen { address: options.listen, why })?;
        let address = listener.local_addr().map_err(Error::Start)?;
        let recordings = agent::load(script)?;
        let agent = Agent::replaying(script.clone(), seed, Clock::start(), logs, recordings);
        let identity = options.tls.then(|| tls::identity(address.ip())).transpose().map_err(Error::Certificate)?;
        let (acceptor, authority_pem) = identity.map(|identity| (identity.acceptor, identity.authority_pem)).unzip();
        let (stop, stopped) = watch::channel(false);
        let thread = Self::spawn(Arc::clone(&agent), listener, acceptor, stopped).map_err(Error::Start)?;
        Ok(Self { address, authority_pem, agent, stop, thread: Some(thread) })
    }

    fn spawn(
        agent: Arc<Agent>,
        listener: TcpListener,
        acceptor: Option<TlsAcceptor>,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        thread::Builder::new().name("mock".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, server::accept(listener, acceptor, agent, stopped));
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority that a client of it has to trust, as PEM; none without TLS.
    #[must_use]
    pub fn authority_pem(&self) -> Option<&str> {
        self.authority_pem.as_deref()
    }

    /// What it served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        self.agent.served()
    }

    /// Stops it: nothing more is accepted, and open streams are broken off.
    pub fn stop(mut self) -> Served {
        self.halt();
        self.agent.served()
    }

    /// The agent behind it, whose logs are written out once the mock has stopped.
    #[must_use]
    pub fn agent(&self) -> Arc<Agent> {
        Arc::clone(&self.agent)
    }

    fn halt(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the mock's thread does not panic");
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Serves one in-memory pipe with the code and the clock that serve sockets, until one side closes it; inside a
/// [`LocalSet`].
pub async fn serve_pipe(pipe: DuplexStream, agent: Arc<Agent>) {
    agent::count(&agent.connections, 1);
    http1::serve(pipe, agent).await;
}
