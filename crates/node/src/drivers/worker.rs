//! Messages that a worker thread's environment handles for connections of other threads: tasks come to its queue natively, and
//! its replies go back natively. The batches and commands are those of an event loop, with a task in the place of a
//! connection.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::Unknown;
use napi::{Env, JsValue};
use napi_derive::napi;
use netpoll_core::work::{Answer, Bytes, Origin, Task, TaskQueue};
use netpoll_core::{Batch, Command, Id, Slice, Wake};
use slab::Slab;

use crate::api::event_loop::Callbacks;
use crate::api::work_pool;
use crate::bridge::{Bridge, Delivered, Settled, Sink};
use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::Referenced;
use crate::drivers::nested_turns::{NestedTurns, Nesting};
use crate::drivers::waker::{EventLoopWaker, Woken};
use crate::memory::Memory;
use crate::memory::foreign_bytes::QueuedArray;
use crate::shared_words::SharedWords;

/// A task in JavaScript's hands. The slot of its records is its key.
struct Running {
    origin: Origin,
    /// The pieces of its reply so far.
    reply: Bytes,
}

/// One environment's place at a pool.
pub struct WorkDriver {
    env: Env,
    bridge: Bridge,
    waker: EventLoopWaker,
    queue: RefCell<TaskQueue>,
    batch: RefCell<Batch>,
    /// Tasks on their way into the batch, kept for its memory.
    tasks: RefCell<Vec<Task>>,
    running: RefCell<Slab<Running>>,
    /// Whether the worker may have tasks of which nothing else will tell.
    has_more: Cell<bool>,
    nested_turns: RefCell<Option<Rc<NestedTurns>>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

/// Turns commands into answers.
struct Answers<'driver> {
    running: &'driver mut Slab<Running>,
    count: usize,
}

impl Answers<'_> {
    /// A reply without one of its pieces would be another: its task fails.
    fn add(&mut self, id: Id, slice: Slice) {
        if let Some(task) = self.running.get_mut(id.slot as usize)
            && task.reply.push(slice).is_err()
        {
            self.finish(id, Some(Answer::Failed));
        }
    }

    fn finish(&mut self, id: Id, failed: Option<Answer>) {
        if let Some(Running { origin, reply }) = self.running.try_remove(id.slot as usize) {
            origin.answer(failed.unwrap_or(Answer::Reply(reply)));
            self.count += 1;
        }
    }
}

impl Sink for Answers<'_> {
    fn command(&mut self, id: Id, command: Command) {
        match command {
            Command::Send(slice) => self.add(id, slice),
            Command::Reply(slice) => {
                self.add(id, slice);
                self.finish(id, None);
            }
            Command::Acknowledge(_) => self.finish(id, None),
            Command::Fail(_) => self.finish(id, Some(Answer::Failed)),
            // There is nothing else to ask of a task.
            _ => {}
        }
    }

    fn foreign(&mut self, id: Id, array: QueuedArray, start: usize, length: usize) {
        match array.copy(start, length) {
            Ok(copy) => self.add(id, copy),
            Err(_) => self.finish(id, Some(Answer::Failed)),
        }
    }
}

impl WorkDriver {
    /// Sends replies, between two of JavaScript's tasks; whether there is something to handle, of which nothing else will tell.
    fn flush(&self) -> bool {
        let has_more = self.carry_out();
        self.bridge.reset_arena_if_idle();
        has_more
    }

    /// As [`Self::flush`], in the middle of a task: what it has written to the arena, no command may name yet.
    fn carry_out(&self) -> bool {
        let mut running = self.running.borrow_mut();
        let mut answers = Answers {
            running: &mut running,
            count: 0,
        };
        self.bridge.take_commands(&mut answers);
        let count = answers.count;
        drop(running);
        if count > 0 && self.queue.borrow_mut().finish(count) {
            self.has_more.set(true);
        }
        self.has_more.get() || self.bridge.is_waiting()
    }

    /// Takes what the worker has into the batch; whether that is anything.
    fn take(&self) -> bool {
        let mut tasks = self.tasks.take();
        self.has_more.set(false);
        self.queue.borrow_mut().take(&mut tasks);
        let mut batch = self.batch.borrow_mut();
        let mut running = self.running.borrow_mut();
        for Task { origin, message } in tasks.drain(..) {
            batch.add_source(origin.poller(), origin.connection());
            let reply = Bytes::default();
            let slot = running.insert(Running { origin, reply });
            batch.add_message(slot as u32, &message);
        }
        drop(running);
        *self.tasks.borrow_mut() = tasks;
        !batch.is_empty()
    }

    fn stop(&self) {
        drop(self.nested_turns.take());
        self.waker.close();
        self.queue.borrow_mut().close();
        // Dropped without an answer, each tells its connection.
        drop(std::mem::take(&mut *self.running.borrow_mut()));
    }
}

impl EndsWithEnvironment for WorkDriver {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        self.stop();
    }
}

impl Woken for WorkDriver {
    fn woken(&self) {
        self.has_more.set(true);
        if self.bridge.begin() {
            self.waker.wake();
            return;
        }
        let had_rest = self.bridge.is_waiting();
        if self.bridge.resume() == Delivered::InPart || had_rest {
            // JavaScript asks for more when it flushes: how long that has taken is known then.
            return;
        }
        if self.take() {
            self.bridge.deliver(&self.batch);
            self.bridge.collect_if_due();
        }
    }

    /// Each caller that waits for a reply is told, and the thread ends as by any exception: its
    /// pool starts another.
    fn failed(&self, failure: &str) {
        self.waker.set_referenced(self.env, Referenced::No);
        self.stop();
        let javascript = self.bridge.javascript();
        javascript.scoped(|| javascript.fatal(failure));
    }
}

impl Nesting for WorkDriver {
    fn is_delivering(&self) -> bool {
        self.bridge.is_delivering()
    }

    fn serve(&self) {
        self.woken();
        self.bridge.end_slice();
        // Within a handler JavaScript does not flush, and asks for nothing.
        if self.flush() {
            self.waker.wake();
        }
    }

    fn failed(&self, failure: &str) {
        Woken::failed(self, failure);
    }
}

/// What a worker thread has of its pool.
#[napi]
pub struct WorkerQueue(Rc<WorkDriver>);

#[napi]
impl WorkerQueue {
    /// A place at the pool of that number. `batch` and `commands` are the shared words.
    ///
    /// @throws when the pool is closed
    #[napi(constructor)]
    pub fn new(
        env: Env,
        pool: u32,
        memory: &Memory,
        #[napi(ts_arg_type = "Int32Array")] batch: Unknown<'_>,
        #[napi(ts_arg_type = "Int32Array")] commands: Unknown<'_>,
        callbacks: Callbacks<'_>,
    ) -> napi::Result<Self> {
        let workers = work_pool::find(pool)
            .ok_or_else(|| napi::Error::from_reason("there is no such pool"))?;
        let words = SharedWords::new(env, batch.raw(), commands.raw())?;
        let (receiver, dispatch) = (callbacks.receiver.raw(), callbacks.dispatch.raw());
        let bridge = Bridge::new(
            env,
            memory.0.clone(),
            words,
            receiver,
            dispatch,
            Settled::AtFlush,
        )?;
        let mut refusal = None;
        let driver = Rc::new_cyclic(|itself: &Weak<WorkDriver>| {
            let waker =
                EventLoopWaker::install(env, receiver, itself.clone()).unwrap_or_else(|error| {
                    refusal = Some(error);
                    EventLoopWaker::silent()
                });
            WorkDriver {
                env,
                queue: RefCell::new(workers.open_queue(Box::new(waker.clone()))),
                waker,
                batch: RefCell::new(bridge.new_batch()),
                bridge,
                tasks: RefCell::default(),
                running: RefCell::default(),
                has_more: Cell::new(false),
                nested_turns: RefCell::new(NestedTurns::join(env, itself.clone())),
                clean_up: Cell::default(),
            }
        });
        if let Some(error) = refusal {
            return Err(error);
        }
        let clean_up = CleanUp::add(env, &driver);
        if clean_up.is_none() {
            driver.stop();
            return Err(napi::Error::from_reason("the environment is ending"));
        }
        driver.clean_up.set(clean_up);
        driver.waker.set_referenced(env, Referenced::Yes);
        Ok(Self(driver))
    }

    /// Sends the replies that the commands in the shared words are, between two JavaScript tasks.
    /// Returns whether there are requests to `receive`, or to `wake` for.
    #[napi]
    pub fn flush(&self) -> bool {
        self.0.bridge.end_slice();
        let is_there = self.0.flush();
        self.0.bridge.tell_troubles();
        is_there
    }

    /// Sends replies in the middle of a task, because the words are full.
    #[napi]
    pub fn carry_out(&self) {
        if self.0.carry_out() {
            self.wake();
        }
    }

    /// Puts requests into the shared words, as before `dispatch` is called, unless some of the last are left there. Returns
    /// whether there are any now. Where the event loop has to turn before, `dispatch` is called once it has.
    #[napi]
    pub fn receive(&self) -> bool {
        let bridge = &self.0.bridge;
        if bridge.begin() {
            self.wake();
            return false;
        }
        if bridge.show_rest() {
            return true;
        }
        let is_there = self.0.take();
        if is_there {
            bridge.show(&self.0.batch);
        }
        is_there
    }

    /// Has `dispatch` called for requests that are there, after all other work in this thread.
    #[napi]
    pub fn wake(&self) {
        self.0.waker.wake();
    }

    /// Leaves the pool, if there is nothing to do and others are left. Returns whether it has.
    #[napi]
    pub fn retire(&self) -> bool {
        let retired = self.0.queue.borrow_mut().retire();
        if retired {
            self.0.waker.set_referenced(self.0.env, Referenced::No);
        }
        retired
    }
}
