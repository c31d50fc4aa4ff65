//! N-API binding of netpoll: converts and drives, decides nothing.
//!
//! | step | file |
//! |---|---|
//! | libuv says that sockets are ready | `drivers/inline.rs`, `drivers/libuv.rs` |
//! | or the poller takes its turns on a thread, whose batches come by a waker | `drivers/thread.rs`, `drivers/waker.rs` |
//! | JavaScript gets the batch, its commands are carried out | `bridge.rs`, `drivers/mod.rs` |
//! | sockets that servers of several threads share | `api/shared_listener.rs` |
//! | messages that worker threads handle | `api/work_pool.rs`, `drivers/worker.rs` |
//! | the memory that both sides read and write | `shared_words.rs` |
//! | chunks become `ArrayBuffer`s, and come back | `memory/mod.rs`, `memory/external_memory.rs`, `memory/chunk_exports.rs`, `memory/end_watch.rs`, `memory/sweep_watch.rs` |
//! | user buffers that are sent where they lie | `memory/foreign_bytes.rs` |
//! | how often the event loop has turned | `memory/loop_turns.rs` |
//! | entering JavaScript | `javascript.rs` |
//! | what ends, with its environment or before | `clean_up.rs` |
//! | what JavaScript calls, and its options | `api/` |

// What JavaScript passes is owned by the function that is called.
#![allow(clippy::needless_pass_by_value)]

mod api;
mod bridge;
mod clean_up;
mod clock;
mod drivers;
mod javascript;
mod memory;
mod shared_words;
