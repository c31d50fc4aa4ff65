//! The chunks of the process, and when an environment is to give some back.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use netpoll_core::ChunkPool;
use netpoll_core::buffer::{LargeKeeper, ReclaimPacer, ReclaimRounds};

/// Size of an ordinary chunk in bytes, unless the process is configured otherwise.
const CHUNK_SIZE: usize = 256 * 1024;
/// Bytes of free chunks kept for reuse: as many as come back at once when garbage is collected after a while in vain.
const CACHED_BYTES: usize = 32 * 1024 * 1024;
/// Collection is asked for when so many bytes of chunks were handed out. It is what goes round where nothing is held: less
/// stays in the processor's cache, and more costs no less time.
const COLLECTED_BYTES: usize = 12 * 1024 * 1024;

/// The chunks of the whole process. It outlives every environment.
pub fn chunk_pool() -> &'static ChunkPool {
    chunk_pool_of(CHUNK_SIZE)
}

/// The first to ask decides how large chunks are.
pub fn chunk_pool_of(chunk_size: usize) -> &'static ChunkPool {
    static POOL: OnceLock<ChunkPool> = OnceLock::new();
    POOL.get_or_init(|| ChunkPool::new(chunk_size, CACHED_BYTES / chunk_size))
}

/// How many ordinary chunks have so many bytes.
pub fn chunks_of(bytes: usize) -> usize {
    bytes.div_ceil(chunk_pool().chunk_size())
}

/// Those of all environments of the process.
fn reclaim_rounds() -> &'static Arc<ReclaimRounds> {
    static ROUNDS: OnceLock<Arc<ReclaimRounds>> = OnceLock::new();
    ROUNDS.get_or_init(Arc::default)
}

/// Says when one environment is to collect.
pub fn pacer() -> ReclaimPacer {
    let min = COLLECTED_BYTES / chunk_pool().chunk_size();
    ReclaimPacer::new(min, reclaim_rounds().clone())
}

/// Frees large chunks that nothing uses. Kept are such only while the timer of some environment calls [`Self::sweep`].
#[derive(Default)]
pub struct Sweeper(RefCell<Option<LargeKeeper>>);

impl Sweeper {
    /// The timer runs.
    pub fn begin(&self) {
        let mut keeper = self.0.borrow_mut();
        keeper.get_or_insert_with(|| chunk_pool().keep_large());
    }

    /// Returns whether the timer goes on: JavaScript's table holds chunks, or large ones wait that no other environment sees to.
    pub fn sweep(&self, is_held: bool) -> bool {
        let mut keeper = self.0.borrow_mut();
        if let Some(keeper) = &*keeper {
            keeper.sweep(Instant::now());
        }
        let goes_on = is_held || keeper.as_ref().is_some_and(LargeKeeper::is_needed);
        if !goes_on {
            *keeper = None;
        }
        goes_on
    }

    /// The timer has ended with its environment.
    pub fn end(&self) {
        drop(self.0.take());
    }
}
