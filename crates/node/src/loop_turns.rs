//! Counts how often the environment's event loop turns, in a word that JavaScript reads: what JavaScript may do between two
//! turns is bounded, and asking would cost it a call for every message.

use std::cell::RefCell;
use std::rc::Rc;

use napi::{Env, sys};

use crate::libuv::{self, Handle, HandleMemory, Kind, Libuv};
use crate::memory::SharedMemory;

/// A check handle, which libuv calls in every iteration, before Node.js runs its immediates: it was started later. Freed
/// when the handle has been closed.
struct LoopTurns {
    libuv: &'static Libuv,
    check: *mut Handle,
    /// Holds `check`.
    _handle: HandleMemory,
    /// Whose word counts; gone once the environment ends.
    memory: RefCell<Option<Rc<SharedMemory>>>,
}

/// Counts in the words of `memory` from now on, without keeping the loop alive. The environment's clean-up ends it. Returns
/// false where the host has no libuv to offer.
pub fn count_turns(env: Env, memory: Rc<SharedMemory>) -> bool {
    let Some(libuv) = libuv::libuv() else {
        return false;
    };
    let Some(event_loop) = libuv::event_loop(env) else {
        return false;
    };
    let mut handle = HandleMemory::of(libuv, Kind::Check);
    let check = handle.as_mut_ptr();
    let turns = Box::into_raw(Box::new(LoopTurns {
        libuv,
        check,
        _handle: handle,
        memory: RefCell::new(Some(memory)),
    }));
    // SAFETY: memory of the right size, which stays until the close callback has run, as does what the handle's data
    // points to. The clean-up hook runs once, on this thread.
    let status = unsafe {
        (libuv.check_init)(event_loop, check);
        (libuv.handle_set_data)(check, turns.cast());
        (libuv.unref)(check);
        (libuv.check_start)(check, on_check);
        sys::napi_add_env_cleanup_hook(env.raw(), Some(clean_up), turns.cast())
    };
    let is_counted = status == sys::Status::napi_ok;
    if !is_counted {
        // SAFETY: initialised just now, and closed once, since no hook will do it.
        unsafe { (libuv.close)(check, Some(on_closed)) };
    }
    is_counted
}

unsafe extern "C" fn on_check(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: libuv calls this with our handle while it is open, so that what its data points to is alive.
    let turns = unsafe {
        &*(libuv.handle_get_data)(handle)
            .cast_const()
            .cast::<LoopTurns>()
    };
    if let Some(memory) = &*turns.memory.borrow() {
        memory.turned();
    }
}

unsafe extern "C" fn clean_up(data: *mut std::ffi::c_void) {
    // SAFETY: the hook runs once, before the handle is closed, which frees what this points to.
    let turns = unsafe { &*data.cast_const().cast::<LoopTurns>() };
    drop(turns.memory.borrow_mut().take());
    // SAFETY: initialised, and closed once.
    unsafe { (turns.libuv.close)(turns.check, Some(on_closed)) };
}

unsafe extern "C" fn on_closed(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: what `count_turns` has made of a box, given back once: libuv calls this once, and nothing after it.
    drop(unsafe { Box::from_raw((libuv.handle_get_data)(handle).cast::<LoopTurns>()) });
}
