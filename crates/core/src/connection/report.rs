//! What a connection tells: the difference between what is the case and what was reported.

use super::clocks::FiredTimer;
use super::excerpt;
use super::{Connection, Control, State};
use crate::batch::{Batch, LIFECYCLE_ROOM, RecordKind};
use crate::reason::Reason;
use crate::settings::HalfOpen;
use crate::trace::trace;

/// What has been reported so far.
#[derive(Default)]
pub(super) struct Reported {
    pub(super) inactive: bool,
    /// Whether the reason was told, too.
    pub(super) refusal: bool,
    pub(super) ended: bool,
    pub(super) sent: bool,
    pub(super) congested: bool,
}

/// What happened and has not been reported yet.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) idle: Option<RecordKind>,
    pub(super) deadline_timer: Option<FiredTimer>,
}

/// The most records of a connection that ends in one turn: inactive, ended, end sent, two totals, closed.
const LAST_RECORDS: usize = 6;

// Beside what was refused. One more may introduce the connection in the same turn.
const _: () = assert!(1 + excerpt::RECORDS + LAST_RECORDS <= LIFECYCLE_ROOM);

/// Who asks when nothing waits to be sent.
#[derive(Clone, Copy)]
pub(super) enum FlushQuestion {
    /// A consumer, who knows the question by its number.
    Numbered(u32),
    /// A connection that goes over to TLS.
    StartTls,
}

impl Connection {
    /// Whether more than the high-water mark waits to be sent. The caller is told when it no longer
    /// does.
    pub fn ask_congested(&mut self) -> bool {
        self.congested |= self.outbound.remaining() >= self.settings.high_water_mark;
        self.reported.congested |= self.congested;
        self.congested
    }

    /// Whether [`Self::report`] has something to say.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.state == State::Closed
            || self.pending.idle.is_some()
            || self.pending.deadline_timer.is_some()
            || self.tells_inactive()
            || self.end_read != self.reported.ended
            || self.tells_sent()
            || self.congested != self.reported.congested
            || self.flush_asked.is_some() && !self.outbound.has_remaining()
    }

    /// Adds records for what has changed since the last report.
    pub fn report(&mut self, batch: &mut Batch, slot: u32) {
        let tells_inactive = self.tells_inactive();
        if (tells_inactive || self.state == State::Closed)
            && let Some(refused) = self.refused.take()
        {
            refused.report(batch, slot);
        }
        if tells_inactive {
            self.reported.inactive = true;
            self.reported.refusal |= self.is_refused();
            batch.inactive(slot, self.reason);
        }
        if self.end_read && !self.reported.ended {
            self.reported.ended = true;
            batch.lifecycle(slot, RecordKind::Ended);
        }
        self.report_sent(batch, slot);
        if self.state == State::Closed {
            batch.count(slot, RecordKind::BytesRead, self.bytes_read);
            batch.count(slot, RecordKind::BytesWritten, self.bytes_written);
            batch.closed(slot, self.reason);
            trace!(
                self.subject,
                "closed: {:?}, {} bytes read, {} written",
                self.reason,
                self.bytes_read,
                self.bytes_written
            );
            return;
        }
        // Not told of a failed connection: what it had queued is lost, and no caller may take that
        // for sent.
        if self.congested != self.reported.congested {
            self.reported.congested = self.congested;
            let kind = if self.congested {
                RecordKind::Congested
            } else {
                RecordKind::Drained
            };
            batch.lifecycle(slot, kind);
        }
        if !self.outbound.has_remaining()
            && let Some(question) = self.flush_asked.take()
        {
            match question {
                FlushQuestion::Numbered(number) => batch.flushed(slot, number),
                FlushQuestion::StartTls => batch.lifecycle(slot, RecordKind::PlainEnded),
            }
        }
        self.report_clocks(batch, slot);
    }

    /// Adds records for what the clocks have told: also of a connection that goes over to TLS, of which nothing else is told.
    pub fn report_clocks(&mut self, batch: &mut Batch, slot: u32) {
        if let Some(kind) = self.pending.idle.take() {
            batch.lifecycle(slot, kind);
        }
        if let Some(FiredTimer { number, late }) = self.pending.deadline_timer.take() {
            batch.deadline_timer(slot, number, late);
        }
    }

    /// Adds a record for our end, if it has left since the last report.
    pub fn report_sent(&mut self, batch: &mut Batch, slot: u32) {
        if self.tells_sent() {
            self.reported.sent = true;
            batch.lifecycle(slot, RecordKind::EndSent);
        }
    }

    fn tells_sent(&self) -> bool {
        self.control == Control::Owner && self.end_sent && !self.reported.sent
    }

    /// The refusal is told although the peer's end was told before: calls that wait fail by it.
    fn tells_inactive(&self) -> bool {
        let refused = self.is_refused();
        refused && !self.reported.refusal || !self.reported.inactive && (refused || self.is_gone())
    }

    fn is_refused(&self) -> bool {
        self.reason != Reason::Normal && self.state != State::Closed
    }

    fn is_gone(&self) -> bool {
        let half_open = self.settings.half_open == HalfOpen::Keep;
        let ours_open = matches!(self.state, State::Open(_) | State::Ending(_));
        self.hung_up || self.peer_gone && !(half_open && ours_open)
    }
}
