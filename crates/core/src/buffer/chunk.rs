//! Chunks and the pool that they return to.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::OutOfMemory;
use super::counted::{Counts, Inner, Outer};
use super::large_memory::{LargeMemory, rounded};
use super::settled::Settled;
use crate::sync::{Arc, Mutex, MutexGuard};

/// One owned, zero-initialised allocation.
pub(super) struct Memory {
    pointer: NonNull<u8>,
    capacity: usize,
}

// SAFETY: `Memory` owns its allocation alone, and nothing about it is tied to a thread.
unsafe impl Send for Memory {}
// SAFETY: through a shared `Memory` only the address can be read; access to the bytes is
// governed by `Region` and `Slice`.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeroed, so that every byte of a chunk is initialised before a socket is read into it.
    fn allocate(capacity: usize) -> Result<Self, OutOfMemory> {
        let capacity = capacity.max(1);
        let layout = Layout::array::<u8>(capacity).map_err(|_| OutOfMemory)?;
        // SAFETY: `capacity` is at least 1, so the layout is not of size zero.
        let pointer = unsafe { alloc_zeroed(layout) };
        let pointer = NonNull::new(pointer).ok_or(OutOfMemory)?;
        Ok(Self { pointer, capacity })
    }

    /// Size in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Of memory that was allocated, so that there is a layout of that size.
    fn layout(&self) -> Layout {
        // SAFETY: `allocate` has made the same layout, and checked it.
        unsafe { Layout::from_size_align_unchecked(self.capacity, align_of::<u8>()) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `allocate` with the same layout, and freed once, here.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout()) };
    }
}

struct ChunkPoolState {
    chunk_size: usize,
    cached_limit: usize,
    free: Mutex<Vec<Memory>>,
    large: Mutex<LargeMemory>,
    live: AtomicUsize,
    kept: AtomicUsize,
    live_bytes: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl ChunkPoolState {
    /// A panic while the list was held cannot have left it half-changed: `push` and `pop` are whole.
    fn free(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn large(&self) -> MutexGuard<'_, LargeMemory> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees all that `take` gives, one at a time and without the lock: that takes the system a while.
    fn free_large(&self, mut take: impl FnMut(&mut LargeMemory) -> Option<Memory>) {
        loop {
            let taken = take(&mut self.large());
            if taken.is_none() {
                break;
            }
        }
    }

    fn give_large(&self, memory: Memory) {
        let capacity = memory.capacity;
        self.free_large(|large| large.make_room(capacity));
        let refused = self.large().give(memory);
        drop(refused);
    }
}

/// A thread-safe source of chunks. Clones share one pool; it lives as long as any chunk of it.
///
/// ```
/// use netpoll_core::ChunkPool;
///
/// let pool = ChunkPool::new(4096, 1);
/// drop(pool.take());
/// let again = pool.take();
/// assert_eq!(again.capacity(), 4096);
/// assert_eq!((pool.stats().hits, pool.stats().misses), (1, 1));
/// ```
#[derive(Clone)]
pub struct ChunkPool(Arc<ChunkPoolState>);

/// What a pool holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Chunks in use: referred to by a poller, a connection or JavaScript.
    pub live: usize,
    /// Chunks in use that are kept for ever.
    pub kept: usize,
    /// Bytes of the chunks in use.
    pub live_bytes: usize,
    /// Free chunks of the ordinary size kept for reuse.
    pub cached: usize,
    /// Bytes of all free chunks kept for reuse, those of large ones included.
    pub cached_bytes: usize,
    /// Chunks that were served from the cache, since the start.
    pub hits: u64,
    /// Chunks that had to be allocated, since the start.
    pub misses: u64,
}

impl ChunkPool {
    /// Chunks of `chunk_size` bytes, of which at most `cached_limit` free ones are kept. Of larger ones as many bytes
    /// are, see [`Self::keep_large`].
    #[must_use]
    pub fn new(chunk_size: usize, cached_limit: usize) -> Self {
        Self(Arc::new(ChunkPoolState {
            chunk_size,
            cached_limit,
            free: Mutex::new(Vec::new()),
            large: Mutex::new(LargeMemory::new(chunk_size.saturating_mul(cached_limit))),
            live: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            live_bytes: AtomicUsize::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// Size in bytes of an ordinary chunk.
    #[must_use]
    pub fn chunk_size(&self) -> usize {
        self.0.chunk_size
    }

    /// The most that free chunks of the ordinary size have together, and the most that large ones have.
    pub(super) fn cached_bytes_limit(&self) -> usize {
        self.0.chunk_size.saturating_mul(self.0.cached_limit)
    }

    /// An ordinary chunk, from the cache where it has one.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn try_take(&self) -> Result<Chunk, OutOfMemory> {
        // The lock ends here: what is allocated in its place takes time.
        let cached = self.0.free().pop();
        match cached {
            Some(memory) => self.lend_again(memory),
            None => self.make(self.0.chunk_size),
        }
    }

    /// A chunk of at least `capacity` bytes.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn try_take_at_least(&self, capacity: usize) -> Result<Chunk, OutOfMemory> {
        self.try_take_exactly(self.capacity_for(capacity))
    }

    /// The size of the chunk that [`Self::try_take_at_least`] takes.
    #[must_use]
    pub fn capacity_for(&self, size: usize) -> usize {
        match size <= self.0.chunk_size {
            true => self.0.chunk_size,
            false => rounded(size),
        }
    }

    /// A chunk of exactly `capacity` bytes.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn try_take_exactly(&self, capacity: usize) -> Result<Chunk, OutOfMemory> {
        if capacity == self.0.chunk_size {
            return self.try_take();
        }
        let cached = self.0.large().take(capacity, Instant::now());
        match cached {
            Some(memory) => self.lend_again(memory),
            None => self.make(capacity),
        }
    }

    /// Has large chunks that come back kept for those that are taken next, while the result is there.
    #[must_use]
    pub fn keep_large(&self) -> LargeKeeper {
        self.0.large().add_keeper();
        LargeKeeper(self.clone())
    }

    /// As [`Self::try_take`], for a caller that knows that there is memory.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn take(&self) -> Chunk {
        self.try_take().expect("there is memory for a chunk")
    }

    /// As [`Self::try_take_at_least`], for a caller that knows that there is memory.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn take_at_least(&self, capacity: usize) -> Chunk {
        let chunk = self.try_take_at_least(capacity);
        chunk.expect("there is memory for a chunk")
    }

    /// As [`Self::try_take_exactly`], for a caller that knows that there is memory.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn take_exactly(&self, capacity: usize) -> Chunk {
        let chunk = self.try_take_exactly(capacity);
        chunk.expect("there is memory for a chunk")
    }

    fn make(&self, capacity: usize) -> Result<Chunk, OutOfMemory> {
        let memory = Memory::allocate(capacity).or_else(|OutOfMemory| {
            // Unused chunks are given up before the caller that needs this one fails.
            drop(mem::take(&mut *self.0.free()));
            let large = self.0.large().clear();
            drop(large);
            Memory::allocate(capacity)
        })?;
        let chunk = self.lend(memory)?;
        self.0.misses.fetch_add(1, Ordering::Relaxed);
        Ok(chunk)
    }

    /// The pool's state now.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let cached = self.0.free().len();
        PoolStats {
            live: self.0.live.load(Ordering::Relaxed),
            kept: self.0.kept.load(Ordering::Relaxed),
            live_bytes: self.0.live_bytes.load(Ordering::Relaxed),
            cached,
            cached_bytes: cached * self.0.chunk_size + self.0.large().bytes(),
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: self.0.misses.load(Ordering::Relaxed),
        }
    }

    fn lend_again(&self, memory: Memory) -> Result<Chunk, OutOfMemory> {
        let chunk = self.lend(memory)?;
        self.0.hits.fetch_add(1, Ordering::Relaxed);
        Ok(chunk)
    }

    fn lend(&self, memory: Memory) -> Result<Chunk, OutOfMemory> {
        self.0.live.fetch_add(1, Ordering::Relaxed);
        self.0
            .live_bytes
            .fetch_add(memory.capacity, Ordering::Relaxed);
        // Where there is no memory for it, dropping it undoes all that.
        let lent = Inner::try_new(Lent {
            settled: Settled::all(memory.capacity),
            is_kept: AtomicBool::new(false),
            memory: ManuallyDrop::new(memory),
            pool: self.clone(),
        });
        lent.map(Chunk)
    }
}

struct Lent {
    settled: Settled,
    is_kept: AtomicBool,
    memory: ManuallyDrop<Memory>,
    pool: ChunkPool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: taken out once, here; the struct is never looked at again.
        let memory = unsafe { ManuallyDrop::take(&mut self.memory) };
        let pool = &self.pool.0;
        pool.live.fetch_sub(1, Ordering::Relaxed);
        pool.live_bytes
            .fetch_sub(memory.capacity, Ordering::Relaxed);
        if memory.capacity == pool.chunk_size {
            let mut free = pool.free();
            if free.len() < pool.cached_limit && free.try_reserve(1).is_ok() {
                free.push(memory);
            }
        } else {
            pool.give_large(memory);
        }
    }
}

/// Sees to it that large chunks go which are not used again: it is to be asked a few times a second to [`Self::sweep`].
/// Dropped, it keeps nothing more.
pub struct LargeKeeper(ChunkPool);

impl LargeKeeper {
    /// Frees large chunks that have waited for long.
    pub fn sweep(&self, now: Instant) {
        self.0.0.free_large(|large| large.take_idle(now));
    }

    /// Whether large chunks wait that no other keeper sees to.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.0.0.large().needs_last_keeper()
    }
}

impl Drop for LargeKeeper {
    fn drop(&mut self) {
        let freed = self.0.0.large().remove_keeper();
        drop(freed);
    }
}

/// A reference to pooled memory, of those who read and write it. Cloning shares it; the last reference of either kind
/// returns the memory to the pool.
#[derive(Clone)]
pub struct Chunk(Inner<Lent>);

impl Chunk {
    /// First byte of the chunk. This is the address alone. The caller has to prove what it may read
    /// or write there, and when, against the [`super::Region`]s and [`super::Slice`]s of the chunk.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.memory.pointer.as_ptr()
    }

    /// Where the chunk comes from.
    #[must_use]
    pub fn pool(&self) -> &ChunkPool {
        &self.0.pool
    }

    /// What of it may be read.
    pub(super) fn settled(&self) -> &Settled {
        &self.0.settled
    }

    /// Size in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.memory.capacity
    }

    /// Whether both refer to the same memory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }

    /// Whether this is the only reference to the chunk. If so, all that was done through references
    /// that are gone, by whichever thread, has happened before: the memory may be written again.
    #[must_use]
    pub fn is_unshared(&self) -> bool {
        self.0.counts() == Counts { inner: 1, outer: 0 }
    }

    /// Whether this is the only reference beside those of outside holders: nothing else fills it, waits in it, or is being
    /// sent from it. What was done through references that are gone has happened before.
    #[must_use]
    pub fn is_alone_inside(&self) -> bool {
        self.0.counts().inner == 1
    }

    /// A reference for an outside holder, such as an environment of JavaScript.
    #[must_use]
    pub fn export(&self) -> ExportedChunk {
        ExportedChunk(self.0.outer())
    }
}

/// A reference of an outside holder, which keeps the memory for others that are not counted, such
/// as views. Every environment has as many as it likes.
#[derive(Clone)]
pub struct ExportedChunk(Outer<Lent>);

impl ExportedChunk {
    /// The chunk, for a region or slice.
    #[must_use]
    pub fn chunk(&self) -> Chunk {
        Chunk(self.0.inner())
    }

    /// Size in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.memory.capacity
    }

    /// Address of the first byte. See [`Chunk::as_ptr`].
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.memory.pointer.as_ptr()
    }

    /// Keeps the memory for ever, and counts it: a holder whose reference is not counted may read
    /// it.
    pub fn keep(&self) {
        if !self.0.is_kept.swap(true, Ordering::Relaxed) {
            self.0.pool.0.kept.fetch_add(1, Ordering::Relaxed);
            mem::forget(self.clone());
        }
    }

    /// Whether only references of outside are left: nothing is filled, waits, or is being sent.
    ///
    /// It stays true only as long as no caller makes a [`Self::chunk`] of one of them.
    #[must_use]
    pub fn is_all_outside(&self) -> bool {
        self.0.counts().inner == 0
    }

    /// Whether there are more than `count` references of outside, those of others included.
    #[must_use]
    pub fn has_outside_beyond(&self, count: u32) -> bool {
        self.0.counts().outer > count
    }

    /// Whether these `count` references, this one included, are all that there are beside one of a region that fills the
    /// chunk. So nothing waits in it, or is being sent from it, and no other environment knows it.
    #[must_use]
    pub fn is_filled_for(&self, count: u32) -> bool {
        let Counts { inner, outer } = self.0.counts();
        inner == 1 && outer == count
    }

    /// Whether these `count` references, this one included, are all that there are. If so, all that
    /// was done through those that are gone, by whichever thread, has happened before. Memory that
    /// only they have read may be written again.
    ///
    /// It stays true only as long as no holder makes another, so the caller must have them all.
    #[must_use]
    pub fn is_held_by(&self, count: u32) -> bool {
        let Counts { inner, outer } = self.0.counts();
        inner == 0 && outer == count
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Region, Slice};
    use super::*;

    #[test]
    fn the_last_reference_returns_a_chunk_to_the_pool() {
        let pool = ChunkPool::new(4096, 2);
        let chunk = pool.take();
        let address = chunk.as_ptr();
        let other = chunk.clone();
        assert!(!chunk.is_unshared());
        drop(chunk);
        assert_eq!(pool.stats().cached, 0);
        assert!(other.is_unshared());
        drop(other);
        assert_eq!(pool.stats().cached, 1);
        assert_eq!(pool.take().as_ptr(), address);
        assert_eq!((pool.stats().hits, pool.stats().misses), (1, 1));
    }

    #[test]
    fn memory_that_another_thread_has_read_and_dropped_is_written_again() {
        // ThreadSanitizer sees a race only where the threads run side by side, which they do now and then.
        for _ in 0..if cfg!(miri) { 1 } else { 50 } {
            let chunk = ChunkPool::new(64, 1).take();
            let slice = Slice::new(chunk.clone(), 0, 64);
            // Joined only afterwards, so that nothing else orders the two: Miri tells if they race.
            std::thread::scope(|scope| {
                scope.spawn(move || assert_eq!(slice.as_ref(), [0; 64]));
                while !chunk.is_unshared() {
                    std::thread::yield_now();
                }
                Region::over(chunk).spare().fill(1);
            });
        }
    }

    #[test]
    fn references_of_outside_are_told_from_the_others_whoever_has_them() {
        let pool = ChunkPool::new(64, 1);
        let chunk = pool.take();
        // Two environments, with two references each.
        let one = [chunk.export(), chunk.export()];
        let other = [chunk.export(), chunk.export()];
        assert!(!chunk.is_unshared());
        assert!(!one[0].is_all_outside());
        drop(chunk);
        assert!(one[0].is_all_outside() && other[0].is_all_outside());
        assert!(!one[0].is_held_by(2), "the other may read it");
        assert!(one[0].has_outside_beyond(2) && !one[0].has_outside_beyond(4));
        let sent = Slice::new(other[0].chunk(), 0, 1);
        assert!(!one[0].is_all_outside());
        drop(other);
        assert!(!one[0].is_held_by(2), "it is still being sent");
        drop(sent);
        assert!(one[0].is_held_by(2));
        assert_eq!(pool.stats().live, 1);
        drop(one);
        assert_eq!((pool.stats().live, pool.stats().cached), (0, 1));
    }

    #[test]
    #[cfg_attr(miri, ignore = "it leaks, which is what is tested")]
    fn a_chunk_that_is_kept_never_comes_back() {
        let pool = ChunkPool::new(64, 1);
        let exports = [pool.take(), pool.take()].map(|chunk| chunk.export());
        for _ in 0..2 {
            exports[0].keep();
        }
        drop(exports);
        let stats = pool.stats();
        assert_eq!((stats.kept, stats.live, stats.cached), (1, 1, 1));
    }

    #[test]
    fn the_cache_is_bounded_and_live_chunks_are_not() {
        let pool = ChunkPool::new(64, 2);
        let chunks: Vec<Chunk> = (0..5).map(|_| pool.take()).collect();
        assert_eq!((pool.stats().live, pool.stats().live_bytes), (5, 320));
        drop(chunks);
        let stats = pool.stats();
        assert_eq!((stats.live, stats.live_bytes, stats.cached), (0, 0, 2));
    }

    #[test]
    fn a_large_chunk_is_made_to_measure_and_never_cached() {
        let pool = ChunkPool::new(64, 2);
        assert_eq!(pool.take_at_least(64).capacity(), 64);
        assert_eq!(pool.take_at_least(65).capacity(), 65);
        assert_eq!(pool.stats().cached, 1);
    }

    #[test]
    fn a_chunk_outlives_the_handle_of_its_pool() {
        let pool = ChunkPool::new(64, 2);
        let chunk = pool.take();
        drop(pool);
        assert_eq!(chunk.capacity(), 64);
    }
}
