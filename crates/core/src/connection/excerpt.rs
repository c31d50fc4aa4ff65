//! What a refused frame looked like, for the error's text: an HTTP client on a framed port is known by its first bytes.

use crate::batch::{Batch, RecordKind};
use crate::frame::Framing;

/// Bytes of a refused frame that are told.
const LENGTH: usize = 16;

/// The front of a refused frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt {
    announced: Option<u64>,
    bytes: [u8; LENGTH],
    count: u8,
}

impl Excerpt {
    /// Of the frame that begins with `bytes`, which `framing` has refused.
    pub(super) fn new(framing: &Framing, bytes: &[u8]) -> Self {
        let count = bytes.len().min(LENGTH);
        let mut first = [0; LENGTH];
        first[..count].copy_from_slice(&bytes[..count]);
        Self {
            announced: framing.announced(bytes),
            bytes: first,
            count: count as u8,
        }
    }

    /// Adds what it has to tell, right before the record of the refusal.
    pub(super) fn report(&self, batch: &mut Batch, slot: u32) {
        if let Some(length) = self.announced {
            batch.count(slot, RecordKind::RefusedLength, length);
        }
        for piece in self.bytes[..usize::from(self.count)].chunks(8) {
            batch.refused_bytes(slot, piece);
        }
    }
}
