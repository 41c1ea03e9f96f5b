//! The tasks that the mock remembers: all that are under way, and the latest that ended, up to a limit.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::task::{Status, Told, Turn};
use super::time::Stamp;

/// How many turns that ended keep their tasks remembered; the oldest is let go first.
pub(super) const ENDED_MAX: usize = 10_000;
/// How many turns of a task are remembered.
const TURNS_MAX: usize = 1_000;

/// The tasks, shared by all who serve.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    by_id: HashMap<Arc<str>, Known>,
    in_order: BTreeMap<u64, Arc<str>>,
    /// The tasks of the turns that ended, in the order of their ends.
    ended: VecDeque<Arc<str>>,
    numbers: u64,
}

/// A task that is remembered.
#[derive(Debug)]
struct Known {
    /// Counted in the order in which tasks began.
    number: u64,
    turns: Vec<Turn>,
    /// Turns that were taken off the front.
    forgotten_turns: u64,
    /// How often it stands in `ended`.
    ends: usize,
}

/// A turn that began.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) id: Arc<str>,
    /// Counted from 0.
    pub(super) turn: u64,
}

impl Store {
    fn tasks(&self) -> std::sync::MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a turn of the task, which is new or one that is known; nothing when it is busy and `refuse_busy`.
    pub(super) fn begin(&self, id: &str, turn: Turn, refuse_busy: bool) -> Option<Begun> {
        let tasks = &mut *self.tasks();
        if let Some((id, known)) = tasks.by_id.get_key_value(id) {
            let is_busy = known.turns.last().is_some_and(|last| !last.status.is_final());
            let id = Arc::clone(id);
            return (!is_busy || !refuse_busy).then(|| tasks.go_on(id, turn));
        }
        let id: Arc<str> = Arc::from(id);
        tasks.numbers += 1;
        tasks.in_order.insert(tasks.numbers, Arc::clone(&id));
        let known = Known { number: tasks.numbers, turns: vec![turn], forgotten_turns: 0, ends: 0 };
        tasks.by_id.insert(Arc::clone(&id), known);
        Some(Begun { id, turn: 0 })
    }

    /// Changes a turn; returns it as it is then, unless its task was deleted or forgotten.
    pub(super) fn change(&self, begun: &Begun, change: impl FnOnce(&mut Turn)) -> Option<Turn> {
        let mut tasks = self.tasks();
        let known = tasks.by_id.get(&begun.id)?;
        let at = usize::try_from(begun.turn.checked_sub(known.forgotten_turns)?).ok()?;
        tasks.change(&begun.id, at, change)
    }

    /// All turns of a task that are remembered.
    pub(super) fn turns(&self, id: &str) -> Option<Vec<Turn>> {
        Some(self.tasks().by_id.get(id)?.turns.clone())
    }

    /// The latest turn of a task.
    pub(super) fn latest(&self, id: &str) -> Option<Turn> {
        self.tasks().by_id.get(id)?.turns.last().cloned()
    }

    /// Asks the latest turn of a task to stop, at once when nothing of it executes yet; the turn as it is then.
    pub(super) fn stop(&self, id: &str, now: Stamp) -> Option<Turn> {
        let mut tasks = self.tasks();
        let latest = tasks.by_id.get(id)?.turns.len().checked_sub(1)?;
        tasks.change(id, latest, |turn| {
            if !turn.status.is_final() {
                turn.stop.ask();
                end(turn, Status::Stopped, None, now);
                turn.was_stopped = true;
            }
        })
    }

    /// Forgets a task, and stops it when it is under way.
    pub(super) fn delete(&self, id: &str, now: Stamp) -> bool {
        let found = self.stop(id, now).is_some();
        let tasks = &mut *self.tasks();
        if tasks.forget(id) {
            tasks.ended.retain(|ended| &**ended != id);
        }
        found
    }

    /// The latest turn of each task that `wanted` takes, the newest task first.
    pub(super) fn list(&self, wanted: impl Fn(&Turn) -> bool) -> Vec<(Arc<str>, Turn)> {
        let tasks = self.tasks();
        let latest = |id: &Arc<str>| Some((Arc::clone(id), tasks.by_id.get(id)?.turns.last()?.clone()));
        tasks.in_order.values().rev().filter_map(latest).filter(|(_, turn)| wanted(turn)).collect()
    }
}

/// Ends a turn.
pub(super) fn end(turn: &mut Turn, status: Status, result: Option<Told>, now: Stamp) {
    turn.status = status;
    turn.result = result;
    turn.finished = Some(now);
}

impl Tasks {
    fn go_on(&mut self, id: Arc<str>, turn: Turn) -> Begun {
        let known = self.by_id.get_mut(&id).expect("only what is known goes on");
        known.turns.push(turn);
        if known.turns.len() > TURNS_MAX {
            known.turns.remove(0);
            known.forgotten_turns += 1;
        }
        Begun { turn: known.forgotten_turns + known.turns.len() as u64 - 1, id }
    }

    /// Changes a turn by its place among those that are remembered; where it ends by that, the oldest end is let go.
    fn change(&mut self, id: &str, at: usize, change: impl FnOnce(&mut Turn)) -> Option<Turn> {
        let id = Arc::clone(self.by_id.get_key_value(id)?.0);
        let known = self.by_id.get_mut(&id)?;
        let turn = known.turns.get_mut(at)?;
        let was_final = turn.status.is_final();
        change(turn);
        let turn = turn.clone();
        if turn.status.is_final() && !was_final {
            known.ends += 1;
            self.ended.push_back(id);
            self.let_go();
        }
        Some(turn)
    }

    /// Forgets the task of the oldest end when there are too many, unless it has gone on since.
    fn let_go(&mut self) {
        if self.ended.len() <= ENDED_MAX {
            return;
        }
        let Some(oldest) = self.ended.pop_front() else { return };
        let Some(known) = self.by_id.get_mut(&oldest) else { return };
        known.ends -= 1;
        if known.ends == 0 && known.turns.last().is_some_and(|last| last.status.is_final()) {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, id: &str) -> bool {
        let known = self.by_id.remove(id);
        known.as_ref().and_then(|known| self.in_order.remove(&known.number)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(plan_index: u64) -> Turn {
        Turn {
            ask: Arc::default(),
            plan_index,
            status: Status::Pending,
            created: Stamp(0),
            started: None,
            finished: None,
            result: None,
            was_stopped: false,
            stop: Arc::default(),
        }
    }

    #[test]
    fn turns_of_a_task_are_counted_also_beyond_what_is_remembered() {
        let store = Store::default();
        for index in 0..TURNS_MAX as u64 + 5 {
            let begun = store.begin("t1", turn(index), false).expect("not refused");
            assert_eq!(begun.turn, index);
            let changed = store.change(&begun, |turn| turn.status = Status::Completed).expect("it is remembered");
            assert_eq!(changed.plan_index, index);
        }
        assert_eq!(store.turns("t1").expect("known").len(), TURNS_MAX);
    }

    #[test]
    fn the_task_that_ended_first_is_forgotten_first_and_none_that_is_under_way() {
        let store = Store::default();
        let begin = |id: &str| store.begin(id, turn(0), false).expect("new");
        let finish = |begun: &Begun| store.change(begun, |turn| turn.status = Status::Completed).map(|_| ());
        let (held, early, resumed) = (begin("held"), begin("early"), begin("resumed"));
        assert!(finish(&early).and(finish(&resumed)).is_some());
        let again = begin("resumed");
        for index in 0..ENDED_MAX {
            assert!(finish(&begin(&format!("t{index}"))).is_some());
        }
        assert!(store.latest("early").is_none() && store.change(&early, |_| ()).is_none());
        assert_eq!(store.list(|_| true).len(), ENDED_MAX + 2);
        assert!(finish(&held).is_some() && finish(&again).is_some(), "they were under way");
        assert!(store.latest("t1").is_none() && store.latest("t2").is_some(), "two more ends, two more let go");
        assert!(store.latest("held").is_some() && store.latest("resumed").is_some());
        assert_eq!(store.list(|_| true).len(), ENDED_MAX);
    }

    #[test]
    fn a_busy_task_is_refused_where_that_is_wanted_and_a_stop_ends_it() {
        let store = Store::default();
        let begun = store.begin("t1", turn(0), true).expect("new");
        assert!(store.begin("t1", turn(1), true).is_none());
        let stopped = store.stop("t1", Stamp(5)).expect("known");
        assert_eq!((stopped.status, stopped.was_stopped, stopped.finished), (Status::Stopped, true, Some(Stamp(5))));
        assert!(store.change(&begun, |_| ()).expect("known").stop.is_asked());
        assert!(store.begin("t1", turn(2), true).is_some());
        assert!(store.delete("t1", Stamp(6)) && !store.delete("t1", Stamp(6)));
    }
}
