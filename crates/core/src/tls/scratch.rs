//! Memory that the sessions of a thread use one after the other, and how long their handshakes may take in a turn.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::output::Output;

/// The most that a record takes on the wire: its header, 16 KiB, and what encrypting adds at most.
pub(super) const MAX_RECORD: usize = 5 + 16 * 1024 + 256;
/// Bytes of plaintext in a record.
pub(super) const MAX_PLAINTEXT: usize = 16 * 1024;
/// Records that are encrypted before any of them is written.
pub(super) const RECORDS: usize = 8;
/// What one read takes from the socket.
const MAX_READ: usize = 128 * 1024;
/// How long the handshakes between two looks at the sockets take: others have their turn then. One that was begun is not cut
/// short, and takes about a third of that.
const HANDSHAKE_BUDGET: Duration = Duration::from_millis(1);

/// What is lent to the session that is served.
#[derive(Default)]
pub struct Scratch {
    /// Ciphertext from the socket, behind what was kept of the read before.
    pub(super) input: Vec<u8>,
    /// Ciphertext for the socket.
    pub(super) output: Output,
    /// Pieces of plaintext that share a record.
    pub(super) gathered: Vec<u8>,
}

thread_local! {
    /// That of the poller that runs in this thread. Connections without TLS neither have nor pass it.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The poller in this thread looks at its sockets.
pub fn begin_turn() {
    SPENT.set(Duration::ZERO);
}

/// Whether a handshake may go on in this turn.
pub fn takes_handshake_step() -> bool {
    SPENT.get() < HANDSHAKE_BUDGET
}

/// A step of a handshake has taken so long.
pub fn spend_on_handshakes(time: Duration) {
    SPENT.set(SPENT.get().saturating_add(time));
}

impl Scratch {
    /// Lends it to one session, which lends it to no other.
    pub(crate) fn lend<Result>(borrow: impl FnOnce(&mut Self) -> Result) -> Result {
        SCRATCH.with_borrow_mut(borrow)
    }

    /// Memory for a read of at most `expected` bytes behind `kept`, which is put in front of it.
    pub(super) fn input_behind(&mut self, kept: &[u8], expected: usize) -> &mut [u8] {
        let length = kept.len() + expected.clamp(MAX_RECORD, MAX_READ);
        if self.input.len() < length {
            // A poller without TLS never comes here, so that it has none of this memory.
            self.input.resize(length, 0);
        }
        self.input[..kept.len()].copy_from_slice(kept);
        &mut self.input[..length]
    }
}
