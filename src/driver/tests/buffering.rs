//! Something on the way holds chunks back: it is said, and only then.

use super::{Simulated, exact, simulate};
use crate::metrics::Warning;
use crate::units::NS_PER_MS;

fn loaded(gap: &str, more: &str) -> Simulated {
    let load = "load.concurrency = 2\nload.invocations = 10";
    let script = exact(load, more).replace("chunks = 5\ngap = \"20ms\"", &format!("chunks = 51\ngap = \"{gap}\""));
    simulate(&script, 1, &[])
}

fn said(run: &Simulated) -> Option<&Warning> {
    run.readback.warnings.iter().find(|warning| matches!(warning, Warning::Buffered { .. }))
}

#[test]
fn chunks_that_were_held_back_are_found_from_the_servers_own_times() {
    let run = loaded("20ms", "[[mock.fault]]\nkind = \"hold\"\ndelay = \"190ms\"");
    // 51 chunks, 20 ms apart: ten reach the proxy within 190 ms of the first of them, and the last goes with the end.
    for row in &run.rows {
        let buffered = row.buffered;
        assert_eq!((buffered.reads, buffered.chunks), (5, 50), "{:?}", row.counts);
        assert_eq!(buffered.squeezed_ns, 5 * 180 * NS_PER_MS);
        assert!(buffered.bytes < row.counts.body_bytes);
    }
    let Some(Warning::Buffered { share, reads: 50, chunks: 500, squeezed_ns, .. }) = said(&run) else {
        panic!("{:?}", run.readback.warnings);
    };
    assert!((share - 500.0 / 510.0).abs() < 1e-9);
    assert_eq!(*squeezed_ns, 50 * 180 * NS_PER_MS);
    assert_eq!(run.verified().1, Vec::<String>::new());
}

#[test]
fn a_server_that_streams_or_writes_several_at_once_is_not_accused() {
    for (gap, more) in [("20ms", ""), ("0ms", ""), ("0ms", "writes = \"together\"")] {
        let run = loaded(gap, more);
        assert_eq!(said(&run), None, "{gap} {more}");
        assert!(run.rows.iter().all(|row| row.buffered.reads == 0), "{gap} {more}");
    }
}

#[test]
fn a_user_who_reads_slowly_is_not_taken_for_a_proxy() {
    let run = loaded("20ms", "[user.slow]\nshare = 1\nbytes_per_s = \"8KiB\"");
    let reads: u64 = run.rows.iter().map(|row| row.buffered.reads).sum();
    assert!(reads > 20, "{reads} reads brought what had waited for the user");
    assert_eq!(said(&run), None);
}
