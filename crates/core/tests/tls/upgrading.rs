//! Connections that carry plaintext before TLS.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::tls::options::{ServerOptions, Version};
use netpoll_core::tls::{ServerTls, Tls, Unread, Upgrade};
use netpoll_core::{Id, Reason};

use crate::alerts::{ends, last_record, talkative_options};
use crate::handshakes::VERSIONS;
use crate::peers::{Peer, connect, peer_client, server_options};
use crate::support::{Harness, base, read_available, small_buffers};

const PROTOCOL: u32 = 10_016;
const TOO_LARGE: u32 = 10_021;

fn upgrade(version: Version, unread: Unread, begun: &[u8]) -> Upgrade {
    upgrade_by(&server_options(version), unread, begun)
}

fn upgrade_by(options: &ServerOptions, unread: Unread, begun: &[u8]) -> Upgrade {
    let tls = ServerTls::new(options, None).expect("valid");
    Upgrade {
        tls: Tls::Server(Arc::new(tls)),
        host: None,
        begun: begun.to_vec(),
        unread,
    }
}

/// An accepted stream, and its peer.
fn stream(h: &mut Harness) -> (Id, TcpStream) {
    stream_with(h, None)
}

/// The same, with a limit on silence.
fn stream_with(h: &mut Harness, idle_timeout: Option<Duration>) -> (Id, TcpStream) {
    let mut settings = base();
    settings.framing = netpoll_core::frame::Framing::Stream;
    settings.idle_timeout = idle_timeout;
    let (listener, address) = h.listen_tcp(&Arc::new(settings));
    let socket = connect(address);
    h.until(|h| h.accepted().len() == 1);
    h.poller.unlisten(listener);
    (h.accepted()[0], socket)
}

#[test]
fn what_follows_the_last_plaintext_is_the_handshake() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, mut socket) = stream(&mut h);
        let last = h.slice(b"last");
        h.poller.start_tls(id, last);
        // It comes before anything was written, and is read as no plaintext.
        let config = peer_client(version, None);
        socket.set_nonblocking(true).expect("non-blocking");
        let mut got = Vec::new();
        h.until(|_| {
            read_available(&mut socket, &mut got, 4).expect("no reset");
            got == b"last"
        });
        let mut peer = Peer::client(socket, &config);
        peer.step().expect("the hello leaves");
        h.until(|h| h.has(id, "plain ended"));
        assert!(h.poller.negotiated(id).is_none());
        h.poller
            .secure(id, upgrade(version, Unread::Refused, &[]))
            .expect("it was stopped");
        h.until(|h| {
            peer.step().expect("the handshake goes on");
            h.has(id, "secured")
        });
        assert_eq!(h.message_count(id), 0);
        peer.tls.writer().write_all(b"hello").expect("memory");
        h.until(|h| {
            peer.step().expect("room");
            h.messages(id).concat() == b"hello"
        });
        assert_eq!(h.poller.negotiated(id).expect("secured").version, version);
        let told = h.message_count(id) as u32;
        h.poller.acknowledge(id, told);
        peer.tls.send_close_notify();
        drop(peer.step());
        drop(peer);
        assert_eq!(h.until_closed(id), Reason::Normal.code());
    }
}

#[test]
fn the_handshake_begins_with_what_was_told_of() {
    let mut h = Harness::new();
    let (id, socket) = stream(&mut h);
    let mut peer = Peer::client(socket, &peer_client(Version::Tls13, None));
    let hello = peer.take_ciphertext();
    let (first, second) = hello.split_at(hello.len() / 2);
    peer.socket.write_all(first).expect("room");
    h.until(|h| h.messages(id).concat() == first);
    let nothing = h.slice(b"");
    h.poller.start_tls(id, nothing);
    peer.socket.write_all(second).expect("room");
    h.until(|h| h.has(id, "plain ended"));
    let told = h.messages(id).concat();
    let upgrade = upgrade(Version::Tls13, Unread::Handshake, &told);
    h.poller.secure(id, upgrade).expect("it was stopped");
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        h.has(id, "secured")
    });
}

#[test]
fn what_was_read_and_not_told_of_is_refused() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&Arc::new(base()));
    let mut socket = connect(address);
    socket.write_all(&[0, 0, 0, 9, 7]).expect("room");
    h.until(|h| h.accepted().len() == 1);
    let id = h.accepted()[0];
    h.until(|h| h.poller.bytes_read(id) == Some(5));
    let nothing = h.slice(b"");
    h.poller.start_tls(id, nothing);
    h.until(|h| h.has(id, "plain ended"));
    let upgrade = upgrade(Version::Tls13, Unread::Refused, &[]);
    h.poller.secure(id, upgrade).expect("it was stopped");
    assert_eq!(h.until_closed(id), PROTOCOL);
}

#[test]
fn what_was_not_stopped_is_not_secured() {
    let mut h = Harness::new();
    let (id, peer) = stream(&mut h);
    let refused = h
        .poller
        .secure(id, upgrade(Version::Tls13, Unread::Refused, &[]));
    assert_eq!(
        refused.expect_err("it is open").raw_os_error(),
        Some(libc::ENOTCONN)
    );
    let last = h.slice(&vec![7; 8 << 20]);
    h.poller.start_tls(id, last);
    h.flush();
    // Its last plaintext has not left.
    let early = h
        .poller
        .secure(id, upgrade(Version::Tls13, Unread::Refused, &[]));
    assert_eq!(
        early.expect_err("it is not stopped").raw_os_error(),
        Some(libc::ENOTCONN)
    );
    drop(peer);
    h.until(|h| h.reason(id).is_some());
}

/// What goes over the wire breaks the silence, also where it is a part of a record. Nothing else does.
#[test]
fn a_peer_that_stops_within_the_handshake_is_idle() {
    const LIMIT: Duration = Duration::from_secs(100);
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, socket) = stream_with(&mut h, Some(LIMIT));
        let nothing = h.slice(b"");
        h.poller.start_tls(id, nothing);
        h.until(|h| h.has(id, "plain ended"));
        h.poller
            .secure(id, upgrade(version, Unread::Refused, &[]))
            .expect("it was stopped");
        let mut peer = Peer::client(socket, &peer_client(version, None));
        let hello = peer.take_ciphertext();
        for part in hello.chunks(hello.len() / 4) {
            h.pass(LIMIT / 4 * 3);
            assert!(!h.has(id, "idle"), "{version:?}");
            peer.socket.write_all(part).expect("room");
            h.quiesce();
        }
        h.pass(LIMIT / 4 * 3);
        assert!(!h.has(id, "idle"), "{version:?}");
        h.pass(LIMIT);
        assert!(h.has(id, "idle"), "{version:?}");
        assert_eq!(h.reason(id), None);
        // The consumer decides: here the handshake goes on.
        h.until(|h| {
            peer.step().expect("the handshake goes on");
            h.has(id, "secured")
        });
    }
}

/// However much of it there is: more than is kept within a handshake is told as what it is, also to the peer.
#[test]
fn what_was_read_before_is_looked_at_whatever_its_length() {
    let message = [&[22, 3, 3, 0x40, 0, 1, 1, 0, 0][..], &[0; 0x3ffc]].concat();
    for (begun, reason) in [
        (vec![b'x'; 200_000], PROTOCOL),
        (message.repeat(10), TOO_LARGE),
    ] {
        let mut h = Harness::new();
        let (id, mut socket) = stream(&mut h);
        let nothing = h.slice(b"");
        h.poller.start_tls(id, nothing);
        h.until(|h| h.has(id, "plain ended"));
        h.poller
            .secure(id, upgrade(Version::Tls13, Unread::Handshake, &begun))
            .expect("it was stopped");
        assert_eq!(h.until_closed(id), reason);
        socket.set_nonblocking(true).expect("non-blocking");
        let mut got = Vec::new();
        h.until(|_| read_available(&mut socket, &mut got, usize::MAX).expect("no reset"));
        assert_eq!(last_record(&got), (21, 2), "{reason}");
    }
}

/// The peer is not idle that has not read why its handshake has failed: that is told, and not its silence.
#[test]
fn a_peer_whose_handshake_has_failed_is_not_idle() {
    const LIMIT: Duration = Duration::from_secs(100);
    for version in VERSIONS {
        let mut h = Harness::new();
        let mut settings = base();
        settings.framing = netpoll_core::frame::Framing::Stream;
        settings.idle_timeout = Some(LIMIT);
        let close_timeout = settings.close_timeout;
        let (ours, mut peer) = UnixStream::pair().expect("a pair");
        small_buffers(&ours);
        let id = h.adopt_stream(ours.as_fd(), &Arc::new(settings));
        let nothing = h.slice(b"");
        h.poller.start_tls(id, nothing);
        h.until(|h| h.has(id, "plain ended"));
        let upgrade = upgrade_by(&talkative_options(version), Unread::Refused, &[]);
        h.poller.secure(id, upgrade).expect("it was stopped");
        let [(_, hello), _] = ends(version);
        let nonsense = [22, 3, 3, 0, 4, 99, 0, 0, 0];
        peer.write_all(&[&hello[..], &nonsense].concat())
            .expect("room");
        h.quiesce();
        assert_eq!(h.reason(id), None);
        h.pass(LIMIT * 2);
        assert!(!h.has(id, "idle"), "{version:?}");
        h.pass(close_timeout);
        assert_eq!(h.until_closed(id), PROTOCOL, "{version:?}");
    }
}
