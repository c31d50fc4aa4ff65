//! Readers and writers as the standard library and `bytes` know them, and filled from or emptied into
//! such.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use bytes::{Buf, Bytes};

use super::{LinkReader, LinkWriter};

impl LinkReader {
    /// Reads from `source` until at least `count` bytes can be read here. The bytes are read right into
    /// a chunk, as many at a time as it has room for.
    ///
    /// # Errors
    /// The source's own, or [`ErrorKind::UnexpectedEof`] when it ends before. What had come is kept.
    pub fn fill_from(&mut self, source: &mut impl Read, count: usize) -> io::Result<()> {
        while self.chain.len() < count {
            let mut region = self.take_room(1);
            let came = source.read(region.spare());
            let filled = came.as_ref().copied().unwrap_or(0);
            if filled > 0 {
                let unread = region.share(filled);
                self.push(unread);
            }
            self.keep_room(region);
            match came {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Buf for LinkReader {
    fn remaining(&self) -> usize {
        self.chain.len()
    }

    fn chunk(&self) -> &[u8] {
        self.chain.pieces.front().map_or(&[], AsRef::as_ref)
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        // Nothing is foreign here, and so nothing detached.
        self.chain.gather(usize::MAX, target).unwrap_or(0)
    }

    fn advance(&mut self, count: usize) {
        self.chain.advance(count);
    }

    /// Shares the bytes where they lie in one piece.
    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.next(count)
            .expect("the caller asks for no more than remaining()")
            .into()
    }
}

impl Read for LinkReader {
    /// Copies out what is there, and never waits: 0 says that there is nothing at the moment.
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let count = self.chain.len().min(target.len());
        let mut filled = 0;
        self.chain.consume(count, |piece| {
            target[filled..filled + piece.len()].copy_from_slice(piece.as_ref());
            filled += piece.len();
        });
        Ok(count)
    }
}

impl LinkWriter {
    /// Writes everything into `sink`.
    ///
    /// # Errors
    /// The sink's own. What it has not taken is unflushed as before.
    pub fn flush_into(&mut self, sink: &mut impl Write) -> io::Result<()> {
        let mut unsent = self.flush();
        while let Some(mut piece) = unsent.next() {
            while !piece.is_empty() {
                match sink.write(piece.as_ref()) {
                    Ok(count) if count > 0 => piece.advance(count),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    refused => {
                        unsent.put_back(piece);
                        self.restore(unsent);
                        return refused.and(Err(ErrorKind::WriteZero.into()));
                    }
                }
            }
        }
        sink.flush()
    }
}

impl Write for LinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_binary(bytes);
        Ok(bytes.len())
    }

    /// Does nothing, because there is no place to write to: bytes leave by [`LinkWriter::flush`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::min;

    use super::super::super::ChunkPool;
    use super::*;

    /// Gives at most `step` bytes at a time, and is interrupted before each.
    struct Dripping<'a> {
        bytes: &'a [u8],
        step: usize,
        is_interrupted: bool,
    }

    impl Read for Dripping<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            self.is_interrupted = !self.is_interrupted;
            if self.is_interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = min(target.len(), self.step);
            self.bytes.read(&mut target[..count])
        }
    }

    /// Takes `room` bytes, three at a time, and fails then.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken.len() == self.room {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let count = min(bytes.len(), min(3, self.room - self.taken.len()));
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer_of(text: &str) -> LinkWriter {
        let mut writer = LinkWriter::new(ChunkPool::new(16, 4));
        writer.write_string(text);
        writer
    }

    #[test]
    fn a_source_is_read_until_there_is_enough() {
        let mut source = Dripping {
            bytes: b"a longer text than a chunk has room for",
            step: 5,
            is_interrupted: false,
        };
        let mut reader = LinkReader::new(ChunkPool::new(16, 4));
        reader.fill_from(&mut source, 8).expect("there is more");
        assert_eq!(reader.len(), 10);
        assert_eq!(reader.next(8).expect("filled").as_ref(), b"a longer");
        reader.fill_from(&mut source, 2).expect("they are there");
        assert_eq!(reader.len(), 2);
        reader.fill_from(&mut source, 31).expect("the rest");
        let rest = reader.read_string(31).expect("filled");
        assert_eq!(rest, " text than a chunk has room for");
    }

    #[test]
    fn the_end_of_a_source_is_an_error_that_keeps_what_came() {
        let mut reader = LinkReader::new(ChunkPool::new(16, 4));
        let ended = reader.fill_from(&mut io::empty(), 1);
        assert_eq!(ended.map_err(|it| it.kind()), Err(ErrorKind::UnexpectedEof));
        let ended = reader.fill_from(&mut &b"abc"[..], 4);
        assert_eq!(ended.map_err(|it| it.kind()), Err(ErrorKind::UnexpectedEof));
        assert_eq!(reader.read_string(3).as_deref(), Ok("abc"));
    }

    #[test]
    fn an_endless_source_is_read_no_further_than_the_room_offered() {
        let mut reader = LinkReader::new(ChunkPool::new(4096, 4));
        let mut source = io::repeat(7);
        reader.fill_from(&mut source, 8192).expect("endless");
        assert_eq!(reader.next(8192).expect("filled").as_ref(), [7; 8192]);
        assert_eq!(reader.len(), 0);
        reader.fill_from(&mut source, 2048).expect("endless");
        assert_eq!(reader.peek(2048).expect("filled").as_ref(), [7; 2048]);
        reader.skip(2048).expect("filled");
        reader.release();
    }

    #[test]
    fn a_sink_gets_everything_in_order() {
        let mut writer = writer_of("what is written before, ");
        let direct = Bytes::from_static(b"inserted, ");
        writer.write_direct(direct, 0).expect("nothing remains");
        writer.write_string("and after");
        let mut sink = Narrow {
            taken: Vec::new(),
            room: 1000,
        };
        writer.flush_into(&mut sink).expect("room enough");
        assert_eq!(sink.taken, b"what is written before, inserted, and after");
        assert_eq!(writer.malloc_length(), 0);
    }

    #[test]
    fn what_a_sink_does_not_take_is_kept() {
        let text = "more than the sink has room for";
        for room in 0..text.len() {
            let mut writer = writer_of(text);
            let mut sink = Narrow {
                taken: Vec::new(),
                room,
            };
            let failed = writer.flush_into(&mut sink);
            assert_eq!(failed.map_err(|it| it.kind()), Err(ErrorKind::BrokenPipe));
            writer.write_string("!");
            assert_eq!(writer.malloc_length(), text.len() + 1 - room);
            let mut rest = Vec::new();
            writer.flush_into(&mut rest).expect("a list takes all");
            assert_eq!([sink.taken, rest].concat(), format!("{text}!").as_bytes());
        }
    }

    #[test]
    fn a_sink_that_takes_nothing_is_an_error() {
        let full: &mut [u8] = &mut [];
        let failed = writer_of("text").flush_into(&mut { full });
        assert_eq!(failed.map_err(|it| it.kind()), Err(ErrorKind::WriteZero));
    }

    #[test]
    fn read_and_write_of_the_standard_library() {
        let mut writer = writer_of("");
        write!(writer, "hello {}", 5).expect("memory");
        Write::flush(&mut writer).expect("nothing to do");
        assert_eq!(writer.malloc_length(), 7);
        let mut reader = LinkReader::from(writer);
        let mut target = [0; 1024];
        assert_eq!(reader.read(&mut target[..4]).expect("there"), 4);
        assert_eq!(reader.read(&mut target[4..]).expect("there"), 3);
        assert_eq!(reader.read(&mut target).expect("nothing"), 0);
        assert_eq!(&target[..7], b"hello 5");

        let mut reader = LinkReader::from(writer_of("all of a longer text than one chunk"));
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        assert_eq!(text, "all of a longer text than one chunk");
    }

    #[test]
    fn copying_out_lets_go_of_chunks_but_not_of_those_under_a_view() {
        let pool = ChunkPool::new(8, 4);
        let mut writer = LinkWriter::new(pool.clone());
        writer.write_binary(&(0..24).collect::<Vec<u8>>());
        let mut reader = LinkReader::from(writer);
        let view = reader.peek(4).expect("there");
        assert_eq!(pool.stats().live, 3);
        let mut target = [0; 20];
        reader.read_exact(&mut target).expect("there");
        assert!(target.iter().copied().eq(0..20));
        // The first is kept by the view, the last by what is unread.
        assert_eq!((pool.stats().live, reader.len()), (2, 4));
        assert_eq!(view.as_ref(), [0, 1, 2, 3]);
        drop(view);
        assert_eq!(pool.stats().live, 1);
        assert_eq!(reader.read(&mut target).expect("there"), 4);
        assert_eq!(pool.stats().live, 0);
    }

    #[test]
    fn the_buffer_of_the_bytes_crate() {
        let mut reader = LinkReader::from(writer_of("0123456789abcdef0123456789"));
        assert_eq!(reader.remaining(), 26);
        assert_eq!(Buf::chunk(&reader), b"0123456789abcdef");
        let mut slots = [IoSlice::new(&[]); 4];
        assert_eq!(reader.chunks_vectored(&mut slots), 2);
        assert_eq!(&*slots[1], b"0123456789");
        reader.advance(4);
        let before = Buf::chunk(&reader).as_ptr();
        assert_eq!(reader.copy_to_bytes(4).as_ptr(), before);
        reader.advance(4);
        assert_eq!(&*reader.copy_to_bytes(8), b"cdef0123");
        assert_eq!(reader.get_u16(), u16::from_be_bytes(*b"45"));
        assert_eq!(reader.remaining(), 4);
    }
}
