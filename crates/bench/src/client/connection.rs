//! One connection under load: one read and one write per wake-up.

use std::io::{self, IoSlice, Read, Write};
use std::time::Instant;

use super::exchange::Exchange;
use super::failure::{Failure, Kind};
use crate::socket::Stream;

/// Time since the run began, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since then.
    pub fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Replies that came together and whose requests went out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replies {
    /// When the requests were sent, or should have been.
    pub sent_at: u64,
    /// When the replies were read.
    pub received_at: u64,
    /// How many.
    pub count: u64,
}

/// Whether the peer has announced its end or an error, after which no further
/// event comes and everything must be read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// There is something to read.
    Open,
    /// The end or an error comes after what there is to read.
    Ending,
}

/// A connection and its requests.
#[derive(Debug)]
pub struct Connection<E> {
    stream: Stream,
    exchange: E,
    /// For each slot, when its request was sent or should have been.
    sent_at: Box<[u64]>,
    requests: u64,
    replies: u64,
}

impl<E: Exchange> Connection<E> {
    /// A connection without any request in flight yet.
    pub fn new(stream: Stream, exchange: E) -> Self {
        let sent_at = vec![0; exchange.free()].into_boxed_slice();
        Self {
            stream,
            exchange,
            sent_at,
            requests: 0,
            replies: 0,
        }
    }

    /// The socket, to be registered with a poller.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The socket alone.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Requests queued since the connection was opened.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that await their reply.
    pub fn in_flight(&self) -> usize {
        self.exchange.in_flight()
    }

    /// When the oldest request that awaits its reply was sent, or should have been.
    pub fn oldest_sent_at(&self) -> Option<u64> {
        self.exchange.oldest().map(|slot| self.sent_at[slot])
    }

    /// How many more requests may be queued.
    pub fn free(&self) -> usize {
        self.exchange.free()
    }

    /// Whether queued bytes wait for the socket to take them.
    pub fn is_blocked(&self) -> bool {
        self.exchange.has_unsent()
    }

    /// Queues a request whose latency counts from `sent_at`.
    pub fn queue(&mut self, sent_at: u64) {
        let slot = self.exchange.queue();
        self.sent_at[slot] = sent_at;
        self.requests += 1;
    }

    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while self.exchange.has_unsent() {
            match self
                .stream
                .write_vectored(&self.exchange.unsent().map(IoSlice::new))
            {
                Ok(length) => self.exchange.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has come, checks it, and calls `answered` for the replies.
    pub fn receive(
        &mut self,
        readiness: Readiness,
        buffer: &mut [u8],
        clock: Clock,
        mut answered: impl FnMut(Replies),
    ) -> Result<(), Failure> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(self.closed_by_peer()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let received_at = clock.now();
            let mut together = Replies {
                sent_at: 0,
                received_at,
                count: 0,
            };
            let sent_at = &self.sent_at;
            let checked = self.exchange.receive(&buffer[..length], |slot| {
                if together.count > 0 && together.sent_at != sent_at[slot] {
                    answered(together);
                    together.count = 0;
                }
                together.sent_at = sent_at[slot];
                together.count += 1;
                self.replies += 1;
            });
            if together.count > 0 {
                answered(together);
            }
            checked.map_err(Into::into)?;
            if self.stream.has_drained(length, buffer.len()) && readiness == Readiness::Open {
                return Ok(());
            }
        }
    }

    fn closed_by_peer(&self) -> Failure {
        let in_flight = self.exchange.in_flight();
        let part = self.exchange.received();
        Failure::new(
            Kind::Closed,
            format!(
                "after {} replies and {part} bytes of the next, {in_flight} requests in flight",
                self.replies
            ),
        )
    }
}
