//! The requests of one connection, and the check of their replies.
//!
//! As many frames as may be in flight stand in a ring, each with its length
//! already in place. A request overwrites the start of its payload (or, when
//! every byte is verified, all of it). It goes out from where it stands, so that
//! any number of requests leaves in one write. It stays there until answered,
//! which makes it what its reply is compared with. Replies are compared as they
//! come in, wherever they are split, and are never stored.
//!
//! [`replies`] is how they are found and compared.

mod mismatch;
mod replies;
#[cfg(test)]
mod tests;

pub use self::mismatch::Mismatch;
use self::replies::Incoming;
use super::exchange::Exchange;
use super::random::Random;
use crate::reply::Reply;

/// Bytes at the start of a payload that differ for every request; the first 8 are its number.
pub const DISTINCT: usize = 16;

/// Spare bytes of the pattern, so that fills differ by where they start in it.
const PATTERN_OFFSETS: usize = 4096;

/// What every request of a run looks like, and what is expected of the replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of the big-endian length in front.
    pub length_size: usize,
    /// Bytes of payload.
    pub payload_size: usize,
    /// What a reply is beside its request.
    pub reply: Reply,
    /// In which order replies come.
    pub order: Order,
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

/// In which order the replies of a connection come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order of their requests.
    Requests,
    /// In any: the number at the start of each payload, of at least [`DISTINCT`]
    /// bytes, tells whose reply it is.
    Any,
}

/// How much of a reply is compared with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The length and the start of the payload, which differs for every request.
    Start,
    /// Every byte, and all of the payload differs for every request.
    Whole,
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
    /// Where in the ring the unsent bytes begin, and how many there are.
    unsent_start: usize,
    unsent_length: usize,
    requests: u64,
    incoming: Incoming,
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
            unsent_start: 0,
            unsent_length: 0,
            requests: 0,
            incoming: Incoming::new(shape, slots),
        }
    }
}

impl Exchange for Frames {
    type Mismatch = Mismatch;

    fn in_flight(&self) -> usize {
        self.incoming.in_flight()
    }

    fn free(&self) -> usize {
        self.slots - self.incoming.places()
    }

    fn oldest(&self) -> Option<usize> {
        self.incoming.oldest()
    }

    fn received(&self) -> usize {
        self.incoming.received()
    }

    fn queue(&mut self) -> usize {
        debug_assert!(self.free() > 0, "a slot is not reused before its reply");
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

        self.next_request = if slot + 1 == self.slots { 0 } else { slot + 1 };
        self.unsent_length += size;
        self.requests += 1;
        self.incoming.expect_one();
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

    fn receive(&mut self, bytes: &[u8], answered: impl FnMut(usize)) -> Result<(), Mismatch> {
        self.incoming
            .receive(bytes, &mut self.ring, self.requests, answered)
    }
}

/// Writes `length` big-endian over the whole of `place`.
fn write_length(place: &mut [u8], length: usize) {
    let bytes = (length as u64).to_be_bytes();
    let size = place.len();
    place.copy_from_slice(&bytes[bytes.len() - size..]);
}
