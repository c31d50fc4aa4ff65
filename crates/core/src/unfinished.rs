//! How much is kept of what has arrived and is not handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes may be held of what has arrived and could not be handed over, and of what was inflated, all connections
/// together.
///
/// ```
/// use netpoll_core::settings::UnfinishedBound;
///
/// let bound = UnfinishedBound::new(100);
/// assert!(bound.replace(0, 80));
/// assert!(!bound.replace(0, 30), "beyond the bound, and counted all the same");
/// bound.replace(30, 0);
/// assert_eq!(bound.used(), 80);
/// ```
#[derive(Debug)]
pub struct UnfinishedBound {
    used: AtomicUsize,
    max: usize,
}

impl UnfinishedBound {
    /// At most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
        }
    }

    /// Replaces a claim of `before` bytes by one of `now`; whether that stays within the bound.
    /// It counts also when it does not: then it has to be taken back.
    pub fn replace(&self, before: usize, now: usize) -> bool {
        let used = if now >= before {
            self.used.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            self.used.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        };
        now <= before || used <= self.max
    }

    /// Bytes that are held now, as far as chunks are shared with others those of the whole chunk.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What one connection holds of an [`UnfinishedBound`]. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    bound: Arc<UnfinishedBound>,
    bytes: usize,
}

impl Claim {
    /// None yet.
    pub(crate) fn new(bound: Arc<UnfinishedBound>) -> Self {
        Self { bound, bytes: 0 }
    }

    /// How many bytes the bound has left.
    pub(crate) fn room(&self) -> usize {
        self.bound.max.saturating_sub(self.bound.used())
    }

    /// Makes it one for `bytes`, unless the bound has too little left for that: then nothing changes.
    #[must_use]
    pub(crate) fn change(&mut self, bytes: usize) -> bool {
        self.change_below(bytes, self.bound.max)
    }

    /// As [`Self::change`], while no more than half of the bound is in use: for memory that is claimed to save a copy.
    #[must_use]
    pub(crate) fn change_if_plenty(&mut self, bytes: usize) -> bool {
        self.change_below(bytes, self.bound.max / 2)
    }

    fn change_below(&mut self, bytes: usize, max: usize) -> bool {
        let used = &self.bound.used;
        let before = self.bytes;
        if bytes > before {
            let more = bytes - before;
            let claimed = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|used| *used <= max)
            });
            if claimed.is_err() {
                return false;
            }
        } else if bytes < before {
            used.fetch_sub(before - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }

    /// Gives all of it back.
    pub(crate) fn release(&mut self) {
        // There is none as a rule, and then the word that all connections share is not touched.
        if self.bytes > 0 {
            let bytes = std::mem::take(&mut self.bytes);
            self.bound.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release();
    }
}
