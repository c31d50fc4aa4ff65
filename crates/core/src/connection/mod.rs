//! A connection without its socket: state, what arrived, what waits to be sent.

mod answers;
mod clocks;
mod ending;
mod excerpt;
mod farewell;
mod inbound;
mod outbound;
mod progress;
mod report;
mod securing;
mod state;
mod stopwatch;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

pub use clocks::{DeadlineTimer, Input, Limit};
pub use inbound::{Filled, Inbound, Room, Taken, Unfilled};
pub use outbound::Outbound;
pub use state::{Event, Peer, State};

use crate::batch::{Batch, RecordKind};
pub use crate::buffer::{Detached, ForeignBytes};
use crate::buffer::{OutOfMemory, ReadBuffer, Slice};
use crate::frame::FrameError;
use crate::reason::Reason;
use crate::settings::{HalfOpen, Handling, ReplyOrder, Settings, Start, WhenCongested};
use crate::trace::{IS_ON, Subject, trace};
use crate::work::{Answer, Workers};
use answers::Answers;
use clocks::{Clocks, Closing};
use excerpt::Refused;
use farewell::Farewell;
use report::{FlushQuestion, Pending, Reported};

/// What decides how long a connection lasts and when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    /// Its settings do, and what is in flight.
    Settings,
    /// The owner that took it over, see [`Connection::take_over`].
    Owner,
}

/// Everything about a connection that takes bytes and time as arguments.
pub struct Connection {
    settings: Arc<Settings>,
    state: State,
    reason: Reason,
    inbound: Inbound,
    outbound: Outbound,
    in_flight: u32,
    /// Whether messages that are handed over count as in flight.
    counts: bool,
    /// Messages given to workers so far.
    submitted: u32,
    /// What workers have answered out of order.
    answers: Option<Box<Answers>>,
    /// Messages that may be in flight beyond the bound.
    beyond: u32,
    flow: Start,
    congested: bool,
    peer_gone: bool,
    hung_up: bool,
    /// Whether everything that the peer sent was read before we closed.
    end_read: bool,
    /// Whether our direction has ended with everything sent.
    end_sent: bool,
    /// What TLS says before our direction ends.
    farewell: Farewell,
    /// Whether the peer has begun a TLS record and not finished it.
    partial_record: bool,
    /// Whether it has carried plaintext, and goes over to TLS.
    goes_over: bool,
    /// Who asks when nothing waits to be sent.
    flush_asked: Option<FlushQuestion>,
    control: Control,
    reported: Reported,
    pending: Pending,
    bytes_read: u64,
    bytes_written: u64,
    /// Until when dialing, and later closing, must be done.
    stage: Option<Instant>,
    /// Since it waits for its peer in order to close.
    closing: Option<Box<Closing>>,
    /// What was refused, until that is told.
    refused: Option<Box<Refused>>,
    clocks: Option<Box<Clocks>>,
    subject: Subject,
}

impl Connection {
    /// A connection in `state`, with nothing read or written yet.
    #[must_use]
    pub fn new(settings: Arc<Settings>, state: State) -> Self {
        Self {
            flow: settings.start,
            counts: settings.max_in_flight.is_some(),
            stage: None,
            closing: None,
            refused: None,
            clocks: Clocks::new(&settings),
            inbound: Inbound::new(settings.unfinished.clone()),
            farewell: Farewell::of(&settings),
            partial_record: false,
            goes_over: false,
            settings,
            state,
            reason: Reason::Normal,
            outbound: Outbound::default(),
            in_flight: 0,
            submitted: 0,
            answers: None,
            beyond: 0,
            congested: false,
            peer_gone: false,
            hung_up: false,
            end_read: false,
            end_sent: false,
            flush_asked: None,
            control: Control::Settings,
            reported: Reported::default(),
            pending: Pending::default(),
            bytes_read: 0,
            bytes_written: 0,
            subject: Subject::default(),
        }
    }

    /// The trace calls it by this id.
    pub(crate) fn trace_as(&mut self, id: crate::id::Id) {
        self.subject = Subject::named(id);
    }

    /// Every transition of its state.
    #[inline]
    fn apply(&mut self, event: Event) {
        let before = self.state;
        self.state = before.after(event);
        if IS_ON && before != self.state {
            trace!(self.subject, "{event:?}: {before:?} -> {:?}", self.state);
        }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it ends, or has ended.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
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

    /// Bytes that came from the socket, also those that were not wanted any more.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Bytes that the socket took.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// A dial must succeed before `deadline`.
    pub fn connect_before(&mut self, deadline: Instant) {
        self.stage = Some(deadline);
    }

    /// The dial succeeded.
    pub fn connected(&mut self, batch: &mut Batch, slot: u32) {
        self.apply(Event::Connected);
        self.stage = None;
        batch.lifecycle(slot, RecordKind::Connected);
    }

    /// Whether the peer is read from. A connection that answers what was read before it closes reads nothing more,
    /// unless that waits for replies.
    #[must_use]
    pub fn reads(&self) -> bool {
        let awaits_replies = self.beyond > 0 && self.state == State::Finishing(Peer::Sending);
        self.state.reads() || awaits_replies
    }

    /// How many messages may be handed over now.
    #[must_use]
    pub fn budget(&self) -> usize {
        let own = self.own_budget();
        match self.workers() {
            Some(pool) if own > 0 => own.min(pool.room()),
            _ => own,
        }
    }

    /// How many messages may be handed over now, if those who handle them have room.
    #[must_use]
    pub fn own_budget(&self) -> usize {
        let flowing = self.state.hands_over() && self.flow == Start::Reading;
        let stops = self.control == Control::Settings
            && self.settings.when_congested == WhenCongested::StopReading;
        if !flowing || stops && self.outbound.remaining() >= self.settings.high_water_mark {
            return 0;
        }
        let max = self
            .settings
            .max_in_flight
            .map_or(u32::MAX, NonZeroU32::get);
        max.saturating_add(self.beyond)
            .saturating_sub(self.in_flight) as usize
    }

    /// The workers that handle its messages, where its owner does not.
    #[must_use]
    pub fn workers(&self) -> Option<&Workers> {
        match &self.settings.handling {
            Handling::Owner => None,
            Handling::Workers { pool, .. } => Some(pool),
        }
    }

    /// `count` messages go to workers; the number of the first.
    pub fn submitted(&mut self, count: usize) -> u32 {
        let first = self.submitted;
        self.submitted = first.wrapping_add(count as u32);
        first
    }

    /// A worker has answered message `sequence`.
    pub fn answer(&mut self, sequence: u32, answer: Answer) {
        if self.settings.reply_order == ReplyOrder::Any {
            return self.release(answer);
        }
        let mut answers = self.answers.take().unwrap_or_default();
        let inserted = answers.insert(sequence, answer, |answer| self.release(answer));
        self.answers = Some(answers);
        self.fail_without_memory(inserted);
    }

    fn release(&mut self, answer: Answer) {
        let lost = match &self.settings.handling {
            Handling::Workers { lost, .. } => lost.as_ref().map(|lost| lost.0.clone()),
            Handling::Owner => None,
        };
        match (answer, lost) {
            (Answer::Reply(bytes), _) => bytes.for_each(|slice| self.send(slice)),
            (Answer::Lost, Some(reply)) => self.send(reply),
            (Answer::Failed | Answer::Lost, _) => self.close(),
        }
        self.acknowledge(1);
    }

    /// Whether messages wait to be handed over, without a read.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.inbound.is_held_back()
    }

    /// Whether bytes are here that neither the socket nor the user has.
    #[must_use]
    pub fn holds_bytes(&self) -> bool {
        self.outbound.has_remaining() || !self.inbound.is_empty()
    }

    /// See [`Inbound::fill`].
    ///
    /// # Errors
    /// As there.
    pub fn fill<E>(
        &mut self,
        read_buffer: &mut ReadBuffer,
        read: impl FnOnce(&mut [std::io::IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<Filled, Unfilled<E>> {
        let filled = self.inbound.fill(read_buffer, read)?;
        self.bytes_read += filled.count as u64;
        Ok(filled)
    }

    /// `count` bytes were read and thrown away.
    pub fn discarded(&mut self, count: usize) {
        self.bytes_read += count as u64;
    }

    /// Hands over the messages that a read brought, at most `limit`.
    pub fn take_filled(
        &mut self,
        filled: &Filled,
        read_buffer: &mut ReadBuffer,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) {
        let decoder = self.settings.decoder();
        let taken = self
            .inbound
            .decode_filled(filled, read_buffer, decoder, batch, slot, limit);
        self.account(taken);
    }

    /// Hands over messages that were held back, at most `limit`.
    pub fn take_held_back(
        &mut self,
        read_buffer: &mut ReadBuffer,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) {
        let decoder = self.settings.decoder();
        let taken = self
            .inbound
            .decode_held_back(read_buffer, decoder, batch, slot, limit);
        self.account(taken);
    }

    /// It is not served before something happens to it: see [`Inbound::withdraw`].
    pub fn rests(&mut self) {
        self.inbound.withdraw();
    }

    fn account(&mut self, taken: Taken) {
        if taken.count > 0 {
            // What is unfinished now is another message.
            if let Some(clocks) = &mut self.clocks {
                clocks.read.stop();
            }
        }
        if self.counts && self.control == Control::Settings {
            self.in_flight += taken.count as u32;
        }
        if let Some(excerpt) = taken.excerpt {
            self.refused = Some(Box::new(Refused::Frame(excerpt)));
        }
        match taken.error {
            None => {}
            Some(FrameError::TooLarge) => self.refuse(Reason::FrameTooLarge),
            Some(FrameError::Invalid) => self.refuse(Reason::FrameInvalid),
        }
        match taken.room {
            Room::Enough => {}
            Room::Exhausted => self.refuse(Reason::BufferLimit),
            Room::OutOfMemory => self.refuse(Reason::OutOfMemory),
        }
    }

    /// There is no memory to read into. What was asked before is answered.
    pub fn refuse_for_memory(&mut self) {
        self.refuse(Reason::OutOfMemory);
    }

    /// Takes nothing more from this peer, and closes once what it asked before is answered.
    fn refuse(&mut self, reason: Reason) {
        self.reason = reason;
        self.inbound.clear();
        self.apply(Event::Refused);
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
        if self.reads() {
            self.end_read = true;
            if self.inbound.has_partial() {
                self.reason = Reason::UnexpectedEnd;
            }
        }
        self.apply(Event::PeerEnded);
        // Where our direction has ended by itself, only what is held back still has to be handed over.
        let closes = matches!(self.state, State::Open(_)) && self.control == Control::Settings;
        if closes && (self.settings.half_open == HalfOpen::Close || self.reason != Reason::Normal) {
            self.apply(Event::FinishAsked);
        }
    }

    /// Whether [`Self::send`] still takes anything.
    #[must_use]
    pub fn accepts_output(&self) -> bool {
        self.state.accepts_output()
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.outbound.remaining()
    }

    /// Queues `slice` to be sent, unless the connection is past that.
    pub fn send(&mut self, slice: Slice) {
        if self.state.accepts_output() {
            let pushed = self.outbound.push(slice);
            self.fail_without_memory(pushed);
        }
    }

    /// As [`Self::send`], for bytes `start..start + length` of foreign memory.
    pub fn send_foreign(&mut self, owner: Box<dyn ForeignBytes>, start: usize, length: usize) {
        if self.state.accepts_output() {
            let pushed = self.outbound.push_foreign(owner, start, length);
            self.fail_without_memory(pushed);
        }
    }

    /// Without what could not be queued, the rest would be another message.
    fn fail_without_memory(&mut self, queued: Result<(), OutOfMemory>) {
        if let Err(OutOfMemory) = queued {
            self.fail(Reason::OutOfMemory);
        }
    }

    /// `count` messages are done with.
    pub fn acknowledge(&mut self, count: u32) {
        self.in_flight = self.in_flight.saturating_sub(count);
    }

    /// From now on messages count as in flight without a bound, so that it does not close before they are answered. Their
    /// consumer answers some, and acknowledges each.
    pub fn count_messages(&mut self) {
        self.counts = true;
    }

    /// Hands over `count` messages beyond the bound on those in flight, also while it only answers
    /// what was read before it closes. Some may be replies that the handlers of the others wait
    /// for.
    pub fn allow_beyond(&mut self, count: u32) {
        self.beyond = count;
    }

    /// Has it told once when nothing waits to be sent, with `number`. A later question takes the place of one before.
    pub fn tell_flushed(&mut self, number: u32) {
        self.flush_asked = Some(FlushQuestion::Numbered(number));
    }

    /// Hands over no further message, or goes on doing so.
    pub fn set_flow(&mut self, flow: Start) {
        self.flow = flow;
    }

    /// For a stream whose end is another owner from now on. Nothing counts as in flight, and it is
    /// read whatever waits to be sent. Neither the peer's end nor [`Self::finish`] before this ends
    /// our direction: only [`Self::end`] does, and when that is done it is told.
    pub fn take_over(&mut self) {
        self.control = Control::Owner;
        self.in_flight = 0;
        self.closing = None;
        self.apply(Event::TakenOver);
    }

    /// Sends what is queued, then ends our direction. The peer's is still read.
    pub fn end(&mut self) {
        self.apply(Event::EndAsked);
    }

    /// Answers what was taken, then closes.
    pub fn finish(&mut self) {
        self.apply(Event::FinishAsked);
    }

    /// Sends what is queued, then closes.
    pub fn close(&mut self) {
        self.apply(Event::CloseAsked);
    }

    /// Ends at once; the first reason counts.
    pub fn fail(&mut self, reason: Reason) {
        if self.reason == Reason::Normal {
            self.reason = reason;
        }
        self.apply(Event::Failed);
        self.outbound.clear();
        self.inbound.clear();
    }

    /// `count` bytes left.
    pub fn sent(&mut self, count: usize, now: Instant) {
        self.outbound.advance(count);
        self.left(count, now);
    }

    /// The peer does not take what is queued now: it waits in no more memory than it needs.
    pub fn waits_to_send(&mut self) {
        self.outbound.copy_out();
    }

    /// `count` bytes left that were not queued.
    pub fn left(&mut self, count: usize, now: Instant) {
        self.bytes_written += count as u64;
        self.waits_anew(now);
        if self.closes_when_peer_takes() {
            self.stage = Some(self.close_deadline(now));
        }
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
