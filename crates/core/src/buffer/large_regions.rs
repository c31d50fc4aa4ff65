//! Regions of large messages that no reader looks at any more, for the next messages of that size.

use std::mem;
use std::time::{Duration, Instant};

use super::{Chunk, Region};

/// Regions that none was taken of for so long are let go of, and within twice that.
const MAX_IDLE: Duration = Duration::from_millis(400);

/// Whether memory of messages comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// The consumer has given some of the last large messages back.
    Expected,
    /// It keeps what it gets, or another thread has it.
    No,
}

/// The regions that one read buffer fills again. All together have at most as many bytes as the pool keeps free.
pub(super) struct LargeRegions {
    limit: usize,
    returns: Returns,
    /// Full. Their messages are in the batch that is being filled or handled.
    handed_over: Vec<Region>,
    /// To be filled anew.
    free: Vec<Region>,
    bytes: usize,
    /// When to look whether any was used since the last look.
    look_at: Option<Instant>,
    was_used: bool,
}

impl LargeRegions {
    /// At most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            returns: Returns::No,
            handed_over: Vec::new(),
            free: Vec::new(),
            bytes: 0,
            look_at: None,
            was_used: false,
        }
    }

    /// A connection has handed over all of `region`, which is all that it has of its chunk.
    pub(super) fn hand_over(&mut self, region: Region) {
        let capacity = region.chunk().capacity();
        let has_room = capacity <= self.limit - self.bytes;
        if self.returns == Returns::Expected && has_room && self.handed_over.try_reserve(1).is_ok()
        {
            self.bytes += capacity;
            self.handed_over.push(region);
        }
    }

    /// The messages of the last batch are not kept for: they were not given back before the next one.
    pub(super) fn begin_batch(&mut self) {
        if self.handed_over.is_empty() {
            return;
        }
        self.returns = Returns::No;
        for region in self.handed_over.drain(..) {
            self.bytes -= region.chunk().capacity();
        }
    }

    /// The consumer does not look at the last batch any more. `is_free` tells of the chunk of each large message.
    pub(super) fn reuse_batch(&mut self, is_free: impl Fn(&Chunk) -> bool) {
        self.returns = Returns::Expected;
        for region in self.handed_over.drain(..) {
            let capacity = region.chunk().capacity();
            let again = match is_free(region.chunk()) {
                true => region.again(),
                false => None,
            };
            match again {
                Some(region) if self.free.try_reserve(1).is_ok() => self.free.push(region),
                _ => self.bytes -= capacity,
            }
        }
    }

    /// The warmest one over a chunk of so many bytes.
    pub(super) fn take(&mut self, capacity: usize) -> Option<Region> {
        let is_fit = |region: &Region| region.chunk().capacity() == capacity;
        let index = self.free.iter().rposition(is_fit)?;
        self.bytes -= capacity;
        self.was_used = true;
        Some(self.free.remove(index))
    }

    /// Lets go of all of them.
    pub(super) fn clear(&mut self) {
        self.handed_over.clear();
        self.free.clear();
        self.bytes = 0;
    }

    /// Lets go of all of them where none was used for long. To be called in each turn, and at [`Self::look_at`].
    pub(super) fn let_go_unused(&mut self, now: Instant) {
        if self.look_at.is_some_and(|look_at| look_at <= now) {
            if !mem::take(&mut self.was_used) {
                self.clear();
            }
            self.look_at = None;
        }
        if self.bytes > 0 && self.look_at.is_none() {
            self.look_at = Some(now + MAX_IDLE);
        }
    }

    /// When [`Self::let_go_unused`] is to be called, at the latest.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }
}

#[cfg(test)]
mod tests {
    use super::super::ChunkPool;
    use super::*;

    const LARGE: usize = 200;

    fn filled(pool: &ChunkPool, text: &[u8]) -> Region {
        let mut region = Region::over(pool.take_exactly(LARGE));
        region.copy_in(text);
        region
    }

    /// Regions of which the consumer has given some back before.
    fn expecting(limit: usize) -> LargeRegions {
        let mut regions = LargeRegions::new(limit);
        regions.reuse_batch(|_| true);
        regions
    }

    #[test]
    fn what_the_consumer_has_given_back_is_filled_anew_by_a_message_of_that_size() {
        let pool = ChunkPool::new(64, 16);
        let mut regions = expecting(1024);
        regions.begin_batch();
        regions.hand_over(filled(&pool, b"first"));
        assert!(regions.take(LARGE).is_none(), "it is being looked at");
        regions.reuse_batch(|_| true);
        assert!(regions.take(LARGE + 1).is_none());
        let mut again = regions.take(LARGE).expect("it came back");
        assert_eq!((again.filled(), again.remaining()), (0, LARGE));
        again.copy_in(b"second");
        assert_eq!(pool.stats().live, 1);
        assert!(regions.take(LARGE).is_none());
    }

    #[test]
    fn what_anyone_still_looks_at_is_not_filled_anew() {
        let pool = ChunkPool::new(64, 16);
        let mut regions = expecting(1024);
        let mut region = filled(&pool, b"");
        let slice = region.append(b"kept");
        regions.hand_over(region);
        regions.reuse_batch(|_| true);
        assert!(regions.take(LARGE).is_none(), "a slice refers to it");
        regions.hand_over(filled(&pool, b"refused"));
        regions.reuse_batch(|_| false);
        assert!(regions.take(LARGE).is_none(), "the consumer keeps it");
        assert_eq!((slice.as_ref(), pool.stats().live), (&b"kept"[..], 1));
    }

    #[test]
    fn nothing_is_kept_for_a_consumer_that_gives_nothing_back() {
        let pool = ChunkPool::new(64, 16);
        let mut regions = LargeRegions::new(1024);
        regions.hand_over(filled(&pool, b"at first"));
        assert_eq!(pool.stats().live, 0);
        regions.reuse_batch(|_| true);
        regions.hand_over(filled(&pool, b"kept once"));
        assert_eq!(pool.stats().live, 1);
        regions.begin_batch();
        assert_eq!(pool.stats().live, 0);
        regions.hand_over(filled(&pool, b"and not again"));
        assert_eq!(pool.stats().live, 0);
    }

    #[test]
    fn the_bound_holds_for_all_together() {
        let pool = ChunkPool::new(64, 16);
        let mut regions = expecting(2 * LARGE + 1);
        for _ in 0..3 {
            for _ in 0..5 {
                regions.hand_over(filled(&pool, b""));
            }
            regions.reuse_batch(|_| true);
            assert_eq!(pool.stats().live, 2);
        }
        let taken = regions.take(LARGE);
        regions.hand_over(filled(&pool, b"in its place"));
        drop(taken);
        assert_eq!(pool.stats().live, 2);
    }

    #[test]
    fn what_is_not_used_for_long_is_let_go_of_and_what_is_used_is_not() {
        let pool = ChunkPool::new(64, 16);
        let mut regions = expecting(1024);
        let mut now = Instant::now();
        regions.let_go_unused(now);
        assert_eq!(regions.look_at(), None, "there is nothing to look at");
        regions.hand_over(filled(&pool, b""));
        regions.let_go_unused(now);
        for _ in 0..3 {
            regions.reuse_batch(|_| true);
            let region = regions.take(LARGE).expect("it came back");
            regions.hand_over(region);
            now = regions.look_at().expect("it is looked at again");
            regions.let_go_unused(now);
            assert_eq!(pool.stats().live, 1, "it was used");
        }
        now = regions.look_at().expect("it is looked at again");
        regions.let_go_unused(now - Duration::from_millis(1));
        assert_eq!(pool.stats().live, 1);
        regions.let_go_unused(now);
        assert_eq!((pool.stats().live, regions.look_at()), (0, None));
    }
}
