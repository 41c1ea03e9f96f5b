//! Streams that share a connection, against a scripted server: in-memory pipes, virtual time, exact instants.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use hyper::Response;
use serde_json::json;
use tokio::io::DuplexStream;
use tokio::task::LocalSet;

use crate::client::{Base, Client, Dialer, Pool, Seen, Stamper, Template};
use crate::clock::Clock;
use crate::metrics::tracker::{Arrival, Start};
use crate::metrics::{Outcome, Record};
use crate::profile::Profile;
use crate::units::NS_PER_MS;

/// Who makes invocations over one pool of connections to scripted servers.
struct Load {
    client: Client,
    pool: Rc<Pool>,
    stamper: Rc<Stamper>,
    clock: Clock,
    taken: mpsc::Receiver<DuplexStream>,
}

fn in_virtual_time(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}

impl Load {
    fn new(more: &str) -> Self {
        let text = format!(
            "why = \"streams that share a connection\"\nload.invocations = 1\nrequest.input.text = \"Hello\"\n\
             target.agent_id = \"a1\"\ntarget.http = \"2\"\n{more}"
        );
        let profile = Profile::parse("test.toml", &text, Vec::new()).expect("a valid profile");
        let (give, taken) = mpsc::channel();
        let pipe = move || {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            give.send(theirs).expect("the test takes it");
            Ok(ours)
        };
        let base = Base::parse("http://127.0.0.1").expect("a URL");
        let template = Template::new(base, &profile.target, None, json!({"input": {}}), "run", true);
        let clock = Clock::start();
        let client = Client::new(&profile, Dialer::Pipe(Arc::new(pipe)), template, clock);
        Self { pool: client.pool(), client, stamper: Stamper::new(clock), clock, taken }
    }

    /// One invocation; its events' arrivals.
    async fn invoke(&self, plan_index: u64) -> (Record, Vec<Arrival>) {
        let start = Start {
            plan_index,
            variant: Arc::from("base"),
            conversation: plan_index,
            turn: 0,
            worker: 0,
            warmup: false,
            task_id: None,
            intended_ns: self.clock.now(),
            started_ns: self.clock.now(),
        };
        let mut arrivals = Vec::new();
        let mut watch = |seen: Seen<'_>| {
            if let Seen::Event(arrival, ..) = seen {
                arrivals.push(arrival);
            }
        };
        let mut slot = self.client.slot_in(&self.pool, &self.stamper);
        let (record, _) = slot.invoke(start, "Hello", Vec::new(), std::future::pending(), &mut watch).await;
        (record, arrivals)
    }

    /// The connections that were made since the last time.
    fn connections(&self) -> Vec<DuplexStream> {
        self.taken.try_iter().collect()
    }
}

fn event(kind: &str, data: &str) -> Bytes {
    Bytes::from(format!("data: {{\"type\":\"{kind}\",\"task_id\":\"t1\",\"data\":{data}}}\n\n"))
}

fn finish() -> Bytes {
    event("task_finished", r#"{"id":"t1","status":"completed"}"#)
}

/// A server that answers so many requests with their heads, and then leaves the bodies to its script.
async fn answer(io: DuplexStream, requests: usize, bodies: Rc<RefCell<Vec<SendStream<Bytes>>>>) {
    let mut connection = h2::server::handshake(io).await.expect("the client speaks HTTP/2");
    while let Some(request) = connection.accept().await {
        let (_, mut answer) = request.expect("the client goes on");
        let head = Response::builder().header("content-type", "text/event-stream").body(()).expect("a head");
        bodies.borrow_mut().push(answer.send_response(head, false).expect("the client listens"));
        assert!(bodies.borrow().len() <= requests);
    }
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Polls `future` only while the door is open: whoever runs it is held up meanwhile.
async fn behind_door<T>(open: &Cell<bool>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| if open.get() { future.as_mut().poll(cx) } else { Poll::Pending }).await
}

#[test]
fn a_stream_that_is_held_up_has_the_stamps_of_its_own_reads() {
    in_virtual_time(async {
        let load = Load::new("target.streams = 2");
        let (clock, open, bodies) = (load.clock, Cell::new(true), Rc::new(RefCell::new(Vec::new())));
        let at = RefCell::new(Vec::new());
        let script = async {
            let mut made = load.connections();
            while made.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                made = load.connections();
            }
            assert_eq!(made.len(), 1, "two streams share a connection");
            tokio::task::spawn_local(answer(made.remove(0), 2, Rc::clone(&bodies)));
            until(|| bodies.borrow().len() == 2).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            // From here on nobody looks after the streams.
            open.set(false);
            let mut bodies = std::mem::take(&mut *bodies.borrow_mut());
            for step in 0..4 {
                at.borrow_mut().push(clock.now());
                bodies[step % 2].send_data(event("chunk", "\"x\""), false).expect("the client listens");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            at.borrow_mut().push(clock.now());
            bodies.iter_mut().for_each(|body| body.send_data(finish(), true).expect("the client listens"));
            tokio::time::sleep(Duration::from_millis(50)).await;
            open.set(true);
        };
        let invocations = async { tokio::join!(load.invoke(0), load.invoke(1)) };
        // What wakes the streams once the door is open.
        let ticks = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if open.get() && at.borrow().len() == 5 {
                    return;
                }
            }
        };
        let (streams, (), ()) = tokio::join!(behind_door(&open, invocations), script, ticks);
        let at = at.into_inner();
        let opened_ns = at[4] + 50 * NS_PER_MS;
        let both = [streams.0, streams.1];
        // Which of the two the server took first is its business; each has its own instants.
        let mut seen: Vec<Vec<u64>> = Vec::new();
        for (record, arrivals) in &both {
            assert_eq!(record.outcome, Outcome::Completed, "{:?}", record.detail);
            assert!(arrivals.iter().all(|arrival| arrival.handled_ns >= opened_ns), "they were held up: {arrivals:?}");
            assert!(arrivals.iter().all(|arrival| arrival.earliest_ns <= arrival.arrival_ns));
            seen.push(arrivals.iter().map(|arrival| arrival.arrival_ns).collect());
        }
        seen.sort();
        assert_eq!(seen, [[at[0], at[2], at[4]], [at[1], at[3], at[4]]], "to the nanosecond");
        let followed = both.iter().flat_map(|(_, arrivals)| arrivals).filter(|arrival| arrival.followed).count();
        assert_eq!(followed, 1, "the first of the two ends that came in one read");
        let reused: Vec<_> = both.iter().map(|(record, _)| record.reused).collect();
        assert!(reused.contains(&Some(true)) && reused.contains(&Some(false)), "one of them made the connection");
    });
}

/// Answers every request on every connection at once; says how many requests each connection had.
async fn serve_all(load: &Load, counts: &RefCell<Vec<Rc<Cell<usize>>>>) {
    loop {
        for io in load.connections() {
            let count = Rc::new(Cell::new(0));
            counts.borrow_mut().push(Rc::clone(&count));
            tokio::task::spawn_local(async move {
                let mut connection = h2::server::handshake(io).await.expect("the client speaks HTTP/2");
                while let Some(Ok((_, mut answer))) = connection.accept().await {
                    count.set(count.get() + 1);
                    let head = Response::builder().header("content-type", "text/event-stream").body(());
                    let mut body = answer.send_response(head.expect("a head"), false).expect("the client listens");
                    tokio::task::spawn_local(async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        let _ = body.send_data(finish(), true);
                    });
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn connections_are_opened_as_needed_and_filled_before_the_next_one() {
    for (more, at_a_time, rounds, expected) in [
        ("target.streams = 4", 10, 2, vec![8, 8, 4]),
        ("", 3, 2, vec![2, 2, 2]),
        ("target.streams = 2\ntarget.connection = 3", 2, 3, vec![3, 3]),
        ("target.connection = \"new\"", 2, 2, vec![1, 1, 1, 1]),
    ] {
        in_virtual_time(async {
            let load = Load::new(more);
            let counts = RefCell::new(Vec::new());
            let run = async {
                for round in 0..rounds {
                    let all = (0..at_a_time).map(|index| load.invoke(round * 100 + index));
                    for (record, _) in join_all(all).await {
                        assert_eq!(record.outcome, Outcome::Completed, "{:?}", record.detail);
                    }
                }
            };
            tokio::select! {
                () = run => {}
                () = serve_all(&load, &counts) => {}
            }
            let counts: Vec<usize> = counts.borrow().iter().map(|count| count.get()).collect();
            assert_eq!(counts, expected, "{more}");
        });
    }
}

/// All of them at a time, on this task.
async fn join_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

/// One server after another, as connections are made: it says so many milliseconds later that it allows so many streams,
/// and answers each at once, to its end.
async fn serve_few(load: &Load, later_ms: u64, streams: u32, counts: &RefCell<Vec<Rc<Cell<usize>>>>) {
    loop {
        for io in load.connections() {
            let count = Rc::new(Cell::new(0));
            counts.borrow_mut().push(Rc::clone(&count));
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(later_ms)).await;
                let handshake = h2::server::Builder::new().max_concurrent_streams(streams).handshake(io).await;
                let mut connection = handshake.expect("the client speaks HTTP/2");
                while let Some(Ok((_, mut answer))) = connection.accept().await {
                    count.set(count.get() + 1);
                    tokio::task::spawn_local(async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        let head = Response::builder().header("content-type", "text/event-stream").body(());
                        let body = answer.send_response(head.expect("a head"), false);
                        let _ = body.expect("the client listens").send_data(finish(), true);
                    });
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn no_connection_gets_more_streams_than_its_server_allows() {
    in_virtual_time(async {
        let load = Load::new("target.streams = 8");
        let counts = RefCell::new(Vec::new());
        let run = async {
            let mut sent_ms = Vec::new();
            for (record, _) in join_all((0..6).map(|index| load.invoke(index))).await {
                assert_eq!(record.outcome, Outcome::Completed, "{:?}", record.detail);
                sent_ms.push(record.stamps.sent_ns.expect("it was sent") / NS_PER_MS);
            }
            sent_ms.sort_unstable();
            sent_ms
        };
        let sent_ms = tokio::select! {
            sent_ms = run => sent_ms,
            () = serve_few(&load, 50, 2, &counts) => unreachable!("it serves for ever"),
        };
        let counts: Vec<usize> = counts.borrow().iter().map(|count| count.get()).collect();
        assert_eq!(counts, [2, 2, 2]);
        // Whoever makes a connection sends at once; the others when the server has said how many it takes.
        assert!(sent_ms[0] < 2 && sent_ms[1] >= 50 && sent_ms[3] < 55 && sent_ms[4] >= 100, "{sent_ms:?}");
    });
}

/// Answers the first request with its head, then says that it goes away, and ends the body later.
async fn go_away(io: DuplexStream) {
    let mut connection = h2::server::handshake(io).await.expect("the client speaks HTTP/2");
    while let Some(Ok((_, mut answer))) = connection.accept().await {
        let head = Response::builder().header("content-type", "text/event-stream").body(()).expect("a head");
        let mut body = answer.send_response(head, false).expect("the client listens");
        connection.graceful_shutdown();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            body.send_data(finish(), true).expect("the client listens");
        });
    }
}

#[test]
fn a_connection_whose_server_goes_away_gets_nothing_new() {
    in_virtual_time(async {
        let load = Load::new("target.streams = 8");
        let script = async {
            let mut made = 0;
            loop {
                for io in load.connections() {
                    made += 1;
                    tokio::task::spawn_local(go_away(io));
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                if load.clock.now() > 80 * NS_PER_MS {
                    return made;
                }
            }
        };
        let later = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            load.invoke(1).await
        };
        let ((first, _), (second, _), made) = tokio::join!(load.invoke(0), later, script);
        assert_eq!((first.outcome, second.outcome), (Outcome::Completed, Outcome::Completed), "{:?}", second.detail);
        assert_eq!(made, 2, "the second one has a connection of its own while the first one goes on");
    });
}

/// Answers one request with a stream that never begins, and the others at once, if at all.
async fn hold_up_first(io: DuplexStream, others: bool) {
    let mut connection = h2::server::handshake(io).await.expect("the client speaks HTTP/2");
    let mut held = None;
    while let Some(Ok((_, mut answer))) = connection.accept().await {
        let head = Response::builder().header("content-type", "text/event-stream").body(()).expect("a head");
        if held.is_none() {
            held = Some(answer.send_response(head, false).expect("the client listens"));
        } else if others {
            let mut body = answer.send_response(head, false).expect("the client listens");
            body.send_data(finish(), true).expect("the client listens");
        }
    }
}

#[test]
fn a_slow_stream_leaves_its_connection_to_the_others_unless_nothing_comes_over_it() {
    for (others, made) in [(true, 1), (false, 2)] {
        in_virtual_time(async {
            let load = Load::new("target.streams = 8\nlimits = { headers = \"1s\", first_event = \"1s\" }");
            let mut connections = 0;
            let script = async {
                loop {
                    for io in load.connections() {
                        connections += 1;
                        tokio::task::spawn_local(hold_up_first(io, others));
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let run = async {
                let meanwhile = async {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    if others {
                        assert_eq!(load.invoke(1).await.0.outcome, Outcome::Completed);
                    }
                };
                let ((slow, _), ()) = tokio::join!(load.invoke(0), meanwhile);
                assert!(matches!(slow.outcome, Outcome::TimedOut(_)), "{:?}", slow.outcome);
                load.invoke(2).await;
            };
            tokio::select! {
                () = run => {}
                () = script => {}
            }
            assert_eq!(connections, made);
        });
    }
}
