//! Arrays of 32-bit words that Rust and JavaScript both read and write. They are batches on the way
//! up, commands on the way down, and the arena that outgoing bytes are written to. They spare a
//! call across the boundary for every message.
//!
//! ```text
//! batch:    [records, chunks, slice, left, unsettled, released, (handle of a chunk) × capacity, (slot, kind|chunk, start, length) × capacity]
//!
//! commands: [count, (operation, slot, generation, handle, start, length) × n]
//! arena:    [cursor, handle, holds, loops with commands, turns of the event loop, period]
//! ```
//!
//! JavaScript allocates them, so that they live exactly as long as its environment. Both sides run
//! on one thread, and no view of them outlives a function here.

use napi::bindgen_prelude::{FromNapiValue, Int32Array};
use napi::{Env, sys};
use netpoll_core::protocol::Operation;
use netpoll_core::{CommandWords, Id, Record};

const BATCH_HEADER: usize = 6;
/// In place of the number of records, while JavaScript is handling them.
const UNDER_WAY: i32 = -1;
/// In its place as well, where the rest of them waits.
const WAITING: i32 = -2;
const RECORD_WORDS: usize = 4;
const COMMAND_HEADER: usize = 1;
const COMMAND_WORDS: usize = 6;

/// Words allocated by JavaScript, held by a strong reference.
struct Words {
    env: Env,
    reference: sys::napi_ref,
    pointer: *mut i32,
    length: usize,
}

impl Words {
    fn of(env: Env, value: sys::napi_value) -> napi::Result<Self> {
        let mut reference = std::ptr::null_mut();
        // SAFETY: `value` is a live handle of this environment. The array lives as long as the reference, which `drop`
        // deletes.
        let status = unsafe { sys::napi_create_reference(env.raw(), value, 1, &mut reference) };
        if status != sys::Status::napi_ok {
            return Err(napi::Error::from_reason("cannot hold the shared memory"));
        }
        let mut words = Self {
            env,
            reference,
            pointer: std::ptr::null_mut(),
            length: 0,
        };
        // SAFETY: as above.
        let array = unsafe { Int32Array::from_napi_value(env.raw(), value)? };
        words.pointer = array.as_ptr().cast_mut();
        words.length = array.len();
        Ok(words)
    }

    fn read(&self, index: usize) -> i32 {
        assert!(index < self.length, "within the shared words");
        // SAFETY: in bounds; the array is referenced, private to this package and never detached.
        unsafe { self.pointer.add(index).read() }
    }

    fn write(&self, index: usize, value: i32) {
        assert!(index < self.length, "within the shared words");
        // SAFETY: as in `read`.
        unsafe { self.pointer.add(index).write(value) };
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: made by `of`, and deleted once, on the environment's thread: the owner of words
        // does not leave that. No code reads them any more.
        unsafe { sys::napi_delete_reference(self.env.raw(), self.reference) };
    }
}

/// The arrays of one loop.
pub struct SharedWords {
    batch: Words,
    commands: Words,
    capacity: usize,
}

impl SharedWords {
    /// Over the arrays that JavaScript passes.
    ///
    /// # Errors
    /// When they are no arrays of 32-bit words.
    pub fn new(env: Env, batch: sys::napi_value, commands: sys::napi_value) -> napi::Result<Self> {
        let batch = Words::of(env, batch)?;
        let commands = Words::of(env, commands)?;
        let capacity = batch.length.saturating_sub(BATCH_HEADER) / (1 + RECORD_WORDS);
        Ok(Self {
            batch,
            commands,
            capacity,
        })
    }

    /// How many records a batch may have.
    pub fn batch_capacity(&self) -> usize {
        self.capacity
    }

    /// Puts a batch where JavaScript reads it.
    pub fn publish(&self, records: &[Record], handles: &[u32]) {
        let at = BATCH_HEADER + self.capacity;
        let words = records.len() * RECORD_WORDS;
        assert!(at + words <= self.batch.length && handles.len() <= self.capacity);
        self.batch.write(0, records.len() as i32);
        self.batch.write(1, handles.len() as i32);
        self.batch.write(3, records.len() as i32);
        self.batch.write(5, 0);
        // SAFETY: both targets lie within the array (just checked) and not in Rust's own memory.
        // `Record` is four 32-bit words without padding, and a handle is one.
        unsafe {
            let target = self.batch.pointer;
            target
                .add(BATCH_HEADER)
                .copy_from_nonoverlapping(handles.as_ptr().cast(), handles.len());
            target
                .add(at)
                .copy_from_nonoverlapping(records.as_ptr().cast(), words);
        }
    }

    /// Whether JavaScript is handling the batch, and has not come back.
    pub fn is_under_way(&self) -> bool {
        self.batch.read(0) == UNDER_WAY
    }

    /// Whether JavaScript has come back before the end of the batch.
    pub fn is_waiting(&self) -> bool {
        self.batch.read(0) == WAITING
    }

    /// Whether JavaScript has come to the end of the batch.
    pub fn is_handled(&self) -> bool {
        self.batch.read(0) == 0
    }

    /// How many records JavaScript has not come to.
    pub fn left(&self) -> usize {
        usize::try_from(self.batch.read(3)).unwrap_or(0)
    }

    /// Whether a call for records, or the flush that it has made due, is not over.
    pub fn is_unsettled(&self) -> bool {
        self.batch.read(4) > 0
    }

    /// Of how many messages of the batch JavaScript has said that nothing refers to them any more.
    pub fn released(&self) -> usize {
        usize::try_from(self.batch.read(5)).unwrap_or(0)
    }

    /// JavaScript is to come back after so many records.
    pub fn limit(&self, records: usize) {
        self.batch.write(2, records.min(self.capacity) as i32);
    }

    /// How many commands wait: no more than there is room for, whatever number stands there.
    pub fn command_count(&self) -> usize {
        let room = self.commands.length.saturating_sub(COMMAND_HEADER) / COMMAND_WORDS;
        usize::try_from(self.commands.read(0)).map_or(0, |count| count.min(room))
    }

    /// The command at `index`, and the connection that it is for; `None` where it makes no sense.
    pub fn command(&self, index: usize) -> Option<(Id, CommandWords)> {
        let at = COMMAND_HEADER + index * COMMAND_WORDS;
        let word = |offset| self.commands.read(at + offset) as u32;
        let words = CommandWords {
            operation: Operation::from_number(word(0))?,
            handle: word(3),
            start: word(4),
            length: word(5),
        };
        let id = Id {
            slot: word(1),
            generation: word(2),
        };
        Some((id, words))
    }

    /// All commands have been carried out.
    pub fn clear_commands(&self) {
        self.commands.write(0, 0);
    }
}

/// What both sides know of the memory that JavaScript copies outgoing bytes into.
pub struct ArenaWords(Words);

impl ArenaWords {
    /// Over the array that JavaScript passes.
    ///
    /// # Errors
    /// When it is no array of 32-bit words.
    pub fn new(env: Env, words: sys::napi_value) -> napi::Result<Self> {
        Words::of(env, words).map(Self)
    }

    /// The chunk that it is.
    pub fn handle(&self) -> u32 {
        self.0.read(1) as u32
    }

    /// Whether bytes in it wait in JavaScript: for writers that will send or drop them, or in commands of a loop.
    pub fn is_held(&self) -> bool {
        self.0.read(2) > 0 || self.has_commands()
    }

    /// Whether a loop has commands that were not seen.
    pub fn has_commands(&self) -> bool {
        self.0.read(3) > 0
    }

    /// The commands of one loop have been seen.
    pub fn commands_seen(&self) {
        self.0.write(3, self.0.read(3) - 1);
    }

    /// The event loop has turned. The count wraps around: only that it changes is looked at.
    pub fn turned(&self) {
        self.0.write(4, self.0.read(4).wrapping_add(1));
    }

    /// How often the event loop has turned, as far as it is counted.
    pub fn turns(&self) -> i32 {
        self.0.read(4)
    }

    /// What was written before is known from now on, unless a loop has commands that were not seen. The count wraps around:
    /// only that it changes is looked at.
    pub fn settle(&self) {
        if !self.has_commands() {
            self.0.write(5, self.0.read(5).wrapping_add(1));
        }
    }

    /// Everything in it has been sent: JavaScript may begin at its front again.
    pub fn reset(&self) {
        self.0.write(0, 0);
    }
}
