//! What has arrived on one connection and is not handed over yet.

mod backlog;

use std::io::IoSliceMut;
use std::sync::Arc;

use self::backlog::{Backlog, Memory, Progress, copied, own, own_copy};
use super::excerpt::Excerpt;
use crate::batch::Batch;
use crate::buffer::{Chunk, OutOfMemory, ReadBuffer, max_copied};
use crate::frame::{Decoder, FrameError};
use crate::settings::{Claim, UnfinishedBound};

/// How much of a message is read before it is known to be large, on a connection that brings such.
const FIRST_OF_LARGE: usize = 32 * 1024;

/// Whether a backlog may be more than an unfinished message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// A part of one message.
    Unfinished,
    /// Messages that found no room in a batch, perhaps.
    HeldBack,
}

/// The input of a connection that is not handed over. Most connections have none between two reads,
/// and their messages are handed over where the socket was read to. What remains of a read lies in
/// memory of the connection's own. So no connection keeps a chunk that all connections read into
/// for the sake of a few bytes.
pub struct Inbound {
    backlog: Option<Backlog>,
    rest: Rest,
    /// What the next read will probably bring.
    expected: usize,
    /// Bytes of the memory of the last message that had a region of its own, while the connection brings such. One that is
    /// a little longer fits in as well.
    large: usize,
    claim: Claim,
}

/// Bytes at the front of the tail that a read has filled and no caller has committed.
#[derive(Clone, Copy)]
struct Fresh {
    length: usize,
    progress: Progress,
}

impl Inbound {
    /// Nothing yet. What it will hold counts against `bound`.
    #[must_use]
    pub fn new(bound: Arc<UnfinishedBound>) -> Self {
        Self {
            backlog: None,
            rest: Rest::Unfinished,
            expected: 0,
            large: 0,
            claim: Claim::new(bound),
        }
    }

    /// Whether messages may be waiting for room, without a read.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.backlog.is_some() && self.rest == Rest::HeldBack
    }

    /// Whether the peer has begun a message and not finished it.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.backlog.is_some() && self.rest == Rest::Unfinished
    }

    /// Whether everything that was read has been handed over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backlog.is_none()
    }

    /// Lets everything go.
    pub fn clear(&mut self) {
        self.forget();
        self.expected = 0;
        self.large = 0;
    }

    /// Gives what is here to the caller, who asks for it once.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        let backlog = self.backlog.as_ref();
        let bytes = backlog.map_or_else(Vec::new, |backlog| backlog.memory.bytes().to_vec());
        self.clear();
        bytes
    }

    fn forget(&mut self) {
        self.backlog = None;
        self.claim.release();
    }

    /// Makes `read` fill the right memory. `read` gets one or two pieces of memory and returns how
    /// many bytes it filled, in order. What it filled must be cut before any other connection
    /// reads: see [`Self::decode_filled`].
    ///
    /// # Errors
    /// Whatever `read` returns, or that there is no memory to read into; then it was not called.
    pub fn fill<E>(
        &mut self,
        read_buffer: &mut ReadBuffer,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<Filled, Unfilled<E>> {
        let read = |pieces: &mut [IoSliceMut<'_>]| read(pieces).map_err(Unfilled::Refused);
        match &mut self.backlog {
            Some(Backlog {
                memory: Memory::Own { region, start },
                progress,
            }) => {
                // Whether the region ends where the frame does, so that what follows may be read elsewhere.
                let length = region.filled() - *start + region.remaining();
                let own = region.spare();
                let own_length = own.len();
                let (count, offered) = if progress.needed == Some(length) {
                    let (expected, max) = next_read(self.large, self.expected, &self.claim);
                    let spare = read_buffer.spare_behind(&[], expected, max)?;
                    let offered = own_length + spare.len();
                    let mut pieces = [IoSliceMut::new(own), IoSliceMut::new(spare)];
                    (read(&mut pieces)?, offered)
                } else {
                    (read(&mut [IoSliceMut::new(own)])?, own_length)
                };
                region.commit(count.min(own_length));
                Ok(Filled {
                    count,
                    offered,
                    fresh: Fresh {
                        length: count.saturating_sub(own_length),
                        progress: Progress::default(),
                    },
                })
            }
            other => {
                let (before, progress, expected, max) = match other {
                    None => {
                        let (expected, max) = next_read(self.large, self.expected, &self.claim);
                        (&[][..], Progress::default(), expected, max)
                    }
                    Some(Backlog { memory, progress }) => {
                        let before = memory.bytes();
                        let missing = progress.missing(before.len());
                        let expected = self.expected.max(missing);
                        (before, *progress, expected, self.claim.room())
                    }
                };
                let length = before.len();
                let spare = read_buffer.spare_behind(before, expected, max)?;
                let offered = spare.len();
                let count = read(&mut [IoSliceMut::new(spare)])?;
                self.expected = read_buffer.expect(self.expected, count, offered);
                if count > 0 {
                    self.backlog = None;
                }
                Ok(Filled {
                    count,
                    offered,
                    fresh: Fresh {
                        length: if count > 0 { length + count } else { 0 },
                        progress,
                    },
                })
            }
        }
    }

    /// Cuts what a [`Self::fill`] brought into `batch`, at most `limit` messages.
    pub fn decode_filled(
        &mut self,
        filled: &Filled,
        read_buffer: &mut ReadBuffer,
        decoder: Decoder<'_>,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let taken = match self.backlog {
            None => Taken::default(),
            Some(_) => self.decode_held_back(read_buffer, decoder, batch, slot, limit),
        };
        let Fresh {
            length,
            mut progress,
        } = filled.fresh;
        if length == 0 || !taken.goes_on() {
            return taken;
        }
        debug_assert!(
            self.backlog.is_none(),
            "only an exact region is followed by fresh bytes"
        );
        let tail = read_buffer.tail();
        let input = Input {
            bytes: tail.uncommitted(length),
            chunk: tail.chunk(),
            start: tail.filled(),
        };
        let limit = limit - taken.count;
        let (consumed, more) = progress.decode(input, decoder, batch, slot, limit);
        tail.commit(consumed);
        if more.count > 0 {
            self.large = 0;
        }
        let room = if more.error.is_some() || consumed == length {
            self.claim.release();
            Room::Enough
        } else if more.count == limit {
            self.rest = Rest::HeldBack;
            self.hold_back(length - consumed, progress, read_buffer)
        } else {
            self.rest = Rest::Unfinished;
            self.keep(length - consumed, progress, read_buffer)
        };
        Taken {
            count: taken.count + more.count,
            error: more.error,
            excerpt: more.excerpt,
            room,
        }
    }

    /// Cuts the backlog into `batch`, at most `limit` messages.
    pub fn decode_held_back(
        &mut self,
        read_buffer: &mut ReadBuffer,
        decoder: Decoder<'_>,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let Some(Backlog {
            mut memory,
            mut progress,
        }) = self.backlog.take()
        else {
            return Taken::default();
        };
        let needed = progress.needed;
        let is_untouched = memory.is_untouched();
        let (consumed, mut taken) = match &memory {
            Memory::Copied { bytes, start } => {
                // JavaScript knows chunks only. What is handed over goes into the one that it gets anyway.
                let bytes = &bytes[*start..];
                if read_buffer.make_room(bytes.len()).is_err() {
                    return Taken {
                        room: self.give_up(Room::OutOfMemory),
                        ..Taken::default()
                    };
                }
                let tail = read_buffer.tail();
                let input = Input {
                    bytes,
                    chunk: tail.chunk(),
                    start: tail.filled(),
                };
                let (consumed, taken) = progress.decode(input, decoder, batch, slot, limit);
                tail.copy_in(&bytes[..consumed]);
                (consumed, taken)
            }
            Memory::Placed(slice) => {
                let input = Input {
                    bytes: slice.as_ref(),
                    chunk: slice.chunk(),
                    start: slice.start(),
                };
                progress.decode(input, decoder, batch, slot, limit)
            }
            Memory::Own { region, start } => {
                let input = Input {
                    bytes: region.committed_from(*start),
                    chunk: region.chunk(),
                    start: *start,
                };
                let (consumed, taken) = progress.decode(input, decoder, batch, slot, limit);
                if taken.count > 0 {
                    self.large = needed
                        .filter(|&size| read_buffer.is_large(size))
                        .map_or(0, |size| read_buffer.cost(size));
                }
                (consumed, taken)
            }
        };
        memory.advance(consumed);
        let backlog = Backlog { memory, progress };
        if taken.error.is_some() || backlog.memory.bytes().is_empty() {
            self.forget();
            // Messages of another batch may have views into it.
            if is_untouched && let Memory::Own { region, .. } = backlog.memory {
                read_buffer.hand_over(region);
            }
        } else if taken.count == limit {
            self.rest = Rest::HeldBack;
            self.backlog = Some(backlog);
        } else {
            self.rest = Rest::Unfinished;
            taken.room = self.keep_on(backlog, read_buffer);
        }
        taken
    }

    /// The connection waits, for how long is for others to say: a few messages that are held back do not keep a chunk
    /// meanwhile.
    pub fn withdraw(&mut self) {
        if let Some(Backlog { memory, .. }) = &mut self.backlog
            && self.rest == Rest::HeldBack
            && let Some(chunk) = memory.chunk()
            && memory.bytes().len() <= max_copied(chunk.capacity())
            && let Ok(copy) = copied(memory.bytes())
            && self.claim.change(copy.bytes().len())
        {
            *memory = copy;
        }
    }

    /// Holds the next `length` bytes of the tail back.
    fn hold_back(
        &mut self,
        length: usize,
        progress: Progress,
        read_buffer: &mut ReadBuffer,
    ) -> Room {
        // They are handed over soon, so that they stay where they are while there is plenty of memory.
        let memory = if self.claim.change_if_plenty(read_buffer.cost(length)) {
            Ok(Memory::Placed(read_buffer.tail().share(length)))
        } else if self.claim.change(length) {
            copied(read_buffer.tail().uncommitted(length))
        } else {
            return self.give_up(Room::Exhausted);
        };
        self.keep_in(memory, progress)
    }

    /// Keeps the next `length` bytes of the tail, which a message begins with.
    fn keep(&mut self, length: usize, progress: Progress, read_buffer: &mut ReadBuffer) -> Room {
        let (size, ahead) = (progress.growth(length), progress.ahead(length, self.large));
        let memory = if length <= read_buffer.max_copied() {
            if !self.claim.change(length) {
                return self.give_up(Room::Exhausted);
            }
            copied(read_buffer.tail().uncommitted(length))
        } else if self.claim.change_if_plenty(read_buffer.cost(ahead)) {
            let region = read_buffer.reserve_around(length, ahead);
            region.map(|region| own(region, length))
        } else if self.claim.change(size) {
            let region = read_buffer.reserve_alone(size);
            region.map(|region| own_copy(region, read_buffer.tail().uncommitted(length)))
        } else {
            return self.give_up(Room::Exhausted);
        };
        self.keep_in(memory, progress)
    }

    /// Keeps a backlog that is the beginning of a message, with room for more of it.
    fn keep_on(&mut self, backlog: Backlog, read_buffer: &mut ReadBuffer) -> Room {
        let Backlog { memory, progress } = backlog;
        let bytes = memory.bytes();
        let length = bytes.len();
        let (size, ahead) = (progress.growth(length), progress.ahead(length, self.large));
        let memory = match &memory {
            Memory::Copied { start: 0, .. } if length <= read_buffer.max_copied() => Ok(memory),
            _ if length <= read_buffer.max_copied() => {
                if !self.claim.change(length) {
                    return self.give_up(Room::Exhausted);
                }
                copied(bytes)
            }
            Memory::Own { region, .. } if region.remaining() > 0 => Ok(memory),
            _ => {
                let region = if self.claim.change_if_plenty(read_buffer.cost(ahead)) {
                    read_buffer.reserve(ahead)
                } else if self.claim.change(size) {
                    read_buffer.reserve_alone(size)
                } else {
                    return self.give_up(Room::Exhausted);
                };
                region.map(|region| own_copy(region, bytes))
            }
        };
        self.keep_in(memory, progress)
    }

    /// Keeps what is in `memory`, for which the claim was made, if there was any.
    fn keep_in(&mut self, memory: Result<Memory, OutOfMemory>, progress: Progress) -> Room {
        match memory {
            Ok(memory) => {
                self.backlog = Some(Backlog { memory, progress });
                Room::Enough
            }
            Err(OutOfMemory) => self.give_up(Room::OutOfMemory),
        }
    }

    /// Lets everything go, because of `lack`.
    fn give_up(&mut self, lack: Room) -> Room {
        self.forget();
        lack
    }
}

/// What a read that begins with a message probably brings, and the most that it may. Of a large one only as much as tells how
/// large it is: it is copied, and the rest is read right into a region.
#[inline]
fn next_read(large: usize, expected: usize, claim: &Claim) -> (usize, usize) {
    match large {
        0 => (expected, claim.room()),
        _ => (0, claim.room().min(FIRST_OF_LARGE)),
    }
}

/// Why nothing was read.
#[derive(Debug)]
pub enum Unfilled<E> {
    /// There is no memory to read into.
    OutOfMemory,
    /// The reader has refused.
    Refused(E),
}

impl<E> From<OutOfMemory> for Unfilled<E> {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// What one read brought.
pub struct Filled {
    /// Bytes read; 0 is the peer's end.
    pub count: usize,
    /// Bytes that there was room for.
    pub offered: usize,
    fresh: Fresh,
}

/// Whether what could not be handed over is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// It is.
    #[default]
    Enough,
    /// It is gone: all connections together hold as much as they may.
    Exhausted,
    /// It is gone: the system has no memory for it.
    OutOfMemory,
}

/// How many messages were cut, and why no further one can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages now in the batch.
    pub count: usize,
    /// What is wrong with the bytes after them.
    pub error: Option<FrameError>,
    /// What those bytes look like.
    pub excerpt: Option<Excerpt>,
    /// What became of the bytes after them.
    pub room: Room,
}

impl Taken {
    fn goes_on(&self) -> bool {
        self.error.is_none() && self.room == Room::Enough
    }
}

/// Bytes from which frames are cut, and where they are when they are handed over: from `start` on in `chunk`.
#[derive(Clone, Copy)]
struct Input<'a> {
    bytes: &'a [u8],
    chunk: &'a Chunk,
    start: usize,
}

#[cfg(test)]
mod tests;
