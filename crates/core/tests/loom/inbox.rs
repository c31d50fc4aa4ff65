//! `src/inbox.rs`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use netpoll_core::Inbox;

use crate::support::{Drops, Waker, model};

#[test]
fn every_message_arrives_once_and_in_its_senders_order() {
    model(3, || {
        let waker = Waker::default();
        let inbox = Arc::new(Inbox::new(waker.clone()));
        let single = inbox.clone();
        let bundle = inbox.clone();
        let senders = [
            thread::spawn(move || {
                assert!(single.post((0, 0)).is_ok());
                assert!(single.post((0, 1)).is_ok());
            }),
            thread::spawn(move || {
                bundle.post_all(&mut vec![(1, 0), (1, 1)]);
            }),
        ];
        let (mut messages, mut arrived) = (Vec::new(), [0, 0]);
        while arrived != [2, 2] {
            waker.sleep();
            waker.look();
            inbox.take(&mut messages);
            for (sender, number) in messages.drain(..) {
                let expected: &mut usize = &mut arrived[sender];
                assert_eq!(number, *expected);
                *expected += 1;
            }
        }
        for sender in senders {
            sender.join().expect("it does not panic");
        }
        inbox.take(&mut messages);
        assert!(messages.is_empty());
    });
}

/// How `crates/node/src/drivers/thread.rs` ends. The flag is looked at after the inbox was taken,
/// and not between waking up and that, where a wake-up reaches no sleeping thread.
#[test]
fn an_owner_that_is_woken_sees_what_was_set_before() {
    model(3, || {
        let waker = Waker::default();
        let inbox = Arc::new(Inbox::new(waker.clone()));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (handle, flag) = (inbox.clone(), is_stopped.clone());
        let stopping = thread::spawn(move || {
            assert!(handle.post(()).is_ok());
            flag.store(true, Ordering::Release);
            handle.wake();
        });
        let mut messages = Vec::new();
        while !is_stopped.load(Ordering::Acquire) {
            waker.sleep();
            waker.look();
            inbox.take(&mut messages);
            messages.clear();
        }
        stopping.join().expect("it does not panic");
    });
}

/// As a poller that has no batch to fill waits for its inbox alone, and then for everything again.
#[test]
fn an_owner_that_waits_in_either_way_hears_of_every_message() {
    model(3, || {
        let waker = Waker::default();
        let inbox = Arc::new(Inbox::new(waker.clone()));
        let senders = [0, 1].map(|message| {
            let handle = inbox.clone();
            thread::spawn(move || assert!(handle.post(message).is_ok()))
        });
        let (mut messages, mut arrived, mut rounds) = (Vec::new(), 0, 0);
        while arrived < 2 {
            if rounds % 2 == 0 {
                inbox.await_wake();
            } else {
                waker.sleep();
            }
            rounds += 1;
            waker.look();
            inbox.take(&mut messages);
            arrived += messages.drain(..).count();
        }
        for sender in senders {
            sender.join().expect("it does not panic");
        }
    });
}

#[test]
fn what_is_posted_to_an_owner_that_goes_is_taken_dropped_or_given_back() {
    model(3, || {
        let waker = Waker::default();
        let inbox = Arc::new(Inbox::new(waker.clone()));
        let drops = Drops::default();
        let single = (inbox.clone(), drops.token());
        let bundle = (inbox.clone(), vec![drops.token(), drops.token()]);
        let senders = [
            thread::spawn(move || {
                let (inbox, token) = single;
                drop(inbox.post(token));
                inbox.wake();
            }),
            thread::spawn(move || {
                let (inbox, mut tokens) = bundle;
                inbox.post_all(&mut tokens);
                assert!(tokens.is_empty());
            }),
        ];
        let mut taken = Vec::new();
        waker.look();
        inbox.take(&mut taken);
        inbox.close();
        assert_eq!(inbox.post(drops.token()).err().map(drop), Some(()));
        for sender in senders {
            sender.join().expect("it does not panic");
        }
        // The inbox itself keeps none.
        assert_eq!(drops.count() + taken.len(), 4);
    });
}

/// As a task does whose worker is gone: it answers its poller.
struct Origin(Arc<Inbox<PollerMessage, Waker>>);

enum PollerMessage {
    Task { _origin: Origin },
    Answer,
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.0.post(PollerMessage::Answer));
    }
}

#[test]
fn messages_that_post_when_they_are_dropped_block_nobody() {
    model(3, || {
        let inbox = Arc::new(Inbox::new(Waker::default()));
        let handle = inbox.clone();
        let task = |inbox: &Arc<Inbox<PollerMessage, Waker>>| PollerMessage::Task {
            _origin: Origin(inbox.clone()),
        };
        let sender = thread::spawn(move || {
            drop(handle.post(task(&handle)));
            handle.post_all(&mut vec![task(&handle), task(&handle)]);
        });
        inbox.close();
        sender.join().expect("it does not panic");
        let mut messages = Vec::new();
        inbox.take(&mut messages);
        assert!(messages.is_empty());
    });
}
