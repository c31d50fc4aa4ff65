//! One end of TLS without a socket, for drivers that carry its bytes themselves.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

use super::{Failure, Handshake, Scratch, Session, Tls};
use crate::settings::Claim;
use crate::unfinished::UnfinishedBound;

/// One end of TLS. What it reads and writes goes by functions of the caller, as by a socket.
pub struct Tunnel(Session);

impl Tunnel {
    /// An end for `tls`; a client's is for the server `localhost`. What it keeps counts in `bound`.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn new(tls: &Tls, bound: &Arc<UnfinishedBound>) -> Result<Self, Failure> {
        let claim = Claim::new(bound.clone());
        let session = match tls {
            Tls::Server(tls) => Session::server(tls, claim),
            Tls::Client(tls) => Session::client(tls, "tunnel", Some("localhost"), claim),
        };
        session.map(Self)
    }

    /// Goes on with the handshake.
    ///
    /// # Errors
    /// Those of `read` and `write`, or a [`Failure`].
    pub fn shake_hands(
        &mut self,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<Handshake> {
        Scratch::lend(|scratch| self.0.shake_hands(scratch, read, write))
    }

    /// Reads plaintext; 0 is the end.
    ///
    /// # Errors
    /// That of `read`, or a [`Failure`].
    pub fn read(
        &mut self,
        memory: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        Scratch::lend(|scratch| self.0.read(&mut [IoSliceMut::new(memory)], scratch, read))
    }

    /// Writes plaintext, and returns how much of it has left.
    ///
    /// # Errors
    /// That of `write`, or a [`Failure`].
    pub fn write(
        &mut self,
        pieces: &[IoSlice<'_>],
        write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        Scratch::lend(|scratch| self.0.write(pieces, scratch, write))
    }

    /// Writes what is encrypted already, as far as `write` takes it. Returns how much plaintext has left with it.
    pub fn flush(&mut self, write: impl FnMut(&[u8]) -> io::Result<usize>) -> usize {
        self.0.flush(write).0
    }

    /// Says that nothing more will come, once all has left.
    pub fn say_farewell(&mut self) {
        Scratch::lend(|scratch| self.0.say_farewell(scratch));
    }

    /// Whether the peer has said so.
    #[must_use]
    pub fn has_ended_properly(&self) -> bool {
        self.0.has_ended_properly()
    }
}
