//! Reading and writing a stream in messages: a length of 4 bytes, and the payload.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netpoll_core::ChunkPool;
use netpoll_core::Slice;
use netpoll_core::buffer::{LinkReader, LinkWriter, NotEnoughData, Region};
use netpoll_core::frame::Endian;

const CHUNK: usize = 256 * 1024;
const HEADER: usize = 4;
/// Messages that are written or read together.
const MESSAGES: usize = 64;
const SIZES: [usize; 3] = [128, 1024, 4096];

fn pool() -> ChunkPool {
    ChunkPool::new(CHUNK, 16)
}

/// Messages as they are read from a socket: in pieces of so many bytes.
fn received(pool: &ChunkPool, size: usize, piece: usize) -> Vec<Slice> {
    let message = [&(size as u32).to_be_bytes()[..], &vec![7; size]].concat();
    let bytes = message.repeat(MESSAGES);
    bytes
        .chunks(piece)
        .map(|bytes| Region::over(pool.take_at_least(bytes.len())).append(bytes))
        .collect()
}

fn read_all(reader: &mut LinkReader) -> Result<usize, NotEnoughData> {
    let mut total = 0;
    while !reader.is_empty() {
        let size = reader.read_uint(HEADER, Endian::Big)? as usize;
        total += reader.next(size)?.len();
    }
    Ok(total)
}

fn reader(criterion: &mut Criterion) {
    let pool = pool();
    // Whole, and cut where no message ends.
    for (name, piece) in [
        ("read from one piece", usize::MAX),
        ("read across pieces", 5_000),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(MESSAGES as u64));
        for size in SIZES {
            let pieces = received(&pool, size, piece);
            group.bench_with_input(BenchmarkId::from_parameter(size), &size, |bencher, size| {
                bencher.iter(|| {
                    let mut reader = LinkReader::new(pool.clone());
                    for piece in &pieces {
                        reader.push(piece.clone());
                    }
                    assert_eq!(read_all(&mut reader), Ok(size * MESSAGES));
                });
            });
        }
        group.finish();
    }
}

fn writer(criterion: &mut Criterion) {
    let pool = pool();
    let mut group = criterion.benchmark_group("write and flush");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    for size in SIZES {
        let payload = vec![7; size];
        group.bench_with_input(
            BenchmarkId::from_parameter(size),
            &payload,
            |bencher, payload| {
                let mut writer = LinkWriter::new(pool.clone());
                bencher.iter(|| {
                    for _ in 0..MESSAGES {
                        writer.write_uint(payload.len() as u64, HEADER, Endian::Big);
                        writer.write_binary(black_box(payload));
                    }
                    assert_eq!(
                        writer.flush().byte_length(),
                        (HEADER + payload.len()) * MESSAGES
                    );
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, reader, writer);
criterion_main!(benches);
