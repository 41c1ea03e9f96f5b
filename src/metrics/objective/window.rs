//! Objectives over windows, in the manner of Taurus' pass/fail criteria: a rule over the seconds of a run.
//!
//! Seconds go in one after the other, answers come out; nothing here knows whether they are just being measured or are
//! read from a bundle. A second holds what ended in it. Its value is what was observed, so there is no sampling
//! interval around it. A second without data decides nothing: it is no violation, and ends no row of them.

use std::collections::{BTreeMap, VecDeque};

use super::Answer;
use crate::stats::rank::weighted_quantile;
use crate::units::Human;

/// How the seconds of a window are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    /// Fails when so many seconds on end each violate the limit.
    For,
    /// Fails when the samples of the latest seconds together violate it, however few of the window have passed.
    Within,
    /// Fails when the samples of a whole window together violate it.
    Over,
}

/// The window of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How its seconds are held together.
    pub logic: Logic,
    /// How many; at least 1.
    pub seconds: u64,
    /// Whether the run is stopped when it fails.
    pub abort: bool,
}

/// What must hold of the samples of a second or of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// This quantile lies under so many nanoseconds.
    Quantile(f64, u64),
    /// More than this share got there.
    Share(f64),
}

/// What a second says: samples by value in nanoseconds, and those who never got there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) counts: BTreeMap<u64, u64>,
    pub(super) never: u64,
}

/// What samples come to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    /// A quantile in nanoseconds; none when it is never reached.
    Time(Option<u64>),
    Share(f64),
}

/// A window as the seconds go by.
#[derive(Debug)]
pub(super) struct Passage {
    window: Window,
    rule: Rule,
    first: Option<u64>,
    last: Option<u64>,
    /// Seconds with data, of which windows of `for` are made.
    with_data: u64,
    in_a_row: u64,
    most_in_a_row: u64,
    /// The seconds of a window that slides, and what they say together.
    held: VecDeque<(u64, Said)>,
    sum: Said,
    /// The worst window, and the second that it ended with.
    worst: Option<(Value, u64)>,
    failed: Option<(Value, u64)>,
}

impl Logic {
    pub(super) const ALL: [(Self, &'static str); 3] =
        [(Self::For, "for"), (Self::Within, "within"), (Self::Over, "over")];

    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(logic, _)| *logic)
    }
}

impl Said {
    fn is_empty(&self) -> bool {
        self.never == 0 && self.counts.is_empty()
    }

    fn add(&mut self, other: &Self) {
        self.never += other.never;
        other.counts.iter().for_each(|(ns, count)| *self.counts.entry(*ns).or_default() += count);
    }

    /// Takes off what was added before.
    fn take_off(&mut self, other: &Self) {
        self.never -= other.never;
        for (ns, count) in &other.counts {
            let left = self.counts.entry(*ns).or_default();
            *left -= count;
            if *left == 0 {
                self.counts.remove(ns);
            }
        }
    }
}

impl Rule {
    fn value(self, said: &Said) -> Value {
        let all: u64 = said.never + said.counts.values().sum::<u64>();
        match self {
            Self::Share(_) => Value::Share(1.0 - said.never as f64 / all as f64),
            Self::Quantile(p, _) => {
                let never = (said.never > 0).then_some((u64::MAX, said.never));
                let counts: Vec<_> = said.counts.iter().map(|(ns, count)| (*ns, *count)).chain(never).collect();
                Value::Time(weighted_quantile(&counts, p).filter(|ns| *ns < u64::MAX))
            }
        }
    }

    fn is_violated_by(self, value: Value) -> bool {
        match (self, value) {
            (Self::Quantile(_, limit_ns), Value::Time(ns)) => ns.is_none_or(|ns| ns >= limit_ns),
            (Self::Share(limit), Value::Share(share)) => share <= limit,
            _ => unreachable!("a rule makes values of its own kind"),
        }
    }
}

impl Value {
    fn is_worse_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Time(one), Self::Time(other)) => one.unwrap_or(u64::MAX) > other.unwrap_or(u64::MAX),
            (Self::Share(one), Self::Share(other)) => one < other,
            _ => unreachable!("values of one rule are of one kind"),
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Time(None) => "never".to_owned(),
            Self::Time(Some(ns)) => Human(ns).to_string(),
            Self::Share(share) => format!("{:.2} %", share * 100.0),
        }
    }
}

impl Passage {
    pub(super) fn new(window: Window, rule: Rule) -> Self {
        Self {
            window,
            rule,
            first: None,
            last: None,
            with_data: 0,
            in_a_row: 0,
            most_in_a_row: 0,
            held: VecDeque::new(),
            sum: Said::default(),
            worst: None,
            failed: None,
        }
    }

    /// One more second; says whether the objective has failed by it. Once failed, it stays so. One that is not later
    /// than all before, as only a log that was tampered with has it, is passed over.
    pub(super) fn take(&mut self, second: u64, said: Said) -> bool {
        if self.failed.is_some() || said.is_empty() || self.last.is_some_and(|last| second <= last) {
            return false;
        }
        self.last = Some(second);
        let first = *self.first.get_or_insert(second);
        self.with_data += 1;
        let value = match self.window.logic {
            Logic::For => self.rule.value(&said),
            Logic::Within | Logic::Over => self.slide(second, said),
        };
        let violated = self.rule.is_violated_by(value);
        self.in_a_row = if violated { self.in_a_row + 1 } else { 0 };
        self.most_in_a_row = self.most_in_a_row.max(self.in_a_row);
        let whole = second + 1 - first >= self.window.seconds;
        if self.window.logic == Logic::Over && !whole {
            return false;
        }
        if self.worst.is_none_or(|(worst, _)| value.is_worse_than(worst)) {
            self.worst = Some((value, second));
        }
        let needed = if self.window.logic == Logic::For { self.window.seconds } else { 1 };
        if self.in_a_row >= needed {
            self.failed = Some((value, second));
        }
        self.failed.is_some()
    }

    /// The value of the window that ends with this second.
    fn slide(&mut self, second: u64, said: Said) -> Value {
        self.sum.add(&said);
        self.held.push_back((second, said));
        while let Some((_, gone)) = self.held.front().filter(|(at, _)| at + self.window.seconds <= second) {
            self.sum.take_off(gone);
            self.held.pop_front();
        }
        self.rule.value(&self.sum)
    }

    /// How it came out, and what that rests on.
    pub(super) fn answer(&self) -> (Answer, String) {
        let (seconds, is_for) = (self.window.seconds, self.window.logic == Logic::For);
        // Within answers before so many have passed.
        let span = if self.window.logic == Logic::Within { "up to " } else { "the " };
        let at = |second: u64| format!("ended {} s into the run", second + 1);
        match (self.failed, self.worst) {
            (Some((value, second)), _) if is_for => {
                let found =
                    format!("violated in each of {seconds} seconds; the last, {}, {}", value.shown(), at(second));
                (Answer::Fail, found)
            }
            (Some((value, second)), _) => {
                (Answer::Fail, format!("{} in {span}{seconds} s that {}", value.shown(), at(second)))
            }
            (None, _) if is_for && self.with_data < seconds => (
                Answer::Inconclusive,
                format!("only {} seconds had data, and the window takes {seconds}", self.with_data),
            ),
            (None, Some((value, second))) if is_for => {
                let most = self.most_in_a_row;
                let found =
                    format!("violated in {most} seconds on end at most; the worst, {}, {}", value.shown(), at(second));
                (Answer::Pass, found)
            }
            (None, Some((value, second))) => {
                (Answer::Pass, format!("at worst {} in {span}{seconds} s that {}", value.shown(), at(second)))
            }
            (None, None) if self.window.logic == Logic::Within => {
                (Answer::Inconclusive, "no second had data".to_owned())
            }
            (None, None) => (Answer::Inconclusive, format!("no window of {seconds} s was whole")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const UNDER_100_MS: Rule = Rule::Quantile(0.5, 100 * MS);

    fn said(counts: &[(u64, u64)], never: u64) -> Said {
        Said { counts: counts.iter().map(|(ms, count)| (ms * MS, *count)).collect(), never }
    }

    /// A passage over seconds, each given as the time in milliseconds of its one sample, or as none.
    fn passage(logic: Logic, seconds: u64, told: &[Option<u64>]) -> Passage {
        let mut passage = Passage::new(Window { logic, seconds, abort: false }, UNDER_100_MS);
        for (second, ms) in (0..).zip(told) {
            passage.take(second, ms.map_or_else(Said::default, |ms| said(&[(ms, 1)], 0)));
        }
        passage
    }

    fn told(logic: Logic, seconds: u64, told: &[Option<u64>]) -> String {
        let (answer, found) = passage(logic, seconds, told).answer();
        format!("{answer}: {found}")
    }

    #[test]
    fn seconds_on_end_are_those_with_data() {
        let (good, bad) = (Some(20), Some(300));
        let answers = [
            told(Logic::For, 3, &[bad, bad, good, bad, bad]),
            told(Logic::For, 3, &[good, bad, None, bad, None, None, Some(400), good]),
            told(Logic::For, 3, &[bad, None, bad]),
            told(Logic::For, 3, &[]),
            told(Logic::For, 1, &[good, bad]),
        ];
        insta::assert_snapshot!(answers.join("\n"), @"
        pass: violated in 2 seconds on end at most; the worst, 300ms, ended 1 s into the run
        fail: violated in each of 3 seconds; the last, 400ms, ended 7 s into the run
        inconclusive: only 2 seconds had data, and the window takes 3
        inconclusive: only 0 seconds had data, and the window takes 3
        fail: violated in each of 1 seconds; the last, 300ms, ended 2 s into the run
        ");
    }

    #[test]
    fn a_window_is_one_sample_whose_length_is_waited_for_or_not() {
        let (good, bad) = (Some(20), Some(300));
        let answers = [
            told(Logic::Within, 3, &[bad, good, good]),
            told(Logic::Over, 3, &[bad, good, good, good]),
            told(Logic::Over, 3, &[good, good, bad, bad]),
            told(Logic::Within, 3, &[good, good, None, bad]),
            told(Logic::Over, 3, &[good, bad]),
            told(Logic::Over, 3, &[None, None, None, bad, None, None]),
            told(Logic::Within, 3, &[None]),
        ];
        insta::assert_snapshot!(answers.join("\n"), @"
        fail: 300ms in up to 3 s that ended 1 s into the run
        pass: at worst 20.0ms in the 3 s that ended 3 s into the run
        fail: 300ms in the 3 s that ended 4 s into the run
        pass: at worst 20.0ms in up to 3 s that ended 1 s into the run
        inconclusive: no window of 3 s was whole
        inconclusive: no window of 3 s was whole
        inconclusive: no second had data
        ");
    }

    #[test]
    fn who_never_got_there_lies_beyond_every_limit() {
        assert!(UNDER_100_MS.is_violated_by(UNDER_100_MS.value(&said(&[(20, 2)], 3))));
        assert!(!UNDER_100_MS.is_violated_by(UNDER_100_MS.value(&said(&[(20, 3)], 3))));
        let success = Rule::Share(0.9);
        assert!(success.is_violated_by(success.value(&said(&[(0, 9)], 1))), "it must be over the limit");
        assert!(!success.is_violated_by(success.value(&said(&[(0, 10)], 1))));
        let never = Passage::new(Window { logic: Logic::Within, seconds: 2, abort: true }, UNDER_100_MS);
        let mut never = never;
        assert!(never.take(7, said(&[], 1)));
        assert!(!never.take(8, said(&[], 1)), "it fails once");
        let mut disordered = passage(Logic::Over, 2, &[Some(20), Some(20)]);
        assert!(!disordered.take(0, said(&[], 1)), "it is over");
        insta::assert_snapshot!(never.answer().1, @"never in up to 2 s that ended 8 s into the run");
    }

    /// When a window fails and what its answer is, straight from the definition.
    fn naive(window: Window, seconds: &[(u64, Said)]) -> Option<u64> {
        let seconds: Vec<_> = seconds.iter().filter(|(_, said)| !said.is_empty()).collect();
        let violates = |said: &Said| UNDER_100_MS.is_violated_by(UNDER_100_MS.value(said));
        let together = |last: u64| {
            let mut sum = Said::default();
            let within = seconds.iter().filter(|(at, _)| *at <= last && *at + window.seconds > last);
            within.for_each(|(_, said)| sum.add(said));
            sum
        };
        let length = usize::try_from(window.seconds).expect("it is small");
        let fails = |at: usize| match window.logic {
            Logic::For => at + 1 >= length && seconds[at + 1 - length..=at].iter().all(|(_, said)| violates(said)),
            Logic::Within => violates(&together(seconds[at].0)),
            Logic::Over => seconds[at].0 + 1 - seconds[0].0 >= window.seconds && violates(&together(seconds[at].0)),
        };
        (0..seconds.len()).find(|at| fails(*at)).map(|at| seconds[at].0)
    }

    proptest! {
        #[test]
        fn a_passage_fails_when_the_definition_does(
            logic in prop::sample::select(&Logic::ALL[..]),
            length in 1_u64..6,
            seconds in prop::collection::vec((prop::collection::btree_map(prop::sample::select(&[20_u64, 99, 100, 300][..]), 1_u64..3, 0..3), 0_u64..2), 0..30),
        ) {
            let window = Window { logic: logic.0, seconds: length, abort: false };
            let seconds: Vec<_> = (0_u64..)
                .zip(seconds)
                .map(|(at, (counts, never))| (at, said(&counts.into_iter().collect::<Vec<_>>(), never)))
                .collect();
            let mut passage = Passage::new(window, UNDER_100_MS);
            let mut failed = None;
            for (at, said) in &seconds {
                if passage.take(*at, said.clone()) {
                    prop_assert_eq!(failed.replace(*at), None);
                }
            }
            prop_assert_eq!(failed, naive(window, &seconds));
            prop_assert_eq!(passage.answer().0 == Answer::Fail, failed.is_some());
        }
    }
}
