use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Counts how often it was woken.
#[derive(Clone, Default)]
struct Waker(Arc<AtomicUsize>);

impl Waker {
    /// How often it was woken since the last time.
    fn wakes(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Waker {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl PartialEq for Waker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The number of a task, and of the connection that it is of.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    number: u32,
    connection: u64,
}

impl Assignable for Job {
    fn key(&self) -> u64 {
        self.connection
    }
}

/// A pool, and the waker that asks for more workers.
struct Office {
    pool: WorkPool<Job, Waker>,
    growth: Waker,
}

/// A worker and its waker.
struct Clerk {
    queue: WorkerQueue<Job, Waker>,
    waker: Waker,
}

impl Office {
    fn new(assignment: Assignment, concurrency: usize, max_queued: usize) -> Self {
        Self::keeping(0, assignment, concurrency, max_queued)
    }

    fn keeping(
        min_workers: usize,
        assignment: Assignment,
        concurrency: usize,
        max_queued: usize,
    ) -> Self {
        let settings = WorkSettings {
            assignment,
            concurrency,
            max_queued,
            min_workers,
        };
        let growth = Waker::default();
        let pool = WorkPool::new(settings, Box::new(growth.clone()));
        Self { pool, growth }
    }

    fn hire(&self) -> Clerk {
        let waker = Waker::default();
        let queue = self.pool.open_queue(Box::new(waker.clone()));
        Clerk { queue, waker }
    }

    fn hire_many<const COUNT: usize>(&self) -> [Clerk; COUNT] {
        std::array::from_fn(|_| self.hire())
    }

    /// Submits jobs of these numbers together, all of one connection.
    fn submit(&self, numbers: impl IntoIterator<Item = u32>) {
        self.submit_of(0, numbers);
    }

    fn submit_of(&self, connection: u64, numbers: impl IntoIterator<Item = u32>) {
        let job = |number| Job { number, connection };
        let mut jobs: Vec<Job> = numbers.into_iter().map(job).collect();
        let submitted = self.pool.submit(&mut jobs);
        assert_eq!(submitted, Ok(()));
        assert!(jobs.is_empty());
    }
}

impl Clerk {
    fn take(&mut self) -> Vec<u32> {
        let mut jobs = Vec::new();
        self.queue.take(&mut jobs);
        jobs.iter().map(|job| job.number).collect()
    }
}

const EACH: [Assignment; 3] = [
    Assignment::LeastOutstanding,
    Assignment::RoundRobin,
    Assignment::Sticky,
];

#[test]
fn whoever_has_the_fewest_gets_the_next() {
    let office = Office::new(Assignment::LeastOutstanding, 4, 10);
    let mut clerks = office.hire_many::<3>();
    office.submit(0..6);
    assert_eq!(clerks.each_mut().map(Clerk::take), [[0, 3], [1, 4], [2, 5]]);
    clerks[1].queue.finish(2);
    clerks[2].queue.finish(1);
    office.submit(6..10);
    // What was taken counts like what is only assigned, and among equals the first is taken.
    let taken = clerks.each_mut().map(Clerk::take);
    assert_eq!(taken, [vec![9], vec![6, 7], vec![8]]);
}

#[test]
fn workers_take_turns_as_far_as_they_have_room() {
    let office = Office::new(Assignment::RoundRobin, 2, 10);
    let mut clerks = office.hire_many::<3>();
    office.submit(0..4);
    assert_eq!(
        clerks.each_mut().map(Clerk::take),
        [vec![0, 3], vec![1], vec![2]]
    );
    // The second has finished, and its turn comes all the same when the others have had theirs.
    clerks[1].queue.finish(1);
    office.submit([4]);
    assert_eq!(clerks[1].take(), [4]);
    office.submit([5]);
    assert_eq!(clerks[2].take(), [5]);
    // Only the second has room.
    office.submit([6]);
    assert_eq!(clerks[1].take(), [6]);
    // No worker has.
    office.submit([7]);
    assert_eq!(clerks.each_mut().map(Clerk::take).concat(), []);
    assert_eq!(office.pool.stats().queued, 1);
}

#[test]
fn turns_go_on_when_a_worker_has_closed() {
    let office = Office::new(Assignment::RoundRobin, 10, 10);
    let [mut first, second, mut third] = office.hire_many();
    office.submit([0]);
    drop(second);
    office.submit([1, 2, 3]);
    assert_eq!(first.take(), [0, 2]);
    assert_eq!(third.take(), [1, 3]);
}

#[test]
fn what_sticks_to_a_worker_always_comes_to_it() {
    let office = Office::new(Assignment::Sticky, 1, 1_000);
    let mut clerks = office.hire_many::<4>();
    let mut owners = Vec::new();
    for round in 0..3 {
        for connection in 0..64 {
            office.submit_of(connection, [0]);
            let owner = clerks
                .iter_mut()
                .position(|clerk| {
                    let took = clerk.take().len() == 1;
                    clerk.queue.finish(usize::from(took));
                    took
                })
                .expect("somebody has it");
            if round == 0 {
                owners.push(owner);
            }
            assert_eq!(owners[connection as usize], owner);
        }
    }
    for clerk in 0..4 {
        assert!(owners.contains(&clerk), "{clerk} got nothing: {owners:?}");
    }
}

#[test]
fn what_sticks_to_a_busy_worker_waits_there() {
    let office = Office::new(Assignment::Sticky, 2, 3);
    let mut clerks = office.hire_many::<2>();
    office.submit_of(7, 0..5);
    let [one, two] = &mut clerks;
    let (busy, idle) = if one.waker.wakes() > 0 {
        (one, two)
    } else {
        (two, one)
    };
    assert_eq!(idle.take(), []);
    assert_eq!(busy.take(), [0, 1]);
    assert_eq!(busy.take(), []);
    // Three wait there, and two more fit into the other worker.
    assert_eq!(office.pool.room(), 2);
    assert!(busy.queue.finish(1));
    assert_eq!(busy.take(), [2]);
    assert!(busy.queue.finish(2));
    assert_eq!(busy.take(), [3, 4]);
    assert!(!busy.queue.finish(2));
    // None was for want of workers.
    assert_eq!(office.growth.wakes(), 0);
}

#[test]
fn the_first_worker_gets_what_waited_for_one() {
    for assignment in EACH {
        let office = Office::new(assignment, 2, 10);
        office.submit(0..3);
        assert_eq!(office.pool.stats().queued, 3);
        let mut clerk = office.hire();
        assert_eq!(clerk.waker.wakes(), 1, "{assignment:?}");
        assert_eq!(clerk.take(), [0, 1]);
        assert!(clerk.queue.finish(2));
        assert_eq!(clerk.take(), [2]);
    }
}

#[test]
fn room_is_what_workers_lack_and_the_queue_takes() {
    let office = Office::new(Assignment::LeastOutstanding, 2, 3);
    assert_eq!(office.pool.room(), 3);
    let mut clerk = office.hire();
    assert_eq!(office.pool.room(), 5);
    office.submit(0..4);
    assert_eq!(office.pool.room(), 1);
    assert_eq!(clerk.take(), [0, 1]);
    assert_eq!(office.pool.room(), 1);
    // Two who looked at the same time may both submit.
    office.submit(4..8);
    assert_eq!(office.pool.room(), 0);
    clerk.queue.finish(1);
    assert_eq!(office.pool.room(), 0);
    clerk.queue.close();
    assert_eq!(office.pool.room(), 0);
}

#[test]
fn whoever_waits_for_room_is_woken_once_when_there_is_some() {
    for assignment in EACH {
        let office = Office::new(assignment, 1, 1);
        let mut clerk = office.hire();
        let poller = Waker::default();
        assert!(office.pool.await_room(poller.clone()));
        office.submit(0..3);
        assert_eq!(clerk.take(), [0]);
        assert!(!office.pool.await_room(poller.clone()));
        assert!(!office.pool.await_room(poller.clone()));
        assert!(clerk.queue.finish(1));
        assert_eq!(poller.wakes(), 0, "one too many still waits");
        assert_eq!(clerk.take(), [1]);
        clerk.queue.finish(1);
        assert_eq!(poller.wakes(), 1, "{assignment:?}");
        assert_eq!(clerk.take(), [2]);
        clerk.queue.finish(1);
        assert_eq!(poller.wakes(), 0, "it does not wait any more");
    }
}

#[test]
fn a_new_worker_is_room() {
    for assignment in EACH {
        let office = Office::new(assignment, 1, 0);
        let (one, other) = (Waker::default(), Waker::default());
        assert!(!office.pool.await_room(one.clone()));
        assert!(!office.pool.await_room(other.clone()));
        let _clerk = office.hire();
        assert_eq!((one.wakes(), other.wakes()), (1, 1), "{assignment:?}");
    }
}

#[test]
fn more_workers_are_asked_for_once() {
    let office = Office::new(Assignment::LeastOutstanding, 1, 10);
    office.submit([0]);
    office.submit([1]);
    assert_eq!(office.growth.wakes(), 1);
    let mut first = office.hire();
    assert_eq!(first.take(), [0]);
    assert_eq!(office.growth.wakes(), 1, "one is not enough");
    office.submit([2]);
    assert_eq!(office.growth.wakes(), 0);
    let _second = office.hire();
    assert_eq!(office.growth.wakes(), 1);
    // An owner that has been asked is not asked for every task, but again once a worker has gone.
    office.submit([3, 4]);
    assert_eq!(office.growth.wakes(), 0);
    first.queue.finish(1);
    first.queue.close();
    assert_eq!(office.growth.wakes(), 1);
}

#[test]
fn where_nothing_may_be_queued_who_waits_for_room_has_more_workers_asked_for() {
    let office = Office::new(Assignment::LeastOutstanding, 1, 0);
    assert!(!office.pool.await_room(Waker::default()));
    assert!(!office.pool.await_room(Waker::default()));
    assert_eq!(office.growth.wakes(), 1);
    let _clerk = office.hire();
    assert!(office.pool.await_room(Waker::default()));
    assert_eq!(office.growth.wakes(), 0);
    office.submit([0]);
    assert!(!office.pool.await_room(Waker::default()));
    assert_eq!(office.growth.wakes(), 1);
}

#[test]
fn nobody_is_asked_to_grow_while_there_is_a_free_worker() {
    for assignment in EACH {
        let office = Office::new(assignment, 2, 10);
        let mut clerk = office.hire();
        for number in 0..5 {
            office.submit([number]);
            clerk.take();
            clerk.queue.finish(1);
        }
        assert_eq!(office.growth.wakes(), 0, "{assignment:?}");
    }
}

#[test]
fn what_a_closed_worker_had_not_taken_goes_to_others_before_what_came_later() {
    let office = Office::new(Assignment::RoundRobin, 3, 10);
    let [mut leaving, mut staying] = office.hire_many();
    office.submit([0]);
    assert_eq!(leaving.take(), [0]);
    office.submit(1..8);
    // Assigned are 1, 3, 5 to the one that stays, and 2, 4 to the other.
    assert_eq!(staying.take(), [1, 3, 5]);
    leaving.queue.close();
    assert_eq!(office.pool.stats().queued, 4);
    assert!(staying.queue.finish(3));
    assert_eq!(staying.take(), [2, 4, 6]);
    assert!(staying.queue.finish(3));
    assert_eq!(staying.take(), [7]);
    // What it had taken is its own.
    assert_eq!(office.pool.stats().running, 1);
}

#[test]
fn a_worker_that_gets_the_tasks_of_another_is_told() {
    for assignment in EACH {
        let office = Office::new(assignment, 5, 10);
        let [leaving, staying] = office.hire_many();
        for connection in 0..8 {
            office.submit_of(connection, [0]);
        }
        assert_eq!(staying.waker.wakes(), 1);
        let mut staying = staying;
        let taken = staying.take().len();
        assert!(taken < 8, "{assignment:?}");
        staying.queue.finish(taken);
        drop(leaving);
        assert_eq!(staying.waker.wakes(), 1, "{assignment:?}");
        assert_eq!(staying.take().len(), (8 - taken).min(5));
    }
}

#[test]
fn the_last_worker_leaves_its_tasks_to_the_next() {
    for assignment in EACH {
        let office = Office::new(assignment, 5, 10);
        let clerk = office.hire();
        office.submit(0..5);
        assert_eq!(office.growth.wakes(), 0);
        drop(clerk);
        assert_eq!(office.growth.wakes(), 1, "{assignment:?}");
        assert_eq!(office.hire().take(), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn only_a_worker_without_work_retires_and_only_where_enough_are_left() {
    let office = Office::keeping(1, Assignment::RoundRobin, 1, 10);
    let [mut first, mut second] = office.hire_many();
    office.submit([0]);
    assert!(!first.queue.retire(), "assigned");
    assert_eq!(first.take(), [0]);
    assert!(!first.queue.retire(), "taken");
    first.queue.finish(1);
    assert!(first.queue.retire());
    assert!(!second.queue.retire(), "the last");
    // A retired worker has no owner, whatever is done with it.
    assert!(first.queue.retire());
    office.submit([1, 2]);
    assert_eq!(first.take(), []);
    assert!(!first.queue.finish(1));
    first.queue.close();
    drop(first);
    assert_eq!(second.take(), [1]);
    assert_eq!(office.pool.stats().workers, 1);
    // A worker that opens is not mistaken for it.
    assert_eq!(office.hire().take(), [2]);
}

#[test]
fn a_closed_pool_drops_what_no_worker_has() {
    let office = Office::new(Assignment::RoundRobin, 2, 10);
    let mut clerk = office.hire();
    let poller = Waker::default();
    office.submit([0]);
    assert_eq!(clerk.take(), [0]);
    office.submit(1..20);
    assert!(!office.pool.await_room(poller.clone()));
    office.pool.close();
    assert_eq!(poller.wakes(), 1);
    let stats = office.pool.stats();
    assert_eq!((stats.queued, stats.running), (0, 1));
    assert_eq!(clerk.take(), []);
    assert!(!clerk.queue.finish(1));
    office.submit(20..30);
    assert_eq!(clerk.take(), []);
    clerk.queue.close();
    assert_eq!(office.pool.stats().queued, 0);
    office.pool.close();
}

/// A poller that reads what no worker will handle learns so by submitting it: with no room for it,
/// it would ask for ever.
#[test]
fn a_closed_pool_has_room() {
    let office = Office::new(Assignment::RoundRobin, 1, 0);
    assert_eq!(office.pool.room(), 0);
    office.pool.close();
    assert!(office.pool.await_room(Waker::default()));
    assert!(office.pool.room() > 0);
}

#[test]
fn the_waker_is_woken_once_until_somebody_looks() {
    let office = Office::new(Assignment::LeastOutstanding, 3, 10);
    let mut clerk = office.hire();
    assert_eq!(clerk.waker.wakes(), 0);
    office.submit([0]);
    office.submit([1]);
    assert_eq!(clerk.waker.wakes(), 1);
    assert_eq!(clerk.take(), [0, 1]);
    office.submit([2]);
    assert_eq!(clerk.waker.wakes(), 1);
    // It reports before it looks, and is told that there is something; the waker stays silent.
    assert!(clerk.queue.finish(2));
    assert_eq!(clerk.waker.wakes(), 0);
    assert_eq!(clerk.take(), [2]);
    assert!(!clerk.queue.finish(1));
    office.submit([3]);
    assert_eq!(clerk.waker.wakes(), 1);
}

#[test]
fn whoever_reports_learns_of_what_waited_without_a_waker() {
    let office = Office::new(Assignment::LeastOutstanding, 1, 10);
    let mut clerk = office.hire();
    office.submit(0..3);
    assert_eq!(clerk.waker.wakes(), 1);
    assert_eq!(clerk.take(), [0]);
    assert!(clerk.queue.finish(1));
    // It was told, and does not look at once: what comes meanwhile needs no waker either.
    office.submit([3]);
    assert_eq!(clerk.waker.wakes(), 0);
    assert_eq!(clerk.take(), [1]);
}

#[test]
fn reporting_more_than_was_taken_makes_no_room_out_of_nothing() {
    let office = Office::new(Assignment::LeastOutstanding, 1, 1);
    let mut clerk = office.hire();
    assert!(!clerk.queue.finish(5));
    assert_eq!(office.pool.room(), 2);
    office.submit(0..2);
    assert_eq!(clerk.take(), [0]);
    assert_eq!(clerk.take(), []);
    assert_eq!(office.pool.room(), 0);
}

#[test]
fn it_is_counted_what_waits_and_what_runs() {
    let office = Office::new(Assignment::LeastOutstanding, 2, 10);
    assert_eq!(office.pool.stats(), WorkStats::default());
    let [mut one, _other] = office.hire_many();
    office.submit(0..7);
    assert_eq!(one.take().len(), 2);
    let expected = WorkStats {
        workers: 2,
        queued: 5,
        running: 2,
        submitted: 7,
    };
    assert_eq!(office.pool.stats(), expected);
    one.queue.finish(2);
    assert_eq!(office.pool.stats().running, 0);
    assert_eq!(office.pool.stats().submitted, 7);
}
