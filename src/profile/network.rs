//! How connections reach a target: addresses that stand for a name, a proxy, and how long a connection serves.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};

/// An address that stands for a name, so that the name is not looked up: `HOST:PORT:ADDRESS`, as in curl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The name, in lower case.
    pub host: String,
    /// The port that it holds for.
    pub port: u16,
    /// Where it leads, in the order in which they are tried; at least one.
    pub addresses: Vec<IpAddr>,
}

impl Resolve {
    /// Reads `HOST:PORT:ADDRESS`, with further addresses behind commas; none when the text is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:")?,
            None => text.split_once(':')?,
        };
        let (port, addresses) = rest.split_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let bare = |address: &str| address.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let addresses = addresses.split(',').map(bare).collect::<Option<Vec<_>>>()?;
        (!host.is_empty()).then(|| Self { host: host.to_ascii_lowercase(), port, addresses })
    }

    /// The addresses with their port.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(*address, self.port))
    }
}

/// An HTTP proxy that connections are tunnelled through (`CONNECT`, RFC 9110 §9.3.6).
#[derive(Clone)]
pub struct Proxy {
    /// Name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name and password as `user:password`, percent-encoding undone; never printed.
    credentials: Option<SecretString>,
}

impl Proxy {
    /// The port of a proxy that names none, as in curl.
    const PORT: u16 = 1080;

    /// Reads `http://[USER[:PASSWORD]@]HOST[:PORT]`; none when the text is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, place) = match rest.rsplit_once('@') {
            // A user without a password has an empty one (RFC 7617 §2).
            Some((user, place)) if !user.contains(':') => (Some(format!("{}:", decoded(user)?)), place),
            Some((credentials, place)) => (Some(decoded(credentials)?), place),
            None => (None, rest),
        };
        let uri: http::Uri = format!("http://{place}").parse().ok()?;
        let host = uri.host().filter(|host| !host.is_empty())?;
        let port_is_odd = uri.port().is_some() && uri.port_u16().is_none_or(|port| port == 0);
        if uri.path() != "/" || uri.query().is_some() || place.contains(['/', '?', '#']) || port_is_odd {
            return None;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Some(Self { host, port: uri.port_u16().unwrap_or(Self::PORT), credentials: credentials.map(Into::into) })
    }

    /// User name and password, for the one header that carries them.
    #[must_use]
    pub fn credentials(&self) -> Option<&str> {
        self.credentials.as_ref().map(ExposeSecret::expose_secret)
    }

    /// Whether the proxy is this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        super::is_this_machine(&self.host)
    }
}

/// Percent-encoding undone; none when the result can't stand in a header.
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.chars().any(char::is_control)).then(|| decoded.into_owned())
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        (&self.host, self.port, self.credentials()) == (&other.host, other.port, other.credentials())
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = if self.credentials.is_some() { "(hidden)@" } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(out, "http://{hidden}{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Proxy({self})")
    }
}

/// How many invocations a connection serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// As many as it stands for: it is used again once its response ended.
    Reuse,
    /// So many at most; 1 when each invocation makes a connection of its own.
    Times(u64),
}

impl Connection {
    /// Each invocation makes a connection of its own.
    pub const NEW: Self = Self::Times(1);

    /// Whether a connection that has served so many invocations may serve another.
    #[must_use]
    pub fn allows(self, served: u64) -> bool {
        match self {
            Self::Reuse => true,
            Self::Times(most) => served < most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_stand_for_a_name_are_read_as_curl_reads_them() {
        let read = |text: &str| {
            let resolve = Resolve::parse(text)?;
            Some(resolve.sockets().map(|at| format!("{} {at}", resolve.host)).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read("API.example:443:10.0.0.7").as_deref(), Some("api.example 10.0.0.7:443"));
        assert_eq!(read("a:80:127.0.0.1,[::1]").as_deref(), Some("a 127.0.0.1:80 a [::1]:80"));
        assert_eq!(read("[::2]:80:::1").as_deref(), Some("::2 [::1]:80"));
        for wrong in ["", "a", "a:80", "a:0:127.0.0.1", "a:80:", "a:80:b", ":80:127.0.0.1", "a:80:127.0.0.1,"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_shown_without_its_credentials() {
        let proxy = Proxy::parse("http://me:can%40ary@Proxy.example:3128/").expect("a proxy");
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.credentials()), ("proxy.example", 3128, Some("me:can@ary")));
        assert_eq!(format!("{proxy} {proxy:?}").matches("ary").count(), 0);
        let without_password = Proxy::parse("http://me@proxy").expect("a proxy");
        assert_eq!(without_password.credentials(), Some("me:"));
        insta::assert_snapshot!(proxy, @"http://(hidden)@proxy.example:3128");
        insta::assert_snapshot!(Proxy::parse("http://[::1]").expect("a proxy"), @"http://[::1]:1080");
        for wrong in
            ["proxy:3128", "https://proxy", "socks5://proxy", "http://", "http://a/b", "http://a:0", "http://a%0d%0a@b"]
        {
            assert_eq!(Proxy::parse(wrong), None, "{wrong}");
        }
    }
}
