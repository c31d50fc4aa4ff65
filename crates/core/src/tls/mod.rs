//! TLS between a connection and its socket. It takes bytes and gives bytes: sockets are elsewhere, so its tests need none.
//!
//! `session` is one connection's. [`options`] are what a server or dialer fixes for all of its own, and `configuration` is
//! what is made of them. `admission` counts a server's connections. `chain` says what is wrong with certificates. `engine` alone names the library that does the work.

mod admission;
mod chain;
mod configuration;
mod engine;
mod failure;
pub mod options;
mod output;
mod pieces;
mod scratch;
mod session;
mod tunnel;
mod upgrade;
mod wear;

pub use admission::{Admission, Excess, Limit};
pub use chain::CertificateFault;
pub use configuration::{ClientTls, ServerTls, Tls};
pub use engine::Negotiated;
pub use failure::Failure;
pub(crate) use failure::tells_of_gone_peer;
pub(crate) use scratch::Scratch;
pub use scratch::{begin_turn, spend_on_handshakes, takes_handshake_step};
pub use session::{Handshake, Session};
pub use tunnel::Tunnel;
pub use upgrade::{Unread, Upgrade};
