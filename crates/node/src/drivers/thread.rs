//! Runs a poller on a thread of its own, and hands its batches to the environment.
//!
//! | on the poller's thread | on the environment's |
//! |---|---|
//! | waits, reads its mail, serves who is ready | |
//! | hands the batch over (`netpoll_core::handoff`), rings once until the other side has looked | |
//! | | gives one batch after the other to JavaScript, each in a turn of its own |
//! | | turns JavaScript's commands into letters, and posts all of a turn at once |
//! | carries them out, writes | |

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use napi::{Env, sys};
use netpoll_core::handoff::More;
use netpoll_core::{Batch, Handoff, Id, Letter, Order, Poller, Remote, Wake};

use crate::bridge::{Bridge, Delivered, Nowhere, Sink};
use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::doorbell::{Doorbell, Rung};
use crate::drivers::nested_turns::{NestedTurns, Nesting};
use crate::drivers::{Referenced, attempt};
use crate::javascript::Procedure;
use crate::memory::chunk_pool;
use crate::memory::foreign_bytes::QueuedArray;

/// Batches of one poller. With one in JavaScript's hands and one that waits, the poller fills a third; more would only let
/// messages grow old.
const BATCHES: usize = 4;

/// Records for which there must be room in a batch without messages, so that it is added to while JavaScript has not come
/// to it: what one connection may need, and more.
const ROOM: usize = 128;

/// Commands that may wait for the poller, until JavaScript waits for it to catch up: what it sends, its peers may take.
const MOST_WAITING: usize = 16 * 1024;

/// Wakes a poller that has no batch to fill.
struct PollerBell(Remote);

impl Wake for PollerBell {
    fn wake(&self) {
        self.0.nudge();
    }
}

/// What both threads have.
struct Common {
    handoff: Handoff<Batch, Doorbell, PollerBell>,
    is_stopped: AtomicBool,
    /// Why the poller's thread has ended before it was stopped.
    failure: Mutex<Option<String>>,
    doorbell: Doorbell,
}

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
    remote: Remote,
    common: Arc<Common>,
    /// The batch that JavaScript has; between two of them, an empty one. The poller gets it back, and the slots of whose end it
    /// tells, once JavaScript has come to all of it: before what is new is handled within one of its handlers. So handlers
    /// that wait may be more than there are batches.
    batch: RefCell<Batch>,
    /// What it has taken the place of.
    spare: RefCell<Option<Batch>>,
    outgoing: RefCell<Outgoing>,
    nested_turns: RefCell<Option<Rc<NestedTurns>>>,
    thread: RefCell<Option<JoinHandle<()>>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

/// Letters that JavaScript's commands become.
#[derive(Default)]
struct Outgoing(Vec<Letter>);

impl Sink for Outgoing {
    fn order(&mut self, id: Id, order: Order) {
        self.0.push(Letter::Order(id, order));
    }

    /// Another thread never gets the user's pointer: the bytes are copied now.
    fn foreign(&mut self, id: Id, array: QueuedArray, start: usize, length: usize) {
        let order = match array.copy(start, length) {
            Ok(copy) => Order::Send(copy),
            Err(reason) => Order::Fail(reason),
        };
        self.order(id, order);
    }
}

/// A thread that has made its poller, which never leaves it, and waits for the rest.
struct Starting {
    thread: JoinHandle<()>,
    remote: Remote,
    common: mpsc::SyncSender<Arc<Common>>,
}

impl Starting {
    fn begin() -> io::Result<Self> {
        let (made, remote) = mpsc::sync_channel(1);
        let (common, rest) = mpsc::sync_channel::<Arc<Common>>(1);
        let body = move || match Poller::new(chunk_pool().clone(), Instant::now()) {
            Ok(poller) => {
                // Whoever started it waits for the one, and sends the other, unless it was refused.
                let _ = made.send(Ok(poller.remote()));
                if let Ok(common) = rest.recv() {
                    common.run(poller);
                }
            }
            Err(error) => {
                let _ = made.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("netpoll".into()).spawn(body)?;
        let gone = |_| Err(io::ErrorKind::Other.into());
        let remote = remote.recv().unwrap_or_else(gone)?;
        Ok(Self {
            thread,
            remote,
            common,
        })
    }

    fn go_on(self, common: Arc<Common>) -> JoinHandle<()> {
        // The thread waits for it.
        let _ = self.common.send(common);
        self.thread
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
        let starting = Starting::begin()?;
        let remote = &starting.remote;
        let mut refusal = None;
        let driver = Rc::new_cyclic(|itself: &Weak<Self>| {
            let doorbell =
                Doorbell::install(env, resource, itself.clone()).unwrap_or_else(|error| {
                    refusal = Some(error);
                    Doorbell::silent()
                });
            let batches: Vec<Batch> = (0..BATCHES).map(|_| bridge.new_batch()).collect();
            let handoff = Handoff::new(batches, doorbell.clone(), PollerBell(remote.clone()));
            Self {
                env,
                batch: RefCell::new(bridge.new_batch()),
                spare: RefCell::default(),
                entrance: RefCell::new(Some(Rc::new(Entrance { bridge, failed }))),
                remote: remote.clone(),
                common: Arc::new(Common {
                    handoff,
                    is_stopped: AtomicBool::new(false),
                    failure: Mutex::new(None),
                    doorbell,
                }),
                outgoing: RefCell::default(),
                nested_turns: RefCell::new(NestedTurns::join(env, itself.clone())),
                thread: RefCell::new(None),
                clean_up: Cell::default(),
            }
        });
        if let Some(error) = refusal {
            return Err(io::Error::other(error.reason));
        }
        *driver.thread.borrow_mut() = Some(starting.go_on(driver.common.clone()));
        let clean_up = CleanUp::add(env, &driver);
        if clean_up.is_none() {
            driver.stop();
            return Err(io::Error::other("the environment is ending"));
        }
        driver.clean_up.set(clean_up);
        Ok(driver)
    }

    /// Ends the poller before its environment ends, and lets go of everything of JavaScript's. False while JavaScript handles
    /// a batch, or has not been given one: then it goes on.
    pub fn end(&self) -> bool {
        let is_waiting = self
            .entrance()
            .is_some_and(|entrance| entrance.bridge.is_waiting());
        if is_waiting || self.is_delivering() || self.common.handoff.any(|_| true) {
            return false;
        }
        // Commands that no flush looks for any more would keep what they name.
        self.carry_out();
        self.set_referenced(Referenced::No);
        self.common.doorbell.dismiss();
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

    /// Asks the poller something, and waits for the answer; `None` when it is gone.
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Poller) -> R + Send + 'static,
    ) -> Option<R> {
        // Fails when the letter was dropped, because the poller is gone.
        self.visit(question).recv().ok()
    }

    /// As [`Self::ask`], without waiting for longer than `limit`.
    pub fn ask_within(&self, limit: Duration, question: impl FnOnce(&mut Poller) + Send + 'static) {
        // Late or gone, it is all the same.
        let _ = self.visit(question).recv_timeout(limit);
    }

    fn visit<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Poller) -> R + Send + 'static,
    ) -> mpsc::Receiver<R> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.remote.post(Letter::Visit(Box::new(move |poller| {
            // Nobody else waits for it.
            let _ = sender.send(question(poller));
        })));
        receiver
    }

    /// Posts what JavaScript has asked for since the last time.
    pub fn carry_out(&self) {
        let Some(entrance) = self.entrance() else {
            return;
        };
        let outgoing = &mut *self.outgoing.borrow_mut();
        entrance.bridge.take_commands(outgoing);
        if self.remote.post_all(&mut outgoing.0) > MOST_WAITING {
            // It comes to this letter last. Nothing else would tell whoever writes that the poller does not keep up.
            self.ask(|_| ());
        }
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
        let common = self.common.clone();
        let tells = move |batch: &Batch| batch.records().iter().any(|record| record.slot == slot);
        Box::new(move || common.handoff.any(tells))
    }

    /// How other threads reach the poller.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Keeps the event loop alive, or no longer.
    pub fn set_referenced(&self, referenced: Referenced) {
        self.common.doorbell.set_referenced(self.env, referenced);
    }

    /// JavaScript has come to all of the batch that it had, if it had one.
    fn give_back(&self) {
        if let Some(empty) = self.spare.take() {
            let seen = self.batch.replace(empty);
            self.common.handoff.recycle(seen);
        }
    }

    /// Nothing fills them any more: its thread has ended.
    fn discard_batches(&self) {
        drop(self.spare.take());
        while self.common.handoff.blank().is_some() {}
    }

    fn stop(&self) {
        drop(self.nested_turns.take());
        self.common.doorbell.close();
        self.common.is_stopped.store(true, Ordering::Release);
        self.remote.nudge();
        if let Some(thread) = self.thread.borrow_mut().take() {
            // It waits for nobody but the system, and its panics are caught.
            let _ = thread.join();
        }
        // Whoever keeps a part of the driver for longer keeps no chunks of messages that nobody gets.
        while self.common.handoff.take().is_some() {}
    }
}

impl Rung for ThreadDriver {
    /// One batch, or what time there is for: what its handlers make due comes before the next.
    fn rung(&self) {
        let Some(entrance) = self.entrance() else {
            return;
        };
        let bridge = &entrance.bridge;
        if bridge.begin() {
            self.common.doorbell.wake();
            return;
        }
        let had_rest = bridge.is_waiting();
        let resumed = bridge.resume();
        if resumed == Delivered::Whole {
            self.give_back();
        }
        if had_rest || resumed == Delivered::InPart {
            // How long that has taken is known at JavaScript's flush.
            self.common.doorbell.wake();
            return;
        }
        let Some((batch, more)) = self.common.handoff.take() else {
            // Last, after what was handed over before.
            if let Some(failure) = self.common.take_failure() {
                Rung::failed(self, &failure);
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
        if delivered == Delivered::InPart || more == More::Waits || self.common.has_failed() {
            self.common.doorbell.wake();
        }
    }

    fn failed(&self, failure: &str) {
        // A closed doorbell cannot be told any more that the process may end.
        self.set_referenced(Referenced::No);
        let entrance = self.entrance.take();
        self.common.doorbell.dismiss();
        self.stop();
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
        if let Some(Entrance { bridge, failed }) = entrance.as_deref() {
            bridge.tell_failed(failed, failure);
            // Nobody looks for commands any more: none may be left, for what they name is kept.
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
        self.rung();
        self.flush();
    }

    fn failed(&self, failure: &str) {
        Rung::failed(self, failure);
    }
}

impl Common {
    fn run(&self, poller: Poller) {
        let Err(failure) = attempt(|| self.turns(poller)) else {
            return;
        };
        *self.failure() = Some(failure);
        self.doorbell.wake();
    }

    fn turns(&self, mut poller: Poller) -> io::Result<()> {
        // Looked at after the mail was taken: before that, a nudge wakes nobody who is awake already.
        while !self.is_stopped.load(Ordering::Acquire) {
            // News of connections are few, and must not keep others waiting whose messages go to workers.
            let blank = self.handoff.blank().or_else(|| {
                let takes_more = |batch: &Batch| batch.chunks().is_empty() && batch.room() >= ROOM;
                self.handoff.take_back(takes_more)
            });
            let Some(mut batch) = blank else {
                // Until one comes back, of which the poller is told. What sockets have to tell would wake it in vain.
                poller.await_mail();
                poller.flush(Instant::now());
                continue;
            };
            let timeout = if poller.has_ready() {
                Some(Duration::ZERO)
            } else {
                poller
                    .next_wake()
                    .map(|wake| wake.saturating_duration_since(Instant::now()))
            };
            poller.wait(timeout)?;
            let now = Instant::now();
            poller.turn(now, &mut batch);
            if batch.is_empty() {
                self.handoff.put_back(batch);
            } else {
                self.handoff.push(batch);
            }
            poller.flush(now);
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    fn take_failure(&self) -> Option<String> {
        self.failure().take()
    }

    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
