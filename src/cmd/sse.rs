//! `plimsoll sse`: a raw event stream in, one JSON line an event out.
//!
//! For looking at what `curl -N` or a capture brought home; the stream is taken as the specification has it, sentinels
//! and payloads are nobody's business here.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use anyhow::{Context, anyhow};
use serde::Serialize;

use super::Exit;
use crate::cli::SseArgs;
use crate::sse::{Counts, Error, Limits, Parser};

/// One event as it is printed.
#[derive(Serialize)]
struct Row<'a> {
    r#type: &'a str,
    data: &'a str,
    id: &'a str,
    /// How many bytes of the stream had come when the event was due.
    due_at: u64,
}

/// Prints the events of the file that the arguments name, or of standard input; the totals go to `notes`.
///
/// # Errors
/// The stream can't be read, or holds more than the limit; the output can't be written.
pub fn run(args: &SseArgs, out: &mut impl Write, notes: &mut impl Write) -> anyhow::Result<Exit> {
    match &args.file {
        Some(path) if path.as_os_str() != "-" => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("failed to open the event stream {name}"))?;
            print(file, &name, args, out, notes)?;
        }
        _ => print(io::stdin().lock(), "on standard input", args, out, notes)?,
    }
    Ok(Exit::Done)
}

/// Prints the events of a stream as they come.
fn print(
    mut stream: impl Read,
    name: &str,
    args: &SseArgs,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> anyhow::Result<()> {
    let mut parser = Parser::new(Limits { line_bytes: args.limit, event_bytes: args.limit });
    let mut out = BufWriter::new(out);
    let mut buffer = vec![0; args.read_size];
    let refused = loop {
        let bytes = match stream.read(&mut buffer) {
            Ok(0) => break None,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).with_context(|| format!("failed to read the event stream {name}")),
        };
        let refused = rows(&mut parser, &buffer[..bytes], &mut out)?;
        // A stream that is still going on is seen as it goes.
        out.flush()?;
        if refused.is_some() {
            break refused;
        }
    };
    totals(&parser, notes)?;
    match refused {
        Some(error) => return Err(too_large(name, error)),
        None if parser.pending() => {
            writeln!(notes, "the stream ends before the blank line of its last event, which is dropped")?;
        }
        None => {}
    }
    Ok(())
}

/// Prints the events that a read completes; what comes back is why the stream was refused.
fn rows(parser: &mut Parser, read: &[u8], out: &mut impl Write) -> io::Result<Option<Error>> {
    let mut events = parser.feed(read);
    loop {
        let event = match events.next() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        let (kind, id) = (String::from_utf8_lossy(event.event_type()), String::from_utf8_lossy(event.id()));
        let kind = if kind.is_empty() { "message" } else { &*kind };
        serde_json::to_writer(
            &mut *out,
            &Row { r#type: kind, data: &event.data_lossy(), id: &id, due_at: event.end() },
        )?;
        out.write_all(b"\n")?;
    }
}

fn totals(parser: &Parser, notes: &mut impl Write) -> io::Result<()> {
    let Counts { bytes, events, comments, unknown_fields } = parser.counts();
    let many = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let (events, comments) = (many(events, "event"), many(comments, "comment"));
    writeln!(notes, "{events}, {comments}, {}, {}", many(unknown_fields, "unknown field"), many(bytes, "byte"))?;
    if let Some(retry_ms) = parser.retry_ms() {
        writeln!(notes, "the stream asks for {retry_ms} ms before a reconnect")?;
    }
    Ok(())
}

fn too_large(name: &str, error: Error) -> anyhow::Error {
    match error {
        Error::LineTooLong { limit } => {
            anyhow!("failed to read the event stream {name}: a line is longer than {limit} bytes; raise --limit")
        }
        Error::EventTooLarge { limit } => {
            anyhow!("failed to read the event stream {name}: an event has more than {limit} bytes; raise --limit")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    /// What goes to standard output and to standard error, and the error.
    fn seen(flags: &[&str], stream: &[u8]) -> String {
        let cli = Cli::try_parse_from(["plimsoll", "sse"].iter().chain(flags)).expect("flags");
        let Command::Sse(args) = cli.command else { panic!("another command") };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let result = print(stream, "x.sse", &args, &mut out, &mut notes);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let error = result.err().map(|error| format!("error: {error:#}\n")).unwrap_or_default();
        format!("{}--\n{}{error}", text(out), text(notes))
    }

    const STREAM: &[u8] =
        b"\xEF\xBB\xBF: ping\ndata: {\"type\":\"chunk\"}\n\nevent: e\r\nid: 7\r\ndata: a\r\ndata: \xFF\r\n\r\n\
        retry: 3000\nfoo: bar\ndata: c\r\r\ndata: cut off\n";

    #[test]
    fn each_event_is_a_line_of_json_and_the_rest_is_summed_up() {
        insta::assert_snapshot!(seen(&[], STREAM), @r#"
        {"type":"message","data":"{\"type\":\"chunk\"}","id":"","due_at":34}
        {"type":"e","data":"a\n�","id":"7","due_at":70}
        {"type":"message","data":"c","id":"7","due_at":101}
        --
        3 events, 1 comment, 1 unknown field, 116 bytes
        the stream asks for 3000 ms before a reconnect
        the stream ends before the blank line of its last event, which is dropped
        "#);
    }

    #[test]
    fn the_size_of_the_reads_changes_nothing() {
        for size in ["1", "2", "7", "64B", "1KiB"] {
            assert_eq!(seen(&["--read-size", size], STREAM), seen(&[], STREAM), "{size}");
        }
    }

    #[test]
    fn an_empty_stream_has_totals_too() {
        insta::assert_snapshot!(seen(&[], b""), @r"
        --
        0 events, 0 comments, 0 unknown fields, 0 bytes
        ");
    }

    #[test]
    fn a_line_or_event_over_the_limit_is_refused_after_what_came_before_it() {
        insta::assert_snapshot!(seen(&["--limit", "16B"], b"data: a\n\ndata: 0123456789abcdef\n\n"), @r#"
        {"type":"message","data":"a","id":"","due_at":9}
        --
        1 event, 0 comments, 0 unknown fields, 32 bytes
        error: failed to read the event stream x.sse: a line is longer than 16 bytes; raise --limit
        "#);
        insta::assert_snapshot!(seen(&["--limit", "16B"], b"data: 0123456789\ndata: abcdef\n\n"), @r"
        --
        0 events, 0 comments, 0 unknown fields, 30 bytes
        error: failed to read the event stream x.sse: an event has more than 16 bytes; raise --limit
        ");
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let args = |flags: &[&str]| {
            let cli = Cli::try_parse_from(["plimsoll", "sse"].iter().chain(flags)).map_err(|error| error.to_string());
            cli.map(|cli| match cli.command {
                Command::Sse(args) => args,
                _ => panic!("another command"),
            })
        };
        let missing = args(&["no/such.sse"]).expect("a file");
        let error = run(&missing, &mut Vec::new(), &mut Vec::new()).expect_err("no such file");
        insta::assert_snapshot!(error, @"failed to open the event stream no/such.sse");
        for size in ["0", "x", "65MiB"] {
            assert!(args(&["--read-size", size]).is_err(), "{size}");
        }
        insta::assert_snapshot!(args(&["--read-size", "16 furlongs"]).expect_err("no size"), @r#"
        error: invalid value '16 furlongs' for '--read-size <N>': "16 furlongs" is not a size: write a number with its unit, such as 512KiB, 16MiB or 1000B

        For more information, try '--help'.
        "#);
    }
}
