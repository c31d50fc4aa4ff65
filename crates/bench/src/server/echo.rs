//! Sends back whatever it reads, one read and one write in each turn.
//!
//! What a socket does not take is kept for that connection. It is then not read
//! until the rest is sent, so a slow peer costs at most one read's worth.

use std::io;

use super::{Input, Service, Turn, read, write_until_blocked};
use crate::socket::Stream;

/// One echoing connection.
#[derive(Debug)]
pub struct Echo {
    /// What the socket has not taken yet; empty most of the time.
    pending: Vec<u8>,
}

impl Service for Echo {
    fn new() -> Self {
        Self {
            pending: Vec::new(),
        }
    }

    fn turn(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Turn> {
        if !self.pending.is_empty() {
            let written = write_until_blocked(stream, &self.pending)?;
            self.pending.drain(..written);
            if !self.pending.is_empty() {
                return Ok(Turn::Blocked);
            }
        }
        let length = match read(stream, buffer)? {
            Input::Bytes(0) => return Ok(Turn::Closed),
            Input::Bytes(length) => length,
            Input::None(turn) => return Ok(turn),
        };
        let written = write_until_blocked(stream, &buffer[..length])?;
        if written < length {
            self.pending.extend_from_slice(&buffer[written..length]);
            return Ok(Turn::Blocked);
        }
        Ok(if stream.has_drained(length, buffer.len()) {
            Turn::Short
        } else {
            Turn::Ready
        })
    }
}
