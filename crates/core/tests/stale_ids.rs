//! The holder of an id of a connection that is gone reaches no connection.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use netpoll_core::Address;
use netpoll_core::settings::Start;
use netpoll_core::socket::NoDelay;
use support::{Harness, What, echo, frame, settings};

#[test]
fn commands_for_a_connection_that_is_gone_do_not_reach_its_successor() {
    let mut h = Harness::new();
    let (old, new, mut peer, _file) = h.succeeded();
    for round in 0..9 {
        match round {
            0 => {
                let slice = h.slice(b"for somebody else");
                h.poller.send(old, slice);
            }
            1 => h.poller.close(old),
            2 => h.poller.finish(old),
            3 => h.poller.destroy(old),
            4 => h.poller.reset(old),
            5 => h.poller.set_flow(old, Start::Paused),
            6 => h.poller.acknowledge(old, 1),
            7 => h.poller.unlisten(old),
            _ => {
                assert_eq!(h.poller.peer_address(old), None);
                assert_eq!(h.poller.local_address(old), None);
                assert!(!h.poller.ask_congested(old));
                assert!(h.poller.listener_address(old).is_err());
                h.poller.set_no_delay(old, NoDelay::Off).expect("no error");
                h.poller
                    .set_keep_alive(old, Some(Duration::from_secs(1)))
                    .expect("no error");
            }
        }
        h.quiesce();
        let error = peer.read(&mut [0]).expect_err("nothing came");
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{round}");
        assert_eq!(h.reason(new), None);
        peer.write_all(&frame(b"ping")).expect("room");
        assert_eq!(h.peer_reads(&mut peer, 8, echo), frame(b"ping"), "{round}");
    }
}

#[test]
fn an_id_of_a_listener_is_no_connection_and_the_other_way_round() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (listener, file) = h.listen_unix(&settings);
    h.poller.destroy(listener);
    h.poller.close(listener);
    h.flush();
    assert_eq!(h.poller.local_address(listener), None);
    let mut peer = UnixStream::connect(file.path()).expect("connecting");
    let id = h.until_accepted(1);
    h.poller.unlisten(id);
    h.poller.unlisten(listener);
    h.poller.unlisten(listener);
    h.quiesce();
    peer.write_all(&frame(b"ping")).expect("room");
    h.until(|h| h.message_count(id) == 1);
    assert!(UnixStream::connect(file.path()).is_err());
}

#[test]
fn ids_that_never_were_are_nobodys() {
    let mut h = Harness::new();
    let id = netpoll_core::Id {
        slot: u32::MAX,
        generation: 3,
    };
    h.poller.destroy(id);
    h.poller.unlisten(id);
    h.quiesce();
    assert_eq!(h.poller.peer_address(id), None);
}

/// While the records of a turn are looked at, a listener closes and others are opened. None of them
/// may get a slot that records still mean otherwise.
#[test]
fn the_slot_of_a_closed_listener_rests_until_the_next_turn() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (listener, file) = h.listen_unix(&settings);
    let (_, elsewhere) = h.listen_unix(&settings);
    let _one = UnixStream::connect(file.path()).expect("connecting");
    let _two = UnixStream::connect(file.path()).expect("connecting");
    h.look();
    let entries = h.turn();
    assert_eq!(entries.len(), 2);
    h.poller.unlisten(listener);
    let new = h.dial(&elsewhere.address(), &settings);
    assert!(entries.iter().all(|entry| match entry.what {
        What::Accepted { listener } => listener != new.slot,
        _ => true,
    }));
    assert_ne!(new.slot, listener.slot);
    // Accepted before, they are served on.
    h.flush();
    h.until(|h| h.has(new, "connected"));
    for id in h.accepted() {
        assert_eq!(h.reason(id), None);
    }
}

#[test]
fn the_slot_of_a_closed_connection_rests_until_the_next_turn() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (_, elsewhere) = h.listen_unix(&settings);
    let (id, mut peer) = h.unix(&settings);
    let (other, mut busy) = h.unix(&settings);
    busy.write_all(&frame(b"dial somebody")).expect("room");
    peer.write_all(&frame(b"x")).expect("room");
    h.look();
    h.turn();
    h.poller.acknowledge(id, 1);
    h.flush();
    drop(peer);
    h.look();
    let entries = h.turn();
    assert!(
        entries
            .iter()
            .any(|entry| entry.id == Some(id) && matches!(entry.what, What::Closed(_)))
    );
    assert_eq!(h.reason(other), None);
    // The handler of an earlier record of this batch dials before the closed one is looked at.
    let new = h
        .poller
        .dial(
            &Address::Unix(Some(elsewhere.path().into())),
            settings,
            None,
        )
        .expect("dialing");
    assert!(
        entries.iter().all(|entry| entry.slot != new.slot),
        "records of slot {} now mean the new connection",
        new.slot
    );
}

#[test]
fn a_listener_may_go_and_come_again_at_once() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    for _ in 0..50 {
        let (listener, file) = h.listen_unix(&settings);
        let before = h.accepted().len();
        let mut peer = UnixStream::connect(file.path()).expect("connecting");
        h.look();
        // Ready, and closed before it is served.
        h.poller.unlisten(listener);
        h.quiesce();
        assert_eq!(h.accepted().len(), before);
        assert!(matches!(peer.read(&mut [0]), Ok(0) | Err(_)));
        assert!(h.poller.listener_address(listener).is_err());
    }
}

#[test]
fn slots_are_used_again_and_ids_never() {
    let mut h = Harness::new();
    let (_, file) = h.listen_unix(&settings(|_| {}));
    let mut seen = std::collections::HashSet::new();
    let mut slots = 0;
    for round in 0..300 {
        let peer = UnixStream::connect(file.path()).expect("connecting");
        let id = h.until_accepted(round + 1);
        assert!(seen.insert(id));
        slots = slots.max(id.slot);
        drop(peer);
        h.until_closed(id);
    }
    assert!(slots < 5);
}
