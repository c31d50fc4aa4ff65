//! A chunk that was made known to JavaScript, and what becomes of it.

use napi::sys;
use netpoll_core::ExportedChunk;

/// What keeps an exported chunk in JavaScript.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// JavaScript's table: more bytes may come.
    Table,
    /// JavaScript's arena, which fills it, and views.
    Arena,
}

/// As [`Holder`], of a chunk that is exported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExportState {
    /// In JavaScript's table, and bytes have come since the last sweep.
    Busy,
    /// In JavaScript's table.
    Quiet,
    /// Views only, but further bytes are delivered in the same `ArrayBuffer`.
    Dormant,
    /// Views only.
    Retired,
    /// JavaScript's arena, and views.
    Lent,
    /// Nothing any more. Only commands may name it.
    Finalized,
}

/// What is known of the memory of an `ArrayBuffer`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sweep {
    /// Its `ArrayBuffer` was there after the last collection.
    None,
    /// Its `ArrayBuffer` was collected. The memory was moved, or V8 is about to free it.
    Awaited,
    /// V8 has freed all that it had collected. If this memory is not finalized now, it was moved.
    Done,
    /// Its `ArrayBuffer` had it when JavaScript had stopped, so that nothing moves it any more.
    Unmoved,
}

pub(super) struct Export {
    pub(super) chunk: ExportedChunk,
    pub(super) state: ExportState,
    pub(super) sweep: Sweep,
    /// Batches in JavaScript's hands that name it: one at most for each of those who hand them over.
    pub(super) batches: u32,
    /// Weak.
    pub(super) buffer: sys::napi_ref,
}

impl Export {
    pub(super) fn is_held_by_views(&self) -> bool {
        match self.state {
            ExportState::Busy | ExportState::Quiet | ExportState::Finalized => false,
            ExportState::Dormant => self.chunk.is_all_outside(),
            ExportState::Retired | ExportState::Lent => true,
        }
    }
}
