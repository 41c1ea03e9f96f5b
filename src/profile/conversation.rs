//! What is said in a conversation, where its words come from, and how the people in it behave.

use std::sync::Arc;

use super::script::Distribution;
use crate::seed::{self, Seed};

/// One kind of conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What tables and files call it; empty where the profile has no scenario.
    pub name: Arc<str>,
    /// How often it comes, against the others; at least 1.
    pub weight: u32,
    /// What is said; at least one turn.
    pub turns: Vec<Turn>,
    /// The rows that its prompts are filled from; those of all scenarios when absent.
    pub feed: Option<Feed>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What the user says.
    pub prompt: Prompt,
    /// How long the user thinks before saying it, in nanoseconds (before the first turn of a closed load: after the
    /// slot became free).
    pub think: Distribution,
}

/// What the user says in a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// These words.
    Plain(Arc<str>),
    /// Words with places that the conversation's row of the feed fills.
    Template(Vec<Piece>),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These words.
    Text(String),
    /// This column of the feed.
    Column(usize),
}

/// Rows that prompts are filled from: one a conversation, from the first again after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The columns' names.
    pub columns: Vec<String>,
    /// At least one row, each with a value for every column.
    pub rows: Arc<[Vec<String>]>,
    /// In which order they come.
    pub order: Order,
}

/// In which order a feed's rows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand.
    AsWritten,
    /// In an order drawn from the seed, another one each time round.
    Shuffled,
}

/// How people behave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    /// Some hang up before the answer is there.
    pub hang_up: Option<HangUp>,
    /// Some read slowly.
    pub slow: Option<Slow>,
    /// Whether a conversation goes on, on the same task, after a turn that did not complete.
    pub goes_on: bool,
}

/// Some hang up before the answer is there.
#[derive(Debug, Clone, PartialEq)]
pub struct HangUp {
    /// Their share, from 0 to 1.
    pub share: f64,
    /// How long after the start of the invocation, in nanoseconds.
    pub after: Distribution,
}

/// Some read slowly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slow {
    /// Their share, from 0 to 1.
    pub share: f64,
    /// How fast they read, in bytes of the body a second; at least 1.
    pub bytes_per_s: u64,
}

impl Scenario {
    /// The one of a profile that has none.
    #[must_use]
    pub fn unnamed(turns: Vec<Turn>) -> Self {
        Self { name: Arc::default(), weight: 1, turns, feed: None }
    }

    /// How many turns its conversations have.
    #[must_use]
    pub fn count_turns(&self) -> u32 {
        u32::try_from(self.turns.len()).expect("a profile has fewer turns than 32 bits count")
    }

    /// The mean of something over conversations that come as their weights say.
    #[must_use]
    pub fn mean(scenarios: &[Self], of: impl Fn(&Self) -> f64) -> f64 {
        let weights: f64 = scenarios.iter().map(|scenario| f64::from(scenario.weight)).sum();
        scenarios.iter().map(|scenario| f64::from(scenario.weight) * of(scenario)).sum::<f64>() / weights
    }
}

impl Prompt {
    /// The words, with the places filled from this row of the feed.
    #[must_use]
    pub fn fill(&self, row: &[String]) -> Arc<str> {
        match self {
            Self::Plain(text) => Arc::clone(text),
            Self::Template(pieces) => {
                let words = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Column(at) => row.get(*at).map_or("", String::as_str),
                });
                Arc::from(words.collect::<String>())
            }
        }
    }
}

impl Feed {
    /// The row of a conversation; `of` is the scenario whose own feed it is, and empty for the feed of all. Each is
    /// shuffled in an order of its own, so that feeds of one length do not go in step.
    #[must_use]
    pub fn row(&self, conversation: u64, seed: Seed, of: &str) -> &[String] {
        let count = self.rows.len() as u64;
        let (round, index) = (conversation / count, conversation % count);
        let at = match self.order {
            Order::AsWritten => index,
            Order::Shuffled if of.is_empty() => seed::place(index, count, &mut seed.stream("feed", round)),
            Order::Shuffled => seed::place(index, count, &mut seed.stream(&format!("feed of {of}"), round)),
        };
        &self.rows[usize::try_from(at).expect("it is below the number of rows")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_shuffled_feed_gives_each_row_once_a_round() {
        let rows: Vec<_> = (0..7).map(|row| vec![row.to_string()]).collect();
        let feed = Feed { columns: vec!["n".into()], rows: rows.into(), order: Order::Shuffled };
        let round =
            |round: u64| (round * 7..round * 7 + 7).map(|at| feed.row(at, Seed(1), "")[0].clone()).collect::<Vec<_>>();
        assert_eq!(round(0).iter().collect::<BTreeSet<_>>().len(), 7);
        insta::assert_snapshot!(round(0).concat(), @"0265413");
        assert_ne!(round(0), round(1), "each round has an order of its own");
        let other = |of: &str| (0..7).map(|at| feed.row(at, Seed(1), of)[0].clone()).collect::<Vec<_>>();
        assert_eq!(other("ask").iter().collect::<BTreeSet<_>>().len(), 7);
        assert!(other("ask") != round(0) && other("ask") != other("book"), "each scenario has an order of its own");
        let plain = Feed { order: Order::AsWritten, ..feed.clone() };
        assert_eq!(plain.row(9, Seed(1), ""), ["2"]);
    }
}
