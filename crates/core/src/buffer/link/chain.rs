//! Pieces in the order of a stream: what waits to be sent, and what waits to be read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;

use super::super::{OutOfMemory, Region, Slice};
use super::{Detached, ForeignBytes, Piece};

/// A piece that keeps a chunk of more than so many times its size is copied out of it.
const KEPT_SHARE: usize = 4;
/// A chunk of up to so many bytes may be kept by any piece.
const SMALL_CHUNK: usize = 16 * 1024;

/// Whether a piece keeps a chunk that is large beside it.
fn pins<Owner>(piece: &Piece<Owner>) -> bool {
    let Piece::Pooled(slice) = piece else {
        return false;
    };
    let capacity = slice.chunk().capacity();
    capacity > SMALL_CHUNK && slice.len() * KEPT_SHARE < capacity
}

/// Pieces in the order of their stream, none of them empty. None is copied.
///
/// A chain without an `Owner` has no foreign bytes: all that is in it can be read at any time.
///
/// ```
/// use std::io::IoSlice;
///
/// use netpoll_core::ChunkPool;
/// use netpoll_core::buffer::{Chain, Region};
///
/// # fn main() -> Result<(), netpoll_core::buffer::OutOfMemory> {
/// let mut region = Region::over(ChunkPool::new(64, 1).take());
/// let mut chain: Chain = Chain::default();
/// chain.push(region.append(b"head"))?;
/// chain.push(region.append(b"er, "))?;
/// chain.push(bytes::Bytes::from_static(b"body"))?;
/// let mut pieces = [IoSlice::new(&[]); 4];
/// // The first two are neighbours in memory.
/// assert_eq!(chain.gather(usize::MAX, &mut pieces), Ok(2));
/// assert_eq!(&*pieces[0], b"header, ");
/// chain.advance(10);
/// assert_eq!(chain.len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Chain<Owner = Infallible> {
    pub(super) pieces: VecDeque<Piece<Owner>>,
    length: usize,
}

impl<Owner> Default for Chain<Owner> {
    /// No pieces yet, which takes no memory.
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
            length: 0,
        }
    }
}

impl<Owner: ForeignBytes> Chain<Owner> {
    /// How many bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// In how many pieces they lie.
    #[inline]
    #[must_use]
    pub fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`OutOfMemory`], because others decide how many pieces there are. This one is dropped.
    pub fn push(&mut self, piece: impl Into<Piece<Owner>>) -> Result<(), OutOfMemory> {
        match piece.into() {
            Piece::Pooled(slice) => self.push_slice(slice),
            piece => self.append(piece),
        }
    }

    /// Appends a pooled piece. Where it continues the last one in its chunk the two become one.
    ///
    /// # Errors
    /// As [`Self::push`].
    #[inline]
    pub fn push_slice(&mut self, slice: Slice) -> Result<(), OutOfMemory> {
        let length = slice.len();
        let separate = match self.pieces.back_mut() {
            Some(Piece::Pooled(last)) => match last.extend(slice) {
                Ok(()) => {
                    self.length += length;
                    return Ok(());
                }
                Err(slice) => slice,
            },
            _ => slice,
        };
        self.append(Piece::Pooled(separate))
    }

    #[inline]
    fn append(&mut self, piece: Piece<Owner>) -> Result<(), OutOfMemory> {
        let length = piece.len();
        if length > 0 {
            if self.pieces.len() == self.pieces.capacity() {
                self.grow()?;
            }
            // The length of foreign bytes is a number that no memory stands for yet.
            self.length = self.length.checked_add(length).ok_or(OutOfMemory)?;
            self.pieces.push_back(piece);
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        Ok(self.pieces.try_reserve(1)?)
    }

    /// Puts the first pieces into `target`, as many as there is room for, and together at most `max` bytes;
    /// how many they are. Those before memory that was taken away are still given.
    ///
    /// # Errors
    /// [`Detached`] when the very first bytes are not there any more.
    #[inline]
    pub fn gather<'a>(&'a self, max: usize, target: &mut [IoSlice<'a>]) -> Result<usize, Detached> {
        let mut count = 0;
        let mut room = max;
        for (place, piece) in target.iter_mut().zip(&self.pieces) {
            match piece.bytes() {
                Ok(bytes) if bytes.len() < room => {
                    room -= bytes.len();
                    *place = IoSlice::new(bytes);
                }
                Ok(bytes) => {
                    *place = IoSlice::new(&bytes[..room]);
                    return Ok(count + 1);
                }
                Err(Detached) if count > 0 => break,
                Err(Detached) => return Err(Detached),
            }
            count += 1;
        }
        Ok(count)
    }

    /// Lets go of the first `count` bytes, and of the memory of pieces that end there.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, mut count: usize) {
        assert!(count <= self.length, "advanced beyond the chain");
        self.length -= count;
        while count > 0 {
            let Some(front) = self.pieces.front_mut() else {
                break;
            };
            if count < front.len() {
                front.advance(count);
                break;
            }
            count -= front.len();
            // Nearly all are pooled: of these the compiler puts the release right here.
            match self.pieces.pop_front() {
                Some(Piece::Pooled(sent)) => drop(sent),
                other => drop(other),
            }
        }
    }

    /// Copies small pooled pieces from the one at `first` on out of large chunks, neighbours together. Where there is no memory
    /// they stay where they are.
    pub fn copy_out(&mut self, first: usize) {
        let mut kept = first;
        let mut next = first;
        while next < self.pieces.len() {
            let run = self.pinning_from(next);
            if let Some(copy) = self.copied(next, run) {
                self.pieces[kept] = Piece::Pooled(copy);
                kept += 1;
                next += run;
                continue;
            }
            for _ in 0..run.max(1) {
                self.pieces.swap(kept, next);
                kept += 1;
                next += 1;
            }
        }
        self.pieces.truncate(kept);
    }

    /// Copies the first piece, if so much of it has left that it keeps a large chunk.
    pub fn copy_out_first(&mut self) {
        if self.pinning_from(0) > 0
            && let Some(copy) = self.copied(0, 1)
        {
            self.pieces[0] = Piece::Pooled(copy);
        }
    }

    /// How many pieces from `first` on keep large chunks, until one does not.
    fn pinning_from(&self, first: usize) -> usize {
        let pieces = self.pieces.iter().skip(first);
        pieces.take_while(|piece| pins(piece)).count()
    }

    /// A copy of `count` pieces in memory of their size; `None` where there are none, or no memory.
    fn copied(&self, first: usize, count: usize) -> Option<Slice> {
        let run = || self.pieces.iter().skip(first).take(count);
        let Some(Piece::Pooled(slice)) = run().next() else {
            return None;
        };
        let length = run().map(Piece::len).sum();
        let chunk = slice.chunk().pool().try_take_exactly(length).ok()?;
        let mut region = Region::over(chunk);
        for piece in run() {
            region.copy_in(piece.bytes().ok()?);
        }
        Some(Slice::new(region.chunk().clone(), 0, length))
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.length = 0;
    }
}

impl Chain {
    /// Takes the first `count` bytes out and hands over the pieces that they lie in.
    ///
    /// # Panics
    /// When there are fewer.
    pub(super) fn consume(&mut self, count: usize, mut hand_over: impl FnMut(Piece)) {
        assert!(count <= self.length, "consumed beyond the chain");
        self.length -= count;
        let mut missing = count;
        while let Some(front) = self.pieces.front_mut().filter(|_| missing > 0) {
            if front.len() > missing {
                hand_over(front.split_to(missing));
                return;
            }
            missing -= front.len();
            if let Some(piece) = self.pieces.pop_front() {
                hand_over(piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::{ChunkPool, Region};
    use super::super::Foreign;
    use super::*;

    /// Foreign memory that is there.
    struct Lent;

    impl ForeignBytes for Lent {
        fn bytes(&self) -> Option<&[u8]> {
            Some(b"foreign")
        }
    }

    #[test]
    fn pieces_of_every_kind_leave_in_order_whatever_is_taken() {
        for step in 1..30 {
            let pool = ChunkPool::new(64, 2);
            let mut region = Region::over(pool.take());
            let mut chain = Chain::default();
            let pushed = [
                chain.push(region.append(b"pooled ")),
                chain.push(Bytes::from_static(b"owned ")),
                chain.push(Bytes::new()),
                chain.push(Foreign::new(Lent, 0, 7)),
                chain.push(Foreign::new(Lent, 7, 0)),
                chain.push(region.append(b" joi")),
                chain.push(region.append(b"ned")),
            ];
            assert_eq!(pushed, [Ok(()); 7]);
            assert_eq!((chain.piece_count(), chain.len()), (4, 27));
            drop(region);
            let mut sent = Vec::new();
            while !chain.is_empty() {
                let mut pieces = [IoSlice::new(&[]); 2];
                let count = chain.gather(step, &mut pieces).expect("all is there");
                let before = sent.len();
                pieces[..count]
                    .iter()
                    .for_each(|bytes| sent.extend_from_slice(bytes));
                assert!(sent.len() - before <= step);
                chain.advance(sent.len() - before);
            }
            assert_eq!(sent, b"pooled owned foreign joined");
            assert_eq!(chain.piece_count(), 0);
            assert_eq!(pool.stats().live, 0);
        }
    }

    #[test]
    fn more_bytes_than_can_be_counted_are_refused_and_the_rest_stays() {
        let mut chain = Chain::default();
        assert_eq!(chain.push(Bytes::from_static(b"here")), Ok(()));
        let pushed = chain.push(Foreign::new(Lent, 0, usize::MAX));
        assert_eq!(pushed, Err(OutOfMemory));
        assert_eq!((chain.piece_count(), chain.len()), (1, 4));
    }

    #[test]
    #[should_panic(expected = "advanced beyond the chain")]
    fn a_chain_does_not_end_before_its_bytes() {
        Chain::<Lent>::default().advance(1);
    }
}
