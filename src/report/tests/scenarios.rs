//! Scenarios and whole conversations, in every format.

use std::sync::Arc;

use super::{certificate, run};
use crate::metrics::digest::Digest;
use crate::metrics::{Outcome, Record, Summary};
use crate::report::{csv, html, markdown, terminal};
use crate::units::NS_PER_MS;

/// Questions of one turn and talks of two; every seventh talk loses its second turn.
fn mixed() -> Summary {
    let turns = [("ask".to_owned(), 1), ("talk".to_owned(), 2)];
    let objectives = ["finish p95 < 1s", "finish{scenario=ask} p95 < 1s", "success{scenario=talk} > 99%"];
    let objectives = objectives.iter().map(|text| text.parse().expect("an objective")).collect();
    let mut digest = Digest::new(objectives).with_turns(turns.into());
    for conversation in 0..300_u64 {
        let (scenario, turns) = if conversation.is_multiple_of(3) { ("talk", 2) } else { ("ask", 1) };
        for turn in 0..turns {
            let intended_ns = (10 * conversation + 3_000 * u64::from(turn)) * NS_PER_MS;
            let mut record = Record::unstarted(conversation, Arc::from("base"), intended_ns, 0, Outcome::NotStarted);
            (record.conversation, record.turn) = (conversation, turn);
            record.scenario = Arc::from(scenario);
            let lost = turn == 1 && conversation.is_multiple_of(21);
            record.outcome = if lost { Outcome::Reset } else { Outcome::Completed };
            let stamps = &mut record.stamps;
            stamps.started_ns = Some(intended_ns);
            stamps.first_chunk_ns = Some(intended_ns + (100 + conversation * 7_919 % 101) * NS_PER_MS);
            stamps.last_known_ns = intended_ns + (900 + conversation * 7_919 % 101) * NS_PER_MS;
            stamps.finished_ns = (!lost).then_some(stamps.last_known_ns);
            record.parts.model_ns = record.duration_ns();
            digest.take(&record);
        }
    }
    digest.summary(6_000 * NS_PER_MS)
}

#[test]
fn scenarios_and_whole_conversations_are_shown_wherever_there_are_any() {
    let (run, summary, certificate) = (run(), mixed(), certificate());
    let of = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
        let mut out = Vec::new();
        write(&mut out).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    };
    let screen = of(&|out| terminal::write(&run, &summary, &certificate, "reports/x", out));
    let wanted = |line: &&str| {
        ["scenario", "conversation", "pass", "fail", "inconclusive"].iter().any(|start| line.starts_with(start))
    };
    insta::assert_snapshot!(screen.lines().filter(wanted).collect::<Vec<_>>().join("\n"), @"
    conversation, without think times           975ms        1.97s        2.00s  n<662  n<6636  2.00s
    inconclusive finish p95 < 1s: 999ms (997ms–never)
    pass      finish{scenario=ask} p95 < 1s: 995ms (992ms–999ms)
    fail      success{scenario=talk} > 99%: 92.50 % (87.93 %–95.74 %)
    scenario  ask: 200 of 200 completed; ttfc p50 150ms, p95 195ms; finish p50 950ms, p95 995ms
    scenario  talk: 185 of 200 completed; ttfc p50 149ms, p95 195ms; finish p50 954ms, p95 never
    ");
    let report = of(&|out| markdown::write(&run, &summary, &certificate, out));
    let wanted =
        |line: &&str| line.starts_with("## ") || line.starts_with("| conversation") || line.starts_with("| plan index");
    insta::assert_snapshot!(report.lines().filter(wanted).collect::<Vec<_>>().join("\n"), @r"
    ## Objectives
    ## All invocations
    | conversation | 285 +15 failed | 900ms | 1.23s | 975ms (967ms–984ms) | 1.97s (1.94s–1.99s) | 2.00s (1.99s–none) | n\<662 | n\<6636 | 2.00s |
    | conversation | 285 | 900ms | 1.23s | 972ms (963ms–981ms) | 1.93s (1.91s–1.96s) | 1.97s (1.95s–1.99s) | n\<662 | n\<6636 | 2.00s |
    | plan index | variant | scenario | turn | from the intended start | start lag | made of |
    ## Scenario ask
    | conversation | 200 | 900ms | 950ms | 950ms (943ms–957ms) | 990ms (986ms–995ms) | 995ms (992ms–999ms) | n\<662 | n\<6636 | 1.00s |
    | conversation | 200 | 900ms | 950ms | 950ms (943ms–957ms) | 990ms (986ms–995ms) | 995ms (992ms–999ms) | n\<662 | n\<6636 | 1.00s |
    | plan index | variant | scenario | turn | from the intended start | start lag | made of |
    ## Scenario talk
    | conversation | 85 +15 failed | 1.80s | 1.90s | 1.92s (1.90s–1.94s) | never | n\<130 | n\<662 | n\<6636 | 2.00s |
    | conversation | 85 | 1.80s | 1.90s | 1.90s (1.88s–1.92s) | 1.98s (1.97s–1.99s) | n\<130 | n\<662 | n\<6636 | 2.00s |
    | conversation, as the sum | 185 | 1.90s | 1.90s |
    | plan index | variant | scenario | turn | from the intended start | start lag | made of |
    ## Certificate: DEGRADED
    ## Definitions
    | conversation | task\_finished − intended start, added up over the turns of a conversation, when all completed; without think times |
    ");
    let table = of(&|out| csv::write(&summary, out));
    let start = |line: &str| line.split(',').take(7).collect::<Vec<_>>().join(",");
    let wanted = |line: &&str| line.starts_with("variant") || line.contains("conversation");
    insta::assert_snapshot!(table.lines().filter(wanted).map(start).collect::<Vec<_>>().join("\n"), @"
    variant,scenario,metric,row,count,censored,failed
    ,,conversation,all,285,0,15
    ,,conversation,completed,285,0,0
    ,ask,conversation,all,200,0,0
    ,ask,conversation,completed,200,0,0
    ,talk,conversation,all,85,0,15
    ,talk,conversation,completed,85,0,0
    ");
    let page = of(&|out| html::write(&run, &summary, &certificate, &[], out));
    assert!(page.contains("<h2>Scenario ask</h2>") && page.contains("<td>conversation</td>"), "{page}");
}
