//! What an invocation does at each instant: exactly one label from `started` to its end (METRICS.md, "Decomposition").
//!
//! A pure state machine over the events that carry a meaning. Events without one (unknown types, other tasks, types
//! without a part in any metric) are not shown to it, so they change no label. Whether the time after a chunk is
//! `answer`, `closing` or `model` shows only with what comes next, so it is held back until then.

use super::parts::PartTimes;
use super::tools::{Calls, Pairing, ToolTime};

/// What an event means for the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The task was created or changed; it may be executed from here on.
    Task {
        /// It is.
        executing: bool,
    },
    /// The agent is at work, and nothing more is said: a chunk without text.
    Sign,
    /// A piece of the answer; the gap before it was a stall or none.
    Chunk {
        /// It was.
        stalled: bool,
    },
    /// Think, analyze or plan.
    Thinking,
    /// A sub-agent was triggered.
    SubAgent,
    /// A login is asked for, or that is over.
    Auth {
        /// It is asked for.
        open: bool,
    },
    /// A tool was called, or has answered.
    Tool,
}

/// How far an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Wait,
    Queue,
    Work,
}

/// The last event that says what the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// None, or one that says nothing about what follows it.
    Nothing,
    Chunk,
    Thinking,
    SubAgent,
}

/// The labels of an invocation in flight.
///
/// What comes first is all that a chunk after a chunk touches, as almost every event is: its place is part of the promise
/// that ten thousand streams cost an event hardly more than a hundred.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Labeller {
    /// Everything before has its label.
    mark_ns: u64,
    /// The answer since the last event that was no chunk: it is not in `times` yet, nor in `at_chunk`.
    run_ns: u64,
    /// The last event was a chunk, no tool call is open, and `at_chunk` is up to date: another chunk only adds to the run.
    in_run: bool,
    times: PartTimes,
    /// The parts of the gaps that were stalls.
    stalled: PartTimes,
    /// The times at the last chunk.
    at_chunk: PartTimes,
    stage: Stage,
    last: Last,
    auth_open: bool,
    chunk_seen: bool,
    /// After a chunk and under no other label: `model` when another one comes, else `closing`.
    held_back_ns: u64,
    sent_ns: Option<u64>,
    calls: Calls,
}

/// The labels of an invocation that has ended.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    pub(super) times: PartTimes,
    pub(super) stalled: PartTimes,
    pub(super) tools: Vec<ToolTime>,
    pub(super) calls: Vec<ToolTime>,
}

impl Labeller {
    /// What a chunk after a chunk touches.
    pub(super) const TOUCHED_BYTES: usize = std::mem::offset_of!(Self, times);

    /// An invocation that was taken up at `started_ns`.
    pub(super) fn new(started_ns: u64) -> Self {
        Self {
            mark_ns: started_ns,
            run_ns: 0,
            in_run: false,
            times: PartTimes::default(),
            stalled: PartTimes::default(),
            at_chunk: PartTimes::default(),
            stage: Stage::Wait,
            last: Last::Nothing,
            auth_open: false,
            chunk_seen: false,
            held_back_ns: 0,
            sent_ns: None,
            calls: Calls::default(),
        }
    }

    /// When the request went out; the last word counts until the first event.
    pub(super) fn sent(&mut self, sent_ns: Option<u64>) {
        self.sent_ns = sent_ns;
    }

    /// An event that means something. Instants never go back.
    #[inline]
    pub(super) fn event(&mut self, at_ns: u64, step: Step) {
        if self.in_run && step == (Step::Chunk { stalled: false }) {
            let at_ns = at_ns.max(self.mark_ns);
            self.run_ns += at_ns - std::mem::replace(&mut self.mark_ns, at_ns);
            return;
        }
        self.event_of_any_kind(at_ns, step);
    }

    fn event_of_any_kind(&mut self, at_ns: u64, step: Step) {
        let stage = match step {
            Step::Task { executing: false } => Stage::Queue,
            _ => Stage::Work,
        };
        let says_nothing_new = matches!(step, Step::Task { .. } | Step::Sign) && stage <= self.stage;
        if says_nothing_new {
            return;
        }
        self.end_run();
        self.label_until(at_ns, matches!(step, Step::Chunk { .. }));
        self.stage = self.stage.max(stage);
        self.last = match step {
            Step::Chunk { .. } => Last::Chunk,
            Step::Thinking => Last::Thinking,
            Step::SubAgent => Last::SubAgent,
            Step::Task { .. } | Step::Sign | Step::Auth { .. } | Step::Tool => Last::Nothing,
        };
        match step {
            Step::Auth { open } => self.auth_open = open,
            Step::Chunk { stalled } => self.chunk(stalled),
            _ => {}
        }
    }

    /// A tool is called; says whether the call can be paired.
    pub(super) fn tool_request(&mut self, at_ns: u64, request_id: &str, name: &str) -> bool {
        self.event(at_ns, Step::Tool);
        self.calls.request(request_id, name, at_ns)
    }

    /// A tool has answered.
    pub(super) fn tool_result(&mut self, at_ns: u64, request_id: &str) -> Pairing {
        self.event(at_ns, Step::Tool);
        self.calls.result(request_id, at_ns)
    }

    /// Tool calls without a result.
    pub(super) fn open_calls(&self) -> u64 {
        self.calls.open()
    }

    /// The invocation ended.
    pub(super) fn end(mut self, at_ns: u64) -> Labelled {
        self.end_run();
        self.label_until(at_ns, false);
        self.times.closing_ns += self.held_back_ns;
        let (tools, calls) = self.calls.end();
        Labelled { times: self.times, stalled: self.stalled, tools, calls }
    }

    fn chunk(&mut self, stalled: bool) {
        self.times.model_ns += std::mem::take(&mut self.held_back_ns);
        if stalled && self.chunk_seen {
            self.stalled.add_between(&self.at_chunk, &self.times);
        }
        self.at_chunk = self.times;
        self.chunk_seen = true;
        self.in_run = self.calls.open() == 0;
    }

    fn end_run(&mut self) {
        let run_ns = std::mem::take(&mut self.run_ns);
        self.times.answer_ns += run_ns;
        self.at_chunk.answer_ns += run_ns;
        self.in_run = false;
    }

    fn label_until(&mut self, at_ns: u64, to_chunk: bool) {
        let at_ns = at_ns.max(self.mark_ns);
        let from_ns = std::mem::replace(&mut self.mark_ns, at_ns);
        match self.stage {
            Stage::Wait => {
                let sent_ns = self.sent_ns.unwrap_or(at_ns).clamp(from_ns, at_ns);
                self.times.connect_ns += sent_ns - from_ns;
                self.times.wait_ns += at_ns - sent_ns;
            }
            Stage::Queue => self.times.queue_ns += at_ns - from_ns,
            Stage::Work => self.work(at_ns - from_ns, to_chunk),
        }
    }

    /// The first label that holds.
    fn work(&mut self, span_ns: u64, to_chunk: bool) {
        let times = &mut self.times;
        let label = match self.last {
            _ if self.calls.spend(span_ns) => &mut times.tool_ns,
            Last::SubAgent => &mut times.sub_agent_ns,
            Last::Chunk if to_chunk => &mut times.answer_ns,
            Last::Thinking => &mut times.thinking_ns,
            _ if self.auth_open => &mut times.auth_ns,
            _ if self.chunk_seen => &mut self.held_back_ns,
            _ => &mut times.model_ns,
        };
        *label += span_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Part;
    use proptest::prelude::*;

    /// An event as the naive twin sees it.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Event {
        Step(Step),
        Request(u8),
        Result(u8),
    }

    const NAMES: [&str; 2] = ["search", "fetch"];

    /// A stream: when it was sent, its events in order of time, and its end. It starts at 100.
    #[derive(Debug, Clone)]
    struct Stream {
        sent_ns: Option<u64>,
        events: Vec<(u64, Event)>,
        end_ns: u64,
    }

    const STARTED_NS: u64 = 100;

    fn label(stream: &Stream) -> Labelled {
        let mut labeller = Labeller::new(STARTED_NS);
        labeller.sent(stream.sent_ns);
        for (at_ns, event) in &stream.events {
            match event {
                Event::Step(step) => labeller.event(*at_ns, *step),
                Event::Request(id) => {
                    labeller.tool_request(*at_ns, &id.to_string(), NAMES[usize::from(*id) % 2]);
                }
                Event::Result(id) => {
                    labeller.tool_result(*at_ns, &id.to_string());
                }
            }
        }
        labeller.end(stream.end_ns)
    }

    /// The naive twin: the label of an instant, by looking at the whole stream; with the tool's name.
    fn label_at(stream: &Stream, at_ns: u64) -> (Part, Option<&'static str>) {
        let before = stream.events.iter().take_while(|(event_ns, _)| *event_ns <= at_ns).count();
        let (past, future) = stream.events.split_at(before);
        let silent = |event: &Event| matches!(event, Event::Step(Step::Task { .. } | Step::Sign));
        let is_chunk = |event: &Event| matches!(event, Event::Step(Step::Chunk { .. }));
        if past.is_empty() {
            let sent = stream.sent_ns.is_some_and(|sent_ns| sent_ns <= at_ns);
            return (if sent { Part::Wait } else { Part::Connect }, None);
        }
        let at_work = |event: &Event| *event != Event::Step(Step::Task { executing: false });
        if !past.iter().any(|(_, event)| at_work(event)) {
            return (Part::Queue, None);
        }
        let mut open: Vec<u8> = Vec::new();
        for (_, event) in past {
            match event {
                Event::Request(id) => open.push(*id),
                Event::Result(id) => {
                    if let Some(at) = open.iter().rposition(|open| open == id) {
                        open.remove(at);
                    }
                }
                Event::Step(_) => {}
            }
        }
        if let Some(id) = open.last() {
            return (Part::Tool, Some(NAMES[usize::from(*id) % 2]));
        }
        let last = past.iter().rev().map(|(_, event)| event).find(|event| !silent(event));
        let next = future.iter().map(|(_, event)| event).find(|event| !silent(event));
        let auth = past.iter().rev().find_map(|(_, event)| match event {
            Event::Step(Step::Auth { open }) => Some(*open),
            _ => None,
        });
        let part = match last {
            Some(Event::Step(Step::SubAgent)) => Part::SubAgent,
            Some(last) if is_chunk(last) && next.is_some_and(is_chunk) => Part::Answer,
            Some(Event::Step(Step::Thinking)) => Part::Thinking,
            _ if auth == Some(true) => Part::Auth,
            _ if past.iter().any(|(_, event)| is_chunk(event)) && !future.iter().any(|(_, event)| is_chunk(event)) => {
                Part::Closing
            }
            _ => Part::Model,
        };
        (part, None)
    }

    /// Labels every nanosecond by itself.
    fn label_naively(stream: &Stream) -> (PartTimes, [u64; 2], PartTimes) {
        let (mut times, mut by_name, mut stalled) = (PartTimes::default(), [0; 2], PartTimes::default());
        let chunks: Vec<_> = stream
            .events
            .iter()
            .filter_map(|(at_ns, event)| match event {
                Event::Step(Step::Chunk { stalled }) => Some((*at_ns, *stalled)),
                _ => None,
            })
            .collect();
        for at_ns in STARTED_NS..stream.end_ns {
            let (part, tool) = label_at(stream, at_ns);
            *times.of_mut(part) += 1;
            if let Some(tool) = tool {
                by_name[usize::from(tool == NAMES[1])] += 1;
            }
            let in_stall = chunks.windows(2).any(|pair| (pair[0].0..pair[1].0).contains(&at_ns) && pair[1].1);
            if in_stall {
                *stalled.of_mut(part) += 1;
            }
        }
        (times, by_name, stalled)
    }

    fn streams() -> impl Strategy<Value = Stream> {
        let step = prop_oneof![
            prop::sample::select(vec![
                Step::Task { executing: false },
                Step::Task { executing: true },
                Step::Sign,
                Step::Thinking,
                Step::SubAgent,
                Step::Auth { open: true },
                Step::Auth { open: false },
                Step::Tool,
            ])
            .prop_map(Event::Step),
            any::<bool>().prop_map(|stalled| Event::Step(Step::Chunk { stalled })),
            any::<bool>().prop_map(|stalled| Event::Step(Step::Chunk { stalled })),
            (0_u8..4).prop_map(Event::Request),
            (0_u8..4).prop_map(Event::Result),
        ];
        let events = prop::collection::vec((0_u64..6, step), 0..24);
        (prop::option::of(0_u64..9), events, 0_u64..6).prop_map(|(sent, events, tail)| {
            let sent_ns = sent.map(|after| STARTED_NS + after);
            let mut at_ns = sent_ns.unwrap_or(STARTED_NS);
            let events: Vec<_> = events
                .into_iter()
                .map(|(wait, event)| {
                    at_ns += wait;
                    (at_ns, event)
                })
                .collect();
            Stream { sent_ns, events, end_ns: at_ns + tail }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_048))]

        #[test]
        fn every_instant_has_the_label_that_the_whole_stream_gives_it(stream in streams()) {
            let labelled = label(&stream);
            let (times, by_name, stalled) = label_naively(&stream);
            prop_assert_eq!(labelled.times, times);
            prop_assert_eq!(labelled.stalled, stalled);
            prop_assert_eq!(labelled.times.sum_ns(), stream.end_ns - STARTED_NS);
            let of = |name: &str| labelled.tools.iter().find(|tool| &*tool.name == name).map_or(0, |tool| tool.ns);
            prop_assert_eq!(NAMES.map(of), by_name);
        }
    }

    #[test]
    fn a_plain_invocation_is_taken_apart() {
        let events = [
            (120, Event::Step(Step::Task { executing: false })),
            (150, Event::Step(Step::Task { executing: true })),
            (151, Event::Step(Step::Thinking)),
            (200, Event::Request(0)),
            (300, Event::Result(0)),
            (380, Event::Step(Step::Chunk { stalled: false })),
            (400, Event::Step(Step::Chunk { stalled: false })),
        ];
        let labelled = label(&Stream { sent_ns: Some(105), events: events.to_vec(), end_ns: 407 });
        let told: Vec<_> = labelled.times.each().map(|(part, ns)| format!("{} {ns}", part.name())).collect();
        assert_eq!(
            told.join(", "),
            "connect 5, wait 15, queue 30, model 81, thinking 49, tool 100, answer 20, closing 7"
        );
    }

    #[test]
    fn an_invocation_that_never_sent_was_connecting_all_the_time() {
        let labelled = label(&Stream { sent_ns: None, events: Vec::new(), end_ns: 130 });
        assert_eq!(labelled.times, PartTimes { connect_ns: 30, ..PartTimes::default() });
    }

    #[test]
    fn a_stall_is_told_by_what_went_on_in_it() {
        let events = [
            (110, Event::Step(Step::Chunk { stalled: false })),
            (120, Event::Request(1)),
            (190, Event::Result(1)),
            (200, Event::Step(Step::Chunk { stalled: true })),
            (300, Event::Step(Step::Chunk { stalled: true })),
        ];
        let labelled = label(&Stream { sent_ns: Some(100), events: events.to_vec(), end_ns: 300 });
        let stalled = PartTimes { tool_ns: 70, model_ns: 20, answer_ns: 100, ..PartTimes::default() };
        assert_eq!(labelled.stalled, stalled);
    }
}
