//! What the rows of a run say of each series.
//!
//! A latency from the send is the same one from the intended start less the time between the two, so it takes no room of
//! its own. Where that does not hold (a file may say anything), the row stands in a list.

use std::collections::BTreeMap;

use super::column::Column;
use super::metric::{Origin, Series};
use super::record::Record;
use crate::stats::Observation;

/// The observations of each series by row.
#[derive(Debug)]
pub(super) struct Columns {
    each: Vec<(Series, Kept)>,
    /// From the intended start to the send; nothing where it was not sent.
    lead: Column,
    /// What is not made of the lead as it should be, by the series' place and the row.
    odd: BTreeMap<(usize, usize), Option<Observation>>,
    rows: usize,
}

/// Where the observations of a series are.
#[derive(Debug)]
enum Kept {
    Here(Column),
    /// They are made of those of the series at this place, and the lead.
    LessLead(usize),
}

impl Default for Columns {
    /// Of every series that has one sample an invocation.
    fn default() -> Self {
        let mut each: Vec<(Series, Kept)> = Vec::new();
        for series in Series::all().into_iter().filter(|series| !series.metric.is_many()) {
            let kept = match series.origin {
                Some(Origin::Sent) => {
                    let intended = Series::from_intended(series.metric);
                    let before = each.iter().position(|(known, _)| *known == intended);
                    Kept::LessLead(before.expect("it stands before the same from the send"))
                }
                _ => Kept::Here(Column::default()),
            };
            each.push((series, kept));
        }
        Self { each, lead: Column::default(), odd: BTreeMap::new(), rows: 0 }
    }
}

impl Columns {
    /// The series, in order.
    pub(super) fn series(&self) -> impl Iterator<Item = Series> {
        self.each.iter().map(|(series, _)| *series)
    }

    /// The place of a series.
    pub(super) fn place(&self, series: Series) -> Option<usize> {
        self.series().position(|known| known == series)
    }

    /// One more row.
    pub(super) fn push(&mut self, record: &Record) {
        let stamps = &record.stamps;
        let lead_ns = stamps.sent_ns.map(|sent_ns| sent_ns.saturating_sub(stamps.intended_ns));
        self.lead.push(lead_ns.map(Observation::Seen));
        for at in 0..self.each.len() {
            let (series, kept) = &mut self.each[at];
            let observation = series.observe(record);
            match kept {
                Kept::Here(column) => column.push(observation),
                Kept::LessLead(intended) => {
                    let intended = *intended;
                    if self.less_lead(intended, self.rows) != observation {
                        self.odd.insert((at, self.rows), observation);
                    }
                }
            }
        }
        self.rows += 1;
    }

    /// What a row says of the series at this place.
    #[inline]
    pub(super) fn get(&self, at: usize, row: usize) -> Option<Observation> {
        match &self.each[at].1 {
            Kept::Here(column) => column.get(row),
            Kept::LessLead(intended) => {
                let odd = self.odd.get(&(at, row)).copied();
                odd.unwrap_or_else(|| self.less_lead(*intended, row))
            }
        }
    }

    fn less_lead(&self, intended: usize, row: usize) -> Option<Observation> {
        let Some(Observation::Seen(lead_ns)) = self.lead.get(row) else { return None };
        Some(match self.get(intended, row)? {
            Observation::Seen(ns) => Observation::Seen(ns.saturating_sub(lead_ns)),
            Observation::Censored(ns) => Observation::Censored(ns.saturating_sub(lead_ns)),
            Observation::Failed(ns) => Observation::Failed(ns.saturating_sub(lead_ns)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Outcome;
    use proptest::prelude::*;

    /// A row of any instants, in order or not.
    fn records() -> impl Strategy<Value = Record> {
        let stamp = || prop::option::of(0_u64..60);
        let outcome = prop::sample::select(vec![
            Outcome::Completed,
            Outcome::Cut,
            Outcome::Reset,
            Outcome::Dropped,
            Outcome::NotStarted,
        ]);
        (0_u64..60, 0_u64..60, outcome, [stamp(), stamp(), stamp(), stamp()]).prop_map(
            |(intended_ns, last_known_ns, outcome, [sent_ns, first_byte_ns, first_chunk_ns, finished_ns])| {
                let mut record = Record::unstarted(0, Arc::from("base"), intended_ns, 0, Outcome::Dropped);
                record.outcome = outcome;
                record.stamps.last_known_ns = last_known_ns;
                record.stamps.sent_ns = sent_ns;
                record.stamps.first_byte_ns = first_byte_ns;
                record.stamps.first_chunk_ns = first_chunk_ns;
                record.stamps.finished_ns = finished_ns;
                record
            },
        )
    }

    proptest! {
        #[test]
        fn every_series_is_what_the_rows_say_of_it(records in prop::collection::vec(records(), 1..20)) {
            let mut columns = Columns::default();
            records.iter().for_each(|record| columns.push(record));
            for (at, series) in columns.series().enumerate() {
                for (row, record) in records.iter().enumerate() {
                    prop_assert_eq!(columns.get(at, row), series.observe(record), "{} of {:?}", series.name(), record);
                }
            }
        }
    }

    #[test]
    fn what_happens_in_order_is_never_odd() {
        let mut columns = Columns::default();
        for outcome in [Outcome::Completed, Outcome::Cut, Outcome::Reset, Outcome::Dropped, Outcome::NotStarted] {
            let mut record = Record::unstarted(0, Arc::from("base"), 100, 900, Outcome::Dropped);
            record.outcome = outcome;
            columns.push(&record);
            record.stamps.sent_ns = Some(120).filter(|_| outcome.was_started());
            columns.push(&record);
            record.stamps.first_byte_ns = Some(300);
            columns.push(&record);
        }
        assert_eq!(columns.odd, BTreeMap::new());
    }
}
