//! What is watched by level is told in each look, until it is served. What stays in a socket on purpose must not be told
//! again: the poller would turn without end.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use netpoll_core::settings::{HalfOpen, Handling, Settings, Start, WhenCongested};
use netpoll_core::work::{Answer, Assignment, Bytes, WorkSettings, Workers};
use netpoll_core::{Id, Reason, Wake};
use socket2::{Domain, Socket};
use support::{
    Harness, SocketFile, frame, is_readable, read_available, settings, unread_by_other_end,
    whole_frames,
};

/// Turns that any news may take: of those who are told, those who act, and those who look whether that was all. A call that
/// a fault has cut short costs one more, and there may be several in a row. A poller without end takes any number.
const FEW: usize = if cfg!(feature = "faults") { 60 } else { 6 };

type Connect = fn(&mut Harness, &Arc<Settings>) -> (Id, UnixStream);

const CONNECTS: [Connect; 3] = [Harness::unix, dialed, adopted];

fn dialed(h: &mut Harness, settings: &Arc<Settings>) -> (Id, UnixStream) {
    let file = SocketFile::new();
    let listener = UnixListener::bind(file.path()).expect("listening");
    let id = h.dial(&file.address(), settings);
    let (peer, _) = listener.accept().expect("a connection");
    peer.set_nonblocking(true).expect("non-blocking");
    h.until(|h| h.has(id, "connected"));
    (id, peer)
}

fn adopted(h: &mut Harness, settings: &Arc<Settings>) -> (Id, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("a pair");
    peer.set_nonblocking(true).expect("non-blocking");
    (h.adopt_stream(ours.as_fd(), settings), peer)
}

/// Serves what there is. The poller is not called again before more happens.
#[track_caller]
fn assert_settles(h: &mut Harness) {
    let before = h.turns;
    for _ in 0..FEW {
        h.flush();
        h.look();
        h.turn();
    }
    h.flush();
    h.look();
    assert!(!h.poller.has_ready(), "turns without end");
    assert!(!is_readable(h.poller.as_raw_fd()), "called without end");
    assert_eq!(h.turns, before + FEW);
}

/// The events for which the system was asked about a connection; `None` where it is not watched.
fn watched_for(h: &Harness, id: Id) -> Option<u32> {
    let token = u64::from(id.generation) << 32 | u64::from(id.slot);
    let path = format!("/proc/self/fdinfo/{}", h.poller.as_raw_fd());
    let text = std::fs::read_to_string(path).expect("/proc");
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let mut word_after = |name: &str| words.find(|word| *word == name).and(words.next());
        let events = word_after("events:")?;
        let data = word_after("data:")?;
        let is_it = u64::from_str_radix(data, 16).expect("a number") == token;
        is_it.then(|| u32::from_str_radix(events, 16).expect("a number"))
    })
}

fn is_level(h: &Harness, id: Id) -> bool {
    let events = watched_for(h, id).expect("it is watched");
    events & libc::EPOLLET as u32 == 0
}

/// Fills a socket, and returns how much that was.
fn fill(peer: &mut UnixStream) -> usize {
    let mut total = 0;
    loop {
        match peer.write(&[0; 4096]) {
            Ok(count) => total += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_paused_connection_is_not_told_of_again() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &settings(|_| {}));
        h.quiesce();
        h.poller.set_flow(id, Start::Paused);
        assert_settles(&mut h);
        assert!(is_level(&h, id), "nothing has come that would stay");
        for _ in 0..3 {
            peer.write_all(&frame(b"held")).expect("room");
            assert_settles(&mut h);
        }
        assert_eq!(h.message_count(id), 0);
        h.poller.set_flow(id, Start::Reading);
        assert_settles(&mut h);
        assert_eq!(h.message_count(id), 3);
        assert!(is_level(&h, id), "as before");
    }
}

#[test]
fn what_is_left_at_the_bound_on_those_in_flight_is_not_told_of_again() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let one = settings(|s| s.max_in_flight = NonZeroU32::new(1));
        let (id, mut peer) = connect(&mut h, &one);
        for _ in 0..5 {
            peer.write_all(&frame(b"abcd").repeat(2)).expect("room");
            assert_settles(&mut h);
        }
        for count in 1..=10 {
            assert_eq!(h.message_count(id), count);
            h.poller.acknowledge(id, 1);
            assert_settles(&mut h);
        }
        assert!(is_level(&h, id));
    }
}

#[test]
fn what_comes_while_the_peer_does_not_read_is_not_told_of_again() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let stops = settings(|s| s.when_congested = WhenCongested::StopReading);
        let (id, mut peer) = connect(&mut h, &stops);
        let reply = vec![1; 3_000_000];
        let slice = h.slice(&reply);
        h.poller.send(id, slice);
        peer.write_all(&frame(b"abcd")).expect("room");
        assert_settles(&mut h);
        assert_eq!(h.message_count(id), 0);
        assert!(!is_level(&h, id));
        let got = h.peer_reads(&mut peer, reply.len(), |_, _| {});
        assert!(got == reply);
        assert_settles(&mut h);
        assert_eq!(h.message_count(id), 1);
        assert!(is_level(&h, id));
    }
}

/// The peer has ended its direction, or is gone, while its message is still in handling.
#[test]
fn an_end_is_not_told_of_again() {
    for (half_open, gone) in [
        (HalfOpen::Close, false),
        (HalfOpen::Close, true),
        (HalfOpen::Keep, false),
        (HalfOpen::Keep, true),
    ] {
        for connect in CONNECTS {
            let mut h = Harness::new();
            let (id, mut peer) = connect(&mut h, &settings(|s| s.half_open = half_open));
            peer.write_all(&frame(b"slow")).expect("room");
            peer.shutdown(Shutdown::Write).expect("shutdown");
            let peer = if gone { None } else { Some(peer) };
            assert_settles(&mut h);
            assert_eq!(h.message_count(id), 1);
            assert_eq!(h.reason(id), None);
            h.poller.acknowledge(id, 1);
            h.poller.close(id);
            h.quiesce();
            assert_eq!(h.reason(id), Some(0));
            drop(peer);
        }
    }
}

#[test]
fn an_end_behind_unread_input_is_not_told_of_again() {
    for gone in [false, true] {
        for connect in CONNECTS {
            let mut h = Harness::new();
            let (id, mut peer) = connect(&mut h, &settings(|_| {}));
            h.poller.set_flow(id, Start::Paused);
            peer.write_all(&frame(b"last")).expect("room");
            assert_settles(&mut h);
            peer.shutdown(Shutdown::Write).expect("shutdown");
            let peer = if gone { None } else { Some(peer) };
            assert_settles(&mut h);
            h.poller.set_flow(id, Start::Reading);
            assert_settles(&mut h);
            assert_eq!(h.message_count(id), 1);
            h.poller.acknowledge(id, 1);
            h.quiesce();
            assert_eq!(h.reason(id), Some(0));
            drop(peer);
        }
    }
}

/// The socket has an error, which reading would tell.
#[test]
fn a_peer_that_is_gone_with_output_unread_or_unsent_is_told_of_once() {
    for unsent in [5, 3_000_000] {
        for connect in CONNECTS {
            let mut h = Harness::new();
            let (id, mut peer) = connect(&mut h, &settings(|_| {}));
            h.poller.set_flow(id, Start::Paused);
            peer.write_all(&frame(b"abcd")).expect("room");
            let slice = h.slice(&vec![1; unsent]);
            h.poller.send(id, slice);
            assert_settles(&mut h);
            drop(peer);
            h.poller.set_flow(id, Start::Reading);
            let before = h.turns;
            while h.reason(id).is_none() && h.turns < before + FEW {
                h.flush();
                h.look();
                h.turn();
            }
            assert!(h.reason(id).is_some() || h.message_count(id) == 1);
            assert_settles(&mut h);
        }
    }
}

#[test]
fn what_comes_while_closing_is_thrown_away_and_the_end_met() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &settings(|_| {}));
        h.poller.close(id);
        for _ in 0..3 {
            assert!(fill(&mut peer) > 0);
            // As much as one read takes in each turn.
            h.quiesce();
            assert_settles(&mut h);
        }
        assert!(is_level(&h, id), "nothing of it stays");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        assert_settles(&mut h);
        assert_eq!(h.reason(id), Some(0));
    }
}

#[test]
fn what_comes_while_output_waits_for_the_peer_before_closing_is_thrown_away() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &settings(|_| {}));
        let slice = h.slice(&vec![1; 3_000_000]);
        h.poller.send(id, slice);
        h.poller.close(id);
        for _ in 0..3 {
            assert!(fill(&mut peer) > 0);
            h.quiesce();
            assert_settles(&mut h);
        }
        peer.shutdown(Shutdown::Write).expect("shutdown");
        assert_settles(&mut h);
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert_eq!(got.len(), 3_000_000);
        assert!(end.is_ok());
        assert_eq!(h.until_closed(id), 0);
    }
}

/// Messages are still in handling, and nothing more is read.
#[test]
fn what_comes_behind_a_refusal_or_a_finish_is_not_told_of_again() {
    for refuses in [false, true] {
        for connect in CONNECTS {
            let mut h = Harness::new();
            let (id, mut peer) = connect(&mut h, &settings(|s| s.framing = whole_frames(100)));
            peer.write_all(&frame(b"slow")).expect("room");
            assert_settles(&mut h);
            if refuses {
                peer.write_all(&[255; 4]).expect("room");
            } else {
                h.poller.finish(id);
            }
            for _ in 0..3 {
                peer.write_all(&frame(b"more")).expect("room");
                assert_settles(&mut h);
            }
            peer.shutdown(Shutdown::Write).expect("shutdown");
            assert_settles(&mut h);
            assert_eq!(h.message_count(id), 1);
            h.poller.acknowledge(id, 1);
            h.quiesce();
            let expected = if refuses {
                Reason::FrameTooLarge
            } else {
                Reason::Normal
            };
            assert_eq!(h.reason(id), Some(expected.code()));
        }
    }
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

#[test]
fn what_finds_no_room_at_the_workers_is_not_told_of_again() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let pool = Workers::new(
            WorkSettings {
                assignment: Assignment::LeastOutstanding,
                concurrency: 1,
                max_queued: 1,
                min_workers: 1,
            },
            Box::new(Silent),
        );
        let mut queue = pool.open_queue(Box::new(Silent));
        let settings = settings(|s| {
            s.handling = Handling::Workers { pool, lost: None };
        });
        let (_, mut peer) = connect(&mut h, &settings);
        const COUNT: usize = 12;
        for _ in 0..COUNT {
            peer.write_all(&frame(b"task")).expect("room");
            assert_settles(&mut h);
        }
        let (mut tasks, mut answered) = (Vec::new(), 0);
        while answered < COUNT {
            queue.take(&mut tasks);
            for task in tasks.drain(..) {
                let reply = Bytes::One(task.message.clone());
                task.origin.answer(Answer::Reply(reply));
                queue.finish(1);
                answered += 1;
            }
            assert_settles(&mut h);
        }
        let mut got = Vec::new();
        read_available(&mut peer, &mut got, usize::MAX).expect("replies");
        assert_eq!(got, frame(b"task").repeat(COUNT));
    }
}

/// A call of the system for each message would cost more than what it saves.
#[test]
fn ordinary_traffic_and_large_transfers_ask_for_nothing_anew() {
    for connect in CONNECTS {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &settings(|s| s.max_in_flight = None));
        h.quiesce();
        for _ in 0..3 {
            peer.write_all(&frame(b"abcd")).expect("room");
            h.look();
            h.turn();
            assert!(is_level(&h, id));
            assert!(!h.poller.has_ready(), "the read was short");
        }
        // What fills each read is read on in the next turn.
        let mut turns = 0;
        fill(&mut peer);
        loop {
            h.look();
            if !h.poller.has_ready() {
                break;
            }
            h.turn();
            assert!(is_level(&h, id));
            turns += 1;
        }
        assert!(turns > 1, "one read has taken it all");
    }
}

fn unix_pair() -> (Socket, Socket) {
    let (one, other) = UnixStream::pair().expect("a pair");
    (OwnedFd::from(one).into(), OwnedFd::from(other).into())
}

fn tcp_pair() -> (Socket, Socket) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listening");
    let address = listener.local_addr().expect("bound");
    let one = TcpStream::connect(address).expect("connecting");
    let (other, _) = listener.accept().expect("waiting");
    (OwnedFd::from(one).into(), OwnedFd::from(other).into())
}

/// Then closing our descriptor does not end the watch: the socket stays open, and readable.
#[test]
fn a_socket_that_others_share_is_not_watched_once_its_connection_is_over() {
    const BYTES: &[u8] = b"for others";
    let destroy: fn(&mut Harness, Id) = |h, id| h.poller.destroy(id);
    let detach: fn(&mut Harness, Id) = |h, id| drop(h.detach(id));
    for (flow, end) in [
        (Start::Reading, destroy),
        (Start::Paused, destroy),
        (Start::Paused, detach),
    ] {
        for pair in [unix_pair, tcp_pair] {
            let mut h = Harness::new();
            let (shared, peer) = pair();
            let write = || {
                (&peer).write_all(BYTES).expect("room");
                while peer.domain().expect("a domain") != Domain::UNIX
                    && unread_by_other_end(&peer) > 0
                {
                    std::thread::yield_now();
                }
            };
            for _ in 0..3 {
                // Each time under the number that the last descriptor had.
                let id = h.adopt_stream(shared.as_fd(), &settings(|_| {}));
                assert_settles(&mut h);
                h.poller.set_flow(id, flow);
                assert_settles(&mut h);
                if flow == Start::Paused {
                    write();
                    assert_settles(&mut h);
                }
                end(&mut h, id);
                assert_settles(&mut h);
                assert_eq!(watched_for(&h, id), None);
                if flow == Start::Reading {
                    write();
                    assert_settles(&mut h);
                }
                let mut got = [0; BYTES.len()];
                (&shared).read_exact(&mut got).expect("left alone");
            }
        }
    }
}

#[test]
fn a_look_comes_to_an_end_however_many_are_told_of_again() {
    const MANY: usize = 1100;
    support::allow_descriptors(2 * MANY as u64 + 200);
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let mut peers: Vec<_> = (0..MANY).map(|_| adopted(&mut h, &settings)).collect();
    h.quiesce();
    for (_, peer) in &mut peers {
        peer.write_all(&frame(b"abcd")).expect("room");
    }
    for _ in 0..3 {
        h.look();
    }
    h.quiesce();
    assert!(peers.iter().all(|(id, _)| h.message_count(*id) == 1));
    assert_settles(&mut h);
}
