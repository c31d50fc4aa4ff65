//! A shared view of committed bytes.

use bytes::Bytes;

use super::Chunk;

/// `length` committed bytes of a chunk. Keeps the chunk alive; cloning copies no bytes.
#[derive(Clone)]
pub struct Slice {
    chunk: Chunk,
    start: usize,
    length: usize,
}

impl Slice {
    /// Bytes `start..start + length` of `chunk`, which must be committed.
    ///
    /// # Panics
    /// When they reach beyond the chunk.
    #[must_use]
    pub fn new(chunk: Chunk, start: usize, length: usize) -> Self {
        let end = start.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= chunk.capacity()),
            "a slice ends within its chunk"
        );
        Self {
            chunk,
            start,
            length,
        }
    }

    /// The chunk that these bytes lie in.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// Offset of the first byte in the chunk.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes `next` in where it continues this slice in memory; gives it back otherwise.
    ///
    /// # Errors
    /// `next` itself, when it lies elsewhere.
    pub fn extend(&mut self, next: Self) -> Result<(), Self> {
        if self.chunk.is_same(&next.chunk) && self.start + self.length == next.start {
            self.length += next.length;
            Ok(())
        } else {
            Err(next)
        }
    }

    /// Drops the first `count` bytes from view.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.length, "advanced beyond the slice");
        self.start += count;
        self.length -= count;
    }

    /// Takes the first `count` bytes off as a slice of their own, which shares the chunk.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> Self {
        let start = self.start;
        self.advance(count);
        Self::new(self.chunk.clone(), start, count)
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the chunk (checked in `new`), initialised and committed, so no region
        // writes there; the chunk outlives the borrow because this slice holds it.
        unsafe { std::slice::from_raw_parts(self.chunk.as_ptr().add(self.start), self.length) }
    }
}

impl From<Slice> for Bytes {
    /// Shares the memory; allocates the owner that `Bytes` counts.
    fn from(slice: Slice) -> Self {
        Self::from_owner(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChunkPool, Region};
    use super::*;

    #[test]
    fn adjacent_slices_join_and_others_come_back() {
        let pool = ChunkPool::new(16, 1);
        let mut region = Region::over(pool.take());
        let mut first = region.append(b"one");
        let second = region.append(b"two");
        let third = region.append(b"three");
        assert!(first.extend(second).is_ok());
        assert_eq!(first.as_ref(), b"onetwo");
        let mut elsewhere = Region::over(pool.take());
        assert!(first.extend(elsewhere.append(b"x")).is_err());
        first.advance(3);
        assert!(first.extend(third).is_ok());
        assert_eq!(Bytes::from(first), &b"twothree"[..]);
    }

    #[test]
    #[should_panic(expected = "ends within its chunk")]
    fn a_slice_cannot_leave_its_chunk() {
        let _slice = Slice::new(ChunkPool::new(16, 1).take(), usize::MAX, 2);
    }
}
