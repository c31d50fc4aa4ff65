//! The exclusive right to fill a part of a chunk.

use super::{Chunk, Slice};

/// Bytes `filled..end` of a chunk, which belong to this region alone until it commits them.
///
/// Regions of one chunk never overlap: the first is made over the whole chunk, and every further
/// one is split off from another.
pub struct Region {
    chunk: Chunk,
    filled: usize,
    end: usize,
}

impl Region {
    /// The right to fill the whole of `chunk`, which must be fresh from its pool: nobody else may
    /// hold a region, a slice or another reference of it.
    #[must_use]
    pub fn over(chunk: Chunk) -> Self {
        assert!(
            chunk.is_unshared(),
            "a region over a whole chunk needs a fresh chunk"
        );
        let end = chunk.capacity();
        Self {
            chunk,
            filled: 0,
            end,
        }
    }

    /// A region with nothing left to fill, at the end of bytes that are committed already.
    #[must_use]
    pub fn full(chunk: Chunk, filled: usize) -> Self {
        Self {
            chunk,
            filled,
            end: filled,
        }
    }

    /// The chunk that this region is a part of.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// Offset in the chunk of the first byte that is not committed.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// How many bytes can still be committed.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.filled
    }

    /// The bytes to fill next. They hold whatever the chunk's last use left there.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: `filled..end` lies within the chunk, is initialised (chunks are allocated zeroed),
        // and belongs to this region alone (regions are disjoint, slices cover committed bytes
        // only), which is borrowed mutably for as long as the result lives.
        unsafe {
            std::slice::from_raw_parts_mut(self.chunk.as_ptr().add(self.filled), self.remaining())
        }
    }

    /// Declares the next `count` bytes filled.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    pub fn commit(&mut self, count: usize) {
        assert!(
            count <= self.remaining(),
            "committed more bytes than the region has"
        );
        self.filled += count;
    }

    /// Committed bytes from `start` (an offset in the chunk) to the end of what is committed.
    #[must_use]
    pub fn committed_from(&self, start: usize) -> &[u8] {
        assert!(start <= self.filled, "no committed bytes there");
        // SAFETY: below `filled` everything is committed and no region will write there again.
        unsafe { std::slice::from_raw_parts(self.chunk.as_ptr().add(start), self.filled - start) }
    }

    /// Gives the next `count` bytes away as a region of their own.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    #[must_use]
    pub fn split(&mut self, count: usize) -> Self {
        let filled = self.filled;
        self.commit(count);
        Self {
            chunk: self.chunk.clone(),
            filled,
            end: self.filled,
        }
    }

    /// Whether the next byte that this region commits lies right behind `slice`.
    #[must_use]
    pub fn follows(&self, slice: &Slice) -> bool {
        self.chunk.is_same(slice.chunk()) && slice.start() + slice.len() == self.filled
    }

    /// Commits all that remains and shares it.
    #[must_use]
    pub fn into_slice(mut self) -> Slice {
        let (start, length) = (self.filled, self.remaining());
        self.commit(length);
        Slice::new(self.chunk, start, length)
    }

    /// Appends a copy of `bytes` and returns them as a slice.
    ///
    /// # Panics
    /// When there is no room for them.
    pub fn append(&mut self, bytes: &[u8]) -> Slice {
        let start = self.filled;
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.commit(bytes.len());
        Slice::new(self.chunk.clone(), start, bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ChunkPool;
    use super::*;

    #[test]
    fn committed_bytes_are_readable_and_the_rest_stays_fillable() {
        let mut region = Region::over(ChunkPool::new(16, 1).take());
        let slice = region.append(b"hello");
        region.spare()[..3].copy_from_slice(b"abc");
        region.commit(3);
        assert_eq!(slice.as_ref(), b"hello");
        assert_eq!(region.committed_from(0), b"helloabc");
        assert_eq!(region.remaining(), 8);
    }

    #[test]
    fn split_regions_are_disjoint() {
        let mut tail = Region::over(ChunkPool::new(16, 1).take());
        let mut own = tail.split(6);
        assert_eq!((own.remaining(), tail.remaining()), (6, 10));
        let second = tail.append(b"tail");
        let first = own.append(b"own...");
        assert_eq!(own.remaining(), 0);
        assert_eq!(
            (first.as_ref(), second.as_ref()),
            (&b"own..."[..], &b"tail"[..])
        );
    }

    #[test]
    #[should_panic(expected = "fresh chunk")]
    fn a_shared_chunk_cannot_be_filled_anew() {
        let chunk = ChunkPool::new(16, 1).take();
        let _other = chunk.clone();
        let _region = Region::over(chunk);
    }
}
