//! Accepting, many and one by one.

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use netpoll_core::Address;
use netpoll_core::socket::{Occupant, unix_occupant};
use support::{Harness, SocketFile, What, frame, reset, settings};

#[test]
fn many_at_once_are_accepted_each_once_within_the_budget() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let file = SocketFile::new();
    let listener = h
        .poller
        .listen(&file.address(), 1000, settings)
        .expect("listening");
    let peers: Vec<UnixStream> = (0..300)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    h.look();
    let mut turns = 0;
    while h.poller.has_ready() {
        let entries = h.turn();
        assert!(entries.len() <= 2 * 64, "{}", entries.len());
        turns += 1;
        assert!(turns < 100);
    }
    let ids = h.accepted();
    assert_eq!(ids.len(), peers.len());
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert!(h.log.iter().all(|entry| match entry.what {
        What::Accepted { listener: slot } => slot == listener.slot,
        _ => true,
    }));
}

#[test]
fn a_small_batch_accepts_all_of_them_in_the_end() {
    let mut h = Harness::with(4096, 16);
    let (_, file) = h.listen_unix(&settings(|_| {}));
    let _peers: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    h.quiesce();
    assert_eq!(h.accepted().len(), 100);
}

#[test]
fn two_listeners_know_their_own() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (one, address) = h.listen_tcp(&settings);
    let (other, file) = h.listen_unix(&settings);
    let _tcp = TcpStream::connect(address).expect("connecting");
    let _unix = UnixStream::connect(file.path()).expect("connecting");
    h.until_accepted(2);
    let mut listeners: Vec<u32> = h
        .log
        .iter()
        .filter_map(|entry| match entry.what {
            What::Accepted { listener } => Some(listener),
            _ => None,
        })
        .collect();
    listeners.sort_unstable();
    assert_eq!(listeners, [one.slot, other.slot]);
}

#[test]
fn one_who_is_gone_before_it_is_accepted_harms_nobody() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (_, address) = h.listen_tcp(&settings);
    for _ in 0..5 {
        reset(TcpStream::connect(address).expect("connecting"));
    }
    let mut peer = TcpStream::connect(address).expect("connecting");
    peer.set_nonblocking(true).expect("non-blocking");
    h.peer_writes(&mut peer, &frame(b"ping"), support::echo);
    assert_eq!(h.peer_reads(&mut peer, 8, support::echo), frame(b"ping"));
    // Those that were accepted after all are closed; nobody stays.
    drop(peer);
    h.until(|h| h.accepted().iter().all(|id| h.reason(*id).is_some()));
}

#[test]
fn who_waits_to_be_accepted_is_let_down_when_the_listener_goes() {
    let mut h = Harness::new();
    let (listener, file) = h.listen_unix(&settings(|_| {}));
    let mut peer = UnixStream::connect(file.path()).expect("connecting");
    h.poller.unlisten(listener);
    assert!(matches!(peer.read(&mut [0]), Ok(0) | Err(_)));
    h.quiesce();
    assert!(h.log.is_empty());
}

#[test]
fn connections_outlive_their_listener() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (listener, file) = h.listen_unix(&settings);
    let mut peer = UnixStream::connect(file.path()).expect("connecting");
    peer.set_nonblocking(true).expect("non-blocking");
    h.peer_writes(&mut peer, &frame(b"ping"), |_, _| {});
    h.look();
    h.turn();
    h.poller.unlisten(listener);
    h.flush();
    assert_eq!(h.peer_reads(&mut peer, 8, support::echo), frame(b"ping"));
    // The slot rests for one turn and is used again then.
    let (_, other) = h.listen_unix(&settings);
    let _third = UnixStream::connect(other.path()).expect("connecting");
    h.until_accepted(2);
}

#[test]
fn an_address_in_use_is_an_error_and_leaves_nothing_behind() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (_, address) = h.listen_tcp(&settings);
    let (_, file) = h.listen_unix(&settings);
    let before = support::open_descriptors();
    for taken in [Address::Ip(address), file.address()] {
        let error = h
            .poller
            .listen(&taken, 128, settings.clone())
            .expect_err("in use");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    }
    // Other tests of this binary open descriptors meanwhile; too many would show a leak all the same.
    assert!(support::open_descriptors() < before + 1000);
}

#[test]
fn what_stands_at_a_path_is_told_apart() {
    let file = SocketFile::new();
    assert_eq!(
        unix_occupant(file.path()).expect("a look"),
        Occupant::Nobody
    );
    let mut h = Harness::new();
    let id = h
        .poller
        .listen(&file.address(), 1, settings(|_| {}))
        .expect("listening");
    assert_eq!(unix_occupant(file.path()).expect("a look"), Occupant::InUse);
    // Looking has connected; nothing comes of it but a connection that is gone.
    h.quiesce();
    h.until(|h| h.accepted().iter().all(|id| h.reason(*id).is_some()));
    h.poller.unlisten(id);
    assert_eq!(
        unix_occupant(file.path()).expect("a look"),
        Occupant::DeadSocket
    );
    std::fs::remove_file(file.path()).expect("removing");
    std::fs::write(file.path(), b"").expect("a plain file");
    assert_eq!(unix_occupant(file.path()).expect("a look"), Occupant::InUse);
}
