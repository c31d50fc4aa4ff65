//! Pools of workers, which threads find by number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Workers;

/// The open pools of a process.
#[derive(Default)]
pub struct WorkerPools(Mutex<Pools>);

#[derive(Default)]
struct Pools {
    open: HashMap<u32, Workers>,
    /// The number that was given last. No pool has 0.
    last: u32,
}

impl WorkerPools {
    /// Gives a number to `pool`, by which it is found until it is closed.
    pub fn add(&self, pool: Workers) -> u32 {
        let pools = &mut *self.pools();
        loop {
            pools.last = pools.last.wrapping_add(1);
            if pools.last != 0 && !pools.open.contains_key(&pools.last) {
                break;
            }
        }
        pools.open.insert(pools.last, pool);
        pools.last
    }

    /// The pool of that number, until it is closed.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<Workers> {
        self.pools().open.get(&number).cloned()
    }

    /// The pool of that number takes no further request, gives up those that no worker has, and is not found any more.
    pub fn close(&self, number: u32) {
        // Not locked while it closes: that answers requests.
        let pool = self.pools().open.remove(&number);
        if let Some(pool) = pool {
            pool.close();
        }
    }

    /// Nothing is left half-done by a panic.
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::Wake;
    use crate::work::{Assignment, WorkSettings};

    struct NoWaker;

    impl Wake for NoWaker {
        fn wake(&self) {}
    }

    fn pool() -> Workers {
        let settings = WorkSettings {
            assignment: Assignment::RoundRobin,
            concurrency: 1,
            max_queued: 1,
            min_workers: 1,
        };
        Workers::new(settings, Box::new(NoWaker))
    }

    #[test]
    fn a_pool_is_found_until_it_is_closed() {
        let pools = WorkerPools::default();
        let (first, second) = (pools.add(pool()), pools.add(pool()));
        assert_ne!(first, second);
        assert!(pools.find(first).is_some() && pools.find(second).is_some());
        pools.close(first);
        assert!(pools.find(first).is_none() && pools.find(second).is_some());
        pools.close(first);
    }

    #[test]
    fn numbers_that_are_taken_are_passed_over() {
        let pools = WorkerPools::default();
        let first = pools.add(pool());
        pools.pools().last = u32::MAX;
        let second = pools.add(pool());
        assert!(second != 0 && second != first, "{second}");
    }
}
