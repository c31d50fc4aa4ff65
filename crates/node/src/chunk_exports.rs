//! Chunks as JavaScript knows them: an external `ArrayBuffer` each, made once, and a handle.
//!
//! JavaScript holds the `ArrayBuffer` strongly while Rust still puts bytes into the chunk. Once only
//! views of messages refer to it, collecting the last of them returns the chunk to its pool. So a
//! view is valid as long as it exists, and nobody counts messages.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::{Rc, Weak};

use napi::{Env, sys};
use netpoll_core::{Chunk, Slice};
use slab::Slab;

/// What keeps an exported chunk in JavaScript.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// JavaScript's table: more bytes may come.
    Table,
    /// Views only, or whoever asked for the chunk.
    Views,
}

struct Export {
    chunk: Chunk,
    holder: Holder,
}

#[derive(Default)]
struct Table {
    exports: Slab<Export>,
    /// Handles by address, looked up once per chunk and turn.
    handles: HashMap<usize, u32>,
    /// Handles that JavaScript's table holds.
    held: Vec<u32>,
    /// Handles whose last view was collected.
    collected: Vec<u32>,
}

/// The chunks that one environment knows.
#[derive(Default)]
pub struct ChunkExports(Rc<RefCell<Table>>);

/// What the finalizer of an `ArrayBuffer` needs.
struct Hint {
    table: Weak<RefCell<Table>>,
    handle: u32,
    /// Keeps the memory even where the environment, and with it the table, has gone.
    _chunk: Chunk,
}

impl ChunkExports {
    /// The handle of a chunk that JavaScript knows already.
    pub fn handle(&self, chunk: &Chunk) -> Option<u32> {
        self.0
            .borrow()
            .handles
            .get(&(chunk.as_ptr() as usize))
            .copied()
    }

    /// Makes `chunk` known: its handle, and the `ArrayBuffer` to give to JavaScript.
    ///
    /// # Errors
    /// When the environment cannot make one.
    pub fn export(
        &self,
        env: Env,
        chunk: &Chunk,
        holder: Holder,
    ) -> napi::Result<(u32, sys::napi_value)> {
        let handle = {
            let mut table = self.0.borrow_mut();
            let handle = table.exports.insert(Export {
                chunk: chunk.clone(),
                holder,
            }) as u32;
            if holder == Holder::Table {
                table.handles.insert(chunk.as_ptr() as usize, handle);
                table.held.push(handle);
            }
            handle
        };
        let hint = Hint {
            table: Rc::downgrade(&self.0),
            handle,
            _chunk: chunk.clone(),
        };
        let hint = Box::into_raw(Box::new(hint));
        let mut value = std::ptr::null_mut();
        // SAFETY: the memory is initialised and stays where it is until `finalize` has dropped the
        // hint, which holds a reference to the chunk.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env.raw(),
                chunk.as_ptr().cast(),
                chunk.capacity(),
                Some(finalize),
                hint.cast(),
                &mut value,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: not handed over, so it is still ours.
            drop(unsafe { Box::from_raw(hint) });
            self.0.borrow_mut().forget(handle);
            return Err(napi::Error::from_reason(
                "cannot share memory with this JavaScript engine",
            ));
        }
        Ok((handle, value))
    }

    /// Forgets the chunks that were collected. Not done by the finalizer itself: it may run while a
    /// command that names the handle waits to be carried out.
    pub fn forget_collected(&self) {
        let table = &mut *self.0.borrow_mut();
        while let Some(handle) = table.collected.pop() {
            table.forget(handle);
        }
    }

    /// Handles that JavaScript's table need not hold any longer, because nothing but the table and
    /// views refers to them.
    pub fn take_retired(&self) -> Vec<u32> {
        let table = &mut *self.0.borrow_mut();
        let exports = &mut table.exports;
        let mut retired = Vec::new();
        table.held.retain(|&handle| {
            // The table's reference and the finalizer's.
            let stays = exports
                .get(handle as usize)
                .is_some_and(|e| !e.chunk.is_held_by_at_most(2));
            if !stays {
                if let Some(export) = exports.get_mut(handle as usize) {
                    export.holder = Holder::Views;
                    table.handles.remove(&(export.chunk.as_ptr() as usize));
                }
                retired.push(handle);
            }
            stays
        });
        retired
    }

    /// Bytes of an exported chunk; `None` where handle or bounds make no sense, and where a poller may still read into
    /// them: JavaScript can name any range of a chunk. Costs one load for each message, beside the reference.
    pub fn slice(&self, handle: u32, start: usize, length: usize) -> Option<Slice> {
        let table = self.0.borrow();
        Slice::checked(&table.exports.get(handle as usize)?.chunk, start, length)
    }

    /// Whether nothing waits to be sent from this chunk, and whoever has sent from it is done reading: it may be written
    /// anew.
    pub fn is_idle(&self, handle: u32) -> bool {
        let table = self.0.borrow();
        table
            .exports
            .get(handle as usize)
            .is_some_and(|e| e.chunk.is_held_by_at_most(2))
    }

    /// How many chunks JavaScript holds, by whatever means.
    pub fn count(&self) -> usize {
        self.0.borrow().exports.len()
    }

    /// How many chunks only views hold.
    pub fn held_by_views(&self) -> usize {
        let table = self.0.borrow();
        table
            .exports
            .iter()
            .filter(|(_, export)| export.holder == Holder::Views)
            .count()
    }
}

impl Table {
    fn forget(&mut self, handle: u32) {
        if let Some(export) = self.exports.try_remove(handle as usize)
            && export.holder == Holder::Table
        {
            self.handles.remove(&(export.chunk.as_ptr() as usize));
            self.held.retain(|held| *held != handle);
        }
    }
}

/// Runs on the environment's thread, after the last view was collected.
unsafe extern "C" fn finalize(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `export` with `Box::into_raw`, and passed to this one call.
    let hint = unsafe { Box::from_raw(hint.cast::<Hint>()) };
    if let Some(table) = hint.table.upgrade() {
        table.borrow_mut().collected.push(hint.handle);
    }
}
