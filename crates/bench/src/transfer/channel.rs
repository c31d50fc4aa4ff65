//! One socket that is read and written as if it blocked.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::client::failure::{Failure, Kind};
use crate::client::load::Waiting;
use crate::socket::Stream;

/// A connected socket with its own poller.
#[derive(Debug)]
pub struct Channel {
    stream: Stream,
    poll: Poll,
    events: Events,
    waiting: Waiting,
    stall_timeout: Duration,
    /// Time spent on asking in vain.
    idle: Duration,
}

impl Channel {
    /// A channel that gives up when its peer does nothing for `stall_timeout`.
    pub fn new(mut stream: Stream, waiting: Waiting, stall_timeout: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(0), both)?;
        Ok(Self {
            stream,
            poll,
            events: Events::with_capacity(8),
            waiting,
            stall_timeout,
            idle: Duration::ZERO,
        })
    }

    /// Writes all of `bytes`.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there, or waits for it; 0 at the peer's end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.stream.read(buffer) {
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends our direction.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.finish()
    }

    /// Processor time that was spent on asking in vain, which is no work.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Returns once the socket may have changed.
    fn wait(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let timeout = match self.waiting {
            Waiting::Sleep => self.stall_timeout,
            Waiting::BusyPoll => Duration::ZERO,
        };
        loop {
            let asked = Instant::now();
            match self.poll.poll(&mut self.events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                Ok(()) if !self.events.is_empty() => return Ok(()),
                _ => {}
            }
            if self.waiting == Waiting::BusyPoll {
                self.idle += asked.elapsed();
            }
            if began.elapsed() >= self.stall_timeout {
                let detail = format!("nothing moved for {:?}", self.stall_timeout);
                return Err(Failure::new(Kind::Stalled, detail));
            }
        }
    }
}
