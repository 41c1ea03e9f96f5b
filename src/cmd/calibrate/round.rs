//! One round: one load over one transport, from its two processes to the joined errors.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};

use super::child::Running;
use super::cores::Placement;
use crate::calibrate::{Cost, Join, Joined, Kind, Load, Measured, Reported, Transport, Trust, Truth};
use crate::clock::Clock;
use crate::cmd::Exit;
use crate::driver::machine;
use crate::metrics::Outcome;
use crate::mock::truth;
use crate::runfile::bundle::INVOCATIONS;
use crate::runfile::{Run, events, invocations, readback};
use crate::stats::rank::rank;
use crate::units::{ExactTime, NS_PER_MS, NS_PER_S};

/// How often the processes are looked after, in nanoseconds.
const LOOK_NS: u64 = 100 * NS_PER_MS;
/// How long the first chunk takes, in nanoseconds: as that of the mock's agent does. What a late start may be is a share of it.
const FIRST_CHUNK_NS: u64 = 250 * NS_PER_MS;
/// How long the mock may take to end, in nanoseconds.
const END_NS: u64 = 30 * NS_PER_S;

/// One round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) transport: Transport,
    pub(super) load: Load,
    /// How long all streams stand together, in nanoseconds.
    pub(super) duration_ns: u64,
    pub(super) workers: u32,
    pub(super) placement: Placement,
    pub(super) clock: Clock,
}

/// Where a round's files are.
struct Files(tempfile::TempDir);

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// Resident memory over time: when, and how many bytes.
type Memory = Vec<(u64, u64)>;

impl Round {
    /// Runs it.
    ///
    /// # Errors
    /// A process does not start or fails, or what it wrote can't be read.
    pub(super) async fn run(&self) -> anyhow::Result<Measured> {
        self.fits().with_context(|| format!("failed to run {} over {}", self.load, self.transport.word()))?;
        let files = Files(tempfile::tempdir().context("failed to make a temporary folder")?);
        let mut mock = self.start_mock(&files)?;
        let address = address(&mock.first_line()?)?;
        let mut client = self.start_client(&files, &address)?;
        let mut memory = Memory::new();
        let status = loop {
            if let Some(status) = client.ended()? {
                break status;
            }
            memory.extend(client.resident_bytes().map(|bytes| (self.clock.now(), bytes)));
            self.clock.sleep_until(self.clock.now() + LOOK_NS).await;
        };
        // An INVALID measurement is what past the line looks like, and streams that failed are counted.
        let expected = [Exit::Done, Exit::Invalid, Exit::NothingCompleted].map(|exit| exit as i32);
        if !status.code().is_some_and(|code| expected.contains(&code)) {
            bail!("failed to run {} over {}: {}", self.load, self.transport.word(), client.said());
        }
        self.end(&mut mock).await?;
        self.measured(&files, &memory)
    }

    /// Whether the client can hold this load, where each stream has a connection of its own: it would refuse by the flags
    /// of `run`, which `calibrate` has not.
    fn fits(&self) -> anyhow::Result<()> {
        let (streams, room) = (self.load.streams, machine::room(1, self.workers));
        if u64::from(streams) > room {
            bail!(
                "hold {streams} streams: the limit on open files has room for {room} of the client's connections; give --load at most {room} streams, or raise the hard limit (ulimit -Hn)"
            );
        }
        Ok(())
    }

    fn start_mock(&self, files: &Files) -> anyhow::Result<Running> {
        fs::write(files.path("mock.toml"), self.script())?;
        let (script, truth, authority) = (files.text("mock.toml"), files.text("truth.csv"), files.text("ca.pem"));
        let mut arguments = vec!["mock", "--listen", "127.0.0.1:0", "--script", &script, "--truth", &truth];
        if self.transport != Transport::Plain {
            arguments.extend(["--tls-ca", &authority]);
        }
        self.placement.at_the_mock(|| Running::start("mock", &arguments, files.0.path(), Stdio::piped()))
    }

    fn start_client(&self, files: &Files, url: &str) -> anyhow::Result<Running> {
        fs::write(files.path("calibrate.toml"), self.profile())?;
        let (profile, out, authority) = (files.text("calibrate.toml"), files.text("runs"), files.text("ca.pem"));
        let mut arguments = vec!["run", &profile, "--url", url, "--out", &out, "--events", "--quiet"];
        if self.transport != Transport::Plain {
            arguments.extend(["--cacert", &authority]);
        }
        self.placement.at_the_client(|| Running::start("client", &arguments, files.0.path(), Stdio::null()))
    }

    fn script(&self) -> String {
        format!(
            "why = \"calibration: exact times\"\nfirst_chunk = \"{}\"\ngap = \"{}\"\nchunks = {}\n",
            ExactTime(FIRST_CHUNK_NS),
            ExactTime(self.load.gap_ns),
            self.load.chunks(self.stream_ns()),
        )
    }

    fn profile(&self) -> String {
        let http = if self.transport == Transport::H2 { "2" } else { "1" };
        let streams = self.load.streams;
        // Past what the machine carries a stream takes a multiple of its time.
        let total_ns = 20 * self.stream_ns() + 60 * NS_PER_S;
        format!(
            "why = \"calibration\"\nname = \"calibration\"\n\
             target.agent_id = \"mock-agent\"\ntarget.http = \"{http}\"\ntarget.tag = true\n\
             load.concurrency = {streams}\nload.invocations = {streams}\nload.ramp = \"{}\"\nload.workers = {}\n\
             limits.total = \"{}\"\nrequest.input.text = \"Hello\"\n",
            ExactTime(self.ramp_ns()),
            self.workers,
            ExactTime(total_ns),
        )
    }

    /// Over how long the streams begin: a whole number of gaps, so that their events lie evenly within a gap, and long
    /// enough for the machine to open the connections beside them.
    fn ramp_ns(&self) -> u64 {
        let least_ns = NS_PER_S.min(self.duration_ns);
        (u64::from(self.load.streams) * NS_PER_MS).max(least_ns).next_multiple_of(self.load.gap_ns)
    }

    /// How long a stream lasts: the first one is to stand when the last one begins, and for the whole duration then.
    fn stream_ns(&self) -> u64 {
        self.ramp_ns() + self.duration_ns
    }

    /// Ends the mock, whose truth is written out then.
    async fn end(&self, mock: &mut Running) -> anyhow::Result<()> {
        mock.terminate();
        let until_ns = self.clock.now() + END_NS;
        loop {
            match mock.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => bail!("failed to end the mock: {}", mock.said()),
                None if self.clock.now() > until_ns => bail!("failed to end the mock: it does not react"),
                None => self.clock.sleep_until(self.clock.now() + LOOK_NS / 10).await,
            }
        }
    }

    fn measured(&self, files: &Files, memory: &Memory) -> anyhow::Result<Measured> {
        let folder = only_folder(&files.path("runs"))?;
        let run = readback::read_run(&folder).context("failed to read the run")?;
        let (joined, mut sent) = join(&files.path("truth.csv"), &folder, &run)?;
        let harness = run.harness.as_ref().context("failed to read the run: it did not end")?;
        let certificate = run.certificate.as_ref().context("failed to read the run: it was not judged")?;
        let completed = run.summary.as_ref().map_or(0, |summary| summary.overall().ledger.of(Outcome::Completed));
        let own = &certificate.measured;
        let busiest = own.worker_cpu.iter().copied().fold(0.0, f64::max);
        let trust = Trust {
            verdict: certificate.verdict,
            worst: certificate.verdict,
            stamp_error_ns_p99: own.stamp_error_ns_p99.unwrap_or_default(),
            client_lag_ns_p99: own.client_lag_ns_p99.unwrap_or_default(),
            start_lag_ns_p99: own.start_lag_ns_p99.unwrap_or_default(),
            mock_late_ns_p99: sent.late_ns_p99(),
            events_per_s: sent.per_s(),
        };
        let cost = Cost {
            cpu_ns_per_event: harness.cpu_ns / harness.events.max(1),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a core")]
            busiest_per_mille: (busiest * 1e3).round() as u64,
            memory_bytes_per_stream: self.growth(memory, &run, harness.end_ns),
        };
        let missed = u64::from(self.load.streams).saturating_sub(completed);
        Ok(Measured::of((self.transport, self.load), harness.stamps.clock, joined, missed, trust, cost))
    }

    /// By how much memory grew while the load ran, for each stream.
    fn growth(&self, memory: &Memory, run: &Run, end_ns: u64) -> Option<u64> {
        let began_ns = run.origin_monotonic_ns?.checked_sub(self.clock.monotonic_ns()?)?;
        let before = memory.iter().take_while(|(at_ns, _)| *at_ns <= began_ns).last()?.1;
        let during = memory.iter().filter(|(at_ns, _)| (began_ns..=began_ns + end_ns).contains(at_ns));
        let most = during.map(|(_, bytes)| *bytes).max()?;
        Some(most.saturating_sub(before) / u64::from(self.load.streams))
    }
}

/// Where the mock listens, from its first line.
fn address(line: &str) -> anyhow::Result<String> {
    let url = line.split_whitespace().find(|word| word.starts_with("http")).map(|word| word.trim_end_matches(';'));
    url.map(str::to_owned).with_context(|| format!("failed to find the mock's address in {line:?}"))
}

/// The bundle of the one run.
fn only_folder(runs: &Path) -> anyhow::Result<PathBuf> {
    let entry = fs::read_dir(runs).and_then(|mut entries| entries.next().transpose());
    let entry = entry.context("failed to read the run")?.context("failed to find the run's bundle")?;
    Ok(entry.path())
}

/// What the mock sent.
#[derive(Default)]
struct Sent {
    /// When each event was handed over, in nanoseconds.
    handed_ns: Vec<u64>,
    /// By how much later than it was due.
    late_ns: Vec<u64>,
    /// The first and the last of each stream.
    streams: BTreeMap<u64, (u64, u64)>,
}

impl Sent {
    fn take(&mut self, row: &truth::Row<'_>) {
        let at_ns = row.handed_monotonic_ns.unwrap_or_default();
        self.handed_ns.push(at_ns);
        self.late_ns.push(row.handed_ns.saturating_sub(row.due_ns));
        let ends = self.streams.entry(row.plan_index).or_insert((at_ns, at_ns));
        *ends = (ends.0.min(at_ns), ends.1.max(at_ns));
    }

    /// Events a second while all streams stood; over the whole time where they never stood together.
    fn per_s(&self) -> u64 {
        let ends = || self.streams.values();
        let together = ends().map(|(first, _)| *first).max().zip(ends().map(|(_, last)| *last).min());
        let whole = ends().map(|(first, _)| *first).min().zip(ends().map(|(_, last)| *last).max());
        let stretch = together.filter(|(from, to)| from < to).or(whole).filter(|(from, to)| from < to);
        let Some((from_ns, to_ns)) = stretch else { return 0 };
        let within = self.handed_ns.iter().filter(|at_ns| (from_ns..to_ns).contains(at_ns)).count();
        let per_s = within as u128 * u128::from(NS_PER_S) / u128::from(to_ns - from_ns);
        u64::try_from(per_s).unwrap_or(u64::MAX)
    }

    fn late_ns_p99(&mut self) -> u64 {
        self.late_ns.sort_unstable();
        match self.late_ns.len() as u64 {
            0 => 0,
            count => self.late_ns[usize::try_from(rank(0.99, count) - 1).expect("it is below the length")],
        }
    }
}

/// Joins the truth with what the run reported.
fn join(truth: &Path, folder: &Path, run: &Run) -> anyhow::Result<(Joined, Sent)> {
    let (harness, origin_ns) = (run.harness.as_ref(), run.origin_monotonic_ns.unwrap_or_default());
    let stamps = harness.map(|harness| harness.stamps).context("failed to read the run: it did not end")?;
    let mut join = Join::new(stamps.clock, stamps.mapping_error_ns_max);
    let mut sent = Sent::default();
    let file = File::open(truth).context("failed to read the truth log")?;
    let rows = truth::read(BufReader::new(file), |row| {
        let handed_ns = row.handed_monotonic_ns.unwrap_or_default();
        let written_ns = row.written_monotonic_ns;
        let kind = match &*row.kind {
            "chunk" => Kind::Chunk,
            "task_finished" => Kind::Finish,
            _ => Kind::Other,
        };
        join.sent(row.plan_index, row.event_index, Truth { handed_ns, written_ns, kind });
        sent.take(row);
    });
    let rows = rows.context("failed to read the truth log")?;
    let reported = events::read(folder, |event| {
        let on_the_truths_clock = |at_ns: u64| at_ns.saturating_add(origin_ns);
        let reported = Reported {
            earliest_ns: on_the_truths_clock(event.earliest_ns),
            arrival_ns: on_the_truths_clock(event.arrival_ns),
            handled_ns: on_the_truths_clock(event.handled_ns),
            read: event.read,
        };
        join.reported(event.plan_index, event.event_index, reported);
    });
    let reported = reported.context("failed to read the events")?.context("failed to find the events")?;
    if rows.truncated || reported.truncated {
        bail!(
            "failed to read the truth or the events: a file was cut off; is there space left in the temporary folder?"
        );
    }
    let file = File::open(folder.join(INVOCATIONS)).context("failed to read the run")?;
    let on_the_truths_clock = |at_ns: Option<u64>| at_ns.map(|at_ns| at_ns.saturating_add(origin_ns));
    let rows = invocations::read(file, |record| {
        let (first, end) = (record.stamps.first_chunk_ns, record.stamps.finished_ns);
        join.row(record.plan_index, on_the_truths_clock(first), on_the_truths_clock(end));
    });
    rows.context("failed to read the run")?;
    Ok((join.finish(), sent))
}
