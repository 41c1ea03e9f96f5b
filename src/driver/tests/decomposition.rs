//! The parts of an invocation: they give back the script's times, and what does not add up is found.

use std::collections::BTreeMap;

use super::{exact, manifest, simulate};
use crate::metrics::{PartTimes, Record, Verdict, Warning};
use crate::profile::Profile;
use crate::runfile::readback;

/// An agent that thinks, calls two tools and triggers a sub-agent before it answers, all at drawn times.
const AT_WORK: &str = "why = \"a simulation\"\nload.concurrency = 10\nload.invocations = 400\n\
    request.input.text = \"Hello\"\n[mock]\nwhy = \"at work\"\ncreated = \"5ms\"\nqueue = { uniform = [\"5ms\", \"30ms\"] }\n\
    think_steps = { uniform = [0, 3] }\nthink = { exponential = \"120ms\" }\nfirst_chunk = { exponential = \"180ms\" }\n\
    chunks = { uniform = [0, 9] }\ngap = { exponential = \"15ms\" }\nclosing = \"10ms\"\n\
    [[mock.tool]]\nname = \"web_search\"\ntime = { exponential = \"350ms\" }\ncalls = { uniform = [0, 3] }\n\
    [[mock.tool]]\nname = \"read_page\"\nprobability = 0.7\ntime = { exponential = \"150ms\" }\n\
    [[mock.sub_agent]]\nname = \"helper\"\nprobability = 0.3\ntime = \"200ms\"\n";

/// What the mock's own log says that the parts of an invocation must be.
fn true_parts(row: &Record, events: &[(&str, u64)]) -> PartTimes {
    let (started_ns, sent_ns) = row.stamps.started_ns.zip(row.stamps.sent_ns).expect("it was sent");
    let mut parts = PartTimes { connect_ns: sent_ns - started_ns, ..PartTimes::default() };
    parts.wait_ns = events[0].1 - sent_ns;
    let mut chunks = events.iter().filter(|(kind, _)| *kind == "chunk").count();
    let answered = chunks > 0;
    for pair in events.windows(2) {
        let ((kind, at_ns), (next, next_ns)) = (pair[0], pair[1]);
        chunks -= usize::from(kind == "chunk");
        let part = match kind {
            "task_created" => &mut parts.queue_ns,
            "think" => &mut parts.thinking_ns,
            "tool_call_request" => &mut parts.tool_ns,
            "sub_agent_trigger" => &mut parts.sub_agent_ns,
            "chunk" if next == "chunk" => &mut parts.answer_ns,
            _ if answered && chunks == 0 => &mut parts.closing_ns,
            _ => &mut parts.model_ns,
        };
        *part += next_ns - at_ns;
    }
    parts
}

#[test]
fn the_decomposition_gives_back_the_scripts_times() {
    let run = simulate(AT_WORK, 2, &[]);
    assert_eq!(run.outcomes(), vec!["completed"; 400]);
    let mut calls_ns: BTreeMap<String, u64> = BTreeMap::new();
    for row in &run.rows {
        let events = run.truth.iter().filter(|(index, ..)| *index == row.plan_index);
        let events: Vec<_> = events.map(|(_, kind, at_ns)| (kind.as_str(), *at_ns)).collect();
        assert_eq!(row.parts, true_parts(row, &events), "{}: {events:?}", row.plan_index);
        assert!(row.parts_add_up());
        // The mock's calls don't overlap: the part of a tool is the sum of its calls.
        assert_eq!(row.calls.iter().map(|call| call.ns).sum::<u64>(), row.parts.tool_ns);
        row.calls.iter().for_each(|call| *calls_ns.entry(call.name.to_string()).or_default() += call.ns);
        assert_eq!((row.calls.len() as u64, row.counts.tool_unpaired), (row.counts.tool_calls, 0));
    }
    let group = run.readback.summary.overall();
    let of = group.decomposition.as_ref().expect("all completed");
    let total_ns: u64 = run.rows.iter().map(Record::duration_ns).sum();
    assert_eq!((of.invocations, of.total_ns_mean), (400, (total_ns + 200) / 400));
    let tools: Vec<_> = group.tools.iter().map(|tool| (tool.name.as_str(), tool.all.count)).collect();
    let counted =
        |name: &str| run.rows.iter().flat_map(|row| &row.calls).filter(|call| &*call.name == name).count() as u64;
    assert_eq!(tools, [("read_page", counted("read_page")), ("web_search", counted("web_search"))]);
    for (name, sum_ns) in calls_ns {
        let slice = of.parts.iter().find(|part| part.mean.name() == name).expect("it was called");
        assert_eq!(slice.mean.ns, (sum_ns + 200) / 400, "{name}");
    }
}

#[test]
fn parts_that_dont_add_up_make_a_run_invalid() {
    let run = simulate(&exact("load.concurrency = 2\nload.invocations = 4", ""), 1, &[]);
    let path = run.bundle.join("invocations.csv");
    let text = std::fs::read_to_string(&path).expect("it was written");
    // 80 ms of answer, told as 81.
    std::fs::write(&path, text.replacen(",80000000,", ",81000000,", 1)).expect("the folder is writable");
    let profile = Profile::parse("sim.toml", &exact("load.invocations = 4", ""), Vec::new()).expect("valid");
    let readback = readback::sum_up(&run.bundle, &manifest(&profile, 1)).expect("it is whole");
    assert_eq!(readback.certificate.verdict, Verdict::Invalid);
    assert!(readback.warnings.contains(&Warning::PartsDiffer { count: 1 }), "{:?}", readback.warnings);
}
