//! Ids that messages carry, so that replies find their requests in any order.

use super::Endian;

/// Where a message carries its id.
///
/// ```
/// use netpoll_core::frame::{Endian, IdField};
///
/// let field = IdField::new(1, 2, Endian::Big).expect("two bytes are a number");
/// assert_eq!(field.read(&[9, 1, 0, 7]), Some(256));
/// assert_eq!(field.read(&[9, 1]), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct IdField {
    offset: usize,
    size: usize,
    endian: Endian,
}

impl IdField {
    /// A field of `size` bytes after the message's first `offset` bytes: 1, 2, 4 or 8; `None` for another size.
    #[must_use]
    pub fn new(offset: usize, size: usize, endian: Endian) -> Option<Self> {
        matches!(size, 1 | 2 | 4 | 8).then_some(Self {
            offset,
            size,
            endian,
        })
    }

    /// The id of `message`; `None` where it is too short to have one.
    #[must_use]
    pub fn read(&self, message: &[u8]) -> Option<u64> {
        let field = message.get(self.offset..)?.get(..self.size)?;
        Some(self.endian.read(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_and_byte_order() {
        for (size, endian, bytes, expected) in [
            (1, Endian::Big, &[0xfe][..], 0xfe),
            (2, Endian::Big, &[1, 2], 0x0102),
            (2, Endian::Little, &[1, 2], 0x0201),
            (4, Endian::Big, &[0xff, 2, 3, 4], 0xff02_0304),
            (4, Endian::Little, &[1, 2, 3, 0xff], 0xff03_0201),
            (8, Endian::Big, &[0xff; 8], u64::MAX),
            (8, Endian::Little, &[1, 0, 0, 0, 0, 0, 0, 0x80], 1 << 63 | 1),
        ] {
            let field = IdField::new(3, size, endian).expect("a size of ids");
            let mut message = vec![9, 9, 9];
            message.extend_from_slice(bytes);
            assert_eq!(field.read(&message), Some(expected), "{size} {endian:?}");
            message.push(9);
            assert_eq!(field.read(&message), Some(expected), "{size} {endian:?}");
            for length in 0..3 + size {
                assert_eq!(field.read(&message[..length]), None, "{size} {length}");
            }
        }
    }

    #[test]
    fn impossible_fields_are_refused_and_far_ones_are_just_not_there() {
        for size in [0, 3, 5, 9] {
            assert!(IdField::new(0, size, Endian::Big).is_none());
        }
        let far = IdField::new(usize::MAX, 8, Endian::Big).expect("a size of ids");
        assert_eq!(far.read(&[0; 64]), None);
    }
}
