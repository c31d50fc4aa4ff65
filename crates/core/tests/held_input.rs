//! What peers can make us hold of input that is not handed over: no chunk for a few bytes, and never more than the bound.
//! Without sockets: bytes are arguments.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;

use netpoll_core::buffer::ReadBuffer;
use netpoll_core::connection::{Connection, Peer, State};
use netpoll_core::frame::{Delimiter, Endian, Framing, LengthField, Varint};
use netpoll_core::settings::{Start, UnfinishedBound};
use netpoll_core::{Batch, ChunkPool, RecordKind, Settings};
use support::{Random, frame, settings};

const CHUNK: usize = 256 * 1024;
const PEERS: usize = 2_000;
const MIB: usize = 1024 * 1024;

/// One poller's memory, without the poller.
struct Memory {
    pool: ChunkPool,
    read_buffer: ReadBuffer,
    batch: Batch,
}

impl Memory {
    fn new() -> Self {
        let pool = ChunkPool::new(CHUNK, 128);
        Self {
            read_buffer: ReadBuffer::new(pool.clone()).expect("there is memory"),
            batch: Batch::with_capacity(512),
            pool,
        }
    }

    /// Reads until `bytes` are taken or the connection does not read any more; how many were taken,
    /// and how many messages they made.
    fn feed(&mut self, connection: &mut Connection, bytes: &[u8]) -> (usize, usize) {
        let (mut taken, mut messages) = (0, 0);
        while taken < bytes.len() {
            let limit = connection.budget().min(64);
            if limit == 0 || !connection.reads() {
                break;
            }
            if connection.is_held_back() {
                connection.take_held_back(&mut self.read_buffer, &mut self.batch, 1, limit);
            } else {
                taken += self.read(connection, &bytes[taken..], limit);
            }
            messages += self.hand_over();
        }
        if connection.budget() == 0 {
            connection.rests();
        }
        (taken, messages)
    }

    fn read(&mut self, connection: &mut Connection, bytes: &[u8], limit: usize) -> usize {
        let mut at = 0;
        let filled = connection.fill(&mut self.read_buffer, |pieces| {
            for piece in pieces {
                let count = piece.len().min(bytes.len() - at);
                piece[..count].copy_from_slice(&bytes[at..at + count]);
                at += count;
            }
            Ok::<_, ()>(at)
        });
        let filled = filled.expect("infallible");
        connection.take_filled(&filled, &mut self.read_buffer, &mut self.batch, 1, limit);
        at
    }

    /// The consumer of the messages lets go of them at once.
    fn hand_over(&mut self) -> usize {
        let kinds = self.batch.records().iter().map(|record| record.kind());
        let count = kinds
            .filter(|kind| *kind == RecordKind::Message as u8)
            .count();
        self.batch.clear();
        count
    }

    /// Bytes of chunks that are kept, beside the one that is read into.
    fn kept(&self) -> usize {
        self.pool.stats().live_bytes - CHUNK
    }
}

fn open(settings: &Arc<Settings>) -> Connection {
    Connection::new(settings.clone(), State::Open(Peer::Sending))
}

fn bounded(
    most: usize,
    change: impl FnOnce(&mut Settings),
) -> (Arc<Settings>, Arc<UnfinishedBound>) {
    let bound = Arc::new(UnfinishedBound::new(most));
    let settings = settings(|s| {
        s.unfinished = bound.clone();
        change(s);
    });
    (settings, bound)
}

fn length_field(size: usize) -> Framing {
    Framing::LengthField(LengthField::new(0, size, 0, size, Endian::Big, 1 << 24).expect("valid"))
}

fn delimiter() -> Framing {
    Framing::Delimiter(Delimiter::new(b"\r\n", 1 << 20).expect("valid"))
}

#[test]
fn a_few_bytes_of_many_peers_keep_no_chunk_each() {
    let announced = |there: usize| [&(1_u32 << 20).to_be_bytes()[..], &vec![7; there]].concat();
    let cases = [
        ("a byte of a header", length_field(4), vec![0]),
        ("a header", length_field(4), announced(0)),
        ("some of a body", length_field(4), announced(900)),
        (
            "all but a byte",
            length_field(2),
            frame(&[7; 2_000])[2..2_001].to_vec(),
        ),
        (
            "a byte of a varint",
            Framing::Varint(Varint::new(1 << 20)),
            vec![0xff],
        ),
        (
            "a line that has no end",
            delimiter(),
            b"GET / HTTP/1.1\r".to_vec(),
        ),
        (
            "a message and a byte",
            length_field(4),
            [&frame(b"whole")[..], &[0]].concat(),
        ),
    ];
    for (what, framing, bytes) in cases {
        let (settings, bound) = bounded(64 * MIB, |s| s.framing = framing);
        let mut memory = Memory::new();
        let mut ordinary = open(&support::settings(|s| s.max_in_flight = None));
        let traffic = frame(&[1; 1_000]).repeat(300);
        let mut peers: Vec<Connection> = (0..PEERS).map(|_| open(&settings)).collect();
        for peer in &mut peers {
            // In pieces, so that what was kept before is kept anew.
            let (first, second) = bytes.split_at(bytes.len() / 2);
            memory.feed(peer, first);
            memory.feed(peer, second);
            memory.feed(&mut ordinary, &traffic);
        }
        assert!(
            memory.kept() <= CHUNK,
            "{what}: {} bytes of chunks",
            memory.kept()
        );
        assert!(bound.used() <= 8 * MIB, "{what}: {} bytes", bound.used());
        assert!(bound.used() >= PEERS, "{what}: they are counted");
        drop(peers);
        assert_eq!(bound.used(), 0, "{what}");
    }
}

#[test]
fn a_few_messages_that_are_held_back_keep_no_chunk_each() {
    for paused in [false, true] {
        let (settings, bound) = bounded(64 * MIB, |s| {
            s.max_in_flight = NonZeroU32::new(if paused { 8 } else { 1 });
        });
        let mut memory = Memory::new();
        let mut ordinary = open(&support::settings(|s| s.max_in_flight = None));
        let traffic = frame(&[1; 1_000]).repeat(300);
        let mut peers: Vec<Connection> = (0..PEERS).map(|_| open(&settings)).collect();
        let wire = frame(b"held").repeat(if paused { 9 } else { 2 });
        for peer in &mut peers {
            memory.feed(peer, &wire);
            if paused {
                peer.acknowledge(8);
                peer.set_flow(Start::Paused);
                peer.rests();
            }
            assert!(peer.is_held_back());
            memory.feed(&mut ordinary, &traffic);
        }
        assert!(memory.kept() <= CHUNK, "{} bytes of chunks", memory.kept());
        assert!(bound.used() <= 8 * MIB, "{} bytes", bound.used());
        for peer in &mut peers {
            peer.set_flow(Start::Reading);
            peer.acknowledge(1);
            peer.take_held_back(&mut memory.read_buffer, &mut memory.batch, 1, 1);
            assert_eq!(memory.hand_over(), 1);
        }
        assert_eq!(bound.used(), 0);
    }
}

/// As many as the bound has room for hold as much as they can; a connection that comes then is
/// refused.
#[test]
fn what_stays_in_a_chunk_that_others_use_counts_as_all_of_it() {
    let wire = frame(&[7; 100_000]);
    for most in [MIB, 16 * MIB] {
        let (settings, bound) = bounded(most, |_| {});
        let mut memory = Memory::new();
        let mut ordinary = open(&support::settings(|s| s.max_in_flight = None));
        let traffic = frame(&[1; 1_000]).repeat(300);
        let mut peers: Vec<Connection> = (0..PEERS).map(|_| open(&settings)).collect();
        for peer in &mut peers {
            memory.feed(peer, &wire[..20_000]);
            memory.feed(&mut ordinary, &traffic);
            assert!(memory.kept() <= bound.used() + CHUNK);
            assert!(bound.used() <= most);
        }
        let refused = |peer: &Connection| peer.state() == State::Refused(Peer::Sending);
        let kept = peers.iter().filter(|peer| !refused(peer)).count();
        // Half of the bound as whole chunks, the other half as what it is: a region of twice what is there.
        assert!(kept >= most / 2 / 40_000, "{kept} were kept");
        assert!(kept < PEERS);
        // Those who are kept are served.
        for peer in peers.iter_mut().filter(|peer| !refused(peer)).take(10) {
            assert_eq!(memory.feed(peer, &wire[20_000..]).1, 1);
        }
    }
}

/// Random peers with random framings send random pieces of random messages, whether their reader
/// has more room or less.
#[test]
fn the_bound_holds_whatever_peers_send() {
    for seed in 0..if cfg!(miri) { 1 } else { 10 } {
        let mut random = Random::new(seed);
        let most = [200_000, MIB, 3 * MIB, 20 * MIB][random.below(4)];
        let bound = Arc::new(UnfinishedBound::new(most));
        let mut memory = Memory::new();
        let mut peers: Vec<(Connection, Vec<u8>, usize)> = Vec::new();
        for _ in 0..300 {
            if peers.len() < 40 {
                let kind = random.below(3);
                let settings = settings(|s| {
                    s.unfinished = bound.clone();
                    s.max_in_flight = NonZeroU32::new(1 + random.below(3) as u32);
                    s.framing = match kind {
                        0 => length_field(4),
                        1 => Framing::Varint(Varint::new(1 << 24)),
                        _ => delimiter(),
                    };
                });
                let messages: Vec<_> = (0..8).map(|_| message(&mut random, kind)).collect();
                let wire = messages.concat();
                peers.push((open(&settings), wire, 0));
            }
            let at = random.below(peers.len());
            let (connection, wire, sent) = &mut peers[at];
            let longest = [3, 500, 40_000, 400_000][random.below(4)];
            let end = (*sent + 1 + random.below(longest)).min(wire.len());
            *sent += memory.feed(connection, &wire[*sent..end]).0;
            connection.acknowledge(random.below(3) as u32);
            let claimed = bound.used();
            assert!(claimed <= most, "seed {seed}: {claimed} of {most}");
            assert!(
                memory.kept() <= claimed + CHUNK,
                "seed {seed}: {} of {claimed}",
                memory.kept()
            );
            assert!(
                memory.kept() <= most + CHUNK,
                "seed {seed}: {}",
                memory.kept()
            );
            if *sent == wire.len() || !connection.reads() || random.below(50) == 0 {
                peers.swap_remove(at);
            }
        }
        peers.clear();
        assert_eq!(bound.used(), 0, "seed {seed}");
        assert!(memory.kept() <= CHUNK, "seed {seed}");
    }
}

fn message(random: &mut Random, kind: usize) -> Vec<u8> {
    let longest = [1, 300, 20_000, 100_000, 600_000][random.below(5)];
    let body = vec![b'x'; random.below(longest)];
    match kind {
        0 => frame(&body),
        1 => {
            let mut header = Vec::new();
            let mut rest = body.len();
            while rest > 0x7f {
                header.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            header.push(rest as u8);
            [header, body].concat()
        }
        _ => [&body, &b"\r\n"[..]].concat(),
    }
}
