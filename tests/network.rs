//! How the binary reaches a target: names, source addresses, proxies. Counts and order alone, since sockets take their
//! time.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use plimsoll::mock::{Mock, Options};
use plimsoll::profile::script::Script;
use plimsoll::seed::Seed;
use serde_json::Value;

/// Made up, and to be seen nowhere.
const KEY: &str = "canary-key-1";

fn mock(tls: bool) -> Mock {
    let script = "why = \"short\"\nfirst_chunk = \"2ms\"\nchunks = 2\ngap = \"1ms\"";
    let script = Script::parse("short.toml", script).unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Mock::start(&script, Seed(1), &Options { listen, tls }).unwrap()
}

/// A stand-in between a client and a target.
struct Between {
    port: u16,
    saw: Arc<Mutex<Saw>>,
}

#[derive(Default)]
struct Saw {
    /// Where connections came from.
    sources: Vec<IpAddr>,
    /// What they began with, when it is a proxy's business.
    heads: Vec<String>,
    /// Everything that the clients sent.
    bytes: Vec<u8>,
}

/// What a stand-in is.
#[derive(Clone, Copy)]
enum Role {
    /// It passes everything on to this port.
    Relay(u16),
    /// It is a proxy, and answers `CONNECT` with this head.
    Proxy(&'static str),
}

impl Between {
    fn start(role: Role) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Self { port: listener.local_addr().unwrap().port(), saw: Arc::default() };
        let saw = Arc::clone(&between.saw);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let saw = Arc::clone(&saw);
                thread::spawn(move || serve(stream.unwrap(), role, &saw));
            }
        });
        between
    }

    fn saw(&self) -> std::sync::MutexGuard<'_, Saw> {
        self.saw.lock().unwrap()
    }
}

fn serve(mut client: TcpStream, role: Role, saw: &Arc<Mutex<Saw>>) {
    saw.lock().unwrap().sources.push(client.peer_addr().unwrap().ip());
    let port = match role {
        Role::Relay(port) => port,
        Role::Proxy(answer) => {
            let Some(head) = head(&mut client) else { return };
            let place = head.split_ascii_whitespace().nth(1).unwrap().to_owned();
            saw.lock().unwrap().heads.push(head);
            client.write_all(answer.as_bytes()).unwrap();
            if !answer.contains(" 200 ") {
                return;
            }
            place.rsplit_once(':').unwrap().1.parse().unwrap()
        }
    };
    let mut target = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut from_target, mut to_client) = (target.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from_target, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    while let Ok(got @ 1..) = client.read(&mut buffer) {
        saw.lock().unwrap().bytes.extend_from_slice(&buffer[..got]);
        if target.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = target.shutdown(std::net::Shutdown::Both);
    back.join().unwrap();
}

/// The head of a request, byte by byte so that nothing behind it is taken.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A run: how it ended, and its bundle's `run.json` and rows; none where it made no bundle.
struct Ran {
    output: Output,
    run: Value,
    rows: Vec<csv::StringRecord>,
    columns: csv::StringRecord,
    /// Everything that the run wrote anywhere.
    written: String,
}

impl Ran {
    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    fn column(&self, name: &str) -> Vec<&str> {
        let at = self.columns.iter().position(|column| column == name).unwrap();
        self.rows.iter().map(|row| &row[at]).collect()
    }

    fn assert_all_completed(&self, count: usize) {
        assert!(matches!(self.code(), Some(0 | 8)), "{}", self.written);
        assert_eq!(self.column("outcome"), vec!["completed"; count], "{}", self.written);
    }
}

fn run(more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let args = ["run", "--quiet", "--out", out, "--agent", "a1", "--set", "load.workers=2"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let command = command.args(args).args(more).env_clear().env("XPANDER_API_KEY", KEY).stdin(Stdio::null());
    // What must never be used.
    let output =
        command.env("http_proxy", "http://127.0.0.1:1").env("ALL_PROXY", "http://127.0.0.1:1").output().unwrap();
    let mut written = text(&output.stdout) + &text(&output.stderr);
    let bundle: Option<PathBuf> = fs::read_dir(folder.path()).unwrap().next().map(|entry| entry.unwrap().path());
    let (mut run, mut rows, mut columns) = (Value::Null, Vec::new(), csv::StringRecord::new());
    if let Some(bundle) = &bundle {
        written += &files(bundle);
        run = serde_json::from_str(&fs::read_to_string(bundle.join("run.json")).unwrap()).unwrap();
        let mut reader = csv::Reader::from_path(bundle.join("invocations.csv")).unwrap();
        columns = reader.headers().unwrap().clone();
        rows = reader.records().map(Result::unwrap).collect();
    }
    Ran { output, run, rows, columns, written }
}

fn files(bundle: &Path) -> String {
    fs::read_dir(bundle).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn connections_come_from_the_sources_in_turn() {
    let mock = mock(false);
    let relay = Between::start(Role::Relay(mock.address().port()));
    let url = format!("http://127.0.0.1:{}", relay.port);
    let more = ["--url", &url, "-c", "4", "-n", "9", "--set", "target.connection=new"];
    let ran = run(&[&more[..], &["--source", "127.0.0.2", "--source", "127.0.0.3"]].concat());
    ran.assert_all_completed(9);
    let came_from = |last: u8| relay.saw().sources.iter().filter(|at| **at == IpAddr::from([127, 0, 0, last])).count();
    assert_eq!([1, 2, 3].map(came_from), [0, 5, 5], "the preflight's and nine invocations' connections");
    assert_eq!(ran.run["network"]["sources"], serde_json::json!(["127.0.0.2", "127.0.0.3"]));
    let sockets = &ran.run["harness"]["sockets"];
    assert!((1..=4).contains(&sockets["connections_max"].as_u64().unwrap()), "{sockets}");
}

#[test]
fn a_connection_serves_as_many_invocations_as_the_profile_says() {
    let mock = mock(false);
    let relay = Between::start(Role::Relay(mock.address().port()));
    let url = format!("http://127.0.0.1:{}", relay.port);
    let ran = run(&["--url", &url, "-c", "1", "-n", "10", "--set", "target.connection=4"]);
    ran.assert_all_completed(10);
    let reused = ran.column("reused");
    assert_eq!(reused.iter().filter(|reused| **reused == "false").count(), 3, "{reused:?}");
    assert_eq!(relay.saw().sources.len(), 1 + 3, "the preflight has one of its own");
}

#[test]
fn streams_share_connections_over_http2() {
    let mock = mock(false);
    let relay = Between::start(Role::Relay(mock.address().port()));
    let url = format!("http://127.0.0.1:{}", relay.port);
    let http2 = ["--set", "target.http=2", "--set", "target.streams=5"];
    let ran = run(&[&["--url", &url, "-c", "10", "-n", "60"][..], &http2].concat());
    ran.assert_all_completed(60);
    assert_eq!(relay.saw().sources.len(), 1 + 2, "the preflight has one, and each worker's five streams one");
    assert_eq!(ran.column("reused").iter().filter(|reused| **reused == "false").count(), 2);
    let clock = &ran.run["certificate"]["measured"]["arrival_clock"];
    assert_eq!(clock, if cfg!(target_os = "linux") { "kernel" } else { "user" });
}

#[test]
fn a_name_is_looked_up_once_or_taken_from_the_command_line() {
    let mock = mock(false);
    let port = mock.address().port();
    let at = format!("127.0.0.1:{port}");
    let ran =
        run(&["--url", &format!("http://localhost:{port}"), "-c", "1", "-n", "3", "--set", "target.connection=new"]);
    ran.assert_all_completed(3);
    assert!(ran.run["network"]["lookup_ns"].is_u64(), "{}", ran.run["network"]);
    assert_eq!(ran.column("dns_done_ns"), [""; 3], "no invocation has waited for it");
    assert!(ran.run["network"]["addresses"].as_array().unwrap().contains(&at.as_str().into()));
    // Nobody else knows this name.
    let (url, resolve) = (format!("http://agent.localhost:{port}"), format!("agent.localhost:{port}:127.0.0.1"));
    let ran = run(&["--url", &url, "--resolve", &resolve, "-c", "1", "-n", "2"]);
    ran.assert_all_completed(2);
    assert_eq!(ran.run["network"]["lookup_ns"], Value::Null);
    assert_eq!(ran.run["network"]["addresses"], serde_json::json!([at]));
}

/// A mock that speaks TLS, and the file of its authority.
fn tls_mock() -> (Mock, tempfile::NamedTempFile) {
    let mock = mock(true);
    let authority = tempfile::NamedTempFile::new().unwrap();
    fs::write(authority.path(), mock.authority_pem().unwrap()).unwrap();
    (mock, authority)
}

#[test]
fn tls_checks_the_name_and_not_where_it_leads() {
    let (mock, authority) = tls_mock();
    let port = mock.address().port();
    let cacert = authority.path().to_str().unwrap();
    for (name, code) in [("localhost", 0), ("agent.localhost", 3)] {
        let (url, resolve) = (format!("https://{name}:{port}"), format!("{name}:{port}:127.0.0.1"));
        let ran = run(&["--url", &url, "--resolve", &resolve, "--cacert", cacert, "-c", "1", "-n", "2"]);
        assert!(ran.code() == Some(code) || code == 0 && ran.code() == Some(8), "{name}: {}", ran.written);
        assert!(code == 0 || ran.written.contains("certificate"), "{}", ran.written);
    }
}

const TUNNEL: Role = Role::Proxy("HTTP/1.1 200 Connection established\r\nvia: a stand-in\r\n\r\n");

#[test]
fn everything_goes_through_the_proxy_and_its_password_is_written_nowhere() {
    let mock = mock(false);
    let proxy = Between::start(TUNNEL);
    let url = format!("http://127.0.0.1:{}", mock.address().port());
    let through = format!("http://me:canary-password@127.0.0.1:{}", proxy.port);
    let ran = run(&["--url", &url, "--proxy", &through, "-c", "2", "-n", "6", "--set", "target.connection=new"]);
    ran.assert_all_completed(6);
    let saw = proxy.saw();
    assert_eq!(saw.heads.len(), 1 + 6, "the preflight, too");
    for head in &saw.heads {
        assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", mock.address().port())), "{head}");
        assert!(head.contains("proxy-authorization: Basic bWU6Y2FuYXJ5LXBhc3N3b3Jk\r\n"), "{head}");
        assert!(!head.contains(KEY), "the key is the target's alone");
    }
    for secret in ["canary-password", "bWU6Y2FuYXJ5", KEY] {
        assert!(!ran.written.contains(secret), "{secret}: {}", ran.written);
    }
    assert_eq!(ran.run["network"]["proxy"], format!("http://(hidden)@127.0.0.1:{}", proxy.port));
}

#[test]
fn a_proxy_may_answer_in_between_before_it_answers() {
    let mock = mock(false);
    let proxy = Between::start(Role::Proxy(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ));
    let url = format!("http://127.0.0.1:{}", mock.address().port());
    let through = format!("http://me@127.0.0.1:{}", proxy.port);
    run(&["--url", &url, "--proxy", &through, "-c", "1", "-n", "2"]).assert_all_completed(2);
    assert!(proxy.saw().heads.iter().all(|head| head.contains("proxy-authorization: Basic bWU6\r\n")), "me:");
}

#[test]
fn over_tls_a_proxy_never_sees_the_key() {
    let (mock, authority) = tls_mock();
    let proxy = Between::start(TUNNEL);
    let (url, through) =
        (format!("https://127.0.0.1:{}", mock.address().port()), format!("http://127.0.0.1:{}", proxy.port));
    let cacert = authority.path().to_str().unwrap();
    for http in ["target.http=1", "target.http=2"] {
        let ran = run(&["--url", &url, "--proxy", &through, "--cacert", cacert, "-c", "2", "-n", "4", "--set", http]);
        ran.assert_all_completed(4);
    }
    let saw = proxy.saw();
    assert!(saw.heads.len() >= 4 && saw.heads.iter().all(|head| head.starts_with("CONNECT ")), "{:?}", saw.heads);
    let text = String::from_utf8_lossy(&saw.bytes);
    assert!(!saw.bytes.is_empty() && !text.contains(KEY) && !text.contains("invoke"));
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let mock = mock(false);
    let url = format!("http://127.0.0.1:{}", mock.address().port());
    let mut told = String::new();
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\nno!",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "",
    ] {
        let proxy = Between::start(Role::Proxy(answer));
        let ran = run(&["--url", &url, "--proxy", &format!("http://127.0.0.1:{}", proxy.port), "-c", "1", "-n", "1"]);
        assert_eq!(ran.code(), Some(3), "{}", ran.written);
        told += &ran.written.replace(&proxy.port.to_string(), "PROXY").replace(&mock.address().to_string(), "TARGET");
    }
    insta::assert_snapshot!(told, @"
    error: failed to start: reach http://TARGET: the proxy http://127.0.0.1:PROXY refused to connect to TARGET: status 407 (Proxy Authentication Required); check the user name and the password in target.proxy
    error: failed to start: reach http://TARGET: the proxy http://127.0.0.1:PROXY refused to connect to TARGET: status 502; the proxy can't reach the target
    error: failed to start: reach http://TARGET: the proxy http://127.0.0.1:PROXY does not speak HTTP: invalid HTTP version; is target.proxy right?
    error: failed to start: reach http://TARGET: the proxy http://127.0.0.1:PROXY does not speak HTTP: it hung up, or its answer has no end; is target.proxy right?
    ");
}
