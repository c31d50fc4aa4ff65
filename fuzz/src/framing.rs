//! Framing with inbound, ids and bounds: a connection is fed any wire in any pieces while anything else is asked of it.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use netpoll_core::buffer::{ReadBuffer, Region};
use netpoll_core::connection::{Connection, Limit, Peer, State};
use netpoll_core::settings::{
    HalfOpen, Handling, ReplyOrder, Settings, Start, UnfinishedBound, WhenCongested,
};
use netpoll_core::socket::NoDelay;
use netpoll_core::{Batch, ChunkPool, Reason, RecordKind};

use crate::Target;
use crate::choices::Choices;
use crate::drive::{self, Drive};
use crate::reference::{Decoded, Reference, ReferenceId, choose_wire};

const SLOT: u32 = 7;

pub struct FramingTarget;

impl Target for FramingTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut choices = Choices::new(input);
        let pool = ChunkPool::new(choices.of(&[256 * 1024, 64, 512, 4096]), 4);
        let drive = FramingDrive::choose(&mut choices, &pool);
        drive::run(drive, &mut choices, &pool)
    }
}

/// Settings with everything off that a target does not choose.
pub fn plain_settings(reference: &Reference, id: Option<ReferenceId>, bound: usize) -> Settings {
    Settings {
        framing: reference.framing(),
        id_field: id.and_then(ReferenceId::field),
        max_in_flight: None,
        handling: Handling::Owner,
        reply_order: ReplyOrder::Requests,
        high_water_mark: 1024,
        when_congested: WhenCongested::KeepReading,
        no_delay: NoDelay::On,
        half_open: HalfOpen::Close,
        start: Start::Reading,
        close_timeout: Duration::from_secs(60),
        max_close_time: Duration::from_secs(3600),
        read_timeout: None,
        write_timeout: None,
        idle_timeout: None,
        keep_alive: None,
        unfinished: Arc::new(UnfinishedBound::new(bound)),
        tls: None,
    }
}

/// Whether a reason is that of a refusal.
pub fn is_refusal(code: u32) -> bool {
    [
        Reason::FrameTooLarge,
        Reason::FrameInvalid,
        Reason::BufferLimit,
    ]
    .map(Reason::code)
    .contains(&code)
}

/// A connection, what it is sent, and what it has told.
struct FramingDrive {
    connection: Connection,
    read_buffer: ReadBuffer,
    batch: Batch,
    pool: ChunkPool,
    now: Instant,
    id: Option<ReferenceId>,
    wire: Vec<u8>,
    expected: Decoded,
    /// Bytes of the wire that were read.
    at: usize,
    messages: usize,
    in_flight: u32,
    counts: bool,
    most_in_flight: usize,
    refused: Option<u32>,
    /// Whether everything that comes is handed over in the end.
    takes_all: bool,
}

impl FramingDrive {
    fn choose(choices: &mut Choices<'_>, pool: &ChunkPool) -> Self {
        let reference = Reference::choose(choices);
        let id = ReferenceId::choose(choices);
        let bound = choices.of(&[usize::MAX, usize::MAX, usize::MAX, 300]);
        let mut settings = plain_settings(&reference, id, bound);
        settings.max_in_flight = NonZeroU32::new(choices.of(&[64, 0, 1, 2]));
        settings.when_congested =
            choices.of(&[WhenCongested::StopReading, WhenCongested::KeepReading]);
        settings.half_open = choices.of(&[HalfOpen::Close, HalfOpen::Keep]);
        settings.start = choices.of(&[Start::Reading, Start::Reading, Start::Paused]);
        settings.read_timeout = choices.of(&[None, Some(Duration::from_secs(1))]);
        let wire = choose_wire(&reference, choices);
        let most = settings.max_in_flight.map_or(0, NonZeroU32::get);
        Self {
            expected: reference.decode(&wire),
            counts: most > 0,
            most_in_flight: if most > 0 { most as usize } else { usize::MAX },
            connection: Connection::new(Arc::new(settings), State::Open(Peer::Sending)),
            read_buffer: ReadBuffer::new(pool.clone()).expect("there is memory"),
            batch: Batch::with_capacity(choices.of(&[4096, 24, 40])),
            pool: pool.clone(),
            now: Instant::now(),
            id,
            wire,
            at: 0,
            messages: 0,
            in_flight: 0,
            refused: None,
            takes_all: bound == usize::MAX,
        }
    }

    fn end_early(&mut self, choices: &mut Choices<'_>) {
        let connection = &mut self.connection;
        match choices.below(12) {
            0..4 => connection.finish(),
            4 => connection.close(),
            5 => connection.fail(Reason::WriteTimeout),
            6 => connection.end(),
            7 => connection.take_over(),
            _ => return,
        }
        // What is read after that, and how, is for other tests to say: never anything but the right messages.
        self.takes_all = false;
        self.most_in_flight = usize::MAX;
    }

    fn allow_beyond(&mut self, count: u32) {
        self.connection.allow_beyond(count);
        if count > 0 {
            // Those that were let through stay in flight when it is over.
            self.most_in_flight = usize::MAX;
        }
    }

    fn acknowledge(&mut self, count: u32) {
        let count = count.min(self.in_flight);
        self.connection.acknowledge(count);
        self.in_flight -= count;
    }

    /// Reads once, as an endpoint does.
    fn read(&mut self, most: usize) -> Result<()> {
        let offered = &self.wire[self.at..(self.at + most).min(self.wire.len())];
        if self.connection.state().discards() {
            self.at += offered.len();
            if offered.is_empty() {
                self.connection.peer_ended();
            } else {
                self.connection.discarded(offered.len());
            }
            return Ok(());
        }
        let mut limit = self.share();
        if limit > 0 && self.connection.is_held_back() {
            self.connection
                .take_held_back(&mut self.read_buffer, &mut self.batch, SLOT, limit);
            limit = self.share();
        }
        if limit == 0 || !self.connection.reads() || self.connection.is_held_back() {
            return Ok(());
        }
        ensure!(self.refused.is_none(), "it reads after a refusal");
        let mut count = 0;
        let filled = self.connection.fill(&mut self.read_buffer, |pieces| {
            for piece in pieces {
                let part = piece.len().min(offered.len() - count);
                piece[..part].copy_from_slice(&offered[count..count + part]);
                count += part;
            }
            Ok::<_, Infallible>(count)
        });
        let filled = filled.expect("there is memory");
        self.at += count;
        if count == 0 {
            self.connection.peer_ended();
        } else {
            let (batch, read_buffer) = (&mut self.batch, &mut self.read_buffer);
            self.connection
                .take_filled(&filled, read_buffer, batch, SLOT, limit);
        }
        Ok(())
    }

    fn share(&self) -> usize {
        let room = self.batch.room() / self.connection.settings().records_per_message();
        self.connection.budget().min(room).min(64)
    }

    /// Ends a turn: what it told is compared with what it should have.
    fn settle(&mut self) -> Result<()> {
        self.connection.settle(self.now);
        self.connection.report(&mut self.batch, SLOT);
        let mut id = None;
        for record in self.batch.records() {
            let wide = u64::from(record.length) << 32 | u64::from(record.start);
            if record.kind() == RecordKind::Correlation as u8 {
                ensure!(id.replace(wide).is_none(), "two ids for one message");
            } else if record.kind() == RecordKind::Message as u8 {
                ensure!(self.refused.is_none(), "a message after a refusal");
                let chunk = self.batch.chunks()[record.chunk()].clone();
                let (start, length) = (record.start as usize, record.length as usize);
                let slice = netpoll_core::Slice::new(chunk, start, length);
                let expected = self.expected.messages.get(self.messages);
                ensure!(
                    expected.is_some_and(|expected| **expected == *slice.as_ref()),
                    "message {} is {:?} and not {expected:?}",
                    self.messages,
                    slice.as_ref(),
                );
                let field = self.id.and_then(|field| field.read(slice.as_ref()));
                ensure!(id.take() == field, "another id than {field:?}");
                self.messages += 1;
                self.in_flight += u32::from(self.counts);
            } else if record.kind() == RecordKind::Inactive as u8 && is_refusal(record.start) {
                ensure!(self.refused.replace(record.start).is_none(), "told twice");
            }
            let stands_alone = record.kind() != RecordKind::Correlation as u8;
            ensure!(id.is_none() || !stands_alone, "an id without a message");
        }
        self.batch.clear();
        ensure!(
            self.in_flight as usize <= self.most_in_flight,
            "too many at once"
        );
        if self.refused.is_some() {
            let state = self.connection.state();
            ensure!(!self.connection.reads() && !state.hands_over(), "{state:?}");
        }
        Ok(())
    }
}

impl Drive for FramingDrive {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        let connection = &mut self.connection;
        match choices.below(24) {
            0 => connection.set_flow(Start::Paused),
            1 => connection.set_flow(Start::Reading),
            2 => self.allow_beyond(choices.of(&[0, u32::MAX, 1, 3])),
            3 => self.acknowledge(choices.below(4) as u32),
            4 => {
                let bytes = choices.bytes(40);
                let slice = Region::over(self.pool.take_at_least(bytes.len())).append(&bytes);
                connection.send(slice);
            }
            5 => {
                let count = choices.below(connection.outbound().remaining() + 1);
                connection.sent(count, self.now);
            }
            6 => self.end_early(choices),
            7 => {
                self.now += Duration::from_millis(choices.below(3_000) as u64);
                connection.expire_read(self.now, choices.of(&[None, Some(0), Some(1)]));
                self.takes_all &= connection.reason() != Reason::ReadTimeout;
            }
            8 => connection.set_limit(Limit::Read, choices.of(&[None, Some(Duration::MAX)])),
            9 => connection.peer_closing(),
            _ => self.read(1 + choices.below(choices_reach(self.wire.len())))?,
        }
        self.settle()
    }

    fn has_ended(&self) -> bool {
        self.connection.state() == State::Closed
    }

    /// Lets everything come, and looks whether it has.
    fn finish(&mut self) -> Result<()> {
        self.connection.set_flow(Start::Reading);
        let mut quiet = 0;
        while quiet < 3 && self.connection.state() != State::Closed {
            let before = (self.at, self.messages);
            self.acknowledge(u32::MAX);
            self.connection
                .sent(self.connection.outbound().remaining(), self.now);
            self.read(usize::MAX - self.at)?;
            self.settle()?;
            quiet = if before == (self.at, self.messages) {
                quiet + 1
            } else {
                0
            };
        }
        if self.takes_all {
            let (got, all) = (self.messages, self.expected.messages.len());
            ensure!(got == all, "{got} of {all} messages");
            let refused = self.expected.refused.map(Reason::code);
            ensure!(
                self.refused == refused,
                "{:?} for {refused:?}",
                self.refused
            );
        }
        Ok(())
    }
}

/// Pieces of a few bytes, mostly, and of everything.
fn choices_reach(length: usize) -> usize {
    length.clamp(8, 60_000)
}
