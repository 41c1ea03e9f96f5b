//! Requests from outside to end: Ctrl-C and a request to terminate, as values.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::driver::Stop;

/// Listens from now on; every request is one value. Needs a `LocalSet`.
///
/// # Errors
/// The system does not let us listen.
pub fn listen() -> io::Result<UnboundedReceiver<Stop>> {
    let (give, take) = tokio::sync::mpsc::unbounded_channel();
    for (kind, stop) in [(SignalKind::interrupt(), Stop::Interrupt), (SignalKind::terminate(), Stop::Terminate)] {
        let (mut signals, give) = (signal(kind)?, give.clone());
        tokio::task::spawn_local(async move { while signals.recv().await.is_some() && give.send(stop).is_ok() {} });
    }
    Ok(take)
}
