//! A protobuf base-128 varint before each message.
//! Format: <https://protobuf.dev/programming-guides/encoding/#varints>.

use super::cut::{Cut, FrameError, whole_or_short};

/// A varint of 64 bits takes ten bytes at the most.
const LONGEST: usize = 10;

/// Messages of at most `max_length` bytes behind a varint length.
///
/// ```
/// use netpoll_core::frame::{Cut, Framing, Varint};
///
/// let framing = Framing::Varint(Varint::new(1024));
/// assert_eq!(framing.cut(b"\x02hi", 0), Ok(Cut::Frame { total: 3, start: 1, end: 3 }));
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

    pub(super) fn cut(&self, bytes: &[u8]) -> Result<Cut, FrameError> {
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
            Ok(Cut::Unknown { scanned: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_two_byte_lengths_at_every_split() {
        let framing = Varint::new(1000);
        assert_eq!(framing.cut(&[]), Ok(Cut::Unknown { scanned: 0 }));
        assert_eq!(
            framing.cut(&[0]),
            Ok(Cut::Frame {
                total: 1,
                start: 1,
                end: 1
            })
        );
        let mut bytes = vec![0xac, 0x02];
        bytes.resize(302, 7);
        assert_eq!(framing.cut(&bytes[..1]), Ok(Cut::Unknown { scanned: 0 }));
        for end in 2..302 {
            assert_eq!(framing.cut(&bytes[..end]), Ok(Cut::Short { total: 302 }));
        }
        assert_eq!(
            framing.cut(&bytes),
            Ok(Cut::Frame {
                total: 302,
                start: 2,
                end: 302
            })
        );
    }

    #[test]
    fn one_that_never_ends_is_refused() {
        let framing = Varint::new(1000);
        assert_eq!(framing.cut(&[0x80; 9]), Ok(Cut::Unknown { scanned: 0 }));
        assert_eq!(framing.cut(&[0x80; 10]), Err(FrameError::Invalid));
        assert_eq!(framing.cut(&[0xff; 2]), Err(FrameError::TooLarge));
        assert_eq!(framing.cut(&[0xe9, 0x07]), Err(FrameError::TooLarge));
    }
}
