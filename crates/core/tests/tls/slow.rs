//! Peers that take a record of TLS piece by piece: that is progress, as it is where the same bytes are no record.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::frame::Framing;
use netpoll_core::tls::options::Version;
use netpoll_core::{Id, Settings};
use socket2::{Domain, SockRef, Socket, Type};

use crate::handshakes::VERSIONS;
use crate::peers::{Peer, client_options, client_with, leaf, listener, peer_server};
use crate::support::Harness;

const TIMEOUT: Duration = Duration::from_secs(3600);
/// A few records.
const TOTAL: usize = 40_000;
/// Much less than a record.
const PIECE: usize = 1500;

type AnyPeer = Peer<Socket>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Tcp,
    Unix,
}

/// A connection whose system takes little at once, and its peer, whose system keeps little.
fn connected(
    h: &mut Harness,
    over: Over,
    settings: &Arc<Settings>,
    version: Version,
) -> (Id, AnyPeer) {
    let (ours, theirs) = match over {
        Over::Tcp => tcp_pair(),
        Over::Unix => Socket::pair(Domain::UNIX, Type::STREAM, None).expect("a pair"),
    };
    ours.set_send_buffer_size(1).expect("an option");
    let id = h.adopt_stream(ours.as_fd(), settings);
    drop(ours);
    let mut peer = Peer::server(theirs, &peer_server(version, &leaf()));
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        h.has(id, "connected")
    });
    (id, peer)
}

fn tcp_pair() -> (Socket, Socket) {
    let (listener, address) = listener();
    let small = SockRef::from(&listener).set_recv_buffer_size(1);
    small.expect("an option");
    let ours = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    ours.set_tcp_mss(500).expect("an option");
    ours.set_tcp_nodelay(true).expect("an option");
    ours.connect(&address.into()).expect("connecting");
    let (theirs, _) = listener.accept().expect("it connects");
    (ours, theirs.into())
}

/// How many bytes were there, at most a piece. The system may send them a little later: with a window that it tells of.
fn read_piece(h: &mut Harness, socket: &mut Socket) -> usize {
    let mut count = 0;
    h.until(|_| match socket.read(&mut [0; PIECE]) {
        Ok(bytes) => {
            count = bytes;
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    });
    count
}

/// Of a client that gives slow peers some time.
fn impatient(version: Version) -> Arc<Settings> {
    let mut settings = client_with(&client_options(version));
    let changed = Arc::get_mut(&mut settings).expect("it is not shared");
    changed.framing = Framing::Stream;
    changed.write_timeout = Some(TIMEOUT);
    changed.close_timeout = TIMEOUT;
    changed.max_close_time = 1000 * TIMEOUT;
    settings
}

#[test]
fn a_part_of_a_record_that_is_taken_is_progress() {
    for version in VERSIONS {
        for over in [Over::Tcp, Over::Unix] {
            for closes in [false, true] {
                let settings = impatient(version);
                let mut h = Harness::new();
                let (id, mut peer) = connected(&mut h, over, &settings, version);
                let slice = h.slice(&vec![7; TOTAL]);
                h.poller.send(id, slice);
                h.quiesce();
                if closes {
                    h.poller.close(id);
                }
                let mut read = 0;
                while read < TOTAL {
                    let count = read_piece(&mut h, &mut peer.socket);
                    assert_ne!(count, 0, "{version:?} {over:?} {closes}: {read}");
                    read += count;
                    h.quiesce();
                    h.pass(TIMEOUT / 4);
                }
            }
        }
    }
}
