//! Read, write and idle timeouts, deadline timers, and the counters of bytes, with a clock that is put forward.

mod support;

use std::io::Write;
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use netpoll_core::connection::{DeadlineTimer, Limit};
use netpoll_core::frame::Framing;
use netpoll_core::settings::{HalfOpen, Start};
use netpoll_core::{Id, Reason};
use support::{Harness, allow_descriptors, frame, read_available, settings};

/// Long enough that the real time of a test means nothing.
const LIMIT: Duration = Duration::from_secs(3600);
/// Passes a tick of the wheel.
const MORE: Duration = Duration::from_secs(10);

#[test]
fn an_unfinished_message_fails_with_its_timeout_however_it_trickles() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.read_timeout = Some(LIMIT)));
    let wire = frame(&[7; 100]);
    for byte in &wire[..9] {
        peer.write_all(&[*byte]).expect("room");
        h.quiesce();
        assert_eq!(h.reason(id), None);
        h.pass(LIMIT / 10);
    }
    assert_eq!(h.reason(id), None);
    h.pass(LIMIT / 10 + MORE);
    assert_eq!(h.reason(id), Some(Reason::ReadTimeout.code()));
    assert_eq!(h.life(id), ["accepted", "closed"]);
}

#[test]
fn each_message_has_the_read_timeout_for_itself() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.read_timeout = Some(LIMIT);
        s.max_in_flight = None;
    }));
    let wire = frame(b"whole");
    peer.write_all(&wire[..6]).expect("room");
    h.quiesce();
    for _ in 0..5 {
        h.pass(LIMIT / 3 * 2);
        // Ends one message and begins the next.
        peer.write_all(&wire[6..]).expect("room");
        peer.write_all(&wire[..6]).expect("room");
        h.quiesce();
    }
    assert_eq!(h.message_count(id), 5);
    assert_eq!(h.reason(id), None);
    peer.write_all(&wire[6..]).expect("room");
    h.quiesce();
    // Between messages there is no hurry.
    h.pass(LIMIT * 9);
    assert_eq!(h.message_count(id), 6);
    assert_eq!(h.reason(id), None);
}

#[test]
fn time_in_which_we_do_not_read_does_not_count() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.read_timeout = Some(LIMIT);
        s.max_in_flight = NonZeroU32::new(1);
    }));
    let wire = frame(b"whole");
    peer.write_all(&wire[..6]).expect("room");
    h.quiesce();
    h.poller.set_flow(id, Start::Paused);
    h.quiesce();
    h.pass(LIMIT * 2);
    h.poller.set_flow(id, Start::Reading);
    h.quiesce();
    h.pass(LIMIT / 2);
    peer.write_all(&wire[6..]).expect("room");
    peer.write_all(&wire[..6]).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 1);
    // One is in handling, so the next is not read.
    h.pass(LIMIT * 2);
    assert_eq!(h.reason(id), None);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    h.pass(LIMIT + MORE);
    assert_eq!(h.reason(id), Some(Reason::ReadTimeout.code()));
}

/// The peer of a connection that has sent a whole request and half of another.
fn one_and_a_half(h: &mut Harness, peer: &mut UnixStream, request: &[u8]) {
    let wire = [frame(request), frame(b"unfinished")].concat();
    peer.write_all(&wire[..wire.len() - 3]).expect("room");
    h.quiesce();
}

#[test]
fn a_whole_request_is_answered_although_the_next_is_not_finished_in_time() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.read_timeout = Some(LIMIT)));
    one_and_a_half(&mut h, &mut peer, b"whole");
    h.pass(LIMIT + MORE);
    assert_eq!(h.life(id), ["accepted", "inactive"]);
    // Too late, and taken for nothing.
    peer.write_all(b"hed").expect("it is not closed");
    h.pass(LIMIT * 2);
    assert_eq!(h.reason(id), None, "its handler is not done");
    let reply = h.slice(&frame(b"reply"));
    h.poller.send(id, reply);
    h.poller.acknowledge(id, 1);
    let (got, outcome) = h.peer_reads_to_end(&mut peer, |_, _| {});
    assert_eq!((got, outcome.is_ok()), (frame(b"reply"), true));
    assert_eq!(h.messages(id), [frame(b"whole")]);
    drop(peer);
    assert_eq!(h.until_closed(id), Reason::ReadTimeout.code());
}

/// Of one whose messages do not count, the core does not know whether a handler still runs, unless its consumer says so.
#[test]
fn an_answer_is_waited_for_where_messages_count_from_now_on() {
    let whole = frame(b"whole");
    let unfinished = &whole[..6];
    let endings: [(&[u8], Reason); 3] = [
        (unfinished, Reason::ReadTimeout),
        (&[0xff; 4], Reason::FrameTooLarge),
        (b"", Reason::Normal),
    ];
    for (wire, reason) in endings {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| {
            s.read_timeout = Some(LIMIT);
            s.max_in_flight = None;
        }));
        h.poller.count_messages(id);
        h.quiesce();
        peer.write_all(&[&whole, wire].concat()).expect("room");
        if reason == Reason::Normal {
            peer.shutdown(Shutdown::Write).expect("an end");
        }
        h.quiesce();
        h.pass(LIMIT + MORE);
        h.pass(LIMIT * 2);
        assert_eq!(h.reason(id), None, "{reason:?}: its handler is not done");
        let reply = h.slice(&frame(b"reply"));
        h.poller.send(id, reply);
        h.poller.acknowledge(id, 1);
        let (got, outcome) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert_eq!((got, outcome.is_ok()), (frame(b"reply"), true));
        drop(peer);
        assert_eq!(h.until_closed(id), reason.code());
    }
}

/// The next request is not finished in time, while the peer has more of `reply` to take than the system does at
/// once.
fn with_a_reply_on_its_way(h: &mut Harness, reply: &[u8]) -> (Id, UnixStream) {
    let (id, mut peer) = h.unix(&settings(|s| {
        s.read_timeout = Some(LIMIT);
        s.high_water_mark = 16 * 1024 * 1024;
    }));
    one_and_a_half(h, &mut peer, b"whole");
    let slice = h.slice(reply);
    h.poller.send(id, slice);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    h.pass(LIMIT + MORE);
    assert_eq!(h.reason(id), None, "most of it is on its way");
    (id, peer)
}

#[test]
fn a_reply_leaves_whole_although_the_next_request_is_not_finished_in_time() {
    let mut h = Harness::new();
    let reply = vec![7; 3_000_000];
    let (id, mut peer) = with_a_reply_on_its_way(&mut h, &reply);
    let (got, outcome) = h.peer_reads_to_end(&mut peer, |_, _| {});
    assert_eq!((got == reply, outcome.is_ok()), (true, true));
    drop(peer);
    assert_eq!(h.until_closed(id), Reason::ReadTimeout.code());
}

/// Closing waits for its own time, and no longer.
#[test]
fn who_neither_finishes_a_request_nor_takes_a_reply_is_given_up() {
    let mut h = Harness::new();
    let (id, _peer) = with_a_reply_on_its_way(&mut h, &[7; 3_000_000]);
    for _ in 0..3 {
        h.pass(LIMIT);
    }
    assert_eq!(h.reason(id), Some(Reason::ReadTimeout.code()));
}

/// The process was stopped for longer than every timeout. What arrived meanwhile is there.
#[test]
fn a_stall_of_the_process_is_not_the_peers() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.read_timeout = Some(LIMIT);
        s.idle_timeout = Some(LIMIT);
        s.write_timeout = Some(LIMIT);
        s.high_water_mark = 16 * 1024 * 1024;
    }));
    let reply = vec![3; 3_000_000];
    let slice = h.slice(&reply);
    h.poller.send(id, slice);
    // Longer than one read takes, so that it is still unfinished after the first.
    let wire = frame(&vec![7; 150_000]);
    peer.write_all(&wire[..10]).expect("room");
    h.quiesce();
    let mut got = Vec::new();
    read_available(&mut peer, &mut got, usize::MAX).expect("reading");
    let mut rest = &wire[10..];
    while let Ok(count) = peer.write(rest) {
        rest = &rest[count..];
        if rest.is_empty() {
            break;
        }
    }
    h.turn();
    h.advance(LIMIT * 2);
    // A turn without a look at the sockets knows nothing of what has arrived.
    h.turn();
    assert_eq!(h.reason(id), None);
    h.look();
    while h.poller.has_ready() {
        h.turn();
        h.look();
        assert_eq!(h.reason(id), None);
    }
    h.peer_writes(&mut peer, rest, |_, _| {});
    h.until(|h| h.message_count(id) == 1);
    got.extend(h.peer_reads(&mut peer, reply.len() - got.len(), |_, _| {}));
    assert!(got == reply);
    assert_eq!(h.life(id), ["accepted"]);
}

/// Such a peer has stood still as long, and is served before its other end gives it up. A message takes many turns.
#[test]
fn a_stall_is_not_a_peers_of_the_same_poller() {
    let mut h = Harness::new();
    let settings = settings(|s| {
        s.close_timeout = LIMIT;
        s.high_water_mark = 16 * 1024 * 1024;
    });
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let sender = h.adopt_stream(ours.as_fd(), &settings);
    let receiver = h.adopt_stream(theirs.as_fd(), &settings);
    drop((ours, theirs));
    h.quiesce();
    let wires = [frame(&vec![7; 1_000_000]), frame(&vec![8; 1_000_000])];
    for wire in &wires {
        let slice = h.slice(wire);
        h.poller.send(sender, slice);
    }
    h.poller.close(sender);
    h.flush();
    h.pass(LIMIT * 2);
    assert!(h.messages(receiver) == wires);
    h.poller.close(receiver);
    assert_eq!(h.until_closed(sender), Reason::Normal.code());
}

/// Others that are ready in each turn put it off no longer.
#[test]
fn a_deadline_is_put_off_for_as_long_as_the_stall_at_most() {
    let mut h = Harness::new();
    let (late, mut peer) = h.unix(&settings(|s| s.read_timeout = Some(LIMIT)));
    let (_, mut busy) = h.unix(&settings(|s| s.max_in_flight = None));
    let wire = frame(b"whole");
    peer.write_all(&wire[..6]).expect("room");
    h.quiesce();
    let mut reason_after = |time| {
        busy.write_all(&wire).expect("room");
        h.advance(time);
        h.look();
        h.turn();
        // Without a look no deadline is met, and what was is told.
        h.flush();
        h.turn();
        h.reason(late)
    };
    assert_eq!(reason_after(LIMIT * 2), None);
    assert_eq!(reason_after(LIMIT - MORE * 2), None);
    assert_eq!(
        reason_after(LIMIT + MORE * 4),
        Some(Reason::ReadTimeout.code())
    );
}

/// No peer is given up because the news of others came first.
#[test]
fn a_stall_is_nobodys_however_many_have_sent_meanwhile() {
    const MANY: usize = 1200;
    allow_descriptors(2 * MANY as u64 + 200);
    let mut h = Harness::new();
    let settings = settings(|s| s.read_timeout = Some(LIMIT));
    let wire = frame(b"whole");
    let (ids, mut peers): (Vec<Id>, Vec<UnixStream>) = (0..MANY)
        .map(|_| {
            let (ours, mut peer) = UnixStream::pair().expect("a pair");
            peer.write_all(&wire[..6]).expect("room");
            (h.adopt_stream(ours.as_fd(), &settings), peer)
        })
        .unzip();
    h.quiesce();
    for peer in &mut peers {
        peer.write_all(&wire[6..]).expect("room");
    }
    h.pass(LIMIT * 2);
    let failed = ids.iter().filter(|id| h.reason(**id).is_some()).count();
    assert_eq!(failed, 0);
    assert_eq!(h.log.len(), MANY);
}

#[test]
fn a_peer_that_takes_nothing_fails_with_the_write_timeout() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.write_timeout = Some(LIMIT)));
    let slice = h.slice(&vec![0; 3_000_000]);
    h.poller.send(id, slice);
    h.quiesce();
    let mut got = Vec::new();
    for _ in 0..5 {
        h.pass(LIMIT / 3 * 2);
        assert_eq!(h.reason(id), None);
        read_available(&mut peer, &mut got, usize::MAX).expect("reading");
        h.quiesce();
    }
    assert!(got.len() < 3_000_000, "nothing is left to wait for");
    h.pass(LIMIT + MORE);
    assert_eq!(h.reason(id), Some(Reason::WriteTimeout.code()));
}

#[test]
fn who_has_nothing_to_send_has_no_write_timeout() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.write_timeout = Some(LIMIT)));
    let slice = h.slice(b"a little");
    h.poller.send(id, slice);
    h.quiesce();
    h.pass(LIMIT * 2);
    assert_eq!(h.reason(id), None);
    assert_eq!(h.peer_reads(&mut peer, 8, |_, _| {}), b"a little");
}

#[test]
fn idleness_is_told_once_each_time_and_closes_nothing() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.idle_timeout = Some(LIMIT)));
    h.quiesce();
    h.pass(LIMIT - MORE);
    assert!(!h.has(id, "idle"));
    // A byte is activity, even of a message that is not finished.
    peer.write_all(&frame(b"abcd")[..3]).expect("room");
    h.quiesce();
    h.pass(LIMIT - MORE);
    assert!(!h.has(id, "idle"));
    h.pass(2 * MORE);
    h.pass(LIMIT / 2);
    assert_eq!(h.life(id), ["accepted", "idle"]);
    h.pass(LIMIT / 2 + MORE);
    assert_eq!(h.life(id), ["accepted", "idle", "idle"]);
}

#[test]
fn who_handles_a_message_or_waits_to_send_is_not_idle() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.idle_timeout = Some(LIMIT)));
    peer.write_all(&frame(b"abcd")).expect("room");
    h.quiesce();
    h.pass(LIMIT * 3);
    assert!(!h.has(id, "idle"));
    let slice = h.slice(&vec![0; 2_000_000]);
    h.poller.send(id, slice);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    h.pass(LIMIT * 3);
    assert!(!h.has(id, "idle"));
    h.peer_reads(&mut peer, 2_000_000, |_, _| {});
    h.quiesce();
    h.pass(LIMIT - MORE);
    assert!(!h.has(id, "idle"), "it was busy until now");
    h.pass(2 * MORE);
    assert!(h.has(id, "idle"));
    h.poller.close(id);
    h.quiesce();
    let before = h.story(id).len();
    h.pass(LIMIT / 2);
    assert_eq!(h.story(id).len(), before, "closing is not idleness");
}

/// Its pieces are acknowledged late, and their reader knows whether they are being handled. Paused,
/// with a request in the socket, or in the core, because others are in handling.
#[test]
fn a_peer_whose_request_waits_for_us_is_not_idle() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.idle_timeout = Some(LIMIT);
        s.max_in_flight = NonZeroU32::new(1);
    }));
    h.poller.set_flow(id, Start::Paused);
    h.quiesce();
    peer.write_all(&frame(b"waits")).expect("room");
    for _ in 0..5 {
        h.pass(LIMIT);
        assert!(!h.has(id, "idle"), "its request waits in the socket");
    }
    peer.write_all(&frame(b"waits, too")).expect("room");
    h.poller.set_flow(id, Start::Reading);
    h.until(|h| h.message_count(id) == 1);
    h.poller.set_flow(id, Start::Paused);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    for _ in 0..5 {
        h.pass(LIMIT);
        assert!(!h.has(id, "idle"), "its request waits in the core");
    }
    h.poller.set_flow(id, Start::Reading);
    h.until(|h| h.message_count(id) == 2);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    // Paused, and nothing waits: it is the peer that is silent.
    h.poller.set_flow(id, Start::Paused);
    h.pass(LIMIT + MORE);
    h.pass(MORE);
    assert!(h.has(id, "idle"));
}

/// What its consumer was busy with is not the peer's silence.
#[test]
fn silence_counts_from_when_the_consumer_was_busy_last() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|s| s.idle_timeout = Some(LIMIT)));
    h.quiesce();
    let begin = h.now();
    h.pass(LIMIT + MORE);
    assert_eq!(h.life(id), ["accepted", "idle"]);
    h.poller.confirm_idle(id, begin + LIMIT - MORE);
    h.quiesce();
    h.pass(LIMIT - 3 * MORE);
    assert_eq!(h.life(id), ["accepted", "idle"], "it was busy");
    h.pass(2 * MORE);
    // It may have been busy again since it has answered.
    assert_eq!(h.life(id), ["accepted", "idle", "idle"]);
    h.poller.confirm_idle(id, begin);
    h.quiesce();
    h.pass(Duration::from_millis(10));
    assert_eq!(h.life(id), ["accepted", "idle", "idle", "idle confirmed"]);
}

/// What goes over the wire until the consumer has answered counts, in either direction.
#[test]
fn whatever_comes_before_the_answer_takes_idleness_back() {
    for direction in ["in", "out", "limit"] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| s.idle_timeout = Some(LIMIT)));
        h.quiesce();
        let begin = h.now();
        h.pass(LIMIT + MORE);
        assert!(h.has(id, "idle"));
        match direction {
            "in" => peer.write_all(&frame(b"abcd")[..3]).expect("room"),
            "out" => {
                let slice = h.slice(b"a heartbeat");
                h.poller.send(id, slice);
            }
            _ => h.poller.set_limit(id, Limit::Idle, Some(LIMIT)),
        }
        h.poller.confirm_idle(id, begin);
        h.quiesce();
        h.pass(LIMIT - MORE);
        assert_eq!(h.life(id), ["accepted", "idle"], "{direction}");
        h.pass(2 * MORE);
        assert_eq!(h.life(id), ["accepted", "idle", "idle"], "{direction}");
    }
}

/// Also of what it was told as final: its consumer comes to that later.
#[test]
fn whatever_comes_after_silence_was_told_ends_it() {
    for direction in ["in", "out", "limit"] {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|s| s.idle_timeout = Some(LIMIT)));
        h.quiesce();
        let begin = h.now();
        assert!(!h.poller.is_silent(id, begin));
        h.pass(LIMIT + MORE);
        h.poller.confirm_idle(id, begin);
        h.quiesce();
        h.pass(Duration::from_millis(10));
        assert_eq!(h.life(id), ["accepted", "idle", "idle confirmed"]);
        let now = h.now();
        assert!(h.poller.is_silent(id, now));
        match direction {
            "in" => {
                peer.write_all(&frame(b"abcd")[..3]).expect("room");
                h.quiesce();
            }
            "out" => {
                let slice = h.slice(b"a heartbeat");
                h.poller.send(id, slice);
            }
            _ => h.poller.set_limit(id, Limit::Idle, Some(LIMIT)),
        }
        assert!(!h.poller.is_silent(id, now), "{direction}");
    }
}

#[test]
fn an_answer_to_no_question_means_nothing() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|s| s.idle_timeout = Some(LIMIT)));
    h.quiesce();
    let begin = h.now();
    h.poller.confirm_idle(id, begin + 9 * LIMIT);
    h.quiesce();
    h.pass(LIMIT + MORE);
    assert_eq!(h.life(id), ["accepted", "idle"]);
    h.poller.set_limit(id, Limit::Idle, None);
    h.poller.confirm_idle(id, begin);
    h.quiesce();
    h.pass(9 * LIMIT);
    assert_eq!(h.life(id), ["accepted", "idle"]);
}

#[test]
fn a_stream_is_idle_although_pieces_of_it_are_not_acknowledged() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.framing = Framing::Stream;
        s.idle_timeout = Some(LIMIT);
    }));
    peer.write_all(b"abcd").expect("room");
    h.quiesce();
    h.pass(LIMIT + MORE);
    assert!(h.has(id, "idle"));
}

#[test]
fn who_only_waits_for_the_peer_after_the_end_of_our_direction_can_be_idle() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|s| {
        s.half_open = HalfOpen::Keep;
        s.idle_timeout = Some(LIMIT);
    }));
    h.poller.end(id);
    h.quiesce();
    h.pass(LIMIT + MORE);
    assert_eq!(h.life(id), ["accepted", "idle"]);
}

#[test]
fn timers_go_with_their_connection() {
    let mut h = Harness::new();
    let settings = settings(|s| {
        s.idle_timeout = Some(LIMIT);
        s.write_timeout = Some(LIMIT / 2);
    });
    let (id, peer) = h.unix(&settings);
    let slice = h.slice(&vec![0; 3_000_000]);
    h.poller.send(id, slice);
    h.quiesce();
    assert!(h.poller.next_wake().is_some());
    drop(peer);
    h.until_closed(id);
    assert_eq!(h.poller.next_wake(), None);

    let (id, _peer) = h.unix(&settings);
    h.quiesce();
    assert!(h.poller.next_wake().is_some());
    drop(h.poller.detach(id).expect("nothing is queued"));
    assert_eq!(h.poller.next_wake(), None);
}

#[test]
fn limits_can_be_replaced_and_their_time_begins_anew() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.read_timeout = Some(LIMIT)));
    peer.write_all(&frame(b"abcd")[..5]).expect("room");
    h.quiesce();
    h.pass(LIMIT / 2);
    h.poller.set_limit(id, Limit::Read, None);
    h.poller.set_limit(id, Limit::Idle, Some(LIMIT));
    h.quiesce();
    h.pass(LIMIT * 2);
    assert_eq!(h.reason(id), None);
    assert!(h.has(id, "idle"));
    h.poller.set_limit(id, Limit::Read, Some(LIMIT / 2));
    h.quiesce();
    h.pass(LIMIT / 2 - MORE);
    assert_eq!(h.reason(id), None);
    h.pass(2 * MORE);
    assert_eq!(h.reason(id), Some(Reason::ReadTimeout.code()));

    let (other, _peer) = h.unix(&settings(|_| {}));
    h.poller.set_limit(other, Limit::Write, Some(LIMIT));
    let slice = h.slice(&vec![0; 3_000_000]);
    h.poller.send(other, slice);
    h.quiesce();
    h.pass(LIMIT + MORE);
    assert_eq!(h.reason(other), Some(Reason::WriteTimeout.code()));
}

#[test]
fn an_deadline_timer_comes_once_and_a_new_one_replaces_it() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|s| s.start = Start::Paused));
    let set = |h: &mut Harness, after: Option<Duration>| {
        let deadline_timer = after.map(|after| DeadlineTimer {
            time: h.now() + after,
            number: 0,
        });
        h.poller.set_deadline_timer(id, deadline_timer);
        h.quiesce();
    };
    set(&mut h, Some(LIMIT));
    h.pass(LIMIT - MORE);
    assert!(!h.has(id, "deadline_timer"));
    h.pass(2 * MORE);
    h.pass(LIMIT * 9);
    assert_eq!(h.life(id), ["accepted", "deadline_timer"]);
    set(&mut h, Some(LIMIT));
    set(&mut h, Some(LIMIT * 3));
    h.pass(LIMIT * 2);
    assert_eq!(h.life(id), ["accepted", "deadline_timer"]);
    h.pass(LIMIT + MORE);
    assert_eq!(h.life(id), ["accepted", "deadline_timer", "deadline_timer"]);
    set(&mut h, Some(LIMIT));
    set(&mut h, None);
    h.pass(LIMIT * 9);
    assert_eq!(h.life(id), ["accepted", "deadline_timer", "deadline_timer"]);
    assert_eq!(h.poller.next_wake(), None);
}

#[test]
fn a_connection_without_limits_arms_nothing() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    peer.write_all(&frame(b"abcd")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 1);
    assert_eq!(h.poller.next_wake(), None);
}

#[test]
fn messages_that_are_finished_in_time_never_fail() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| {
        s.read_timeout = Some(LIMIT / 60);
        s.idle_timeout = Some(LIMIT);
        s.max_in_flight = None;
    }));
    let wire = frame(b"abcd");
    for _ in 0..500 {
        peer.write_all(&wire[..5]).expect("room");
        h.quiesce();
        h.pass(LIMIT / 100);
        peer.write_all(&wire[5..]).expect("room");
        h.quiesce();
        h.pass(LIMIT / 100);
    }
    assert_eq!(h.message_count(id), 500);
    assert_eq!(h.life(id), ["accepted"]);
}

#[test]
fn bytes_are_counted_and_told_before_the_end() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.half_open = HalfOpen::Keep));
    let wire = frame(&[1; 1_000]);
    peer.write_all(&wire).expect("room");
    let slice = h.slice(&[0; 300]);
    h.poller.send(id, slice);
    h.quiesce();
    assert_eq!(h.poller.bytes_read(id), Some(1_004));
    assert_eq!(h.poller.bytes_written(id), Some(300));
    h.poller.acknowledge(id, 1);
    h.poller.close(id);
    h.quiesce();
    peer.write_all(&[0; 50]).expect("room");
    drop(peer);
    h.until_closed(id);
    assert_eq!(h.totals[&id], (1_054, 300));
    h.quiesce();
    h.turn();
    assert_eq!(h.poller.bytes_read(id), None);
}
