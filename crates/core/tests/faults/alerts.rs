//! The alert of a handshake that fails, whose write the socket has refused once.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use netpoll_core::Settings;
use netpoll_core::faults::{self, Fault, Injected, Plan, Site};
use netpoll_core::tls::options::Version;

use crate::alone;
use crate::peers::{Peer, client_options, client_with, peer_client, server};
use crate::support::{Harness, read_available};

/// A handshake message of no kind.
const NONSENSE: [u8; 9] = [22, 3, 3, 0, 4, 99, 0, 0, 0];

/// Each kind of end that can fail, with what its peer says first.
fn ends(version: Version) -> [(Arc<Settings>, Vec<u8>); 2] {
    let (socket, _other) = UnixStream::pair().expect("a pair");
    let hello = Peer::client(socket, &peer_client(version, None)).take_ciphertext();
    [
        (server(version, |_| {}), hello),
        (client_with(&client_options(version)), Vec::new()),
    ]
}

/// A handshake that fails, one write of which meets `fault` behind the first `skipped`. It is told with no further event of its
/// peer, and before any time is up.
fn fail_at(settings: &Arc<Settings>, hello: &[u8], skipped: usize, fault: Fault) -> Injected {
    let mut h = Harness::new();
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    peer.set_nonblocking(true).expect("an option");
    peer.write_all(&[hello, &NONSENSE].concat()).expect("room");
    let id = h.adopt_stream(ours.as_fd(), settings);
    drop(ours);
    let plan = Plan::At {
        site: Site::Write,
        skipped,
        times: 1,
        fault,
    };
    faults::follow(plan);
    h.quiesce();
    let injected = faults::follow(Plan::Nothing);
    let at = format!("{fault:?} at write {skipped} of {injected:?}");
    assert_eq!(h.reason(id), Some(10_016), "{at}");
    let mut got = Vec::new();
    let has_ended = read_available(&mut peer, &mut got, usize::MAX).expect("no reset");
    assert!(has_ended && !got.is_empty(), "{at}");
    injected
}

#[test]
fn a_handshake_that_fails_is_told_once_its_alert_has_left_at_a_second_attempt() {
    let _alone = alone();
    for version in [Version::Tls12, Version::Tls13] {
        for (settings, hello) in ends(version) {
            for fault in [Fault::Fail(libc::EAGAIN), Fault::Short(1)] {
                let mut count = 0;
                for skipped in 0.. {
                    let injected = fail_at(&settings, &hello, skipped, fault);
                    count += injected.faults;
                    if injected.calls <= skipped {
                        break;
                    }
                }
                assert!(count > 0);
            }
        }
    }
}
