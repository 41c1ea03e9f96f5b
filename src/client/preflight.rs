//! One cheap call before the load: is it there, does it take the key, does it know the agent?
//!
//! It sends the invocation's own request with an empty body. A target that works refuses that for its body
//! (400 or 422) and starts nothing, so the preflight costs no invocation; every other mistake shows before a
//! thousand streams make it. It is not measured, so it runs on reqwest.

use std::time::Duration;

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use thiserror::Error;

use super::request::USER_AGENT;
use super::target::{Base, Key};
use crate::profile::{Http, Target};

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
    /// The client could not be set up.
    #[error("set up the preflight: {0}")]
    Setup(String),
}

/// Asks the target once, with a limit of `timeout_ns` nanoseconds.
///
/// # Errors
/// The target can't be reached or refuses; which of it the error tells.
pub async fn preflight(
    base: &Base,
    target: &Target,
    key: Option<&Key>,
    tls: Option<rustls::ClientConfig>,
    timeout_ns: u64,
) -> Result<(), Error> {
    let client = client(target, tls, timeout_ns)?;
    let path = base.stream_path(&target.agent_id, target.version.as_deref());
    let origin = Base { prefix: String::new(), ..base.clone() };
    let mut request = client.post(format!("{origin}{path}")).header(ACCEPT, "text/event-stream");
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    if let Some(key) = key {
        request = request.header(HeaderName::from_static("x-api-key"), key.header());
    }
    let answer = request.header(CONTENT_TYPE, "application/json").body("{}").send().await;
    match answer {
        Ok(answer) => judge(&answer, base, target),
        Err(error) => Err(Error::Unreachable { base: base.to_string(), why: cause(error) }),
    }
}

/// The client of every call that is not measured.
pub(super) fn client(
    target: &Target,
    tls: Option<rustls::ClientConfig>,
    timeout_ns: u64,
) -> Result<reqwest::Client, Error> {
    // reqwest looks for a process-wide provider even where nothing speaks TLS; that one stands already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .timeout(Duration::from_nanos(timeout_ns));
    if let Some(tls) = tls {
        builder = builder.tls_backend_preconfigured(tls);
    }
    builder = match target.http {
        Http::Auto => builder,
        Http::Http1 => builder.http1_only(),
        Http::Http2 => builder.http2_prior_knowledge(),
    };
    builder.build().map_err(|error| Error::Setup(cause(error)))
}

fn judge(answer: &Response, base: &Base, target: &Target) -> Result<(), Error> {
    let (base, agent_id) = (base.to_string(), target.agent_id.clone());
    match answer.status() {
        StatusCode::UNAUTHORIZED => Err(Error::WrongKey { base }),
        StatusCode::FORBIDDEN => Err(Error::NotAllowed { base, agent_id }),
        StatusCode::NOT_FOUND => Err(Error::NoSuchAgent { base, agent_id }),
        status if status.is_redirection() => Err(Error::Redirect { base, status: status.as_u16() }),
        // What the agent would say to a whole request is not known yet; the load's own rows will tell.
        status if !status.is_success() && status != StatusCode::METHOD_NOT_ALLOWED => Ok(()),
        status => {
            let told = answer.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
            match told {
                Some(told) if told.to_ascii_lowercase().starts_with("text/event-stream") => Ok(()),
                told => Err(Error::NotAStream {
                    base,
                    told: format!("status {}, content type {}", status.as_u16(), told.as_deref().unwrap_or("missing")),
                }),
            }
        }
    }
}

/// The innermost cause: reqwest's own text repeats the URL, and with it a query that may hold a secret.
pub(super) fn cause(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer within the limit on the connection and the headers".to_owned();
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    const PROFILE: &str =
        "why = \"a test\"\nload.invocations = 1\nrequest.input.text = \"Hello\"\ntarget.agent_id = \"a1\"";

    #[tokio::test]
    async fn an_address_where_nothing_listens_is_told() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let base = Base::parse(&format!("http://{address}")).expect("a URL");
        let profile = Profile::parse("test.toml", PROFILE, Vec::new()).expect("a valid profile");
        let asked = preflight(&base, &profile.target, None, None, 1_000_000_000).await;
        let told = asked.expect_err("nobody listens").to_string().replace(&address.to_string(), "ADDRESS");
        // Systems number the refusal differently.
        let number = told.find(" (os error").zip(told.find(')'));
        let told = number.map_or(told.clone(), |(from, to)| format!("{}{}", &told[..from], &told[to + 1..]));
        insta::assert_snapshot!(
            told,
            @"reach http://ADDRESS: Connection refused; is the address right, and is the server up?"
        );
    }
}
