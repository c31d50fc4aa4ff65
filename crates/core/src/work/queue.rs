//! Where the handler of tasks takes them.

use super::pool::{Assignable, WorkPool};
use crate::inbox::Wake;

/// A place at a pool. Closing it gives what it had not taken to the other workers; what it had taken is its owner's to
/// answer or to drop.
pub struct WorkerQueue<Task: Assignable, Waiter: Wake> {
    pool: WorkPool<Task, Waiter>,
    /// `None` once it is closed.
    key: Option<usize>,
}

impl<Task: Assignable, Waiter: Wake> WorkerQueue<Task, Waiter> {
    pub(super) fn new(pool: WorkPool<Task, Waiter>, key: usize) -> Self {
        Self {
            pool,
            key: Some(key),
        }
    }

    /// Appends what is assigned to `into`, as far as the pool's concurrency allows: with tasks that stick to a worker, more
    /// may wait. Each must be reported by [`Self::finish`].
    pub fn take(&mut self, into: &mut Vec<Task>) {
        let Some(key) = self.key else { return };
        let shared = &self.pool.0;
        let mut state = shared.state();
        let worker = &mut state.workers[key];
        worker.woken = false;
        while worker.taken < shared.settings.concurrency
            && let Some(task) = worker.assigned.pop_front()
        {
            worker.taken += 1;
            into.push(task);
        }
    }

    /// So many tasks that were taken are done with. The worker gets others, of which its waker tells, or at once: returns
    /// whether there are some.
    pub fn finish(&mut self, count: usize) -> bool {
        let Some(key) = self.key else { return false };
        let shared = &self.pool.0;
        let mut state = shared.state();
        let worker = &mut state.workers[key];
        worker.taken = worker.taken.saturating_sub(count);
        // The worker that reports looks right afterwards, and needs no waker.
        worker.woken = true;
        state.refill(key, &shared.settings);
        state.wake_waiters(&shared.settings);
        let worker = &mut state.workers[key];
        let has_more = !worker.assigned.is_empty();
        worker.woken = has_more;
        has_more
    }

    /// Closes the worker if it has nothing to do and there are more than the pool is to keep. Returns whether it is closed.
    #[must_use]
    pub fn retire(&mut self) -> bool {
        let Some(key) = self.key else { return true };
        let shared = &self.pool.0;
        let mut state = shared.state();
        let worker = &state.workers[key];
        if worker.taken > 0
            || !worker.assigned.is_empty()
            || state.workers.len() <= shared.settings.min_workers
        {
            return false;
        }
        state.workers.remove(key);
        state.asked_to_grow = false;
        self.key = None;
        true
    }

    /// See [`WorkerQueue`].
    pub fn close(&mut self) {
        let Some(key) = self.key.take() else { return };
        let shared = &self.pool.0;
        let mut state = shared.state();
        let worker = state.workers.remove(key);
        state.asked_to_grow = false;
        let lost = state.reassign(worker.assigned, shared);
        state.wake_waiters(&shared.settings);
        let waker = worker.waker;
        // A dropped task answers its connection.
        drop(state);
        drop(lost);
        drop(waker);
    }
}

impl<Task: Assignable, Waiter: Wake> Drop for WorkerQueue<Task, Waiter> {
    fn drop(&mut self) {
        self.close();
    }
}
