//! A protobuf base-128 varint before each message.
//! Format: <https://protobuf.dev/programming-guides/encoding/#varints>.

use super::decoded::{Decoded, FrameError, whole_or_short};

/// A varint of 64 bits takes ten bytes at the most.
const LONGEST: usize = 10;

/// Messages of at most `max_length` bytes behind a varint length.
///
/// ```
/// use netpoll_core::frame::{Decoded, Framing, Varint};
///
/// let framing = Framing::Varint(Varint::new(1024));
/// assert_eq!(framing.decode(b"\x02hi", 0), Ok(Decoded::Frame { total: 3, start: 1, end: 3 }));
/// assert_eq!(framing.announced(&[0xac, 0x02]), Some(300));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Varint {
    max_length: usize,
}

impl Varint {
    /// Messages of at most `max_length` bytes, the varint not counted.
    #[must_use]
    pub fn new(max_length: usize) -> Self {
        Self { max_length }
    }

    /// What the varint says; `None` where not all of it is there, or it has no end.
    pub(super) fn announced(bytes: &[u8]) -> Option<u64> {
        let mut length: u128 = 0;
        for (index, byte) in bytes.iter().take(LONGEST).enumerate() {
            length |= u128::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Some(u64::try_from(length).unwrap_or(u64::MAX));
            }
        }
        None
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Decoded, FrameError> {
        let mut length: u128 = 0;
        for (index, byte) in bytes.iter().take(LONGEST).enumerate() {
            length |= u128::from(byte & 0x7f) << (7 * index);
            if length > self.max_length as u128 {
                return Err(FrameError::TooLarge);
            }
            if byte & 0x80 == 0 {
                let start = index + 1;
                // Within `max_length`, so it fits a word.
                let total = start
                    .checked_add(length as usize)
                    .ok_or(FrameError::TooLarge)?;
                return Ok(whole_or_short(bytes, total, start));
            }
        }
        if bytes.len() >= LONGEST {
            Err(FrameError::Invalid)
        } else {
            Ok(Decoded::Unknown { scanned: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_two_byte_lengths_at_every_split() {
        let framing = Varint::new(1000);
        assert_eq!(framing.decode(&[]), Ok(Decoded::Unknown { scanned: 0 }));
        assert_eq!(
            framing.decode(&[0]),
            Ok(Decoded::Frame {
                total: 1,
                start: 1,
                end: 1
            })
        );
        let mut bytes = vec![0xac, 0x02];
        bytes.resize(302, 7);
        assert_eq!(
            framing.decode(&bytes[..1]),
            Ok(Decoded::Unknown { scanned: 0 })
        );
        for end in 2..302 {
            assert_eq!(
                framing.decode(&bytes[..end]),
                Ok(Decoded::Short { total: 302 })
            );
        }
        assert_eq!(
            framing.decode(&bytes),
            Ok(Decoded::Frame {
                total: 302,
                start: 2,
                end: 302
            })
        );
    }

    #[test]
    fn one_that_never_ends_is_refused() {
        let framing = Varint::new(1000);
        assert_eq!(
            framing.decode(&[0x80; 9]),
            Ok(Decoded::Unknown { scanned: 0 })
        );
        assert_eq!(framing.decode(&[0x80; 10]), Err(FrameError::Invalid));
        assert_eq!(framing.decode(&[0xff; 2]), Err(FrameError::TooLarge));
        assert_eq!(framing.decode(&[0xe9, 0x07]), Err(FrameError::TooLarge));
    }
}
