//! Where a socket is bound or connected.

use std::net::SocketAddr;
use std::path::PathBuf;

/// A TCP or unix socket address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Ip(SocketAddr),
    /// Path of a unix socket; `None` for an end that has no name.
    Unix(Option<PathBuf>),
}
