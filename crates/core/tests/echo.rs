//! Framed echo over TCP and unix sockets: what comes back is what was sent, whatever the splits.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;

use netpoll_core::frame::{Delimiter, Framing, Varint};
use netpoll_core::{Address, Poller};
use support::{Entry, Harness, Random, What, echo, frame, read_available, settings};

trait Peer: Read + Write {
    fn half_close(&self);
}

impl Peer for TcpStream {
    fn half_close(&self) {
        self.shutdown(std::net::Shutdown::Write).expect("shutdown");
    }
}

impl Peer for UnixStream {
    fn half_close(&self) {
        self.shutdown(std::net::Shutdown::Write).expect("shutdown");
    }
}

/// One peer's traffic: sent in random pieces, read back as it comes.
struct Traffic {
    peer: Box<dyn Peer>,
    wire: Vec<u8>,
    at: usize,
    back: Vec<u8>,
    expected: Vec<u8>,
    ended: bool,
}

impl Traffic {
    fn drive(&mut self, random: &mut Random) {
        while self.at < self.wire.len() {
            let most = [3, 50, 5_000, 200_000][random.below(4)];
            let end = (self.at + 1 + random.below(most)).min(self.wire.len());
            match self.peer.write(&self.wire[self.at..end]) {
                Ok(count) => self.at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            if random.below(4) == 0 {
                break;
            }
        }
        if self.at == self.wire.len() && !self.ended {
            self.ended = true;
            self.peer.half_close();
        }
        if random.below(3) != 0 {
            let most = self.back.len() + 1 + random.below(300_000);
            read_available(&mut self.peer, &mut self.back, most).expect("reading");
        }
    }
}

/// How a payload goes out and how its echo comes back: the handler echoes messages without framing.
struct Form {
    framing: Framing,
    wire: fn(&[u8]) -> Vec<u8>,
    message: fn(&[u8]) -> Vec<u8>,
    handler: fn(&mut Poller, &Entry),
}

fn forms() -> Vec<Form> {
    let line = |payload: &[u8]| {
        let mut line: Vec<u8> = payload.iter().map(|b| b % 10 + b'0').collect();
        line.extend_from_slice(b"\r\n");
        line
    };
    vec![
        Form {
            framing: support::whole_frames(1 << 24),
            wire: frame,
            message: frame,
            handler: echo,
        },
        Form {
            framing: Framing::Varint(Varint::new(1 << 24)),
            wire: |payload| {
                let mut wire = Vec::new();
                let mut rest = payload.len();
                while rest >= 0x80 {
                    wire.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                wire.push(rest as u8);
                wire.extend_from_slice(payload);
                wire
            },
            message: <[u8]>::to_vec,
            handler: echo,
        },
        Form {
            framing: Framing::Delimiter(Delimiter::new(b"\r\n", 1 << 24).expect("valid")),
            wire: line,
            message: |payload| payload.iter().map(|b| b % 10 + b'0').collect(),
            handler: echo,
        },
        Form {
            framing: Framing::Stream,
            wire: <[u8]>::to_vec,
            message: <[u8]>::to_vec,
            handler: echo,
        },
    ]
}

fn echoes(unix: bool, seed: u64) {
    let mut random = Random::new(seed);
    for form in forms() {
        // Small chunks and batches meet every boundary; large ones are what is used.
        let (chunk, records) =
            [(4096, 16), (64 * 1024, 100), (256 * 1024, 4096)][seed as usize % 3];
        let mut h = Harness::with(chunk, records);
        let settings = settings(|s| {
            s.framing = form.framing.clone();
            s.max_in_flight = NonZeroU32::new(1 + random.below(70) as u32);
            s.high_water_mark = 1 + random.below(200_000);
        });
        let mut traffic: Vec<Traffic> = (0..1 + random.below(6))
            .map(|_| {
                let (_, peer): (_, Box<dyn Peer>) = if unix {
                    let (id, peer) = h.unix(&settings);
                    (id, Box::new(peer))
                } else {
                    let (id, peer) = h.tcp(&settings);
                    (id, Box::new(peer))
                };
                let (mut wire, mut expected) = (Vec::new(), Vec::new());
                for _ in 0..random.below(300) {
                    let most = [1, 20, 300, 9_000, 60_000][random.below(5).min(random.below(5))];
                    let length = random.below(most);
                    let payload = random.bytes(length);
                    wire.extend((form.wire)(&payload));
                    expected.extend((form.message)(&payload));
                }
                Traffic {
                    peer,
                    wire,
                    at: 0,
                    back: Vec::new(),
                    expected,
                    ended: false,
                }
            })
            .collect();
        let ids = h.accepted();
        let handler = form.handler;
        h.run(handler, |h| {
            for one in &mut traffic {
                one.drive(&mut random);
            }
            ids.iter().all(|id| h.reason(*id).is_some())
        });
        for one in &mut traffic {
            let ended = read_available(&mut one.peer, &mut one.back, usize::MAX).expect("reading");
            assert!(ended, "the peer sees our end");
            assert!(one.back == one.expected, "seed {seed}, {:?}", form.framing);
        }
        for id in ids {
            assert_eq!(h.reason(id), Some(0));
        }
    }
}

#[test]
fn random_messages_and_splits_over_tcp() {
    for seed in 0..4 {
        echoes(false, seed);
    }
}

#[test]
fn random_messages_and_splits_over_unix_sockets() {
    for seed in 100..104 {
        echoes(true, seed);
    }
}

#[test]
fn a_message_far_longer_than_a_chunk() {
    let mut h = Harness::new();
    let (id, mut peer) = h.tcp(&settings(|_| {}));
    let wire = frame(&Random::new(5).bytes(5_000_000));
    let mut at = 0;
    let mut back = Vec::new();
    h.run(echo, |_| {
        while let Ok(count) = peer.write(&wire[at..]) {
            at += count;
            if count == 0 {
                break;
            }
        }
        read_available(&mut peer, &mut back, usize::MAX).expect("reading");
        back.len() >= wire.len()
    });
    assert!(back == wire);
    assert_eq!(h.message_count(id), 1);
}

#[test]
fn many_tiny_messages_in_one_write() {
    let mut h = Harness::new();
    let (_, mut peer) = h.unix(&settings(|s| s.max_in_flight = None));
    let wire: Vec<u8> = (0..20_000u32)
        .flat_map(|n| frame(&n.to_be_bytes()))
        .collect();
    let mut at = 0;
    let mut back = Vec::new();
    h.run(echo, |_| {
        while at < wire.len() {
            let Ok(count) = peer.write(&wire[at..]) else {
                break;
            };
            at += count;
        }
        read_available(&mut peer, &mut back, usize::MAX).expect("reading");
        back.len() >= wire.len()
    });
    assert!(back == wire);
}

/// Both ends are connections of the same poller.
#[test]
fn a_dialed_connection_talks_to_an_accepted_one() {
    for unix in [false, true] {
        let mut h = Harness::new();
        let server = settings(|_| {});
        let client = settings(|s| s.max_in_flight = None);
        let file;
        let address = if unix {
            let listening = h.listen_unix(&server);
            file = listening.1;
            file.address()
        } else {
            Address::Ip(h.listen_tcp(&server).1)
        };
        let dialed = h.dial(&address, &client);
        h.until(|h| h.has(dialed, "connected"));
        let accepted = h.until_accepted(1);
        let mut random = Random::new(77);
        let mut sent = Vec::new();
        for _ in 0..200 {
            let length = random.below(5_000);
            let bytes = frame(&random.bytes(length));
            let slice = h.slice(&bytes);
            h.poller.send(dialed, slice);
            sent.push(bytes);
        }
        h.flush();
        h.run(
            |poller, entry| {
                if entry.id == Some(accepted) {
                    echo(poller, entry);
                }
            },
            |h| h.message_count(dialed) == 200,
        );
        assert!(h.messages(dialed) == sent);
        h.poller.close(dialed);
        h.flush();
        assert_eq!(h.until_closed(accepted), 0);
        assert_eq!(h.until_closed(dialed), 0);
        assert_eq!(h.story(dialed).first(), Some(&"connected"));
        assert_eq!(h.story(accepted).first(), Some(&"accepted"));
    }
}

/// The handler answers later, in another turn and out of nothing but what it kept.
#[test]
fn kept_messages_stay_as_they_were() {
    let mut h = Harness::with(4096, 16);
    let (id, mut peer) = h.unix(&settings(|_| {}));
    let mut random = Random::new(3);
    let mut sent = Vec::new();
    for _ in 0..3_000 {
        let length = random.below(700);
        let bytes = frame(&random.bytes(length));
        h.peer_writes(&mut peer, &bytes, |poller, entry| {
            if let (What::Message(_), Some(id)) = (&entry.what, entry.id) {
                poller.acknowledge(id, 1);
            }
        });
        sent.push(bytes);
    }
    h.run(
        |poller, entry| {
            if let (What::Message(_), Some(id)) = (&entry.what, entry.id) {
                poller.acknowledge(id, 1);
            }
        },
        |h| h.message_count(id) == sent.len(),
    );
    assert!(h.messages(id) == sent);
}
