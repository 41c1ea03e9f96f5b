//! A study for tests.

use super::{Cost, Errors, Joined, Measured, Study, Transport, Trust};
use crate::metrics::Verdict;
use crate::metrics::certificate::ArrivalClock;
use crate::runfile::run::{Build, Machine};

/// A row for tests: all of its errors grow with `ns`.
pub(crate) fn measured(transport: Transport, load: &str, ns: i64, verdict: Verdict) -> Measured {
    let errors = Errors {
        ttfc_ns: vec![ns; 10],
        gap_ns: vec![-ns, ns],
        finish_ns: vec![2 * ns; 10],
        last_ns: (0..90).map(|step| ns + step).chain([-5]).collect(),
        others_ns: vec![3 * ns; 9],
        handled_ns: vec![10 * ns; 100],
    };
    let joined = Joined { errors, writes_ns: vec![ns; 100], ..Joined::default() };
    let trust = Trust {
        verdict,
        worst: verdict,
        stamp_error_ns_p99: 2 * ns.unsigned_abs(),
        client_lag_ns_p99: 20 * ns.unsigned_abs(),
        start_lag_ns_p99: 30 * ns.unsigned_abs(),
        mock_late_ns_p99: 40 * ns.unsigned_abs(),
        events_per_s: 49_000,
    };
    let cost = Cost { cpu_ns_per_event: 8_000, busiest_per_mille: 400, memory_bytes_per_stream: Some(12_000) };
    let load = load.parse().expect("a load");
    Measured::of((transport, load), ArrivalClock::Kernel, joined, 0, trust, cost)
}

/// A study of these rows.
pub(crate) fn study(rows: Vec<Measured>) -> Study {
    Study {
        command: "plimsoll calibrate".into(),
        began: "2026-01-02T03:04:05Z".into(),
        build: Build { version: "0.1.0".into(), revision: None },
        machine: Machine {
            system: "linux-x86_64".into(),
            kernel: Some("6.18.0".into()),
            cpu: Some("A CPU".into()),
            cores: 2,
        },
        placement: "the mock on core 0, the client on core 1".into(),
        workers: 1,
        duration_ns: 5_000_000_000,
        runs: 1,
        rows,
        cut_short: None,
        left_out: Vec::new(),
    }
}
