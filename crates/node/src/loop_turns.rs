//! Counts how often the environment's event loop turns, in a word that JavaScript reads: what JavaScript may do between two
//! turns is bounded, and asking would cost it a call for every message. Tells the memory of an environment of each turn, also
//! of those in which Node.js ends it: before it waits, which is when V8 may collect, and afterwards.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use napi::{Env, sys};

use crate::libuv::{self, Handle, HandleMemory, Kind, Libuv};
use crate::memory::SharedMemory;

/// A check handle, which libuv calls in every iteration, before Node.js runs its immediates: it was started later. And a
/// prepare handle, which libuv calls before it waits. Freed when both have been closed.
struct LoopTurns {
    libuv: &'static Libuv,
    check: *mut Handle,
    prepare: *mut Handle,
    /// Hold `check` and `prepare`.
    _handles: [HandleMemory; 2],
    open: Cell<u32>,
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
    let mut handles = [Kind::Check, Kind::Prepare].map(|kind| HandleMemory::of(libuv, kind));
    let [check, prepare] = handles.each_mut().map(HandleMemory::as_mut_ptr);
    let turns = Box::into_raw(Box::new(LoopTurns {
        libuv,
        check,
        prepare,
        _handles: handles,
        open: Cell::new(2),
        memory: RefCell::new(Some(memory)),
    }));
    // SAFETY: memory of the right sizes, which stays until both close callbacks have run, as does what the handles' data
    // points to. The clean-up hook runs once, on this thread.
    let status = unsafe {
        (libuv.check_init)(event_loop, check);
        (libuv.prepare_init)(event_loop, prepare);
        for handle in [check, prepare] {
            (libuv.handle_set_data)(handle, turns.cast());
            (libuv.unref)(handle);
        }
        (libuv.check_start)(check, on_check);
        (libuv.prepare_start)(prepare, on_prepare);
        sys::napi_add_env_cleanup_hook(env.raw(), Some(clean_up), turns.cast())
    };
    let is_counted = status == sys::Status::napi_ok;
    if !is_counted {
        // SAFETY: no hook will do it.
        unsafe { clean_up(turns.cast()) };
    }
    is_counted
}

/// What a handle of ours belongs to.
///
/// # Safety
/// Neither of the two handles must have told that it is closed.
unsafe fn owner<'a>(libuv: &Libuv, handle: *mut Handle) -> &'a LoopTurns {
    // SAFETY: `count_turns` has set it, and the last close callback frees it.
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

unsafe extern "C" fn clean_up(data: *mut std::ffi::c_void) {
    // SAFETY: the hook runs once, before the handles are closed, which frees what this points to.
    let turns = unsafe { &*data.cast_const().cast::<LoopTurns>() };
    drop(turns.memory.borrow_mut().take());
    for handle in [turns.check, turns.prepare] {
        // SAFETY: initialised, and closed once.
        unsafe { (turns.libuv.close)(handle, Some(on_closed)) };
    }
}

unsafe extern "C" fn on_closed(handle: *mut Handle) {
    let Some(libuv) = libuv::libuv() else { return };
    // SAFETY: libuv calls this once for each handle, and nothing after it.
    let open = &unsafe { owner(libuv, handle) }.open;
    open.set(open.get() - 1);
    if open.get() == 0 {
        // SAFETY: what `count_turns` has made of a box, given back once: both handles are closed.
        drop(unsafe { Box::from_raw((libuv.handle_get_data)(handle).cast::<LoopTurns>()) });
    }
}
