//! Measures every subject in turn, round after round, and writes the table of `reports/sse-parser.md`.
//!
//! `cargo run --release` from this folder writes all of it; with `instructions` it counts them under callgrind
//! instead, which needs valgrind. Times come from interleaved samples, so that what else runs on the machine meets all
//! subjects alike; a ratio is the median of the ratios within each round.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use sse_benches::corpus::{self, Corpus, Feed};
use sse_benches::subjects::{FLOOR, OURS, PAYLOADS, PEERS, Subject, TYPE};

/// How often each subject is sampled.
const ROUNDS: usize = 41;
/// As often when one pass takes longer than a sample should.
const SLOW_ROUNDS: usize = 5;
/// How long a sample takes at least, in seconds.
const SAMPLE_S: f64 = 0.001;
/// What counts as a slow pass, in seconds.
const SLOW_S: f64 = 0.02;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => times(),
        ["instructions"] => instructions(),
        ["count", subject, corpus, feed] => count(subject, corpus, feed),
        _ => eprintln!("usage: table [instructions]"),
    }
}

/// One corpus in one feed, with what each subject took.
struct Cell {
    corpus: &'static str,
    feed: Feed,
    events: usize,
    bytes: usize,
    /// Seconds of one pass, for each round, by subject.
    passes: Vec<(Subject, Vec<f64>)>,
}

impl Cell {
    fn measure(corpus: &Corpus, stream: &'static [u8], feed: Feed, subjects: &[Subject]) -> Self {
        let reads = feed.cut(stream);
        let mut passes = Vec::new();
        for subject in subjects.iter().filter(|subject| subject.can_bear(feed)) {
            passes.push((*subject, Vec::new()));
        }
        // The first pass warms up, and tells how many make a sample.
        let once: Vec<f64> = passes.iter().map(|(subject, _)| sample(subject, &reads, 1)).collect();
        for round in 0..ROUNDS {
            for ((subject, samples), once) in passes.iter_mut().zip(&once) {
                if *once < SLOW_S || round < SLOW_ROUNDS {
                    samples.push(sample(subject, &reads, (SAMPLE_S / once).ceil().max(1.0) as u32));
                }
            }
        }
        Self { corpus: corpus.name, feed, events: corpus.payloads.len(), bytes: stream.len(), passes }
    }

    fn samples(&self, subject: &Subject) -> Option<&[f64]> {
        self.passes.iter().find(|(one, _)| one.name == subject.name).map(|(_, samples)| &samples[..])
    }

    /// How many times longer another takes than ours: the median over the rounds.
    fn ratio(&self, other: &Subject, ours: &Subject) -> f64 {
        let (Some(other), Some(ours)) = (self.samples(other), self.samples(ours)) else { return f64::NAN };
        median(other.iter().zip(ours).map(|(other, ours)| other / ours).collect())
    }

    /// The fastest crate here.
    fn fastest_peer(&self) -> Subject {
        let time = |subject: &Subject| self.samples(subject).map_or(f64::MAX, |samples| median(samples.to_vec()));
        *PEERS.iter().min_by(|a, b| time(a).total_cmp(&time(b))).expect("there are peers")
    }

    fn ns_an_event(&self, subject: &Subject) -> f64 {
        self.samples(subject).map_or(f64::NAN, |samples| median(samples.to_vec()) * 1e9 / self.events as f64)
    }

    /// Half the range between the quartiles, as a share of the median.
    fn noise(&self, subject: &Subject) -> f64 {
        let mut samples = self.samples(subject).map(<[f64]>::to_vec).unwrap_or_default();
        samples.sort_by(f64::total_cmp);
        (samples[samples.len() * 3 / 4] - samples[samples.len() / 4]) / 2.0 / median(samples)
    }
}

fn sample(subject: &Subject, reads: &[&'static [u8]], passes: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..passes {
        black_box((subject.run)(black_box(reads)));
    }
    start.elapsed().as_secs_f64() / f64::from(passes)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn times() {
    let mut framing = Vec::new();
    let mut payloads = Vec::new();
    for mut corpus in corpus::all() {
        let stream: &'static [u8] = std::mem::take(&mut corpus.stream).leak();
        let subjects: Vec<Subject> = [OURS, FLOOR].into_iter().chain(PEERS).collect();
        for feed in Feed::ALL {
            framing.push(Cell::measure(&corpus, stream, feed, &subjects));
        }
        if matches!(corpus.name, "agent" | "tools") {
            let subjects: Vec<Subject> = [OURS, TYPE].into_iter().chain(PAYLOADS).collect();
            payloads.push(Cell::measure(&corpus, stream, Feed::Reads(1400), &subjects));
        }
    }
    print_head();
    print_framing(&framing);
    print_payloads(&payloads);
    print_goals(&framing, &payloads);
    let noise = framing.iter().map(|cell| cell.noise(&OURS)).collect();
    println!(
        "\nNoise: half the range between the quartiles of plimsoll's samples is {:.1} % of their median, for the",
        median(noise) * 100.0
    );
    println!(
        "median row. {ROUNDS} rounds ({SLOW_ROUNDS} for passes over {SLOW_S} s), each sample at least {SAMPLE_S} s."
    );
}

fn print_head() {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned));
    let crates = PEERS.iter().map(|peer| peer.name).chain(["memchr", "sonic-rs", "serde_json"]);
    let crates: Vec<_> = crates.map(|name| format!("{name} {}", version(name))).collect();
    println!("Processor: {}. Versions: {}.\n", processor.as_deref().unwrap_or("unknown"), crates.join(", "));
}

/// The version of a crate that this was built with.
fn version(name: &str) -> &'static str {
    let mut lines = include_str!("../Cargo.lock").lines().skip_while(|line| *line != format!("name = \"{name}\""));
    lines.nth(1).and_then(|line| line.split('"').nth(1)).unwrap_or("unknown")
}

fn print_framing(cells: &[Cell]) {
    let peers: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
    println!(
        "## Framing\n\nNanoseconds an event; in brackets GB/s. The last two columns: the time of the fastest crate and of the floor, as multiples of plimsoll's.\n"
    );
    println!("| corpus | reads | plimsoll | memchr2 positions | {} | fastest crate | floor |", peers.join(" | "));
    println!("|{}", "---|".repeat(6 + PEERS.len()));
    for cell in cells {
        print!("| {} | {} |", cell.corpus, cell.feed.name());
        for subject in [OURS, FLOOR].iter().chain(&PEERS) {
            let ns = cell.ns_an_event(subject);
            if ns.is_nan() {
                print!(" – |");
            } else {
                print!(" {} ({}) |", three(ns), three(cell.bytes as f64 / cell.events as f64 / ns));
            }
        }
        let ratios = (cell.ratio(&cell.fastest_peer(), &OURS), cell.ratio(&FLOOR, &OURS));
        println!(" {:.2}× | {:.2}× |", ratios.0, ratios.1);
    }
}

fn print_payloads(cells: &[Cell]) {
    println!("\n## Framing and JSON, 1,400 B reads\n");
    println!("| corpus | work | ns an event | against framing + type |\n|---|---|---|---|");
    for cell in cells {
        for subject in [OURS, TYPE].iter().chain(&PAYLOADS) {
            let ratio = cell.ratio(subject, &TYPE);
            let name = if subject.name == OURS.name { "framing alone" } else { subject.name };
            println!("| {} | {name} | {} | {ratio:.2}× |", cell.corpus, three(cell.ns_an_event(subject)));
        }
    }
}

/// What was to be reached, and what was.
fn print_goals(framing: &[Cell], payloads: &[Cell]) {
    println!("\n## Goals\n\n| work | at least | reached | |\n|---|---|---|---|");
    let row = |work: String, goal: f64, reached: f64, unit: &str| {
        let verdict = if reached >= goal { "yes" } else { "**no**" };
        println!("| {work} | {goal}{unit} | {reached:.2}{unit} | {verdict} |");
    };
    for cell in framing {
        let against_peer = match (cell.corpus, cell.feed) {
            ("agent", Feed::Whole | Feed::Reads(_)) => 3.0,
            ("tiny", Feed::Whole | Feed::Reads(_)) => 2.0,
            ("large", Feed::Pieces) => 1.0,
            ("agent" | "tiny" | "openai" | "tools", Feed::Pieces) => 1.3,
            _ => continue,
        };
        let place = format!("`{}`, {}", cell.corpus, cell.feed.name());
        let peer = cell.fastest_peer();
        row(format!("{place}, against {}", peer.name), against_peer, cell.ratio(&peer, &OURS), "×");
        if cell.corpus == "agent" && matches!(cell.feed, Feed::Whole | Feed::Reads(16_384)) {
            row(format!("{place}, against the floor"), 0.75, cell.ratio(&FLOOR, &OURS), "×");
        }
    }
    if let Some(cell) = payloads.iter().find(|cell| cell.corpus == "agent") {
        let ns = cell.ns_an_event(&TYPE);
        let verdict = if ns < 30.0 { "yes" } else { "**no**" };
        println!("| `agent`, 1,400 B reads, framing + type | under 30 ns an event | {ns:.1} ns | {verdict} |");
        row(
            "`agent`, 1,400 B reads, framing + type against sonic-rs get".to_owned(),
            2.0,
            cell.ratio(&PAYLOADS[0], &TYPE),
            "×",
        );
    }
}

/// Three digits.
fn three(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Instructions an event, as callgrind counts them in a process of each subject's own.
fn instructions() {
    let subjects: Vec<Subject> =
        [OURS, FLOOR].into_iter().chain(PEERS).filter(|subject| !subject.name.starts_with("event")).collect();
    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    println!("## Instructions an event, by callgrind\n");
    println!("| corpus | reads | {} |", names.join(" | "));
    println!("|{}", "---|".repeat(2 + subjects.len()));
    for corpus in corpus::all() {
        for feed in Feed::ALL {
            print!("| {} | {} |", corpus.name, feed.name());
            for subject in &subjects {
                let counted = callgrind(&["count", subject.name, corpus.name, feed.name()]);
                print!(" {} |", three(counted as f64 / corpus.payloads.len() as f64));
            }
            println!();
        }
    }
    for corpus in corpus::all().iter().filter(|corpus| matches!(corpus.name, "agent" | "tools")) {
        let feed = Feed::Reads(1400);
        for subject in [&TYPE, &PAYLOADS[0]] {
            let counted = callgrind(&["count", subject.name, corpus.name, feed.name()]);
            let each = three(counted as f64 / corpus.payloads.len() as f64);
            println!("\n{} on `{}`, {}: {each}", subject.name, corpus.name, feed.name());
        }
    }
}

/// Runs this program with these arguments under callgrind, counting within [`counted`] alone.
fn callgrind(arguments: &[&str]) -> u64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted*"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("valgrind is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    let total = text.lines().find_map(|line| line.split("Collected :").nth(1));
    total.and_then(|total| total.trim().parse().ok()).unwrap_or_else(|| panic!("callgrind counted nothing:\n{text}"))
}

/// One pass of one subject, to be counted from outside.
fn count(subject: &str, corpus: &str, feed: &str) {
    let subjects = [OURS, FLOOR, TYPE].into_iter().chain(PEERS).chain(PAYLOADS);
    let subject = subjects.into_iter().find(|one| one.name == subject).expect("a subject's name");
    let corpus = corpus::all().into_iter().find(|one| one.name == corpus).expect("a corpus's name");
    let feed = Feed::ALL.into_iter().find(|one| one.name() == feed).expect("a feed's name");
    let reads = feed.cut(corpus.stream.leak());
    counted(&subject, &reads);
}

#[inline(never)]
fn counted(subject: &Subject, reads: &[&'static [u8]]) {
    black_box((subject.run)(black_box(reads)));
}
