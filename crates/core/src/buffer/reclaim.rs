//! When to ask a holder of chunks who lets go lazily, such as a garbage collector, to do so now.
//!
//! A holder that is left alone keeps many chunks that no code looks at any more. The pool then has
//! to allocate, and every byte is written to memory that no cache holds. Once a bound of the
//! holder's own is reached it cleans up at a much higher price.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The longest interval, as a multiple of the least.
const MAX: usize = 8;

/// How many times a chunk counts that other holders have as well. It comes back only when the last
/// of them lets go. The holders collect at different times: together they would keep many times
/// what one does.
const SHARED_WEIGHT: usize = 3;

/// Which holders have a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// This holder alone.
    Alone,
    /// Other holders, too.
    Shared,
}

/// How often a holder of shared chunks was asked, of all that share them. When one is asked, the
/// others are as well, unless they were lately. So a chunk that they share is not kept by the
/// environment that would be asked last.
#[derive(Default)]
pub struct ReclaimRounds(AtomicUsize);

impl ReclaimRounds {
    // Relaxed: a holder that sees a round late is asked a turn later.
    fn current(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn begin(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// Counts chunks handed to the holder, and says when to ask it. Asking in vain, because the chunks are
/// in use, doubles the interval. All numbers are of ordinary chunks: a large one counts as several.
pub struct ReclaimPacer {
    min: usize,
    rounds: Arc<ReclaimRounds>,
    /// The last one in which the holder was asked, or could have been.
    round: usize,
    since: usize,
    /// As `since`, with shared chunks counted several times.
    weight: usize,
    interval: usize,
    held_when_asked: usize,
}

impl ReclaimPacer {
    /// `min` chunks are handed out before the holder is first asked. Asking costs V8 a third of a
    /// millisecond where little lives, and more where its helper threads share one core with it.
    /// What it frees is soon written again, and is then still in the processor's cache.
    pub fn new(min: usize, rounds: Arc<ReclaimRounds>) -> Self {
        let min = min.max(1);
        Self {
            min,
            round: rounds.current(),
            rounds,
            since: 0,
            weight: 0,
            interval: min,
            held_when_asked: 0,
        }
    }

    /// One more chunk was handed out, as large as `size` ordinary ones.
    pub fn handed_out(&mut self, size: usize, sharing: Sharing) {
        self.since += size;
        self.weight += match sharing {
            Sharing::Alone => size,
            Sharing::Shared => size * SHARED_WEIGHT,
        };
    }

    /// Whether to ask now, given that the holder keeps as much as `held` chunks.
    pub fn is_due(&mut self, held: usize) -> bool {
        // Beside another that shares them, half is enough.
        let times = match self.weight > self.since && self.sees_round() {
            true => 2,
            false => 1,
        };
        if self.weight * times < self.interval {
            return false;
        }
        // As if those that are held were shared as those that were handed out.
        if held * self.weight * times / self.since < self.min {
            // The holder lets go by itself.
            *self = Self::new(self.min, self.rounds.clone());
            return false;
        }
        let grew = held.saturating_sub(self.held_when_asked);
        let in_vain = self.held_when_asked > 0 && grew * 2 > self.since;
        self.interval = if in_vain {
            (self.interval * 2).min(MAX * self.min)
        } else {
            self.min
        };
        self.round = match self.weight > self.since && times == 1 {
            true => self.rounds.begin(),
            false => self.rounds.current(),
        };
        self.since = 0;
        self.weight = 0;
        self.held_when_asked = held;
        true
    }

    /// Whether another holder of shared chunks was asked since this one was.
    fn sees_round(&self) -> bool {
        self.round != self.rounds.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: usize = 120;

    fn hand_out(pacer: &mut ReclaimPacer, count: usize, held: usize) -> usize {
        (0..count)
            .filter(|_| {
                pacer.handed_out(1, Sharing::Alone);
                pacer.is_due(held)
            })
            .count()
    }

    #[test]
    fn a_holder_that_lets_go_by_itself_is_never_asked() {
        assert_eq!(
            hand_out(
                &mut ReclaimPacer::new(LEAST, Arc::default()),
                10_000,
                LEAST - 1
            ),
            0
        );
    }

    #[test]
    fn a_lazy_holder_is_asked_once_per_interval() {
        assert_eq!(
            hand_out(
                &mut ReclaimPacer::new(LEAST, Arc::default()),
                10 * LEAST,
                2 * LEAST
            ),
            10
        );
    }

    #[test]
    fn asking_in_vain_becomes_rare_and_success_makes_it_frequent_again() {
        let mut pacer = ReclaimPacer::new(LEAST, Arc::default());
        let mut held = 0;
        let mut asked = 0;
        for _ in 0..100_000 {
            held += 1;
            pacer.handed_out(1, Sharing::Alone);
            asked += usize::from(pacer.is_due(held));
        }
        assert!(asked < 120, "{asked}");
        // From here on the holder keeps no more than before; the time until the first asking still counts.
        hand_out(&mut pacer, 2 * MAX * LEAST, held);
        assert_eq!(hand_out(&mut pacer, 10 * LEAST, held), 10);
    }

    #[test]
    fn large_chunks_count_as_many() {
        let mut pacer = ReclaimPacer::new(LEAST, Arc::default());
        let asked = (0..5 * LEAST / 4).filter(|_| {
            pacer.handed_out(4, Sharing::Alone);
            pacer.is_due(LEAST)
        });
        assert_eq!(asked.count(), 5);
    }

    #[test]
    fn holders_that_share_chunks_are_asked_sooner() {
        let mut pacer = ReclaimPacer::new(LEAST, Arc::default());
        let interval = LEAST.div_ceil(SHARED_WEIGHT);
        let asked = (0..5 * interval).filter(|_| {
            pacer.handed_out(1, Sharing::Shared);
            pacer.is_due(interval)
        });
        assert_eq!(asked.count(), 5);
    }
    #[test]
    fn holders_that_share_chunks_are_asked_together() {
        let rounds = Arc::<ReclaimRounds>::default();
        let [mut first, mut second, mut late] =
            [(); 3].map(|()| ReclaimPacer::new(LEAST, rounds.clone()));
        let interval = LEAST / SHARED_WEIGHT;
        for _ in 0..interval {
            first.handed_out(1, Sharing::Shared);
        }
        for _ in 0..interval / 2 {
            second.handed_out(1, Sharing::Shared);
        }
        late.handed_out(1, Sharing::Shared);
        assert!(!second.is_due(interval));
        assert!(first.is_due(interval));
        assert!(second.is_due(interval), "another was asked");
        assert!(!late.is_due(interval), "it has next to nothing to give");
        assert!(!first.is_due(interval), "that was the same round");
    }

    #[test]
    fn a_holder_of_chunks_of_its_own_is_asked_alone() {
        let rounds = Arc::<ReclaimRounds>::default();
        let [mut sharing, mut alone] = [(); 2].map(|()| ReclaimPacer::new(LEAST, rounds.clone()));
        for _ in 0..LEAST / 2 {
            sharing.handed_out(1, Sharing::Shared);
            alone.handed_out(1, Sharing::Alone);
        }
        assert!(sharing.is_due(LEAST));
        assert!(!alone.is_due(LEAST));
    }
}
