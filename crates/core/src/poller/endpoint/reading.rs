//! An endpoint reads its socket, and has what came decoded.

use std::io;

use super::Endpoint;
use crate::batch::Batch;
use crate::buffer::{OutOfMemory, ReadBuffer};
use crate::connection::{Peer, State, Unfilled};
use crate::reason::{Call, Reason};
use crate::tls::{Failure, tells_of_gone_peer};

/// The most messages of one connection in a round. Between rounds its replies leave, and show
/// whether the peer reads them. A peer that sends many requests at once and reads nothing gets no
/// more than so many answered.
const ROUND_MESSAGES: usize = 64;
/// Bytes of what is thrown away that are read at once where there is no memory for more.
const MIN_DISCARDED: usize = 4 * 1024;

impl Endpoint {
    /// How many messages may be handed over in one go.
    fn share(&self, batch: &Batch) -> usize {
        let room = batch.room() / self.connection.settings().records_per_message();
        self.connection.budget().min(room).min(ROUND_MESSAGES)
    }

    pub(super) fn read(&mut self, read_buffer: &mut ReadBuffer, batch: &mut Batch) {
        if self.connection.state().discards() {
            return self.discard(read_buffer);
        }
        let mut limit = self.share(batch);
        if limit > 0 && self.connection.is_held_back() {
            self.connection
                .take_held_back(read_buffer, batch, self.id.slot, limit);
            limit = self.share(batch);
        }
        let reads = self.readiness.readable && self.connection.reads();
        if limit == 0 || !reads || self.connection.is_held_back() {
            return;
        }
        let (transport, readiness) = (&mut self.transport, &mut self.readiness);
        match self
            .connection
            .fill(read_buffer, |pieces| transport.read(pieces, readiness))
        {
            Ok(filled) if filled.count == 0 => {
                self.readiness.readable = false;
                self.end_input();
            }
            Ok(filled) => {
                batch.read(filled.count);
                self.readiness.received(filled.count == filled.offered);
                self.connection
                    .take_filled(&filled, read_buffer, batch, self.id.slot, limit);
            }
            Err(Unfilled::OutOfMemory) => self.connection.refuse_for_memory(),
            Err(Unfilled::Refused(error)) => self.read_failed(&error),
        }
    }

    /// A connection that is not read from any more learns of a reset only from here.
    pub(super) fn fail_unread(&mut self) {
        let state = self.connection.state();
        if !std::mem::take(&mut self.readiness.failed) || state == State::Connecting {
            return;
        }
        if self.connection.reads() {
            // Reading tells, after what had arrived before.
            self.readiness.failed = true;
        } else if let Ok(Some(error)) = self.transport.stream.take_error()
            && !self.leaves_only_tls(&error)
        {
            self.connection.fail(Reason::system(Call::Read, &error));
        }
    }

    /// Whether an error may only tell that a peer has gone without what TLS alone has sent: tickets, and its end. Such a peer
    /// has ended, or nothing more of it is wanted. Without TLS nothing is sent there, and so nothing fails. What is still to
    /// be sent fails by itself. Of plaintext that the socket took, the system knows what has never left.
    pub(super) fn leaves_only_tls(&self, error: &io::Error) -> bool {
        let end = match self.connection.state() {
            State::Ending(Peer::Ended)
            | State::Finishing(Peer::Ended)
            | State::Refused(Peer::Ended)
            | State::Flushing(Peer::Ended) => 0,
            // Our direction has ended, which counts as a byte.
            State::ReadOnly(_) | State::Lingering | State::Closed => 1,
            _ => return false,
        };
        tells_of_gone_peer(error) && self.transport.is_secured() && self.transport.has_departed(end)
    }

    /// Apart from reading, for the sake of its stack.
    #[cold]
    fn discard(&mut self, read_buffer: &mut ReadBuffer) {
        if !self.readiness.readable {
            return;
        }
        let mut few;
        let memory = match read_buffer.spare(0) {
            Ok(memory) => memory,
            Err(OutOfMemory) => {
                few = [0; MIN_DISCARDED];
                &mut few
            }
        };
        match self.transport.read_raw(memory) {
            Ok(0) => {
                self.readiness.readable = false;
                self.connection.peer_ended();
            }
            // Of TLS it is ciphertext, which no counter has.
            Ok(_) if self.transport.is_secured() => {}
            Ok(count) => self.connection.discarded(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readiness.emptied(),
            Err(error) if self.leaves_only_tls(&error) => self.connection.peer_ended(),
            Err(error) => self.read_failed(&error),
        }
    }

    fn read_failed(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock if self.transport.is_dry() => self.readiness.emptied(),
            // What came is too little for TLS, and nothing else is told by this.
            io::ErrorKind::WouldBlock => self.readiness.received(false),
            _ => self.fail_at(Call::Read, error),
        }
    }

    /// The socket has failed, or TLS has, which tells the peer before everything ends.
    pub(super) fn fail_at(&mut self, call: Call, error: &io::Error) {
        let reason = Reason::system(call, error);
        if Failure::within(error).is_some() {
            self.transport.forget_plaintext();
            self.connection.abort(reason);
        } else {
            self.connection.fail(reason);
        }
    }

    #[cold]
    fn end_input(&mut self) {
        if self.transport.ends_properly() {
            self.connection.peer_ended();
        } else {
            self.connection.peer_ended_abruptly();
        }
    }
}
