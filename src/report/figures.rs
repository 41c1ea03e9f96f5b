//! How single figures read, whatever the format: a quantile or why it has no number, an interval, a share.

use crate::metrics::server::ClockOffset;
use crate::metrics::summary::{Group, Quantile, Refused, Row, Share};
use crate::metrics::{Metric, Origin, Series};
use crate::stats::histogram::LOWEST_BUCKET_NS;
use crate::units::{Human, HumanBytes, two_decimals};

/// A series as people call it.
pub(super) fn title(series: Series) -> String {
    let metric = match series.metric {
        Metric::Ttfb => "time to first byte",
        Metric::Ttfe => "time to first event",
        Metric::Ttfc => "time to first chunk",
        Metric::Finish => "time to task_finished",
        Metric::Connect => "connect",
        Metric::Queue => "queue",
        Metric::Gap => "gap between chunks",
        Metric::Tool => "tool call",
        Metric::Silence => "longest silence",
        Metric::EventSilence => "longest wait for an event",
        Metric::Answer => "answer",
        Metric::Closing => "closing",
        Metric::StartLag => "start lag (ours)",
        Metric::ClientLag => "client lag (ours)",
        Metric::StampError => "stamp error (ours)",
    };
    match series.origin {
        Some(Origin::Sent) => format!("{metric}, from the send"),
        _ => metric.to_owned(),
    }
}

/// What conversations as wholes are called.
pub(super) const CONVERSATION: &str = "conversation";

/// Which of a metric's two rows is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pick {
    All,
    Completed,
}

impl Pick {
    /// That row of every metric of a group, and of its conversations as wholes, each with its title.
    pub(super) fn rows(self, group: &Group) -> Vec<(String, &Row)> {
        let of = |all, completed| match self {
            Self::All => all,
            Self::Completed => completed,
        };
        let metrics = group.metrics.iter().map(|metric| (title(metric.series), of(&metric.all, &metric.completed)));
        let wholes = group.conversations.iter();
        let wholes = wholes.map(|wholes| (CONVERSATION.to_owned(), of(&wholes.all, &wholes.completed)));
        metrics.chain(wholes).collect()
    }
}

/// Whose numbers a group has.
pub(super) fn group_title(variant: Option<&str>, scenario: Option<&str>) -> String {
    match (variant, scenario) {
        (Some(name), _) => format!("Variant {name}"),
        (None, Some(name)) => format!("Scenario {name}"),
        (None, None) => "All invocations".to_owned(),
    }
}

/// A quantile, or a mark for why it has none: `n<662` for too few samples, `never` where so many never got there.
pub(super) fn quantile(quantile: Option<&Quantile>) -> String {
    let Some(quantile) = quantile else { return "–".to_owned() };
    match (quantile.value_ns, quantile.refused) {
        (Some(ns), _) => known(ns),
        (None, Some(Refused::TooFew { needed, .. })) => format!("n<{needed}"),
        (None, Some(Refused::CutOff)) => "cut off".to_owned(),
        (None, _) => "never".to_owned(),
    }
}

/// The interval of a quantile.
pub(super) fn interval(quantile: Option<&Quantile>) -> String {
    let Some(quantile) = quantile.filter(|quantile| quantile.value_ns.is_some()) else { return String::new() };
    match (quantile.low_ns, quantile.high_ns) {
        (None, None) => String::new(),
        (low, high) => {
            let end = |ns: Option<u64>| ns.map_or_else(|| "none".to_owned(), known);
            format!("{}–{}", end(low), end(high))
        }
    }
}

/// A quantile with its interval behind it.
pub(super) fn bounded(of: Option<&Quantile>) -> String {
    let (value, ends) = (quantile(of), interval(of));
    if ends.is_empty() { value } else { format!("{value} ({ends})") }
}

/// What stands for a quantile that has no number, as `(mark, meaning)`.
pub(super) const MARKS: [(&str, &str); 3] = [
    ("n<N", "the quantile takes N independent samples"),
    ("never", "so many failed that this share never got there"),
    ("cut off", "the run ended before it did"),
];

/// A time that may be absent.
pub(super) fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| "–".to_owned(), known)
}

/// A time, as far as it is known: of the end of a histogram's lowest bucket, that it lies in there.
fn known(ns: u64) -> String {
    if ns + 1 == LOWEST_BUCKET_NS { format!("<{}", Human(LOWEST_BUCKET_NS)) } else { Human(ns).to_string() }
}

/// A time on the scale of a plot, in nanoseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time on a scale that starts at 0")]
pub(super) fn axis_time(ns: f64) -> String {
    if ns <= 0.0 { "0".to_owned() } else { Human(ns as u64).to_string() }
}

/// The samples of a row, and what is missing of them.
pub(super) fn samples(row: &Row) -> String {
    let mut text = row.count.to_string();
    if row.failed > 0 {
        text.push_str(&format!(" +{} failed", row.failed));
    }
    if row.censored > 0 {
        text.push_str(&format!(" +{} cut off", row.censored));
    }
    text
}

/// A share as a percentage that never rounds up to all or down to nothing.
pub(super) fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 99.9 && p < 100.0 => "over 99.9 %".to_owned(),
        p if p > 0.0 && p < 0.1 => "under 0.1 %".to_owned(),
        p if (p - p.round()).abs() < 1e-9 => format!("{p:.0} %"),
        p => format!("{p:.1} %"),
    }
}

/// A share with its interval.
pub(super) fn share_interval(of: Share) -> String {
    format!("{} ({}–{})", share(of.share), share(of.low), share(of.high))
}

/// How the server's clock lies to ours, in words.
pub(super) fn clock_offset(offset: &ClockOffset) -> String {
    let signed = |ns: i64| format!("{}{}", if ns < 0 { "−" } else { "+" }, Human(ns.unsigned_abs()));
    let bounds = format!("{} to {}", signed(offset.low_ns), signed(offset.high_ns));
    let stamps = format!("its stamps tell {}", Human(offset.resolution_ns));
    match offset.estimate_ns() {
        Some((ns, half)) => {
            format!("Its clock less ours is {} ± {} (surely {bounds}; {stamps}).", signed(ns), Human(half))
        }
        None => {
            format!("Its clock less ours has no estimate: the bounds {bounds} cross, so a clock was set or drifted.")
        }
    }
}

/// A rate or a mean with three digits.
pub(super) fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => two_decimals(v),
    }
}

/// Bytes a second.
#[expect(clippy::cast_possible_truncation, reason = "no run brings 16 EiB a second")]
pub(super) fn rate_of_bytes(per_s: f64) -> String {
    format!("{}/s", HumanBytes(per_s.round() as u64))
}

/// What a read brings, with its definition.
pub(super) const PER_READ: [(&str, &str); 2] = [
    ("events_per_read", "complete events / reads that brought bytes of a body; over 1, events shared their reads"),
    ("bytes_per_read", "body bytes / the same reads"),
];

/// What a read brought on average; absent where nothing was read.
#[expect(clippy::cast_possible_truncation, reason = "a read brings no 16 EiB")]
pub(super) fn per_read(group: &Group) -> Option<String> {
    let (events, bytes) = group.events_per_read.zip(group.bytes_per_read)?;
    Some(format!("{} events and {} a read", number(events), HumanBytes(bytes.round() as u64)))
}

/// Text of the target's or the user's that a terminal shows as it stands, in one line.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_without_a_number_says_why() {
        let mut one = Quantile {
            p: 0.99,
            value_ns: Some(1_230_000_000),
            low_ns: Some(1_200_000_000),
            high_ns: None,
            refused: None,
        };
        assert_eq!((quantile(Some(&one)).as_str(), interval(Some(&one)).as_str()), ("1.23s", "1.20s–none"));
        (one.value_ns, one.low_ns, one.high_ns) = (Some(511), Some(21), Some(511));
        assert_eq!(bounded(Some(&one)), "<512ns (21ns–<512ns)", "below what a histogram resolves");
        one.value_ns = None;
        one.refused = Some(Refused::TooFew { effective: 480, needed: 662 });
        assert_eq!((quantile(Some(&one)).as_str(), interval(Some(&one)).as_str()), ("n<662", ""));
        one.refused = Some(Refused::NeverReached);
        assert_eq!(quantile(Some(&one)), "never");
        assert_eq!(quantile(None), "–");
    }

    #[test]
    fn a_share_is_all_only_when_it_is() {
        assert_eq!(
            [1.0, 0.9999, 0.985, 0.0001, 0.0].map(share),
            ["100 %", "over 99.9 %", "98.5 %", "under 0.1 %", "0 %"]
        );
        assert_eq!([1234.5, 43.21, 1.5].map(number), ["1234", "43.2", "1.50"]);
    }
}
