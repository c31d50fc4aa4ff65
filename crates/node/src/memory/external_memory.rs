//! Whether JavaScript may read memory that the engine has not allocated. Engines with a sandbox for
//! memory, as Electron has one, never allow it.

use std::ffi::c_void;
use std::ptr;

use napi::{Env, Error, Status, sys};

/// Boxed once more, because a hint is one address.
type Memory = Box<[u8]>;

/// Why there can be no memory that is shared, for JavaScript: by the code of the error.
pub type Refusal = Error<String>;

/// The engine allows none.
const REFUSED: &str = "refused";
/// The system has none.
const LACKING: &str = "lacking";

/// Asks the engine for one external `ArrayBuffer` of so many bytes, which must be some. Must be called within a scope.
///
/// # Errors
/// When the engine refuses, or the system has no memory.
pub fn check_allowed(env: Env, length: usize) -> Result<(), Refusal> {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        return Err(Error::new(
            LACKING.to_owned(),
            format!("there are no {length} bytes for a chunk"),
        ));
    }
    bytes.resize(length, 0_u8);
    let memory: Box<Memory> = Box::new(bytes.into_boxed_slice());
    let address = memory.as_ptr().cast_mut();
    let hint = Box::into_raw(memory);
    let mut value = ptr::null_mut();
    // SAFETY: the memory is initialised and stays where it is until `finalize` has freed it.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env.raw(),
            address.cast(),
            length,
            Some(finalize),
            hint.cast(),
            &mut value,
        )
    };
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    // SAFETY: not handed over, so it is still ours.
    drop(unsafe { Box::from_raw(hint) });
    Err(Error::new(
        REFUSED.to_owned(),
        format!(
            "the JavaScript engine refuses external memory: {:?}",
            Status::from(status)
        ),
    ))
}

/// Runs on the environment's thread, when the `ArrayBuffer` is collected or the environment ends.
unsafe extern "C" fn finalize(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `check_allowed` with `Box::into_raw`, and passed to this one call.
    drop(unsafe { Box::from_raw(hint.cast::<Memory>()) });
}
