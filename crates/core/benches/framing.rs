//! Cutting messages out of what was read.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use netpoll_core::frame::{
    DEFAULT_MAX_LENGTH, Decoded, Delimiter, Endian, Framing, LengthField, Varint,
};

/// As much as one read brings.
const INPUT: usize = 64 * 1024;

/// A framing, and one message of that form with `size` bytes of payload.
type Form = (&'static str, Framing, fn(usize) -> Vec<u8>);

fn forms() -> Vec<Form> {
    let length = LengthField::new(0, 4, 0, 4, Endian::Big, DEFAULT_MAX_LENGTH);
    let line = Delimiter::new(b"\r\n", DEFAULT_MAX_LENGTH);
    vec![
        (
            "length field",
            Framing::LengthField(length.expect("a possible form")),
            |size| [&(size as u32).to_be_bytes()[..], &vec![7; size]].concat(),
        ),
        (
            "delimiter",
            Framing::Delimiter(line.expect("a delimiter")),
            |size| [&vec![b'a'; size][..], b"\r\n"].concat(),
        ),
        (
            "varint",
            Framing::Varint(Varint::new(DEFAULT_MAX_LENGTH)),
            // Two bytes say lengths from 128 to 16,383.
            |size| [&[size as u8 | 0x80, (size >> 7) as u8][..], &vec![7; size]].concat(),
        ),
    ]
}

fn cut_all(framing: &Framing, input: &[u8]) -> usize {
    let (mut at, mut messages) = (0, 0);
    while let Ok(Decoded::Frame { total, .. }) = framing.decode(&input[at..], 0) {
        at += total;
        messages += 1;
    }
    messages
}

fn framing(criterion: &mut Criterion) {
    for (name, framing, message) in forms() {
        let mut group = criterion.benchmark_group(name);
        for size in [128, 1024, 16_000] {
            let one = message(size);
            let input = one.repeat(INPUT / one.len());
            group.throughput(Throughput::Elements((INPUT / one.len()) as u64));
            group.bench_with_input(
                BenchmarkId::from_parameter(size),
                &input,
                |bencher, input| {
                    bencher.iter(|| cut_all(black_box(&framing), black_box(input)));
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, framing);
criterion_main!(benches);
