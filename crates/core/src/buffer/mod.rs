//! Pooled memory that sockets are read into and written from.
//!
//! ```text
//!  ChunkPool ──► Chunk (256 KiB, reference-counted)
//!                ┌──────────────────────┬───────────┬──────────────┐
//!                │ committed bytes      │  Region   │    Region    │
//!                │ ▲Slice  ▲Slice       │ (a frame) │ (shared tail)│
//!                └──────────────────────┴───────────┴──────────────┘
//! ```
//!
//! A [`Region`] is the one owner of bytes that no reader has seen yet. What it commits becomes
//! readable as [`Slice`]s, which only ever share. A chunk returns to its pool when the last region,
//! slice and outside holder of it are gone. All the `unsafe` of the crate is in this folder.
//!
//! A [`Chain`] is a stream of such pieces: what waits to be sent is one. [`LinkReader`] reads one
//! without joining it; [`LinkWriter`] makes one.

mod chunk;
mod counted;
mod large_memory;
mod large_regions;
mod link;
mod out_of_memory;
mod read_buffer;
mod reclaim;
mod region;
mod settled;
mod slice;

pub use chunk::{Chunk, ChunkPool, ExportedChunk, LargeKeeper, PoolStats};
pub use link::{
    Chain, Detached, Flushed, Foreign, ForeignBytes, LinkReader, LinkWriter, NotEnoughData, Piece,
};
pub use out_of_memory::OutOfMemory;
pub(crate) use out_of_memory::try_copy;
pub use read_buffer::ReadBuffer;
pub(crate) use read_buffer::max_copied;
pub use reclaim::{ReclaimPacer, ReclaimRounds, Sharing};
pub use region::Region;
pub use slice::Slice;

#[cfg(test)]
mod misuse;
