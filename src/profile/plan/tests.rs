//! The plan as a value: what comes at which place, whoever asks, and that a file of it is the plan again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::profile::{Override, Turn};
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
    assert_eq!((plan.planned(), plan.conversations(), plan.conversation(0).turns), (Some(5), Some(3), 2));
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

/// Three kinds of conversations, of one to three turns.
const MIXED: &str = r#"
    why = "test"
    load.concurrency = 4
    load.invocations = 500
    user.hang_up = { share = 0.2, after = { exponential = "2s" } }
    [[variant]]
    name = "low"
    llm_reasoning_effort = "low"
    [[variant]]
    name = "high"
    llm_reasoning_effort = "high"
    [[scenario]]
    name = "ask"
    weight = 6
    turn = [{ prompt = "Which berths are free?" }]
    [[scenario]]
    name = "book"
    weight = 4
    turn = [{ prompt = "Book one." }, { prompt = "Which?", think = { exponential = "1s" } }, { prompt = "Thanks." }]
    [[scenario]]
    name = "report"
    weight = 2
    turn = [{ prompt = "Write the report." }, { prompt = "Shorter." }]
"#;

/// What a plan says of each of its starts, found by walking through the blocks.
fn walked(
    scenarios: &[Scenario],
    variants: usize,
    deal: impl Fn(u64) -> (usize, usize),
) -> Vec<(u64, u32, usize, usize)> {
    let weights: u64 = scenarios.iter().map(|scenario| u64::from(scenario.weight)).sum();
    let mut starts = Vec::new();
    for conversation in 0..3 * weights * variants as u64 {
        let (scenario, variant) = deal(conversation);
        starts.extend((0..scenarios[scenario].count_turns()).map(|turn| (conversation, turn, scenario, variant)));
    }
    starts
}

proptest::proptest! {
    #[test]
    fn starts_are_numbered_without_holes_and_blocks_hold_each_pair_by_its_weight(
        kinds in proptest::collection::vec((1_u32..7, 1_usize..5), 1..5),
        variants in 1_usize..4,
        seed in 0_u64..1_000,
    ) {
        let turn = Turn { prompt: crate::profile::Prompt::Plain(Arc::from("Hello")), think: Default::default() };
        let scenario = |(weight, turns): &(u32, usize)| {
            Scenario { weight: *weight, ..Scenario::unnamed(vec![turn.clone(); *turns]) }
        };
        let scenarios: Vec<_> = kinds.iter().map(scenario).collect();
        let deal = Deal::new(&scenarios, variants, Seed(seed));
        let of = |number: u64| {
            let conversation = deal.conversation(number);
            (conversation.scenario_at, conversation.variant_at)
        };
        let starts = walked(&scenarios, variants, of);
        for (index, (number, turn, ..)) in starts.iter().enumerate() {
            let conversation = deal.holds(index as u64);
            proptest::prop_assert_eq!(conversation, deal.conversation(*number));
            proptest::prop_assert_eq!(conversation.index(*turn), index as u64);
        }
        let times = times(&scenarios);
        let block = times.iter().map(|times| *times as usize).sum::<usize>() * variants;
        let conversations: Vec<_> = deal.in_order().take(3 * block).collect();
        for (at, conversation) in conversations.iter().enumerate() {
            proptest::prop_assert_eq!(*conversation, deal.conversation(at as u64));
            let before = conversations[..at].iter().filter(|one| one.scenario_at == conversation.scenario_at).count();
            proptest::prop_assert_eq!(conversation.of_scenario, before as u64);
        }
        for block in conversations.chunks(block) {
            for (scenario_at, times) in times.iter().enumerate() {
                for variant_at in 0..variants {
                    let pair = |one: &&Conversation| (one.scenario_at, one.variant_at) == (scenario_at, variant_at);
                    proptest::prop_assert_eq!(block.iter().filter(pair).count(), *times as usize);
                }
            }
        }
    }
}

#[test]
fn scenarios_are_dealt_by_their_weights_exactly_in_an_order_drawn_for_each_block() {
    let plan = plan(MIXED);
    let name = |number: u64| {
        let planned = plan.start(&plan.conversation(number), 0);
        format!("{}-{}", planned.scenario, planned.variant)
    };
    // Weights of 6, 4 and 2 are as good as 3, 2 and 1: six conversations for each of two variants.
    let blocks: Vec<Vec<_>> = (0..50).map(|block| (block * 12..block * 12 + 12).map(name).collect()).collect();
    for block in &blocks {
        let count = |pair: &str| block.iter().filter(|one| *one == pair).count();
        let counts = ["ask-low", "ask-high", "book-low", "book-high", "report-low", "report-high"].map(count);
        assert_eq!(counts, [3, 3, 2, 2, 1, 1], "{block:?}");
    }
    assert!(blocks.windows(2).all(|pair| pair[0] != pair[1]), "each block has an order of its own");
}

#[test]
fn invocations_are_counted_as_starts_whatever_conversations_they_make() {
    let plan = plan(MIXED);
    assert_eq!(plan.planned(), Some(500));
    let conversations: Vec<_> = plan.in_order().collect();
    assert_eq!(plan.conversations(), Some(conversations.len() as u64));
    let last = conversations.last().expect("there are some");
    assert!(last.first_index < 500 && last.first_index + u64::from(last.turns) >= 500, "{last:?}");
    // A block is 12 conversations of 22 starts together, so 500 starts are 22 blocks and 16 starts.
    assert!((22 * 12..23 * 12).contains(&conversations.len()), "{}", conversations.len());
}

#[test]
fn a_scenario_takes_the_rows_of_its_own_feed_one_after_another() {
    let text = "why = \"test\"\nload.invocations = 40\nfeed.file = \"all.csv\"\n\
                [[scenario]]\nname = \"own\"\nweight = 2\nfeed.file = \"own.csv\"\nturn = [{ prompt = \"{{own}}\" }]\n\
                [[scenario]]\nname = \"other\"\nturn = [{ prompt = \"{{n}}\" }]\n";
    let mut read = |path: &Path| {
        let column = if path == Path::new("own.csv") { "own" } else { "n" };
        Ok((0..7).fold(format!("{column}\n"), |text, row| format!("{text}{column}{row}\n")))
    };
    let profile = Profile::parse_with("x.toml", text, Vec::new(), &mut read).expect("valid");
    let plan = Plan::new(&profile);
    let all: Vec<_> = (0..40).map(|index| plan.invocation(index)).collect();
    let own: Vec<_> = all.iter().filter(|at| &*at.scenario == "own").map(|at| at.prompt.to_string()).collect();
    assert!(own.iter().enumerate().all(|(at, prompt)| *prompt == format!("own{}", at % 7)), "{own:?}");
    assert!(
        all.iter().filter(|at| &*at.scenario == "other").all(|at| *at.prompt == *format!("n{}", at.conversation % 7))
    );
}

#[test]
fn a_place_in_the_plan_is_the_same_whoever_asks_and_when() {
    for text in [CHAT, LIVELY, MIXED] {
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
    for text in [CHAT, LIVELY, MIXED, &MIXED.replace("load.concurrency = 4", "load.rate = 90")] {
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
        assert!(replayed.in_order().eq(plan.in_order().map(|one| Conversation { of_scenario: 0, ..one })));
        let first = plan.invocation(0).prompt;
        let changed = again(&written.replacen(&*first, "Hi", 1)).expect("it is a plan");
        assert_ne!(changed.hash(), plan.hash(), "a changed plan is another one");
        assert_eq!(&*changed.invocation(0).prompt, "Hi");
        let cut_off = &written[..written.len() / 2];
        assert!(again(cut_off).is_err(), "half a line is no start");
    }
}

/// What `text` makes of a file, with these settings over it.
fn replay(text: &str, file: &str, settings: &[&str]) -> Result<Plan, String> {
    let settings = ["load.plan=plan.jsonl"].iter().chain(settings).map(|text| Override::set(text).expect("a key"));
    let read = &mut |_: &Path| Ok(file.to_owned());
    let profile = Profile::parse_with("x.toml", text, settings.collect(), read);
    profile.map(|profile| Plan::new(&profile)).map_err(|problems| problems.to_string())
}

fn written(plan: &Plan) -> String {
    let mut file = Vec::new();
    plan.write(u64::MAX, &mut file).expect("a vector takes it");
    String::from_utf8(file).expect("text")
}

#[test]
fn a_replay_that_makes_or_sends_anything_else_is_another_plan() {
    for (text, settings) in [
        (LIVELY, &["load.duration=\"1s\"", "user.after_failure=\"go_on\""][..]),
        (CHAT, &["load.concurrency=1", "load.ramp=\"1ms\"", "load.duration=\"9s\""]),
    ] {
        let plan = plan(text);
        let file = written(&plan);
        let same = replay(text, &file, &["load.workers=3", "load.invocations=5000", "load.drain=\"1s\""]);
        assert_eq!(same.map(|plan| plan.hash().to_owned()).as_deref(), Ok(plan.hash()));
        let others =
            ["load.invocations=4", "load.warmup=\"1ms\"", "request.llm_model_name=\"m\"", "request.title=\"t\""];
        for setting in others.iter().chain(settings) {
            let other = replay(text, &file, &[setting]).expect("it is a plan");
            assert_ne!(other.hash(), plan.hash(), "{setting}");
            let again = replay(text, &written(&other), &[setting]).expect("it is a plan");
            assert_eq!((again.hash(), again.planned()), (other.hash(), other.planned()), "{setting}");
        }
        let foot = file.lines().last().expect("it has a last line");
        assert_ne!(replay(text, &file.replace(foot, ""), &[]).expect("it is a plan").hash(), plan.hash());
    }
}

#[test]
fn a_plan_whose_lines_do_not_fit_its_head_is_refused() {
    let file = written(&plan(LIVELY));
    let foot = file.lines().last().expect("it has a last line");
    let told = |file: &str| replay(LIVELY, file, &[]).expect_err("it does not fit");
    let open = file.replace(foot, "");
    let told = [
        told(&file.replace("\"end_ns\":4000000000", "\"end_ns\":9000000000")),
        told(&file.replacen("\"hash\":\"fnv1a64:", "\"hash\":\"fnv1a64:0", 1)),
        told(&open.replace("\"end_ns\":4000000000", "\"end_ns\":1")),
        told(&open.replacen("\"think_ns\":0", "\"think_ns\":18446744073709551615", 1)),
        told(&open.replacen("\"intended_ns\":", "\"intended_ns\":9", 1)),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    --set: load.plan: read plan.jsonl: line 1: expected the head that was written with these lines, whose hash is fnv1a64:d16470e6c1964311, found another one: take the file as it was written, or remove its last line, which makes it a plan of its own
    --set: load.plan: read plan.jsonl: line 1: expected the head that was written with these lines, whose hash is fnv1a64:d16470e6c1964311, found another one: take the file as it was written, or remove its last line, which makes it a plan of its own
    --set: load.plan: read plan.jsonl: line 2: expected intended_ns before end_ns = 1 of the first line, found 29624554: take the line out, or take the file as it was written
    --set: load.plan: read plan.jsonl: line 2: expected think_ns of at most 4611686018427387903 (146 years), found 18446744073709551615
    --set: load.plan: read plan.jsonl: it goes back in time at instant 2 (counted from 1): 53216880 ns after 929624554 ns
    ");
}

#[test]
fn a_replay_ends_when_the_load_that_it_repeats_ended() {
    let two_turns =
        "why = \"test\"\nload.rate = 5\nturn = [{ prompt = \"Hi\" }, { prompt = \"Bye\", think = \"1s\" }]\n";
    let ends = |end: &str| {
        let text = format!("{two_turns}{end}");
        let other = format!("{two_turns}load.duration = \"1s\"\nload.invocations = 7");
        let mut written = Vec::new();
        plan(&text).write(u64::MAX, &mut written).expect("a vector takes it");
        let mut read = |_: &Path| Ok(String::from_utf8(written.clone()).expect("text"));
        let replay = || vec![Override::set("load.plan=plan.jsonl").expect("a known key")];
        let replayed = Profile::parse_with("x.toml", two_turns, replay(), &mut read).expect("it is a plan");
        let over_another = Profile::parse_with("x.toml", &other, replay(), &mut read).expect("it is a plan");
        assert_eq!(replayed.load, over_another.load, "what the file says of its end does not hold for another's plan");
        (replayed.load.invocations, replayed.load.duration_ns)
    };
    assert_eq!(ends("load.invocations = 20"), (Some(20), None), "its count does, whenever its turns come");
    assert_eq!(ends("load.duration = \"2s\""), (Some(20), Some(2_000_000_000)), "its time does");
}

#[test]
fn feeds_of_scenarios_are_shuffled_each_in_an_order_of_its_own() {
    let text = |name: &str| {
        format!(
            "why = \"test\"\nload.invocations = 40\n[[scenario]]\nname = \"{name}\"\n\
             feed = {{ file = \"a.csv\", order = \"shuffled\" }}\nturn = [{{ prompt = \"{{{{n}}}}\" }}]\n\
             [[scenario]]\nname = \"b\"\nfeed = {{ file = \"b.csv\", order = \"shuffled\" }}\n\
             turn = [{{ prompt = \"{{{{n}}}}\" }}]\n"
        )
    };
    let mut read = |_: &Path| Ok((0..20).fold("n\n".to_owned(), |text, row| format!("{text}{row}\n")));
    let profile = Profile::parse_with("x.toml", &text("a"), Vec::new(), &mut read).expect("valid");
    let plan = Plan::new(&profile);
    let of = |name: &str| {
        let own = (0..40).map(|index| plan.invocation(index)).filter(|at| &*at.scenario == name);
        own.map(|at| at.prompt.to_string()).collect::<Vec<_>>()
    };
    assert_ne!(of("a"), of("b"));
}

#[test]
fn a_plan_of_other_scenarios_is_not_replayed() {
    let line = |index: u64, conversation: u64, turn: u32, scenario: &str| {
        json!({"plan_index": index, "conversation": conversation, "turn": turn, "scenario": scenario, "variant": "low",
            "prompt": "Hi", "think_ns": 0})
    };
    let head = json!({"plimsoll_plan": 1, "hash": "x", "whole": true});
    let read = |lines: &[Value]| {
        let text: String = [head.clone()].iter().chain(lines).map(|line| format!("{line}\n")).collect();
        let profile = profile(MIXED);
        let names: Vec<_> = profile.variants.iter().map(|variant| Arc::clone(&variant.name)).collect();
        Replay::read(&text, &names, &profile.scenarios).map_or_else(|error| error.to_string(), |_| "it fits".to_owned())
    };
    let told = [
        read(&[line(0, 0, 0, "book"), line(1, 0, 1, "book")]),
        read(&[line(0, 0, 0, "chat")]),
        read(&[line(0, 0, 0, "")]),
        read(&[line(0, 0, 0, "report"), line(1, 0, 1, "book")]),
        read(&[line(0, 0, 0, "report"), line(1, 1, 0, "ask")]),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    it fits
    line 2: the profile has no scenario "chat"
    line 2: the profile has no scenario ""
    line 3: expected the start with plan_index 1: a conversation has one scenario
    line 3: expected the start with plan_index 1: the profile's conversations have another number of turns
    "#);
}

#[test]
fn the_hash_tells_plans_apart_and_knows_no_workers() {
    let hash = |text: &str| plan(text).hash().to_owned();
    // The literals are the promise: a bundle of today is still one plan with a bundle of next year.
    insta::assert_snapshot!(hash(CHAT), @"fnv1a64:7cf15503a9883576");
    insta::assert_snapshot!(hash(LIVELY), @"fnv1a64:73fa17285f410c2d");
    insta::assert_snapshot!(hash(MIXED), @"fnv1a64:14b9730d0a1b0425");
    for (old, new) in [("weight = 6", "weight = 5"), ("\"book\"", "\"reserve\""), ("Thanks.", "Thank you.")] {
        assert_ne!(hash(MIXED), hash(&MIXED.replace(old, new)), "{new}");
    }
    assert_eq!(hash(CHAT), hash(&CHAT.replace("[load]", "[load]\nworkers = 7")));
    for (old, new) in [("2s", "3s"), ("Hello", "Hi"), ("invocations = 5", "invocations = 6"), ("y = 2", "y = 3")] {
        assert_ne!(hash(CHAT), hash(&CHAT.replace(old, new)), "{new}");
    }
    assert_ne!(hash(CHAT), hash(&format!("seed = 2\n{CHAT}")));
    // Where the target is, is no part of a plan; that a variant asks another agent, and what is sent, are. Of what may be
    // secret the names alone are, so that nobody finds the value by trying.
    let with = |line: &str| hash(&format!("{line}\n{CHAT}"));
    assert_eq!(with("target.agent_id = \"other\""), hash(CHAT));
    assert_eq!(with("request.extra.pin = \"1234\""), with("request.extra.pin = \"4321\""));
    let others = [
        hash(CHAT),
        with("request.extra.pin = \"1234\""),
        with("request.extra.pins = \"1234\""),
        with("request.user_oidc_token = \"t\""),
        with("request.input.files = [\"https://files.example/a\"]"),
        with("variant = [{ name = \"base\", agent_id = \"other\" }]"),
    ];
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len(), "{others:?}");
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
