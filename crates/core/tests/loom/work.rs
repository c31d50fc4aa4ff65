//! `src/work/pool.rs` and `queue.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::thread::{self, JoinHandle};
use netpoll_core::work::{Assignable, Assignment, WorkPool, WorkSettings, WorkerQueue};
use netpoll_core::{Inbox, Wake};

use crate::support::{Waker, model};

type Pool = WorkPool<Job, PollerHandle>;

enum PollerMessage {
    Answer(usize, Answer),
    Room,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Reply,
    Lost,
}

/// Stands in for `netpoll_core::work::Origin`, which needs a poller with sockets.
struct Job {
    handle: PollerHandle,
    number: usize,
    answer: Answer,
}

impl Job {
    fn run(mut self) {
        self.answer = Answer::Reply;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let message = PollerMessage::Answer(self.number, self.answer);
        assert!(self.handle.0.post(message).is_ok());
    }
}

impl Assignable for Job {
    fn key(&self) -> u64 {
        self.number as u64
    }
}

/// Stands in for `netpoll_core::PollerHandle`.
#[derive(Clone)]
struct PollerHandle(Arc<Inbox<PollerMessage, Waker>>);

impl PartialEq for PollerHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Wake for PollerHandle {
    fn wake(&self) {
        assert!(self.0.post(PollerMessage::Room).is_ok());
    }
}

/// Submits jobs, and gets their answers.
struct Poller {
    pool: Pool,
    waker: Waker,
    handle: PollerHandle,
    answers: Vec<Option<Answer>>,
    is_stalled: bool,
}

impl Poller {
    fn new(pool: &Pool) -> Self {
        let waker = Waker::default();
        Self {
            pool: pool.clone(),
            handle: PollerHandle(Arc::new(Inbox::new(waker.clone()))),
            waker,
            answers: Vec::new(),
            is_stalled: false,
        }
    }

    fn submit(&mut self, count: usize) {
        let job = |number| Job {
            handle: self.handle.clone(),
            number,
            answer: Answer::Lost,
        };
        let first = self.answers.len();
        let mut jobs = (first..first + count).map(job).collect();
        self.answers.resize(first + count, None);
        let submitted = self.pool.submit(&mut jobs);
        assert_eq!(submitted, Ok(()));
        assert!(jobs.is_empty());
    }

    /// As a poller that looks for room before it reads: `count` jobs, one at a time.
    fn submit_when_there_is_room(&mut self, count: usize) {
        for _ in 0..count {
            while self.pool.room() == 0 {
                self.is_stalled = !self.pool.await_room(self.handle.clone());
                while self.is_stalled {
                    self.read_inbox();
                }
            }
            self.submit(1);
        }
    }

    fn read_inbox(&mut self) {
        self.waker.sleep();
        self.waker.look();
        let mut messages = Vec::new();
        self.handle.0.take(&mut messages);
        for message in messages {
            match message {
                PollerMessage::Answer(number, answer) => {
                    assert_eq!(self.answers[number].replace(answer), None);
                }
                PollerMessage::Room => self.is_stalled = false,
            }
        }
    }

    /// All answers. A job without one would be waited for in vain.
    fn collect(&mut self) -> Vec<Answer> {
        while self.answers.contains(&None) {
            self.read_inbox();
        }
        self.answers.drain(..).flatten().collect()
    }
}

/// A worker and the worker: `crates/node/src/drivers/worker.rs`.
struct Worker {
    queue: WorkerQueue<Job, PollerHandle>,
    waker: Waker,
    is_stopped: Arc<AtomicBool>,
}

/// A worker's thread.
struct Thread {
    handle: JoinHandle<()>,
    waker: Waker,
    is_stopped: Arc<AtomicBool>,
}

impl Worker {
    fn new(pool: &Pool) -> Self {
        let waker = Waker::default();
        Self {
            queue: pool.open_queue(Box::new(waker.clone())),
            waker,
            is_stopped: Arc::default(),
        }
    }

    /// Runs `body`, then jobs until it is stopped.
    fn start(mut self, body: impl FnOnce(&mut Self) + 'static) -> Thread {
        Thread {
            waker: self.waker.clone(),
            is_stopped: self.is_stopped.clone(),
            handle: thread::spawn(move || {
                body(&mut self);
                self.serve();
            }),
        }
    }

    fn serve(&mut self) {
        loop {
            self.waker.sleep();
            if self.is_stopped.load(Ordering::Relaxed) {
                return;
            }
            while self.run_some() {}
        }
    }

    fn take(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        self.waker.look();
        self.queue.take(&mut jobs);
        jobs
    }

    /// Returns whether there are more, of which the waker does not tell.
    fn run_some(&mut self) -> bool {
        let jobs = self.take();
        let count = jobs.len();
        jobs.into_iter().for_each(Job::run);
        self.waker.look();
        count > 0 && self.queue.finish(count)
    }
}

impl Thread {
    fn stop(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.waker.rouse();
        self.handle.join().expect("it does not panic");
    }
}

fn settings(assignment: Assignment, concurrency: usize, max_queued: usize) -> WorkSettings {
    WorkSettings {
        assignment,
        concurrency,
        max_queued,
        min_workers: 1,
    }
}

fn pool(assignment: Assignment, concurrency: usize, max_queued: usize) -> Pool {
    let settings = settings(assignment, concurrency, max_queued);
    WorkPool::new(settings, Box::new(GrowthIsAskedFor))
}

/// Of models in which no thread opens a worker.
struct GrowthIsAskedFor;

impl Wake for GrowthIsAskedFor {
    fn wake(&self) {}
}

fn two_workers_serve(assignment: Assignment) {
    let pool = pool(assignment, 1, 8);
    let workers = [Worker::new(&pool), Worker::new(&pool)].map(|worker| worker.start(|_| {}));
    let mut poller = Poller::new(&pool);
    poller.submit(2);
    poller.submit(1);
    assert_eq!(poller.collect(), [Answer::Reply; 3]);
    workers.into_iter().for_each(Thread::stop);
}

#[test]
fn every_task_is_run_once_by_whoever_has_the_fewest() {
    model(2, || two_workers_serve(Assignment::LeastOutstanding));
}

#[test]
fn every_task_is_run_once_in_turn() {
    model(2, || two_workers_serve(Assignment::RoundRobin));
}

#[test]
fn every_task_is_run_once_by_its_own_worker() {
    model(2, || two_workers_serve(Assignment::Sticky));
}

#[test]
fn what_a_worker_that_closes_has_not_taken_goes_to_another() {
    model(2, || {
        let pool = pool(Assignment::Sticky, 1, 8);
        let (mut closing, staying) = (Worker::new(&pool), Worker::new(&pool));
        let staying = staying.start(|_| {});
        let closing = thread::spawn(move || {
            let taken = closing.take();
            closing.queue.close();
            taken.len()
        });
        let mut poller = Poller::new(&pool);
        poller.submit(2);
        poller.submit(1);
        let lost = closing.join().expect("it does not panic");
        let answers = poller.collect();
        assert_eq!(answers.iter().filter(|a| **a == Answer::Lost).count(), lost);
        staying.stop();
    });
}

#[test]
fn of_workers_that_retire_one_stays_and_runs_every_task() {
    model(2, || {
        let pool = pool(Assignment::RoundRobin, 1, 8);
        let workers = [Worker::new(&pool), Worker::new(&pool)].map(|worker| {
            worker.start(|worker| {
                if worker.queue.retire() {
                    worker.is_stopped.store(true, Ordering::Relaxed);
                    worker.waker.rouse();
                }
            })
        });
        let mut poller = Poller::new(&pool);
        poller.submit(1);
        poller.submit(1);
        assert_eq!(poller.collect(), [Answer::Reply; 2]);
        workers.into_iter().for_each(Thread::stop);
    });
}

fn two_pollers_share(concurrency: usize, max_queued: usize) {
    let pool = pool(Assignment::LeastOutstanding, concurrency, max_queued);
    let worker = Worker::new(&pool).start(|_| {});
    let [mut other, mut poller] = [Poller::new(&pool), Poller::new(&pool)];
    let other = thread::spawn(move || {
        other.submit_when_there_is_room(2);
        assert_eq!(other.collect(), [Answer::Reply; 2]);
    });
    poller.submit_when_there_is_room(2);
    assert_eq!(poller.collect(), [Answer::Reply; 2]);
    other.join().expect("it does not panic");
    worker.stop();
}

#[test]
fn pollers_that_await_room_of_a_worker_go_on() {
    model(2, || two_pollers_share(1, 0));
}

#[test]
fn pollers_that_await_room_of_the_queue_go_on() {
    model(2, || two_pollers_share(1, 1));
}

/// Opens workers when it is asked to, in a thread of its own: `src-ts/workers/pool.ts`.
fn grow(pool: &Pool, waker: &Waker, most: usize, is_stopped: &AtomicBool) {
    let mut threads = Vec::new();
    loop {
        waker.sleep();
        if is_stopped.load(Ordering::Relaxed) {
            break;
        }
        waker.look();
        if threads.len() < most {
            threads.push(Worker::new(pool).start(|_| {}));
        }
    }
    threads.into_iter().for_each(Thread::stop);
}

fn workers_open_when_they_are_lacking(concurrency: usize, max_queued: usize, max_workers: usize) {
    let waker = Waker::default();
    let settings = settings(Assignment::LeastOutstanding, concurrency, max_queued);
    let pool = WorkPool::new(settings, Box::new(waker.clone()));
    let is_stopped = Arc::new(AtomicBool::new(false));
    let (growing, growing_waker, flag) = (pool.clone(), waker.clone(), is_stopped.clone());
    let growth = thread::spawn(move || grow(&growing, &growing_waker, max_workers, &flag));
    let mut poller = Poller::new(&pool);
    poller.submit_when_there_is_room(2);
    assert_eq!(poller.collect(), [Answer::Reply; 2]);
    is_stopped.store(true, Ordering::Relaxed);
    waker.rouse();
    growth.join().expect("it does not panic");
}

#[test]
fn a_worker_opens_when_tasks_wait_and_there_is_none() {
    model(2, || workers_open_when_they_are_lacking(1, 8, 1));
}

#[test]
fn a_worker_opens_when_a_poller_waits_and_there_is_none() {
    model(2, || workers_open_when_they_are_lacking(1, 0, 1));
}

#[test]
fn further_workers_open_up_to_a_bound() {
    model(2, || workers_open_when_they_are_lacking(1, 1, 2));
}

/// The first worker never has done: without another the second task would wait for ever.
fn a_worker_is_asked_for_beside_a_busy_one(max_queued: usize) {
    let waker = Waker::default();
    let settings = settings(Assignment::LeastOutstanding, 1, max_queued);
    let pool = WorkPool::new(settings, Box::new(waker.clone()));
    let mut busy = Worker::new(&pool);
    let growing = pool.clone();
    let growth = thread::spawn(move || {
        waker.sleep();
        waker.look();
        Worker::new(&growing).start(|_| {})
    });
    let mut poller = Poller::new(&pool);
    poller.submit_when_there_is_room(1);
    let taken = busy.take();
    assert_eq!(taken.len(), 1);
    poller.submit_when_there_is_room(1);
    drop(taken);
    assert_eq!(poller.collect(), [Answer::Lost, Answer::Reply]);
    growth.join().expect("it does not panic").stop();
}

#[test]
fn growth_is_asked_for_when_tasks_wait_and_every_worker_is_busy() {
    model(2, || a_worker_is_asked_for_beside_a_busy_one(1));
}

#[test]
fn growth_is_asked_for_when_a_poller_waits_and_every_worker_is_busy() {
    model(2, || a_worker_is_asked_for_beside_a_busy_one(0));
}

#[test]
fn of_a_pool_that_closes_each_task_is_run_or_lost() {
    model(2, || {
        let pool = pool(Assignment::LeastOutstanding, 1, 0);
        let worker = Worker::new(&pool).start(|_| {});
        let mut poller = Poller::new(&pool);
        let closing = pool.clone();
        let closing = thread::spawn(move || closing.close());
        poller.submit(2);
        poller.submit_when_there_is_room(1);
        let answers = poller.collect();
        assert_eq!(answers.len(), 3);
        closing.join().expect("it does not panic");
        worker.stop();
    });
}
