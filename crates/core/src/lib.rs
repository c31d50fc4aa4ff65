//! The socket layer of netpoll, without JavaScript.
//!
//! The way of a message, in the order of the files:
//!
//! | step | file |
//! |---|---|
//! | a socket becomes ready, the poller takes a turn | [`socket`], `poller/mod.rs`, `poller/endpoint.rs` |
//! | it is read into pooled memory | `buffer/intake.rs`, `buffer/region.rs`, `buffer/chunk.rs` |
//! | the bytes are cut into messages where they lie | [`frame`], `connection/inbound.rs` |
//! | records of the messages are handed over | [`batch`] |
//! | or messages go to workers, and their answers come back in order | [`work`], `connection/answers.rs` |
//! | replies are queued and leave in one call per connection | `connection/outbound.rs`, `poller/endpoint.rs` |
//!
//! A stream that is not cut into messages is read and written by `buffer/link/`, without joining its
//! pieces.
//!
//! A poller belongs to one thread. Others reach it through its [`inbox`] (`poller/mail.rs`); connections are dealt to
//! pollers by `poller/deal.rs`. A [`poller_thread`] drives one and hands its batches over by a [`handoff`]; another accepts
//! for [`shared_listeners`].
//!
//! What a connection may do when is `connection/state.rs`; deadlines are [`timer`]. Only `socket`, [`watch`],
//! [`listener`], [`unix_path`] and `poller` touch the system; everything else takes bytes and time as
//! arguments. `unsafe` lives in [`buffer`], and where [`socket`], [`watch`] and [`unix_path`] call the system directly.

pub mod address;
pub mod batch;
pub mod buffer;
pub mod connection;
pub mod frame;
pub mod guard;
pub mod handoff;
pub mod inbox;
pub mod listener;
pub mod poller;
pub mod poller_thread;
pub mod protocol;
pub mod reason;
pub mod settings;
pub mod shared_listeners;
pub mod socket;
mod sync;
pub mod timer;
pub mod turn_budget;
pub mod unix_path;
pub mod watch;
pub mod work;

pub use address::Address;
pub use batch::{Batch, Record, RecordKind};
pub use buffer::{Chunk, ChunkPool, ExportedChunk, Slice};
pub use handoff::Handoff;
pub use inbox::{Inbox, Wake};
pub use poller::{
    Asked, CommandSource, CommandWords, Dealer, Id, Letter, LoadBalance, Order, Poller, Remote,
};
pub use poller_thread::PollerThread;
pub use reason::{Call, Reason};
pub use settings::Settings;
pub use shared_listeners::SharedListeners;
pub use turn_budget::TurnBudget;
