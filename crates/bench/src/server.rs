//! The ceiling: an echo loop directly on mio, without framing or framework.
//!
//! It sends back whatever bytes it reads, one read and one write per wake-up.
//! What a socket does not take is kept for that connection, which is then not
//! read until the rest is sent, so a slow peer costs at most one read's worth.

use std::io::{self, Read, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use crate::args::ServerOptions;
use crate::limits;
use crate::shutdown::{self, StandardInput};
use crate::socket::{Listener, Stream};

const LISTENER: Token = Token(usize::MAX - 1);
const SHUTDOWN: Token = Token(usize::MAX - 2);
const READ_SIZE: usize = 256 * 1024;

/// Serves until told to end.
pub fn run(options: &ServerOptions) -> Result<()> {
    let address = options.endpoint.address()?;
    limits::raise_open_files().context("raising the limit on open files")?;
    let standard_input = if options.exit_with_stdin {
        StandardInput::Watched
    } else {
        StandardInput::Ignored
    };
    let mut shutdown = shutdown::watch(standard_input)?;

    let mut poll = Poll::new()?;
    let mut listener =
        Listener::bind(&address).with_context(|| format!("listening on {address}"))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    poll.registry()
        .register(&mut shutdown, SHUTDOWN, Interest::READABLE)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening {}", listener.local_address()?)?;
    stdout.flush()?;

    let mut server = Server {
        listener,
        connections: Slab::new(),
        ready: Vec::new(),
        buffer: vec![0; READ_SIZE].into_boxed_slice(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        // Sockets that may hold more have no further event coming: never sleep on them.
        let timeout = if server.ready.is_empty() {
            None
        } else {
            Some(Duration::ZERO)
        };
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for key in std::mem::take(&mut server.ready) {
            server.unqueue(key);
            server.serve(poll.registry(), key)?;
        }
        for event in &events {
            match event.token() {
                SHUTDOWN => return Ok(()),
                LISTENER => server.accept(poll.registry())?,
                Token(key) => {
                    if event.is_read_closed() || event.is_error() {
                        server.drain(key);
                    }
                    server.serve(poll.registry(), key)?;
                }
            }
        }
    }
}

struct Server {
    listener: Listener,
    connections: Slab<Connection>,
    /// Connections whose socket may hold more than was read.
    ready: Vec<usize>,
    buffer: Box<[u8]>,
}

struct Connection {
    stream: Stream,
    /// What the socket has not taken yet; empty most of the time.
    pending: Vec<u8>,
    /// The peer's end or an error was announced: read until it is reached.
    closing: bool,
    /// It is on the list of those to be served again.
    queued: bool,
}

/// What became of a connection's turn.
enum Turn {
    /// Nothing left to read for now.
    Drained,
    /// The socket may hold more.
    Ready,
    /// Output waits for the peer.
    Blocked,
    /// The peer has gone.
    Closed,
}

impl Server {
    fn accept(&mut self, registry: &Registry) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok(stream) => stream,
                Err(error) => match error.raw_os_error() {
                    _ if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    // Accepted again when a connection closes.
                    Some(libc::EMFILE | libc::ENFILE) => return Ok(()),
                    // That peer has gone; others wait.
                    Some(libc::ECONNABORTED | libc::EINTR | libc::EINVAL) => continue,
                    _ => return Err(error).context("accepting a connection"),
                },
            };
            let entry = self.connections.vacant_entry();
            registry.register(&mut stream, Token(entry.key()), Interest::READABLE)?;
            entry.insert(Connection {
                stream,
                pending: Vec::new(),
                closing: false,
                queued: false,
            });
        }
    }

    /// Notes that the peer's end must be read, for which no further event comes.
    fn drain(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.closing = true;
        }
    }

    fn unqueue(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.queued = false;
        }
    }

    fn serve(&mut self, registry: &Registry, key: usize) -> Result<()> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        let was_blocked = !connection.pending.is_empty();
        let turn = connection.turn(&mut self.buffer).unwrap_or(Turn::Closed);
        match turn {
            Turn::Closed => {
                self.connections.remove(key);
                return self.accept(registry);
            }
            Turn::Ready if !connection.queued => {
                connection.queued = true;
                self.ready.push(key);
            }
            Turn::Ready | Turn::Drained | Turn::Blocked => {}
        }
        // A unix socket reports writable at every read of its peer: ask only while needed.
        let is_blocked = matches!(turn, Turn::Blocked);
        if was_blocked != is_blocked {
            let interest = if is_blocked {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            registry.reregister(&mut connection.stream, Token(key), interest)?;
        }
        Ok(())
    }
}

impl Connection {
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<Turn> {
        if !self.pending.is_empty() {
            let written = write_until_blocked(&mut self.stream, &self.pending)?;
            self.pending.drain(..written);
            if !self.pending.is_empty() {
                return Ok(Turn::Blocked);
            }
        }
        let length = match self.stream.read(buffer) {
            Ok(0) => return Ok(Turn::Closed),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Turn::Ready),
            Err(error) => return Err(error),
        };
        let written = write_until_blocked(&mut self.stream, &buffer[..length])?;
        if written < length {
            self.pending.extend_from_slice(&buffer[written..length]);
            return Ok(Turn::Blocked);
        }
        // A read shorter than its space has drained the socket.
        Ok(if length == buffer.len() || self.closing {
            Turn::Ready
        } else {
            Turn::Drained
        })
    }
}

/// Writes as much as the socket takes and says how much that was.
fn write_until_blocked(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
