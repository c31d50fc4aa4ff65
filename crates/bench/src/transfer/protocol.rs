//! How a transfer speaks, the same on both sides.
//!
//! The client's first byte says the direction. To upload, it then sends what it
//! likes and ends its direction. The server answers with the number of bytes
//! that came after the first, and closes. To download, it sends a number of
//! bytes, and the server sends that many and closes. Numbers are big-endian.
//!
//! What is transferred repeats one block: each 4 bytes of it, big-endian, are
//! their index times [`FACTOR`], so that misplaced bytes are found out.

/// First byte of an upload.
pub const UPLOAD: u8 = b'U';
/// First byte of a download.
pub const DOWNLOAD: u8 = b'D';
/// Bytes of a number.
pub const COUNT_SIZE: usize = 8;
/// Bytes of one write.
pub const BLOCK_SIZE: usize = 64 * 1024;
/// What is sent, over and over.
pub static BLOCK: [u8; BLOCK_SIZE] = make_block();

const FACTOR: u32 = 0x9e37_79b1;
const WORD: usize = 4;
/// Bytes of a sample, and the distance of the beginnings of two.
const SAMPLE: usize = 16;
const SAMPLE_DISTANCE: usize = 4 * 1024;

/// How much of what came is compared with what should have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// 16 bytes of each 4 KiB and the last 16 of each read.
    Samples,
    /// Every byte.
    Whole,
}

/// Bytes from `offset` of a transfer to the end of the block that they lie in.
pub fn rest_of_block(offset: u64) -> &'static [u8] {
    &BLOCK[(offset % BLOCK_SIZE as u64) as usize..]
}

/// Where in a transfer the first byte is that was compared and differs, if any.
/// `bytes` begin at `offset` of it.
pub fn difference(comparison: Comparison, bytes: &[u8], offset: u64) -> Option<u64> {
    match comparison {
        Comparison::Whole => first_difference(bytes, offset),
        Comparison::Samples => {
            let last = bytes.len().saturating_sub(SAMPLE);
            (0..bytes.len())
                .step_by(SAMPLE_DISTANCE)
                .chain([last])
                .find_map(|start| {
                    let end = bytes.len().min(start + SAMPLE);
                    first_difference(&bytes[start..end], offset + start as u64)
                })
        }
    }
}

fn first_difference(mut bytes: &[u8], mut offset: u64) -> Option<u64> {
    while !bytes.is_empty() {
        let expected = rest_of_block(offset);
        let length = expected.len().min(bytes.len());
        let (part, rest) = bytes.split_at(length);
        if part != &expected[..length] {
            let same = part
                .iter()
                .zip(expected)
                .take_while(|(one, other)| one == other);
            return Some(offset + same.count() as u64);
        }
        bytes = rest;
        offset += length as u64;
    }
    None
}

const fn make_block() -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    let mut index = 0;
    while index < BLOCK_SIZE {
        let word = ((index / WORD) as u32).wrapping_mul(FACTOR).to_be_bytes();
        block[index] = word[index % WORD];
        index += 1;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(length: usize) -> Vec<u8> {
        BLOCK.iter().copied().cycle().take(length).collect()
    }

    #[test]
    fn the_block_is_as_documented() {
        assert_eq!(BLOCK[..8], [0, 0, 0, 0, 0x9e, 0x37, 0x79, 0xb1]);
        let last = 16_383_u32.wrapping_mul(FACTOR);
        assert_eq!(BLOCK[BLOCK_SIZE - 4..], last.to_be_bytes());
    }

    #[test]
    fn what_was_sent_is_accepted_wherever_reads_split_it() {
        let sent = stream(3 * BLOCK_SIZE + 77);
        for comparison in [Comparison::Samples, Comparison::Whole] {
            for size in [1, 15, 4_097, BLOCK_SIZE, 100_000] {
                let mut offset = 0;
                for read in sent.chunks(size) {
                    assert_eq!(difference(comparison, read, offset), None);
                    offset += read.len() as u64;
                }
            }
        }
    }

    #[test]
    fn one_wrong_byte_is_found_where_it_is_compared() {
        let mut received = stream(2 * BLOCK_SIZE);
        received[BLOCK_SIZE + 5] ^= 1;
        let found = Some(BLOCK_SIZE as u64 + 5);
        assert_eq!(difference(Comparison::Samples, &received, 0), found);
        received[BLOCK_SIZE + 5] ^= 1;
        received[1_000] ^= 1;
        assert_eq!(difference(Comparison::Samples, &received, 0), None);
        assert_eq!(difference(Comparison::Whole, &received, 0), Some(1_000));
    }

    #[test]
    fn a_missing_byte_is_found_by_samples() {
        let mut received = stream(BLOCK_SIZE);
        received.remove(9_000);
        assert!(difference(Comparison::Samples, &received, 0).is_some());
    }
}
