//! The measured client against real peers on this machine: TLS, HTTP/2, reuse, redirects, odd bytes.
//!
//! Sockets take their time, so order and counts are asserted, never durations.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use plimsoll::client::{Base, Client, Dialer, Key, Route, Seen, Slot, Stamper, Template, tls};
use plimsoll::clock::Clock;
use plimsoll::metrics::tracker::{Arrival, Start};
use plimsoll::metrics::{Outcome, Record};
use plimsoll::profile::{KeySource, Profile};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a peer saw.
#[derive(Default)]
struct Saw {
    connections: Cell<u64>,
    versions: RefCell<Vec<Version>>,
    task_ids: RefCell<Vec<Option<String>>>,
}

#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

fn event(kind: &str, data: &str) -> String {
    format!("data: {{\"type\":\"{kind}\",\"task_id\":\"t1\",\"data\":{data}}}\n\n")
}

fn stream() -> String {
    event("task_created", r#"{"id":"t1","status":"pending"}"#)
        + &event("chunk", "\"Hel\"")
        + &event("chunk", "\"lo\"")
        + &event("task_finished", r#"{"id":"t1","status":"completed"}"#)
}

async fn answer(request: Request<Incoming>, saw: Rc<Saw>) -> Result<Response<Full<Bytes>>, Infallible> {
    saw.versions.borrow_mut().push(request.version());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    saw.task_ids.borrow_mut().push(body["id"].as_str().map(str::to_owned));
    let answer = Response::builder().header("content-type", "text/event-stream");
    Ok(answer.body(Full::new(Bytes::from(stream()))).unwrap())
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + 'static, h2: bool, saw: Rc<Saw>) {
    let service = service_fn(move |request| answer(request, Rc::clone(&saw)));
    // A client that goes away is no failure of the peer's.
    if h2 {
        let _ = http2::Builder::new(Local).serve_connection(TokioIo::new(io), service).await;
    } else {
        let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    }
}

/// Listens, and serves whoever comes, over TLS when there is an acceptor; HTTP/2 in the clear when `prior`.
async fn peer(acceptor: Option<TlsAcceptor>, prior: bool) -> (u16, Rc<Saw>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let saw = Rc::new(Saw::default());
    let seen = Rc::clone(&saw);
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            seen.connections.set(seen.connections.get() + 1);
            let (acceptor, seen) = (acceptor.clone(), Rc::clone(&seen));
            tokio::task::spawn_local(async move {
                match acceptor {
                    None => serve(stream, prior, seen).await,
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        serve(stream, h2, seen).await;
                    }
                }
            });
        }
    });
    (port, saw)
}

/// Accepts one connection after another and answers each with these bytes.
async fn raw_peer(bytes: Vec<u8>) -> (u16, Rc<Saw>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let saw = Rc::new(Saw::default());
    let seen = Rc::clone(&saw);
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            seen.connections.set(seen.connections.get() + 1);
            write_to(stream, &bytes).await;
        }
    });
    (port, saw)
}

async fn write_to(mut stream: TcpStream, bytes: &[u8]) {
    let mut request = vec![0; 64 * 1024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    stream.write_all(bytes).await.unwrap();
    // Until the client hangs up, so that nothing is cut off.
    let _ = stream.read(&mut request).await;
}

/// TLS settings of a peer and of a client that trusts it.
fn tls_pair(alpn: &[&[u8]]) -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = tls::config(Some(file.path()), alpn).unwrap();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// One place in the load, and what it saw.
struct Load {
    slot: Slot,
    clock: Clock,
    stamper: Rc<Stamper>,
    task_id: Option<String>,
    arrivals: Vec<Arrival>,
}

impl Load {
    async fn new(profile: &str, base: &str, connector: Option<TlsConnector>, key: Option<&Key>) -> Self {
        let text = format!(
            "why = \"a peer on this machine\"\nload.invocations = 1\nrequest.input.text = \"Hello\"\n\
             target.agent_id = \"a1\"\n{profile}"
        );
        let profile = Profile::parse("test.toml", &text, Vec::new()).unwrap();
        let base = Base::parse(base).unwrap();
        let body = serde_json::json!({"input": {}});
        let template = Template::new(base.clone(), &profile.target, key, body, "run", false);
        let clock = Clock::start();
        let route = Arc::new(Route::settle(&base, &profile.target, 1, clock).await.unwrap());
        let client = Client::new(&profile, Dialer::Tcp { base, route, tls: connector }, template, clock);
        let stamper = Stamper::new(clock);
        Self { slot: client.slot(&stamper), clock, stamper, task_id: None, arrivals: Vec::new() }
    }

    /// One turn of the conversation.
    async fn turn(&mut self) -> Record {
        let started_ns = self.clock.now();
        let start = Start {
            plan_index: 0,
            variant: Arc::from("base"),
            conversation: 0,
            turn: 0,
            worker: 0,
            warmup: false,
            task_id: self.task_id.clone(),
            intended_ns: started_ns,
            started_ns,
        };
        let mut watch = |seen: Seen<'_>| {
            if let Seen::Event(arrival, ..) = seen {
                self.arrivals.push(arrival);
            }
        };
        let (record, _) = self.slot.invoke(start, "Hello", Vec::new(), std::future::pending(), &mut watch).await;
        self.task_id.clone_from(&record.task_id);
        record
    }
}

/// Runs a test with everything on one thread, as in a worker.
fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// Three turns over whatever was agreed on: complete, in order, over one connection, as one conversation.
async fn assert_three_turns(mut load: Load, saw: &Saw, version: Version, tls: bool) {
    for turn in 0..3 {
        let record = load.turn().await;
        assert_eq!((record.outcome, record.reused), (Outcome::Completed, Some(turn > 0)), "{:?}", record.detail);
        assert_eq!((record.counts.events, record.counts.chunks, record.counts.stamps_moved), (4, 2, 0));
        let stamps = &record.stamps;
        assert_eq!(stamps.tls_done_ns.is_some(), tls && turn == 0);
        let known = [
            stamps.started_ns,
            stamps.connected_ns,
            stamps.tls_done_ns,
            stamps.sent_ns,
            stamps.headers_ns,
            stamps.first_event_ns,
            stamps.first_chunk_ns,
            stamps.finished_ns,
            stamps.eof_ns,
        ];
        assert!(known.iter().flatten().is_sorted(), "{stamps:?}");
        assert!(stamps.sent_ns.is_some() && stamps.headers_ns.is_some() && stamps.eof_ns.is_some());
    }
    assert_eq!((saw.connections.get(), saw.versions.borrow().as_slice()), (1, &[version; 3][..]));
    let told: Vec<_> = saw.task_ids.borrow().iter().map(Option::is_some).collect();
    assert_eq!(told, [false, true, true], "the task id is sent from the second turn on");
    for arrival in &load.arrivals {
        assert!(arrival.earliest_ns <= arrival.arrival_ns && arrival.arrival_ns <= arrival.handled_ns, "{arrival:?}");
        assert!(!arrival.followed, "nobody else is on the connection");
    }
    let figures = load.stamper.figures();
    assert_eq!((figures.moved_earlier, figures.moved_later), (0, 0), "{figures:?}");
}

#[test]
fn turns_share_a_connection_in_the_clear() {
    on_one_thread(async {
        let (port, saw) = peer(None, false).await;
        let load = Load::new("", &format!("http://127.0.0.1:{port}"), None, None).await;
        assert_three_turns(load, &saw, Version::HTTP_11, false).await;
    });
}

#[test]
fn turns_share_a_connection_over_http2_by_prior_knowledge() {
    on_one_thread(async {
        let (port, saw) = peer(None, true).await;
        let load = Load::new("target.http = \"2\"", &format!("http://127.0.0.1:{port}"), None, None).await;
        assert_three_turns(load, &saw, Version::HTTP_2, false).await;
    });
}

#[test]
fn turns_share_a_connection_over_tls_with_what_alpn_agreed_on() {
    for (alpn, version) in
        [(&[&b"h2"[..], b"http/1.1"][..], Version::HTTP_2), (&[&b"http/1.1"[..]][..], Version::HTTP_11)]
    {
        on_one_thread(async {
            let (acceptor, connector) = tls_pair(alpn);
            let (port, saw) = peer(Some(acceptor), false).await;
            let load = Load::new("", &format!("https://127.0.0.1:{port}"), Some(connector), None).await;
            assert_three_turns(load, &saw, version, true).await;
        });
    }
}

#[test]
fn a_certificate_of_somebody_else_is_a_failure_of_tls() {
    on_one_thread(async {
        let (acceptor, _) = tls_pair(&[b"http/1.1"]);
        let (_, connector) = tls_pair(&[b"http/1.1"]);
        let (port, saw) = peer(Some(acceptor), false).await;
        let mut load = Load::new("", &format!("https://127.0.0.1:{port}"), Some(connector), None).await;
        let record = load.turn().await;
        assert_eq!((record.outcome, record.reused, record.stamps.sent_ns), (Outcome::TlsFailed, None, None));
        assert!(record.stamps.connected_ns.is_some() && record.stamps.tls_done_ns.is_none());
        assert!(saw.versions.borrow().is_empty());
    });
}

#[test]
fn a_new_connection_is_made_for_each_invocation_when_asked_for() {
    on_one_thread(async {
        let (port, saw) = peer(None, false).await;
        let mut load = Load::new("target.connection = \"new\"", &format!("http://127.0.0.1:{port}"), None, None).await;
        for _ in 0..3 {
            let record = load.turn().await;
            assert_eq!((record.outcome, record.reused), (Outcome::Completed, Some(false)));
        }
        assert_eq!(saw.connections.get(), 3);
    });
}

#[test]
fn an_answer_that_closes_the_connection_is_followed_by_a_new_one() {
    let body = stream();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    for answer in [
        format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        format!("{head}content-length: {}\r\n\r\n{body}HTTP/1.1 408 Timeout\r\n\r\n", body.len()),
    ] {
        on_one_thread(async {
            let (port, saw) = raw_peer(answer.clone().into_bytes()).await;
            let mut load = Load::new("", &format!("http://127.0.0.1:{port}"), None, None).await;
            for _ in 0..2 {
                let record = load.turn().await;
                assert_eq!((record.outcome, record.reused), (Outcome::Completed, Some(false)), "{:?}", record.detail);
            }
            assert_eq!(saw.connections.get(), 2, "{answer}");
        });
    }
}

#[test]
fn a_redirect_is_not_followed_and_takes_no_key_along() {
    on_one_thread(async {
        let (elsewhere, saw) = raw_peer(Vec::new()).await;
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{elsewhere}/v1?key=canary-1\r\n\
             content-length: 0\r\n\r\n"
        );
        let (port, _) = raw_peer(answer.into_bytes()).await;
        let base = Base::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let key = Key::load(&KeySource::Env("K".into()), &base, true, |_| Some("canary-1".into())).unwrap();
        let mut load = Load::new("", &base.to_string(), None, key.as_ref()).await;
        let record = load.turn().await;
        assert_eq!(record.outcome, Outcome::HttpStatus(307));
        let detail = record.detail.unwrap();
        assert!(detail.contains("not followed") && !detail.contains("canary"), "{detail}");
        assert_eq!(saw.connections.get(), 0, "nobody came along");
    });
}

/// An event stream in chunks of its bytes.
fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in pieces {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn an_event_over_the_limit_ends_the_invocation_and_one_at_it_does_not() {
    for (text_bytes, outcome) in [(900, Outcome::Completed), (1_100, Outcome::EventTooLarge)] {
        on_one_thread(async {
            let large = event("chunk", &format!("\"{}\"", "x".repeat(text_bytes)));
            let (port, _) = raw_peer(chunked(&[large.as_bytes(), stream().as_bytes()])).await;
            let profile = "limits.event_bytes = \"1KiB\"";
            let record = Load::new(profile, &format!("http://127.0.0.1:{port}"), None, None).await.turn().await;
            assert_eq!(record.outcome, outcome, "{:?}", record.detail);
            let told = record.detail.unwrap_or_default();
            assert!(outcome == Outcome::Completed || told.contains("limits.event_bytes"), "{told}");
        });
    }
}

#[test]
fn text_that_is_no_utf8_is_repaired_and_counted() {
    on_one_thread(async {
        let broken = b"data: {\"type\":\"chunk\",\"task_id\":\"t1\",\"data\":\"a\xFFb\"}\n\n";
        // Cut inside a character of two bytes, which is whole again over the cut.
        let whole = event("chunk", "\"\u{e9}\"").into_bytes();
        let cut = whole.len() - 5;
        let (port, _) = raw_peer(chunked(&[broken, &whole[..cut], &whole[cut..], stream().as_bytes()])).await;
        let record = Load::new("", &format!("http://127.0.0.1:{port}"), None, None).await.turn().await;
        assert_eq!(record.outcome, Outcome::Completed, "{:?}", record.detail);
        assert_eq!((record.counts.invalid_utf8, record.counts.chunks), (1, 4));
        assert_eq!(record.counts.text_bytes, "a\u{FFFD}b\u{e9}Hello".len() as u64);
    });
}
