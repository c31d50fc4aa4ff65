//! Keys that wear out, and keys that are made anew.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::tls::options::Version;
use netpoll_core::tls::{ClientTls, ServerTls, Tls};
use netpoll_core::{Address, Reason};
use rustls::Connection;

use crate::handshakes::pair;
use crate::peers::{Peer, client_options, connect, peer_client, server, server_options};
use crate::support::{Harness, base, echo, frame};

fn update_keys(tls: &mut Connection) {
    tls.refresh_traffic_keys().expect("it is TLS 1.3");
}

/// A client is told first, whichever direction has the records. The server is, too, where the client does not leave.
#[test]
fn keys_that_are_never_made_anew_are_announced_before_they_are_exhausted() {
    for (version, ciphers, is_worn) in [
        (Version::Tls12, None, true),
        (Version::Tls12, Some(vec![0xcca9]), false),
        (Version::Tls13, None, false),
    ] {
        let mut h = Harness::new();
        let mut options = server_options(version);
        options.common.ciphers = ciphers;
        let tls = ServerTls::new(&options, None)
            .expect("valid")
            .with_max_records(128);
        let settings = server(version, |settings| {
            settings.tls = Some(Tls::Server(Arc::new(tls)));
        });
        let (_, address) = h.listen_tcp(&settings);
        let tls = ClientTls::new(&client_options(version))
            .expect("valid")
            .with_max_records(128);
        let mut settings = base();
        settings.tls = Some(Tls::Client(Arc::new(tls)));
        let id = h.dial(&Address::Ip(address), &Arc::new(settings));
        h.until(|h| h.has(id, "connected"));
        let mut told = [None; 2];
        for round in 1..127 {
            let slice = h.slice(&frame(b"ping"));
            h.poller.send(id, slice);
            h.run(
                |poller, entry| {
                    if entry.id == Some(id) {
                        poller.acknowledge(id, 1);
                    } else {
                        echo(poller, entry);
                    }
                },
                |h| h.message_count(id) == round,
            );
            let server_id = h.accepted()[0];
            for (told, end) in told.iter_mut().zip([id, server_id]) {
                if told.is_none() && h.has(end, "worn out") {
                    *told = Some(round);
                }
            }
        }
        let [client, server] = told;
        if is_worn {
            assert!(
                client.is_some_and(|round| (119..123).contains(&round)),
                "{client:?}"
            );
            assert!(server.is_none_or(|round| round >= 125), "{server:?}");
        } else {
            assert_eq!(told, [None; 2], "{version:?}");
        }
    }
}

#[test]
fn keys_are_made_anew_while_both_ends_write() {
    let mut h = Harness::new();
    let (id, mut peer) = pair(&mut h, &server(Version::Tls13, |_| {}), Version::Tls13);
    let message = frame(&vec![5; 40_000]);
    for round in 0..50 {
        if round % 2 == 0 {
            update_keys(&mut peer.tls);
        }
        h.peer_writes(&mut peer, &message[..20_000], echo);
        update_keys(&mut peer.tls);
        h.peer_writes(&mut peer, &message[20_000..], echo);
        assert_eq!(h.peer_reads(&mut peer, message.len(), echo), message);
    }
    assert_eq!(h.message_count(id), 50);
}

/// They are no sign of life, and what they are answered with is not kept.
#[test]
fn key_updates_alone_keep_nothing_alive() {
    let mut h = Harness::new();
    let settings = server(Version::Tls13, |settings| {
        settings.idle_timeout = Some(Duration::from_secs(100));
        settings.read_timeout = Some(Duration::from_secs(300));
    });
    let (id, mut peer) = pair(&mut h, &settings, Version::Tls13);
    h.quiesce();
    let unfinished = frame(&[1; 100]);
    for _ in 0..3 {
        h.pass(Duration::from_secs(40));
        update_keys(&mut peer.tls);
        peer.step().expect("room");
        h.quiesce();
    }
    h.until(|h| h.has(id, "idle"));
    assert_eq!(h.message_count(id), 0);
    h.peer_writes(&mut peer, &unfinished[..50], |_, _| {});
    for _ in 0..5 {
        h.pass(Duration::from_secs(90));
        update_keys(&mut peer.tls);
        let _ = peer.step();
        h.quiesce();
    }
    assert_eq!(h.until_closed(id), Reason::ReadTimeout.code());
}

/// More of them in a row than any peer needs end the connection.
#[test]
fn a_flood_of_key_updates_costs_no_memory() {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server(Version::Tls13, |_| {}));
    let mut peer = Peer::client(connect(address), &peer_client(Version::Tls13, None));
    h.until(|h| {
        peer.step().expect("the handshake goes on");
        h.accepted().len() == 1
    });
    let id = h.accepted()[0];
    for _ in 0..200 {
        update_keys(&mut peer.tls);
    }
    let _ = peer.tls.writer().write(b"");
    h.until(|h| {
        let _ = peer.step();
        h.has(id, "inactive") || h.reason(id).is_some()
    });
    assert_eq!(h.message_count(id), 0);
}
