//! A poller over real sockets. Its peers send anything, leave as they like and read when they like,
//! and its clock is put forward.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netpoll_core::buffer::Region;
use netpoll_core::connection::{DeadlineTimer, Limit};
use netpoll_core::listener::{Listen, Place, PortSharing, Unspecified};
use netpoll_core::settings::{HalfOpen, Settings, Start, WhenCongested};
use netpoll_core::{
    Address, Batch, ChunkPool, Command, Id, Poller, Reason, Record, RecordKind, Slice,
};
use socket2::{Domain, SockRef, Type};

use crate::Target;
use crate::choices::Choices;
use crate::drive::{self, Drive};
use crate::framing::{is_refusal, plain_settings};
use crate::reference::{Reference, choose_wire};

const TAG: u32 = 3;
/// Turns after which a connection goes on for ever: each puts the clock forward.
const MOST_TURNS: usize = 100_000;
/// Which only a hang reaches. Segments and their acknowledgements take the time that the system takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// A look that waits for the system lets it go on.
const A_MOMENT: Duration = Duration::from_millis(1);

pub struct PollerTarget;

impl Target for PollerTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut choices = Choices::new(input);
        let pool = ChunkPool::new(choices.of(&[256 * 1024, 1024, 16 * 1024]), 4);
        let drive = PollerDrive::choose(&mut choices, &pool)?;
        drive::run(drive, &mut choices, &pool)
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The same for both.
macro_rules! either {
    ($self:expr, $socket:ident => $body:expr) => {
        match $self {
            Self::Tcp($socket) => $body,
            Self::Unix($socket) => $body,
        }
    };
}

impl Socket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match either!(self, socket => socket.write(bytes)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        either!(self, socket => socket.read(buffer))
    }

    fn end(&self) {
        let _ = either!(self, socket => socket.shutdown(Shutdown::Write));
    }

    fn send_urgent(&self) {
        let _ = either!(self, socket => SockRef::from(socket).send_out_of_band(b"!"));
    }

    fn reset_on_close(&self) {
        let _ = either!(self, socket => SockRef::from(socket).set_linger(Some(Duration::ZERO)));
    }

    /// Bytes that are not with the receiving system yet.
    fn is_sending(&self) -> bool {
        let Self::Tcp(socket) = self else {
            return false;
        };
        let mut count: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the request stores one `int`.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        result == 0 && count > 0
    }
}

/// A connection, as its peer and we know it.
struct Line {
    id: Id,
    /// `None` once it has left.
    socket: Option<Socket>,
    has_ended: bool,
    /// Whether it was told that we are gone: what it was sending counts as unacknowledged for ever.
    was_refused: bool,
    was_urgent: bool,
    wrote: Vec<u8>,
    /// What we have sent.
    sent: Vec<u8>,
    /// What of it has come.
    got: usize,
    messages: usize,
    in_flight: u32,
    refused: Option<u32>,
    /// Whether no caller has asked for its end, or has let it run out of time.
    is_let_be: bool,
}

impl Line {
    fn summary(&self) -> String {
        let kind = match &self.socket {
            Some(Socket::Tcp(_)) => "tcp",
            Some(Socket::Unix(_)) => "unix",
            None => "gone",
        };
        let (ended, urgent) = (self.has_ended, self.was_urgent);
        let wrote = self.wrote.len();
        format!(
            "{kind}, ended {ended}, urgent {urgent}, wrote {wrote}, refused {:?}",
            self.refused
        )
    }

    /// Whether what it has written will be with our system, and is not yet.
    fn is_sending(&self) -> bool {
        let is_heard = self.is_let_be && !self.was_refused;
        is_heard && self.socket.as_ref().is_some_and(Socket::is_sending)
    }

    /// Writes as much as its socket takes, and returns whether that is all.
    fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(socket) = &mut self.socket else {
            return false;
        };
        let written = socket.write(bytes);
        self.was_refused |= written.is_err();
        let count = written.unwrap_or(0);
        self.wrote.extend_from_slice(&bytes[..count]);
        count == bytes.len()
    }
}

struct PollerDrive {
    poller: Poller,
    batch: Batch,
    pool: ChunkPool,
    reference: Reference,
    settings: Arc<Settings>,
    address: Address,
    listener: Id,
    /// No time passes but what an input says: a machine may stop for longer than any limit.
    now: Instant,
    lines: Vec<Line>,
    /// By slot: whose records come.
    known: HashMap<u32, usize>,
    /// Accepted, and not given to a line.
    fresh: Option<Id>,
}

impl PollerDrive {
    fn choose(choices: &mut Choices<'_>, pool: &ChunkPool) -> Result<Self> {
        let reference = Reference::choose(choices);
        let mut settings = plain_settings(&reference, None, usize::MAX);
        settings.max_in_flight = NonZeroU32::new(choices.of(&[1000, 1, 2]));
        settings.when_congested =
            choices.of(&[WhenCongested::StopReading, WhenCongested::KeepReading]);
        settings.half_open = choices.of(&[HalfOpen::Close, HalfOpen::Keep]);
        settings.read_timeout = choices.of(&[None, Some(Duration::from_secs(10))]);
        settings.write_timeout = choices.of(&[None, Some(Duration::from_secs(10))]);
        settings.idle_timeout = choices.of(&[None, Some(Duration::from_secs(10))]);
        let settings = Arc::new(settings);
        let now = Instant::now();
        let mut poller = Poller::new(pool.clone(), now)?;
        let listen = Listen {
            place: Place::Port {
                address: SocketAddr::new(own_address().into(), 0),
                sharing: PortSharing::Exclusive,
                unspecified: Unspecified::Both,
            },
            backlog: 16,
        };
        let listener = poller.listen(&listen, settings.clone(), TAG)?;
        Ok(Self {
            address: poller.listener_address(listener)?,
            poller,
            batch: Batch::with_capacity(choices.of(&[4096, 24, 40])),
            pool: pool.clone(),
            reference,
            settings,
            listener,
            now,
            lines: Vec::new(),
            known: HashMap::new(),
            fresh: None,
        })
    }

    fn connect(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        let socket = if choices.one_in(2) {
            let (ours, peer) = UnixStream::pair()?;
            peer.set_nonblocking(true)?;
            let settings = self.settings.clone();
            self.fresh = Some(self.poller.adopt_stream(ours.as_fd(), settings)?);
            Socket::Unix(peer)
        } else {
            let Address::Ip(address) = self.address else {
                bail!("it listens by TCP");
            };
            let peer = connected(address)?;
            peer.set_nonblocking(true)?;
            peer.set_nodelay(true)?;
            Socket::Tcp(peer)
        };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(id) = self.fresh.take() {
                let before = self.known.insert(id.slot, self.lines.len());
                ensure!(before.is_none(), "slot {} is taken", id.slot);
                self.lines.push(Line {
                    id,
                    socket: Some(socket),
                    has_ended: false,
                    was_refused: false,
                    was_urgent: false,
                    wrote: Vec::new(),
                    sent: Vec::new(),
                    got: 0,
                    messages: 0,
                    in_flight: 0,
                    refused: None,
                    is_let_be: true,
                });
                return Ok(());
            }
            self.poller.wait(Some(A_MOMENT))?;
            self.turn()?;
        }
        bail!("no peer is accepted");
    }

    fn peer_writes(&mut self, index: usize, choices: &mut Choices<'_>) {
        let wire = choose_wire(&self.reference, choices);
        let torn = choices.below(wire.len() + 1);
        let is_urgent = choices.one_in(3);
        let line = &mut self.lines[index];
        if line.has_ended || !line.write(&wire[..torn]) {
            return;
        }
        // A second one would make the first an ordinary byte.
        if is_urgent && !line.was_urgent {
            line.was_urgent = true;
            line.socket.as_ref().inspect(|socket| socket.send_urgent());
        }
        line.write(&wire[torn..]);
    }

    fn peer_leaves(&mut self, index: usize, choices: &mut Choices<'_>) {
        let line = &mut self.lines[index];
        let way = choices.below(6);
        let Some(socket) = &line.socket else { return };
        match way {
            0 => {}
            1 => {
                line.is_let_be = false;
                socket.reset_on_close();
                line.socket = None;
            }
            2 => {
                // With something unread it is a reset.
                line.is_let_be = false;
                line.socket = None;
            }
            _ => {
                line.has_ended = true;
                socket.end();
            }
        }
    }

    fn peer_reads(&mut self, index: usize) -> Result<()> {
        let line = &mut self.lines[index];
        let Some(socket) = &mut line.socket else {
            return Ok(());
        };
        let mut buffer = [0; 8192];
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => drive::receive(&buffer[..count], &line.sent, &mut line.got)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => {
                    line.socket = None;
                    line.is_let_be = false;
                    return Ok(());
                }
            }
        }
    }

    /// Asks something of a connection, or of one that may be long gone.
    fn order(&mut self, index: usize, choices: &mut Choices<'_>) {
        let mut id = self.lines[index].id;
        if choices.one_in(8) {
            id.generation = id.generation.wrapping_sub(1);
            return self.poller.carry_out(id, ending(choices));
        }
        let time = choices.of(&[None, Some(Duration::ZERO), Some(Duration::from_secs(30))]);
        let limit = choices.of(&[Limit::Read, Limit::Write, Limit::Idle]);
        let count = choices.of(&[0, 1, u32::MAX]);
        let order = match choices.below(14) {
            0..5 => return self.send(index, choices),
            5 => Command::Flow(Start::Paused),
            6 => Command::Flow(Start::Reading),
            7 => Command::AllowBeyond(count),
            8 => {
                let now = self.now;
                let number = 5;
                Command::DeadlineTimer(time.map(|time| DeadlineTimer {
                    time: now + time,
                    number,
                }))
            }
            other => {
                self.lines[index].is_let_be = false;
                match other {
                    9 => Command::Limit(limit, time),
                    10 => Command::Finish,
                    11 => Command::End,
                    12 => Command::TakeOver,
                    _ => ending(choices),
                }
            }
        };
        self.poller.carry_out(id, order);
    }

    fn send(&mut self, index: usize, choices: &mut Choices<'_>) {
        // Mostly little, sometimes more than a socket takes at once.
        let length = 1 << choices.below(18);
        let bytes = choices.bytes(length);
        let line = &mut self.lines[index];
        if !self.poller.accepts_output(line.id) {
            return;
        }
        line.sent.extend_from_slice(&bytes);
        let slice = Region::over(self.pool.take_at_least(bytes.len())).append(&bytes);
        if line.in_flight > 0 {
            line.in_flight -= 1;
            self.poller.carry_out(line.id, Command::Reply(slice));
        } else {
            self.poller.carry_out(line.id, Command::Send(slice));
        }
    }

    /// Looks, takes a turn, and compares what it tells with what was sent.
    fn turn(&mut self) -> Result<()> {
        self.poller.wait(Some(Duration::ZERO))?;
        let now = self.now;
        self.batch.clear();
        self.poller.turn(now, &mut self.batch);
        let batch = std::mem::replace(&mut self.batch, Batch::with_capacity(0));
        let outcome = batch
            .records()
            .iter()
            .try_for_each(|record| self.told(&batch, record));
        self.batch = batch;
        self.poller.flush(now);
        outcome
    }

    fn told(&mut self, batch: &Batch, record: &Record) -> Result<()> {
        let kind = record.kind();
        if kind == RecordKind::Accepted as u8 {
            let (slot, generation) = (record.slot, record.length);
            ensure!(
                self.fresh.is_none() && record.start == TAG,
                "accepted by whom?"
            );
            self.fresh = Some(Id { slot, generation });
            return Ok(());
        }
        let Some(&index) = self.known.get(&record.slot) else {
            // Of the one that is being connected, which its peer has done nothing with.
            ensure!(self.fresh.is_some(), "a record {kind} of nobody");
            return Ok(());
        };
        let line = &mut self.lines[index];
        if kind == RecordKind::Message as u8 {
            ensure!(line.refused.is_none(), "a message after a refusal");
            let chunk = batch.chunks()[record.chunk()].clone();
            let slice = Slice::new(chunk, record.start as usize, record.length as usize);
            let decoded = self.reference.decode(&line.wrote);
            let expected = decoded.messages.get(line.messages);
            ensure!(
                expected.is_some_and(|expected| **expected == *slice.as_ref()),
                "message {} is {:?} and not {expected:?}",
                line.messages,
                slice.as_ref(),
            );
            line.messages += 1;
            line.in_flight += 1;
        } else if kind == RecordKind::Inactive as u8 && is_refusal(record.start) {
            ensure!(line.refused.replace(record.start).is_none(), "told twice");
        } else if kind == RecordKind::Closed as u8 {
            self.known.remove(&record.slot);
        }
        Ok(())
    }

    /// Turns until nothing happens by itself any more.
    fn quiesce(&mut self) -> Result<()> {
        let mut quiet = 0;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // Bytes behind what was passed along with others are told of by the next look.
            let is_busy = self.poller.has_ready() || is_readable(self.poller.as_raw_fd());
            let is_sending = self.lines.iter().any(Line::is_sending);
            if is_sending && !is_busy {
                self.poller.wait(Some(A_MOMENT))?;
            }
            quiet = if is_busy || is_sending { 0 } else { quiet + 1 };
            if quiet > 3 {
                return Ok(());
            }
            for index in 0..self.lines.len() {
                self.peer_reads(index)?;
                let line = &mut self.lines[index];
                let count = std::mem::take(&mut line.in_flight);
                if count > 0 {
                    quiet = 0;
                    self.poller.acknowledge(line.id, count);
                }
            }
            self.turn()?;
        }
        bail!("it never becomes quiet");
    }

    /// Whether everything that was sent and may come has come.
    fn is_complete(&self) -> Result<()> {
        for line in self.lines.iter().filter(|line| line.is_let_be) {
            let expected = self.reference.decode(&line.wrote);
            let (got, all) = (line.messages, expected.messages.len());
            ensure!(
                got == all,
                "{got} of {all} messages have come: {}",
                line.summary()
            );
            let refused = expected.refused.map(Reason::code);
            ensure!(
                line.refused == refused,
                "{:?} for {refused:?}",
                line.refused
            );
        }
        Ok(())
    }
}

impl Drive for PollerDrive {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        if self.lines.is_empty() || self.lines.len() < 6 && choices.one_in(10) {
            return self.connect(choices);
        }
        let index = choices.below(self.lines.len());
        match choices.below(16) {
            0..5 => self.peer_writes(index, choices),
            5 => self.peer_leaves(index, choices),
            6 => self.peer_reads(index)?,
            7..9 => self.order(index, choices),
            9 => {
                self.now += Duration::from_millis(choices.below(15_000) as u64);
                for line in &mut self.lines {
                    // Whether one of its limits has run out depends on when it was served.
                    line.is_let_be = false;
                }
            }
            10 => self.poller.flush(self.now),
            _ => self.turn()?,
        }
        Ok(())
    }

    /// Everything that was sent and may come has come, and everything ends.
    fn finish(&mut self) -> Result<()> {
        for index in 0..self.lines.len() {
            self.poller.set_flow(self.lines[index].id, Start::Reading);
        }
        let begun = Instant::now();
        loop {
            self.quiesce()?;
            let Err(missing) = self.is_complete() else {
                break;
            };
            // A poller that is congested goes on when what it has sent is acknowledged.
            if begun.elapsed() > PATIENCE {
                return Err(missing);
            }
            self.poller.wait(Some(A_MOMENT))?;
        }
        for line in &mut self.lines {
            line.socket = None;
            self.poller.close(line.id);
        }
        self.poller.unlisten(self.listener);
        for _ in 0..MOST_TURNS {
            if self.known.is_empty() {
                return Ok(());
            }
            self.now += Duration::from_secs(61);
            self.turn()?;
        }
        Err(anyhow::anyhow!("{:?}", self.known.keys())).context("connections that never end")
    }
}

/// A loopback address for each input. A connection that is over keeps its ports for a minute, and there are less than 30,000
/// of them at one address.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let [third, fourth] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 1, third, fourth)
}

/// Both ends have the same address.
fn connected(address: SocketAddr) -> Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(address.ip(), 0).into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

pub fn is_readable(descriptor: RawFd) -> bool {
    let mut poll = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the descriptor is open; there is one, and no time to wait.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
}

fn ending(choices: &mut Choices<'_>) -> Command {
    match choices.below(3) {
        0 => Command::Close,
        1 => Command::Reset,
        _ => Command::Fail(Reason::Normal),
    }
}
