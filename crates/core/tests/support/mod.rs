//! Drives a [`Poller`] by hand, in the thread of the test, with non-blocking sockets as peers.
//!
//! Nothing here sleeps. A test that waits for something takes steps until it is there. It fails
//! after a deadline that is far beyond what a loaded machine needs.
#![allow(
    dead_code,
    reason = "every test binary uses its own part of this module"
)]

mod random;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netpoll_core::buffer::Region;
use netpoll_core::frame::{Endian, Framing, LengthField};
use netpoll_core::listener::{Access, Listen, Place, PortSharing, Unspecified};
use netpoll_core::settings::{HalfOpen, Handling, ReplyOrder, Start, UnfinishedBound};
use netpoll_core::socket::NoDelay;
use netpoll_core::{Address, Batch, ChunkPool, Id, Poller, Record, RecordKind, Settings, Slice};
use socket2::SockRef;

#[allow(unused_imports, reason = "not every test is random")]
pub use random::Random;

/// When a condition that does not come makes a test fail.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long one step waits for an event before it looks at its condition again.
const STEP: Duration = Duration::from_millis(2);

/// A record, with everything that it refers to.
#[derive(Clone)]
pub struct Entry {
    pub slot: u32,
    /// The connection's id, where it is one.
    pub id: Option<Id>,
    pub what: What,
    /// Number of the turn that it came in.
    pub turn: usize,
}

/// What a record tells.
#[derive(Clone)]
pub enum What {
    Correlation(u64),
    Message(Slice),
    Accepted { listener: u32 },
    Connected,
    Inactive(u32),
    Ended,
    Congested,
    Drained,
    Closed(u32),
    AcceptPaused(u32),
    AcceptFailed(u32),
    AcceptEnded,
    HandshakeFailed { reason: u32, detail: u32 },
    Excess,
    ExcessClosed,
    PlainEnded,
    Secured,
    WornOut,
    Idle,
    IdleConfirmed,
    DeadlineTimer,
    EndSent,
    Flushed(u32),
}

impl What {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Correlation(_) => "correlation",
            Self::Message(_) => "message",
            Self::Accepted { .. } => "accepted",
            Self::Connected => "connected",
            Self::Inactive(_) => "inactive",
            Self::Ended => "ended",
            Self::Congested => "congested",
            Self::Drained => "drained",
            Self::Closed(_) => "closed",
            Self::AcceptPaused(_) => "accept paused",
            Self::AcceptFailed(_) => "accept failed",
            Self::AcceptEnded => "accept ended",
            Self::HandshakeFailed { .. } => "handshake failed",
            Self::PlainEnded => "plain ended",
            Self::Secured => "secured",
            Self::WornOut => "worn out",
            Self::Excess => "excess",
            Self::ExcessClosed => "excess closed",
            Self::Idle => "idle",
            Self::IdleConfirmed => "idle confirmed",
            Self::DeadlineTimer => "deadline_timer",
            Self::EndSent => "end sent",
            Self::Flushed(_) => "flushed",
        }
    }
}

/// How records name the listener of [`Harness::listen_tcp`].
pub const TCP_TAG: u32 = 71;
/// How records name the listener of [`Harness::listen_unix`].
pub const UNIX_TAG: u32 = 72;

/// A poller, what it has told, and a clock that can be put forward.
pub struct Harness {
    pub poller: Poller,
    pub pool: ChunkPool,
    pub batch: Batch,
    pub log: Vec<Entry>,
    pub turns: usize,
    /// Bytes read and written by connections that are over.
    pub totals: HashMap<Id, (u64, u64)>,
    /// The announced length and the first bytes of what was refused.
    pub refused: HashMap<Id, (Option<u64>, Vec<u8>)>,
    /// What the last record of a connection says beside its reason.
    details: HashMap<Id, u32>,
    ids: HashMap<u32, Id>,
    ahead: Duration,
}

impl Harness {
    pub fn new() -> Self {
        Self::with(256 * 1024, 4096)
    }

    pub fn with(chunk_size: usize, records: usize) -> Self {
        let pool = ChunkPool::new(chunk_size, 16);
        Self {
            poller: Poller::new(pool.clone(), Instant::now()).expect("a poller"),
            pool,
            batch: Batch::with_capacity(records),
            log: Vec::new(),
            turns: 0,
            totals: HashMap::new(),
            refused: HashMap::new(),
            details: HashMap::new(),
            ids: HashMap::new(),
            ahead: Duration::ZERO,
        }
    }

    /// The clock that the poller is shown.
    pub fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// Puts the poller's clock forward.
    pub fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }

    /// Puts the poller's clock forward, acts on what is due, and serves whatever comes of it.
    pub fn pass(&mut self, time: Duration) {
        self.advance(time);
        self.look();
        self.turn();
        self.quiesce();
    }

    pub fn listen_tcp(&mut self, settings: &Arc<Settings>) -> (Id, SocketAddr) {
        let address = Address::Ip(([127, 0, 0, 1], 0).into());
        let id = self
            .poller
            .listen(&listen_at(&address, 128), settings.clone(), TCP_TAG)
            .expect("listening");
        match self.poller.listener_address(id) {
            Ok(Address::Ip(address)) => (id, address),
            other => panic!("{other:?}"),
        }
    }

    pub fn listen_unix(&mut self, settings: &Arc<Settings>) -> (Id, SocketFile) {
        let file = SocketFile::new();
        let id = self
            .poller
            .listen(&listen_at(&file.address(), 128), settings.clone(), UNIX_TAG)
            .expect("listening");
        (id, file)
    }

    /// Remembers whom a slot belongs to: dials are told by no record.
    pub fn dial(&mut self, address: &Address, settings: &Arc<Settings>) -> Id {
        self.dial_before(address, settings, None)
    }

    pub fn dial_before(
        &mut self,
        address: &Address,
        settings: &Arc<Settings>,
        deadline: Option<Instant>,
    ) -> Id {
        self.try_dial(address, settings, deadline)
            .expect("dialing begins")
    }

    pub fn try_dial(
        &mut self,
        address: &Address,
        settings: &Arc<Settings>,
        deadline: Option<Instant>,
    ) -> io::Result<Id> {
        let id = self.poller.dial(address, settings.clone(), deadline)?;
        self.ids.insert(id.slot, id);
        Ok(id)
    }

    pub fn dial_from(&mut self, local: SocketAddr, remote: SocketAddr) -> Id {
        self.try_dial_from(local, remote).expect("dialing begins")
    }

    pub fn try_dial_from(&mut self, local: SocketAddr, remote: SocketAddr) -> io::Result<Id> {
        let settings = settings(|_| {});
        let id = self.poller.dial_from(local, remote, settings, None)?;
        self.ids.insert(id.slot, id);
        Ok(id)
    }

    /// Remembers whom a slot belongs to, as for a dial.
    pub fn adopt_stream(&mut self, descriptor: BorrowedFd<'_>, settings: &Arc<Settings>) -> Id {
        let id = self
            .poller
            .adopt_stream(descriptor, settings.clone())
            .expect("a connected stream");
        self.ids.insert(id.slot, id);
        id
    }

    /// Forgets whom a slot belongs to: no record tells.
    pub fn detach(&mut self, id: Id) -> OwnedFd {
        self.ids.remove(&id.slot);
        self.poller.detach(id).expect("nothing is unread or unsent")
    }

    /// Takes one turn without looking for events, and returns its records. Nothing is flushed.
    pub fn turn(&mut self) -> Vec<Entry> {
        let now = self.now();
        self.batch.clear();
        self.poller.turn(now, &mut self.batch);
        self.turns += 1;
        let mut entries = Vec::with_capacity(self.batch.len());
        for record in self.batch.records() {
            let what = match record.kind() {
                kind if kind == RecordKind::Message as u8 => What::Message(Slice::new(
                    self.batch.chunks()[record.chunk()].clone(),
                    record.start as usize,
                    record.length as usize,
                )),
                kind if kind == RecordKind::Accepted as u8 => {
                    let id = Id {
                        slot: record.slot,
                        generation: record.length,
                    };
                    let before = self.ids.insert(record.slot, id);
                    assert!(before.is_none(), "slot {} is taken", record.slot);
                    What::Accepted {
                        listener: record.start,
                    }
                }
                kind if kind == RecordKind::Connected as u8 => What::Connected,
                kind if kind == RecordKind::Inactive as u8 => What::Inactive(record.start),
                kind if kind == RecordKind::Ended as u8 => What::Ended,
                kind if kind == RecordKind::Congested as u8 => What::Congested,
                kind if kind == RecordKind::Drained as u8 => What::Drained,
                kind if kind == RecordKind::Closed as u8 => What::Closed(record.start),
                kind if kind == RecordKind::AcceptPaused as u8 => What::AcceptPaused(record.start),
                kind if kind == RecordKind::AcceptFailed as u8 => What::AcceptFailed(record.start),
                kind if kind == RecordKind::AcceptEnded as u8 => What::AcceptEnded,
                kind if kind == RecordKind::HandshakeFailed as u8 => What::HandshakeFailed {
                    reason: record.start,
                    detail: record.length,
                },
                kind if kind == RecordKind::Excess as u8 => {
                    let id = Id {
                        slot: record.slot,
                        generation: record.length,
                    };
                    self.ids.insert(record.slot, id);
                    What::Excess
                }
                kind if kind == RecordKind::PlainEnded as u8 => What::PlainEnded,
                kind if kind == RecordKind::WornOut as u8 => What::WornOut,
                kind if kind == RecordKind::Secured as u8 => What::Secured,
                kind if kind == RecordKind::ExcessClosed as u8 => What::ExcessClosed,
                kind if kind == RecordKind::Correlation as u8 => What::Correlation(count(record)),
                kind if kind == RecordKind::Idle as u8 => What::Idle,
                kind if kind == RecordKind::IdleConfirmed as u8 => What::IdleConfirmed,
                kind if kind == RecordKind::DeadlineTimer as u8 => What::DeadlineTimer,
                kind if kind == RecordKind::EndSent as u8 => What::EndSent,
                kind if kind == RecordKind::Flushed as u8 => What::Flushed(record.start),
                kind if kind == RecordKind::BytesRead as u8 => {
                    let id = self.ids[&record.slot];
                    let before = self.totals.insert(id, (count(record), 0));
                    assert!(before.is_none(), "told once");
                    continue;
                }
                kind if kind == RecordKind::BytesWritten as u8 => {
                    let id = self.ids[&record.slot];
                    self.totals.get_mut(&id).expect("told after the other").1 = count(record);
                    continue;
                }
                kind if kind == RecordKind::RefusedLength as u8 => {
                    let refused = self.refused.entry(self.ids[&record.slot]).or_default();
                    refused.0 = Some(count(record));
                    continue;
                }
                kind if kind == RecordKind::RefusedBytes as u8 => {
                    let refused = self.refused.entry(self.ids[&record.slot]).or_default();
                    let bytes = count(record).to_le_bytes();
                    refused.1.extend(&bytes[..record.chunk()]);
                    continue;
                }
                kind => panic!("unknown record {kind}"),
            };
            let id = match what {
                What::Closed(_) => {
                    let id = self.ids.remove(&record.slot);
                    self.details.extend(id.map(|id| (id, record.length)));
                    id
                }
                // Its slot is a listener's tag.
                What::HandshakeFailed { .. } | What::ExcessClosed => None,
                _ => self.ids.get(&record.slot).copied(),
            };
            assert!(
                id.is_some()
                    || matches!(
                        what,
                        What::AcceptPaused(_)
                            | What::AcceptFailed(_)
                            | What::AcceptEnded
                            | What::HandshakeFailed { .. }
                            | What::ExcessClosed
                    ),
                "a {} of slot {}, which is nobody's",
                what.name(),
                record.slot
            );
            entries.push(Entry {
                slot: record.slot,
                id,
                what,
                turn: self.turns,
            });
        }
        self.batch.clear();
        self.log.extend(entries.iter().cloned());
        entries
    }

    pub fn flush(&mut self) {
        let now = self.now();
        self.poller.flush(now);
    }

    /// Notes what is ready now, without waiting.
    pub fn look(&mut self) {
        self.poller.wait(Some(Duration::ZERO)).expect("polling");
    }

    /// Waits a little where nothing is left to do, takes a turn, has `handler` see every record, and
    /// flushes.
    pub fn step(&mut self, mut handler: impl FnMut(&mut Poller, &Entry)) -> Vec<Entry> {
        let timeout = if self.poller.has_ready() {
            Duration::ZERO
        } else {
            STEP
        };
        self.poller.wait(Some(timeout)).expect("polling");
        let entries = self.turn();
        for entry in &entries {
            handler(&mut self.poller, entry);
        }
        self.flush();
        entries
    }

    /// Steps until `done`.
    pub fn run(
        &mut self,
        mut handler: impl FnMut(&mut Poller, &Entry),
        mut done: impl FnMut(&mut Self) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "it never came; the records were {:?}",
                self.summary()
            );
            self.step(&mut handler);
        }
    }

    /// Steps until `done`, doing nothing about the records.
    pub fn until(&mut self, done: impl FnMut(&mut Self) -> bool) {
        self.run(|_, _| {}, done);
    }

    /// Serves whatever is ready now and whatever comes of it, doing nothing about the records. Over
    /// unix sockets, where sending is arriving, nothing more can happen after this by itself.
    pub fn quiesce(&mut self) {
        let mut rounds = 0;
        loop {
            self.flush();
            // Of inbox, only the descriptor tells.
            let is_called = is_readable(self.poller.as_raw_fd());
            self.look();
            if !is_called && !self.poller.has_ready() {
                return;
            }
            self.turn();
            rounds += 1;
            assert!(rounds < 100_000, "never quiet: {:?}", self.summary());
        }
    }

    /// What has been told of `id`, in order.
    pub fn story(&self, id: Id) -> Vec<&'static str> {
        self.log
            .iter()
            .filter(|entry| entry.id == Some(id))
            .map(|entry| entry.what.name())
            .collect()
    }

    /// [`Self::story`] without the messages.
    pub fn life(&self, id: Id) -> Vec<&'static str> {
        let mut story = self.story(id);
        story.retain(|name| *name != "message");
        story
    }

    pub fn messages(&self, id: Id) -> Vec<Vec<u8>> {
        self.log
            .iter()
            .filter(|entry| entry.id == Some(id))
            .filter_map(|entry| match &entry.what {
                What::Message(slice) => Some(slice.as_ref().to_vec()),
                _ => None,
            })
            .collect()
    }

    pub fn message_count(&self, id: Id) -> usize {
        self.story(id).iter().filter(|n| **n == "message").count()
    }

    pub fn has(&self, id: Id, name: &str) -> bool {
        self.story(id).contains(&name)
    }

    /// The reason of the connection's last record, if it is over.
    pub fn reason(&self, id: Id) -> Option<u32> {
        self.log.iter().find_map(|entry| match entry.what {
            What::Closed(reason) if entry.id == Some(id) => Some(reason),
            _ => None,
        })
    }

    /// What the connection's last record says beside its reason.
    pub fn closed_detail(&self, id: Id) -> u32 {
        self.details[&id]
    }

    /// The connections that were accepted, in order.
    pub fn accepted(&self) -> Vec<Id> {
        self.log
            .iter()
            .filter(|entry| matches!(entry.what, What::Accepted { .. }))
            .filter_map(|entry| entry.id)
            .collect()
    }

    /// Steps until `count` connections are accepted, and returns the last one.
    pub fn until_accepted(&mut self, count: usize) -> Id {
        self.until(|h| h.accepted().len() >= count);
        self.accepted()[count - 1]
    }

    /// The ids of a connection that is gone and of the one that has its slot now, whose peer is returned.
    pub fn succeeded(&mut self) -> (Id, Id, UnixStream, SocketFile) {
        let (_, file) = self.listen_unix(&settings(|s| s.high_water_mark = 10));
        let first = UnixStream::connect(file.path()).expect("connecting");
        let old = self.until_accepted(1);
        drop(first);
        self.until_closed(old);
        let peer = UnixStream::connect(file.path()).expect("connecting");
        peer.set_nonblocking(true).expect("non-blocking");
        let new = self.until_accepted(2);
        assert_eq!(old.slot, new.slot);
        assert_ne!(old, new);
        (old, new, peer, file)
    }

    /// Steps until the connection is over, and returns why.
    pub fn until_closed(&mut self, id: Id) -> u32 {
        self.until(|h| h.reason(id).is_some());
        self.reason(id).expect("just seen")
    }

    /// A connected pair over TCP.
    pub fn tcp(&mut self, settings: &Arc<Settings>) -> (Id, TcpStream) {
        let (listener, address) = self.listen_tcp(settings);
        let before = self.accepted().len();
        let peer = TcpStream::connect(address).expect("connecting");
        peer.set_nonblocking(true).expect("non-blocking");
        let id = self.until_accepted(before + 1);
        self.poller.unlisten(listener);
        (id, peer)
    }

    /// A connected pair over a unix socket.
    pub fn unix(&mut self, settings: &Arc<Settings>) -> (Id, UnixStream) {
        let (listener, file) = self.listen_unix(settings);
        let before = self.accepted().len();
        let peer = UnixStream::connect(file.path()).expect("connecting");
        peer.set_nonblocking(true).expect("non-blocking");
        let id = self.until_accepted(before + 1);
        self.poller.unlisten(listener);
        (id, peer)
    }

    /// Steps until the peer has read `count` bytes.
    pub fn peer_reads(
        &mut self,
        peer: &mut (impl Read + ?Sized),
        count: usize,
        handler: impl FnMut(&mut Poller, &Entry),
    ) -> Vec<u8> {
        let mut got = Vec::new();
        self.run(handler, |_| {
            read_available(peer, &mut got, count).expect("the peer reads");
            got.len() >= count
        });
        got
    }

    /// Steps until the peer has read everything up to the end, or an error.
    pub fn peer_reads_to_end(
        &mut self,
        peer: &mut (impl Read + ?Sized),
        handler: impl FnMut(&mut Poller, &Entry),
    ) -> (Vec<u8>, io::Result<()>) {
        let mut got = Vec::new();
        let mut outcome = None;
        self.run(handler, |_| {
            match read_available(peer, &mut got, usize::MAX) {
                Ok(false) => {}
                Ok(true) => outcome = Some(Ok(())),
                Err(error) => outcome = Some(Err(error)),
            }
            outcome.is_some()
        });
        (got, outcome.expect("just seen"))
    }

    /// Steps until the peer has written all of `bytes`.
    pub fn peer_writes(
        &mut self,
        peer: &mut (impl Write + ?Sized),
        mut bytes: &[u8],
        handler: impl FnMut(&mut Poller, &Entry),
    ) {
        self.run(handler, |_| {
            while !bytes.is_empty() {
                match peer.write(bytes) {
                    Ok(count) => bytes = &bytes[count..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                    Err(error) => panic!("the peer cannot write: {error}"),
                }
            }
            true
        });
    }

    /// `bytes` as something that can be sent.
    pub fn slice(&self, bytes: &[u8]) -> Slice {
        Region::over(self.pool.take_at_least(bytes.len())).append(bytes)
    }

    fn summary(&self) -> Vec<(u32, &'static str)> {
        let skip = self.log.len().saturating_sub(60);
        self.log[skip..]
            .iter()
            .map(|entry| (entry.slot, entry.what.name()))
            .collect()
    }
}

fn count(record: &Record) -> u64 {
    u64::from(record.length) << 32 | u64::from(record.start)
}

/// Reads what is there, at most until there are `most` bytes; whether the end was met.
pub fn read_available(
    peer: &mut (impl Read + ?Sized),
    got: &mut Vec<u8>,
    most: usize,
) -> io::Result<bool> {
    let mut buffer = [0; 64 * 1024];
    while got.len() < most {
        let room = buffer.len().min(most - got.len());
        match peer.read(&mut buffer[..room]) {
            Ok(0) => return Ok(true),
            Ok(count) => got.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Sends every message back as it came, and acknowledges it.
pub fn echo(poller: &mut Poller, entry: &Entry) {
    if let (What::Message(slice), Some(id)) = (&entry.what, entry.id) {
        poller.send(id, slice.clone());
        poller.acknowledge(id, 1);
    }
}

/// A path for a unix socket, removed at the end.
pub struct SocketFile(PathBuf);

impl SocketFile {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netpoll-core-{}-{count}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn address(&self) -> Address {
        Address::Unix(Some(self.0.clone()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// To listen on `address` alone, with whatever permissions the umask leaves.
pub fn listen_at(address: &Address, backlog: i32) -> Listen {
    let place = match address.clone() {
        Address::Ip(address) => Place::Port {
            address,
            sharing: PortSharing::Exclusive,
            unspecified: Unspecified::Both,
        },
        Address::Unix(path) => Place::Path {
            path: path.expect("a path"),
            access: Access::Umask,
        },
    };
    Listen { place, backlog }
}

/// A frame is a length of four bytes and as many bytes. The message is all of it, so that an echo
/// needs no header of its own.
pub fn whole_frames(max_length: usize) -> Framing {
    Framing::LengthField(LengthField::new(0, 4, 0, 0, Endian::Big, max_length).expect("valid"))
}

pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

pub fn base() -> Settings {
    Settings {
        framing: whole_frames(16 * 1024 * 1024),
        id_field: None,
        max_in_flight: NonZeroU32::new(64),
        handling: Handling::Owner,
        reply_order: ReplyOrder::Requests,
        high_water_mark: 1024 * 1024,
        when_congested: netpoll_core::settings::WhenCongested::StopReading,
        no_delay: NoDelay::On,
        half_open: HalfOpen::Close,
        start: Start::Reading,
        close_timeout: Duration::from_secs(3600),
        max_close_time: Duration::from_secs(24 * 3600),
        read_timeout: None,
        write_timeout: None,
        idle_timeout: None,
        keep_alive: None,
        unfinished: Arc::new(UnfinishedBound::new(256 * 1024 * 1024)),
        tls: None,
    }
}

/// [`base`] with changes.
pub fn settings(change: impl FnOnce(&mut Settings)) -> Arc<Settings> {
    let mut settings = base();
    change(&mut settings);
    Arc::new(settings)
}

/// Closes a TCP socket so that the other end is reset.
pub fn reset(peer: TcpStream) {
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .expect("linger");
    drop(peer);
}

pub fn small_buffers(socket: &impl std::os::fd::AsFd) {
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(1).expect("receive buffer");
    socket.set_send_buffer_size(1).expect("send buffer");
}

/// Room for 100 KB, which not every system gives by itself: macOS has 8 KiB for unix sockets.
pub fn large_buffers(socket: &impl std::os::fd::AsFd) {
    const ROOM: usize = 200_000;
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(ROOM).expect("receive buffer");
    socket.set_send_buffer_size(ROOM).expect("send buffer");
}

/// Bytes that a unix socket has sent and its peer has not read; for TCP, not acknowledged.
pub fn unread_by_other_end(socket: &impl AsRawFd) -> usize {
    ioctl_count(socket.as_raw_fd(), libc::TIOCOUTQ)
}

fn ioctl_count(descriptor: RawFd, request: libc::c_ulong) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the request stores one `int`.
    let result = unsafe { libc::ioctl(descriptor, request as _, &raw mut count) };
    assert_eq!(result, 0, "ioctl");
    count as usize
}

/// Whether a descriptor is readable now.
pub fn is_readable(descriptor: RawFd) -> bool {
    let mut poll = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor, and a timeout of zero.
    let result = unsafe { libc::poll(&raw mut poll, 1, 0) };
    assert!(result >= 0, "poll");
    result == 1
}

/// Sees to it that the process may have `count` descriptors.
pub fn allow_descriptors(count: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_cur.max(count);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}
