//! The loads whose records are drawn, and what is known of their quantiles.

use plimsoll::metrics::{Metric, Part, Record, Series};
use plimsoll::stats::Observation;
use plimsoll::stats::normal::normal_share;
use plimsoll::units::NS_PER_S;

/// A load, how many invocations of it are reported, and which quantiles of what are asked for.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// The mock's script and the rate of its load, as TOML.
    pub(super) load: &'static str,
    /// Invocations after the warm-up.
    pub(super) n: u64,
    /// Further planned starts, so that there are as many after it.
    pub(super) spare: u64,
    pub(super) truth: Truth,
    pub(super) asked: &'static [Asked],
}

/// A quantile that is asked for, and where its coverage must lie.
pub(super) struct Asked {
    pub(super) figure: Figure,
    pub(super) p: f64,
    pub(super) bounds: Option<Bounds>,
}

/// How the true quantile is known.
#[derive(Clone, Copy)]
pub(super) enum Truth {
    /// In closed form: the quantile in seconds.
    Known(fn(f64) -> f64),
    /// By a draw of its own, of [`LARGE_DRAW`] invocations.
    Drawn,
}

/// Where the share of intervals that hold the truth must lie.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) least: f64,
    pub(super) most: f64,
}

/// What a quantile is reported of.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    Series(Series),
    Gap,
    Tool(&'static str),
    Part(Part),
}

/// Invocations whose plain quantiles pass for the truth where no formula gives it.
pub(super) const LARGE_DRAW: u64 = 1_000_000;

const TTFC: Figure = Figure::Series(Series::from_intended(Metric::Ttfc));
const FINISH: Figure = Figure::Series(Series::from_intended(Metric::Finish));

const INDEPENDENT: Option<Bounds> = Some(Bounds { least: 0.93, most: 0.97 });
const QUEUE: Option<Bounds> = Some(Bounds { least: 0.92, most: 1.0 });

/// 70 % quick, 25 % slower and 5 % very slow answers.
const MIXTURE: &str = "load.rate = 5\nload.arrival = \"poisson\"\n[mock]\nwhy = \"a mixture\"\nchunks = 1\n\
    first_chunk = { mixture = [\
    { weight = 70, of = { lognormal = { median = \"400ms\", p99 = \"1s\" } } }, \
    { weight = 25, of = { lognormal = { median = \"2s\", p99 = \"6s\" } } }, \
    { weight = 5, of = { lognormal = { median = \"10s\", p99 = \"20s\" } } }] }\n";

/// The same, of which 3 in 100 streams end early.
const TRUNCATED: &str = "load.rate = 5\nload.arrival = \"poisson\"\n[mock]\nwhy = \"a mixture\"\nchunks = 1\n\
    first_chunk = { mixture = [\
    { weight = 70, of = { lognormal = { median = \"400ms\", p99 = \"1s\" } } }, \
    { weight = 25, of = { lognormal = { median = \"2s\", p99 = \"6s\" } } }, \
    { weight = 5, of = { lognormal = { median = \"10s\", p99 = \"20s\" } } }] }\n\
    [[mock.fault]]\nkind = \"end_early\"\nprobability = 0.03\nafter_events = 2\n";

/// Thoughts, tools and streams of chunks.
const AT_WORK: &str = "load.rate = 5\nload.arrival = \"poisson\"\n[mock]\nwhy = \"at work\"\n\
    created = { uniform = [\"2ms\", \"9ms\"] }\nqueue = { exponential = \"30ms\" }\n\
    think_steps = { uniform = [1, 3] }\nthink = { exponential = \"300ms\" }\n\
    first_chunk = { lognormal = { median = \"500ms\", p99 = \"2s\" } }\nchunks = { uniform = [5, 15] }\n\
    gap = { lognormal = { median = \"20ms\", p99 = \"90ms\" } }\nclosing = \"10ms\"\n\
    [[mock.tool]]\nname = \"web_search\"\nprobability = 0.8\ncalls = { uniform = [1, 2] }\n\
    time = { lognormal = { median = \"800ms\", p99 = \"5s\" } }\n";

/// An M/M/1 queue at 80 % load: 8 a second arrive, one slot serves 10 a second.
const QUEUED: &str = "load.rate = 8\nload.arrival = \"poisson\"\nload.warmup = \"100s\"\n[mock]\nwhy = \"M/M/1\"\n\
    first_chunk = { exponential = \"100ms\" }\nchunks = 1\nservice.slots = 1\n";

const fn asked(figure: Figure, p: f64, bounds: Option<Bounds>) -> Asked {
    Asked { figure, p, bounds }
}

pub(super) const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "mixture",
        load: MIXTURE,
        n: 500,
        spare: 0,
        truth: Truth::Known(mixture_quantile),
        asked: &[asked(TTFC, 0.5, INDEPENDENT), asked(TTFC, 0.95, INDEPENDENT)],
    },
    Scenario {
        name: "mixture",
        load: MIXTURE,
        n: 2_000,
        spare: 0,
        truth: Truth::Known(mixture_quantile),
        asked: &[asked(TTFC, 0.99, INDEPENDENT)],
    },
    Scenario {
        name: "mixture, 3 % truncated",
        load: TRUNCATED,
        n: 500,
        spare: 0,
        truth: Truth::Known(|p| mixture_quantile(p / 0.97)),
        asked: &[asked(FINISH, 0.5, INDEPENDENT), asked(FINISH, 0.9, INDEPENDENT)],
    },
    Scenario {
        name: "agent at work",
        load: AT_WORK,
        n: 500,
        spare: 0,
        truth: Truth::Drawn,
        asked: &[
            asked(FINISH, 0.5, INDEPENDENT),
            asked(FINISH, 0.95, INDEPENDENT),
            asked(Figure::Gap, 0.5, None),
            asked(Figure::Gap, 0.95, None),
            asked(Figure::Tool("web_search"), 0.5, None),
            asked(Figure::Tool("web_search"), 0.95, None),
            asked(Figure::Part(Part::Thinking), 0.5, INDEPENDENT),
            asked(Figure::Part(Part::Thinking), 0.95, INDEPENDENT),
        ],
    },
    Scenario {
        name: "agent at work",
        load: AT_WORK,
        n: 2_000,
        spare: 0,
        truth: Truth::Drawn,
        asked: &[asked(FINISH, 0.99, INDEPENDENT)],
    },
    Scenario {
        name: "M/M/1, 80 % load",
        load: QUEUED,
        n: 10_000,
        spare: 1_200,
        // The time in an M/M/1 queue is exponential with the rate of service less that of arrivals (Kleinrock 1975, 3.2).
        truth: Truth::Known(|p| -(1.0 - p).ln() / (10.0 - 8.0)),
        asked: &[
            asked(FINISH, 0.5, QUEUE),
            asked(FINISH, 0.9, QUEUE),
            asked(FINISH, 0.95, QUEUE),
            asked(FINISH, 0.99, None),
        ],
    },
];

/// The quantile of [`MIXTURE`], by bisection of its distribution function.
fn mixture_quantile(p: f64) -> f64 {
    const PARTS: [(f64, f64, f64); 3] = [(0.70, 0.4, 1.0), (0.25, 2.0, 6.0), (0.05, 10.0, 20.0)];
    // The 0.99 quantile of the standard normal distribution (Abramowitz & Stegun, table 26.1).
    const NORMAL_P99: f64 = 2.326_347_874_040_841;
    let share = |seconds: f64| -> f64 {
        let part = |(weight, median, p99): &(f64, f64, f64)| {
            weight * normal_share((seconds / median).ln() / ((p99 / median).ln() / NORMAL_P99))
        };
        PARTS.iter().map(part).sum()
    };
    let (mut low, mut high) = (1e-3, 1e3);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if share(middle) < p { low = middle } else { high = middle }
    }
    high
}

impl Truth {
    /// The true quantile in nanoseconds, where there is a formula.
    pub(super) fn known_ns(self, p: f64) -> Option<u64> {
        match self {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds over 0")]
            Self::Known(quantile) => Some((quantile(p) * NS_PER_S as f64).round() as u64),
            Self::Drawn => None,
        }
    }
}

impl Figure {
    pub(super) fn name(self) -> String {
        match self {
            Self::Series(series) => series.name(),
            Self::Gap => "gap".to_owned(),
            Self::Tool(tool) => format!("tool.{tool}"),
            Self::Part(part) => format!("part.{}", part.name()),
        }
    }

    /// What an invocation adds to it; nothing for one that never gets there.
    pub(super) fn samples_ns(self, record: &Record, gaps_ns: &[u64]) -> Vec<Option<u64>> {
        match self {
            Self::Series(series) => series
                .observe(record)
                .map(|one| if let Observation::Seen(ns) = one { Some(ns) } else { None })
                .into_iter()
                .collect(),
            Self::Gap => gaps_ns.iter().copied().map(Some).collect(),
            Self::Tool(tool) => {
                record.calls.iter().filter(|call| &*call.name == tool).map(|call| Some(call.ns)).collect()
            }
            Self::Part(part) if record.outcome.is_completed() => vec![Some(record.parts.of(part))],
            Self::Part(_) => Vec::new(),
        }
    }
}
