//! What reaches a poller from elsewhere, and from other threads.

mod support;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use netpoll_core::connection::{DeadlineTimer, Limit};
use netpoll_core::settings::{HalfOpen, Start};
use netpoll_core::{Batch, Command, Id, PollerHandle, PollerMessage, Reason, Slice};
use support::{Harness, PATIENCE, echo, frame, is_readable, settings};

/// Posts a command, and lets the poller do what there is to do.
fn post(h: &mut Harness, id: Id, command: Command) {
    let handle = h.poller.handle();
    handle.post(PollerMessage::Command(id, command));
    h.quiesce();
}

/// What the peer finds, without waiting; `None` where there is nothing.
fn read_some(peer: &mut UnixStream) -> Option<Vec<u8>> {
    let mut buffer = [0; 1024];
    match peer.read(&mut buffer) {
        Ok(count) => Some(buffer[..count].to_vec()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn bytes_that_are_posted_leave() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let slice = h.slice(b"by message");
    post(&mut h, id, Command::Send(slice));
    assert_eq!(read_some(&mut peer), Some(b"by message".to_vec()));
}

#[test]
fn a_posted_reply_ends_the_handling_of_a_message() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = 1.try_into().ok()));
    peer.write_all(&frame(b"one")).expect("room");
    peer.write_all(&frame(b"two")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 1);
    let slice = h.slice(b"reply");
    post(&mut h, id, Command::Send(slice.clone()));
    assert_eq!(h.message_count(id), 1, "that was no reply");
    post(&mut h, id, Command::Reply(slice));
    assert_eq!(read_some(&mut peer), Some(b"replyreply".to_vec()));
    assert_eq!(h.messages(id), [frame(b"one"), frame(b"two")]);
}

#[test]
fn what_is_acknowledged_or_allowed_by_message_is_handed_over() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = 1.try_into().ok()));
    for _ in 0..7 {
        peer.write_all(&frame(b"more")).expect("room");
    }
    h.quiesce();
    post(&mut h, id, Command::Acknowledge(1));
    assert_eq!(h.message_count(id), 2);
    post(&mut h, id, Command::AllowBeyond(2));
    assert_eq!(h.message_count(id), 4);
    post(&mut h, id, Command::Acknowledge(3));
    assert_eq!(h.message_count(id), 7);
}

#[test]
fn a_connection_is_closed_finished_failed_and_reset_by_message() {
    type Check = fn(&mut Harness, Id, &mut UnixStream);
    let closes: Check = |h, id, peer| {
        assert_eq!(read_some(peer), Some(b"last".to_vec()));
        assert_eq!(read_some(peer), Some(vec![]));
        assert_eq!(h.reason(id), None, "it waits for the peer's end");
    };
    let lost: Check = |h, id, peer| {
        assert_eq!(read_some(peer), Some(vec![]));
        assert!(h.reason(id).is_some());
    };
    let cases: [(fn() -> Command, Check); 4] = [
        (|| Command::Close, closes),
        (|| Command::Finish, closes),
        (|| Command::Fail(Reason::BufferLimit), lost),
        (|| Command::Reset, lost),
    ];
    for (command, check) in cases {
        let mut h = Harness::new();
        let (id, mut peer) = h.unix(&settings(|_| {}));
        let handle = h.poller.handle();
        let slice = h.slice(b"last");
        handle.post(PollerMessage::Command(id, Command::Send(slice.clone())));
        post(&mut h, id, command());
        check(&mut h, id, &mut peer);
        post(&mut h, id, Command::Send(slice));
        drop(peer);
        h.until_closed(id);
    }
}

#[test]
fn a_failure_by_message_is_the_reason_of_the_last_record() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|_| {}));
    post(&mut h, id, Command::Fail(Reason::ForeignDetached));
    assert_eq!(h.reason(id), Some(Reason::ForeignDetached.code()));
}

#[test]
fn flow_is_stopped_and_resumed_by_message() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    post(&mut h, id, Command::Flow(Start::Paused));
    peer.write_all(&frame(b"wait")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 0);
    post(&mut h, id, Command::Flow(Start::Reading));
    assert_eq!(h.message_count(id), 1);
}

#[test]
fn our_direction_is_ended_by_message_and_the_peers_goes_on() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.half_open = HalfOpen::Keep));
    let handle = h.poller.handle();
    handle.post(PollerMessage::Command(id, Command::TakeOver));
    let slice = h.slice(b"last");
    handle.post(PollerMessage::Command(id, Command::Send(slice)));
    post(&mut h, id, Command::End);
    assert_eq!(read_some(&mut peer), Some(b"last".to_vec()));
    assert_eq!(read_some(&mut peer), Some(vec![]));
    assert!(h.reason(id).is_none());
    peer.write_all(&frame(b"still here")).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 1);
}

#[test]
fn deadline_timers_and_limits_are_set_by_message() {
    let mut h = Harness::new();
    let (id, _peer) = h.unix(&settings(|_| {}));
    let (soon, late) = (Duration::from_secs(10), Duration::from_secs(20));
    let deadline_timer = h.now() + soon;
    post(
        &mut h,
        id,
        Command::DeadlineTimer(Some(DeadlineTimer {
            time: deadline_timer,
            number: 1,
        })),
    );
    post(&mut h, id, Command::Limit(Limit::Idle, Some(late)));
    h.pass(soon + Duration::from_secs(1));
    assert_eq!(h.life(id), ["accepted", "deadline_timer"]);
    h.pass(late);
    assert_eq!(h.life(id), ["accepted", "deadline_timer", "idle"]);
    post(
        &mut h,
        id,
        Command::DeadlineTimer(Some(DeadlineTimer {
            time: deadline_timer + late * 3,
            number: 2,
        })),
    );
    post(&mut h, id, Command::DeadlineTimer(None));
    post(&mut h, id, Command::Limit(Limit::Idle, None));
    h.pass(late * 10);
    assert_eq!(h.life(id), ["accepted", "deadline_timer", "idle"]);
}

#[test]
fn messages_for_a_connection_that_is_gone_do_not_reach_its_successor() {
    let mut h = Harness::new();
    let (old, new, mut peer, _file) = h.succeeded();
    let slice = h.slice(b"for somebody else");
    let orders: Vec<Command> = vec![
        Command::Send(slice.clone()),
        Command::Reply(slice),
        Command::Acknowledge(1),
        Command::AllowBeyond(5),
        Command::CountMessages,
        Command::Close,
        Command::Finish,
        Command::Fail(Reason::Normal),
        Command::Reset,
        Command::Flow(Start::Paused),
        Command::End,
        Command::TakeOver,
        Command::DeadlineTimer(Some(DeadlineTimer {
            time: h.now(),
            number: 3,
        })),
        Command::Limit(Limit::Idle, Some(Duration::from_millis(1))),
    ];
    for command in orders {
        post(&mut h, old, command);
        h.pass(Duration::from_secs(5));
        assert_eq!(read_some(&mut peer), None);
        assert_eq!(h.life(new), ["accepted"]);
        peer.write_all(&frame(b"ping")).expect("room");
        assert_eq!(h.peer_reads(&mut peer, 8, echo), frame(b"ping"));
    }
    let never = Id {
        slot: u32::MAX,
        generation: 0,
    };
    post(&mut h, never, Command::Close);
}

#[test]
fn messages_are_read_in_the_order_in_which_they_were_posted() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let handle = h.poller.handle();
    let mut messages: Vec<PollerMessage> = (0..5_u8)
        .map(|number| PollerMessage::Command(id, Command::Send(h.slice(&[number]))))
        .collect();
    let slice = h.slice(&[5]);
    messages.push(PollerMessage::visit(move |poller| poller.send(id, slice)));
    handle.post_all(&mut messages);
    assert!(messages.is_empty());
    let slice = h.slice(&[6]);
    post(&mut h, id, Command::Send(slice));
    assert_eq!(read_some(&mut peer), Some(vec![0, 1, 2, 3, 4, 5, 6]));
}

#[test]
fn whatever_is_posted_makes_the_pollers_descriptor_readable() {
    let mut h = Harness::new();
    h.quiesce();
    let handle = h.poller.handle();
    let fd = h.poller.as_raw_fd();
    assert!(!is_readable(fd));
    let posts: [fn(&PollerHandle); 4] = [
        PollerHandle::wake,
        |handle| handle.post(PollerMessage::Room),
        |handle| {
            handle.post_all(&mut vec![PollerMessage::visit(|_| {})]);
        },
        |handle| assert!(handle.try_post(PollerMessage::Room).is_ok()),
    ];
    for post in posts {
        for _ in 0..3 {
            post(&handle);
        }
        assert!(is_readable(fd));
        h.look();
        assert!(!h.poller.has_ready(), "that is for sockets");
        h.turn();
        h.look();
        assert!(!is_readable(fd));
    }
    handle.post_all(&mut Vec::new());
    assert!(!is_readable(fd));
}

#[test]
fn inbox_is_read_without_a_batch() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let handle = h.poller.handle();
    let slice = h.slice(b"no batch is free");
    handle.post(PollerMessage::Command(id, Command::Send(slice)));
    h.look();
    h.poller.read_inbox();
    h.flush();
    assert_eq!(read_some(&mut peer), Some(b"no batch is free".to_vec()));
}

#[test]
fn a_visitor_may_post_messages_of_its_own() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let handle = h.poller.handle();
    let slice = h.slice(b"later");
    let again = handle.clone();
    handle.post(PollerMessage::visit(move |_| {
        again.post(PollerMessage::Command(id, Command::Send(slice)));
    }));
    h.quiesce();
    assert_eq!(read_some(&mut peer), Some(b"later".to_vec()));
}

#[test]
fn a_poller_that_waits_is_woken_from_another_thread() {
    let mut h = Harness::new();
    let handle = h.poller.handle();
    h.quiesce();
    let reached = Arc::new(AtomicUsize::new(0));
    for round in 0..200 {
        let counted = reached.clone();
        let handle = handle.clone();
        let sender = thread::spawn(move || {
            handle.post(PollerMessage::visit(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
            }));
        });
        while reached.load(Ordering::Relaxed) == round {
            h.poller.wait(Some(PATIENCE)).expect("polling");
            h.turn();
        }
        sender.join().expect("no panic");
    }
}

#[test]
fn what_many_threads_post_is_all_carried_out_each_in_order() {
    const THREADS: u8 = 4;
    const LETTERS: u32 = 5_000;
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let slices: Vec<Vec<Slice>> = (0..THREADS)
        .map(|thread| {
            let number = |number: u32| {
                let [_, bytes @ ..] = number.to_be_bytes();
                h.slice(&[&[thread][..], &bytes].concat())
            };
            (0..LETTERS).map(number).collect()
        })
        .collect();
    let senders: Vec<_> = slices
        .into_iter()
        .map(|slices| {
            let handle = h.poller.handle();
            thread::spawn(move || {
                for slice in slices {
                    handle.post(PollerMessage::Command(id, Command::Send(slice)));
                }
            })
        })
        .collect();
    let total = usize::from(THREADS) * LETTERS as usize * 4;
    let got = h.peer_reads(&mut peer, total, |_, _| {});
    let mut next = [0_u32; THREADS as usize];
    for entry in got.chunks_exact(4) {
        let expected = &mut next[usize::from(entry[0])];
        assert_eq!(
            u32::from_be_bytes([0, entry[1], entry[2], entry[3]]),
            *expected
        );
        *expected += 1;
    }
    assert_eq!(next, [LETTERS; THREADS as usize]);
    for sender in senders {
        sender.join().expect("no panic");
    }
}

#[test]
fn messages_for_a_poller_that_is_gone_are_dropped() {
    let h = Harness::new();
    let handle = h.poller.handle();
    let kept = Arc::new(());
    let with = |kept: &Arc<()>| {
        let kept = kept.clone();
        PollerMessage::visit(move |_| drop(kept))
    };
    handle.post(with(&kept));
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(h);
    assert_eq!(Arc::strong_count(&kept), 1, "never read");
    handle.post(with(&kept));
    handle.post_all(&mut vec![with(&kept), with(&kept)]);
    assert_eq!(Arc::strong_count(&kept), 1);
    assert!(handle.try_post(with(&kept)).is_err());
    assert_eq!(Arc::strong_count(&kept), 1);
    handle.wake();
}

#[test]
fn messages_that_post_when_they_are_dropped_hold_up_nobody() {
    struct Last(PollerHandle);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.post(PollerMessage::Room);
        }
    }
    let h = Harness::new();
    let handle = h.poller.handle();
    let last = Last(handle.clone());
    handle.post(PollerMessage::visit(move |_| drop(last)));
    let last = Last(handle.clone());
    drop(h);
    handle.post(PollerMessage::visit(move |_| drop(last)));
}

#[test]
fn remotes_of_one_poller_are_equal_and_of_others_are_not() {
    let (one, other) = (Harness::new(), Harness::new());
    let handle = one.poller.handle();
    assert!(handle == one.poller.handle());
    assert!(handle == handle.clone());
    assert!(handle != other.poller.handle());
    assert_ne!(handle.serial(), other.poller.handle().serial());
}

/// Two batches take turns, as with a driver that hands one over while the other is filled.
#[test]
fn a_slot_rests_until_the_batch_that_told_of_its_end_has_been_seen() {
    let mut h = Harness::new();
    let (_, file) = h.listen_unix(&settings(|_| {}));
    let first = UnixStream::connect(file.path()).expect("connecting");
    let old = h.until_accepted(1);
    let (mut seen, mut unseen) = (Batch::with_capacity(64), Batch::with_capacity(64));
    // Its last record is in a batch that the consumer has not looked at.
    h.poller.fail(old, Reason::Normal);
    h.flush();
    let now = h.now();
    h.poller.turn(now, &mut unseen);
    assert!(!unseen.is_empty());
    drop(first);
    // Others come and go meanwhile, with other batches.
    let accepted = Cell::new(0);
    let turn = |h: &mut Harness, batch: &mut Batch| {
        h.look();
        let now = h.now();
        h.poller.turn(now, batch);
        let news = batch.records().to_vec();
        batch.clear();
        for record in &news {
            accepted.set(accepted.get() + 1);
            assert_ne!(record.slot, old.slot);
        }
    };
    let peers: Vec<UnixStream> = (0..3)
        .map(|_| {
            let peer = UnixStream::connect(file.path()).expect("connecting");
            turn(&mut h, &mut seen);
            peer
        })
        .collect();
    assert_eq!(accepted.get(), 3);
    // Seen, it may be filled again, and then the slot is free.
    unseen.clear();
    h.look();
    let now = h.now();
    h.poller.turn(now, &mut unseen);
    let _last = UnixStream::connect(file.path()).expect("connecting");
    h.look();
    let now = h.now();
    h.poller.turn(now, &mut unseen);
    let slots: Vec<u32> = unseen.records().iter().map(|record| record.slot).collect();
    assert_eq!(slots, [old.slot]);
    drop(peers);
}

/// A batch that got no record is put back, not handed over; what it would have freed is freed by it all the same.
#[test]
fn a_slot_that_no_record_tells_of_is_free_after_the_next_turn() {
    let mut h = Harness::new();
    let (_, file) = h.listen_unix(&settings(|_| {}));
    let _first = UnixStream::connect(file.path()).expect("connecting");
    let old = h.until_accepted(1);
    let handle = h.poller.handle();
    handle.post(PollerMessage::visit(move |poller| {
        drop(poller.detach(old).expect("nothing is unread"));
    }));
    let mut batch = Batch::with_capacity(64);
    for _ in 0..2 {
        h.look();
        let now = h.now();
        h.poller.turn(now, &mut batch);
        assert!(batch.is_empty());
    }
    let _second = UnixStream::connect(file.path()).expect("connecting");
    h.look();
    let now = h.now();
    h.poller.turn(now, &mut batch);
    assert_eq!(batch.records()[0].slot, old.slot);
}

/// The consumer has not looked at a batch meanwhile: it tells of more, and of the same slots.
#[test]
fn a_batch_that_nobody_has_seen_is_added_to() {
    let mut h = Harness::new();
    let (_, file) = h.listen_unix(&settings(|_| {}));
    let mut batch = Batch::with_capacity(1024);
    let mut turn = |h: &mut Harness| {
        h.flush();
        h.look();
        let now = h.now();
        h.poller.turn(now, &mut batch);
        let kinds = batch.records().iter();
        kinds
            .map(|record| (record.slot, record.kind()))
            .collect::<Vec<_>>()
    };
    let mut told = 0;
    // More than one turn would tell at once.
    for _ in 0..100 {
        let peer = UnixStream::connect(file.path()).expect("connecting");
        for _ in 0..3 {
            turn(&mut h);
        }
        drop(peer);
        let mut records = Vec::new();
        for _ in 0..6 {
            records = turn(&mut h);
        }
        assert!(records.len() > told, "{told} records, and no more");
        told = records.len();
    }
    let records = turn(&mut h);
    let slots: Vec<u32> = records
        .iter()
        .filter(|(_, kind)| *kind == netpoll_core::RecordKind::Accepted as u8)
        .map(|(slot, _)| *slot)
        .collect();
    let mut different = slots.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(slots.len(), different.len(), "a slot was given away unseen");
}
