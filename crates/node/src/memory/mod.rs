//! The memory that one environment shares with Rust. There is one for all of its pollers, so that bytes which came over one
//! connection are sent from where they lie over any other.

mod chunk_exports;
mod chunk_stats;
mod end_watch;
mod external_memory;
pub mod foreign_bytes;
mod loop_turns;
mod pool;
mod sweep_watch;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use napi::bindgen_prelude::{Function, Object, Uint8Array, Unknown};
use napi::{Env, JsValue};
use napi_derive::napi;
use netpoll_core::buffer::ReclaimPacer;
use netpoll_core::{Chunk, CommandSource, Slice};

use crate::clean_up::{CleanUp, EndsWithEnvironment, note_scope};
use crate::clock;
use crate::javascript::{JavaScript, Procedure};
use crate::memory::chunk_exports::{ChunkExports, Holder, Known};
use crate::memory::chunk_stats::ChunkStats;
use crate::memory::external_memory::Refusal;
use crate::memory::foreign_bytes::{ForeignArrays, QueuedArray};
use crate::memory::loop_turns::LoopTurns;
pub use crate::memory::pool::chunk_pool;
use crate::memory::pool::{Sweeper, chunk_pool_of, chunks_of};
use crate::shared_words::ArenaWords;

/// Memory that JavaScript fills.
#[napi(object)]
pub struct LentChunk<'env> {
    /// How commands name it.
    pub handle: u32,
    /// The memory.
    #[napi(ts_type = "ArrayBuffer")]
    pub buffer: Unknown<'env>,
}

/// What JavaScript is told of chunks.
#[napi(object, object_to_js = false)]
pub struct MemoryCallbacks<'env> {
    /// `this` of the others.
    pub receiver: Object<'env>,
    /// Makes a chunk known.
    #[napi(ts_type = "(handle: number, buffer: ArrayBuffer) => void")]
    pub adopt: Function<'env, (), ()>,
    /// Lets go of a chunk.
    #[napi(ts_type = "(handle: number) => void")]
    pub retire: Function<'env, (), ()>,
    /// Collects short-lived garbage.
    pub collect: Function<'env, (), ()>,
}

/// The JavaScript functions that are called.
struct HeldCallbacks {
    javascript: JavaScript,
    adopt: Procedure,
    retire: Procedure,
    collect: Procedure,
}

/// What has gone wrong while chunks were made known. Users hear of it, and may turn the event loop
/// then. So it is told when nothing is half done.
enum ExportTrouble {
    /// What the engine has refused.
    Refused(String),
    /// What JavaScript's part has thrown.
    Thrown(Procedure),
}

/// Chunks and buffers that JavaScript and Rust both know, of one environment.
pub struct SharedMemory {
    /// While it is in use. They hold JavaScript's part of this, and with it all of its modules.
    callbacks: RefCell<Option<Rc<HeldCallbacks>>>,
    turns: RefCell<Option<Rc<LoopTurns>>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
    exports: ChunkExports,
    foreign: ForeignArrays,
    arena: Rc<ArenaWords>,
    pacer: RefCell<ReclaimPacer>,
    sweeper: Sweeper,
    /// Not told yet; at most one for each chunk of a batch.
    troubles: RefCell<Vec<ExportTrouble>>,
    /// Whether the arena's words say how often the event loop has turned.
    counts_turns: Cell<bool>,
    /// How many bridges hand messages to this environment.
    bridges: Cell<u32>,
}

impl SharedMemory {
    /// Appends the handles of `chunks` to `handles`, making known those that are new. They stay
    /// what they are until [`Self::batch_handled`]. Runs no user code: [`Self::tell_troubles`]
    /// does. Must be called within a scope.
    pub fn make_known(&self, chunks: &[Chunk], handles: &mut Vec<u32>) {
        let callbacks = self.callbacks.borrow().clone();
        let Some(callbacks) = callbacks else {
            // No JavaScript gets messages.
            handles.extend(chunks.iter().map(|_| u32::MAX));
            return;
        };
        let HeldCallbacks {
            javascript, adopt, ..
        } = &*callbacks;
        let mut grown = false;
        for chunk in chunks {
            let (handle, buffer) = match self.exports.look_up(chunk) {
                Known::Held(handle) => {
                    handles.push(handle);
                    continue;
                }
                Known::Dormant(handle, buffer) => (handle, buffer),
                // Node.js turns the loop of an environment that ends, without JavaScript to see what comes. More memory
                // could cause a collection, of which `sweep_watch` is not told any more.
                Known::No if self.exports.is_ending() => {
                    handles.push(u32::MAX);
                    continue;
                }
                Known::No => match self.exports.export(chunk, Holder::Table) {
                    Ok(exported) => {
                        grown = true;
                        // From now on a timer runs (`adopt`).
                        self.sweeper.begin();
                        exported
                    }
                    Err(error) => {
                        self.note(ExportTrouble::Refused(error.reason.clone()));
                        handles.push(u32::MAX);
                        continue;
                    }
                },
            };
            let number = javascript.number(handle);
            if let Err(Some(thrown)) = javascript.attempt(adopt, &[number, buffer]) {
                self.note(ExportTrouble::Thrown(thrown));
            }
            handles.push(handle);
        }
        if grown {
            // Once per new chunk and not per message, so its cost vanishes. The batch still refers to its
            // chunks, so that none of them is retired before JavaScript has seen it.
            if let Err(error) = self.exports.exported() {
                self.note(ExportTrouble::Refused(error.reason));
            }
            let retired = self.exports.take_retired();
            for &handle in &retired {
                // By now the others know it as well.
                let (bytes, sharing) = self.exports.share(handle);
                self.pacer
                    .borrow_mut()
                    .handed_out(chunks_of(bytes), sharing);
            }
            self.let_go(retired);
        }
    }

    /// JavaScript's table holds these no longer. Must be called within a scope.
    fn let_go(&self, handles: Vec<u32>) {
        let callbacks = self.callbacks.borrow().clone();
        let Some(HeldCallbacks {
            javascript, retire, ..
        }) = callbacks.as_deref()
        else {
            return;
        };
        for handle in handles {
            let number = javascript.number(handle);
            if let Err(Some(thrown)) = javascript.attempt(retire, &[number]) {
                self.note(ExportTrouble::Thrown(thrown));
            }
        }
    }

    fn note(&self, trouble: ExportTrouble) {
        self.troubles.borrow_mut().push(trouble);
    }

    /// Makes uncaught exceptions of what has gone wrong. Returns whether anything has: then user
    /// code has run, which may have turned the event loop. Nothing may be borrowed meanwhile.
    pub fn tell_troubles(&self) -> bool {
        if self.troubles.borrow().is_empty() {
            return false;
        }
        let troubles = self.troubles.take();
        let callbacks = self.callbacks.borrow().clone();
        if let Some(HeldCallbacks { javascript, .. }) = callbacks.as_deref() {
            for trouble in &troubles {
                javascript.scoped(|| match trouble {
                    ExportTrouble::Refused(reason) => javascript.fatal(reason),
                    ExportTrouble::Thrown(thrown) => javascript.throw_uncaught(thrown),
                });
            }
        }
        true
    }

    /// Has JavaScript collect garbage, if enough of it keeps chunks.
    pub fn collect_if_due(&self) {
        if self
            .pacer
            .borrow_mut()
            .is_due(chunks_of(self.exports.bytes()))
        {
            let callbacks = self.callbacks.borrow().clone();
            if let Some(HeldCallbacks {
                javascript,
                collect,
                ..
            }) = callbacks.as_deref()
            {
                javascript.scoped(|| javascript.call(collect, &[]));
            }
        }
    }

    /// JavaScript has none of it any more but views: once those are gone, too, everything is.
    fn abandoned(self: &Rc<Self>) {
        drop(self.callbacks.take());
        let memory = self.clone();
        self.exports.when_empty(move || memory.end());
    }

    /// Lets go of the environment.
    fn end(&self) {
        if let Some(turns) = self.turns.take() {
            turns.end();
        }
        if let Some(clean_up) = self.clean_up.take() {
            clean_up.remove();
        }
    }

    /// Between two JavaScript tasks: if everything in its arena was sent, it may begin at the front
    /// again. Of its other chunks it asks when it needs one.
    pub fn reset_arena_if_idle(&self) {
        self.arena.settle();
        if !self.arena.is_held() && self.exports.is_idle(self.arena.handle()) {
            self.arena.reset();
        }
    }

    /// The commands of one loop have been seen, all of them.
    pub fn commands_seen(&self) {
        self.arena.commands_seen();
    }

    /// The environment's event loop has turned.
    pub fn turned(&self) {
        self.arena.turned();
        self.exports.look_if_ending();
    }

    /// Whether [`Self::about_to_wait`] has anything to do.
    pub fn looks_each_turn(&self) -> bool {
        self.exports.is_outlived()
    }

    /// The environment's event loop is about to wait.
    pub fn about_to_wait(&self) {
        self.exports.look_if_ending();
    }

    /// How often the environment's event loop has turned; `None` where the host does not let us count.
    pub fn turns(&self) -> Option<i32> {
        self.counts_turns.get().then(|| self.arena.turns())
    }

    /// One more hands messages to this environment.
    pub fn bridge_added(&self) {
        self.bridges.set(self.bridges.get() + 1);
    }

    /// One of them has gone.
    pub fn bridge_removed(&self) {
        self.bridges.set(self.bridges.get() - 1);
    }

    /// How many hand messages to this environment, and share its time.
    pub fn bridges(&self) -> u32 {
        self.bridges.get()
    }

    /// Whether this environment alone knows a chunk, and nothing waits to be sent from it. Commands of any loop that were not
    /// seen may name its bytes.
    pub fn is_filled_alone(&self, chunk: &Chunk) -> bool {
        !self.arena.has_commands() && self.exports.is_filled_alone(chunk)
    }

    /// Takes over a user's buffer that was attached; `None` where the handle makes no sense.
    pub fn take_foreign(&self, handle: u32) -> Option<QueuedArray> {
        self.foreign.take(handle)
    }

    /// JavaScript has come to the end of a batch that named these.
    pub fn batch_handled(&self, handles: &[u32]) {
        self.exports.batch_handled(handles);
    }

    /// Forgets chunks that were collected, unless commands of some loop or a batch may name them still.
    pub fn forget_collected(&self) {
        if !self.arena.has_commands() {
            self.exports.forget_collected();
        }
    }
}

impl CommandSource for SharedMemory {
    fn slice(&self, handle: u32, start: usize, length: usize) -> Option<Slice> {
        self.exports.slice(handle, start, length)
    }

    fn time(&self, milliseconds: u64) -> Instant {
        clock::at(milliseconds)
    }
}

/// What JavaScript has of [`SharedMemory`].
#[napi]
pub struct Memory(pub(crate) Rc<SharedMemory>);

#[napi]
impl Memory {
    /// One for each environment. `arena` is its shared words. Calls nothing before `resume`.
    ///
    /// @throws with the code `refused` where the engine refuses external memory, and `lacking` where the system has none, before
    /// anything is held
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "Int32Array")] arena: Unknown<'_>,
    ) -> Result<Self, Refusal> {
        let other = |reason: String| Refusal::new(String::new(), reason);
        // Refused later, the first bytes of a peer would end the process.
        external_memory::check_allowed(env, chunk_pool().chunk_size())?;
        let words = ArenaWords::new(env, arena.raw()).map_err(|error| other(error.reason))?;
        let arena = Rc::new(words);
        let memory = Rc::new(SharedMemory {
            callbacks: RefCell::default(),
            turns: RefCell::default(),
            clean_up: Cell::default(),
            exports: ChunkExports::new(env, arena.clone()),
            foreign: ForeignArrays::new(env),
            arena,
            pacer: RefCell::new(pool::pacer()),
            sweeper: Sweeper::default(),
            troubles: RefCell::default(),
            counts_turns: Cell::new(false),
            bridges: Cell::new(0),
        });
        let clean_up = CleanUp::add(env, &memory)
            .ok_or_else(|| other("the environment is ending".to_owned()))?;
        memory.clean_up.set(Some(clean_up));
        Ok(Self(memory))
    }

    /// Calls these from now on. A poller needs them.
    #[napi]
    pub fn resume(&self, env: Env, callbacks: MemoryCallbacks<'_>) -> napi::Result<()> {
        let MemoryCallbacks {
            receiver,
            adopt,
            retire,
            collect,
        } = callbacks;
        *self.0.callbacks.borrow_mut() = Some(Rc::new(HeldCallbacks {
            javascript: JavaScript::new(env, receiver.raw())?,
            adopt: Procedure::hold(env, adopt.raw())?,
            retire: Procedure::hold(env, retire.raw())?,
            collect: Procedure::hold(env, collect.raw())?,
        }));
        Ok(())
    }

    /// Calls nothing any more before `resume`, when no poller is left, and so keeps no JavaScript
    /// value. Returns false while JavaScript's table holds chunks: then it goes on.
    #[napi]
    pub fn suspend(&self) -> bool {
        let is_held = self.0.exports.has_held();
        if !is_held {
            drop(self.0.callbacks.take());
        }
        !is_held
    }

    /// Counts in the shared words how often the event loop turns, from now on. Returns whether the host lets us; it must
    /// have a libuv.
    #[napi]
    pub fn count_turns(&self, env: Env) -> bool {
        let turns = LoopTurns::count(env, self.0.clone());
        let counts_turns = turns.is_some();
        *self.0.turns.borrow_mut() = turns;
        self.0.counts_turns.set(counts_turns);
        counts_turns
    }

    /// Makes ordinary chunks of the process so many bytes large, unless there are any already. Returns whether they are.
    #[napi]
    pub fn decide_chunk_size(bytes: u32) -> bool {
        let bytes = bytes.max(1) as usize;
        chunk_pool_of(bytes).chunk_size() == bytes
    }

    /// Has each turn of the event loop look whether the environment ends. For threads that others outlive: it costs a
    /// call of Node-API, twice a turn.
    #[napi]
    pub fn look_each_turn(&self) {
        self.0.exports.note_outlived();
    }

    /// Has memory that user code moves to another thread outlive this one. Only for Node.js.
    #[napi]
    pub fn watch_end(&self) -> napi::Result<()> {
        note_scope();
        self.0.exports.watch_end()
    }

    /// Lets go of chunks in which no bytes come any more, or have come lately, and of free memory that nothing uses. Returns
    /// whether it is to be called again after a while, for the others.
    #[napi]
    pub fn sweep(&self) -> bool {
        self.0.let_go(self.0.exports.sweep());
        let goes_on = self.0.sweeper.sweep(self.0.exports.has_held());
        self.0.tell_troubles();
        goes_on
    }

    /// A chunk of at least `capacity` bytes to copy outgoing bytes into; `null` where there is no memory for it.
    #[napi]
    pub fn lend_chunk<'env>(
        &self,
        env: &'env Env,
        capacity: u32,
    ) -> napi::Result<Option<LentChunk<'env>>> {
        let Ok(chunk) = chunk_pool().try_take_at_least(capacity as usize) else {
            return Ok(None);
        };
        let (handle, value) = self.0.exports.export(&chunk, Holder::Arena)?;
        self.0.exports.exported()?;
        // SAFETY: made by this environment just now, within the scope of this call.
        let buffer = unsafe { Unknown::from_raw_unchecked(env.raw(), value) };
        Ok(Some(LentChunk { handle, buffer }))
    }

    /// Whether nothing of a lent chunk waits to be sent, as far as the commands tell that were seen.
    #[napi]
    pub fn is_idle(&self, handle: u32) -> bool {
        self.0.exports.is_idle(handle)
    }

    /// Whether a chunk that was made known was not collected since. For the detector of leaks, now and then.
    #[napi]
    pub fn is_known(&self, handle: u32) -> bool {
        self.0.exports.is_known(handle)
    }

    /// Takes the memory of a lent chunk back, which every view of it loses. Returns whether it was idle; otherwise nothing
    /// is done.
    #[napi]
    pub fn take_back(
        &self,
        handle: u32,
        #[napi(ts_arg_type = "ArrayBuffer")] buffer: Unknown<'_>,
    ) -> bool {
        let is_idle = self.0.exports.is_idle(handle);
        if is_idle {
            self.0.exports.take_back(handle, buffer.raw());
        }
        is_idle
    }

    /// Holds `bytes`, to be sent where they lie by one command that names the handle returned. The array is
    /// let go of when they have been sent, or never will be.
    ///
    /// @throws when it is no `Uint8Array`
    #[napi]
    pub fn attach_foreign(
        &self,
        #[napi(ts_arg_type = "Uint8Array")] bytes: Unknown<'_>,
    ) -> napi::Result<u32> {
        self.0.foreign.attach(bytes.raw())
    }

    /// Lets go of an array that no command has named.
    #[napi]
    pub fn release_foreign(&self, handle: u32) {
        self.0.foreign.release(handle);
    }

    /// Fills `target`, which is memory of JavaScript's own, with bytes of a chunk from `start` on. Returns whether they are
    /// there.
    #[napi]
    pub fn copy(&self, handle: u32, start: u32, mut target: Uint8Array) -> bool {
        // SAFETY: JavaScript, whose thread this is, does not run meanwhile, and no other code has memory that it has just made.
        let target = unsafe { target.as_mut() };
        match self.0.slice(handle, start as usize, target.len()) {
            Some(slice) => {
                target.copy_from_slice(slice.as_ref());
                true
            }
            None => false,
        }
    }

    /// Chunks in use and cached.
    #[napi]
    pub fn chunk_stats(&self) -> ChunkStats {
        ChunkStats::of(chunk_pool().stats(), &self.0.exports)
    }
}

impl Drop for Memory {
    /// In its finalizer: JavaScript has it no longer.
    fn drop(&mut self) {
        self.0.abandoned();
    }
}

impl EndsWithEnvironment for SharedMemory {
    /// Hooks run last-in first-out: those of the drivers, which come later, have run before.
    fn environment_ends(&self) {
        self.clean_up.set(None);
        drop(self.troubles.take());
        drop(self.callbacks.take());
        self.sweeper.end();
        self.foreign.clear();
        self.exports.close();
    }
}
