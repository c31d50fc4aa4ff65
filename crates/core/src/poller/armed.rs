//! Which timers of one endpoint are on the wheel.

use std::time::Instant;

/// The endpoint's timers on the wheel, the earliest last. A deadline that is pushed back leaves its
/// timer there, and takes another only when that one has fired. So an endpoint has few of them,
/// however often its deadlines change.
#[derive(Default)]
pub(super) struct Armed(Vec<Instant>);

impl Armed {
    /// Notes a timer for `deadline`; whether it is needed, because none fires before.
    pub(super) fn arm(&mut self, deadline: Instant) -> bool {
        let needed = self.0.last().is_none_or(|earliest| deadline < *earliest);
        if needed {
            self.0.push(deadline);
        }
        needed
    }

    /// The earliest timer has fired.
    pub(super) fn fired(&mut self) {
        self.0.pop();
    }

    /// Those that have not fired.
    pub(super) fn pending(&self) -> &[Instant] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timer_is_needed_only_where_none_fires_before() {
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let mut armed = Armed::default();
        assert!(armed.arm(at(60)));
        assert!(!armed.arm(at(70)));
        assert!(armed.arm(at(5)));
        assert!(!armed.arm(at(60)));
        armed.fired();
        assert!(!armed.arm(at(70)), "the first one is still there");
        armed.fired();
        assert!(armed.arm(at(70)));
    }

    #[test]
    fn timers_do_not_pile_up() {
        let start = Instant::now();
        let mut armed = Armed::default();
        for second in 0..1000 {
            let now = start + Duration::from_secs(second);
            while armed.0.last().is_some_and(|earliest| *earliest <= now) {
                armed.fired();
            }
            armed.arm(now + Duration::from_secs(600));
            armed.arm(now + Duration::from_secs(60));
            armed.arm(now + Duration::from_secs(1));
            assert!(armed.0.len() <= 4, "{}", armed.0.len());
        }
    }
}
