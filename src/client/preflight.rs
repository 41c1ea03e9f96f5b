//! One cheap call before the load: is it there, does it take the key, does it know the agent?
//!
//! It sends the invocation's own request with an empty body. A target that works refuses that for its body
//! (400 or 422) and starts nothing, so the preflight costs no invocation; every other mistake shows before a
//! thousand streams make it.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use thiserror::Error;

use super::call::Line;
use super::failure;
use super::gate::Pause;
use super::mask::Mask;
use super::route;
use super::target::Base;

/// Why the load was not started.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody answers.
    #[error("reach {base}: {why}; is the address right, and is the server up?")]
    Unreachable {
        /// The target.
        base: String,
        /// What the system said.
        why: String,
    },
    /// Nobody answers at the other end of the proxy, or the proxy itself does not.
    #[error("reach {base}: {why}")]
    ThroughProxy {
        /// The target.
        base: String,
        /// What the proxy or the system said.
        why: String,
    },
    /// The name has no address.
    #[error(transparent)]
    NoWay(#[from] route::Error),
    /// 401.
    #[error(
        "invoke the agent at {base}: the API key was refused (status 401); check XPANDER_API_KEY or target.key_file"
    )]
    WrongKey {
        /// The target.
        base: String,
    },
    /// 403.
    #[error("invoke agent {agent_id} at {base}: the API key may not use it (status 403); check the key's organisation")]
    NotAllowed {
        /// The target.
        base: String,
        /// The agent.
        agent_id: String,
    },
    /// 404.
    #[error("find agent {agent_id} at {base} (status 404); check target.agent_id, and the path in target.url")]
    NoSuchAgent {
        /// The target.
        base: String,
        /// The agent.
        agent_id: String,
    },
    /// An answer that no agent gives.
    #[error("invoke the agent at {base}: the answer is not an event stream ({told}); check target.url")]
    NotAStream {
        /// The target.
        base: String,
        /// What it was.
        told: String,
    },
    /// A redirect.
    #[error(
        "invoke the agent at {base}: it redirects (status {status}), and redirects are not followed; set target.url to where it really is"
    )]
    Redirect {
        /// The target.
        base: String,
        /// The status.
        status: u16,
    },
}

/// Asks the target once for one agent; gives the pause that it asks for, if any.
///
/// # Errors
/// The target can't be reached or refuses; which of it the error tells.
pub async fn preflight(
    line: &mut Line,
    base: &Base,
    agent_id: &str,
    version: Option<&str>,
) -> Result<Option<Pause>, Error> {
    match line.post(&base.stream_path(agent_id, version), "{}").await {
        Ok(answer) => judge(&answer, base, agent_id, &line.mask()).map(|()| Pause::of(&answer)),
        Err(why) if line.is_tunnelled() => Err(Error::ThroughProxy { base: base.to_string(), why: why.to_string() }),
        Err(why) => Err(Error::Unreachable { base: base.to_string(), why: why.to_string() }),
    }
}

fn judge(answer: &Response<()>, base: &Base, agent_id: &str, mask: &Mask) -> Result<(), Error> {
    let (base, agent_id) = (base.to_string(), agent_id.to_owned());
    match answer.status() {
        StatusCode::UNAUTHORIZED => Err(Error::WrongKey { base }),
        StatusCode::FORBIDDEN => Err(Error::NotAllowed { base, agent_id }),
        StatusCode::NOT_FOUND => Err(Error::NoSuchAgent { base, agent_id }),
        status if status.is_redirection() => Err(Error::Redirect { base, status: status.as_u16() }),
        // What the agent would say to a whole request is not known yet; the load's own rows will tell.
        status if !status.is_success() && status != StatusCode::METHOD_NOT_ALLOWED => Ok(()),
        status => {
            let content_type = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            if content_type.is_some_and(failure::is_event_stream) {
                return Ok(());
            }
            let told = content_type.map_or("missing".into(), String::from_utf8_lossy);
            let told = format!("status {}, content type {}", status.as_u16(), mask.clean(&told));
            Err(Error::NotAStream { base, told })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::header::HeaderMap;

    use super::*;
    use crate::client::call::Caller;
    use crate::client::{Dialer, Route, Template};
    use crate::clock::Clock;
    use crate::profile::Profile;

    const PROFILE: &str =
        "why = \"a test\"\nload.invocations = 1\nrequest.input.text = \"Hello\"\ntarget.agent_id = \"a1\"";

    #[tokio::test]
    async fn an_address_where_nothing_listens_is_told() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let base = Base::parse(&format!("http://{address}")).expect("a URL");
        let target = Profile::parse("test.toml", PROFILE, Vec::new()).expect("a valid profile").target;
        let route = Route::settle(&base, &target, 1, Clock::start()).await.expect("an address needs no look-up");
        let template = Template::new(base.clone(), &target, None, serde_json::Value::Null, "", false);
        let dialer = Dialer::Tcp { base: base.clone(), route: Arc::new(route), tls: None };
        let mut line = Caller::new(template, dialer, target.http, 1_000_000_000).line();
        let asked = preflight(&mut line, &base, "a1", None).await;
        let told = asked.expect_err("nobody listens").to_string().replace(&address.to_string(), "ADDRESS");
        // Systems number the refusal differently.
        let number = told.find(" (os error").zip(told.find(')'));
        let told = number.map_or(told.clone(), |(from, to)| format!("{}{}", &told[..from], &told[to + 1..]));
        insta::assert_snapshot!(
            told,
            @"reach http://ADDRESS: Connection refused; is the address right, and is the server up?"
        );
    }

    #[test]
    fn an_event_stream_is_known_by_its_essence_alone() {
        let base = Base::parse("http://127.0.0.1").expect("a URL");
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("sk-canary"));
        let mask = Mask::new(&headers, []);
        let judged = |content_type: &str| {
            let answer = Response::builder().header(CONTENT_TYPE, content_type).body(()).expect("a head");
            judge(&answer, &base, "a1", &mask).err().map(|error| error.to_string())
        };
        assert_eq!(judged("Text/Event-Stream; charset=utf-8"), None);
        insta::assert_snapshot!(
            judged("text/event-streams; sk-canary").expect("it is another type"),
            @"invoke the agent at http://127.0.0.1: the answer is not an event stream (status 200, content type text/event-streams; (hidden)); check target.url"
        );
    }
}
