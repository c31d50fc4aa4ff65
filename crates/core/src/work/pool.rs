//! The tasks that wait, and the workers that they are assigned to.

use std::collections::VecDeque;
use std::sync::PoisonError;

use slab::Slab;

use super::queue::WorkerQueue;
use crate::buffer::OutOfMemory;
use crate::inbox::Wake;
use crate::sync::{Arc, Mutex, MutexGuard};

/// Which worker gets a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// The one that has the fewest.
    LeastOutstanding,
    /// One after the other, as far as they have room.
    RoundRobin,
    /// Always the same for one connection, as long as the workers are the same.
    Sticky,
}

/// What a pool is made with.
#[derive(Clone, Copy, Debug)]
pub struct WorkSettings {
    /// Which worker gets a task.
    pub assignment: Assignment,
    /// Tasks that a worker has at once, at least 1.
    pub concurrency: usize,
    /// Tasks that may wait for a worker. Pollers look before they read, and several may look at once: each may go beyond by
    /// the messages of one round of a connection.
    pub max_queued: usize,
    /// Workers that do not close for want of work.
    pub min_workers: usize,
}

/// What a pool has done and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkStats {
    /// Workers now.
    pub workers: usize,
    /// Tasks that wait for a worker.
    pub queued: usize,
    /// Tasks that workers have.
    pub running: usize,
    /// Tasks submitted since the start.
    pub submitted: u64,
}

/// What a task is to the pool.
pub trait Assignable {
    /// The same for all tasks of one connection.
    fn key(&self) -> u64;
}

/// Tasks on their way to workers. Clones share them. `Waiter` is woken when there is room again.
pub struct WorkPool<Task, Waiter>(pub(super) Arc<SharedPool<Task, Waiter>>);

pub(super) struct SharedPool<Task, Waiter> {
    pub(super) settings: WorkSettings,
    state: Mutex<PoolState<Task, Waiter>>,
    /// Told that tasks wait and every worker is busy.
    grow: Box<dyn Wake + Send + Sync>,
}

pub(super) struct PoolState<Task, Waiter> {
    queue: VecDeque<Task>,
    pub(super) workers: Slab<WorkerState<Task>>,
    turn: usize,
    waiters: Vec<Waiter>,
    submitted: u64,
    /// Whether it was told that workers are lacking, and none has opened or closed since.
    pub(super) asked_to_grow: bool,
    closed: bool,
}

/// The pool's side of a worker.
pub(super) struct WorkerState<Task> {
    pub(super) assigned: VecDeque<Task>,
    /// Tasks that were taken and are not done with.
    pub(super) taken: usize,
    /// Whether the worker was told and has not looked since.
    pub(super) woken: bool,
    pub(super) waker: Box<dyn Wake + Send + Sync>,
}

impl<Task> WorkerState<Task> {
    fn outstanding(&self) -> usize {
        self.assigned.len() + self.taken
    }

    fn wake(&mut self) {
        if !std::mem::replace(&mut self.woken, true) {
            self.waker.wake();
        }
    }
}

impl<Task, Waiter> Clone for WorkPool<Task, Waiter> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Task, Waiter> std::fmt::Debug for WorkPool<Task, Waiter> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("WorkPool")
            .field(&self.0.settings)
            .finish()
    }
}

impl<Task: Assignable, Waiter: Wake> WorkPool<Task, Waiter> {
    /// A pool without workers. `grow` is woken when tasks, or pollers that would submit some, wait
    /// and every worker is busy, once until a worker opens or closes. An owner that has as many as
    /// it may need not be told for every task.
    pub fn new(settings: WorkSettings, grow: Box<dyn Wake + Send + Sync>) -> Self {
        Self(Arc::new(SharedPool {
            settings,
            state: Mutex::new(PoolState {
                queue: VecDeque::new(),
                workers: Slab::new(),
                turn: 0,
                waiters: Vec::new(),
                submitted: 0,
                asked_to_grow: false,
                closed: false,
            }),
            grow,
        }))
    }

    /// A place to take tasks at. `waker` is woken when there are some, once until [`WorkerQueue::take`].
    #[must_use]
    pub fn open_queue(&self, waker: Box<dyn Wake + Send + Sync>) -> WorkerQueue<Task, Waiter> {
        let mut state = self.0.state();
        let key = state.workers.insert(WorkerState {
            assigned: VecDeque::new(),
            taken: 0,
            woken: false,
            waker,
        });
        state.asked_to_grow = false;
        state.refill(key, &self.0.settings);
        state.wake_waiters(&self.0.settings);
        if !state.queue.is_empty() {
            state.ask_to_grow(&self.0);
        }
        drop(state);
        WorkerQueue::new(self.clone(), key)
    }

    /// Assigns tasks, which `tasks` is drained of. Of a closed pool they are dropped.
    ///
    /// # Errors
    /// [`OutOfMemory`]: `tasks` stays as it is.
    pub fn submit(&self, tasks: &mut Vec<Task>) -> Result<(), OutOfMemory> {
        let mut state = self.0.state();
        if state.closed {
            drop(state);
            tasks.clear();
            return Ok(());
        }
        state.reserve(tasks.len())?;
        state.submitted += tasks.len() as u64;
        for task in tasks.drain(..) {
            match state.worker_for(&task, &self.0.settings) {
                Some(key) => state.assign(key, task),
                None => state.queue.push_back(task),
            }
        }
        if !state.queue.is_empty() {
            state.ask_to_grow(&self.0);
        }
        Ok(())
    }

    /// How many more tasks may be submitted: any number to a closed pool, which drops them.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.state().room(&self.0.settings)
    }

    /// Wakes `waiter` once there is room. Returns whether there is some already, and it is not woken.
    #[must_use]
    pub fn await_room(&self, waiter: Waiter) -> bool
    where
        Waiter: PartialEq,
    {
        let mut state = self.0.state();
        if state.room(&self.0.settings) > 0 {
            return true;
        }
        if !state.waiters.contains(&waiter) {
            state.waiters.push(waiter);
        }
        // Where no task may be queued, nothing else shows that workers are lacking.
        state.ask_to_grow(&self.0);
        false
    }

    /// Takes no further task, and drops those that no worker has. Workers keep what they have taken.
    pub fn close(&self) {
        let mut state = self.0.state();
        state.closed = true;
        let mut dropped = vec![std::mem::take(&mut state.queue)];
        for (_, worker) in &mut state.workers {
            dropped.push(std::mem::take(&mut worker.assigned));
        }
        let waiters = std::mem::take(&mut state.waiters);
        // A dropped task answers its connection, and the waiter that is woken may look here at
        // once.
        drop(state);
        drop(dropped);
        waiters.iter().for_each(Wake::wake);
    }

    /// The pool now.
    #[must_use]
    pub fn stats(&self) -> WorkStats {
        let state = self.0.state();
        let assigned: usize = state
            .workers
            .iter()
            .map(|(_, worker)| worker.assigned.len())
            .sum();
        WorkStats {
            workers: state.workers.len(),
            queued: state.queue.len() + assigned,
            running: state.workers.iter().map(|(_, worker)| worker.taken).sum(),
            submitted: state.submitted,
        }
    }
}

impl<Task, Waiter> SharedPool<Task, Waiter> {
    /// A panic while the lock was held cannot have left it half-changed: no step calls anything that panics.
    pub(super) fn state(&self) -> MutexGuard<'_, PoolState<Task, Waiter>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Task: Assignable, Waiter: Wake> PoolState<Task, Waiter> {
    fn room(&self, settings: &WorkSettings) -> usize {
        if self.closed {
            return usize::MAX;
        }
        let free: usize = self
            .workers
            .iter()
            .map(|(_, worker)| settings.concurrency.saturating_sub(worker.outstanding()))
            .sum();
        let beyond: usize = self
            .workers
            .iter()
            .map(|(_, worker)| worker.outstanding().saturating_sub(settings.concurrency))
            .sum();
        (settings.max_queued + free).saturating_sub(self.queue.len() + beyond)
    }

    /// Room for so many more tasks, wherever they wait.
    fn reserve(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.queue.try_reserve(count)?;
        for (_, worker) in &mut self.workers {
            worker.assigned.try_reserve(count)?;
        }
        Ok(())
    }

    fn worker_for(&mut self, task: &Task, settings: &WorkSettings) -> Option<usize> {
        let count = self.workers.len();
        if count == 0 {
            return None;
        }
        if settings.assignment == Assignment::Sticky {
            let nth = (mix(task.key()) % count as u64) as usize;
            return self.workers.iter().nth(nth).map(|(key, _)| key);
        }
        let free = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.outstanding() < settings.concurrency);
        if settings.assignment == Assignment::LeastOutstanding {
            return free
                .min_by_key(|(_, worker)| worker.outstanding())
                .map(|(key, _)| key);
        }
        let turn = self.turn;
        let after = |key: usize| (key < turn, key);
        let key = free.map(|(key, _)| key).min_by_key(|key| after(*key))?;
        self.turn = key + 1;
        Some(key)
    }

    fn assign(&mut self, key: usize, task: Task) {
        let worker = &mut self.workers[key];
        worker.assigned.push_back(task);
        worker.wake();
    }

    /// Gives a worker that has room what waits.
    pub(super) fn refill(&mut self, key: usize, settings: &WorkSettings) {
        if settings.assignment == Assignment::Sticky {
            // Waiting tasks waited for any worker at all, and each has its own now.
            for _ in 0..self.queue.len() {
                let Some(task) = self.queue.pop_front() else {
                    break;
                };
                match self.worker_for(&task, settings) {
                    Some(key) if self.workers[key].assigned.try_reserve(1).is_ok() => {
                        self.assign(key, task);
                    }
                    // Where it just was, so that it takes no memory.
                    _ => self.queue.push_back(task),
                }
            }
            return;
        }
        while self.workers[key].outstanding() < settings.concurrency
            && let Some(task) = self.queue.pop_front()
        {
            self.assign(key, task);
        }
    }

    /// What a worker that closes had not begun goes to the others, before what came later. Without
    /// memory for that no worker gets it: it is given back, to be dropped.
    pub(super) fn reassign(
        &mut self,
        tasks: VecDeque<Task>,
        shared: &SharedPool<Task, Waiter>,
    ) -> VecDeque<Task> {
        if self.queue.try_reserve(tasks.len()).is_err() {
            return tasks;
        }
        for task in tasks.into_iter().rev() {
            self.queue.push_front(task);
        }
        let keys: Vec<usize> = self.workers.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.refill(key, &shared.settings);
        }
        if !self.queue.is_empty() {
            self.ask_to_grow(shared);
        }
        VecDeque::new()
    }

    pub(super) fn wake_waiters(&mut self, settings: &WorkSettings) {
        if self.room(settings) > 0 {
            for waiter in self.waiters.drain(..) {
                waiter.wake();
            }
        }
    }

    fn ask_to_grow(&mut self, shared: &SharedPool<Task, Waiter>) {
        if !std::mem::replace(&mut self.asked_to_grow, true) {
            shared.grow.wake();
        }
    }
}

/// Spreads keys that differ in few bits (the finalizer of MurmurHash3, which is in the public domain).
fn mix(mut key: u64) -> u64 {
    key ^= key >> 33;
    key = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
    key ^= key >> 33;
    key = key.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^ key >> 33
}

#[cfg(test)]
mod tests;
