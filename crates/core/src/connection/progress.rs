//! Whether a peer takes what it is sent, although our queue does not shrink.
//!
//! A socket says that it takes more only once much of its buffer is free. Until then a slow peer acknowledges bytes that have
//! left our queue long ago, and its time begins anew as if they had just left.

/// What the peer has acknowledged, when it was last looked at. `None`: the system cannot tell.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress(Option<i64>);

impl Progress {
    /// As it is while `unacknowledged` of all bytes `written` are on their way.
    pub(super) fn at(written: u64, unacknowledged: Option<usize>) -> Self {
        Self(unacknowledged.map(|left| written as i64 - left as i64))
    }

    pub(super) fn is_unknown(self) -> bool {
        self.0.is_none()
    }

    /// Whether more is acknowledged `now` than here.
    pub(super) fn goes_on(self, now: Self) -> bool {
        matches!((self.0, now.0), (Some(before), Some(now)) if now > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_acknowledged_is_progress() {
        let start = Progress::at(1000, Some(600));
        assert!(!start.goes_on(start));
        assert!(start.goes_on(Progress::at(1000, Some(599))));
        // More was written, and nothing acknowledged.
        assert!(!start.goes_on(Progress::at(2000, Some(1600))));
        assert!(!start.goes_on(Progress::at(1000, None)));
        assert!(!Progress::default().goes_on(start));
        // Another owner has written to this socket before.
        assert!(Progress::at(0, Some(50)).goes_on(Progress::at(0, Some(0))));
    }
}
