//! What TLS changes in the life of a connection.

use std::time::Instant;

use super::excerpt::Refused;
use super::farewell::Farewell;
use super::report::FlushQuestion;
use super::{Connection, Event, Peer, State};
use crate::batch::Batch;
use crate::buffer::Slice;
use crate::frame::Framing;
use crate::reason::Reason;
use crate::tls::Failure;

impl Connection {
    /// The dial has reached the peer. The time that it has goes on with the TLS handshake.
    pub fn reached(&mut self) {
        self.apply(Event::Reached);
    }

    /// The TLS handshake must be done before `deadline`.
    pub fn secure_before(&mut self, deadline: Instant) {
        self.stage = Some(deadline);
    }

    /// The TLS handshake is done.
    pub fn secured(&mut self) {
        self.apply(Event::Secured);
        self.stage = None;
        self.goes_over = false;
    }

    /// Bytes of a TLS handshake have come or left: it is not idle.
    pub fn shakes_hands(&mut self) {
        if let Some(clocks) = &mut self.clocks {
            clocks.break_silence();
            self.pending.idle = None;
        }
    }

    /// The TLS handshake has failed, and the peer has not taken what tells it so. For that it has the time of closing at most, the
    /// shorter one, and no more than it had for the handshake.
    pub fn fails_securing(&mut self, reason: Reason, now: Instant) {
        if self.reason != Reason::Normal {
            return;
        }
        self.reason = reason;
        let settings = &self.settings;
        let deadline = now + settings.close_timeout.min(settings.max_close_time);
        self.stage = Some(self.stage.map_or(deadline, |stage| stage.min(deadline)));
    }

    /// A client asks for this name, for which there is no certificate: that is told with the reason.
    pub fn refuses_name(&mut self, name: Box<str>) {
        self.refused = Some(Box::new(Refused::Name(name)));
    }

    /// Tells the listener of this tag why a handshake has failed of which nothing was told before.
    pub fn report_failed_handshake(&mut self, batch: &mut Batch, tag: u32) {
        if let Some(refused) = self.refused.take() {
            refused.report(batch, tag);
        }
        batch.handshake_failed(tag, self.reason);
    }

    /// What follows `last` is TLS, both ways: nothing more is read before [`Self::unread`] was asked for.
    pub fn start_tls(&mut self, last: Slice) {
        match self.state {
            State::Open(Peer::Sending) => {}
            // No handshake can be done with a peer that has ended.
            State::Open(Peer::Ended) => return self.fail(Reason::Tls(Failure::EndedEarly)),
            _ => return,
        }
        if !last.is_empty() {
            self.send(last);
        }
        self.apply(Event::SecureAsked);
        self.goes_over = true;
        self.flush_asked = Some(FlushQuestion::StartTls);
    }

    /// What was read and not handed over. TLS comes next, which says farewell.
    pub fn unread(&mut self) -> Vec<u8> {
        self.farewell = Farewell::Due;
        self.inbound.take_bytes()
    }

    /// As [`Self::peer_ended`], where TLS has not said that it would. An attacker can do that: it is an end between two
    /// messages, and a failure within one, or where nothing shows what is whole.
    pub fn peer_ended_abruptly(&mut self) {
        if self.reads() && self.reason == Reason::Normal {
            if matches!(self.settings.framing, Framing::Stream) {
                self.reason = Reason::TlsTruncated;
            } else if self.partial_record {
                self.reason = Reason::UnexpectedEnd;
            }
        }
        self.peer_ended();
    }

    /// Whether the peer has begun a TLS record and not finished it, which is as if it had begun a message.
    pub fn note_partial_record(&mut self, is_partial: bool) {
        self.partial_record = is_partial && !matches!(self.settings.framing, Framing::Stream);
    }

    /// TLS has failed, of which the peer is being told: nothing else can be said or understood any more.
    pub fn abort(&mut self, reason: Reason) {
        self.outbound.clear();
        self.farewell = self.farewell.begun();
        self.refuse(reason);
        self.apply(Event::CloseAsked);
    }

    /// The farewell was queued, and has not left.
    pub fn begin_farewell(&mut self) {
        self.farewell = self.farewell.begun();
    }

    /// Nothing that TLS has queued waits to be sent.
    pub fn end_farewell(&mut self) {
        if self.farewell == Farewell::Waits {
            self.farewell = Farewell::Said;
        }
    }
}
