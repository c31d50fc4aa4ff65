//! A time limit that runs while something is the case.

use std::time::{Duration, Instant};

/// Runs from when it was started until it is stopped. Without a limit it does nothing.
#[derive(Default)]
pub(super) struct Stopwatch {
    limit: Option<Duration>,
    since: Option<Instant>,
}

impl Stopwatch {
    /// One that stands still.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, since: None }
    }

    /// Replaces the limit, and stands still until it is started again.
    pub(super) fn set_limit(&mut self, limit: Option<Duration>) {
        *self = Self::new(limit);
    }

    /// Starts, unless it runs already.
    pub(super) fn start(&mut self, now: Instant) {
        if self.since.is_none() {
            self.since = self.limit.map(|_| now);
        }
    }

    /// Begins anew, if it runs.
    pub(super) fn restart(&mut self, now: Instant) {
        self.run_from(now);
    }

    /// Stands still, and begins anew when it is started again.
    pub(super) fn stop(&mut self) {
        self.since = None;
    }

    /// Counts from `since`, if it runs.
    pub(super) fn run_from(&mut self, since: Instant) {
        self.since = self.since.map(|_| since);
    }

    /// From when on it counts, if it runs.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether it counts.
    pub(super) fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// When the limit is reached, if it runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since?.checked_add(self.limit?)
    }

    /// Whether the limit is reached.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn counts_from_the_start_and_not_from_later_ones() {
        let now = Instant::now();
        let mut watch = Stopwatch::new(Some(3 * SECOND));
        assert!(!watch.is_over(now + 9 * SECOND));
        watch.start(now);
        watch.start(now + SECOND);
        assert_eq!(watch.deadline(), Some(now + 3 * SECOND));
        assert!(!watch.is_over(now + 2 * SECOND));
        assert!(watch.is_over(now + 3 * SECOND));
        watch.restart(now + SECOND);
        assert!(!watch.is_over(now + 3 * SECOND));
        watch.stop();
        watch.restart(now);
        assert_eq!(watch.deadline(), None);
    }

    #[test]
    fn without_a_limit_it_never_runs() {
        let now = Instant::now();
        let mut watch = Stopwatch::new(None);
        watch.start(now);
        assert_eq!(watch.deadline(), None);
        watch.set_limit(Some(SECOND));
        assert_eq!(watch.deadline(), None);
        watch.start(now);
        assert!(watch.is_over(now + SECOND));
        watch.set_limit(Some(Duration::MAX));
        watch.start(now);
        assert_eq!(watch.deadline(), None);
    }
}
