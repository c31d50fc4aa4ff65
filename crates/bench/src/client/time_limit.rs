//! How long a request may take. A request that is past it has lost its connection, as with any
//! client that cannot tell a late reply from the next one.

use std::time::Duration;

use super::failure::{Failure, Kind};

/// The limit is looked at so many times before it is over.
const LOOKS: u64 = 16;

/// The time limit of each request of a run, in nanoseconds of its clock.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimit {
    limit: u64,
    /// When requests without a reply are looked at next.
    pub next_look: u64,
}

impl TimeLimit {
    /// A limit, or none.
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            limit: limit.map_or(u64::MAX, |limit| limit.as_nanos() as u64),
            next_look: if limit.is_some() { 0 } else { u64::MAX },
        }
    }

    /// Whether it is time to look at requests without a reply; then it is not for a while.
    pub fn is_time_to_look(&mut self, now: u64) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + self.limit / LOOKS;
        true
    }

    /// Whether a request of `sent_at` is too late at `now`.
    pub fn is_over(self, sent_at: u64, now: u64) -> bool {
        now.saturating_sub(sent_at) > self.limit
    }

    /// What `count` late requests are reported as.
    pub fn failure(self, count: u64) -> Failure {
        let limit = Duration::from_nanos(self.limit);
        Failure::new(Kind::TimedOut, format!("{count} not within {limit:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_never_over() {
        let mut none = TimeLimit::new(None);
        assert!(!none.is_over(0, u64::MAX - 1));
        assert!(!none.is_time_to_look(u64::MAX - 1));
    }

    #[test]
    fn a_request_may_take_all_of_its_limit() {
        let limit = TimeLimit::new(Some(Duration::from_nanos(100)));
        assert!(!limit.is_over(50, 150));
        assert!(limit.is_over(50, 151));
        // The schedule may be ahead of the clock.
        assert!(!limit.is_over(151, 150));
    }

    #[test]
    fn requests_are_looked_at_now_and_then() {
        let mut limit = TimeLimit::new(Some(Duration::from_nanos(160)));
        assert!(limit.is_time_to_look(5));
        assert!(!limit.is_time_to_look(14));
        assert!(limit.is_time_to_look(15));
    }
}
