//! The ceilings: servers directly on mio, without framing or framework.
//!
//! The loop is the same for all of them: one thread, one poller, one turn for
//! each connection and wake-up. What a connection does in its turn is its
//! [`Service`]. [`echo`] sends back what it reads, [`answer`] replies to messages,
//! [`transfer`] takes or sends one large stream.

pub mod answer;
pub mod echo;
pub mod transfer;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use crate::args::ServerOptions;
use crate::limits;
use crate::shutdown::{self, StandardInput};
use crate::socket::{Listener, Stream};
use crate::tls::{Secured, ServerTls};

const LISTENER: Token = Token(usize::MAX - 1);
const SHUTDOWN: Token = Token(usize::MAX - 2);
const READ_SIZE: usize = 256 * 1024;

/// What a server does with one connection.
pub trait Service {
    /// The service of a connection that was just accepted.
    fn new() -> Self;

    /// Reads and writes once, with `buffer` to read into, which no turn keeps.
    fn turn(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Turn>;
}

/// What became of a connection's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A read was shorter than its space, which has drained the socket.
    Short,
    /// Nothing left to read.
    Drained,
    /// There is more to do at once.
    Ready,
    /// Output waits for the peer.
    Blocked,
    /// It is done with, or the peer has gone.
    Closed,
}

/// Serves until told to end, with TLS over each connection where that is given.
pub fn run<S: Service>(options: &ServerOptions, tls: Option<ServerTls>) -> Result<()> {
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

    let mut server = Server::<S> {
        listener,
        tls,
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

struct Server<S> {
    listener: Listener,
    tls: Option<ServerTls>,
    connections: Slab<Connection<S>>,
    /// Connections that have more to do at once.
    ready: Vec<usize>,
    buffer: Box<[u8]>,
}

struct Connection<S> {
    stream: Stream,
    service: S,
    /// Output waits for the peer, whose readiness to take it is watched.
    blocked: bool,
    /// The peer's end or an error was announced: read until it is reached.
    closing: bool,
    /// It is on the list of those to be served again.
    queued: bool,
}

impl<S: Service> Server<S> {
    fn accept(&mut self, registry: &Registry) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
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
            let mut stream = match &self.tls {
                None => stream,
                Some(tls) => Stream::Secured(Box::new(Secured::server(stream, tls)?)),
            };
            let entry = self.connections.vacant_entry();
            registry.register(&mut stream, Token(entry.key()), Interest::READABLE)?;
            entry.insert(Connection {
                stream,
                service: S::new(),
                blocked: false,
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
        let turn = connection
            .service
            .turn(&mut connection.stream, &mut self.buffer)
            .unwrap_or(Turn::Closed);
        let is_ready = match turn {
            Turn::Closed => {
                self.connections.remove(key);
                return self.accept(registry);
            }
            Turn::Ready => true,
            Turn::Short => connection.closing,
            Turn::Drained | Turn::Blocked => false,
        };
        if is_ready && !connection.queued {
            connection.queued = true;
            self.ready.push(key);
        }
        // A unix socket reports writable at every read of its peer: ask only while needed.
        let is_blocked = turn == Turn::Blocked;
        if connection.blocked != is_blocked {
            connection.blocked = is_blocked;
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

/// What one read brought.
enum Input {
    /// So many bytes, 0 at the peer's end.
    Bytes(usize),
    /// None for now: the turn is over.
    None(Turn),
}

fn read(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Input> {
    match io::Read::read(stream, buffer) {
        Ok(length) => Ok(Input::Bytes(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Input::None(Turn::Drained)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Input::None(Turn::Ready)),
        Err(error) => Err(error),
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
