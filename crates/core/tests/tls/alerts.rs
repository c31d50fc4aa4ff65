//! The alert of a handshake that fails: it waits for the socket as all else does, and not for ever.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::settings::UnfinishedBound;
use netpoll_core::tls::options::{ServerOptions, Version};
use netpoll_core::tls::{Failure, Handshake, Tls, Tunnel};
use netpoll_core::{Id, Settings};

use crate::handshakes::{NO_HANDSHAKES, VERSIONS};
use crate::peers::{HANDSHAKE_TIMEOUT, server_with};
use crate::peers::{Peer, client_options, client_with, peer_client, server, server_options};
use crate::support::{Harness, UNIX_TAG, What, large_buffers, read_available, small_buffers};

/// A handshake message of no kind.
const NONSENSE: [u8; 9] = [22, 3, 3, 0, 4, 99, 0, 0, 0];

const CLOSE_NOTIFY: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// What an end sends that gets `bytes`, and then what it fails with. Its socket takes as much as `room` says in each turn.
fn sent_by(
    settings: &Settings,
    mut bytes: &[u8],
    mut room: impl FnMut() -> usize,
) -> (Vec<u8>, io::Error) {
    let bound = Arc::new(UnfinishedBound::new(usize::MAX));
    let tls = settings.tls.as_ref().expect("it is for TLS");
    let mut tunnel = Tunnel::new(tls, &bound).expect("it can be used");
    let mut sent = Vec::new();
    loop {
        let mut left = room();
        let shaken = tunnel.shake_hands(
            |memory| match bytes.read(memory)? {
                0 => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            },
            |bytes| {
                if left == 0 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                let count = bytes.len().min(left);
                left -= count;
                sent.extend_from_slice(&bytes[..count]);
                Ok(count)
            },
        );
        match shaken {
            Ok(shaken) => assert_ne!(shaken, Handshake::Done),
            Err(error) => return (sent, error),
        }
    }
}

#[test]
fn the_alert_is_whole_however_the_socket_takes_it() {
    for version in VERSIONS {
        for end in [
            server(version, |_| {}),
            client_with(&client_options(version)),
        ] {
            for bytes in NO_HANDSHAKES {
                let (all, failure) = sent_by(&end, bytes, || usize::MAX);
                // A client's hello differs from time to time in all but its length, and what gets an alert sends none.
                let tail = &all[all.len().saturating_sub(7)..];
                let alert: &[u8] = if tail.starts_with(&[21, 3]) {
                    tail
                } else {
                    &[]
                };
                for most in [1, 2, 6, 7, 100] {
                    let mut turns = 0;
                    let (sent, slow) = sent_by(&end, bytes, || {
                        turns += 1;
                        most * (turns % 2)
                    });
                    // Where no alert is owed, neither is what comes before it.
                    if !alert.is_empty() {
                        assert_eq!(sent.len(), all.len(), "{bytes:?} {most}");
                    }
                    assert!(sent.ends_with(alert), "{bytes:?} {most}");
                    assert_eq!(slow.to_string(), failure.to_string());
                }
            }
        }
    }
}

/// A record of the handshake.
fn handshake_record(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("it fits");
    let mut record = vec![22, 3, 3];
    record.extend(length.to_be_bytes());
    record.extend(content);
    record
}

/// Also of what the library makes none of.
#[test]
fn every_failure_of_the_peer_gets_an_alert() {
    let too_long = handshake_record(&[1, 1, 0, 0, 0]);
    // In so many records that they take more than a message may.
    let mut in_pieces = handshake_record(&[1, 0, 255, 255]);
    in_pieces.extend(handshake_record(&[0]).repeat(20_000));
    let interleaved = [handshake_record(&[1, 0, 1, 0]), vec![23, 3, 3, 0, 1, 0]].concat();
    let mut empty = handshake_record(&[1, 0, 1, 0]);
    empty.extend(handshake_record(&[]).repeat(100));
    let ends = [
        (too_long, Failure::HandshakeTooLarge),
        (in_pieces, Failure::HandshakeTooLarge),
        (interleaved, Failure::Protocol),
        (empty, Failure::Protocol),
    ];
    for version in VERSIONS {
        for end in [
            server(version, |_| {}),
            client_with(&client_options(version)),
        ] {
            for (bytes, expected) in &ends {
                let (sent, failure) = sent_by(&end, bytes, || usize::MAX);
                assert_eq!(failure.to_string(), expected.to_string());
                let alert = sent
                    .len()
                    .checked_sub(7)
                    .map(|start| &sent[start..start + 6]);
                assert_eq!(alert, Some(&[21, 3, 3, 0, 2, 2][..]), "{expected:?}");
            }
        }
    }
}

/// Of a server whose flight fills a socket with small buffers.
pub fn talkative_options(version: Version) -> ServerOptions {
    let mut options = server_options(version);
    let identity = options.identity.as_mut().expect("it has one");
    identity.chain = vec![identity.chain[0].clone(); 40];
    options
}

/// Of a client of the same kind.
fn talkative_client(version: Version) -> Arc<Settings> {
    let mut options = client_options(version);
    options.common.application_protocols = (0..100u8).map(|name| vec![name; 200]).collect();
    client_with(&options)
}

/// An end over a socket that takes little, whose peer has sent `hello` and what fails, and has read nothing.
fn failing(
    h: &mut Harness,
    settings: &Arc<Settings>,
    hello: &[u8],
    fails: &[u8],
) -> (Id, UnixStream) {
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    small_buffers(&ours);
    peer.set_nonblocking(true).expect("an option");
    peer.write_all(&[hello, fails].concat()).expect("room");
    (h.adopt_stream(ours.as_fd(), settings), peer)
}

/// Each kind of end that can fail, with what its peer says first.
pub fn ends(version: Version) -> [(Arc<Settings>, Vec<u8>); 2] {
    let (socket, _other) = UnixStream::pair().expect("a pair");
    let hello = Peer::client(socket, &peer_client(version, None)).take_ciphertext();
    [
        (server_with(&talkative_options(version), |_| {}), hello),
        (talkative_client(version), Vec::new()),
    ]
}

/// The kind and the length of the last record.
pub fn last_record(mut bytes: &[u8]) -> (u8, usize) {
    let mut last = (0, 0);
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(length <= rest.len(), "a record is cut short");
        last = (*kind, length);
        bytes = &rest[length..];
    }
    last
}

#[test]
fn a_peer_that_reads_slowly_gets_the_alert() {
    for version in VERSIONS {
        for (settings, hello) in ends(version) {
            let mut h = Harness::new();
            let (id, mut peer) = failing(&mut h, &settings, &hello, &NONSENSE);
            let mut got = Vec::new();
            let mut has_ended = false;
            h.until(|h| {
                let most = got.len() + 500;
                has_ended = read_available(&mut peer, &mut got, most).expect("no reset");
                has_ended && h.reason(id).is_some()
            });
            let is_encrypted = version == Version::Tls13 && !hello.is_empty();
            let alert = if is_encrypted { (23, 19) } else { (21, 2) };
            assert_eq!(last_record(&got), alert, "{version:?}");
            assert_eq!(h.reason(id), Some(10_016));
        }
    }
}

/// How a peer may end a handshake, and what is told of it.
const ENDINGS: [(&[u8], u32); 3] = [
    (&CLOSE_NOTIFY, 10_017),
    (&HANDSHAKE_FAILURE, 10_011),
    // By the end of its socket.
    (&[], 10_017),
];

/// No alert is owed to a peer that has ended TLS, or has sent one: the rest of the handshake is not waited for.
#[test]
fn a_peer_that_has_ended_the_handshake_need_not_read() {
    for version in VERSIONS {
        for (settings, hello) in ends(version) {
            for (end, reason) in ENDINGS {
                let mut h = Harness::new();
                let (id, peer) = failing(&mut h, &settings, &hello, end);
                if end.is_empty() {
                    peer.shutdown(Shutdown::Write).expect("it is open");
                }
                h.quiesce();
                assert_eq!(h.reason(id), Some(reason), "{version:?} {end:?}");
            }
        }
    }
}

/// Nor is it where the peer does so later, while our own messages wait for it to read.
#[test]
fn a_peer_that_ends_the_handshake_later_need_not_read() {
    for version in VERSIONS {
        for (settings, hello) in ends(version) {
            for (end, reason) in ENDINGS {
                let mut h = Harness::new();
                let (id, mut peer) = failing(&mut h, &settings, &hello, &[]);
                h.quiesce();
                assert_eq!(h.reason(id), None, "{version:?} {end:?}");
                match end {
                    [] => peer.shutdown(Shutdown::Write).expect("it is open"),
                    _ => peer.write_all(end).expect("room"),
                }
                h.quiesce();
                assert_eq!(h.reason(id), Some(reason), "{version:?} {end:?}");
            }
        }
    }
}

/// What has failed is told then, and not that time is up. It has the time of the handshake, or that of closing.
#[test]
fn a_peer_that_reads_nothing_does_not_keep_it_open() {
    for version in VERSIONS {
        for time in [None, Some(HANDSHAKE_TIMEOUT)] {
            let mut h = Harness::new();
            let [(settings, hello), _] = ends(version);
            let Some(Tls::Server(tls)) = &settings.tls else {
                panic!("it is a server");
            };
            tls.replace(&talkative_options(version), time)
                .expect("valid");
            let (id, _peer) = failing(&mut h, &settings, &hello, &NONSENSE);
            h.quiesce();
            assert_eq!(h.reason(id), None);
            h.pass(time.unwrap_or(settings.close_timeout) + Duration::from_secs(1));
            assert_eq!(h.until_closed(id), 10_016, "{version:?}");
        }
    }
}

/// However long closing may take without an end.
#[test]
fn a_peer_that_reads_nothing_has_no_more_than_the_whole_time_of_closing() {
    const WHOLE: Duration = Duration::from_secs(50);
    for version in VERSIONS {
        let mut h = Harness::new();
        let [(_, hello), _] = ends(version);
        let settings = server_with(&talkative_options(version), |settings| {
            settings.close_timeout = Duration::from_secs(1_000_000);
            settings.max_close_time = WHOLE;
        });
        let Some(Tls::Server(tls)) = &settings.tls else {
            panic!("it is a server");
        };
        tls.replace(&talkative_options(version), None)
            .expect("valid");
        let (id, _peer) = failing(&mut h, &settings, &hello, &NONSENSE);
        h.quiesce();
        assert_eq!(h.reason(id), None);
        h.pass(WHOLE + Duration::from_secs(1));
        assert_eq!(h.until_closed(id), 10_016, "{version:?}");
    }
}

/// A socket that is closed with unread input resets its peer, which may lose the alert.
#[test]
fn what_the_peer_has_sent_behind_a_failure_does_not_reset_it() {
    for version in VERSIONS {
        for settings in [
            server(version, |_| {}),
            client_with(&client_options(version)),
        ] {
            let mut h = Harness::new();
            let (ours, mut peer) = UnixStream::pair().expect("a pair");
            peer.set_nonblocking(true).expect("an option");
            large_buffers(&ours);
            large_buffers(&peer);
            let much = [&NONSENSE[..], &[0; 90_000]].concat();
            peer.write_all(&much).expect("room");
            let id = h.adopt_stream(ours.as_fd(), &settings);
            drop(ours);
            let mut got = Vec::new();
            h.until(|h| {
                let has_ended = read_available(&mut peer, &mut got, usize::MAX).expect("no reset");
                has_ended && h.reason(id).is_some()
            });
            assert_eq!(last_record(&got), (21, 2), "{version:?}");
        }
    }
}

/// Why the handshakes of a listener have failed.
fn failed_handshakes(h: &Harness) -> Vec<u32> {
    let failed = h.log.iter().filter_map(|entry| match entry.what {
        What::HandshakeFailed { reason, .. } => Some(reason),
        _ => None,
    });
    failed.collect()
}

/// A peer of a listener whose handshake has failed, and how many connections that counts.
fn failed(h: &mut Harness, settings: &Arc<Settings>) -> (UnixStream, impl Fn() -> usize + use<>) {
    let (_, file) = h.listen_unix(settings);
    let mut peer = UnixStream::connect(file.path()).expect("it listens");
    peer.set_nonblocking(true).expect("an option");
    large_buffers(&peer);
    peer.write_all(&NONSENSE).expect("room");
    h.until(|h| !failed_handshakes(h).is_empty());
    let settings = settings.clone();
    let counted = move || match &settings.tls {
        Some(Tls::Server(tls)) => tls.securing(),
        _ => 0,
    };
    (peer, counted)
}

/// What was on its way when the handshake failed would reset the peer as well.
#[test]
fn what_the_peer_sends_after_a_failure_does_not_reset_it() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (mut peer, counted) = failed(&mut h, &server(version, |_| {}));
        for _ in 0..20 {
            h.quiesce();
            peer.write_all(&[0; 90_000]).expect("nobody has gone");
        }
        let mut got = Vec::new();
        h.until(|_| read_available(&mut peer, &mut got, usize::MAX).expect("no reset"));
        assert_eq!(last_record(&got), (21, 2), "{version:?}");
        assert_eq!(counted(), 1);
        drop(peer);
        h.quiesce();
        assert_eq!(counted(), 0);
        assert_eq!(failed_handshakes(&h), [10_016], "told once");
    }
}

/// For that it has the time of closing, and no more than for the handshake.
#[test]
fn a_peer_that_stays_after_a_failure_is_given_up() {
    let brief = Duration::from_secs(50);
    for (close_timeout, time) in [(brief, brief), (HANDSHAKE_TIMEOUT * 2, HANDSHAKE_TIMEOUT)] {
        let mut h = Harness::new();
        let settings = server(Version::Tls13, |settings| {
            settings.close_timeout = close_timeout;
        });
        let (mut peer, counted) = failed(&mut h, &settings);
        h.pass(time - Duration::from_secs(1));
        assert_eq!(counted(), 1);
        // However much it sends.
        peer.write_all(&[0; 90_000]).expect("nobody has gone");
        h.pass(Duration::from_secs(2));
        assert_eq!(counted(), 0);
        assert_eq!(failed_handshakes(&h), [10_016], "told once");
    }
}

/// Its server no longer waits for it.
#[test]
fn a_listener_that_ends_lets_go_of_whom_it_has_failed() {
    let mut h = Harness::new();
    let (_peer, counted) = failed(&mut h, &server(Version::Tls13, |_| {}));
    h.poller.abandon_handshakes(UNIX_TAG);
    assert_eq!(counted(), 0);
}
