//! Bytes that are not ours are sent at once, behind what is queued and as far as the system takes them.

mod support;

use std::time::Instant;

use netpoll_core::Id;
use support::{Harness, settings};

/// Sends `bytes` at once, and copies of what is left; how much that is.
fn send(h: &mut Harness, id: Id, bytes: &[u8]) -> usize {
    let left = h.poller.send_at_once(id, bytes, Instant::now());
    if left < bytes.len() {
        let rest = h.slice(&bytes[left..]);
        h.poller.send(id, rest);
    }
    bytes.len() - left
}

#[test]
fn bytes_leave_in_order_whatever_is_queued_and_whatever_the_system_takes() {
    for queued in [0, 1, 15, 16, 40] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|_| {}));
        let mut expected = Vec::new();
        let mut rests = Vec::new();
        for round in 0..20 {
            for piece in 0..queued {
                let bytes = [round * 10 + piece; 10];
                let slice = h.slice(&bytes);
                h.poller.send(id, slice);
                expected.extend(bytes);
            }
            let large = vec![200 + round; 50_000];
            rests.push(send(&mut h, id, &large));
            expected.extend(large);
        }
        // Sixteen pieces are more than leave with them.
        assert_eq!(rests[0] == 0, queued < 16, "{queued}: {rests:?}");
        assert_eq!(rests[19], 50_000, "the socket was full");
        h.flush();
        let got = h.peer_reads(&mut peer, expected.len(), |_, _| {});
        assert!(got == expected, "{queued} before each");
        assert_eq!(h.poller.bytes_written(id), Some(expected.len() as u64));
    }
}

#[test]
fn nothing_leaves_for_a_connection_that_is_closing_or_gone() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    h.poller.close(id);
    assert_eq!(h.poller.send_at_once(id, b"late", Instant::now()), 0);
    assert_eq!(h.peer_reads_to_end(&mut peer, |_, _| {}).0, b"");
    drop(peer);
    h.until_closed(id);
    assert_eq!(h.poller.send_at_once(id, b"late", Instant::now()), 0);
}

#[test]
fn a_peer_that_is_gone_is_found_out_by_what_is_sent_then() {
    let mut h = Harness::new();
    let (id, peer) = h.unix(&settings(|_| {}));
    drop(peer);
    assert_eq!(send(&mut h, id, &[1; 50_000]), 50_000);
    h.flush();
    h.until_closed(id);
}
