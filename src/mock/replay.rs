//! Replay: a recording's bytes, cut as they were read, at the times at which they were read, or faster or slower.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::agent::{Agent, count};
use super::outlet::Outlet;
use super::stage::Ended;
use super::task::Status;
use crate::agent::Recording;

/// Plays a recording; its times count from now.
pub(super) async fn perform<O: Outlet>(
    agent: &Agent,
    outlet: &mut O,
    recording: &Recording,
    speed: f64,
    mut head: Response<()>,
) -> Ended {
    let started_ns = agent.clock.now();
    *head.status_mut() = StatusCode::from_u16(recording.status).unwrap_or(StatusCode::OK);
    if let Ok(content_type) = HeaderValue::from_str(&recording.content_type) {
        head.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    outlet.head(head);
    for piece in &recording.pieces {
        if !wait(agent, outlet, started_ns.saturating_add(scaled(piece.at_ns, speed))).await
            || outlet.write(&piece.bytes).await.is_err()
        {
            count(&agent.counters().hung_up, 1);
            return Ended::HungUp;
        }
    }
    let end_ns = recording.end_ns.or(recording.pieces.last().map(|piece| piece.at_ns)).unwrap_or_default();
    if !wait(agent, outlet, started_ns.saturating_add(scaled(end_ns, speed))).await || outlet.end(b"").await.is_err() {
        count(&agent.counters().hung_up, 1);
        return Ended::HungUp;
    }
    Ended::Finished(Status::Completed)
}

/// Waits for an instant; false when the client has gone meanwhile.
async fn wait<O: Outlet>(agent: &Agent, outlet: &mut O, until_ns: u64) -> bool {
    if agent.clock.now() >= until_ns {
        return true;
    }
    tokio::select! {
        biased;
        () = agent.clock.sleep_until(until_ns) => true,
        () = outlet.hung_up() => false,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates, which is meant")]
fn scaled(at_ns: u64, speed: f64) -> u64 {
    // The common case stays exact beyond what a float holds.
    if (speed - 1.0).abs() < f64::EPSILON { at_ns } else { (at_ns as f64 / speed).round() as u64 }
}
