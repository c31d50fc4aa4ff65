//! Two ends of TLS without sockets: what they send each other is cut, held back and, now and then, forged.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use netpoll_core::settings::UnfinishedBound;
use netpoll_core::tls::options::{
    Authorities, ClientCertificates, ClientOptions, Common, Identity, NameCheck, PartialChains,
    PrivateKey, ServerOptions, Unauthorized, Version,
};
use netpoll_core::tls::{ClientTls, Handshake, ServerTls, Tls, Tunnel};

use crate::Target;
use crate::choices::Choices;

/// Steps without any progress after which two ends that are left alone hang.
const MOST_IDLE_STEPS: usize = 100;

/// What both ends go by: they are kept, so that sessions are resumed.
pub struct TlsTarget {
    versions: Vec<[Tls; 2]>,
}

impl TlsTarget {
    pub fn new() -> Result<Self> {
        let versions = [Version::Tls12, Version::Tls13];
        Ok(Self {
            versions: versions.into_iter().map(both).collect::<Result<_>>()?,
        })
    }
}

fn both(version: Version) -> Result<[Tls; 2]> {
    let common = || Common {
        min_version: version,
        max_version: version,
        ciphers: None,
        application_protocols: Vec::new(),
    };
    let server = ServerOptions {
        common: common(),
        identity: Some(Identity {
            chain: vec![include_bytes!("../../testdata/tls/leaf.der").to_vec()],
            key: PrivateKey::Pkcs8(include_bytes!("../../testdata/tls/leaf-key.der").to_vec()),
        }),
        named: Vec::new(),
        client_certificates: ClientCertificates::NotAsked,
    };
    let client = ClientOptions {
        common: common(),
        identity: None,
        authorities: Authorities {
            certificates: vec![include_bytes!("../../testdata/tls/root.der").to_vec()],
            partial_chains: PartialChains::Refused,
        },
        unauthorized: Unauthorized::Refused,
        server_name: Some("localhost".to_owned()),
        name_check: NameCheck::Handshake,
        max_cached_sessions: 10,
    };
    let unusable = |failure| anyhow::anyhow!("the options cannot be used: {failure:?}");
    let server = ServerTls::new(&server, Some(Duration::from_secs(60))).map_err(unusable)?;
    let client = ClientTls::new(&client).map_err(unusable)?;
    Ok([Tls::Server(Arc::new(server)), Tls::Client(Arc::new(client))])
}

impl Target for TlsTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut choices = Choices::new(input);
        let both = &self.versions[choices.below(2)];
        let max = choices.of(&[usize::MAX, usize::MAX, usize::MAX, 20_000]);
        let bound = Arc::new(UnfinishedBound::new(max));
        let mut drive = Drive::new(both, &bound, max == usize::MAX)?;
        while !choices.are_used_up() {
            drive.step(&mut choices)?;
        }
        drive.finish()?;
        drop(drive);
        ensure!(bound.used() == 0, "{} bytes stay claimed", bound.used());
        Ok(())
    }
}

/// What is on its way in one direction.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    /// How much it takes until something is taken from it.
    capacity: usize,
}

impl Wire {
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes
            .len()
            .min(self.capacity.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..count]);
        if count == 0 {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(count)
        }
    }

    fn take(&mut self, memory: &mut [u8], most: usize) -> io::Result<usize> {
        let count = memory.len().min(most).min(self.bytes.len());
        memory[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        if count == 0 {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(count)
        }
    }
}

/// One end, with what it is to send and what it has received.
struct End {
    tunnel: Tunnel,
    is_secured: bool,
    has_failed: bool,
    /// All that it was given to send.
    given: Vec<u8>,
    /// How much of that has left.
    left: usize,
    received: Vec<u8>,
    has_ended: bool,
}

struct Drive {
    ends: [End; 2],
    /// To each of them.
    wires: [Wire; 2],
    /// Whether nothing was forged, and nothing bounds what is kept.
    is_honest: bool,
}

impl Drive {
    fn new(both: &[Tls; 2], bound: &Arc<UnfinishedBound>, is_honest: bool) -> Result<Self> {
        let end = |tls: &Tls| -> Result<End> {
            let tunnel = Tunnel::new(tls, bound)
                .map_err(|failure| anyhow::anyhow!("no end of TLS: {failure:?}"))?;
            Ok(End {
                tunnel,
                is_secured: false,
                has_failed: false,
                given: Vec::new(),
                left: 0,
                received: Vec::new(),
                has_ended: false,
            })
        };
        let [server, client] = both;
        Ok(Self {
            ends: [end(server)?, end(client)?],
            wires: [Wire::default(), Wire::default()],
            is_honest,
        })
    }

    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        let side = choices.below(2);
        match choices.below(8) {
            0 | 1 => self.wires[side].capacity = choices.of(&[100_000, 1, 5, 300, 16_000]),
            2 | 3 => {
                let length = choices.of(&[1, 0, 100, 16_384, 16_385, 70_000]);
                let bytes = choices.bytes(length);
                self.ends[side].given.extend_from_slice(&bytes);
            }
            4 if choices.one_in(4) => self.forge(side, choices),
            _ => {
                let most = choices.of(&[100_000, 1, 5, 7, 1000]);
                let cut = choices.of(&[usize::MAX, 1, 3, 500]);
                self.advance(side, most, cut)?;
                let received = self.ends[side].received.len();
                ensure!(
                    received <= self.ends[1 - side].left,
                    "more was received than has left"
                );
            }
        }
        Ok(())
    }

    /// An attacker between the two changes what is on its way.
    fn forge(&mut self, side: usize, choices: &mut Choices<'_>) {
        let bytes = &mut self.wires[side].bytes;
        let at = choices.below(bytes.len() + 1);
        match choices.below(3) {
            0 if at < bytes.len() => bytes[at] ^= 1 << choices.below(8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.insert(at, choices.below(256) as u8),
        }
        self.is_honest = false;
    }

    /// Lets one end go on: it reads no more than `most` at once, and writes what it has in two pieces, cut at `cut`. Returns
    /// whether anything has moved.
    fn advance(&mut self, side: usize, most: usize, cut: usize) -> Result<bool> {
        let [to_server, to_client] = &mut self.wires;
        let (incoming, outgoing) = if side == 0 {
            (to_server, to_client)
        } else {
            (to_client, to_server)
        };
        let end = &mut self.ends[side];
        if end.has_failed {
            return Ok(false);
        }
        let before = (
            incoming.bytes.len(),
            outgoing.bytes.len(),
            end.left,
            end.received.len(),
        );
        let outcome = end.go_on(incoming, outgoing, most, cut);
        let after = (
            incoming.bytes.len(),
            outgoing.bytes.len(),
            end.left,
            end.received.len(),
        );
        if let Err(error) = outcome {
            ensure!(!self.is_honest, "an honest peer was refused: {error}");
            end.has_failed = true;
        }
        let received = &self.ends[side].received;
        let given = &self.ends[1 - side].given;
        ensure!(
            given.starts_with(received),
            "what was received was not sent"
        );
        Ok(before != after)
    }

    /// Nothing is cut or held back any more: what was given arrives, and both ends say so.
    fn finish(&mut self) -> Result<()> {
        for wire in &mut self.wires {
            wire.capacity = usize::MAX;
        }
        let mut idle = 0;
        while idle < MOST_IDLE_STEPS {
            let moved = [
                self.advance(0, usize::MAX, usize::MAX)?,
                self.advance(1, usize::MAX, usize::MAX)?,
            ];
            idle = if moved.contains(&true) { 0 } else { idle + 1 };
        }
        for side in [0, 1] {
            let wire = &mut self.wires[1 - side];
            self.ends[side].tunnel.say_farewell();
            self.ends[side].left += self.ends[side].tunnel.flush(|bytes| wire.put(bytes));
        }
        for side in [0, 1, 0, 1] {
            self.advance(side, usize::MAX, usize::MAX)?;
        }
        if self.is_honest {
            let [server, client] = &self.ends;
            for (end, other) in [(server, client), (client, server)] {
                ensure!(end.left == end.given.len(), "not all has left");
                ensure!(other.received == end.given, "not all has arrived");
                ensure!(other.has_ended, "the end was not noticed");
            }
        }
        Ok(())
    }
}

impl End {
    fn go_on(
        &mut self,
        incoming: &mut Wire,
        outgoing: &mut Wire,
        most: usize,
        cut: usize,
    ) -> io::Result<()> {
        if !self.is_secured {
            let shaken = self.tunnel.shake_hands(
                |memory| incoming.take(memory, most),
                |bytes| outgoing.put(bytes),
            )?;
            self.is_secured = shaken == Handshake::Done;
            return Ok(());
        }
        // What TLS alone has to say, such as the end of the handshake, waits for no message.
        self.left += self.tunnel.flush(|bytes| outgoing.put(bytes));
        let rest = &self.given[self.left..];
        if !rest.is_empty() {
            let (first, second) = rest.split_at(cut.min(rest.len()));
            let pieces = [IoSlice::new(first), IoSlice::new(second)];
            self.left += unless_blocked(self.tunnel.write(&pieces, |bytes| outgoing.put(bytes)))?;
        }
        let mut memory = [0; 20_000];
        let memory = &mut memory[..most.min(20_000)];
        match self
            .tunnel
            .read(memory, |memory| incoming.take(memory, most))
        {
            Ok(0) => self.has_ended = self.tunnel.has_ended_properly(),
            other => {
                let count = unless_blocked(other)?;
                self.received.extend_from_slice(&memory[..count]);
            }
        }
        Ok(())
    }
}

/// What has moved, where the other side only has to be waited for.
fn unless_blocked(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(0)
        }
        other => other,
    }
}
