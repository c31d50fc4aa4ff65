//! Where sockets are read into: the tail of a chunk that all connections of a poller share.

use std::time::Instant;

use super::large_regions::LargeRegions;
use super::{Chunk, ChunkPool, OutOfMemory, Region};

/// The least that one read is offered. With less left, a chunk is done.
const MIN_READ: usize = 16 * 1024;
/// The most that one read takes: what one busy peer gets of a turn.
const MAX_READ: usize = 128 * 1024;
/// The most that is copied out of the tail, so that it does not keep a chunk.
const MAX_COPIED: usize = 16 * 1024;

/// The most that is copied out of a chunk of `chunk_size` bytes, so as not to keep it. A quarter at most, so that what is
/// read next fits in behind it.
pub(crate) fn max_copied(chunk_size: usize) -> usize {
    MAX_COPIED.min(chunk_size / 4)
}

/// Hands out fresh memory, packed into as few chunks as possible.
pub struct ReadBuffer {
    pool: ChunkPool,
    tail: Region,
    /// Where in the tail's chunk the bytes of the batch begin that is being filled.
    batch_start: usize,
    large: LargeRegions,
    max_read: usize,
}

impl ReadBuffer {
    /// Takes its chunks from `pool`.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn new(pool: ChunkPool) -> Result<Self, OutOfMemory> {
        let tail = Region::over(pool.try_take()?);
        let max_read = MAX_READ.min(pool.chunk_size() / 2).max(1);
        let large = LargeRegions::new(pool.cached_bytes_limit());
        Ok(Self {
            pool,
            tail,
            batch_start: 0,
            large,
            max_read,
        })
    }

    /// The shared tail as the last read left it.
    pub fn tail(&mut self) -> &mut Region {
        &mut self.tail
    }

    /// What is read from now on is for another batch.
    pub fn begin_batch(&mut self) {
        self.batch_start = self.tail.filled();
        self.large.begin_batch();
    }

    /// Reads into the memory of the last batch again, whose consumer does not look at it any more. `is_free` tells it of the
    /// chunk. A connection that has kept some of what was read, or sends it, keeps all of it.
    pub fn reuse_batch(&mut self, is_free: impl Fn(&Chunk) -> bool) {
        self.large.reuse_batch(&is_free);
        if self.tail.filled() > self.batch_start && is_free(self.tail.chunk()) {
            self.tail.rewind(self.batch_start);
        }
    }

    /// A connection has handed over all that it has filled of `region`, within the batch that is being filled, and will not
    /// fill the rest.
    pub(crate) fn hand_over(&mut self, region: Region) {
        let capacity = region.chunk().capacity();
        let is_usual = self.cost(capacity) == capacity && self.is_large(capacity);
        if is_usual && region.has_whole_chunk() {
            self.large.hand_over(region);
        }
    }

    /// Lets go of memory of large messages that was not used again for long. To be called in each turn.
    pub fn let_go_unused(&mut self, now: Instant) {
        self.large.let_go_unused(now);
    }

    /// When [`Self::let_go_unused`] is to be called, at the latest.
    #[must_use]
    pub fn next_look(&self) -> Option<Instant> {
        self.large.look_at()
    }

    /// Up to here, what remains of a read is copied out of the tail.
    #[must_use]
    pub fn max_copied(&self) -> usize {
        max_copied(self.pool.chunk_size())
    }

    /// The shared tail's next bytes, for one read that will probably bring `expected`: cutting it short
    /// would tear a message, or a burst of them. Begins a chunk where the last one has too few left.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn spare(&mut self, expected: usize) -> Result<&mut [u8], OutOfMemory> {
        self.spare_behind(&[], expected, usize::MAX)
    }

    /// As [`Self::spare`], behind a copy of `before`, and for a read of at most `max`, but never of less than is always
    /// offered.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn spare_behind(
        &mut self,
        before: &[u8],
        expected: usize,
        max: usize,
    ) -> Result<&mut [u8], OutOfMemory> {
        let min = expected.clamp(MIN_READ.min(self.max_read), self.max_read);
        let start = before.len();
        self.make_room(start + min)?;
        let length = (self.tail.remaining() - start)
            .min(self.max_read)
            .min(max.max(MIN_READ));
        let spare = self.tail.spare();
        // Nothing is before, as a rule.
        if start > 0 {
            spare[..start].copy_from_slice(before);
        }
        Ok(&mut spare[start..start + length])
    }

    /// Sees to room for `count` bytes in the tail.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the tail stays as it is.
    pub fn make_room(&mut self, count: usize) -> Result<(), OutOfMemory> {
        if self.tail.remaining() < count {
            self.begin_chunk(count)?;
        }
        Ok(())
    }

    #[cold]
    fn begin_chunk(&mut self, count: usize) -> Result<(), OutOfMemory> {
        let usual = self.pool.try_take_at_least(count);
        // Where memory is short, as much as is needed now.
        let chunk = usual.or_else(|OutOfMemory| self.pool.try_take_exactly(count))?;
        self.tail = Region::over(chunk);
        self.batch_start = 0;
        Ok(())
    }

    /// What the next read will probably bring, after one that brought `count` of the `offered`.
    #[must_use]
    pub fn expect(&self, before: usize, count: usize, offered: usize) -> usize {
        let seen = if count == offered { 2 * count } else { count };
        // Large reads are remembered for a while.
        seen.max(before - before / 8).min(self.max_read)
    }

    /// What a region of [`Self::reserve`] keeps from others: a whole chunk, because its bytes may be a part of one.
    #[must_use]
    pub fn cost(&self, size: usize) -> usize {
        self.pool.capacity_for(size)
    }

    /// Whether a region of so many bytes is no part of the shared tail.
    #[must_use]
    pub fn is_large(&self, size: usize) -> bool {
        size > self.pool.chunk_size() / 2
    }

    /// A region of exactly `size` bytes for one connection alone. It may be a part of the shared tail.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn reserve(&mut self, size: usize) -> Result<Region, OutOfMemory> {
        if size > self.tail.remaining() {
            if self.is_large(size) {
                return self.reserve_large(size);
            }
            self.make_room(size)?;
        }
        Ok(self.tail.split(size))
    }

    /// As [`Self::reserve`], begun with the next `count` bytes of the tail, which a read has filled. They stay where they
    /// are, if there is room for the others behind them.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn reserve_around(&mut self, count: usize, size: usize) -> Result<Region, OutOfMemory> {
        if size <= self.tail.remaining() {
            let mut region = self.tail.split(size);
            region.commit(count);
            return Ok(region);
        }
        if self.is_large(size) {
            let mut region = self.reserve_large(size)?;
            region.copy_in(self.tail.uncommitted(count));
            return Ok(region);
        }
        let begun = self.tail.share(count);
        let mut region = self.reserve(size)?;
        region.copy_in(begun.as_ref());
        Ok(region)
    }

    /// A region of `size` bytes, with memory of a message before it if that has come back.
    fn reserve_large(&mut self, size: usize) -> Result<Region, OutOfMemory> {
        if let Some(region) = self.large.take(self.pool.capacity_for(size)) {
            return Ok(region.limit(size));
        }
        Ok(Region::over(self.pool.try_take_at_least(size)?).limit(size))
    }

    /// A region of exactly `size` bytes, in memory that no other holder has a part of.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn reserve_alone(&self, size: usize) -> Result<Region, OutOfMemory> {
        Ok(Region::over(self.pool.try_take_exactly(size)?).limit(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_always_offered_enough() {
        let mut read_buffer = ReadBuffer::new(ChunkPool::new(1024, 4)).expect("there is memory");
        for _ in 0..10 {
            assert!(read_buffer.spare(512).expect("there is memory").len() >= 512);
            read_buffer.tail().commit(300);
        }
    }

    #[test]
    fn reserved_regions_have_their_exact_size() {
        let mut read_buffer = ReadBuffer::new(ChunkPool::new(1024, 4)).expect("there is memory");
        for size in [1, 100, 512, 513, 1024, 5000] {
            let region = read_buffer.reserve(size).expect("there is memory");
            assert_eq!(region.remaining(), size);
        }
    }
}
