//! The exclusive right to fill a part of a chunk.

use super::{Chunk, Slice};

/// Bytes `filled..end` of a chunk, which belong to this region alone until it commits them.
///
/// Regions of one chunk never overlap: the first is made over the whole chunk, and every further
/// one is split off from another.
///
/// ```
/// use netpoll_core::ChunkPool;
/// use netpoll_core::buffer::Region;
///
/// let mut region = Region::over(ChunkPool::new(64, 1).take());
/// region.spare()[..5].copy_from_slice(b"hello");
/// let hello = region.share(5);
/// let world = region.append(b", world");
/// assert_eq!(hello.as_ref(), b"hello");
/// assert_eq!((world.start(), world.as_ref()), (5, &b", world"[..]));
/// assert_eq!(region.remaining(), 64 - 12);
/// ```
pub struct Region {
    chunk: Chunk,
    /// Where the bytes begin that this region alone has filled: what is before may belong to others.
    begin: usize,
    filled: usize,
    end: usize,
    part: Part,
}

/// How others learn what of a region they may read.
enum Part {
    /// It fills the chunk from its beginning.
    First,
    /// It was split off, and what it fills is a hole in what may be read.
    Hole(Hole),
    /// It was split off and is full.
    Full,
}

/// A hole in what may be read of a chunk, from `start`. Closed when dropped.
struct Hole {
    chunk: Chunk,
    start: usize,
}

impl Drop for Hole {
    fn drop(&mut self) {
        self.chunk.settled().close(self.start);
    }
}

impl Region {
    /// The right to fill the whole of `chunk`, which must be fresh from its pool. No other holder
    /// may have a region, a slice or another reference of it.
    ///
    /// # Panics
    /// When another holder does.
    #[must_use]
    pub fn over(chunk: Chunk) -> Self {
        assert!(
            chunk.is_unshared(),
            "a region over a whole chunk needs a fresh chunk"
        );
        chunk.settled().begin();
        let end = chunk.capacity();
        Self {
            chunk,
            begin: 0,
            filled: 0,
            end,
            part: Part::First,
        }
    }

    /// The chunk that this region is a part of.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// Whether it was made over the whole chunk, and not split off.
    #[must_use]
    pub fn has_whole_chunk(&self) -> bool {
        matches!(self.part, Part::First)
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

    /// Gives up all but the next `count` bytes, which no other region gets.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        assert!(count <= self.remaining(), "the region has fewer bytes");
        self.end = self.filled + count;
        self
    }

    /// The bytes to fill next. They hold whatever the chunk's last use left there.
    pub fn spare(&mut self) -> &mut [u8] {
        // SAFETY: `filled..end` lies within the chunk. It is initialised (chunks are allocated
        // zeroed), and belongs to this region alone: regions are disjoint, and slices cover only
        // what a region has committed. The region is borrowed mutably for as long as the result
        // lives. JavaScript can touch all of a chunk that was exported to it. JavaScript has to see
        // to it that it keeps to the messages that it was given, as with any memory that an add-on
        // shares.
        unsafe {
            std::slice::from_raw_parts_mut(self.chunk.as_ptr().add(self.filled), self.remaining())
        }
    }

    /// The first `count` of the bytes to fill next, to look at before they are committed.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    #[must_use]
    pub fn uncommitted(&self, count: usize) -> &[u8] {
        assert!(count <= self.remaining(), "the region has fewer bytes");
        // SAFETY: as in `spare`; only this region can write there, and it is borrowed for as long as the result lives.
        unsafe { std::slice::from_raw_parts(self.chunk.as_ptr().add(self.filled), count) }
    }

    /// Declares the next `count` bytes filled.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    #[inline]
    pub fn commit(&mut self, count: usize) {
        assert!(
            count <= self.remaining(),
            "committed more bytes than the region has"
        );
        self.filled += count;
        match self.part {
            Part::First => self.chunk.settled().commit(self.filled),
            _ => self.tell_filled(),
        }
    }

    /// Takes back what it has committed from `start` (an offset in the chunk) on, to fill it anew. Outside holders may keep
    /// the chunk. The caller knows that they do not look at those bytes any more.
    ///
    /// Returns whether it has: not where a slice or another region refers to the chunk, or where it was split off.
    pub fn rewind(&mut self, start: usize) -> bool {
        if !self.has_whole_chunk() || start > self.filled || !self.chunk.is_alone_inside() {
            return false;
        }
        self.chunk.settled().rewind(start);
        self.filled = start;
        self.begin = self.begin.min(start);
        true
    }

    /// All of its chunk, to be filled anew. Outside holders may keep the chunk. The caller knows that they do not look at its
    /// bytes any more.
    ///
    /// `None` where a slice or another region refers to the chunk, or where it was split off.
    #[must_use]
    pub fn again(mut self) -> Option<Self> {
        let is_whole = self.rewind(0);
        self.end = self.chunk.capacity();
        is_whole.then_some(self)
    }

    /// What was split off has been filled up to here.
    #[cold]
    fn tell_filled(&mut self) {
        match &mut self.part {
            Part::Hole(_) if self.filled == self.end => self.part = Part::Full,
            // A message may end within it, and is handed over before the rest comes.
            Part::Hole(hole) => {
                self.chunk.settled().fill(hole.start, self.filled);
                hole.start = self.filled;
            }
            Part::First | Part::Full => {}
        }
    }

    /// What this region has committed since it was made, or since it last gave bytes away, from `start` (an offset in
    /// the chunk) on.
    ///
    /// # Panics
    /// When `start` lies elsewhere.
    #[must_use]
    pub fn committed_from(&self, start: usize) -> &[u8] {
        assert!(
            self.begin <= start && start <= self.filled,
            "no committed bytes there"
        );
        // SAFETY: `begin..filled` was filled by this region and is committed, so that no region writes there again.
        unsafe { std::slice::from_raw_parts(self.chunk.as_ptr().add(start), self.filled - start) }
    }

    /// Gives the next `count` bytes away as a region of their own.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    #[must_use]
    pub fn split(&mut self, count: usize) -> Self {
        assert!(count <= self.remaining(), "the region has fewer bytes");
        let (filled, end) = (self.filled, self.filled + count);
        let part = if count == 0 {
            Part::Full
        } else {
            match &mut self.part {
                Part::First => self.chunk.settled().open(filled..end),
                Part::Hole(hole) => {
                    self.chunk.settled().divide(hole.start, filled..end);
                    hole.start = end;
                }
                Part::Full => unreachable!("a full region has no bytes to give away"),
            }
            Part::Hole(Hole {
                chunk: self.chunk.clone(),
                start: filled,
            })
        };
        self.filled = end;
        self.begin = end;
        if self.filled == self.end && matches!(self.part, Part::Hole(_)) {
            self.part = Part::Full;
        }
        Self {
            chunk: self.chunk.clone(),
            begin: filled,
            filled,
            end,
            part,
        }
    }

    /// Whether the next byte that this region commits lies right behind `slice`.
    #[must_use]
    pub fn follows(&self, slice: &Slice) -> bool {
        self.chunk.is_same(slice.chunk()) && slice.start() + slice.len() == self.filled
    }

    /// Commits the next `count` bytes as they are, and shares them.
    ///
    /// # Panics
    /// When fewer than `count` bytes remain.
    #[must_use]
    pub fn share(&mut self, count: usize) -> Slice {
        let start = self.filled;
        self.commit(count);
        // SAFETY: just committed, by this region.
        unsafe { Slice::over(self.chunk.clone(), start, count) }
    }

    /// Commits all that remains and shares it.
    #[must_use]
    pub fn into_slice(mut self) -> Slice {
        self.share(self.remaining())
    }

    /// Appends a copy of `bytes` and returns them as a slice.
    ///
    /// # Panics
    /// When there is no room for them.
    pub fn append(&mut self, bytes: &[u8]) -> Slice {
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.share(bytes.len())
    }

    /// Appends a copy of `bytes`.
    ///
    /// # Panics
    /// When there is no room for them.
    pub fn copy_in(&mut self, bytes: &[u8]) {
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.commit(bytes.len());
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
    fn what_a_split_region_has_committed_is_readable_before_it_is_full() {
        let mut tail = Region::over(ChunkPool::new(32, 1).take());
        let mut own = tail.split(10);
        let behind = tail.append(b"tail");
        let first = own.append(b"one");
        let second = own.append(b"two");
        let mut given = own.split(2);
        let _ = given.append(b"x");
        let third = own.append(b".");
        assert_eq!(
            [first.as_ref(), second.as_ref(), third.as_ref()],
            [&b"one"[..], b"two", b"."]
        );
        assert_eq!(behind.as_ref(), b"tail");
        let chunk = tail.chunk().clone();
        for (start, length, is_readable) in [
            (0, 6, true),
            (0, 7, true),
            (0, 8, false),
            (7, 1, false),
            (8, 1, true),
            (8, 2, false),
            (10, 4, true),
            (9, 5, false),
            (14, 1, false),
        ] {
            let slice = Slice::checked(chunk.clone(), start, length);
            assert_eq!(slice.is_some(), is_readable, "{start} + {length}");
        }
        drop((own, given));
        let all = Slice::checked(chunk, 0, 14);
        assert!(all.is_some(), "no region will fill the rest");
    }

    #[test]
    fn a_region_takes_back_what_no_holder_refers_to() {
        let mut region = Region::over(ChunkPool::new(32, 1).take());
        region.copy_in(b"kept");
        let outside = region.chunk().export();
        let slice = region.append(b"gone");
        assert!(!region.rewind(4), "a slice refers to it");
        drop(slice);
        let own = region.split(3);
        assert!(!region.rewind(4), "another region fills a part of it");
        drop(own);
        assert!(region.rewind(4));
        assert!(Slice::checked(region.chunk().clone(), 0, 4).is_some());
        assert!(Slice::checked(region.chunk().clone(), 0, 5).is_none());
        let anew = region.append(b"anew");
        assert_eq!((anew.start(), anew.as_ref()), (4, &b"anew"[..]));
        assert!(outside.is_filled_for(1) || anew.start() == 4);
    }

    #[test]
    #[should_panic(expected = "fresh chunk")]
    fn a_shared_chunk_cannot_be_filled_anew() {
        let chunk = ChunkPool::new(16, 1).take();
        let _other = chunk.clone();
        let _region = Region::over(chunk);
    }
}
