//! The base URL of a target: everything that could send a key or a load elsewhere is refused.

use http::Uri;

use super::problem::Fault;

/// The word for the embedded mock.
pub(super) const MOCK: &str = "mock";

/// The base URL without a trailing slash, or `mock`.
pub(super) fn base(text: &str) -> Result<String, Fault> {
    if text == MOCK {
        return Ok(MOCK.into());
    }
    let (place, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(refuse("without a user name or password (what stands there is not shown)", None));
    }
    if !matches!(place, "http" | "https") {
        return Err(refuse("that starts with http:// or https://", Some(text)));
    }
    if text.contains(['?', '#']) {
        return Err(refuse("without '?' and '#' (an agent's version is target.version)", None));
    }
    let uri: Uri = text.parse().map_err(|_| refuse("with a host that can be looked up", Some(text)))?;
    let host = uri.host().unwrap_or_default();
    let port_is_odd = uri.port_u16().is_none_or(|port| port == 0) && has_port(authority);
    if host.is_empty() || !host.bytes().all(is_host_byte) || port_is_odd {
        return Err(refuse("with a host and, if any, a port from 1 to 65535", Some(text)));
    }
    if uri.path().contains("/v1/") || uri.path().contains("/invoke") {
        return Err(refuse("that ends before /v1/agents/… (the agent is target.agent_id)", Some(text)));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The host of a base URL that was accepted, without brackets.
pub(super) fn host(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// Whether a base URL that was accepted leads to this machine.
pub fn is_here(url: &str) -> bool {
    crate::profile::is_this_machine(&host(url))
}

fn has_port(authority: &str) -> bool {
    // Colons inside the brackets are the IPv6 address's own.
    authority.rsplit(']').next().is_some_and(|behind| behind.contains(':'))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)
}

fn refuse(what: &str, found: Option<&str>) -> Fault {
    let expected = format!("\"mock\" or a base URL such as \"https://api.xpander.ai\", {what}");
    match found {
        Some(text) => Fault::Expected { expected, found: format!("{text:?}") },
        None => Fault::Hidden { expected },
    }
}
