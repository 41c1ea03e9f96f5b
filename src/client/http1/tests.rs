//! Held against hyper: the same bytes, whole or in pieces, mean the same to both.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::client::Stamper;
use crate::client::io::{Raw, Stamped, Wire};
use crate::clock::Clock;

/// What an exchange came to: status, headers, body, and whether it ended in order. None when there was no head.
type Told = Option<(u16, Vec<(String, Vec<u8>)>, Vec<u8>, bool)>;

fn request() -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(b"{}"));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert("host", "h".parse().expect("a value"));
    request
}

fn headers<B>(answer: &hyper::Response<B>) -> Vec<(String, Vec<u8>)> {
    let lines = answer.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    lines.collect()
}

/// Answers any request with these pieces, and closes.
async fn answer(mut peer: DuplexStream, pieces: Vec<Vec<u8>>) {
    let mut request = [0; 1_024];
    let _ = peer.read(&mut request).await.expect("the pipe stands");
    for piece in pieces {
        if peer.write_all(&piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn by_us(io: DuplexStream) -> Told {
    let stamper = Stamper::new(Clock::start());
    let stamped = Stamped::new(Raw::Pipe(io), &stamper);
    let mut connection = Http1::new(Wire::Clear(stamped), Rc::clone(stamper.buffer()));
    let head = connection.send(&head::encode(&request())).await.ok()?;
    let (mut decoder, mut body) = (Decoder::new(head.framing), Vec::new());
    let ended = loop {
        if decoder.is_done() {
            break true;
        }
        let Ok(read) = poll_fn(|cx| connection.poll_read(cx)).await else { break false };
        let mut rest = read.bytes();
        if rest.is_empty() {
            break decoder.close().is_ok();
        }
        match collect(&mut decoder, &mut rest, &mut body) {
            Ok(()) => {}
            Err(_) => break false,
        }
    };
    Some((head.response.status().as_u16(), headers(&head.response), body, ended))
}

fn collect(decoder: &mut Decoder, rest: &mut &[u8], body: &mut Vec<u8>) -> Result<(), Error> {
    while let Step::Data(data) = decoder.next(rest)? {
        body.extend_from_slice(data);
    }
    Ok(())
}

async fn by_hyper(io: DuplexStream) -> Told {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.ok()?;
    tokio::spawn(connection);
    let answer = sender.send_request(request().map(Full::new)).await.ok()?;
    let (status, headers) = (answer.status().as_u16(), headers(&answer));
    let (mut incoming, mut body) = (answer.into_body(), Vec::new());
    let ended = loop {
        match incoming.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    };
    Some((status, headers, body, ended))
}

fn told(pieces: &[Vec<u8>]) -> (Told, Told) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let pipe = || {
            let (ours, theirs) = tokio::io::duplex(4_096);
            tokio::spawn(answer(theirs, pieces.to_vec()));
            ours
        };
        (by_us(pipe()).await, by_hyper(pipe()).await)
    })
}

/// Answers made of what answers are made of, in an order that is often right, and cut and damaged here and there.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let before =
        prop::sample::select(vec!["", "", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n"]);
    let status = prop::sample::select(vec!["200 OK", "200", "404 Not Found", "204 No Content", "99 x"]);
    let line = prop::sample::select(vec![
        "content-type: text/event-stream",
        "transfer-encoding: chunked",
        "transfer-encoding: chunked",
        "Transfer-Encoding:  gzip, chunked ",
        "transfer-encoding: gzip",
        "content-length: 11",
        "content-length: 3",
        "content-length: x",
        "connection: close",
        "x-a: \t b c\t",
        "x-empty:",
        "x-bad\u{7f}: c",
    ]);
    let chunk = prop::sample::select(vec![
        "5\r\nhello\r\n",
        "0A\r\n0123456789\r\n",
        "3 ;name=value\r\n{}\n\r\n",
        "5\r\nhello",
        "fffffffffffffffff\r\n",
        "\r\n",
    ]);
    let end =
        prop::sample::select(vec!["0\r\n\r\n", "0\r\n\r\n", "0\r\n\r\n", "0\r\nx-trailer: 1\r\n\r\n", "", "0\r\n"]);
    let lines = prop::collection::vec(line, 0..4);
    let chunks = prop::collection::vec(chunk, 0..4);
    let damage = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (before, status, lines, chunks, end, damage).prop_map(|(before, status, lines, chunks, end, damage)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut bytes = format!("{before}HTTP/1.1 {status}\r\n{lines}\r\n{}{end}", chunks.concat()).into_bytes();
        if let Some((at, byte)) = damage {
            // Not the end: hyper reads trailers where we skip them, and refuses what is none.
            let at = at.index(bytes.len() - end.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_answer_means_to_us_what_it_means_to_hyper(
        wire in wire(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len())).collect();
        at.extend([0, wire.len()]);
        at.sort_unstable();
        let pieces: Vec<Vec<u8>> =
            at.windows(2).filter(|pair| pair[0] < pair[1]).map(|pair| wire[pair[0]..pair[1]].to_vec()).collect();
        let (ours, hypers) = told(&pieces);
        prop_assert_eq!(ours, hypers, "{:?}", String::from_utf8_lossy(&wire));
    }
}
