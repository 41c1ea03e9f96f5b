//! The join: each reported event with its truth, by plan index and event index.

use std::collections::BTreeMap;

use crate::metrics::certificate::ArrivalClock;

/// What is true of one event. Nanoseconds of the clock that the reported instants are brought onto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// When it was handed to the socket: just before the write.
    pub handed_ns: u64,
    /// When the write had ended; none where nobody knows, as over HTTP/2.
    pub written_ns: Option<u64>,
    /// What it is.
    pub kind: Kind,
}

/// What an event is to a stream's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A chunk of the answer.
    Chunk,
    /// The end of the task.
    Finish,
    /// Anything else.
    Other,
}

/// What was reported of one event, in nanoseconds of the truth's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Before this it can't have arrived.
    pub earliest_ns: u64,
    /// When it arrived.
    pub arrival_ns: u64,
    /// When it was handled.
    pub handled_ns: u64,
    /// Which read of its stream brought it.
    pub read: u64,
}

/// The errors of one run, in nanoseconds: reported minus true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors {
    /// Of the first chunk: time to first chunk, both counted from the send.
    pub ttfc_ns: Vec<i64>,
    /// Of each gap between neighbouring chunks.
    pub gap_ns: Vec<i64>,
    /// Of `task_finished`: time to finish, both counted from the send.
    pub finish_ns: Vec<i64>,
    /// Of every event that was the last of its read.
    pub last_ns: Vec<i64>,
    /// Of every other event.
    pub others_ns: Vec<i64>,
    /// Of every event, by the instant at which it was handled in user space.
    pub handled_ns: Vec<i64>,
}

/// What a run's events came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// The errors.
    pub errors: Errors,
    /// Events that were reported and that nobody sent.
    pub without_truth: u64,
    /// Events that were sent and that nobody reported.
    pub unreported: u64,
    /// Events that were the last of their read and whose stamp lies outside the write that sent them, by more than the
    /// error of the clock's mapping.
    pub last_outside: u64,
    /// The others, whose write had ended before they can have arrived by what was stated of them.
    pub others_outside: u64,
    /// How long each write took, in nanoseconds: as wide the truth is.
    pub writes_ns: Vec<i64>,
}

/// Joins one run.
#[derive(Debug)]
pub struct Join {
    clock: ArrivalClock,
    mapping_error_ns: u64,
    streams: BTreeMap<u64, Stream>,
    joined: Joined,
}

#[derive(Debug, Default)]
struct Stream {
    truth: Vec<Option<Truth>>,
    taken: Vec<bool>,
    /// The latest event: only what follows shows whether it was the last of its read.
    held: Option<(Truth, Reported)>,
    last_chunk_error_ns: Option<i64>,
}

impl Join {
    /// A join of a run whose stamps are from this clock, and whose mapping onto the truth's clock is off by at most so
    /// many nanoseconds.
    #[must_use]
    pub fn new(clock: ArrivalClock, mapping_error_ns: u64) -> Self {
        Self { clock, mapping_error_ns, streams: BTreeMap::new(), joined: Joined::default() }
    }

    /// One event of the truth. All of them come before those that were reported.
    ///
    /// # Panics
    /// The event's number does not fit into memory.
    pub fn sent(&mut self, plan_index: u64, event_index: u64, truth: Truth) {
        let stream = self.streams.entry(plan_index).or_default();
        let at = usize::try_from(event_index).expect("a stream's events fit into memory");
        if stream.truth.len() <= at {
            stream.truth.resize(at + 1, None);
            stream.taken.resize(at + 1, false);
        }
        stream.truth[at] = Some(truth);
        self.joined.writes_ns.extend(truth.written_ns.map(|at_ns| difference(at_ns, truth.handed_ns)));
    }

    /// One event that was reported; those of a stream come in their order.
    pub fn reported(&mut self, plan_index: u64, event_index: u64, reported: Reported) {
        let known = self.streams.get_mut(&plan_index).and_then(|stream| {
            let at = usize::try_from(event_index).ok()?;
            let truth = (*stream.truth.get(at)?)?;
            (!std::mem::replace(&mut stream.taken[at], true)).then_some((stream, truth))
        });
        let Some((stream, truth)) = known else {
            self.joined.without_truth += 1;
            return;
        };
        let error_ns = difference(reported.arrival_ns, truth.handed_ns);
        self.joined.errors.handled_ns.push(difference(reported.handled_ns, truth.handed_ns));
        if truth.kind == Kind::Chunk
            && let Some(before_ns) = stream.last_chunk_error_ns.replace(error_ns)
        {
            self.joined.errors.gap_ns.push(error_ns - before_ns);
        }
        if let Some(before) = stream.held.replace((truth, reported)) {
            let is_last = before.1.read != reported.read;
            self.judge(before, is_last);
        }
    }

    /// What the row of an invocation says of its first chunk and its end, in nanoseconds of the truth's clock.
    pub fn row(&mut self, plan_index: u64, first_chunk_ns: Option<u64>, finished_ns: Option<u64>) {
        let Some(stream) = self.streams.get(&plan_index) else { return };
        let first = |kind: Kind| stream.truth.iter().flatten().find(|truth| truth.kind == kind);
        let error = |reported_ns: Option<u64>, kind: Kind| Some(difference(reported_ns?, first(kind)?.handed_ns));
        self.joined.errors.ttfc_ns.extend(error(first_chunk_ns, Kind::Chunk));
        self.joined.errors.finish_ns.extend(error(finished_ns, Kind::Finish));
    }

    /// What it all came to.
    #[must_use]
    pub fn finish(mut self) -> Joined {
        let streams = std::mem::take(&mut self.streams);
        for stream in streams.into_values() {
            let pairs = stream.truth.iter().zip(&stream.taken);
            self.joined.unreported += pairs.filter(|(truth, taken)| truth.is_some() && !**taken).count() as u64;
            if let Some(held) = stream.held {
                self.judge(held, true);
            }
        }
        self.joined
    }

    /// Stamps of user space are the latest possible for every event, the kernel's for all but the last of a read.
    fn judge(&mut self, (truth, reported): (Truth, Reported), is_last: bool) {
        let error_ns = difference(reported.arrival_ns, truth.handed_ns);
        let slack_ns = self.mapping_error_ns;
        let too_early = reported.arrival_ns.saturating_add(slack_ns) < truth.handed_ns;
        // Nothing lies outside of a write whose end nobody knows.
        let outside = |since_ns: u64| {
            truth.written_ns.is_some_and(|at_ns| too_early || since_ns > at_ns.saturating_add(slack_ns))
        };
        let joined = &mut self.joined;
        if is_last {
            joined.errors.last_ns.push(error_ns);
            joined.last_outside += u64::from(self.clock == ArrivalClock::Kernel && outside(reported.arrival_ns));
        } else {
            joined.errors.others_ns.push(error_ns);
            joined.others_outside += u64::from(outside(reported.earliest_ns));
        }
    }
}

/// `later_ns − earlier_ns`, which may be negative.
fn difference(later_ns: u64, earlier_ns: u64) -> i64 {
    let size_ns = i64::try_from(later_ns.abs_diff(earlier_ns)).unwrap_or(i64::MAX);
    if later_ns < earlier_ns { -size_ns } else { size_ns }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn truth(handed_ns: u64, kind: Kind) -> Truth {
        Truth { handed_ns, written_ns: Some(handed_ns + 10), kind }
    }

    fn reported(arrival_ns: u64, read: u64) -> Reported {
        Reported { earliest_ns: arrival_ns.saturating_sub(20), arrival_ns, handled_ns: arrival_ns + 7, read }
    }

    #[test]
    fn every_event_meets_its_truth_and_the_last_of_a_read_is_told_from_the_others() {
        let mut join = Join::new(ArrivalClock::Kernel, 1);
        let kinds = [Kind::Other, Kind::Chunk, Kind::Chunk, Kind::Finish];
        for (index, kind) in (0..).zip(kinds) {
            join.sent(3, index, truth(1_000 + 100 * index, kind));
        }
        // The first alone; the two chunks in one read; the end before its truth.
        let reports = [reported(1_004, 1), reported(1_206, 2), reported(1_206, 2), reported(1_290, 3)];
        for (index, report) in (0..).zip(reports) {
            join.reported(3, index, report);
        }
        join.row(3, Some(1_206), Some(1_290));
        let joined = join.finish();
        assert_eq!(joined.errors.last_ns, [4, 6, -10]);
        assert_eq!(joined.errors.others_ns, [106]);
        assert_eq!(joined.errors.handled_ns, [11, 113, 13, -3]);
        assert_eq!(
            (joined.errors.ttfc_ns, joined.errors.gap_ns, joined.errors.finish_ns),
            (vec![106], vec![-100], vec![-10])
        );
        assert_eq!(
            (joined.last_outside, joined.others_outside),
            (1, 1),
            "the end was early, the other chunk's earliest is too late"
        );
        assert_eq!((joined.without_truth, joined.unreported, joined.writes_ns.len()), (0, 0, 4));
    }

    #[test]
    fn what_has_no_counterpart_is_counted() {
        let mut join = Join::new(ArrivalClock::Kernel, 0);
        join.sent(0, 0, truth(10, Kind::Chunk));
        join.sent(0, 2, truth(10, Kind::Chunk));
        join.reported(0, 0, reported(12, 1));
        join.reported(0, 0, reported(12, 1));
        join.reported(0, 1, reported(12, 1));
        join.reported(1, 0, reported(12, 1));
        let joined = join.finish();
        assert_eq!((joined.without_truth, joined.unreported), (3, 1));
    }

    #[test]
    fn nothing_lies_outside_of_a_write_whose_end_is_unknown() {
        let mut join = Join::new(ArrivalClock::Kernel, 0);
        let queued = |handed_ns| Truth { written_ns: None, ..truth(handed_ns, Kind::Chunk) };
        [1_000, 1_100, 1_200].into_iter().zip(0..).for_each(|(at_ns, index)| join.sent(0, index, queued(at_ns)));
        // Long after its end, were it known; shared with a later one; before it was handed over.
        let reports = [reported(1_090, 1), reported(1_150, 2), reported(1_150, 2)];
        reports.into_iter().zip(0..).for_each(|(report, index)| join.reported(0, index, report));
        let joined = join.finish();
        assert_eq!((joined.errors.last_ns, joined.errors.others_ns), (vec![90, -50], vec![50]));
        assert_eq!((joined.last_outside, joined.others_outside, joined.writes_ns), (0, 0, Vec::new()));
    }

    /// The same, from whole lists and with nothing kept between events.
    fn naive(sent: &[Vec<Truth>], seen: &[Vec<Reported>]) -> (Vec<i64>, Vec<i64>, u64) {
        let (mut last, mut others, mut outside) = (Vec::new(), Vec::new(), 0);
        for (truths, reports) in sent.iter().zip(seen) {
            for at in 0..reports.len() {
                let (truth, report) = (truths[at], reports[at]);
                let error = i128::from(report.arrival_ns) - i128::from(truth.handed_ns);
                let error = i64::try_from(error).expect("small");
                let followers = &reports[at + 1..];
                if followers.iter().any(|other| other.read == report.read) {
                    others.push(error);
                    outside += u64::from(
                        report.arrival_ns < truth.handed_ns
                            || truth.written_ns.is_some_and(|at_ns| report.earliest_ns > at_ns),
                    );
                } else {
                    last.push(error);
                }
            }
        }
        last.sort_unstable();
        others.sort_unstable();
        (last, others, outside)
    }

    proptest! {
        #[test]
        fn streams_that_come_interleaved_are_joined_as_if_each_came_alone(
            streams in proptest::collection::vec(
                proptest::collection::vec((0u64..500, 0u64..500, any::<bool>()), 0..12), 1..6),
            order in proptest::collection::vec(0usize..6, 0..100),
        ) {
            let sent: Vec<Vec<Truth>> = streams.iter()
                .map(|events| events.iter().map(|(at, ..)| truth(1_000 + at, Kind::Chunk)).collect()).collect();
            let seen: Vec<Vec<Reported>> = streams.iter().map(|events| {
                let mut read = 0;
                events.iter().map(|(_, at, new)| {
                    read += u64::from(*new);
                    reported(1_000 + at, read)
                }).collect()
            }).collect();
            let mut join = Join::new(ArrivalClock::Kernel, 0);
            for (plan_index, truths) in (0..).zip(&sent) {
                (0..).zip(truths).for_each(|(at, truth)| join.sent(plan_index, at, *truth));
            }
            let mut next = vec![0; seen.len()];
            let turns = order.into_iter().filter(|one| *one < seen.len()).chain((0..seen.len()).flat_map(|one| [one; 12]));
            for one in turns {
                if let Some(report) = seen[one].get(next[one]) {
                    join.reported(one as u64, next[one] as u64, *report);
                    next[one] += 1;
                }
            }
            let mut joined = join.finish();
            joined.errors.last_ns.sort_unstable();
            joined.errors.others_ns.sort_unstable();
            prop_assert_eq!((joined.without_truth, joined.unreported), (0, 0));
            prop_assert_eq!((joined.errors.last_ns, joined.errors.others_ns, joined.others_outside), naive(&sent, &seen));
        }
    }
}
