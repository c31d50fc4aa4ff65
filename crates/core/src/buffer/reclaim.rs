//! When to ask a holder of chunks who lets go lazily, such as a garbage collector, to do so now.
//!
//! A holder that is left alone keeps many chunks that nobody looks at any more. The pool then has to
//! allocate, every byte is written to memory that no cache holds, and once a bound of the holder's own
//! is reached it cleans up at a much higher price.

/// The longest interval, as a multiple of the least.
const MOST: usize = 8;

/// How many times a chunk counts that other holders have as well. It comes back only when the last of them lets go, and
/// they collect at different times: together they would keep many times what one does.
const SHARED_WEIGHT: usize = 6;

/// Who has a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// This holder alone.
    Alone,
    /// Other holders, too.
    Shared,
}

/// Counts chunks handed to the holder, and says when to ask it. Asking in vain, because the chunks are
/// in use, doubles the interval.
pub struct ReclaimPacer {
    least: usize,
    since: usize,
    /// As `since`, with shared chunks counted several times.
    weight: usize,
    interval: usize,
    held_when_asked: usize,
}

impl ReclaimPacer {
    /// `least` chunks are handed out before the holder is first asked. Asking costs V8 one to two milliseconds where its
    /// helper threads share one core with it: every 8 MiB, it took a third of a fast upload's time, every 32 MiB little.
    pub fn new(least: usize) -> Self {
        let least = least.max(1);
        Self {
            least,
            since: 0,
            weight: 0,
            interval: least,
            held_when_asked: 0,
        }
    }

    /// One more chunk was handed out.
    pub fn handed_out(&mut self, sharing: Sharing) {
        self.since += 1;
        self.weight += match sharing {
            Sharing::Alone => 1,
            Sharing::Shared => SHARED_WEIGHT,
        };
    }

    /// Whether to ask now, given that the holder keeps `held` chunks.
    pub fn is_due(&mut self, held: usize) -> bool {
        if self.weight < self.interval {
            return false;
        }
        // As if those that are held were shared as those that were handed out.
        if held * self.weight / self.since < self.least {
            // The holder lets go by itself.
            *self = Self::new(self.least);
            return false;
        }
        let grew = held.saturating_sub(self.held_when_asked);
        let in_vain = self.held_when_asked > 0 && grew * 2 > self.since;
        self.interval = if in_vain {
            (self.interval * 2).min(MOST * self.least)
        } else {
            self.least
        };
        self.since = 0;
        self.weight = 0;
        self.held_when_asked = held;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: usize = 128;

    fn hand_out(pacer: &mut ReclaimPacer, count: usize, held: usize) -> usize {
        (0..count)
            .filter(|_| {
                pacer.handed_out(Sharing::Alone);
                pacer.is_due(held)
            })
            .count()
    }

    #[test]
    fn a_holder_that_lets_go_by_itself_is_never_asked() {
        assert_eq!(
            hand_out(&mut ReclaimPacer::new(LEAST), 10_000, LEAST - 1),
            0
        );
    }

    #[test]
    fn a_lazy_holder_is_asked_once_per_interval() {
        assert_eq!(
            hand_out(&mut ReclaimPacer::new(LEAST), 10 * LEAST, 2 * LEAST),
            10
        );
    }

    #[test]
    fn asking_in_vain_becomes_rare_and_success_makes_it_frequent_again() {
        let mut pacer = ReclaimPacer::new(LEAST);
        let mut held = 0;
        let mut asked = 0;
        for _ in 0..100_000 {
            held += 1;
            pacer.handed_out(Sharing::Alone);
            asked += usize::from(pacer.is_due(held));
        }
        assert!(asked < 120, "{asked}");
        // From here on the holder keeps no more than before; the time until the first asking still counts.
        hand_out(&mut pacer, 2 * MOST * LEAST, held);
        assert_eq!(hand_out(&mut pacer, 10 * LEAST, held), 10);
    }

    #[test]
    fn holders_that_share_chunks_are_asked_sooner() {
        let mut pacer = ReclaimPacer::new(LEAST);
        let interval = LEAST.div_ceil(SHARED_WEIGHT);
        let asked = (0..5 * interval).filter(|_| {
            pacer.handed_out(Sharing::Shared);
            pacer.is_due(interval)
        });
        assert_eq!(asked.count(), 5);
    }
}
