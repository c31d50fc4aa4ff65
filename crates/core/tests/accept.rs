//! Accepting, many and one by one.

mod support;

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netpoll_core::listener::{Access, Listen, Place, PortSharing, Unspecified};
use netpoll_core::unix_path::{Occupant, unix_occupant};
use netpoll_core::{Address, Id};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use support::{
    Harness, SocketFile, TCP_TAG, UNIX_TAG, What, frame, is_readable, listen_at, reset, settings,
};

#[test]
fn many_at_once_are_accepted_each_once_within_the_budget() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let file = SocketFile::new();
    let listener = h
        .poller
        .listen(&listen_at(&file.address(), 1000), settings, 0)
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
    let (_, address) = h.listen_tcp(&settings);
    let (_, file) = h.listen_unix(&settings);
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
    assert_eq!(listeners, [TCP_TAG, UNIX_TAG]);
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
    // Those that were accepted after all are closed; no connection stays.
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
            .listen(&listen_at(&taken, 128), settings.clone(), 0)
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
        Occupant::Vacant
    );
    let mut h = Harness::new();
    let id = h
        .poller
        .listen(&listen_at(&file.address(), 1), settings(|_| {}), 0)
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
    let successor = h
        .poller
        .listen(&listen_at(&file.address(), 1), settings(|_| {}), 0)
        .expect("listening in its place");
    assert_eq!(unix_occupant(file.path()).expect("a look"), Occupant::InUse);
    h.poller.unlisten(successor);
    std::fs::remove_file(file.path()).expect("removing");
    std::fs::write(file.path(), b"").expect("a plain file");
    assert_eq!(unix_occupant(file.path()).expect("a look"), Occupant::InUse);
}

fn on_port(address: SocketAddr, sharing: PortSharing, unspecified: Unspecified) -> Listen {
    let place = Place::Port {
        address,
        sharing,
        unspecified,
    };
    Listen {
        place,
        backlog: 128,
    }
}

fn with_mode(file: &SocketFile, mode: u32) -> Listen {
    let place = Place::Path {
        path: file.path().to_owned(),
        access: Access::Mode(mode),
    };
    Listen { place, backlog: 1 }
}

fn mode_of(file: &SocketFile) -> Option<u32> {
    let metadata = std::fs::metadata(file.path()).ok()?;
    Some(metadata.permissions().mode() & 0o777)
}

impl Harness {
    fn opens(&mut self, listen: &Listen) -> (Id, SocketAddr) {
        self.opens_tagged(listen, 0)
    }

    fn opens_tagged(&mut self, listen: &Listen, tag: u32) -> (Id, SocketAddr) {
        let id = self
            .poller
            .listen(listen, settings(|_| {}), tag)
            .expect("listening");
        match self.poller.listener_address(id) {
            Ok(Address::Ip(address)) => (id, address),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&mut self, listen: &Listen) -> Option<i32> {
        let result = self.poller.listen(listen, settings(|_| {}), 0);
        result.expect_err("refused").raw_os_error()
    }
}

// Elsewhere one of them gets them all.
#[cfg(target_os = "linux")]
#[test]
fn a_shared_port_has_connections_for_everyone_who_listens_on_it() {
    let mut h = Harness::new();
    let shared = |address| on_port(address, PortSharing::Shared, Unspecified::Both);
    let (_, address) = h.opens_tagged(&shared(([127, 0, 0, 1], 0).into()), 1);
    let (_, same) = h.opens_tagged(&shared(address), 2);
    assert_eq!(address, same);
    let mut peers = Vec::new();
    let mut served = std::collections::HashSet::new();
    h.until(|h| {
        peers.push(TcpStream::connect(address).expect("connecting"));
        served.extend(h.log.iter().filter_map(|entry| match entry.what {
            What::Accepted { listener } => Some(listener),
            _ => None,
        }));
        served.len() == 2
    });
    assert!(served.contains(&1) && served.contains(&2));
    // A listener that does not ask for it gets no share.
    let exclusive = on_port(address, PortSharing::Exclusive, Unspecified::Both);
    assert_eq!(h.refusal(&exclusive), Some(libc::EADDRINUSE));
}

#[test]
fn an_exclusive_port_is_not_shared_with_one_who_would() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&settings(|_| {}));
    let shared = on_port(address, PortSharing::Shared, Unspecified::Both);
    assert_eq!(h.refusal(&shared), Some(libc::EADDRINUSE));
}

#[test]
fn all_addresses_are_those_of_ipv4_too_unless_told_otherwise() {
    let mut h = Harness::new();
    let everywhere = ([0u16; 8], 0).into();
    let listen = |unspecified| on_port(everywhere, PortSharing::Exclusive, unspecified);
    let ipv4 = |address: SocketAddr| SocketAddr::from(([127, 0, 0, 1], address.port()));
    let (_, both) = h.opens(&listen(Unspecified::Both));
    let _peer = TcpStream::connect(ipv4(both)).expect("connecting");
    h.until_accepted(1);
    let (_, only) = h.opens(&listen(Unspecified::OnlyIpv6));
    // Another socket may listen there; this one does not.
    let _stranger = TcpStream::connect(ipv4(only));
    let ipv6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], only.port()));
    let peer = TcpStream::connect(ipv6).expect("connecting");
    let accepted = h.until_accepted(2);
    let expected = peer.local_addr().expect("an address");
    assert_eq!(h.poller.peer_address(accepted), Some(Address::Ip(expected)));
}

#[test]
fn a_mapped_address_is_listened_on_as_the_one_of_ipv4_that_it_stands_for() {
    let mut h = Harness::new();
    for (unspecified, mapped) in [
        (Unspecified::Both, "[::ffff:127.0.0.1]:0"),
        (Unspecified::OnlyIpv6, "[::ffff:127.0.0.1]:0"),
        (Unspecified::Both, "[::ffff:0.0.0.0]:0"),
    ] {
        let mapped: SocketAddr = mapped.parse().expect("an address");
        let (_, address) = h.opens(&on_port(mapped, PortSharing::Exclusive, unspecified));
        assert_eq!(address.ip(), mapped.ip());
        let ipv4 = SocketAddr::from(([127, 0, 0, 1], address.port()));
        let before = h.accepted().len();
        let _peer = TcpStream::connect(ipv4).expect("connecting");
        h.until_accepted(before + 1);
    }
}

#[test]
fn a_unix_socket_has_the_permissions_asked_for_whatever_the_umask() {
    for mode in [0o600, 0o660, 0o666, 0o777, 0o000] {
        let mut h = Harness::new();
        let file = SocketFile::new();
        h.poller
            .listen(&with_mode(&file, mode), settings(|_| {}), 0)
            .expect("listening");
        assert_eq!(mode_of(&file), Some(mode));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_unix_socket_never_shows_wider_permissions_than_asked_for() {
    let file = SocketFile::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut seen = std::collections::HashSet::new();
            while !is_over.load(Ordering::Relaxed) {
                seen.extend(mode_of(&file));
            }
            seen
        });
        let mut h = Harness::new();
        for _ in 0..2000 {
            let id = h
                .poller
                .listen(&with_mode(&file, 0o600), settings(|_| {}), 0)
                .expect("listening");
            h.poller.unlisten(id);
            h.turn();
            std::fs::remove_file(file.path()).expect("removing");
        }
        is_over.store(true, Ordering::Relaxed);
        let seen = observer.join().expect("the observer");
        assert!(seen.iter().all(|mode| mode & !0o600 == 0), "{seen:?}");
    });
}

#[test]
fn a_descriptor_that_listens_is_taken_over() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let file = SocketFile::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("listening");
    let unix = UnixListener::bind(file.path()).expect("listening");
    let address = tcp.local_addr().expect("an address");
    for descriptor in [tcp.as_fd(), unix.as_fd()] {
        h.poller
            .adopt(descriptor, settings.clone(), 0)
            .expect("adopted");
    }
    drop((tcp, unix));
    let mut over_tcp = TcpStream::connect(address).expect("connecting");
    over_tcp.set_nonblocking(true).expect("non-blocking");
    let mut over_unix = UnixStream::connect(file.path()).expect("connecting");
    over_unix.set_nonblocking(true).expect("non-blocking");
    h.peer_writes(&mut over_tcp, &frame(b"ping"), support::echo);
    assert_eq!(
        h.peer_reads(&mut over_tcp, 8, support::echo),
        frame(b"ping")
    );
    h.peer_writes(&mut over_unix, &frame(b"ping"), support::echo);
    assert_eq!(
        h.peer_reads(&mut over_unix, 8, support::echo),
        frame(b"ping")
    );
}

#[test]
fn a_listener_that_others_share_wakes_nobody_who_has_left_it() {
    let mut h = Harness::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("listening");
    let id = h
        .poller
        .adopt(tcp.as_fd(), settings(|_| {}), 0)
        .expect("adopted");
    h.poller.unlisten(id);
    h.quiesce();
    let _peer = TcpStream::connect(tcp.local_addr().expect("an address")).expect("connecting");
    assert!(is_readable(tcp.as_raw_fd()));
    assert!(!is_readable(h.poller.as_raw_fd()));
}

#[test]
fn a_descriptor_of_another_kind_is_refused_and_left_as_it_is() {
    let mut h = Harness::new();
    let settings = settings(|_| {});
    let file = SocketFile::new();
    let plain = std::fs::File::open("/dev/null").expect("a file");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (connected, _peer) = UnixStream::pair().expect("a pair");
    let bound = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    bound
        .bind(&SockAddr::unix(file.path()).expect("a name"))
        .expect("binding");
    let mut cases = vec![
        (plain.as_fd(), libc::ENOTSOCK),
        (datagrams.as_fd(), libc::EINVAL),
        (connected.as_fd(), libc::EINVAL),
    ];
    if cfg!(target_os = "linux") {
        cases.push((bound.as_fd(), libc::EINVAL));
    }
    for (descriptor, errno) in cases {
        let error = h
            .poller
            .adopt(descriptor, settings.clone(), 0)
            .expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(errno));
    }
    for socket in [SockRef::from(&datagrams), SockRef::from(&connected)] {
        assert!(!socket.nonblocking().expect("flags"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_listener_that_no_longer_accepts_is_tried_again_now_and_then_and_reported_once() {
    let mut h = Harness::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("listening");
    let id = h
        .poller
        .adopt(tcp.as_fd(), settings(|_| {}), 0)
        .expect("adopted");
    // Every owner of the shared socket can do that.
    SockRef::from(&tcp)
        .shutdown(Shutdown::Both)
        .expect("shutting down");
    h.until(|h| !h.log.is_empty());
    for _ in 0..20 {
        assert!(!h.poller.has_ready());
        let wake = h.poller.next_wake().expect("it tries again");
        let ahead = wake.saturating_duration_since(h.now());
        assert!(ahead < Duration::from_secs(1));
        h.advance(ahead);
        h.turn();
        h.turn();
    }
    assert_eq!(h.log.len(), 1);
    assert_eq!(h.log[0].slot, id.slot);
    assert!(matches!(h.log[0].what, What::AcceptPaused(errno) if errno == libc::EINVAL as u32));
}
