//! Opens many connections without overrunning the server.
//!
//! A server queues only so many connections that it has not accepted yet. One
//! too many costs a second or more of the kernel's patience. So after each
//! batch its last connection makes one round trip. Connections are accepted in
//! order, so its reply tells that the whole batch has been.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::{Clock, Connection, Readiness};
use super::failure::{Failure, Kind};
use super::frames::{Comparison, Frames, Order, Shape};
use crate::address::Address;
use crate::reply::Reply;
use crate::socket::Stream;
use crate::tls::{ClientTls, Secured};

/// Fewer than the shortest usual queue (128) of a listening socket.
const BATCH: usize = 100;

/// Connections from one loopback address, well below its ports (28,232 on Linux).
const CONNECTIONS_PER_SOURCE: usize = 5_000;

/// How to reach the server.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where it listens.
    pub address: &'a Address,
    /// How it is known that it has accepted a connection.
    pub acceptance: Acceptance,
    /// What its connections are encrypted with, if they are.
    pub tls: Option<&'a ClientTls>,
    /// How long it may take to accept or to answer.
    pub timeout: Duration,
}

/// How it is known that the server has accepted a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It replies to a message with a length of so many bytes in front.
    Replied {
        /// Bytes of the length.
        length_size: usize,
        /// What its reply is beside the message.
        reply: Reply,
    },
    /// It is not: the server must have a queue for all of them.
    Assumed,
}

/// Where connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// The address that the system chooses.
    Chosen,
    /// Several addresses of the loopback network where there are such, because
    /// one address and port has only so many peers' ports.
    Spread,
}

impl Target<'_> {
    /// Opens `count` connections, all accepted by the server on return (but for
    /// the last few, unless `count` is a multiple of the batch).
    pub fn open(&self, count: usize, sources: Sources) -> Result<Vec<Stream>, Failure> {
        let mut streams = Vec::with_capacity(count);
        for number in 0..count {
            let stream = self
                .connect(sources, number)
                .and_then(|stream| self.secure(stream))
                .and_then(|stream| match (number + 1) % BATCH {
                    0 if number + 1 < count => self.round_trip(stream),
                    _ => Ok(stream),
                });
            streams.push(stream.map_err(|failure| Failure {
                detail: format!("connection {} of {count}: {}", number + 1, failure.detail),
                ..failure
            })?);
        }
        Ok(streams)
    }

    /// Returns once every connection opened so far has been accepted.
    pub fn wait_until_accepted(&self, streams: &mut Vec<Stream>) -> Result<(), Failure> {
        if let Some(last) = streams.pop() {
            streams.push(self.round_trip(last)?);
        }
        Ok(())
    }

    /// Opens the connection `number`. If it is encrypted, its handshake is still to be done.
    pub fn connect(&self, sources: Sources, number: usize) -> Result<Stream, Failure> {
        let connected = match self.address {
            Address::Tcp(address) => self.connect_tcp(*address, sources, number),
            Address::Unix(_) => self.connect_unix(),
        };
        let stream = connected.map_err(|error| Failure::connecting(&error))?;
        match self.tls {
            None => Ok(stream),
            Some(tls) => Ok(Stream::Secured(Box::new(Secured::client(stream, tls)?))),
        }
    }

    /// Does the handshake of a connection that is encrypted.
    fn secure(&self, stream: Stream) -> Result<Stream, Failure> {
        let Stream::Secured(mut secured) = stream else {
            return Ok(stream);
        };
        if !secured.shake_hands()? {
            let mut poll = Poll::new()?;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(secured.socket(), Token(0), both)?;
            self.wait_for(&mut poll, || Ok(secured.shake_hands()?))?;
            poll.registry().deregister(secured.socket())?;
        }
        Ok(Stream::Secured(secured))
    }

    /// Asks at every event whether it `is_done`, until it is.
    fn wait_for(
        &self,
        poll: &mut Poll,
        mut is_done: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1);
        let deadline = Instant::now() + self.timeout;
        while !is_done()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let detail = format!("not accepted within {:?}", self.timeout);
                return Err(Failure::new(Kind::Stalled, detail));
            }
            match poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn connect_tcp(
        &self,
        address: SocketAddr,
        sources: Sources,
        number: usize,
    ) -> io::Result<Stream> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if let Some(source) = source(address.ip(), sources, number) {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&address.into(), self.timeout)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Stream::Tcp(TcpStream::from_std(socket.into())))
    }

    fn connect_unix(&self) -> io::Result<Stream> {
        let Address::Unix(path) = self.address else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let deadline = Instant::now() + self.timeout;
        loop {
            match UnixStream::connect(path) {
                // The queue is full, and nothing tells when it no longer is.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
                {
                    thread::sleep(Duration::from_millis(1));
                }
                outcome => return outcome.map(Stream::Unix),
            }
        }
    }

    /// Sends one small message over the connection and awaits its reply, if there is one.
    fn round_trip(&self, stream: Stream) -> Result<Stream, Failure> {
        let Acceptance::Replied { length_size, reply } = self.acceptance else {
            return Ok(stream);
        };
        let shape = Shape {
            length_size,
            payload_size: 16,
            reply,
            order: Order::Requests,
            comparison: Comparison::Whole,
        };
        let mut connection = Connection::new(stream, Frames::new(shape, 1, 0));
        let mut poll = Poll::new()?;
        let mut buffer = [0; 64];
        poll.registry()
            .register(connection.stream(), Token(0), Interest::READABLE)?;
        connection.queue(0);
        // So few bytes always fit into the buffer of a new socket.
        connection.flush()?;
        self.wait_for(&mut poll, || {
            connection.receive(Readiness::Open, &mut buffer, Clock::start(), |_| {})?;
            Ok(connection.in_flight() == 0)
        })?;
        poll.registry().deregister(connection.stream())?;
        Ok(connection.into_stream())
    }
}

/// The address that connection `number` comes from. Each process has its own, so
/// that ports which an earlier run left in TIME_WAIT are not in the way.
fn source(destination: IpAddr, sources: Sources, number: usize) -> Option<IpAddr> {
    // Elsewhere than on Linux only 127.0.0.1 of the loopback network is set up.
    if sources == Sources::Chosen || !destination.is_loopback() || !cfg!(target_os = "linux") {
        return None;
    }
    let process = std::process::id().to_be_bytes();
    let part = 2 + (number / CONNECTIONS_PER_SOURCE) % 250;
    destination
        .is_ipv4()
        .then(|| Ipv4Addr::new(127, process[2], process[3], part as u8).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    #[cfg(target_os = "linux")]
    fn many_connections_come_from_several_loopback_addresses() {
        let first = source(LOOPBACK, Sources::Spread, 0);
        assert!(first.is_some_and(|source| source.is_loopback() && source != LOOPBACK));
        assert_eq!(
            source(LOOPBACK, Sources::Spread, CONNECTIONS_PER_SOURCE - 1),
            first
        );
        assert_ne!(
            source(LOOPBACK, Sources::Spread, CONNECTIONS_PER_SOURCE),
            first
        );
    }

    #[test]
    fn other_destinations_leave_the_source_to_the_system() {
        assert_eq!(source(LOOPBACK, Sources::Chosen, 0), None);
        assert_eq!(
            source(Ipv4Addr::new(192, 0, 2, 1).into(), Sources::Spread, 0),
            None
        );
    }
}
