//! The socket layer of netpoll, without JavaScript.
//!
//! The way of a message, in the order of the files:
//!
//! | step | file |
//! |---|---|
//! | a socket becomes ready, the poller takes a turn | [`socket`], `poller/turn.rs`, `poller/endpoint.rs` |
//! | it is read into pooled memory | `buffer/read_buffer.rs`, `buffer/region.rs`, `buffer/chunk.rs` |
//! | the bytes are cut into messages where they lie | [`frame`], `connection/inbound.rs` |
//! | records of the messages are handed over | [`batch`] |
//! | or messages go to workers, and their answers come back in order | [`work`], `connection/answers.rs` |
//! | replies are queued in the link buffer's chain of pieces and leave in one call per connection | `buffer/link/chain.rs`, `connection/outbound.rs`, `poller/endpoint.rs` |
//!
//! `buffer/link/` has a reader and a writer over the same pieces. They are Netpoll's link buffer for a
//! stream that is not cut into messages.
//!
//! A poller belongs to one thread. Others reach it through its [`inbox`] (`poller/inbox.rs`); connections are assigned to
//! pollers by `poller/load_balancer.rs`. A [`poller_thread`] drives one and hands its batches over by a [`handoff`]; another accepts
//! for [`shared_listeners`].
//!
//! What a connection may do when is `connection/state.rs`; deadlines are [`timer`]. Only `socket`, [`watch`],
//! [`listener`], [`unix_path`] and `poller` touch the system; everything else takes bytes and time as
//! arguments. `unsafe` lives in [`buffer`], and where [`socket`], [`watch`] and [`unix_path`] call the system directly.
//!
//! # A poller in a loop
//!
//! Its driver has it wait, takes turns, and answers the records; what is to be sent leaves with [`Poller::flush`].
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use netpoll_core::frame::{Delimiter, Framing};
//! use netpoll_core::listener::{Listen, Place, PortSharing, Unspecified};
//! use netpoll_core::{Address, Batch, ChunkPool, Poller, RecordKind, Settings, Slice};
//!
//! # fn main() -> std::io::Result<()> {
//! let lines = Framing::Delimiter(Delimiter::new(b"\n", 1024).expect("a delimiter"));
//! let mut poller = Poller::new(ChunkPool::new(256 * 1024, 16), Instant::now())?;
//! let place = Place::Port {
//!     address: ([127, 0, 0, 1], 0).into(),
//!     sharing: PortSharing::Exclusive,
//!     unspecified: Unspecified::Both,
//! };
//! let listen = Listen { place, backlog: 16 };
//! let listener = poller.listen(&listen, Arc::new(Settings::new(lines)), 0)?;
//! let Address::Ip(address) = poller.listener_address(listener)? else {
//!     panic!("it listens on a port");
//! };
//!
//! let mut peer = TcpStream::connect(address)?;
//! peer.write_all(b"hello\n")?;
//! let mut batch = Batch::with_capacity(64);
//! let mut connection = None;
//! 'served: loop {
//!     let timeout = poller.has_ready().then_some(std::time::Duration::ZERO);
//!     poller.wait(timeout)?;
//!     poller.turn(Instant::now(), &mut batch);
//!     for record in batch.records() {
//!         if record.kind() == RecordKind::Accepted as u8 {
//!             let (slot, generation) = (record.slot, record.length);
//!             connection = Some(netpoll_core::Id { slot, generation });
//!         } else if let (0, Some(id)) = (record.kind(), connection) {
//!             // The message, which is sent from where it lies, with its delimiter behind it.
//!             let chunk = batch.chunks()[record.chunk()].clone();
//!             poller.send(id, Slice::new(chunk, record.start as usize, record.length as usize + 1));
//!             poller.flush(Instant::now());
//!             break 'served;
//!         }
//!     }
//!     batch.clear();
//! }
//! let mut reply = [0; 6];
//! peer.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"hello\n");
//! # Ok(())
//! # }
//! ```

pub mod address;
pub mod batch;
pub mod buffer;
pub mod connection;
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
mod faults;
pub mod frame;
pub mod guard;
pub mod handoff;
pub mod id;
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
pub mod tls;
mod trace;
pub mod turn_budget;
mod unfinished;
pub mod unix_path;
pub mod watch;
pub mod work;

pub use address::Address;
pub use batch::{Batch, Record, RecordKind};
pub use buffer::{Chunk, ChunkPool, ExportedChunk, Slice};
pub use handoff::Handoff;
pub use inbox::{Inbox, Wake};
pub use poller::{
    Asked, Command, CommandSource, CommandWords, Id, LoadBalance, LoadBalancer, Poller,
    PollerHandle, PollerMessage,
};
pub use poller_thread::PollerThread;
pub use reason::{Call, Reason};
pub use settings::Settings;
pub use shared_listeners::SharedListeners;
pub use turn_budget::TurnBudget;
