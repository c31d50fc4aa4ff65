//! How long JavaScript handles messages of one driver until its event loop has turned, and how many of them at a time.
//!
//! Handlers that begin with `await` do their work in microtasks, which run when JavaScript is left.
//! So the clock is looked at then, and JavaScript is entered again for the rest. How many messages
//! lie between two looks depends on what they have cost. Where that is little, a whole batch does,
//! and nothing is added to its one call.

use std::cell::Cell;
use std::time::Duration;

/// How long all drivers of an environment have together.
const BUDGET: Duration = Duration::from_millis(10);

/// By which part a proven cost falls, at most, from one slice to the next. Slowly, because records that cost much may come
/// among many that do not.
const FALL: u64 = 64;

/// As [`FALL`], of a cost that is not proven.
const QUICK_FALL: u64 = 16;

/// Most records of the first slice, of which nothing is known: as many as JavaScript handles without a look at the clock.
const FIRST_REACH: u64 = 8;

/// What a batch tells of. That connections have come says nothing of what their messages will cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Connections and listeners alone.
    Lifecycle,
    /// Messages as well.
    Messages,
}

/// What is known of handlers. All costs are nanoseconds for a record.
struct Pace {
    /// What one slice has cost, by the slowest of the last few. It may have had to wait for a processor.
    seen: Cell<u64>,
    /// What two slices have cost, one soon after the other, by the slowest of late.
    proven: Cell<u64>,
    /// What is expected.
    cost: Cell<u64>,
    /// Most records that were handled in one slice, twice.
    reach: Cell<u64>,
}

impl Pace {
    fn new() -> Self {
        Self {
            seen: Cell::new(0),
            proven: Cell::new(0),
            cost: Cell::new(0),
            reach: Cell::new(FIRST_REACH),
        }
    }

    fn note(&self, latest: u64) {
        let (seen, before) = (self.seen.get(), self.proven.get());
        self.seen.set(latest.max(seen - seen.div_ceil(QUICK_FALL)));
        let proven = latest.min(seen).max(before - before / FALL);
        self.proven.set(proven);
        self.cost.set(latest.max(proven).max(self.cost.get() / 2));
    }
}

/// What one driver has used.
///
/// ```
/// use std::time::Duration;
///
/// use netpoll_core::TurnBudget;
/// use netpoll_core::turn_budget::Content;
///
/// let budget = TurnBudget::new();
/// budget.begin(Some(1));
/// budget.handled(Content::Messages, 8, Duration::from_millis(10));
/// assert!(budget.is_spent(1), "until the event loop has turned");
/// budget.begin(Some(2));
/// assert_eq!(budget.slice(Content::Messages, 1), 8);
/// ```
pub struct TurnBudget {
    /// How often the event loop had turned when this was last looked at; `None` where the host does not say.
    turn: Cell<Option<i32>>,
    /// Time spent in JavaScript since then.
    used: Cell<Duration>,
    lifecycle: Pace,
    messages: Pace,
}

impl Default for TurnBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl TurnBudget {
    /// Of a driver that has handled nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            turn: Cell::new(None),
            used: Cell::new(Duration::ZERO),
            lifecycle: Pace::new(),
            messages: Pace::new(),
        }
    }

    /// The driver has something to do. The event loop has turned so often.
    pub fn begin(&self, turn: Option<i32>) {
        if turn.is_none() || self.turn.replace(turn) != turn {
            self.used.set(Duration::ZERO);
        }
    }

    /// Whether the rest has to wait until the event loop has turned, where so many drivers share it.
    #[must_use]
    pub fn is_spent(&self, drivers: u32) -> bool {
        self.left(drivers).is_zero()
    }

    /// How many records of a batch may be handled before the clock is looked at: one at least.
    #[must_use]
    pub fn slice(&self, content: Content, drivers: u32) -> usize {
        let Pace { cost, reach, .. } = self.pace(content);
        let left = self.left(drivers).as_nanos() as u64;
        let affordable = left.checked_div(cost.get()).unwrap_or(u64::MAX);
        usize::try_from(affordable.clamp(1, reach.get())).unwrap_or(usize::MAX)
    }

    /// So many records were handled, with what they made due.
    pub fn handled(&self, content: Content, records: usize, time: Duration) {
        self.used.set(self.used.get() + time);
        let records = records as u64;
        let Some(latest) = (time.as_nanos() as u64).checked_div(records) else {
            return;
        };
        let pace = self.pace(content);
        pace.note(latest);
        let reach = pace.reach.get().max(records.saturating_mul(2));
        pace.reach.set(reach);
    }

    fn pace(&self, content: Content) -> &Pace {
        match content {
            Content::Lifecycle => &self.lifecycle,
            Content::Messages => &self.messages,
        }
    }

    fn left(&self, drivers: u32) -> Duration {
        (BUDGET / drivers.max(1)).saturating_sub(self.used.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// Handles `messages` at `cost` each until the budget is spent; how long that took, in how many slices, and how many are
    /// left.
    fn turn(budget: &TurnBudget, messages: usize, cost: Duration) -> (Duration, usize, usize) {
        let (mut time, mut slices, mut left) = (Duration::ZERO, 0, messages);
        while left > 0 && !budget.is_spent(1) {
            let slice = budget.slice(Content::Messages, 1).min(left);
            let took = cost * slice as u32;
            budget.handled(Content::Messages, slice, took);
            left -= slice;
            time += took;
            slices += 1;
        }
        (time, slices, left)
    }

    #[test]
    fn fast_messages_are_handled_in_one_slice_once_they_are_known() {
        let budget = TurnBudget::new();
        budget.begin(Some(0));
        assert_eq!(turn(&budget, 127, micros(2)), (micros(254), 5, 0));
        for round in 1..100 {
            budget.begin(Some(round));
            assert_eq!(turn(&budget, 127, micros(2)), (micros(254), 1, 0));
        }
    }

    #[test]
    fn slow_messages_end_the_turn_in_time() {
        for cost in [micros(200), micros(1_000), micros(3_000)] {
            let budget = TurnBudget::new();
            for round in 0..100 {
                budget.begin(Some(round));
                let (time, slices, _) = turn(&budget, 1_361, cost);
                let max = BUDGET + FIRST_REACH as u32 * cost;
                let max = if round == 0 { max } else { BUDGET + 2 * cost };
                assert!(time >= BUDGET && time < max, "{time:?} of {cost:?}");
                assert!(round == 0 || slices <= 2, "{slices} slices of {cost:?}");
            }
        }
    }

    #[test]
    fn few_slow_messages_among_many_are_remembered() {
        let budget = TurnBudget::new();
        let mut turns = 0;
        for round in 0..1_000 {
            for (messages, cost) in [(576, micros(2)), (64, micros(1_000))] {
                let mut left = messages;
                while left > 0 {
                    turns += 1;
                    budget.begin(Some(turns));
                    let (time, _, rest) = turn(&budget, left, cost);
                    assert!(round < 2 || time < micros(25_000), "{time:?}");
                    left = rest;
                }
            }
        }
    }

    #[test]
    fn what_takes_long_once_is_forgotten() {
        let budget = TurnBudget::new();
        budget.begin(Some(0));
        turn(&budget, 127, micros(2));
        budget.handled(Content::Messages, 1, micros(100_000));
        let slices: usize = (1..1_000)
            .map(|round| {
                budget.begin(Some(round));
                turn(&budget, 127, micros(2)).1
            })
            .sum();
        assert!(slices < 999 + 12, "{slices} slices of 999 batches");
    }

    #[test]
    fn a_turn_of_the_loop_is_one_budget_however_often_it_begins() {
        let budget = TurnBudget::new();
        budget.begin(Some(7));
        budget.handled(Content::Messages, 1, BUDGET);
        budget.begin(Some(7));
        assert!(budget.is_spent(1));
        budget.begin(Some(8));
        assert!(!budget.is_spent(1));
        // Where nothing counts turns, each beginning is one.
        for turns in [None, None] {
            budget.begin(turns);
            assert!(!budget.is_spent(1));
            budget.handled(Content::Messages, 1, BUDGET);
        }
    }

    #[test]
    fn drivers_share_the_budget() {
        let budget = TurnBudget::new();
        budget.begin(Some(0));
        budget.handled(Content::Messages, 1, BUDGET / 2);
        assert!(!budget.is_spent(1));
        assert!(budget.is_spent(2));
        assert_eq!(budget.slice(Content::Messages, 2), 1, "one at min");
    }

    #[test]
    fn connections_that_come_say_nothing_of_messages() {
        let budget = TurnBudget::new();
        budget.begin(Some(0));
        budget.handled(Content::Lifecycle, 64, micros(64));
        assert_eq!(budget.slice(Content::Lifecycle, 1), 128);
        assert_eq!(budget.slice(Content::Messages, 1), FIRST_REACH as usize);
    }
}
