//! Tells that an environment ends, before Node.js takes back what native modules have lent to it.
//!
//! When an environment ends, Node.js detaches every external `ArrayBuffer` and runs its finalizer.
//! It does so also where user code has moved the memory to another environment, which goes on
//! reading it. Afterwards no code can tell the two apart, and clean-up hooks run later still. But
//! Node.js goes through its `ArrayBuffer`s from the newest to the oldest. So there is a tiny one
//! that is always the newest, is held as long as its environment lives, and is never seen by users.
//! Its finalizer runs while all others are as user code has left them.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::rc::{Rc, Weak};

use napi::{Env, sys};

/// The owner that is told.
pub trait Ending {
    /// The environment ends. No JavaScript may be entered.
    fn ends(&self);
}

/// The newest `ArrayBuffer` of this add-on in its environment.
pub struct EndWatch {
    env: Env,
    current: Option<Current>,
}

struct Current {
    /// Strong.
    buffer: sys::napi_ref,
    is_current: Rc<Cell<bool>>,
}

/// What the finalizer needs. Its own memory is that of the `ArrayBuffer`.
struct Hint<Owner> {
    owner: Weak<Owner>,
    /// Whether no newer one has taken its place.
    is_current: Rc<Cell<bool>>,
}

impl EndWatch {
    /// Watches from the first [`Self::renew`] on.
    pub fn new(env: Env) -> Self {
        Self { env, current: None }
    }

    /// To be called after others were made. Must be called within a scope.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn renew<Owner: Ending + 'static>(&mut self, owner: Weak<Owner>) -> napi::Result<()> {
        let refused = || napi::Error::from_reason("cannot watch the end of this environment");
        let is_current = Rc::new(Cell::new(true));
        let hint = Box::into_raw(Box::new(Hint {
            owner,
            is_current: is_current.clone(),
        }));
        let (mut value, mut buffer) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the memory is the hint's own, which `finalize` frees, and is neither read nor
        // written as bytes: no code has the `ArrayBuffer`. The handle is used within the scope of
        // the caller.
        unsafe {
            let status = sys::napi_create_external_arraybuffer(
                self.env.raw(),
                hint.cast(),
                1,
                Some(finalize::<Owner>),
                hint.cast(),
                &mut value,
            );
            if status != sys::Status::napi_ok {
                drop(Box::from_raw(hint));
                return Err(refused());
            }
            if sys::napi_create_reference(self.env.raw(), value, 1, &mut buffer)
                != sys::Status::napi_ok
            {
                is_current.set(false);
                return Err(refused());
            }
        }
        let current = Current { buffer, is_current };
        if let Some(Current { buffer, is_current }) = self.current.replace(current) {
            is_current.set(false);
            // SAFETY: made by this function, and deleted once, on the environment's thread.
            unsafe { sys::napi_delete_reference(self.env.raw(), buffer) };
        }
        Ok(())
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        if let Some(Current { buffer, is_current }) = self.current.take() {
            is_current.set(false);
            // SAFETY: made by `renew`, and deleted once, on the environment's thread.
            unsafe { sys::napi_delete_reference(self.env.raw(), buffer) };
        }
    }
}

/// Runs on the environment's thread: after a newer one has taken its place, or when the environment ends.
unsafe extern "C" fn finalize<Owner: Ending>(
    _env: sys::napi_env,
    _data: *mut c_void,
    hint: *mut c_void,
) {
    // SAFETY: made by `renew` with `Box::into_raw`, and passed to this one call.
    let hint = unsafe { Box::from_raw(hint.cast::<Hint<Owner>>()) };
    if hint.is_current.get()
        && let Some(owner) = hint.owner.upgrade()
    {
        owner.ends();
    }
}
