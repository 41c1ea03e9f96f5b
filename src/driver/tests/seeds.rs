//! What a seed decides: everything, whatever the number of workers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::simulate;
use crate::metrics::Record;

/// A mock with everything in it, drawn from the seed.
fn lively(seed: u64) -> String {
    format!(
        "why = \"a simulation\"\nseed = {seed}\nload.concurrency = 8\nload.invocations = 120\nlimits.idle = \"3s\"\n\
         request.input.text = \"Hello\"\n[mock]\nwhy = \"lively\"\nfirst_chunk = {{ exponential = \"200ms\" }}\n\
         chunks = {{ uniform = [0, 20] }}\ngap = {{ lognormal = {{ median = \"20ms\", p99 = \"90ms\" }} }}\n\
         [[mock.fault]]\nkind = \"reset_in_stream\"\nprobability = 0.05\n\
         [[mock.fault]]\nkind = \"stall\"\nprobability = 0.05\n\
         [[mock.fault]]\nkind = \"status\"\nstatus = 429\nprobability = 0.05"
    )
}

#[test]
fn the_same_seed_runs_to_the_same_summary() {
    for seed in 1..=3 {
        let [mut first, second] = [(), ()].map(|()| simulate(&lively(seed), 2, &[]));
        // Where the mock's clock lies is the one thing that is real: its stamps are on today's wall clock.
        let clock = second.readback.summary.server.as_ref().and_then(|server| server.clock);
        first.readback.summary.server.as_mut().expect("the mock stamps its events").clock = clock;
        assert_eq!(first.readback.summary, second.readback.summary, "seed {seed}");
        assert!(first.ended.ledger.outcomes.len() > 2, "seed {seed} has faults: {:?}", first.ended.ledger);
    }
}

#[test]
fn what_an_invocation_meets_does_not_depend_on_the_number_of_workers() {
    let met = |workers: u32| -> BTreeMap<u64, Value> {
        let run = simulate(&lively(4), workers, &[]);
        let facts = |row: &Record| {
            json!([row.outcome.to_string(), row.counts.chunks, row.counts.text_bytes, row.counts.events])
        };
        run.rows.iter().map(|row| (row.plan_index, facts(row))).collect()
    };
    let one = met(1);
    assert_eq!(one.len(), 120);
    assert_eq!(one, met(3));
}
