//! A read that does not fill its space has emptied the socket, unless it stopped at something that
//! is no byte of the stream. Then what stands behind must not wait for an event that has come
//! already.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::io::{self, ErrorKind, PipeReader, Read, Write, pipe};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use netpoll_core::frame::Framing;
use netpoll_core::settings::Start;
use netpoll_core::{Address, Id, Settings};
use socket2::SockRef;
use support::{Harness, SocketFile, frame, settings, unread_by_other_end};

/// The other end of a connection.
trait Peer: Write + Read + AsFd + AsRawFd {}
impl<T: Write + Read + AsFd + AsRawFd> Peer for T {}

type Connected = (Id, Box<dyn Peer>);

fn non_blocking<T: Peer + 'static>(peer: T) -> Box<dyn Peer> {
    let socket = SockRef::from(&peer);
    socket.set_nonblocking(true).expect("non-blocking");
    Box::new(peer)
}

fn accepted_tcp(h: &mut Harness, settings: &Arc<Settings>) -> Connected {
    let (id, peer) = h.tcp(settings);
    peer.set_nodelay(true).expect("no delay");
    (id, non_blocking(peer))
}

fn accepted_unix(h: &mut Harness, settings: &Arc<Settings>) -> Connected {
    let (id, peer) = h.unix(settings);
    (id, non_blocking(peer))
}

fn dialed_tcp(h: &mut Harness, settings: &Arc<Settings>) -> Connected {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listening");
    let address = Address::Ip(listener.local_addr().expect("an address"));
    let id = h.dial(&address, settings);
    let (peer, _): (TcpStream, _) = listener.accept().expect("a connection");
    peer.set_nodelay(true).expect("no delay");
    h.until(|h| h.has(id, "connected"));
    (id, non_blocking(peer))
}

fn dialed_unix(h: &mut Harness, settings: &Arc<Settings>) -> Connected {
    let file = SocketFile::new();
    let listener = UnixListener::bind(file.path()).expect("listening");
    let id = h.dial(&file.address(), settings);
    let (peer, _) = listener.accept().expect("a connection");
    h.until(|h| h.has(id, "connected"));
    (id, non_blocking(peer))
}

fn adopted_unix(h: &mut Harness, settings: &Arc<Settings>) -> Connected {
    let (ours, peer) = UnixStream::pair().expect("a pair");
    let id = h.adopt_stream(ours.as_fd(), settings);
    (id, non_blocking(peer))
}

/// What its user has set makes every read stop where the sender's credentials change.
fn with_credentials(h: &mut Harness, settings: &Arc<Settings>) -> Connected {
    let (ours, peer) = UnixStream::pair().expect("a pair");
    SockRef::from(&ours).set_passcred(true).expect("passing");
    let id = h.adopt_stream(ours.as_fd(), settings);
    (id, non_blocking(peer))
}

type Connect = fn(&mut Harness, &Arc<Settings>) -> Connected;

const TCP: [Connect; 2] = [accepted_tcp, dialed_tcp];
const UNIX: [Connect; 4] = [accepted_unix, dialed_unix, adopted_unix, with_credentials];

fn stream() -> Arc<Settings> {
    settings(|s| s.framing = Framing::Stream)
}

fn received(h: &Harness, id: Id) -> Vec<u8> {
    h.messages(id).concat()
}

/// Everything that was sent is with the receiving system.
fn arrive(peer: &dyn Peer) {
    if is_unix(peer) {
        return;
    }
    while unread_by_other_end(&peer.as_fd()) > 0 {
        std::thread::yield_now();
    }
}

fn is_unix(peer: &dyn Peer) -> bool {
    let domain = SockRef::from(&peer.as_fd()).domain();
    domain.expect("a domain") == socket2::Domain::UNIX
}

/// Sends an urgent byte; whether this system has them for such sockets.
fn send_urgent(peer: &dyn Peer) -> bool {
    match SockRef::from(&peer.as_fd()).send_out_of_band(b"!") {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::Unsupported => false,
        Err(error) => panic!("{error}"),
    }
}

/// A control message that passes one descriptor.
#[repr(C)]
struct Passed {
    header: libc::cmsghdr,
    descriptor: RawFd,
}

/// Sends `bytes`, and a descriptor with them. What is returned ends once every other copy of it is closed.
fn send_with_descriptor(peer: &dyn Peer, bytes: &[u8]) -> PipeReader {
    let (reader, writer) = pipe().expect("a pipe");
    let mut control = Passed {
        header: libc::cmsghdr {
            cmsg_len: (size_of::<libc::cmsghdr>() + size_of::<RawFd>()) as _,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        descriptor: writer.as_raw_fd(),
    };
    let mut piece = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all of it may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Passed>() as _;
    // SAFETY: everything that it points to lives, and has the length that it says.
    let sent = unsafe { libc::sendmsg(peer.as_raw_fd(), &raw const message, 0) };
    assert_eq!(sent, bytes.len() as isize, "{}", io::Error::last_os_error());
    reader
}

fn assert_closed(mut reader: PipeReader) {
    // SAFETY: the descriptor is open.
    let result = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(result, 0, "fcntl");
    let end = reader.read(&mut [0]);
    assert_eq!(end.expect("no other copy of the descriptor is open"), 0);
}

#[test]
fn what_stands_behind_an_urgent_byte_is_delivered_without_it() {
    for connect in TCP.into_iter().chain(UNIX) {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &stream());
        h.quiesce();
        peer.write_all(b"AAAA").expect("room");
        if !send_urgent(&*peer) {
            continue;
        }
        peer.write_all(b"BBBB").expect("room");
        arrive(&*peer);
        h.quiesce();
        assert_eq!(received(&h, id), b"AAAABBBB");
        // Alone, in front, and behind.
        send_urgent(&*peer);
        arrive(&*peer);
        h.quiesce();
        peer.write_all(b"CCCC").expect("room");
        send_urgent(&*peer);
        arrive(&*peer);
        h.quiesce();
        peer.write_all(b"DDDD").expect("room");
        arrive(&*peer);
        h.quiesce();
        assert_eq!(received(&h, id), b"AAAABBBBCCCCDDDD");
    }
}

#[test]
fn what_stands_behind_a_passed_descriptor_is_delivered_and_the_descriptor_closed() {
    for connect in UNIX {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &stream());
        h.quiesce();
        let first = send_with_descriptor(&*peer, b"AAAA");
        peer.write_all(b"BBBB").expect("room");
        let second = send_with_descriptor(&*peer, b"CCCC");
        let third = send_with_descriptor(&*peer, b"DDDD");
        peer.write_all(b"EEEE").expect("room");
        h.quiesce();
        assert_eq!(received(&h, id), b"AAAABBBBCCCCDDDDEEEE");
        [first, second, third].into_iter().for_each(assert_closed);
    }
}

#[test]
fn neither_tears_a_message_that_is_read_into_memory_of_its_own() {
    let message = frame(&vec![7; 300_000]);
    let after = frame(b"after");
    let (one, other) = message.split_at(200_000);
    for connect in TCP {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &settings(|_| {}));
        h.peer_writes(&mut *peer, one, |_, _| {});
        send_urgent(&*peer);
        h.peer_writes(&mut *peer, &[other, &after].concat(), |_, _| {});
        h.until(|h| unread_by_other_end(&peer.as_fd()) == 0 && h.message_count(id) == 2);
        assert!(h.messages(id) == [message.clone(), after.clone()]);
    }
    for connect in UNIX {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &settings(|_| {}));
        let closed = send_with_descriptor(&*peer, &one[..10]);
        h.peer_writes(&mut *peer, &one[10..], |_, _| {});
        let closed_as_well = send_with_descriptor(&*peer, &other[..20]);
        h.peer_writes(&mut *peer, &[&other[20..], &after].concat(), |_, _| {});
        h.quiesce();
        assert!(h.messages(id) == [message.clone(), after.clone()]);
        [closed, closed_as_well].into_iter().for_each(assert_closed);
    }
}

#[test]
fn what_was_announced_while_nothing_was_read_is_delivered_as_well() {
    for connect in TCP.into_iter().chain(UNIX) {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &stream());
        h.poller.set_flow(id, Start::Paused);
        h.quiesce();
        peer.write_all(b"AAAA").expect("room");
        h.quiesce();
        let passed = if is_unix(&*peer) {
            Some(send_with_descriptor(&*peer, b"BBBB"))
        } else {
            send_urgent(&*peer);
            peer.write_all(b"BBBB").expect("room");
            None
        };
        arrive(&*peer);
        h.quiesce();
        peer.write_all(b"CCCC").expect("room");
        arrive(&*peer);
        h.quiesce();
        h.poller.set_flow(id, Start::Reading);
        h.quiesce();
        assert_eq!(received(&h, id), b"AAAABBBBCCCC");
        passed.into_iter().for_each(assert_closed);
    }
}

#[test]
fn descriptors_that_come_while_closing_are_closed_and_the_end_behind_them_is_seen() {
    for connect in UNIX {
        let mut h = Harness::new();
        let (id, mut peer) = connect(&mut h, &stream());
        h.poller.close(id);
        h.quiesce();
        let passed = send_with_descriptor(&*peer, b"AAAA");
        peer.write_all(b"BBBB").expect("room");
        h.quiesce();
        assert_closed(passed);
        drop(peer);
        assert_eq!(h.until_closed(id), 0);
    }
}

#[test]
fn a_socket_is_read_once_more_only_where_something_was_in_the_way() {
    let mut h = Harness::new();
    let (id, mut peer) = accepted_unix(&mut h, &stream());
    let passed = send_with_descriptor(&*peer, b"AAAA");
    h.quiesce();
    assert_closed(passed);
    let turns = h.turns;
    peer.write_all(b"BBBB").expect("room");
    h.look();
    h.turn();
    assert!(!h.poller.has_ready(), "the read was short");
    assert_eq!(h.turns, turns + 1);
    assert_eq!(received(&h, id), b"AAAABBBB");
}
