//! Counts how often the environment's event loop turns, in a word that JavaScript reads. What
//! JavaScript may do between two turns is bounded, and asking would cost it a call for every
//! message. Tells the memory of an environment of each turn, also of those in which Node.js ends
//! it. It tells before the loop waits, which is when V8 may collect, and afterwards.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use napi::Env;

use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::libuv::{self, Handle, HandleMemory, Kind, Libuv};
use crate::memory::SharedMemory;

/// A check handle, which libuv calls in every iteration, before Node.js runs its immediates: it was started later. And a
/// prepare handle, which libuv calls before it waits, started where the memory looks in each turn. Freed when both have been
/// closed.
pub struct LoopTurns {
    libuv: &'static Libuv,
    check: *mut Handle,
    prepare: *mut Handle,
    /// Hold `check` and `prepare`.
    _handles: [HandleMemory; 2],
    /// Whose word counts; gone once the handles are closed.
    memory: RefCell<Option<Rc<SharedMemory>>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

impl EndsWithEnvironment for LoopTurns {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        self.close();
    }
}

impl LoopTurns {
    /// Counts in the words of `memory` from now on, without keeping the loop alive. The environment's clean-up ends it. `None`
    /// where the host has no libuv to offer.
    pub fn count(env: Env, memory: Rc<SharedMemory>) -> Option<Rc<Self>> {
        let libuv = libuv::libuv()?;
        let event_loop = libuv::event_loop(env)?;
        let mut handles = [Kind::Check, Kind::Prepare].map(|kind| HandleMemory::of(libuv, kind));
        let [check, prepare] = handles.each_mut().map(HandleMemory::as_mut_ptr);
        let looks_each_turn = memory.looks_each_turn();
        let turns = Rc::new(Self {
            libuv,
            check,
            prepare,
            _handles: handles,
            memory: RefCell::new(Some(memory)),
            clean_up: Cell::default(),
        });
        // SAFETY: memory of the right sizes, which stays until both close callbacks have run. So
        // does what the handles' data points to: each has a reference to `turns`, which its close
        // callback gives back.
        unsafe {
            (libuv.check_init)(event_loop, check);
            (libuv.prepare_init)(event_loop, prepare);
            for handle in [check, prepare] {
                let data: *const Self = Rc::into_raw(turns.clone());
                (libuv.handle_set_data)(handle, data.cast_mut().cast());
                (libuv.unref)(handle);
            }
            (libuv.check_start)(check, on_check);
            if looks_each_turn {
                (libuv.prepare_start)(prepare, on_prepare);
            }
        }
        let clean_up = CleanUp::add(env, &turns);
        if clean_up.is_none() {
            turns.close();
            return None;
        }
        turns.clean_up.set(clean_up);
        Some(turns)
    }

    /// Counts no more.
    pub fn end(&self) {
        self.close();
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
    }

    fn close(&self) {
        if self.memory.borrow_mut().take().is_none() {
            return;
        }
        for handle in [self.check, self.prepare] {
            // SAFETY: initialised, and closed once: `memory` is taken before.
            unsafe { (self.libuv.close)(handle, Some(on_closed)) };
        }
    }
}

/// What a handle of ours belongs to.
///
/// # Safety
/// Neither of the two handles must have told that it is closed.
unsafe fn owner<'a>(libuv: &Libuv, handle: *mut Handle) -> &'a LoopTurns {
    // SAFETY: `count` has set it, and the handle's close callback gives it back.
    unsafe {
        &*(libuv.handle_get_data)(handle)
            .cast_const()
            .cast::<LoopTurns>()
    }
}

unsafe extern "C" fn on_check(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: libuv calls this with our handle while it is open.
    if let Some(memory) = &*unsafe { owner(libuv, handle) }.memory.borrow() {
        memory.turned();
    }
}

unsafe extern "C" fn on_prepare(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: libuv calls this with our handle while it is open.
    if let Some(memory) = &*unsafe { owner(libuv, handle) }.memory.borrow() {
        memory.about_to_wait();
    }
}

unsafe extern "C" fn on_closed(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: the reference that `count` gave to this handle: libuv calls this once for each, and nothing after it.
    drop(unsafe {
        Rc::from_raw(
            (libuv.handle_get_data)(handle)
                .cast_const()
                .cast::<LoopTurns>(),
        )
    });
}
