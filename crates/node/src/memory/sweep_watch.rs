//! Sees to it that memory which the engine has collected is given back before its environment ends.
//!
//! V8 collects an `ArrayBuffer` at once, but frees its memory in the background, and Node.js runs the finalizer in a turn
//! after that. In between nothing tells it from memory that user code has moved. So there is a small object without
//! references: it dies in the next collection, whichever that is, and its finalizer runs as a native immediate. Node.js
//! runs those once more when an environment ends, before it takes memory back, and in this order:
//!
//! 1. finalizers of objects, which is where [`Sweeping::collected`] and [`Sweeping::turned`] are told;
//! 2. finalizers of memory that was freed, also of what was freed during the first;
//! 3. what [`crate::memory::end_watch`] has, and what V8 has not freed by then.
//!
//! So a caller that makes V8 finish its sweep in the first step finds in the third that only moved memory is left. V8 may collect
//! once more between the second and the third, where it marks incrementally. By then `crate::memory::loop_turns` has called
//! [`crate::memory::chunk_exports::ChunkExports::look_if_ending`]: once JavaScript has stopped, what is attached is never moved.

use std::ffi::c_void;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::OnceLock;

use napi::sys;

use crate::drivers::libuv::symbol;

/// The owner that is told. Both are called on the environment's thread, where JavaScript may be
/// entered unless the environment ends.
pub trait Sweeping: Sized {
    /// A collection has been.
    fn collected(self: &Rc<Self>);
    /// The event loop has turned since [`next_turn`].
    fn turned(self: &Rc<Self>);
}

/// What `node_api_post_finalizer` is, since Node.js 20.10.
type PostFinalizer = unsafe extern "C" fn(
    sys::napi_env,
    sys::napi_finalize,
    *mut c_void,
    *mut c_void,
) -> sys::napi_status;

/// What fills the young generation, a piece at a time. V8 has larger objects elsewhere.
static FILLER: [u8; 64 * 1024] = [0; 64 * 1024];

/// Pieces that a young generation has room for, at most: 256 MiB.
const MAX_PIECES: usize = 4_096;

/// Tells of the next collection, once.
pub fn next_collection<Owner: Sweeping + 'static>(env: sys::napi_env, owner: &Rc<Owner>) {
    let hint = Box::into_raw(Box::new(Rc::downgrade(owner)));
    let status = in_scope(env, || {
        let mut object = ptr::null_mut();
        // SAFETY: the object is used within this scope only, and the hint belongs to the finalizer.
        unsafe {
            match sys::napi_create_object(env, &mut object) {
                sys::Status::napi_ok => sys::napi_add_finalizer(
                    env,
                    object,
                    hint.cast(),
                    Some(collected::<Owner>),
                    hint.cast(),
                    ptr::null_mut(),
                ),
                status => status,
            }
        }
    });
    if status != Some(sys::Status::napi_ok) {
        // SAFETY: not handed over, so it is still ours.
        drop(unsafe { Box::from_raw(hint) });
    }
}

/// Tells when the event loop has turned, or when the environment ends before. False where that is impossible.
///
/// Without memory an `ArrayBuffer` is finalized in the second step of this turn. What that posts is the first step of the
/// next turn. Posted from here it would be called again at once.
pub fn next_turn<Owner: Sweeping + 'static>(env: sys::napi_env, owner: &Rc<Owner>) -> bool {
    if post_finalizer().is_none() {
        return false;
    }
    let hint = Box::into_raw(Box::new(Rc::downgrade(owner)));
    let status = in_scope(env, || {
        let mut value = ptr::null_mut();
        // SAFETY: there is no memory, and the hint belongs to the finalizer.
        unsafe {
            sys::napi_create_external_arraybuffer(
                env,
                ptr::null_mut(),
                0,
                Some(turn::<Owner>),
                hint.cast(),
                &mut value,
            )
        }
    });
    let is_posted = status == Some(sys::Status::napi_ok);
    if !is_posted {
        // SAFETY: not handed over, so it is still ours.
        drop(unsafe { Box::from_raw(hint) });
    }
    is_posted
}

/// Whether the environment ends: no JavaScript may be entered any more. Cheap enough for every turn
/// of the event loop. A call that lacks its arguments is refused for that, unless it is refused
/// because of the end.
pub fn is_ending(env: sys::napi_env) -> bool {
    // SAFETY: on the environment's thread. Null is refused before anything is read or written.
    let status =
        unsafe { sys::napi_has_property(env, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()) };
    status != sys::Status::napi_invalid_arg
}

/// Makes V8 collect what is young, which it does not before it has finished the sweep of the collection before. There is
/// no function for it where JavaScript cannot be entered, so this fills the young generation: megabytes, a few
/// milliseconds at most. Gives up where that is unusually large.
pub fn collect_young(env: sys::napi_env) {
    let mut witness = ptr::null_mut();
    let status = in_scope(env, || {
        let mut object = ptr::null_mut();
        // SAFETY: within a scope, on the environment's thread. A count of zero makes the reference weak.
        unsafe {
            match sys::napi_create_object(env, &mut object) {
                sys::Status::napi_ok => sys::napi_create_reference(env, object, 0, &mut witness),
                status => status,
            }
        }
    });
    if status != Some(sys::Status::napi_ok) {
        return;
    }
    let mut pieces = 0;
    while pieces < MAX_PIECES && is_alive(env, witness) && fill(env) {
        pieces += 1;
    }
    // SAFETY: made above, deleted once.
    unsafe { sys::napi_delete_reference(env, witness) };
}

/// Whether what a weak reference refers to was not collected.
pub fn is_alive(env: sys::napi_env, reference: sys::napi_ref) -> bool {
    let is_alive = in_scope(env, || {
        let mut value = ptr::null_mut();
        // SAFETY: a reference of this environment, on its thread, within a scope.
        let status = unsafe { sys::napi_get_reference_value(env, reference, &mut value) };
        status == sys::Status::napi_ok && !value.is_null()
    });
    is_alive == Some(true)
}

fn fill(env: sys::napi_env) -> bool {
    let status = in_scope(env, || {
        let mut value = ptr::null_mut();
        // SAFETY: the bytes are copied.
        unsafe {
            sys::napi_create_string_latin1(
                env,
                FILLER.as_ptr().cast(),
                FILLER.len() as isize,
                &mut value,
            )
        }
    });
    status == Some(sys::Status::napi_ok)
}

/// What `inside` returns, which may make handles. `None` where there is no scope.
pub fn in_scope<Output>(env: sys::napi_env, inside: impl FnOnce() -> Output) -> Option<Output> {
    let mut scope = ptr::null_mut();
    // SAFETY: on the environment's thread, which still has its memory. Closed once.
    unsafe {
        if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
            return None;
        }
        let output = inside();
        sys::napi_close_handle_scope(env, scope);
        Some(output)
    }
}

fn post_finalizer() -> Option<PostFinalizer> {
    static FOUND: OnceLock<Option<PostFinalizer>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let address = symbol("node_api_post_finalizer\0")?;
        // SAFETY: Node-API gives the function of this name this signature.
        Some(unsafe { std::mem::transmute::<*mut c_void, PostFinalizer>(address) })
    })
}

/// Runs in the first step, after a collection.
unsafe extern "C" fn collected<Owner: Sweeping>(
    _env: sys::napi_env,
    _data: *mut c_void,
    hint: *mut c_void,
) {
    // SAFETY: made by `next_collection` with `Box::into_raw`, and passed to this one call.
    let owner = unsafe { Box::from_raw(hint.cast::<Weak<Owner>>()) };
    if let Some(owner) = owner.upgrade() {
        owner.collected();
    }
}

/// Runs in the second step.
unsafe extern "C" fn turn<Owner: Sweeping>(
    env: sys::napi_env,
    _data: *mut c_void,
    hint: *mut c_void,
) {
    let posted = post_finalizer().map(|post| {
        // SAFETY: on the environment's thread. The hint passes on to the other finalizer.
        unsafe { post(env, Some(turned::<Owner>), hint, hint) }
    });
    if posted != Some(sys::Status::napi_ok) {
        // SAFETY: made by `next_turn` with `Box::into_raw`, and not passed on.
        drop(unsafe { Box::from_raw(hint.cast::<Weak<Owner>>()) });
    }
}

/// Runs in the first step of the turn after.
unsafe extern "C" fn turned<Owner: Sweeping>(
    _env: sys::napi_env,
    _data: *mut c_void,
    hint: *mut c_void,
) {
    // SAFETY: made by `next_turn` with `Box::into_raw`, passed on by `turn`, and passed to this one call.
    let owner = unsafe { Box::from_raw(hint.cast::<Weak<Owner>>()) };
    if let Some(owner) = owner.upgrade() {
        owner.turned();
    }
}
