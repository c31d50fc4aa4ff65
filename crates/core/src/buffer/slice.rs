//! A shared view of committed bytes.

use bytes::Bytes;

use super::Chunk;

/// `length` committed bytes of a chunk. Keeps the chunk alive; cloning copies no bytes.
///
/// ```
/// use netpoll_core::buffer::Region;
/// use netpoll_core::{ChunkPool, Slice};
///
/// let mut region = Region::over(ChunkPool::new(64, 1).take());
/// let mut all = region.append(b"head:body");
/// let head = all.split_to(5);
/// assert_eq!((head.as_ref(), all.as_ref()), (&b"head:"[..], &b"body"[..]));
/// // Bytes that no region has committed cannot be read.
/// assert!(Slice::checked(all.chunk().clone(), 0, 10).is_none());
/// ```
#[derive(Clone)]
pub struct Slice {
    chunk: Chunk,
    start: usize,
    length: usize,
}

impl Slice {
    /// Bytes `start..start + length` of `chunk`.
    ///
    /// # Panics
    /// Where [`Self::checked`] has none.
    #[inline]
    #[must_use]
    pub fn new(chunk: Chunk, start: usize, length: usize) -> Self {
        assert!(
            Self::can_cover(&chunk, start, length),
            "a slice covers committed bytes of its chunk"
        );
        // SAFETY: checked just now, and what is committed stays so.
        unsafe { Self::over(chunk, start, length) }
    }

    /// As [`Self::new`]; `None` where they reach beyond the chunk, or into what a region may still fill.
    #[must_use]
    pub fn checked(chunk: Chunk, start: usize, length: usize) -> Option<Self> {
        Self::can_cover(&chunk, start, length).then(|| {
            // SAFETY: checked just now, and what is committed stays so.
            unsafe { Self::over(chunk, start, length) }
        })
    }

    fn can_cover(chunk: &Chunk, start: usize, length: usize) -> bool {
        start
            .checked_add(length)
            .is_some_and(|end| chunk.settled().covers(&(start..end)))
    }

    /// Without a look whether it may.
    ///
    /// # Safety
    /// The bytes lie within the chunk, and no region writes to them as long as any holder refers to
    /// the chunk.
    pub(super) unsafe fn over(chunk: Chunk, start: usize, length: usize) -> Self {
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
    #[inline]
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
        // SAFETY: a part of what this slice covers.
        unsafe { Self::over(self.chunk.clone(), start, count) }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the chunk, initialised, and written by no region (see `over`); the chunk
        // outlives the borrow, because this slice holds it. JavaScript can write to a chunk that it
        // knows, while another thread sends from it. What is read here is then handed to the kernel
        // or copied, and nothing is concluded from it. A user who changes a message that is being
        // sent may send the old bytes, the new ones or both.
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
    #[should_panic(expected = "covers committed bytes")]
    fn a_slice_cannot_leave_its_chunk() {
        let _slice = Slice::new(ChunkPool::new(16, 1).take(), usize::MAX, 2);
    }
}
