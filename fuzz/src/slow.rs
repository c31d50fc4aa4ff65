//! Peers that read slowly: what waits for them keeps no more memory than `docs/guides/memory.md` says.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netpoll_core::buffer::Region;
use netpoll_core::settings::Settings;
use netpoll_core::{Batch, ChunkPool, Command, Id, Poller, RecordKind, Slice};
use socket2::SockRef;

use crate::Target;
use crate::choices::Choices;
use crate::drive::{self, Drive};
use crate::framing::plain_settings;
use crate::poller::{is_readable, own_address};
use crate::reference::Reference;

/// How many times its size a waiting byte may keep.
const SHARE: usize = 4;
/// A chunk of up to so many bytes may be kept by a single byte: the last one that a peer does not take.
const SMALL_CHUNK: usize = 16 * 1024;
/// Chunks beside those of waiting bytes: the one that is read into, and the one that is written into.
const CHUNKS: usize = 2;
const MOST_LINES: usize = 4;
/// Which only a hang reaches.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct SlowTarget;

impl Target for SlowTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut choices = Choices::new(input);
        let pool = ChunkPool::new(choices.of(&[256 * 1024, 64 * 1024]), 4);
        let drive = SlowDrive::new(&pool)?;
        drive::run(drive, &mut choices, &pool)
    }
}

/// The socket of a peer.
trait Socket: Read + Write + AsFd {}

impl<Any: Read + Write + AsFd> Socket for Any {}

/// A connection, and what its peer has done.
struct Line {
    id: Id,
    socket: Box<dyn Socket>,
    /// Whether a message of it is cut off.
    is_torn: bool,
    sent: Vec<u8>,
    got: usize,
}

struct SlowDrive {
    poller: Poller,
    batch: Batch,
    pool: ChunkPool,
    /// Where small messages to all peers are written, one behind the other.
    region: Region,
    settings: Arc<Settings>,
    now: Instant,
    lines: Vec<Line>,
    /// By slot.
    known: HashMap<u32, usize>,
}

impl SlowDrive {
    fn new(pool: &ChunkPool) -> Result<Self> {
        let reference = Reference::Varint { most: 10_000 };
        let now = Instant::now();
        Ok(Self {
            poller: Poller::new(pool.clone(), now)?,
            batch: Batch::with_capacity(4096),
            pool: pool.clone(),
            region: Region::over(pool.take()),
            settings: Arc::new(plain_settings(&reference, None, usize::MAX)),
            now,
            lines: Vec::new(),
            known: HashMap::new(),
        })
    }

    fn connect(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        let size = choices.of(&[1, 64 * 1024, 4 * 1024 * 1024]);
        if choices.one_in(2) {
            // A window that is less than a segment opens a few times a second.
            let size = size.max(128 * 1024);
            let listener = TcpListener::bind(SocketAddr::new(own_address().into(), 0))?;
            let peer = TcpStream::connect(listener.local_addr()?)?;
            let (ours, _) = listener.accept()?;
            peer.set_nonblocking(true)?;
            SockRef::from(&peer).set_recv_buffer_size(size)?;
            self.adopt(ours.as_fd(), Box::new(peer), size)
        } else {
            let (ours, peer) = UnixStream::pair()?;
            peer.set_nonblocking(true)?;
            self.adopt(ours.as_fd(), Box::new(peer), size)
        }
    }

    fn adopt(&mut self, ours: BorrowedFd<'_>, socket: Box<dyn Socket>, size: usize) -> Result<()> {
        SockRef::from(&ours).set_send_buffer_size(size)?;
        let id = self.poller.adopt_stream(ours, self.settings.clone())?;
        self.known.insert(id.slot, self.lines.len());
        self.lines.push(Line {
            id,
            socket,
            is_torn: false,
            sent: Vec::new(),
            got: 0,
        });
        Ok(())
    }

    /// A message in a chunk of its own.
    fn send(&mut self, index: usize, choices: &mut Choices<'_>) {
        let length = (1 << choices.below(20)) + choices.below(100);
        let bytes = vec![choices.below(256) as u8; length];
        let slice = Region::over(self.pool.take_at_least(length)).append(&bytes);
        self.queue(index, slice);
    }

    /// Small messages for several peers, which lie between each other.
    fn send_many(&mut self, choices: &mut Choices<'_>) {
        let length = 1 << choices.below(12);
        for number in 0..1 + choices.below(200) {
            if self.region.remaining() < length {
                self.region = Region::over(self.pool.take());
            }
            let slice = self.region.append(&vec![number as u8; length]);
            self.queue(number % self.lines.len(), slice);
        }
    }

    fn queue(&mut self, index: usize, slice: Slice) {
        let line = &mut self.lines[index];
        line.sent.extend_from_slice(slice.as_ref());
        self.poller.carry_out(line.id, Command::Send(slice));
    }

    /// It gets each message back.
    fn peer_asks(&mut self, index: usize, choices: &mut Choices<'_>) {
        let line = &mut self.lines[index];
        for _ in 0..1 + choices.below(20) {
            let length = 1 + choices.below(127);
            let mut frame = vec![length as u8];
            frame.resize(1 + length, 7);
            if line.is_torn {
                return;
            }
            line.is_torn = line.socket.write(&frame).unwrap_or(0) < frame.len();
        }
    }

    fn peer_reads(&mut self, index: usize, most: usize) -> Result<usize> {
        let line = &mut self.lines[index];
        let mut buffer = vec![0; most.min(64 * 1024)];
        let begun = line.got;
        while line.got - begun < most {
            match line.socket.read(&mut buffer) {
                Ok(0) => bail!("the connection has ended"),
                Ok(count) => drive::receive(&buffer[..count], &line.sent, &mut line.got)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(line.got - begun)
    }

    fn turn(&mut self) {
        // Only a signal makes it fail, and then there is another turn.
        let _ = self.poller.wait(Some(Duration::ZERO));
        self.batch.clear();
        self.poller.turn(self.now, &mut self.batch);
        let batch = std::mem::replace(&mut self.batch, Batch::with_capacity(0));
        for record in batch.records() {
            if record.kind() == RecordKind::Message as u8 {
                let chunk = batch.chunks()[record.chunk()].clone();
                let slice = Slice::new(chunk, record.start as usize, record.length as usize);
                self.queue(self.known[&record.slot], slice);
            }
        }
        self.batch = batch;
        self.poller.flush(self.now);
        self.batch.clear();
    }

    /// Turns until peers have to go on first, and looks what is kept.
    fn settle(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut quiet = 0;
        while quiet < 2 {
            ensure!(begun.elapsed() < PATIENCE, "it never becomes quiet");
            self.turn();
            let is_busy = self.poller.has_ready() || is_readable(self.poller.as_raw_fd());
            quiet = if is_busy { 0 } else { quiet + 1 };
        }
        self.look()
    }

    fn look(&mut self) -> Result<()> {
        let mut waiting = 0;
        for line in &self.lines {
            let left = self.poller.bytes_written(line.id);
            waiting += line.sent.len() - left.context("it has ended")? as usize;
        }
        let beside = CHUNKS * self.pool.chunk_size() + self.lines.len() * SMALL_CHUNK;
        let held = self.pool.stats().live_bytes;
        ensure!(
            held <= SHARE * waiting + beside,
            "{held} bytes are kept for {waiting} that wait, and {beside} beside them"
        );
        Ok(())
    }
}

impl Drive for SlowDrive {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        if self.lines.is_empty() || self.lines.len() < MOST_LINES && choices.one_in(10) {
            return self.connect(choices);
        }
        let index = choices.below(self.lines.len());
        match choices.below(8) {
            0 | 1 => self.send(index, choices),
            2 => self.send_many(choices),
            3 => self.peer_asks(index, choices),
            4 | 5 => {
                let most = 1 << choices.below(22);
                self.peer_reads(index, most)?;
            }
            6 => self.turn(),
            _ => self.settle()?,
        }
        Ok(())
    }

    /// The peers take everything.
    fn finish(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.settle()?;
            for index in 0..self.lines.len() {
                self.peer_reads(index, usize::MAX)?;
            }
            if self.lines.iter().all(|line| line.got == line.sent.len()) {
                return self.settle();
            }
            ensure!(begun.elapsed() < PATIENCE, "bytes never come");
        }
    }
}
