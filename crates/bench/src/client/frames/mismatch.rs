//! What is wrong with a reply.

use std::fmt;

/// A reply that is not what its request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Bytes came while no request was in flight.
    Unexpected,
    /// A reply, so many of the connection before it, belongs to no request in flight.
    Unknown(u64),
    /// A byte differs: which reply of the connection, and where in its frame.
    Differs {
        /// Replies of this connection before it.
        reply: u64,
        /// Offset of the first byte that differs, length included.
        offset: usize,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected => write!(formatter, "bytes came while no request was in flight"),
            Self::Unknown(reply) => write!(formatter, "reply {reply} is to no request in flight"),
            Self::Differs { reply, offset } => {
                write!(
                    formatter,
                    "reply {reply} differs from what its request asks for at byte {offset} of the frame"
                )
            }
        }
    }
}
