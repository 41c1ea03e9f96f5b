//! Requests from outside to end: Ctrl-C and a request to terminate, as values.

use std::io;
use std::process;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Exit;
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

/// From now on a request ends the process at once, with its own exit code: the load is over, and what it wrote is safe.
///
/// # Errors
/// The system gives no thread or no runtime.
pub fn end_at_once() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wait = async {
        let requests = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        // They could be listened to before the load; where no longer, the process ends when it is done.
        let (Ok(mut interrupts), Ok(mut terminations)) = requests else { return };
        let exit = tokio::select! {
            _ = interrupts.recv() => Exit::Interrupted,
            _ = terminations.recv() => Exit::Terminated,
        };
        process::exit(exit as i32);
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}
