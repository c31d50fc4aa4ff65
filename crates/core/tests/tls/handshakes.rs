//! Handshakes: as a server and as a client, what they cost JavaScript, and how they fail.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::settings::UnfinishedBound;
use netpoll_core::tls::Tunnel;
use netpoll_core::tls::options::Version;
use netpoll_core::{Address, Id, Reason};
use rustls::HandshakeKind;

use crate::peers::{
    HANDSHAKE_TIMEOUT, Peer, client_options, client_with, connect, listener, peer_client,
    peer_server, server, server_options, server_with,
};
use crate::support::{Harness, What, echo, frame, read_available};

pub const VERSIONS: [Version; 2] = [Version::Tls12, Version::Tls13];

/// A connected pair over TCP: of a server that has these settings, and a peer.
pub fn pair(
    h: &mut Harness,
    settings: &std::sync::Arc<netpoll_core::Settings>,
    version: Version,
) -> (Id, Peer<TcpStream>) {
    let (listener, address) = h.listen_tcp(settings);
    let before = h.accepted().len();
    let mut peer = Peer::client(connect(address), &peer_client(version, None));
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        peer.is_secured() && h.accepted().len() > before
    });
    h.poller.unlisten(listener);
    (h.accepted()[before], peer)
}

pub fn handshake_failures(h: &Harness) -> Vec<(u32, u32)> {
    let failures = h.log.iter().filter_map(|entry| match entry.what {
        What::HandshakeFailed { reason, detail } => Some((reason, detail)),
        _ => None,
    });
    failures.collect()
}

#[test]
fn a_server_echoes_over_tcp_and_unix() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let settings = server(version, |_| {});
        let (_, address) = h.listen_tcp(&settings);
        let (_, file) = h.listen_unix(&settings);
        let config = peer_client(version, None);
        let mut tcp = Peer::client(connect(address), &config);
        let unix = UnixStream::connect(file.path()).expect("connecting");
        let mut unix = Peer::client(unix, &config);
        for size in [0, 1, 1000, 16_380, 16_384, 100_000, 1_000_000] {
            let message = frame(&vec![7; size]);
            h.peer_writes(&mut tcp, &message, echo);
            assert_eq!(h.peer_reads(&mut tcp, message.len(), echo), message);
            h.peer_writes(&mut unix, &message, echo);
            assert_eq!(h.peer_reads(&mut unix, message.len(), echo), message);
        }
        for id in h.accepted() {
            let negotiated = h.poller.negotiated(id).expect("it is secured");
            assert_eq!(negotiated.version, version);
            assert_eq!(negotiated.server_name.as_deref(), Some("localhost"));
            assert_eq!(h.poller.bytes_read(id), h.poller.bytes_written(id));
        }
    }
}

#[test]
fn a_client_reaches_a_server_of_another_kind() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (listener, address) = listener();
        let id = h.dial(
            &Address::Ip(address),
            &client_with(&client_options(version)),
        );
        let (socket, _) = listener.accept().expect("it connects");
        let mut peer = Peer::server(socket, &peer_server(version, &crate::peers::leaf()));
        h.until(|h| {
            peer.step().expect("the handshake goes on");
            h.has(id, "connected")
        });
        let request = frame(b"request");
        let slice = h.slice(&request);
        h.poller.send(id, slice);
        assert_eq!(h.peer_reads(&mut peer, request.len(), |_, _| {}), request);
        h.peer_writes(&mut peer, &frame(b"reply"), |_, _| {});
        h.until(|h| h.message_count(id) == 1);
        assert_eq!(h.messages(id), [frame(b"reply")]);
        peer.tls.send_close_notify();
        h.until(|h| {
            peer.step().expect("reading");
            h.has(id, "ended")
        });
        h.poller.close(id);
        drop(peer);
        assert_eq!(h.until_closed(id), Reason::Normal.code());
    }
}

#[test]
fn both_ends_may_be_ours_and_sessions_are_resumed() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (_, address) = h.listen_tcp(&server(version, |_| {}));
        let client = client_with(&client_options(version));
        for round in 0..3 {
            let id = h.dial(&Address::Ip(address), &client);
            let slice = h.slice(&frame(b"ping"));
            h.run(echo, |h| h.has(id, "connected"));
            h.poller.send(id, slice);
            // Tickets come before the reply.
            h.run(
                |poller, entry| {
                    if entry.id != Some(id) {
                        echo(poller, entry);
                    }
                },
                |h| h.message_count(id) == 1,
            );
            let accepted = h.accepted()[round];
            let ends = [id, accepted].map(|end| h.poller.negotiated(end).expect("secured"));
            assert_eq!(ends.each_ref().map(|end| end.is_resumed), [round > 0; 2]);
            assert_eq!(ends[0].peer_chain.len(), 1, "also of a resumed session");
            h.poller.close(id);
            h.until_closed(id);
            h.until_closed(accepted);
        }
    }
}

#[test]
fn a_peer_resumes_with_a_server_until_its_configuration_is_replaced() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let settings = server(version, |_| {});
        let (_, address) = h.listen_tcp(&settings);
        let config = peer_client(version, None);
        let mut kinds = Vec::new();
        for round in 0..3 {
            if round == 2 {
                let Some(netpoll_core::tls::Tls::Server(tls)) = &settings.tls else {
                    panic!("it is a server");
                };
                tls.replace(&server_options(version), Some(HANDSHAKE_TIMEOUT))
                    .expect("valid");
            }
            let mut peer = Peer::client(connect(address), &config);
            h.peer_writes(&mut peer, &frame(b"x"), echo);
            h.peer_reads(&mut peer, 5, echo);
            kinds.push(peer.tls.handshake_kind());
        }
        let expected = [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Full,
        ];
        assert_eq!(kinds, expected.map(Some), "{version:?}");
    }
}

#[test]
fn what_only_connects_is_told_to_nobody_and_has_its_time() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server(Version::Tls13, |_| {}));
    let mut silent = connect(address);
    let mut slow = connect(address);
    slow.write_all(&[22]).expect("room");
    h.quiesce();
    assert!(h.log.is_empty());
    h.pass(HANDSHAKE_TIMEOUT / 2);
    // One byte more is no reason for more time.
    slow.write_all(&[3]).expect("room");
    h.quiesce();
    assert!(h.log.is_empty());
    h.pass(HANDSHAKE_TIMEOUT);
    h.until(|h| handshake_failures(h).len() == 2);
    let reason = Reason::HandshakeTimeout.code();
    assert_eq!(handshake_failures(&h), [(reason, 0); 2]);
    assert_eq!(silent.read(&mut [0]).expect("the end"), 0);
    assert!(matches!(slow.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(h.log.len(), 2);
}

#[test]
fn the_time_of_a_handshake_is_replaced_with_the_rest() {
    let mut h = Harness::new();
    let settings = server(Version::Tls13, |_| {});
    let (_, address) = h.listen_tcp(&settings);
    let replace = |time| {
        let Some(netpoll_core::tls::Tls::Server(tls)) = &settings.tls else {
            panic!("it is a server");
        };
        let options = server_options(Version::Tls13);
        tls.replace(&options, time).expect("valid");
    };
    replace(None);
    let _patient = connect(address);
    h.quiesce();
    h.pass(HANDSHAKE_TIMEOUT * 4);
    h.quiesce();
    assert!(h.log.is_empty());
    replace(Some(HANDSHAKE_TIMEOUT / 4));
    let _hurried = connect(address);
    h.quiesce();
    h.pass(HANDSHAKE_TIMEOUT / 2);
    h.until(|h| !h.log.is_empty());
    let reason = Reason::HandshakeTimeout.code();
    assert_eq!(handshake_failures(&h), [(reason, 0)]);
}

#[test]
fn a_peer_that_ends_before_is_told_as_such() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server(Version::Tls13, |_| {}));
    drop(connect(address));
    h.until(|h| handshake_failures(h).len() == 1);
    assert_eq!(handshake_failures(&h), [(10_017, 0)]);
}

#[test]
fn plain_text_is_answered_by_an_alert() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server(Version::Tls13, |_| {}));
    let mut peer = connect(address);
    peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("room");
    h.until(|h| handshake_failures(h).len() == 1);
    assert_eq!(handshake_failures(&h), [(10_016, 0)]);
    let mut alert = Vec::new();
    peer.read_to_end(&mut alert).expect("no reset");
    assert_eq!(alert[0], 21, "an alert: {alert:?}");
}

#[test]
fn no_common_version_fails_both_ways() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server(Version::Tls13, |_| {}));
    let mut peer = Peer::client(connect(address), &peer_client(Version::Tls12, None));
    h.until(|h| {
        let _ = peer.step();
        handshake_failures(h).len() == 1 && peer.failure.is_some()
    });
    assert_eq!(handshake_failures(&h), [(10_014, 0)]);
    let (listener, address) = listener();
    let id = h.dial(
        &Address::Ip(address),
        &client_with(&client_options(Version::Tls13)),
    );
    let (socket, _) = listener.accept().expect("it connects");
    let config = peer_server(Version::Tls12, &crate::peers::leaf());
    let mut peer = Peer::server(socket, &config);
    h.until(|h| {
        let _ = peer.step();
        h.reason(id).is_some()
    });
    // The alert protocol_version.
    assert_eq!(h.reason(id), Some(10_011));
}

#[test]
fn a_dial_that_is_not_answered_has_its_deadline() {
    let mut h = Harness::new();
    let (_listener, address) = listener();
    let settings = client_with(&client_options(Version::Tls13));
    let deadline = h.now() + Duration::from_secs(100);
    let id = h.dial_before(&Address::Ip(address), &settings, Some(deadline));
    h.until(|h| h.poller.peer_address(id).is_some());
    h.quiesce();
    h.pass(Duration::from_secs(200));
    assert_eq!(h.until_closed(id), Reason::ConnectTimeout.code());
}

#[test]
fn a_handshake_that_comes_byte_by_byte_is_done() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (_, address) = h.listen_tcp(&server(version, |_| {}));
        let mut peer = Peer::client(connect(address), &peer_client(version, None));
        while !peer.is_secured() {
            for byte in peer.take_ciphertext() {
                peer.socket.write_all(&[byte]).expect("room");
                h.look();
                h.turn();
            }
            h.until(|_| {
                peer.step_without_writing();
                peer.tls.wants_write() || peer.is_secured()
            });
        }
        h.peer_writes(&mut peer, &frame(b"x"), echo);
        assert_eq!(h.peer_reads(&mut peer, 5, echo), frame(b"x"));
    }
}

#[test]
fn a_name_chooses_the_certificate() {
    let mut options = server_options(Version::Tls13);
    options.identity = Some(crate::peers::self_signed());
    options.named = vec![("*.localhost".to_owned(), crate::peers::self_signed())];
    options
        .named
        .push(("LOCALHOST".to_owned(), crate::peers::leaf()));
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server_with(&options, |_| {}));
    let mut peer = Peer::client(connect(address), &peer_client(Version::Tls13, None));
    h.peer_writes(&mut peer, &frame(b"x"), echo);
    assert_eq!(h.peer_reads(&mut peer, 5, echo), frame(b"x"));
}

#[test]
fn application_protocols_are_agreed_on_or_refused() {
    for (offered, expected) in [(vec!["two", "one"], Some("one")), (vec!["three"], None)] {
        let mut options = server_options(Version::Tls13);
        options.common.application_protocols = vec![b"one".to_vec(), b"two".to_vec()];
        let mut h = Harness::new();
        let (_, address) = h.listen_tcp(&server_with(&options, |_| {}));
        let mut options = client_options(Version::Tls13);
        options.common.application_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let id = h.dial(&Address::Ip(address), &client_with(&options));
        h.until(|h| h.has(id, "connected") || h.reason(id).is_some());
        match expected {
            Some(name) => {
                let negotiated = h.poller.negotiated(id).expect("secured");
                let protocol = negotiated.application_protocol;
                assert_eq!(protocol.as_deref(), Some(name.as_bytes()));
            }
            None => {
                h.until(|h| !handshake_failures(h).is_empty());
                assert_eq!(handshake_failures(&h), [(10_015, 0)]);
                assert_eq!(h.reason(id), Some(10_011));
            }
        }
    }
}

/// What comes with the end of the handshake is not forgotten, although no event tells of it.
#[test]
fn a_request_may_come_with_the_end_of_the_handshake() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (_, address) = h.listen_tcp(&server(version, |_| {}));
        let mut peer = Peer::client(connect(address), &peer_client(version, None));
        peer.tls
            .writer()
            .write_all(&frame(b"early"))
            .expect("memory");
        assert_eq!(h.peer_reads(&mut peer, 9, echo), frame(b"early"));
        let mut none = Vec::new();
        read_available(&mut peer, &mut none, 1).expect("nothing more");
        assert!(none.is_empty());
    }
}

/// What comes from a peer that speaks something else, or speaks TLS wrongly.
pub const NO_HANDSHAKES: [&[u8]; 5] = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    // More than a record may have.
    &[22, 3, 3, 0xff, 0xff, 1],
    // A message of no kind, and one that is cut short.
    &[22, 3, 3, 0, 4, 99, 0, 0, 0],
    &[22, 3, 3, 0, 6, 2, 0, 0, 2, 3, 3],
    // A fatal alert.
    &[21, 3, 3, 0, 2, 2, 40],
];

/// The library panics, where it is checked, if it is to make a second alert of the same bytes.
#[test]
fn after_a_handshake_that_has_failed_nothing_more_is_said() {
    for version in VERSIONS {
        let ends = [
            server(version, |_| {}),
            client_with(&client_options(version)),
        ];
        for (end, bytes) in ends
            .iter()
            .flat_map(|end| NO_HANDSHAKES.map(|bytes| (end, bytes)))
        {
            let bound = Arc::new(UnfinishedBound::new(usize::MAX));
            let tls = end.tls.as_ref().expect("it is for TLS");
            let mut tunnel = Tunnel::new(tls, &bound).expect("it can be used");
            let (mut sent, mut rest) = (Vec::new(), bytes);
            let mut shake = |tunnel: &mut Tunnel, sent: &mut Vec<u8>| {
                tunnel.shake_hands(
                    |memory| match rest.read(memory)? {
                        0 => Err(ErrorKind::WouldBlock.into()),
                        count => Ok(count),
                    },
                    |bytes| {
                        sent.extend_from_slice(bytes);
                        Ok(bytes.len())
                    },
                )
            };
            let first = shake(&mut tunnel, &mut sent).expect_err("it is none");
            let before = sent.clone();
            let second = shake(&mut tunnel, &mut sent).expect_err("it has failed");
            assert_eq!(first.to_string(), second.to_string());
            tunnel.say_farewell();
            tunnel.flush(|bytes| {
                sent.extend_from_slice(bytes);
                Ok(bytes.len())
            });
            let unread = |_: &mut [u8]| unreachable!("it has failed");
            assert!(tunnel.read(&mut [0; 9], unread).is_err());
            let unwritten = |_: &[u8]| unreachable!("it has failed");
            let piece = [IoSlice::new(b"late")];
            assert!(tunnel.write(&piece, unwritten).is_err());
            assert_eq!(sent, before, "{bytes:?}");
            drop(tunnel);
            assert_eq!(bound.used(), 0);
        }
    }
}
