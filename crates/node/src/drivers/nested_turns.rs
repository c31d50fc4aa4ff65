//! Serves the drivers of an environment while its event loop turns within a handler, as `deasync` has it.
//!
//! What a loop calls in one phase it takes out of a queue first. So a loop that turns within such a
//! callback does not come to those behind it, whatever wakes them. It comes neither to the waker of
//! another driver nor to its prepare handle. Here one handle, which libuv has put back before it
//! calls, serves all drivers.

use std::cell::RefCell;
use std::ffi::c_void;
use std::rc::{Rc, Weak};

use napi::{Env, sys};
use netpoll_core::guard::attempt;

use crate::drivers::libuv::{self, Handle, HandleMemory, Kind, Libuv};

/// A driver, on the environment's thread.
pub trait Nesting {
    /// Whether JavaScript is handling a batch of it, or may be: a loop that turns now may turn within a handler.
    fn is_delivering(&self) -> bool;

    /// Has the rest of that batch handled and then what is new, and carries out what JavaScript has asked for.
    fn serve(&self);

    /// One of the others has panicked, and must not be called again: no caller may wait for what it
    /// would have done.
    fn failed(&self, failure: &str);
}

/// Milliseconds after which a loop that turns within a handler looks again, as nothing else may wake it.
const INTERVAL: u64 = 1;

thread_local! {
    /// One for each environment of this thread that has drivers.
    static WATCHES: RefCell<Vec<(sys::napi_env, Weak<NestedTurns>)>> = const { RefCell::new(Vec::new()) };
}

/// The drivers of one environment. Watches its loop until none of them holds it any more.
pub struct NestedTurns {
    libuv: &'static Libuv,
    drivers: RefCell<Vec<Weak<dyn Nesting>>>,
    /// Called in every turn, before the loop waits.
    prepare: *mut Handle,
    /// Bounds how long it waits within a handler.
    timer: *mut Handle,
}

/// What libuv uses until it is done with both handles. Neither keeps the loop alive.
struct Handles {
    watch: Weak<NestedTurns>,
    prepare: HandleMemory,
    timer: HandleMemory,
    /// How many of the two libuv is not done with.
    open: usize,
}

impl NestedTurns {
    /// Serves `driver` as well, while what this returns is held. `None` where the host has no libuv: there nothing turns its
    /// loop.
    pub fn join(env: Env, driver: Weak<dyn Nesting>) -> Option<Rc<Self>> {
        let watch = Self::of(env)?;
        let mut drivers = watch.drivers.borrow_mut();
        drivers.retain(|driver| driver.strong_count() > 0);
        drivers.push(driver);
        drop(drivers);
        Some(watch)
    }

    fn of(env: Env) -> Option<Rc<Self>> {
        let key = env.raw();
        let known = WATCHES.with_borrow_mut(|watches| {
            watches.retain(|(_, watch)| watch.strong_count() > 0);
            let (_, watch) = watches.iter().find(|(of, _)| *of == key)?;
            watch.upgrade()
        });
        if known.is_some() {
            return known;
        }
        let watch = Self::start(libuv::libuv()?, libuv::event_loop(env)?);
        WATCHES.with_borrow_mut(|watches| watches.push((key, Rc::downgrade(&watch))));
        Some(watch)
    }

    fn start(libuv: &'static Libuv, event_loop: *mut libuv::Loop) -> Rc<Self> {
        Rc::new_cyclic(|itself| {
            let mut handles = Box::new(Handles {
                watch: itself.clone(),
                prepare: HandleMemory::of(libuv, Kind::Prepare),
                timer: HandleMemory::of(libuv, Kind::Timer),
                open: 2,
            });
            let (prepare, timer) = (handles.prepare.as_mut_ptr(), handles.timer.as_mut_ptr());
            let data: *mut c_void = Box::into_raw(handles).cast();
            // SAFETY: the loop's own thread, and memory of the right size for each handle, which stays until its close
            // callback has run. Initialising and starting these two kinds cannot fail.
            unsafe {
                (libuv.timer_init)(event_loop, timer);
                (libuv.handle_set_data)(timer, data);
                (libuv.unref)(timer);
                (libuv.prepare_init)(event_loop, prepare);
                (libuv.handle_set_data)(prepare, data);
                (libuv.unref)(prepare);
                (libuv.prepare_start)(prepare, on_prepare);
            }
            Self {
                libuv,
                drivers: RefCell::default(),
                prepare,
                timer,
            }
        })
    }

    /// Nothing is borrowed while one is asked: one that panics tells JavaScript, which may make another.
    fn is_any_delivering(&self) -> bool {
        let mut index = 0;
        loop {
            let Some(driver) = self.drivers.borrow().get(index).cloned() else {
                return false;
            };
            let is_delivering = driver
                .upgrade()
                .and_then(|driver| guarded(&*driver, |driver| driver.is_delivering()));
            if is_delivering == Some(true) {
                return true;
            }
            index += 1;
        }
    }

    /// The loop turns. As a rule it does so on its own, and this is all that it costs.
    fn turned(&self) {
        if !self.is_any_delivering() {
            return;
        }
        let drivers = self.drivers.borrow().clone();
        for driver in drivers.iter().filter_map(Weak::upgrade) {
            guarded(&*driver, |driver| driver.serve());
        }
        // SAFETY: the handle is open, since `self` is there, and this is its loop's thread.
        unsafe { (self.libuv.timer_start)(self.timer, on_timer, INTERVAL, 0) };
    }
}

impl Drop for NestedTurns {
    fn drop(&mut self) {
        // SAFETY: both were initialised, and are closed once. The later of the two close callbacks frees their memory.
        unsafe {
            (self.libuv.close)(self.timer, Some(on_closed));
            (self.libuv.close)(self.prepare, Some(on_closed));
        }
    }
}

/// A panic must not reach libuv, which would abort the process.
fn guarded<T>(nesting: &dyn Nesting, work: impl FnOnce(&dyn Nesting) -> T) -> Option<T> {
    attempt(|| Ok(work(nesting)))
        .map_err(|failure| nesting.failed(&failure))
        .ok()
}

unsafe extern "C" fn on_prepare(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: libuv calls this with the prepare handle while it is open. Its data is the box of
    // `start`, which is freed by close callbacks alone.
    let watch = unsafe {
        let handles: *const Handles = (libuv.handle_get_data)(handle).cast();
        (*handles).watch.upgrade()
    };
    // Holds it while JavaScript runs, which may end the environment.
    if let Some(watch) = watch {
        watch.turned();
    }
}

/// The loop has waited long enough.
unsafe extern "C" fn on_timer(_handle: *mut Handle) {}

unsafe extern "C" fn on_closed(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: the data is the box of `start`. libuv calls this once for each of the two handles in it, and is done with that
    // one; the second call takes the box back.
    unsafe {
        let handles: *mut Handles = (libuv.handle_get_data)(handle).cast();
        (*handles).open -= 1;
        if (*handles).open == 0 {
            drop(Box::from_raw(handles));
        }
    }
}
