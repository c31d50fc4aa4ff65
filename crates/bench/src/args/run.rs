//! Options of every load of requests: how long, how fast, how it waits.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::client::load::Waiting;

/// How long a run lasts when neither a duration nor a count is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(5);

/// Options of every load of requests.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Seconds to measure (5 unless --count is given).
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, conflicts_with = "count")]
    pub duration: Option<Duration>,
    /// Requests to measure, instead of a duration.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Load before measuring: seconds (`0.3`) or a part of the run (`10%`).
    #[arg(long, value_name = "SECONDS|PERCENT%", default_value = "0")]
    pub warm_up: WarmUp,
    /// Send this many requests per second in all, on a fixed schedule; latency
    /// counts from the scheduled time, however long the request had to wait.
    /// The client then polls without sleeping, to be on time.
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Poll without sleeping. A client that sleeps charges the server for waking
    /// it, which on a virtual machine is most of the noise. Polls that find
    /// nothing do not count as the client's processor time.
    #[arg(long)]
    pub busy_poll: bool,
    /// Process id of the server, to report its processor time and memory.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Seconds that each request may take. One without a reply by then fails, and its
    /// connection is closed.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// Seconds without any reply after which the run is given up.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub stall_timeout: Duration,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl RunOptions {
    /// What ends the measured part.
    pub fn extent(&self) -> Extent {
        match (self.duration, self.count) {
            (_, Some(count)) => Extent::Replies(count),
            (duration, None) => Extent::Time(duration.unwrap_or(DEFAULT_DURATION)),
        }
    }

    /// What the client does while no reply is there.
    pub fn waiting(&self) -> Waiting {
        waiting(self.busy_poll)
    }
}

/// How much is measured: for a time, or a number of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Until this much time has passed.
    Time(Duration),
    /// Until this many replies have come.
    Replies(u64),
}

/// How much load is sent before measuring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WarmUp {
    /// For a time.
    Time(Duration),
    /// For a part of the measured extent, whichever way that is given.
    Part(f64),
}

impl WarmUp {
    /// The extent of the warm-up of a run that measures `measured`.
    pub fn extent(self, measured: Extent) -> Extent {
        match (self, measured) {
            (Self::Time(duration), _) => Extent::Time(duration),
            (Self::Part(part), Extent::Time(duration)) => Extent::Time(duration.mul_f64(part)),
            (Self::Part(part), Extent::Replies(count)) => {
                Extent::Replies((count as f64 * part).ceil() as u64)
            }
        }
    }
}

impl FromStr for WarmUp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse::<f64>() {
                Ok(percent) if (0.0..=1000.0).contains(&percent) => Ok(Self::Part(percent / 100.0)),
                _ => Err("expected a percentage such as 10%".into()),
            },
            None => parse_seconds(text).map(Self::Time),
        }
    }
}

/// Reads a number of seconds.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What a client does while there is nothing to do.
pub fn waiting(busy_poll: bool) -> Waiting {
    if busy_poll {
        Waiting::BusyPoll
    } else {
        Waiting::Sleep
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("expected a number of requests per second above 0".into()),
    }
}
