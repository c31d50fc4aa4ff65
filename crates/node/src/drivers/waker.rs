//! Wakes an environment's event loop from any thread, by threadsafe functions of N-API: the one way that every host has.
//!
//! A threadsafe function that is called while its environment is torn down aborts the process. So
//! it lies behind a lock, and the owner of the waker closes it in a clean-up hook of the
//! environment. The hook must be added after [`EventLoopWaker::install`]: hooks run last-in
//! first-out, so it comes before the function's own end.

use std::ffi::c_void;
use std::ptr;
use std::rc::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::{Env, sys};
use netpoll_core::Wake;
use netpoll_core::guard::attempt;

use crate::drivers::Referenced;

/// The owner that is told, on the environment's thread.
pub trait Woken {
    /// The waker was woken. An exception that this leaves pending is an uncaught one.
    fn woken(&self);

    /// [`Self::woken`] has panicked, and must not be called again: no caller may wait for what it
    /// would have done.
    fn failed(&self, failure: &str);
}

struct Function(sys::napi_threadsafe_function);

// SAFETY: N-API lets any thread call a threadsafe function. Referencing it is done on the environment's thread alone.
unsafe impl Send for Function {}

/// What a function knows.
struct Context<Owner> {
    owner: Weak<Owner>,
    waker: EventLoopWaker,
    /// Which of the pair it is.
    index: usize,
}

impl Function {
    /// One that wakes for its owner, and does not keep the event loop alive.
    fn install<Owner: Woken + 'static>(
        env: Env,
        resource: sys::napi_value,
        context: Context<Owner>,
    ) -> napi::Result<Self> {
        let refused = || napi::Error::from_reason("cannot be woken in this environment");
        let name = "netpoll";
        let mut name_value = ptr::null_mut();
        let mut function = ptr::null_mut();
        let context = Box::into_raw(Box::new(context)).cast::<c_void>();
        // SAFETY: the string is valid for its length. The context is a box, which `finalize` gives back once nothing calls
        // any more; where there is no function, that is here.
        unsafe {
            let mut status = sys::napi_create_string_utf8(
                env.raw(),
                name.as_ptr().cast(),
                name.len() as isize,
                &mut name_value,
            );
            if status == sys::Status::napi_ok {
                status = sys::napi_create_threadsafe_function(
                    env.raw(),
                    ptr::null_mut(),
                    resource,
                    name_value,
                    0,
                    1,
                    context,
                    Some(finalize::<Owner>),
                    context,
                    Some(call::<Owner>),
                    &mut function,
                );
            }
            if status != sys::Status::napi_ok {
                drop(Box::<Context<Owner>>::from_raw(context.cast()));
                return Err(refused());
            }
            sys::napi_unref_threadsafe_function(env.raw(), function);
        }
        Ok(Self(function))
    }
}

/// Two that take turns. A threadsafe function that is called while it runs goes on running, up to a
/// thousand times. Nothing else in its event loop has a turn meanwhile: the other one runs once the
/// loop comes to it.
///
/// Neither is called while it is to run anyway. Otherwise calls would become more and more where
/// the owner that is told leaves a part for later, and has itself told again.
struct Pair {
    functions: [Function; 2],
    /// Which of them are to run.
    due: [bool; 2],
    /// Which of them runs, the innermost where one runs within the other.
    running: Option<usize>,
    /// Which of them has run last. What it makes due, such as a flush, runs before it is over.
    last: usize,
}

impl Pair {
    fn wake(&mut self) {
        // The one that runs may have looked already.
        let next = 1 - self.running.unwrap_or(self.last);
        let is_due = match self.running {
            Some(_) => self.due[next],
            None => self.due.contains(&true),
        };
        if is_due {
            return;
        }
        self.due[next] = true;
        let Function(function) = self.functions[next];
        // SAFETY: not closed yet, and the lock around `self` keeps it so for the call. Its queue is unbounded, so it never
        // waits; it is refused only when the function is closing, and then no thread needs to know.
        unsafe {
            sys::napi_call_threadsafe_function(
                function,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            );
        }
    }
}

/// Clones wake the same waker.
#[derive(Clone)]
pub struct EventLoopWaker(Arc<Mutex<Option<Pair>>>);

impl EventLoopWaker {
    /// One that wakes for `owner`, and does not keep the event loop alive. `resource` stands for it in asynchronous hooks.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn install<Owner: Woken + 'static>(
        env: Env,
        resource: sys::napi_value,
        owner: Weak<Owner>,
    ) -> napi::Result<Self> {
        let waker = Self::silent();
        let function = |index| {
            let (owner, waker) = (owner.clone(), waker.clone());
            Function::install(
                env,
                resource,
                Context {
                    owner,
                    waker,
                    index,
                },
            )
        };
        let pair = Pair {
            functions: [function(0)?, function(1)?],
            due: [false; 2],
            running: None,
            last: 1,
        };
        waker.pair().replace(pair);
        Ok(waker)
    }

    /// One that wakes no event loop.
    pub fn silent() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Keeps the event loop alive, or no longer. On the environment's thread.
    pub fn set_referenced(&self, env: Env, referenced: Referenced) {
        if let Some(pair) = &*self.pair() {
            let Function(function) = pair.functions[0];
            // SAFETY: not closed yet, and this is the environment's thread.
            unsafe {
                match referenced {
                    Referenced::Yes => sys::napi_ref_threadsafe_function(env.raw(), function),
                    Referenced::No => sys::napi_unref_threadsafe_function(env.raw(), function),
                };
            }
        }
    }

    /// Rings no more, because the environment ends, which ends the functions as well. After this no code touches them.
    pub fn close(&self) {
        self.pair().take();
    }

    /// Rings no more, and ends the functions. On the environment's thread.
    pub fn dismiss(&self) {
        let Some(Pair { functions, .. }) = self.pair().take() else {
            return;
        };
        for Function(function) in functions {
            // SAFETY: not closed yet, and no other code has it any more. Its finalizer follows.
            unsafe {
                sys::napi_release_threadsafe_function(
                    function,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                );
            }
        }
    }

    /// Nothing is left half-done by a panic.
    fn pair(&self) -> MutexGuard<'_, Option<Pair>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for EventLoopWaker {
    fn wake(&self) {
        if let Some(pair) = &mut *self.pair() {
            pair.wake();
        }
    }
}

/// One of the functions runs.
struct Waking<'waker> {
    waker: &'waker EventLoopWaker,
    outer: Option<usize>,
}

impl<'waker> Waking<'waker> {
    fn begin(waker: &'waker EventLoopWaker, function: usize) -> Self {
        let outer = waker.pair().as_mut().and_then(|pair| {
            pair.due[function] = false;
            pair.last = function;
            pair.running.replace(function)
        });
        Self { waker, outer }
    }
}

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        if let Some(pair) = &mut *self.waker.pair() {
            pair.running = self.outer;
        }
    }
}

unsafe extern "C" fn call<Owner: Woken>(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        // The environment is going away.
        return;
    }
    // SAFETY: the box of `install`: `finalize` has not run, for it comes last.
    let context = unsafe { &*context.cast_const().cast::<Context<Owner>>() };
    if let Some(owner) = context.owner.upgrade() {
        let _waking = Waking::begin(&context.waker, context.index);
        // A panic must not reach N-API, which would abort the process.
        if let Err(failure) = attempt(|| {
            owner.woken();
            Ok(())
        }) {
            owner.failed(&failure);
        }
    }
}

unsafe extern "C" fn finalize<Owner>(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the box of `install`, given back once.
    drop(unsafe { Box::<Context<Owner>>::from_raw(data.cast()) });
}
