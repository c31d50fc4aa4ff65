//! N-API binding of netpoll: converts and drives, decides nothing.
//!
//! | step | file |
//! |---|---|
//! | libuv says that sockets are ready | `inline_driver.rs`, `libuv.rs` |
//! | or the poller takes its turns on a thread, whose batches come by a doorbell | `thread_driver.rs`, `doorbell.rs` |
//! | JavaScript gets the batch, its commands are carried out | `bridge.rs`, `driver.rs` |
//! | sockets that servers of several threads share | `shared_listener.rs` |
//! | messages that worker threads handle | `work_pool.rs`, `work_driver.rs` |
//! | the memory that both sides read and write | `shared_words.rs` |
//! | chunks become `ArrayBuffer`s, and come back | `memory.rs`, `external_memory.rs`, `chunk_exports.rs`, `end_watch.rs`, `sweep_watch.rs` |
//! | buffers of the user's that are sent where they lie | `foreign_bytes.rs` |
//! | how often the event loop has turned | `loop_turns.rs` |
//! | entering JavaScript | `javascript.rs` |
//! | what ends, with its environment or before | `clean_up.rs` |
//! | what JavaScript calls, and its options | `event_loop.rs`, `descriptors.rs`, `dealer.rs`, `options.rs`, `framing.rs` |

// What JavaScript passes is owned by whoever is called.
#![allow(clippy::needless_pass_by_value)]

mod bridge;
mod chunk_exports;
mod clean_up;
mod clock;
mod dealer;
mod descriptors;
mod doorbell;
mod driver;
mod end_watch;
mod event_loop;
mod external_memory;
mod foreign_bytes;
mod framing;
mod inline_driver;
mod javascript;
mod libuv;
mod loop_turns;
mod memory;
mod nested_turns;
mod options;
mod shared_listener;
mod shared_words;
mod sweep_watch;
mod thread_driver;
mod work_driver;
mod work_pool;
