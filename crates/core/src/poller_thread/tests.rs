use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender};

use super::*;

/// When something that does not come makes a test fail.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct TestWaker(Arc<Mutex<SyncSender<()>>>);

impl Wake for TestWaker {
    fn wake(&self) {
        let _ = self.0.lock().expect("nothing panics here").try_send(());
    }
}

fn test_waker() -> (TestWaker, Receiver<()>) {
    let (sender, receiver) = mpsc::sync_channel(1);
    (TestWaker(Arc::new(Mutex::new(sender))), receiver)
}

fn thread() -> PollerThread {
    PollerThread::start("test", ChunkPool::new(4096, 0)).expect("a thread")
}

fn new_batch() -> Batch {
    Batch::with_capacity(64)
}

#[test]
fn a_question_is_answered_until_the_thread_is_stopped() {
    let mut thread = thread();
    let handle = thread.handle().clone();
    let (consumer, _told) = test_waker();
    thread.serve(consumer, new_batch);
    assert_eq!(handle.ask(|poller| poller.has_ready()), Some(false));
    thread.stop();
    assert_eq!(handle.ask(|poller| poller.has_ready()), None);
    assert_eq!(thread.failure().get(), None);
}

#[test]
fn one_that_never_got_work_is_stopped_as_well() {
    let thread = thread();
    let handle = thread.handle().clone();
    drop(thread);
    assert_eq!(handle.ask(|_| ()), None);
}

#[test]
fn the_consumer_is_told_of_a_panic() {
    let mut thread = thread();
    let (consumer, told) = test_waker();
    thread.serve(consumer, new_batch);
    assert_eq!(
        thread.handle().ask(|_| -> () { panic!("on purpose") }),
        None
    );
    told.recv_timeout(PATIENCE).expect("the consumer is woken");
    assert_eq!(thread.failure().get(), Some("netpoll panicked: on purpose"));
}

#[test]
fn a_failed_accept_thread_says_why() {
    let mut thread = thread();
    thread.accept();
    let failure = thread.failure().clone();
    assert_eq!(
        thread.handle().ask(|_| -> () { panic!("on purpose") }),
        None
    );
    thread.stop();
    assert_eq!(failure.get(), Some("netpoll panicked: on purpose"));
}

#[test]
fn a_poller_without_an_empty_batch_still_reads_its_inbox() {
    let mut thread = thread();
    let (consumer, _told) = test_waker();
    let handoff = thread.serve(consumer, new_batch);
    let mut taken = Vec::new();
    // It may have one in its hands, which it gives back.
    while taken.len() < BATCHES {
        taken.extend(handoff.blank());
        thread.handle().wake();
    }
    assert_eq!(thread.handle().ask(|_| 7), Some(7));
    handoff.recycle(taken.remove(0));
    assert_eq!(thread.handle().ask(|_| 8), Some(8));
}

#[test]
fn a_sender_waits_for_a_poller_that_does_not_keep_up() {
    let mut thread = thread();
    let handle = thread.handle().clone();
    let done = Arc::new(AtomicBool::new(false));
    let last = done.clone();
    let mut messages: Vec<PollerMessage> = (0..=MAX_WAITING).map(|_| PollerMessage::Room).collect();
    messages.push(PollerMessage::visit(move |_| {
        last.store(true, Ordering::Release);
    }));
    let sender = thread::spawn(move || {
        handle.post_paced(&mut messages);
        done.load(Ordering::Acquire)
    });
    thread.accept();
    assert!(sender.join().expect("it does not panic"));
}
