//! Chunks as JavaScript knows them: an external `ArrayBuffer` each, and a handle.
//!
//! | who keeps the `ArrayBuffer` | while | ends by |
//! |---|---|---|
//! | JavaScript's table, beside views | more bytes may come, and have come lately | `retire`, `sweep` |
//! | views alone, but it is found again (dormant) | more bytes may come, and none have come lately | more bytes; a collection |
//! | views alone | nothing but exports refers to the chunk | a collection |
//!
//! Collecting the last view gives this environment's references back. So a view is valid as long as
//! it exists, and no code counts messages. An environment has two references to each chunk that it
//! knows, the table's and the finalizer's, and others may have theirs. None of it shows in the
//! count of those that fill or send the chunk.

mod export;
mod moved;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
use std::rc::{Rc, Weak};

use napi::{Env, sys};
use netpoll_core::buffer::Sharing;
use netpoll_core::{Chunk, ExportedChunk, Slice};
use slab::Slab;

pub use self::export::Holder;
use self::export::{Export, ExportState, Sweep};
use self::moved::look_at_end;
use crate::memory::end_watch::EndWatch;
use crate::memory::sweep_watch;
use crate::shared_words::ArenaWords;

/// References to a chunk of one environment that has exported it once: the table's and the finalizer's.
const OWN_REFERENCES: u32 = 2;

/// Turns of the event loop that are asked for while V8 sweeps in the background. It needs less than a millisecond, unless
/// other threads are busy; memory that user code has moved is never swept. Then the next collection is waited for: to cause
/// one would have V8 take what is young, the chunks in use among it, for long-lived.
const SWEEP_TURNS: u32 = 256;

struct ExportTable {
    env: Env,
    /// Says whether commands wait, which may name a handle.
    arena: Rc<ArenaWords>,
    exports: Slab<Export>,
    /// Handles by address, looked up once per chunk and turn, of those in which more bytes may come.
    handles: HashMap<usize, u32>,
    /// Handles that JavaScript's table holds.
    held: Vec<u32>,
    /// Bytes of all exports.
    bytes: usize,
    /// Handles whose last view was collected while commands waited, or a batch that names them.
    collected: Vec<u32>,
    /// Where Node.js is the host.
    end_watch: Option<EndWatch>,
    /// Whether other threads outlive this one.
    is_outlived: bool,
    sweeps: Sweeps,
    /// Called when the last is gone, once that matters.
    emptied: Option<Box<dyn FnOnce()>>,
}

/// Memory whose `ArrayBuffer` was collected.
#[derive(Default)]
struct Sweeps {
    /// How much of it V8 may still be about to free.
    awaited: usize,
    /// Turns of the event loop that are left for it.
    turns: u32,
    /// Whether the next turn is told.
    is_posted: bool,
    /// The environment has ended: nothing may be looked at any more.
    has_ended: bool,
}

/// The chunks that one environment knows.
pub struct ChunkExports(Rc<RefCell<ExportTable>>);

/// What an environment knows of a chunk.
pub enum Known {
    /// JavaScript's table has it.
    Held(u32),
    /// Views have its `ArrayBuffer`. From now on the table is to hold it, too.
    Dormant(u32, sys::napi_value),
    /// It is to be exported.
    No,
}

/// What the finalizer of an `ArrayBuffer` needs.
struct Hint {
    table: Weak<RefCell<ExportTable>>,
    handle: u32,
    /// Keeps the memory even where the environment, and with it the table, has gone.
    _chunk: ExportedChunk,
}

impl ChunkExports {
    /// None yet. `arena` tells whether commands wait.
    pub fn new(env: Env, arena: Rc<ArenaWords>) -> Self {
        Self(Rc::new(RefCell::new(ExportTable {
            env,
            arena,
            exports: Slab::new(),
            handles: HashMap::new(),
            held: Vec::new(),
            bytes: 0,
            collected: Vec::new(),
            end_watch: None,
            is_outlived: false,
            sweeps: Sweeps::default(),
            emptied: None,
        })))
    }

    /// From now on memory that user code has moved to another environment outlives this one. Only for Node.js, where
    /// `ArrayBuffer`s end as [`crate::memory::end_watch`] says. Must be called within a scope.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn watch_end(&self) -> napi::Result<()> {
        let env = self.0.borrow().env;
        self.0.borrow_mut().end_watch = Some(EndWatch::new(env));
        sweep_watch::next_collection(env.raw(), &self.0);
        self.exported()
    }

    /// To be called after [`Self::export`], once for as many as one likes, before JavaScript runs again. Must be called
    /// within a scope.
    ///
    /// # Errors
    /// When the environment refuses.
    pub fn exported(&self) -> napi::Result<()> {
        let watch = self.0.borrow_mut().end_watch.take();
        let Some(mut watch) = watch else {
            return Ok(());
        };
        // Not borrowed meanwhile: the engine may run finalizers.
        let renewed = watch.renew(Rc::downgrade(&self.0));
        self.0.borrow_mut().end_watch = Some(watch);
        renewed
    }

    /// Whether the environment ends, as far as that matters here. A call of Node-API, for each chunk and not for each message.
    pub fn is_ending(&self) -> bool {
        let table = self.0.borrow();
        table.end_watch.is_some() && sweep_watch::is_ending(table.env.raw())
    }

    /// Other threads may read memory of this one when it has ended. The main thread ends last.
    pub fn note_outlived(&self) {
        self.0.borrow_mut().is_outlived = true;
    }

    /// Whether [`Self::note_outlived`] was called.
    pub fn is_outlived(&self) -> bool {
        self.0.borrow().is_outlived
    }

    /// To be called in every turn of the event loop. Once the environment ends, finds what was moved, as long as V8 has not
    /// collected again.
    pub fn look_if_ending(&self) {
        if self.is_outlived() && self.is_ending() {
            look_at_end(&self.0);
        }
    }

    /// What JavaScript knows of a chunk in which bytes have come. A handle that it gives is named by one batch more. Must be
    /// called within a scope.
    pub fn look_up(&self, chunk: &Chunk) -> Known {
        let table = &mut *self.0.borrow_mut();
        let address = chunk.as_ptr() as usize;
        let Some(&handle) = table.handles.get(&address) else {
            return Known::No;
        };
        let Some(export) = table.exports.get_mut(handle as usize) else {
            return Known::No;
        };
        if export.state != ExportState::Dormant {
            export.state = ExportState::Busy;
            export.batches += 1;
            return Known::Held(handle);
        }
        let Some(buffer) = attached_buffer(table.env, export.buffer) else {
            export.state = ExportState::Retired;
            table.handles.remove(&address);
            return Known::No;
        };
        export.state = ExportState::Busy;
        export.batches += 1;
        table.held.push(handle);
        Known::Dormant(handle, buffer)
    }

    /// Makes `chunk` known: its handle, and the `ArrayBuffer` to give to JavaScript. For its table a batch names the handle.
    ///
    /// # Errors
    /// When the environment cannot make one.
    pub fn export(&self, chunk: &Chunk, holder: Holder) -> napi::Result<(u32, sys::napi_value)> {
        let (env, handle) = {
            let mut table = self.0.borrow_mut();
            let handle = table.insert(chunk, holder);
            (table.env.raw(), handle)
        };
        let hint = Box::into_raw(Box::new(Hint {
            table: Rc::downgrade(&self.0),
            handle,
            _chunk: chunk.export(),
        }));
        let mut value = ptr::null_mut();
        // SAFETY: the memory is initialised and stays where it is until `finalize` has dropped the
        // hint, which holds a reference to the chunk.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env,
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
            return Err(refused());
        }
        let mut buffer = ptr::null_mut();
        // SAFETY: made just now, within the scope of the caller. A count of zero makes it weak.
        let status = unsafe { sys::napi_create_reference(env, value, 0, &mut buffer) };
        if status != sys::Status::napi_ok {
            // Its finalizer sees to the rest.
            return Err(refused());
        }
        if let Some(export) = self.0.borrow_mut().exports.get_mut(handle as usize) {
            export.buffer = buffer;
        }
        Ok((handle, value))
    }

    /// JavaScript has come to the end of a batch that named these. Costs a look at each chunk of a batch, and none at messages.
    pub fn batch_handled(&self, handles: &[u32]) {
        let table = &mut *self.0.borrow_mut();
        for &handle in handles {
            if let Some(export) = table.exports.get_mut(handle as usize) {
                export.batches -= 1;
            }
        }
    }

    /// Forgets the chunks that were collected while commands waited, which have been seen, unless a batch names them.
    pub fn forget_collected(&self) {
        if self.0.borrow_mut().forget_collected() {
            tell_emptied(&self.0);
        }
    }

    /// Handles that JavaScript's table need not hold any longer, because nothing but exports refers to their chunks: no
    /// bytes come any more.
    pub fn take_retired(&self) -> Vec<u32> {
        self.0.borrow_mut().take_from_held(|_| None)
    }

    /// As [`Self::take_retired`], and also those in which no bytes have come since the sweep before. Without it the last
    /// chunk of a connection that has closed, or that goes on elsewhere, would stay.
    pub fn sweep(&self) -> Vec<u32> {
        self.0.borrow_mut().take_from_held(|export| {
            let was_busy = export.state == ExportState::Busy;
            export.state = ExportState::Quiet;
            (!was_busy).then_some(ExportState::Dormant)
        })
    }

    /// The bytes of a chunk, and whether other environments know it, too.
    pub fn share(&self, handle: u32) -> (usize, Sharing) {
        let table = self.0.borrow();
        let Some(Export { chunk, .. }) = table.exports.get(handle as usize) else {
            return (0, Sharing::Alone);
        };
        let sharing = match chunk.has_outside_beyond(OWN_REFERENCES) {
            true => Sharing::Shared,
            false => Sharing::Alone,
        };
        (chunk.capacity(), sharing)
    }

    /// Whether JavaScript's table holds any.
    pub fn has_held(&self) -> bool {
        !self.0.borrow().held.is_empty()
    }

    /// Bytes of an exported chunk. `None` where handle or bounds make no sense, and where a poller
    /// may still read into them: JavaScript can name any range of a chunk. Costs one load for each
    /// message, beside the reference.
    pub fn slice(&self, handle: u32, start: usize, length: usize) -> Option<Slice> {
        let table = self.0.borrow();
        let export = table.exports.get(handle as usize)?;
        Slice::checked(export.chunk.chunk(), start, length)
    }

    /// Whether nothing waits to be sent from this chunk, each sender from it is done reading, and
    /// no other environment knows it. If so, it may be written anew.
    pub fn is_idle(&self, handle: u32) -> bool {
        let table = self.0.borrow();
        table
            .exports
            .get(handle as usize)
            .is_some_and(|export| export.chunk.is_held_by(OWN_REFERENCES))
    }

    /// Whether this environment alone knows a chunk, and nothing waits to be sent from it. If so, what JavaScript does not
    /// look at any more may be read into again.
    pub fn is_filled_alone(&self, chunk: &Chunk) -> bool {
        let table = self.0.borrow();
        let handle = table.handles.get(&(chunk.as_ptr() as usize));
        let export = handle.and_then(|&handle| table.exports.get(handle as usize));
        export.is_some_and(|export| export.chunk.is_filled_for(OWN_REFERENCES))
    }

    /// Whether the `ArrayBuffer` of this handle was not collected.
    pub fn is_known(&self, handle: u32) -> bool {
        let table = self.0.borrow();
        let export = table.exports.get(handle as usize);
        export.is_some_and(|export| export.state != ExportState::Finalized)
    }

    /// Bytes of the chunks that JavaScript holds, by whatever means.
    pub fn bytes(&self) -> usize {
        self.0.borrow().bytes
    }

    /// Detaches the `ArrayBuffer` of a lent chunk, so that its memory comes back without a collection. Where the engine
    /// refuses, a collection brings it.
    pub fn take_back(&self, handle: u32, buffer: sys::napi_value) {
        // Not borrowed meanwhile: the engine may run the finalizer.
        let env = self.0.borrow().env.raw();
        // SAFETY: a live handle of this environment, on its thread. Rust reads and writes nothing there by it.
        let status = unsafe { sys::napi_detach_arraybuffer(env, buffer) };
        if status == sys::Status::napi_ok
            && let Some(export) = self.0.borrow_mut().exports.get_mut(handle as usize)
        {
            // Detached, but not by user code that would have it outlive this environment.
            export.sweep = Sweep::Unmoved;
        }
    }

    /// How many chunks are lent to JavaScript's arena.
    pub fn lent(&self) -> usize {
        let table = self.0.borrow();
        let exports = table.exports.iter();
        exports
            .filter(|(_, export)| export.state == ExportState::Lent)
            .count()
    }

    /// How many chunks only views hold.
    pub fn held_by_views(&self) -> usize {
        let table = self.0.borrow();
        let exports = table.exports.iter().map(|(_, export)| export);
        exports.filter(|export| export.is_held_by_views()).count()
    }

    /// Calls `emptied` once there are none, which is at once if there are none now. No more are added. The environment's end
    /// comes before.
    pub fn when_empty(&self, emptied: impl FnOnce() + 'static) {
        self.0.borrow_mut().emptied = Some(Box::new(emptied));
        tell_emptied(&self.0);
    }

    /// Gives the table's references back, because the environment is going away. Those of finalizers that are still to
    /// come stay.
    pub fn close(&self) {
        let table = &mut *self.0.borrow_mut();
        table.handles.clear();
        table.held.clear();
        table.collected.clear();
        table.exports.clear();
        table.bytes = 0;
        table.emptied = None;
        table.sweeps.awaited = 0;
    }
}

impl ExportTable {
    fn insert(&mut self, chunk: &Chunk, holder: Holder) -> u32 {
        self.bytes += chunk.capacity();
        let handle = self.exports.insert(Export {
            chunk: chunk.export(),
            state: match holder {
                Holder::Table => ExportState::Busy,
                Holder::Arena => ExportState::Lent,
            },
            sweep: Sweep::None,
            batches: match holder {
                Holder::Table => 1,
                Holder::Arena => 0,
            },
            buffer: ptr::null_mut(),
        }) as u32;
        if holder == Holder::Table {
            self.handles.insert(chunk.as_ptr() as usize, handle);
            self.held.push(handle);
        }
        handle
    }

    /// Takes those out of `held` that only exports refer to, and others for which `otherwise` has a state.
    fn take_from_held(
        &mut self,
        mut otherwise: impl FnMut(&mut Export) -> Option<ExportState>,
    ) -> Vec<u32> {
        let (exports, handles) = (&mut self.exports, &mut self.handles);
        let mut taken = Vec::new();
        self.held.retain(|&handle| {
            let Some(export) = exports.get_mut(handle as usize) else {
                return false;
            };
            let state = if export.chunk.is_all_outside() {
                handles.remove(&(export.chunk.as_ptr() as usize));
                Some(ExportState::Retired)
            } else {
                otherwise(export)
            };
            if let Some(state) = state {
                export.state = state;
                taken.push(handle);
            }
            state.is_none()
        });
        taken
    }

    /// The last view was collected, perhaps that of the environment the memory was moved to. Bytes
    /// that still come need another `ArrayBuffer`. The handle stays as long as commands wait that
    /// may name it, and as a batch names it. User code that has moved its memory gets the rest from
    /// there, which must not be another chunk's.
    fn finalized(&mut self, handle: u32) {
        let Some(export) = self.exports.get_mut(handle as usize) else {
            return;
        };
        if std::mem::replace(&mut export.sweep, Sweep::Done) == Sweep::Awaited {
            self.sweeps.awaited -= 1;
        }
        let state = std::mem::replace(&mut export.state, ExportState::Finalized);
        if !matches!(state, ExportState::Retired | ExportState::Lent) {
            self.handles.remove(&(export.chunk.as_ptr() as usize));
            self.held.retain(|held| *held != handle);
        }
        if export.batches > 0 || self.arena.has_commands() {
            self.collected.push(handle);
        } else {
            self.forget(handle);
        }
    }

    /// Whether any was forgotten.
    fn forget_collected(&mut self) -> bool {
        let before = self.collected.len();
        let mut index = 0;
        while let Some(&handle) = self.collected.get(index) {
            let export = self.exports.get(handle as usize);
            if export.is_some_and(|export| export.batches > 0) {
                index += 1;
            } else {
                self.collected.swap_remove(index);
                self.forget(handle);
            }
        }
        index < before
    }

    fn forget(&mut self, handle: u32) {
        let Some(export) = self.exports.try_remove(handle as usize) else {
            return;
        };
        self.bytes -= export.chunk.capacity();
        if matches!(
            export.state,
            ExportState::Busy | ExportState::Quiet | ExportState::Dormant
        ) {
            self.handles.remove(&(export.chunk.as_ptr() as usize));
            self.held.retain(|held| *held != handle);
        }
        if !export.buffer.is_null() {
            // SAFETY: made by `export`, and deleted once, on the environment's thread, before the environment has gone:
            // `close` has emptied the table by then.
            unsafe { sys::napi_delete_reference(self.env.raw(), export.buffer) };
        }
    }
}

/// Nothing is borrowed meanwhile: the callback that is told lets go of the table.
fn tell_emptied(table: &Rc<RefCell<ExportTable>>) {
    let emptied = {
        let mut table = table.borrow_mut();
        table.exports.is_empty().then(|| table.emptied.take())
    };
    if let Some(Some(emptied)) = emptied {
        emptied();
    }
}

fn refused() -> napi::Error {
    napi::Error::from_reason("cannot share memory with this JavaScript engine")
}

/// What a weak reference refers to, unless it was collected, or detached by user code.
fn attached_buffer(env: Env, buffer: sys::napi_ref) -> Option<sys::napi_value> {
    let mut value = ptr::null_mut();
    let mut is_detached = false;
    // SAFETY: a reference of this environment, on its thread, within a scope.
    let status = unsafe { sys::napi_get_reference_value(env.raw(), buffer, &mut value) };
    if status != sys::Status::napi_ok || value.is_null() {
        return None;
    }
    // SAFETY: a live handle.
    let status = unsafe { sys::napi_is_detached_arraybuffer(env.raw(), value, &mut is_detached) };
    (status == sys::Status::napi_ok && !is_detached).then_some(value)
}

/// As [`attached_buffer`], in a scope of its own.
fn is_attached(env: Env, buffer: sys::napi_ref) -> bool {
    sweep_watch::in_scope(env.raw(), || attached_buffer(env, buffer).is_some()) == Some(true)
}

/// Runs on the environment's thread, after the last view was collected.
unsafe extern "C" fn finalize(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `export` with `Box::into_raw`, and passed to this one call.
    let hint = unsafe { Box::from_raw(hint.cast::<Hint>()) };
    if let Some(table) = hint.table.upgrade() {
        table.borrow_mut().finalized(hint.handle);
        tell_emptied(&table);
    }
}
