//! Between a poller and one JavaScript environment: a turn up, its commands down.

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use napi::{Env, sys};
use netpoll_core::buffer::ReclaimPacer;
use netpoll_core::connection::Limit;
use netpoll_core::settings::Start;
use netpoll_core::{Batch, ChunkPool, Poller};

use crate::chunk_exports::{ChunkExports, Holder};
use crate::foreign_bytes::ForeignArrays;
use crate::javascript::JavaScript;
use crate::options::millis;
use crate::shared_words::{Command, Operation, SharedWords};

/// Size of an ordinary chunk in bytes.
const CHUNK_SIZE: usize = 256 * 1024;
/// Free chunks kept for reuse: 16 MiB.
const CACHED_CHUNKS: usize = 64;

/// Rounds between two looks at the sockets.
const ROUNDS: usize = 16;

/// The chunks of the whole process. It outlives every environment.
pub fn chunk_pool() -> &'static ChunkPool {
    static POOL: OnceLock<ChunkPool> = OnceLock::new();
    POOL.get_or_init(|| ChunkPool::new(CHUNK_SIZE, CACHED_CHUNKS))
}

/// Everything that one environment has of us. Lives on the environment's thread. No borrow is held
/// while JavaScript runs, because it calls back.
pub struct Bridge {
    env: Env,
    poller: RefCell<Poller>,
    batch: RefCell<Batch>,
    handles: RefCell<Vec<u32>>,
    words: SharedWords,
    exports: ChunkExports,
    foreign: ForeignArrays,
    pacer: RefCell<ReclaimPacer>,
    javascript: JavaScript,
}

/// What the driver has to arrange for, after something was done.
pub struct Agenda {
    /// Another turn is due without any event.
    pub again: bool,
    /// A turn is due at this time.
    pub wake: Option<Instant>,
}

impl Bridge {
    /// A poller for this environment.
    ///
    /// # Errors
    /// The system's, such as no descriptor left.
    pub fn new(env: Env, words: SharedWords, javascript: JavaScript) -> io::Result<Self> {
        Ok(Self {
            env,
            poller: RefCell::new(Poller::new(chunk_pool().clone(), Instant::now())?),
            batch: RefCell::new(Batch::with_capacity(words.batch_capacity())),
            handles: RefCell::new(Vec::new()),
            words,
            exports: ChunkExports::default(),
            foreign: ForeignArrays::new(env),
            pacer: RefCell::new(ReclaimPacer::default()),
            javascript,
        })
    }

    /// The poller, for calls that are no part of a turn.
    pub fn poller(&self) -> &RefCell<Poller> {
        &self.poller
    }

    /// Buffers of the user's that wait to be sent.
    pub fn foreign(&self) -> &ForeignArrays {
        &self.foreign
    }

    /// How JavaScript is entered.
    pub fn javascript(&self) -> &JavaScript {
        &self.javascript
    }

    /// Chunks that only views of messages keep.
    pub fn chunks_held_by_views(&self) -> usize {
        self.exports.held_by_views()
    }

    /// Looks which sockets are ready, and serves them in rounds: JavaScript gets the batch of each round
    /// in one call, and what it replied leaves in one system call per connection. The rounds are bounded,
    /// because everyone else in this loop waits meanwhile.
    ///
    /// # Errors
    /// The system's.
    pub fn turn(&self) -> io::Result<Agenda> {
        self.poller.borrow_mut().wait(Some(Duration::ZERO))?;
        let mut agenda = self.round();
        for _ in 1..ROUNDS {
            if !agenda.again {
                break;
            }
            agenda = self.round();
        }
        Ok(agenda)
    }

    fn round(&self) -> Agenda {
        self.poller
            .borrow_mut()
            .turn(Instant::now(), &mut self.batch.borrow_mut());
        if self.batch.borrow().is_empty() {
            return self.flush();
        }
        self.javascript.scoped(|| {
            self.publish();
            self.javascript.dispatch();
        });
        let agenda = self.flush();
        // After the replies have left, and while the views of this round are garbage already.
        if self.pacer.borrow_mut().is_due(self.exports.count()) {
            self.javascript.scoped(|| self.javascript.collect());
        }
        agenda
    }

    /// Carries out what JavaScript has asked for, between two of its tasks.
    pub fn flush(&self) -> Agenda {
        let agenda = self.carry_out();
        if !self.words.is_arena_held() && self.exports.is_idle(self.words.arena_handle()) {
            self.words.reset_arena();
        }
        agenda
    }

    /// Carries out what JavaScript has asked for since the last time. It may be in the middle of
    /// writing a message, so its arena stays as it is.
    pub fn carry_out(&self) -> Agenda {
        let poller = &mut *self.poller.borrow_mut();
        let count = self.words.command_count();
        if count > 0 {
            let now = Instant::now();
            for command in (0..count).filter_map(|index| self.words.command(index)) {
                self.command(poller, &command, now);
            }
            self.words.clear_commands();
            poller.flush(now);
        }
        self.exports.forget_collected();
        Agenda {
            again: poller.has_ready(),
            wake: poller.next_wake(),
        }
    }

    /// A chunk of at least `capacity` bytes for JavaScript to fill.
    ///
    /// # Errors
    /// When it cannot be shared.
    pub fn lend_chunk(&self, capacity: usize) -> napi::Result<(u32, sys::napi_value)> {
        let chunk = chunk_pool().take_at_least(capacity);
        self.exports.export(self.env, &chunk, Holder::Views)
    }

    /// A copy of bytes whose `ArrayBuffer` user code has detached.
    pub fn copy(&self, handle: u32, start: usize, length: usize) -> Option<Vec<u8>> {
        self.exports
            .slice(handle, start, length)
            .map(|slice| slice.as_ref().to_vec())
    }

    fn command(&self, poller: &mut Poller, command: &Command, now: Instant) {
        let Command {
            id,
            handle,
            start,
            length,
            ..
        } = *command;
        match command.operation {
            Operation::Send => {
                if let Some(slice) = self.exports.slice(handle, start, length) {
                    poller.send(id, slice);
                }
            }
            Operation::Reply => {
                if let Some(slice) = self.exports.slice(handle, start, length) {
                    poller.send(id, slice);
                }
                poller.acknowledge(id, 1);
            }
            Operation::Acknowledge => poller.acknowledge(id, length.max(1) as u32),
            Operation::Close => poller.close(id),
            Operation::Finish => poller.finish(id),
            Operation::Destroy => poller.destroy(id),
            Operation::Reset => poller.reset(id),
            Operation::Pause => poller.set_flow(id, Start::Paused),
            Operation::Resume => poller.set_flow(id, Start::Reading),
            Operation::SendForeign => {
                if let Some(array) = self.foreign.take(handle) {
                    poller.send_foreign(id, Box::new(array), start, length);
                }
            }
            Operation::End => poller.end(id),
            Operation::TakeOver => poller.take_over(id),
            Operation::Alarm => {
                poller.set_alarm(id, millis(length as u32).map(|time| now + time));
            }
            Operation::ReadTimeout => poller.set_limit(id, Limit::Read, millis(length as u32)),
            Operation::WriteTimeout => poller.set_limit(id, Limit::Write, millis(length as u32)),
            Operation::IdleTimeout => poller.set_limit(id, Limit::Idle, millis(length as u32)),
        }
    }

    /// Puts the batch where JavaScript reads it, and makes its chunks known.
    fn publish(&self) {
        let batch = &mut *self.batch.borrow_mut();
        let handles = &mut *self.handles.borrow_mut();
        handles.clear();
        let mut grown = false;
        for chunk in batch.chunks() {
            let handle = self.exports.handle(chunk).or_else(|| {
                grown = true;
                match self.exports.export(self.env, chunk, Holder::Table) {
                    Ok((handle, buffer)) => {
                        self.javascript.adopt(handle, buffer);
                        self.pacer.borrow_mut().handed_out();
                        Some(handle)
                    }
                    Err(error) => {
                        self.javascript.fatal(&error.reason);
                        None
                    }
                }
            });
            handles.push(handle.unwrap_or(u32::MAX));
        }
        self.words.publish(batch.records(), handles);
        if grown {
            // Once per new chunk and not per message, so its cost vanishes. The batch still refers to
            // its chunks, so that none of them is retired before JavaScript has seen it.
            for handle in self.exports.take_retired() {
                self.javascript.retire(handle);
            }
        }
        batch.clear();
    }
}
