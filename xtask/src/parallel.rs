// SPDX-License-Identifier: GPL-2.0
//! The same work on many things, one thread a processor.

use std::sync::Mutex;

/// `work` on each item, results in the items' order.
pub fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let jobs = std::thread::available_parallelism().map_or(1, |count| count.get());
    let mut results: Vec<Option<R>> = Vec::new();
    results.resize_with(items.len(), || None);
    let waiting = Mutex::new(items.into_iter().zip(results.iter_mut()));
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(|poison| poison.into_inner());
        waiting.next()
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((item, result)) = next() {
                    *result = Some(work(item));
                }
            });
        }
    });
    drop(waiting);
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_their_order() {
        let doubled = super::map((0..100).collect(), |n| n * 2);
        assert!(doubled.iter().enumerate().all(|(at, n)| at * 2 == *n));
    }
}
