//! Models of what threads share. Each test is run once for every order of events, and every value
//! that a load may see, up to a number of preemptions. The test states that number
//! (`LOOM_MAX_PREEMPTIONS` replaces it). The system is not modelled: a [`Waker`] stands in for what
//! wakes the threads.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p netpoll-core --test loom
//! ```
//!
//! [`Waker`]: support::Bell
#![cfg(loom)]

mod chunk;
mod handoff;
mod inbox;
mod support;
mod work;
