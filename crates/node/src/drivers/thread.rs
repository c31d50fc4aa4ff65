//! Hands the batches of a poller on a thread of its own (`netpoll_core::poller_thread`) to the environment.
//!
//! | on the poller's thread | on the environment's |
//! |---|---|
//! | waits, reads its inbox, serves the connections that are ready | |
//! | hands the batch over (`netpoll_core::handoff`), wakes once until the other side has looked | |
//! | | gives one batch after the other to JavaScript, each in a turn of its own |
//! | | turns JavaScript's commands into messages, and posts all of a turn at once |
//! | carries them out, writes | |

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::{Env, sys};
use netpoll_core::handoff::More;
use netpoll_core::poller_thread::Batches;
use netpoll_core::{Batch, Command, Id, PollerHandle, PollerMessage, PollerThread, Wake};

use crate::bridge::{Bridge, Delivered, Nowhere, Sink};
use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::Referenced;
use crate::drivers::nested_turns::{NestedTurns, Nesting};
use crate::drivers::waker::{EventLoopWaker, Woken};
use crate::javascript::Procedure;
use crate::memory::chunk_pool;
use crate::memory::foreign_bytes::QueuedArray;

/// How JavaScript is entered. It holds JavaScript's part of the driver, and with it all of its modules.
struct Entrance {
    bridge: Bridge,
    /// Called when the poller cannot go on.
    failed: Procedure,
}

/// A poller on a thread of its own, as its environment sees it.
pub struct ThreadDriver {
    env: Env,
    /// Gone once the driver has ended.
    entrance: RefCell<Option<Rc<Entrance>>>,
    handle: PollerHandle,
    waker: EventLoopWaker,
    handoff: Arc<Batches<EventLoopWaker>>,
    /// The batch that JavaScript has; between two of them, an empty one. The poller gets it back,
    /// and the slots of whose end it tells, once JavaScript has come to all of it. That is before
    /// what is new is handled within one of its handlers. So handlers that wait may be more than
    /// there are batches.
    batch: RefCell<Batch>,
    /// What it has taken the place of.
    spare: RefCell<Option<Batch>>,
    posted: RefCell<PostedCommands>,
    nested_turns: RefCell<Option<Rc<NestedTurns>>>,
    thread: RefCell<PollerThread>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

/// Messages that JavaScript's commands become.
#[derive(Default)]
struct PostedCommands(Vec<PollerMessage>);

impl Sink for PostedCommands {
    fn command(&mut self, id: Id, command: Command) {
        self.0.push(PollerMessage::Command(id, command));
    }

    /// Another thread never gets the user's pointer: the bytes are copied now.
    fn foreign(&mut self, id: Id, array: QueuedArray, start: usize, length: usize) {
        let command = match array.copy(start, length) {
            Ok(copy) => Command::Send(copy),
            Err(reason) => Command::Fail(reason),
        };
        self.command(id, command);
    }
}

impl EndsWithEnvironment for ThreadDriver {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        self.stop();
        drop(self.entrance.take());
    }
}

impl ThreadDriver {
    /// Starts a thread with a poller, without keeping the event loop alive. The environment's clean-up ends it. `resource`
    /// stands for it in asynchronous hooks.
    ///
    /// # Errors
    /// When the system refuses, or the environment: that has no error number.
    pub fn start(
        env: Env,
        resource: sys::napi_value,
        bridge: Bridge,
        failed: Procedure,
    ) -> io::Result<Rc<Self>> {
        let mut thread = PollerThread::start("netpoll", chunk_pool().clone())?;
        let mut refusal = None;
        let driver = Rc::new_cyclic(|itself: &Weak<Self>| {
            let waker =
                EventLoopWaker::install(env, resource, itself.clone()).unwrap_or_else(|error| {
                    refusal = Some(error);
                    EventLoopWaker::silent()
                });
            let handoff = thread.serve(waker.clone(), || bridge.new_batch());
            Self {
                env,
                batch: RefCell::new(bridge.new_batch()),
                spare: RefCell::default(),
                entrance: RefCell::new(Some(Rc::new(Entrance { bridge, failed }))),
                handle: thread.handle().clone(),
                waker,
                handoff,
                posted: RefCell::default(),
                nested_turns: RefCell::new(NestedTurns::join(env, itself.clone())),
                thread: RefCell::new(thread),
                clean_up: Cell::default(),
            }
        });
        if let Some(error) = refusal {
            return Err(io::Error::other(error.reason));
        }
        let clean_up = CleanUp::add(env, &driver);
        if clean_up.is_none() {
            driver.stop();
            return Err(io::Error::other("the environment is ending"));
        }
        driver.clean_up.set(clean_up);
        Ok(driver)
    }

    /// Ends the poller before its environment ends, and lets go of every JavaScript value. False
    /// while JavaScript handles a batch, or has not been given one: then it goes on.
    pub fn end(&self) -> bool {
        let is_waiting = self
            .entrance()
            .is_some_and(|entrance| entrance.bridge.is_waiting());
        if is_waiting || self.is_delivering() || self.handoff.any(|_| true) {
            return false;
        }
        // Commands that no flush looks for any more would keep what they name.
        self.carry_out();
        self.set_referenced(Referenced::No);
        self.waker.dismiss();
        self.stop();
        drop(self.entrance.take());
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
        true
    }

    /// `None` once it has ended.
    fn entrance(&self) -> Option<Rc<Entrance>> {
        self.entrance.borrow().clone()
    }

    /// Posts what JavaScript has asked for since the last time.
    pub fn carry_out(&self) {
        let Some(entrance) = self.entrance() else {
            return;
        };
        let posted = &mut *self.posted.borrow_mut();
        entrance.bridge.take_commands(posted);
        self.handle.post_paced(&mut posted.0);
    }

    /// As [`Self::carry_out`], between two of JavaScript's tasks.
    pub fn flush(&self) {
        let Some(entrance) = self.entrance() else {
            return;
        };
        entrance.bridge.end_slice();
        self.carry_out();
        entrance.bridge.reset_arena_if_idle();
    }

    /// Tells whether batches that JavaScript has not taken tell of `slot`.
    pub fn delivery_check(&self, slot: u32) -> Box<dyn FnOnce() -> bool + Send> {
        let handoff = self.handoff.clone();
        let tells = move |batch: &Batch| batch.records().iter().any(|record| record.slot == slot);
        Box::new(move || handoff.any(tells))
    }

    /// How other threads reach the poller.
    pub fn handle(&self) -> &PollerHandle {
        &self.handle
    }

    /// Keeps the event loop alive, or no longer.
    pub fn set_referenced(&self, referenced: Referenced) {
        self.waker.set_referenced(self.env, referenced);
    }

    /// JavaScript has come to all of the batch that it had, if it had one.
    fn give_back(&self) {
        if let Some(empty) = self.spare.take() {
            let seen = self.batch.replace(empty);
            self.handoff.recycle(seen);
        }
    }

    fn has_failed(&self) -> bool {
        self.thread.borrow().failure().get().is_some()
    }

    /// Nothing fills them any more: its thread has ended.
    fn discard_batches(&self) {
        drop(self.spare.take());
        while self.handoff.blank().is_some() {}
    }

    fn stop(&self) {
        drop(self.nested_turns.take());
        self.waker.close();
        self.thread.borrow_mut().stop();
        // An owner that keeps a part of the driver for longer keeps no chunks of messages that no
        // handler gets.
        while self.handoff.take().is_some() {}
    }
}

impl Woken for ThreadDriver {
    /// One batch, or what time there is for: what its handlers make due comes before the next.
    fn woken(&self) {
        let Some(entrance) = self.entrance() else {
            return;
        };
        let bridge = &entrance.bridge;
        if bridge.begin() {
            self.waker.wake();
            return;
        }
        let had_rest = bridge.is_waiting();
        let resumed = bridge.resume();
        if resumed == Delivered::Whole {
            self.give_back();
        }
        if had_rest || resumed == Delivered::InPart {
            // How long that has taken is known at JavaScript's flush.
            self.waker.wake();
            return;
        }
        let Some((batch, more)) = self.handoff.take() else {
            // Last, after what was handed over before.
            let failure = self.thread.borrow().failure().clone();
            if let Some(failure) = failure.get() {
                Woken::failed(self, failure);
            }
            return;
        };
        let empty = self.batch.replace(batch);
        self.spare.replace(Some(empty));
        let delivered = bridge.deliver(&self.batch);
        if delivered == Delivered::Whole {
            self.give_back();
        }
        bridge.collect_if_due();
        if delivered == Delivered::InPart || more == More::Waits || self.has_failed() {
            self.waker.wake();
        }
    }

    fn failed(&self, failure: &str) {
        // A closed waker cannot be told any more that the process may end.
        self.set_referenced(Referenced::No);
        let entrance = self.entrance.take();
        self.waker.dismiss();
        self.stop();
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
        if let Some(Entrance { bridge, failed }) = entrance.as_deref() {
            bridge.tell_failed(failed, failure);
            // No poller looks for commands any more: none may be left, for what they name is kept.
            bridge.take_commands(&mut Nowhere);
        }
        self.discard_batches();
    }
}

impl Nesting for ThreadDriver {
    fn is_delivering(&self) -> bool {
        let entrance = self.entrance.borrow();
        entrance
            .as_ref()
            .is_some_and(|entrance| entrance.bridge.is_delivering())
    }

    fn serve(&self) {
        self.woken();
        self.flush();
    }

    fn failed(&self, failure: &str) {
        Woken::failed(self, failure);
    }
}
