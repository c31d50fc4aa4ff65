//! Connections that are open and send nothing, as most are on a real server.

use std::io::{self, Read, Write};

use anyhow::Result;
use mio::{Interest, Registry, Token};

use super::connect::{Sources, Target};
use super::failure::{Failure, Failures, Kind};
use crate::shutdown;
use crate::socket::Stream;

/// Open connections without load.
#[derive(Debug, Default)]
pub struct Idle {
    streams: Vec<Stream>,
}

impl Idle {
    /// Opens `count` connections, all of them accepted by the server on return.
    pub fn open(target: Target<'_>, count: usize) -> Result<Self, Failure> {
        let mut streams = target.open(count, Sources::Spread)?;
        target.wait_until_accepted(&mut streams)?;
        Ok(Self { streams })
    }

    /// Has the poller watch them, with tokens from `first` on.
    pub fn register(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        for (number, stream) in self.streams.iter_mut().enumerate() {
            registry.register(stream, Token(first + number), Interest::READABLE)?;
        }
        Ok(())
    }

    /// What is wrong with the connection `number`, at which nothing should happen.
    pub fn check(&mut self, number: usize) -> Result<(), Failure> {
        let Some(stream) = self.streams.get_mut(number) else {
            return Ok(());
        };
        match stream.read(&mut [0]) {
            Ok(0) => Err(Failure::new(
                Kind::Closed,
                format!("idle connection {number}"),
            )),
            Ok(_) => Err(Failure::new(
                Kind::Mismatch,
                format!("bytes came on idle connection {number}"),
            )),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Says `idle ready`, holds the connections until the standard input ends,
    /// and reports those that did not last.
    pub fn hold(&mut self, failures: &mut Failures) -> Result<()> {
        let mut stdout = io::stdout();
        writeln!(stdout, "idle ready")?;
        stdout.flush()?;
        shutdown::wait_for_end_of_standard_input();
        for number in 0..self.streams.len() {
            if let Err(failure) = self.check(number) {
                failures.add(failure);
            }
        }
        Ok(())
    }
}
