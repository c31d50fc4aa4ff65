//! Connections whose descriptors come from elsewhere, or go there.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use netpoll_core::Address;
use netpoll_core::settings::HalfOpen;
use socket2::SockRef;
use support::{Harness, echo, frame, settings};

#[test]
fn a_detached_connection_goes_on_in_other_hands() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let settings = settings(|_| {});
        let (id, mut peer): (_, Box<dyn Conversation>) = if unix {
            let (id, peer) = h.unix(&settings);
            (id, Box::new(peer))
        } else {
            let (id, peer) = h.tcp(&settings);
            (id, Box::new(peer))
        };
        peer.write_all(&frame(b"abcd")).expect("room");
        h.run(echo, |h| h.message_count(id) == 1);
        h.peer_reads(&mut peer, 8, |_, _| {});
        let descriptor = h.poller.detach(id).expect("nothing is queued");
        // Nothing of what comes now is ours.
        peer.write_all(b"hello").expect("room");
        h.quiesce();
        h.turn();
        assert_eq!(h.life(id), ["accepted"]);
        assert_eq!(h.message_count(id), 1);
        assert_eq!(h.poller.peer_address(id), None);
        let error = h.poller.detach(id).expect_err("given away");
        assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
        // Reading and writing is the same for both kinds.
        let mut stream = TcpStream::from(descriptor);
        let mut got = [0; 5];
        stream.read_exact(&mut got).expect("in the socket");
        assert_eq!(&got, b"hello");
        stream.write_all(b"world").expect("room");
        assert_eq!(h.peer_reads(&mut peer, 5, |_, _| {}), b"world");
        drop(stream);
        let (_, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok());
    }
}

trait Conversation: Read + Write {}
impl<T: Read + Write> Conversation for T {}

#[test]
fn a_slot_is_used_again_after_its_connection_was_detached() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (id, _peer) = h.unix(&settings);
    for _ in 0..100 {
        let (ours, other) = UnixStream::pair().expect("a pair");
        let adopted = h
            .poller
            .adopt_stream(ours.as_fd(), settings.clone())
            .expect("connected");
        assert_ne!(adopted, id);
        drop(ours);
        drop(h.poller.detach(adopted).expect("nothing is queued"));
        assert_eq!((&other).read(&mut [0]).expect("the end"), 0);
        h.quiesce();
        h.turn();
        assert!(adopted.slot < 3, "{adopted:?}");
    }
    assert_eq!(h.life(id), ["accepted"]);
}

#[test]
fn what_is_unsent_or_unread_forbids_to_detach() {
    let mut h = Harness::new();
    let (id, mut peer) = h.unix(&settings(|s| s.max_in_flight = NonZeroU32::new(1)));
    let refused = |h: &mut Harness| {
        let error = h.poller.detach(id).expect_err("bytes are here");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    };
    // Unsent.
    let slice = h.slice(&vec![1; 2_000_000]);
    h.poller.send(id, slice);
    refused(&mut h);
    h.flush();
    refused(&mut h);
    assert_eq!(
        h.peer_reads(&mut peer, 2_000_000, |_, _| {}).len(),
        2_000_000
    );
    h.quiesce();
    // Held back.
    peer.write_all(&frame(b"abcd").repeat(2)).expect("room");
    h.quiesce();
    refused(&mut h);
    h.poller.acknowledge(id, 1);
    h.quiesce();
    assert_eq!(h.message_count(id), 2);
    // A part of a message.
    h.poller.acknowledge(id, 1);
    peer.write_all(&frame(b"abcd")[..6]).expect("room");
    h.quiesce();
    refused(&mut h);
    peer.write_all(&frame(b"abcd")[6..]).expect("room");
    h.quiesce();
    assert_eq!(h.message_count(id), 3);
    assert!(h.poller.detach(id).is_ok());
}

#[test]
fn who_is_closing_or_dialing_cannot_be_detached() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (id, _peer) = h.unix(&settings);
    h.poller.close(id);
    let error = h.poller.detach(id).expect_err("closing");
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    let (_, file) = h.listen_unix(&settings);
    let dialed = h.dial(&file.address(), &settings);
    let error = h.poller.detach(dialed).expect_err("dialing");
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    h.until(|h| h.has(dialed, "connected"));
    assert!(h.poller.detach(dialed).is_ok());
}

#[test]
fn an_adopted_stream_is_a_connection_like_any_other() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let (ours, peer): (OwnedFd, OwnedFd) = if unix {
            let (ours, peer) = UnixStream::pair().expect("a pair");
            (ours.into(), peer.into())
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").expect("listening");
            let address = listener.local_addr().expect("bound");
            let ours = TcpStream::connect(address).expect("connecting");
            let (peer, _) = listener.accept().expect("waiting");
            (ours.into(), peer.into())
        };
        SockRef::from(&peer).set_nonblocking(true).expect("mode");
        let mut peer = TcpStream::from(peer);
        // There before it is ours.
        peer.write_all(&frame(b"early")).expect("room");
        let settings = settings(|s| s.half_open = HalfOpen::Keep);
        let id = h.adopt_stream(ours.as_fd(), &settings);
        drop(ours);
        h.run(echo, |h| h.message_count(id) == 1);
        assert_eq!(h.peer_reads(&mut peer, 9, |_, _| {}), frame(b"early"));
        match h.poller.peer_address(id) {
            Some(Address::Unix(None)) => assert!(unix),
            Some(Address::Ip(_)) => assert!(!unix),
            other => panic!("{other:?}"),
        }
        peer.shutdown(Shutdown::Write).expect("shutdown");
        h.until(|h| h.has(id, "ended"));
        h.poller.close(id);
        h.flush();
        let (_, end) = h.peer_reads_to_end(&mut peer, |_, _| {});
        assert!(end.is_ok());
        assert_eq!(h.until_closed(id), 0);
    }
}

#[test]
fn what_is_no_connected_stream_is_refused_and_left_alone() {
    let mut h = Harness::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("listening");
    let lonely = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let (datagram, _other) = UnixDatagram::pair().expect("a pair");
    let file = std::fs::File::open("/dev/null").expect("there");
    for (descriptor, errno) in [
        (OwnedFd::from(listener), libc::ENOTCONN),
        (OwnedFd::from(lonely.expect("a socket")), libc::ENOTCONN),
        (OwnedFd::from(datagram), libc::EINVAL),
        (OwnedFd::from(file), libc::ENOTSOCK),
    ] {
        let result = h.poller.adopt_stream(descriptor.as_fd(), settings(|_| {}));
        let error = result.expect_err("not connected");
        assert_eq!(error.raw_os_error(), Some(errno));
        let flags = SockRef::from(&descriptor).nonblocking();
        assert!(errno == libc::ENOTSOCK || !flags.expect("an answer"));
    }
}

#[test]
fn keep_alive_is_set_on_both_ends() {
    let mut h = Harness::new();
    let settings = settings(|s| s.keep_alive = Some(Duration::from_secs(77)));
    let (listener, address) = h.listen_tcp(&settings);
    let dialed = h.dial(&Address::Ip(address), &settings);
    h.until(|h| h.has(dialed, "connected"));
    let accepted = h.until_accepted(1);
    h.poller.unlisten(listener);
    for id in [dialed, accepted] {
        let descriptor = h.poller.detach(id).expect("nothing is queued");
        let socket = SockRef::from(&descriptor);
        assert!(socket.keepalive().expect("an answer"));
        let time = socket.tcp_keepalive_time().expect("an answer");
        assert_eq!(time, Duration::from_secs(77));
        // As Node.js has it. The system's own would find a dead peer eleven minutes later.
        let interval = socket.tcp_keepalive_interval().expect("an answer");
        assert_eq!(interval, Duration::from_secs(1));
        assert_eq!(socket.tcp_keepalive_retries().expect("an answer"), 10);
    }
}
