//! What a turn of the poller hands over: records of fixed size, and the chunks that they refer to.
//! It is the core's only way out.

use std::time::Duration;

use crate::buffer::{Chunk, Slice};
use crate::id::Id;
pub use crate::protocol::RecordKind;
use crate::reason::Reason;

/// One entry of a batch, as it lies in memory shared with JavaScript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// The connection that this is about, or the tag of a listener.
    pub slot: u32,
    /// [`RecordKind`] in the low byte, index into the batch's chunks above it.
    pub kind_and_chunk: u32,
    /// Offset of the bytes in the chunk, or what the kind says.
    pub start: u32,
    /// Number of bytes, or what the kind says.
    pub length: u32,
}

impl Record {
    /// What the record tells, as its number.
    #[must_use]
    pub fn kind(&self) -> u8 {
        (self.kind_and_chunk & 0xff) as u8
    }

    /// Index of the chunk in [`Batch::chunks`].
    #[must_use]
    pub fn chunk(&self) -> usize {
        (self.kind_and_chunk >> 8) as usize
    }
}

/// The most lifecycle records that serving one connection can add beside its messages.
pub(crate) const LIFECYCLE_ROOM: usize = 16;

/// The records of one turn.
pub struct Batch {
    records: Box<[Record]>,
    count: usize,
    messages: usize,
    bytes: usize,
    chunks: Vec<Chunk>,
    /// Slots whose last record this batch has, or one before it.
    vacated: Vec<u32>,
}

impl Batch {
    /// Room for `capacity` records, of which a few are kept for what is no message.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(2 * LIFECYCLE_ROOM);
        Self {
            records: vec![Record::default(); capacity].into_boxed_slice(),
            count: 0,
            messages: 0,
            bytes: 0,
            chunks: Vec::new(),
            vacated: Vec::new(),
        }
    }

    /// The records so far.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records[..self.count]
    }

    /// The chunks that the records refer to.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many of them are messages.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Whether there is nothing to hand over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes read for it so far, those of unfinished messages included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages still fit, beside what else one connection may have to tell.
    #[must_use]
    pub fn room(&self) -> usize {
        self.records
            .len()
            .saturating_sub(self.count + LIFECYCLE_ROOM)
    }

    /// Forgets everything, and lets go of the chunks.
    pub fn clear(&mut self) {
        self.count = 0;
        self.messages = 0;
        self.bytes = 0;
        self.chunks.clear();
    }

    /// Adds a message that lies in `slice`.
    ///
    /// # Panics
    /// Where there is no [`Self::room`].
    pub fn add_message(&mut self, slot: u32, slice: &Slice) {
        assert!(self.room() > 0, "callers ask for room first");
        let chunk = self.chunk_index(slice.chunk());
        self.message(slot, chunk, slice.start(), slice.len());
    }

    /// Adds where the next message comes from.
    ///
    /// # Panics
    /// Where there is no [`Self::room`].
    pub fn add_source(&mut self, poller: u32, connection: Id) {
        assert!(self.room() > 0, "callers ask for room first");
        self.push(Record {
            slot: poller,
            kind_and_chunk: RecordKind::Source as u32,
            start: connection.slot,
            length: connection.generation,
        });
    }

    /// These slots are free once the consumer that gets this batch has seen it. Without memory to
    /// note them they stay in `slots`, for a later one.
    pub(crate) fn vacate_afterwards(&mut self, slots: &mut Vec<u32>) {
        if self.vacated.try_reserve(slots.len()).is_ok() {
            self.vacated.append(slots);
        }
    }

    /// Slots that are free, now that the batch has been seen.
    pub(crate) fn take_vacated(&mut self) -> std::vec::Drain<'_, u32> {
        self.vacated.drain(..)
    }

    /// Index of `chunk` among [`Self::chunks`], added where it is new.
    pub(crate) fn chunk_index(&mut self, chunk: &Chunk) -> u32 {
        // Nearly always the newest: a turn fills one chunk after the other.
        let known = self.chunks.iter().rposition(|other| other.is_same(chunk));
        known.unwrap_or_else(|| {
            self.chunks.push(chunk.clone());
            self.chunks.len() - 1
        }) as u32
    }

    pub(crate) fn read(&mut self, count: usize) {
        self.bytes += count;
    }

    /// Bytes read for it so far, which are not counted any more.
    pub(crate) fn take_bytes(&mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn message(&mut self, slot: u32, chunk_index: u32, start: usize, length: usize) {
        let kind_and_chunk = RecordKind::Message as u32 | chunk_index << 8;
        self.messages += 1;
        self.push(Record {
            slot,
            kind_and_chunk,
            start: start as u32,
            length: length as u32,
        });
    }

    pub(crate) fn lifecycle(&mut self, slot: u32, kind: RecordKind) {
        self.push(Record {
            slot,
            kind_and_chunk: kind as u32,
            start: 0,
            length: 0,
        });
    }

    pub(crate) fn count(&mut self, slot: u32, kind: RecordKind, count: u64) {
        self.push(Record {
            slot,
            kind_and_chunk: kind as u32,
            start: count as u32,
            length: (count >> 32) as u32,
        });
    }

    pub(crate) fn refused_bytes(&mut self, slot: u32, bytes: &[u8]) {
        let mut words = [0; 8];
        words[..bytes.len()].copy_from_slice(bytes);
        let packed = u64::from_le_bytes(words);
        self.push(Record {
            slot,
            kind_and_chunk: RecordKind::RefusedBytes as u32 | (bytes.len() as u32) << 8,
            start: packed as u32,
            length: (packed >> 32) as u32,
        });
    }

    pub(crate) fn deadline_timer(&mut self, slot: u32, number: u32, late: Duration) {
        self.push(Record {
            slot,
            kind_and_chunk: RecordKind::DeadlineTimer as u32,
            start: number,
            length: u32::try_from(late.as_micros()).unwrap_or(u32::MAX),
        });
    }

    pub(crate) fn flushed(&mut self, slot: u32, number: u32) {
        self.push(Record {
            slot,
            kind_and_chunk: RecordKind::Flushed as u32,
            start: number,
            length: 0,
        });
    }

    pub(crate) fn accepted(&mut self, slot: u32, generation: u32, tag: u32) {
        let kind_and_chunk = RecordKind::Accepted as u32;
        self.push(Record {
            slot,
            kind_and_chunk,
            start: tag,
            length: generation,
        });
    }

    pub(crate) fn excess(&mut self, slot: u32, generation: u32, tag: u32) {
        let kind_and_chunk = RecordKind::Excess as u32;
        self.push(Record {
            slot,
            kind_and_chunk,
            start: tag,
            length: generation,
        });
    }

    pub(crate) fn excess_closed(&mut self, tag: u32) {
        self.accept_trouble(RecordKind::ExcessClosed, tag, 0);
    }

    pub(crate) fn inactive(&mut self, slot: u32, reason: Reason) {
        let kind_and_chunk = RecordKind::Inactive as u32;
        self.push(Record {
            slot,
            kind_and_chunk,
            start: reason.code(),
            length: reason.call(),
        });
    }

    pub(crate) fn closed(&mut self, slot: u32, reason: Reason) {
        let kind_and_chunk = RecordKind::Closed as u32;
        self.push(Record {
            slot,
            kind_and_chunk,
            start: reason.code(),
            length: reason.call(),
        });
    }

    pub(crate) fn handshake_failed(&mut self, tag: u32, reason: Reason) {
        let kind_and_chunk = RecordKind::HandshakeFailed as u32;
        self.push(Record {
            slot: tag,
            kind_and_chunk,
            start: reason.code(),
            length: reason.call(),
        });
    }

    pub(crate) fn accept_paused(&mut self, tag: u32, errno: i32) {
        self.accept_trouble(RecordKind::AcceptPaused, tag, errno);
    }

    pub(crate) fn accept_failed(&mut self, tag: u32, errno: i32) {
        self.accept_trouble(RecordKind::AcceptFailed, tag, errno);
    }

    fn accept_trouble(&mut self, kind: RecordKind, tag: u32, errno: i32) {
        self.push(Record {
            slot: tag,
            kind_and_chunk: kind as u32,
            start: errno.unsigned_abs(),
            length: 0,
        });
    }

    pub(crate) fn accept_ended(&mut self, tag: u32) {
        self.lifecycle(tag, RecordKind::AcceptEnded);
    }

    fn push(&mut self, record: Record) {
        debug_assert!(
            self.count < self.records.len(),
            "callers ask for room first"
        );
        self.records[self.count] = record;
        self.count += 1;
    }
}
