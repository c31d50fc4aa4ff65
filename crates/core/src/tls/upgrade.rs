//! What makes a connection one with TLS that has carried plaintext before.

use super::configuration::Tls;

/// What becomes of bytes that were read before a connection goes over to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// They end it: the peer has sent as plaintext what would count as if it had been encrypted.
    Refused,
    /// They are the beginning of the handshake.
    Handshake,
}

/// What makes a connection one with TLS that has carried plaintext before.
pub struct Upgrade {
    /// Which end it is, and what it goes by.
    pub tls: Tls,
    /// What the server is called.
    pub host: Option<String>,
    /// What consumers were given and have not used: the handshake begins with it.
    pub begun: Vec<u8>,
    /// What becomes of other bytes that were read.
    pub unread: Unread,
}
