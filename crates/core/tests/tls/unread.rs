//! Peers that go without having read what TLS alone has sent them: tickets, and the end. The system resets such a connection.
//! Without TLS nothing was unread, and so nothing may be lost, or fail, that would not be without TLS.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use netpoll_core::frame::Framing;
use netpoll_core::settings::{HalfOpen, Start};
use netpoll_core::tls::options::Version;
use netpoll_core::{Id, Reason, Settings};
use socket2::SockRef;

use crate::handshakes::{VERSIONS, handshake_failures};
use crate::peers::{Peer, client_options, client_with, connect, leaf, peer_client};
use crate::peers::{peer_server, server};
use crate::support::{Harness, SocketFile, frame};

/// What a TLS 1.3 record of AES-GCM has beside its plaintext, on the wire.
const AROUND_PLAINTEXT: usize = 22;

trait Socket: Read + Write + AsFd {}
impl<S: Read + Write + AsFd> Socket for S {}

type AnyPeer = Peer<Box<dyn Socket>>;

/// Which end is ours, and over what.
#[derive(Clone, Copy, Debug)]
enum At {
    Server,
    ServerUnix,
    Dialed,
    DialedUnix,
}

const PLACES: [At; 4] = [At::Server, At::ServerUnix, At::Dialed, At::DialedUnix];

/// A connected pair, of which all is read that TLS has sent so far. The settings are those of `change`.
fn pair_at(
    h: &mut Harness,
    at: At,
    version: Version,
    change: impl Fn(&mut Settings) + Copy,
) -> (Id, AnyPeer) {
    let (id, mut peer) = match at {
        At::Server | At::ServerUnix => accepted(h, at, &server(version, change), version),
        At::Dialed | At::DialedUnix => dialed(h, at, version, change),
    };
    h.quiesce();
    peer.step().expect("reading");
    (id, peer)
}

/// A client that has begun nothing yet.
fn connected(h: &mut Harness, at: At, settings: &Arc<Settings>, version: Version) -> AnyPeer {
    let socket: Box<dyn Socket> = if matches!(at, At::Server) {
        let (_, address) = h.listen_tcp(settings);
        Box::new(connect(address))
    } else {
        let (_, file) = h.listen_unix(settings);
        Box::new(UnixStream::connect(file.path()).expect("connecting"))
    };
    Peer::client(socket, &peer_client(version, None))
}

fn accepted(h: &mut Harness, at: At, settings: &Arc<Settings>, version: Version) -> (Id, AnyPeer) {
    let mut peer = connected(h, at, settings, version);
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        peer.is_secured() && !h.accepted().is_empty()
    });
    (h.accepted()[0], peer)
}

fn dialed(
    h: &mut Harness,
    at: At,
    version: Version,
    change: impl Fn(&mut Settings),
) -> (Id, AnyPeer) {
    let mut settings = client_with(&client_options(version));
    change(Arc::get_mut(&mut settings).expect("it is not shared"));
    let (id, socket): (Id, Box<dyn Socket>) = if matches!(at, At::Dialed) {
        let (listener, address) = crate::peers::listener();
        let id = h.dial(&netpoll_core::Address::Ip(address), &settings);
        let (socket, _) = listener.accept().expect("it connects");
        (id, Box::new(socket))
    } else {
        let file = SocketFile::new();
        let listener = std::os::unix::net::UnixListener::bind(file.path()).expect("listening");
        let id = h.dial(&file.address(), &settings);
        let (socket, _) = listener.accept().expect("it connects");
        (id, Box::new(socket))
    };
    let mut peer = Peer::server(socket, &peer_server(version, &leaf()));
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        h.has(id, "connected")
    });
    (id, peer)
}

/// Sends `plaintext` and the end of TLS, reads nothing, and goes.
fn leave_with(mut peer: AnyPeer, plaintext: &[u8]) {
    peer.tls.writer().write_all(plaintext).expect("memory");
    peer.tls.send_close_notify();
    let ciphertext = peer.take_ciphertext();
    peer.socket.write_all(&ciphertext).expect("room");
}

/// How many bytes have come, all of which are alike.
fn got(h: &Harness, id: Id) -> usize {
    let bytes = h.messages(id).concat();
    assert!(bytes.iter().all(|byte| *byte == 7));
    bytes.len()
}

fn stream(settings: &mut Settings) {
    settings.framing = Framing::Stream;
    settings.half_open = HalfOpen::Keep;
    settings.max_in_flight = None;
}

#[test]
fn an_answer_is_whole_though_our_end_was_not_read() {
    for at in PLACES {
        for version in VERSIONS {
            let mut h = Harness::new();
            let (id, peer) = pair_at(&mut h, at, version, stream);
            h.poller.end(id);
            h.quiesce();
            leave_with(peer, &[7; 20_000]);
            let reason = h.until_closed(id);
            assert_eq!(got(&h, id), 20_000, "{at:?} {version:?}");
            assert!(h.has(id, "ended"), "{at:?} {version:?}");
            assert_eq!(reason, Reason::Normal.code(), "{at:?} {version:?}");
        }
    }
}

/// The end of TLS is what fails, while the socket still has what the peer has sent.
#[test]
fn what_a_peer_has_sent_is_read_though_it_was_gone_before_our_end() {
    for at in PLACES {
        for version in VERSIONS {
            let mut h = Harness::new();
            let (id, peer) = pair_at(&mut h, at, version, stream);
            h.poller.set_flow(id, Start::Paused);
            // It is not read, and so the connection is reset.
            let slice = h.slice(b"question");
            h.poller.send(id, slice);
            h.quiesce();
            leave_with(peer, &[7; 20_000]);
            h.poller.end(id);
            h.quiesce();
            h.poller.set_flow(id, Start::Reading);
            h.until_closed(id);
            assert_eq!(got(&h, id), 20_000, "{at:?} {version:?}");
            assert!(h.has(id, "ended"), "{at:?} {version:?}");
        }
    }
}

/// As before, of a peer that did not say that nothing more would come.
#[test]
fn a_reset_is_told_behind_what_was_sent_before_it() {
    for at in PLACES {
        for version in VERSIONS {
            let mut h = Harness::new();
            let (id, mut peer) = pair_at(&mut h, at, version, stream);
            h.poller.set_flow(id, Start::Paused);
            let slice = h.slice(b"question");
            h.poller.send(id, slice);
            h.quiesce();
            peer.tls.writer().write_all(&[7; 20_000]).expect("memory");
            let ciphertext = peer.take_ciphertext();
            peer.socket.write_all(&ciphertext).expect("room");
            drop(peer);
            h.poller.end(id);
            h.quiesce();
            h.poller.set_flow(id, Start::Reading);
            let reason = h.until_closed(id);
            assert_eq!(got(&h, id), 20_000, "{at:?} {version:?}");
            assert_eq!(reason, libc::ECONNRESET as u32, "{at:?} {version:?}");
        }
    }
}

/// What a client of TLS 1.3 sends before it could have read a ticket.
fn first_flight(peer: &mut AnyPeer, h: &mut Harness, plaintext: &[u8]) -> Vec<u8> {
    peer.step().expect("the hello leaves");
    h.until(|h| {
        h.quiesce();
        peer.step_without_writing();
        peer.is_secured()
    });
    peer.tls.writer().write_all(plaintext).expect("memory");
    peer.tls.send_close_notify();
    peer.take_ciphertext()
}

/// It shakes hands, says what it has to say, and goes before the tickets of its server could reach it.
#[test]
fn a_client_that_goes_before_its_tickets_is_heard() {
    for at in [At::Server, At::ServerUnix] {
        for max_in_flight in [1, 100] {
            let mut h = Harness::new();
            let settings = server(Version::Tls13, |settings| {
                settings.max_in_flight = std::num::NonZeroU32::new(max_in_flight);
            });
            let mut peer = connected(&mut h, at, &settings, Version::Tls13);
            let messages = [frame(b"one"), frame(b"two"), frame(b"three")];
            let flight = first_flight(&mut peer, &mut h, &messages.concat());
            peer.socket.write_all(&flight).expect("room");
            drop(peer);
            h.run(
                |poller, entry| {
                    if let (crate::support::What::Message(_), Some(id)) = (&entry.what, entry.id) {
                        poller.acknowledge(id, 1);
                    }
                },
                |h| h.log.iter().any(|entry| entry.what.name() == "closed"),
            );
            assert_eq!(handshake_failures(&h), []);
            let id = h.accepted()[0];
            assert_eq!(h.messages(id), messages, "{at:?}");
            assert_eq!(h.reason(id), Some(Reason::Normal.code()), "{at:?}");
        }
    }
}

/// It leaves its tickets unread, which were there before it went.
#[test]
fn nothing_that_is_held_back_is_lost_by_a_client_that_leaves_its_tickets() {
    for at in [At::Server, At::ServerUnix] {
        let mut h = Harness::new();
        let settings = server(Version::Tls13, |settings| {
            settings.max_in_flight = std::num::NonZeroU32::new(1);
        });
        let mut peer = connected(&mut h, at, &settings, Version::Tls13);
        let messages: Vec<_> = (0..10).map(|at| frame(&[at; 100])).collect();
        let flight = first_flight(&mut peer, &mut h, &messages.concat());
        peer.socket.write_all(&flight).expect("room");
        h.until(|h| !h.accepted().is_empty());
        h.quiesce();
        drop(peer);
        h.quiesce();
        let id = h.accepted()[0];
        for count in 1..=messages.len() {
            h.until(|h| h.message_count(id) == count);
            h.poller.acknowledge(id, 1);
            h.quiesce();
        }
        assert_eq!(h.messages(id), messages, "{at:?}");
        assert_eq!(h.until_closed(id), Reason::Normal.code(), "{at:?}");
    }
}

/// It has read the last reply, and not the end behind that.
#[test]
fn a_peer_that_has_read_all_but_our_end_has_lost_nothing() {
    for at in PLACES {
        for announced in [true, false] {
            let mut h = Harness::new();
            let (id, mut peer) = pair_at(&mut h, at, Version::Tls13, |_| {});
            let reply = frame(b"the last");
            let slice = h.slice(&reply);
            h.poller.send(id, slice);
            h.poller.close(id);
            h.quiesce();
            let mut record = vec![0; reply.len() + AROUND_PLAINTEXT];
            h.until(|_| peer.socket.read_exact(&mut record).is_ok());
            if announced {
                leave_with(peer, &[]);
            } else {
                drop(peer);
            }
            assert_eq!(h.until_closed(id), Reason::Normal.code(), "{at:?}");
        }
    }
}

/// Of what was sent last, the system knows that it has not arrived.
#[cfg(target_os = "linux")]
#[test]
fn what_has_not_arrived_is_told_as_lost() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, peer) = pair_at(&mut h, At::Server, version, |_| {});
        SockRef::from(&peer.socket)
            .set_recv_buffer_size(1)
            .expect("an option");
        let slice = h.slice(&frame(&[1; 200_000]));
        h.poller.send(id, slice);
        h.poller.close(id);
        h.quiesce();
        assert_eq!(h.reason(id), None);
        drop(peer);
        let reason = h.until_closed(id);
        assert_eq!(reason, libc::ECONNRESET as u32, "{version:?}");
    }
}
