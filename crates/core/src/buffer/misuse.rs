//! Every safe function of this folder with the worst arguments: it may panic, and must not touch what it has no right to.
//! The results do not tell; Miri does (`npm run test:long`).

use std::io::{IoSlice, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Buf, Bytes};

use super::*;
use crate::frame::Endian;

const SIZE: usize = 64;
#[cfg(not(miri))]
const NUMBERS: &[usize] = &[0, 1, 16, 48, 64, 65, isize::MAX as usize + 1, usize::MAX];
/// Every panic takes Miri a while, and there are as many as pairs and calls.
#[cfg(miri)]
const NUMBERS: &[usize] = &[0, 16, 48, 65, usize::MAX];

/// Calls `function`, which may panic.
fn try_to<T>(function: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(function)).ok()
}

/// With each pair of numbers.
fn with_pairs(function: impl Fn(usize, usize)) {
    for first in NUMBERS {
        for second in NUMBERS {
            function(*first, *second);
        }
    }
}

/// What a caller may do with bytes: read each.
fn look(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| usize::from(*byte)).sum()
}

fn pool() -> ChunkPool {
    ChunkPool::new(SIZE, 4)
}

/// A region of which 16 bytes are committed and 16 belong to another that is being filled.
fn divided() -> (Region, Region) {
    let mut tail = Region::over(pool().take());
    tail.copy_in(&[1; 16]);
    let own = tail.split(16);
    (tail, own)
}

#[test]
fn slices_of_any_range_see_no_byte_that_a_region_fills() {
    with_pairs(|start, length| {
        let (mut tail, mut own) = divided();
        let chunk = tail.chunk().clone();
        // Both are borrowed for writing while the slice is looked at: Miri tells if they meet.
        let (spare, filling) = (tail.spare(), own.spare());
        let slice = try_to(|| Slice::new(chunk.clone(), start, length));
        let checked = Slice::checked(chunk, start, length);
        assert_eq!(slice.is_some(), checked.is_some());
        for slice in [slice, checked].into_iter().flatten() {
            assert!(slice.start() + slice.len() <= 16);
            look(slice.as_ref());
        }
        spare.fill(2);
        filling.fill(3);
    });
}

#[test]
fn slices_of_what_is_committed_meanwhile_on_another_thread() {
    let (mut tail, mut own) = divided();
    let chunk = tail.chunk().clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            own.spare().fill(7);
            own.commit(16);
            tail.spare().fill(7);
            tail.commit(8);
            tail.commit(8);
        });
        for _ in 0..20 {
            for start in (0..SIZE).step_by(8) {
                if let Some(slice) = Slice::checked(chunk.clone(), start, 8) {
                    assert_eq!(look(slice.as_ref()), if start < 16 { 8 } else { 56 });
                }
            }
            std::thread::yield_now();
        }
    });
    assert!(Slice::checked(chunk.clone(), 0, 48).is_some());
    assert!(Slice::checked(chunk, 0, 49).is_none());
}

#[test]
fn slices_with_any_numbers() {
    with_pairs(|first, second| {
        let mut region = Region::over(pool().take());
        let mut slice = region.append(&[1; 32]);
        try_to(|| slice.advance(first));
        if let Some(part) = try_to(|| slice.split_to(second)) {
            look(part.as_ref());
            look(&Bytes::from(part));
        }
        look(slice.as_ref());
        let _ = slice.extend(region.append(&[]));
        look(slice.as_ref());
    });
}

#[test]
fn regions_with_any_numbers() {
    with_pairs(|first, second| {
        let (tail, own) = divided();
        for mut region in [tail, own] {
            try_to(|| region.commit(first));
            if let Some(mut part) = try_to(|| region.split(second)) {
                try_to(|| look(region.committed_from(first)));
                try_to(|| look(part.committed_from(second)));
                let (spare, filling) = (region.spare(), part.spare());
                spare.fill(4);
                filling.fill(5);
                look(part.into_slice().as_ref());
            }
            try_to(|| look(region.committed_from(first)));
            try_to(|| look(region.uncommitted(second)));
            try_to(|| look(region.share(first).as_ref()));
            try_to(|| look(region.append(&vec![6; second.min(1_000)]).as_ref()));
            try_to(|| region.copy_in(&vec![6; first.min(1_000)]));
            try_to(|| region.limit(second).spare().fill(7));
        }
    });
}

#[test]
fn regions_over_chunks_that_others_hold() {
    let chunk = pool().take();
    let slice = Slice::new(chunk.clone(), 0, SIZE);
    assert!(try_to(|| Region::over(chunk.clone())).is_none());
    look(slice.as_ref());
    drop(slice);
    let region = try_to(|| Region::over(chunk)).expect("nobody else holds it");
    let again = region.chunk().clone();
    assert!(try_to(|| Region::over(again)).is_none());
}

#[test]
fn regions_that_are_filled_anew_while_others_hold_their_chunk() {
    let mut region = Region::over(pool().take());
    let slice = region.append(&[1; 8]);
    assert!(region.again().is_none(), "a slice sees it");
    look(slice.as_ref());
    let (tail, own) = divided();
    assert!(tail.again().is_none(), "another region fills a part of it");
    assert!(own.again().is_none(), "it was split off");
    let mut again = Region::over(pool().take()).limit(8);
    for _ in 0..3 {
        again.copy_in(&[1; 8]);
        again = again.again().expect("nobody else holds it").limit(8);
        again.spare().fill(2);
    }
}

#[test]
fn pools_and_intakes_with_any_numbers() {
    for chunk_size in [0, 1, 2, 5, SIZE] {
        for &number in NUMBERS {
            let pool = ChunkPool::new(chunk_size, number);
            let size = if number > 1_000 { usize::MAX } else { number };
            try_to(|| look(Region::over(pool.take_at_least(size)).spare()));
            try_to(|| look(Region::over(pool.take_exactly(size)).spare()));
            let mut read_buffer = ReadBuffer::new(pool).expect("there is memory");
            try_to(|| read_buffer.spare(number).map(|spare| look(spare)));
            try_to(|| {
                let spare = read_buffer.spare_behind(&[1; 3], number, number);
                spare.map(|spare| spare.fill(1))
            });
            try_to(|| read_buffer.tail().commit(number));
            try_to(|| {
                let region = read_buffer.reserve_around(number, size);
                region.map(|mut region| look(region.spare()))
            });
            try_to(|| read_buffer.make_room(size));
            if let Some(Ok(mut region)) = try_to(|| read_buffer.reserve(size)) {
                region.spare().fill(1);
                read_buffer.tail().spare().fill(2);
            }
            try_to(|| {
                let region = read_buffer.reserve_alone(size);
                region.map(|mut region| look(region.spare()))
            });
            try_to(|| read_buffer.expect(number, number, number));
            try_to(|| read_buffer.cost(number));
        }
    }
}

#[test]
fn readers_and_writers_with_any_numbers() {
    with_pairs(|first, second| {
        let mut writer = LinkWriter::new(pool());
        writer.write_binary(&[1; 100]);
        let size = if first > 1_000 { usize::MAX } else { first };
        try_to(|| writer.malloc(size).fill(2));
        let _ = writer.malloc_ack(second);
        let _ = writer.write_direct(Bytes::from_static(b"direct"), second);
        try_to(|| writer.write_uint(u64::MAX, first, Endian::Big));
        let _ = writer.write(&[3; 70]);
        let mut reader = LinkReader::from(writer);
        for piece in [reader.peek(first), reader.next(second)]
            .into_iter()
            .flatten()
        {
            look(piece.as_ref());
        }
        try_to(|| reader.peek_uint(first, second, Endian::Little));
        try_to(|| reader.advance(second));
        try_to(|| look(&reader.copy_to_bytes(first)));
        let _ = reader.read(&mut [0; 10]);
        let _ = reader.skip(second);
        if let Ok(slice) = reader.slice(first) {
            look(slice.chunk());
        }
        reader.release();
        let _ = reader.read_binary(reader.len());
    });
}

/// Foreign memory of 8 bytes, of which any part may be asked for.
struct Elsewhere(Vec<u8>);

impl ForeignBytes for Elsewhere {
    fn bytes(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}

#[test]
fn chains_with_any_numbers() {
    with_pairs(|first, second| {
        let mut region = Region::over(pool().take());
        let mut chain: Chain<Box<dyn ForeignBytes>> = Chain::default();
        let foreign: Box<dyn ForeignBytes> = Box::new(Elsewhere(vec![1; 8]));
        let pushed = [
            chain.push_slice(region.append(&[1; 16])),
            chain.push(Bytes::from_static(b"owned")),
            chain.push_slice(region.append(&[])),
        ];
        assert_eq!(pushed, [Ok(()); 3]);
        let pushed = chain.push(Foreign::new(foreign, first, second));
        assert_eq!(pushed.is_ok(), second < usize::MAX);
        for step in [0, first, second, 1] {
            try_to(|| chain.advance(step));
            let mut pieces = [IoSlice::new(&[]); 2];
            let gathered = try_to(|| chain.gather(first, &mut pieces));
            if let Some(Ok(count)) = gathered {
                pieces[..count].iter().for_each(|piece| {
                    look(piece);
                });
            }
        }
        chain.clear();
        assert!(chain.is_empty());
    });
}
