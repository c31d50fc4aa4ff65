//! Entering JavaScript from a callback that it did not ask for.

use std::ptr;

use napi::{Env, sys};

use crate::clean_up::has_scope;

/// An environment, and the context that functions are called in.
pub struct JavaScript {
    env: Env,
    receiver: Procedure,
    context: sys::napi_async_context,
}

/// A JavaScript value, held until this is dropped, on its environment's thread.
pub struct Procedure {
    env: Env,
    reference: sys::napi_ref,
}

impl Procedure {
    /// Holds a function, or an object.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn hold(env: Env, value: sys::napi_value) -> napi::Result<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: a live handle of this environment.
        let status = unsafe { sys::napi_create_reference(env.raw(), value, 1, &mut reference) };
        check(status, "cannot hold a function").map(|()| Self { env, reference })
    }
}

impl Drop for Procedure {
    fn drop(&mut self) {
        // SAFETY: made by `hold`, and deleted once, on the environment's thread: what holds it does not leave that. Node-API
        // runs the last finalizers of an environment while it still takes this.
        unsafe { sys::napi_delete_reference(self.env.raw(), self.reference) };
    }
}

/// Frees the handles that were made meanwhile. A callback of libuv has no scope of its own.
struct Scope {
    env: Env,
    scope: sys::napi_handle_scope,
}

impl Scope {
    fn open(env: Env) -> Self {
        let mut scope = ptr::null_mut();
        // SAFETY: called on the environment's thread; closed when dropped.
        unsafe { sys::napi_open_handle_scope(env.raw(), &mut scope) };
        Self { env, scope }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once.
        unsafe { sys::napi_close_handle_scope(self.env.raw(), self.scope) };
    }
}

impl Drop for JavaScript {
    fn drop(&mut self) {
        // Deno makes a handle of the resource here. Its process, or worker, is ending.
        if !has_scope() {
            return;
        }
        // SAFETY: made by `new`, and destroyed once, on the environment's thread: as a reference.
        unsafe { sys::napi_async_destroy(self.env.raw(), self.context) };
    }
}

impl JavaScript {
    /// `receiver` is `this` of what is called, and the resource of the asynchronous context.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn new(env: Env, receiver: sys::napi_value) -> napi::Result<Self> {
        let name = "netpoll";
        let mut name_value = ptr::null_mut();
        let mut context = ptr::null_mut();
        // SAFETY: the string is valid for its length, the handles are live.
        unsafe {
            let status = sys::napi_create_string_utf8(
                env.raw(),
                name.as_ptr().cast(),
                name.len() as isize,
                &mut name_value,
            );
            check(status, "cannot name the context")?;
            let status = sys::napi_async_init(env.raw(), receiver, name_value, &mut context);
            check(status, "cannot make the context")?;
        }
        Ok(Self {
            env,
            receiver: Procedure::hold(env, receiver)?,
            context,
        })
    }

    /// Runs `work` with a handle scope open.
    pub fn scoped<T>(&self, work: impl FnOnce() -> T) -> T {
        let _scope = Scope::open(self.env);
        work()
    }

    /// Calls a function that may start asynchronous work, and then everything that this makes due
    /// in the microtask queue. Where a JavaScript function is being called already, that call comes
    /// to the queue instead. Must be called within [`Self::scoped`].
    pub fn enter(&self, function: &Procedure, arguments: &[sys::napi_value]) {
        let (receiver, function) = (self.value(&self.receiver), self.value(function));
        let mut result = ptr::null_mut();
        // SAFETY: live handles of this environment, on its thread. `napi_make_callback` and not
        // `napi_call_function`: it runs the microtasks afterwards, which resolve the handlers' promises.
        let status = unsafe {
            sys::napi_make_callback(
                self.env.raw(),
                self.context,
                receiver,
                function,
                arguments.len(),
                arguments.as_ptr(),
                &mut result,
            )
        };
        self.report(status);
    }

    /// Makes `message` an uncaught exception: nothing that goes wrong here is silent.
    pub fn fatal(&self, message: &str) {
        let mut text = ptr::null_mut();
        let mut error = ptr::null_mut();
        // SAFETY: the string is valid for its length; every handle passed on was made just before.
        unsafe {
            let length = message.len() as isize;
            let pointer = message.as_ptr().cast();
            if sys::napi_create_string_utf8(self.env.raw(), pointer, length, &mut text)
                == sys::Status::napi_ok
                && sys::napi_create_error(self.env.raw(), ptr::null_mut(), text, &mut error)
                    == sys::Status::napi_ok
            {
                sys::napi_fatal_exception(self.env.raw(), error);
            }
        }
    }

    /// Makes a value that was thrown an uncaught exception, as [`Self::fatal`] does with a message. Must be called within
    /// [`Self::scoped`].
    pub fn throw_uncaught(&self, thrown: &Procedure) {
        // SAFETY: a live handle of this environment, on its thread.
        unsafe { sys::napi_fatal_exception(self.env.raw(), self.value(thrown)) };
    }

    fn value(&self, procedure: &Procedure) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: a strong reference of this environment.
        unsafe { sys::napi_get_reference_value(self.env.raw(), procedure.reference, &mut value) };
        value
    }

    /// A text, for an argument; `undefined` where the environment refuses. Must be called within [`Self::scoped`].
    pub fn text(&self, text: &str) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: called on the environment's thread, within a scope; the string is valid for its length.
        unsafe {
            let (env, length) = (self.env.raw(), text.len() as isize);
            if sys::napi_create_string_utf8(env, text.as_ptr().cast(), length, &mut value)
                != sys::Status::napi_ok
            {
                sys::napi_get_undefined(env, &mut value);
            }
        }
        value
    }

    /// A number, for an argument. Must be called within [`Self::scoped`].
    pub fn number(&self, number: u32) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: called on the environment's thread, within a scope.
        unsafe { sys::napi_create_uint32(self.env.raw(), number, &mut value) };
        value
    }

    /// Calls a function that starts no asynchronous work, so that no microtask waits for it. Must be called within
    /// [`Self::scoped`].
    pub fn call(&self, function: &Procedure, arguments: &[sys::napi_value]) {
        if let Err(Some(thrown)) = self.attempt(function, arguments) {
            self.throw_uncaught(&thrown);
        }
    }

    /// As [`Self::call`], and runs no user code.
    ///
    /// # Errors
    /// What it throws; nothing in an environment that is being terminated, where no caller is left
    /// to tell.
    pub fn attempt(
        &self,
        function: &Procedure,
        arguments: &[sys::napi_value],
    ) -> Result<(), Option<Procedure>> {
        let (receiver, function) = (self.value(&self.receiver), self.value(function));
        let mut result = ptr::null_mut();
        // SAFETY: live handles of this environment, on its thread.
        let status = unsafe {
            sys::napi_call_function(
                self.env.raw(),
                receiver,
                function,
                arguments.len(),
                arguments.as_ptr(),
                &mut result,
            )
        };
        if status == sys::Status::napi_ok {
            return Ok(());
        }
        Err(self
            .take_exception()
            .and_then(|error| Procedure::hold(self.env, error).ok()))
    }

    /// An exception that is left pending would vanish, or fail the next call.
    fn report(&self, status: sys::napi_status) {
        if status == sys::Status::napi_ok {
            return;
        }
        if let Some(error) = self.take_exception() {
            // SAFETY: a live handle of this environment, on its thread.
            unsafe { sys::napi_fatal_exception(self.env.raw(), error) };
        }
    }

    /// The exception that is pending, which it is no longer.
    fn take_exception(&self) -> Option<sys::napi_value> {
        let mut pending = false;
        let mut error = ptr::null_mut();
        // SAFETY: plain queries. In an environment that is being terminated they fail, and there is
        // no caller left to tell.
        let is_taken = unsafe {
            sys::napi_is_exception_pending(self.env.raw(), &mut pending) == sys::Status::napi_ok
                && pending
                && sys::napi_get_and_clear_last_exception(self.env.raw(), &mut error)
                    == sys::Status::napi_ok
        };
        is_taken.then_some(error)
    }
}

fn check(status: sys::napi_status, failure: &str) -> napi::Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(napi::Error::from_reason(failure))
    }
}
