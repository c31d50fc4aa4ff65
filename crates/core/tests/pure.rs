//! Connections, their buffers and the clock without any socket: bytes and time are arguments.

mod support;

use std::io::IoSlice;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netpoll_core::buffer::{ReadBuffer, Region};
use netpoll_core::connection::{Connection, DeadlineTimer, Due, Input, Outbound, Peer, State};
use netpoll_core::settings::{HalfOpen, Start, UnfinishedBound};
use netpoll_core::timer::Wheel;
use netpoll_core::{Batch, Call, ChunkPool, Reason, RecordKind, Settings, Slice};
use support::{Random, frame, settings};

/// Of what is random: few where each step takes a thousand times longer, with messages of which none is large.
const ROUNDS: u64 = if cfg!(miri) { 3 } else { 200 };
const LENGTHS: [usize; 5] = if cfg!(miri) {
    [5, 20, 50, 100, 4_200]
} else {
    [5, 100, 4_200, 20_000, 150_000]
};

/// Room of a batch, which is filled one by one.
const RECORDS: usize = if cfg!(miri) { 128 } else { 4096 };

const OPEN: State = State::Open(Peer::Sending);

/// A connection, and what it needs to be fed.
struct Bench {
    connection: Connection,
    read_buffer: ReadBuffer,
    batch: Batch,
    pool: ChunkPool,
}

impl Bench {
    fn new(settings: Arc<Settings>) -> Self {
        let pool = ChunkPool::new(64 * 1024, 8);
        Self {
            connection: Connection::new(settings, OPEN),
            read_buffer: ReadBuffer::new(pool.clone()).expect("there is memory"),
            batch: Batch::with_capacity(RECORDS),
            pool,
        }
    }

    /// One read that finds `bytes`; how many of them were taken.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        let limit = self.connection.budget();
        assert!(limit > 0, "nobody reads now");
        let mut at = 0;
        let filled = self
            .connection
            .fill(&mut self.read_buffer, |pieces| {
                for piece in pieces {
                    let count = piece.len().min(bytes.len() - at);
                    piece[..count].copy_from_slice(&bytes[at..at + count]);
                    at += count;
                }
                Ok::<_, ()>(at)
            })
            .expect("infallible");
        assert_eq!(filled.count, at);
        self.connection
            .take_filled(&filled, &mut self.read_buffer, &mut self.batch, 7, limit);
        at
    }

    fn take_held_back(&mut self) {
        let limit = self.connection.budget();
        self.connection
            .take_held_back(&mut self.read_buffer, &mut self.batch, 7, limit);
    }

    fn slice(&self, bytes: &[u8]) -> Slice {
        Region::over(self.pool.take_at_least(bytes.len())).append(bytes)
    }

    fn kinds(&mut self) -> Vec<u8> {
        self.connection.report(&mut self.batch, 7);
        let kinds = self.batch.records().iter().map(|r| r.kind()).collect();
        self.batch.clear();
        kinds
    }

    fn messages(&mut self) -> Vec<Vec<u8>> {
        let batch = &self.batch;
        let messages = batch
            .records()
            .iter()
            .filter(|record| record.kind() == RecordKind::Message as u8)
            .map(|record| {
                let chunk = batch.chunks()[record.chunk()].clone();
                Slice::new(chunk, record.start as usize, record.length as usize)
                    .as_ref()
                    .to_vec()
            })
            .collect();
        self.batch.clear();
        messages
    }
}

#[test]
fn whatever_the_reads_and_the_bound_the_messages_are_those_that_were_sent() {
    for seed in 0..ROUNDS {
        let mut random = Random::new(seed);
        let most = 1 + random.below(5) as u32;
        let mut bench = Bench::new(settings(|s| s.max_in_flight = NonZeroU32::new(most)));
        let sent: Vec<Vec<u8>> = (0..60)
            .map(|_| {
                let longest = LENGTHS[random.below(5).min(random.below(5))];
                let length = random.below(longest);
                frame(&random.bytes(length))
            })
            .collect();
        let wire = sent.concat();
        let (mut at, mut in_flight) = (0, 0);
        let mut got: Vec<Vec<u8>> = Vec::new();
        while got.len() < sent.len() {
            if bench.connection.budget() > 0 {
                if bench.connection.is_held_back() {
                    bench.take_held_back();
                } else {
                    let end = (at + 1 + random.below(40_000)).min(wire.len());
                    at += bench.feed(&wire[at..end]);
                }
            }
            let messages = bench.messages();
            in_flight += messages.len() as u32;
            assert!(in_flight <= most);
            got.extend(messages);
            let count = random.below(in_flight as usize + 1) as u32;
            bench.connection.acknowledge(count);
            in_flight -= count;
        }
        assert!(got == sent, "seed {seed}");
        bench.connection.peer_ended();
        bench.connection.acknowledge(in_flight);
        bench.connection.settle(Instant::now());
        assert_eq!(bench.connection.state(), State::Closed);
        assert_eq!(bench.kinds().last(), Some(&(RecordKind::Closed as u8)));
    }
}

#[test]
fn outbound_leaves_in_order_under_any_writes() {
    for seed in 0..ROUNDS / 2 {
        let mut random = Random::new(seed);
        let pool = ChunkPool::new(1024, 4);
        let mut outbound = Outbound::default();
        let mut region = Region::over(pool.take());
        let (mut expected, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            let length = random.below(60);
            let bytes = random.bytes(length);
            if region.remaining() < bytes.len() || random.below(10) == 0 {
                region = Region::over(pool.take());
            }
            assert_eq!(outbound.push(region.append(&bytes)), Ok(()));
            expected.extend(bytes);
            while random.below(3) == 0 && outbound.has_remaining() {
                let most = 1 + random.below(200);
                let mut pieces = [IoSlice::new(&[]); 3];
                let count = outbound.gather(&mut pieces).expect("all is ours");
                let mut taken: Vec<u8> = pieces[..count].iter().flat_map(|p| p.to_vec()).collect();
                taken.truncate(most);
                outbound.advance(taken.len());
                sent.extend(taken);
            }
            assert_eq!(outbound.remaining(), expected.len() - sent.len());
        }
        while outbound.has_remaining() {
            let mut pieces = [IoSlice::new(&[])];
            outbound.gather(&mut pieces).expect("all is ours");
            let taken = pieces[0].to_vec();
            outbound.advance(taken.len());
            sent.extend(taken);
        }
        assert!(sent == expected);
        drop((outbound, region));
        assert_eq!(pool.stats().live, 0);
    }
}

#[test]
fn closing_goes_through_its_stages() {
    let now = Instant::now();
    let mut bench = Bench::new(settings(|s| s.close_timeout = Duration::from_secs(9)));
    let reply = bench.slice(&[0; 100]);
    bench.connection.send(reply);
    bench.connection.close();
    assert_eq!(bench.connection.settle(now), Due::Nothing);
    assert_eq!(
        bench.connection.deadline(),
        Some(now + Duration::from_secs(9))
    );
    let late = bench.slice(b"late");
    bench.connection.send(late);
    assert_eq!(bench.connection.outbound().remaining(), 100);
    let later = now + Duration::from_secs(5);
    bench.connection.sent(60, later);
    assert_eq!(bench.connection.settle(later), Due::Nothing);
    assert_eq!(
        bench.connection.deadline(),
        Some(later + Duration::from_secs(9))
    );
    bench.connection.sent(40, later);
    assert_eq!(bench.connection.settle(later), Due::ShutdownWrite);
    assert_eq!(bench.connection.settle(later), Due::Nothing);
    assert_eq!(bench.connection.state(), State::Lingering);
    bench.connection.expire_stage(later, None);
    assert_eq!(
        bench.kinds(),
        [
            RecordKind::BytesRead as u8,
            RecordKind::BytesWritten as u8,
            RecordKind::Closed as u8
        ]
    );
}

#[test]
fn the_first_reason_counts() {
    let mut bench = Bench::new(settings(|_| {}));
    bench.connection.fail(Reason::System(5, Call::Read));
    bench.connection.fail(Reason::CloseTimeout);
    bench.connection.report(&mut bench.batch, 7);
    let last = bench.batch.records().last().expect("closed");
    assert_eq!(last.kind(), RecordKind::Closed as u8);
    assert_eq!(last.start, 5);
}

#[test]
fn a_paused_connection_has_no_budget() {
    let mut bench = Bench::new(settings(|s| s.start = Start::Paused));
    assert_eq!(bench.connection.budget(), 0);
    bench.connection.set_flow(Start::Reading);
    assert!(bench.connection.budget() > 0);
    bench.connection.close();
    assert_eq!(bench.connection.budget(), 0);
}

#[test]
fn an_unfinished_message_claims_its_memory_and_gives_it_back() {
    let bound = Arc::new(UnfinishedBound::new(10_000));
    let settings = settings(|s| s.unfinished = bound);
    for _ in 0..ROUNDS / 2 {
        let mut bench = Bench::new(settings.clone());
        let wire = frame(&[0; 9_000]);
        bench.feed(&wire[..8_000]);
        assert_eq!(bench.connection.state(), OPEN);
        // Half of the time it is finished, half of the time it is dropped.
        bench.feed(&wire[8_000..]);
        assert_eq!(bench.messages().len(), 1);
        bench.feed(&wire[..5_000]);
        assert_eq!(bench.connection.state(), OPEN);
    }
}

#[test]
fn a_refused_message_claims_nothing_any_more() {
    let bound = Arc::new(UnfinishedBound::new(10_000));
    let settings = settings(|s| s.unfinished = bound);
    let mut greedy = Bench::new(settings.clone());
    greedy.feed(&frame(&[0; 50_000])[..20_000]);
    assert_eq!(greedy.connection.state(), State::Refused(Peer::Sending));
    let mut innocent = Bench::new(settings);
    innocent.feed(&frame(b"abcd")[..5]);
    assert_eq!(innocent.connection.state(), OPEN);
}

/// A failed one waits for the next turn, which others of this turn must not pay for.
#[test]
fn a_failed_connection_claims_nothing_any_more() {
    let bound = Arc::new(UnfinishedBound::new(10_000));
    let settings = settings(|s| s.unfinished = bound);
    let mut failed = Bench::new(settings.clone());
    failed.feed(&frame(&[0; 50_000])[..9_999]);
    failed.connection.fail(Reason::Normal);
    let mut innocent = Bench::new(settings);
    innocent.feed(&frame(b"abcd")[..5]);
    assert_eq!(innocent.connection.state(), OPEN);
}

#[test]
fn asking_leaves_the_end_of_a_told_congestion_to_be_told() {
    let now = Instant::now();
    let mut bench = Bench::new(settings(|s| s.high_water_mark = 100));
    let reply = bench.slice(&[0; 200]);
    bench.connection.send(reply);
    bench.connection.settle(now);
    assert_eq!(bench.kinds(), [RecordKind::Congested as u8]);
    bench.connection.sent(200, now);
    bench.connection.settle(now);
    assert!(!bench.connection.ask_congested());
    assert_eq!(bench.kinds(), [RecordKind::Drained as u8]);
}

#[test]
fn half_open_or_not_a_peer_that_is_gone_is_inactive() {
    let mut bench = Bench::new(settings(|s| s.half_open = HalfOpen::Keep));
    bench.connection.peer_ended();
    bench.connection.settle(Instant::now());
    assert_eq!(bench.kinds(), [RecordKind::Ended as u8]);
    // An event of an error or a full hang-up, which is more than the end that was read.
    bench.connection.hung_up();
    assert_eq!(bench.kinds(), [RecordKind::Inactive as u8]);
}

#[test]
fn taken_over_it_ends_only_when_told_and_tells_when_everything_is_sent() {
    let now = Instant::now();
    let mut bench = Bench::new(settings(|s| s.high_water_mark = 64));
    bench.feed(&frame(b"in flight"));
    bench.connection.peer_ended();
    assert_eq!(bench.connection.state(), State::Finishing(Peer::Ended));
    bench.connection.take_over();
    let reply = bench.slice(&[0; 100]);
    bench.connection.send(reply);
    assert!(
        bench.connection.budget() > 0,
        "also while more waits than the mark"
    );
    bench.connection.settle(now);
    assert_eq!(bench.connection.state(), State::Open(Peer::Ended));
    bench.connection.end();
    bench.connection.settle(now);
    assert!(!bench.kinds().contains(&(RecordKind::EndSent as u8)));
    bench.connection.sent(100, now);
    bench.connection.settle(now);
    assert_eq!(bench.connection.state(), State::Closed);
    let kinds = bench.kinds();
    assert_eq!(kinds.first(), Some(&(RecordKind::EndSent as u8)));
    assert_eq!(kinds.last(), Some(&(RecordKind::Closed as u8)));
}

#[test]
fn an_deadline_timer_waits_for_what_was_there_when_it_was_due_and_for_no_more() {
    let seconds = Duration::from_secs;
    let now = Instant::now();
    let mut bench = Bench::new(settings(|_| {}));
    let deadline_timer = |number| DeadlineTimer {
        time: now + seconds(2),
        number,
    };
    let told = |bench: &mut Bench| {
        let before = bench.batch.len();
        bench.connection.report(&mut bench.batch, 0);
        let new = &bench.batch.records()[before..];
        new.iter()
            .map(|record| (record.start, record.length))
            .collect::<Vec<_>>()
    };
    let nothing: Vec<(u32, u32)> = vec![];

    bench.connection.set_deadline_timer(Some(deadline_timer(7)));
    bench
        .connection
        .expire_deadline_timer(now + seconds(1), || unreachable!("it is not due"));
    assert_eq!(told(&mut bench), nothing);
    bench
        .connection
        .expire_deadline_timer(now + seconds(3), || 20);
    assert_eq!(told(&mut bench), nothing, "the socket is not empty");
    // It is at last: whatever had come by then is handed over.
    bench
        .connection
        .expire_deadline_timer(now + seconds(4), || 0);
    assert_eq!(told(&mut bench), [(7, 2_000_000)]);

    bench.connection.set_deadline_timer(Some(deadline_timer(8)));
    bench
        .connection
        .expire_deadline_timer(now + seconds(3), || 20);
    bench.feed(&[0; 12]);
    bench.batch.clear();
    bench
        .connection
        .expire_deadline_timer(now + seconds(4), || 20);
    assert_eq!(told(&mut bench), nothing, "some of it was read");
    bench.feed(&[0; 8]);
    bench.batch.clear();
    // The peer goes on. What came until it was first looked for counts, and what came later does not.
    bench
        .connection
        .expire_deadline_timer(now + seconds(5), || 20);
    assert_eq!(told(&mut bench), [(8, 1_000_000)]);

    bench.connection.set_deadline_timer(Some(deadline_timer(9)));
    bench
        .connection
        .expire_deadline_timer(now + seconds(3), || 20);
    bench
        .connection
        .set_deadline_timer(Some(deadline_timer(10)));
    bench.feed(&[0; 20]);
    bench.batch.clear();
    bench
        .connection
        .expire_deadline_timer(now + seconds(4), || 20);
    assert_eq!(
        told(&mut bench),
        nothing,
        "another deadline_timer begins anew"
    );
}

#[test]
fn the_deadline_is_the_first_of_those_that_apply() {
    let now = Instant::now();
    let seconds = Duration::from_secs;
    let mut bench = Bench::new(settings(|s| {
        s.read_timeout = Some(seconds(3));
        s.write_timeout = Some(seconds(5));
        s.idle_timeout = Some(seconds(7));
    }));
    bench.connection.settle(now);
    assert_eq!(bench.connection.deadline(), Some(now + seconds(7)));
    let reply = bench.slice(&[0; 100]);
    bench.connection.send(reply);
    bench.connection.settle(now);
    assert_eq!(bench.connection.deadline(), Some(now + seconds(5)));
    bench.feed(&frame(b"abcd")[..5]);
    bench.connection.settle(now + seconds(1));
    assert_eq!(bench.connection.deadline(), Some(now + seconds(4)));
    bench.connection.set_deadline_timer(Some(DeadlineTimer {
        time: now + seconds(2),
        number: 7,
    }));
    assert_eq!(bench.connection.deadline(), Some(now + seconds(2)));
    bench
        .connection
        .expire_deadline_timer(now + seconds(2), || 0);
    assert_eq!(bench.kinds(), [RecordKind::DeadlineTimer as u8]);
    bench.connection.sent(100, now + seconds(2));
    bench.connection.settle(now + seconds(2));
    bench.connection.expire_write(now + seconds(9), None);
    bench.feed(&frame(b"abcd")[5..]);
    assert_eq!(bench.messages().len(), 1);
    bench.connection.settle(now + seconds(3));
    assert_eq!(
        bench.connection.deadline(),
        None,
        "a message is in handling"
    );
    bench.connection.acknowledge(1);
    bench.connection.settle(now + seconds(4));
    assert_eq!(bench.connection.deadline(), Some(now + seconds(11)));
    bench.connection.expire_idle(now + seconds(11), Input::None);
    assert_eq!(bench.connection.deadline(), Some(now + seconds(18)));
    assert_eq!(bench.kinds(), [RecordKind::Idle as u8]);
}

/// Idleness that is over before it was told is none.
#[test]
fn activity_takes_idleness_back() {
    let now = Instant::now();
    let mut bench = Bench::new(settings(|s| s.idle_timeout = Some(Duration::from_secs(1))));
    bench.connection.settle(now);
    bench
        .connection
        .expire_idle(now + Duration::from_secs(1), Input::None);
    assert!(bench.connection.has_pending());
    bench.feed(&frame(b"abcd")[..5]);
    bench.connection.settle(now + Duration::from_secs(1));
    assert!(!bench.connection.has_pending());
}

#[test]
fn counts_of_bytes_are_told_in_two_words() {
    let mut bench = Bench::new(settings(|_| {}));
    bench.connection.discarded(0x1_0000_0002);
    bench.connection.fail(Reason::Normal);
    bench.connection.report(&mut bench.batch, 7);
    let [read, written, closed] = bench.batch.records() else {
        panic!("three records");
    };
    assert_eq!(read.kind(), RecordKind::BytesRead as u8);
    assert_eq!((read.start, read.length), (2, 1));
    assert_eq!(written.kind(), RecordKind::BytesWritten as u8);
    assert_eq!((written.start, written.length), (0, 0));
    assert_eq!(closed.kind(), RecordKind::Closed as u8);
}

#[test]
fn the_wheel_follows_deadlines_that_are_pushed_back() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    let mut deadline = start + Duration::from_secs(1);
    wheel.arm(1, deadline).expect("there is memory");
    let mut fired = 0;
    let mut now = start;
    for _ in 0..1000 {
        // Every step pushes it back before it is due; the wheel asks now and then.
        deadline = now + Duration::from_secs(1);
        now += Duration::from_millis(500);
        let mut asked = false;
        wheel.expire(now, |_| asked = true);
        if asked {
            fired += 1;
            wheel.arm(1, deadline).expect("there is memory");
        }
    }
    assert!((200..=1000).contains(&fired), "{fired}");
    now = deadline + Duration::from_millis(4);
    let mut last = 0;
    wheel.expire(now, |_| last += 1);
    assert_eq!(last, 1);
    assert_eq!(wheel.next_wake(), None);
}

#[test]
fn the_wheel_turns_for_years() {
    let start = Instant::now();
    let later = start + Duration::from_secs(3600 * 24 * 365);
    let mut wheel = Wheel::new(start);
    wheel.expire(later, |_| {});
    wheel
        .arm(1, later + Duration::from_secs(1))
        .expect("there is memory");
    let wake = wheel.next_wake().expect("armed");
    assert!(wake >= later, "{:?} in the past", later - wake);
}

#[test]
fn lengths_near_the_largest_number_are_refused() {
    use netpoll_core::frame::{Endian, FrameError, Framing, LengthField};
    let field = LengthField::new(0, 8, 0, 8, Endian::Big, usize::MAX).expect("valid");
    let decode = Framing::LengthField(field).decode(&[0xff; 8], 0);
    assert_eq!(decode, Err(FrameError::TooLarge));
}
