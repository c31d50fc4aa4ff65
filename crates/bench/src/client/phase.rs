//! The phases of a run and what ends each of them.

use crate::args::Extent;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Load without measuring.
    WarmUp,
    /// Load within the measured window.
    Measuring,
    /// No new requests: the replies of the last ones are awaited.
    Draining,
}

/// The phase of a run. Times are nanoseconds of the run's clock; replies are
/// counted from its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    current: Phase,
    ends: End,
    measured: Extent,
    /// Replies before the current phase.
    before: u64,
}

/// What ends a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    At(u64),
    Replies(u64),
    Never,
}

impl End {
    fn after(extent: Extent, now: u64, answered: u64) -> Self {
        match extent {
            Extent::Time(duration) => Self::At(now + duration.as_nanos() as u64),
            Extent::Replies(count) => Self::Replies(answered + count),
        }
    }
}

impl Phases {
    /// A run that begins at `now` with its warm-up.
    pub fn start(warm_up: Extent, measured: Extent, now: u64) -> Self {
        Self {
            current: Phase::WarmUp,
            ends: End::after(warm_up, now, 0),
            measured,
            before: 0,
        }
    }

    /// How many replies are measured, if that is fixed.
    pub fn count(&self) -> Option<u64> {
        match self.measured {
            Extent::Time(_) => None,
            Extent::Replies(count) => Some(count),
        }
    }

    /// When the current phase ends, if a time ends it.
    pub fn ends_at(&self) -> Option<u64> {
        match self.ends {
            End::At(time) => Some(time),
            End::Replies(_) | End::Never => None,
        }
    }

    /// Ends a measured window `now`, if its time would end it later. It still has a reply.
    pub fn end_early(&mut self, now: u64) {
        if let (Phase::Measuring, End::At(time)) = (self.current, self.ends) {
            self.ends = End::At(time.min(now));
        }
    }

    /// Goes to the next phase, and returns it, if the current one is over. A measured window has
    /// a reply: on a busy machine a short one would measure nothing.
    pub fn advance(&mut self, now: u64, answered: u64) -> Option<Phase> {
        let is_over = match self.ends {
            End::At(time) => {
                now >= time && (self.current != Phase::Measuring || answered > self.before)
            }
            End::Replies(count) => answered >= count,
            End::Never => false,
        };
        if !is_over {
            return None;
        }
        (self.current, self.ends) = match self.current {
            Phase::WarmUp => (Phase::Measuring, End::after(self.measured, now, answered)),
            Phase::Measuring | Phase::Draining => (Phase::Draining, End::Never),
        };
        self.before = answered;
        Some(self.current)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_measured_window_waits_for_its_first_reply() {
        let one = Extent::Time(Duration::from_secs(1));
        let mut phases = Phases::start(one, one, 0);
        assert_eq!(phases.advance(SECOND, 0), Some(Phase::Measuring));
        assert_eq!(phases.advance(5 * SECOND, 0), None);
        assert_eq!(phases.advance(5 * SECOND, 1), Some(Phase::Draining));
        let mut phases = Phases::start(one, one, 0);
        assert_eq!(phases.advance(SECOND, 7), Some(Phase::Measuring));
        assert_eq!(phases.advance(5 * SECOND, 7), None);
        assert_eq!(phases.advance(5 * SECOND, 8), Some(Phase::Draining));
    }

    #[test]
    fn a_measured_window_of_a_time_can_end_early_with_a_reply() {
        let one = Extent::Time(Duration::from_secs(1));
        let mut phases = Phases::start(one, one, 0);
        phases.end_early(5);
        assert_eq!(phases.advance(6, 1), None);
        assert_eq!(phases.advance(SECOND, 1), Some(Phase::Measuring));
        phases.end_early(SECOND + 5);
        assert_eq!(phases.advance(SECOND + 6, 1), None);
        assert_eq!(phases.advance(SECOND + 6, 2), Some(Phase::Draining));
        let mut phases = Phases::start(Extent::Replies(1), Extent::Replies(9), 0);
        assert_eq!(phases.advance(1, 1), Some(Phase::Measuring));
        phases.end_early(2);
        assert_eq!(phases.advance(3, 9), None);
    }

    #[test]
    fn times_follow_each_other() {
        let one = Extent::Time(Duration::from_secs(1));
        let mut phases = Phases::start(one, one, 5);
        assert_eq!(
            (phases.advance(SECOND, 9), phases.ends_at()),
            (None, Some(SECOND + 5))
        );
        // The window begins when the warm-up was seen to end, late as that may be.
        assert_eq!(phases.advance(SECOND + 8, 9), Some(Phase::Measuring));
        assert_eq!(
            (phases.ends_at(), phases.count()),
            (Some(2 * SECOND + 8), None)
        );
        assert_eq!(phases.advance(2 * SECOND + 8, 10), Some(Phase::Draining));
        assert_eq!(
            (phases.advance(9 * SECOND, 10), phases.ends_at()),
            (None, None)
        );
    }

    #[test]
    fn replies_are_counted_from_the_end_of_the_warm_up() {
        let mut phases = Phases::start(Extent::Replies(3), Extent::Replies(10), 0);
        assert_eq!(phases.advance(1, 2), None);
        assert_eq!(phases.advance(1, 4), Some(Phase::Measuring));
        assert_eq!(phases.count(), Some(10));
        assert_eq!(phases.advance(1, 13), None);
        assert_eq!(phases.advance(1, 14), Some(Phase::Draining));
    }

    #[test]
    fn no_warm_up_is_over_at_once() {
        let mut phases = Phases::start(Extent::Time(Duration::ZERO), Extent::Replies(1), 7);
        assert_eq!(phases.advance(7, 0), Some(Phase::Measuring));
        assert_eq!(phases.advance(7, 0), None);
    }
}
