//! `histograms.hlog`: HdrHistogram's interval log, V2, that its own tools read.
//!
//! Each line is one histogram of one stretch of the run, in nanoseconds, under the tag `metric:variant:outcome`, with
//! `:scenario` behind it where the profile has any; each part is percent-encoded outside `[A-Za-z0-9._-]`. The outcome
//! is `any` for what is recorded before it is known, and `warmup` for the warm-up.
//!
//! Buckets keep three digits. A comment before each line has what they round, to the nanosecond: other tools pass over it.

use std::io::{self, BufRead, Cursor, Write};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag as HdrTag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::metrics::recorder::{GapGroup, Tag};
use crate::stats::histogram::{DIGITS, HIGHEST_NS, LOWEST_NS};
use crate::stats::{Exact, Histogram};

/// What is escaped in a name: all but letters, digits and these.
pub(super) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// What a tag consists of.
pub const TAG_PARTS: &str = "metric:variant:outcome";
/// What a tag consists of where the profile has scenarios.
pub const TAG_PARTS_WITH_SCENARIO: &str = "metric:variant:outcome:scenario";

/// What a comment begins with that has the exact totals of the histogram in the next line.
const EXACT: &str = "#[Exact: ";
/// What it ends with.
const EXACT_END: &str = "]";

/// The tag of a metric whose samples are kept by group of streams: `gap.g07`.
const GROUP_PREFIX: &str = "gap.g";

/// Why a log can't be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The file can't be read.
    #[error("read histograms.hlog: {0}")]
    Io(#[from] io::Error),
    /// Not a line of a histogram log.
    #[error(
        "read histograms.hlog: line {line} is no line of a histogram log, such as Tag={TAG_PARTS},START,LENGTH,MAX,BASE64; the file was changed: take it from a copy of its folder"
    )]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// A comment that has no totals.
    #[error(
        "read histograms.hlog: line {line} has no totals of times, expected {EXACT}count=N sum=NS min=NS max=NS{EXACT_END}; the file was changed: take it from a copy of its folder"
    )]
    Totals {
        /// The line, from 1.
        line: usize,
    },
    /// A tag or a histogram that is none of ours.
    #[error(
        "read histograms.hlog: the histogram under {tag:?}: {why}; another version of plimsoll wrote it, or it was changed: take it from a copy of its folder"
    )]
    Histogram {
        /// The tag.
        tag: String,
        /// What is wrong with it.
        why: String,
    },
    /// The last line is not whole, and it is asked for.
    #[error("read histograms.hlog: its end was cut off")]
    CutOff,
}

/// Writes histograms as the seconds of a run go by.
pub struct Writer<W: Write> {
    out: W,
    serializer: V2DeflateSerializer,
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Writer")
    }
}

/// One histogram as it stands in a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The series, or a group of its streams.
    pub metric: String,
    /// The variant's name.
    pub variant: String,
    /// The outcome, `any` or `warmup`.
    pub outcome: String,
    /// The scenario's name; empty where the profile has none.
    pub scenario: String,
    /// The stretch's start, in nanoseconds since the run's origin (to the millisecond).
    pub start_ns: u64,
    /// Its length, in nanoseconds (to the millisecond).
    pub length_ns: u64,
    /// What was recorded, in nanoseconds.
    pub histogram: Histogram,
}

impl<W: Write> Writer<W> {
    /// Begins a log; `wall_unix_ns` is the run's origin in nanoseconds since the Unix epoch, `parts` are those of its
    /// tags.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn new(mut out: W, wall_unix_ns: u64, parts: &str) -> io::Result<Self> {
        let origin = UNIX_EPOCH + Duration::from_nanos(wall_unix_ns);
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(&format!("values in nanoseconds; tags {parts}"))
            .with_start_time(origin)
            .with_base_time(origin)
            .begin_log_with(&mut out, &mut serializer)?;
        out.flush()?;
        Ok(Self { out, serializer })
    }

    /// Writes what was recorded from `start_ns` to `end_ns`; an empty histogram is left out.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write(&mut self, tag: &Tag, start_ns: u64, end_ns: u64, histogram: &Histogram) -> io::Result<()> {
        self.line([&tag.metric(), &tag.variant, tag.ended(), &tag.scenario], (start_ns, end_ns), histogram)
    }

    /// Writes the gaps of one group of streams over the whole run.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write_gap_group(&mut self, group: &GapGroup, end_ns: u64, histogram: &Histogram) -> io::Result<()> {
        let metric = format!("{GROUP_PREFIX}{:02}", group.group);
        let outcome = if group.completed { "completed" } else { "other" };
        self.line([&metric, &group.variant, outcome, &group.scenario], (0, end_ns), histogram)
    }

    /// Writes a line as it was read.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn write_line(&mut self, line: &Line) -> io::Result<()> {
        let span_ns = (line.start_ns, line.start_ns + line.length_ns);
        self.line([&line.metric, &line.variant, &line.outcome, &line.scenario], span_ns, &line.histogram)
    }

    fn line(&mut self, tag: [&str; 4], (start_ns, end_ns): (u64, u64), histogram: &Histogram) -> io::Result<()> {
        if histogram.count() == 0 {
            return Ok(());
        }
        writeln!(self.out, "{}", exact_comment(histogram.exact()))?;
        let mut tag = tag.map(|part| utf8_percent_encode(part, ESCAPED).to_string()).join(":");
        // What no scenario has stands under three parts.
        tag.truncate(tag.trim_end_matches(':').len());
        let tag = HdrTag::new(&tag).expect("an escaped tag has no comma, space or line end");
        let length = Duration::from_nanos(end_ns.saturating_sub(start_ns));
        let mut log = IntervalLogWriterBuilder::new().begin_log_with(&mut self.out, &mut self.serializer)?;
        log.write_histogram(&histogram.buckets(), Duration::from_nanos(start_ns), length, Some(tag))
            .map_err(|error| io::Error::other(format!("{error:?}")))
    }

    /// Hands what was written to the system, so that it outlives this process.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Line {
    /// The group of streams that the line is of, when it is of one.
    #[must_use]
    pub fn gap_group(&self) -> Option<u64> {
        self.metric.strip_prefix(GROUP_PREFIX)?.parse().ok()
    }
}

/// The whole lines of a log, one after the other: a log of hours takes no more memory than its longest line.
pub struct Lines<R> {
    text: R,
    bytes: Vec<u8>,
    number: usize,
    cut_off: bool,
    /// The totals of the histogram that comes next.
    exact: Option<Exact>,
    deserializer: Deserializer,
}

impl<R> std::fmt::Debug for Lines<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<R: BufRead> Lines<R> {
    /// The lines of this text.
    pub fn new(text: R) -> Self {
        Self { text, bytes: Vec::new(), number: 0, cut_off: false, exact: None, deserializer: Deserializer::new() }
    }

    fn next_line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            self.bytes.clear();
            if self.text.read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            if !self.bytes.ends_with(b"\n") {
                self.cut_off = true;
                return Ok(None);
            }
            self.number += 1;
            if self.bytes.starts_with(EXACT.as_bytes()) {
                // Another one without its histogram is of no more use.
                self.exact = Some(exact_of(&self.bytes).ok_or(Error::Totals { line: self.number })?);
                continue;
            }
            match IntervalLogIterator::new(&self.bytes).next() {
                Some(Ok(LogEntry::Interval(interval))) => {
                    return line(&interval, self.exact.take(), &mut self.deserializer).map(Some);
                }
                Some(Err(_)) => return Err(Error::Line { line: self.number }),
                Some(Ok(_)) | None => {}
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, Error>;

    /// After the last whole line an error says when another one was cut off.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_line().transpose();
        next.or_else(|| std::mem::take(&mut self.cut_off).then_some(Err(Error::CutOff)))
    }
}

/// Reads all whole lines; says whether the last one was cut off and left out.
///
/// # Errors
/// A line or a histogram is broken, or the input can't be read.
pub fn read(text: impl BufRead, mut take: impl FnMut(Line)) -> Result<bool, Error> {
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next_line()? {
        take(line);
    }
    Ok(lines.cut_off)
}

/// The totals as a comment.
fn exact_comment(exact: Exact) -> String {
    let [min_ns, max_ns] = [exact.min_ns(), exact.max_ns()].map(Option::unwrap_or_default);
    format!("{EXACT}count={} sum={} min={min_ns} max={max_ns}{EXACT_END}", exact.count(), exact.sum_ns())
}

/// The totals that a line is the comment of.
fn exact_of(line: &[u8]) -> Option<Exact> {
    let text = str::from_utf8(line).ok()?.trim_end();
    let mut cells = text.strip_prefix(EXACT)?.strip_suffix(EXACT_END)?.split(' ');
    let mut next = |name: &str| cells.next()?.strip_prefix(name)?.strip_prefix('=');
    let count = next("count")?.parse().ok()?;
    let sum_ns = next("sum")?.parse().ok()?;
    let (min_ns, max_ns) = (next("min")?.parse().ok()?, next("max")?.parse().ok()?);
    Exact::told(count, sum_ns, min_ns, max_ns).filter(|_| cells.next().is_none())
}

fn line(
    interval: &IntervalLogHistogram<'_>,
    exact: Option<Exact>,
    deserializer: &mut Deserializer,
) -> Result<Line, Error> {
    let tag = interval.tag().map_or("", |tag| tag.as_str());
    let refuse = |why: String| Error::Histogram { tag: tag.to_owned(), why };
    let [metric, variant, outcome, scenario] =
        parts(tag).ok_or_else(|| refuse(format!("its tag is not {TAG_PARTS}")))?;
    let bytes = STANDARD.decode(interval.encoded_histogram()).map_err(|error| refuse(error.to_string()))?;
    let buckets = deserializer.deserialize(&mut Cursor::new(bytes)).map_err(|error| refuse(error.to_string()))?;
    if (buckets.low(), buckets.high(), buckets.sigfig()) != (LOWEST_NS, HIGHEST_NS, DIGITS) {
        return Err(refuse("its range and precision are not plimsoll's".to_owned()));
    }
    let exact = exact.ok_or_else(|| refuse(format!("no line {EXACT}…{EXACT_END} with its totals stands before it")))?;
    let histogram = Histogram::logged(buckets, exact)
        .ok_or_else(|| refuse("the totals in the line before it are of other times".to_owned()))?;
    Ok(Line {
        metric,
        variant,
        outcome,
        scenario,
        start_ns: crate::units::ns(interval.start_timestamp()),
        length_ns: crate::units::ns(interval.duration()),
        histogram,
    })
}

/// A name as it stands in a tag, and as it may stand in the name of a file.
#[must_use]
pub fn escaped(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// The parts of a tag; the last one is empty where there are three.
fn parts(tag: &str) -> Option<[String; 4]> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let mut parts: Vec<String> = tag.split(':').map(decode).collect::<Option<_>>()?;
    if parts.len() == 3 {
        parts.push(String::new());
    }
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::{Metric, Series};

    fn log() -> (Vec<u8>, Histogram) {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 1_700_000_000_123_000_000, TAG_PARTS).expect("a vector takes it");
        let mut histogram = Histogram::default();
        [250_000_000, 251_000_000, 3_000_000_000].into_iter().for_each(|ns| histogram.record(ns));
        let series = Series::from_intended(Metric::Ttfc);
        let variant = Arc::from("gpt 5: high, ö");
        let scenario = Arc::default();
        let tag = Tag { series, tool: None, variant, scenario, outcome: Some("completed"), warmup: false };
        writer.write(&tag, 0, 1_000_000_000, &histogram).expect("a vector takes it");
        writer.write(&Tag { warmup: true, ..tag.clone() }, 1_000_000_000, 1_500_000_000, &histogram).expect("a vector");
        writer.write(&tag, 0, 1, &Histogram::default()).expect("nothing is written of an empty one");
        let calls = Tag { series: Series::of(Metric::Tool), tool: Some(Arc::from("a:b c")), ..tag };
        writer.write(&calls, 0, 1_000_000_000, &histogram).expect("a vector takes it");
        let group = GapGroup { variant: Arc::from("base"), scenario: Arc::from("a:b"), completed: true, group: 7 };
        writer.write_gap_group(&group, 2_000_000_000, &histogram).expect("a vector takes it");
        drop(writer);
        (out, histogram)
    }

    fn lines(text: &[u8]) -> (Vec<Line>, bool) {
        let mut lines = Vec::new();
        let cut = read(text, |line| lines.push(line)).expect("it was written by us");
        (lines, cut)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (text, histogram) = log();
        let (lines, cut) = lines(&text);
        assert!(!cut);
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                (
                    line.metric.as_str(),
                    line.variant.as_str(),
                    line.outcome.as_str(),
                    line.scenario.as_str(),
                    line.start_ns,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("ttfc_from_intended", "gpt 5: high, ö", "completed", "", 0),
                ("ttfc_from_intended", "gpt 5: high, ö", "warmup", "", 1_000_000_000),
                ("tool.a:b c", "gpt 5: high, ö", "completed", "", 0),
                ("gap.g07", "base", "completed", "a:b", 0),
            ]
        );
        assert!(lines.iter().all(|line| line.histogram == histogram));
        assert_eq!((lines[0].gap_group(), lines[3].gap_group()), (None, Some(7)));
    }

    #[test]
    fn the_head_is_what_other_readers_expect() {
        let (text, _) = log();
        let text = String::from_utf8(text).expect("text");
        let head: Vec<_> = text.lines().take(4).collect();
        insta::assert_snapshot!(head.join("\n"), @r"
        #[Histogram log format version 1.3]
        #values in nanoseconds; tags metric:variant:outcome
        #[StartTime: 1700000000.123 (seconds since epoch)]
        #[BaseTime: 1700000000.123 (seconds since epoch)]
        ");
        insta::assert_snapshot!(text.lines().nth(4).expect("its totals"), @"#[Exact: count=3 sum=3501000000 min=250000000 max=3000000000]");
        let line = text.lines().nth(5).expect("a histogram");
        assert!(
            line.starts_with("Tag=ttfc_from_intended:gpt%205%3A%20high%2C%20%C3%B6:completed,0.000,1.000,"),
            "{line}"
        );
    }

    #[test]
    fn a_log_that_was_cut_gives_its_whole_lines() {
        let (text, _) = log();
        let (read, cut) = lines(&text[..text.len() - 3]);
        assert_eq!((read.len(), cut), (3, true));
    }

    #[test]
    fn what_is_no_log_is_said() {
        let (whole, _) = log();
        let whole = String::from_utf8(whole).expect("text");
        let without = whole.lines().filter(|line| !line.starts_with(EXACT)).collect::<Vec<_>>().join("\n") + "\n";
        let of_others = whole.replacen("count=3 sum=3501000000", "count=4 sum=3751000000", 1);
        let broken = [
            "a,b,c\n",
            "Tag=x:y,0.000,1.000,1.0,AAAA\n",
            "Tag=x:y:z,0.000,1.000,1.0,AAAA\n",
            "#[Exact: count=1 sum=7 min=7 max=7\n",
            "#[Exact: count=2 sum=7 min=7 max=7]\n",
            &without,
            &of_others,
        ];
        let told = broken.map(|text| read(text.as_bytes(), drop).expect_err("broken").to_string()).join("\n");
        insta::assert_snapshot!(told, @r#"
        read histograms.hlog: line 1 is no line of a histogram log, such as Tag=metric:variant:outcome,START,LENGTH,MAX,BASE64; the file was changed: take it from a copy of its folder
        read histograms.hlog: the histogram under "x:y": its tag is not metric:variant:outcome; another version of plimsoll wrote it, or it was changed: take it from a copy of its folder
        read histograms.hlog: the histogram under "x:y:z": An i/o operation failed: failed to fill whole buffer; another version of plimsoll wrote it, or it was changed: take it from a copy of its folder
        read histograms.hlog: line 1 has no totals of times, expected #[Exact: count=N sum=NS min=NS max=NS]; the file was changed: take it from a copy of its folder
        read histograms.hlog: line 1 has no totals of times, expected #[Exact: count=N sum=NS min=NS max=NS]; the file was changed: take it from a copy of its folder
        read histograms.hlog: the histogram under "ttfc_from_intended:gpt%205%3A%20high%2C%20%C3%B6:completed": no line #[Exact: …] with its totals stands before it; another version of plimsoll wrote it, or it was changed: take it from a copy of its folder
        read histograms.hlog: the histogram under "ttfc_from_intended:gpt%205%3A%20high%2C%20%C3%B6:completed": the totals in the line before it are of other times; another version of plimsoll wrote it, or it was changed: take it from a copy of its folder
        "#);
    }
}
