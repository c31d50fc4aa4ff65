//! Where one message ends and the next begins, and what it is called. Pure: bytes in, boundaries out.

mod decoded;
mod delimiter;
mod id_field;
mod length_field;
mod uint;
mod varint;

pub use decoded::{Decoded, FrameError};
pub use delimiter::Delimiter;
pub use id_field::IdField;
pub use length_field::{LengthField, LengthFieldError};
pub use uint::Endian;
pub use varint::Varint;

/// The largest message that is accepted where the user names no bound: 16 MiB.
pub const DEFAULT_MAX_LENGTH: usize = 16 * 1024 * 1024;

/// How a byte stream is cut into messages.
///
/// ```
/// use netpoll_core::frame::{Decoded, Endian, Framing, LengthField};
///
/// let field = LengthField::new(0, 4, 0, 4, Endian::Big, 1024).expect("it makes sense");
/// let framing = Framing::LengthField(field);
/// let whole = Decoded::Frame { total: 6, start: 4, end: 6 };
/// assert_eq!(framing.decode(b"\0\0\0\x02hi\0", 0), Ok(whole));
/// assert_eq!(framing.decode(b"\0\0\0\x02h", 0), Ok(Decoded::Short { total: 6 }));
/// assert!(framing.decode(b"\0\x01\0\0", 0).is_err(), "refused when the header is read");
/// ```
#[derive(Clone, Debug)]
pub enum Framing {
    /// Not at all: bytes are handed over as they arrive.
    Stream,
    /// A header carries the length.
    LengthField(LengthField),
    /// A byte sequence ends each message.
    Delimiter(Delimiter),
    /// A protobuf varint carries the length.
    Varint(Varint),
}

/// How the input of a connection becomes messages.
#[derive(Clone, Copy)]
pub struct Decoder<'a> {
    /// Where they end.
    pub framing: &'a Framing,
    /// Where each carries its id, if that is to be handed over with it.
    pub id_field: Option<IdField>,
}

impl Framing {
    /// Looks for one frame at the front of `bytes`, whose first `scanned` bytes an earlier call has
    /// looked at in vain.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the bytes show it, which is before a refused message is buffered.
    ///
    /// [`Framing::Stream`] hands over whatever is there as one message.
    pub fn decode(&self, bytes: &[u8], scanned: usize) -> Result<Decoded, FrameError> {
        match self {
            Self::Stream if bytes.is_empty() => Ok(Decoded::Unknown { scanned: 0 }),
            Self::Stream => Ok(Decoded::Frame {
                total: bytes.len(),
                start: 0,
                end: bytes.len(),
            }),
            Self::LengthField(framing) => framing.decode(bytes),
            Self::Delimiter(framing) => framing.decode(bytes, scanned),
            Self::Varint(framing) => framing.decode(bytes),
        }
    }
}

impl Framing {
    /// The length that the refused frame at the front of `bytes` announces, as far as it can be said; `None` where none is.
    #[must_use]
    pub fn announced(&self, bytes: &[u8]) -> Option<u64> {
        match self {
            Self::Stream | Self::Delimiter(_) => None,
            Self::LengthField(framing) => framing.announced(bytes),
            Self::Varint(_) => Varint::announced(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refused_frame_announces() {
        let field = |size, adjustment| {
            let field = LengthField::new(1, size, adjustment, 0, Endian::Big, 1).expect("valid");
            Framing::LengthField(field)
        };
        assert_eq!(field(2, 0).announced(&[9, 1, 2, 3]), Some(258));
        assert_eq!(field(2, -3).announced(&[9, 1, 2]), Some(255));
        assert_eq!(field(2, -3).announced(&[9, 0, 2]), None);
        assert_eq!(field(2, 0).announced(&[9, 1]), None);
        assert_eq!(field(8, 1).announced(&[0xff; 9]), Some(u64::MAX));
        let varint = Framing::Varint(Varint::new(1));
        assert_eq!(varint.announced(&[0xac, 0x02]), Some(300));
        assert_eq!(varint.announced(&[0xac]), None);
        assert_eq!(varint.announced(&[0xff; 11]), None);
        let delimiter = Framing::Delimiter(Delimiter::new(b"x", 1).expect("not empty"));
        assert_eq!(delimiter.announced(b"abc"), None);
        assert_eq!(Framing::Stream.announced(b"abc"), None);
    }

    #[test]
    fn a_stream_hands_over_what_is_there() {
        assert_eq!(
            Framing::Stream.decode(b"", 0),
            Ok(Decoded::Unknown { scanned: 0 })
        );
        assert_eq!(
            Framing::Stream.decode(b"abc", 0),
            Ok(Decoded::Frame {
                total: 3,
                start: 0,
                end: 3
            })
        );
    }
}
