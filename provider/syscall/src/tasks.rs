// SPDX-License-Identifier: GPL-2.0
//! The call that each task is in.
//!
//! A fixed table of words. A word is 0, or names a task and the call it is in:
//!
//! ```text
//!  63 62 61                                12 11  10 9         0
//! +-----+------------------------------------+------+-----------+
//! |  0  | the task: bits 55 to 6 of its address | ABI | number  |
//! +-----+------------------------------------+------+-----------+
//! ```
//!
//! A kernel address is known by those bits (the ones above are all set; a `struct task_struct` lies
//! on a cache line of its own), and is never all zero there. A task may be in one of two rows of eight
//! words; both full of others' is a loss, which the caller counts. (A search is not one step: a place that becomes
//! free behind it is not seen. That too is a loss, and no lie.)
//!
//! Only a task itself, in its own system call, writes a word that names it, and puts 0 there again: it
//! races with nobody but for words that are 0, which a compare-and-swap settles. All is in that one
//! word, so no access needs an order with another: Relaxed throughout. A task that moves to another
//! CPU sees its own word there, as it sees all its own memory; so does a task that gets the memory of one that
//! ended. A task's calls do not nest: a signal's handler makes its own when the one that it interrupted has
//! returned. `loom-tests/src/models/tasks.rs` has the models.

use crate::Call;
use xcall_primitive::{AtomicU64, Ordering::Relaxed};

/// Words in the table: so many tasks, less what the rows' filling wastes, can be in a call at once.
pub const TASKS: usize = ROWS * WORDS;

const ROWS: usize = 1 << ROW_BITS;
// Few in models, so that tasks meet.
const ROW_BITS: u32 = if cfg!(loom) { 1 } else { 12 };
const WORDS: usize = if cfg!(loom) { 2 } else { 8 };
const CALL_BITS: u32 = 12;
const TASK_LOW: u32 = 6;
const TASK_BITS: u32 = 50;

/// A cache line.
#[repr(align(64))]
struct Row([AtomicU64; WORDS]);

/// The calls that tasks are in.
pub struct Tasks {
    rows: [Row; ROWS],
}

/// Both rows of a task were full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Tasks {
    /// Nobody is in any.
    #[cfg(loom)]
    pub fn new() -> Self {
        let row = |_| Row(core::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            rows: core::array::from_fn(row),
        }
    }

    /// Nobody is in any.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            rows: [const { Row([const { AtomicU64::new(0) }; WORDS]) }; ROWS],
        }
    }

    /// `task`, which is the current one, given by its address, is in `call` now. What it was in before
    /// is forgotten.
    pub fn enter(&self, task: u64, call: Call) -> Result<(), Full> {
        let word = (name(task) << CALL_BITS) | call.pack();
        if let Some(mine) = self.find(task) {
            mine.store(word, Relaxed);
            return Ok(());
        }
        let free = |place: &&AtomicU64| {
            place.load(Relaxed) == 0 && place.compare_exchange(0, word, Relaxed, Relaxed).is_ok()
        };
        match self.places(task).find(free) {
            Some(_) => Ok(()),
            None => Err(Full),
        }
    }

    /// `task`, which is the current one, begins `call`: it is in that one if its return will come, else
    /// (it exits, or the call has no number that is traced) in none.
    pub fn begin(&self, task: u64, call: Option<Call>) -> Result<(), Full> {
        match call.filter(|call| call.returns()) {
            Some(call) => self.enter(task, call),
            None => {
                self.leave(task);
                Ok(())
            }
        }
    }

    /// `task`, which is the current one, leaves the call it is in: that one, or None if it is in none.
    pub fn leave(&self, task: u64) -> Option<Call> {
        let mine = self.find(task)?;
        let word = mine.load(Relaxed);
        mine.store(0, Relaxed);
        Call::unpack(word & ((1 << CALL_BITS) - 1))
    }

    /// Nobody is in any. Nothing else may go on meanwhile, or calls under way stay or are forgotten.
    pub fn clear(&self) {
        for word in self.rows.iter().flat_map(|row| &row.0) {
            word.store(0, Relaxed);
        }
    }

    /// How many are in a call.
    pub fn count(&self) -> usize {
        let words = self.rows.iter().flat_map(|row| &row.0);
        words.filter(|word| word.load(Relaxed) != 0).count()
    }

    fn find(&self, task: u64) -> Option<&AtomicU64> {
        let name = name(task);
        self.places(task)
            .find(|word| word.load(Relaxed) >> CALL_BITS == name)
    }

    /// Where `task` may be.
    fn places(&self, task: u64) -> impl Iterator<Item = &AtomicU64> {
        // Fibonacci hashing: the product's high bits depend on all of the name.
        let hash = name(task).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let first = (hash >> (64 - ROW_BITS)) as usize;
        let second = (hash >> (64 - 2 * ROW_BITS)) as usize % ROWS;
        let rows = [self.rows.get(first), self.rows.get(second)];
        rows.into_iter().flatten().flat_map(|row| &row.0)
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

/// What names a task.
fn name(task: u64) -> u64 {
    (task >> TASK_LOW) & ((1 << TASK_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Abi;
    use std::sync::Arc;

    /// The address of a `struct task_struct`, as the allocator deals them out.
    fn task(number: u64) -> u64 {
        0xffff_8881_0000_0000 + number * 0x2d00 / 64 * 64
    }

    fn call(number: u32) -> Call {
        Call::new(Abi::Native, number).unwrap()
    }

    fn table() -> Arc<Tasks> {
        Arc::new(Tasks::new())
    }

    #[test]
    fn a_return_is_named_by_its_entry() {
        let tasks = table();
        let exec = Call::new(Abi::Ia32, 11).unwrap();
        tasks.enter(task(1), exec).unwrap();
        tasks.enter(task(2), call(39)).unwrap();
        assert_eq!(tasks.leave(task(1)), Some(exec));
        assert_eq!(tasks.leave(task(1)), None);
        assert_eq!(tasks.leave(task(3)), None);
        assert_eq!(tasks.leave(task(2)), Some(call(39)));
        assert_eq!(tasks.count(), 0);
    }

    #[test]
    fn a_task_is_in_one_call() {
        let tasks = table();
        tasks.enter(task(1), call(1)).unwrap();
        tasks.enter(task(1), call(2)).unwrap();
        assert_eq!(tasks.count(), 1);
        assert_eq!(tasks.leave(task(1)), Some(call(2)));
        assert_eq!(tasks.leave(task(1)), None);
    }

    #[test]
    fn a_call_that_is_not_recorded_does_not_keep_the_one_before() {
        let tasks = table();
        // Its return was not seen.
        tasks.begin(task(1), Some(call(39))).unwrap();
        tasks.begin(task(1), None).unwrap();
        assert_eq!(tasks.leave(task(1)), None);
        // A task that exits leaves no word for one that gets its address.
        tasks.begin(task(1), Some(call(39))).unwrap();
        tasks.begin(task(1), Some(call(60))).unwrap();
        assert_eq!(tasks.count(), 0);
        tasks.begin(task(1), Some(call(39))).unwrap();
        assert_eq!(tasks.leave(task(1)), Some(call(39)));
    }

    #[test]
    fn a_full_row_is_a_loss_and_no_lie() {
        let tasks = table();
        let mut lost = 0;
        let many = 2 * TASKS as u64;
        let came: Vec<bool> = (0..many)
            .map(|number| tasks.enter(task(number), call(number as u32 % 500)).is_ok())
            .collect();
        for (number, came) in came.into_iter().enumerate() {
            let left = tasks.leave(task(number as u64));
            assert_eq!(left, came.then(|| call(number as u32 % 500)));
            lost += u64::from(!came);
        }
        assert!(lost >= many / 2, "more came than there is room for");
        assert_eq!(tasks.count(), 0);
    }

    #[test]
    fn a_table_half_full_loses_nothing() {
        let tasks = table();
        for number in 0..TASKS as u64 / 2 {
            tasks.enter(task(number), call(202)).unwrap();
        }
        assert_eq!(tasks.count(), TASKS / 2);
        tasks.clear();
        assert_eq!(tasks.count(), 0);
    }

    #[test]
    fn tasks_that_come_at_once_do_not_take_each_other_s_place() {
        let tasks = table();
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let tasks = tasks.clone();
                std::thread::spawn(move || {
                    for round in 0..40_000 {
                        let number = call(round % 500);
                        // So near to each other that they share rows.
                        for place in 0..4 {
                            let me = task(thread * 4 + place);
                            tasks.enter(me, number).unwrap();
                        }
                        for place in 0..4 {
                            let me = task(thread * 4 + place);
                            assert_eq!(tasks.leave(me), Some(number));
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(tasks.count(), 0);
    }
}
