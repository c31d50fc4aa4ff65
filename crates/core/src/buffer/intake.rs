//! Where sockets are read into: the tail of a chunk that all connections of a poller share.

use super::{ChunkPool, Region};

/// The least that one read is offered. With less left, a chunk is done.
const LEAST_READ: usize = 16 * 1024;
/// The most that one read takes: what one busy peer gets of a turn.
const MOST_READ: usize = 128 * 1024;

/// Hands out fresh memory, packed into as few chunks as possible.
pub struct Intake {
    pool: ChunkPool,
    tail: Region,
    most_read: usize,
}

impl Intake {
    /// Takes its chunks from `pool`.
    #[must_use]
    pub fn new(pool: ChunkPool) -> Self {
        let tail = Region::over(pool.take());
        let most_read = MOST_READ.min(pool.chunk_size() / 2).max(1);
        Self {
            pool,
            tail,
            most_read,
        }
    }

    /// The shared tail as the last read left it.
    pub fn tail(&mut self) -> &mut Region {
        &mut self.tail
    }

    /// The shared tail's next bytes, for one read that will probably bring `expected`: cutting it short
    /// would tear a message, or a burst of them. Begins a chunk where the last one has too few left.
    pub fn spare(&mut self, expected: usize) -> &mut [u8] {
        let least = expected.clamp(LEAST_READ.min(self.most_read), self.most_read);
        if self.tail.remaining() < least {
            self.tail = Region::over(self.pool.take());
        }
        let length = self.tail.remaining().min(self.most_read);
        &mut self.tail.spare()[..length]
    }

    /// What the next read will probably bring, after one that brought `count` of the `offered`.
    #[must_use]
    pub fn expect(&self, before: usize, count: usize, offered: usize) -> usize {
        let seen = if count == offered { 2 * count } else { count };
        // Large reads are remembered for a while.
        seen.max(before - before / 8).min(self.most_read)
    }

    /// A region of exactly `size` bytes for one connection alone.
    pub fn reserve(&mut self, size: usize) -> Region {
        if size <= self.tail.remaining() {
            return self.tail.split(size);
        }
        if size <= self.pool.chunk_size() / 2 {
            self.tail = Region::over(self.pool.take());
            return self.tail.split(size);
        }
        Region::over(self.pool.take_at_least(size)).split(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_always_offered_enough() {
        let mut intake = Intake::new(ChunkPool::new(1024, 4));
        for _ in 0..10 {
            assert!(intake.spare(512).len() >= 512);
            intake.tail().commit(300);
        }
    }

    #[test]
    fn reserved_regions_have_their_exact_size() {
        let mut intake = Intake::new(ChunkPool::new(1024, 4));
        for size in [1, 100, 512, 513, 1024, 5000] {
            assert_eq!(intake.reserve(size).remaining(), size);
        }
    }
}
