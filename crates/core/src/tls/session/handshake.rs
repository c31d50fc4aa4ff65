//! A session shakes hands before it carries anything.

use std::io;

use super::fallible::{append, retry};
use super::{Session, Socket};
use crate::tls::failure::{Failure, tells_of_gone_peer};
use crate::tls::scratch::{MAX_RECORD, Scratch};

/// What has become of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The socket has nothing more to read, or takes nothing more.
    Waits,
    /// Both directions may carry plaintext.
    Done,
    /// It has failed, and the socket has not taken yet what tells the peer so.
    Fails(Failure),
}

impl Session {
    /// Goes on with the handshake as far as the socket allows, by `read` and `write`.
    ///
    /// # Errors
    /// The socket's, or a [`Failure`]. The alert of one that TLS has found has left, unless the socket has refused it for good.
    /// Nothing waits to be sent where no alert tells of it.
    pub(crate) fn shake_hands(
        &mut self,
        scratch: &mut Scratch,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<Handshake> {
        loop {
            // The library makes an alert of a failure, and must not be asked again about the same bytes.
            if self.failed.is_none() {
                self.failed = self.process_kept(scratch).err();
            }
            if self.failed.is_some_and(|failure| !failure.is_told()) {
                // The rest of a handshake is of no use to the peer.
                self.forget_ciphertext();
            }
            let (_, sent) = self.flush(&mut write);
            if let Some(failure) = self.failed {
                return match sent {
                    Err(error) if is_full(&error) => Ok(Handshake::Fails(failure)),
                    _ => Err(failure.into_error()),
                };
            }
            match sent {
                Err(error) if is_full(&error) => {}
                // What such a client has sent before it went is still to be read.
                Err(error) if tells_of_gone_peer(&error) && self.engine.owes_only_tickets() => {
                    self.forget_refused(error);
                }
                Err(error) => return Err(error),
                Ok(()) => {}
            }
            if self.engine.is_secured() {
                self.wear.limit(self.engine.max_records(self.max_records));
                return Ok(Handshake::Done);
            }
            // Also while the socket is full: a peer that has ended need not read.
            let kept = self.incoming.len();
            let memory = scratch.input_behind(&self.incoming, MAX_RECORD);
            match retry(|| read(&mut memory[kept..])) {
                Ok(0) => return Err(Failure::EndedEarly.into_error()),
                Ok(count) => {
                    self.note_read(count, memory.len() - kept);
                    let kept = self.keep(&scratch.input[kept..kept + count]);
                    self.failed = kept.and_then(|()| self.bound_kept(scratch)).err();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket = Socket::Empty;
                    return Ok(Handshake::Waits);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What the peer has begun the handshake with, before the socket is read: all of it is looked at, before its length is.
    ///
    /// # Errors
    /// That the bound has no room for it.
    pub(crate) fn begin_with(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.keep(bytes)?;
        self.claim_kept()
    }

    /// Tells the peer of what the library has not found.
    pub(super) fn refuse(&mut self, scratch: &mut Scratch) -> Result<(), Failure> {
        scratch.output.clear();
        self.engine
            .encode_refusal(self.incoming.len(), &mut scratch.output);
        self.queue(scratch.output.bytes(), 0)
    }

    /// Appends to what is kept of the peer's records.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let reserved = self.incoming.try_reserve(bytes.len());
        reserved.map_err(|_| Failure::OutOfMemory)?;
        self.close_notify.look_at(bytes);
        self.incoming.extend_from_slice(bytes);
        Ok(())
    }

    /// Goes through what is kept, where it lies: what plaintext it has is kept as well.
    fn process_kept(&mut self, scratch: &mut Scratch) -> Result<(), Failure> {
        scratch.output.clear();
        let mut lack = Ok(());
        let plaintext = &mut self.plaintext;
        let (used, result) = self.engine.process(
            &mut self.incoming,
            |bytes| lack = lack.and(append(plaintext, bytes)),
            &mut scratch.output,
        );
        self.incoming.drain(..used);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        self.queue(scratch.output.bytes(), 0)?;
        result.and(lack)?;
        self.bound_kept(scratch)?;
        if self.engine.is_secured() {
            self.engine.resumed_in_vain().map_or(Ok(()), Err)
        } else if self.close_notify.has_come() {
            Err(Failure::EndedEarly)
        } else {
            Ok(())
        }
    }
}

/// Whether the socket takes nothing now.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
