//! Closing loses nothing that was queued, ends every story once, and gives the right reason.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::Reason;
use netpoll_core::settings::{HalfOpen, Start, UnfinishedBound};
use support::{
    Harness, Random, echo, frame, read_available, reset, settings, unread_by_other_end,
    whole_frames,
};

const TIMEOUT: Duration = Duration::from_secs(3600);

/// Its further requests are not handed over while it takes no replies, and the server does not wait
/// for that for ever.
#[test]
fn finishing_waits_for_replies_but_not_for_ever_for_a_peer_that_takes_none() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.close_timeout = TIMEOUT;
        s.high_water_mark = 64 * 1024;
        s.max_in_flight = NonZeroU32::new(2);
    }));
    for _ in 0..20 {
        peer.write_all(&frame(b"request")).expect("room");
    }
    let reply = h.slice(&[0; 1_000_000]);
    h.until(|h| h.message_count(id) == 2);
    h.poller.send(id, reply);
    h.poller.finish(id);
    // A reply that is being made is waited for.
    h.poller.acknowledge(id, 1);
    h.quiesce();
    h.pass(TIMEOUT * 2);
    assert_eq!(h.reason(id), None);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    // So is a peer that takes some of it now and then: what the system holds, for it need not tell us of less.
    for _ in 0..3 {
        h.pass(TIMEOUT / 3 * 2);
        read_available(&mut peer, &mut Vec::new(), usize::MAX).expect("reading");
        h.quiesce();
    }
    assert_eq!((h.reason(id), h.message_count(id)), (None, 2));
    h.pass(TIMEOUT * 2);
    assert_eq!(h.reason(id), Some(Reason::CloseTimeout.code()));
}

#[test]
fn close_sends_everything_though_input_is_unread() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let settings = settings(|s| s.start = Start::Paused);
        let (id, mut peer): (_, Box<dyn Conversation>) = if unix {
            let (id, peer) = h.unix(&settings);
            (id, Box::new(peer))
        } else {
            let (id, peer) = h.tcp(&settings);
            (id, Box::new(peer))
        };
        peer.write_all(&[9; 50_000]).expect("room");
        let reply = Random::new(1).bytes(1_000_000);
        let slice = h.slice(&reply);
        h.poller.send(id, slice);
        h.poller.close(id);
        h.flush();
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok(), "unix: {unix}, {end:?} after {}", got.len());
        assert!(got == reply, "unix: {unix}, {} arrived", got.len());
        // The peer goes on sending for a while; the connection does not reset it.
        for _ in 0..50 {
            h.peer_writes(&mut peer, &[8; 10_000], |_, _| {});
        }
        assert_eq!(h.reason(id), None);
        peer.half_close();
        assert_eq!(h.until_closed(id), 0, "unix: {unix}");
        assert_eq!(peer.read(&mut [0]).expect("no reset"), 0);
        assert_eq!(h.message_count(id), 0);
    }
}

trait Conversation: Read + Write {
    fn half_close(&self);
}

impl Conversation for std::net::TcpStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("shutdown");
    }
}

impl Conversation for std::os::unix::net::UnixStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).expect("shutdown");
    }
}

#[test]
fn lingering_ends_with_its_timeout() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.close_timeout = TIMEOUT));
    h.poller.close(id);
    h.quiesce();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    h.advance(TIMEOUT / 2);
    h.quiesce();
    let _ = h.turn();
    peer.write_all(&[0; 1000]).expect("still open");
    h.quiesce();
    assert_eq!(unread_by_other_end(&peer), 0);
    assert_eq!(h.reason(id), None);
    h.advance(TIMEOUT);
    h.turn();
    h.turn();
    assert_eq!(h.reason(id), Some(Reason::Normal.code()));
}

/// Its time is over although there is always something to discard. The peer sends without end, and
/// reads what was `queued` for it or not at all.
fn ends_in_spite_of_a_flood(queued: usize, reason: Reason) {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.close_timeout = TIMEOUT));
    let slice = h.slice(&vec![0; queued]);
    h.poller.send(id, slice);
    h.poller.close(id);
    h.quiesce();
    for _ in 0..1000 {
        // Room that was made is filled up again before the next turn.
        while peer.write(&[0; 65_536]).is_ok() {}
        h.look();
        h.advance(TIMEOUT / 10);
        h.turn();
        if let Some(told) = h.reason(id) {
            assert_eq!(told, reason.code());
            return;
        }
    }
    panic!("there since 100 times its timeout");
}

#[test]
fn lingering_ends_with_its_timeout_also_for_a_peer_that_never_stops_sending() {
    ends_in_spite_of_a_flood(0, Reason::Normal);
}

#[test]
fn flushing_ends_with_its_timeout_also_for_a_peer_that_never_stops_sending() {
    ends_in_spite_of_a_flood(3_000_000, Reason::CloseTimeout);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_after_the_timeout() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.close_timeout = TIMEOUT));
    let slice = h.slice(&vec![0; 3_000_000]);
    h.poller.send(id, slice);
    h.poller.close(id);
    h.quiesce();
    // As long as the peer makes progress its time begins anew.
    let mut got = Vec::new();
    for _ in 0..5 {
        h.advance(TIMEOUT / 3 * 2);
        h.turn();
        assert_eq!(h.reason(id), None);
        read_available(&mut peer, &mut got, usize::MAX).expect("reading");
        h.quiesce();
    }
    h.advance(TIMEOUT * 2);
    h.turn();
    h.turn();
    assert_eq!(h.reason(id), Some(Reason::CloseTimeout.code()));
    assert_eq!(h.life(id).last(), Some(&"closed"));
}

#[test]
fn finish_answers_what_was_taken_and_what_was_held_back() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(2)));
    let requests: Vec<Vec<u8>> = (0..7u8).map(|n| frame(&[n; 5])).collect();
    peer.write_all(&requests.concat()).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    h.poller.finish(id);
    h.quiesce();
    // What comes after is not read any more.
    peer.write_all(&[1]).expect("room");
    let taken = h.messages(id);
    for message in &taken {
        let slice = h.slice(message);
        h.poller.send(id, slice);
        h.poller.acknowledge(id, 1);
    }
    let (got, end) = h.peer_reads_to_end(&mut peer, echo);
    assert!(end.is_ok());
    assert!(got == requests.concat(), "{} of 7 frames", got.len() / 9);
    peer.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(h.until_closed(id), 0);
}

#[test]
fn finish_with_a_part_of_a_frame_behind_what_is_answered_is_normal() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    let mut wire = frame(b"abcd").repeat(3);
    wire.extend_from_slice(&[0, 0, 0]);
    peer.write_all(&wire).expect("room");
    h.quiesce();
    h.poller.finish(id);
    h.poller.acknowledge(id, 1);
    h.flush();
    let (_, end) = h.peer_reads_to_end(&mut peer, echo);
    assert!(end.is_ok());
    drop(peer);
    assert_eq!(h.until_closed(id), Reason::Normal.code());
}

#[test]
fn finish_without_anything_in_flight_closes() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    h.poller.finish(id);
    h.quiesce();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    drop(peer);
    h.quiesce();
    assert_eq!(h.story(id), ["accepted", "inactive", "closed"]);
}

#[test]
fn finish_waits_for_what_is_in_flight() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    peer.write_all(&frame(b"abcd")).expect("room");
    h.quiesce();
    h.poller.finish(id);
    h.quiesce();
    let error = peer.read(&mut [0]).expect_err("still open");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn destroy_ends_at_once_and_forgets_what_was_queued() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let slice = h.slice(b"never");
    h.poller.send(id, slice);
    h.poller.destroy(id);
    h.poller.destroy(id);
    h.poller.close(id);
    h.quiesce();
    assert_eq!(h.story(id), ["accepted", "closed"]);
    assert_eq!(h.reason(id), Some(0));
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn reset_resets_a_tcp_peer() {
    let mut h = Harness::new();
    let (id, mut peer) = h.tcp(&settings(|_| {}));
    h.poller.reset(id);
    h.flush();
    assert_eq!(h.until_closed(id), 0);
    let (_, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
    assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn reset_also_where_we_linger() {
    let mut h = Harness::new();
    let (id, mut peer) = h.tcp(&settings(|_| {}));
    h.poller.close(id);
    h.flush();
    let (_, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
    assert!(end.is_ok());
    h.poller.reset(id);
    h.flush();
    assert_eq!(h.until_closed(id), 0);
    h.until(|_| peer.write(b"x").is_err());
}

#[test]
fn an_end_between_messages_is_normal_and_told_in_order() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let settings = settings(|_| {});
        let (id, mut peer): (_, Box<dyn Conversation>) = if unix {
            let (id, peer) = h.unix(&settings);
            (id, Box::new(peer))
        } else {
            let (id, peer) = h.tcp(&settings);
            (id, Box::new(peer))
        };
        peer.write_all(&frame(b"last words")).expect("room");
        peer.half_close();
        h.until(|h| h.has(id, "ended"));
        // Everything is there; the answer is still to come.
        assert_eq!(h.message_count(id), 1);
        assert_eq!(h.life(id), ["accepted", "inactive", "ended"]);
        let slice = h.slice(b"answer");
        h.poller.send(id, slice);
        h.poller.acknowledge(id, 1);
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok());
        assert_eq!(got, b"answer");
        assert_eq!(h.until_closed(id), 0);
        assert_eq!(h.life(id), ["accepted", "inactive", "ended", "closed"]);
    }
}

#[test]
fn an_end_is_told_also_where_nothing_is_in_flight() {
    let mut h = Harness::new();
    let (id, peer) = h.unix(&settings(|_| {}));
    drop(peer);
    h.quiesce();
    assert_eq!(h.story(id), ["accepted", "inactive", "ended", "closed"]);
}

#[test]
fn an_end_within_a_message_is_unexpected_and_earlier_ones_are_answered() {
    for decode in [1, 3, 4, 5, 13] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|_| {}));
        let mut wire = frame(b"whole").repeat(3);
        wire.extend_from_slice(&frame(b"ten bytes.")[..decode]);
        peer.write_all(&wire).expect("room");
        h.quiesce();
        peer.shutdown(Shutdown::Write).expect("shutdown");
        h.quiesce();
        assert_eq!(h.message_count(id), 3);
        assert_eq!(h.reason(id), None, "answers are due");
        for message in h.messages(id) {
            let slice = h.slice(&message);
            h.poller.send(id, slice);
            h.poller.acknowledge(id, 1);
        }
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok());
        assert_eq!(got, frame(b"whole").repeat(3));
        assert_eq!(h.until_closed(id), Reason::UnexpectedEnd.code());
    }
}

#[test]
fn our_own_close_within_a_message_of_the_peer_is_normal() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    peer.write_all(&frame(b"begun, not finished")[..10])
        .expect("room");
    h.quiesce();
    h.poller.close(id);
    h.quiesce();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    drop(peer);
    h.quiesce();
    assert_eq!(h.reason(id), Some(Reason::Normal.code()));
}

#[test]
fn a_frame_error_answers_what_was_before_it() {
    for (bad, reason) in [
        (vec![0, 0, 4, 1], Reason::FrameTooLarge),
        (vec![0xff; 4], Reason::FrameTooLarge),
    ] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| s.framing = whole_frames(1024)));
        let mut wire = frame(b"good").repeat(4);
        wire.extend_from_slice(&bad);
        wire.extend_from_slice(&[1; 5000]);
        peer.write_all(&wire).expect("room");
        h.quiesce();
        assert_eq!(h.message_count(id), 4);
        for message in h.messages(id) {
            let slice = h.slice(&message);
            h.poller.send(id, slice);
            h.poller.acknowledge(id, 1);
        }
        // More than one reading of unread input, which must not become a reset.
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(got, frame(b"good").repeat(4));
        h.peer_writes(&mut peer, &[2; 500_000], |_, _| {});
        assert_eq!(h.reason(id), None);
        drop(peer);
        assert_eq!(h.until_closed(id), reason.code());
        assert_eq!(h.message_count(id), 4);
    }
}

#[test]
fn an_invalid_header_closes_with_its_reason() {
    use netpoll_core::frame::{Endian, Framing, LengthField, Varint};
    let negative = LengthField::new(0, 2, -2, 0, Endian::Big, 100).expect("valid");
    for (framing, bad) in [
        (Framing::LengthField(negative), vec![0, 1]),
        (Framing::Varint(Varint::new(usize::MAX)), vec![0x80; 10]),
    ] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| s.framing = framing.clone()));
        peer.write_all(&bad).expect("room");
        h.quiesce();
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
        drop(peer);
        assert_eq!(h.until_closed(id), Reason::FrameInvalid.code());
    }
}

#[test]
fn an_error_behind_the_in_flight_bound_is_met_only_after_what_is_before_it() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.framing = whole_frames(100);
        s.max_in_flight = NonZeroU32::new(1);
    }));
    let mut wire = frame(b"good").repeat(4);
    wire.extend_from_slice(&[0xff; 100]);
    peer.write_all(&wire).expect("room");
    let (got, end) = h.peer_reads_to_end(&mut peer, echo);
    assert!(end.is_ok());
    assert_eq!(got, frame(b"good").repeat(4));
    drop(peer);
    assert_eq!(h.until_closed(id), Reason::FrameTooLarge.code());
}

#[test]
fn too_many_bytes_of_unfinished_messages_close_the_one_who_adds_them() {
    let mut h = Harness::new();
    let settings = settings(|s| s.unfinished = Arc::new(UnfinishedBound::new(100_000)));
    let (small, mut peer) = h.unix(&settings);
    peer.write_all(&frame(&[0; 5_000])[..2_000]).expect("room");
    h.quiesce();
    let (greedy, mut other) = h.unix(&settings);
    h.peer_writes(
        &mut other,
        &frame(&vec![0; 1_000_000])[..200_000],
        |_, _| {},
    );
    h.quiesce();
    let (_, end) = h.peer_reads_to_end(&mut other, |_, _| {});
    assert!(end.is_ok());
    drop(other);
    assert_eq!(h.until_closed(greedy), Reason::BufferLimit.code());
    assert_eq!(h.reason(small), None);
    peer.write_all(&frame(&[0; 5_000])[2_000..]).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(small), 1);
}

/// The refused peer does not hurry to close; its bytes are gone, but still count.
#[test]
fn a_refused_connection_gives_its_claim_back_at_once() {
    let mut h = Harness::new();
    let settings = settings(|s| s.unfinished = Arc::new(UnfinishedBound::new(100_000)));
    let (greedy, mut other) = h.unix(&settings);
    h.peer_writes(
        &mut other,
        &frame(&vec![0; 1_000_000])[..200_000],
        |_, _| {},
    );
    h.quiesce();
    assert_eq!(other.read(&mut [0]).expect("refused"), 0);
    let (innocent, mut peer) = h.unix(&settings);
    peer.write_all(&frame(b"abcd")[..5]).expect("room");
    h.quiesce();
    peer.write_all(&frame(b"abcd")[5..]).expect("room");
    h.quiesce();
    assert_eq!(h.reason(greedy), None);
    assert_eq!(h.message_count(innocent), 1);
}

#[test]
fn a_reset_closes_with_the_systems_error() {
    for after in ["nothing", "half a frame", "a frame", "paused"] {
        let mut h = Harness::new();
        let (id, mut peer) = h.tcp(&settings(|_| {}));
        match after {
            "half a frame" => {
                peer.write_all(&frame(b"abcd")[..5]).expect("room");
                h.look();
            }
            "a frame" => {
                peer.write_all(&frame(b"abcd")).expect("room");
                h.until(|h| h.message_count(id) == 1);
            }
            "paused" => h.poller.set_flow(id, Start::Paused),
            _ => {}
        }
        h.flush();
        reset(peer);
        if after == "paused" {
            h.until(|h| h.has(id, "inactive"));
            h.poller.set_flow(id, Start::Reading);
            h.flush();
        }
        assert_eq!(h.until_closed(id), libc::ECONNRESET as u32, "{after}");
        assert_eq!(h.life(id), ["accepted", "inactive", "closed"], "{after}");
    }
}

#[test]
fn a_reset_while_output_is_pending_closes() {
    let mut h = Harness::new();
    let (id, peer) = h.tcp(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    let slice = h.slice(&vec![0; 20_000_000]);
    h.poller.send(id, slice);
    h.until(|h| h.has(id, "congested"));
    reset(peer);
    let reason = h.until_closed(id) as i32;
    assert!(
        [libc::ECONNRESET, libc::EPIPE].contains(&reason),
        "{reason}"
    );
    assert_eq!(h.life(id).iter().filter(|n| **n == "closed").count(), 1);
}

#[test]
fn a_reset_while_flushing_or_lingering_closes() {
    for pending in [0, 20_000_000] {
        let mut h = Harness::new();
        let (id, peer) = h.tcp(&settings(|_| {}));
        let slice = h.slice(&vec![0; pending]);
        h.poller.send(id, slice);
        h.poller.close(id);
        h.flush();
        reset(peer);
        h.until_closed(id);
        assert_eq!(h.life(id).last(), Some(&"closed"));
    }
}

#[test]
fn half_open_connections_go_on_after_the_peers_end() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let settings = settings(|s| s.half_open = HalfOpen::Keep);
        let (id, mut peer): (_, Box<dyn Conversation>) = if unix {
            let (id, peer) = h.unix(&settings);
            (id, Box::new(peer))
        } else {
            let (id, peer) = h.tcp(&settings);
            (id, Box::new(peer))
        };
        peer.write_all(&frame(b"abcd")).expect("room");
        peer.half_close();
        h.until(|h| h.has(id, "ended"));
        h.poller.acknowledge(id, 1);
        assert_eq!(h.life(id), ["accepted", "ended"]);
        for _ in 0..10 {
            let slice = h.slice(&[3; 100_000]);
            h.poller.send(id, slice);
            h.flush();
            assert_eq!(h.peer_reads(&mut peer, 100_000, |_, _| {}), [3; 100_000]);
        }
        h.poller.close(id);
        let (_, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok());
        assert_eq!(h.until_closed(id), 0);
        assert_eq!(h.life(id), ["accepted", "ended", "inactive", "closed"]);
    }
}

/// Our direction ends, the peer's goes on: it reads our end, and what it sends then still arrives.
#[test]
fn ending_our_direction_leaves_the_peers_open() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let settings = settings(|_| {});
        let (id, mut peer): (_, Box<dyn Conversation>) = if unix {
            let (id, peer) = h.unix(&settings);
            (id, Box::new(peer))
        } else {
            let (id, peer) = h.tcp(&settings);
            (id, Box::new(peer))
        };
        let bytes = Random::new(5).bytes(1_000_000);
        let slice = h.slice(&bytes);
        h.poller.send(id, slice);
        h.poller.end(id);
        let late = h.slice(b"too late");
        h.poller.send(id, late);
        assert!(!h.poller.accepts_output(id));
        h.flush();
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok() && got == bytes, "unix: {unix}");
        for count in 1..=5 {
            peer.write_all(&frame(b"still here")).expect("room");
            h.until(|h| h.message_count(id) == count);
            h.poller.acknowledge(id, 1);
            h.flush();
        }
        assert_eq!(h.life(id), ["accepted"]);
        peer.half_close();
        assert_eq!(h.until_closed(id), 0);
        assert_eq!(h.life(id), ["accepted", "inactive", "ended", "closed"]);
    }
}

#[test]
fn who_has_ended_still_gets_what_was_held_back() {
    for peer_first in [false, true] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| {
            s.max_in_flight = NonZeroU32::new(1);
            s.half_open = HalfOpen::Keep;
        }));
        if !peer_first {
            h.poller.end(id);
            h.quiesce();
        }
        peer.write_all(&frame(b"abcd").repeat(4)).expect("room");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        h.quiesce();
        if peer_first {
            h.poller.end(id);
            h.quiesce();
        }
        assert_eq!((h.message_count(id), h.reason(id)), (1, None));
        assert_eq!(peer.read(&mut [0]).expect("our end"), 0);
        for count in 2..=4 {
            h.poller.acknowledge(id, 1);
            h.quiesce();
            assert_eq!((h.message_count(id), h.reason(id)), (count, None));
        }
        h.poller.acknowledge(id, 1);
        h.quiesce();
        assert_eq!(h.reason(id), Some(0), "peer first: {peer_first}");
    }
}

#[test]
fn an_end_within_a_message_is_unexpected_also_after_our_own() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    h.poller.end(id);
    peer.write_all(&frame(b"abcd")[..6]).expect("room");
    h.quiesce();
    drop(peer);
    h.quiesce();
    assert_eq!(h.reason(id), Some(Reason::UnexpectedEnd.code()));
}

#[test]
fn close_after_end_discards_until_the_peers_end() {
    for pending in [0, 3_000_000] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| s.close_timeout = TIMEOUT));
        let slice = h.slice(&vec![0; pending]);
        h.poller.send(id, slice);
        h.poller.end(id);
        h.quiesce();
        h.poller.close(id);
        h.quiesce();
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok() && got.len() == pending);
        peer.write_all(&frame(b"nobody wants it")).expect("room");
        h.quiesce();
        assert_eq!((h.message_count(id), h.reason(id)), (0, None));
        h.pass(TIMEOUT + Duration::from_secs(10));
        assert_eq!(h.reason(id), Some(0));
    }
}

#[test]
fn half_open_does_not_excuse_an_end_within_a_message() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.half_open = HalfOpen::Keep));
    peer.write_all(&frame(b"abcd")[..6]).expect("room");
    peer.shutdown(Shutdown::Write).expect("shutdown");
    h.quiesce();
    assert_eq!(h.reason(id), Some(Reason::UnexpectedEnd.code()));
}

#[test]
fn a_reset_of_a_half_open_connection_is_told() {
    let mut h = Harness::new();
    let (id, peer) = h.tcp(&settings(|s| s.half_open = HalfOpen::Keep));
    peer.shutdown(Shutdown::Write).expect("shutdown");
    h.until(|h| h.has(id, "ended"));
    reset(peer);
    // The event of the reset is there: a turn serves the connection.
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    while h.reason(id).is_none() && !h.has(id, "inactive") {
        h.step(|_, _| {});
        assert!(
            std::time::Instant::now() < deadline,
            "reset, and still {:?}",
            h.story(id)
        );
    }
}

#[test]
fn a_reset_of_a_paused_half_open_connection_is_told() {
    let mut h = Harness::new();
    let (id, peer) = h.tcp(&settings(|s| {
        s.half_open = HalfOpen::Keep;
        s.start = Start::Paused;
    }));
    reset(peer);
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    while h.reason(id).is_none() && !h.has(id, "inactive") {
        h.step(|_, _| {});
        assert!(std::time::Instant::now() < deadline, "{:?}", h.story(id));
    }
}

/// The peer writes all of its requests before it reads an answer. No handler takes these 3 MB,
/// while the answers fill up the other direction.
#[test]
fn closing_is_not_stopped_by_a_peer_that_writes_before_it_reads() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let slice = h.slice(&vec![1; 3_000_000]);
    h.poller.send(id, slice);
    h.poller.close(id);
    let mut left = 3_000_000;
    let mut stuck = 0;
    while left > 0 {
        let before = left;
        while let Ok(count) = peer.write(&vec![0; left.min(65_536)]) {
            left -= count;
            if left == 0 {
                break;
            }
        }
        h.quiesce();
        stuck = if before == left { stuck + 1 } else { 0 };
        assert!(stuck < 100, "{left} bytes cannot be written");
    }
    let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
    assert!(end.is_ok());
    assert_eq!(got.len(), 3_000_000);
}

#[test]
fn every_story_begins_and_ends_once() {
    let mut random = Random::new(31);
    let mut h = Harness::with(16 * 1024, 64);
    let settings = settings(|s| s.max_in_flight = NonZeroU32::new(3));
    let (_, file) = h.listen_unix(&settings);
    let mut peers = Vec::new();
    for _ in 0..2_000 {
        match random.below(6) {
            0 | 1 if peers.len() < 40 => {
                let peer = std::os::unix::net::UnixStream::connect(file.path()).expect("connect");
                peer.set_nonblocking(true).expect("non-blocking");
                peers.push(peer);
            }
            2 if !peers.is_empty() => {
                let index = random.below(peers.len());
                peers.swap_remove(index);
            }
            3 | 4 if !peers.is_empty() => {
                let index = random.below(peers.len());
                let length = random.below(300);
                let bytes = random.bytes(length);
                // Random bytes make bad frames, too: all of it has to end well.
                let wire = if random.below(3) == 0 {
                    bytes
                } else {
                    frame(&bytes)
                };
                let _ = peers[index].write(&wire);
            }
            _ => {}
        }
        let choice = random.below(40);
        h.step(|poller, entry| {
            echo(poller, entry);
            let Some(id) = entry.id else { return };
            match choice {
                0 => poller.close(id),
                1 => poller.finish(id),
                2 => poller.destroy(id),
                3 => poller.reset(id),
                _ => {}
            }
        });
    }
    drop(peers);
    let ids = h.accepted();
    assert!(ids.len() > 100);
    h.run(echo, |h| ids.iter().all(|id| h.reason(*id).is_some()));
    for id in ids {
        let story = h.story(id);
        assert_eq!(story.first(), Some(&"accepted"));
        assert_eq!(story.last(), Some(&"closed"));
        for once in ["accepted", "inactive", "ended", "closed"] {
            let count = story.iter().filter(|name| **name == once).count();
            assert!(count <= 1, "{story:?}");
        }
        let place = |name| story.iter().position(|n| *n == name);
        if let Some(ended) = place("ended") {
            assert!(place("inactive").is_some_and(|inactive| inactive < ended));
            assert!(!story[ended..].contains(&"message"), "{story:?}");
        }
    }
}
