//! What has arrived on one connection and is not a whole message yet.

use std::io::IoSliceMut;

use crate::batch::{Batch, RecordKind};
use crate::buffer::{Intake, Region};
use crate::frame::{Cut, Cutter, FrameError};

/// First size of a region for a message whose length is not known yet.
const SMALLEST_REGION: usize = 4 * 1024;
/// A message of known length gets all of its space once this much, or half of it, has arrived. Until
/// then its region doubles, so that a header alone makes nobody reserve 16 MiB.
const TRUSTED_REGION: usize = 16 * 1024;

/// Bytes `start..region.filled()` that could not be cut yet.
struct Backlog {
    region: Region,
    start: usize,
    /// Bytes from `start` that need not be searched for a delimiter again.
    scanned: usize,
    /// Bytes of the frame at `start`, where its header has told.
    needed: Option<usize>,
}

impl Backlog {
    fn length(&self) -> usize {
        self.region.filled() - self.start
    }

    /// Whether the region ends where the frame does, so that what follows may be read elsewhere.
    fn is_exact(&self) -> bool {
        self.needed == Some(self.length() + self.region.remaining())
    }

    /// How much space the next region takes: enough for the frame, or twice what is there.
    fn growth(&self) -> usize {
        let doubled = 2 * self.length();
        match self.needed {
            Some(total) => total.min(doubled.max(TRUSTED_REGION)),
            None => doubled.max(SMALLEST_REGION),
        }
    }
}

/// The unfinished input of a connection. Most connections have none between two reads, and their
/// messages are handed over where the socket was read to.
#[derive(Default)]
pub struct Inbound {
    backlog: Option<Backlog>,
    /// What the next read will probably bring.
    expected: usize,
    /// Whether the backlog may hold a whole message that found no room.
    held_back: bool,
}

/// Bytes of the tail that were just read.
#[derive(Clone, Copy)]
struct Fresh {
    start: usize,
    end: usize,
}

impl Inbound {
    /// Whether messages may be waiting for room, without a read.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Whether the peer has begun a message and not finished it.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.backlog.is_some() && !self.held_back
    }

    /// Whether everything that was read has been handed over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backlog.is_none()
    }

    /// Bytes of memory reserved for this connection alone.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.backlog
            .as_ref()
            .map_or(0, |backlog| backlog.length() + backlog.region.remaining())
    }

    /// Lets everything go.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes `read` fill the right memory. `read` gets one or two pieces of memory and returns how many bytes it filled, in order.
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn fill<E>(
        &mut self,
        intake: &mut Intake,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<Filled, E> {
        let Some(backlog) = &mut self.backlog else {
            let spare = intake.spare(self.expected);
            let offered = spare.len();
            let count = read(&mut [IoSliceMut::new(spare)])?;
            self.expected = intake.expect(self.expected, count, offered);
            let fresh = Self::commit_fresh(intake, count);
            return Ok(Filled {
                count,
                offered,
                fresh,
            });
        };
        if backlog.region.remaining() == 0 {
            let mut region = intake.reserve(backlog.growth());
            let start = region.filled();
            region.append(backlog.region.committed_from(backlog.start));
            backlog.region = region;
            backlog.start = start;
        }
        let exact = backlog.is_exact();
        let own = backlog.region.spare();
        let own_length = own.len();
        if !exact {
            let count = read(&mut [IoSliceMut::new(own)])?;
            backlog.region.commit(count);
            let fresh = Self::commit_fresh(intake, 0);
            return Ok(Filled {
                count,
                offered: own_length,
                fresh,
            });
        }
        let spare = intake.spare(self.expected);
        let offered = own_length + spare.len();
        let count = read(&mut [IoSliceMut::new(own), IoSliceMut::new(spare)])?;
        backlog.region.commit(count.min(own_length));
        let fresh = Self::commit_fresh(intake, count.saturating_sub(own_length));
        Ok(Filled {
            count,
            offered,
            fresh,
        })
    }

    fn commit_fresh(intake: &mut Intake, count: usize) -> Fresh {
        let tail = intake.tail();
        let start = tail.filled();
        tail.commit(count);
        Fresh {
            start,
            end: start + count,
        }
    }

    /// Cuts what a [`Self::fill`] brought into `batch`, at most `limit` messages.
    pub fn cut_filled(
        &mut self,
        filled: &Filled,
        intake: &mut Intake,
        cutter: Cutter<'_>,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let mut taken = self.cut_held_back(cutter, batch, slot, limit);
        let Fresh { start, end } = filled.fresh;
        if start == end || taken.error.is_some() {
            return taken;
        }
        debug_assert!(
            self.backlog.is_none(),
            "only an exact region is followed by fresh bytes"
        );
        let tail = intake.tail();
        let mut run = Run {
            start,
            scanned: 0,
            needed: None,
        };
        let more = run.cut(tail, cutter, batch, slot, limit - taken.count);
        taken = Taken {
            count: taken.count + more.count,
            error: more.error,
        };
        if run.start < end {
            self.held_back = taken.count == limit;
            self.backlog = Some(Backlog {
                region: Region::full(tail.chunk().clone(), end),
                start: run.start,
                scanned: run.scanned,
                needed: run.needed,
            });
        }
        taken
    }

    /// Cuts the backlog into `batch`, at most `limit` messages.
    pub fn cut_held_back(
        &mut self,
        cutter: Cutter<'_>,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let Some(backlog) = &mut self.backlog else {
            return Taken::default();
        };
        let mut run = Run {
            start: backlog.start,
            scanned: backlog.scanned,
            needed: backlog.needed,
        };
        let taken = run.cut(&backlog.region, cutter, batch, slot, limit);
        if run.start == backlog.region.filled() {
            self.backlog = None;
            self.held_back = false;
        } else {
            self.held_back = taken.count == limit;
            backlog.start = run.start;
            backlog.scanned = run.scanned;
            backlog.needed = run.needed;
        }
        taken
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

/// How many messages were cut, and why no further one can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages now in the batch.
    pub count: usize,
    /// What is wrong with the bytes after them.
    pub error: Option<FrameError>,
}

/// A place in committed bytes from which frames are cut.
struct Run {
    start: usize,
    scanned: usize,
    needed: Option<usize>,
}

impl Run {
    /// The loop that every message passes: no allocation, and no reference count but one per call.
    fn cut(
        &mut self,
        region: &Region,
        cutter: Cutter<'_>,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let mut bytes = region.committed_from(self.start);
        let mut chunk_index = None;
        let mut count = 0;
        while count < limit && !bytes.is_empty() {
            match cutter.framing.cut(bytes, self.scanned) {
                Err(error) => {
                    return Taken {
                        count,
                        error: Some(error),
                    };
                }
                Ok(Cut::Frame { total, start, end }) => {
                    let chunk =
                        *chunk_index.get_or_insert_with(|| batch.chunk_index(region.chunk()));
                    let id_field = cutter.id_field.as_ref();
                    if let Some(id) = id_field.and_then(|field| field.read(&bytes[start..end])) {
                        batch.count(slot, RecordKind::Correlation, id);
                    }
                    batch.message(slot, chunk, self.start + start, end - start);
                    *self = Self {
                        start: self.start + total,
                        scanned: 0,
                        needed: None,
                    };
                    bytes = &bytes[total..];
                    count += 1;
                }
                Ok(Cut::Short { total }) => {
                    self.needed = Some(total);
                    break;
                }
                Ok(Cut::Unknown { scanned }) => {
                    self.scanned = scanned;
                    break;
                }
            }
        }
        Taken { count, error: None }
    }
}

#[cfg(test)]
mod tests;
