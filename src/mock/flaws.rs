//! What goes wrong with one invocation: the script's faults, decided for a plan index.

use crate::profile::script::{Fault, FaultKind, Script, distribution::unit};
use crate::seed::Seed;
use crate::sse::LineEnd;

/// Where an event is cut into two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    InsideCharacter,
    InsideLineEnd,
}

/// How long events are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// Until so many bytes of them have gathered,
    pub(super) bytes: u64,
    /// or the first of them has waited for so long.
    pub(super) delay_ns: u64,
}

/// Everything that goes wrong with one invocation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Flaws<'s> {
    /// What comes instead of a stream.
    pub(super) instead: Option<&'s Fault>,
    /// What happens inside the stream, by the number of events before it.
    pub(super) inside: Vec<&'s Fault>,
    /// What is wrong with the answer of a task that ends well.
    pub(super) answer: Option<FaultKind>,
    /// How the task ends, where it does not end well.
    pub(super) ending: Option<FaultKind>,
    pub(super) slow_headers_ns: u64,
    pub(super) connected: bool,
    pub(super) duplicate_finish: bool,
    pub(super) after_end: bool,
    /// One byte a write, this far apart.
    pub(super) drip_ns: Option<u64>,
    pub(super) buffer: bool,
    pub(super) hold: Option<Hold>,
    pub(super) cut: Option<Cut>,
    pub(super) line_end: LineEnd,
    pub(super) comments: bool,
    pub(super) fields: bool,
}

/// Whether a fault happens at this place.
pub(super) fn happens(fault: &Fault, number: usize, seed: Seed, index: u64) -> bool {
    // Each fault draws from a stream of its own, so that one more fault does not move the others.
    let draw = || unit(&mut seed.stream(&format!("mock.fault.{number}"), index));
    fault.at.contains(&index) || fault.probability >= 1.0 || fault.probability > 0.0 && draw() < fault.probability
}

impl<'s> Flaws<'s> {
    /// What goes wrong at a plan index.
    pub(super) fn new(script: &'s Script, seed: Seed, index: u64) -> Self {
        let mut flaws = Self::default();
        for (number, fault) in script.faults.iter().enumerate() {
            if happens(fault, number, seed, index) {
                flaws.add(fault);
            }
        }
        flaws.inside.sort_by_key(|fault| fault.after_events);
        flaws
    }

    fn add(&mut self, fault: &'s Fault) {
        use FaultKind as Kind;
        match fault.kind {
            // Decided when the connection comes, long before there is a plan index.
            Kind::Refuse => {}
            Kind::ResetBeforeHeaders
            | Kind::NeverAnswer
            | Kind::Status
            | Kind::Redirect
            | Kind::Empty
            | Kind::WrongContentType
            | Kind::ErrorBody => self.instead = self.instead.or(Some(fault)),
            Kind::ResetInStream
            | Kind::EndEarly
            | Kind::Stall
            | Kind::MalformedJson
            | Kind::HugeEvent
            | Kind::UnknownEvent
            | Kind::ForeignTask
            | Kind::Garbage
            | Kind::BadFraming => self.inside.push(fault),
            Kind::Failed | Kind::Error | Kind::Stopped => self.ending = self.ending.or(Some(fault.kind)),
            Kind::WrongAnswer | Kind::EmptyAnswer => self.answer = self.answer.or(Some(fault.kind)),
            Kind::SlowHeaders => self.slow_headers_ns = self.slow_headers_ns.saturating_add(fault.delay_ns),
            Kind::Connected => self.connected = true,
            Kind::DuplicateFinish => self.duplicate_finish = true,
            Kind::AfterEnd => self.after_end = true,
            Kind::Drip => self.drip_ns = Some(fault.delay_ns),
            Kind::Buffer => self.buffer = true,
            Kind::Hold => self.hold = Some(Hold { bytes: fault.bytes, delay_ns: fault.delay_ns }),
            Kind::SplitUtf8 => self.cut = Some(Cut::InsideCharacter),
            Kind::SplitLineEnd => self.cut = Some(Cut::InsideLineEnd),
            Kind::Cr => self.line_end = LineEnd::Cr,
            Kind::Crlf => self.line_end = LineEnd::Crlf,
            Kind::Comments => self.comments = true,
            Kind::Fields => self.fields = true,
        }
    }
}

impl Cut {
    /// Where the bytes of an event are cut; nowhere when they are too few.
    pub(super) fn place(self, bytes: &[u8]) -> Option<usize> {
        let at = match self {
            // A byte 10xxxxxx goes on with the character before it.
            Self::InsideCharacter => {
                bytes.iter().position(|byte| byte & 0b1100_0000 == 0b1000_0000).unwrap_or(bytes.len() / 2)
            }
            Self::InsideLineEnd => bytes.len().checked_sub(1)?,
        };
        (at > 0 && at < bytes.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_where_it_is_planted_and_as_often_as_it_should() {
        let text =
            "why = \"a test\"\n[[fault]]\nkind = \"failed\"\nat = [3]\n[[fault]]\nkind = \"stall\"\nprobability = 0.1";
        let script = Script::parse("x.toml", text).expect("a valid script");
        let at = |index| Flaws::new(&script, Seed(1), index);
        let failed: Vec<_> = (0..100).filter(|index| at(*index).ending.is_some()).collect();
        assert_eq!(failed, [3]);
        let stalled = (0..10_000).filter(|index| !at(*index).inside.is_empty()).count();
        assert!((850..1_150).contains(&stalled), "{stalled} of 10,000 at 0.1");
        assert_eq!(at(7), at(7));
    }

    #[test]
    fn cuts_lie_inside_characters_and_line_ends() {
        assert_eq!(Cut::InsideCharacter.place("data: é\n\n".as_bytes()), Some(7));
        assert_eq!(Cut::InsideCharacter.place(b"data: e\n\n"), Some(4));
        assert_eq!(Cut::InsideLineEnd.place(b"data: e\r\n\r\n"), Some(10));
        assert_eq!(Cut::InsideLineEnd.place(b""), None);
    }
}
