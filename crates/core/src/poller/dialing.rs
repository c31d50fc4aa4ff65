//! Where a dial goes, for as long as it is not established.
//!
//! On one host the system may choose the dialed port itself as the local one, where no server
//! listens on it. TCP then connects the socket to itself (simultaneous open, RFC 9293, 3.5). Calls
//! would be answered by their own requests, and the real server could not start. Such a socket is
//! reset, because one that is just closed keeps the port in TIME_WAIT. The dial is then tried
//! again, for which the system chooses another port.

use std::io;
use std::net::SocketAddr;

use crate::address::Address;
use crate::socket::Stream;

/// How often one dial connects, before it is refused, where the system chooses the local port.
const ATTEMPTS: u32 = 3;

pub(super) struct Dialing {
    remote: Address,
    /// What the server is called, for TLS.
    host: Option<String>,
    /// TCP only.
    local: Option<SocketAddr>,
    attempts_left: u32,
}

impl Dialing {
    /// To `remote`; over TCP from `local`, if that is given.
    pub(super) fn new(remote: Address, local: Option<SocketAddr>) -> Self {
        let has_own_port = local.is_some_and(|local| local.port() != 0);
        Self {
            remote,
            host: None,
            local,
            // From the same port it would reach itself again.
            attempts_left: if has_own_port { 1 } else { ATTEMPTS },
        }
    }

    /// To a server that is called `host`.
    pub(super) fn with_host(mut self, host: Option<String>) -> Self {
        self.host = host;
        self
    }

    /// What the server is called.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// What sessions of TLS are kept for.
    pub(super) fn destination(&self) -> String {
        match (&self.host, &self.remote) {
            (Some(host), Address::Ip(remote)) => format!("{host} {}", remote.port()),
            (host, remote) => format!("{host:?} {remote:?}"),
        }
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// Whatever the system says at once; `ECONNREFUSED` when the attempts are used up.
    pub(super) fn connect(&mut self) -> io::Result<Stream> {
        let refused = || io::Error::from_raw_os_error(libc::ECONNREFUSED);
        self.attempts_left = self.attempts_left.checked_sub(1).ok_or_else(refused)?;
        match (self.local, &self.remote) {
            (Some(local), Address::Ip(remote)) => Stream::connect_from(local, *remote),
            (_, remote) => Stream::connect(remote),
        }
    }
}
