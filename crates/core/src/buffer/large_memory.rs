//! Free memory of large chunks, for the next messages of that size.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use super::chunk::Memory;

/// How long free memory waits once no large chunk is taken. Looked at a few times a second, so that all of it is given back
/// within one.
pub(super) const MAX_IDLE: Duration = Duration::from_millis(400);
/// Smaller memory is made to measure, and freed: what is kept is looked through.
const MIN_KEPT: usize = 64 * 1024;
/// Sizes between a power of two and the next: at most a sixteenth is added to what is asked for.
const SIZES: usize = 16;

/// The size of the memory in which `size` bytes get room: messages that differ a little use the same.
pub(super) fn rounded(size: usize) -> usize {
    if size < MIN_KEPT {
        return size;
    }
    let power = size.checked_next_power_of_two();
    let step = power.map_or(1, |power| power / (2 * SIZES));
    size.checked_next_multiple_of(step).unwrap_or(size)
}

/// Bounded by its bytes, and only there while a keeper sees to it that what is not used goes. The oldest gives way to what
/// comes back, because it shows the sizes that are in use now.
pub(super) struct LargeMemory {
    limit: usize,
    /// In the order in which they came back.
    free: VecDeque<Memory>,
    bytes: usize,
    /// When a large chunk was last taken.
    used: Option<Instant>,
    keepers: usize,
}

impl LargeMemory {
    /// At most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            free: VecDeque::new(),
            bytes: 0,
            used: None,
            keepers: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memory of this size that came back last, which is the warmest.
    pub(super) fn take(&mut self, capacity: usize, now: Instant) -> Option<Memory> {
        self.used = Some(now);
        let is_fit = |memory: &Memory| memory.capacity() == capacity;
        let index = self.free.iter().rposition(is_fit)?;
        let memory = self.free.remove(index)?;
        self.bytes -= capacity;
        Some(memory)
    }

    /// What gives way to memory of this size; to be asked until there is none.
    pub(super) fn make_room(&mut self, capacity: usize) -> Option<Memory> {
        let is_kept = self.keeps(capacity) && self.bytes + capacity > self.limit;
        is_kept.then(|| self.take_oldest()).flatten()
    }

    /// Keeps `memory`, or gives it back to be freed.
    pub(super) fn give(&mut self, memory: Memory) -> Option<Memory> {
        let capacity = memory.capacity();
        let has_room = self.keeps(capacity) && self.bytes + capacity <= self.limit;
        if !has_room || self.free.try_reserve(1).is_err() {
            return Some(memory);
        }
        self.bytes += capacity;
        self.free.push_back(memory);
        None
    }

    fn keeps(&self, capacity: usize) -> bool {
        let is_usual = (MIN_KEPT..=self.limit).contains(&capacity) && rounded(capacity) == capacity;
        self.keepers > 0 && is_usual
    }

    /// What waits although no large chunk was taken for long; to be asked until there is none.
    pub(super) fn take_idle(&mut self, now: Instant) -> Option<Memory> {
        let idle = self.used.map(|used| now.saturating_duration_since(used));
        let is_used = idle.is_some_and(|idle| idle < MAX_IDLE);
        (!is_used).then(|| self.take_oldest()).flatten()
    }

    /// Gives up everything.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        self.bytes = 0;
        mem::take(&mut self.free)
    }

    pub(super) fn add_keeper(&mut self) {
        self.keepers += 1;
    }

    /// One keeper has gone; with the last goes everything.
    pub(super) fn remove_keeper(&mut self) -> Option<impl Sized + use<>> {
        self.keepers -= 1;
        (self.keepers == 0).then(|| self.clear())
    }

    /// Whether a keeper has to stay for what is left: there is no other.
    pub(super) fn needs_last_keeper(&self) -> bool {
        self.keepers == 1 && !self.free.is_empty()
    }

    fn take_oldest(&mut self) -> Option<Memory> {
        let oldest = self.free.pop_front()?;
        self.bytes -= oldest.capacity();
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Chunk, ChunkPool, Region};
    use super::*;

    const KIB: usize = 1024;

    /// It keeps 16 ordinary chunks, or as many bytes of large ones.
    fn pool() -> ChunkPool {
        ChunkPool::new(64 * KIB, 16)
    }

    fn large_bytes(pool: &ChunkPool) -> usize {
        let stats = pool.stats();
        stats.cached_bytes - stats.cached * pool.chunk_size()
    }

    fn taken(pool: &ChunkPool, size: usize, count: usize) -> Vec<Chunk> {
        (0..count).map(|_| pool.take_at_least(size)).collect()
    }

    #[test]
    fn sizes_are_rounded_by_a_sixteenth_at_most_and_any_number_is_one() {
        for size in (1..40_000).map(|step| step * 97) {
            let rounded_size = rounded(size);
            assert!(size <= rounded_size && rounded_size <= size + size / 16 + 1);
            assert_eq!(rounded(rounded_size), rounded_size);
        }
        for size in [0, 1, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
            assert!(rounded(size) >= size);
        }
    }

    #[test]
    fn a_large_chunk_that_came_back_is_taken_again_while_there_is_a_keeper() {
        let pool = pool();
        drop(pool.take_at_least(200 * KIB));
        assert_eq!(large_bytes(&pool), 0, "no keeper would let go of it");
        let keeper = pool.keep_large();
        let mut region = Region::over(pool.take_at_least(200 * KIB));
        let view = region.append(b"seen");
        drop(region);
        let other = pool.take_at_least(200 * KIB);
        assert_ne!(view.chunk().as_ptr(), other.as_ptr(), "it is still seen");
        drop(other);
        let kept = large_bytes(&pool);
        assert_eq!(kept, pool.capacity_for(200 * KIB));
        let again = pool.take_at_least(200 * KIB - 1);
        assert_eq!(large_bytes(&pool), 0);
        drop((view, again));
        assert_eq!(large_bytes(&pool), 2 * kept);
        drop(keeper);
        assert_eq!(large_bytes(&pool), 0);
    }

    #[test]
    fn however_much_comes_back_the_bound_holds_and_what_came_last_is_kept() {
        let pool = pool();
        let _keeper = pool.keep_large();
        for size in [128, 1024, 200, 100, 1024] {
            let capacity = pool.capacity_for(size * KIB);
            drop(taken(&pool, size * KIB, 50));
            let most = 16 * 64 * KIB;
            assert!(large_bytes(&pool) <= most);
            assert!(large_bytes(&pool) + 2 * capacity > most);
            let hits = pool.stats().hits;
            drop(pool.take_at_least(size * KIB));
            assert_eq!(pool.stats().hits, hits + 1, "{size} KiB");
        }
        let before = large_bytes(&pool);
        drop(pool.take_at_least(2 * 1024 * KIB));
        drop(pool.take_exactly(300 * KIB + 1));
        assert_eq!(
            large_bytes(&pool),
            before,
            "too large, and of no usual size"
        );
    }

    #[test]
    fn what_waits_for_long_is_given_up_and_what_is_in_use_is_not() {
        let pool = pool();
        let keeper = pool.keep_large();
        let capacity = pool.capacity_for(128 * KIB);
        drop(taken(&pool, 128 * KIB, 4));
        keeper.sweep(Instant::now());
        assert_eq!(large_bytes(&pool), 4 * capacity);
        let later = Instant::now() + MAX_IDLE;
        let used = pool.take_at_least(128 * KIB);
        keeper.sweep(Instant::now());
        assert_eq!(large_bytes(&pool), 3 * capacity, "one was just taken");
        keeper.sweep(later + MAX_IDLE);
        assert_eq!(large_bytes(&pool), 0);
        drop(used);
        assert!(keeper.is_needed());
        let other = pool.keep_large();
        assert!(!keeper.is_needed() && !other.is_needed(), "either will do");
        drop(keeper);
        assert!(other.is_needed());
        assert_eq!(large_bytes(&pool), capacity);
        other.sweep(Instant::now() + MAX_IDLE);
        assert!(!other.is_needed());
    }
}
