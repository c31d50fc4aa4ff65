//! Messages: a length of four bytes, big-endian, and a payload.

use std::hint::black_box;

use bytes::{Buf, BufMut, Bytes, BytesMut};

const LENGTH_SIZE: usize = 4;
/// Bytes at the start of a reply's payload that are inverted.
const INVERTED: usize = 4;

/// Takes the payload of the next whole message.
pub fn next_request(input: &mut BytesMut) -> Option<Bytes> {
    let length = input.first_chunk::<LENGTH_SIZE>()?;
    let size = u32::from_be_bytes(*length) as usize;
    if input.len() < LENGTH_SIZE + size {
        // Room for all of it, so that it is read in few pieces.
        input.reserve(LENGTH_SIZE + size - input.len());
        return None;
    }
    input.advance(LENGTH_SIZE);
    Some(input.split_to(size).freeze())
}

/// What answers requests.
#[derive(Debug, Clone, Copy)]
pub struct Handler {
    /// Rounds of computing for each request.
    pub rounds: u32,
}

impl Handler {
    /// Adds the frame of the reply: a new first word, and a copy of the rest.
    #[expect(
        clippy::unused_async,
        reason = "handlers are asynchronous, this one too"
    )]
    pub async fn reply(self, request: &[u8], output: &mut BytesMut) {
        output.reserve(LENGTH_SIZE + request.len());
        output.put_u32(request.len() as u32);
        let (start, rest) = request.split_at(request.len().min(INVERTED));
        for byte in start {
            output.put_u8(!byte);
        }
        output.put_slice(rest);
        self.compute();
    }

    /// Keeps the processor busy.
    fn compute(self) {
        let mut state = 1_u32;
        for _ in 0..self.rounds {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
        }
        black_box(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_when_they_are_whole() {
        let mut input = BytesMut::from(&b"\0\0\0\x03abc\0\0\0\x02d"[..]);
        assert_eq!(next_request(&mut input).as_deref(), Some(&b"abc"[..]));
        assert_eq!(next_request(&mut input), None);
        input.put_u8(b'e');
        assert_eq!(next_request(&mut input).as_deref(), Some(&b"de"[..]));
        assert_eq!(next_request(&mut input), None);
    }
}
