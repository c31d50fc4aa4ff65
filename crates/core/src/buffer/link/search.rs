//! Looks for delimiters, also for those that lie across pieces.

use memchr::memmem;

use super::{LinkReader, NotEnoughData, Piece};

impl LinkReader {
    /// Reads up to and including the first `delimiter`, as one piece.
    ///
    /// # Errors
    /// [`NotEnoughData`] when it has not arrived.
    ///
    /// # Panics
    /// When `delimiter` is empty.
    pub fn until(&mut self, delimiter: &[u8]) -> Result<Piece, NotEnoughData> {
        match self.index_of(delimiter, 0) {
            Some(index) => self.next(index + delimiter.len()),
            None => Err(NotEnoughData { missing: 1 }),
        }
    }

    /// Where `delimiter` begins for the first time, `from` or more bytes ahead; counted from the next
    /// byte to be read. Joins nothing, also where the delimiter lies across pieces.
    ///
    /// # Panics
    /// When `delimiter` is empty.
    #[must_use]
    pub fn index_of(&self, delimiter: &[u8], from: usize) -> Option<usize> {
        assert!(!delimiter.is_empty(), "a delimiter has at min one byte");
        let finder = memmem::Finder::new(delimiter);
        let mut passed = 0;
        for (place, piece) in self.chain.pieces.iter().enumerate() {
            let bytes = piece.as_ref();
            let first = from.saturating_sub(passed).min(bytes.len());
            if let Some(index) = finder.find(&bytes[first..]) {
                return Some(passed + first + index);
            }
            // What begins here, but ends in a later piece.
            let decode = (bytes.len() + 1).saturating_sub(delimiter.len()).max(first);
            let across =
                (decode..bytes.len()).find(|&start| self.begins_at(place, start, delimiter));
            if let Some(start) = across {
                return Some(passed + start);
            }
            passed += bytes.len();
        }
        None
    }

    fn begins_at(&self, place: usize, start: usize, expected: &[u8]) -> bool {
        let mut expected = expected;
        let mut start = start;
        for piece in self.chain.pieces.range(place..) {
            let bytes = &piece.as_ref()[start..];
            let count = bytes.len().min(expected.len());
            if bytes[..count] != expected[..count] {
                return false;
            }
            expected = &expected[count..];
            start = 0;
        }
        expected.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ChunkPool;
    use super::*;

    #[test]
    #[should_panic(expected = "at min one byte")]
    fn an_empty_delimiter_is_a_mistake() {
        let _ = LinkReader::new(ChunkPool::new(16, 1)).until(b"");
    }
}
