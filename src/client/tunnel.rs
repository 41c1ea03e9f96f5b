//! A tunnel through an HTTP proxy: `CONNECT`, then the bytes of the target alone (RFC 9110 §9.3.6).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::request::USER_AGENT;
use super::target::Base;
use crate::profile::Proxy;

/// The longest head of a proxy's answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Why there is no tunnel.
#[derive(Debug, Error)]
pub enum Error {
    /// The proxy said no.
    #[error("the proxy {proxy} refused to connect to {target}: status {status}{}", remedy(*status))]
    Refused {
        /// The proxy, without its credentials.
        proxy: String,
        /// Where the tunnel was to lead.
        target: String,
        /// What it said.
        status: u16,
    },
    /// The proxy's answer is none of HTTP.
    #[error("the proxy {proxy} does not speak HTTP: {why}; is target.proxy right?")]
    NoHttp {
        /// The proxy.
        proxy: String,
        /// What is wrong with its answer.
        why: String,
    },
    /// The proxy can't be reached, or hung up.
    #[error("reach the proxy {proxy}: {source}")]
    Io {
        /// The proxy.
        proxy: String,
        /// What the system said.
        source: io::Error,
    },
}

fn remedy(status: u16) -> &'static str {
    match status {
        407 => " (Proxy Authentication Required); check the user name and the password in target.proxy",
        403 => " (Forbidden); the proxy does not allow this target",
        502..=504 => "; the proxy can't reach the target",
        _ => "",
    }
}

/// Asks the proxy at the other end of `stream` for a tunnel to `base`. What the target sends through it first is left
/// to be read.
///
/// # Errors
/// The proxy refuses, or does not speak HTTP.
pub(super) async fn open(stream: &mut TcpStream, proxy: &Proxy, base: &Base) -> Result<(), Error> {
    let failed = |source| Error::Io { proxy: proxy.to_string(), source };
    let no_http = |why: &str| Error::NoHttp { proxy: proxy.to_string(), why: why.to_owned() };
    stream.write_all(request(proxy, base).as_bytes()).await.map_err(failed)?;
    let status = loop {
        let head = head(stream).await.map_err(failed)?;
        match status(&head).map_err(|why| no_http(&why))? {
            // An interim answer; another one follows (RFC 9110 §15.2). Switching protocols is a last one.
            100 | 102..=199 => {}
            status => break status,
        }
    };
    match status {
        200..=299 => Ok(()),
        status => Err(Error::Refused { proxy: proxy.to_string(), target: target(base), status }),
    }
}

/// The status of an answer; why it is none.
fn status(head: &[u8]) -> Result<u16, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    match answer.parse(head) {
        Ok(httparse::Status::Complete(_)) => Ok(answer.code.unwrap_or_default()),
        Ok(httparse::Status::Partial) => Err("it hung up, or its answer has no end".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Host and port, which a tunnel needs even where it is the scheme's own.
fn target(base: &Base) -> String {
    let host = if base.host.contains(':') { format!("[{}]", base.host) } else { base.host.clone() };
    format!("{host}:{}", base.port)
}

fn request(proxy: &Proxy, base: &Base) -> String {
    let target = target(base);
    let credentials = proxy.credentials().map_or_else(String::new, |credentials| {
        format!("proxy-authorization: Basic {}\r\n", STANDARD.encode(credentials))
    });
    format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nuser-agent: {USER_AGENT}\r\n{credentials}\r\n")
}

/// The head of the answer, and not a byte more: what follows is the target's.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut seen = [0; 1_024];
    while head.len() < HEAD_BYTES_MAX {
        let got = stream.peek(&mut seen).await?;
        let before = head.len();
        head.extend_from_slice(&seen[..got]);
        let from = before.saturating_sub(HEAD_END.len() - 1);
        let end = memchr::memmem::find(&head[from..], HEAD_END).map(|at| from + at + HEAD_END.len());
        head.truncate(end.unwrap_or(head.len()));
        stream.read_exact(&mut seen[..head.len() - before]).await?;
        if end.is_some() || got == 0 {
            break;
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_asked_for_with_the_proxys_own_credentials() {
        let base = Base::parse("https://api.example").expect("a URL");
        let proxy = Proxy::parse("http://me:secret@proxy:3128").expect("a proxy");
        let asked = request(&proxy, &base).replace(USER_AGENT, "plimsoll");
        insta::assert_snapshot!(asked.replace('\r', ""), @"
        CONNECT api.example:443 HTTP/1.1
        host: api.example:443
        user-agent: plimsoll
        proxy-authorization: Basic bWU6c2VjcmV0
        ");
        let plain =
            request(&Proxy::parse("http://proxy").expect("a proxy"), &Base::parse("http://[::1]:8080").expect("a URL"));
        assert!(
            plain.starts_with("CONNECT [::1]:8080 HTTP/1.1\r\nhost: [::1]:8080\r\n")
                && !plain.contains("authorization")
        );
    }

    #[test]
    fn what_a_proxy_refuses_is_said() {
        let refused = |status| Error::Refused { proxy: "http://proxy:3128".into(), target: "api:443".into(), status };
        let told = [407, 403, 502, 418].map(|status| refused(status).to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        the proxy http://proxy:3128 refused to connect to api:443: status 407 (Proxy Authentication Required); check the user name and the password in target.proxy
        the proxy http://proxy:3128 refused to connect to api:443: status 403 (Forbidden); the proxy does not allow this target
        the proxy http://proxy:3128 refused to connect to api:443: status 502; the proxy can't reach the target
        the proxy http://proxy:3128 refused to connect to api:443: status 418
        ");
    }
}
