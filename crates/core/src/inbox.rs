//! The one way to somebody who owns something alone: whoever wants anything of it leaves a message.

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
pub struct Inbox<Message, Bell> {
    state: Mutex<State<Message>>,
    /// Wakes an owner that waits for nothing else.
    rung: Condvar,
    /// Wakes one that waits for other things as well.
    bell: Bell,
}

struct State<Message> {
    messages: Vec<Message>,
    owner: Owner,
    closed: bool,
}

/// What the owner is at, as far as those who post have to know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Has looked since it was woken, and hears the bell.
    Hears,
    /// Waits in [`Inbox::await_ring`].
    Waits,
    /// Was woken, and has not looked since.
    Rung,
}

impl<Message, Bell: Wake> Inbox<Message, Bell> {
    /// An empty one, whose owner `bell` wakes.
    pub fn new(bell: Bell) -> Self {
        Self {
            state: Mutex::new(State {
                messages: Vec::new(),
                owner: Owner::Hears,
                closed: false,
            }),
            rung: Condvar::new(),
            bell,
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
        self.ring(state);
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
        self.ring(state);
        waiting
    }

    /// Wakes the owner, without a message.
    pub fn nudge(&self) {
        let state = self.state();
        if !state.closed {
            self.ring(state);
        }
    }

    /// Waits until somebody posts or nudges, unless that has happened since the owner has looked. The bell is not rung for it.
    /// Only for the owner.
    pub fn await_ring(&self) {
        let mut state = self.state();
        while state.owner != Owner::Rung {
            state.owner = Owner::Waits;
            state = self
                .rung
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
        state.owner = Owner::Hears;
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

    fn ring(&self, mut state: MutexGuard<'_, State<Message>>) {
        let owner = std::mem::replace(&mut state.owner, Owner::Rung);
        drop(state);
        match owner {
            Owner::Hears => self.bell.wake(),
            Owner::Waits => self.rung.notify_one(),
            Owner::Rung => {}
        }
    }

    /// A panic while the lock was held cannot have left it half-changed: each step is whole.
    fn state(&self) -> MutexGuard<'_, State<Message>> {
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
    struct Rings(AtomicUsize);

    impl Wake for Arc<Rings> {
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
        let bell = Count::default();
        let inbox = Inbox::new(bell.clone());
        for message in 0..3 {
            assert_eq!(inbox.post(message), Ok(()));
        }
        assert_eq!(bell.0.get(), 1);
        let mut messages = Vec::new();
        inbox.take(&mut messages);
        assert_eq!(messages, [0, 1, 2]);
        assert_eq!(inbox.post_all(&mut messages), 3);
        assert!(messages.is_empty());
        assert_eq!(inbox.post_all(&mut vec![3, 4]), 5);
        assert_eq!(bell.0.get(), 2);
    }

    #[test]
    fn an_owner_that_waits_for_nothing_else_does_not_need_the_bell() {
        let bell = Arc::new(Rings::default());
        let inbox = Arc::new(Inbox::new(bell.clone()));
        // Has happened before.
        inbox.nudge();
        inbox.await_ring();
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        let mut messages = Vec::new();
        inbox.take(&mut messages);
        let (remote, waiting) = (inbox.clone(), inbox.clone());
        let sender = thread::spawn(move || {
            while waiting.state().owner != Owner::Waits {
                thread::yield_now();
            }
            remote.post(7)
        });
        inbox.await_ring();
        inbox.take(&mut messages);
        assert_eq!(messages, [7]);
        assert_eq!(sender.join().expect("it does not panic"), Ok(()));
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_wakes_for_nothing() {
        let bell = Count::default();
        Inbox::<u32, _>::new(bell.clone()).post_all(&mut Vec::new());
        assert_eq!(bell.0.get(), 0);
    }

    #[test]
    fn whoever_is_gone_gets_nothing() {
        let bell = Count::default();
        let inbox = Inbox::new(bell.clone());
        let kept = Rc::new(());
        assert!(inbox.post(kept.clone()).is_ok());
        inbox.close();
        assert_eq!(Rc::strong_count(&kept), 1);
        assert!(inbox.post(kept.clone()).is_err());
        inbox.post_all(&mut vec![kept.clone()]);
        assert_eq!(Rc::strong_count(&kept), 1);
        assert_eq!(bell.0.get(), 1);
    }
}
