//! What waits to be sent on one connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;

use crate::buffer::Slice;

/// Slices in the order in which they are sent. None of them is copied.
#[derive(Default)]
pub struct Outbound {
    slices: VecDeque<Slice>,
    queued: usize,
}

impl Outbound {
    /// Appends `slice`. Where it continues the last one in memory the two become one, so that an
    /// echo of many small messages leaves as few pieces as it arrived in.
    pub fn push(&mut self, slice: Slice) {
        self.queued += slice.len();
        let separate = match self.slices.back_mut() {
            Some(last) => last.extend(slice).err(),
            None => Some(slice),
        };
        self.slices
            .extend(separate.filter(|slice| !slice.is_empty()));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.queued = 0;
    }
}

impl Buf for Outbound {
    fn remaining(&self) -> usize {
        self.queued
    }

    fn chunk(&self) -> &[u8] {
        self.slices.front().map_or(&[], AsRef::as_ref)
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (place, slice) in target.iter_mut().zip(&self.slices) {
            *place = IoSlice::new(slice.as_ref());
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.queued, "advanced beyond what is queued");
        self.queued -= count;
        while count > 0 {
            let Some(front) = self.slices.front_mut() else {
                break;
            };
            if count < front.len() {
                front.advance(count);
                break;
            }
            count -= front.len();
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{ChunkPool, Region};

    #[test]
    fn leaves_in_order_whatever_the_writes_take() {
        let pool = ChunkPool::new(64, 4);
        for step in 1..12 {
            let mut outbound = Outbound::default();
            let (mut one, mut other) = (Region::over(pool.take()), Region::over(pool.take()));
            outbound.push(one.append(b"ab"));
            outbound.push(other.append(b"cd"));
            outbound.push(one.append(b"ef"));
            outbound.push(one.append(b"gh"));
            outbound.push(other.append(b""));
            let mut sent = Vec::new();
            while outbound.has_remaining() {
                let mut vectors = [IoSlice::new(&[]); 2];
                let count = outbound.chunks_vectored(&mut vectors);
                let all: Vec<u8> = vectors[..count].iter().flat_map(|v| v.to_vec()).collect();
                let taken = step.min(all.len());
                sent.extend_from_slice(&all[..taken]);
                outbound.advance(taken);
            }
            assert_eq!(sent, b"abcdefgh");
            assert!(outbound.slices.is_empty());
        }
    }

    #[test]
    fn neighbours_in_memory_leave_as_one() {
        let mut region = Region::over(ChunkPool::new(64, 4).take());
        let mut outbound = Outbound::default();
        for _ in 0..8 {
            outbound.push(region.append(b"message"));
        }
        assert_eq!(outbound.slices.len(), 1);
        assert_eq!(outbound.remaining(), 56);
    }
}
