//! Sockets: taking connections in, until someone says stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::agent::Agent;
use super::flaws::happens;
use super::outlet::Link;
use super::{http1, http2, tls};
use crate::profile::script::{Fault, FaultKind};
use crate::units::NS_PER_MS;

/// How many connections may wait to be accepted: thousands come at once in a load test.
const BACKLOG: i32 = 8_192;
/// How long accepting pauses when the system has no descriptor or buffer left.
const PAUSE_NS: u64 = 10 * NS_PER_MS;

/// Listens.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A mock that was stopped a moment ago leaves connections behind that would hold its port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves every connection that comes until `stopped` says so; then all are broken off.
pub(super) async fn accept(
    listener: tokio::net::TcpListener,
    acceptor: Option<TlsAcceptor>,
    agent: Arc<Agent>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn_local(connection(stream, acceptor.clone(), Arc::clone(&agent)))),
                Err(_) => agent.clock.sleep_until(agent.clock.now().saturating_add(PAUSE_NS)).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, agent: Arc<Agent>) {
    let number = agent.connections.fetch_add(1, Ordering::Relaxed);
    let is_refusal = |fault: &Fault| fault.kind == FaultKind::Refuse;
    let mut faults = agent.script.faults.iter().enumerate();
    if faults.any(|(at, fault)| is_refusal(fault) && happens(fault, at, agent.seed, number)) {
        stream.make_reset();
        return;
    }
    // A failed option costs delay, not correctness.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return http1::serve(stream, agent).await };
    // A client that does not trust the certificate is told so by its own side.
    let Ok(stream) = Box::pin(acceptor.accept(stream)).await else { return };
    // In boxes: a plain connection's task is not to be as large as the largest of these.
    if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2) {
        Box::pin(http2::serve(Vec::new(), stream, agent)).await;
    } else {
        Box::pin(http1::serve(stream, agent)).await;
    }
}
