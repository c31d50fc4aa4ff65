//! Dialing: success, every kind of failure, and deadlines by a clock that the test moves.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use netpoll_core::settings::{HalfOpen, Start};
use netpoll_core::{Address, Reason};
use socket2::{Domain, SockAddr, Socket, Type};
use support::{Harness, SocketFile, frame, settings};

/// A TCP listener that accepts no peer and whose backlog is full, so that connecting hangs. The
/// streams keep it full.
fn full_listener() -> (TcpListener, Vec<TcpStream>, Address) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("binding");
    socket.listen(0).expect("listening");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("an address");
    let mut streams = Vec::new();
    // A backlog of zero takes one, or a few; a peer that comes after gets no answer.
    loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("non-blocking");
        let _ = socket.connect(&address.into());
        let stream = TcpStream::from(socket);
        // Over the loopback device the handshake is over when `connect` returns, or does not happen.
        let connected = stream.peer_addr().is_ok();
        streams.push(stream);
        if !connected {
            break;
        }
        assert!(streams.len() < 100, "the backlog never fills");
    }
    (listener, streams, Address::Ip(address))
}

#[test]
fn a_refused_dial_is_closed_with_the_systems_error() {
    let mut h = Harness::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("binding");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let id = h.dial(&Address::Ip(address), &settings(|_| {}));
    assert_eq!(h.until_closed(id), libc::ECONNREFUSED as u32);
    assert_eq!(h.story(id), ["closed"]);
}

#[test]
fn a_missing_path_and_a_dead_socket_fail_at_once() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let file = SocketFile::new();
    let error = h
        .poller
        .dial(&file.address(), settings.clone(), None)
        .expect_err("no file");
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    drop(UnixListener::bind(file.path()).expect("binding"));
    let error = h
        .poller
        .dial(&file.address(), settings.clone(), None)
        .expect_err("nobody listens");
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    let error = h
        .poller
        .dial(&Address::Unix(None), settings, None)
        .expect_err("no name");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    h.quiesce();
    assert!(h.log.is_empty());
    assert!(!h.poller.has_ready());
}

#[test]
fn a_full_unix_backlog_fails_at_once() {
    let file = SocketFile::new();
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SockAddr::unix(file.path()).expect("a path"))
        .expect("binding");
    socket.listen(0).expect("listening");
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let mut error = None;
    for _ in 0..10 {
        match h.poller.dial(&file.address(), settings.clone(), None) {
            Ok(_) => {}
            Err(other) => error = Some(other),
        }
    }
    let error = error.expect("a full backlog");
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
}

#[test]
fn a_dial_that_hangs_ends_with_its_deadline() {
    let (_listener, _streams, address) = full_listener();
    let mut h = Harness::new();
    let deadline = h.now() + Duration::from_secs(3600);
    let id = h.dial_before(&address, &settings(|_| {}), Some(deadline));
    h.quiesce();
    assert!(h.log.is_empty());
    assert!(h.poller.next_wake().is_some());
    h.advance(Duration::from_secs(3500));
    h.quiesce();
    h.turn();
    assert!(h.log.is_empty());
    h.advance(Duration::from_secs(200));
    h.look();
    h.turn();
    h.turn();
    assert_eq!(h.reason(id), Some(Reason::ConnectTimeout.code()));
    assert_eq!(h.story(id), ["closed"]);
}

#[test]
fn a_deadline_that_is_over_already_ends_the_dial() {
    let (_listener, _streams, address) = full_listener();
    let mut h = Harness::new();
    h.advance(Duration::from_secs(100));
    h.turn();
    let deadline = h.now() - Duration::from_secs(50);
    let id = h.dial_before(&address, &settings(|_| {}), Some(deadline));
    h.advance(Duration::from_millis(8));
    h.look();
    h.turn();
    h.turn();
    assert_eq!(h.reason(id), Some(Reason::ConnectTimeout.code()));
}

#[test]
fn the_deadline_of_a_dial_means_nothing_afterwards() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (_, address) = h.listen_tcp(&settings);
    let deadline = h.now() + Duration::from_secs(3600);
    let id = h.dial_before(&Address::Ip(address), &settings, Some(deadline));
    h.until(|h| h.has(id, "connected"));
    h.advance(Duration::from_secs(7200));
    h.quiesce();
    h.turn();
    h.turn();
    assert_eq!(h.reason(id), None);
}

#[test]
fn a_dial_that_is_given_up_is_closed_once() {
    for way in 0..4 {
        let (_listener, _streams, address) = full_listener();
        let mut h = Harness::new();
        let id = h.dial(&address, &settings(|_| {}));
        h.quiesce();
        match way {
            0 => h.poller.close(id),
            1 => h.poller.finish(id),
            2 => h.poller.destroy(id),
            _ => h.poller.reset(id),
        }
        h.quiesce();
        assert_eq!(h.story(id), ["closed"]);
        assert_eq!(h.reason(id), Some(0));
        assert!(!h.poller.has_ready());
    }
}

#[test]
fn addresses_are_those_of_the_two_ends() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (_, address) = h.listen_tcp(&settings);
    let (_, file) = h.listen_unix(&settings);
    for dialed_to in [Address::Ip(address), file.address()] {
        let before = h.accepted().len();
        let id = h.dial(&dialed_to, &settings);
        h.until(|h| h.has(id, "connected"));
        let accepted = h.until_accepted(before + 1);
        assert_eq!(h.poller.peer_address(id), Some(dialed_to.clone()));
        assert_eq!(h.poller.local_address(accepted), Some(dialed_to));
        assert_eq!(h.poller.peer_address(accepted), h.poller.local_address(id));
    }
}

#[test]
fn a_dial_goes_out_from_the_local_address_and_port_that_it_is_given() {
    let mut h = Harness::new();
    let (_, remote) = h.listen_tcp(&settings(|_| {}));
    let other: SocketAddr = ([127, 0, 0, 1], 0).into();
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("binding");
    let another = elsewhere.local_addr().expect("an address");
    let (chosen, second) = (0..100)
        .find_map(|_| {
            let first = h.dial_from(other, remote);
            h.until(|h| h.has(first, "connected"));
            let Some(Address::Ip(chosen)) = h.poller.local_address(first) else {
                panic!("no local address");
            };
            assert_eq!(chosen.ip(), other.ip());
            assert_ne!(chosen.port(), 0);

            // The port is free for another destination, and any address of this host will do.
            let any: SocketAddr = ([0, 0, 0, 0], chosen.port()).into();
            match h.try_dial_from(any, another) {
                Ok(id) => Some((chosen, id)),
                // Another test has taken the same port.
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => None,
                Err(error) => panic!("{error}"),
            }
        })
        .expect("a port that no other test has");
    h.until(|h| h.has(second, "connected"));
    assert_eq!(h.poller.local_address(second), Some(Address::Ip(chosen)));
}

#[test]
fn a_local_address_that_cannot_be_had_fails_at_once() {
    let mut h = Harness::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("binding");
    let remote = listener.local_addr().expect("an address");
    // 192.0.2.0/24 is for documentation: no host has it.
    let foreign: SocketAddr = ([192, 0, 2, 1], 0).into();
    for (local, errno) in [(foreign, libc::EADDRNOTAVAIL), (remote, libc::EADDRINUSE)] {
        let error = h
            .poller
            .dial_from(local, remote, settings(|_| {}), None)
            .expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(errno));
    }
    h.quiesce();
    assert!(h.log.is_empty());
}

#[test]
fn what_the_peer_sends_before_anyone_looks_is_served_after_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binding");
    let mut h = Harness::new();
    let address = Address::Ip(listener.local_addr().expect("an address"));
    let id = h.dial(&address, &settings(|s| s.max_in_flight = None));
    let (mut peer, _) = listener.accept().expect("accepting");
    peer.write_all(&frame(b"greeting")).expect("room");
    drop(peer);
    assert_eq!(h.until_closed(id), 0);
    let story = h.story(id);
    assert_eq!(story[0], "connected");
    assert_eq!(h.messages(id), [frame(b"greeting")]);
    assert!(story.contains(&"inactive"));
}

/// The peer has accepted, said goodbye and is gone before the first look.
#[test]
fn an_end_in_the_event_that_connects_is_told_though_paused() {
    let file = SocketFile::new();
    let listener = UnixListener::bind(file.path()).expect("binding");
    let mut h = Harness::new();
    let id = h.dial(&file.address(), &settings(|s| s.start = Start::Paused));
    let (peer, _) = listener.accept().expect("accepting");
    peer.shutdown(Shutdown::Write).expect("shutdown");
    h.quiesce();
    assert_eq!(h.story(id), ["connected", "inactive"]);
}

/// The same end, a moment later.
#[test]
fn an_end_after_the_connection_is_told_though_paused() {
    let file = SocketFile::new();
    let listener = UnixListener::bind(file.path()).expect("binding");
    let mut h = Harness::new();
    let id = h.dial(&file.address(), &settings(|s| s.start = Start::Paused));
    let (peer, _) = listener.accept().expect("accepting");
    h.quiesce();
    peer.shutdown(Shutdown::Write).expect("shutdown");
    h.quiesce();
    assert_eq!(h.story(id), ["connected", "inactive"]);
}

#[test]
fn a_half_open_client_hears_the_answer_after_the_servers_end() {
    let file = SocketFile::new();
    let listener = UnixListener::bind(file.path()).expect("binding");
    let mut h = Harness::new();
    let id = h.dial(&file.address(), &settings(|s| s.half_open = HalfOpen::Keep));
    let (mut peer, _) = listener.accept().expect("accepting");
    h.quiesce();
    peer.shutdown(Shutdown::Write).expect("shutdown");
    h.quiesce();
    assert_eq!(h.story(id), ["connected", "ended"]);
    let slice = h.slice(b"still here");
    h.poller.send(id, slice);
    h.quiesce();
    let mut got = [0; 10];
    peer.read_exact(&mut got).expect("reading");
    assert_eq!(&got, b"still here");
    h.poller.close(id);
    h.quiesce();
    assert_eq!(h.reason(id), Some(0));
    assert_eq!(peer.read(&mut got).expect("the end"), 0);
}

/// Nothing is registered that is not needed: the poller sleeps while a dial hangs.
#[test]
fn a_dial_that_hangs_does_not_keep_the_poller_awake() {
    let (_listener, _streams, address) = full_listener();
    let mut h = Harness::new();
    let _id = h.dial(&address, &settings(|_| {}));
    h.quiesce();
    assert!(!h.poller.has_ready());
    assert!(!support::is_readable(h.poller.as_raw_fd()));
}

#[test]
fn options_can_be_set_on_both_kinds_of_socket() {
    use netpoll_core::socket::NoDelay;
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let (tcp, _one) = h.tcp(&settings);
    let (unix, _other): (_, UnixStream) = h.unix(&settings);
    for id in [tcp, unix] {
        for delay in [NoDelay::Off, NoDelay::On] {
            h.poller.set_no_delay(id, delay).expect("no delay");
        }
        for idle in [Some(Duration::from_secs(30)), None] {
            h.poller.set_keep_alive(id, idle).expect("keep-alive");
        }
    }
}

/// The port that was dialed is the socket's own, as the system may choose it on one host.
#[test]
fn a_dial_that_reaches_itself_is_refused_and_leaves_the_port_free() {
    for host in ["127.0.0.1", "::1"] {
        let mut h = Harness::new();
        let listener = TcpListener::bind((host, 0)).expect("binding");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let id = h.dial_from(address, address);
        h.until(|h| !h.story(id).is_empty());
        assert_eq!(h.story(id), ["closed"]);
        assert_eq!(h.reason(id), Some(libc::ECONNREFUSED as u32));
        // A connection in TIME_WAIT would keep it: the server that was looked for can start.
        let server = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let bound = server.expect("a socket").bind(&address.into());
        bound.expect("the port is free");
    }
}
