//! The few functions of libuv that the drivers need, found at run time in the process that
//! loaded us. A host without them loads the add-on all the same, and is told so.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use napi::{Env, sys};

/// An opaque handle of libuv; `uv_handle_size` tells how large.
pub type Handle = c_void;
/// An opaque event loop of libuv.
pub type Loop = c_void;
/// What idle, prepare, check and timer handles call, and `uv_close`.
pub type Callback = unsafe extern "C" fn(*mut Handle);
/// What a poll handle calls: handle, status, events.
pub type PollCallback = unsafe extern "C" fn(*mut Handle, c_int, c_int);

/// `UV_READABLE`.
pub const READABLE: c_int = 1;

/// Kinds of handle, with the numbers of `uv_handle_type`, which are part of libuv's ABI.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Kind {
    /// Called in every iteration, right after polling.
    Check = 2,
    /// Called in every iteration, before polling; keeps polling from blocking.
    Idle = 6,
    /// Watches a descriptor.
    Poll = 8,
    /// Called in every iteration, right before polling.
    Prepare = 9,
    /// Called once a time has passed.
    Timer = 13,
}

macro_rules! functions {
    ($($name:ident = $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Entry points of libuv. Every one must be called on the loop's own thread.
        pub struct Libuv {
            $(
                // Each is documented by libuv.
                #[allow(missing_docs)]
                pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,
            )*
        }

        impl Libuv {
            fn resolve() -> Option<Self> {
                Some(Self {
                    $(
                        $name: {
                            let address = symbol(concat!($symbol, "\0"))?;
                            // SAFETY: libuv's ABI gives the function of this name this signature.
                            unsafe {
                                std::mem::transmute::<
                                    *mut c_void,
                                    unsafe extern "C" fn($($argument),*) $(-> $result)?,
                                >(address)
                            }
                        },
                    )*
                })
            }
        }
    };
}

functions! {
    handle_size = "uv_handle_size": fn(c_int) -> usize;
    handle_set_data = "uv_handle_set_data": fn(*mut Handle, *mut c_void);
    handle_get_data = "uv_handle_get_data": fn(*const Handle) -> *mut c_void;
    poll_init = "uv_poll_init": fn(*mut Loop, *mut Handle, c_int) -> c_int;
    poll_start = "uv_poll_start": fn(*mut Handle, c_int, PollCallback) -> c_int;
    idle_init = "uv_idle_init": fn(*mut Loop, *mut Handle) -> c_int;
    idle_start = "uv_idle_start": fn(*mut Handle, Callback) -> c_int;
    idle_stop = "uv_idle_stop": fn(*mut Handle) -> c_int;
    prepare_init = "uv_prepare_init": fn(*mut Loop, *mut Handle) -> c_int;
    prepare_start = "uv_prepare_start": fn(*mut Handle, Callback) -> c_int;
    check_init = "uv_check_init": fn(*mut Loop, *mut Handle) -> c_int;
    check_start = "uv_check_start": fn(*mut Handle, Callback) -> c_int;
    timer_init = "uv_timer_init": fn(*mut Loop, *mut Handle) -> c_int;
    timer_start = "uv_timer_start": fn(*mut Handle, Callback, u64, u64) -> c_int;
    update_time = "uv_update_time": fn(*mut Loop);
    reference = "uv_ref": fn(*mut Handle);
    unref = "uv_unref": fn(*mut Handle);
    close = "uv_close": fn(*mut Handle, Option<Callback>);
}

/// A function of the host. `name` ends with a zero byte.
pub fn symbol(name: &str) -> Option<*mut c_void> {
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    let name: *const c_char = name.as_ptr();
    // SAFETY: the name ends with a zero byte; the default handle searches what is loaded already.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
    (!address.is_null()).then_some(address)
}

/// The host's libuv, if it exports one.
pub fn libuv() -> Option<&'static Libuv> {
    static LIBUV: OnceLock<Option<Libuv>> = OnceLock::new();
    LIBUV.get_or_init(Libuv::resolve).as_ref()
}

/// The event loop of an environment, if it is one of libuv's.
pub fn event_loop(env: Env) -> Option<*mut Loop> {
    let mut event_loop = ptr::null_mut();
    // SAFETY: a plain query on the environment's thread.
    let status = unsafe { sys::napi_get_uv_event_loop(env.raw(), &mut event_loop) };
    (status == sys::Status::napi_ok).then_some(event_loop.cast())
}

/// Memory of one handle, aligned for any of them. libuv uses it until the close callback has run.
pub struct HandleMemory(Box<[u64]>);

impl HandleMemory {
    /// Room for a handle of this kind.
    pub fn of(libuv: &Libuv, kind: Kind) -> Self {
        // SAFETY: a plain query of the size.
        let bytes = unsafe { (libuv.handle_size)(kind as c_int) };
        Self(vec![0; bytes.div_ceil(size_of::<u64>())].into_boxed_slice())
    }

    /// Where it lies, also after it was moved.
    pub fn as_mut_ptr(&mut self) -> *mut Handle {
        self.0.as_mut_ptr().cast()
    }
}
