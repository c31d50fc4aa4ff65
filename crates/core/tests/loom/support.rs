use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::{Condvar, Mutex};
use netpoll_core::Wake;

/// Tries every order of events in which threads are preempted no more often than that.
pub fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(body);
}

/// What a thread sleeps at, and is woken by. As with mio's waker and N-API's threadsafe functions,
/// a thread that is woken before falling asleep does not. A thread that waits for a wake-up that
/// was lost is a deadlock, which loom finds.
#[derive(Clone, Default)]
pub struct Waker(Arc<State>);

// What only tests look at is the standard library's: no thread is preempted there.
#[derive(Default)]
struct State {
    woken: Mutex<bool>,
    changed: Condvar,
    wakes: AtomicUsize,
    looks: AtomicUsize,
}

impl Waker {
    /// Until another thread wakes us.
    pub fn sleep(&self) {
        let mut woken = self.0.woken.lock().expect("no test panics here");
        while !*woken {
            woken = self.0.changed.wait(woken).expect("no test panics here");
        }
        *woken = false;
    }

    /// To be called before the owner looks, after which it may be woken once more.
    pub fn look(&self) {
        self.0.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// The owner has looked, and need not be woken.
    pub fn look_again(&self) {
        self.0.looks.fetch_sub(1, Ordering::Relaxed);
    }

    /// As [`Wake::wake`], for a reason of the test's own.
    pub fn rouse(&self) {
        *self.0.woken.lock().expect("no test panics here") = true;
        self.0.changed.notify_one();
    }
}

impl Wake for Waker {
    fn wake(&self) {
        let wakes = self.0.wakes.fetch_add(1, Ordering::Relaxed) + 1;
        let looks = self.0.looks.load(Ordering::Relaxed);
        assert!(wakes <= looks + 1, "woken twice without having looked");
        self.rouse();
    }
}

/// Counts how many of its tokens were dropped.
#[derive(Clone, Default)]
pub struct Drops(Arc<AtomicUsize>);

/// See [`Drops`].
pub struct Token(Drops);

impl Drops {
    pub fn token(&self) -> Token {
        Token(self.clone())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}
