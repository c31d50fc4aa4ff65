//! TLS over real sockets, with peers of another implementation of the buffering: rustls as its users have it.

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod certificates;
mod closing;
mod floods;
mod handshakes;
mod keys;
mod peers;
mod records;
mod slow;
mod unread;
mod upgrading;
