//! Tool calls: requests paired with their results in one invocation, and the times of each tool over a run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::Record;
use super::summary::Row;
use crate::stats::Observation;

/// Tool calls that may be open at a time; further ones are not paired.
const OPEN_MAX: usize = 256;
/// Names that are told apart in one invocation; further ones are [`OTHER`].
pub const NAMES_MAX: usize = 32;
/// Calls whose times are kept of one invocation; further ones are only counted.
pub const CALLS_MAX: usize = 1_024;
/// The longest name, in characters; a longer one is cut.
const NAME_CHARS_MAX: usize = 64;
/// What names beyond the limit are called together.
pub const OTHER: &str = "other";
/// What a call without any name is called.
const UNNAMED: &str = "unnamed";

/// A time that belongs to a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolTime {
    /// The tool's name.
    pub name: Arc<str>,
    /// The time, in nanoseconds.
    pub ns: u64,
}

/// The tool calls of an invocation in flight.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// In the order in which they were opened.
    open: Vec<Open>,
    tools: Vec<ToolTime>,
    ended: Vec<ToolTime>,
    /// Room for the ids of the next calls.
    spare: Vec<String>,
}

#[derive(Debug)]
struct Open {
    request_id: String,
    /// Its place in `tools`.
    tool: usize,
    at_ns: u64,
}

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairing {
    /// Its request was open; the time of the call is kept.
    Paired,
    /// Its request was open, but so many calls were timed before that this one's time is not kept.
    Untimed,
    /// No such request was open.
    Unpaired,
}

impl Calls {
    /// A tool is called; says whether there was room for it.
    pub(super) fn request(&mut self, request_id: &str, name: &str, at_ns: u64) -> bool {
        let room = self.open.len() < OPEN_MAX;
        if room {
            let tool = self.tool(name);
            let mut id = self.spare.pop().unwrap_or_default();
            id.push_str(request_id);
            self.open.push(Open { request_id: id, tool, at_ns });
        }
        room
    }

    /// A tool has answered.
    pub(super) fn result(&mut self, request_id: &str, at_ns: u64) -> Pairing {
        let Some(place) = self.open.iter().rposition(|open| open.request_id == request_id) else {
            return Pairing::Unpaired;
        };
        // The order of the others tells which was opened last.
        let Open { request_id: mut id, tool, at_ns: from_ns } = self.open.remove(place);
        id.clear();
        self.spare.push(id);
        if self.ended.len() >= CALLS_MAX {
            return Pairing::Untimed;
        }
        let name = Arc::clone(&self.tools[tool].name);
        self.ended.push(ToolTime { name, ns: at_ns.saturating_sub(from_ns) });
        Pairing::Paired
    }

    /// Gives some time to the call that was opened last; says whether one is open.
    pub(super) fn spend(&mut self, span_ns: u64) -> bool {
        let Some(open) = self.open.last() else { return false };
        self.tools[open.tool].ns += span_ns;
        true
    }

    /// Calls that have no result yet.
    pub(super) fn open(&self) -> u64 {
        self.open.len() as u64
    }

    /// The time that [`spend`](Self::spend) gave to each tool, and the time of each call that has ended.
    pub(super) fn end(self) -> (Vec<ToolTime>, Vec<ToolTime>) {
        (self.tools, self.ended)
    }

    fn tool(&mut self, name: &str) -> usize {
        let name = match name.len() {
            0 => UNNAMED,
            // No more characters than bytes.
            1..=NAME_CHARS_MAX => name,
            _ => name.char_indices().nth(NAME_CHARS_MAX).map_or(name, |(end, _)| &name[..end]),
        };
        place(&mut self.tools, name, |tool| &tool.name, |name| ToolTime { name: Arc::from(name), ns: 0 })
    }
}

/// The calls of one tool, summed up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolSummary {
    /// The tool's name.
    pub name: String,
    /// All its paired calls, one sample a call.
    pub all: Row,
    /// Those of completed invocations.
    pub completed: Row,
}

/// The times of the calls of a run, by the tool's name.
#[derive(Debug, Default)]
pub(super) struct ToolSamples(Vec<OfTool>);

#[derive(Debug)]
struct OfTool {
    name: Arc<str>,
    /// The intended start of the invocation, and the call's time, in nanoseconds: of completed invocations.
    completed: Vec<(u64, u64)>,
    /// Of the other ones.
    other: Vec<(u64, u64)>,
}

impl ToolSamples {
    /// The calls of one more invocation.
    pub(super) fn take(&mut self, record: &Record) {
        for call in &record.calls {
            let of = self.of(&call.name);
            let samples = if record.outcome.is_completed() { &mut of.completed } else { &mut of.other };
            samples.push((record.stamps.intended_ns, call.ns));
        }
    }

    /// What the calls of several together come to, by the tool's name.
    pub(super) fn summaries(several: &[Self]) -> Vec<ToolSummary> {
        let mut names: Vec<_> = several.iter().flat_map(|one| &one.0).map(|of| &of.name).collect();
        names.sort();
        names.dedup();
        let summary = |name: &Arc<str>| {
            let of = || several.iter().flat_map(|one| &one.0).filter(|of| of.name == *name);
            let mut samples: Vec<_> = of().flat_map(|of| &of.completed).copied().collect();
            let completed = row(&mut samples);
            samples.extend(of().flat_map(|of| &of.other));
            ToolSummary { name: name.to_string(), all: row(&mut samples), completed }
        };
        names.into_iter().map(summary).collect()
    }

    fn of(&mut self, name: &str) -> &mut OfTool {
        let new = |name: &str| OfTool { name: Arc::from(name), completed: Vec::new(), other: Vec::new() };
        let at = place(&mut self.0, name, |of| &of.name, new);
        &mut self.0[at]
    }
}

/// What samples with the intended starts of their invocations come to.
fn row(samples: &mut [(u64, u64)]) -> Row {
    // Stable: the calls of one invocation stay in their order.
    samples.sort_by_key(|(intended_ns, _)| *intended_ns);
    Row::of(samples.iter().map(|(_, ns)| Observation::Seen(*ns)))
}

/// The place of what bears this name; it is added when it is new and there is room, else it is [`OTHER`].
pub(super) fn place<T>(
    known: &mut Vec<T>,
    name: &str,
    name_of: impl Fn(&T) -> &str,
    new: impl FnOnce(&str) -> T,
) -> usize {
    let find = |known: &[T], name: &str| known.iter().position(|one| name_of(one) == name);
    if let Some(at) = find(known, name) {
        return at;
    }
    let name = if known.len() + 1 < NAMES_MAX { name } else { OTHER };
    find(known, name).unwrap_or_else(|| {
        known.push(new(name));
        known.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(times: &[ToolTime]) -> Vec<(&str, u64)> {
        times.iter().map(|time| (&*time.name, time.ns)).collect()
    }

    #[test]
    fn results_find_their_requests_whatever_the_order() {
        let mut calls = Calls::default();
        assert!(
            calls.request("a", "search", 10) && calls.request("b", "fetch", 20) && calls.request("c", "search", 30)
        );
        assert_eq!(calls.result("a", 40), Pairing::Paired);
        assert!(calls.spend(5), "c is still open, and was opened last");
        assert_eq!(calls.result("c", 50), Pairing::Paired);
        assert!(calls.spend(7));
        assert_eq!(calls.result("c", 60), Pairing::Unpaired);
        assert_eq!(calls.open(), 1);
        let (tools, ended) = calls.end();
        assert_eq!(told(&tools), [("search", 5), ("fetch", 7)]);
        assert_eq!(told(&ended), [("search", 30), ("search", 20)]);
    }

    #[test]
    fn names_and_calls_have_limits() {
        let mut calls = Calls::default();
        for index in 0..OPEN_MAX {
            assert!(calls.request(&index.to_string(), &format!("tool {index}"), 0));
        }
        assert!(!calls.request("one more", "tool 0", 0));
        let (tools, _) = calls.end();
        assert_eq!((tools.len(), &*tools[NAMES_MAX - 1].name), (NAMES_MAX, OTHER));
        let mut calls = Calls::default();
        for _ in 0..CALLS_MAX {
            calls.request("r", "", 0);
            assert_eq!(calls.result("r", 1), Pairing::Paired);
        }
        calls.request("r", &"ü".repeat(100), 0);
        assert_eq!(calls.result("r", 1), Pairing::Untimed);
        let (tools, ended) = calls.end();
        assert_eq!((&*tools[0].name, &*tools[1].name), (UNNAMED, &*"ü".repeat(NAME_CHARS_MAX)));
        assert_eq!(ended.len(), CALLS_MAX);
    }
}
