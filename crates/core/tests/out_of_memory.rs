//! What the system has no memory for costs the connection that needed it, and neither the process nor any other.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netpoll_core::connection::{ForeignBytes, Limit};
use netpoll_core::frame::{Delimiter, Framing, Varint};
use netpoll_core::settings::{Handling, ReplyOrder};
use netpoll_core::work::{Answer, Assignment, Bytes, WorkSettings, Workers};
use netpoll_core::{ChunkPool, Id, Poller, Settings, Wake};
use support::{Harness, What, echo, frame, read_available, settings};

/// The system's allocator, which refuses what a thread says that it is to refuse.
struct Scarce;

/// What is refused to a thread.
#[derive(Clone, Copy)]
struct Scarcity {
    /// Smaller ones are always granted.
    from: usize,
    /// So many are granted before.
    after: usize,
}

const PLENTY: Scarcity = Scarcity {
    from: usize::MAX,
    after: 0,
};

thread_local! {
    static SCARCITY: Cell<Scarcity> = const { Cell::new(PLENTY) };
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

fn is_granted(size: usize) -> bool {
    let Scarcity { from, after } = SCARCITY.get();
    // To say why a test fails takes memory.
    if size < from || std::thread::panicking() {
        return true;
    }
    if after > 0 {
        SCARCITY.set(Scarcity {
            from,
            after: after - 1,
        });
        return true;
    }
    REFUSED.set(REFUSED.get() + 1);
    false
}

// SAFETY: everything is the system's, which is asked with the same layouts; null says that there is no memory.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_granted(layout.size()) {
            // SAFETY: as of the caller.
            unsafe { System.alloc(layout) }
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_granted(layout.size()) {
            // SAFETY: as of the caller.
            unsafe { System.alloc_zeroed(layout) }
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size <= layout.size() || is_granted(size) {
            // SAFETY: as of the caller.
            unsafe { System.realloc(pointer, layout, size) }
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as of the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Scarce = Scarce;

/// Does `work` while memory is scarce; how many allocations were refused.
fn while_scarce(from: usize, after: usize, work: impl FnOnce()) -> usize {
    let _ends = Ends;
    REFUSED.set(0);
    SCARCITY.set(Scarcity { from, after });
    work();
    REFUSED.get()
}

/// Ends scarcity, also where a test fails.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        SCARCITY.set(PLENTY);
    }
}

/// The reason that connections end by.
const OUT_OF_MEMORY: u32 = 10_009;
/// Bytes of the message that there is no memory for.
const LARGE: usize = 1_000_000;

fn harness(chunk_size: usize) -> Harness {
    let mut h = Harness::with(chunk_size, 128);
    // The harness itself is to need no memory, or less than is refused.
    h.log.reserve(4096);
    h
}

/// Writes as much of `bytes` as the socket takes, and forgets that much.
fn write_some(peer: &mut impl Write, bytes: &mut &[u8]) {
    while !bytes.is_empty() {
        match peer.write(bytes) {
            Ok(count) => *bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Full, or refused already.
            Err(_) => return,
        }
    }
}

/// What a message of so many bytes looks like on the wire.
type Encode = fn(usize) -> Vec<u8>;

fn delimited(length: usize) -> Vec<u8> {
    [vec![7; length], vec![b'\n']].concat()
}

fn counted(length: usize) -> Vec<u8> {
    frame(&vec![7; length])
}

fn varied(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = length;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.resize(bytes.len() + length, 7);
    bytes
}

fn framings() -> [(Framing, Encode); 3] {
    let limit = 16 * 1024 * 1024;
    let delimiter = Delimiter::new(b"\n", limit).expect("valid");
    [
        (support::whole_frames(limit), counted),
        (Framing::Delimiter(delimiter), delimited),
        (Framing::Varint(Varint::new(limit)), varied),
    ]
}

fn settings_of(framing: &Framing) -> Arc<Settings> {
    settings(|s| s.framing = framing.clone())
}

/// Whether the peer gets back what it sends, at least the bytes of it that are a message.
fn is_served(h: &mut Harness, peer: &mut (impl Read + Write), message: &[u8]) -> bool {
    let mut rest = message;
    let mut got = Vec::new();
    let mut is_over = false;
    h.run(echo, |_| {
        write_some(peer, &mut rest);
        is_over = read_available(peer, &mut got, usize::MAX).unwrap_or(true);
        is_over || sevens(&got) >= sevens(message)
    });
    !is_over
}

fn sevens(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == 7).count()
}

fn refuse_and_go_on<P: Read + Write>(
    h: &mut Harness,
    settings: &Arc<Settings>,
    (victim, mut peer): (Id, P),
    message: Encode,
) {
    let (_, mut bystander) = h.unix(settings);
    let small = message(5);
    let sent = [small.clone(), message(LARGE)].concat();
    let mut rest = &sent[..];
    // Larger than every chunk, so that no other test lacks anything.
    let refused = while_scarce(300_000, 0, || {
        h.run(echo, |h| {
            write_some(&mut peer, &mut rest);
            h.log
                .iter()
                .any(|entry| matches!(entry.what, What::Inactive(OUT_OF_MEMORY)))
        });
        assert!(is_served(h, &mut bystander, &small));
    });
    assert!(refused > 0);
    assert_eq!(settings.unfinished.used(), 0);
    // What was asked before is answered, then it ends in order: what still comes is thrown away.
    let mut got = Vec::new();
    let mut is_over = false;
    h.run(echo, |_| {
        write_some(&mut peer, &mut rest);
        is_over |= read_available(&mut peer, &mut got, usize::MAX).expect("no reset");
        is_over && rest.is_empty()
    });
    assert_eq!(sevens(&got), sevens(&small));
    drop(peer);
    assert_eq!(h.until_closed(victim), OUT_OF_MEMORY);
    assert!(is_served(h, &mut bystander, &message(LARGE)));
}

#[test]
fn a_message_that_cannot_be_allocated_costs_its_connection() {
    for (framing, message) in framings() {
        let settings = settings_of(&framing);
        let mut h = harness(256 * 1024);
        let pair = h.unix(&settings);
        refuse_and_go_on(&mut h, &settings, pair, message);
        let mut h = harness(256 * 1024);
        let pair = h.tcp(&settings);
        refuse_and_go_on(&mut h, &settings, pair, message);
    }
}

#[test]
fn reading_goes_on_in_less_memory_than_usual() {
    let settings = settings(|_| {});
    let mut h = harness(256 * 1024);
    let (_, mut peer) = h.unix(&settings);
    let refused = while_scarce(200_000, 0, || {
        // More than the chunk that is there.
        for _ in 0..100 {
            assert!(is_served(&mut h, &mut peer, &counted(10_000)));
        }
    });
    assert!(refused > 0);
    // The log keeps them all.
    assert!(h.pool.stats().live > 10);
}

#[test]
fn a_dialed_peers_message_costs_the_dialed_connection() {
    let settings = settings(|_| {});
    let mut h = harness(256 * 1024);
    let file = support::SocketFile::new();
    let listener = std::os::unix::net::UnixListener::bind(file.path()).expect("listening");
    let dialed = h.dial(&file.address(), &settings);
    h.until(|h| h.has(dialed, "connected"));
    let (peer, _) = listener.accept().expect("accepting");
    peer.set_nonblocking(true).expect("non-blocking");
    refuse_and_go_on(&mut h, &settings, (dialed, peer), counted);
}

/// Whichever allocation fails first, and all after it.
#[test]
fn the_process_survives_whatever_cannot_be_allocated() {
    for (framing, message) in framings() {
        let settings = settings_of(&framing);
        let (mut failures, mut after) = (0, 0);
        loop {
            let mut h = harness(64 * 1024);
            let (victim, mut peer) = h.unix(&settings);
            let (other, mut bystander) = h.unix(&settings);
            // Up to a batch of messages that are held back, and a large one.
            let small = message(300);
            let sent = [small.repeat(200), message(LARGE)].concat();
            let mut rest = &sent[..];
            let mut other_rest = &sent[..];
            let mut turns = 0;
            let refused = while_scarce(8_500, after, || {
                h.run(echo, |h| {
                    write_some(&mut peer, &mut rest);
                    write_some(&mut bystander, &mut other_rest);
                    turns += 1;
                    let mut sink = [0; 16 * 1024];
                    while matches!(peer.read(&mut sink), Ok(1..)) {}
                    while matches!(bystander.read(&mut sink), Ok(1..)) {}
                    let is_done = |id| {
                        h.message_count(id) == 201 || has_refused(h, id) || h.reason(id).is_some()
                    };
                    turns > 20_000 || is_done(victim) && is_done(other)
                });
            });
            assert!(turns < 20_000);
            drop((peer, bystander));
            for id in [victim, other] {
                let reason = h.until_closed(id);
                let is_whole = h.message_count(id) == 201;
                assert!(is_whole || reason == OUT_OF_MEMORY, "{after}: {reason}");
            }
            assert_eq!(settings.unfinished.used(), 0);
            let (_, mut late) = h.unix(&settings);
            assert!(is_served(&mut h, &mut late, &small));
            h.log.clear();
            if refused == 0 {
                break;
            }
            failures += 1;
            after += 1;
        }
        assert!(failures >= 5, "{failures} allocations were refused");
    }
}

fn has_refused(h: &Harness, id: Id) -> bool {
    let is_refusal = |what: &What| matches!(what, What::Inactive(OUT_OF_MEMORY));
    h.log
        .iter()
        .any(|entry| entry.id == Some(id) && is_refusal(&entry.what))
}

struct Lent(#[expect(dead_code, reason = "it is counted")] Rc<()>);

impl ForeignBytes for Lent {
    fn bytes(&self) -> Option<&[u8]> {
        Some(b"foreign")
    }
}

#[test]
fn pieces_that_cannot_be_queued_cost_the_connection_that_sends_them() {
    for is_foreign in [false, true] {
        let settings = settings(|_| {});
        let mut h = harness(256 * 1024);
        let (busy, mut peer) = h.unix(&settings);
        let (_, mut bystander) = h.unix(&settings);
        let (slice, owner) = (h.slice(b"piece"), Rc::new(()));
        let refused = while_scarce(20_000, 0, || {
            for _ in 0..10_000 {
                if is_foreign {
                    let lent = Box::new(Lent(owner.clone()));
                    h.poller.send_foreign(busy, lent, 0, 7);
                } else {
                    h.poller.send(busy, slice.clone());
                }
            }
            assert_eq!(h.until_closed(busy), OUT_OF_MEMORY);
        });
        assert!(refused > 0);
        assert_eq!(Rc::strong_count(&owner), 1);
        // Nothing was sent of what would have had a gap.
        assert_eq!(peer.read(&mut [0; 16]).expect("the end"), 0);
        assert!(is_served(&mut h, &mut bystander, &counted(4)));
    }
}

#[test]
fn places_that_cannot_be_made_are_reported_and_made_later() {
    let settings = settings(|_| {});
    let mut h = harness(64 * 1024);
    let (_listener, file) = h.listen_unix(&settings);
    let connect = || UnixStream::connect(file.path()).expect("connecting");
    let mut peers: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
    let refused = while_scarce(2_500, 0, || {
        h.until(|h| h.log.iter().any(|entry| is_failure(&entry.what)));
    });
    assert!(refused > 0);
    let accepted = h.accepted().len();
    assert!(accepted < 100);
    h.advance(Duration::from_millis(200));
    // One was closed, which its report tells.
    h.until(|h| h.accepted().len() == 99);
    let mut served = 0;
    for peer in &mut peers {
        peer.set_nonblocking(true).expect("non-blocking");
        served += usize::from(is_served(&mut h, peer, &counted(4)));
    }
    assert_eq!(served, 99);
}

/// How many of these connections have ended for lack of memory. The others are served.
fn count_lost(h: &mut Harness, pairs: &mut [(Id, UnixStream)]) -> usize {
    let mut lost = 0;
    for (id, peer) in pairs {
        match h.reason(*id) {
            Some(reason) => {
                assert_eq!(reason, OUT_OF_MEMORY);
                lost += 1;
            }
            None => assert!(is_served(h, peer, &counted(4))),
        }
    }
    lost
}

#[test]
fn deadlines_that_cannot_be_watched_cost_their_connections() {
    let settings = settings(|_| {});
    let mut h = harness(64 * 1024);
    let mut pairs: Vec<_> = (0..100).map(|_| h.unix(&settings)).collect();
    let refused = while_scarce(2_000, 0, || {
        for (id, _) in &pairs {
            let minute = Some(Duration::from_secs(60));
            h.poller.set_limit(*id, Limit::Idle, minute);
        }
        let now = h.now();
        h.poller.flush(now);
    });
    h.quiesce();
    assert!(refused > 0);
    let lost = count_lost(&mut h, &mut pairs);
    assert!(lost > 0 && lost < 100, "{lost}");
}

#[test]
fn commands_that_cannot_be_noted_cost_their_connections() {
    let settings = settings(|_| {});
    let mut h = harness(64 * 1024);
    let mut pairs: Vec<_> = (0..5).map(|_| h.unix(&settings)).collect();
    let refused = while_scarce(4_000, 0, || {
        for _ in 0..1_000 {
            for (id, _) in &pairs[..2] {
                h.poller.set_deadline_timer(*id, None);
            }
        }
        h.quiesce();
    });
    assert!(refused > 0);
    // The last whose command was noted is not lost.
    assert_eq!(count_lost(&mut h, &mut pairs), 1);
}

fn is_failure(what: &What) -> bool {
    matches!(what, What::AcceptFailed(errno) if *errno == libc::ENOMEM as u32)
}

#[test]
fn a_poller_without_memory_says_so() {
    let refused = while_scarce(100_000, 0, || {
        let poller = Poller::new(ChunkPool::new(128 * 1024, 1), Instant::now());
        let error = poller.err().and_then(|error| error.raw_os_error());
        assert_eq!(error, Some(libc::ENOMEM));
    });
    assert!(refused > 0);
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

fn workers() -> Workers {
    let settings = WorkSettings {
        assignment: Assignment::LeastOutstanding,
        concurrency: 10_000,
        max_queued: 100_000,
        min_workers: 1,
    };
    Workers::new(settings, Box::new(Silent))
}

#[test]
fn messages_that_workers_have_no_memory_for_cost_their_connection() {
    let pool = workers();
    let for_workers = settings(|s| {
        s.max_in_flight = None;
        s.handling = Handling::Workers {
            pool: pool.clone(),
            lost: None,
        };
    });
    let mut h = harness(256 * 1024);
    let (busy, mut peer) = h.unix(&for_workers);
    let (_, mut bystander) = h.unix(&settings(|_| {}));
    let sent = frame(b"work").repeat(10_000);
    let mut rest = &sent[..];
    let refused = while_scarce(40_000, 0, || {
        h.run(
            |_, _| {},
            |h| {
                write_some(&mut peer, &mut rest);
                h.reason(busy).is_some()
            },
        );
    });
    assert!(refused > 0);
    assert_eq!(h.reason(busy), Some(OUT_OF_MEMORY));
    assert!(is_served(&mut h, &mut bystander, &counted(4)));
    // Those that were queued before are there, and answered in vain.
    let mut queue = pool.open_queue(Box::new(Silent));
    let mut tasks = Vec::new();
    queue.take(&mut tasks);
    assert!(!tasks.is_empty() && tasks.len() < 10_000);
    drop(tasks);
    h.quiesce();
}

#[test]
fn answers_that_cannot_wait_for_their_turn_cost_their_connection() {
    let pool = workers();
    let for_workers = settings(|s| {
        s.max_in_flight = None;
        s.reply_order = ReplyOrder::Requests;
        s.handling = Handling::Workers {
            pool: pool.clone(),
            lost: None,
        };
    });
    let mut queue = pool.open_queue(Box::new(Silent));
    let mut h = harness(256 * 1024);
    let (busy, mut peer) = h.unix(&for_workers);
    let (_, mut bystander) = h.unix(&settings(|_| {}));
    let sent = frame(b"work").repeat(1_000);
    h.peer_writes(&mut peer, &sent, |_, _| {});
    let mut tasks = Vec::new();
    h.until(|_| {
        queue.take(&mut tasks);
        tasks.len() == 1_000
    });
    let slice = h.slice(&frame(b"done"));
    let refused = while_scarce(8_000, 0, || {
        // The first one's comes last.
        for task in tasks.drain(1..) {
            let reply = Bytes::One(slice.clone());
            task.origin.answer(Answer::Reply(reply));
            h.quiesce();
        }
        assert_eq!(h.until_closed(busy), OUT_OF_MEMORY);
    });
    assert!(refused > 0);
    drop(tasks);
    assert!(is_served(&mut h, &mut bystander, &counted(4)));
}
