//! What waits to be sent on one connection.

use std::io::IoSlice;

use crate::buffer::{Chain, Detached, Foreign, ForeignBytes, OutOfMemory, Slice};

/// The most bytes of one system call: macOS refuses calls with 2 GiB or more.
const MAX: usize = 1 << 30;

/// A chain of pieces in the order in which they are sent. None of them is copied.
#[derive(Default)]
pub struct Outbound {
    chain: Chain<Box<dyn ForeignBytes>>,
    /// How many of the first pieces [`Self::copy_out`] has looked at.
    compact: usize,
}

impl Outbound {
    /// Appends `slice`. Where it continues the last one in memory the two become one. So an echo of
    /// many small messages leaves as few pieces as it arrived in.
    ///
    /// # Errors
    /// [`OutOfMemory`]: it is not queued.
    #[inline]
    pub fn push(&mut self, slice: Slice) -> Result<(), OutOfMemory> {
        self.chain.push_slice(slice)
    }

    /// Appends bytes `start..start + length` of `owner`, which is kept until they have been sent.
    ///
    /// # Errors
    /// [`OutOfMemory`]: they are not queued, and `owner` is let go of.
    pub fn push_foreign(
        &mut self,
        owner: Box<dyn ForeignBytes>,
        start: usize,
        length: usize,
    ) -> Result<(), OutOfMemory> {
        self.chain.push(Foreign::new(owner, start, length))
    }

    /// Bytes that wait.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.chain.len()
    }

    /// Whether any bytes wait.
    #[must_use]
    pub fn has_remaining(&self) -> bool {
        !self.chain.is_empty()
    }

    /// Whether all of it lies in one piece.
    #[must_use]
    pub fn is_one_piece(&self) -> bool {
        self.chain.piece_count() == 1
    }

    /// The first pieces, as many as `target` has room for and one system call takes: see
    /// [`Chain::gather`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn gather<'a>(&'a self, target: &mut [IoSlice<'a>]) -> Result<usize, Detached> {
        self.chain.gather(MAX, target)
    }

    /// The first `count` bytes have left.
    ///
    /// # Panics
    /// When fewer are queued.
    pub fn advance(&mut self, count: usize) {
        let before = self.chain.piece_count();
        self.chain.advance(count);
        let gone = before - self.chain.piece_count();
        self.compact = self.compact.saturating_sub(gone);
    }

    /// Copies small pieces out of large chunks, for a peer that does not take them now. It looks at each piece once, but at the
    /// first one each time: what has left of it lies in its chunk still. Of that one at most a third is copied, in all.
    #[cold]
    pub fn copy_out(&mut self) {
        if self.compact > 0 {
            self.chain.copy_out_first();
        }
        self.chain.copy_out(self.compact);
        self.compact = self.chain.piece_count();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.compact = 0;
        self.chain.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::buffer::{ChunkPool, Region};

    fn gathered(outbound: &Outbound) -> Result<Vec<u8>, Detached> {
        let mut vectors = [IoSlice::new(&[]); 2];
        let count = outbound.gather(&mut vectors)?;
        // As wholes: byte by byte, Miri takes a thousand times longer.
        let pieces: Vec<&[u8]> = vectors[..count].iter().map(|piece| &piece[..]).collect();
        Ok(pieces.concat())
    }

    #[test]
    fn leaves_in_order_whatever_the_writes_take() {
        let pool = ChunkPool::new(64, 4);
        for step in 1..12 {
            let mut outbound = Outbound::default();
            let (mut one, mut other) = (Region::over(pool.take()), Region::over(pool.take()));
            let (owner, _) = lent(b"..1234..");
            outbound.push(one.append(b"ab")).expect("there is memory");
            outbound.push(other.append(b"cd")).expect("there is memory");
            outbound.push_foreign(owner, 2, 4).expect("there is memory");
            outbound.push(one.append(b"ef")).expect("there is memory");
            outbound.push(one.append(b"gh")).expect("there is memory");
            outbound.push(other.append(b"")).expect("there is memory");
            let mut sent = Vec::new();
            while outbound.has_remaining() {
                let all = gathered(&outbound).expect("all is there");
                let taken = step.min(all.len());
                sent.extend_from_slice(&all[..taken]);
                outbound.advance(taken);
            }
            assert_eq!(sent, b"abcd1234efgh");
            assert_eq!(outbound.chain.piece_count(), 0);
        }
    }

    #[test]
    fn no_call_gets_more_than_it_takes() {
        let mut outbound = Outbound::default();
        for memory in [&b"abcd"[..], b"efghijkl", b"mnop"] {
            outbound
                .push_foreign(lent(memory).0, 0, memory.len())
                .expect("there is memory");
        }
        for (max, expected) in [
            (3, "abc"),
            (4, "abcd"),
            (6, "abcdef"),
            (99, "abcdefghijklmnop"),
        ] {
            let mut vectors = [IoSlice::new(&[]); 4];
            let count = outbound.chain.gather(max, &mut vectors);
            let count = count.expect("all is there");
            let bytes: Vec<u8> = vectors[..count].iter().flat_map(|v| v.to_vec()).collect();
            assert_eq!(bytes, expected.as_bytes());
            assert!(vectors[..count].iter().all(|vector| !vector.is_empty()));
        }
    }

    #[test]
    fn neighbours_in_memory_leave_as_one() {
        let mut region = Region::over(ChunkPool::new(64, 4).take());
        let mut outbound = Outbound::default();
        for _ in 0..8 {
            outbound
                .push(region.append(b"message"))
                .expect("there is memory");
        }
        assert_eq!(outbound.chain.piece_count(), 1);
        assert_eq!(outbound.remaining(), 56);
    }

    /// Memory of which the first `there` bytes are still there.
    struct Lent {
        memory: &'static [u8],
        there: Rc<Cell<Option<usize>>>,
    }

    impl ForeignBytes for Lent {
        fn bytes(&self) -> Option<&[u8]> {
            self.there.get().map(|there| &self.memory[..there])
        }
    }

    fn lent(memory: &'static [u8]) -> (Box<dyn ForeignBytes>, Rc<Cell<Option<usize>>>) {
        let there = Rc::new(Cell::new(Some(memory.len())));
        let owner = Lent {
            memory,
            there: there.clone(),
        };
        (Box::new(owner), there)
    }

    #[test]
    fn memory_that_is_taken_away_is_not_read_and_what_is_before_it_leaves() {
        for left in [None, Some(0), Some(5)] {
            let mut outbound = Outbound::default();
            let (owner, there) = lent(b"foreign");
            outbound
                .push(Region::over(ChunkPool::new(64, 4).take()).append(b"ours"))
                .expect("there is memory");
            outbound.push_foreign(owner, 1, 5).expect("there is memory");
            assert_eq!(gathered(&outbound), Ok(b"oursoreig".to_vec()));
            outbound.advance(2);
            there.set(left);
            assert_eq!(gathered(&outbound), Ok(b"rs".to_vec()));
            outbound.advance(2);
            assert_eq!(gathered(&outbound), Err(Detached));
        }
    }

    #[test]
    fn memory_is_let_go_of_once_it_is_sent_or_forgotten() {
        for sent in [false, true] {
            let mut outbound = Outbound::default();
            let (owner, there) = lent(b"foreign");
            outbound.push_foreign(owner, 0, 7).expect("there is memory");
            outbound.advance(6);
            assert_eq!(Rc::strong_count(&there), 2);
            if sent {
                outbound.advance(1);
            } else {
                outbound.clear();
            }
            assert_eq!(Rc::strong_count(&there), 1);
            let (owner, there) = lent(b"foreign");
            outbound.push_foreign(owner, 3, 0).expect("there is memory");
            assert_eq!(Rc::strong_count(&there), 1);
        }
    }

    #[test]
    fn what_waits_keeps_no_more_than_a_few_times_its_size() {
        const LARGE: usize = 256 * 1024;
        let pool = ChunkPool::new(LARGE, 0);
        let piece = |length: usize, byte| Region::over(pool.take()).append(&vec![byte; length]);
        let mut outbound = Outbound::default();
        let mut expected = Vec::new();
        let mut push = |outbound: &mut Outbound, length: usize, byte| {
            outbound.push(piece(length, byte)).expect("there is memory");
            expected.extend(vec![byte; length]);
        };
        push(&mut outbound, 1_000, 1);
        push(&mut outbound, 60_000, 2);
        push(&mut outbound, LARGE / 2, 3);
        push(&mut outbound, 10, 4);
        outbound.advance(500);
        outbound.copy_out();
        assert_eq!(pool.stats().live_bytes, 60_500 + LARGE + 10);
        // What came before is looked at no more, and nothing is copied twice.
        push(&mut outbound, 20, 5);
        push(&mut outbound, 30, 6);
        let before = pool.stats().misses;
        outbound.copy_out();
        assert_eq!(pool.stats().misses, before + 1);
        assert_eq!(pool.stats().live_bytes, 60_500 + LARGE + 10 + 50);
        let mut sent = Vec::new();
        while outbound.has_remaining() {
            let all = gathered(&outbound).expect("all is there");
            sent.extend_from_slice(&all);
            outbound.advance(all.len());
            outbound.copy_out();
        }
        assert!(sent == expected[500..]);
        assert_eq!(pool.stats().live, 0);
    }

    #[test]
    fn what_is_left_of_a_large_piece_keeps_no_more_than_a_few_times_its_size() {
        const LARGE: usize = 256 * 1024;
        let pool = ChunkPool::new(LARGE, 0);
        let bytes: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
        let mut outbound = Outbound::default();
        outbound
            .push(Region::over(pool.take()).append(&bytes))
            .expect("there is memory");
        outbound
            .push(Region::over(pool.take()).append(b"behind it"))
            .expect("there is memory");
        let mut sent = Vec::new();
        while outbound.has_remaining() {
            outbound.copy_out();
            let (held, waiting) = (pool.stats().live_bytes, outbound.remaining());
            assert!(held <= 4 * waiting + 16 * 1024, "{held} for {waiting}");
            let all = gathered(&outbound).expect("all is there");
            let taken = all.len().min(10_000);
            sent.extend_from_slice(&all[..taken]);
            outbound.advance(taken);
        }
        assert!(sent == [&bytes[..], b"behind it"].concat());
        // For what is under a quarter, then under a quarter of that, and for what is behind it.
        assert_eq!(pool.stats().misses, 2 + 3);
    }

    #[test]
    fn bounds_that_make_no_sense_are_never_there() {
        let mut outbound = Outbound::default();
        let (owner, _) = lent(b"foreign");
        outbound
            .push_foreign(owner, usize::MAX, 1)
            .expect("there is memory");
        assert_eq!(gathered(&outbound), Err(Detached));
    }
}
