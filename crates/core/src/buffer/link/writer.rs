//! Collects what is to be sent, in memory that is sent from where it lies.

use std::collections::LinkedList;

use super::super::{ChunkPool, Region};
use super::{LinkReader, NotEnoughData, Piece};
use crate::frame::Endian;

/// Bytes that were written and are not complete before [`LinkWriter::flush`].
///
/// What is copied in lies in chunks of a pool; what is inserted by [`Self::write_direct`] stays where
/// it is. The pieces are linked, so that joining two writers costs the same for any number of them.
///
/// ```
/// use netpoll_core::ChunkPool;
/// use netpoll_core::buffer::LinkWriter;
/// use netpoll_core::frame::Endian;
///
/// let mut writer = LinkWriter::new(ChunkPool::new(4096, 1));
/// writer.write_uint(2, 4, Endian::Big);
/// writer.malloc(2).copy_from_slice(b"hi");
/// assert_eq!(writer.malloc_length(), 6);
/// let sent: Vec<u8> = writer.flush().flat_map(|piece| piece.as_ref().to_vec()).collect();
/// assert_eq!(sent, b"\0\0\0\x02hi");
/// ```
pub struct LinkWriter {
    pieces: LinkedList<Piece>,
    /// Where bytes are written. The first `open` of its bytes are written and come after `pieces`.
    tail: Option<Region>,
    open: usize,
    length: usize,
    pool: ChunkPool,
}

impl LinkWriter {
    /// A writer of nothing yet, which takes its chunks from `pool`.
    #[must_use]
    pub fn new(pool: ChunkPool) -> Self {
        Self {
            pieces: LinkedList::new(),
            tail: None,
            open: 0,
            length: 0,
            pool,
        }
    }

    /// The next `count` bytes, for the caller to fill; until then they hold what the memory's last use
    /// left there.
    pub fn malloc(&mut self, count: usize) -> &mut [u8] {
        if count == 0 {
            return &mut [];
        }
        let start = self.open_at(count);
        self.open += count;
        self.length += count;
        let tail = self.tail.as_mut().map_or(&mut [][..], Region::spare);
        &mut tail[start..start + count]
    }

    /// Keeps the first `count` of the unflushed bytes, however they were written, and drops the rest.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::malloc_length`].
    pub fn malloc_ack(&mut self, count: usize) -> Result<(), NotEnoughData> {
        NotEnoughData::check(count, self.length)?;
        let dropped = (self.length - count).min(self.open);
        self.open -= dropped;
        self.length -= dropped;
        // What is left of the surplus lies before the tail's bytes, which are none now.
        drop(self.take_back(self.length - count));
        self.length = count;
        Ok(())
    }

    /// How many bytes are unflushed.
    #[must_use]
    pub fn malloc_length(&self) -> usize {
        self.length
    }

    /// Writes a copy of `text`, as UTF-8.
    pub fn write_string(&mut self, text: &str) {
        self.write_binary(text.as_bytes());
    }

    /// Writes a copy of `bytes`.
    pub fn write_binary(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = self.open_at(1);
            let room = self.tail.as_ref().map_or(0, Region::remaining) - start;
            let (first, later) = rest.split_at(room.min(rest.len()));
            self.malloc(first.len()).copy_from_slice(first);
            rest = later;
        }
    }

    /// Writes one byte.
    pub fn write_byte(&mut self, value: u8) {
        self.malloc(1)[0] = value;
    }

    /// Writes `value` as an unsigned number of `size` bytes; what does not fit into them is cut off.
    ///
    /// # Panics
    /// When `size` is not 1 to 8.
    pub fn write_uint(&mut self, value: u64, size: usize, endian: Endian) {
        assert!((1..=8).contains(&size), "a number has 1 to 8 bytes");
        let target = self.malloc(size);
        match endian {
            Endian::Big => target.copy_from_slice(&value.to_be_bytes()[8 - size..]),
            Endian::Little => target.copy_from_slice(&value.to_le_bytes()[..size]),
        }
    }

    /// Inserts bytes without copying them, so that the last `remaining` of those unflushed come after
    /// them.
    ///
    /// # Errors
    /// [`NotEnoughData`] when `remaining` is more than [`Self::malloc_length`].
    pub fn write_direct(
        &mut self,
        bytes: impl Into<Piece>,
        remaining: usize,
    ) -> Result<(), NotEnoughData> {
        NotEnoughData::check(remaining, self.length)?;
        let piece = bytes.into();
        if piece.is_empty() {
            return Ok(());
        }
        self.length += piece.len();
        if remaining <= self.open {
            self.seal(self.open - remaining);
            self.pieces.push_back(piece);
        } else {
            self.seal(self.open);
            let mut after = self.take_back(remaining);
            self.pieces.push_back(piece);
            self.pieces.append(&mut after);
        }
        Ok(())
    }

    /// Moves all of `other` behind what is written here. Takes the same time for any number of pieces.
    pub fn append(&mut self, mut other: Self) {
        self.seal(self.open);
        other.seal(other.open);
        self.pieces.append(&mut other.pieces);
        self.length += other.length;
    }

    /// Completes what was written and gives it out. The writer is empty afterwards.
    pub fn flush(&mut self) -> Flushed {
        self.seal(self.open);
        Flushed {
            pieces: std::mem::take(&mut self.pieces),
            length: std::mem::take(&mut self.length),
        }
    }

    pub(super) fn restore(&mut self, flushed: Flushed) {
        let mut later = std::mem::replace(&mut self.pieces, flushed.pieces);
        self.pieces.append(&mut later);
        self.length += flushed.length;
    }

    /// Sees to a tail with room for `count` bytes behind the open ones, and says where they begin in it.
    fn open_at(&mut self, count: usize) -> usize {
        let tail = self.tail.as_ref();
        if tail.is_none_or(|tail| tail.remaining() - self.open < count) {
            self.seal(self.open);
            self.tail = Some(Region::over(self.pool.take_at_least(count)));
        }
        self.open
    }

    /// Makes the first `count` of the open bytes a piece of their own.
    fn seal(&mut self, count: usize) {
        if let Some(tail) = self.tail.as_mut().filter(|_| count > 0) {
            self.pieces.push_back(tail.share(count).into());
            self.open -= count;
        }
    }

    /// The last `count` bytes of `pieces`, in order.
    fn take_back(&mut self, count: usize) -> LinkedList<Piece> {
        let mut taken = LinkedList::new();
        let mut missing = count;
        while missing > 0 {
            let Some(mut last) = self.pieces.pop_back() else {
                break;
            };
            if last.len() > missing {
                let kept = last.split_to(last.len() - missing);
                self.pieces.push_back(kept);
            }
            missing -= last.len();
            taken.push_front(last);
        }
        taken
    }
}

/// What one flush gives out: pieces in the order of the stream, none of them empty.
pub struct Flushed {
    pieces: LinkedList<Piece>,
    length: usize,
}

impl Flushed {
    /// How many bytes are left in it.
    #[must_use]
    pub fn byte_length(&self) -> usize {
        self.length
    }

    /// Puts back in front what could not be sent of the piece given out last.
    pub(super) fn put_back(&mut self, piece: Piece) {
        self.length += piece.len();
        self.pieces.push_front(piece);
    }
}

impl Iterator for Flushed {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let piece = self.pieces.pop_front()?;
        self.length -= piece.len();
        Some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pieces.len(), Some(self.pieces.len()))
    }
}

impl ExactSizeIterator for Flushed {}

impl IntoIterator for LinkWriter {
    type Item = Piece;
    type IntoIter = Flushed;

    fn into_iter(mut self) -> Flushed {
        self.flush()
    }
}

impl From<LinkWriter> for LinkReader {
    /// A reader of all that was written, in the same memory.
    fn from(mut writer: LinkWriter) -> Self {
        let mut reader = Self::new(writer.pool.clone());
        for piece in writer.flush() {
            reader.push(piece);
        }
        reader
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn written(writer: &mut LinkWriter) -> Vec<u8> {
        let mut reader = LinkReader::new(writer.pool.clone());
        writer.flush().for_each(|piece| reader.push(piece));
        reader.read_binary(reader.len()).expect("enough")
    }

    #[test]
    fn small_writes_share_one_chunk_and_leave_as_one_piece() {
        let pool = ChunkPool::new(1024, 4);
        let mut writer = LinkWriter::new(pool.clone());
        for round in 0..10 {
            writer.write_uint(round, 8, Endian::Big);
            writer.write_string("text");
        }
        assert_eq!(pool.stats().live, 1);
        assert_eq!(writer.flush().len(), 1);
    }

    #[test]
    fn a_large_room_for_small_answers_is_used_again() {
        let pool = ChunkPool::new(4096, 4);
        let mut writer = LinkWriter::new(pool.clone());
        for round in 1..=100 {
            writer.malloc(2048)[..8].copy_from_slice(b"response");
            writer.malloc_ack(8 * round).expect("enough");
        }
        assert_eq!(pool.stats().live, 1);
        assert_eq!(written(&mut writer), b"response".repeat(100));
    }

    #[test]
    fn memory_beyond_a_chunk_is_made_to_measure_where_it_must_be_one() {
        let pool = ChunkPool::new(64, 4);
        let mut writer = LinkWriter::new(pool.clone());
        assert_eq!(writer.malloc(100).len(), 100);
        assert_eq!(pool.stats().live_bytes, 100);
        writer.write_binary(&[1; 100]);
        assert_eq!(pool.stats().live_bytes, 100 + 2 * 64);
    }

    #[test]
    fn flushed_pieces_do_not_change_when_the_writer_goes_on() {
        let mut writer = LinkWriter::new(ChunkPool::new(64, 4));
        writer.write_string("before");
        let flushed: Vec<Piece> = writer.flush().collect();
        writer.write_string("after");
        writer.malloc_ack(0).expect("enough");
        writer.write_string("again");
        assert_eq!(flushed[0].as_ref(), b"before");
        assert_eq!(written(&mut writer), b"again");
    }

    #[test]
    fn direct_bytes_live_until_they_have_been_sent() {
        struct Owner(Arc<[u8]>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let payload: Arc<[u8]> = Arc::from(*b"payload");
        let mut writer = LinkWriter::new(ChunkPool::new(64, 4));
        let owned = Bytes::from_owner(Owner(payload.clone()));
        writer.write_direct(owned, 0).expect("nothing remains");
        let flushed = writer.flush();
        assert_eq!(Arc::strong_count(&payload), 2);
        drop(flushed);
        assert_eq!(Arc::strong_count(&payload), 1);
    }

    #[test]
    fn pieces_of_many_appended_writers_leave_in_order() {
        let pool = ChunkPool::new(64, 4);
        let mut all = LinkWriter::new(pool.clone());
        for round in 0..1000_u64 {
            let mut one = LinkWriter::new(pool.clone());
            one.write_uint(round, 2, Endian::Big);
            all.append(one);
        }
        let mut reader = LinkReader::from(all);
        for round in 0..1000 {
            assert_eq!(reader.read_uint(2, Endian::Big), Ok(round));
        }
        assert!(reader.is_empty());
    }
}
