//! A length in a fixed-size header, in the vocabulary of Netty's `LengthFieldBasedFrameDecoder`.

use super::decoded::{Decoded, FrameError, whole_or_short};
use super::uint::Endian;

/// A frame whose header carries its length:
/// `total = offset + size + value of the field + adjustment`.
#[derive(Clone, Copy, Debug)]
pub struct LengthField {
    offset: usize,
    size: usize,
    adjustment: i64,
    strip: usize,
    endian: Endian,
    max_length: usize,
}

/// Why these numbers describe no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthFieldError {
    /// The field must be 1, 2, 3, 4 or 8 bytes.
    Size,
    /// More bytes would be stripped than the smallest frame has.
    Strip,
}

impl LengthField {
    /// A field of `size` bytes after `offset` others. Of each frame the first `strip` bytes are
    /// left out of the message. `max_length` bounds what follows the field.
    ///
    /// # Errors
    /// [`LengthFieldError`] when no frame can be of that form.
    pub fn new(
        offset: usize,
        size: usize,
        adjustment: i64,
        strip: usize,
        endian: Endian,
        max_length: usize,
    ) -> Result<Self, LengthFieldError> {
        if !matches!(size, 1 | 2 | 3 | 4 | 8) {
            return Err(LengthFieldError::Size);
        }
        if strip > offset + size {
            return Err(LengthFieldError::Strip);
        }
        Ok(Self {
            offset,
            size,
            adjustment,
            strip,
            endian,
            max_length,
        })
    }

    /// Bytes that follow the field, by its value; `None` for fewer than none.
    pub(super) fn announced(&self, bytes: &[u8]) -> Option<u64> {
        let field = bytes.get(self.offset..self.offset + self.size)?;
        let body = i128::from(self.endian.read(field)) + i128::from(self.adjustment);
        (body >= 0).then(|| u64::try_from(body).unwrap_or(u64::MAX))
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Decoded, FrameError> {
        let header = self.offset + self.size;
        let Some(field) = bytes.get(self.offset..header) else {
            return Ok(Decoded::Unknown { scanned: 0 });
        };
        let value = self.endian.read(field);
        let body = i128::from(value) + i128::from(self.adjustment);
        if body < 0 {
            return Err(FrameError::Invalid);
        }
        let body = usize::try_from(body).map_err(|_| FrameError::TooLarge)?;
        if body > self.max_length {
            return Err(FrameError::TooLarge);
        }
        let total = header.checked_add(body).ok_or(FrameError::TooLarge)?;
        Ok(whole_or_short(bytes, total, self.strip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(size: usize, endian: Endian) -> LengthField {
        LengthField::new(0, size, 0, size, endian, 1 << 20).expect("valid")
    }

    #[test]
    fn every_size_and_byte_order() {
        for (size, endian, bytes) in [
            (1, Endian::Big, &[2, b'h', b'i'][..]),
            (2, Endian::Big, &[0, 2, b'h', b'i']),
            (2, Endian::Little, &[2, 0, b'h', b'i']),
            (3, Endian::Big, &[0, 0, 2, b'h', b'i']),
            (3, Endian::Little, &[2, 0, 0, b'h', b'i']),
            (4, Endian::Big, &[0, 0, 0, 2, b'h', b'i']),
            (4, Endian::Little, &[2, 0, 0, 0, b'h', b'i']),
            (8, Endian::Big, &[0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i']),
            (8, Endian::Little, &[2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']),
        ] {
            let framing = field(size, endian);
            for end in 0..bytes.len() {
                let expected = if end < size {
                    Decoded::Unknown { scanned: 0 }
                } else {
                    Decoded::Short { total: size + 2 }
                };
                assert_eq!(
                    framing.decode(&bytes[..end]),
                    Ok(expected),
                    "{size} {endian:?} {end}"
                );
            }
            let whole = Decoded::Frame {
                total: size + 2,
                start: size,
                end: size + 2,
            };
            assert_eq!(framing.decode(bytes), Ok(whole), "{size} {endian:?}");
        }
    }

    #[test]
    fn offset_adjustment_and_strip() {
        // Two bytes of magic, then a length that counts the whole frame of 2 + 2 + 3 bytes.
        let framing = LengthField::new(2, 2, -4, 2, Endian::Big, 100).expect("valid");
        let bytes = [0xca, 0xfe, 0, 7, 1, 2, 3, 9];
        assert_eq!(
            framing.decode(&bytes),
            Ok(Decoded::Frame {
                total: 7,
                start: 2,
                end: 7
            })
        );
        // A length that does not count the byte after it.
        let framing = LengthField::new(0, 1, 1, 0, Endian::Big, 100).expect("valid");
        assert_eq!(
            framing.decode(&[2, 0, 1, 2]),
            Ok(Decoded::Frame {
                total: 4,
                start: 0,
                end: 4
            })
        );
    }

    #[test]
    fn refused_from_the_header_alone() {
        let framing = LengthField::new(0, 4, 0, 4, Endian::Big, 16).expect("valid");
        assert_eq!(
            framing.decode(&[0, 0, 0, 16]),
            Ok(Decoded::Short { total: 20 })
        );
        assert_eq!(framing.decode(&[0, 0, 0, 17]), Err(FrameError::TooLarge));
        let framing = LengthField::new(0, 8, 0, 8, Endian::Big, usize::MAX).expect("valid");
        assert_eq!(
            framing.decode(&[0xff; 7]),
            Ok(Decoded::Unknown { scanned: 0 })
        );
        let framing = LengthField::new(0, 8, 1, 8, Endian::Big, 100).expect("valid");
        assert_eq!(framing.decode(&[0xff; 8]), Err(FrameError::TooLarge));
        let framing = LengthField::new(0, 1, -2, 1, Endian::Big, 100).expect("valid");
        assert_eq!(framing.decode(&[1]), Err(FrameError::Invalid));
    }

    #[test]
    fn impossible_forms_are_refused() {
        let build = |size, strip| LengthField::new(0, size, 0, strip, Endian::Big, 9).err();
        assert_eq!(build(5, 0), Some(LengthFieldError::Size));
        assert_eq!(build(0, 0), Some(LengthFieldError::Size));
        assert_eq!(build(2, 3), Some(LengthFieldError::Strip));
        assert_eq!(build(2, 2), None);
    }
}
