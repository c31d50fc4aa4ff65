//! An endpoint writes what its connection has queued.

use std::io::{self, IoSlice};
use std::time::Instant;

use super::Endpoint;
use crate::connection::Detached;
use crate::reason::{Call, Reason};

/// Pieces that leave in one system call.
const PIECES: usize = 64;
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
                    return;
                }
                Err(error) => {
                    return self.connection.fail(Reason::system(Call::Write, &error));
                }
            }
        }
    }

    /// Sends the first pieces of what is queued, at most `MAX`, by one system call.
    fn write_pieces<const MAX: usize>(&mut self) -> Result<io::Result<usize>, Detached> {
        let mut pieces = [IoSlice::new(&[]); MAX];
        let count = self.connection.outbound().gather(&mut pieces)?;
        Ok(self.stream.write(&pieces[..count]))
    }
}
