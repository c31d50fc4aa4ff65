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
    let mut batch = Batch::with_capacity(4096);
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

fn length_prefixed(payloads: &[Vec<u8>]) -> Vec<u8> {
    payloads
        .iter()
        .flat_map(|p| {
            (p.len() as u32)
                .to_be_bytes()
                .into_iter()
                .chain(p.iter().copied())
        })
        .collect()
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
    for (framing, wire) in &cases {
        for first in 0..wire.len() {
            for second in first..wire.len() {
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
    let payloads: Vec<Vec<u8>> = [40_000usize, 3, 300_000, 0, 70_000, 65_536]
        .iter()
        .map(|&length| (0..length).map(|i| (i % 251) as u8).collect())
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
