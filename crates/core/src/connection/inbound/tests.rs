//! Splits, limits and growth.

use super::backlog::TRUSTED_REGION;
use super::*;
use crate::buffer::ChunkPool;
use crate::frame::{Delimiter, Endian, Framing, LengthField, Varint};

/// Feeds `wire` in pieces that end at `splits` and returns the messages, `limit` at a time.
fn messages(framing: &Framing, wire: &[u8], splits: &[usize], limit: usize) -> Vec<Vec<u8>> {
    let decoder = without_ids(framing);
    let mut read_buffer = ReadBuffer::new(ChunkPool::new(64 * 1024, 4)).expect("there is memory");
    let mut inbound = inbound();
    let mut out = Vec::new();
    let mut batch = Batch::with_capacity(64);
    let mut drain = |batch: &mut Batch| {
        for record in batch.records() {
            let chunk = batch.chunks()[record.chunk()].clone();
            let slice =
                crate::buffer::Slice::new(chunk, record.start as usize, record.length as usize);
            out.push(slice.as_ref().to_vec());
        }
        batch.clear();
    };
    let mut at = 0;
    for &split in splits.iter().chain([&wire.len()]) {
        while at < split {
            while inbound.is_held_back() {
                let taken =
                    inbound.decode_held_back(&mut read_buffer, decoder, &mut batch, 0, limit);
                assert_eq!(taken.error, None);
                drain(&mut batch);
            }
            let filled = inbound
                .fill(&mut read_buffer, |pieces| {
                    let before = at;
                    for piece in pieces {
                        let count = piece.len().min(split - at);
                        piece[..count].copy_from_slice(&wire[at..at + count]);
                        at += count;
                    }
                    Ok::<_, ()>(at - before)
                })
                .expect("infallible");
            let taken =
                inbound.decode_filled(&filled, &mut read_buffer, decoder, &mut batch, 0, limit);
            assert_eq!(taken.error, None);
            drain(&mut batch);
        }
    }
    while inbound.is_held_back() {
        let taken = inbound.decode_held_back(&mut read_buffer, decoder, &mut batch, 0, limit);
        assert_eq!(taken.error, None);
        drain(&mut batch);
    }
    assert!(!inbound.has_partial());
    out
}

fn inbound() -> Inbound {
    Inbound::new(Arc::new(UnfinishedBound::new(1 << 30)))
}

fn without_ids(framing: &Framing) -> Decoder<'_> {
    Decoder {
        framing,
        id_field: None,
    }
}

/// Copied piece by piece: byte by byte, Miri would take minutes.
fn length_prefixed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in payloads {
        wire.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        wire.extend_from_slice(payload);
    }
    wire
}

fn four_bytes() -> Framing {
    Framing::LengthField(LengthField::new(0, 4, 0, 4, Endian::Big, 1 << 24).expect("valid"))
}

#[test]
fn every_split_offset_of_three_frames_under_every_framing() {
    let payloads = [b"first".to_vec(), Vec::new(), b"the third".to_vec()];
    let varint = payloads
        .iter()
        .flat_map(|p| [&[p.len() as u8][..], p].concat())
        .collect();
    let lines = payloads
        .iter()
        .flat_map(|p| [p, &b"\r\n"[..]].concat())
        .collect();
    let cases: [(Framing, Vec<u8>); 3] = [
        (four_bytes(), length_prefixed(&payloads)),
        (Framing::Varint(Varint::new(100)), varint),
        (
            Framing::Delimiter(Delimiter::new(b"\r\n", 100).expect("valid")),
            lines,
        ),
    ];
    // One in five of the pairs where each takes a thousand times longer: every offset still is one of a pair.
    let step = if cfg!(miri) { 5 } else { 1 };
    for (framing, wire) in &cases {
        for first in 0..wire.len() {
            for second in (first..wire.len()).step_by(step) {
                for limit in [1, 2, 100] {
                    let got = messages(framing, wire, &[first, second], limit);
                    assert_eq!(got, payloads, "{framing:?} {first} {second} {limit}");
                }
            }
        }
    }
}

#[test]
fn large_messages_arrive_whole_whatever_the_reads_bring() {
    // With little beyond the size of a chunk where each byte takes long.
    let largest = if cfg!(miri) { 70_000 } else { 300_000 };
    let pattern: Vec<u8> = (0..251).collect();
    let payloads: Vec<Vec<u8>> = [40_000, 3, largest, 0, 70_000, 65_536]
        .iter()
        .map(|&length| pattern.repeat(length / pattern.len() + 1)[..length].to_vec())
        .collect();
    let wire = length_prefixed(&payloads);
    for step in [999, 4096, 30_000, 200_000] {
        let splits: Vec<usize> = (step..wire.len()).step_by(step).collect();
        assert_eq!(
            messages(&four_bytes(), &wire, &splits, 3),
            payloads,
            "{step}"
        );
    }
}

#[test]
fn a_header_alone_reserves_little() {
    let mut read_buffer = ReadBuffer::new(ChunkPool::new(256 * 1024, 4)).expect("there is memory");
    let mut inbound = inbound();
    let room = inbound.claim.room();
    let mut batch = Batch::with_capacity(64);
    for bytes in [&[0, 0xff][..], &[0, 0], &[1]] {
        let filled = inbound
            .fill(&mut read_buffer, |pieces| {
                pieces[0][..bytes.len()].copy_from_slice(bytes);
                Ok::<_, ()>(bytes.len())
            })
            .expect("infallible");
        let framing = four_bytes();
        let taken = inbound.decode_filled(
            &filled,
            &mut read_buffer,
            without_ids(&framing),
            &mut batch,
            0,
            9,
        );
        assert_eq!(taken, Taken::default());
    }
    assert!(inbound.has_partial());
    assert!(room - inbound.claim.room() <= TRUSTED_REGION);
}

/// Feeds all of `wire`, with no read of more than `step`; how many chunks that took.
fn feed(inbound: &mut Inbound, buffer: &mut ReadBuffer, wire: &[u8], step: usize) -> Vec<usize> {
    let framing = four_bytes();
    let mut batch = Batch::with_capacity(64);
    let mut lengths = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let filled = inbound
            .fill(buffer, |pieces| {
                let mut count = 0;
                for piece in pieces {
                    let part = piece.len().min(rest.len()).min(step - count);
                    piece[..part].copy_from_slice(&rest[..part]);
                    rest = &rest[part..];
                    count += part;
                }
                Ok::<_, ()>(count)
            })
            .expect("infallible");
        let decoder = without_ids(&framing);
        let taken = inbound.decode_filled(&filled, buffer, decoder, &mut batch, 0, 9);
        assert_eq!((taken.error, taken.room), (None, Room::Enough));
        lengths.extend(batch.records().iter().map(|record| record.length as usize));
        batch.clear();
    }
    lengths
}

#[test]
fn each_large_message_after_the_first_takes_one_chunk() {
    let cases = [
        (200_000, 70_000),
        (262_144, 1 << 20),
        (1 << 20, 40_000),
        (1 << 20, 1 << 21),
        (5 << 20, 100_000),
    ];
    // The smaller ones where each byte takes long.
    let count = if cfg!(miri) { 2 } else { cases.len() };
    for (size, step) in cases.into_iter().take(count) {
        let pool = ChunkPool::new(256 * 1024, 16);
        let mut buffer = ReadBuffer::new(pool.clone()).expect("there is memory");
        let mut inbound = inbound();
        let wire = length_prefixed(&[vec![7; size]]);
        feed(&mut inbound, &mut buffer, &wire, step);
        let taken = || pool.stats().hits + pool.stats().misses;
        let before = taken();
        for _ in 0..12 {
            assert_eq!(feed(&mut inbound, &mut buffer, &wire, step), [size]);
        }
        // One for each, and a few for the tail, which gets the beginnings.
        assert!(
            taken() - before <= 12 + 3,
            "{size}, {step}: {}",
            taken() - before
        );
    }
}

#[test]
fn what_a_connection_has_brought_decides_how_much_is_reserved_for_a_beginning() {
    let mut buffer = ReadBuffer::new(ChunkPool::new(256 * 1024, 16)).expect("there is memory");
    let mut inbound = inbound();
    let room = inbound.claim.room();
    let large = 1 << 20;
    feed(
        &mut inbound,
        &mut buffer,
        &length_prefixed(&[vec![7; large]]),
        large,
    );
    assert_eq!(inbound.claim.room(), room);
    // It announces 16 MiB, and sends little of that.
    let beginning = [&0xff_ffff_u32.to_be_bytes()[..], &[7; 40_000]].concat();
    feed(&mut inbound, &mut buffer, &beginning, large);
    let reserved = room - inbound.claim.room();
    assert!(reserved <= large + large / 8, "{reserved}");
    inbound.clear();
    feed(&mut inbound, &mut buffer, &beginning, large);
    assert!(room - inbound.claim.room() <= 8 * beginning.len() + 64 * 1024);
}

#[test]
fn where_memory_is_not_plenty_no_more_is_reserved_than_twice_what_is_there() {
    let bound = Arc::new(UnfinishedBound::new(1 << 20));
    let others = 600_000;
    assert!(bound.replace(0, others));
    let mut inbound = Inbound::new(bound.clone());
    let mut buffer = ReadBuffer::new(ChunkPool::new(256 * 1024, 16)).expect("there is memory");
    let beginning = [&400_000_u32.to_be_bytes()[..], &[7; 100_000]].concat();
    feed(&mut inbound, &mut buffer, &beginning, 1 << 20);
    assert!(bound.used() - others <= 2 * beginning.len());
}
