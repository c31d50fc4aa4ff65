//! Sockets that servers of several threads share.

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use netpoll_core::listener::{Access, Listen, Place, PortSharing, Unspecified};
use netpoll_core::shared_listeners::Membership;
use netpoll_core::{Address, ChunkPool, LoadBalance, SharedListeners};
use support::{Harness, SocketFile, listen_at, settings};

fn listeners() -> SharedListeners {
    SharedListeners::new(ChunkPool::new(4096, 0))
}

fn port(port: u16) -> Listen {
    listen_at(&Address::Ip(([127, 0, 0, 1], port).into()), 16)
}

fn join(listeners: &SharedListeners, listen: Listen, server: &Harness) -> Membership {
    let handle = server.poller.handle();
    let joined = listeners.join(listen, LoadBalance::RoundRobin, handle, settings(|_| {}), 5);
    joined.expect("the place is free, or shared")
}

fn bound(listeners: &SharedListeners, member: &Membership) -> SocketAddr {
    match listeners.address(member) {
        Some(Address::Ip(address)) => address,
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_that_ask_for_one_place_get_connections_in_turn() {
    let listeners = listeners();
    let file = SocketFile::new();
    let mut servers = [Harness::new(), Harness::new()];
    let members: Vec<Membership> = servers
        .iter()
        .map(|server| join(&listeners, listen_at(&file.address(), 16), server))
        .collect();
    let _peers: Vec<UnixStream> = (0..4)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    for server in &mut servers {
        server.until(|server| server.accepted().len() == 2);
    }
    let last: Vec<bool> = members
        .into_iter()
        .map(|member| listeners.leave(member))
        .collect();
    assert_eq!(last, [false, true]);
    let refused = UnixStream::connect(file.path()).expect_err("the socket is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_port_that_the_system_chose_is_found_by_its_number() {
    let listeners = listeners();
    let server = Harness::new();
    let chosen = join(&listeners, port(0), &server);
    let address = bound(&listeners, &chosen);
    let same = join(&listeners, port(address.port()), &server);
    let other = join(&listeners, port(0), &server);
    assert_eq!(bound(&listeners, &same), address);
    assert_ne!(bound(&listeners, &other), address);
    assert!(!listeners.leave(chosen));
    assert!(listeners.leave(same));
    assert!(listeners.leave(other));
    let refused = TcpStream::connect(address).expect_err("the socket is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn places_are_the_same_only_where_all_is_that_was_asked_for() {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let place = |text, sharing, unspecified| Place::Port {
        address: address(text),
        sharing,
        unspecified,
    };
    let plain = |text| place(text, PortSharing::Exclusive, Unspecified::Both);
    let path = |access| Place::Path {
        path: PathBuf::from("/run/x,:0,"),
        access,
    };
    let places = [
        plain("127.0.0.1:0"),
        plain("[::]:0"),
        plain("[::1]:0"),
        place("[::]:0", PortSharing::Exclusive, Unspecified::OnlyIpv6),
        place("[::]:0", PortSharing::Shared, Unspecified::Both),
        path(Access::Umask),
        path(Access::Mode(0o600)),
    ];
    for (index, one) in places.iter().enumerate() {
        for (other, another) in places.iter().enumerate() {
            assert_eq!(one == another, index == other, "{one:?} {another:?}");
        }
        let bound = one.clone().bound_to(&Address::Ip(address("10.0.0.1:7000")));
        let expected = match one {
            Place::Path { .. } => one.clone(),
            Place::Port {
                address,
                sharing,
                unspecified,
            } => Place::Port {
                address: SocketAddr::new(address.ip(), 7000),
                sharing: *sharing,
                unspecified: *unspecified,
            },
        };
        assert_eq!(bound, expected);
    }
}

#[test]
fn a_refused_place_leaves_nothing_behind() {
    let listeners = listeners();
    let server = Harness::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let number = taken.local_addr().expect("it is bound").port();
    let handle = server.poller.handle();
    let refused = listeners.join(
        port(number),
        LoadBalance::RoundRobin,
        handle,
        settings(|_| {}),
        5,
    );
    let error = refused.expect_err("the port is taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    drop(taken);
    let member = join(&listeners, port(number), &server);
    assert!(listeners.leave(member));
}
