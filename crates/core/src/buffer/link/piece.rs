//! Bytes in one place, shared.

use std::fmt;

use bytes::{Buf, Bytes};

use super::super::Slice;

/// Bytes that lie in one place and never change. Keeps them alive; cloning copies none.
#[derive(Clone)]
pub enum Piece {
    /// In a chunk of a pool.
    Pooled(Slice),
    /// In memory of another owner, kept as it is.
    Owned(Bytes),
}

impl Piece {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Pooled(slice) => slice.len(),
            Self::Owned(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the first `count` bytes from view.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        match self {
            Self::Pooled(slice) => slice.advance(count),
            Self::Owned(bytes) => bytes.advance(count),
        }
    }

    /// Takes the first `count` bytes off as a piece of their own, which shares the memory.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> Self {
        match self {
            Self::Pooled(slice) => Self::Pooled(slice.split_to(count)),
            Self::Owned(bytes) => Self::Owned(bytes.split_to(count)),
        }
    }

    /// Takes `next` in where it continues this piece in the same chunk; gives it back otherwise.
    ///
    /// # Errors
    /// `next` itself, when it lies elsewhere.
    pub fn extend(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::Pooled(slice), Self::Pooled(next)) => slice.extend(next).map_err(Self::Pooled),
            (_, next) => Err(next),
        }
    }
}

impl Default for Piece {
    /// No bytes, in no memory.
    fn default() -> Self {
        Self::Owned(Bytes::new())
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Pooled(slice) => slice.as_ref(),
            Self::Owned(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Piece({} bytes)", self.len())
    }
}

impl From<Slice> for Piece {
    fn from(slice: Slice) -> Self {
        Self::Pooled(slice)
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl From<Piece> for Bytes {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Pooled(slice) => slice.into(),
            Piece::Owned(bytes) => bytes,
        }
    }
}
