//! When requests may be sent: whenever there is room, or on a schedule.

use super::schedule::Schedule;

/// What decides that the next request is sent.
#[derive(Debug)]
pub enum Pace {
    /// A reply makes room for the next request.
    Saturate,
    /// A schedule says when each request is due.
    Fixed(FixedRate),
}

/// The state of a run at a fixed rate.
#[derive(Debug)]
pub struct FixedRate {
    schedule: Schedule,
    /// Time at which the schedule began.
    began_at: u64,
    /// The next request of the schedule that is not due yet.
    next: u64,
    /// For each connection, how many of its requests have become due.
    due: Box<[u64]>,
}

impl FixedRate {
    /// A schedule that begins at `began_at`.
    pub fn new(rate: f64, connections: usize, began_at: u64) -> Self {
        let due = vec![0; connections].into_boxed_slice();
        Self {
            schedule: Schedule::new(rate, connections),
            began_at,
            next: 0,
            due,
        }
    }

    /// When the next request becomes due.
    pub fn next_due(&self) -> u64 {
        self.began_at + self.schedule.due(self.next)
    }

    /// Takes the next request if it is due by `now`, and says whose it is.
    pub fn take(&mut self, now: u64) -> Option<usize> {
        if self.next_due() > now {
            return None;
        }
        let connection = self.schedule.connection(self.next);
        self.next += 1;
        self.due[connection] += 1;
        Some(connection)
    }

    /// Requests of a connection that are due, of which `sent` have been sent.
    pub fn waiting(&self, connection: usize, sent: u64) -> u64 {
        self.due[connection] - sent
    }

    /// Forgets the requests of a connection that are due but not sent.
    pub fn drop_waiting(&mut self, connection: usize, sent: u64) {
        self.due[connection] = sent;
    }

    /// When the request `position` of a connection was due.
    pub fn due_on(&self, connection: usize, position: u64) -> u64 {
        self.began_at + self.schedule.due_on(connection, position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_due_in_turn_and_wait_where_they_belong() {
        // One request each 100 ns.
        let mut rate = FixedRate::new(1e7, 2, 1_000);
        assert_eq!(rate.take(999), None);
        assert_eq!(rate.take(1_000), Some(0));
        assert_eq!(rate.take(1_000), None);
        assert_eq!(rate.next_due(), 1_100);
        assert_eq!(
            [rate.take(1_350), rate.take(1_350), rate.take(1_350)],
            [Some(1), Some(0), Some(1)]
        );
        assert_eq!(rate.take(1_350), None);
        assert_eq!((rate.waiting(0, 1), rate.waiting(1, 0)), (1, 2));
        assert_eq!((rate.due_on(0, 1), rate.due_on(1, 1)), (1_200, 1_300));
    }
}
