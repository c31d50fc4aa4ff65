//! Replies to messages: a length of four bytes, big-endian, and the payload, of
//! which the first four bytes come back inverted.
//!
//! It is the least that a server must do whose replies are not its requests. It
//! waits for all of a message and changes it where it lies, mostly in the buffer
//! that it was read to. An unfinished message is completed in memory of its own.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use super::{Service, Turn, write_until_blocked};
use crate::reply::Reply;
use crate::socket::Stream;

const LENGTH_SIZE: usize = 4;
/// Longer messages are refused.
const LONGEST: usize = 64 * 1024 * 1024;

/// One connection that replies.
#[derive(Debug)]
pub struct Answer {
    /// Memory for one message.
    memory: Vec<u8>,
    unfinished: Unfinished,
    /// What the socket has not taken yet; empty most of the time.
    pending: Vec<u8>,
}

/// The part of a message that has come while the rest has not.
#[derive(Debug, Clone, Copy)]
enum Unfinished {
    /// Less than its length, or nothing at all.
    Length {
        bytes: [u8; LENGTH_SIZE],
        filled: usize,
    },
    /// The first `filled` bytes of `size`, in memory.
    Message { size: usize, filled: usize },
}

impl Service for Answer {
    fn new() -> Self {
        Self {
            memory: Vec::new(),
            unfinished: NOTHING,
            pending: Vec::new(),
        }
    }

    fn turn(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<Turn> {
        if !self.pending.is_empty() && !self.send_pending(stream)? {
            return Ok(Turn::Blocked);
        }
        // Bytes of a length are completed in the buffer, where they are a few; a message in its memory.
        let kept = self.restore_length(buffer);
        let rest = match self.unfinished {
            Unfinished::Message { size, filled } => &mut self.memory[filled..size],
            Unfinished::Length { .. } => &mut [],
        };
        let offered = rest.len() + buffer.len() - kept;
        let missing = rest.len();
        let read = stream
            .read_vectored(&mut [IoSliceMut::new(rest), IoSliceMut::new(&mut buffer[kept..])]);
        let length = match read {
            Ok(0) => return Ok(Turn::Closed),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Turn::Drained),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Turn::Ready),
            Err(error) => return Err(error),
        };
        let finished = self.add_to_message(length.min(missing));
        let in_buffer = &mut buffer[..kept + length.saturating_sub(missing)];
        let whole = reply_to_whole(in_buffer)?;
        self.send(stream, finished, &in_buffer[..whole])?;
        if length >= missing {
            self.keep(&in_buffer[whole..])?;
        }
        Ok(if !self.pending.is_empty() {
            Turn::Blocked
        } else if stream.has_drained(length, offered) {
            Turn::Short
        } else {
            Turn::Ready
        })
    }
}

const NOTHING: Unfinished = Unfinished::Length {
    bytes: [0; LENGTH_SIZE],
    filled: 0,
};

impl Answer {
    /// Puts the known bytes of a length at the start of `buffer`; says how many.
    fn restore_length(&self, buffer: &mut [u8]) -> usize {
        match self.unfinished {
            Unfinished::Length { bytes, filled } => {
                buffer[..filled].copy_from_slice(&bytes[..filled]);
                filled
            }
            Unfinished::Message { .. } => 0,
        }
    }

    /// Notes that so many bytes of the unfinished message have come; its size once it is whole.
    fn add_to_message(&mut self, length: usize) -> usize {
        let Unfinished::Message { size, filled } = &mut self.unfinished else {
            return 0;
        };
        *filled += length;
        if filled < size {
            return 0;
        }
        let size = *size;
        Reply::Inverted.turn(&mut self.memory[LENGTH_SIZE..size]);
        self.unfinished = NOTHING;
        size
    }

    /// Keeps the start of a message, which is all that `bytes` are.
    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unfinished = match size_of(bytes)? {
            None => {
                let mut start = [0; LENGTH_SIZE];
                start[..bytes.len()].copy_from_slice(bytes);
                Unfinished::Length {
                    bytes: start,
                    filled: bytes.len(),
                }
            }
            Some(size) => {
                if self.memory.len() < size {
                    self.memory.resize(size, 0);
                }
                self.memory[..bytes.len()].copy_from_slice(bytes);
                Unfinished::Message {
                    size,
                    filled: bytes.len(),
                }
            }
        };
        Ok(())
    }

    /// Sends the message in memory, of `finished` bytes, and those in the buffer. What the socket does
    /// not take is kept.
    fn send(&mut self, stream: &mut Stream, finished: usize, whole: &[u8]) -> io::Result<()> {
        let finished = &self.memory[..finished];
        let length = finished.len() + whole.len();
        let mut written = 0;
        while written < length {
            let first = &finished[written.min(finished.len())..];
            let second = &whole[written.saturating_sub(finished.len())..];
            match stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending.extend_from_slice(first);
                    self.pending.extend_from_slice(second);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether nothing is left to be sent.
    fn send_pending(&mut self, stream: &mut Stream) -> io::Result<bool> {
        let written = write_until_blocked(stream, &self.pending)?;
        self.pending.drain(..written);
        Ok(self.pending.is_empty())
    }
}

/// Makes replies of all whole messages in `bytes`, and says where they end.
fn reply_to_whole(bytes: &mut [u8]) -> io::Result<usize> {
    let mut start = 0;
    while let Some(size) = size_of(&bytes[start..])? {
        let Some(message) = bytes.get_mut(start..start + size) else {
            break;
        };
        Reply::Inverted.turn(&mut message[LENGTH_SIZE..]);
        start += size;
    }
    Ok(start)
}

/// Bytes of the message that begins here, its length included, if that is known.
fn size_of(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(length) = bytes.first_chunk::<LENGTH_SIZE>() else {
        return Ok(None);
    };
    match u32::from_be_bytes(*length) as usize {
        payload if payload <= LONGEST => Ok(Some(LENGTH_SIZE + payload)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn message(payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32).to_be_bytes()[..], payload].concat()
    }

    /// What comes back for `parts`, each written once the one before has been taken; `size` is the buffer's.
    fn replies(parts: &[&[u8]], size: usize) -> io::Result<Vec<u8>> {
        let (mut peer, server) = UnixStream::pair()?;
        server.set_nonblocking(true)?;
        peer.set_nonblocking(true)?;
        let mut stream = Stream::Unix(mio::net::UnixStream::from_std(server));
        let mut answer = Answer::new();
        let mut buffer = vec![0; size];
        let mut replies = Vec::new();
        for part in parts {
            let mut sent = 0;
            while sent < part.len() {
                match peer.write(&part[sent..]) {
                    Ok(length) => sent += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                while answer.turn(&mut stream, &mut buffer)? != Turn::Drained {
                    let _ = peer.read_to_end(&mut replies);
                }
            }
            let _ = peer.read_to_end(&mut replies);
        }
        Ok(replies)
    }

    #[test]
    fn messages_may_be_split_at_every_offset() -> io::Result<()> {
        let payloads: [&[u8]; 4] = [b"one message", b"", b"abc", b"the last message"];
        let sent = payloads.map(message).concat();
        let expected = payloads
            .map(|payload| {
                let mut payload = payload.to_vec();
                Reply::Inverted.turn(&mut payload);
                message(&payload)
            })
            .concat();
        for split in 0..=sent.len() {
            let (first, second) = sent.split_at(split);
            for size in [8, 20, 1_000] {
                assert_eq!(replies(&[first, second], size)?, expected, "{split} {size}");
            }
        }
        Ok(())
    }

    #[test]
    fn nothing_comes_back_before_a_message_is_whole() -> io::Result<()> {
        let sent = message(&[7; 100]);
        assert!(replies(&[&sent[..103]], 1_000)?.is_empty());
        assert_eq!(replies(&[&sent[..103], &sent[103..]], 1_000)?.len(), 104);
        Ok(())
    }

    #[test]
    fn more_than_the_socket_takes_waits() -> io::Result<()> {
        let sent = [message(&vec![1; 3_000_000]), message(b"end")].concat();
        let back = replies(&[&sent], 64 * 1024)?;
        assert_eq!(back.len(), sent.len());
        assert_eq!(back[..8], [0, 0x2d, 0xc6, 0xc0, 254, 254, 254, 254]);
        assert!(back[8..3_000_004].iter().all(|byte| *byte == 1));
        assert_eq!(back[3_000_004..], *b"\0\0\0\x03\x9a\x91\x9b");
        Ok(())
    }

    #[test]
    fn an_absurd_length_ends_the_connection() {
        assert!(replies(&[&[255; 4]], 100).is_err());
    }
}
