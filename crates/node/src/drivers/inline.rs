//! Runs the poller inside the environment's own libuv loop: no second thread, no hand-over.
//!
//! | handle | why |
//! |---|---|
//! | poll | the poller's descriptor is readable: take a turn |
//! | idle | active while the poller has more to do, which no event will tell: keeps libuv from blocking |
//! | timer | the poller's next deadline |
//! | prepare | once per iteration: send what handlers replied since the last turn |

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use napi::Env;
use netpoll_core::guard::attempt;
use netpoll_core::{Batch, Command, Id, Poller};

use crate::bridge::{Bridge, Delivered, Nowhere, Sink};
use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::Referenced;
use crate::drivers::libuv::{self, Handle, HandleMemory, Kind, Libuv, Loop};
use crate::drivers::nested_turns::{NestedTurns, Nesting};
use crate::javascript::Procedure;
use crate::memory::chunk_pool;
use crate::memory::foreign_bytes::QueuedArray;

/// Rounds between two looks at the sockets.
const ROUNDS: usize = 16;

/// What the handles have to arrange for, after something was done.
struct NextTurn {
    /// Another turn is due without any event.
    again: bool,
    /// A turn is due at this time.
    wake: Option<Instant>,
}

/// The poller of this event loop, and what it hands to JavaScript. No borrow is held while JavaScript runs.
struct Turns {
    poller: RefCell<Poller>,
    batch: RefCell<Batch>,
    bridge: Bridge,
    /// Of JavaScript's: called when the poller cannot go on.
    failed: Procedure,
}

impl Sink for Poller {
    fn command(&mut self, id: Id, command: Command) {
        self.carry_out(id, command);
    }

    fn foreign(&mut self, id: Id, array: QueuedArray, start: usize, length: usize) {
        self.send_foreign(id, Box::new(array), start, length);
    }
}

impl Turns {
    /// Looks which sockets are ready, and serves them in rounds. JavaScript gets the batch of each
    /// round in one call, and what it replied leaves in one system call per connection. The rounds
    /// are bounded, and their time is, because all other code in this loop waits meanwhile. Nothing
    /// new is taken before the rest of the last batch is handled: its words are needed, and slots
    /// of which it tells.
    fn turn(&self) -> io::Result<NextTurn> {
        if self.bridge.begin() || self.bridge.resume() == Delivered::InPart {
            return Ok(self.flush());
        }
        {
            // libuv calls its timers and idle handles before the prepare handle: what was asked for before this turn counts in it.
            let poller = &mut *self.poller.borrow_mut();
            self.bridge.take_commands(poller);
            poller.wait(Some(Duration::ZERO))?;
        }
        let mut next_turn = self.round();
        for _ in 1..ROUNDS {
            if !next_turn.again || self.bridge.is_waiting() || self.bridge.is_spent() {
                break;
            }
            next_turn = self.round();
        }
        Ok(next_turn)
    }

    fn round(&self) -> NextTurn {
        {
            let poller = &mut *self.poller.borrow_mut();
            if self.bridge.take_released() {
                poller.reuse_batch(|chunk| self.bridge.is_filled_alone(chunk));
            }
            poller.turn(Instant::now(), &mut self.batch.borrow_mut());
        }
        if self.batch.borrow().is_empty() {
            return self.flush();
        }
        self.bridge.deliver(&self.batch);
        let next_turn = self.flush();
        self.bridge.collect_if_due();
        next_turn
    }

    /// Carries out what JavaScript has asked for, between two of its tasks.
    fn flush(&self) -> NextTurn {
        let next_turn = self.carry_out();
        self.bridge.reset_arena_if_idle();
        next_turn
    }

    /// Carries out what JavaScript has asked for since the last time, in the middle of a task of its.
    fn carry_out(&self) -> NextTurn {
        let poller = &mut *self.poller.borrow_mut();
        let now = Instant::now();
        self.bridge.take_commands(poller);
        poller.flush(now);
        NextTurn {
            again: poller.has_ready() || self.bridge.is_waiting(),
            wake: poller.next_wake(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The handles are being closed; JavaScript may not be entered any more.
    Closing,
}

/// The four handles, and what they drive. Freed when the last handle has been closed.
pub struct InlineDriver {
    libuv: &'static Libuv,
    event_loop: *mut Loop,
    turns: RefCell<Option<Rc<Turns>>>,
    poll: *mut Handle,
    idle: *mut Handle,
    timer: *mut Handle,
    prepare: *mut Handle,
    memory: RefCell<Vec<HandleMemory>>,
    open_handles: Cell<usize>,
    phase: Cell<Phase>,
    idling: Cell<bool>,
    wake: Cell<Option<Instant>>,
    /// Why the poller cannot go on, found while JavaScript was calling.
    failure: RefCell<Option<String>>,
    nested_turns: RefCell<Option<Rc<NestedTurns>>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

impl Nesting for InlineDriver {
    fn is_delivering(&self) -> bool {
        let turns = self.turns.borrow();
        turns
            .as_ref()
            .is_some_and(|turns| turns.bridge.is_delivering())
    }

    fn serve(&self) {
        self.guarded(Turns::turn);
    }

    fn failed(&self, failure: &str) {
        let turns = self.turns.borrow().clone();
        if let Some(turns) = turns {
            self.fail(turns, failure);
        }
    }
}

impl EndsWithEnvironment for InlineDriver {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        self.close();
    }
}

impl InlineDriver {
    /// Drives `bridge` from now on, without keeping the loop alive. The environment's clean-up ends it.
    ///
    /// # Errors
    /// Where the host has no libuv to offer, or libuv refuses the descriptor.
    pub fn start(env: Env, bridge: Bridge, failed: Procedure) -> io::Result<Rc<Self>> {
        let libuv = libuv::libuv().ok_or(io::ErrorKind::Unsupported)?;
        let event_loop = libuv::event_loop(env).ok_or(io::ErrorKind::Unsupported)?;
        let poller = Poller::new(chunk_pool().clone(), Instant::now())?;
        let descriptor = poller.as_raw_fd();
        let turns = Turns {
            poller: RefCell::new(poller),
            batch: RefCell::new(bridge.new_batch()),
            bridge,
            failed,
        };
        let kinds = [Kind::Poll, Kind::Idle, Kind::Timer, Kind::Prepare];
        let mut memory: Vec<HandleMemory> = kinds
            .iter()
            .map(|kind| HandleMemory::of(libuv, *kind))
            .collect();
        let pointers: Vec<*mut Handle> = memory.iter_mut().map(HandleMemory::as_mut_ptr).collect();
        let driver = Rc::new(Self {
            libuv,
            event_loop,
            turns: RefCell::new(Some(Rc::new(turns))),
            poll: pointers[0],
            idle: pointers[1],
            timer: pointers[2],
            prepare: pointers[3],
            memory: RefCell::new(memory),
            open_handles: Cell::new(0),
            phase: Cell::new(Phase::Running),
            idling: Cell::new(false),
            wake: Cell::new(None),
            failure: RefCell::new(None),
            nested_turns: RefCell::default(),
            clean_up: Cell::default(),
        });
        if let Err(error) = driver.open(descriptor) {
            driver.close();
            return Err(error);
        }
        let itself: Weak<Self> = Rc::downgrade(&driver);
        *driver.nested_turns.borrow_mut() = NestedTurns::join(env, itself);
        let clean_up = CleanUp::add(env, &driver);
        if clean_up.is_none() {
            driver.close();
            return Err(io::ErrorKind::Unsupported.into());
        }
        driver.clean_up.set(clean_up);
        Ok(driver)
    }

    /// Ends the poller before its environment ends, and lets go of every JavaScript value. False
    /// while JavaScript handles a batch: then it goes on.
    pub fn end(&self) -> bool {
        let turns = self.turns.borrow().clone();
        let is_waiting = turns.is_some_and(|turns| turns.bridge.is_waiting());
        if is_waiting || self.is_delivering() {
            return false;
        }
        // Commands that no flush looks for any more would keep what they name.
        self.carry_out();
        self.close();
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
        true
    }

    /// Keeps the loop alive, or no longer.
    pub fn set_referenced(&self, referenced: Referenced) {
        if self.phase.get() == Phase::Running {
            // SAFETY: the handle is open, and this is its loop's thread.
            unsafe {
                match referenced {
                    Referenced::Yes => (self.libuv.reference)(self.poll),
                    Referenced::No => (self.libuv.unref)(self.poll),
                }
            }
        }
    }

    /// Asks the poller something, between two turns. `None` when the environment is ending, or it has failed.
    pub fn ask<R>(&self, question: impl FnOnce(&mut Poller) -> R) -> Option<R> {
        self.attempt(|turns| Ok(question(&mut turns.poller.borrow_mut())))
    }

    /// Sends the user's bytes at once, behind what was asked for before, as far as the system takes them. Returns how many
    /// have left.
    pub fn send_at_once(&self, id: Id, bytes: &[u8]) -> usize {
        let left = self.attempt(|turns| {
            let poller = &mut *turns.poller.borrow_mut();
            turns.bridge.take_commands(poller);
            Ok(poller.send_at_once(id, bytes, Instant::now()))
        });
        left.unwrap_or_default()
    }

    /// Carries out what JavaScript has asked for since the last time.
    pub fn carry_out(&self) {
        if let Some(next_turn) = self.attempt(|turns| Ok(turns.carry_out())) {
            self.follow(&next_turn);
        }
    }

    /// Does something that JavaScript waits for. A failure is told in a turn of its own.
    fn attempt<R>(&self, work: impl FnOnce(&Turns) -> io::Result<R>) -> Option<R> {
        let turns = self.turns.borrow().clone()?;
        match attempt(|| work(&turns)) {
            Ok(result) => Some(result),
            Err(failure) => {
                self.failure.replace(Some(failure));
                self.follow(&NextTurn {
                    again: true,
                    wake: None,
                });
                None
            }
        }
    }

    fn follow(&self, next_turn: &NextTurn) {
        if self.phase.get() != Phase::Running {
            return;
        }
        if next_turn.again != self.idling.replace(next_turn.again) {
            // SAFETY: the handle is open, and this is its loop's thread.
            unsafe {
                if next_turn.again {
                    (self.libuv.idle_start)(self.idle, on_idle);
                } else {
                    (self.libuv.idle_stop)(self.idle);
                }
            }
        }
        if next_turn.wake == self.wake.replace(next_turn.wake) {
            return;
        }
        // A timer whose deadline is gone fires once, finds nothing due, and is not started again.
        if let Some(wake) = next_turn.wake {
            let wait = wake.saturating_duration_since(Instant::now());
            // Rounded up, so that the deadline has passed when it fires.
            let millis = wait.as_millis() as u64 + 1;
            // SAFETY: as above. libuv counts from the time that it looked at the clock last.
            unsafe {
                (self.libuv.update_time)(self.event_loop);
                (self.libuv.timer_start)(self.timer, on_timer, millis, 0);
            }
        }
    }

    fn open(self: &Rc<Self>, descriptor: c_int) -> io::Result<()> {
        let libuv = self.libuv;
        let event_loop = self.event_loop;
        // SAFETY: memory of the right size for each handle, which stays until its close callback
        // has run. Every handle that is initialised is counted, and holds a reference to `self`.
        unsafe {
            uv_result((libuv.poll_init)(event_loop, self.poll, descriptor))?;
            self.opened(self.poll);
            (libuv.idle_init)(event_loop, self.idle);
            self.opened(self.idle);
            (libuv.timer_init)(event_loop, self.timer);
            self.opened(self.timer);
            (libuv.prepare_init)(event_loop, self.prepare);
            self.opened(self.prepare);
            (libuv.prepare_start)(self.prepare, on_prepare);
            uv_result((libuv.poll_start)(self.poll, libuv::READABLE, on_readable))
        }
    }

    fn opened(self: &Rc<Self>, handle: *mut Handle) {
        self.open_handles.set(self.open_handles.get() + 1);
        // SAFETY: just initialised. The reference is given back in `on_closed`.
        unsafe {
            let data: *const Self = Rc::into_raw(self.clone());
            (self.libuv.handle_set_data)(handle, data.cast_mut().cast());
            (self.libuv.unref)(handle);
        }
    }

    /// Enters no JavaScript: the environment may be going away.
    fn close(&self) {
        if self.phase.replace(Phase::Closing) == Phase::Closing {
            return;
        }
        drop(self.nested_turns.take());
        let handles = [self.poll, self.idle, self.timer, self.prepare];
        for handle in handles.into_iter().take(self.open_handles.get()) {
            // SAFETY: initialised in this order, and closed once.
            unsafe { (self.libuv.close)(handle, Some(on_closed)) };
        }
        // The sockets close now and not when libuv comes round to it. libuv has stopped watching the
        // poller's descriptor in `uv_close` above. A turn under way holds a reference of its own.
        drop(self.turns.borrow_mut().take());
    }

    fn guarded(&self, work: impl FnOnce(&Turns) -> io::Result<NextTurn>) {
        let Some(turns) = self.turns.borrow().clone() else {
            return;
        };
        let known = self.failure.take();
        match known.map_or_else(|| attempt(|| work(&turns)), Err) {
            Ok(next_turn) => self.follow(&next_turn),
            Err(failure) => self.fail(turns, &failure),
        }
    }

    /// Ends the poller with its sockets, and tells JavaScript, so that no caller waits for anything
    /// of it.
    fn fail(&self, turns: Rc<Turns>, failure: &str) {
        self.close();
        turns.bridge.tell_failed(&turns.failed, failure);
        // No poller looks for commands any more: none may be left, for what they name is kept.
        turns.bridge.take_commands(&mut Nowhere);
        drop(turns);
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
    }
}

fn uv_result(code: c_int) -> io::Result<()> {
    if code < 0 {
        Err(io::Error::from_raw_os_error(-code))
    } else {
        Ok(())
    }
}

/// The driver that a handle belongs to.
///
/// # Safety
/// `handle` must be one that [`InlineDriver::open`] made, and its close callback must not have run.
unsafe fn driver_of(handle: *mut Handle) -> Option<Rc<InlineDriver>> {
    let libuv = libuv::libuv()?;
    // SAFETY: by contract the handle's data is a counted reference, of which this takes another.
    unsafe {
        let driver: *const InlineDriver = (libuv.handle_get_data)(handle).cast();
        Rc::increment_strong_count(driver);
        Some(Rc::from_raw(driver))
    }
}

unsafe extern "C" fn on_readable(handle: *mut Handle, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls this with the poll handle, while it is open.
    if let Some(driver) = unsafe { driver_of(handle) } {
        driver.guarded(Turns::turn);
    }
}

unsafe extern "C" fn on_idle(handle: *mut Handle) {
    // SAFETY: libuv calls this with the idle handle, while it is open.
    if let Some(driver) = unsafe { driver_of(handle) } {
        driver.guarded(Turns::turn);
    }
}

unsafe extern "C" fn on_timer(handle: *mut Handle) {
    // SAFETY: libuv calls this with the timer handle, while it is open.
    if let Some(driver) = unsafe { driver_of(handle) } {
        driver.wake.set(None);
        driver.guarded(Turns::turn);
    }
}

unsafe extern "C" fn on_prepare(handle: *mut Handle) {
    // SAFETY: libuv calls this with the prepare handle, while it is open.
    if let Some(driver) = unsafe { driver_of(handle) } {
        driver.guarded(|turns| Ok(turns.flush()));
    }
}

unsafe extern "C" fn on_closed(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: the reference that `opened` put there, given back once: libuv calls this once.
    let driver = unsafe { Rc::from_raw((libuv.handle_get_data)(handle) as *const InlineDriver) };
    driver.open_handles.set(driver.open_handles.get() - 1);
    if driver.open_handles.get() == 0 {
        driver.memory.borrow_mut().clear();
    }
}
