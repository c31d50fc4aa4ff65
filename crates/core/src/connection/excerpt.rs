//! What was refused, for the error's text. A frame is told by its first bytes, by which an HTTP client on a framed port is
//! known. A client of TLS is told by the name that it asks for.

use crate::batch::{Batch, RecordKind};
use crate::frame::Framing;

/// Bytes of a refused frame that are told.
const LENGTH: usize = 16;
/// Bytes of a name that are told: few have more, and a batch has room for so many.
const NAME_LENGTH: usize = 64;
/// Bytes that one record tells.
const PIECE: usize = 8;
/// The most records that tell what was refused: its length, and its bytes.
pub(super) const RECORDS: usize = 1 + longer(LENGTH, NAME_LENGTH).div_ceil(PIECE);

const fn longer(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

/// What was refused.
pub(super) enum Refused {
    /// A frame.
    Frame(Excerpt),
    /// To show a certificate for this name.
    Name(Box<str>),
}

impl Refused {
    /// Adds what it has to tell, right before the record of the refusal.
    pub(super) fn report(&self, batch: &mut Batch, slot: u32) {
        match self {
            Self::Frame(excerpt) => excerpt.report(batch, slot),
            Self::Name(name) => {
                if name.len() > NAME_LENGTH {
                    batch.count(slot, RecordKind::RefusedLength, name.len() as u64);
                }
                let told = &name.as_bytes()[..name.len().min(NAME_LENGTH)];
                report_bytes(told, batch, slot);
            }
        }
    }
}

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

    fn report(&self, batch: &mut Batch, slot: u32) {
        if let Some(length) = self.announced {
            batch.count(slot, RecordKind::RefusedLength, length);
        }
        report_bytes(&self.bytes[..usize::from(self.count)], batch, slot);
    }
}

fn report_bytes(bytes: &[u8], batch: &mut Batch, slot: u32) {
    for piece in bytes.chunks(PIECE) {
        batch.refused_bytes(slot, piece);
    }
}
