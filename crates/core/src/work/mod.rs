//! Messages that are handled elsewhere than where their connections are: what Netpoll's goroutine pool is to Go.
//!
//! A poller makes a [`Task`] of each message and gives it to the [`WorkPool`], which assigns it to
//! a [`WorkerQueue`]. The worker there, such as a worker thread with a JavaScript environment of
//! its own, takes it, and answers the poller's inbox. The connection puts the answers in the order
//! of its messages (`connection/answers.rs`). A task that is dropped without an answer, because its
//! queue is gone, answers so by itself: no connection waits for it in vain.

mod pool;
mod queue;
mod registry;
mod task;

pub use pool::{Assignable, Assignment, WorkPool, WorkSettings, WorkStats};
pub use queue::WorkerQueue;
pub use registry::WorkerPools;
pub use task::{Answer, Bytes, Origin, RoomWaiter, Task, TaskOwner};

/// The pool that pollers and workers share.
pub type Workers = WorkPool<Task, RoomWaiter>;

/// The queue of a worker.
pub type TaskQueue = WorkerQueue<Task, RoomWaiter>;
