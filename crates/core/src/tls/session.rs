//! TLS of one connection, between the memory that it is read into and its socket.
//!
//! Most connections keep nothing here between two reads or writes. What is read lies in memory of the poller, is decrypted
//! there and copied into the memory that the connection offers. What is written is encrypted into memory of the poller. Kept
//! is an unfinished record, plaintext that had no room, and ciphertext that the socket has not taken.

mod close_notify;
mod fallible;
mod handshake;

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};

pub use handshake::Handshake;

use super::configuration::{ClientTls, ServerTls};
use super::engine::{Engine, Negotiated};
use super::failure::Failure;
use super::pieces::{Room, record_of};
use super::scratch::{MAX_PLAINTEXT, MAX_RECORD, RECORDS, Scratch};
use super::wear::{End, Wear};
use crate::unfinished::Claim;
use close_notify::CloseNotify;
use fallible::{append, retry};

/// The most that is kept of a handshake message that takes several records, and of the record behind it.
const MAX_KEPT: usize = 64 * 1024 + 2 * MAX_RECORD;

/// What the last read from the socket has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    /// It has filled its space: there may be more.
    Full,
    /// It has not.
    Short,
    /// Nothing was there.
    Empty,
    /// It has ended.
    Ended,
}

/// A record that waits for the socket.
struct Record {
    /// Its bytes on the wire that have not left.
    ciphertext: usize,
    /// Bytes of plaintext that leave with its last byte.
    plaintext: usize,
}

/// TLS of one connection.
pub struct Session {
    engine: Engine,
    socket: Socket,
    /// The beginning of a record.
    incoming: Vec<u8>,
    /// What had no room, from `plaintext_start` on.
    plaintext: Vec<u8>,
    plaintext_start: usize,
    /// What the socket has not taken, from `outgoing_start` on.
    outgoing: Vec<u8>,
    outgoing_start: usize,
    records: VecDeque<Record>,
    /// Bytes at the front of what is to be sent that are in `records`.
    encrypted: usize,
    /// Whether the peer takes so little that one record at a time is encrypted for it.
    is_stalled: bool,
    has_sent_close: bool,
    /// Bytes that have left behind the last that carry plaintext.
    own_tail: usize,
    /// Whether the socket has taken a part of a record, or one of TLS alone, since that was asked for.
    has_crept: bool,
    /// Why the socket takes nothing any more: told where its end is not announced.
    refused: Option<io::Error>,
    /// What has failed, of which the peer is told. Plaintext before it goes first.
    failed: Option<Failure>,
    /// Whether the peer has ended TLS before its handshake was done.
    close_notify: CloseNotify,
    wear: Wear,
    /// Records that keys may encrypt, whatever the cipher allows.
    max_records: u64,
    claim: Claim,
}

impl Session {
    fn over(engine: Engine, end: End, max_records: u64, claim: Claim) -> Self {
        Self {
            engine,
            socket: Socket::Full,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            plaintext_start: 0,
            outgoing: Vec::new(),
            outgoing_start: 0,
            records: VecDeque::new(),
            encrypted: 0,
            is_stalled: false,
            has_sent_close: false,
            own_tail: 0,
            has_crept: false,
            refused: None,
            failed: None,
            close_notify: CloseNotify::default(),
            wear: Wear::of(end),
            max_records,
            claim,
        }
    }

    /// A server's end. What it keeps of the peer's records is claimed by `claim`.
    ///
    /// # Errors
    /// What the library refuses.
    pub(crate) fn server(tls: &ServerTls, claim: Claim) -> Result<Self, Failure> {
        Ok(Self::over(
            Engine::server(&tls.current())?,
            End::Server,
            tls.max_records(),
            claim,
        ))
    }

    /// A client's end, to the server `host` at `destination`.
    ///
    /// # Errors
    /// What the library refuses.
    pub(crate) fn client(
        tls: &ClientTls,
        destination: &str,
        host: Option<&str>,
        claim: Claim,
    ) -> Result<Self, Failure> {
        let (configuration, name) = tls.for_destination(destination, host);
        let engine = Engine::client(&configuration, name.as_deref())?;
        Ok(Self::over(engine, End::Client, tls.max_records(), claim))
    }

    fn note_read(&mut self, count: usize, offered: usize) {
        self.socket = if count == offered {
            Socket::Full
        } else {
            Socket::Short
        };
    }

    /// Claims what is kept of the peer's bytes, unless it is more than any message needs: then the peer is told.
    fn bound_kept(&mut self, scratch: &mut Scratch) -> Result<(), Failure> {
        if self.incoming.len() > MAX_KEPT {
            self.refuse(scratch)?;
            return Err(Failure::HandshakeTooLarge);
        }
        self.claim_kept()
    }

    /// Claims what is kept of the peer's bytes.
    fn claim_kept(&mut self) -> Result<(), Failure> {
        // One that keeps nothing touches no word that all connections share.
        let kept = self.incoming.len() + self.plaintext.len();
        if kept == 0 {
            self.claim.release();
            Ok(())
        } else if self.claim.change(kept) {
            Ok(())
        } else {
            Err(Failure::BufferLimit)
        }
    }

    /// Fills `pieces` with plaintext, for which it takes ciphertext from `read` once. 0 is the end: see
    /// [`Self::has_ended_properly`].
    ///
    /// # Errors
    /// `WouldBlock` if no plaintext is there; whether the socket is empty then says [`Self::is_dry`]. `Interrupted` if more
    /// is to be read before there is any. Else the socket's, or a [`Failure`].
    pub(crate) fn read(
        &mut self,
        pieces: &mut [IoSliceMut<'_>],
        scratch: &mut Scratch,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut room = Room::over(pieces);
        if self.has_plaintext() {
            if self.socket != Socket::Ended {
                // It was not looked at, and an event may have told of more meanwhile.
                self.socket = Socket::Full;
            }
            return Ok(self.take_plaintext(&mut room));
        }
        self.check()?;
        if self.engine.has_received_close() || self.socket == Socket::Ended {
            return Ok(0);
        }
        let kept = self.incoming.len();
        let memory = scratch.input_behind(&self.incoming, room.left());
        let offered = memory.len() - kept;
        let count = match read(&mut memory[kept..]) {
            Ok(0) => {
                self.socket = Socket::Ended;
                return self.refused.take().map_or(Ok(0), Err);
            }
            Ok(count) => count,
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock {
                    self.socket = Socket::Empty;
                }
                return Err(error);
            }
        };
        self.note_read(count, offered);
        if let Err(failure) = self.decrypt(scratch, kept + count, &mut room) {
            self.failed = Some(failure);
            if room.filled == 0 {
                return Err(failure.into_error());
            }
        }
        match (room.filled, self.socket) {
            (0, _) if self.engine.has_received_close() => Ok(0),
            (0, Socket::Full) => Err(io::ErrorKind::Interrupted.into()),
            (0, _) => Err(io::ErrorKind::WouldBlock.into()),
            (count, _) => Ok(count),
        }
    }

    /// Decrypts the first `length` bytes of the scratch's input into `room`, and keeps what is left.
    fn decrypt(
        &mut self,
        scratch: &mut Scratch,
        length: usize,
        room: &mut Room<'_, '_>,
    ) -> Result<(), Failure> {
        scratch.output.clear();
        let mut lack = Ok(());
        let (plaintext, wear) = (&mut self.plaintext, &mut self.wear);
        let input = &mut scratch.input[..length];
        let (used, result) = self.engine.process(
            input,
            |bytes| {
                wear.decrypted();
                let rest = room.fill(bytes);
                if !rest.is_empty() {
                    lack = lack.and(append(plaintext, rest));
                }
            },
            &mut scratch.output,
        );
        let rest = &scratch.input[used..length];
        self.incoming.clear();
        if rest.is_empty() {
            // Most have nothing here, and no memory for it.
            self.incoming = Vec::new();
        } else {
            append(&mut self.incoming, rest)?;
        }
        self.queue(scratch.output.bytes(), 0)?;
        result.and(lack)?;
        self.bound_kept(scratch)
    }

    fn take_plaintext(&mut self, room: &mut Room<'_, '_>) -> usize {
        let waiting = &self.plaintext[self.plaintext_start..];
        let left = room.fill(waiting).len();
        self.plaintext_start = self.plaintext.len() - left;
        if left == 0 {
            self.plaintext = Vec::new();
            self.plaintext_start = 0;
            // It becomes less.
            let _ = self.claim_kept();
        }
        room.filled
    }

    /// Whether plaintext waits.
    pub(crate) fn has_plaintext(&self) -> bool {
        !self.plaintext.is_empty()
    }

    /// Whether another read may find something without any event.
    pub(crate) fn may_have_more(&self) -> bool {
        self.has_plaintext()
            || self.failed.is_some()
            || self.engine.has_received_close()
            || matches!(self.socket, Socket::Full | Socket::Ended)
    }

    /// Whether the last read has found the socket empty, and not only too few bytes for a record.
    pub(crate) fn is_dry(&self) -> bool {
        self.socket == Socket::Empty
    }

    /// Whether the peer has said that nothing more will come, before its socket ended.
    pub(crate) fn has_ended_properly(&self) -> bool {
        self.engine.has_received_close()
    }

    /// Whether the peer has begun a record and not finished it.
    pub(crate) fn has_partial(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Writes `pieces` in order, by `write`. Returns how many of their bytes have left; others may be encrypted, and are to
    /// be given again in the next call.
    ///
    /// # Errors
    /// `WouldBlock` when the socket has taken too little; else the socket's, or a [`Failure`].
    pub(crate) fn write(
        &mut self,
        pieces: &[IoSlice<'_>],
        scratch: &mut Scratch,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.has_outgoing() {
            let (left, flushed) = self.flush(&mut write);
            if left > 0 {
                return Ok(left);
            }
            flushed?;
        }
        self.check()?;
        let mut plaintext = 0;
        scratch.output.clear();
        let limit = if self.is_stalled { 1 } else { RECORDS };
        for _ in 0..limit {
            let count = self
                .encrypt_record(pieces, plaintext, scratch)
                .map_err(Failure::into_error)?;
            plaintext += count;
            if count < MAX_PLAINTEXT {
                break;
            }
        }
        if plaintext == 0 {
            return Ok(0);
        }
        self.write_encrypted(scratch, plaintext, write)
    }

    /// After a failure nothing is encrypted or decrypted any more.
    fn check(&self) -> io::Result<()> {
        self.failed
            .map_or(Ok(()), |failure| Err(failure.into_error()))
    }

    /// Encrypts the next record of `pieces`, from their byte `start` on. Returns how many bytes it carries.
    fn encrypt_record(
        &mut self,
        pieces: &[IoSlice<'_>],
        start: usize,
        scratch: &mut Scratch,
    ) -> Result<usize, Failure> {
        let before = scratch.output.bytes().len();
        let bytes = record_of(pieces, start, &mut scratch.gathered);
        if bytes.is_empty() {
            return Ok(0);
        }
        self.engine
            .encrypt(&mut self.incoming, bytes, &mut scratch.output)?;
        self.wear.encrypted();
        self.records.push_back(Record {
            ciphertext: scratch.output.bytes().len() - before,
            plaintext: bytes.len(),
        });
        Ok(bytes.len())
    }

    /// Writes what was encrypted, and keeps what the socket does not take.
    fn write_encrypted(
        &mut self,
        scratch: &Scratch,
        plaintext: usize,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.encrypted = plaintext;
        let output = scratch.output.bytes();
        let written = match retry(|| write(output)) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.is_stalled = written < output.len();
        if self.is_stalled {
            append(&mut self.outgoing, &output[written..]).map_err(Failure::into_error)?;
        }
        match self.leave(written) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            left => Ok(left),
        }
    }

    /// So many bytes of ciphertext have left. Returns how many of plaintext have left with them.
    fn leave(&mut self, mut ciphertext: usize) -> usize {
        self.has_crept |= ciphertext > 0;
        let mut plaintext = 0;
        while let Some(record) = self.records.front_mut() {
            self.own_tail = match record.plaintext {
                0 => self.own_tail + ciphertext.min(record.ciphertext),
                _ => 0,
            };
            if ciphertext < record.ciphertext {
                record.ciphertext -= ciphertext;
                break;
            }
            ciphertext -= record.ciphertext;
            plaintext += record.plaintext;
            self.records.pop_front();
        }
        self.encrypted -= plaintext;
        // That tells of itself.
        self.has_crept &= plaintext == 0;
        plaintext
    }

    /// Queues ciphertext that carries no plaintext of ours.
    fn queue(&mut self, ciphertext: &[u8], plaintext: usize) -> Result<(), Failure> {
        if ciphertext.is_empty() {
            return Ok(());
        }
        append(&mut self.outgoing, ciphertext)?;
        self.records.push_back(Record {
            ciphertext: ciphertext.len(),
            plaintext,
        });
        Ok(())
    }

    /// Writes ciphertext that waits, by `write`. Returns how many bytes of plaintext have left with it, and `WouldBlock` when
    /// the socket does not take all, or the socket's own error.
    pub(crate) fn flush(
        &mut self,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> (usize, io::Result<()>) {
        let mut plaintext = 0;
        while self.has_outgoing() {
            match retry(|| write(&self.outgoing[self.outgoing_start..])) {
                Ok(count) => {
                    self.outgoing_start += count;
                    plaintext += self.leave(count);
                }
                Err(error) => return (plaintext, Err(error)),
            }
        }
        self.outgoing = Vec::new();
        self.outgoing_start = 0;
        (plaintext, Ok(()))
    }

    /// What was to be sent is given up: what is encrypted of it already leaves, and counts for nothing.
    pub(crate) fn forget_plaintext(&mut self) {
        for record in &mut self.records {
            record.plaintext = 0;
        }
        self.encrypted = 0;
    }

    /// What was to be sent is given up, what is encrypted included: the socket takes nothing any more.
    pub(crate) fn forget_ciphertext(&mut self) {
        self.records.clear();
        self.outgoing = Vec::new();
        self.outgoing_start = 0;
        self.encrypted = 0;
    }

    /// As [`Self::forget_ciphertext`]. Where the socket ends without being announced, reading tells of `error`.
    pub(crate) fn forget_refused(&mut self, error: io::Error) {
        self.forget_ciphertext();
        self.refused = Some(error);
    }

    /// Bytes of ciphertext that wait for the socket.
    pub(crate) fn outgoing(&self) -> usize {
        self.outgoing.len() - self.outgoing_start
    }

    fn has_outgoing(&self) -> bool {
        self.outgoing() > 0
    }

    /// Queues, once, that nothing more will come from here.
    pub(crate) fn say_farewell(&mut self, scratch: &mut Scratch) {
        if std::mem::replace(&mut self.has_sent_close, true) || self.failed.is_some() {
            return;
        }
        scratch.output.clear();
        let encrypted = self
            .engine
            .encrypt_close(&mut self.incoming, &mut scratch.output);
        if encrypted.is_ok() {
            let _ = self.queue(scratch.output.bytes(), 0);
        }
    }

    /// Whether the socket has taken something that no plaintext tells of, since this was asked for.
    pub(crate) fn take_crept(&mut self) -> bool {
        std::mem::take(&mut self.has_crept)
    }

    /// Bytes that have left behind the last that carry plaintext of ours.
    pub(crate) fn own_tail(&self) -> usize {
        self.own_tail
    }

    /// Whether the connection is to be used no more, because its keys are about to be exhausted. This is said once.
    pub(crate) fn is_newly_worn_out(&mut self) -> bool {
        self.wear.take_news()
    }

    /// The name that the client has asked for, as far as this end knows it.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.engine.server_name()
    }

    /// What both ends have agreed on.
    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        self.engine.is_secured().then(|| self.engine.negotiated())
    }
}
