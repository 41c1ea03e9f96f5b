//! Where invocations go: the parts of the base URL, the path, and the API key.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use hyper::Uri;
use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::profile::KeySource;

/// Why a target can't be made of what was given.
#[derive(Debug, Error)]
pub enum Error {
    /// The base URL is none.
    #[error("read the target's URL {url:?}: expected http://HOST[:PORT] or https://HOST[:PORT], {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No key, and the target needs one.
    #[error("find the API key for {host}: {place}")]
    KeyMissing {
        /// The target's host.
        host: String,
        /// Where it was looked for, and the remedy.
        place: String,
    },
    /// The key's file can't be read.
    #[error("read the API key from {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key would go out in clear text.
    #[error("send the API key from {place} to {base}: without TLS anyone on the way could read it; use https://")]
    KeyInClear {
        /// The target.
        base: String,
        /// Where the key came from.
        place: String,
    },
    /// The key can't be sent in a header.
    #[error("use the API key from {place}: it must be one line of visible ASCII characters")]
    KeyForm {
        /// Where it came from.
        place: String,
    },
}

/// A base URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// The port, the scheme's own when none is given.
    pub port: u16,
    /// A path before the API's own, without a trailing slash.
    pub prefix: String,
}

impl Base {
    /// Takes a base URL apart.
    ///
    /// # Errors
    /// The text is no `http` or `https` URL with a host.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Url { url: url.to_owned(), why: why.to_owned() };
        let uri: Uri = url.parse().map_err(|_| refuse("and this is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse("and the scheme is missing or another one")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| refuse("and the host is missing"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host, port, prefix })
    }

    /// Host and port as a `Host` header has them; the scheme's own port is left out.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default_port = if self.tls { 443 } else { 80 };
        if self.port == default_port { host } else { format!("{host}:{}", self.port) }
    }

    /// The path of an agent's stream, with the query `version` when one is asked for.
    #[must_use]
    pub fn stream_path(&self, agent_id: &str, version: Option<&str>) -> String {
        let path = format!("{}/v1/agents/{agent_id}/invoke/stream", self.prefix);
        version.map_or(path.clone(), |version| format!("{path}?version={version}"))
    }
}

impl fmt::Display for Base {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// The API key; it is never printed.
#[derive(Debug, Clone)]
pub struct Key(SecretString);

impl Key {
    /// Reads the key from where the profile says. A target on this machine needs none.
    ///
    /// `is_here` says that the target is this machine, and nothing on the way to it is another one; `lookup` reads an
    /// environment variable.
    ///
    /// # Errors
    /// There is none and the target is not this machine, it can't be read, or it can't stand in a header.
    pub fn load(
        source: &KeySource,
        base: &Base,
        is_here: bool,
        lookup: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, Error> {
        let (place, text) = match source {
            KeySource::Env(name) => {
                let place = format!("the environment variable {name}");
                // What is no text is no key either, but it is there.
                match lookup(name).map(OsString::into_string).transpose() {
                    Ok(text) => (place, text),
                    Err(_) => return Err(Error::KeyForm { place }),
                }
            }
            KeySource::File(path) => {
                let read = std::fs::read_to_string(path);
                (
                    path.display().to_string(),
                    Some(read.map_err(|source| Error::KeyFile { path: path.clone(), source })?),
                )
            }
        };
        let text = text.as_deref().map(|text| text.strip_suffix('\n').unwrap_or(text)).filter(|text| !text.is_empty());
        let Some(text) = text else {
            if is_here {
                return Ok(None);
            }
            let place = format!("{place} is missing or empty; set it, or name a file with target.key_file");
            return Err(Error::KeyMissing { host: base.host.clone(), place });
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::KeyForm { place });
        }
        if !base.tls && !is_here {
            return Err(Error::KeyInClear { base: base.to_string(), place });
        }
        Ok(Some(Self(SecretString::from(text))))
    }

    /// The value of the `x-api-key` header, marked so that nobody prints it.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(self.0.expose_secret()).expect("the key was checked to be visible ASCII");
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        let base = Base::parse("https://api.xpander.ai/").expect("a plain URL");
        assert_eq!(base.to_string(), "https://api.xpander.ai");
        assert_eq!(base.stream_path("a1", Some("draft")), "/v1/agents/a1/invoke/stream?version=draft");
        let base = Base::parse("http://[::1]:8080/proxy").expect("an address");
        assert_eq!((base.authority().as_str(), base.port), ("[::1]:8080", 8080));
        assert_eq!(base.stream_path("a1", None), "/proxy/v1/agents/a1/invoke/stream");
    }

    #[test]
    fn what_is_no_url_is_said() {
        insta::assert_snapshot!(
            Base::parse("ftp://host").expect_err("another scheme"),
            @r#"read the target's URL "ftp://host": expected http://HOST[:PORT] or https://HOST[:PORT], and the scheme is missing or another one"#
        );
        assert!(Base::parse("api.xpander.ai").is_err());
        assert!(Base::parse("http://").is_err());
    }

    #[test]
    fn the_key_is_needed_away_from_this_machine_and_never_printed() {
        let far = Base::parse("https://api.xpander.ai").expect("a plain URL");
        let near = Base::parse("http://127.0.0.1:1").expect("a plain URL");
        let source = KeySource::Env("XPANDER_API_KEY".into());
        assert!(Key::load(&source, &near, true, |_| None).expect("no key needed").is_none());
        insta::assert_snapshot!(
            Key::load(&source, &far, false, |_| Some(OsString::new())).expect_err("no key"),
            @"find the API key for api.xpander.ai: the environment variable XPANDER_API_KEY is missing or empty; set it, or name a file with target.key_file"
        );
        let key = Key::load(&source, &far, false, |_| Some("canary-1\n".into())).expect("a key").expect("a key");
        assert_eq!(key.header().as_bytes(), b"canary-1");
        assert!(!format!("{key:?} {:?}", key.header()).contains("canary"));
        insta::assert_snapshot!(
            ["two\nlines".into(), OsString::from_vec(b"canary-\xff".to_vec())]
                .map(|text: OsString| Key::load(&source, &far, false, |_| Some(text.clone())).expect_err("no key").to_string())
                .join("\n"),
            @"
        use the API key from the environment variable XPANDER_API_KEY: it must be one line of visible ASCII characters
        use the API key from the environment variable XPANDER_API_KEY: it must be one line of visible ASCII characters
        "
        );
        let clear = Base::parse("http://api.xpander.ai").expect("a plain URL");
        insta::assert_snapshot!(
            Key::load(&source, &clear, false, |_| Some("canary-1".into())).expect_err("in clear text"),
            @"send the API key from the environment variable XPANDER_API_KEY to http://api.xpander.ai: without TLS anyone on the way could read it; use https://"
        );
    }
}
