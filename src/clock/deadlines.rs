//! Who is to be woken when: the deadlines of all sleepers of one runtime.
//!
//! Pure: instants come in, wakers come out. Setting, cancelling and taking cost O(log n), so that ten thousand streams
//! with a timer each are cheap.

use std::collections::BTreeMap;

/// A place in the queue, to cancel by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    at_ns: u64,
    /// Tells apart what has the same deadline, in order of setting.
    number: u64,
}

impl Key {
    /// Whether its deadline has come.
    pub(super) fn is_due(self, now_ns: u64) -> bool {
        self.at_ns <= now_ns
    }
}

/// Deadlines with something to give out at each.
#[derive(Debug)]
pub(super) struct Deadlines<T> {
    queue: BTreeMap<Key, T>,
    set: u64,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self { queue: BTreeMap::new(), set: 0 }
    }
}

impl<T> Deadlines<T> {
    /// Adds a deadline.
    pub(super) fn set(&mut self, at_ns: u64, value: T) -> Key {
        let key = Key { at_ns, number: self.set };
        self.set += 1;
        self.queue.insert(key, value);
        key
    }

    /// Takes a deadline back; nothing when it has been given out.
    pub(super) fn cancel(&mut self, key: Key) -> Option<T> {
        self.queue.remove(&key)
    }

    /// The next deadline, in nanoseconds.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(key, _)| key.at_ns)
    }

    /// Moves what is due by now to the end of `due`, earliest first.
    pub(super) fn take_due(&mut self, now_ns: u64, due: &mut Vec<T>) {
        while let Some(first) = self.queue.first_entry()
            && first.key().is_due(now_ns)
        {
            due.push(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u64),
        Cancel(usize),
        Take(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u64..50).prop_map(Step::Set),
            2 => any::<usize>().prop_map(Step::Cancel),
            1 => (0u64..60).prop_map(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_that_is_sorted_when_asked(steps in proptest::collection::vec(step(), 0..200)) {
            let mut queue = Deadlines::default();
            let mut keys = Vec::new();
            let mut naive: Vec<(u64, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Set(at_ns) => {
                        naive.push((at_ns, keys.len()));
                        keys.push(queue.set(at_ns, keys.len()));
                    }
                    Step::Cancel(which) if !keys.is_empty() => {
                        let value = which % keys.len();
                        let place = naive.iter().position(|held| held.1 == value);
                        let held = place.map(|place| naive.remove(place).1);
                        prop_assert_eq!(queue.cancel(keys[value]), held);
                    }
                    Step::Cancel(_) => {}
                    Step::Take(now_ns) => {
                        let mut due = Vec::new();
                        queue.take_due(now_ns, &mut due);
                        naive.sort();
                        let split = naive.iter().take_while(|held| held.0 <= now_ns).count();
                        prop_assert_eq!(due, naive.drain(..split).map(|held| held.1).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(queue.next_ns(), naive.iter().map(|held| held.0).min());
            }
        }
    }
}
