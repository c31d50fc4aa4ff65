//! What an environment calls when it ends. An owner that ends before takes it back: otherwise it would be kept until then.

use std::cell::Cell;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::{Env, sys};

/// Whether the host runs hooks within a scope for handles. Node.js does. Deno does not, and `napi_open_handle_scope` opens
/// none there.
static GIVES_SCOPE: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// The host is Node.js, which runs hooks within a scope.
pub fn note_scope() {
    GIVES_SCOPE.store(true, Ordering::Relaxed);
}

/// Whether handles may be made on this thread: not in a hook, unless the host has opened a scope.
pub fn has_scope() -> bool {
    GIVES_SCOPE.load(Ordering::Relaxed) || !IS_RUNNING.get()
}

/// An owner that has something to end with its environment.
pub trait EndsWithEnvironment: Sized {
    /// The environment ends: called once, on its thread, unless the hook was removed. No JavaScript may be entered.
    fn environment_ends(&self);
}

/// A hook of an environment, which holds its owner.
pub struct CleanUp<Owner> {
    env: Env,
    /// Both are compared when the hook is removed. A generic function may have more than one address.
    run: unsafe extern "C" fn(*mut c_void),
    owner: *const Owner,
}

impl<Owner: EndsWithEnvironment> CleanUp<Owner> {
    /// Hooks run last-in first-out. `None` where the environment takes none, because it is ending.
    pub fn add(env: Env, owner: &Rc<Owner>) -> Option<Self> {
        let hook = Self {
            env,
            run: run::<Owner>,
            owner: Rc::into_raw(owner.clone()),
        };
        // SAFETY: the environment calls this once, on this thread, with the reference that belongs to it.
        let status = unsafe {
            sys::napi_add_env_cleanup_hook(env.raw(), Some(hook.run), hook.owner.cast_mut().cast())
        };
        if status != sys::Status::napi_ok {
            // SAFETY: not handed over, so it is still ours.
            drop(unsafe { Rc::from_raw(hook.owner) });
            return None;
        }
        Some(hook)
    }

    /// Nothing is left to end. On the environment's thread. Not for a hook that has run: its owner forgets it then.
    pub fn remove(self) {
        // SAFETY: added with the same function and data, and not called since. The side that does
        // not call it any more gives the reference back.
        unsafe {
            let status = sys::napi_remove_env_cleanup_hook(
                self.env.raw(),
                Some(self.run),
                self.owner.cast_mut().cast(),
            );
            if status == sys::Status::napi_ok {
                drop(Rc::from_raw(self.owner));
            }
        }
    }
}

unsafe extern "C" fn run<Owner: EndsWithEnvironment>(data: *mut c_void) {
    // SAFETY: the reference that `add` gave to the hook, which runs once.
    let owner = unsafe { Rc::from_raw(data.cast_const().cast::<Owner>()) };
    let was_running = IS_RUNNING.replace(true);
    owner.environment_ends();
    drop(owner);
    IS_RUNNING.set(was_running);
}
