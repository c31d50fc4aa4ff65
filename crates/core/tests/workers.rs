//! Messages that are handled elsewhere than where their connections are.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use netpoll_core::settings::{HalfOpen, Handling, LostReply, ReplyOrder, Settings, Start};
use netpoll_core::work::{
    Answer, Assignment, Bytes, Task, TaskQueue, WorkSettings, WorkStats, Workers,
};
use netpoll_core::{Reason, Wake};
use support::{Harness, frame, settings, small_buffers};

/// Counts how often it was woken.
#[derive(Clone, Default)]
struct Waker(Arc<AtomicUsize>);

impl Wake for Waker {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A poller, a pool, and one worker, all in this thread.
struct Shop {
    h: Harness,
    pool: Workers,
    queue: TaskQueue,
}

/// What may be different about a shop.
struct Terms {
    concurrency: usize,
    max_queued: usize,
}

const SPACIOUS: Terms = Terms {
    concurrency: 1_000,
    max_queued: 1_000,
};

impl Shop {
    fn new(terms: &Terms) -> Self {
        let pool = Workers::new(
            WorkSettings {
                assignment: Assignment::LeastOutstanding,
                concurrency: terms.concurrency,
                max_queued: terms.max_queued,
                min_workers: 1,
            },
            Box::new(Waker::default()),
        );
        let queue = pool.open_queue(Box::new(Waker::default()));
        Self {
            h: Harness::new(),
            pool,
            queue,
        }
    }

    fn settings(&self, change: impl FnOnce(&mut Settings)) -> Arc<Settings> {
        settings(|s| {
            s.handling = Handling::Workers {
                pool: self.pool.clone(),
                lost: None,
            };
            change(s);
        })
    }

    /// Serves what is ready, and takes what came to the worker.
    fn take(&mut self) -> Vec<Task> {
        self.h.quiesce();
        let mut tasks = Vec::new();
        self.queue.take(&mut tasks);
        tasks
    }

    fn answer(&mut self, task: Task, answer: Answer) {
        task.origin.answer(answer);
        self.queue.finish(1);
        self.h.quiesce();
    }

    fn reply(&mut self, task: Task, bytes: &[u8]) {
        let reply = Bytes::One(self.h.slice(bytes));
        self.answer(task, Answer::Reply(reply));
    }

    /// Answers each message with itself.
    fn echo(&mut self, task: Task) {
        let message = task.message.clone();
        self.answer(task, Answer::Reply(Bytes::One(message)));
    }
}

/// The bytes of the peer that have come, without waiting; whether they end there.
fn read_all(peer: &mut UnixStream) -> (Vec<u8>, bool) {
    let mut got = Vec::new();
    let ended = support::read_available(peer, &mut got, usize::MAX).expect("no error");
    (got, ended)
}

fn send(peer: &mut UnixStream, payloads: &[&[u8]]) {
    let frames: Vec<Vec<u8>> = payloads.iter().map(|payload| frame(payload)).collect();
    peer.write_all(&frames.concat()).expect("room");
}

/// Takes the tasks out in this order of their numbers.
fn in_order<const COUNT: usize>(tasks: Vec<Task>, order: [usize; COUNT]) -> [Task; COUNT] {
    let mut tasks: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    order.map(|number| tasks[number].take().expect("there, and not taken"))
}

#[test]
fn messages_come_to_a_worker_and_no_record_tells_of_them() {
    let mut shop = Shop::new(&SPACIOUS);
    let (id, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"one", b"two"]);
    let tasks = shop.take();
    let messages: Vec<&[u8]> = tasks.iter().map(|task| task.message.as_ref()).collect();
    assert_eq!(messages, [frame(b"one"), frame(b"two")]);
    assert!(tasks.iter().all(|task| task.origin.connection() == id));
    assert_eq!(tasks[0].origin.poller(), shop.h.poller.handle().serial());
    assert_eq!(shop.h.story(id), ["accepted"]);
}

#[test]
fn answers_leave_in_the_order_of_their_messages() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"a", b"b", b"c"]);
    let [c, b, a] = in_order(shop.take(), [2, 1, 0]);
    shop.reply(c, b"C");
    shop.reply(b, b"B");
    assert_eq!(read_all(&mut peer), (vec![], false));
    shop.reply(a, b"A");
    assert_eq!(read_all(&mut peer), (b"ABC".to_vec(), false));
    // And so on, from there.
    send(&mut peer, &[b"d", b"e"]);
    let [e, d] = in_order(shop.take(), [1, 0]);
    shop.reply(e, b"E");
    shop.reply(d, b"D");
    assert_eq!(read_all(&mut peer), (b"DE".to_vec(), false));
}

#[test]
fn answers_leave_at_once_where_order_does_not_matter() {
    let mut shop = Shop::new(&SPACIOUS);
    let settings = shop.settings(|s| s.reply_order = ReplyOrder::Any);
    let (_, mut peer) = shop.h.unix(&settings);
    send(&mut peer, &[b"a", b"b", b"c"]);
    let [b, c, a] = in_order(shop.take(), [1, 2, 0]);
    for (task, reply) in [(b, b"B"), (c, b"C"), (a, b"A")] {
        shop.reply(task, reply);
        assert_eq!(read_all(&mut peer), (reply.to_vec(), false));
    }
}

#[test]
fn an_answer_may_be_nothing_or_of_many_pieces() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, mut peer) = shop
        .h
        .unix(&shop.settings(|s| s.max_in_flight = 3.try_into().ok()));
    send(&mut peer, &[b"a", b"b", b"c", b"d"]);
    let [a, b, c] = in_order(shop.take(), [0, 1, 2]);
    let mut pieces = Bytes::default();
    for piece in [b"1", b"2", b"3"] {
        assert_eq!(pieces.push(shop.h.slice(piece)), Ok(()));
    }
    shop.answer(b, Answer::Reply(pieces));
    shop.answer(a, Answer::Reply(Bytes::Empty));
    shop.reply(c, b"4");
    assert_eq!(read_all(&mut peer), (b"1234".to_vec(), false));
    assert_eq!(shop.take().len(), 1, "none of them is in flight");
}

#[test]
fn no_more_messages_are_in_flight_than_allowed() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, mut peer) = shop
        .h
        .unix(&shop.settings(|s| s.max_in_flight = 2.try_into().ok()));
    send(&mut peer, &[b"a", b"b", b"c", b"d", b"e"]);
    let [a, b] = in_order(shop.take(), [0, 1]);
    // Answered out of order, the second is still in flight until it leaves.
    shop.reply(b, b"B");
    assert_eq!(shop.take().len(), 0);
    shop.reply(a, b"A");
    assert_eq!(shop.take().len(), 2);
}

#[test]
fn a_failure_closes_once_the_replies_before_it_have_left() {
    for order in [ReplyOrder::Requests, ReplyOrder::Any] {
        let mut shop = Shop::new(&SPACIOUS);
        let (id, mut peer) = shop.h.unix(&shop.settings(|s| s.reply_order = order));
        send(&mut peer, &[b"a", b"b", b"c"]);
        let [a, b, c] = in_order(shop.take(), [0, 1, 2]);
        shop.reply(a, b"A");
        shop.answer(b, Answer::Failed);
        shop.reply(c, b"C");
        assert_eq!(read_all(&mut peer), (b"A".to_vec(), true), "{order:?}");
        send(&mut peer, &[b"d"]);
        assert_eq!(shop.take().len(), 0);
        drop(peer);
        assert_eq!(shop.h.until_closed(id), 0);
    }
}

#[test]
fn an_early_failure_waits_for_the_replies_before_it() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"a", b"b", b"c"]);
    let [a, b, c] = in_order(shop.take(), [0, 1, 2]);
    shop.reply(c, b"C");
    shop.answer(b, Answer::Failed);
    assert_eq!(read_all(&mut peer), (vec![], false));
    shop.reply(a, b"A");
    assert_eq!(read_all(&mut peer), (b"A".to_vec(), true));
}

#[test]
fn what_is_lost_closes_the_connection_once_the_replies_before_it_have_left() {
    let mut shop = Shop::new(&SPACIOUS);
    let (id, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"a", b"b", b"c"]);
    let [a, b, c] = in_order(shop.take(), [0, 1, 2]);
    // The worker that had it is gone.
    drop(b);
    shop.reply(c, b"C");
    assert_eq!(read_all(&mut peer), (vec![], false));
    shop.reply(a, b"A");
    assert_eq!(read_all(&mut peer), (b"A".to_vec(), true));
    drop(peer);
    assert_eq!(shop.h.until_closed(id), 0);
}

#[test]
fn what_is_lost_is_answered_in_its_place_where_there_is_a_reply_for_that() {
    let mut shop = Shop::new(&SPACIOUS);
    let lost = shop.h.slice(b"(lost)");
    let settings = settings(|s| {
        s.handling = Handling::Workers {
            pool: shop.pool.clone(),
            lost: Some(LostReply(lost)),
        };
    });
    let (id, mut peer) = shop.h.unix(&settings);
    send(&mut peer, &[b"a", b"b", b"c", b"d"]);
    let [a, b, c, d] = in_order(shop.take(), [0, 1, 2, 3]);
    drop(d);
    drop(b);
    shop.reply(c, b"C");
    shop.reply(a, b"A");
    assert_eq!(read_all(&mut peer), (b"A(lost)C(lost)".to_vec(), false));
    // It goes on.
    send(&mut peer, &[b"e"]);
    for task in shop.take() {
        shop.echo(task);
    }
    assert_eq!(read_all(&mut peer), (frame(b"e"), false));
    assert_eq!(shop.h.reason(id), None);
}

#[test]
fn a_worker_that_closes_leaves_to_others_what_it_has_not_taken() {
    let mut shop = Shop::new(&Terms {
        concurrency: 2,
        max_queued: 10,
    });
    let (_, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    let mut other = shop.pool.open_queue(Box::new(Waker::default()));
    send(&mut peer, &[b"a", b"b", b"c", b"d"]);
    let [a, c] = in_order(shop.take(), [0, 1]);
    let mut taken = Vec::new();
    other.take(&mut taken);
    let [b, d] = in_order(taken, [0, 1]);
    send(&mut peer, &[b"e", b"f"]);
    shop.h.quiesce();
    other.finish(2);
    // Assigned to the other worker are the fifth and sixth now, and no worker has looked.
    other.close();
    shop.reply(a, b"A");
    shop.reply(c, b"C");
    let rest = shop.take();
    let messages: Vec<&[u8]> = rest.iter().map(|task| task.message.as_ref()).collect();
    assert_eq!(messages, [frame(b"e"), frame(b"f")]);
    for (task, reply) in rest.into_iter().zip([b"E", b"F"]) {
        shop.reply(task, reply);
    }
    assert_eq!(read_all(&mut peer), (b"A".to_vec(), false));
    // What it had taken is answered by the worker that has it.
    b.origin.answer(Answer::Reply(Bytes::Empty));
    drop(d);
    shop.h.quiesce();
    assert_eq!(read_all(&mut peer), (b"C".to_vec(), true));
}

#[test]
fn answers_for_a_connection_that_is_gone_do_not_reach_its_successor() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, file) = shop.h.listen_unix(&shop.settings(|_| {}));
    let mut first = UnixStream::connect(file.path()).expect("connecting");
    let old = shop.h.until_accepted(1);
    send(&mut first, &[b"a", b"b", b"c"]);
    let tasks = shop.take();
    shop.h.poller.destroy(old);
    shop.h.until_closed(old);
    let mut second = UnixStream::connect(file.path()).expect("connecting");
    second.set_nonblocking(true).expect("non-blocking");
    let new = shop.h.until_accepted(2);
    assert_eq!(old.slot, new.slot);
    send(&mut second, &[b"x"]);
    let [x] = in_order(shop.take(), [0]);
    let [a, b, c] = in_order(tasks, [0, 1, 2]);
    shop.reply(a, b"A");
    shop.answer(b, Answer::Failed);
    drop(c);
    shop.h.quiesce();
    assert_eq!(read_all(&mut second), (vec![], false));
    shop.reply(x, b"X");
    assert_eq!(read_all(&mut second), (b"X".to_vec(), false));
}

#[test]
fn answers_for_a_poller_that_is_gone_are_dropped() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"a", b"b"]);
    let [a, b] = in_order(shop.take(), [0, 1]);
    let reply = shop.h.slice(b"A");
    drop(shop.h);
    a.origin.answer(Answer::Reply(Bytes::One(reply)));
    drop(b);
    assert!(read_all(&mut peer).1);
}

#[test]
fn nothing_is_read_while_workers_have_no_room_and_everything_is_when_they_do() {
    let mut shop = Shop::new(&Terms {
        concurrency: 1,
        max_queued: 2,
    });
    let (_, file) = shop.h.listen_unix(&shop.settings(|_| {}));
    let mut peers: Vec<UnixStream> = (0..3)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    shop.h.until_accepted(3);
    for peer in &mut peers {
        peer.set_nonblocking(true).expect("non-blocking");
        for round in 0..100_u8 {
            send(peer, &[&[round; 10]]);
        }
    }
    // `quiesce` would not come back from a poller that is busy with nothing.
    shop.h.quiesce();
    assert!(!shop.h.poller.has_ready());
    assert!(shop.pool.stats().queued <= 3 + 3 * 64);
    let mut handled = 0;
    loop {
        let tasks = shop.take();
        if tasks.is_empty() {
            break;
        }
        for task in tasks {
            handled += 1;
            shop.echo(task);
            assert!(!shop.h.poller.has_ready());
        }
    }
    assert_eq!(handled, 300);
    for peer in &mut peers {
        let expected: Vec<u8> = (0..100).flat_map(|round| frame(&[round; 10])).collect();
        assert_eq!(read_all(peer), (expected, false));
    }
}

#[test]
fn a_connection_that_waits_for_room_may_go() {
    let mut shop = Shop::new(&Terms {
        concurrency: 1,
        max_queued: 0,
    });
    let (_, file) = shop.h.listen_unix(&shop.settings(|_| {}));
    let mut busy = UnixStream::connect(file.path()).expect("connecting");
    send(&mut busy, &[b"a"]);
    shop.h.until_accepted(1);
    let [a] = in_order(shop.take(), [0]);
    let mut waiting = UnixStream::connect(file.path()).expect("connecting");
    send(&mut waiting, &[b"b", b"c"]);
    let id = shop.h.until_accepted(2);
    assert_eq!(shop.take().len(), 0);
    shop.h.poller.destroy(id);
    shop.h.until_closed(id);
    // Another connection has its slot when there is room again.
    let mut heir = UnixStream::connect(file.path()).expect("connecting");
    assert_eq!(shop.h.until_accepted(3).slot, id.slot);
    shop.reply(a, b"A");
    assert_eq!(shop.take().len(), 0);
    send(&mut heir, &[b"d"]);
    assert_eq!(shop.take()[0].message.as_ref(), frame(b"d"));
}

#[test]
fn a_connection_that_waits_for_room_and_for_its_own_bound_goes_on() {
    let mut shop = Shop::new(&Terms {
        concurrency: 1,
        max_queued: 1,
    });
    let (_, mut peer) = shop
        .h
        .unix(&shop.settings(|s| s.max_in_flight = 1.try_into().ok()));
    for number in 0..20_u8 {
        send(&mut peer, &[&[number]]);
    }
    for number in 0..20_u8 {
        let [task] = in_order(shop.take(), [0]);
        assert_eq!(task.message.as_ref(), frame(&[number]));
        shop.echo(task);
    }
    assert_eq!(shop.take().len(), 0);
}

#[test]
fn a_paused_connection_asks_workers_for_nothing() {
    let mut shop = Shop::new(&Terms {
        concurrency: 1,
        max_queued: 0,
    });
    let (id, mut peer) = shop.h.unix(&shop.settings(|s| s.start = Start::Paused));
    send(&mut peer, &[b"a", b"b"]);
    assert_eq!(shop.take().len(), 0);
    shop.h.poller.set_flow(id, Start::Reading);
    let [a] = in_order(shop.take(), [0]);
    shop.h.poller.set_flow(id, Start::Paused);
    shop.echo(a);
    assert_eq!(shop.take().len(), 0);
    shop.h.poller.set_flow(id, Start::Reading);
    assert_eq!(shop.take().len(), 1);
}

#[test]
fn a_peer_that_does_not_read_is_not_served_and_costs_nothing() {
    let mut shop = Shop::new(&SPACIOUS);
    let settings = shop.settings(|s| {
        s.high_water_mark = 1_000;
        s.max_in_flight = 1.try_into().ok();
    });
    let (_, mut peer) = shop.h.unix(&settings);
    small_buffers(&peer);
    let mut handled = 0;
    let large = vec![7; 100_000];
    let requests = frame(b"more").repeat(20);
    shop.h.peer_writes(&mut peer, &requests, |_, _| {});
    loop {
        let mut tasks = shop.take();
        let Some(task) = tasks.pop() else { break };
        handled += 1;
        shop.reply(task, &large);
    }
    assert!(!shop.h.poller.has_ready());
    assert!(handled < 20, "{handled}");
    // It reads, and is served again.
    let mut got = 0;
    while got < 20 * large.len() {
        for task in shop.take() {
            shop.reply(task, &large);
        }
        got += read_all(&mut peer).0.len();
    }
    assert_eq!(got, 20 * large.len());
}

#[test]
fn workers_answer_what_is_whole_although_the_next_message_is_not_finished_in_time() {
    for order in [ReplyOrder::Requests, ReplyOrder::Any] {
        let mut shop = Shop::new(&SPACIOUS);
        let limit = Duration::from_secs(3600);
        let settings = shop.settings(|s| {
            s.reply_order = order;
            s.read_timeout = Some(limit);
        });
        let (id, mut peer) = shop.h.unix(&settings);
        let wire = [frame(b"one"), frame(b"two"), frame(b"unfinished")].concat();
        peer.write_all(&wire[..wire.len() - 3]).expect("room");
        let tasks = shop.take();
        shop.h.pass(limit * 2);
        for task in tasks {
            shop.echo(task);
        }
        let (got, ended) = read_all(&mut peer);
        assert_eq!(
            (got, ended),
            ([frame(b"one"), frame(b"two")].concat(), true),
            "{order:?}"
        );
        drop(peer);
        assert_eq!(shop.h.until_closed(id), Reason::ReadTimeout.code());
    }
}

#[test]
fn finishing_waits_for_the_answers_of_workers() {
    let mut shop = Shop::new(&SPACIOUS);
    let (id, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"a", b"b"]);
    let [a, b] = in_order(shop.take(), [0, 1]);
    shop.h.poller.finish(id);
    shop.h.quiesce();
    send(&mut peer, &[b"too late"]);
    assert_eq!(shop.take().len(), 0);
    shop.reply(b, b"B");
    assert_eq!(read_all(&mut peer), (vec![], false));
    shop.reply(a, b"A");
    assert_eq!(read_all(&mut peer), (b"AB".to_vec(), true));
    drop(peer);
    shop.h.until_closed(id);
}

#[test]
fn finishing_waits_for_what_was_read_and_no_worker_has_yet() {
    let mut shop = Shop::new(&Terms {
        concurrency: 1,
        max_queued: 0,
    });
    let (id, mut peer) = shop.h.unix(&shop.settings(|_| {}));
    send(&mut peer, &[b"a", b"b", b"c"]);
    let [a] = in_order(shop.take(), [0]);
    shop.h.poller.finish(id);
    shop.h.quiesce();
    shop.echo(a);
    for _ in 0..2 {
        let [task] = in_order(shop.take(), [0]);
        shop.echo(task);
    }
    let expected = [frame(b"a"), frame(b"b"), frame(b"c")].concat();
    assert_eq!(read_all(&mut peer), (expected, true));
}

#[test]
fn the_peers_end_waits_for_the_answers_of_workers() {
    for half_open in [HalfOpen::Close, HalfOpen::Keep] {
        let mut shop = Shop::new(&SPACIOUS);
        let (id, mut peer) = shop.h.unix(&shop.settings(|s| s.half_open = half_open));
        send(&mut peer, &[b"a", b"b"]);
        peer.shutdown(std::net::Shutdown::Write).expect("open");
        let [a, b] = in_order(shop.take(), [0, 1]);
        assert!(shop.h.has(id, "ended"));
        shop.reply(b, b"B");
        shop.reply(a, b"A");
        let ends = half_open == HalfOpen::Close;
        assert_eq!(read_all(&mut peer), (b"AB".to_vec(), ends));
        assert_eq!(shop.h.reason(id).is_some(), ends);
    }
}

#[test]
fn what_nobody_can_handle_any_more_is_lost_and_nobody_is_busy_with_it() {
    let mut shop = Shop::new(&Terms {
        concurrency: 1,
        max_queued: 0,
    });
    let (_, file) = shop.h.listen_unix(&shop.settings(|_| {}));
    let mut peers: Vec<UnixStream> = (0..3)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    shop.h.until_accepted(3);
    for peer in &mut peers {
        peer.set_nonblocking(true).expect("non-blocking");
        send(peer, &[b"a", b"b"]);
    }
    let tasks = shop.take();
    shop.pool.close();
    drop(tasks);
    shop.queue.close();
    shop.h.quiesce();
    for peer in &mut peers {
        assert_eq!(read_all(peer), (vec![], true));
    }
    assert_eq!(shop.pool.stats().queued, 0);
}

#[test]
fn an_idle_connection_is_not_idle_while_a_worker_has_its_message() {
    let mut shop = Shop::new(&SPACIOUS);
    let limit = Duration::from_secs(10);
    let (id, mut peer) = shop
        .h
        .unix(&shop.settings(|s| s.idle_timeout = Some(limit)));
    send(&mut peer, &[b"a"]);
    let [a] = in_order(shop.take(), [0]);
    shop.h.pass(limit * 3);
    assert!(!shop.h.has(id, "idle"));
    shop.reply(a, b"A");
    shop.h.pass(limit * 3);
    assert!(shop.h.has(id, "idle"));
}

/// What one connection has read counts for it alone, also while it has no whole message.
#[test]
fn a_long_message_that_is_not_whole_does_not_end_the_turns_of_others() {
    let mut shop = Shop::new(&SPACIOUS);
    let (_, file) = shop.h.listen_unix(&shop.settings(|_| {}));
    let mut peers: Vec<UnixStream> = (0..4)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    shop.h.until_accepted(4);
    let (long, others) = peers.split_first_mut().expect("four");
    long.set_nonblocking(true).expect("non-blocking");
    let bytes = vec![1; 8 * 1024 * 1024];
    shop.h
        .peer_writes(long, &frame(&bytes)[..bytes.len() / 2], |_, _| {});
    shop.h.quiesce();
    for peer in &mut *others {
        send(peer, &[b"short"]);
    }
    // One turn, for every connection that is ready.
    shop.h.look();
    shop.h.turn();
    let mut tasks = Vec::new();
    shop.queue.take(&mut tasks);
    assert_eq!(tasks.len(), others.len());
}

#[test]
fn workers_in_other_threads_answer_everything_in_order() {
    const CONNECTIONS: usize = 8;
    const MESSAGES: u32 = 2_000;
    let terms = Terms {
        concurrency: 3,
        max_queued: 16,
    };
    let shop = Shop::new(&terms);
    let settings = shop.settings(|_| {});
    let Shop { mut h, pool, queue } = shop;
    drop(queue);
    /// Unparks the thread that works at a queue.
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(&self) {
            self.0.unpark();
        }
    }
    let is_over = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (pool, is_over) = (pool.clone(), is_over.clone());
            thread::spawn(move || {
                let mut queue = pool.open_queue(Box::new(Unpark(thread::current())));
                let mut tasks = Vec::new();
                loop {
                    queue.take(&mut tasks);
                    if tasks.is_empty() {
                        if is_over.load(Ordering::Acquire) > 0 {
                            return;
                        }
                        thread::park();
                        continue;
                    }
                    // The last first, so that they finish out of order.
                    for task in tasks.drain(..).rev() {
                        let message = task.message.clone();
                        task.origin.answer(Answer::Reply(Bytes::One(message)));
                        queue.finish(1);
                    }
                }
            })
        })
        .collect();
    let (_, file) = h.listen_unix(&settings);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut peer = UnixStream::connect(file.path()).expect("connecting");
            thread::spawn(move || {
                let sent: Vec<u8> = (0..MESSAGES)
                    .flat_map(|number| frame(&number.to_be_bytes()))
                    .collect();
                let mut writer = peer.try_clone().expect("a descriptor");
                let bytes = sent.clone();
                let sender = thread::spawn(move || writer.write_all(&bytes).expect("open"));
                let mut got = vec![0; sent.len()];
                peer.read_exact(&mut got).expect("all of it");
                sender.join().expect("no panic");
                got == sent
            })
        })
        .collect();
    h.until(|_| clients.iter().all(thread::JoinHandle::is_finished));
    for client in clients {
        assert!(client.join().expect("no panic"));
    }
    let total = u64::from(MESSAGES) * CONNECTIONS as u64;
    h.until(|_| pool.stats().running == 0);
    let expected = WorkStats {
        workers: 3,
        submitted: total,
        ..WorkStats::default()
    };
    assert_eq!(pool.stats(), expected);
    is_over.store(1, Ordering::Release);
    for worker in workers {
        worker.thread().unpark();
        worker.join().expect("no panic");
    }
    assert_eq!(pool.stats().workers, 0);
}
