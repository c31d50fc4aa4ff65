//! When requests are due at a fixed rate.
//!
//! The schedule is open: request `k` is due at `k / rate`, on connection
//! `k mod connections`, whatever happened to those before it. Latency counts from
//! then, so a server that stalls is charged for every request that had to wait
//! (no coordinated omission). All times are nanoseconds since the schedule began.

/// An endless schedule at a fixed rate, spread over the connections in turn.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    nanoseconds_per_request: f64,
    connections: u64,
}

impl Schedule {
    /// `rate` requests per second in all.
    pub fn new(rate: f64, connections: usize) -> Self {
        Self {
            nanoseconds_per_request: 1e9 / rate,
            connections: connections as u64,
        }
    }

    /// When the request `index` is due.
    pub fn due(&self, index: u64) -> u64 {
        (index as f64 * self.nanoseconds_per_request) as u64
    }

    /// The connection that the request `index` belongs to.
    pub fn connection(&self, index: u64) -> usize {
        (index % self.connections) as usize
    }

    /// When the request `position` of a connection is due.
    pub fn due_on(&self, connection: usize, position: u64) -> u64 {
        self.due(position * self.connections + connection as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_even_distances() {
        let schedule = Schedule::new(4.0, 3);
        let due: Vec<_> = (0..4).map(|index| schedule.due(index)).collect();
        assert_eq!(due, [0, 250_000_000, 500_000_000, 750_000_000]);
    }

    #[test]
    fn rounding_does_not_add_up() {
        let schedule = Schedule::new(3.0, 1);
        assert!(
            schedule
                .due(3_000_000_000)
                .abs_diff(1_000_000_000_000_000_000)
                < 1_000
        );
        let fast = Schedule::new(2_000_000.0, 4);
        assert_eq!(fast.due(7_200_000_000), 3_600_000_000_000);
    }

    #[test]
    fn connections_take_turns() {
        let schedule = Schedule::new(1_000.0, 3);
        for index in 0..30 {
            let connection = schedule.connection(index);
            assert_eq!(connection as u64, index % 3);
            assert_eq!(schedule.due_on(connection, index / 3), schedule.due(index));
        }
    }
}
