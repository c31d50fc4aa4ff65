//! Entering JavaScript from a callback of libuv.

use std::ptr;

use napi::{Env, sys};

/// Holds the functions that JavaScript passed, and the context that they are called in.
pub struct JavaScript {
    env: Env,
    receiver: sys::napi_ref,
    dispatch: sys::napi_ref,
    adopt: sys::napi_ref,
    retire: sys::napi_ref,
    collect: sys::napi_ref,
    context: sys::napi_async_context,
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

impl JavaScript {
    /// Holds `functions`: dispatch, adopt, retire and collect. `receiver` is their `this`, and the resource
    /// of the asynchronous context.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn new(
        env: Env,
        receiver: sys::napi_value,
        functions: [sys::napi_value; 4],
    ) -> napi::Result<Self> {
        let hold = |value| {
            let mut reference = ptr::null_mut();
            // SAFETY: a live handle of this environment. The references live as long as it does.
            let status = unsafe { sys::napi_create_reference(env.raw(), value, 1, &mut reference) };
            check(status, "cannot hold a function").map(|()| reference)
        };
        let [dispatch, adopt, retire, collect] = functions;
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
            receiver: hold(receiver)?,
            dispatch: hold(dispatch)?,
            adopt: hold(adopt)?,
            retire: hold(retire)?,
            collect: hold(collect)?,
            context,
        })
    }

    /// Runs `work` with a handle scope open.
    pub fn scoped<T>(&self, work: impl FnOnce() -> T) -> T {
        let _scope = Scope::open(self.env);
        work()
    }

    /// Has JavaScript handle the batch, and everything that this makes due in the microtask queue.
    /// Must be called within [`Self::scoped`].
    pub fn dispatch(&self) {
        let (receiver, function) = (self.value(self.receiver), self.value(self.dispatch));
        let mut result = ptr::null_mut();
        // SAFETY: live handles of this environment, on its thread. `napi_make_callback` and not
        // `napi_call_function`: it runs the microtasks afterwards, which resolve the handlers' promises.
        let status = unsafe {
            sys::napi_make_callback(
                self.env.raw(),
                self.context,
                receiver,
                function,
                0,
                ptr::null(),
                &mut result,
            )
        };
        self.report(status);
    }

    /// Gives JavaScript the `ArrayBuffer` of a chunk. Must be called within [`Self::scoped`].
    pub fn adopt(&self, handle: u32, buffer: sys::napi_value) {
        let handle = self.number(handle);
        self.call(self.adopt, &[handle, buffer]);
    }

    /// Has JavaScript let go of a chunk. Must be called within [`Self::scoped`].
    pub fn retire(&self, handle: u32) {
        let handle = self.number(handle);
        self.call(self.retire, &[handle]);
    }

    /// Has JavaScript collect short-lived garbage. Must be called within [`Self::scoped`].
    pub fn collect(&self) {
        self.call(self.collect, &[]);
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

    fn value(&self, reference: sys::napi_ref) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: a strong reference of this environment.
        unsafe { sys::napi_get_reference_value(self.env.raw(), reference, &mut value) };
        value
    }

    fn number(&self, number: u32) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: called on the environment's thread, within a scope.
        unsafe { sys::napi_create_uint32(self.env.raw(), number, &mut value) };
        value
    }

    /// For functions that start no asynchronous work, so that no microtask waits for them.
    fn call(&self, function: sys::napi_ref, arguments: &[sys::napi_value]) {
        let (receiver, function) = (self.value(self.receiver), self.value(function));
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
        self.report(status);
    }

    /// An exception that is left pending would vanish, or fail the next call.
    fn report(&self, status: sys::napi_status) {
        if status == sys::Status::napi_ok {
            return;
        }
        let mut pending = false;
        let mut error = ptr::null_mut();
        // SAFETY: plain queries. In an environment that is being terminated they fail, and there is
        // nobody left to tell.
        unsafe {
            if sys::napi_is_exception_pending(self.env.raw(), &mut pending) == sys::Status::napi_ok
                && pending
                && sys::napi_get_and_clear_last_exception(self.env.raw(), &mut error)
                    == sys::Status::napi_ok
            {
                sys::napi_fatal_exception(self.env.raw(), error);
            }
        }
    }
}

fn check(status: sys::napi_status, failure: &str) -> napi::Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(napi::Error::from_reason(failure))
    }
}
