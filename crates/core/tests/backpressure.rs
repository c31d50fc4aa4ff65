//! What a slow handler or a slow peer holds up, and how it goes on.

mod support;

use std::io::Write;
use std::num::NonZeroU32;

use netpoll_core::settings::Start;
use support::{
    Harness, Random, What, echo, frame, read_available, settings, small_buffers,
    unread_by_other_end,
};

#[test]
fn no_more_than_the_bound_is_in_flight_and_nothing_is_lost() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let most = 1 + random.below(6);
        let mut h = Harness::with(
            [4096, 262_144][seed as usize % 2],
            [16, 512][seed as usize % 2],
        );
        let (id, mut peer) = h.unix(&settings(|s| {
            s.max_in_flight = NonZeroU32::new(most as u32);
        }));
        let sent: Vec<Vec<u8>> = (0..200)
            .map(|_| {
                let length = random.below(200);
                frame(&random.bytes(length))
            })
            .collect();
        let wire = sent.concat();
        let (mut at, mut acknowledged) = (0, 0);
        let mut turns = 0;
        while acknowledged < sent.len() {
            // Pieces end anywhere, often within a frame.
            let end = (at + random.below(700)).min(wire.len());
            peer.write_all(&wire[at..end]).expect("room");
            at = end;
            h.quiesce();
            let handed_over = h.message_count(id);
            assert!(handed_over - acknowledged <= most, "seed {seed}");
            if handed_over < sent.len() && handed_over - acknowledged < most {
                // Not at the bound: all whole frames that have arrived were handed over.
                let next: usize = sent[..=handed_over].iter().map(Vec::len).sum();
                assert!(at < next, "seed {seed}: a message is withheld");
            }
            let count = random.below(handed_over - acknowledged + 1);
            h.poller.acknowledge(id, count as u32);
            acknowledged += count;
            turns += 1;
            assert!(turns < 100_000);
        }
        assert!(h.messages(id) == sent, "seed {seed}");
        assert_eq!(h.reason(id), None);
    }
}

#[test]
fn a_bound_that_is_reached_stops_reading() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(2)));
    peer.write_all(&frame(b"abcd").repeat(2)).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    peer.write_all(&frame(b"efgh")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    assert!(unread_by_other_end(&peer) > 0);
    assert!(!h.poller.has_ready());
    h.poller.acknowledge(id, 1);
    h.quiesce();
    assert_eq!(h.message_count(id), 3);
    assert_eq!(unread_by_other_end(&peer), 0);
}

#[test]
fn an_end_is_seen_though_not_read_while_the_bound_is_reached() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    peer.write_all(&frame(b"abcd").repeat(3)).expect("room");
    h.quiesce();
    peer.shutdown(std::net::Shutdown::Write).expect("shutdown");
    h.quiesce();
    assert_eq!(h.story(id), ["accepted", "message", "inactive"]);
    for _ in 0..3 {
        h.poller.acknowledge(id, 1);
        h.quiesce();
    }
    assert_eq!(h.message_count(id), 3);
    assert_eq!(h.reason(id), Some(0));
}

#[test]
fn a_paused_connection_reads_nothing_and_goes_on_where_it_was() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.start = Start::Paused));
    let wire = frame(b"first").repeat(5);
    peer.write_all(&wire[..20]).expect("room");
    h.quiesce();
    assert_eq!(h.story(id), ["accepted"]);
    h.poller.set_flow(id, Start::Reading);
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    h.poller.set_flow(id, Start::Paused);
    h.quiesce();
    peer.write_all(&wire[20..]).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    h.poller.set_flow(id, Start::Reading);
    h.quiesce();
    assert_eq!(h.message_count(id), 5);
}

#[test]
fn who_does_not_read_replies_is_not_read_from() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.high_water_mark = 50_000;
        s.max_in_flight = None;
    }));
    small_buffers(&peer);
    let request = frame(&[1; 996]);
    let mut sent = 0;
    // Until neither side takes any more.
    let mut idle = 0;
    while idle < 3 {
        let before = sent;
        while let Ok(count) = peer.write(&request[sent % 1000..]) {
            sent += count;
        }
        h.look();
        while h.poller.has_ready() {
            h.step(echo);
        }
        idle = if sent == before { idle + 1 } else { 0 };
        assert!(sent < 100_000_000, "never stops");
    }
    let answered = h.message_count(id) * 1000;
    assert!(h.has(id, "congested"));
    assert!(unread_by_other_end(&peer) > 0);
    // Everything comes back once the peer reads.
    let back = h.peer_reads(&mut peer, sent / 1000 * 1000, echo);
    assert!(back.chunks(1000).all(|chunk| chunk == request));
    assert!(answered <= back.len());
    h.until(|h| h.has(id, "drained"));
}

#[test]
fn congested_and_drained_alternate() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.high_water_mark = 100_000));
    for round in 1..=5 {
        let slice = h.slice(&vec![0; 2_000_000]);
        h.poller.send(id, slice);
        h.quiesce();
        assert_eq!(h.life(id).last(), Some(&"congested"), "{round}");
        assert!(h.poller.ask_congested(id));
        let mut got = Vec::new();
        while got.len() < 2_000_000 {
            read_available(&mut peer, &mut got, usize::MAX).expect("reading");
            h.quiesce();
        }
        assert_eq!(h.life(id).last(), Some(&"drained"), "{round}");
        assert!(!h.poller.ask_congested(id));
        assert_eq!(h.life(id).len(), 1 + 2 * round);
    }
}

#[test]
fn who_asks_is_told_when_it_is_over() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.high_water_mark = 100_000));
    let slice = h.slice(&vec![0; 2_000_000]);
    h.poller.send(id, slice);
    h.flush();
    assert!(h.poller.ask_congested(id));
    h.quiesce();
    // Was told by the answer, so there is no second telling.
    assert!(!h.has(id, "congested"));
    let mut got = Vec::new();
    while got.len() < 2_000_000 {
        read_available(&mut peer, &mut got, usize::MAX).expect("reading");
        h.quiesce();
    }
    assert_eq!(h.life(id), ["accepted", "drained"]);
}

#[test]
fn who_asks_is_told_once_when_nothing_waits_to_be_sent() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    h.poller.tell_flushed(id, 1);
    h.quiesce();
    assert_eq!(h.life(id), ["accepted", "flushed"], "nothing waits");
    for length in [2_000_000, 300_000] {
        let before = h.life(id).len();
        let slice = h.slice(&vec![0; length]);
        h.poller.send(id, slice);
        h.poller.tell_flushed(id, 2);
        h.poller.tell_flushed(id, 3);
        h.quiesce();
        let told = |h: &Harness| {
            h.life(id)[before..]
                .iter()
                .filter(|&&what| what == "flushed")
                .count()
        };
        assert_eq!(told(&h), 0, "the peer does not read");
        let mut got = Vec::new();
        while got.len() < length {
            read_available(&mut peer, &mut got, usize::MAX).expect("reading");
            h.quiesce();
        }
        assert_eq!(told(&h), 1);
    }
    assert!(
        h.log
            .iter()
            .any(|entry| matches!(entry.what, What::Flushed(3)))
    );
    assert!(
        !h.log
            .iter()
            .any(|entry| matches!(entry.what, What::Flushed(2)))
    );
}

#[test]
fn asking_right_after_sending_tells_what_is_queued() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|s| s.high_water_mark = 1000));
    let slice = h.slice(&vec![0; 2_000_000]);
    h.poller.send(id, slice);
    assert!(h.poller.ask_congested(id));
}

#[test]
fn large_slices_leave_whole_through_small_buffers() {
    let mut h = Harness::new();
    let (id, mut peer) = h.tcp(&settings(|_| {}));
    // Smaller than a segment of the loopback device, and the kernel's probing takes minutes.
    socket2::SockRef::from(&peer)
        .set_recv_buffer_size(64 * 1024)
        .expect("receive buffer");
    let mut random = Random::new(9);
    let mut expected = Vec::new();
    for length in [700_000, 1, 0, 300_000, 65_536, 5] {
        let bytes = random.bytes(length);
        let slice = h.slice(&bytes);
        h.poller.send(id, slice);
        expected.extend(bytes);
    }
    h.flush();
    let got = h.peer_reads(&mut peer, expected.len(), |_, _| {});
    assert!(got == expected);
    h.until(|h| h.life(id).last() != Some(&"congested"));
}

#[test]
fn more_pieces_than_one_call_takes_leave_in_order() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let mut random = Random::new(10);
    let mut expected = Vec::new();
    for length in 0..1000 {
        let bytes = random.bytes(length);
        let slice = h.slice(&bytes);
        h.poller.send(id, slice);
        expected.extend(bytes);
        if length % 333 == 0 {
            h.flush();
        }
    }
    h.flush();
    let got = h.peer_reads(&mut peer, expected.len(), |_, _| {});
    assert!(got == expected);
}

/// One that does not read holds no other peer up.
#[test]
fn a_congested_peer_leaves_the_others_alone() {
    let mut h = Harness::new();
    let settings = settings(|s| s.high_water_mark = 10_000);
    let (stuck, _silent) = h.unix(&settings);
    let slice = h.slice(&vec![0; 5_000_000]);
    h.poller.send(stuck, slice);
    h.quiesce();
    assert!(
        !h.poller.has_ready(),
        "a stuck connection is not served again and again"
    );
    let (_, mut peer) = h.unix(&settings);
    for n in 0..100u32 {
        let request = frame(&n.to_be_bytes());
        peer.write_all(&request).expect("room");
        assert_eq!(h.peer_reads(&mut peer, request.len(), echo), request);
    }
}

#[test]
fn an_acknowledgement_too_many_does_no_harm() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(2)));
    h.poller.acknowledge(id, 1_000_000);
    peer.write_all(&frame(b"abcd").repeat(10)).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    h.poller.acknowledge(id, u32::MAX);
    h.quiesce();
    assert_eq!(h.message_count(id), 4);
}

#[test]
fn streams_count_what_they_hand_over_too() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.framing = netpoll_core::frame::Framing::Stream;
        s.max_in_flight = NonZeroU32::new(1);
    }));
    peer.write_all(b"one").expect("room");
    h.quiesce();
    peer.write_all(b"two").expect("room");
    h.quiesce();
    assert_eq!(h.messages(id), [b"one"]);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    assert_eq!(h.messages(id).concat(), b"onetwo");
    assert!(
        h.log
            .iter()
            .any(|entry| matches!(entry.what, What::Message(_)))
    );
}

#[test]
fn who_asks_much_at_once_and_reads_nothing_is_answered_little() {
    const REPLY: usize = 16 * 1024;
    let mut h = Harness::with(262_144, 2_048);
    let (id, mut peer) = h.unix(&settings(|s| {
        s.high_water_mark = 8 * REPLY;
        s.max_in_flight = None;
    }));
    peer.write_all(&frame(b"?").repeat(2_000)).expect("room");
    // Each message gets its reply before the next round, as from a handler that takes no time.
    let mut answered = 0;
    for _ in 0..100 {
        h.look();
        h.turn();
        for _ in answered..h.message_count(id) {
            let reply = h.slice(&[0; REPLY]);
            h.poller.send(id, reply);
        }
        answered = h.message_count(id);
        h.flush();
    }
    assert!((8..=256).contains(&answered), "{answered} were answered");
    assert_eq!(h.reason(id), None);
}
