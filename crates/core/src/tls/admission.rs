//! How many connections a server with TLS has, those in their handshake included: before that nothing is told of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What becomes of a connection that is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It is closed, and a record counts it.
    Counted,
    /// A record tells of it, so that consumers may ask where its peer is before they destroy it.
    Told,
}

/// How many connections a server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many, in all pollers.
    pub max: usize,
    /// What becomes of others.
    pub excess: Excess,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            max: usize::MAX,
            excess: Excess::Counted,
        }
    }
}

/// The connections of one server, whichever poller has them.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    limit: Limit,
    admitted: AtomicUsize,
    securing: AtomicUsize,
}

impl Admissions {
    pub(super) fn with(limit: Limit) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Connections in their handshake.
    pub(super) fn securing(&self) -> usize {
        self.securing.load(Ordering::Relaxed)
    }

    pub(super) fn admit(self: &Arc<Self>) -> Result<Admission, Excess> {
        let max = self.limit.max;
        let below = |count: usize| (count < max).then_some(count + 1);
        self.admitted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, below)
            .map_err(|_| self.limit.excess)?;
        self.securing.fetch_add(1, Ordering::Relaxed);
        Ok(Admission {
            all: self.clone(),
            phase: Phase::Securing,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Securing,
    Secured,
}

/// One connection's place among those of its server. Given back when dropped.
pub struct Admission {
    all: Arc<Admissions>,
    phase: Phase,
}

impl Admission {
    /// Its handshake is done.
    pub(crate) fn secured(&mut self) {
        if std::mem::replace(&mut self.phase, Phase::Secured) == Phase::Securing {
            self.all.securing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.secured();
        self.all.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_whatever_becomes_of_the_handshake() {
        let all = Arc::new(Admissions::with(Limit {
            max: 2,
            excess: Excess::Told,
        }));
        let mut first = all.admit().unwrap_or_else(|_| panic!("there is room"));
        let second = all.admit().unwrap_or_else(|_| panic!("there is room"));
        assert_eq!(all.admit().err(), Some(Excess::Told));
        assert_eq!(all.securing(), 2);
        first.secured();
        assert_eq!(all.securing(), 1);
        assert_eq!(all.admit().err(), Some(Excess::Told));
        drop(second);
        assert_eq!(all.securing(), 0);
        let third = all
            .admit()
            .unwrap_or_else(|_| panic!("there is room again"));
        drop((first, third));
        assert_eq!(all.admitted.load(Ordering::Relaxed), 0);
        assert_eq!(all.securing(), 0);
    }
}
