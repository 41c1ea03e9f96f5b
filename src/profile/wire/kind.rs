//! The types of a profile's values: what each accepts, and how it says so.

use http::{HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::document::{Node, Value};
use super::problem::Fault;
use super::{spread, url};
use crate::profile::Proxy;
use crate::profile::script::Distribution;
use crate::units::{self, Rate};

/// The type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::profile) enum Kind {
    /// Any text.
    Text,
    /// Text that says something.
    Filled,
    /// Text that is safe as one segment of a path: of a URL or of a file.
    Name,
    /// The name of an environment variable.
    Variable,
    /// A path of a file; whether it can be read is for the one who reads it.
    Path,
    /// `mock` or a base URL.
    Url,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, or a whole number within these bounds.
    WordOrCount { words: &'static [&'static str], min: u64, max: u64 },
    /// An HTTP proxy, whose text may hold a password.
    Proxy,
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Count { min: u64, max: u64 },
    /// A duration with its unit; `zero` is one, too, where it has a meaning.
    Duration { zero: bool },
    /// A size with its unit, within these bounds in bytes.
    Size { min: u64, max: u64 },
    /// A finite number, not negative.
    Amount,
    /// A list of texts.
    Texts,
    /// A table of header names and values.
    Headers,
    /// A table that is passed on as JSON.
    Json,
    /// A list of such tables.
    JsonList,
    /// A distribution of durations.
    Times,
    /// A distribution of whole numbers up to `max`.
    Counts { max: u64 },
    /// A number from 0 to 1.
    Share,
    /// A finite number over 0.
    Positive,
    /// A finite factor, 0 included.
    Factor,
    /// One of these HTTP statuses.
    Statuses(&'static [u64]),
    /// A list of whole numbers.
    Indices,
    /// How often a second, or with its time as text; `zero` is one, too, where it has a meaning.
    Rate { zero: bool },
}

/// A value that its kind accepted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Checked {
    Text(String),
    /// A count, nanoseconds or bytes.
    Number(u64),
    Amount(f64),
    Flag(bool),
    Proxy(Proxy),
    Json(Json),
    Headers(Vec<(String, String)>),
    Spread(Distribution),
    Numbers(Vec<u64>),
    Rate(Rate),
}

/// The longest name that is accepted: what fits into one file name with a date before it.
const NAME_MAX: usize = 200;

/// Headers that plimsoll sets itself, so that the request is what its report says it is.
const OWN_HEADERS: [&str; 16] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "content-range",
];

/// Headers that carry a key.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "authorization", "proxy-authorization"];

impl Kind {
    /// What to write, with an example: `expected …`.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Text => "text in quotes".into(),
            Self::Filled => "text in quotes that is not empty".into(),
            Self::Name => format!(
                "up to {NAME_MAX} letters, digits, '-', '_', '.' or '~' in quotes (no slash, no space, not \"..\")"
            ),
            Self::Variable => "the name of an environment variable in quotes, such as \"XPANDER_API_KEY\"".into(),
            Self::Path => "the path of a file in quotes".into(),
            Self::Url => "\"mock\" or a base URL such as \"https://api.xpander.ai\"".into(),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::WordOrCount { words, min, max } => {
                format!("{}, or a whole number from {min} to {max}", Self::OneOf(words).expected())
            }
            Self::Proxy => "an HTTP proxy such as \"http://proxy:3128\" or \"http://user:password@proxy:3128\"".into(),
            Self::Flag => "true or false".into(),
            Self::Count { min, max: u64::MAX } => format!("a whole number of at least {min}"),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Duration { zero: true } => "a duration in quotes, such as \"250ms\", \"10s\" or \"0s\"".into(),
            Self::Duration { zero: false } => "a duration in quotes over 0, such as \"250ms\" or \"1m30s\"".into(),
            Self::Size { min: 0, max: u64::MAX } => "a size in quotes, such as \"64KiB\"".into(),
            Self::Size { min, max } => format!(
                "a size in quotes from \"{}\" to \"{}\", such as \"16MiB\"",
                units::ExactBytes(min),
                units::ExactBytes(max)
            ),
            Self::Amount => "a number of at least 0, such as 0.02".into(),
            Self::Texts => "a list of texts, such as [\"a\", \"b\"]".into(),
            Self::Headers => "a table of names and texts, such as { x-team = \"search\" }".into(),
            Self::Json => "a table".into(),
            Self::JsonList => "a list of tables".into(),
            Self::Times => {
                "a duration such as \"250ms\", or a distribution of them such as { exponential = \"20ms\" }".into()
            }
            Self::Counts { max } => {
                format!("a whole number up to {max}, or a distribution of them such as {{ uniform = [1, 5] }}")
            }
            Self::Share => "a number from 0 to 1".into(),
            Self::Positive => "a number over 0".into(),
            Self::Factor => "a factor of at least 0, such as 1.2".into(),
            Self::Statuses(statuses) => {
                format!("one of {}", statuses.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::Indices => "a list of whole numbers, such as [0, 7]".into(),
            Self::Rate { zero } => format!(
                "a rate {} to {} a second, such as 50, 0.5 or \"90/m\"",
                if zero { "from 0" } else { "over 0 and up" },
                Rate::PER_S_MAX
            ),
        }
    }

    /// The type in a word or two, for the reference.
    pub(in crate::profile) fn word(self) -> String {
        match self {
            Self::Text | Self::Filled | Self::Variable => "text".into(),
            Self::Name => "name".into(),
            Self::Path => "path".into(),
            Self::Url | Self::Proxy => "URL".into(),
            Self::OneOf(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
            Self::WordOrCount { words, .. } => format!("{}, integer", Self::OneOf(words).word()),
            Self::Flag => "boolean".into(),
            Self::Count { .. } => "integer".into(),
            Self::Duration { .. } => "duration".into(),
            Self::Size { .. } => "size".into(),
            Self::Amount | Self::Share | Self::Positive | Self::Factor => "number".into(),
            Self::Texts => "list of texts".into(),
            Self::Times => "durations".into(),
            Self::Counts { .. } => "integers".into(),
            Self::Statuses(statuses) => {
                statuses.iter().map(|status| format!("`{status}`")).collect::<Vec<_>>().join(", ")
            }
            Self::Indices => "list of integers".into(),
            Self::Rate { .. } => "rate".into(),
            Self::Headers | Self::Json => "table".into(),
            Self::JsonList => "list of tables".into(),
        }
    }

    /// Whether a bare word on the command line is meant as text, whatever else it could be.
    pub(super) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Filled
                | Self::Name
                | Self::Variable
                | Self::Path
                | Self::Url
                | Self::Proxy
                | Self::OneOf(_)
        )
    }

    /// The value of `node`, or why it is none.
    pub(super) fn read(self, node: &Node) -> Result<Checked, Fault> {
        let refuse = || Fault::Expected { expected: self.expected(), found: node.found() };
        match self {
            Self::Headers => headers(node).map(Checked::Headers),
            Self::Variable => self.variable(node),
            Self::Proxy => self.proxy(node),
            Self::WordOrCount { words, min, max } => {
                let count = || Self::Count { min, max }.plain(node);
                Self::OneOf(words).word_like(node).or_else(count).ok_or_else(refuse)
            }
            Self::Url => url::base(text(node).ok_or_else(refuse)?).map(Checked::Text),
            Self::Json | Self::JsonList => self.json(node).ok_or_else(refuse),
            Self::Times => spread::times(node).map(Checked::Spread).map_err(|fault| fault.unwrap_or_else(refuse)),
            Self::Counts { max } => {
                spread::counts(node, max).map(Checked::Spread).map_err(|fault| fault.unwrap_or_else(refuse))
            }
            Self::Indices => indices(node).ok_or_else(refuse),
            Self::Rate { zero } => {
                rate(node).filter(|rate| zero || !rate.is_zero()).map(Checked::Rate).ok_or_else(refuse)
            }
            Self::Texts => texts(node).ok_or_else(refuse),
            Self::Flag | Self::Count { .. } | Self::Statuses(_) => self.plain(node).ok_or_else(refuse),
            Self::Amount | Self::Share | Self::Positive | Self::Factor => self.amount(node).ok_or_else(refuse),
            Self::Duration { .. } | Self::Size { .. } => self.measure(node).ok_or_else(refuse),
            _ => self.word_like(node).ok_or_else(refuse),
        }
    }

    fn word_like(self, node: &Node) -> Option<Checked> {
        let text = text(node)?;
        let accepted = match self {
            Self::Filled | Self::Path => !text.trim().is_empty(),
            Self::Name => is_name(text),
            Self::OneOf(words) => words.contains(&text),
            _ => true,
        };
        accepted.then(|| Checked::Text(text.to_owned()))
    }

    /// Not shown when refused: people paste the key itself here.
    fn variable(self, node: &Node) -> Result<Checked, Fault> {
        match text(node) {
            Some(name) if is_variable(name) => Ok(Checked::Text(name.to_owned())),
            _ => Err(Fault::Hidden { expected: self.expected() }),
        }
    }

    /// Not shown when refused: it may hold a password.
    fn proxy(self, node: &Node) -> Result<Checked, Fault> {
        let proxy = text(node).and_then(Proxy::parse);
        proxy.map(Checked::Proxy).ok_or_else(|| Fault::Hidden { expected: self.expected() })
    }

    fn plain(self, node: &Node) -> Option<Checked> {
        match (self, &node.value) {
            (Self::Flag, Value::Flag(flag)) => Some(Checked::Flag(*flag)),
            (Self::Count { min, max }, Value::Integer(number)) => {
                let number = u64::try_from(*number).ok()?;
                (min..=max).contains(&number).then_some(Checked::Number(number))
            }
            (Self::Statuses(statuses), Value::Integer(number)) => {
                let number = u64::try_from(*number).ok()?;
                statuses.contains(&number).then_some(Checked::Number(number))
            }
            _ => None,
        }
    }

    fn amount(self, node: &Node) -> Option<Checked> {
        let number = match node.value {
            Value::Float(number) => number,
            Value::Integer(number) => number as f64,
            _ => return None,
        };
        let accepted = match self {
            Self::Share => (0.0..=1.0).contains(&number),
            Self::Positive => number > 0.0,
            _ => number >= 0.0,
        };
        (accepted && number.is_finite()).then_some(Checked::Amount(number))
    }

    fn measure(self, node: &Node) -> Option<Checked> {
        let text = text(node)?;
        let (number, accepted) = match self {
            Self::Duration { zero } => {
                let ns = units::parse_duration_ns(text).ok()?;
                (ns, zero || ns > 0)
            }
            Self::Size { min, max } => {
                let bytes = units::parse_bytes(text).ok()?;
                (bytes, (min..=max).contains(&bytes))
            }
            _ => return None,
        };
        accepted.then_some(Checked::Number(number))
    }

    fn json(self, node: &Node) -> Option<Checked> {
        let shaped = match (self, &node.value) {
            (Self::JsonList, Value::List(list)) => list.iter().all(|item| matches!(item.value, Value::Table(_))),
            (Self::JsonList, _) => false,
            (_, value) => matches!(value, Value::Table(_)),
        };
        shaped.then(|| node.json())?.map(Checked::Json)
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn texts(node: &Node) -> Option<Checked> {
    let Value::List(list) = &node.value else { return None };
    list.iter().all(|item| text(item).is_some()).then(|| node.json())?.map(Checked::Json)
}

fn indices(node: &Node) -> Option<Checked> {
    let Value::List(list) = &node.value else { return None };
    let index = |item: &Node| match item.value {
        Value::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    };
    list.iter().map(index).collect::<Option<_>>().map(Checked::Numbers)
}

fn rate(node: &Node) -> Option<Rate> {
    match &node.value {
        Value::Text(text) => Rate::parse(text).ok(),
        Value::Float(number) => Rate::per_s(*number).ok(),
        Value::Integer(number) => Rate::per_s(*number as f64).ok(),
        _ => None,
    }
}

/// Whether the text is one segment of a path: what RFC 3986 calls unreserved, and neither "." nor "..".
pub(super) fn is_name(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(unreserved) && text != "." && text != ".."
}

fn is_variable(text: &str) -> bool {
    // Variables are written in capitals; keys hardly ever are, so that a pasted key is caught here.
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn headers(node: &Node) -> Result<Vec<(String, String)>, Fault> {
    let Value::Table(entries) = &node.value else {
        return Err(Fault::Expected { expected: Kind::Headers.expected(), found: node.found() });
    };
    entries.iter().map(|(name, value)| header(name, value)).collect()
}

/// One header as it may be sent; its value is never repeated in an error.
fn header(name: &str, value: &Node) -> Result<(String, String), Fault> {
    let lower = name.to_ascii_lowercase();
    if KEY_HEADERS.contains(&lower.as_str()) {
        return Err(Fault::KeyHere);
    }
    if OWN_HEADERS.contains(&lower.as_str()) {
        let found = format!("{name:?}, which plimsoll sets itself");
        return Err(Fault::Expected { expected: "a header of yours".into(), found });
    }
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        let expected = "a header name of letters, digits and '-'".into();
        return Err(Fault::Expected { expected, found: format!("{name:?}") });
    }
    match text(value) {
        Some(text) if !text.is_empty() && HeaderValue::from_str(text).is_ok() => Ok((name.to_owned(), text.to_owned())),
        _ => {
            Err(Fault::Hidden { expected: format!("a text of visible characters on one line as the value of {name}") })
        }
    }
}
