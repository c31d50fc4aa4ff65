//! A hashed timer wheel: arming and expiring cost the same for ten timers and for 100,000.
//!
//! After "Hashed and Hierarchical Timing Wheels" (Varghese and Lauck, 1987), scheme 6. The clock is
//! an argument. Timers are not cancelled while the owner that armed them lives. That owner asks,
//! when one fires, whether it still applies, so that pushing a deadline back costs one store and no
//! visit to the wheel.

use std::time::{Duration, Instant};

use crate::buffer::OutOfMemory;

/// How fine deadlines are told apart. A timer never fires early, and up to this much late.
const TICK: Duration = Duration::from_millis(TICK_MILLIS);
const TICK_MILLIS: u64 = 4;
const SLOTS: usize = 1024;
const WORDS: usize = SLOTS / 64;

#[derive(Clone, Copy)]
struct Timer {
    key: u64,
    tick: u64,
}

/// Timers by the key of the owner that armed them.
pub struct Wheel {
    origin: Instant,
    /// Everything up to this tick has fired.
    current: u64,
    slots: Vec<Vec<Timer>>,
    /// One bit for each slot that holds a timer, so that idle stretches are skipped.
    occupied: [u64; WORDS],
}

impl Wheel {
    /// An empty wheel whose time starts at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            current: 0,
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; WORDS],
        }
    }

    /// Fires `key` at the first [`Self::expire`] at or after `deadline`.
    ///
    /// # Errors
    /// [`OutOfMemory`]: it never fires. Peers decide how many timers there are.
    pub fn arm(&mut self, key: u64, deadline: Instant) -> Result<(), OutOfMemory> {
        // A tick that has fired already would wait a whole turn of the wheel.
        let tick = self.tick(deadline).max(self.current + 1);
        let slot = tick as usize % SLOTS;
        self.slots[slot].try_reserve(1)?;
        self.slots[slot].push(Timer { key, tick });
        self.occupied[slot / 64] |= 1 << (slot % 64);
        Ok(())
    }

    /// Takes a timer off that has not fired. The owner that armed it goes, and the timer would be
    /// kept, and wake the process, until its deadline. One that was late when it was armed stays,
    /// as it fires at the next tick.
    pub fn disarm(&mut self, key: u64, deadline: Instant) {
        let tick = self.tick(deadline);
        let slot = tick as usize % SLOTS;
        let timers = &mut self.slots[slot];
        let place = timers
            .iter()
            .position(|timer| timer.key == key && timer.tick == tick);
        if let Some(place) = place {
            timers.swap_remove(place);
            if timers.is_empty() {
                self.occupied[slot / 64] &= !(1 << (slot % 64));
            }
        }
    }

    /// The first tick that is not before `deadline`: a timer is never early.
    fn tick(&self, deadline: Instant) -> u64 {
        let since = deadline.saturating_duration_since(self.origin);
        since.as_nanos().div_ceil(TICK.as_nanos()) as u64
    }

    /// Calls `fire` with the key of every timer whose deadline is at or before `now`.
    pub fn expire(&mut self, now: Instant, mut fire: impl FnMut(u64)) {
        let since = now.saturating_duration_since(self.origin);
        let target = (since.as_nanos() / TICK.as_nanos()) as u64;
        // After a whole turn every slot has been looked at.
        let steps = target.saturating_sub(self.current).min(SLOTS as u64);
        for step in 1..=steps {
            let slot = (self.current + step) as usize % SLOTS;
            if self.occupied[slot / 64] & 1 << (slot % 64) == 0 {
                continue;
            }
            self.slots[slot].retain(|timer| {
                let later = timer.tick > target;
                if !later {
                    fire(timer.key);
                }
                later
            });
            if self.slots[slot].is_empty() {
                self.occupied[slot / 64] &= !(1 << (slot % 64));
            }
        }
        self.current = self.current.max(target);
    }

    /// When to call [`Self::expire`] next: no later than the next deadline, and never in the past
    /// by more than a tick. `None` when no timer is armed.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let first = self.current + 1;
        let ahead = self.slots_ahead(first as usize % SLOTS)?;
        Some(self.origin + Duration::from_millis(TICK_MILLIS * (first + ahead)))
    }

    /// How many slots from `start` on hold nothing, before one does. Asked for after every round, so it
    /// looks at 64 slots at a time.
    fn slots_ahead(&self, start: usize) -> Option<u64> {
        let (first_word, first_bit) = (start / 64, start % 64);
        let from_start = u64::MAX << first_bit;
        (0..=WORDS).find_map(|step| {
            let word = (first_word + step) % WORDS;
            let mask = match step {
                0 => from_start,
                WORDS => !from_start,
                _ => u64::MAX,
            };
            let occupied = self.occupied[word] & mask;
            let slot = word * 64 + occupied.trailing_zeros() as usize;
            (occupied != 0).then(|| ((slot + SLOTS - start) % SLOTS) as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(wheel: &mut Wheel, key: u64, deadline: Instant) {
        wheel.arm(key, deadline).expect("there is memory");
    }

    fn fired(wheel: &mut Wheel, now: Instant) -> Vec<u64> {
        let mut keys = Vec::new();
        wheel.expire(now, |key| keys.push(key));
        keys.sort_unstable();
        keys
    }

    #[test]
    fn fires_once_never_early_and_within_a_tick() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut wheel = Wheel::new(start);
        arm(&mut wheel, 1, at(10));
        arm(&mut wheel, 2, at(9_000));
        assert!(fired(&mut wheel, at(9)).is_empty());
        assert_eq!(fired(&mut wheel, at(10 + 4)), [1]);
        assert!(fired(&mut wheel, at(8_999)).is_empty());
        assert_eq!(fired(&mut wheel, at(9_004)), [2]);
        assert!(fired(&mut wheel, at(1_000_000)).is_empty());
        assert_eq!(wheel.next_wake(), None);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_tick() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let later = start + Duration::from_secs(60);
        assert!(fired(&mut wheel, later).is_empty());
        arm(&mut wheel, 7, start);
        assert!(wheel.next_wake().is_some_and(|wake| wake <= later + TICK));
        assert_eq!(fired(&mut wheel, later + TICK), [7]);
    }

    #[test]
    fn a_timer_that_is_taken_off_neither_fires_nor_wakes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut wheel = Wheel::new(start);
        arm(&mut wheel, 1, at(9));
        arm(&mut wheel, 2, at(9));
        arm(&mut wheel, 1, at(20));
        wheel.disarm(1, at(9));
        wheel.disarm(1, at(8));
        wheel.disarm(3, at(9));
        assert_eq!(fired(&mut wheel, at(10)), [2]);
        wheel.disarm(1, at(20));
        assert_eq!(wheel.next_wake(), None);
        assert!(fired(&mut wheel, at(30)).is_empty());
    }

    #[test]
    fn following_next_wake_fires_everything_in_order() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut seed = 7u64;
        let mut deadlines: Vec<u64> = (0..500)
            .map(|key| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let millis = (seed >> 33) % 20_000;
                arm(&mut wheel, key, start + Duration::from_millis(millis));
                millis
            })
            .collect();
        let mut seen = Vec::new();
        while let Some(wake) = wheel.next_wake() {
            wheel.expire(wake, |key| {
                let deadline = start + Duration::from_millis(deadlines[key as usize]);
                assert!(deadline <= wake && wake < deadline + 2 * TICK);
                seen.push(key);
            });
        }
        assert_eq!(seen.len(), 500);
        deadlines.clear();
    }
}
