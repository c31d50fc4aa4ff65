//! Connections that come from elsewhere, or go there.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::endpoint::Endpoint;
use super::slots::Occupant;
use super::turn::Poller;
use crate::id::Id;
use crate::settings::Settings;
use crate::socket::Stream;

impl Poller {
    /// Takes on a duplicate of `descriptor` as an open connection: see [`Stream::adopt`]. No record tells
    /// of it but those of its further life.
    ///
    /// # Errors
    /// As there.
    pub fn adopt_stream(
        &mut self,
        descriptor: BorrowedFd<'_>,
        settings: Arc<Settings>,
    ) -> io::Result<Id> {
        let stream = Stream::adopt(descriptor)?;
        let peer = stream.peer_address()?;
        let id = self.next_id()?;
        let endpoint = Endpoint::adopted(stream, peer, id, settings, self.poll.registry())?;
        self.slots
            .occupy(id, Occupant::Endpoint(Box::new(endpoint)));
        self.arm(id);
        self.list(id.slot);
        Ok(id)
    }

    /// Gives a connection's descriptor away, in non-blocking mode. No further record tells of it.
    ///
    /// # Errors
    /// `ENOTCONN` where it is not open, or closing; `EAGAIN` while bytes are here that neither the socket nor
    /// the user has. Either leaves it as it is.
    pub fn detach(&mut self, id: Id) -> io::Result<OwnedFd> {
        let gone = || io::Error::from_raw_os_error(libc::ENOTCONN);
        let endpoint = self.slots.endpoint(id).ok_or_else(gone)?;
        endpoint.prepare_detach(self.poll.registry())?;
        match self.rest(id.slot) {
            Occupant::Endpoint(endpoint) => Ok(endpoint.into_descriptor()),
            _ => Err(gone()),
        }
    }
}
