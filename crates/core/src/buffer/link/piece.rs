//! Bytes in one place.

use std::convert::Infallible;
use std::fmt;

use bytes::{Buf, Bytes};

use super::super::Slice;
use super::{Detached, Foreign, ForeignBytes};

/// Bytes that lie in one place. Keeps them alive; cloning copies none.
///
/// What is read has no foreign bytes, and its type says so: without an `Owner` of such there can be
/// none. The bytes of such a piece never change.
#[derive(Clone)]
pub enum Piece<Owner = Infallible> {
    /// In a chunk of a pool.
    Pooled(Slice),
    /// In memory of another owner, kept as it is.
    Owned(Bytes),
    /// In memory that may be taken away. It is looked for before each use.
    Foreign(Foreign<Owner>),
}

impl<Owner: ForeignBytes> Piece<Owner> {
    /// How many bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Pooled(slice) => slice.len(),
            Self::Owned(bytes) => bytes.len(),
            Self::Foreign(foreign) => foreign.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, as they are now.
    ///
    /// # Errors
    /// [`Detached`] where they are not there any more.
    #[inline]
    pub fn bytes(&self) -> Result<&[u8], Detached> {
        match self {
            Self::Pooled(slice) => Ok(slice.as_ref()),
            Self::Owned(bytes) => Ok(bytes),
            Self::Foreign(foreign) => foreign.bytes(),
        }
    }

    /// Drops the first `count` bytes from view.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        match self {
            Self::Pooled(slice) => slice.advance(count),
            Self::Owned(bytes) => bytes.advance(count),
            Self::Foreign(foreign) => foreign.advance(count),
        }
    }

    /// Takes `next` in where it continues this piece in the same chunk; gives it back otherwise.
    ///
    /// # Errors
    /// `next` itself, when it lies elsewhere.
    #[inline]
    pub fn extend(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::Pooled(slice), Self::Pooled(next)) => slice.extend(next).map_err(Self::Pooled),
            (_, next) => Err(next),
        }
    }
}

impl Piece {
    /// Takes the first `count` bytes off as a piece of their own, which shares the memory.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> Self {
        match self {
            Self::Pooled(slice) => Self::Pooled(slice.split_to(count)),
            Self::Owned(bytes) => Self::Owned(bytes.split_to(count)),
            Self::Foreign(foreign) => match *foreign.owner() {},
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
            Self::Foreign(foreign) => match *foreign.owner() {},
        }
    }
}

impl<Owner: ForeignBytes> fmt::Debug for Piece<Owner> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Piece({} bytes)", self.len())
    }
}

impl<Owner> From<Slice> for Piece<Owner> {
    #[inline]
    fn from(slice: Slice) -> Self {
        Self::Pooled(slice)
    }
}

impl<Owner> From<Bytes> for Piece<Owner> {
    fn from(bytes: Bytes) -> Self {
        Self::Owned(bytes)
    }
}

impl<Owner> From<Foreign<Owner>> for Piece<Owner> {
    fn from(foreign: Foreign<Owner>) -> Self {
        Self::Foreign(foreign)
    }
}

impl From<Piece> for Bytes {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Pooled(slice) => slice.into(),
            Piece::Owned(bytes) => bytes,
            Piece::Foreign(foreign) => match *foreign.owner() {},
        }
    }
}
