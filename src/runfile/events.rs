//! `events.csv`: a row for every event, when it is asked for; plain, gzip or zstd.
//!
//! Workers fill blocks of text and hand them over; one thread of the bundle's writes them. The queue between them is
//! bounded: a disk that can't keep up holds the workers back, which their own lag shows, rather than fill the memory.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::bundle;
use super::invocations::defused;
use super::table::{self, Error, Rows};

/// What the events of a run are, plain; compressed ones have a further ending.
pub const EVENTS: &str = "events.csv";

/// The columns, in order.
const COLUMNS: &str = "plan_index,event_index,type,earliest_ns,arrival_ns,handled_ns,read,bytes,text_bytes";

/// The size at which a block is handed over, in bytes.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks that wait for the writer at most, over all workers: 8 MiB.
const BLOCKS_MAX: usize = 128;

/// How the file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// gzip (`events.csv.gz`).
    Gzip,
    /// Zstandard (`events.csv.zst`).
    Zstd,
}

/// One event. Times in nanoseconds since the run's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The place of its invocation in the plan.
    pub plan_index: u64,
    /// Its number within the invocation, from 0.
    pub event_index: u64,
    /// Its type as the contract names it.
    pub kind: Cow<'a, str>,
    /// Before this it can't have arrived: for all but the last event of a read, its arrival lies between this and
    /// `arrival_ns`.
    pub earliest_ns: u64,
    /// When it arrived.
    pub arrival_ns: u64,
    /// When it was handled.
    pub handled_ns: u64,
    /// The number of the read that completed it, on its connection.
    pub read: u64,
    /// Its data, in bytes.
    pub bytes: u64,
    /// The text of a chunk, in bytes of UTF-8; 0 for every other event.
    pub text_bytes: u64,
}

impl Encoding {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::Zstd];

    /// The file's name.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Plain => EVENTS,
            Self::Gzip => "events.csv.gz",
            Self::Zstd => "events.csv.zst",
        }
    }
}

/// The file of a run's events, being written by a thread of its own.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    blocks: SyncSender<Vec<u8>>,
    writer: JoinHandle<io::Result<()>>,
}

/// What one worker writes into: a block of rows, handed over when it is full.
#[derive(Debug)]
pub struct Sheet {
    block: Vec<u8>,
    blocks: SyncSender<Vec<u8>>,
}

impl EventLog {
    /// Creates the file in a bundle.
    ///
    /// # Errors
    /// It is there already or can't be written.
    pub fn create(folder: &Path, encoding: Encoding) -> Result<Self, bundle::Error> {
        let path = folder.join(encoding.file());
        let refuse = |source| bundle::Error::Write { path: path.clone(), source };
        let file = File::create_new(&path).map_err(refuse)?;
        let (blocks, inbox) = sync_channel(BLOCKS_MAX);
        let body = move || write_all(file, encoding, &inbox);
        let writer = thread::Builder::new().name("events".to_owned()).spawn(body).map_err(refuse)?;
        Ok(Self { path, blocks, writer })
    }

    /// A sheet for one worker.
    #[must_use]
    pub fn sheet(&self) -> Sheet {
        Sheet { block: Vec::new(), blocks: self.blocks.clone() }
    }

    /// Ends the file, once every sheet was dropped.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn finish(self) -> Result<(), bundle::Error> {
        drop(self.blocks);
        let ended = self.writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer of events died")));
        ended.map_err(|source| bundle::Error::Write { path: self.path, source })
    }
}

fn write_all(file: File, encoding: Encoding, inbox: &Receiver<Vec<u8>>) -> io::Result<()> {
    match encoding {
        Encoding::Plain => write_blocks(file, inbox).map(drop),
        Encoding::Gzip => write_blocks(GzEncoder::new(file, Compression::fast()), inbox)?.finish().map(drop),
        Encoding::Zstd => write_blocks(zstd::Encoder::new(file, ZSTD_LEVEL)?, inbox)?.finish().map(drop),
    }
}

/// zstd's own default is 3; what counts here is that the workers have the cores.
const ZSTD_LEVEL: i32 = 1;

fn write_blocks<W: Write>(mut out: W, inbox: &Receiver<Vec<u8>>) -> io::Result<W> {
    writeln!(out, "{COLUMNS}")?;
    for block in inbox {
        out.write_all(&block)?;
    }
    out.flush()?;
    Ok(out)
}

impl Sheet {
    /// One more row.
    pub fn write(&mut self, event: &Event<'_>) {
        let Event { plan_index, event_index, kind: _, earliest_ns, arrival_ns, handled_ns, read, bytes, text_bytes } =
            event;
        let (row, kind) = (&mut self.block, Kind(&event.kind));
        // A vector takes everything.
        let _ = write!(row, "{plan_index},{event_index},{kind},{earliest_ns},{arrival_ns},{handled_ns},{read},");
        let _ = writeln!(row, "{bytes},{text_bytes}");
        if self.block.len() >= BLOCK_BYTES {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub fn flush(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.block.capacity());
        // A writer that has failed says so at the end of the run; until then the load goes on.
        let _ = self.blocks.send(std::mem::replace(&mut self.block, next));
    }
}

impl Clone for Sheet {
    /// An empty sheet for another worker.
    fn clone(&self) -> Self {
        Self { block: Vec::new(), blocks: self.blocks.clone() }
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A type as a cell: as it stands when the contract knows it, else quoted and defused.
struct Kind<'a>(&'a str);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain && !self.0.is_empty() {
            return out.write_str(self.0);
        }
        write!(out, "\"{}\"", defused(self.0).replace('"', "\"\""))
    }
}

/// How the events of a bundle are compressed; none when they were not asked for.
#[must_use]
pub fn encoding(folder: &Path) -> Option<Encoding> {
    Encoding::ALL.into_iter().find(|encoding| folder.join(encoding.file()).exists())
}

/// Reads the events of a bundle, whichever way they are compressed; nothing when they were not asked for. A last row
/// that was cut off is left out, and said.
///
/// # Errors
/// The file can't be read, or holds something else.
pub fn read(folder: &Path, take: impl FnMut(&Event<'_>)) -> Result<Option<Rows>, Error> {
    let refuse = |source: io::Error| Error::Csv { file: EVENTS, source: source.into() };
    let Some(encoding) = encoding(folder) else { return Ok(None) };
    let file = BufReader::new(File::open(folder.join(encoding.file())).map_err(refuse)?);
    let rows = match encoding {
        Encoding::Plain => read_rows(file, take),
        Encoding::Gzip => read_whole(MultiGzDecoder::new(file), take),
        Encoding::Zstd => read_whole(zstd::Decoder::with_buffer(file).map_err(refuse)?, take),
    };
    rows.map(Some)
}

/// Reads the rows of what can be decompressed.
fn read_whole(input: impl Read, take: impl FnMut(&Event<'_>)) -> Result<Rows, Error> {
    let mut whole = Whole { input, cut_off: false };
    let rows = read_rows(&mut whole, take)?;
    Ok(Rows { truncated: rows.truncated || whole.cut_off, ..rows })
}

/// What can be decompressed of a stream that may have been cut off: its end is taken for the end, and remembered.
struct Whole<R> {
    input: R,
    cut_off: bool,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut_off = true;
                Ok(0)
            }
            other => other,
        }
    }
}

fn read_rows(input: impl Read, mut take: impl FnMut(&Event<'_>)) -> Result<Rows, Error> {
    table::read(EVENTS, &[COLUMNS], input, |cells, row| {
        let number = |at: usize, column: &'static str| {
            let text = cells.get(at).unwrap_or_default();
            text.parse().map_err(|_| Error::Cell {
                file: EVENTS,
                row,
                column: column.to_owned(),
                text: text.to_owned(),
            })
        };
        let kind = cells.get(2).unwrap_or_default();
        take(&Event {
            plan_index: number(0, "plan_index")?,
            event_index: number(1, "event_index")?,
            kind: Cow::Borrowed(kind.strip_prefix('\'').unwrap_or(kind)),
            earliest_ns: number(3, "earliest_ns")?,
            arrival_ns: number(4, "arrival_ns")?,
            handled_ns: number(5, "handled_ns")?,
            read: number(6, "read")?,
            bytes: number(7, "bytes")?,
            text_bytes: number(8, "text_bytes")?,
        });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: u64, kind: &'static str) -> Event<'static> {
        let kind = Cow::Borrowed(kind);
        Event {
            plan_index: 7,
            event_index: index,
            kind,
            earliest_ns: 900,
            arrival_ns: 1_000 + index,
            handled_ns: 2_000,
            read: 3,
            bytes: 40,
            text_bytes: 5,
        }
    }

    const KINDS: [&str; 4] = ["chunk", "=cmd|' /C calc'!A0, \"x\"\nnext", "", "task_finished"];

    fn written(folder: &Path, encoding: Encoding) {
        let log = EventLog::create(folder, encoding).expect("the folder is new");
        let mut sheet = log.sheet();
        (0..).zip(KINDS).for_each(|(index, kind)| sheet.write(&event(index, kind)));
        drop(sheet);
        log.finish().expect("written");
    }

    #[test]
    fn what_is_written_is_read_back_however_it_is_compressed() {
        for encoding in Encoding::ALL {
            let folder = tempfile::tempdir().expect("a folder");
            written(folder.path(), encoding);
            let mut found = Vec::new();
            let rows = read(folder.path(), |event| found.push(format!("{event:?}"))).expect("it was written by us");
            assert_eq!(rows, Some(Rows { whole: 4, truncated: false }), "{encoding:?}");
            let expected: Vec<_> = (0..).zip(KINDS).map(|(index, kind)| format!("{:?}", event(index, kind))).collect();
            assert_eq!(found, expected, "{encoding:?}");
        }
    }

    #[test]
    fn wherever_it_is_cut_off_the_whole_rows_are_used_and_the_rest_is_said() {
        for encoding in Encoding::ALL {
            let folder = tempfile::tempdir().expect("a folder");
            written(folder.path(), encoding);
            let path = folder.path().join(encoding.file());
            let whole = std::fs::read(&path).expect("it was written");
            for cut in 0..whole.len() {
                std::fs::write(&path, &whole[..cut]).expect("written");
                let mut taken = 0;
                let rows =
                    read(folder.path(), |_| taken += 1).unwrap_or_else(|error| panic!("{encoding:?} {cut}: {error}"));
                let rows = rows.expect("it is there");
                assert!(rows.whole == taken && taken <= 4, "{encoding:?} cut at {cut}: {rows:?}");
                // Between two rows of a plain file nothing tells a cut, and behind the last one a code has only its end.
                let between = encoding == Encoding::Plain && cut > 0 && whole[cut - 1] == b'\n';
                assert!(rows.truncated || between || taken == 4, "{encoding:?} cut at {cut}: {rows:?}");
            }
        }
        assert_eq!(read(Path::new("/nowhere"), |_| {}).expect("not asked for"), None);
    }
}
