//! What users are told of chunks.

use napi_derive::napi;
use netpoll_core::buffer::PoolStats;

use crate::memory::chunk_exports::ChunkExports;

/// Chunks of the process, and of this environment.
#[napi(object)]
pub struct ChunkStats {
    /// Chunks in use.
    pub live: u32,
    /// Bytes of the chunks in use.
    pub live_bytes: f64,
    /// Free chunks kept for reuse.
    pub cached: u32,
    /// Bytes of all free chunks, those of large ones included.
    pub cached_bytes: f64,
    /// Chunks served from the cache since the start.
    pub hits: f64,
    /// Chunks allocated since the start.
    pub misses: f64,
    /// Chunks of this environment that only views of messages keep.
    pub pinned: u32,
    /// Chunks of this environment that outgoing bytes are written to, among those.
    pub outgoing: u32,
    /// Chunks that are never freed, since the start: their memory was moved out of a thread that has ended, by
    /// `ArrayBuffer.prototype.transfer` and the like. They are live as well.
    pub kept: u32,
}

impl ChunkStats {
    /// Those of the process, and of the environment that knows `exports`.
    pub fn of(stats: PoolStats, exports: &ChunkExports) -> Self {
        Self {
            live: stats.live as u32,
            live_bytes: stats.live_bytes as f64,
            cached: stats.cached as u32,
            cached_bytes: stats.cached_bytes as f64,
            hits: stats.hits as f64,
            misses: stats.misses as f64,
            pinned: exports.held_by_views() as u32,
            outgoing: exports.lent() as u32,
            kept: stats.kept as u32,
        }
    }
}
