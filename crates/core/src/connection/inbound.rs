//! What has arrived on one connection and is not a whole message yet.

use std::io::IoSliceMut;

use crate::batch::Batch;
use crate::buffer::{Intake, Region};
use crate::frame::{Cut, FrameError, Framing};

/// First size of a region for a message whose length is not known yet.
const SMALLEST_REGION: usize = 4 * 1024;
/// A message of known length gets all of its space once this much, or half of it, has arrived. Until
/// then its region doubles, so that a header alone makes nobody reserve 16 MiB.
const TRUSTED_REGION: usize = 16 * 1024;

/// Bytes `start..region.filled()` that could not be cut yet.
struct Backlog {
    region: Region,
    start: usize,
    /// Bytes from `start` that need not be searched for a delimiter again.
    scanned: usize,
    /// Bytes of the frame at `start`, where its header has told.
    needed: Option<usize>,
}

impl Backlog {
    fn length(&self) -> usize {
        self.region.filled() - self.start
    }

    /// Whether the region ends where the frame does, so that what follows may be read elsewhere.
    fn is_exact(&self) -> bool {
        self.needed == Some(self.length() + self.region.remaining())
    }

    /// How much space the next region takes: enough for the frame, or twice what is there.
    fn growth(&self) -> usize {
        let doubled = 2 * self.length();
        match self.needed {
            Some(total) => total.min(doubled.max(TRUSTED_REGION)),
            None => doubled.max(SMALLEST_REGION),
        }
    }
}

/// The unfinished input of a connection. Most connections have none between two reads, and their
/// messages are handed over where the socket was read to.
#[derive(Default)]
pub struct Inbound {
    backlog: Option<Backlog>,
    /// Whether the backlog may hold a whole message that found no room.
    held_back: bool,
}

/// Bytes of the tail that were just read.
#[derive(Clone, Copy)]
struct Fresh {
    start: usize,
    end: usize,
}

impl Inbound {
    /// Whether messages may be waiting for room, without a read.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Whether the peer has begun a message and not finished it.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.backlog.is_some() && !self.held_back
    }

    /// Bytes of memory reserved for this connection alone.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.backlog
            .as_ref()
            .map_or(0, |backlog| backlog.length() + backlog.region.remaining())
    }

    /// Lets everything go.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes `read` fill the right memory. `read` gets one or two pieces of memory and returns how many bytes it filled, in order.
    ///
    /// # Errors
    /// Whatever `read` returns.
    pub fn fill<E>(
        &mut self,
        intake: &mut Intake,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, E>,
    ) -> Result<Filled, E> {
        let Some(backlog) = &mut self.backlog else {
            let offered = intake.spare().len();
            let count = read(&mut [IoSliceMut::new(intake.spare())])?;
            let fresh = Self::commit_fresh(intake, count);
            return Ok(Filled {
                count,
                offered,
                fresh,
            });
        };
        if backlog.region.remaining() == 0 {
            let mut region = intake.reserve(backlog.growth());
            let start = region.filled();
            region.append(backlog.region.committed_from(backlog.start));
            backlog.region = region;
            backlog.start = start;
        }
        let exact = backlog.is_exact();
        let own = backlog.region.spare();
        let own_length = own.len();
        if !exact {
            let count = read(&mut [IoSliceMut::new(own)])?;
            backlog.region.commit(count);
            let fresh = Self::commit_fresh(intake, 0);
            return Ok(Filled {
                count,
                offered: own_length,
                fresh,
            });
        }
        let spare = intake.spare();
        let offered = own_length + spare.len();
        let count = read(&mut [IoSliceMut::new(own), IoSliceMut::new(spare)])?;
        backlog.region.commit(count.min(own_length));
        let fresh = Self::commit_fresh(intake, count.saturating_sub(own_length));
        Ok(Filled {
            count,
            offered,
            fresh,
        })
    }

    fn commit_fresh(intake: &mut Intake, count: usize) -> Fresh {
        let tail = intake.tail();
        let start = tail.filled();
        tail.commit(count);
        Fresh {
            start,
            end: start + count,
        }
    }

    /// Cuts what a [`Self::fill`] brought into `batch`, at most `limit` messages.
    pub fn cut_filled(
        &mut self,
        filled: &Filled,
        intake: &mut Intake,
        framing: &Framing,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let mut taken = self.cut_held_back(framing, batch, slot, limit);
        let Fresh { start, end } = filled.fresh;
        if start == end || taken.error.is_some() {
            return taken;
        }
        debug_assert!(
            self.backlog.is_none(),
            "only an exact region is followed by fresh bytes"
        );
        let tail = intake.tail();
        let mut run = Run {
            start,
            scanned: 0,
            needed: None,
        };
        let more = run.cut(tail, framing, batch, slot, limit - taken.count);
        taken = Taken {
            count: taken.count + more.count,
            error: more.error,
        };
        if run.start < end {
            self.held_back = taken.count == limit;
            self.backlog = Some(Backlog {
                region: Region::full(tail.chunk().clone(), end),
                start: run.start,
                scanned: run.scanned,
                needed: run.needed,
            });
        }
        taken
    }

    /// Cuts the backlog into `batch`, at most `limit` messages.
    pub fn cut_held_back(
        &mut self,
        framing: &Framing,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let Some(backlog) = &mut self.backlog else {
            return Taken::default();
        };
        let mut run = Run {
            start: backlog.start,
            scanned: backlog.scanned,
            needed: backlog.needed,
        };
        let taken = run.cut(&backlog.region, framing, batch, slot, limit);
        if run.start == backlog.region.filled() {
            self.clear();
        } else {
            self.held_back = taken.count == limit;
            backlog.start = run.start;
            backlog.scanned = run.scanned;
            backlog.needed = run.needed;
        }
        taken
    }
}

/// What one read brought.
pub struct Filled {
    /// Bytes read; 0 is the peer's end.
    pub count: usize,
    /// Bytes that there was room for.
    pub offered: usize,
    fresh: Fresh,
}

/// How many messages were cut, and why no further one can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages now in the batch.
    pub count: usize,
    /// What is wrong with the bytes after them.
    pub error: Option<FrameError>,
}

/// A place in committed bytes from which frames are cut.
struct Run {
    start: usize,
    scanned: usize,
    needed: Option<usize>,
}

impl Run {
    /// The loop that every message passes: no allocation, and no reference count but one per call.
    fn cut(
        &mut self,
        region: &Region,
        framing: &Framing,
        batch: &mut Batch,
        slot: u32,
        limit: usize,
    ) -> Taken {
        let mut bytes = region.committed_from(self.start);
        let mut chunk_index = None;
        let mut count = 0;
        while count < limit && !bytes.is_empty() {
            match framing.cut(bytes, self.scanned) {
                Err(error) => {
                    return Taken {
                        count,
                        error: Some(error),
                    };
                }
                Ok(Cut::Frame { total, start, end }) => {
                    let chunk =
                        *chunk_index.get_or_insert_with(|| batch.chunk_index(region.chunk()));
                    batch.message(slot, chunk, self.start + start, end - start);
                    *self = Self {
                        start: self.start + total,
                        scanned: 0,
                        needed: None,
                    };
                    bytes = &bytes[total..];
                    count += 1;
                }
                Ok(Cut::Short { total }) => {
                    self.needed = Some(total);
                    break;
                }
                Ok(Cut::Unknown { scanned }) => {
                    self.scanned = scanned;
                    break;
                }
            }
        }
        Taken { count, error: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::ChunkPool;
    use crate::frame::{Delimiter, Endian, LengthField, Varint};

    /// Feeds `wire` in pieces that end at `splits` and returns the messages, `limit` at a time.
    fn messages(framing: &Framing, wire: &[u8], splits: &[usize], limit: usize) -> Vec<Vec<u8>> {
        let mut intake = Intake::new(ChunkPool::new(64 * 1024, 4));
        let mut inbound = Inbound::default();
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
                    let taken = inbound.cut_held_back(framing, &mut batch, 0, limit);
                    assert_eq!(taken.error, None);
                    drain(&mut batch);
                }
                let filled = inbound
                    .fill(&mut intake, |pieces| {
                        let before = at;
                        for piece in pieces {
                            let count = piece.len().min(split - at);
                            piece[..count].copy_from_slice(&wire[at..at + count]);
                            at += count;
                        }
                        Ok::<_, ()>(at - before)
                    })
                    .expect("infallible");
                let taken = inbound.cut_filled(&filled, &mut intake, framing, &mut batch, 0, limit);
                assert_eq!(taken.error, None);
                drain(&mut batch);
            }
        }
        while inbound.is_held_back() {
            let taken = inbound.cut_held_back(framing, &mut batch, 0, limit);
            assert_eq!(taken.error, None);
            drain(&mut batch);
        }
        assert!(!inbound.has_partial());
        drop(drain);
        out
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
        let mut intake = Intake::new(ChunkPool::new(256 * 1024, 4));
        let mut inbound = Inbound::default();
        let mut batch = Batch::with_capacity(64);
        for bytes in [&[0, 0xff][..], &[0, 0], &[1]] {
            let filled = inbound
                .fill(&mut intake, |pieces| {
                    pieces[0][..bytes.len()].copy_from_slice(bytes);
                    Ok::<_, ()>(bytes.len())
                })
                .expect("infallible");
            let framing = four_bytes();
            let taken = inbound.cut_filled(&filled, &mut intake, &framing, &mut batch, 0, 9);
            assert_eq!(taken, Taken::default());
        }
        assert!(inbound.has_partial());
        assert!(inbound.reserved() <= TRUSTED_REGION);
    }
}
