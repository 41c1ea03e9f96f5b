//! The parts of each completed invocation, kept by row until they are summed up: for their quantiles.

use std::sync::Arc;

use super::column::CoarseColumn;
use super::decomposition::PART_QUANTILES;
use super::parts::{Part, PartTimes};
use super::record::Record;
use super::summary::Quantile;
use super::tools::{ToolTime, place};
use crate::stats::{Observation, Sample};

/// What some time of an invocation is labelled with; as many tools as an invocation tells apart, then others together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label {
    pub(super) part: Part,
    /// Empty when it is no tool's.
    pub(super) tool: Arc<str>,
}

/// The time of each label by row.
#[derive(Debug, Default)]
pub(super) struct PartSamples {
    tools: Vec<(Label, CoarseColumn)>,
    others: Vec<(Label, CoarseColumn)>,
}

/// One label over some invocations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread {
    /// Invocations that had any of it.
    pub(super) invocations: u64,
    /// [`PART_QUANTILES`], in order, over all invocations, those without any of it included.
    pub(super) quantiles: Vec<Quantile>,
}

/// The labelled times of an invocation, a tool's under its name.
pub(super) fn labelled<'a>(parts: &'a PartTimes, tools: &'a [ToolTime]) -> impl Iterator<Item = (Part, &'a str, u64)> {
    let others = parts.each().filter(|(part, _)| *part != Part::Tool).map(|(part, ns)| (part, "", ns));
    let tools = tools.iter().filter(|tool| tool.ns > 0).map(|tool| (Part::Tool, &*tool.name, tool.ns));
    others.chain(tools)
}

impl PartSamples {
    /// Keeps the parts of the completed invocation in this row, and gives each to `each` under the label that it has.
    pub(super) fn take(&mut self, row: usize, record: &Record, mut each: impl FnMut(&Label, u64)) {
        for (part, tool, ns) in labelled(&record.parts, &record.tools) {
            let (label, column) = self.column(part, tool);
            // Several tools of one invocation may be `other` together.
            column.set(row, column.get(row) + ns);
            each(label, ns);
        }
    }

    fn column(&mut self, part: Part, tool: &str) -> &mut (Label, CoarseColumn) {
        let new = |tool: &str| (Label { part, tool: Arc::from(tool) }, CoarseColumn::default());
        if part == Part::Tool {
            let at = place(&mut self.tools, tool, |(label, _)| &label.tool, new);
            return &mut self.tools[at];
        }
        let at = self.others.iter().position(|(label, _)| label.part == part).unwrap_or_else(|| {
            self.others.push(new(""));
            self.others.len() - 1
        });
        &mut self.others[at]
    }

    /// What a label comes to over these rows, which are in order of intended start.
    ///
    /// # Panics
    /// Never: every label was taken from here.
    pub(super) fn spread<'r>(&self, label: &Label, rows: impl Iterator<Item = &'r u32> + Clone) -> Spread {
        let columns = if label.part == Part::Tool { &self.tools } else { &self.others };
        let (_, column) = columns.iter().find(|(known, _)| known == label).expect("the label was taken from here");
        let sample = Sample::of(rows.map(|row| Observation::Seen(column.get(*row as usize))));
        let had_any = |time: &Observation| *time != Observation::Seen(0);
        Spread {
            invocations: sample.incidence().observations().filter(had_any).count() as u64,
            quantiles: PART_QUANTILES.map(|p| Quantile::of(p, &sample.quantile(p), 0.0)).to_vec(),
        }
    }
}
