//! What the mock does wrong, and to which invocations.

/// One planted fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// At these plan indices.
    pub at: Vec<u64>,
    /// At any other with this probability.
    pub probability: f64,
    /// In the stream: behind this many events.
    pub after_events: u64,
    /// How long, where the kind has a length: nanoseconds.
    pub delay_ns: u64,
    /// How large, where the kind has a size.
    pub bytes: u64,
    /// Which status, where the kind has one.
    pub status: u16,
}

macro_rules! kinds {
    ($($variant:ident $word:literal $meaning:literal,)*) => {
        /// What goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $(#[doc = $meaning] $variant,)*
        }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The words that stand for them in a script, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word that stands for it in a script.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it does, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

kinds! {
    Refuse "refuse" "The connection is reset as soon as it stands; `at` counts connections here, in order of arrival.",
    ResetBeforeHeaders "reset_before_headers" "The connection is reset instead of an answer.",
    NeverAnswer "never_answer" "The request is taken, and nothing ever comes.",
    SlowHeaders "slow_headers" "The headers come `delay` late.",
    Status "status" "The answer is `status` instead of a stream: JSON, or HTML for 500 and above.",
    Redirect "redirect" "The answer is a redirect (307) to another host.",
    Empty "empty" "The answer is 200 with an event stream's type and no byte of body.",
    WrongContentType "wrong_content_type" "The answer is 200 with an HTML page.",
    ErrorBody "error_body" "The answer is 200 with a JSON error.",
    Garbage "garbage" "Bytes that are no events come behind `after_events` events, and the body ends.",
    BadFraming "bad_framing" "The HTTP framing itself breaks behind `after_events` events (HTTP/2: the stream is reset).",
    ResetInStream "reset_in_stream" "The connection is reset behind `after_events` events.",
    EndEarly "end_early" "The body ends behind `after_events` events, without `task_finished`.",
    Stall "stall" "Nothing more comes behind `after_events` events; with `delay`, the stream goes on after it.",
    MalformedJson "malformed_json" "An event that is no JSON comes behind `after_events` events.",
    HugeEvent "huge_event" "An event of `bytes` bytes comes behind `after_events` events.",
    UnknownEvent "unknown_event" "An event of an unknown type comes behind `after_events` events.",
    ForeignTask "foreign_task" "Events of another task, its end among them, come behind `after_events` events.",
    AfterEnd "after_end" "More events come behind `task_finished`.",
    DuplicateFinish "duplicate_finish" "`task_finished` comes twice.",
    Failed "failed" "The task ends as `failed`.",
    Error "error" "The task ends as `error`.",
    Stopped "stopped" "The task ends as `stopped`.",
    WrongAnswer "wrong_answer" "The task ends as `completed`, in its own time, with an apology in place of the answer.",
    EmptyAnswer "empty_answer" "The task ends as `completed` without a chunk and with an empty result.",
    Connected "connected" "A `connected` event comes first.",
    Drip "drip" "The stream comes one byte a write, `delay` apart.",
    Buffer "buffer" "Everything is held back and comes at once at the end, as from a proxy that buffers.",
    Hold "hold" "Events are held back until `bytes` of them have gathered or the first has waited for `delay`, as by a proxy that buffers.",
    SplitUtf8 "split_utf8" "Each event comes in two writes, cut inside a character of several bytes where it has one.",
    SplitLineEnd "split_line_end" "Each event comes in two writes, cut inside its last line end.",
    Cr "cr" "Lines end in CR.",
    Crlf "crlf" "Lines end in CRLF.",
    Comments "comments" "A comment comes before each event.",
    Fields "fields" "Each event has `event:` and `id:` lines, and the first one `retry:`.",
}

impl FaultKind {
    /// The kind that a word stands for.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}
