//! Holds the link buffer to a plain list of bytes, over a million operations chosen at random.
//!
//! A failure prints its seed; `LINK_BUFFER_SEED=… cargo test -p netpoll-core --test link_buffer_model`
//! repeats that round alone.

#[path = "support/link_buffer_model.rs"]
mod model;
#[allow(dead_code, reason = "other tests use its other parts")]
#[path = "support/random.rs"]
mod random;

use model::{Numbers, Round};
use random::Random;

/// Rounds and operations in each: a million together, but few where each takes a thousand times longer.
const ROUNDS: u64 = if cfg!(miri) { 20 } else { 1000 };
const OPERATIONS: usize = if cfg!(miri) { 150 } else { 1000 };

impl Numbers for Random {
    fn below(&mut self, bound: usize) -> usize {
        Random::below(self, bound)
    }
}

#[test]
fn reader_and_writer_do_what_a_list_of_bytes_does() {
    let only = std::env::var("LINK_BUFFER_SEED").ok();
    let only = only.map(|seed| seed.parse().expect("LINK_BUFFER_SEED is a number"));
    for seed in only.map_or(1..ROUNDS + 1, |seed: u64| seed..seed + 1) {
        let _announced = Announced(seed);
        let mut round = Round::new(Random::new(seed));
        for _ in 0..OPERATIONS {
            round.operate();
        }
        round.finish();
    }
}

/// Says which seed it was, where a panic passes by.
struct Announced(u64);

impl Drop for Announced {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with LINK_BUFFER_SEED={}", self.0);
        }
    }
}
