//! plimsoll's own client, as its driver uses it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use plimsoll::client::{Base, Client, Dialer, Route, Seen, Stamper, Template};
use plimsoll::clock::{self, Clock};
use plimsoll::metrics::Outcome;
use plimsoll::metrics::tracker::Start;
use plimsoll::profile::Profile;
use tokio::task::LocalSet;

use crate::measure;
use crate::workload::Workload;

const PROFILE: &str = r#"
why = "a benchmark"
load.invocations = 1
request.input.text = "Hello"
target.agent_id = "a1"
"#;

pub fn run(workload: Workload, port: u16) {
    measure::start(workload);
    let profile = Profile::parse("benchmark", PROFILE, Vec::new()).expect("a valid profile");
    let base = Base::parse(&format!("http://127.0.0.1:{port}")).expect("a URL");
    let template = Template::new(base.clone(), &profile.target, None, profile.request.to_json(), "run", false);
    let clock = Clock::start();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = clock::watch_turns(builder.enable_all()).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let route = Route::settle(&base, &profile.target, workload.streams as u64, clock).await.expect("ports enough");
        let dialer = Dialer::Tcp { base, route: Arc::new(route), tls: None };
        let client = Client::new(&profile, dialer, template, clock);
        let stamper = Stamper::new(clock);
        let variant = Arc::from("base");
        for number in 0..workload.streams {
            let (slot, variant) = (client.slot(&stamper), Arc::clone(&variant));
            let opened_after = workload.opened_after(number);
            tokio::task::spawn_local(stream(slot, clock, variant, opened_after));
        }
        std::future::pending::<()>().await;
    });
}

async fn stream(mut slot: plimsoll::client::Slot, clock: Clock, variant: Arc<str>, opened_after: std::time::Duration) {
    clock.sleep_until(u64::try_from(opened_after.as_nanos()).expect("a short time")).await;
    loop {
        let started_ns = clock.now();
        let start = Start {
            plan_index: 0,
            variant: Arc::clone(&variant),
            conversation: 0,
            turn: 0,
            worker: 0,
            warmup: false,
            task_id: None,
            intended_ns: started_ns,
            started_ns,
        };
        let mut watch = |seen: Seen<'_>| {
            if matches!(seen, Seen::Event(..)) {
                measure::event();
            }
        };
        let (record, _) = slot.invoke(start, "Hello", Vec::new(), std::future::pending(), &mut watch).await;
        if record.outcome != Outcome::Completed {
            measure::FAILED.fetch_add(1, Ordering::Relaxed);
            eprintln!("{} {:?}", record.outcome, record.detail);
            return;
        }
    }
}
