//! What is measured between the end of the warm-up and the end of the run.
//!
//! Throughput counts the replies that arrive in this window. Latency takes the
//! requests that were sent (or due) in it. It does so also when their reply
//! arrives after its end, so that slow ones are not left out.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::connection::Replies;
use crate::process::{self, ProcessorTime};

/// The longest latency that is told apart: an hour, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

/// Collects figures; nothing counts before [`Measurement::open`].
#[derive(Debug)]
pub struct Measurement {
    server: Option<u32>,
    state: State,
    /// Latencies in nanoseconds.
    latency: Histogram<u64>,
    replies: u64,
    unsent: u64,
    /// Nanoseconds of the window spent on looking for replies in vain.
    idle: u64,
}

#[derive(Debug)]
enum State {
    NotOpen,
    Open(Reading),
    Closed(Window),
}

/// The clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: u64,
    own: Duration,
    server: Option<ProcessorTime>,
}

/// What passed between two readings.
#[derive(Debug, Clone, Copy)]
struct Window {
    began_at: u64,
    length: Duration,
    own: Duration,
    server: Option<ProcessorTime>,
}

/// The figures of a run.
#[derive(Debug)]
pub struct Figures {
    /// Length of the window.
    pub length: Duration,
    /// Replies that arrived in it.
    pub replies: u64,
    /// Requests that were due but could not be sent before its end.
    pub unsent: u64,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// Processor time that the client worked in the window.
    pub own: Duration,
    /// Processor time of the server in the window, where it is known.
    pub server: Option<ProcessorTime>,
}

impl Measurement {
    /// A measurement that also watches the process `server`.
    pub fn new(server: Option<u32>) -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3)?;
        Ok(Self {
            server,
            state: State::NotOpen,
            latency,
            replies: 0,
            unsent: 0,
            idle: 0,
        })
    }

    /// Begins the window.
    pub fn open(&mut self, now: u64) -> Result<()> {
        self.state = State::Open(self.reading(now)?);
        Ok(())
    }

    /// Ends the window.
    pub fn close(&mut self, now: u64) -> Result<()> {
        if let State::Open(began) = self.state {
            let ended = self.reading(now)?;
            self.state = State::Closed(Window {
                began_at: began.at,
                length: Duration::from_nanos(ended.at - began.at),
                own: ended.own.saturating_sub(began.own),
                server: ended
                    .server
                    .zip(began.server)
                    .map(|(ended, began)| ended.since(began)),
            });
        }
        Ok(())
    }

    /// Adds replies.
    pub fn record(&mut self, replies: Replies) {
        let began_at = match &self.state {
            State::NotOpen => return,
            State::Open(began) => {
                self.replies += replies.count;
                began.at
            }
            State::Closed(window) => window.began_at,
        };
        if replies.sent_at >= began_at {
            let latency = replies.received_at.saturating_sub(replies.sent_at);
            self.latency.saturating_record_n(latency, replies.count);
        }
    }

    /// Adds a request that was due at `due` and still waits at the end. It counts
    /// with what it has waited so far: leaving it out would flatter the server.
    pub fn record_unsent(&mut self, due: u64, now: u64) {
        self.unsent += 1;
        self.latency.saturating_record(now.saturating_sub(due));
    }

    /// Adds time in which the client looked for replies in vain, which is no work.
    pub fn record_idle(&mut self, nanoseconds: u64) {
        if matches!(self.state, State::Open(_)) {
            self.idle += nanoseconds;
        }
    }

    /// The figures; all zero if the window never opened.
    pub fn figures(self) -> Figures {
        let Self {
            latency,
            replies,
            unsent,
            idle,
            ..
        } = self;
        let (length, own, server) = match self.state {
            State::Closed(window) => (window.length, window.own, window.server),
            State::NotOpen | State::Open(_) => (Duration::ZERO, Duration::ZERO, None),
        };
        Figures {
            length,
            replies,
            unsent,
            latency,
            own: own.saturating_sub(Duration::from_nanos(idle)),
            server,
        }
    }

    fn reading(&self, at: u64) -> Result<Reading> {
        // A server that has ended is found out by its connections.
        let server = self
            .server
            .and_then(|pid| process::processor_time(pid).ok());
        Ok(Reading {
            at,
            own: process::own_processor_time()?,
            server,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(sent_at: u64, received_at: u64, count: u64) -> Replies {
        Replies {
            sent_at,
            received_at,
            count,
        }
    }

    #[test]
    fn a_window_counts_its_replies_and_the_latency_of_its_requests() -> Result<()> {
        let mut measurement = Measurement::new(None)?;
        measurement.record(replies(0, 50, 1));
        measurement.open(100)?;
        measurement.record(replies(90, 110, 4));
        measurement.record(replies(110, 130, 2));
        measurement.close(200)?;
        measurement.record(replies(190, 1_190, 1));
        measurement.record_unsent(150, 200);
        let figures = measurement.figures();
        assert_eq!(figures.replies, 6);
        assert_eq!(figures.length, Duration::from_nanos(100));
        assert_eq!(figures.latency.len(), 4);
        assert_eq!((figures.latency.min(), figures.unsent), (20, 1));
        assert!(figures.latency.max().abs_diff(1_000) <= 1);
        Ok(())
    }

    #[test]
    fn a_window_that_never_opened_has_no_figures() -> Result<()> {
        let mut measurement = Measurement::new(None)?;
        measurement.record(replies(0, 50, 1));
        measurement.close(60)?;
        let figures = measurement.figures();
        assert_eq!(
            (figures.replies, figures.latency.len(), figures.length),
            (0, 0, Duration::ZERO)
        );
        Ok(())
    }
}
