//! A connection without its socket: state, what arrived, what waits to be sent.

mod inbound;
mod outbound;
mod state;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;

pub use inbound::{Filled, Inbound, Taken};
pub use outbound::Outbound;
pub use state::{Event, Peer, State};

use crate::batch::{Batch, RecordKind};
use crate::buffer::{Intake, Slice};
use crate::frame::FrameError;
use crate::reason::Reason;
use crate::settings::{HalfOpen, Settings, Start, WhenCongested};

/// What has been reported so far; the difference to what is the case becomes records.
#[derive(Default)]
struct Told {
    inactive: bool,
    ended: bool,
    congested: bool,
}

/// Everything about a connection that takes bytes and time as arguments.
pub struct Connection {
    settings: Arc<Settings>,
    state: State,
    reason: Reason,
    inbound: Inbound,
    outbound: Outbound,
    in_flight: u32,
    flow: Start,
    congested: bool,
    peer_gone: bool,
    hung_up: bool,
    /// Whether everything that the peer sent was read before we closed.
    end_read: bool,
    told: Told,
    /// Bytes claimed from the bound on unfinished messages.
    claimed: usize,
    deadline: Option<Instant>,
}

impl Connection {
    /// A connection in `state`, with nothing read or written yet.
    #[must_use]
    pub fn new(settings: Arc<Settings>, state: State) -> Self {
        Self {
            flow: settings.start,
            settings,
            state,
            reason: Reason::Normal,
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            in_flight: 0,
            congested: false,
            peer_gone: false,
            hung_up: false,
            end_read: false,
            told: Told::default(),
            claimed: 0,
            deadline: None,
        }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What its listener or dialer fixed.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What waits to be sent.
    #[must_use]
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// When this connection fails unless something happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A dial must succeed before `deadline`.
    pub fn connect_before(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// The dial succeeded.
    pub fn connected(&mut self, batch: &mut Batch, slot: u32) {
        self.state = self.state.after(Event::Connected);
        self.deadline = None;
        batch.lifecycle(slot, RecordKind::Connected);
    }

    /// How many messages may be handed over now.
    #[must_use]
    pub fn budget(&self) -> usize {
        let flowing = self.state.hands_over() && self.flow == Start::Reading;
        let stops = self.settings.when_congested == WhenCongested::StopReading;
        if !flowing || stops && self.outbound.remaining() >= self.settings.high_water_mark {
            return 0;
        }
        let most = self
            .settings
            .max_in_flight
            .map_or(u32::MAX, NonZeroU32::get);
        most.saturating_sub(self.in_flight) as usize
    }

    /// Whether messages wait to be handed over, without a read.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.inbound.is_held_back()
    }

    /// See [`Inbound::fill`].
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn fill<E>(
        &mut self,
        intake: &mut Intake,
        read: impl FnOnce(&mut [std::io::IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<Filled, E> {
        self.inbound.fill(intake, read)
    }

    /// Hands over the messages that a read brought, at most `limit`.
    pub fn take_filled(
        &mut self,
        filled: &Filled,
        intake: &mut Intake,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) {
        let framing = &self.settings.framing;
        let taken = self
            .inbound
            .cut_filled(filled, intake, framing, batch, slot, limit);
        self.account(taken);
    }

    /// Hands over messages that were held back, at most `limit`.
    pub fn take_held_back(&mut self, batch: &mut Batch, slot: u32, limit: usize) {
        let taken = self
            .inbound
            .cut_held_back(&self.settings.framing, batch, slot, limit);
        self.account(taken);
    }

    fn account(&mut self, taken: Taken) {
        if self.settings.max_in_flight.is_some() {
            self.in_flight += taken.count as u32;
        }
        match taken.error {
            None => {}
            Some(FrameError::TooLarge) => self.refuse(Reason::FrameTooLarge),
            Some(FrameError::Invalid) => self.refuse(Reason::FrameInvalid),
        }
        let unfinished = if self.inbound.has_partial() {
            self.inbound.reserved()
        } else {
            0
        };
        if unfinished != self.claimed {
            let before = std::mem::replace(&mut self.claimed, unfinished);
            if !self.settings.unfinished.replace(before, unfinished) {
                self.refuse(Reason::BufferLimit);
            }
        }
    }

    /// Takes nothing more from this peer, and closes once what it asked before is answered.
    fn refuse(&mut self, reason: Reason) {
        self.reason = reason;
        self.forget_input();
        self.state = self.state.after(Event::FinishAsked);
    }

    fn forget_input(&mut self) {
        self.inbound.clear();
        let claimed = std::mem::take(&mut self.claimed);
        self.settings.unfinished.replace(claimed, 0);
    }

    /// The peer's end is seen, though not yet read.
    pub fn peer_closing(&mut self) {
        self.peer_gone = true;
    }

    /// Neither direction works any more: the peer reset the connection, or closed it altogether.
    pub fn hung_up(&mut self) {
        self.peer_gone = true;
        self.hung_up = true;
    }

    /// Everything that the peer sent has been read.
    pub fn peer_ended(&mut self) {
        self.peer_gone = true;
        if self.state.reads() {
            self.end_read = true;
            if self.inbound.has_partial() {
                self.reason = Reason::UnexpectedEnd;
            }
        }
        self.state = self.state.after(Event::PeerEnded);
        if self.settings.half_open == HalfOpen::Close || self.reason != Reason::Normal {
            self.state = self.state.after(Event::FinishAsked);
        }
    }

    /// Whether [`Self::send`] still takes anything.
    #[must_use]
    pub fn accepts_output(&self) -> bool {
        self.state.accepts_output()
    }

    /// Queues `slice` to be sent, unless the connection is past that.
    pub fn send(&mut self, slice: Slice) {
        if self.state.accepts_output() {
            self.outbound.push(slice);
        }
    }

    /// `count` messages are done with.
    pub fn acknowledge(&mut self, count: u32) {
        self.in_flight = self.in_flight.saturating_sub(count);
    }

    /// Hands over no further message, or goes on doing so.
    pub fn set_flow(&mut self, flow: Start) {
        self.flow = flow;
    }

    /// Answers what was taken, then closes.
    pub fn finish(&mut self) {
        self.state = self.state.after(Event::FinishAsked);
    }

    /// Sends what is queued, then closes.
    pub fn close(&mut self) {
        self.state = self.state.after(Event::CloseAsked);
    }

    /// Ends at once; the first reason counts.
    pub fn fail(&mut self, reason: Reason) {
        if self.reason == Reason::Normal {
            self.reason = reason;
        }
        self.state = self.state.after(Event::Failed);
        self.outbound.clear();
        self.forget_input();
    }

    /// `count` bytes left.
    pub fn sent(&mut self, count: usize, now: Instant) {
        self.outbound.advance(count);
        if matches!(self.state, State::Flushing(_)) {
            self.deadline = Some(now + self.settings.close_timeout);
        }
    }

    /// Follows what has become due by itself, and says what the socket has to do for it.
    pub fn settle(&mut self, now: Instant) -> Due {
        let queued = self.outbound.remaining();
        if queued >= self.settings.high_water_mark {
            self.congested = true;
        } else if queued <= self.settings.high_water_mark / 2 {
            self.congested = false;
        }
        let before = self.state;
        if self.in_flight == 0 && !self.inbound.is_held_back() {
            self.state = self.state.after(Event::Answered);
        }
        if queued == 0 {
            self.state = self.state.after(Event::Flushed);
        }
        let waits = matches!(self.state, State::Flushing(_) | State::Lingering);
        if waits && (self.deadline.is_none() || before != self.state) {
            self.deadline = Some(now + self.settings.close_timeout);
        }
        if before != State::Lingering && self.state == State::Lingering {
            Due::ShutdownWrite
        } else {
            Due::Nothing
        }
    }

    /// The deadline has passed.
    pub fn expired(&mut self) {
        self.deadline = None;
        match self.state {
            State::Connecting => self.fail(Reason::ConnectTimeout),
            State::Flushing(_) => self.fail(Reason::CloseTimeout),
            // All that we had to send is with the kernel; the peer just never said goodbye.
            State::Lingering => self.fail(Reason::Normal),
            State::Open(_) | State::Finishing(_) | State::Closed => {}
        }
    }

    /// Whether more than the high-water mark waits to be sent. Whoever asks is told when it no
    /// longer does.
    pub fn ask_congested(&mut self) -> bool {
        self.congested |= self.outbound.remaining() >= self.settings.high_water_mark;
        self.told.congested |= self.congested;
        self.congested
    }

    /// Whether [`Self::report`] has something to say.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.state == State::Closed
            || self.is_inactive() != self.told.inactive
            || self.end_read != self.told.ended
            || self.congested != self.told.congested
    }

    /// Adds records for what has changed since the last report.
    pub fn report(&mut self, batch: &mut Batch, slot: u32) {
        if self.is_inactive() && !self.told.inactive {
            self.told.inactive = true;
            batch.inactive(slot, self.reason);
        }
        if self.end_read && !self.told.ended {
            self.told.ended = true;
            batch.lifecycle(slot, RecordKind::Ended);
        }
        // What a failed connection had queued is lost: nobody may take that for sent.
        if self.congested != self.told.congested && self.state != State::Closed {
            self.told.congested = self.congested;
            let kind = if self.congested {
                RecordKind::Congested
            } else {
                RecordKind::Drained
            };
            batch.lifecycle(slot, kind);
        }
        if self.state == State::Closed {
            batch.closed(slot, self.reason);
        }
    }

    fn is_inactive(&self) -> bool {
        let half_open = self.settings.half_open == HalfOpen::Keep;
        let ours_open = matches!(self.state, State::Open(_));
        let refused = self.reason != Reason::Normal && self.state != State::Closed;
        let gone = self.hung_up || self.peer_gone && !(half_open && ours_open);
        self.told.inactive || refused || gone
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.settings.unfinished.replace(self.claimed, 0);
    }
}

/// What the socket has to do after [`Connection::settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// End our direction.
    ShutdownWrite,
}
