//! The loop that drives the server: one thread, one poller.

use std::io;
use std::time::Duration;

use anyhow::Result;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::connection::{Clock, Connection, Readiness};
use super::exchange::Exchange;
use super::failure::{Failure, Failures, Kind};
use super::idle::Idle;
use super::measurement::Measurement;
use super::pace::{FixedRate, Pace};
use super::phase::{Phase, Phases};
use super::time_limit::TimeLimit;
use crate::args::Extent;

/// More than all replies that usually wait on a socket, for one read per wake-up.
const READ_SIZE: usize = 256 * 1024;

/// No limit on the requests still to be sent.
const ENDLESS: u64 = u64::MAX;

/// A schedule is awaited by polling once its next request is this close, because
/// a poller sleeps in whole milliseconds.
const POLLED: u64 = 2_000_000;

/// What a run does.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Requests per second on a schedule, or as many as the server answers.
    pub rate: Option<f64>,
    /// How much load comes before the measured part.
    pub warm_up: Extent,
    /// How much is measured.
    pub measured: Extent,
    /// How long each request may take.
    pub timeout: Option<Duration>,
    /// Time without any reply after which the run is given up.
    pub stall_timeout: Duration,
    /// What happens while no reply is there.
    pub waiting: Waiting,
}

/// What the client does while no reply is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It sleeps until the next event.
    Sleep,
    /// It asks again at once.
    BusyPoll,
}

/// A run in progress.
#[derive(Debug)]
pub struct Load<'a, E> {
    poll: Poll,
    /// `None` once it has failed.
    connections: Vec<Option<Connection<E>>>,
    idle: &'a mut Idle,
    buffer: Box<[u8]>,
    clock: Clock,
    pace: Pace,
    phases: Phases,
    limit: TimeLimit,
    /// Nanoseconds without any reply after which the run is given up.
    stall_timeout: u64,
    waiting: Waiting,
    /// Requests that may still be sent, or become due.
    left: u64,
    /// Requests sent or due whose reply has not come.
    outstanding: u64,
    /// Replies since the beginning.
    answered: u64,
    /// When a reply last came, or a first request went out.
    progress_at: u64,
    measurement: Measurement,
}

impl<'a, E: Exchange> Load<'a, E> {
    /// Prepares a run over open connections.
    pub fn new(
        connections: Vec<Connection<E>>,
        idle: &'a mut Idle,
        plan: Plan,
        measurement: Measurement,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections: Vec<_> = connections.into_iter().map(Some).collect();
        for (index, connection) in connections.iter_mut().flatten().enumerate() {
            poll.registry()
                .register(connection.stream(), Token(index), Interest::READABLE)?;
        }
        idle.register(poll.registry(), connections.len())?;
        let clock = Clock::start();
        let pace = match plan.rate {
            Some(rate) => Pace::Fixed(FixedRate::new(rate, connections.len(), clock.now())),
            None => Pace::Saturate,
        };
        let phases = Phases::start(plan.warm_up, plan.measured, clock.now());
        Ok(Self {
            poll,
            connections,
            idle,
            buffer: vec![0; READ_SIZE].into_boxed_slice(),
            clock,
            pace,
            phases,
            limit: TimeLimit::new(plan.timeout),
            stall_timeout: plan.stall_timeout.as_nanos() as u64,
            waiting: plan.waiting,
            left: ENDLESS,
            outstanding: 0,
            answered: 0,
            progress_at: 0,
            measurement,
        })
    }

    /// Runs to the end and closes the connections.
    pub fn run(mut self, failures: &mut Failures) -> Result<Measurement> {
        let mut events = Events::with_capacity(1024);
        self.progress_at = self.clock.now();
        self.change_phase(self.progress_at)?;
        for index in 0..self.connections.len() {
            self.send(index, self.clock.now(), failures);
        }
        loop {
            let now = self.clock.now();
            self.change_phase(now)?;
            self.send_due(now, failures);
            if self.is_over() {
                break;
            }
            if self.limit.is_time_to_look(now) {
                self.fail_overdue(now, failures);
            }
            if self.outstanding > 0 && now.saturating_sub(self.progress_at) > self.stall_timeout {
                self.give_up(failures);
                break;
            }
            match self.poll.poll(&mut events, Some(self.timeout(now))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            if self.waiting == Waiting::BusyPoll && events.is_empty() {
                self.measurement
                    .record_idle(self.clock.now().saturating_sub(now));
            }
            for event in &events {
                self.on_event(event, failures);
            }
        }
        let now = self.clock.now();
        self.measurement.close(now)?;
        for mut connection in self.connections.into_iter().flatten() {
            // Best effort: a peer that has gone needs no end.
            let _ = connection.stream().finish();
        }
        Ok(self.measurement)
    }

    /// Opens and closes the measured window when its time or count has come.
    fn change_phase(&mut self, now: u64) -> Result<()> {
        while let Some(phase) = self.phases.advance(now, self.answered) {
            match phase {
                Phase::WarmUp => {}
                Phase::Measuring => {
                    self.left = match self.phases.count() {
                        Some(count) => count.saturating_sub(self.outstanding),
                        None => ENDLESS,
                    };
                    self.measurement.open(now)?;
                }
                Phase::Draining => {
                    self.left = 0;
                    self.measurement.close(now)?;
                    self.drop_waiting(now);
                }
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        let is_alone = self.connections.iter().all(Option::is_none);
        is_alone || (self.outstanding == 0 && self.left == 0)
    }

    /// How long to sleep at most.
    fn timeout(&self, now: u64) -> Duration {
        if self.waiting == Waiting::BusyPoll {
            return Duration::ZERO;
        }
        let mut wake_at = (now + self.stall_timeout).min(self.limit.next_look);
        // A window that is over waits for its first reply.
        if let Some(end) = self.phases.ends_at().filter(|end| *end > now) {
            wake_at = wake_at.min(end);
        }
        if let (Pace::Fixed(rate), true) = (&self.pace, self.left > 0) {
            wake_at = wake_at.min(rate.next_due().saturating_sub(POLLED));
        }
        Duration::from_nanos(wake_at.saturating_sub(now))
    }

    fn on_event(&mut self, event: &Event, failures: &mut Failures) {
        let Token(index) = event.token();
        if index >= self.connections.len() {
            if let Err(failure) = self.idle.check(index - self.connections.len()) {
                failures.add(failure);
            }
            return;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            let ending = event.is_read_closed() || event.is_error();
            let readiness = if ending {
                Readiness::Ending
            } else {
                Readiness::Open
            };
            self.receive(index, readiness, failures);
        }
        // What there is room for now, there is since the latest reply.
        self.send(index, self.progress_at, failures);
    }

    fn receive(&mut self, index: usize, readiness: Readiness, failures: &mut Failures) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let (measurement, buffer) = (&mut self.measurement, &mut self.buffer);
        let limit = self.limit;
        let (mut answered, mut progress_at, mut late) = (0, self.progress_at, 0);
        let received = connection.receive(readiness, buffer, self.clock, |replies| {
            measurement.record(replies);
            answered += replies.count;
            progress_at = replies.received_at;
            if limit.is_over(replies.sent_at, replies.received_at) {
                late += replies.count;
            }
        });
        self.progress_at = progress_at;
        self.answered += answered;
        self.outstanding -= answered;
        if let Err(failure) = received {
            self.fail(index, failure, failures);
        } else if late > 0 {
            self.fail(index, limit.failure(late), failures);
        }
    }

    /// Closes connections whose oldest request has waited too long.
    fn fail_overdue(&mut self, now: u64, failures: &mut Failures) {
        for index in 0..self.connections.len() {
            let oldest = self.connections[index]
                .as_ref()
                .and_then(Connection::oldest_sent_at);
            if oldest.is_some_and(|sent_at| self.limit.is_over(sent_at, now)) {
                self.fail(index, self.limit.failure(1), failures);
            }
        }
    }

    /// Fills a connection with as many requests as may be sent now, and writes.
    fn send(&mut self, index: usize, now: u64, failures: &mut Failures) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let was_blocked = connection.is_blocked();
        match &self.pace {
            Pace::Saturate => {
                let count = (connection.free() as u64).min(self.left);
                for _ in 0..count {
                    connection.queue(now);
                }
                self.outstanding += count;
                if self.left != ENDLESS {
                    self.left -= count;
                }
            }
            Pace::Fixed(rate) => {
                let waiting = rate.waiting(index, connection.requests());
                for _ in 0..waiting.min(connection.free() as u64) {
                    connection.queue(rate.due_on(index, connection.requests()));
                }
            }
        }
        if !connection.is_blocked() {
            return;
        }
        let mut flushed = connection.flush();
        let is_blocked = connection.is_blocked();
        if flushed.is_ok() && was_blocked != is_blocked {
            // A unix socket reports writable at every read of its peer: ask only while needed.
            let interest = if is_blocked {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let registry = self.poll.registry();
            flushed = registry
                .reregister(connection.stream(), Token(index), interest)
                .map_err(Failure::from);
        }
        if let Err(failure) = flushed {
            self.fail(index, failure, failures);
        }
    }

    /// Sends what the schedule says is due.
    fn send_due(&mut self, now: u64, failures: &mut Failures) {
        while self.left > 0 {
            let Pace::Fixed(rate) = &mut self.pace else {
                return;
            };
            let Some(index) = rate.take(now) else { return };
            if self.left != ENDLESS {
                self.left -= 1;
            }
            if self.connections[index].is_some() {
                if self.outstanding == 0 {
                    self.progress_at = now;
                }
                self.outstanding += 1;
                self.send(index, now, failures);
            }
        }
    }

    /// Gives up the requests that were due but not sent when the window ended.
    fn drop_waiting(&mut self, now: u64) {
        let Pace::Fixed(rate) = &mut self.pace else {
            return;
        };
        for (index, connection) in self.connections.iter().enumerate() {
            let Some(connection) = connection else {
                continue;
            };
            let sent = connection.requests();
            for position in sent..sent + rate.waiting(index, sent) {
                self.measurement
                    .record_unsent(rate.due_on(index, position), now);
                self.outstanding -= 1;
            }
            rate.drop_waiting(index, sent);
        }
    }

    /// Counts a failure and closes its connection.
    fn fail(&mut self, index: usize, failure: Failure, failures: &mut Failures) {
        failures.add(failure);
        if let Some(connection) = self.connections[index].take() {
            let mut lost = connection.in_flight() as u64;
            if let Pace::Fixed(rate) = &self.pace {
                lost += rate.waiting(index, connection.requests());
            }
            self.outstanding -= lost;
        }
    }

    /// Ends every connection that still awaits a reply.
    fn give_up(&mut self, failures: &mut Failures) {
        for index in 0..self.connections.len() {
            let in_flight = self.connections[index]
                .as_ref()
                .map_or(0, Connection::in_flight);
            if in_flight > 0 {
                let detail = format!(
                    "{in_flight} requests unanswered for {:?}",
                    Duration::from_nanos(self.stall_timeout)
                );
                self.fail(index, Failure::new(Kind::Stalled, detail), failures);
            }
        }
    }
}
