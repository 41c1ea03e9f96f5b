//! `[load]`, `[limits]` and `[expect]`: how much, for how long, and when to give up.

use super::form::Form;
use super::problem::{Fault, Origin};
use crate::profile::{Expect, Limits, Load};
use crate::units::{ExactTime, NS_PER_MS};

/// How far apart the first starts of a closed load lie, unless the profile says: all at once would measure the
/// machine's own connecting.
const RAMP_EACH_NS: u64 = NS_PER_MS;

/// Reads the load; what is wrong is noted in the form.
pub(super) fn load(form: &mut Form) -> Load {
    let (invocations, duration_ns) = end(form);
    let warmup_ns = form.number_or_default("load.warmup");
    if let Some(duration_ns) = duration_ns.filter(|duration_ns| warmup_ns >= *duration_ns) {
        form.contradiction(
            "load.warmup",
            format!("{} of warm-up leave nothing of a duration of {}", ExactTime(warmup_ns), ExactTime(duration_ns)),
            "warm-up is the first part of load.duration: make that longer",
        );
    }
    let concurrency = form.number_or_default("load.concurrency");
    let ramp_ns = form.number("load.ramp").unwrap_or_else(|| {
        let tenth_ns = duration_ns.map_or(u64::MAX, |duration_ns| duration_ns / 10);
        (concurrency * RAMP_EACH_NS).min(tenth_ns)
    });
    Load {
        concurrency: u32_of(concurrency),
        ramp_ns,
        invocations,
        duration_ns,
        warmup_ns,
        drain_ns: form.number_or_default("load.drain"),
        workers: form.number("load.workers").map(u32_of),
    }
}

/// The end of the run: an end that is given over the file (`-n`, `-z`) replaces the file's other one.
fn end(form: &mut Form) -> (Option<u64>, Option<u64>) {
    const ENDS: [&str; 2] = ["load.invocations", "load.duration"];
    let [count, time] = ENDS.map(|key| form.number(key));
    if count.is_none() && time.is_none() && ENDS.iter().all(|key| form.clean(key)) {
        let remedy = "set duration = \"10s\" or invocations = 500 in [load], or -z or -n, so that the run ends";
        form.report(None, "load", Fault::Missing { remedy });
    }
    let [count_rank, time_rank] = ENDS.map(|key| form.origin(key).map_or(0, Origin::rank));
    (count.filter(|_| count_rank >= time_rank), time.filter(|_| time_rank >= count_rank))
}

/// Reads the limits; a default is lowered to `limits.total`, but what is written beyond it is a mistake.
pub(super) fn limits(form: &mut Form) -> Limits {
    let total_ns = form.number_or_default("limits.total");
    let mut within = |key: &str| {
        let ns = form.number_or_default(key);
        if ns > total_ns && form.origin(key).is_some() {
            form.contradiction(
                key,
                format!("{} can never be reached within limits.total = {}", ExactTime(ns), ExactTime(total_ns)),
                "lower this limit or raise limits.total",
            );
        }
        ns.min(total_ns)
    };
    Limits {
        connect_ns: within("limits.connect"),
        headers_ns: within("limits.headers"),
        first_event_ns: within("limits.first_event"),
        idle_ns: within("limits.idle"),
        total_ns,
        linger_ns: form.number_or_default("limits.linger"),
        event_bytes: usize::try_from(form.number_or_default("limits.event_bytes"))
            .expect("the table of keys keeps it under 1 GiB"),
    }
}

/// Reads what the answers are expected to be like.
pub(super) fn expect(form: &Form) -> Expect {
    Expect {
        finish_ns: form.number("expect.finish"),
        response_bytes: form.number("expect.response"),
        cost_per_invocation: form.amount("expect.cost_per_invocation"),
    }
}

fn u32_of(number: u64) -> u32 {
    u32::try_from(number).expect("the table of keys keeps it within 32 bits")
}
