//! Finds the request that a reply belongs to, and compares.
//!
//! Replies may come in any order. Then the place of an answered request in the
//! ring is free again once all older ones are answered, too.

use super::{DISTINCT, Mismatch, Order, Shape};

/// Bytes of a request's number, at the start of its payload.
const NUMBER: usize = 8;

/// The replies of one connection.
#[derive(Debug)]
pub struct Incoming {
    shape: Shape,
    /// Where in the ring the oldest place that is taken is, and how many are.
    oldest: usize,
    places: usize,
    /// Places of requests that are answered while an older one is not.
    answered: Box<[bool]>,
    in_flight: usize,
    /// The start of a reply, as long as it does not tell whose it is.
    head: Vec<u8>,
    /// Where in the ring the request is whose reply comes in.
    current: Option<usize>,
    /// Bytes of that reply that have come.
    received: usize,
    replies: u64,
}

impl Incoming {
    pub fn new(shape: Shape, slots: usize) -> Self {
        Self {
            shape,
            oldest: 0,
            places: 0,
            answered: vec![false; slots].into_boxed_slice(),
            in_flight: 0,
            head: Vec::new(),
            current: None,
            received: 0,
            replies: 0,
        }
    }

    /// Requests without a reply.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Places of the ring that are taken.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Place of the oldest request without a reply.
    pub fn oldest(&self) -> Option<usize> {
        (self.in_flight > 0).then_some(self.oldest)
    }

    /// Bytes of an unfinished reply.
    pub fn received(&self) -> usize {
        self.received + self.head.len()
    }

    /// A request has taken the next place.
    pub fn expect_one(&mut self) {
        self.places += 1;
        self.in_flight += 1;
    }

    /// Compares what has come with the requests in `ring`, of which there were
    /// `requests` since the beginning.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        ring: &mut [u8],
        requests: u64,
        mut answered: impl FnMut(usize),
    ) -> Result<(), Mismatch> {
        while !bytes.is_empty() {
            if self.in_flight == 0 {
                return Err(Mismatch::Unexpected);
            }
            let slot = match (self.current, self.shape.order) {
                (Some(slot), _) => slot,
                (None, Order::Requests) => self.begin(self.oldest, ring),
                (None, Order::Any) => match self.find(&mut bytes, ring, requests)? {
                    Some(slot) => slot,
                    None => return Ok(()),
                },
            };
            let part = bytes.len().min(self.shape.frame_size() - self.received);
            self.compare(slot, &bytes[..part], ring)?;
            bytes = &bytes[part..];
            if self.received == self.shape.frame_size() {
                answered(slot);
                self.end(slot);
            }
        }
        Ok(())
    }

    /// Makes of the request in `slot` what its reply should be.
    fn begin(&mut self, slot: usize, ring: &mut [u8]) -> usize {
        let size = self.shape.frame_size();
        let frame = &mut ring[slot * size..][..size];
        self.shape.reply.turn(&mut frame[self.shape.length_size..]);
        self.current = Some(slot);
        slot
    }

    /// Takes the head of a reply off `bytes`, and finds its request once it is whole.
    fn find(
        &mut self,
        bytes: &mut &[u8],
        ring: &mut [u8],
        requests: u64,
    ) -> Result<Option<usize>, Mismatch> {
        let size = self.shape.length_size + DISTINCT;
        let (part, rest) = bytes.split_at(bytes.len().min(size - self.head.len()));
        *bytes = rest;
        self.head.extend_from_slice(part);
        if self.head.len() < size {
            return Ok(None);
        }
        let unknown = Mismatch::Unknown(self.replies);
        let head = std::mem::take(&mut self.head);
        let number = self.number(&head).ok_or(unknown)?;
        // The request after the newest would have this number.
        let age = requests.checked_sub(number).ok_or(unknown)? as usize;
        if age == 0 || age > self.places {
            return Err(unknown);
        }
        let slot = (self.oldest + self.places - age) % self.answered.len();
        if self.answered[slot] {
            return Err(unknown);
        }
        self.begin(slot, ring);
        self.compare(slot, &head, ring)?;
        self.head = head;
        self.head.clear();
        Ok(Some(slot))
    }

    fn number(&self, head: &[u8]) -> Option<u64> {
        let mut number: [u8; NUMBER] = head.get(self.shape.length_size..)?[..NUMBER]
            .try_into()
            .ok()?;
        self.shape.reply.turn(&mut number);
        Some(u64::from_be_bytes(number))
    }

    /// Compares the next bytes of the reply to the request in `slot`.
    fn compare(&mut self, slot: usize, bytes: &[u8], ring: &[u8]) -> Result<(), Mismatch> {
        let compared = self.shape.compared();
        if self.received < compared {
            let length = bytes.len().min(compared - self.received);
            let start = slot * self.shape.frame_size() + self.received;
            let expected = &ring[start..][..length];
            if expected != &bytes[..length] {
                let equal = expected
                    .iter()
                    .zip(bytes)
                    .take_while(|(one, other)| one == other)
                    .count();
                return Err(Mismatch::Differs {
                    reply: self.replies,
                    offset: self.received + equal,
                });
            }
        }
        self.received += bytes.len();
        Ok(())
    }

    /// The request in `slot` is answered.
    fn end(&mut self, slot: usize) {
        self.current = None;
        self.received = 0;
        self.in_flight -= 1;
        self.replies += 1;
        self.answered[slot] = true;
        while self.places > 0 && self.answered[self.oldest] {
            self.answered[self.oldest] = false;
            self.places -= 1;
            self.oldest = if self.oldest + 1 == self.answered.len() {
                0
            } else {
                self.oldest + 1
            };
        }
    }
}
