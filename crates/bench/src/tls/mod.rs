//! TLS 1.3 over a socket, by nothing but rustls without its buffers: as little as a program can do.
//!
//! [`configuration`] says what is offered; [`tickets`] are sessions to be taken up again; [`engine`] is one connection's state of the protocol.
//! Ciphertext is read into memory that all connections of the thread share, is decrypted there, and copied once, to
//! where the caller wants it. What is written shares records and system calls as far as it was given together.

pub mod configuration;
mod engine;
#[cfg(test)]
mod tests;
pub mod tickets;

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

pub use self::configuration::{ClientTls, ServerTls};
use self::engine::{Engine, RECORD_OVERHEAD, RECORD_SIZE};
use crate::socket::Stream;

/// More than a socket usually holds, for few reads.
const READ_SIZE: usize = 256 * 1024;
/// What one write encrypts at most.
const WRITE_SIZE: usize = 16 * RECORD_SIZE;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Memory that connections use one after the other.
#[derive(Default)]
struct Scratch {
    input: Vec<u8>,
    output: Vec<u8>,
    gathered: Vec<u8>,
}

/// A socket with TLS over it. It reads and writes as a socket does, but for one thing: see [`Self::has_drained`].
#[derive(Debug)]
pub struct Secured {
    socket: Stream,
    engine: Engine,
    /// The beginning of a record.
    kept: Vec<u8>,
    /// What had no room, mostly nothing.
    plaintext: Vec<u8>,
    /// What the socket has not taken, mostly nothing.
    outgoing: Vec<u8>,
    /// Bytes of plaintext in `outgoing`. They are given again until the record that they are in has left.
    leaving: usize,
    /// Whether the last read has filled its space.
    was_full: bool,
}

impl Secured {
    /// A server's end, which waits for a client.
    pub fn server(socket: Stream, tls: &ServerTls) -> io::Result<Self> {
        Ok(Self::over(socket, Engine::server(tls)?))
    }

    /// A client's end, which shakes hands as it is read and written.
    pub fn client(socket: Stream, tls: &ClientTls) -> io::Result<Self> {
        Ok(Self::over(socket, Engine::client(tls)?))
    }

    fn over(socket: Stream, engine: Engine) -> Self {
        Self {
            socket,
            engine,
            kept: Vec::new(),
            plaintext: Vec::new(),
            outgoing: Vec::new(),
            leaving: 0,
            was_full: false,
        }
    }

    /// The socket itself, to be watched.
    pub fn socket(&mut self) -> &mut Stream {
        &mut self.socket
    }

    /// Whether the last read has left nothing in the socket, and nothing here. Plaintext is always less than was read, so
    /// its length does not tell.
    pub fn has_drained(&self) -> bool {
        !self.was_full && self.plaintext.is_empty() && !self.engine.has_received_close()
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.engine.is_resumed()
    }

    /// Goes on with the handshake; whether it is done.
    pub fn shake_hands(&mut self) -> io::Result<bool> {
        if self.engine.is_handshaking() {
            self.begin()?;
            match self.receive(&mut []) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(0) if self.engine.is_handshaking() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                _ => {}
            }
        }
        Ok(!self.engine.is_handshaking() && self.flush_outgoing()?)
    }

    /// Says that nothing more comes from here, and ends the sending half.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.engine.is_handshaking() {
            self.engine.close(&mut self.kept, &mut self.outgoing)?;
            self.flush_outgoing()?;
        }
        self.socket.finish()
    }

    /// A client speaks first.
    fn begin(&mut self) -> io::Result<()> {
        if self.kept.is_empty() {
            self.engine.process(&mut [], |_| {}, &mut self.outgoing).1?;
        }
        self.flush_outgoing().map(|_| ())
    }

    /// Reads ciphertext until there is plaintext for `pieces`, or the socket is empty.
    fn receive(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        loop {
            let filled = SCRATCH.with_borrow_mut(|scratch| self.receive_once(pieces, scratch))?;
            // Plaintext leaves with the next write, which tells of it: the peer may answer at once.
            if self.leaving == 0 {
                self.flush_outgoing()?;
            }
            match filled {
                Some(count) => return Ok(count),
                None if self.engine.has_received_close() => return Ok(0),
                None if self.was_full => {}
                None => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    /// One read; `None` if it has brought no plaintext, and no end either.
    fn receive_once(
        &mut self,
        pieces: &mut [IoSliceMut<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<Option<usize>> {
        let input = &mut scratch.input;
        input.resize(input.len().max(self.kept.len() + READ_SIZE), 0);
        let kept = self.kept.len();
        input[..kept].copy_from_slice(&self.kept);
        self.was_full = false;
        let count = self.socket.read(&mut input[kept..])?;
        if count == 0 {
            return Ok(Some(0));
        }
        self.was_full = kept + count == input.len();
        let input = &mut input[..kept + count];
        let mut room = Room { pieces, filled: 0 };
        let plaintext = &mut self.plaintext;
        let (used, processed) = self.engine.process(
            input,
            |bytes| plaintext.extend_from_slice(room.fill(bytes)),
            &mut self.outgoing,
        );
        self.kept.clear();
        self.kept.extend_from_slice(&input[used..]);
        let filled = room.filled;
        match processed {
            Err(error) if filled == 0 => Err(error),
            _ if filled == 0 => Ok(None),
            _ => Ok(Some(filled)),
        }
    }

    /// Whether the socket has taken all that waited for it.
    fn flush_outgoing(&mut self) -> io::Result<bool> {
        let mut written = 0;
        while written < self.outgoing.len() {
            match self.socket.write(&self.outgoing[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.drain(..written);
        Ok(self.outgoing.is_empty())
    }

    /// Encrypts what is given, as far as one write goes, and writes it.
    fn send(&mut self, pieces: &[IoSlice<'_>], scratch: &mut Scratch) -> io::Result<usize> {
        let plaintext = together(pieces, &mut scratch.gathered);
        if plaintext.is_empty() {
            return Ok(0);
        }
        let memory = &mut scratch.output;
        let length = self.engine.encrypt(&mut self.kept, plaintext, memory)?;
        let ciphertext = &memory[..length];
        let written = match self.socket.write(ciphertext) {
            Ok(count) => count,
            Err(error) if is_transient(&error) => 0,
            Err(error) => return Err(error),
        };
        if written == length {
            return Ok(plaintext.len());
        }
        self.leaving = plaintext.len();
        self.outgoing.extend_from_slice(&ciphertext[written..]);
        self.left()
    }

    /// How many bytes of plaintext have left since it was last asked; `WouldBlock` if none.
    fn left(&mut self) -> io::Result<usize> {
        let still = plaintext_in(self.outgoing.len(), self.leaving);
        match std::mem::replace(&mut self.leaving, still) - still {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            left => Ok(left),
        }
    }
}

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if self.plaintext.is_empty() {
            return if self.engine.has_received_close() {
                Ok(0)
            } else {
                self.receive(pieces)
            };
        }
        let mut room = Room { pieces, filled: 0 };
        let left = room.fill(&self.plaintext).len();
        self.plaintext.drain(..self.plaintext.len() - left);
        Ok(room.filled)
    }
}

impl Write for Secured {
    /// What is written was taken once its record has left. Until then it is to be given again.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.engine.is_handshaking() {
            self.begin()?;
            if self.engine.is_handshaking() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        if self.outgoing.is_empty() {
            return SCRATCH.with_borrow_mut(|scratch| self.send(pieces, scratch));
        }
        match (self.flush_outgoing()?, self.leaving) {
            (true, 0) => SCRATCH.with_borrow_mut(|scratch| self.send(pieces, scratch)),
            _ => self.left(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Bytes of plaintext in the last records of `plaintext` bytes, so many bytes of which wait.
fn plaintext_in(ciphertext: usize, plaintext: usize) -> usize {
    if ciphertext == 0 || plaintext == 0 {
        return 0;
    }
    let last = (plaintext - 1) % RECORD_SIZE + 1;
    let before = ciphertext.saturating_sub(last + RECORD_OVERHEAD);
    last + before.div_ceil(RECORD_SIZE + RECORD_OVERHEAD) * RECORD_SIZE
}

/// The bytes of `pieces`, gathered where they lie apart, as far as one write goes.
fn together<'a>(pieces: &'a [IoSlice<'_>], gathered: &'a mut Vec<u8>) -> &'a [u8] {
    let mut filled = pieces.iter().filter(|piece| !piece.is_empty());
    let Some(first) = filled.next() else {
        return &[];
    };
    if first.len() >= WRITE_SIZE || filled.next().is_none() {
        return &first[..first.len().min(WRITE_SIZE)];
    }
    gathered.clear();
    for piece in pieces {
        let room = WRITE_SIZE - gathered.len();
        gathered.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    gathered
}

/// Memory that is filled in order.
struct Room<'p, 'b> {
    pieces: &'p mut [IoSliceMut<'b>],
    filled: usize,
}

impl Room<'_, '_> {
    /// Copies as much of `bytes` as there is room for, and returns the others.
    fn fill<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        let mut start = self.filled;
        for piece in &mut *self.pieces {
            let count = piece.len().saturating_sub(start).min(bytes.len());
            if count > 0 {
                piece[start..start + count].copy_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                self.filled += count;
            }
            start = start.saturating_sub(piece.len());
        }
        bytes
    }
}
