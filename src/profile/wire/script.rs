//! `[mock]`, and script files, which are the same table on its own.

use std::path::PathBuf;

use super::document::{self, Node, Value};
use super::form::Form;
use super::in_order;
use super::problem::{Fault, Origin, Problem, Problems};
use crate::profile::script::{
    Access, Busy, Effect, Fault as Planted, FaultKind, HangUp, Replay, Scale, Script, Service, Shape, SubAgent, Tool,
    Writes,
};
use crate::units::{NS_PER_MS, NS_PER_S};

/// What holds when a profile says nothing about the mock.
const BUILT_IN: &str = include_str!("../../../profiles/mock/agent.toml");

/// The section's name, which a script file's own keys go without.
const SECTION: &str = "mock";

impl Script {
    /// The script that holds when none is given.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse("profiles/mock/agent.toml", BUILT_IN).expect("a test reads the built-in script")
    }

    /// Reads a script file: `file` is what its text is called in errors.
    ///
    /// # Errors
    /// Every mistake that was found, each with its line, its key, and what to write instead.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let refuse = |list| Problems { file: file.to_owned(), list };
        let table = document::parse(text).map_err(refuse)?;
        let root = Node { origin: Origin::File(1), value: Value::Table(vec![(SECTION.to_owned(), table)]) };
        let mut form = Form::of(&root);
        if form.text("mock.why").is_none() && form.clean("mock.why") {
            let remedy = "say why this script exists, as why = \"…\"";
            form.report(None, "mock.why", Fault::Missing { remedy });
        }
        let script = written(&mut form);
        if form.problems.is_empty() {
            return Ok(script);
        }
        Err(refuse(in_order(form.problems.into_iter().map(without_section).collect())))
    }
}

/// The mistake as it stands in a script file, whose keys go without the section's name.
fn without_section(mut problem: Problem) -> Problem {
    let short = |key: &str| key.strip_prefix("mock.").unwrap_or(key).to_owned();
    problem.key = short(&problem.key);
    if let Fault::Unknown { nearest } = &mut problem.fault {
        // Keys of other sections are of no use in a script.
        *nearest = nearest.take().filter(|key| key.starts_with("mock.")).map(|key| short(&key));
    }
    problem
}

/// Reads the script of a profile; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form) -> Script {
    if form.has_section(SECTION) { written(form) } else { Script::built_in() }
}

fn written(form: &mut Form) -> Script {
    let spread = |key: &str| form.spread(&format!("mock.{key}")).unwrap_or_default();
    Script {
        why: form.text("mock.why"),
        headers: spread("headers"),
        created: spread("created"),
        queue: spread("queue"),
        think_steps: spread("think_steps"),
        think: spread("think"),
        tools: (0..form.len("mock.tool")).map(|index| tool(form, index)).collect(),
        sub_agents: (0..form.len("mock.sub_agent")).map(|index| sub_agent(form, index)).collect(),
        first_chunk: spread("first_chunk"),
        chunks: spread("chunks"),
        chunk_chars: spread("chunk_chars"),
        gap: spread("gap"),
        closing: spread("closing"),
        result_chars: form.spread("mock.result_chars"),
        writes: match form.text("mock.writes").as_deref() {
            Some("together") => Writes::Together,
            _ => Writes::Each,
        },
        ping_ns: form.number("mock.ping"),
        effects: (0..form.len("mock.effect")).map(|index| effect(form, index)).collect(),
        slower_per_turn: form.amount("mock.slower_per_turn").unwrap_or_default(),
        service: service(form),
        shape: shape(form),
        access: Access {
            accept: form.texts("mock.access.accept"),
            forbid: form.texts("mock.access.forbid"),
            agents: form.texts("mock.access.agents"),
        },
        replay: replay(form),
        faults: (0..form.len("mock.fault")).filter_map(|index| fault(form, index)).collect(),
    }
}

fn tool(form: &Form, index: usize) -> Tool {
    let key = |name: &str| format!("mock.tool[{index}].{name}");
    let spread = |name: &str| form.spread(&key(name)).unwrap_or_default();
    Tool {
        name: form.text(&key("name")).unwrap_or_default(),
        probability: form.amount(&key("probability")).unwrap_or_default(),
        calls: spread("calls"),
        time: spread("time"),
        result_chars: spread("result_chars"),
        error_probability: form.amount(&key("error_probability")).unwrap_or_default(),
    }
}

fn sub_agent(form: &Form, index: usize) -> SubAgent {
    let key = |name: &str| format!("mock.sub_agent[{index}].{name}");
    SubAgent {
        name: form.text(&key("name")).unwrap_or_default(),
        probability: form.amount(&key("probability")).unwrap_or_default(),
        time: form.spread(&key("time")).unwrap_or_default(),
    }
}

fn effect(form: &Form, index: usize) -> Effect {
    const CONDITIONS: [&str; 6] =
        ["llm_model_provider", "llm_model_name", "llm_reasoning_effort", "think_mode", "version", "agent_id"];
    let when = CONDITIONS.iter().filter_map(|field| {
        let value = form.text(&format!("mock.effect[{index}].when.{field}"))?;
        Some(((*field).to_owned(), value))
    });
    let factor = |name: &str| form.amount(&format!("mock.effect[{index}].scale.{name}")).unwrap_or(1.0);
    Effect {
        when: when.collect(),
        from_turn: form.number(&format!("mock.effect[{index}].from_turn")).unwrap_or_default(),
        scale: Scale {
            time: factor("time"),
            queue: factor("queue"),
            think_steps: factor("think_steps"),
            think: factor("think"),
            tool: factor("tool"),
            first_chunk: factor("first_chunk"),
            chunks: factor("chunks"),
            gap: factor("gap"),
            closing: factor("closing"),
        },
    }
}

fn service(form: &mut Form) -> Service {
    let slots = form.number("mock.service.slots");
    for needs_slots in ["queue_max", "stretch", "cold_start"] {
        let key = format!("mock.service.{needs_slots}");
        if slots.is_none() && form.clean("mock.service.slots") && form.origin(&key).is_some() {
            let reason = "without mock.service.slots there is no limit that it could belong to".into();
            form.contradiction(&key, reason, "set slots = 8 in the same table, or remove it");
        }
    }
    Service {
        slots: slots.map(|slots| u32::try_from(slots).expect("the table of keys keeps it within 32 bits")),
        queue_max: form.number("mock.service.queue_max"),
        overflow: status(form, "mock.service.overflow"),
        stretch: form.amount("mock.service.stretch").unwrap_or_default(),
        rate: form.amount("mock.service.rate"),
        burst: form.number_or_default("mock.service.burst"),
        cold_start: form.spread("mock.service.cold_start").unwrap_or_default(),
        warm_ns: form.number_or_default("mock.service.warm"),
    }
}

fn status(form: &Form, key: &str) -> u16 {
    u16::try_from(form.number(key).unwrap_or_default()).expect("the table of keys keeps it a status")
}

fn shape(form: &Form) -> Shape {
    let is = |key: &str, word: &str| form.text(key).as_deref() == Some(word);
    Shape {
        connected: form.flag("mock.shape.connected"),
        think_text: form.flag("mock.shape.think_text"),
        identity: form.flag("mock.shape.identity"),
        trim_result: form.flag("mock.shape.trim_result"),
        unknown_agent: status(form, "mock.shape.unknown_agent"),
        busy: if is("mock.shape.busy", "refuse") { Busy::Refuse } else { Busy::Interleave },
        nested_detail: form.flag("mock.shape.nested_detail"),
        hang_up: if is("mock.shape.hang_up", "stop") { HangUp::Stop } else { HangUp::Continue },
    }
}

fn replay(form: &mut Form) -> Option<Replay> {
    let files = form.texts("mock.replay.files");
    if files.is_empty() {
        if form.origin("mock.replay.speed").is_some() && form.clean("mock.replay.files") {
            let remedy = "name what is replayed, as files = [\"…\"] in the same table";
            form.report(None, "mock.replay.files", Fault::Missing { remedy });
        }
        return None;
    }
    let speed = form.amount("mock.replay.speed").unwrap_or(1.0);
    Some(Replay { files: files.into_iter().map(PathBuf::from).collect(), speed })
}

fn fault(form: &mut Form, index: usize) -> Option<Planted> {
    let key = |name: &str| format!("mock.fault[{index}].{name}");
    let kind = FaultKind::of(&form.text(&key("kind"))?)?;
    let at = form.numbers(&key("at"));
    let otherwise = if form.origin(&key("at")).is_some() { 0.0 } else { 1.0 };
    let delay_ns = form.number(&key("delay")).unwrap_or(match kind {
        FaultKind::SlowHeaders => NS_PER_S,
        FaultKind::Drip => NS_PER_MS,
        FaultKind::Hold => 100 * NS_PER_MS,
        _ => 0,
    });
    Some(Planted {
        kind,
        at,
        probability: form.amount(&key("probability")).unwrap_or(otherwise),
        after_events: form.number(&key("after_events"))?,
        delay_ns,
        bytes: form.number(&key("bytes"))?,
        status: u16::try_from(form.number(&key("status"))?).expect("the table of keys keeps it a status"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::script::Distribution;

    fn script(text: &str) -> Script {
        Script::parse("x.toml", &format!("why = \"a test\"\n{text}")).expect("a valid script")
    }

    #[test]
    fn the_built_in_script_is_valid_and_says_why() {
        assert!(Script::built_in().why.is_some());
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let plain = script("");
        assert_eq!(plain.first_chunk, Distribution::Constant(250e6));
        assert_eq!((plain.gap, plain.chunks), (Distribution::Constant(20e6), Distribution::Constant(36.0)));
        assert_eq!((plain.think_steps, plain.tools.len(), plain.faults.len()), (Distribution::default(), 0, 0));
    }

    #[test]
    fn mistakes_in_a_script_name_file_line_key_and_remedy() {
        let told = Script::parse(
            "scripts/x.toml",
            r#"
gap = 20
first_chunk = { lognormal = { median = "2s", p99 = "1s" } }
queue = { normal = "1s" }
chunks = { uniform = ["a", 5] }
created = { mixture = [{ weight = 0, of = "1s" }] }
headers = { list = [] }
think = { exponential = "1s", uniform = ["1s", "2s"] }
gaps = "20ms"
[[tool]]
time = "1s"
[[fault]]
kind = "explode"
[[fault]]
kind = "stall"
probability = 2
[service]
queue_max = 3
overflow = 500
[replay]
speed = 2
"#,
        );
        insta::assert_snapshot!(told.expect_err("full of mistakes"), @r#"
        scripts/x.toml:2: gap: expected a duration such as "250ms", or a distribution of them such as { exponential = "20ms" }, found 20
        scripts/x.toml:3: first_chunk: expected lognormal = { median = …, p99 = … } with 0 < median ≤ p99, found a table
        scripts/x.toml:4: queue: expected one of uniform, exponential, lognormal, mixture, list, found a table
        scripts/x.toml:5: chunks: expected uniform = { low = …, high = … }, each a whole number up to 10000000, found a list
        scripts/x.toml:6: created: expected mixture = a list of { weight = 9, of = … } with weights over 0, found a list
        scripts/x.toml:7: headers: expected list = one or more values, each a duration such as "20ms", found a list
        scripts/x.toml:8: think: expected a table with one key, the distribution's name, found a table
        scripts/x.toml:9: gaps: unknown key; did you mean gap?
        scripts/x.toml:13: fault[0].kind: expected one of "refuse", "reset_before_headers", "never_answer", "slow_headers", "status", "redirect", "empty", "wrong_content_type", "error_body", "garbage", "bad_framing", "reset_in_stream", "end_early", "stall", "malformed_json", "huge_event", "unknown_event", "foreign_task", "after_end", "duplicate_finish", "failed", "error", "stopped", "wrong_answer", "empty_answer", "connected", "drip", "buffer", "hold", "split_utf8", "split_line_end", "cr", "crlf", "comments", "fields", found "explode"
        scripts/x.toml:16: fault[1].probability: expected a number from 0 to 1, found 2
        scripts/x.toml:18: service.queue_max: without mock.service.slots there is no limit that it could belong to; set slots = 8 in the same table, or remove it
        scripts/x.toml:19: service.overflow: expected one of 429, 503, found 500
        scripts/x.toml: tool[0].name: missing: each tool has a name, as name = "…"
        scripts/x.toml: why: missing: say why this script exists, as why = "…"
        scripts/x.toml: replay.files: missing: name what is replayed, as files = ["…"] in the same table
        "#);
    }

    #[test]
    fn a_fault_without_a_place_always_happens() {
        let chance = |text: &str| script(&format!("[[fault]]\nkind = \"stall\"\n{text}")).faults[0].probability;
        assert!((chance("") - 1.0).abs() < f64::EPSILON);
        assert!(chance("at = [3]").abs() < f64::EPSILON);
        assert!((chance("at = [3]\nprobability = 0.5") - 0.5).abs() < f64::EPSILON);
    }
}
