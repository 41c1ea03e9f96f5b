//! The streams that are measured: made from a seed, with the events that they must give.
//!
//! plimsoll's own tests include this file too, so that what is measured is also checked there.

use plimsoll::seed::{Rng, Seed};
use rand_core::Rng as _;

/// How large each stream is at least, in bytes.
const STREAM_BYTES: usize = 1 << 20;

/// A stream and the data of its events.
#[derive(Debug)]
pub struct Corpus {
    /// What it is called in the tables.
    pub name: &'static str,
    /// The bytes as a server sends them.
    pub stream: Vec<u8>,
    /// The data of each event, in order.
    pub payloads: Vec<String>,
    /// How many line ends an event has, each byte of them counted.
    pub line_ends: usize,
}

/// How a stream is cut into reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// One read.
    Whole,
    /// Reads of so many bytes.
    Reads(usize),
    /// Reads of 1 to 64 bytes, at random.
    Pieces,
}

impl Feed {
    /// All that are measured.
    pub const ALL: [Self; 4] = [Self::Whole, Self::Reads(16 * 1024), Self::Reads(1400), Self::Pieces];

    /// What it is called in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Reads(16_384) => "16 KiB reads",
            Self::Reads(_) => "1,400 B reads",
            Self::Pieces => "1–64 B pieces",
        }
    }

    /// The reads.
    #[must_use]
    pub fn cut(self, stream: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![stream],
            Self::Reads(bytes) => stream.chunks(bytes).collect(),
            Self::Pieces => {
                let (mut random, mut rest, mut pieces) = (Seed(1).stream("pieces", 0), stream, Vec::new());
                while !rest.is_empty() {
                    let (piece, tail) = rest.split_at((1 + below(&mut random, 64)).min(rest.len()));
                    pieces.push(piece);
                    rest = tail;
                }
                pieces
            }
        }
    }
}

/// The shape that nearly every server sends.
const PLAIN: Frame = Frame { before: "data: ", after: "\n\n" };

/// All corpora that are measured: five payloads in the shape that nearly every server sends, and the first of them in
/// two other shapes.
#[must_use]
pub fn all() -> Vec<Corpus> {
    let agent = |random: &mut Rng| vec![chunk(&words(random, 1, 4))];
    vec![
        Corpus::of("agent", PLAIN, agent),
        Corpus::of("large", PLAIN, |random| vec![chunk(&text(random, 3900))]),
        Corpus::of("tiny", PLAIN, |random| vec![format!(r#"{{"t":{}}}"#, 10 + below(random, 90))]),
        Corpus::of("openai", PLAIN, |random| vec![completion_chunk(&words(random, 1, 4))]),
        Corpus::of("tools", PLAIN, invocation),
        Corpus::of("agent, CRLF", Frame { before: "data: ", after: "\r\n\r\n" }, agent),
        Corpus::of("agent, named", Frame { before: "event: chunk\ndata: ", after: "\n\n" }, agent),
    ]
}

/// What stands around each payload.
#[derive(Debug, Clone, Copy)]
struct Frame {
    before: &'static str,
    after: &'static str,
}

impl Corpus {
    /// As many rounds of payloads as fill the size, each payload in an event of one `data` line.
    fn of(name: &'static str, frame: Frame, mut round: impl FnMut(&mut Rng) -> Vec<String>) -> Self {
        let frame_text = [frame.before, frame.after].concat();
        let line_ends = frame_text.matches(['\r', '\n']).count();
        let mut corpus = Self { name, stream: Vec::new(), payloads: Vec::new(), line_ends };
        let mut random = Seed(1).stream(name, 0);
        while corpus.stream.len() < STREAM_BYTES {
            for payload in round(&mut random) {
                corpus.stream.extend_from_slice(format!("{}{payload}{}", frame.before, frame.after).as_bytes());
                corpus.payloads.push(payload);
            }
        }
        corpus
    }

    /// The bytes of all its events' types; none where the payload has none.
    #[must_use]
    pub fn type_bytes(&self) -> usize {
        let name = |payload: &String| Some(payload.strip_prefix(r#"{"type":""#)?.find('"').expect("a closing quote"));
        self.payloads.iter().filter_map(name).sum()
    }
}

/// One event of the agent's stream: keys in the order of the vendor's own serialiser.
fn envelope(kind: &str, data: &str) -> String {
    format!(
        r#"{{"type":"{kind}","task_id":"02843b37-4d77-48a0-8da7-2c76afe54401","organization_id":"91fbe9bc-35b3-41e8-b59d-922fb5a0f031","time":"2026-11-23T14:30:51.182382Z","data":{data},"identity":null}}"#
    )
}

fn chunk(text: &str) -> String {
    envelope("chunk", &format!(r#""{text}""#))
}

fn completion_chunk(text: &str) -> String {
    format!(
        r#"{{"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,"model":"gpt-5","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
    )
}

/// One invocation that thinks, plans, calls three tools and answers: the shapes and sizes of the vendor's models.
fn invocation(random: &mut Rng) -> Vec<String> {
    let prompt = words(random, 10, 20);
    let mut events = vec![
        envelope("task_created", &task("pending", &prompt, "null")),
        envelope("task_updated", &task("executing", &prompt, "null")),
        envelope("plan_updated", &plan(random)),
    ];
    for call in 0..3 {
        let thought = text(random, 300);
        events.push(envelope("think", &tool_call(call, "think", &format!(r#"{{"input":{{"thought":"{thought}"}}}}"#))));
        let query = words(random, 3, 8);
        let payload = format!(r#"{{"payload":{{"body_params":{{"query":"{query}"}}}}}}"#);
        events.push(envelope("tool_call_request", &tool_call(call, "TavilyWebSearch", &payload)));
        let bytes = 500 + below(random, 3500);
        let mut result = tool_call(call, "TavilyWebSearch", &payload);
        result.truncate(result.len() - 1);
        let hits = text(random, bytes);
        events.push(envelope("tool_call_result", &format!(r#"{result},"result":"{hits}","is_error":false}}"#)));
    }
    let mut answer = String::new();
    for _ in 0..60 {
        let piece = words(random, 1, 4);
        events.push(chunk(&piece));
        answer.push_str(&piece);
    }
    events.push(envelope("task_finished", &task("completed", &prompt, &format!(r#""{answer}""#))));
    events
}

fn task(status: &str, prompt: &str, result: &str) -> String {
    format!(
        r#"{{"id":"02843b37-4d77-48a0-8da7-2c76afe54401","agent_id":"93a1cd50-0d52-4b9e-8c30-6a9c1e9c1f8b","organization_id":"91fbe9bc-35b3-41e8-b59d-922fb5a0f031","input":{{"text":"{prompt}","files":[],"user":null}},"status":"{status}","internal_status":null,"last_executed_node_id":null,"agent_version":"3","created_at":"2026-11-23T14:30:50.182382Z","started_at":null,"paused_at":null,"finished_at":null,"result":{result},"parent_execution":null,"sub_executions":[],"is_manually_stopped":false,"payload_extension":null,"hitl_request":null,"pending_eca_request":null,"source":"api","worker_id":null,"output_format":"text","output_schema":null,"events_streaming":false,"mcp_servers":[],"title":null,"think_mode":"default","disable_attachment_injection":false,"deep_planning":null,"execution_attempts":1,"tokens":{{"completion_tokens":512,"prompt_tokens":2048,"total_tokens":2560}},"llm_model_provider":"anthropic","llm_model_name":"claude-sonnet-4-6","llm_reasoning_effort":"medium"}}"#
    )
}

fn tool_call(call: u32, name: &str, payload: &str) -> String {
    format!(
        r#"{{"request_id":"7c0a2f64-95d8-4d0b-9d1f-0000000000{call:02}","operation_id":"{name}","tool_call_id":"call_{call}","graph_node_id":null,"tool_name":"{name}","payload":{payload},"reasoning":null,"plan_task_id":null}}"#
    )
}

fn plan(random: &mut Rng) -> String {
    let step = |id: u32, title: &str| format!(r#"{{"id":"{id}","title":"{title}","completed":false}}"#);
    let steps = [step(1, &words(random, 3, 6)), step(2, &words(random, 3, 6)), step(3, &words(random, 3, 6))];
    let steps = steps.join(",");
    format!(r#"{{"enabled":true,"enforce":false,"started":true,"question_raised":false,"tasks":[{steps}]}}"#)
}

/// Between `from` and `to` words, each after a space.
fn words(random: &mut Rng, from: usize, to: usize) -> String {
    const WORDS: [&str; 16] = [
        "the", "load", "line", "of", "an", "agent", "is", "measured", "by", "its", "slowest", "answer", "größer",
        "than", "you", "think",
    ];
    let count = from + below(random, to - from + 1);
    (0..count).map(|_| format!(" {}", WORDS[below(random, WORDS.len())])).collect()
}

/// Words up to about so many bytes, with a line break as JSON has it after some of them.
fn text(random: &mut Rng, bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(&words(random, 5, 15));
        text.push_str(r"\n");
    }
    text
}

/// A number below a bound that is far smaller than 2⁶⁴, so that the remainder's bias is of no matter.
fn below(random: &mut Rng, bound: usize) -> usize {
    usize::try_from(random.next_u64() % bound as u64).expect("the bound was a usize")
}
