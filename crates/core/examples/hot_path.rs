//! The way of a message through the core, over and over, for counting instructions. Requests are
//! read from a socket pair, cut and handed over, and sent back from where they lie.
//!
//!     hot_path SHAPE TURNS
//!
//! `burst` sends 32 requests over one connection in each turn, `spread` one over each of 32. Nothing
//! depends on time or chance: `benches/check.mjs` runs it under callgrind for two numbers of turns, and
//! the difference is what the turns between cost.

use std::env;
use std::io::{self, Read, Write};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netpoll_core::frame::{DEFAULT_MAX_LENGTH, Endian, Framing, LengthField};
use netpoll_core::settings::{
    HalfOpen, Handling, ReplyOrder, Start, UnfinishedBound, WhenCongested,
};
use netpoll_core::socket::NoDelay;
use netpoll_core::{Batch, ChunkPool, Id, Poller, RecordKind, Settings, Slice};

const PAYLOAD: usize = 1024;
const HEADER: usize = 4;
/// Messages of each turn.
const MESSAGES: usize = 32;

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let usage = || io::Error::other("expected burst or spread, and a number of turns");
    let [shape, turns] = words.as_slice() else {
        return Err(usage());
    };
    let connections = match shape.as_str() {
        "burst" => 1,
        "spread" => MESSAGES,
        _ => return Err(usage()),
    };
    let turns: usize = turns.parse().map_err(io::Error::other)?;
    let mut loops = Loops::new(connections)?;
    for _ in 0..turns {
        loops.turn()?;
    }
    Ok(())
}

/// A poller and the peers of its connections.
struct Loops {
    poller: Poller,
    batch: Batch,
    now: Instant,
    ids: Vec<Id>,
    peers: Vec<UnixStream>,
    /// What each peer sends in a turn, and gets back.
    requests: Vec<u8>,
    replies: Vec<u8>,
}

impl Loops {
    fn new(connections: usize) -> io::Result<Self> {
        let now = Instant::now();
        let mut poller = Poller::new(ChunkPool::new(256 * 1024, 16), now)?;
        let settings = Arc::new(settings()?);
        let (mut ids, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            let (ours, theirs) = UnixStream::pair()?;
            let id = poller.adopt_stream(ours.as_fd(), settings.clone())?;
            // Slots are given out in order, so that a record's slot is an index here.
            assert_eq!(id.slot as usize, ids.len());
            ids.push(id);
            peers.push(theirs);
        }
        let frame = [&(PAYLOAD as u32).to_be_bytes()[..], &[7; PAYLOAD]].concat();
        let requests = frame.repeat(MESSAGES / connections);
        Ok(Self {
            poller,
            batch: Batch::with_capacity(2048),
            now,
            ids,
            peers,
            replies: vec![0; requests.len()],
            requests,
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        for peer in &mut self.peers {
            peer.write_all(&self.requests)?;
        }
        let mut answered = 0;
        while answered < MESSAGES {
            self.poller.wait(Some(Duration::ZERO))?;
            self.batch.clear();
            self.poller.turn(self.now, &mut self.batch);
            for record in self.batch.records() {
                if record.kind() != RecordKind::Message as u8 {
                    continue;
                }
                let chunk = self.batch.chunks()[record.chunk()].clone();
                // The header stands before the message, where it came in.
                let start = record.start as usize - HEADER;
                let reply = Slice::new(chunk, start, record.length as usize + HEADER);
                let id = self.ids[record.slot as usize];
                self.poller.send(id, reply);
                self.poller.acknowledge(id, 1);
                answered += 1;
            }
            self.poller.flush(self.now);
        }
        for peer in &mut self.peers {
            peer.read_exact(&mut self.replies)?;
        }
        Ok(())
    }
}

fn settings() -> io::Result<Settings> {
    let field = LengthField::new(0, HEADER, 0, HEADER, Endian::Big, DEFAULT_MAX_LENGTH)
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    Ok(Settings {
        framing: Framing::LengthField(field),
        id_field: None,
        max_in_flight: NonZeroU32::new(1024),
        handling: Handling::Owner,
        reply_order: ReplyOrder::Requests,
        high_water_mark: 1 << 20,
        when_congested: WhenCongested::StopReading,
        no_delay: NoDelay::On,
        half_open: HalfOpen::Close,
        start: Start::Reading,
        close_timeout: Duration::from_secs(5),
        max_close_time: Duration::from_secs(300),
        read_timeout: None,
        write_timeout: None,
        idle_timeout: None,
        keep_alive: None,
        unfinished: Arc::new(UnfinishedBound::new(64 << 20)),
        tls: None,
    })
}
