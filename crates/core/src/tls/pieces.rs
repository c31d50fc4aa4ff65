//! Plaintext in several pieces of memory.

use std::io::{IoSlice, IoSliceMut};

use super::scratch::MAX_PLAINTEXT;

/// The bytes of `pieces` from `start` on that make the next record, gathered where they lie apart.
pub(super) fn record_of<'a>(
    pieces: &'a [IoSlice<'_>],
    mut start: usize,
    gathered: &'a mut Vec<u8>,
) -> &'a [u8] {
    gathered.clear();
    for (at, piece) in pieces.iter().enumerate() {
        if start >= piece.len() {
            start -= piece.len();
            continue;
        }
        let rest = &piece[start..];
        start = 0;
        let is_last = at + 1 == pieces.len();
        if gathered.is_empty() && (is_last || rest.len() >= MAX_PLAINTEXT) {
            return &rest[..rest.len().min(MAX_PLAINTEXT)];
        }
        let room = MAX_PLAINTEXT - gathered.len();
        gathered.extend_from_slice(&rest[..rest.len().min(room)]);
        if gathered.len() == MAX_PLAINTEXT {
            break;
        }
    }
    gathered
}

/// What is left of the memory that is to be filled.
pub(super) struct Room<'p, 'b> {
    pieces: &'p mut [IoSliceMut<'b>],
    /// Bytes that were copied to it.
    pub(super) filled: usize,
}

impl<'p, 'b> Room<'p, 'b> {
    /// All of it.
    pub(super) fn over(pieces: &'p mut [IoSliceMut<'b>]) -> Self {
        Self { pieces, filled: 0 }
    }

    pub(super) fn left(&self) -> usize {
        let all: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        all - self.filled
    }

    /// Copies as much of `bytes` as there is room for, and returns the others.
    pub(super) fn fill<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        let mut start = self.filled;
        for piece in &mut *self.pieces {
            if start >= piece.len() {
                start -= piece.len();
                continue;
            }
            let count = bytes.len().min(piece.len() - start);
            piece[start..start + count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            self.filled += count;
            start = 0;
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}
