//! Stop Task, for the tasks that a run leaves behind: what the agent still does for nobody costs all the same.

use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::call::{Caller, Line};

/// How often a refusal that may pass is asked again.
const TRIES: u32 = 3;

/// Calls that go on at a time.
const AT_A_TIME: usize = 8;

/// Stops tasks.
#[derive(Debug)]
pub struct Stopper(Caller);

/// What became of the tasks that were to be stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Tasks that were stopped, or had ended by themselves.
    pub stopped: u64,
    /// Why the last one that could not be stopped was not.
    pub why: Option<String>,
}

impl Stopped {
    fn add(&mut self, other: Self) {
        self.stopped += other.stopped;
        self.why = other.why.or(self.why.take());
    }
}

impl Stopper {
    /// Stops tasks of this caller's target.
    #[must_use]
    pub fn new(caller: Caller) -> Self {
        Self(caller)
    }

    /// Stops every task that comes, some at a time, until no more can come. Needs a `LocalSet`.
    pub async fn stop_all(self, tasks: UnboundedReceiver<String>) -> Stopped {
        let tasks = Rc::new(Mutex::new(tasks));
        let mut lines = JoinSet::new();
        for _ in 0..AT_A_TIME {
            lines.spawn_local(stop_those(self.0.clone(), Rc::clone(&tasks)));
        }
        let mut all = Stopped::default();
        while let Some(ended) = lines.join_next().await {
            match ended {
                Ok(stopped) => all.add(stopped),
                Err(error) => all.why = Some(error.to_string()),
            }
        }
        all
    }
}

/// Stops what comes, one after another.
async fn stop_those(caller: Caller, tasks: Rc<Mutex<UnboundedReceiver<String>>>) -> Stopped {
    let mut own = Stopped::default();
    let prefix = caller.base().prefix.clone();
    let mut line = None;
    loop {
        let next = tasks.lock().await.recv().await;
        let Some(task) = next else { return own };
        let line = line.get_or_insert_with(|| caller.line());
        match stop(line, &format!("{prefix}/v1/tasks/{}/stop", percent(&task))).await {
            Ok(()) => own.stopped += 1,
            Err(why) => own.why = Some(why),
        }
    }
}

/// Stops one task. The API says nothing when it had ended already, and that is as good.
async fn stop(line: &mut Line, path: &str) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match line.post(path, "{}").await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                why = format!("status {}", answer.status().as_u16());
                if !answer.status().is_server_error() {
                    break;
                }
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// What RFC 3986 does not call unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A task id, which the agent chose, as one segment of a path.
fn percent(task: &str) -> PercentEncode<'_> {
    utf8_percent_encode(task, RESERVED)
}
