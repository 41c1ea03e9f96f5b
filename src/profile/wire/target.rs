//! `[target]`: what is loaded, and how it is reached.

use std::net::IpAddr;
use std::path::PathBuf;

use super::form::Form;
use super::problem::{Fault, Origin};
use super::url::MOCK;
use crate::profile::{Connection, Http, KeySource, Place, Resolve, Target};

/// The agent that the embedded mock plays when none is named.
pub const MOCK_AGENT: &str = "mock-agent";

/// Reads the target; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form) -> Target {
    let place = match form.text("target.url").as_deref() {
        None | Some(MOCK) => Place::Mock,
        Some(url) => Place::Url(url.to_owned()),
    };
    check_headers(form);
    check_cacert(form, &place);
    Target {
        agent_id: agent_id(form, &place),
        version: form.text("target.version"),
        http: match form.text("target.http").as_deref() {
            Some("1") => Http::Http1,
            Some("2") => Http::Http2,
            _ => Http::Auto,
        },
        cacert: form.text("target.cacert").map(PathBuf::from),
        headers: form.headers("target.headers"),
        key: key(form),
        connection: connection(form),
        streams: streams(form),
        resolve: list(
            form,
            "target.resolve",
            "HOST:PORT:ADDRESS, such as \"api.example:443:10.0.0.7\"",
            Resolve::parse,
        ),
        sources: list(form, "target.source", "addresses of this machine, such as \"10.0.0.5\"", source),
        proxy: form.proxy("target.proxy"),
        stop_tasks: form.flag("target.stop_tasks"),
        tag: form.flag("target.tag"),
        place,
    }
}

fn connection(form: &Form) -> Connection {
    match (form.number("target.connection"), form.text("target.connection").as_deref()) {
        (Some(count), _) => Connection::Times(count),
        (_, Some("new")) => Connection::NEW,
        _ => Connection::Reuse,
    }
}

/// How many streams share a connection, which can't be more than it may serve at all.
fn streams(form: &mut Form) -> u32 {
    let streams = u32::try_from(form.number_or_default("target.streams")).expect("the table says so");
    if let Connection::Times(most) = connection(form)
        && u64::from(streams) > most
    {
        let reason = format!("{streams} streams can't share a connection that serves {most} invocations in all");
        form.contradiction("target.streams", reason, "lower it, or raise target.connection");
    }
    streams
}

/// A list of texts, each of a form of its own.
fn list<T>(form: &mut Form, key: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let mut items = Vec::new();
    for text in form.texts(key) {
        match read(&text) {
            Some(item) => items.push(item),
            None => {
                let origin = form.origin(key).cloned();
                let fault = Fault::Expected { expected: expected.to_owned(), found: format!("{text:?}") };
                form.report(origin.as_ref(), key, fault);
            }
        }
    }
    items
}

/// An address that a connection can come from.
fn source(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast())
}

fn agent_id(form: &mut Form, place: &Place) -> String {
    let written = form.text("target.agent_id");
    if written.is_none() && *place != Place::Mock && form.clean("target.agent_id") {
        let remedy = "name the agent to invoke, as agent_id = \"…\" in [target] or with --agent";
        form.report(None, "target.agent_id", Fault::Missing { remedy });
    }
    written.unwrap_or_else(|| MOCK_AGENT.into())
}

fn key(form: &mut Form) -> KeySource {
    let env = KeySource::Env(form.text("target.key_env").expect("key_env has a default"));
    let Some(file) = form.text("target.key_file") else { return env };
    let rank = |key: &str| form.origin(key).map_or(0, Origin::rank);
    match rank("target.key_file").cmp(&rank("target.key_env")) {
        std::cmp::Ordering::Less => return env,
        std::cmp::Ordering::Greater => {}
        std::cmp::Ordering::Equal => form.contradiction(
            "target.key_file",
            "the API key cannot come both from key_file and from key_env".into(),
            "keep one of them",
        ),
    }
    KeySource::File(PathBuf::from(file))
}

fn check_headers(form: &mut Form) {
    let headers = form.headers("target.headers");
    for (index, (name, _)) in headers.iter().enumerate() {
        if headers[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            form.contradiction(
                "target.headers",
                format!("{name} is given twice"),
                "header names know no case: keep one",
            );
        }
    }
}

fn check_cacert(form: &mut Form, place: &Place) {
    let plain = match place {
        Place::Mock => true,
        Place::Url(url) => url.starts_with("http://"),
    };
    if plain && form.text("target.cacert").is_some() {
        form.contradiction(
            "target.cacert",
            "the target is not reached over TLS, so that no certificate is checked".into(),
            "remove it, or write an https:// URL",
        );
    }
}
