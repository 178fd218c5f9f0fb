//! Work that is the same for thousands of things, on all cores.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `each` gives for every item, in the order of the items, on at most so many threads: the caller's, and others where
/// there are processors for them. Threads take one item after the other, for some may take much longer than others.
pub(crate) fn spread<T: Sync, R: Send>(items: &[T], most: usize, each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    // Asking how many processors there are reads files of control groups: where there is little to do it need not.
    let threads = if most <= 1 { 1 } else { thread::available_parallelism().map_or(1, NonZero::get).min(most) };
    if threads == 1 {
        return items.iter().map(each).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, each(item)));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        // A panic that `each` does not contain belongs to the caller.
        let others = others.into_iter().flat_map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        own.into_iter().chain(others).collect::<Vec<_>>()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..10_000).collect();
        for most in [0, 1, 2, 64] {
            assert_eq!(spread(&items, most, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
        assert!(spread(&[], 8, |item: &u32| *item).is_empty());
    }
}
