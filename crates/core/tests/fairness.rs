//! No connection starves, a turn is bounded, and what is left over is known to be.

mod support;

use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;

use support::{Harness, What, echo, frame, is_readable, settings, unread_by_other_end};

/// Records after which a turn takes no other socket on.
const TURN_RECORDS: usize = 64;
/// Message bytes after which a turn takes no other socket on.
const TURN_BYTES: usize = 256 * 1024;
/// The most that one read takes.
const MOST_READ: usize = 128 * 1024;

#[test]
fn a_peer_that_never_stops_does_not_starve_another() {
    let mut h = Harness::new();
    let unlimited = settings(|s| s.max_in_flight = None);
    let mut floods: Vec<UnixStream> = (0..3).map(|_| h.unix(&unlimited).1).collect();
    let (quiet, mut peer) = h.unix(&unlimited);
    let flood = frame(&[7; 28]).repeat(4096);
    // A piece of a frame at the end of a full socket would garble the stream: whole frames only.
    let mut offsets = vec![0; floods.len()];
    let mut top_up = |floods: &mut Vec<UnixStream>| {
        for (peer, offset) in floods.iter_mut().zip(&mut offsets) {
            while let Ok(count) = peer.write(&flood[*offset..]) {
                *offset = (*offset + count) % flood.len();
            }
        }
    };
    for round in 0..40 {
        top_up(&mut floods);
        let before = h.message_count(quiet);
        h.look();
        peer.write_all(&frame(b"hello")).expect("room");
        let mut turns = 0;
        while h.message_count(quiet) == before {
            h.look();
            h.turn();
            // Only what the test looks at is kept.
            h.log.retain(|entry| entry.id == Some(quiet));
            top_up(&mut floods);
            turns += 1;
            assert!(turns <= 2 * (floods.len() + 1), "round {round}: starved");
        }
    }
}

#[test]
fn a_full_turn_leaves_the_rest_to_the_next_and_says_so() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let mut peers: Vec<_> = (0..40).map(|_| h.unix(&settings)).collect();
    h.quiesce();
    h.log.clear();
    for (_, peer) in &mut peers {
        peer.write_all(&frame(b"x").repeat(10)).expect("room");
    }
    h.look();
    let mut turns = 0;
    while h.poller.has_ready() {
        let entries = h.turn();
        // The connection that is served last may fill up what the others left.
        assert!(entries.len() < TURN_RECORDS + 10, "{}", entries.len());
        turns += 1;
        assert!(turns < 50);
    }
    assert_eq!(h.log.len(), 400);
    assert!(turns >= 400 / (TURN_RECORDS + 10));
    h.look();
    assert!(!h.poller.has_ready());
}

#[test]
fn a_turn_hands_over_a_bounded_number_of_bytes() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let mut peers: Vec<_> = (0..20).map(|_| h.unix(&settings)).collect();
    h.quiesce();
    h.log.clear();
    for (_, peer) in &mut peers {
        peer.write_all(&frame(&[1; 9_996]).repeat(8)).expect("room");
    }
    let mut turns = 0;
    loop {
        h.look();
        if !h.poller.has_ready() {
            break;
        }
        let bytes: usize = h
            .turn()
            .iter()
            .map(|entry| match &entry.what {
                What::Message(slice) => slice.len(),
                _ => 0,
            })
            .sum();
        assert!(bytes <= TURN_BYTES + MOST_READ, "{bytes}");
        turns += 1;
        assert!(turns < 100);
    }
    assert_eq!(h.log.len(), 160);
}

#[test]
fn a_turn_reads_a_bounded_number_of_bytes_also_of_unfinished_messages() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let mut peers: Vec<_> = (0..40).map(|_| h.unix(&settings)).collect();
    h.quiesce();
    // Of a frame of 8 MiB the first 100 KB.
    let mut begun = (8u32 << 20).to_be_bytes().to_vec();
    begun.resize(100_000, 0);
    for (_, peer) in &mut peers {
        peer.write_all(&begun).expect("room");
    }
    let unread = |peers: &[(_, UnixStream)]| -> usize {
        peers.iter().map(|p| unread_by_other_end(&p.1)).sum()
    };
    h.look();
    let before = unread(&peers);
    h.turn();
    let read = before - unread(&peers);
    // What the kernel counts is memory, which is more than bytes.
    assert!(read <= 3 * (TURN_BYTES + MOST_READ), "{read} in one turn");
}

#[test]
fn everyone_is_served_in_turn() {
    let mut h = Harness::new();
    let settings = settings(|s| s.max_in_flight = NonZeroU32::new(5));
    let mut peers: Vec<_> = (0..10).map(|_| h.unix(&settings)).collect();
    for (_, peer) in &mut peers {
        peer.write_all(&frame(b"abcd").repeat(50)).expect("room");
    }
    let mut turns = 0;
    while peers.iter().any(|(id, _)| h.message_count(*id) < 50) {
        h.step(echo);
        let counts: Vec<usize> = peers.iter().map(|(id, _)| h.message_count(*id)).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        let spread = most.expect("ten") - least.expect("ten");
        assert!(spread <= 10, "{counts:?}");
        turns += 1;
        assert!(turns < 1000);
    }
}

#[test]
fn the_ready_list_outlives_the_readiness_of_the_descriptor() {
    use std::os::fd::AsRawFd;
    const SENT: usize = 15_000;
    // A read takes half a chunk at most.
    let mut h = Harness::with(64 * 1024, 4096);
    let (id, mut peer) = h.tcp(&settings(|s| s.max_in_flight = None));
    h.quiesce();
    peer.write_all(&[0; 4 * SENT]).expect("room");
    while unread_by_other_end(&peer) > 0 {
        std::thread::yield_now();
    }
    h.look();
    h.turn();
    // The socket still has unread bytes, and says nothing about it any more.
    assert!(!is_readable(h.poller.as_raw_fd()));
    assert!(h.poller.has_ready());
    let mut turns = 0;
    while h.poller.has_ready() {
        h.turn();
        turns += 1;
        assert!(turns < 10_000);
    }
    assert!(turns > 1);
    assert_eq!(h.message_count(id), SENT);
}

#[test]
fn a_small_batch_loses_nothing() {
    let mut h = Harness::with(64 * 1024, 16);
    let settings = settings(|s| s.max_in_flight = None);
    let mut peers: Vec<_> = (0..5).map(|_| h.unix(&settings)).collect();
    for (_, peer) in &mut peers {
        peer.write_all(&frame(b"abcd").repeat(500)).expect("room");
        peer.shutdown(std::net::Shutdown::Write).expect("shutdown");
    }
    let ids: Vec<_> = peers.iter().map(|(id, _)| *id).collect();
    h.until(|h| ids.iter().all(|id| h.reason(*id).is_some()));
    for id in ids {
        assert_eq!(h.message_count(id), 500);
    }
}

/// A unix socket reports write readiness at every read of its peer to each owner that asks.
#[test]
fn write_readiness_is_asked_for_only_while_output_is_pending() {
    use std::os::fd::AsRawFd;
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    h.quiesce();
    for _ in 0..10 {
        let slice = h.slice(&[1; 1000]);
        h.poller.send(id, slice);
        h.flush();
        support::read_available(&mut peer, &mut Vec::new(), usize::MAX).expect("reading");
        assert!(!is_readable(h.poller.as_raw_fd()));
    }
    let slice = h.slice(&vec![1; 3_000_000]);
    h.poller.send(id, slice);
    h.flush();
    let mut got = Vec::new();
    while got.len() < 3_000_000 {
        support::read_available(&mut peer, &mut got, usize::MAX).expect("reading");
        h.quiesce();
    }
    support::read_available(&mut peer, &mut got, usize::MAX).expect("reading");
    h.quiesce();
    for _ in 0..10 {
        let slice = h.slice(&[1; 1000]);
        h.poller.send(id, slice);
        h.flush();
        support::read_available(&mut peer, &mut Vec::new(), usize::MAX).expect("reading");
        assert!(!is_readable(h.poller.as_raw_fd()));
    }
}
