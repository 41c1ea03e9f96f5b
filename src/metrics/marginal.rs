//! The rows of a run by one of their names: that of the variant, or that of the scenario.

use std::sync::Arc;

use super::record::Record;
use super::tally::Tally;
use super::tools::ToolSamples;

/// Sums over rows, by name in the order in which names came.
#[derive(Debug, Default)]
pub(super) struct Marginal {
    pub(super) names: Vec<Arc<str>>,
    pub(super) tallies: Vec<Tally>,
    /// The tool calls under each name.
    pub(super) tools: Vec<ToolSamples>,
}

impl Marginal {
    /// One more row under a name; gives the name's place.
    pub(super) fn take(&mut self, name: &Arc<str>, record: &Record) -> usize {
        let known = self.names.iter().position(|known| known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(Arc::clone(name));
            self.tallies.push(Tally::default());
            self.tools.push(ToolSamples::default());
            self.names.len() - 1
        });
        self.tallies[at].add(record);
        self.tools[at].take(record);
        at
    }

    /// The places in order of names: rows come in the order in which invocations ended, which says nothing about names.
    pub(super) fn by_name(&self) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.names.len()).collect();
        places.sort_by_key(|at| &self.names[*at]);
        places
    }
}
