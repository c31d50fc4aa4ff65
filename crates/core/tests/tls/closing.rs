//! Ends: announced by TLS, and not; in both directions; into a socket that is full.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use netpoll_core::frame::Framing;
use netpoll_core::settings::HalfOpen;
use netpoll_core::{Address, Reason};

use crate::handshakes::{VERSIONS, pair};
use crate::peers::{Peer, client_options, client_with, listener, peer_client, server};
use crate::support::{Harness, Random, echo, frame, read_available, unread_by_other_end};

const TLS_TRUNCATED: u32 = 10_018;

/// What a server is told of a peer that sends `plaintext` and ends, by TLS and its socket, or by its socket alone.
fn ends(framing: Option<Framing>, plaintext: &[u8], announced: bool, cut: usize) -> u32 {
    let mut h = Harness::new();
    let settings = server(netpoll_core::tls::options::Version::Tls13, |settings| {
        if let Some(framing) = framing {
            settings.framing = framing;
        }
    });
    let (id, mut peer) = pair(
        &mut h,
        &settings,
        netpoll_core::tls::options::Version::Tls13,
    );
    peer.tls.writer().write_all(plaintext).expect("memory");
    if announced {
        peer.tls.send_close_notify();
    }
    let ciphertext = peer.take_ciphertext();
    let sent = &ciphertext[..ciphertext.len() - cut];
    peer.socket.write_all(sent).expect("room");
    peer.socket.shutdown(Shutdown::Write).expect("shutdown");
    h.run(echo, |h| h.reason(id).is_some());
    h.reason(id).expect("just seen")
}

#[test]
fn an_end_that_is_not_announced_is_one_between_messages_only() {
    let whole = frame(b"whole");
    for announced in [true, false] {
        assert_eq!(ends(None, &[], announced, 0), Reason::Normal.code());
        assert_eq!(ends(None, &whole, announced, 0), Reason::Normal.code());
        let within = ends(None, &whole[..6], announced, 0);
        assert_eq!(within, Reason::UnexpectedEnd.code(), "{announced}");
    }
    // Within a record.
    let within = ends(None, &whole, false, 3);
    assert_eq!(within, Reason::UnexpectedEnd.code());
    let stream = |announced| ends(Some(Framing::Stream), &whole, announced, 0);
    assert_eq!(stream(true), Reason::Normal.code());
    assert_eq!(stream(false), TLS_TRUNCATED);
}

#[test]
fn the_peer_is_told_by_tls_that_nothing_more_will_come() {
    for version in VERSIONS {
        for peer_ends_first in [false, true] {
            let mut h = Harness::new();
            let settings = server(version, |settings| settings.half_open = HalfOpen::Keep);
            let (id, mut peer) = pair(&mut h, &settings, version);
            if peer_ends_first {
                peer.tls.send_close_notify();
                h.until(|h| {
                    peer.step().expect("writing");
                    h.has(id, "ended")
                });
            }
            let reply = frame(b"the last");
            let slice = h.slice(&reply);
            h.poller.send(id, slice);
            h.poller.close(id);
            h.flush();
            let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
            assert!(end.is_ok(), "{version:?} {end:?}");
            assert_eq!(got, reply);
            drop(peer);
            assert_eq!(h.until_closed(id), Reason::Normal.code());
        }
    }
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let settings = server(version, |settings| {
            settings.framing = Framing::Stream;
            settings.half_open = HalfOpen::Keep;
            settings.max_in_flight = None;
        });
        let (id, mut peer) = pair(&mut h, &settings, version);
        // Ours first: the peer still sends.
        h.poller.end(id);
        h.flush();
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(got.is_empty() && end.is_ok());
        h.peer_writes(&mut peer, b"still there", |_, _| {});
        h.until(|h| h.messages(id).concat() == b"still there");
        peer.tls.send_close_notify();
        peer.step().expect("writing");
        drop(peer);
        assert_eq!(h.until_closed(id), Reason::Normal.code());
        // The peer's first: we still send.
        let (id, mut peer) = pair(&mut h, &settings, version);
        peer.tls.send_close_notify();
        h.until(|h| {
            peer.step().expect("writing");
            h.has(id, "ended")
        });
        let slice = h.slice(&[1; 300_000]);
        h.poller.send(id, slice);
        h.poller.close(id);
        h.flush();
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok());
        assert_eq!(got.len(), 300_000);
    }
}

/// 20 MB and close at once, to a peer that reads slowly: nothing is lost, and the farewell comes behind it all.
#[test]
fn nothing_is_lost_to_a_slow_reader() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, mut peer) = pair(&mut h, &server(version, |_| {}), version);
        let all = Random::new(4).bytes(20 << 20);
        let slice = h.slice(&all);
        h.poller.send(id, slice);
        h.poller.close(id);
        h.flush();
        let mut got = Vec::new();
        let mut has_ended = false;
        h.until(|_| {
            let most = got.len() + 50_000;
            has_ended = read_available(&mut peer, &mut got, most).expect("reading");
            has_ended
        });
        assert!(got == all, "{} of {}", got.len(), all.len());
        peer.tls.send_close_notify();
        peer.step().expect("writing");
        drop(peer);
        assert_eq!(h.until_closed(id), Reason::Normal.code());
    }
}

/// The farewell waits for a socket that is full, as what was sent before does.
#[test]
fn the_farewell_waits_for_a_full_socket() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let settings = server(version, |settings| settings.framing = Framing::Stream);
        let (listener, file) = h.listen_unix(&settings);
        let socket = UnixStream::connect(file.path()).expect("connecting");
        let mut peer = Peer::client(socket, &peer_client(version, None));
        h.until(|h| {
            peer.step().expect("the handshake goes on");
            peer.is_secured() && !h.accepted().is_empty()
        });
        h.poller.unlisten(listener);
        let id = h.accepted()[0];
        // One piece after the other, until the socket takes no more, and less than a record is left.
        let mut sent = 0;
        loop {
            let slice = h.slice(&[5; 1000]);
            h.poller.send(id, slice);
            sent += 1000;
            h.flush();
            if h.poller.bytes_written(id) != Some(sent) {
                break;
            }
        }
        h.poller.close(id);
        h.quiesce();
        assert_eq!(h.reason(id), None);
        let (got, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(got.len() as u64, sent);
    }
}

#[test]
fn a_peer_that_takes_nothing_ends_its_own_connection() {
    let version = netpoll_core::tls::options::Version::Tls13;
    let mut h = Harness::new();
    let timeout = Duration::from_secs(100);
    let settings = server(version, |settings| settings.write_timeout = Some(timeout));
    let (id, peer) = pair(&mut h, &settings, version);
    let slice = h.slice(&vec![1; 50_000_000]);
    h.poller.send(id, slice);
    h.quiesce();
    let written = h.poller.bytes_written(id).expect("it is open");
    assert!(written > 0, "what has left is counted");
    // The kernel goes on with what it has.
    h.until(|_| unread_by_other_end(&peer.socket) == 0);
    for _ in 0..5 {
        h.pass(timeout * 2);
    }
    assert_eq!(h.until_closed(id), Reason::WriteTimeout.code());
}

#[test]
fn an_end_while_shaking_hands_fails_a_dial_at_once() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (listener, address) = listener();
        let id = h.dial(
            &Address::Ip(address),
            &client_with(&client_options(version)),
        );
        let (socket, _) = listener.accept().expect("it connects");
        socket.shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(h.until_closed(id), 10_017);
    }
}

/// What was agreed on can be asked of a connection whose end is told with its beginning.
#[test]
fn what_was_agreed_on_is_known_until_the_end_was_seen() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (_, address) = h.listen_tcp(&server(version, |_| {}));
        let mut peer = Peer::client(
            std::net::TcpStream::connect(address).expect("connecting"),
            &peer_client(version, None),
        );
        h.until(|_| {
            peer.step_without_writing();
            let waits = peer.is_secured();
            if !waits {
                peer.step().expect("the handshake goes on");
            }
            peer.is_secured()
        });
        peer.tls.send_close_notify();
        peer.step().expect("writing");
        peer.socket.shutdown(Shutdown::Write).expect("shutdown");
        let mut known = Vec::new();
        h.run(
            |poller, entry| {
                if let Some(id) = entry.id {
                    known.push(poller.negotiated(id).is_some());
                }
            },
            |h| h.log.iter().any(|entry| entry.what.name() == "closed"),
        );
        assert!(known.iter().all(|known| *known), "{version:?} {known:?}");
    }
}

/// An end that was announced is told without the socket's, which may never come.
#[test]
fn an_announced_end_is_told_while_the_socket_stays_open() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, mut peer) = pair(&mut h, &server(version, |_| {}), version);
        h.peer_writes(&mut peer, &frame(b"x"), echo);
        peer.tls.send_close_notify();
        let (got, end) = h.peer_reads_to_end(&mut peer, echo);
        assert_eq!(got, frame(b"x"));
        assert!(end.is_ok(), "{end:?}");
        // Its own direction is open: ours has ended.
        match peer.socket.shutdown(Shutdown::Both) {
            Err(error) if error.kind() != ErrorKind::NotConnected => panic!("{error}"),
            _ => {}
        }
        assert_eq!(h.until_closed(id), Reason::Normal.code());
    }
}
