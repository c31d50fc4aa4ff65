//! N-API binding of netpoll: converts and drives, decides nothing.
//!
//! | step | file |
//! |---|---|
//! | libuv says that sockets are ready | `inline_driver.rs`, `libuv.rs` |
//! | the poller takes a turn, JavaScript gets the batch, its commands are carried out | `bridge.rs` |
//! | the memory that both sides read and write | `shared_words.rs` |
//! | chunks become `ArrayBuffer`s, and come back | `chunk_exports.rs` |
//! | buffers of the user's that are sent where they lie | `foreign_bytes.rs` |
//! | entering JavaScript | `javascript.rs` |
//! | what JavaScript calls, and its options | `event_loop.rs`, `descriptors.rs`, `options.rs`, `framing.rs` |

// What JavaScript passes is owned by whoever is called.
#![allow(clippy::needless_pass_by_value)]

mod bridge;
mod chunk_exports;
mod descriptors;
mod event_loop;
mod foreign_bytes;
mod framing;
mod inline_driver;
mod javascript;
mod libuv;
mod options;
mod shared_words;
