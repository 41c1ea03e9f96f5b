//! What a Rust program would use: reqwest, eventsource-stream, serde_json.

use std::sync::atomic::Ordering;
use std::time::Instant;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde::Deserialize;

use crate::measure;
use crate::workload::{BODY, PATH, Pace, Workload};

/// An event as such programs have it.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

pub fn run(workload: Workload, port: u16) {
    rustls::crypto::ring::default_provider().install_default().expect("nobody else installs one");
    measure::start(workload);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().build().expect("a client");
        for number in 0..workload.streams {
            let (client, url) = (client.clone(), format!("http://127.0.0.1:{port}{PATH}"));
            tokio::spawn(async move {
                tokio::time::sleep(workload.opened_after(number)).await;
                while stream(&client, &url).await.is_ok() && matches!(workload.pace, Pace::AtOnce(_)) {}
                measure::FAILED.fetch_add(1, Ordering::Relaxed);
            });
        }
        std::future::pending::<()>().await;
    });
}

async fn stream(client: &reqwest::Client, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let answer = client.post(url).header("content-type", "application/json").body(BODY).send().await?;
    let mut events = answer.bytes_stream().eventsource();
    let (mut last, mut text_bytes) = (Instant::now(), 0);
    while let Some(event) = events.next().await {
        let event = event?;
        let envelope: Envelope = serde_json::from_str(&event.data)?;
        if envelope.kind == "chunk" {
            text_bytes += envelope.data.as_str().map_or(0, str::len);
        }
        last = Instant::now();
        measure::event();
    }
    std::hint::black_box((last, text_bytes));
    Ok(())
}
