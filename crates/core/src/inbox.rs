//! The one way to an owner that has something alone: each sender that wants anything of it leaves a
//! message.

use std::sync::PoisonError;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// Rouses the owner of an inbox, or of whatever else is handed over between threads. Behind a trait, so that the models
/// need no system.
pub trait Wake {
    /// Makes the owner look soon. Called from any thread, and never twice without the owner having looked.
    fn wake(&self);
}

/// Messages in the order in which they were posted. Posting wakes the owner once until it has looked, however many messages
/// there are.
pub struct Inbox<Message, Waker> {
    state: Mutex<InboxState<Message>>,
    /// Wakes an owner that waits for nothing else.
    woken: Condvar,
    /// Wakes one that waits for other things as well.
    waker: Waker,
}

struct InboxState<Message> {
    messages: Vec<Message>,
    owner: Owner,
    closed: bool,
}

/// What the owner is at, as far as those who post have to know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Has looked since it was woken, and hears the waker.
    Listens,
    /// Waits in [`Inbox::await_wake`].
    Waits,
    /// Was woken, and has not looked since.
    Woken,
}

impl<Message, Waker: Wake> Inbox<Message, Waker> {
    /// An empty one, whose owner `waker` wakes.
    pub fn new(waker: Waker) -> Self {
        Self {
            state: Mutex::new(InboxState {
                messages: Vec::new(),
                owner: Owner::Listens,
                closed: false,
            }),
            woken: Condvar::new(),
            waker,
        }
    }

    /// Leaves a message.
    ///
    /// # Errors
    /// The message itself, when the owner is gone.
    pub fn post(&self, message: Message) -> Result<(), Message> {
        let mut state = self.state();
        if state.closed {
            return Err(message);
        }
        state.messages.push(message);
        self.wake_owner(state);
        Ok(())
    }

    /// Leaves messages, which `messages` is drained of, under one lock. Those for an owner that is gone are dropped. Returns
    /// how many wait now.
    pub fn post_all(&self, messages: &mut Vec<Message>) -> usize {
        if messages.is_empty() {
            return 0;
        }
        let mut state = self.state();
        if state.closed {
            drop(state);
            messages.clear();
            return 0;
        }
        state.messages.append(messages);
        let waiting = state.messages.len();
        self.wake_owner(state);
        waiting
    }

    /// Wakes the owner, without a message.
    pub fn wake(&self) {
        let state = self.state();
        if !state.closed {
            self.wake_owner(state);
        }
    }

    /// Waits until a sender posts or wakes, unless that has happened since the owner has looked.
    /// The waker is not woken for it. Only for the owner.
    pub fn await_wake(&self) {
        let mut state = self.state();
        while state.owner != Owner::Woken {
            state.owner = Owner::Waits;
            state = self
                .woken
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts all messages into `into`, which must be empty: it changes places with the inside, so that neither allocates for
    /// long. Only for the owner.
    pub fn take(&self, into: &mut Vec<Message>) {
        debug_assert!(
            into.is_empty(),
            "messages that were taken before are dealt with"
        );
        let mut state = self.state();
        state.owner = Owner::Listens;
        std::mem::swap(&mut state.messages, into);
    }

    /// Takes no further message; what is there is dropped. Only for the owner.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let messages = std::mem::take(&mut state.messages);
        // What a message holds may post messages when it is dropped.
        drop(state);
        drop(messages);
    }

    fn wake_owner(&self, mut state: MutexGuard<'_, InboxState<Message>>) {
        let owner = std::mem::replace(&mut state.owner, Owner::Woken);
        drop(state);
        match owner {
            Owner::Listens => self.waker.wake(),
            Owner::Waits => self.woken.notify_one(),
            Owner::Woken => {}
        }
    }

    /// A panic while the lock was held cannot have left it half-changed: each step is whole.
    fn state(&self) -> MutexGuard<'_, InboxState<Message>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Arc<Wakes> {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Clone, Default)]
    struct Count(Rc<Cell<usize>>);

    impl Wake for Count {
        fn wake(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn the_owner_is_woken_once_until_it_has_looked() {
        let waker = Count::default();
        let inbox = Inbox::new(waker.clone());
        for message in 0..3 {
            assert_eq!(inbox.post(message), Ok(()));
        }
        assert_eq!(waker.0.get(), 1);
        let mut messages = Vec::new();
        inbox.take(&mut messages);
        assert_eq!(messages, [0, 1, 2]);
        assert_eq!(inbox.post_all(&mut messages), 3);
        assert!(messages.is_empty());
        assert_eq!(inbox.post_all(&mut vec![3, 4]), 5);
        assert_eq!(waker.0.get(), 2);
    }

    #[test]
    fn an_owner_that_waits_for_nothing_else_does_not_need_the_waker() {
        let waker = Arc::new(Wakes::default());
        let inbox = Arc::new(Inbox::new(waker.clone()));
        // Has happened before.
        inbox.wake();
        inbox.await_wake();
        assert_eq!(waker.0.load(Ordering::Relaxed), 1);
        let mut messages = Vec::new();
        inbox.take(&mut messages);
        let (remote, waiting) = (inbox.clone(), inbox.clone());
        let sender = thread::spawn(move || {
            while waiting.state().owner != Owner::Waits {
                thread::yield_now();
            }
            remote.post(7)
        });
        inbox.await_wake();
        inbox.take(&mut messages);
        assert_eq!(messages, [7]);
        assert_eq!(sender.join().expect("it does not panic"), Ok(()));
        assert_eq!(waker.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_wakes_for_nothing() {
        let waker = Count::default();
        Inbox::<u32, _>::new(waker.clone()).post_all(&mut Vec::new());
        assert_eq!(waker.0.get(), 0);
    }

    #[test]
    fn whoever_is_gone_gets_nothing() {
        let waker = Count::default();
        let inbox = Inbox::new(waker.clone());
        let kept = Rc::new(());
        assert!(inbox.post(kept.clone()).is_ok());
        inbox.close();
        assert_eq!(Rc::strong_count(&kept), 1);
        assert!(inbox.post(kept.clone()).is_err());
        inbox.post_all(&mut vec![kept.clone()]);
        assert_eq!(Rc::strong_count(&kept), 1);
        assert_eq!(waker.0.get(), 1);
    }
}
