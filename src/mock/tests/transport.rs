//! What the stream goes over: sockets, TLS, HTTP/2, and clients that don't read or go away.

use super::*;

#[test]
fn a_mock_on_a_socket_serves_and_stops_while_streams_are_open() {
    use std::io::{Read, Write};
    let mock = Mock::start(
        &script("chunks = 1\nfirst_chunk = \"0s\"\n[[fault]]\nkind = \"stall\"\nat = [1]"),
        Seed(1),
        &Options::default(),
    )
    .expect("a free port");
    let mut streams = [0, 1].map(|index| {
        let mut io = std::net::TcpStream::connect(mock.address()).expect("it listens");
        io.write_all(invoke(index).as_bytes()).expect("it reads");
        io
    });
    let mut answer = Vec::new();
    let [whole, stalled] = &mut streams;
    while !answer.ends_with(b"0\r\n\r\n") {
        let mut piece = [0; 4_096];
        let size = whole.read(&mut piece).expect("it answers");
        assert!(size > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..size]);
    }
    assert!(stalled.read(&mut [0; 1]).expect("the stream began") == 1);
    let again = Mock::start(&Script::built_in(), Seed(1), &Options { listen: mock.address(), ..Options::default() });
    assert!(again.expect_err("the port is taken").to_string().contains("another program listens there"));
    let served = mock.stop();
    assert_eq!((served.invocations, served.completed), (2, 1));
}

/// An invocation over HTTP/2: the status, the types of the events, and how the body ended.
async fn over_http2(io: DuplexStream, index: u64) -> String {
    use http_body_util::{BodyExt, Full};
    let io = hyper_util::rt::TokioIo::new(io);
    let (mut send, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new()).handshake(io).await.expect("h2");
    tokio::task::spawn_local(async move { drop(connection.await) });
    let request = http::Request::post("http://mock/v1/agents/a1/invoke/stream")
        .header("x-plimsoll-plan-index", index)
        .body(Full::new(bytes::Bytes::from_static(HI.as_bytes())))
        .expect("a request");
    let Ok(answer) = send.send_request(request).await else { return "reset before the head".to_owned() };
    let (status, mut body) = (answer.status(), answer.into_body());
    let mut got = Got { end: "whole", ..Got::default() };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => got.pieces.push((0, frame.into_data().expect("data").to_vec())),
            Err(_) => {
                got.end = "reset";
                break;
            }
        }
    }
    format!("{status} {} in {} frames", got.told(), got.pieces.len())
}

#[test]
fn http_2_by_prior_knowledge_serves_streams_and_faults() {
    let text = "chunks = 2\n[[fault]]\nkind = \"reset_in_stream\"\nat = [1]\n[[fault]]\nkind = \"reset_before_headers\"\nat = [2]\n\
                [[fault]]\nkind = \"status\"\nstatus = 429\nat = [3]\n[[fault]]\nkind = \"bad_framing\"\nat = [4]";
    let told = in_virtual_time(async |clock| {
        let agent = Agent::new(script(text), Seed(1), clock);
        let mut told = Vec::new();
        for index in 0..5 {
            told.push(over_http2(connect(&agent), index).await);
        }
        told
    });
    insta::assert_snapshot!(told.join("\n"), @"
    200 OK 0 task_created, 0 task_updated, 0 chunk, 0 chunk, 0 task_finished, whole in 6 frames
    200 OK 0 task_created, 0 task_updated, 0 chunk, reset in 3 frames
    reset before the head
    429 Too Many Requests whole in 1 frames
    200 OK 0 task_created, 0 task_updated, 0 chunk, reset in 3 frames
    ");
}

#[tokio::test]
async fn over_tls_a_client_that_trusts_the_authority_is_served_in_both_versions() {
    let options = Options { tls: true, ..Options::default() };
    let mock = Mock::start(&script("first_chunk = \"0s\"\ngap = \"0s\""), Seed(1), &options).expect("a free port");
    let authority = mock.authority_pem().expect("it speaks TLS").to_owned();
    for (version, protocols) in [(http::Version::HTTP_2, &[b"h2".to_vec()][..]), (http::Version::HTTP_11, &[])] {
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        let authority = rustls::pki_types::CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM");
        roots.add(authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = protocols.to_vec();
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().expect("a client");
        let url = format!("https://localhost:{}/v1/agents/a1/invoke/stream", mock.address().port());
        let answer = client.post(url).body(HI).send().await.expect("it trusts the authority");
        assert_eq!(answer.version(), version);
        let got = Got { pieces: vec![(0, answer.bytes().await.expect("a whole body").to_vec())], ..Got::default() };
        assert_eq!(got.event("task_finished")["data"]["status"], "completed");
    }
    assert_eq!(mock.stop().completed, 2);
}

#[test]
fn a_refused_connection_is_reset_at_once_and_the_next_is_served() {
    use std::io::{Read, Write};
    let mock = Mock::start(&script("[[fault]]\nkind = \"refuse\"\nat = [0]"), Seed(1), &Options::default())
        .expect("a free port");
    let health = |io: &mut std::net::TcpStream| {
        // A reset may come before the request is written, or after it.
        io.write_all(request("GET", "/health", "connection: close\r\n", "").as_bytes())?;
        let mut text = String::new();
        io.read_to_string(&mut text).map(|_| text)
    };
    let connect = || std::net::TcpStream::connect(mock.address()).expect("it listens");
    assert!(health(&mut connect()).is_err());
    assert!(health(&mut connect()).expect("it serves").ends_with("\"ok\""));
}

#[test]
fn a_client_that_never_reads_holds_nobody_up_and_grows_no_memory() {
    in_virtual_time(async |clock| {
        let text = "first_chunk = \"0s\"\ngap = \"0s\"\nchunks = 100000\nchunk_chars = 1000\n[[fault]]\nkind = \"failed\"\nat = [9]";
        let agent = Agent::new(script(text), Seed(1), clock);
        let (mut silent, theirs) = tokio::io::duplex(4_096);
        tokio::task::spawn_local(serve_pipe(theirs, Arc::clone(&agent)));
        silent.write_all(invoke(0).as_bytes()).await.expect("the pipe stands");
        let mut io = connect(&agent);
        io.write_all(request("GET", "/health", "", "").as_bytes()).await.expect("the pipe stands");
        assert_eq!(read(&mut io, clock).await.status(), "200");
        assert_eq!(agent.served().events, 0, "the stream stands still at the pipe's 4 KiB");
    });
}

#[test]
fn a_task_goes_on_when_its_client_hangs_up_or_is_stopped_as_the_script_says() {
    for (hang_up, expected) in [("continue", "completed"), ("stop", "stopped")] {
        in_virtual_time(async |clock| {
            let text = format!("first_chunk = \"10s\"\nping = \"1s\"\n[shape]\nhang_up = \"{hang_up}\"");
            let agent = Agent::new(script(&text), Seed(1), clock);
            let mut io = connect(&agent);
            let body = r#"{"input":{"text":"Hi"},"id":"t1"}"#;
            let invocation = request("POST", "/v1/agents/a1/invoke/stream", "", body);
            io.write_all(invocation.as_bytes()).await.expect("the pipe stands");
            clock.sleep_until(NS_PER_S / 2).await;
            drop(io);
            let mut other = connect(&agent);
            for (at_s, status) in [(5, if hang_up == "stop" { "stopped" } else { "executing" }), (11, expected)] {
                clock.sleep_until(at_s * NS_PER_S).await;
                other.write_all(request("GET", "/v1/tasks/t1", "", "").as_bytes()).await.expect("the pipe stands");
                assert_eq!(read(&mut other, clock).await.json()["status"], status, "{hang_up} at {at_s} s");
            }
            let served = agent.served();
            assert_eq!((served.hung_up, served.completed + served.not_completed), (1, 1));
        });
    }
}
