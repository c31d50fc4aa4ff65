//! `src/handoff.rs`.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use netpoll_core::handoff::More;
use netpoll_core::{Handoff, Inbox, Wake};

use crate::support::{Drops, Token, Waker, model};

/// A number, and memory that the producer writes and the consumer reads.
#[derive(Default)]
struct Batch {
    number: usize,
    memory: UnsafeCell<()>,
}

impl Batch {
    fn fill(&mut self, number: usize) {
        self.number = number;
        self.memory.with_mut(|_| {});
    }

    fn read(&self) -> usize {
        self.memory.with(|_| {});
        self.number
    }
}

fn batches(count: usize) -> Vec<Batch> {
    (0..count).map(|_| Batch::default()).collect()
}

/// Hands over `count` batches, each put back once before it is used.
fn produce(handoff: &Handoff<Batch, Waker, Waker>, waker: &Waker, count: usize) {
    let mut made = 0;
    let mut unused = 1;
    while made < count {
        waker.look();
        let Some(mut batch) = handoff.blank() else {
            waker.sleep();
            continue;
        };
        waker.look_again();
        if unused > 0 {
            unused -= 1;
            handoff.put_back(batch);
            continue;
        }
        batch.fill(made);
        handoff.push(batch);
        made += 1;
    }
}

/// Takes batches until `count` have come in order.
fn consume<Producer: Wake>(handoff: &Handoff<Batch, Waker, Producer>, waker: &Waker, count: usize) {
    let mut seen = 0;
    while seen < count {
        waker.sleep();
        loop {
            waker.look();
            let Some((batch, more)) = handoff.take() else {
                break;
            };
            assert_eq!(batch.read(), seen);
            seen += 1;
            handoff.recycle(batch);
            if more == More::None {
                break;
            }
            waker.look_again();
        }
    }
    assert!(handoff.take().is_none());
}

fn hand_over(batch_count: usize, messages: usize) {
    let (consumer, producer) = (Waker::default(), Waker::default());
    let batches = batches(batch_count);
    let handoff = Arc::new(Handoff::new(batches, consumer.clone(), producer.clone()));
    let source = handoff.clone();
    let producing = thread::spawn(move || produce(&source, &producer, messages));
    consume(&handoff, &consumer, messages);
    producing.join().expect("it does not panic");
    // None was lost, and there are no more than there were.
    let blanks: Vec<Batch> = std::iter::from_fn(|| handoff.blank()).collect();
    assert_eq!(blanks.len(), batch_count);
}

#[test]
fn batches_arrive_in_order_and_nobody_sleeps_for_ever_with_one_batch() {
    model(4, || hand_over(1, 3));
}

#[test]
fn batches_arrive_in_order_and_nobody_sleeps_for_ever_with_two_batches() {
    model(4, || hand_over(2, 3));
}

/// As `crates/node/src/drivers/thread.rs` has it.
struct WakeByInbox(Arc<Inbox<usize, Waker>>);

impl Wake for WakeByInbox {
    fn wake(&self) {
        self.0.wake();
    }
}

/// The thread driver: the producer of batches sleeps at its inbox, for messages, for a batch, and
/// for its end.
#[test]
fn a_poller_is_woken_by_messages_by_batches_that_come_back_and_by_its_end() {
    model(3, || {
        let (poller_waker, loop_waker) = (Waker::default(), Waker::default());
        let inbox = Arc::new(Inbox::new(poller_waker.clone()));
        let handoff = Handoff::new(batches(1), loop_waker.clone(), WakeByInbox(inbox.clone()));
        let handoff = Arc::new(handoff);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (source, target, flag) = (inbox.clone(), handoff.clone(), is_stopped.clone());
        let poller = thread::spawn(move || {
            let (mut messages, mut waiting) = (Vec::new(), Vec::new());
            while !flag.load(Ordering::Acquire) {
                let blank = target.blank();
                // What is ready is served without sleeping, if there is somewhere to put it.
                if blank.is_none() || waiting.is_empty() {
                    poller_waker.sleep();
                    poller_waker.look();
                    source.take(&mut messages);
                    waiting.append(&mut messages);
                }
                let Some(mut batch) = blank else { continue };
                if waiting.is_empty() {
                    target.put_back(batch);
                } else {
                    batch.fill(waiting.remove(0));
                    target.push(batch);
                }
            }
        });
        assert!(inbox.post(0).is_ok());
        assert!(inbox.post(1).is_ok());
        consume(&handoff, &loop_waker, 2);
        is_stopped.store(true, Ordering::Release);
        inbox.wake();
        poller.join().expect("it does not panic");
    });
}

#[test]
fn a_consumer_that_goes_leaves_each_batch_to_be_dropped_once() {
    model(4, || {
        let drops = Drops::default();
        let tokens: Vec<Token> = (0..2).map(|_| drops.token()).collect();
        let waker = Waker::default();
        let handoff = Arc::new(Handoff::new(tokens, waker.clone(), Waker::default()));
        let source = handoff.clone();
        let producing = thread::spawn(move || {
            while let Some(token) = source.blank() {
                source.push(token);
            }
        });
        waker.look();
        let taken = handoff.take();
        let kept = usize::from(taken.is_some());
        drop(handoff);
        producing.join().expect("it does not panic");
        assert_eq!(drops.count() + kept, 2);
    });
}
