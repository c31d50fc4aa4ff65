//! What is said over a connection under load: requests go out, and replies are
//! checked as they come in, wherever they are split.

use super::failure::Failure;

/// The requests of one connection and the check of their replies, without I/O.
pub trait Exchange {
    /// What a wrong reply is reported as.
    type Mismatch: Into<Failure>;

    /// Requests that await their reply, sent or not.
    fn in_flight(&self) -> usize;

    /// How many more requests may be in flight.
    fn free(&self) -> usize;

    /// Slot of the oldest request that awaits its reply.
    fn oldest(&self) -> Option<usize>;

    /// Bytes of a reply that have come while the rest has not.
    fn received(&self) -> usize;

    /// Puts the next request in line and returns its slot: a number below what
    /// [`Exchange::free`] was at first, which none in flight has.
    fn queue(&mut self) -> usize;

    /// Whether bytes wait to be sent.
    fn has_unsent(&self) -> bool;

    /// The bytes that wait to be sent; the second part goes on where the first ends.
    fn unsent(&self) -> [&[u8]; 2];

    /// Notes that the first `length` unsent bytes are sent.
    fn sent(&mut self, length: usize);

    /// Checks received bytes and calls `answered` with the slot of each request
    /// whose reply is complete.
    fn receive(&mut self, bytes: &[u8], answered: impl FnMut(usize)) -> Result<(), Self::Mismatch>;
}
