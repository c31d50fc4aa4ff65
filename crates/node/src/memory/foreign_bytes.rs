//! User memory that is sent where it lies: typed arrays, each held by a strong reference until it
//! has been sent. Its memory may be transferred away or shrink meanwhile, so pointer and length are
//! asked for again before every write. Memory that other threads can write to is refused:
//! JavaScript copies it.

use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;

use napi::{Env, sys};
use netpoll_core::buffer::Region;
use netpoll_core::connection::ForeignBytes;
use netpoll_core::{Reason, Slice};
use slab::Slab;

use crate::memory::chunk_pool;

/// Which side has a typed array now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ArrayHolder {
    /// JavaScript, which has its handle.
    JavaScript,
    /// The queue of a connection. The handle means nothing any more.
    Queue,
}

struct HeldArray {
    reference: sys::napi_ref,
    holder: ArrayHolder,
}

struct ArrayTable {
    env: Env,
    entries: RefCell<Slab<HeldArray>>,
}

/// The typed arrays of one environment.
pub struct ForeignArrays(Rc<ArrayTable>);

/// A typed array that waits to be sent. Let go of when dropped.
pub struct QueuedArray {
    table: Rc<ArrayTable>,
    key: usize,
}

impl ForeignArrays {
    /// None yet.
    pub fn new(env: Env) -> Self {
        Self(Rc::new(ArrayTable {
            env,
            entries: RefCell::default(),
        }))
    }

    /// Holds `array`; its handle is for one command, or for [`Self::release`].
    ///
    /// # Errors
    /// When it is no `Uint8Array`, or its memory is shared between threads.
    pub fn attach(&self, array: sys::napi_value) -> napi::Result<u32> {
        let env = self.0.env.raw();
        let described = describe(env, array)
            .filter(|described| described.kind == sys::TypedarrayType::uint8_array)
            .ok_or_else(|| napi::Error::from_reason("expected a Uint8Array"))?;
        if !is_array_buffer(env, described.buffer) {
            return Err(napi::Error::from_reason("expected memory of one thread"));
        }
        let mut reference = ptr::null_mut();
        // SAFETY: a live handle of this environment, on its thread.
        let status = unsafe { sys::napi_create_reference(env, array, 1, &mut reference) };
        if status != sys::Status::napi_ok {
            return Err(napi::Error::from_reason("cannot hold the array"));
        }
        let key = self.0.entries.borrow_mut().insert(HeldArray {
            reference,
            holder: ArrayHolder::JavaScript,
        });
        Ok(key as u32)
    }

    /// Takes over what was attached, for a connection's queue; `None` where the handle makes no sense.
    pub fn take(&self, handle: u32) -> Option<QueuedArray> {
        let key = handle as usize;
        let entries = &mut *self.0.entries.borrow_mut();
        let entry = entries.get_mut(key)?;
        (std::mem::replace(&mut entry.holder, ArrayHolder::Queue) == ArrayHolder::JavaScript).then(
            || QueuedArray {
                table: self.0.clone(),
                key,
            },
        )
    }

    /// Lets go of what was attached and not sent.
    pub fn release(&self, handle: u32) {
        drop(self.take(handle));
    }

    /// Lets go of everything, because the environment is going away. What still waits to be sent finds
    /// nothing any more.
    pub fn clear(&self) {
        for entry in self.0.entries.borrow_mut().drain() {
            self.0.delete(entry.reference);
        }
    }
}

/// Looks at the bytes of a `Uint8Array`, for a moment in which JavaScript does not run. `None` where it is none, or other
/// threads may write to it.
pub fn with_bytes<R>(env: Env, array: sys::napi_value, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let described = describe(env.raw(), array)?;
    let is_ours = described.kind == sys::TypedarrayType::uint8_array
        && !described.data.is_null()
        && is_array_buffer(env.raw(), described.buffer);
    // SAFETY: as of this call the memory is that of an `ArrayBuffer`, which the caller's handle keeps. Only JavaScript of this
    // thread can write, move or free it, and does not run before `look` is over.
    is_ours.then(|| look(unsafe { std::slice::from_raw_parts(described.data, described.length) }))
}

impl ArrayTable {
    fn delete(&self, reference: sys::napi_ref) {
        // SAFETY: made by `attach`, and deleted once, before the environment has gone: `clear` has emptied
        // the table by then.
        unsafe { sys::napi_delete_reference(self.env.raw(), reference) };
    }
}

impl QueuedArray {
    /// A copy of bytes `start..start + length`.
    ///
    /// # Errors
    /// Why the connection fails: they are not there any more, or there is no memory for a copy.
    pub fn copy(&self, start: usize, length: usize) -> Result<Slice, Reason> {
        let part = self.part(start, length).ok_or(Reason::ForeignDetached)?;
        let chunk = chunk_pool().try_take_at_least(length);
        let mut region = Region::over(chunk.map_err(|_| Reason::OutOfMemory)?);
        Ok(region.append(part))
    }

    fn part(&self, start: usize, length: usize) -> Option<&[u8]> {
        self.bytes()?.get(start..start.checked_add(length)?)
    }
}

impl ForeignBytes for QueuedArray {
    fn bytes(&self) -> Option<&[u8]> {
        let reference = self.table.entries.borrow().get(self.key)?.reference;
        let env = self.table.env.raw();
        let mut scope = ptr::null_mut();
        let mut array = ptr::null_mut();
        // SAFETY: on the environment's thread, which exists as long as the table has entries. A
        // queue of a poller on another thread never gets such an array (`drivers/thread.rs` copies
        // it). The scope is closed once. The memory is that of an `ArrayBuffer` (`attach` refuses
        // others). Only JavaScript of this thread can write, move or free it, and `self` keeps it
        // alive. JavaScript does not run before the write is over: the poller is borrowed for that
        // long.
        unsafe {
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                return None;
            }
            let status = sys::napi_get_reference_value(env, reference, &mut array);
            let described = (status == sys::Status::napi_ok && !array.is_null())
                .then(|| describe(env, array))
                .flatten();
            sys::napi_close_handle_scope(env, scope);
            let Described { length, data, .. } = described?;
            (!data.is_null()).then(|| std::slice::from_raw_parts(data, length))
        }
    }
}

impl Drop for QueuedArray {
    fn drop(&mut self) {
        let entry = self.table.entries.borrow_mut().try_remove(self.key);
        if let Some(entry) = entry {
            self.table.delete(entry.reference);
        }
    }
}

/// A typed array as it is now. A detached one has no length.
struct Described {
    kind: sys::napi_typedarray_type,
    length: usize,
    data: *const u8,
    buffer: sys::napi_value,
}

/// `None` where it is no typed array.
fn describe(env: sys::napi_env, array: sys::napi_value) -> Option<Described> {
    let (mut is_typed_array, mut kind, mut length) = (false, 0, 0);
    let (mut data, mut buffer) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a live handle of this environment, on its thread; the last is not asked for.
    let status = unsafe {
        let status = sys::napi_is_typedarray(env, array, &mut is_typed_array);
        if status != sys::Status::napi_ok || !is_typed_array {
            return None;
        }
        sys::napi_get_typedarray_info(
            env,
            array,
            &mut kind,
            &mut length,
            &mut data,
            &mut buffer,
            ptr::null_mut(),
        )
    };
    (status == sys::Status::napi_ok).then_some(Described {
        kind,
        length,
        data: data.cast_const().cast(),
        buffer,
    })
}

/// Whether `buffer` is an `ArrayBuffer`, and no `SharedArrayBuffer`.
fn is_array_buffer(env: sys::napi_env, buffer: sys::napi_value) -> bool {
    let mut is_array_buffer = false;
    // SAFETY: a live handle of this environment, on its thread.
    let status = unsafe { sys::napi_is_arraybuffer(env, buffer, &mut is_array_buffer) };
    status == sys::Status::napi_ok && is_array_buffer
}
