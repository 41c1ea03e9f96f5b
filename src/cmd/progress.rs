//! How far a run is, for whoever waits: a live line on a terminal, plain lines elsewhere. Always on standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::driver::Live;
use crate::metrics::Outcome;
use crate::stats::Histogram;
use crate::units::{Human, NS_PER_S};

/// Times are shown to a tenth of a second.
const TENTH_NS: u64 = NS_PER_S / 10;
/// Without a terminal, a line comes this often, in nanoseconds.
const LINE_EVERY_NS: u64 = 2 * NS_PER_S;

/// Where the progress goes.
#[derive(Debug)]
pub enum Progress {
    /// Nowhere.
    Quiet,
    /// One line that is drawn again and again.
    Terminal(ProgressBar),
    /// A line every two seconds; the next one is due then.
    Lines(u64),
}

impl Progress {
    /// What fits standard error, or nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines(LINE_EVERY_NS);
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {prefix}\n  {wide_msg}").expect("the template is valid"));
        Self::Terminal(bar)
    }

    /// Shows how far the run is.
    pub fn show(&mut self, live: &Live) {
        match self {
            Self::Quiet => {}
            Self::Terminal(bar) => {
                bar.set_prefix(counts(live));
                bar.set_message(times(live));
                bar.tick();
            }
            Self::Lines(due_ns) => {
                if live.elapsed_ns >= *due_ns {
                    *due_ns = live.elapsed_ns + LINE_EVERY_NS;
                    // A standard error that is gone is no reason to stop measuring.
                    let _ = writeln!(io::stderr(), "{} · {}", counts(live), times(live));
                }
            }
        }
    }

    /// Takes the live line away.
    pub fn finish(self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How many are how far.
fn counts(live: &Live) -> String {
    let ledger = &live.ledger;
    format!(
        "{:>6} {} in flight · {} started · {} completed · {} failed{}",
        Human(live.elapsed_ns / TENTH_NS * TENTH_NS).to_string(),
        live.progress.in_flight,
        live.progress.made(),
        ledger.of(Outcome::Completed),
        ledger.failed(),
        if live.draining { " · draining" } else { "" },
    )
}

/// How fast it goes so far, and how slow we are ourselves.
fn times(live: &Live) -> String {
    let time = |histogram: &Histogram, p: f64| {
        histogram.quantile_ns(p).map_or_else(|| "–".to_owned(), |ns| Human(ns).to_string())
    };
    format!(
        "{} events/s · ttfc p50 {} p95 {} · client lag p99 {}",
        live.events_per_s,
        time(&live.ttfc, 0.5),
        time(&live.ttfc, 0.95),
        time(&live.client_lag, 0.99),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(live: &Live) -> String {
        format!("{} · {}", counts(live), times(live))
    }

    #[test]
    fn a_line_says_how_far_the_run_is() {
        let mut live = Live { elapsed_ns: 4_234_000_000, events_per_s: 2_150, draining: true, ..Live::default() };
        insta::assert_snapshot!(told(&live), @" 4.20s 0 in flight · 0 started · 0 completed · 0 failed · draining · 2150 events/s · ttfc p50 – p95 – · client lag p99 –");
        live.ledger.count(Outcome::Completed);
        live.ledger.count(Outcome::Reset);
        live.ttfc.record(250_000_000);
        live.draining = false;
        live.progress.started = 52;
        live.progress.in_flight = 50;
        insta::assert_snapshot!(told(&live), @" 4.20s 50 in flight · 52 started · 1 completed · 1 failed · 2150 events/s · ttfc p50 250ms p95 250ms · client lag p99 –");
    }
}
