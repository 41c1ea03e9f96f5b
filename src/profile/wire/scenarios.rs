//! `[[scenario]]`: the kinds of conversations that a load is mixed of.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::form::Form;
use super::problem::Fault;
use super::{ReadFile, conversation, rows};
use crate::profile::plan::times;
use crate::profile::{Feed, Scenario, Turn, Variant};

/// The most pairs of scenario and variant of one run: what a person can still read, and a worker keep apart.
const PAIRS_MAX: usize = 64;

/// The most conversations of a block, in which each pair comes as often as its scenario's weight says.
const BLOCK_MAX: usize = 1_000;

/// Reads the scenarios; without any, `turns` are those of the one without a name. What is wrong is noted in the form.
pub(super) fn read(form: &mut Form, turns: Vec<Turn>, feed: Option<&Feed>, read: ReadFile<'_>) -> Vec<Scenario> {
    let count = form.len("scenario");
    if count == 0 {
        return vec![Scenario::unnamed(turns)];
    }
    let mut names = BTreeSet::new();
    let mut scenarios = Vec::new();
    for index in 0..count {
        let scenario = scenario(form, index, feed, read);
        if !names.insert(Arc::clone(&scenario.name)) {
            let reason = format!("two scenarios are called {:?}", &*scenario.name);
            form.contradiction(&format!("scenario[{index}].name"), reason, "give each a name of its own");
        }
        scenarios.push(scenario);
    }
    scenarios
}

fn scenario(form: &mut Form, index: usize, feed: Option<&Feed>, read: ReadFile<'_>) -> Scenario {
    let section = format!("scenario[{index}]");
    let key = |leaf: &str| format!("{section}.{leaf}");
    let own = rows::feed(form, &key(""), read);
    let turns = conversation::listed(form, &key("turn"), own.as_ref().or(feed));
    let list = key("turn");
    if turns.is_empty() && form.problems.iter().all(|problem| !problem.key.starts_with(&list)) {
        let remedy = "say what is asked, as prompt = \"…\" in [[scenario.turn]]";
        form.report(None, &list, Fault::Missing { remedy });
    }
    let weight = form.number(&key("weight")).unwrap_or(1);
    Scenario {
        // One without a name has its problem noted already.
        name: Arc::from(form.text(&key("name")).unwrap_or_else(|| section.clone())),
        weight: u32::try_from(weight).expect("the table of keys keeps it within 32 bits"),
        turns,
        feed: own,
    }
}

/// Notes it when scenarios and variants make more pairs, or larger blocks of them, than a run can have.
pub(super) fn check(form: &mut Form, scenarios: &[Scenario], variants: &[Variant]) {
    const KEY: &str = "scenario[0].weight";
    let pairs = scenarios.len() * variants.len();
    if scenarios.len() > 1 && pairs > PAIRS_MAX {
        let reason = format!("{pairs} pairs of scenario and variant are more than the {PAIRS_MAX} of one run");
        form.contradiction(KEY, reason, "mix fewer scenarios, or compare fewer variants at a time");
    }
    let block = times(scenarios).into_iter().fold(0, |sum, times| sum + times as usize) * variants.len();
    if scenarios.len() > 1 && block > BLOCK_MAX {
        let reason = format!(
            "the weights make blocks of {block} conversations, more than the {BLOCK_MAX} in which shares come out exactly"
        );
        form.contradiction(KEY, reason, "write weights with a ratio of smaller numbers, such as 3 and 1");
    }
}
