//! Regions of large messages that no reader looks at any more, for the next messages of that size.

use std::time::Instant;

use super::large_memory::MAX_IDLE;
use super::{Chunk, Region};

/// Whether memory of messages comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// The consumer has given its last batch back.
    Expected,
    /// It keeps what it gets, or another thread has it.
    No,
}

/// A region that waits.
struct Waiting {
    region: Region,
    /// How many looks there were when it began to wait.
    looks: u64,
}

impl Waiting {
    fn capacity(&self) -> usize {
        self.region.chunk().capacity()
    }
}

/// The regions that one read buffer fills again. All together have at most as many bytes as the pool keeps free.
pub(super) struct LargeRegions {
    limit: usize,
    returns: Returns,
    /// Their messages are in the batch that is being filled or handled.
    handed_over: Vec<Waiting>,
    /// To be filled anew, in the order in which they came back.
    free: Vec<Waiting>,
    /// How often it was looked what waits for long, and when that is due again.
    looks: u64,
    look_at: Option<Instant>,
}

impl LargeRegions {
    /// At most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            returns: Returns::No,
            handed_over: Vec::new(),
            free: Vec::new(),
            looks: 0,
            look_at: None,
        }
    }

    /// A connection has handed over all of `region`, which is all that it has of its chunk. Free ones give way to it: it shows
    /// the sizes that are in use now.
    pub(super) fn hand_over(&mut self, region: Region) {
        let capacity = region.chunk().capacity();
        if self.returns == Returns::No || capacity > self.limit {
            return;
        }
        while self.bytes() + capacity > self.limit {
            if self.free.is_empty() {
                return;
            }
            self.free.remove(0);
        }
        if self.handed_over.try_reserve(1).is_ok() {
            let looks = self.looks;
            self.handed_over.push(Waiting { region, looks });
        }
    }

    /// Of all that waits: asked for each large message, of which few wait.
    fn bytes(&self) -> usize {
        let waiting = self.handed_over.iter().chain(&self.free);
        waiting.map(Waiting::capacity).sum()
    }

    /// Drops the regions of the last batch: it was not given back before the next one.
    pub(super) fn begin_batch(&mut self) {
        if !self.handed_over.is_empty() {
            self.returns = Returns::No;
            self.handed_over.clear();
        }
    }

    /// The consumer does not look at the last batch any more. `is_free` tells of the chunk of each large message.
    pub(super) fn reuse_batch(&mut self, is_free: impl Fn(&Chunk) -> bool) {
        self.returns = Returns::Expected;
        for Waiting { region, .. } in self.handed_over.drain(..) {
            if is_free(region.chunk())
                && let Some(region) = region.again()
                && self.free.try_reserve(1).is_ok()
            {
                let looks = self.looks;
                self.free.push(Waiting { region, looks });
            }
        }
    }

    /// The warmest one over a chunk of so many bytes.
    pub(super) fn take(&mut self, capacity: usize) -> Option<Region> {
        let is_fit = |waiting: &Waiting| waiting.capacity() == capacity;
        let index = self.free.iter().rposition(is_fit)?;
        Some(self.free.remove(index).region)
    }

    /// Lets go of what has waited for long. To be called in each turn, and at [`Self::look_at`].
    pub(super) fn let_go_unused(&mut self, now: Instant) {
        if self.look_at.is_some_and(|look_at| look_at <= now) {
            // What is there since the look before, or for longer, was not used between them.
            let looks = self.looks;
            self.handed_over.retain(|waiting| waiting.looks == looks);
            self.free.retain(|waiting| waiting.looks == looks);
            self.looks += 1;
            self.look_at = None;
        }
        let is_empty = self.handed_over.is_empty() && self.free.is_empty();
        if !is_empty && self.look_at.is_none() {
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
    use std::time::Duration;

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
    fn sizes_that_are_in_use_take_the_place_of_those_that_are_not() {
        let pool = ChunkPool::new(64, 32);
        let mut regions = expecting(4 * LARGE);
        for _ in 0..4 {
            regions.hand_over(filled(&pool, b""));
        }
        regions.reuse_batch(|_| true);
        regions.hand_over(Region::over(pool.take_exactly(2 * LARGE)));
        regions.reuse_batch(|_| true);
        assert_eq!(pool.stats().live, 3);
        assert!(regions.take(2 * LARGE).is_some());
        assert!(regions.take(LARGE).is_some() && regions.take(LARGE).is_some());
        assert!(regions.take(LARGE).is_none());
        regions.hand_over(Region::over(pool.take_exactly(4 * LARGE + 1)));
        assert_eq!(pool.stats().live, 0, "it is too large");
    }

    #[test]
    fn what_is_not_used_for_long_is_let_go_of_and_what_is_used_is_not() {
        let pool = ChunkPool::new(64, 32);
        let mut regions = expecting(1024);
        let mut now = Instant::now();
        regions.let_go_unused(now);
        assert_eq!(regions.look_at(), None, "there is nothing to look at");
        regions.hand_over(filled(&pool, b""));
        regions.hand_over(Region::over(pool.take_exactly(2 * LARGE)));
        regions.reuse_batch(|_| true);
        regions.let_go_unused(now);
        for round in 0..4 {
            let region = regions.take(LARGE).expect("it came back");
            regions.hand_over(region);
            regions.reuse_batch(|_| true);
            now = regions.look_at().expect("it is looked at again");
            regions.let_go_unused(now);
            let left = if round == 0 { 2 } else { 1 };
            assert_eq!(pool.stats().live, left, "one size is in use");
        }
        let last = regions.take(LARGE).expect("it came back");
        regions.hand_over(last);
        for left in [1, 0] {
            now = regions.look_at().expect("it is looked at again");
            regions.let_go_unused(now - Duration::from_millis(1));
            assert_eq!(pool.stats().live, 1, "whatever its batch waits for");
            regions.let_go_unused(now);
            assert_eq!(pool.stats().live, left);
        }
        assert_eq!(regions.look_at(), None);
    }
}
