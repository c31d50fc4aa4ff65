//! The link buffer and a plain list of bytes, to which the same is done. The test takes its choices from a seed, the random
//! driver from an input.

use std::io::Read;

use bytes::{Buf, Bytes};
use netpoll_core::ChunkPool;
use netpoll_core::buffer::{LinkReader, LinkWriter, NotEnoughData, Piece, Region};
use netpoll_core::frame::Endian;

/// Beyond this a round reads more than it writes.
const MUCH: usize = 600;

/// Where choices come from.
pub trait Numbers {
    /// A number below `bound`, or 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize;
}

/// A reader, and the bytes that it must have.
struct Modelled {
    reader: LinkReader,
    bytes: Vec<u8>,
}

impl Modelled {
    /// Takes the first `count` bytes out of the model.
    fn take(&mut self, count: usize) -> Vec<u8> {
        self.bytes.drain(..count).collect()
    }
}

pub struct Round<Source: Numbers> {
    random: Source,
    pool: ChunkPool,
    main: Modelled,
    slices: Vec<Modelled>,
    writer: LinkWriter,
    written: Vec<u8>,
    /// Views that were given out, and the bytes that they showed then.
    views: Vec<(Piece, Vec<u8>)>,
    region: Option<Region>,
}

impl<Source: Numbers> Round<Source> {
    pub fn new(mut random: Source) -> Self {
        let pool = ChunkPool::new(1 + random.below(128), 4);
        Self {
            main: Modelled {
                reader: LinkReader::new(pool.clone()),
                bytes: Vec::new(),
            },
            writer: LinkWriter::new(pool.clone()),
            slices: Vec::new(),
            written: Vec::new(),
            views: Vec::new(),
            region: None,
            random,
            pool,
        }
    }

    #[allow(dead_code, reason = "an input is used up, and a seed is not")]
    pub fn numbers(&self) -> &Source {
        &self.random
    }

    /// Few different bytes, so that delimiters are found.
    fn bytes(&mut self, bound: usize) -> Vec<u8> {
        let length = self.random.below(bound);
        (0..length).map(|_| self.random.below(4) as u8).collect()
    }

    pub fn operate(&mut self) {
        match self.random.below(8) {
            0 | 1 => self.arrive(),
            2 | 3 => self.write(),
            4 => self.use_a_slice(),
            _ => {
                let Self {
                    main,
                    random,
                    views,
                    slices,
                    ..
                } = self;
                slices.extend(read(main, random, views));
            }
        }
        if self.views.len() > 20 {
            self.check_views();
        }
        let surplus = self.main.bytes.len().saturating_sub(MUCH);
        self.main.reader.skip(surplus).expect("they are there");
        self.main.take(surplus);
        assert_eq!(self.main.reader.len(), self.main.bytes.len());
        assert_eq!(self.main.reader.is_empty(), self.main.bytes.is_empty());
        assert_eq!(self.writer.malloc_length(), self.written.len());
    }

    /// Bytes from outside, each time in another kind of memory.
    fn arrive(&mut self) {
        let bytes = self.bytes(40);
        self.main.bytes.extend_from_slice(&bytes);
        match self.random.below(4) {
            0 => self.main.reader.push(Bytes::from(bytes)),
            1 => {
                let source = &mut bytes.as_slice();
                let wanted = self.main.reader.len() + bytes.len();
                let filled = self.main.reader.fill_from(source, wanted);
                filled.expect("as many as there are");
            }
            2 => {
                let mut region = Region::over(self.pool.take_at_least(bytes.len()));
                self.main.reader.push(region.append(&bytes));
            }
            _ => {
                let kept = self.region.take();
                let mut region = kept
                    .filter(|region| region.remaining() >= bytes.len())
                    .unwrap_or_else(|| Region::over(self.pool.take_at_least(bytes.len())));
                self.main.reader.push(region.append(&bytes));
                self.region = Some(region);
            }
        }
    }

    fn write(&mut self) {
        let bytes = self.bytes(30);
        match self.random.below(10) {
            0 | 1 => self.writer.malloc(bytes.len()).copy_from_slice(&bytes),
            2 => self.writer.write_binary(&bytes),
            3 => {
                let text = std::str::from_utf8(&bytes).expect("control characters");
                self.writer.write_string(text);
            }
            4 => return self.write_numbers(),
            5 => return self.insert(bytes),
            6 => return self.decode(),
            7 => {
                let mut other = LinkWriter::new(self.pool.clone());
                let (first, second) = bytes.split_at(bytes.len() / 2);
                other.write_binary(first);
                let direct = Bytes::copy_from_slice(second);
                other.write_direct(direct, 0).expect("nothing remains");
                self.writer.append(other);
            }
            _ => return self.flush(),
        }
        self.written.extend_from_slice(&bytes);
    }

    fn write_numbers(&mut self) {
        let value = self.random.below(usize::MAX) as u64;
        let size = 1 + self.random.below(8);
        self.writer.write_byte(value as u8);
        self.writer.write_uint(value, size, Endian::Big);
        self.writer.write_uint(value, size, Endian::Little);
        self.written.push(value as u8);
        let little = &value.to_le_bytes()[..size];
        self.written.extend(little.iter().rev());
        self.written.extend(little);
    }

    fn insert(&mut self, bytes: Vec<u8>) {
        let remaining = self.random.below(self.written.len() + 3);
        let inserted = self
            .writer
            .write_direct(Bytes::copy_from_slice(&bytes), remaining);
        match self.written.len().checked_sub(remaining) {
            Some(place) => {
                inserted.expect("as many are unflushed");
                self.written.splice(place..place, bytes);
            }
            None => assert!(inserted.is_err()),
        }
    }

    fn decode(&mut self) {
        let count = self.random.below(self.written.len() + 3);
        let decode = self.writer.malloc_ack(count);
        assert_eq!(decode.is_ok(), count <= self.written.len());
        self.written.truncate(count);
    }

    fn flush(&mut self) {
        let flushed = self.writer.flush();
        assert_eq!(flushed.byte_length(), self.written.len());
        for piece in flushed {
            self.main.reader.push(piece);
        }
        self.main.bytes.append(&mut self.written);
    }

    fn use_a_slice(&mut self) {
        let place = self.random.below(self.slices.len());
        let Some(slice) = self.slices.get_mut(place) else {
            return;
        };
        let inner = read(slice, &mut self.random, &mut self.views);
        assert_eq!(slice.reader.len(), slice.bytes.len());
        if slice.bytes.is_empty() || self.slices.len() > 8 {
            self.slices.swap_remove(place);
        }
        self.slices.extend(inner);
    }

    fn check_views(&mut self) {
        for (view, bytes) in self.views.drain(..) {
            assert_eq!(view.as_ref(), bytes);
        }
    }

    pub fn finish(mut self) {
        self.flush();
        self.check_views();
        for rest in self.slices.iter_mut().chain([&mut self.main]) {
            let length = rest.reader.len();
            assert_eq!(rest.reader.read_binary(length), Ok(rest.bytes.clone()));
        }
        let pool = self.pool.clone();
        drop(self);
        assert_eq!(pool.stats().live, 0);
    }
}

/// The first place of `delimiter` in `bytes`, from `from` on.
fn find(bytes: &[u8], delimiter: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let place = rest
        .windows(delimiter.len())
        .position(|it| it == delimiter)?;
    Some(from + place)
}

/// One operation of a reader, and on its model. Gives back the slice that it may have made.
fn read(
    it: &mut Modelled,
    random: &mut impl Numbers,
    views: &mut Vec<(Piece, Vec<u8>)>,
) -> Option<Modelled> {
    let most = it.bytes.len() + 2;
    let bound = if random.below(3) == 0 {
        most
    } else {
        most.min(12)
    };
    let count = random.below(bound);
    let is_there = count <= it.bytes.len();
    match random.below(12) {
        0 | 1 => expect(it.reader.next(count), is_there, |view| {
            assert_eq!(view.as_ref(), &it.bytes[..count]);
            views.push((view, it.bytes.drain(..count).collect()));
        }),
        2 | 3 => expect(it.reader.peek(count), is_there, |view| {
            views.push((view, it.bytes[..count].to_vec()));
        }),
        4 => expect(it.reader.skip(count), is_there, |()| {
            it.bytes.drain(..count);
        }),
        5 => {
            let place = find(&it.bytes, &[3, 2], 0);
            expect(it.reader.until(&[3, 2]), place.is_some(), |line| {
                let end = place.map_or(0, |place| place + 2);
                views.push((line, it.bytes.drain(..end).collect()));
            });
        }
        6 => {
            let length = 1 + random.below(5);
            let delimiter: Vec<u8> = (0..length).map(|_| random.below(2) as u8).collect();
            let found = it.reader.index_of(&delimiter, count);
            assert_eq!(found, find(&it.bytes, &delimiter, count));
        }
        7 => expect(it.reader.read_binary(count), is_there, |copy| {
            assert_eq!(copy, it.take(count));
        }),
        8 => expect(it.reader.read_string(count), is_there, |text| {
            let bytes = it.take(count);
            assert_eq!(text, String::from_utf8_lossy(&bytes));
        }),
        9 => read_numbers(it, random, count),
        10 => return read_elsewhere(it, random, count),
        _ => it.reader.release(),
    }
    None
}

/// Fails the test where bytes were given that are not there, or the other way round.
fn expect<T>(result: Result<T, NotEnoughData>, is_there: bool, check: impl FnOnce(T)) {
    assert_eq!(result.is_ok(), is_there);
    if let Ok(given) = result {
        check(given);
    }
}

fn read_numbers(it: &mut Modelled, random: &mut impl Numbers, offset: usize) {
    let size = 1 + random.below(8);
    let expected = it.bytes.get(offset..offset + size).map(|bytes| {
        let fold = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        let (big, little) = (bytes.iter(), bytes.iter().rev());
        (big.fold(0, fold), little.fold(0, fold))
    });
    let big = it.reader.peek_uint(size, offset, Endian::Big).ok();
    let little = it.reader.peek_uint(size, offset, Endian::Little).ok();
    assert_eq!(big.zip(little), expected);
    if offset > 0 {
        return;
    }
    assert_eq!(it.reader.read_uint(size, Endian::Big).ok(), big);
    it.bytes.drain(..big.map_or(0, |_| size));
    let byte = it.reader.read_byte().ok();
    assert_eq!(byte, it.bytes.first().copied());
    it.bytes.drain(..usize::from(byte.is_some()));
}

/// Reading by slices and by the interfaces of the standard library and `bytes`.
fn read_elsewhere(it: &mut Modelled, random: &mut impl Numbers, count: usize) -> Option<Modelled> {
    let within = count.min(it.bytes.len());
    match random.below(4) {
        0 => {
            it.reader.advance(within);
            it.take(within);
        }
        1 => {
            let mut target = vec![0; count];
            let filled = it.reader.read(&mut target).expect("memory");
            assert_eq!(filled, within);
            assert_eq!(target[..filled], it.take(filled));
        }
        2 => assert_eq!(it.reader.copy_to_bytes(within), it.take(within)),
        _ => {
            let slice = it.reader.slice(count);
            assert_eq!(slice.is_ok(), count == within);
            return slice.ok().map(|reader| Modelled {
                reader,
                bytes: it.take(count),
            });
        }
    }
    None
}
