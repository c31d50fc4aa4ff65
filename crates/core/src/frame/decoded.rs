//! What looking for a frame comes to.

/// The outcome of looking for the next message. Too few bytes are an expected outcome, no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A whole frame of `total` bytes stands at the front; the message is `start..end` of it.
    Frame {
        /// Bytes of the frame, header and delimiter included.
        total: usize,
        /// First byte of the message.
        start: usize,
        /// Byte after the message.
        end: usize,
    },
    /// The frame's length is known and not all of it is there.
    Short {
        /// Bytes of the whole frame.
        total: usize,
    },
    /// Not even the length is known yet.
    Unknown {
        /// Bytes from the front that need not be looked at again.
        scanned: usize,
    },
}

/// Why a stream cannot be cut any further. The connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The message is longer than allowed.
    TooLarge,
    /// The header says something impossible: a length before the frame's own header, or a varint
    /// that never ends.
    Invalid,
}

/// The frame of `total` bytes where `bytes` hold all of it, whose message starts at `start`.
pub(super) fn whole_or_short(bytes: &[u8], total: usize, start: usize) -> Decoded {
    if bytes.len() >= total {
        Decoded::Frame {
            total,
            start,
            end: total,
        }
    } else {
        Decoded::Short { total }
    }
}
