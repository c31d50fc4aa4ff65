//! The clock of pollers, as JavaScript reads it: milliseconds since this process first asked.
//!
//! JavaScript has a monotonic clock of its own, which need not go on while the machine sleeps, or stop. So it says when an
//! deadline timer is due on this one, and asks for the time each time that it sets one: rarely.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time now.
pub fn now() -> f64 {
    ORIGIN.elapsed().as_secs_f64() * 1e3
}

/// A time in whole milliseconds.
pub fn at(millis: u64) -> Instant {
    let time = ORIGIN.checked_add(Duration::from_millis(millis));
    // No process gets there: as good as the end of time.
    time.unwrap_or_else(|| *ORIGIN + Duration::from_secs(u64::from(u32::MAX)))
}
