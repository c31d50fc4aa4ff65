//! Records as peers may send them: tiny, empty, too long, forged, and with frames across them.

use std::io::{Read, Write};
use std::time::Duration;

use netpoll_core::Reason;
use netpoll_core::tls::options::Version;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use crate::handshakes::{VERSIONS, pair};
use crate::peers::server;
use crate::support::{Harness, Random, echo, frame, settings};

const PROTOCOL: u32 = 10_016;

#[test]
fn records_may_have_any_size_and_frames_may_lie_across_them() {
    let message: Vec<u8> = (0..60).collect();
    let framed = frame(&message);
    for version in VERSIONS {
        let mut h = Harness::new();
        let settings = server(version, |settings| settings.max_in_flight = None);
        let (id, mut peer) = pair(&mut h, &settings, version);
        // One byte in each.
        for byte in &framed {
            peer.tls.writer().write_all(&[*byte]).expect("memory");
        }
        assert_eq!(h.peer_reads(&mut peer, framed.len(), echo), framed);
        // Two frames, cut once, at every place; the ciphertext in two parts as well.
        let two = [framed.clone(), framed.clone()].concat();
        for cut in 1..two.len() {
            peer.tls.writer().write_all(&two[..cut]).expect("memory");
            peer.tls.writer().write_all(&two[cut..]).expect("memory");
            let ciphertext = peer.take_ciphertext();
            let (first, second) = ciphertext.split_at(cut);
            peer.socket.write_all(first).expect("room");
            h.look();
            h.turn();
            peer.socket.write_all(second).expect("room");
            h.until(|h| h.message_count(id) > 2 * cut);
        }
        h.peer_writes(&mut peer, &framed, |_, _| {});
        let expected = 2 + 2 * (two.len() - 1);
        h.until(|h| h.message_count(id) == expected);
        assert!(h.messages(id).iter().all(|other| *other == framed));
    }
}

#[test]
fn large_messages_take_many_records_in_both_directions() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (_, mut peer) = pair(&mut h, &server(version, |_| {}), version);
        let mut random = Random::new(9);
        for size in [15_000, 70_000, 300_000, 5_000_000] {
            let message = frame(&random.bytes(size));
            let mut left = &message[..];
            let mut got = Vec::new();
            h.run(echo, |_| {
                while !left.is_empty() {
                    match peer.write(left) {
                        Ok(count) => left = &left[count..],
                        Err(_) => break,
                    }
                }
                crate::support::read_available(&mut peer, &mut got, message.len())
                    .expect("reading");
                got.len() == message.len()
            });
            assert!(got == message, "{size}");
        }
    }
}

#[test]
fn a_forged_record_is_answered_by_an_alert_and_what_came_before_it_is_served() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, mut peer) = pair(&mut h, &server(version, |_| {}), version);
        peer.tls
            .writer()
            .write_all(&frame(b"before"))
            .expect("memory");
        let mut ciphertext = peer.take_ciphertext();
        peer.tls
            .writer()
            .write_all(&frame(b"forged"))
            .expect("memory");
        let mut forged = peer.take_ciphertext();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        ciphertext.extend(forged);
        peer.tls
            .writer()
            .write_all(&frame(b"behind"))
            .expect("memory");
        ciphertext.extend(peer.take_ciphertext());
        peer.socket.write_all(&ciphertext).expect("room");
        h.until(|h| h.has(id, "inactive"));
        assert_eq!(h.messages(id), [frame(b"before")]);
        h.until(|_| {
            peer.step().expect("no reset");
            peer.failure.is_some()
        });
        let expected = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
        assert_eq!(peer.failure, Some(expected));
        drop(peer);
        assert_eq!(h.until_closed(id), PROTOCOL);
        assert_eq!(h.message_count(id), 1, "nothing behind it is parsed");
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_by_its_header() {
    for version in VERSIONS {
        let mut h = Harness::new();
        let (id, mut peer) = pair(&mut h, &server(version, |_| {}), version);
        peer.socket
            .write_all(&[23, 3, 3, 0xff, 0xff])
            .expect("room");
        h.until(|h| h.has(id, "inactive"));
        h.until(|_| {
            peer.step().expect("no reset");
            peer.failure.is_some()
        });
        let expected = rustls::Error::AlertReceived(rustls::AlertDescription::DecodeError);
        assert_eq!(peer.failure, Some(expected));
        drop(peer);
        assert_eq!(h.until_closed(id), PROTOCOL);
    }
}

/// Records without a byte in them are not an end, and nothing to wait for.
#[test]
fn empty_records_are_nothing() {
    let mut h = Harness::new();
    let version = Version::Tls13;
    let (id, mut peer) = pair(&mut h, &server(version, |_| {}), version);
    let suite = peer.tls.negotiated_cipher_suite();
    let Some(SupportedCipherSuite::Tls13(suite)) = suite else {
        panic!("it is 1.3");
    };
    let rustls::Connection::Client(client) = peer.tls else {
        panic!("it is a client");
    };
    let secrets = client.dangerous_extract_secrets().expect("allowed");
    let (mut sequence, traffic) = secrets.tx;
    let (ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = traffic
    else {
        panic!("a cipher of ours");
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    let mut record = |payload: &[u8]| {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(payload),
        };
        sequence += 1;
        let made = encrypter.encrypt(message, sequence - 1);
        made.expect("it encrypts").encode()
    };
    let mut ciphertext = Vec::new();
    for _ in 0..10 {
        ciphertext.extend(record(&[]));
    }
    let framed = frame(b"behind");
    ciphertext.extend(record(&framed[..3]));
    ciphertext.extend(record(&[]));
    ciphertext.extend(record(&framed[3..]));
    h.peer_writes(&mut peer.socket, &ciphertext, |_, _| {});
    h.until(|h| h.message_count(id) == 1);
    assert_eq!(h.messages(id), [framed]);
    assert_eq!(h.life(id), ["accepted"]);
    // A flood of them is work for nothing.
    let flood: Vec<u8> = (0..5000).flat_map(|_| record(&[])).collect();
    h.peer_writes(&mut peer.socket, &flood, |_, _| {});
    h.until(|h| h.has(id, "inactive"));
    drop(peer.socket);
    assert_eq!(h.until_closed(id), PROTOCOL);
}

/// A record that is begun is a message that is begun.
#[test]
fn the_read_timeout_runs_while_a_record_is_unfinished() {
    let mut h = Harness::new();
    let time = Duration::from_secs(100);
    let version = Version::Tls13;
    let settings = server(version, |settings| settings.read_timeout = Some(time));
    let (id, mut peer) = pair(&mut h, &settings, version);
    h.pass(time * 3);
    peer.tls
        .writer()
        .write_all(&frame(b"slow"))
        .expect("memory");
    let ciphertext = peer.take_ciphertext();
    for count in 1..=10 {
        let byte = &ciphertext[count - 1..count];
        peer.socket.write_all(byte).expect("room");
        h.until(|_| settings.unfinished.used() == count);
        h.pass(time / 20);
    }
    assert_eq!(h.reason(id), None);
    h.pass(time);
    assert_eq!(h.until_closed(id), Reason::ReadTimeout.code());
}

/// What is kept of records counts, and is given back.
#[test]
fn unfinished_records_count_against_the_bound() {
    let mut h = Harness::new();
    let version = Version::Tls13;
    let settings = server(version, |_| {});
    let (_, mut peer) = pair(&mut h, &settings, version);
    peer.tls
        .writer()
        .write_all(&frame(&[1; 10_000]))
        .expect("memory");
    let ciphertext = peer.take_ciphertext();
    peer.socket.write_all(&ciphertext[..9000]).expect("room");
    h.until(|_| settings.unfinished.used() == 9000);
    peer.socket.write_all(&ciphertext[9000..]).expect("room");
    assert_eq!(h.peer_reads(&mut peer, 10_004, echo), frame(&[1; 10_000]));
    assert_eq!(settings.unfinished.used(), 0);
}

/// A connection that reads nothing keeps nothing either: its peer waits.
#[test]
fn a_peer_that_sends_more_than_is_taken_waits() {
    let mut h = Harness::new();
    let version = Version::Tls13;
    let settings = server(version, |settings| {
        settings.max_in_flight = std::num::NonZeroU32::new(1);
    });
    let (id, mut peer) = pair(&mut h, &settings, version);
    let message = frame(&[1; 10_000]);
    let mut sent = 0;
    // Until its socket takes no more for a while.
    let mut refusals = 0;
    h.until(|_| {
        match peer.write(&message) {
            Ok(count) => sent += count,
            Err(_) => refusals += 1,
        }
        refusals > 500
    });
    assert_eq!(h.message_count(id), 1);
    let held = settings.unfinished.used();
    assert!(held <= 1 << 20, "{held}");
    let whole = sent / message.len();
    h.poller.acknowledge(id, 1);
    h.run(
        |poller, entry| {
            if entry.what.name() == "message" {
                poller.acknowledge(id, 1);
            }
        },
        |h| {
            let _ = peer.step();
            h.message_count(id) == whole
        },
    );
    let mut none = [0; 1];
    assert!(peer.read(&mut none).is_err());
}

/// The settings of the other tests have no TLS.
#[test]
fn a_connection_without_tls_keeps_no_state_of_it() {
    let mut h = Harness::new();
    let (id, _peer) = h.tcp(&settings(|_| {}));
    assert_eq!(h.poller.negotiated(id), None);
}

/// While plaintext is served that had no room, an event may tell of more: it tells only once.
#[test]
fn what_is_announced_while_plaintext_waits_is_read() {
    for version in VERSIONS {
        // Small reads: what comes at once has no room for long.
        let mut h = Harness::with(1024, 4096);
        let settings = server(version, |settings| settings.max_in_flight = None);
        let (id, mut peer) = pair(&mut h, &settings, version);
        let message = frame(&[1; 96]);
        peer.tls
            .writer()
            .write_all(&message.repeat(20))
            .expect("memory");
        let ciphertext = peer.take_ciphertext();
        peer.socket.write_all(&ciphertext).expect("room");
        h.until(|h| h.message_count(id) > 0);
        peer.tls.writer().write_all(&message).expect("memory");
        let ciphertext = peer.take_ciphertext();
        peer.socket.write_all(&ciphertext).expect("room");
        h.look();
        h.until(|h| h.message_count(id) == 21);
    }
}
