//! Requests from outside to end: Ctrl-C and a request to terminate, as values for whoever can use them.

use std::io;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Exit;
use crate::driver::Stop;

/// Who is told of a request; nobody, when it ends the process at once.
type Listener = Arc<Mutex<Option<UnboundedSender<Stop>>>>;

/// The requests of a whole command, listened to by a thread of its own.
#[derive(Debug)]
pub struct Requests {
    listener: Listener,
}

impl Requests {
    /// Listens from now on. Until somebody asks to be told, a request ends the process at once, with its own exit code.
    ///
    /// # Errors
    /// The system gives no thread or no runtime, or does not let us listen.
    pub fn listen() -> io::Result<Self> {
        let listener = Listener::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = Arc::clone(&listener);
        let signals = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let wait = async move {
            let (mut interrupts, mut terminations) = signals;
            loop {
                let stop = tokio::select! {
                    _ = interrupts.recv() => Stop::Interrupt,
                    _ = terminations.recv() => Stop::Terminate,
                };
                tell(&told, stop);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
        Ok(Self { listener })
    }

    /// From now on every request is one value.
    #[must_use]
    pub fn take(&self) -> UnboundedReceiver<Stop> {
        let (give, take) = unbounded_channel();
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(give);
        take
    }

    /// From now on a request ends the process at once: what was measured is safe.
    pub fn end_at_once(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn tell(listener: &Listener, stop: Stop) {
    match &*listener.lock().unwrap_or_else(PoisonError::into_inner) {
        // Who has heard enough is about to end anyway.
        Some(give) => drop(give.send(stop)),
        None => process::exit(Exit::from(stop) as i32),
    }
}
