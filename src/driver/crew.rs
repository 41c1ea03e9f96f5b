//! All workers of a run: made from one description, each on a thread of its own, or all here for simulations.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use super::control::Control;
use super::message::Message;
use super::window::Window;
use super::worker::{Share, Worker};
use crate::client::Client;
use crate::client::gate::Pause;
use crate::clock::{self, Clock};
use crate::profile::{Model, Plan};
use crate::runfile::events::Sheet;

/// What the workers of a run have in common.
#[derive(Debug)]
pub struct Crew {
    /// Makes the invocations.
    pub client: Client,
    /// Says what they are.
    pub plan: Arc<Plan>,
    /// What all workers share.
    pub control: Arc<Control>,
    /// Start and stop.
    pub window: Window,
    /// The run's clock.
    pub clock: Clock,
    /// How many workers; at least 1.
    pub workers: u32,
    /// Who decides when a conversation begins.
    pub model: Model,
    /// Where each event is written down, when that was asked for.
    pub sheet: Option<Sheet>,
}

impl Crew {
    /// Takes in what the target asked for before the run.
    pub fn heed(&self, pauses: &[Pause]) {
        pauses.iter().for_each(|pause| self.control.gate().hold(self.clock.now(), pause.left_ns()));
    }

    /// Starts each worker on a thread with a runtime of its own; gives what they will tell.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn start(&self) -> io::Result<(UnboundedReceiver<Message>, Vec<JoinHandle<()>>)> {
        let (workers, inbox) = self.workers();
        let mut threads = Vec::new();
        for worker in workers {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = clock::watch_turns(builder.enable_all()).build()?;
            let body = move || LocalSet::new().block_on(&runtime, worker.run());
            threads.push(std::thread::Builder::new().name(format!("worker-{}", threads.len())).spawn(body)?);
        }
        Ok((inbox, threads))
    }

    /// The workers, and what they will tell. Slots and conversations are dealt in turn.
    #[must_use]
    pub fn workers(&self) -> (Vec<Worker>, UnboundedReceiver<Message>) {
        self.control.gate().starts_end_at(self.window.end_ns());
        let (out, inbox) = unbounded_channel();
        let step = usize::try_from(self.workers).expect("workers are few");
        let share = |index: u32| match self.model {
            Model::Closed { concurrency, .. } => {
                Share::Slots { numbers: (index..concurrency).step_by(step).collect(), of: concurrency }
            }
            Model::Open { overflow, .. } => Share::Arrivals { workers: self.workers, overflow },
        };
        let worker = |index: u32| Worker {
            index,
            share: share(index),
            client: self.client.clone(),
            plan: Arc::clone(&self.plan),
            window: self.window,
            control: Arc::clone(&self.control),
            clock: self.clock,
            sheet: self.sheet.clone(),
            out: out.clone(),
        };
        ((0..self.workers).map(worker).collect(), inbox)
    }
}
