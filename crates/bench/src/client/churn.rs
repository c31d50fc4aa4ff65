//! Connections that come and go: each is opened, sends one request, gets its reply, and is closed.
//!
//! Connecting blocks: over loopback the kernel completes it at once, as long as the server's queue has
//! room. Latency counts from before the connection to its reply.

use std::io;
use std::time::Duration;

use anyhow::Result;
use mio::{Events, Interest, Poll, Token};

use super::connect::{Sources, Target};
use super::connection::{Clock, Connection, Readiness};
use super::failure::{Failure, Failures, Kind};
use super::frames::{Frames, Shape};
use super::load::Waiting;
use super::measurement::Measurement;
use super::phase::{Phase, Phases};
use crate::args::Extent;
use crate::socket::Stream;
use crate::tls::tickets::Tickets;

/// More than a reply usually has.
const READ_SIZE: usize = 64 * 1024;

/// What a run does.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Where the server is.
    pub target: Target<'a>,
    /// What each request looks like.
    pub shape: Shape,
    /// Sessions that connections resume once they are measured.
    pub tickets: Option<&'a Tickets>,
    /// Connections open at a time.
    pub concurrency: usize,
    /// How much comes before the measured part.
    pub warm_up: Extent,
    /// How much is measured.
    pub measured: Extent,
    /// What happens while no reply is there.
    pub waiting: Waiting,
}

/// A run in progress.
struct Churn<'a> {
    plan: Plan<'a>,
    poll: Poll,
    clock: Clock,
    /// `None` once one has failed, and after the end.
    visits: Vec<Option<Connection<Frames>>>,
    /// Of each place, whether its connection must resume a session.
    resumes: Box<[bool]>,
    buffer: Box<[u8]>,
    opened: usize,
    answered: u64,
    progress_at: u64,
    phase: Phase,
    measurement: Measurement,
}

/// Opens and closes connections until the end of the measured part.
pub fn run(
    plan: Plan<'_>,
    measurement: Measurement,
    failures: &mut Failures,
) -> Result<Measurement> {
    let clock = Clock::start();
    let churn = Churn {
        poll: Poll::new()?,
        clock,
        visits: (0..plan.concurrency).map(|_| None).collect(),
        resumes: vec![false; plan.concurrency].into_boxed_slice(),
        buffer: vec![0; READ_SIZE].into_boxed_slice(),
        opened: 0,
        answered: 0,
        progress_at: clock.now(),
        phase: Phase::WarmUp,
        measurement,
        plan,
    };
    churn.run(failures)
}

impl Churn<'_> {
    fn run(mut self, failures: &mut Failures) -> Result<Measurement> {
        let mut events = Events::with_capacity(1024);
        let mut phases = Phases::start(self.plan.warm_up, self.plan.measured, self.clock.now());
        let stall_timeout = self.plan.target.timeout;
        for index in 0..self.visits.len() {
            self.open(index, failures);
        }
        loop {
            let now = self.clock.now();
            if self.lacks_sessions() {
                phases.end_early(now);
            }
            while let Some(phase) = phases.advance(now, self.answered) {
                self.phase = phase;
                match phase {
                    Phase::WarmUp => {}
                    Phase::Measuring => {
                        if let Some(tickets) = self.plan.tickets {
                            tickets.use_them();
                        }
                        self.measurement.open(now)?;
                    }
                    Phase::Draining => self.measurement.close(now)?,
                }
            }
            if self.visits.iter().all(Option::is_none) {
                break;
            }
            let silence = Duration::from_nanos(now.saturating_sub(self.progress_at));
            if silence > stall_timeout {
                let detail = format!("no connection got its reply for {stall_timeout:?}");
                failures.add(Failure::new(Kind::Stalled, detail));
                break;
            }
            // A window that is over waits for its first reply.
            let end = phases.ends_at().filter(|end| *end > now);
            let timeout = match (self.plan.waiting, end) {
                (Waiting::BusyPoll, _) => Duration::ZERO,
                (Waiting::Sleep, Some(end)) => Duration::from_nanos(end.saturating_sub(now)),
                (Waiting::Sleep, None) => stall_timeout,
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            if self.plan.waiting == Waiting::BusyPoll && events.is_empty() {
                self.measurement
                    .record_idle(self.clock.now().saturating_sub(now));
            }
            for event in &events {
                let Token(index) = event.token();
                let ending = event.is_read_closed() || event.is_error();
                let readiness = if ending {
                    Readiness::Ending
                } else {
                    Readiness::Open
                };
                self.receive(index, readiness, failures);
            }
        }
        self.measurement.close(self.clock.now())?;
        Ok(self.measurement)
    }

    fn open(&mut self, index: usize, failures: &mut Failures) {
        match self.connect(index) {
            Ok(connection) => self.visits[index] = Some(connection),
            Err(failure) => failures.add(failure),
        }
    }

    /// Whether no session is left to resume, in a window that may end for it. How many a warm-up of a time gathers is up to
    /// the machine; where replies are counted, their number is asked for.
    fn lacks_sessions(&self) -> bool {
        self.phase == Phase::Measuring
            && matches!(self.plan.measured, Extent::Time(_))
            && self.plan.tickets.is_some_and(Tickets::are_used_up)
    }

    fn connect(&mut self, index: usize) -> Result<Connection<Frames>, Failure> {
        let began_at = self.clock.now();
        self.resumes[index] = self.plan.tickets.is_some() && self.phase == Phase::Measuring;
        let stream = self.plan.target.connect(Sources::Spread, self.opened)?;
        self.opened += 1;
        let frames = Frames::new(self.plan.shape, 1, self.opened as u64);
        let mut connection = Connection::new(stream, frames);
        self.poll
            .registry()
            .register(connection.stream(), Token(index), Interest::READABLE)?;
        connection.queue(began_at);
        connection.flush()?;
        // Where it is encrypted, the handshake goes first.
        if connection.is_blocked() && self.plan.target.tls.is_none() {
            let detail = "a request must fit into the buffer of a new socket";
            return Err(Failure::new(Kind::Socket, detail));
        }
        Ok(connection)
    }

    fn receive(&mut self, index: usize, readiness: Readiness, failures: &mut Failures) {
        let Some(connection) = &mut self.visits[index] else {
            return;
        };
        let (measurement, buffer) = (&mut self.measurement, &mut self.buffer);
        let (mut answered, mut progress_at) = (0, self.progress_at);
        let received = connection.receive(readiness, buffer, self.clock, |replies| {
            measurement.record(replies);
            answered += replies.count;
            progress_at = replies.received_at;
        });
        self.progress_at = progress_at;
        self.answered += answered;
        let sent = received.and_then(|()| connection.flush());
        if answered > 0 {
            let ended = self.end_tls(index);
            self.visits[index] = None;
            if let Err(failure) = ended {
                failures.add(failure);
            }
            if self.phase != Phase::Draining && !self.lacks_sessions() {
                self.open(index, failures);
            }
        } else if let Err(failure) = sent {
            self.visits[index] = None;
            failures.add(failure);
        }
    }

    /// Says farewell where the connection is encrypted, and sees whether it was as planned.
    fn end_tls(&mut self, index: usize) -> Result<(), Failure> {
        let Some(Stream::Secured(secured)) = self.visits[index].as_mut().map(Connection::stream)
        else {
            return Ok(());
        };
        // Best effort: a peer that has gone needs no end.
        let _ = secured.finish();
        if self.resumes[index] && !secured.is_resumed() {
            let detail = "the server began a new one";
            return Err(Failure::new(Kind::NotResumed, detail));
        }
        Ok(())
    }
}
