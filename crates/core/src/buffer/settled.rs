//! Which bytes of a chunk are written no more.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What of a chunk may be read: everything, until a region is made over it, and then what regions have committed.
///
/// The first region fills the chunk from its beginning and tells of each commit by one store. A region that is split off
/// from it leaves a hole, for the time that it is being filled. Nearly always there is none.
pub(super) struct Settled {
    /// All bytes before this one may be read: the end of what the first region has committed, or the first hole.
    prefix: AtomicUsize,
    /// The end of what the first region has committed or given away.
    end: AtomicUsize,
    /// How many holes there are. Only the first region makes them, and each owner of one may divide
    /// it.
    count: AtomicUsize,
    /// The end of the last hole that there ever was: what the first region has committed behind it has none.
    beyond: AtomicUsize,
    holes: Mutex<Vec<Range<usize>>>,
}

impl Settled {
    /// No region writes into a chunk of so many bytes.
    pub(super) fn all(capacity: usize) -> Self {
        Self {
            prefix: AtomicUsize::new(capacity),
            end: AtomicUsize::new(capacity),
            count: AtomicUsize::new(0),
            beyond: AtomicUsize::new(0),
            holes: Mutex::default(),
        }
    }

    /// Whether no region writes to `range` any more. The hot path, for each message that is sent from where it lies: a lock is
    /// taken only for what lies between holes.
    pub(super) fn covers(&self, range: &Range<usize>) -> bool {
        // Acquire: what was written before the store that is seen here can be read.
        range.end <= self.prefix.load(Ordering::Acquire)
            || self.is_behind_holes(range)
            || self.has_no_hole_in(range)
    }

    fn is_behind_holes(&self, range: &Range<usize>) -> bool {
        // The end first: a hole is told before the end passes it, and those that come later begin behind that end.
        range.end <= self.end.load(Ordering::Acquire)
            && self.beyond.load(Ordering::Relaxed) <= range.start
    }

    #[cold]
    fn has_no_hole_in(&self, range: &Range<usize>) -> bool {
        // The end first: a hole is noted before the end passes it.
        let is_behind = range.end <= self.end.load(Ordering::Acquire);
        let holes = self.holes();
        is_behind
            && holes
                .iter()
                .all(|hole| range.end <= hole.start || hole.end <= range.start)
    }

    /// A region is made over all of the chunk, which has no other reference.
    pub(super) fn begin(&self) {
        self.holes().clear();
        self.count.store(0, Ordering::Relaxed);
        self.beyond.store(0, Ordering::Relaxed);
        self.end.store(0, Ordering::Relaxed);
        self.prefix.store(0, Ordering::Relaxed);
    }

    /// The first region has committed everything before `end`.
    pub(super) fn commit(&self, end: usize) {
        self.end.store(end, Ordering::Release);
        // None can be added meanwhile: only the region that calls this adds any.
        if self.count.load(Ordering::Acquire) == 0 {
            self.prefix.store(end, Ordering::Release);
        }
    }

    /// The first region takes back what it has committed from `end` on. No holder refers to it, and there is no hole.
    pub(super) fn rewind(&self, end: usize) {
        self.prefix.store(end, Ordering::Release);
        self.end.store(end, Ordering::Release);
    }

    /// The first region gives `hole` away, which begins where its commits end.
    pub(super) fn open(&self, hole: Range<usize>) {
        let end = hole.end;
        let mut holes = self.holes();
        holes.push(hole);
        self.count.store(holes.len(), Ordering::Release);
        self.beyond.store(end, Ordering::Relaxed);
        self.end.store(end, Ordering::Release);
    }

    /// Of the hole that began at `start`, `part` becomes one of its own, what is before it is filled, and what is behind it
    /// remains.
    pub(super) fn divide(&self, start: usize, part: Range<usize>) {
        let mut holes = self.holes();
        let Some(at) = holes.iter().position(|hole| hole.start == start) else {
            return;
        };
        let rest = part.end..holes.swap_remove(at).end;
        holes.push(part);
        if !rest.is_empty() {
            holes.push(rest);
        }
        self.publish(&holes);
    }

    /// The hole that began at `start` is filled up to `filled`.
    pub(super) fn fill(&self, start: usize, filled: usize) {
        let mut holes = self.holes();
        if let Some(hole) = holes.iter_mut().find(|hole| hole.start == start) {
            hole.start = filled;
        }
        self.publish(&holes);
    }

    /// The hole that began at `start` is filled, or never will be.
    pub(super) fn close(&self, start: usize) {
        let mut holes = self.holes();
        holes.retain(|hole| hole.start != start);
        self.publish(&holes);
    }

    fn publish(&self, holes: &[Range<usize>]) {
        let first = holes.iter().map(|hole| hole.start).min();
        let end = self.end.load(Ordering::Acquire);
        self.prefix
            .store(first.unwrap_or(end).min(end), Ordering::Release);
        // Last: from then on the first region may tell by itself how far one can read.
        self.count.store(holes.len(), Ordering::Release);
    }

    /// A panic while the list was held cannot have left a hole out: it is added before anything else happens.
    fn holes(&self) -> MutexGuard<'_, Vec<Range<usize>>> {
        self.holes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Longer than any look takes that waits for no other thread.
    const HANG: Duration = Duration::from_secs(20);

    /// What `covers` says of each range while another thread holds the list of holes; `None` where it waits for that.
    fn covers_without_lock(settled: &Settled, range: Range<usize>) -> Option<bool> {
        thread::scope(|scope| {
            let (told, answer) = mpsc::channel();
            let holes = settled.holes();
            scope.spawn(move || told.send(settled.covers(&range)));
            let answer = answer.recv_timeout(HANG).ok();
            drop(holes);
            answer
        })
    }

    #[test]
    fn only_what_lies_between_holes_takes_the_lock() {
        let settled = Settled::all(100);
        settled.begin();
        settled.commit(10);
        settled.open(10..20);
        settled.commit(30);
        assert_eq!(covers_without_lock(&settled, 0..10), Some(true));
        assert_eq!(covers_without_lock(&settled, 20..30), Some(true));
        assert_eq!(covers_without_lock(&settled, 25..30), Some(true));
        settled.open(30..40);
        settled.commit(50);
        assert_eq!(covers_without_lock(&settled, 40..50), Some(true));
        for (range, expected) in [
            (20..30, true),
            (5..15, false),
            (19..21, false),
            (29..31, false),
            (39..41, false),
            (40..51, false),
            (45..101, false),
        ] {
            assert_eq!(settled.covers(&range), expected, "{range:?}");
        }
        settled.close(10);
        assert_eq!(covers_without_lock(&settled, 0..30), Some(true));
        settled.close(30);
        assert_eq!(covers_without_lock(&settled, 0..50), Some(true));
    }
}
