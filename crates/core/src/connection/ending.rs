//! What becomes due by itself, once a direction of a connection has ended or is about to.

use std::time::Instant;

use super::farewell::Farewell;
use super::{Connection, Due, Event, State};

impl Connection {
    /// Follows what has become due by itself, and says what the socket has to do for it.
    pub fn settle(&mut self, now: Instant) -> Due {
        let queued = self.outbound.remaining();
        if queued >= self.settings.high_water_mark {
            self.congested = true;
        } else if queued <= self.settings.high_water_mark / 2 {
            self.congested = false;
        }
        // Nothing ends by itself while both directions are open, as nearly always. A test of `State` says so.
        let due = match self.state {
            State::Open(_) => Due::Nothing,
            _ => self.follow_end(now),
        };
        self.follow_clocks(now);
        due
    }

    /// What [`Self::settle`] does once a direction has ended, or is about to.
    fn follow_end(&mut self, now: Instant) -> Due {
        let before = self.state;
        self.follow_answered();
        if !self.outbound.has_remaining() && !self.awaits_farewell() {
            self.apply(Event::Flushed);
            self.end_sent |= matches!(self.state, State::ReadOnly(_));
            self.follow_answered();
        }
        let waits = self.state == State::Lingering || self.closes_when_peer_takes();
        if waits && (self.stage.is_none() || before != self.state) {
            self.stage = Some(self.close_deadline(now));
        } else if !waits && matches!(self.state, State::Finishing(_) | State::Refused(_)) {
            self.stage = None;
            self.closing = None;
        }
        if self.state.is_shut_down() && !before.is_shut_down() {
            Due::ShutdownWrite
        } else {
            Due::Nothing
        }
    }

    /// Whether TLS has yet to say, now, that nothing more will come. [`Self::settle`] ends our direction after that.
    pub fn owes_farewell(&mut self) -> bool {
        if matches!(self.state, State::Open(_)) {
            return false;
        }
        self.follow_answered();
        let is_due = self.farewell == Farewell::Due && !self.outbound.has_remaining();
        is_due && self.awaits_farewell()
    }

    /// Whether our direction does not end before TLS has said so.
    fn awaits_farewell(&self) -> bool {
        let is_sending = matches!(self.state, State::Ending(_) | State::Flushing(_));
        is_sending && self.farewell != Farewell::Said
    }

    /// Whether closing waits for nothing but that the peer takes what is queued.
    pub(super) fn closes_when_peer_takes(&self) -> bool {
        match self.state {
            State::Flushing(_) => true,
            // What was read is handed over once it has taken some.
            State::Finishing(_) => self.in_flight == 0 && self.outbound.has_remaining(),
            _ => false,
        }
    }

    fn follow_answered(&mut self) {
        if self.in_flight == 0 && !self.inbound.is_held_back() {
            self.apply(Event::Answered);
        }
    }
}
