//! Takes or sends one large stream, as [`crate::transfer::protocol`] says.
//!
//! It keeps nothing of what it takes but the count, and sends from one block, so
//! a slow peer costs nothing.

use std::io;

use super::{Input, Service, Turn, read, write_until_blocked};
use crate::socket::Stream;
use crate::transfer::protocol::{COUNT_SIZE, DOWNLOAD, UPLOAD, rest_of_block};

/// Blocks sent in one turn, after which others have theirs.
const BLOCKS_PER_TURN: u64 = 16;

/// One connection.
#[derive(Debug)]
pub struct Transfer(State);

#[derive(Debug)]
enum State {
    /// The direction is awaited.
    Opened,
    /// The client sends; so many bytes have come.
    Taking(u64),
    /// The client's count is awaited, of which so many bytes have come.
    Asked {
        count: [u8; COUNT_SIZE],
        received: usize,
    },
    /// The client has ended; the rest of the answer is from here on.
    Answering {
        count: [u8; COUNT_SIZE],
        sent: usize,
    },
    /// Of so many bytes, so many are sent.
    Sending { count: u64, sent: u64 },
}

impl Service for Transfer {
    fn new() -> Self {
        Self(State::Opened)
    }

    fn turn(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Turn> {
        match &mut self.0 {
            State::Opened | State::Taking(_) | State::Asked { .. } => self.take(stream, buffer),
            State::Answering { count, sent } => {
                *sent += write_until_blocked(stream, &count[*sent..])?;
                Ok(if *sent == count.len() {
                    Turn::Closed
                } else {
                    Turn::Blocked
                })
            }
            State::Sending { count, sent } => send(stream, *count, sent),
        }
    }
}

impl Transfer {
    fn take(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Turn> {
        let length = match read(stream, buffer)? {
            Input::Bytes(0) => return self.end(),
            Input::Bytes(length) => length,
            Input::None(turn) => return Ok(turn),
        };
        self.receive(&buffer[..length])?;
        Ok(if length == buffer.len() || self.has_output() {
            Turn::Ready
        } else {
            Turn::Short
        })
    }

    fn has_output(&self) -> bool {
        matches!(self.0, State::Answering { .. } | State::Sending { .. })
    }

    fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            State::Opened => {
                self.0 = match bytes.first() {
                    Some(&UPLOAD) => State::Taking(0),
                    Some(&DOWNLOAD) => State::Asked {
                        count: [0; COUNT_SIZE],
                        received: 0,
                    },
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                };
                self.receive(&bytes[1..])
            }
            State::Taking(count) => {
                *count += bytes.len() as u64;
                Ok(())
            }
            State::Asked { count, received } => {
                let end = *received + bytes.len();
                count
                    .get_mut(*received..end)
                    .ok_or(io::ErrorKind::InvalidData)?
                    .copy_from_slice(bytes);
                *received = end;
                if end == COUNT_SIZE {
                    self.0 = State::Sending {
                        count: u64::from_be_bytes(*count),
                        sent: 0,
                    };
                }
                Ok(())
            }
            State::Answering { .. } | State::Sending { .. } => {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    /// The client has ended its direction.
    fn end(&mut self) -> io::Result<Turn> {
        match self.0 {
            State::Taking(count) => {
                self.0 = State::Answering {
                    count: count.to_be_bytes(),
                    sent: 0,
                };
                Ok(Turn::Ready)
            }
            _ => Ok(Turn::Closed),
        }
    }
}

fn send(stream: &mut Stream, count: u64, sent: &mut u64) -> io::Result<Turn> {
    for _ in 0..BLOCKS_PER_TURN {
        if *sent == count {
            return Ok(Turn::Closed);
        }
        let block = rest_of_block(*sent);
        let length = (count - *sent).min(block.len() as u64) as usize;
        let written = write_until_blocked(stream, &block[..length])?;
        *sent += written as u64;
        if written < length {
            return Ok(Turn::Blocked);
        }
    }
    Ok(Turn::Ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_come_in_pieces() -> io::Result<()> {
        let mut transfer = Transfer::new();
        let count = 70_000_u64.to_be_bytes();
        transfer.receive(&[DOWNLOAD, count[0]])?;
        assert!(!transfer.has_output());
        transfer.receive(&count[1..])?;
        assert!(matches!(
            transfer.0,
            State::Sending {
                count: 70_000,
                sent: 0
            }
        ));
        Ok(())
    }

    #[test]
    fn more_than_a_count_is_refused() {
        let mut transfer = Transfer::new();
        assert!(transfer.receive(&[DOWNLOAD; 2 + COUNT_SIZE]).is_err());
        assert!(Transfer::new().receive(b"GET").is_err());
    }

    #[test]
    fn what_comes_is_counted_and_answered_at_the_end() -> io::Result<()> {
        let mut transfer = Transfer::new();
        transfer.receive(&[UPLOAD, 1, 2])?;
        transfer.receive(&[3; 1_000])?;
        assert_eq!(transfer.end()?, Turn::Ready);
        let expected = 1_002_u64.to_be_bytes();
        assert!(matches!(transfer.0, State::Answering { count, sent: 0 } if count == expected));
        Ok(())
    }

    #[test]
    fn an_end_before_the_direction_closes() -> io::Result<()> {
        assert_eq!(Transfer::new().end()?, Turn::Closed);
        Ok(())
    }
}
