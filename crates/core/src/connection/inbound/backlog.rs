//! Bytes of a connection that could not be handed over yet, and what is known of the message that they begin with.

use super::{Input, Taken};
use crate::batch::{Batch, RecordKind};
use crate::buffer::{Chunk, OutOfMemory, Region, Slice, try_copy};
use crate::connection::excerpt::Excerpt;
use crate::frame::{Decoded, Decoder};

/// First size of a region for a message whose length is not known yet.
const SMALLEST_REGION: usize = 4 * 1024;
/// The least that a region for a message of known length has, unless the message is shorter. From
/// there on it doubles, so that a header alone never makes a connection reserve 16 MiB.
pub(super) const TRUSTED_REGION: usize = 16 * 1024;

/// How many times what has arrived a region has at most while memory is plenty.
const PLENTY: usize = 8;

/// Where bytes are that could not be handed over yet. What keeps a chunk that others use, too, counts as all of it.
pub(super) enum Memory {
    /// In memory that is no part of a chunk, from `start` on: what remains of a read, if it is small.
    Copied { bytes: Box<[u8]>, start: usize },
    /// Where they were read to: whole messages, for which there is no room at the moment.
    Placed(Slice),
    /// In a region for a large message, from `start` (an offset in the chunk) on.
    Own { region: Region, start: usize },
}

impl Memory {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied { bytes, start } => &bytes[*start..],
            Self::Placed(slice) => slice.as_ref(),
            Self::Own { region, start } => region.committed_from(*start),
        }
    }

    /// The chunk that it keeps.
    pub(super) fn chunk(&self) -> Option<&Chunk> {
        match self {
            Self::Copied { .. } => None,
            Self::Placed(slice) => Some(slice.chunk()),
            Self::Own { region, .. } => Some(region.chunk()),
        }
    }

    /// Whether nothing of its region was handed over before.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self, Self::Own { start: 0, .. })
    }

    /// The first `count` bytes are handed over.
    pub(super) fn advance(&mut self, count: usize) {
        match self {
            Self::Copied { start, .. } | Self::Own { start, .. } => *start += count,
            Self::Placed(slice) => slice.advance(count),
        }
    }
}

/// What is known of the message that bytes begin with.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    /// Bytes that need not be searched for a delimiter again.
    pub(super) scanned: usize,
    /// Bytes of the frame, where its header has told.
    pub(super) needed: Option<usize>,
}

impl Progress {
    /// How many bytes the frame lacks, of which `length` are there, as far as is known.
    pub(super) fn missing(&self, length: usize) -> usize {
        self.needed.map_or(0, |total| total.saturating_sub(length))
    }

    /// As [`Self::growth`], where memory is plenty: eight times what is there, or `trusted`, as much memory as the connection's
    /// last large message had. Each time that a region turns out to be too small, all that is there is copied.
    pub(super) fn ahead(&self, length: usize, trusted: usize) -> usize {
        match self.needed {
            Some(total) => total.min(trusted.max(PLENTY * length).max(TRUSTED_REGION)),
            None => self.growth(length),
        }
    }

    /// How much space a region takes for a message of which `length` bytes are there: enough for it, or twice that.
    pub(super) fn growth(&self, length: usize) -> usize {
        let doubled = 2 * length;
        match self.needed {
            Some(total) => total.min(doubled.max(TRUSTED_REGION)),
            None => doubled.max(SMALLEST_REGION),
        }
    }
}

pub(super) struct Backlog {
    pub(super) memory: Memory,
    pub(super) progress: Progress,
}

pub(super) fn copied(bytes: &[u8]) -> Result<Memory, OutOfMemory> {
    let bytes = try_copy(bytes)?;
    Ok(Memory::Copied { bytes, start: 0 })
}

/// A region of which `length` bytes are filled.
pub(super) fn own(region: Region, length: usize) -> Memory {
    let start = region.filled() - length;
    Memory::Own { region, start }
}

/// A region that begins with a copy of `bytes`.
pub(super) fn own_copy(mut region: Region, bytes: &[u8]) -> Memory {
    region.copy_in(bytes);
    own(region, bytes.len())
}

impl Progress {
    /// The loop that every message passes: no allocation, and no reference count but one per call. How many bytes were
    /// cut, too.
    pub(super) fn decode(
        &mut self,
        input: Input<'_>,
        decoder: Decoder<'_>,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> (usize, Taken) {
        let mut bytes = input.bytes;
        let mut consumed = 0;
        let mut taken = Taken::default();
        let mut chunk_index = None;
        while taken.count < limit && !bytes.is_empty() {
            match decoder.framing.decode(bytes, self.scanned) {
                Err(error) => {
                    taken.error = Some(error);
                    taken.excerpt = Some(Excerpt::new(decoder.framing, bytes));
                    break;
                }
                Ok(Decoded::Frame { total, start, end }) => {
                    let chunk = *chunk_index.get_or_insert_with(|| batch.chunk_index(input.chunk));
                    let id_field = decoder.id_field.as_ref();
                    if let Some(id) = id_field.and_then(|field| field.read(&bytes[start..end])) {
                        batch.count(slot, RecordKind::Correlation, id);
                    }
                    let at = input.start + consumed + start;
                    batch.message(slot, chunk, at, end - start);
                    *self = Self::default();
                    consumed += total;
                    bytes = &bytes[total..];
                    taken.count += 1;
                }
                Ok(Decoded::Short { total }) => {
                    self.needed = Some(total);
                    break;
                }
                Ok(Decoded::Unknown { scanned }) => {
                    self.scanned = scanned;
                    break;
                }
            }
        }
        (consumed, taken)
    }
}
