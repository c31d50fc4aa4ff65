//! The requests of one connection, and the check of their replies.
//!
//! As many frames as may be in flight stand in a ring, each with its length
//! already in place. A request overwrites the start of its payload (or, when
//! every byte is verified, all of it) and goes out from where it stands, so that
//! any number of requests leaves in one write. It stays there until answered,
//! which makes it the very bytes that its reply must equal: replies are compared
//! as they come in, wherever they are split, and are never stored.

use std::fmt;

use super::exchange::Exchange;
use super::random::Random;

/// Bytes at the start of a payload that differ for every request.
const DISTINCT: usize = 16;

/// Spare bytes of the pattern, so that fills differ by where they start in it.
const PATTERN_OFFSETS: usize = 4096;

/// What every request of a run looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of the big-endian length in front.
    pub length_size: usize,
    /// Bytes of payload.
    pub payload_size: usize,
    /// How much of a reply is compared.
    pub comparison: Comparison,
}

impl Shape {
    fn frame_size(self) -> usize {
        self.length_size + self.payload_size
    }

    /// Bytes at the start of a reply that are compared with the request.
    fn compared(self) -> usize {
        match self.comparison {
            Comparison::Start => self.length_size + self.payload_size.min(DISTINCT),
            Comparison::Whole => self.frame_size(),
        }
    }
}

/// How much of a reply is compared with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The length and the start of the payload, which differs for every request.
    Start,
    /// Every byte, and all of the payload differs for every request.
    Whole,
}

/// A reply that is not its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Bytes came while no request was in flight.
    Unexpected,
    /// A byte differs: which reply of the connection, and where in its frame.
    Differs {
        /// Replies of this connection before it.
        reply: u64,
        /// Offset of the first byte that differs, length included.
        offset: usize,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected => write!(formatter, "bytes came while no request was in flight"),
            Self::Differs { reply, offset } => {
                write!(
                    formatter,
                    "reply {reply} differs from its request at byte {offset} of the frame"
                )
            }
        }
    }
}

/// The frames of one connection.
#[derive(Debug)]
pub struct Frames {
    shape: Shape,
    ring: Box<[u8]>,
    slots: usize,
    /// Source of fills when whole replies are compared.
    pattern: Box<[u8]>,
    random: Random,
    /// Slot of the next request.
    next_request: usize,
    /// Slot of the next reply.
    next_reply: usize,
    in_flight: usize,
    /// Where in the ring the unsent bytes begin, and how many there are.
    unsent_start: usize,
    unsent_length: usize,
    /// Bytes of the next reply that have come.
    received: usize,
    requests: u64,
    replies: u64,
}

impl Frames {
    /// Frames for `slots` requests in flight. Different seeds give different bytes.
    pub fn new(shape: Shape, slots: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut ring = vec![0; slots * shape.frame_size()].into_boxed_slice();
        random.fill(&mut ring);
        for frame in ring.chunks_exact_mut(shape.frame_size()) {
            write_length(&mut frame[..shape.length_size], shape.payload_size);
        }
        let pattern_size = match shape.comparison {
            Comparison::Start => 0,
            Comparison::Whole => shape.payload_size + PATTERN_OFFSETS,
        };
        let mut pattern = vec![0; pattern_size].into_boxed_slice();
        random.fill(&mut pattern);
        Self {
            shape,
            ring,
            slots,
            pattern,
            random,
            next_request: 0,
            next_reply: 0,
            in_flight: 0,
            unsent_start: 0,
            unsent_length: 0,
            received: 0,
            requests: 0,
            replies: 0,
        }
    }

    fn following(&self, slot: usize) -> usize {
        if slot + 1 == self.slots { 0 } else { slot + 1 }
    }
}

impl Exchange for Frames {
    type Mismatch = Mismatch;

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn free(&self) -> usize {
        self.slots - self.in_flight
    }

    fn received(&self) -> usize {
        self.received
    }

    fn queue(&mut self) -> usize {
        debug_assert!(
            self.in_flight < self.slots,
            "the reply of a slot came before its reuse"
        );
        let slot = self.next_request;
        let size = self.shape.frame_size();
        let payload = &mut self.ring[slot * size..][self.shape.length_size..size];
        let random = self.random.next();
        if self.shape.comparison == Comparison::Whole {
            let offset = random as usize % PATTERN_OFFSETS;
            payload.copy_from_slice(&self.pattern[offset..][..payload.len()]);
        }
        let mut distinct = [0; DISTINCT];
        distinct[..8].copy_from_slice(&self.requests.to_be_bytes());
        distinct[8..].copy_from_slice(&random.to_be_bytes());
        let length = payload.len().min(DISTINCT);
        payload[..length].copy_from_slice(&distinct[..length]);

        self.next_request = self.following(slot);
        self.in_flight += 1;
        self.unsent_length += size;
        self.requests += 1;
        slot
    }

    fn has_unsent(&self) -> bool {
        self.unsent_length > 0
    }

    fn unsent(&self) -> [&[u8]; 2] {
        let (wrapped, rest) = self.ring.split_at(self.unsent_start);
        let first = &rest[..self.unsent_length.min(rest.len())];
        [first, &wrapped[..self.unsent_length - first.len()]]
    }

    fn sent(&mut self, length: usize) {
        self.unsent_length -= length;
        self.unsent_start += length;
        if self.unsent_start >= self.ring.len() {
            self.unsent_start -= self.ring.len();
        }
    }

    fn receive(
        &mut self,
        mut bytes: &[u8],
        mut answered: impl FnMut(usize),
    ) -> Result<(), Mismatch> {
        let size = self.shape.frame_size();
        let compared = self.shape.compared();
        while !bytes.is_empty() {
            if self.in_flight == 0 {
                return Err(Mismatch::Unexpected);
            }
            let part = bytes.len().min(size - self.received);
            if self.received < compared {
                let length = part.min(compared - self.received);
                let expected = &self.ring[self.next_reply * size + self.received..][..length];
                if expected != &bytes[..length] {
                    let equal = expected
                        .iter()
                        .zip(bytes)
                        .take_while(|(a, b)| a == b)
                        .count();
                    return Err(Mismatch::Differs {
                        reply: self.replies,
                        offset: self.received + equal,
                    });
                }
            }
            bytes = &bytes[part..];
            self.received += part;
            if self.received == size {
                answered(self.next_reply);
                self.received = 0;
                self.next_reply = self.following(self.next_reply);
                self.in_flight -= 1;
                self.replies += 1;
            }
        }
        Ok(())
    }
}

/// Writes `length` big-endian over the whole of `place`.
fn write_length(place: &mut [u8], length: usize) {
    let bytes = (length as u64).to_be_bytes();
    let size = place.len();
    place.copy_from_slice(&bytes[bytes.len() - size..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(payload_size: usize, comparison: Comparison) -> Shape {
        Shape {
            length_size: 4,
            payload_size,
            comparison,
        }
    }

    /// Takes all unsent bytes, as a socket with room would.
    fn send(frames: &mut Frames) -> Vec<u8> {
        let bytes = frames.unsent().concat();
        frames.sent(bytes.len());
        assert!(!frames.has_unsent());
        bytes
    }

    #[test]
    fn a_frame_is_a_big_endian_length_and_a_payload() {
        for (length_size, expected) in [
            (1, vec![5]),
            (2, vec![0, 5]),
            (3, vec![0, 0, 5]),
            (4, vec![0, 0, 0, 5]),
            (8, vec![0, 0, 0, 0, 0, 0, 0, 5]),
        ] {
            let shape = Shape {
                length_size,
                payload_size: 5,
                comparison: Comparison::Start,
            };
            let mut frames = Frames::new(shape, 1, 1);
            frames.queue();
            let bytes = send(&mut frames);
            assert_eq!(bytes.len(), length_size + 5);
            assert_eq!(bytes[..length_size], expected);
        }
    }

    #[test]
    fn replies_may_be_split_at_every_offset() {
        for comparison in [Comparison::Start, Comparison::Whole] {
            for payload_size in [0, 1, 15, 16, 17, 40] {
                let length = 2 * (4 + payload_size);
                for split in 0..=length {
                    let mut frames = Frames::new(shape(payload_size, comparison), 3, 7);
                    // Start in the middle of the ring, so that two frames wrap.
                    for _ in 0..2 {
                        frames.queue();
                        let bytes = send(&mut frames);
                        assert_eq!(frames.receive(&bytes, |_| {}), Ok(()));
                    }
                    let expected = [frames.queue(), frames.queue()];
                    let bytes = send(&mut frames);
                    assert_eq!(bytes.len(), length);
                    let mut answered = Vec::new();
                    assert_eq!(
                        frames.receive(&bytes[..split], |slot| answered.push(slot)),
                        Ok(())
                    );
                    assert_eq!(
                        frames.receive(&bytes[split..], |slot| answered.push(slot)),
                        Ok(())
                    );
                    assert_eq!(answered, expected);
                    assert_eq!(frames.in_flight(), 0);
                }
            }
        }
    }

    #[test]
    fn requests_may_be_sent_in_parts_of_any_size() {
        for part in 1..=60 {
            let mut frames = Frames::new(shape(20, Comparison::Whole), 3, 3);
            let mut sent = Vec::new();
            let mut answered = 0;
            for _ in 0..10 {
                while frames.free() > 0 {
                    frames.queue();
                }
                let bytes = frames.unsent().concat();
                let length = part.min(bytes.len());
                frames.sent(length);
                sent.extend_from_slice(&bytes[..length]);
                assert_eq!(frames.receive(&bytes[..length], |_| answered += 1), Ok(()));
            }
            assert_eq!(answered, sent.len() / 24);
        }
    }

    #[test]
    fn payloads_are_distinct() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..4 {
            let mut frames = Frames::new(shape(64, Comparison::Whole), 1, seed);
            for _ in 0..100 {
                frames.queue();
                let bytes = send(&mut frames);
                assert_eq!(frames.receive(&bytes, |_| {}), Ok(()));
                assert!(seen.insert(bytes));
            }
        }
    }

    #[test]
    fn every_byte_that_is_compared_is_noticed() {
        for (comparison, compared) in [(Comparison::Start, 4 + 16), (Comparison::Whole, 4 + 40)] {
            for offset in 0..44 {
                let mut frames = Frames::new(shape(40, comparison), 1, 9);
                frames.queue();
                let mut bytes = send(&mut frames);
                bytes[offset] ^= 1;
                let expected = if offset < compared {
                    Err(Mismatch::Differs { reply: 0, offset })
                } else {
                    Ok(())
                };
                assert_eq!(frames.receive(&bytes, |_| {}), expected);
            }
        }
    }

    #[test]
    fn a_reply_without_request_is_noticed() {
        let mut frames = Frames::new(shape(8, Comparison::Start), 2, 1);
        assert_eq!(frames.receive(&[0], |_| {}), Err(Mismatch::Unexpected));
        frames.queue();
        let mut bytes = send(&mut frames);
        bytes.push(0);
        assert_eq!(frames.receive(&bytes, |_| {}), Err(Mismatch::Unexpected));
    }
}
