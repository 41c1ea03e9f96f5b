//! The tasks that the mock remembers: the latest ones, up to a limit.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::task::{Status, Told, Turn};
use super::time::Stamp;

/// How many tasks are remembered; the oldest is forgotten first.
pub(super) const TASKS_MAX: usize = 10_000;
/// How many turns of a task are remembered.
const TURNS_MAX: usize = 1_000;

/// The tasks, shared by all who serve.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    by_id: HashMap<Arc<str>, Vec<Turn>>,
    in_order: VecDeque<Arc<str>>,
    /// Turns that were taken off the front, for those that have more than the limit.
    forgotten_turns: HashMap<Arc<str>, u64>,
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
        if let Some((id, turns)) = tasks.by_id.get_key_value(id) {
            let is_busy = turns.last().is_some_and(|last| !last.status.is_final());
            let id = Arc::clone(id);
            return (!is_busy || !refuse_busy).then(|| tasks.go_on(id, turn));
        }
        if tasks.in_order.len() >= TASKS_MAX
            && let Some(oldest) = tasks.in_order.pop_front()
        {
            tasks.by_id.remove(&oldest);
            tasks.forgotten_turns.remove(&oldest);
        }
        let id: Arc<str> = Arc::from(id);
        tasks.in_order.push_back(Arc::clone(&id));
        tasks.by_id.insert(Arc::clone(&id), vec![turn]);
        Some(Begun { id, turn: 0 })
    }

    /// Changes a turn; returns it as it is then, unless its task was deleted or forgotten.
    pub(super) fn change(&self, begun: &Begun, change: impl FnOnce(&mut Turn)) -> Option<Turn> {
        let mut tasks = self.tasks();
        let forgotten = tasks.forgotten_turns.get(&begun.id).copied().unwrap_or_default();
        let at = usize::try_from(begun.turn.checked_sub(forgotten)?).ok()?;
        let turn = tasks.by_id.get_mut(&begun.id)?.get_mut(at)?;
        change(turn);
        Some(turn.clone())
    }

    /// All turns of a task that are remembered.
    pub(super) fn turns(&self, id: &str) -> Option<Vec<Turn>> {
        self.tasks().by_id.get(id).cloned()
    }

    /// The latest turn of a task.
    pub(super) fn latest(&self, id: &str) -> Option<Turn> {
        self.tasks().by_id.get(id)?.last().cloned()
    }

    /// Asks the latest turn of a task to stop, at once when nothing of it executes yet; the turn as it is then.
    pub(super) fn stop(&self, id: &str, now: Stamp) -> Option<Turn> {
        let mut tasks = self.tasks();
        let turn = tasks.by_id.get_mut(id)?.last_mut()?;
        if !turn.status.is_final() {
            turn.stop.ask();
            end(turn, Status::Stopped, None, now);
            turn.was_stopped = true;
        }
        Some(turn.clone())
    }

    /// Forgets a task, and stops it when it is under way.
    pub(super) fn delete(&self, id: &str, now: Stamp) -> bool {
        let found = self.stop(id, now).is_some();
        let mut tasks = self.tasks();
        tasks.by_id.remove(id);
        tasks.forgotten_turns.remove(id);
        tasks.in_order.retain(|known| &**known != id);
        found
    }

    /// The latest turn of each task that `wanted` takes, the newest task first.
    pub(super) fn list(&self, wanted: impl Fn(&Turn) -> bool) -> Vec<(Arc<str>, Turn)> {
        let tasks = self.tasks();
        let latest = |id: &Arc<str>| Some((Arc::clone(id), tasks.by_id.get(id)?.last()?.clone()));
        tasks.in_order.iter().rev().filter_map(latest).filter(|(_, turn)| wanted(turn)).collect()
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
        let turns = self.by_id.entry(Arc::clone(&id)).or_default();
        turns.push(turn);
        let mut forgotten = self.forgotten_turns.get(&id).copied().unwrap_or_default();
        if turns.len() > TURNS_MAX {
            turns.remove(0);
            forgotten += 1;
            self.forgotten_turns.insert(Arc::clone(&id), forgotten);
        }
        Begun { turn: forgotten + turns.len() as u64 - 1, id }
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
    fn the_oldest_task_is_forgotten_first() {
        let store = Store::default();
        let first = store.begin("t0", turn(0), false).expect("new");
        for index in 1..=TASKS_MAX as u64 {
            store.begin(&format!("t{index}"), turn(index), false).expect("new");
        }
        assert!(store.change(&first, |_| ()).is_none() && store.latest("t0").is_none());
        assert!(store.latest("t1").is_some());
        assert_eq!(store.list(|_| true).len(), TASKS_MAX);
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
