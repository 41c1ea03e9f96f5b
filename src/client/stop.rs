//! Stop Task, for the tasks that a run leaves behind: what the agent still does for nobody costs all the same.
//!
//! It is not measured, so it runs on reqwest.

use hyper::header::HeaderName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::preflight::{self, Error};
use super::target::{Base, Key};
use crate::profile::Target;

/// How often a refusal that may pass is asked again.
const TRIES: u32 = 3;

/// Calls that go on at a time.
const AT_A_TIME: usize = 8;

/// Stops tasks.
#[derive(Debug, Clone)]
pub struct Stopper {
    client: reqwest::Client,
    origin: String,
    headers: Vec<(String, String)>,
    key: Option<Key>,
}

/// What became of the tasks that were to be stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Tasks that were stopped, or had ended by themselves.
    pub stopped: u64,
    /// Why the last one that could not be stopped was not.
    pub why: Option<String>,
}

impl Stopped {
    fn count(&mut self, answer: Result<(), String>) {
        match answer {
            Ok(()) => self.stopped += 1,
            Err(why) => self.why = Some(why),
        }
    }
}

impl Stopper {
    /// Stops tasks of this target, each call within `timeout_ns` nanoseconds.
    ///
    /// # Errors
    /// The client can't be set up.
    pub fn new(
        base: &Base,
        target: &Target,
        key: Option<Key>,
        tls: Option<rustls::ClientConfig>,
        timeout_ns: u64,
    ) -> Result<Self, Error> {
        let client = preflight::client(target, tls, timeout_ns)?;
        Ok(Self { client, origin: base.to_string(), headers: target.headers.clone(), key })
    }

    /// Stops every task that comes, some at a time, until no more can come. Needs a `LocalSet`.
    pub async fn stop_all(self, mut tasks: UnboundedReceiver<String>) -> Stopped {
        let mut all = Stopped::default();
        let mut asked = JoinSet::new();
        loop {
            let full = asked.len() >= AT_A_TIME;
            tokio::select! {
                Some(answer) = asked.join_next() => all.count(answer.unwrap_or_else(|error| Err(error.to_string()))),
                task = tasks.recv(), if !full => match task {
                    Some(task) => {
                        let stopper = self.clone();
                        asked.spawn_local(async move { stopper.stop(&task).await });
                    }
                    None => break,
                },
            }
        }
        while let Some(answer) = asked.join_next().await {
            all.count(answer.unwrap_or_else(|error| Err(error.to_string())));
        }
        all
    }

    /// Stops one task. The API says nothing when it had ended already, and that is as good.
    async fn stop(&self, task: &str) -> Result<(), String> {
        let mut why = String::new();
        for _ in 0..TRIES {
            let mut request = self.client.post(format!("{}/v1/tasks/{}/stop", self.origin, percent(task)));
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            if let Some(key) = &self.key {
                request = request.header(HeaderName::from_static("x-api-key"), key.header());
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    why = format!("status {}", answer.status().as_u16());
                    if !answer.status().is_server_error() {
                        break;
                    }
                }
                Err(error) => why = preflight::cause(error),
            }
        }
        Err(why)
    }
}

/// What RFC 3986 does not call unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A task id, which the agent chose, as one segment of a path.
fn percent(task: &str) -> PercentEncode<'_> {
    utf8_percent_encode(task, RESERVED)
}
