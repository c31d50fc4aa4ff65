//! An endpoint writes what its connection has queued.

use std::io::{self, IoSlice};
use std::time::Instant;

use super::Endpoint;
use crate::connection::Detached;
use crate::reason::{Call, Reason};

/// Pieces that leave in one system call.
const PIECES: usize = 64;
/// Pieces that leave together with bytes that are not queued.
const FEW_PIECES: usize = 16;
/// The most bytes of them: macOS refuses calls with 2 GiB or more.
const MAX_AT_ONCE: usize = 1 << 30;
/// The most that one flush writes before others have their turn.
const WRITE_BUDGET: usize = 1024 * 1024;

impl Endpoint {
    pub(super) fn write(&mut self, now: Instant) {
        self.readiness.writable = true;
        let mut budget = WRITE_BUDGET;
        while self.connection.outbound().has_remaining() && budget > 0 {
            // Replies to one read lie in one piece as a rule: room for more would only have to be initialised.
            let written = if self.connection.outbound().is_one_piece() {
                self.write_pieces::<1>()
            } else {
                self.write_pieces::<PIECES>()
            };
            let Ok(written) = written else {
                return self.connection.fail(Reason::ForeignDetached);
            };
            match written {
                Ok(written) => {
                    budget = budget.saturating_sub(written);
                    self.connection.sent(written, now);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                    // What the socket does not take now waits in no more memory than it needs.
                    self.connection.waits_to_send();
                    return;
                }
                Err(error) => {
                    return self.fail_at(Call::Write, &error);
                }
            }
        }
    }

    /// Sends what is queued and then `bytes`, by one system call and as far as the socket takes them. Returns how many of
    /// `bytes` have left: none where what is queued is more than one call takes.
    pub(in crate::poller) fn write_behind_queue(&mut self, bytes: &[u8], now: Instant) -> usize {
        // While write readiness is awaited, trying would only cost a system call.
        if !self.connection.state().accepts_output() || self.watch.interest.is_writable() {
            return 0;
        }
        let mut pieces = [IoSlice::new(&[]); FEW_PIECES];
        let outbound = self.connection.outbound();
        let queued = outbound.remaining();
        let Ok(count) = outbound.gather(&mut pieces[..FEW_PIECES - 1]) else {
            return 0;
        };
        if pieces[..count]
            .iter()
            .map(|piece| piece.len())
            .sum::<usize>()
            < queued
        {
            return 0;
        }
        pieces[count] = IoSlice::new(&bytes[..bytes.len().min(MAX_AT_ONCE)]);
        match self.transport.write(&pieces[..=count]) {
            Ok(written) => {
                let beyond = written.saturating_sub(queued);
                self.connection.sent(written - beyond, now);
                self.connection.left(beyond, now);
                beyond
            }
            // What cannot be written is found out again when the rest is.
            Err(_) => 0,
        }
    }

    /// Sends the first pieces of what is queued, at most `MAX`, by one system call.
    fn write_pieces<const MAX: usize>(&mut self) -> Result<io::Result<usize>, Detached> {
        let mut pieces = [IoSlice::new(&[]); MAX];
        let count = self.connection.outbound().gather(&mut pieces)?;
        Ok(self.transport.write(&pieces[..count]))
    }
}
