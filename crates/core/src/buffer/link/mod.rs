//! The link buffer: a stream of bytes as a chain of shared pieces, in Netpoll's nocopy contract.
//!
//! A [`Chain`] of [`Piece`]s is what waits to be sent on a connection (`connection/outbound.rs`). One
//! vectored write takes its first pieces, and what has left goes from its front. The same chain lies
//! under a reader. Only what is sent has foreign pieces, of memory that may be taken away
//! ([`ForeignBytes`]): a [`LinkReader`]'s type has none.
//!
//! ```text
//!  push ─► Chain       ┌───────┐ ┌──────────┐ ┌───┐      gather: to be written
//!                      │ Piece │►│  Piece   │►│ … │ ───► advance: has been written
//!                      └───────┘ └──────────┘ └───┘
//!
//!  push ─► LinkReader  ┌───────┐ ┌──────────┐ ┌───┐      next, peek, until: one Piece
//!                      │ Piece │►│  Piece   │►│ … │ ───► slice: a LinkReader of its own
//!                      └───────┘ └──────────┘ └───┘      read_binary, read_string: a copy
//!
//!  malloc, write ──►   LinkWriter  ───► flush: the pieces in order, to be sent or pushed
//!  write_direct, append
//! ```
//!
//! Reader and writer are separate types, because a connection fills one and empties the other. What
//! the writer gives out is what the reader takes, so the two together are Netpoll's link buffer.
//!
//! A piece of a reader or writer holds the memory that it shows. No call on either ends or changes one
//! that was given out before. Nothing here waits; too few bytes are [`NotEnoughData`].
//!
//! The cases that the buffers of both languages are held to are in `testdata/link-buffer.json`.

mod adapters;
mod chain;
mod foreign;
mod piece;
mod reader;
mod search;
mod writer;

use std::error::Error;
use std::fmt;

pub use chain::Chain;
pub use foreign::{Detached, Foreign, ForeignBytes};
pub use piece::Piece;
pub use reader::LinkReader;
pub use writer::{Flushed, LinkWriter};

/// More bytes were asked for than there are. The function that returns it has consumed and changed
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotEnoughData {
    /// How many bytes there must be more, at the least.
    pub missing: usize,
}

impl NotEnoughData {
    /// Fails where `wanted` bytes are more than the `present` ones.
    fn check(wanted: usize, present: usize) -> Result<(), Self> {
        match wanted.checked_sub(present) {
            None | Some(0) => Ok(()),
            Some(missing) => Err(Self { missing }),
        }
    }
}

impl fmt::Display for NotEnoughData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at min {} bytes are missing", self.missing)
    }
}

impl Error for NotEnoughData {}
