//! Wakes an environment's event loop from any thread, by a threadsafe function of N-API: the one way that every host has.
//!
//! A threadsafe function that is called while its environment is torn down aborts the process. So it lies behind a lock,
//! and whoever owns the doorbell closes it in a clean-up hook of the environment, which must be added after
//! [`Doorbell::install`]: hooks run last-in first-out, so it comes before the function's own end.

use std::ffi::c_void;
use std::ptr;
use std::rc::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::{Env, sys};
use netpoll_core::Wake;

use crate::driver::Referenced;

/// Who is told, on the environment's thread.
pub trait Rung {
    /// The bell was rung. An exception that this leaves pending is an uncaught one.
    fn rung(&self);
}

struct Function(sys::napi_threadsafe_function);

// SAFETY: N-API lets any thread call a threadsafe function. Referencing it is done on the environment's thread alone.
unsafe impl Send for Function {}

/// Clones ring the same bell.
#[derive(Clone)]
pub struct Doorbell(Arc<Mutex<Option<Function>>>);

impl Doorbell {
    /// One that rings for `owner`, and does not keep the event loop alive.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn install<Owner: Rung + 'static>(env: Env, owner: Weak<Owner>) -> napi::Result<Self> {
        let refused = || napi::Error::from_reason("cannot be woken in this environment");
        let name = "netpoll";
        let mut name_value = ptr::null_mut();
        let mut function = ptr::null_mut();
        let context = Weak::into_raw(owner).cast_mut().cast::<c_void>();
        // SAFETY: the string is valid for its length. The context is a weak reference, which `finalize` gives back once
        // nothing calls any more.
        unsafe {
            let status = sys::napi_create_string_utf8(
                env.raw(),
                name.as_ptr().cast(),
                name.len() as isize,
                &mut name_value,
            );
            if status != sys::Status::napi_ok {
                return Err(refused());
            }
            let status = sys::napi_create_threadsafe_function(
                env.raw(),
                ptr::null_mut(),
                ptr::null_mut(),
                name_value,
                0,
                1,
                context,
                Some(finalize::<Owner>),
                context,
                Some(call::<Owner>),
                &mut function,
            );
            if status != sys::Status::napi_ok {
                drop(Weak::<Owner>::from_raw(context.cast()));
                return Err(refused());
            }
            sys::napi_unref_threadsafe_function(env.raw(), function);
        }
        Ok(Self(Arc::new(Mutex::new(Some(Function(function))))))
    }

    /// One that wakes nobody.
    pub fn silent() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Keeps the event loop alive, or no longer. On the environment's thread.
    pub fn set_referenced(&self, env: Env, referenced: Referenced) {
        if let Some(Function(function)) = &*self.function() {
            // SAFETY: not closed yet, and this is the environment's thread.
            unsafe {
                match referenced {
                    Referenced::Yes => sys::napi_ref_threadsafe_function(env.raw(), *function),
                    Referenced::No => sys::napi_unref_threadsafe_function(env.raw(), *function),
                };
            }
        }
    }

    /// Rings no more. After this nobody touches the function.
    pub fn close(&self) {
        self.function().take();
    }

    /// Nothing is left half-done by a panic.
    fn function(&self) -> MutexGuard<'_, Option<Function>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Doorbell {
    fn wake(&self) {
        if let Some(Function(function)) = &*self.function() {
            // SAFETY: not closed yet, and the lock keeps it so for the call. Its queue is unbounded, so it never waits;
            // it is refused only when the function is closing, and then nobody needs to know.
            unsafe {
                sys::napi_call_threadsafe_function(
                    *function,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                );
            }
        }
    }
}

unsafe extern "C" fn call<Owner: Rung>(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        // The environment is going away.
        return;
    }
    // SAFETY: the weak reference of `install`, which this borrows: `finalize` has not run, for it comes last.
    let owner = unsafe { std::mem::ManuallyDrop::new(Weak::<Owner>::from_raw(context.cast())) };
    if let Some(owner) = owner.upgrade() {
        owner.rung();
    }
}

unsafe extern "C" fn finalize<Owner>(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the weak reference of `install`, given back once.
    drop(unsafe { Weak::<Owner>::from_raw(data.cast()) });
}
