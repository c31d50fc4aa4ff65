//! Many handshakes at once: whom they keep waiting, and what they may cost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use netpoll_core::Settings;
use netpoll_core::settings::UnfinishedBound;
use netpoll_core::tls::options::Version;
use netpoll_core::tls::{Excess, Limit, ServerTls, Tls};

use crate::handshakes::{VERSIONS, handshake_failures, pair};
use crate::peers::{HANDSHAKE_TIMEOUT, Peer, connect, peer_client, server, server_options};
use crate::support::{Harness, echo, frame};

const BUFFER_LIMIT: u32 = 10_005;

fn limited(limit: Limit, version: Version) -> (Arc<Settings>, Arc<ServerTls>) {
    let tls = ServerTls::new(&server_options(version), Some(HANDSHAKE_TIMEOUT)).expect("valid");
    let tls = Arc::new(tls.limited(limit));
    let shared = tls.clone();
    let settings = server(version, |settings| settings.tls = Some(Tls::Server(tls)));
    (settings, shared)
}

/// What a client says first.
fn hello(version: Version) -> Vec<u8> {
    let (listener, address) = crate::peers::listener();
    let mut peer = Peer::client(connect(address), &peer_client(version, None));
    drop(listener);
    peer.take_ciphertext()
}

fn secured(h: &mut Harness, address: SocketAddr, version: Version) -> Peer<TcpStream> {
    let before = h.accepted().len();
    let mut peer = Peer::client(connect(address), &peer_client(version, None));
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        peer.is_secured() && h.accepted().len() > before
    });
    peer
}

fn count(h: &Harness, name: &str) -> usize {
    let named = h.log.iter().filter(|entry| entry.what.name() == name);
    named.count()
}

#[test]
fn those_in_their_handshake_count_among_the_connections() {
    for version in VERSIONS {
        for excess in [Excess::Counted, Excess::Told] {
            let mut h = Harness::new();
            let (settings, tls) = limited(Limit { max: 3, excess }, version);
            let (_, address) = h.listen_tcp(&settings);
            let standing = secured(&mut h, address, version);
            let silent = [connect(address), connect(address)];
            h.until(|_| tls.securing() == 2);
            let mut fourth = connect(address);
            fourth.write_all(&hello(version)).expect("room");
            let name = match excess {
                Excess::Counted => "excess closed",
                Excess::Told => "excess",
            };
            h.run(
                |poller, entry| {
                    if entry.what.name() == "excess" {
                        let id = entry.id.expect("it has a slot");
                        assert!(poller.peer_address(id).is_some());
                        assert!(poller.local_address(id).is_some());
                        assert!(poller.negotiated(id).is_none());
                        poller.destroy(id);
                    }
                },
                |h| count(h, name) == 1,
            );
            h.quiesce();
            // Nothing of TLS was said to it.
            assert!(matches!(fourth.read(&mut [0; 8]), Ok(0) | Err(_)));
            assert_eq!(tls.securing(), 2);
            assert_eq!(h.accepted().len(), 1);
            // Whatever ends one of the others gives its place back.
            drop(silent);
            h.until(|_| tls.securing() == 0);
            drop(standing);
            h.until(|h| count(h, "closed") > usize::from(excess == Excess::Told));
            for _ in 0..3 {
                let before = h.accepted().len();
                std::mem::forget(secured(&mut h, address, version));
                assert_eq!(h.accepted().len(), before + 1);
            }
            assert_eq!(count(&h, name), 1);
        }
    }
}

#[test]
fn a_flood_of_handshakes_waits_for_others() {
    let mut h = Harness::new();
    let (settings, tls) = limited(Limit::default(), Version::Tls13);
    let (id, mut peer) = pair(&mut h, &settings, Version::Tls13);
    let (_, address) = h.listen_tcp(&settings);
    let hello = hello(Version::Tls13);
    let mut flood: Vec<_> = (0..100).map(|_| connect(address)).collect();
    h.until(|_| tls.securing() == 100);
    for socket in &mut flood {
        socket.write_all(&hello).expect("room");
        socket.set_nonblocking(true).expect("non-blocking");
    }
    // They have their turn before the connection that stands.
    peer.write_all(&frame(b"live")).expect("room");
    let before = h.turns;
    h.run(echo, |h| h.message_count(id) == 1);
    assert!(h.turns - before <= 2, "{} turns", h.turns - before);
    let answered = |flood: &mut Vec<TcpStream>| {
        let heard = |socket: &mut TcpStream| socket.peek(&mut [0]).is_ok_and(|count| count > 0);
        flood.iter_mut().map(heard).filter(|heard| *heard).count()
    };
    let early = answered(&mut flood);
    assert!(early < flood.len(), "all of {early} went first");
    h.until(|_| answered(&mut flood) == 100);
}

#[test]
fn what_a_handshake_keeps_counts_against_the_bound() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let bound = Arc::new(UnfinishedBound::new(40_000));
        let shared = bound.clone();
        let settings = server(version, |settings| settings.unfinished = shared);
        let (id, mut peer) = pair(&mut h, &settings, version);
        let (_, address) = h.listen_tcp(&settings);
        // A record of 16 KiB, of a message of 64 KiB, of which the last byte never comes.
        let mut begun = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        begun.resize(16_000, 0);
        let mut sockets: Vec<_> = (0..8).map(|_| connect(address)).collect();
        for socket in &mut sockets {
            socket.write_all(&begun).expect("room");
        }
        h.until(|h| handshake_failures(h).len() == 6);
        assert_eq!(handshake_failures(&h), [(BUFFER_LIMIT, 0); 6]);
        assert_eq!(bound.used(), 32_000, "{version:?}");
        // Others are served meanwhile.
        h.peer_writes(&mut peer, &frame(b"x"), echo);
        assert_eq!(h.peer_reads(&mut peer, 5, echo), frame(b"x"));
        assert_eq!(h.message_count(id), 1);
        drop(sockets);
        h.until(|_| bound.used() == 0);
    }
}

/// No handshake message is longer than 64 KiB, however many records it takes.
#[test]
fn a_handshake_message_without_end_is_refused() {
    let mut h = Harness::new();
    let bound = Arc::new(UnfinishedBound::new(1 << 30));
    let shared = bound.clone();
    let settings = server(Version::Tls13, |settings| settings.unfinished = shared);
    let (_, address) = h.listen_tcp(&settings);
    let mut socket = connect(address);
    socket.set_nonblocking(true).expect("non-blocking");
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.resize(5 + 0x4000, 0);
    record[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    let mut most = 0;
    h.until(|h| {
        let _ = socket.write(&record);
        most = most.max(bound.used());
        handshake_failures(h).len() == 1
    });
    assert!(most <= 100_000, "{most}");
    h.until(|_| bound.used() == 0);
}

#[test]
fn handshakes_byte_by_byte_end_with_their_time() {
    let mut h = Harness::new();
    let (settings, tls) = limited(Limit::default(), Version::Tls13);
    let (_, address) = h.listen_tcp(&settings);
    let hello = hello(Version::Tls13);
    let mut sockets: Vec<_> = (0..50).map(|_| connect(address)).collect();
    h.until(|_| tls.securing() == 50);
    for byte in &hello[..40] {
        for socket in &mut sockets {
            let _ = socket.write_all(&[*byte]);
        }
        h.pass(HANDSHAKE_TIMEOUT / 30);
    }
    h.until(|h| handshake_failures(h).len() == 50);
    assert!(h.accepted().is_empty());
    assert_eq!(tls.securing(), 0);
}
