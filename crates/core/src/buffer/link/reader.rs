//! Reads a stream of pieces, without joining them where no caller asks for it.

use std::alloc::{Layout, handle_alloc_error};

use super::super::{ChunkPool, Region};
use super::{Chain, NotEnoughData, Piece};
use crate::frame::Endian;

/// What has arrived and has not been read.
///
/// Bytes that are asked for as one piece, and lie in one, are shared. Where they lie in several
/// they are copied into a chunk, and that copy takes their place in the reader. They are not copied
/// again when they are read or looked at once more.
///
/// ```
/// use netpoll_core::ChunkPool;
/// use netpoll_core::buffer::{LinkReader, LinkWriter};
///
/// # fn main() -> Result<(), netpoll_core::buffer::NotEnoughData> {
/// let pool = ChunkPool::new(4096, 1);
/// let mut writer = LinkWriter::new(pool.clone());
/// writer.write_string("GET /");
/// let mut reader = LinkReader::new(pool);
/// writer.flush().for_each(|piece| reader.push(piece));
/// assert_eq!(reader.peek(3)?.as_ref(), b"GET");
/// assert_eq!(reader.next(5)?.as_ref(), b"GET /");
/// assert!(reader.next(1).is_err(), "which consumes nothing");
/// # Ok(())
/// # }
/// ```
pub struct LinkReader {
    pub(super) chain: Chain,
    pub(super) pool: ChunkPool,
    /// Where bytes are joined. Kept for the next time, until `release`.
    scratch: Option<Region>,
}

impl LinkReader {
    /// A reader of nothing yet. Joined bytes are put into chunks of `pool`.
    #[must_use]
    pub fn new(pool: ChunkPool) -> Self {
        Self::over(Chain::default(), pool)
    }

    fn over(chain: Chain, pool: ChunkPool) -> Self {
        Self {
            chain,
            pool,
            scratch: None,
        }
    }

    /// Appends what has arrived. Pieces that are neighbours in a chunk become one.
    pub fn push(&mut self, piece: impl Into<Piece>) {
        append(&mut self.chain, piece);
    }

    /// How many bytes can be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chain.len()
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Reads `count` bytes as one piece.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    pub fn next(&mut self, count: usize) -> Result<Piece, NotEnoughData> {
        NotEnoughData::check(count, self.chain.len())?;
        self.join(count);
        let mut read = Piece::default();
        self.chain.consume(count, |piece| read = piece);
        Ok(read)
    }

    /// The next `count` bytes as one piece, which stay unread.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    pub fn peek(&mut self, count: usize) -> Result<Piece, NotEnoughData> {
        NotEnoughData::check(count, self.chain.len())?;
        self.join(count);
        let front = self.chain.pieces.front();
        Ok(front.map_or_else(Piece::default, |front| front.clone().split_to(count)))
    }

    /// Passes over `count` bytes.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    pub fn skip(&mut self, count: usize) -> Result<(), NotEnoughData> {
        NotEnoughData::check(count, self.chain.len())?;
        self.chain.advance(count);
        Ok(())
    }

    /// Reads `count` bytes as text; what is not UTF-8 is replaced by U+FFFD. A copy.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    pub fn read_string(&mut self, count: usize) -> Result<String, NotEnoughData> {
        let text = String::from_utf8(self.read_binary(count)?);
        Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Reads a copy of `count` bytes, which keeps no chunk alive.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    pub fn read_binary(&mut self, count: usize) -> Result<Vec<u8>, NotEnoughData> {
        NotEnoughData::check(count, self.chain.len())?;
        let mut copy = Vec::with_capacity(count);
        self.chain
            .consume(count, |piece| copy.extend_from_slice(piece.as_ref()));
        Ok(copy)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`NotEnoughData`] when there is none.
    pub fn read_byte(&mut self) -> Result<u8, NotEnoughData> {
        let value = self.peek_uint(1, 0, Endian::Big)?;
        self.chain.advance(1);
        Ok(value as u8)
    }

    /// Reads an unsigned number of `size` bytes.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    ///
    /// # Panics
    /// When `size` is not 1 to 8.
    pub fn read_uint(&mut self, size: usize, endian: Endian) -> Result<u64, NotEnoughData> {
        let value = self.peek_uint(size, 0, endian)?;
        self.chain.advance(size);
        Ok(value)
    }

    /// The unsigned number of `size` bytes that begins `offset` bytes ahead. Joins nothing.
    ///
    /// # Errors
    /// [`NotEnoughData`] when it ends beyond [`Self::len`].
    ///
    /// # Panics
    /// When `size` is not 1 to 8.
    pub fn peek_uint(
        &self,
        size: usize,
        offset: usize,
        endian: Endian,
    ) -> Result<u64, NotEnoughData> {
        assert!((1..=8).contains(&size), "a number has 1 to 8 bytes");
        NotEnoughData::check(offset.saturating_add(size), self.chain.len())?;
        let mut bytes = [0; 8];
        match endian {
            Endian::Big => {
                self.copy_ahead(offset, &mut bytes[8 - size..]);
                Ok(u64::from_be_bytes(bytes))
            }
            Endian::Little => {
                self.copy_ahead(offset, &mut bytes[..size]);
                Ok(u64::from_le_bytes(bytes))
            }
        }
    }

    /// Reads `count` bytes as a reader of their own, which shares the memory and keeps it alive. Copies
    /// and joins nothing.
    ///
    /// # Errors
    /// [`NotEnoughData`] beyond [`Self::len`].
    pub fn slice(&mut self, count: usize) -> Result<Self, NotEnoughData> {
        NotEnoughData::check(count, self.chain.len())?;
        let mut slice = Chain::default();
        self.chain.consume(count, |piece| append(&mut slice, piece));
        Ok(Self::over(slice, self.pool.clone()))
    }

    /// Lets go of the memory that this reader keeps without a byte to read in it. Only those who
    /// hold pieces of what was read keep it then, and these pieces stay as they are.
    pub fn release(&mut self) {
        self.scratch = None;
    }

    /// Makes the first `count` bytes, of which there must be as many, one piece.
    fn join(&mut self, count: usize) {
        if self
            .chain
            .pieces
            .front()
            .is_none_or(|front| front.len() >= count)
        {
            return;
        }
        let (mut region, mut joined) = self.begin_join(count);
        while joined.len() < count {
            let Some(mut front) = self.chain.pieces.pop_front() else {
                break;
            };
            let copied = front.split_to(front.len().min(count - joined.len()));
            let appended = region.append(copied.as_ref());
            joined
                .extend(appended.into())
                .expect("the region follows what was joined");
            if !front.is_empty() {
                self.chain.pieces.push_front(front);
            }
        }
        self.chain.pieces.push_front(joined);
        self.scratch = Some(region);
    }

    /// Where to join `count` bytes, and what of them is there already.
    ///
    /// A copy that was made before is continued where it ends. If it must move, then to twice the room:
    /// looking ahead a byte more each time must not copy everything each time.
    fn begin_join(&mut self, count: usize) -> (Region, Piece) {
        let room = match (self.chain.pieces.front(), self.scratch.take()) {
            (Some(Piece::Pooled(front)), Some(scratch)) if scratch.follows(front) => {
                if scratch.remaining() >= count - front.len() {
                    let begun = self.chain.pieces.pop_front();
                    return (scratch, begun.unwrap_or_default());
                }
                2 * count
            }
            (_, scratch) => {
                self.scratch = scratch;
                count
            }
        };
        let mut region = self.take_room(room);
        let begun = region.append(&[]);
        (region, begun.into())
    }

    /// A region with room for at least `count` bytes, the kept one if it has that.
    pub(super) fn take_room(&mut self, count: usize) -> Region {
        let kept = self.scratch.take();
        kept.filter(|region| region.remaining() >= count)
            .unwrap_or_else(|| Region::over(self.pool.take_at_least(count)))
    }

    /// Gives back what [`Self::take_room`] took, for the next time.
    pub(super) fn keep_room(&mut self, region: Region) {
        self.scratch = Some(region);
    }

    /// Fills `target` with a copy of the bytes that begin `offset` ahead, of which there must be enough.
    fn copy_ahead(&self, offset: usize, target: &mut [u8]) {
        let mut skipped = offset;
        let mut filled = 0;
        for piece in &self.chain.pieces {
            if filled == target.len() {
                break;
            }
            let bytes = &piece.as_ref()[skipped.min(piece.len())..];
            let count = bytes.len().min(target.len() - filled);
            target[filled..filled + count].copy_from_slice(&bytes[..count]);
            filled += count;
            skipped = skipped.saturating_sub(piece.len());
        }
    }
}

/// Pieces of a reader are as many as its caller makes: where there is no memory for them the process
/// ends, as with any list.
fn append(chain: &mut Chain, piece: impl Into<Piece>) {
    if chain.push(piece).is_err() {
        handle_alloc_error(Layout::new::<Piece>());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chunks(pool: &ChunkPool, pieces: &[&[u8]]) -> LinkReader {
        let mut reader = LinkReader::new(pool.clone());
        for bytes in pieces {
            reader.push(Region::over(pool.take_at_least(bytes.len())).append(bytes));
        }
        reader
    }

    #[test]
    fn chunks_return_to_the_pool_as_they_are_read() {
        let pool = ChunkPool::new(16, 8);
        let mut reader = chunks(&pool, &[b"one", b"two", b"three"]);
        assert_eq!(pool.stats().live, 3);
        reader.skip(4).expect("enough");
        assert_eq!(pool.stats().live, 2);
        reader.skip(7).expect("enough");
        assert_eq!(pool.stats().live, 0);
    }

    #[test]
    fn a_view_and_a_slice_keep_their_chunks_and_no_others() {
        let pool = ChunkPool::new(16, 8);
        let mut reader = chunks(&pool, &[b"one", b"two", b"three"]);
        let view = reader.next(3).expect("enough");
        let slice = reader.slice(4).expect("enough");
        drop(reader);
        assert_eq!(pool.stats().live, 3);
        drop(view);
        assert_eq!(pool.stats().live, 2);
        drop(slice);
        assert_eq!(pool.stats().live, 0);
    }

    #[test]
    fn copies_keep_no_chunk() {
        let pool = ChunkPool::new(16, 8);
        let mut reader = chunks(&pool, &[b"one", b"two"]);
        let copy = reader.read_binary(5).expect("enough");
        assert_eq!((copy.as_slice(), pool.stats().live), (&b"onetw"[..], 1));
    }

    #[test]
    fn joining_takes_one_chunk_until_release() {
        let pool = ChunkPool::new(64, 8);
        let mut reader = chunks(&pool, &[b"abc", b"def", b"ghi", b"jkl"]);
        assert_eq!(reader.next(4).expect("enough").as_ref(), b"abcd");
        assert_eq!(reader.next(4).expect("enough").as_ref(), b"efgh");
        assert_eq!(reader.next(4).expect("enough").as_ref(), b"ijkl");
        assert_eq!(pool.stats().live, 1);
        reader.release();
        assert_eq!(pool.stats().live, 0);
    }

    #[test]
    fn looking_ahead_does_not_add_up() {
        let pool = ChunkPool::new(8192, 8);
        let ones = [1; 8192];
        let mut reader = chunks(&pool, &[&ones[..]; 20]);
        let copies = |pool: &ChunkPool| pool.stats().live_bytes - 20 * 8192;
        for _ in 0..100 {
            assert_eq!(reader.peek(8192).expect("enough").len(), 8192);
        }
        assert_eq!(copies(&pool), 0);
        for _ in 0..100 {
            assert_eq!(reader.peek(8193).expect("enough").len(), 8193);
        }
        // The first chunk has been replaced by its copy.
        assert_eq!(copies(&pool), 1);
    }

    #[test]
    fn looking_ahead_a_byte_more_each_time_copies_each_byte_a_few_times_only() {
        let pool = ChunkPool::new(64, 8);
        let mut reader = LinkReader::new(pool.clone());
        let mut taken = 0;
        for count in 1..=if cfg!(miri) { 500 } else { 10_000 } {
            reader.push(Bytes::from_static(b"x"));
            reader.peek(count).expect("enough");
            let stats = pool.stats();
            taken = stats.hits + stats.misses;
        }
        assert!(taken < 20, "{taken} chunks");
    }

    #[test]
    #[should_panic(expected = "1 to 8 bytes")]
    fn a_number_of_nine_bytes_is_a_mistake() {
        let mut reader = chunks(&ChunkPool::new(16, 1), &[&[0; 16]]);
        let _ = reader.read_uint(9, Endian::Big);
    }
}
