//! The plan as a value: what comes at which place, whoever asks, and that a file of it is the plan again.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::profile::Override;
use crate::seed::fnv1a;

const CHAT: &str = r#"
    why = "test"
    [load]
    concurrency = 2
    invocations = 5
    [[turn]]
    prompt = "Hello"
    [[turn]]
    prompt = "And then?"
    think = "2s"
"#;

fn profile(text: &str) -> Profile {
    Profile::parse("chat.toml", text, Vec::new()).expect("the profile is valid")
}

fn plan(text: &str) -> Plan {
    Plan::new(&profile(text))
}

#[test]
fn a_conversation_is_its_turns_in_order() {
    let plan = plan(CHAT);
    let lines: Vec<_> = (0..5)
        .map(|index| plan.invocation(index))
        .map(|at| {
            format!(
                "{} c{} t{} {} {:?} {}",
                at.plan_index, at.conversation, at.turn, at.variant, at.prompt, at.think_ns
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    0 c0 t0 base "Hello" 0
    1 c0 t1 base "And then?" 2000000000
    2 c1 t0 base "Hello" 0
    3 c1 t1 base "And then?" 2000000000
    4 c2 t0 base "Hello" 0
    "#);
    assert_eq!((plan.planned(), plan.conversations(), plan.turns()), (Some(5), Some(3), 2));
    assert!(plan.starts().is_none(), "the answers decide when a conversation begins");
}

/// A plan with everything that is drawn.
const LIVELY: &str = r#"
    why = "test"
    load.rate = 50
    load.arrival = "poisson"
    load.duration = "4s"
    user.hang_up = { share = 0.2, after = { exponential = "2s" } }
    user.slow = { share = 0.1, bytes_per_s = "1KiB" }
    [[variant]]
    name = "low"
    llm_reasoning_effort = "low"
    [[variant]]
    name = "high"
    llm_reasoning_effort = "high"
    [[variant]]
    name = "draft"
    version = "draft"
    [[turn]]
    prompt = "Hello"
    [[turn]]
    prompt = "And then?"
    think = { lognormal = { median = "2s", p99 = "9s" } }
"#;

#[test]
fn a_place_in_the_plan_is_the_same_whoever_asks_and_when() {
    for text in [CHAT, LIVELY] {
        let plan = plan(text);
        let forwards: Vec<_> = (0..100).map(|index| plan.invocation(index)).collect();
        let mut backwards: Vec<_> = (0..100).rev().map(|index| plan.invocation(index)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        assert_eq!(plan.invocation(u64::MAX).plan_index, u64::MAX);
    }
}

#[test]
fn variants_are_dealt_in_blocks_that_hold_each_once() {
    let plan = plan(LIVELY);
    let name = |conversation: u64| plan.invocation(conversation * 2).variant;
    let mut orders = BTreeMap::new();
    for block in 0..300 {
        let order: Vec<_> = (block * 3..block * 3 + 3).map(name).collect();
        let mut each = order.clone();
        each.sort_unstable();
        assert_eq!(each.iter().map(|name| &**name).collect::<Vec<_>>(), ["draft", "high", "low"]);
        *orders.entry(order).or_insert(0) += 1;
    }
    // Six orders, each about 50 times.
    assert!(orders.len() == 6 && orders.values().all(|count| (25..80).contains(count)), "{orders:?}");
    let turns = [0, 1].map(|turn| plan.invocation(8 + turn).variant_at);
    assert_eq!(turns[0], turns[1], "a conversation stays with its variant");
}

#[test]
fn people_hang_up_and_read_slowly_in_the_share_that_was_asked_for() {
    let plan = plan(LIVELY);
    let all: Vec<_> = (0..10_000).map(|index| plan.invocation(index)).collect();
    let hang_ups: Vec<_> = all.iter().filter_map(|planned| planned.hang_up_ns).collect();
    let slow = all.iter().filter(|planned| planned.read_bytes_per_s == Some(1_024)).count();
    assert!((1_850..2_150).contains(&hang_ups.len()), "{}", hang_ups.len());
    assert!((880..1_120).contains(&slow), "{slow}");
    let mean_ns = hang_ups.iter().sum::<u64>() / hang_ups.len() as u64;
    assert!((1_850_000_000..2_150_000_000).contains(&mean_ns), "{mean_ns}");
}

#[test]
fn prompts_are_filled_from_the_feed_row_by_row() {
    let text = "why = \"test\"\nload.invocations = 4\nrequest.input.text = \"{{ city }}, {{who}}? {{city}}\"\nfeed.file = \"rows.csv\"";
    let mut read = |path: &Path| {
        assert_eq!(path, Path::new("rows.csv"));
        Ok("city,who\nOslo,\"a, b\"\nRome,c\n".to_owned())
    };
    let profile = Profile::parse_with("x.toml", text, Vec::new(), &mut read).expect("valid");
    let plan = Plan::new(&profile);
    let prompts: Vec<_> = (0..3).map(|index| plan.invocation(index).prompt.to_string()).collect();
    assert_eq!(prompts, ["Oslo, a, b? Oslo", "Rome, c? Rome", "Oslo, a, b? Oslo"]);
}

#[test]
fn a_plan_that_was_written_is_replayed_as_the_same_plan() {
    for text in [CHAT, LIVELY] {
        let plan = plan(text);
        let mut written = Vec::new();
        plan.write(u64::MAX, &mut written).expect("a vector takes it");
        let written = String::from_utf8(written).expect("text");
        let again = |file: &str| {
            let file = file.to_owned();
            let replay = Override::set("load.plan=plan.jsonl").expect("a known key");
            let read = &mut |_: &Path| Ok(file.clone());
            Profile::parse_with("x.toml", text, vec![replay], read).map(|profile| Plan::new(&profile))
        };
        let replayed = again(&written).expect("it is a plan");
        let planned = plan.planned().expect("it is counted");
        assert_eq!(replayed.planned(), Some(planned));
        assert_eq!(replayed.hash(), plan.hash());
        assert!((0..planned).all(|index| replayed.invocation(index) == plan.invocation(index)));
        assert_eq!(replayed.starts().map(Vec::from_iter), plan.starts().map(Vec::from_iter));
        let changed = again(&written.replacen("Hello", "Hi", 1)).expect("it is a plan");
        assert_ne!(changed.hash(), plan.hash(), "a changed plan is another one");
        assert_eq!(&*changed.invocation(0).prompt, "Hi");
        let cut_off = &written[..written.len() / 2];
        assert!(again(cut_off).is_err(), "half a line is no start");
    }
}

#[test]
fn the_hash_tells_plans_apart_and_knows_no_workers() {
    let hash = |text: &str| plan(text).hash().to_owned();
    // The literals are the promise: a bundle of today is still one plan with a bundle of next year.
    insta::assert_snapshot!(hash(CHAT), @"fnv1a64:7cf15503a9883576");
    insta::assert_snapshot!(hash(LIVELY), @"fnv1a64:73fa17285f410c2d");
    assert_eq!(hash(CHAT), hash(&CHAT.replace("[load]", "[load]\nworkers = 7")));
    for (old, new) in [("2s", "3s"), ("Hello", "Hi"), ("invocations = 5", "invocations = 6"), ("y = 2", "y = 3")] {
        assert_ne!(hash(CHAT), hash(&CHAT.replace(old, new)), "{new}");
    }
    assert_ne!(hash(CHAT), hash(&format!("seed = 2\n{CHAT}")));
    for (old, new) in [
        ("= 50", "= 51"),
        ("poisson", "constant"),
        ("0.2", "0.3"),
        ("1KiB", "2KiB"),
        ("\"high\"\n    [[", "\"xhigh\"\n    [["),
    ] {
        assert!(LIVELY.contains(old), "{old}");
        assert_ne!(hash(LIVELY), hash(&LIVELY.replace(old, new)), "{new}");
    }
}

#[test]
fn the_instants_of_a_plan_are_the_same_on_every_machine() {
    let starts: Vec<_> = plan(LIVELY).starts().expect("it is open").collect();
    let bytes: Vec<u8> = starts.iter().flat_map(|at| at.to_le_bytes()).collect();
    assert!((140..260).contains(&starts.len()));
    insta::assert_snapshot!(format!("{} {:016x}", starts.len(), fnv1a(&bytes)), @"228 79220c68c222c827");
}
