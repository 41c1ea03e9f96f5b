//! What plimsoll's measured client costs, beside the bare system calls, a usual Rust client, and oha where it is on the
//! `PATH` (`cargo install oha`).
//!
//! `cargo run --release` prints the table; each cell is a process of its own on core 1, served by another on core 0.
//! `cargo run --release -- WORKLOAD…` runs only those (`2000x100` is one: 2,000 streams, an event every 100 ms), with
//! `--runs N` for other than three runs of each.

mod bare;
mod measure;
mod oha;
mod ours;
mod peer;
mod server;
mod workload;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use measure::Measured;
use workload::Workload;

/// The clients that are compared, the one to which the others are held first.
const CLIENTS: [&str; 4] = ["plimsoll", "bare", "reqwest", "oha"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", name] => server::serve(Workload::named(name)),
        ["client", client, name, port] => {
            let (workload, port) = (Workload::named(name), port.parse().expect("a port"));
            match *client {
                "plimsoll" => ours::run(workload, port),
                "bare" => bare::run(workload, port),
                "reqwest" => peer::run(workload, port),
                "oha" => println!("{}", oha::run(workload, port).line()),
                other => panic!("no client {other}"),
            }
        }
        _ => compare(&words),
    }
}

fn compare(words: &[&str]) {
    let runs_at = words.iter().position(|word| *word == "--runs");
    let runs = runs_at.map_or(3, |at| words[at + 1].parse().expect("a number of runs"));
    let asked = &words[..runs_at.unwrap_or(words.len())];
    let named: Vec<Workload> = asked.iter().map(|name| Workload::named(name)).collect();
    for workload in if named.is_empty() { workload::ALL } else { &named } {
        println!("\n{}: {}", workload.name, workload.told());
        let clients: Vec<_> = CLIENTS.into_iter().filter(|name| *name != "oha" || oha::can_run(*workload)).collect();
        let mut cells: Vec<Vec<Measured>> = clients.iter().map(|_| Vec::new()).collect();
        for _ in 0..runs {
            for (client, cell) in clients.iter().zip(&mut cells) {
                cell.push(run(client, workload.name));
            }
        }
        let medians: Vec<_> = clients.into_iter().zip(cells.into_iter().map(Measured::median)).collect();
        for (client, median) in &medians {
            println!("{client:>10}  {median}  {}", median.ratios(&medians[1..]));
        }
    }
}

/// Runs one client against a server of its own.
fn run(client: &str, workload: &str) -> Measured {
    let mut server = start("0", &["server", workload]);
    let port = first_line(&mut server);
    let mut client = start("1", &["client", client, workload, &port]);
    Measured::parse(&first_line(&mut client))
}

/// A child that does not outlive its use.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(core: &str, arguments: &[&str]) -> Running {
    let this = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(this);
    let child = command.args(arguments).env(measure::CORE, core).stdout(Stdio::piped()).spawn();
    Running(child.expect("this program runs"))
}

fn first_line(child: &mut Running) -> String {
    let mut line = String::new();
    BufReader::new(child.0.stdout.as_mut().expect("it is piped")).read_line(&mut line).expect("it prints a line");
    line.trim().to_owned()
}
