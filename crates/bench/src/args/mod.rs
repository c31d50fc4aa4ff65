//! The command line: what can be asked for, with defaults and checks.

mod transfer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

pub use self::transfer::{Direction, TransferOptions};
use crate::address::{Address, parse_tcp};
use crate::client::load::Waiting;

/// How long a run lasts when neither a duration nor a count is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(5);

/// Load clients and reference servers: length-prefixed messages, HTTP, large streams.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The servers and clients of the benchmark.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Echo every byte back: one thread, one mio poller, no framework.
    ///
    /// Prints `listening ADDRESS` once clients may connect. Ends at SIGTERM,
    /// SIGINT or, with --exit-with-stdin, when its standard input ends.
    Server(ServerOptions),
    /// Send length-prefixed requests, await their replies and report speed,
    /// latency and what the server spent.
    ///
    /// Exits with 1 and a line per kind of error when anything went wrong.
    Client(ClientOptions),
    /// Send HTTP/1.1 requests over kept connections, one at a time on each, and
    /// report the same.
    Http(HttpOptions),
    /// Take or send one large stream, as `transfer` asks: the bare loop again.
    TransferServer(ServerOptions),
    /// Move one large stream over one connection, in writes of 64 KiB, and report
    /// speed and what the server spent.
    Transfer(TransferOptions),
}

/// The endpoint, the same for servers and clients.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Endpoint {
    /// TCP endpoint, such as 127.0.0.1:8000; a server takes port 0 for any.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_tcp)]
    tcp: Option<SocketAddr>,
    /// Path of a unix socket.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
}

impl Endpoint {
    /// The address that was given.
    pub fn address(&self) -> Result<Address> {
        match (&self.tcp, &self.unix) {
            (Some(address), None) => Ok(Address::Tcp(*address)),
            (None, Some(path)) => Ok(Address::Unix(path.clone())),
            _ => bail!("exactly one of --tcp and --unix is needed"),
        }
    }
}

/// Options of `netpoll-bench server` and `transfer-server`.
#[derive(Debug, Args)]
pub struct ServerOptions {
    /// Where to listen.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// End when the standard input ends, so that no server outlives its parent.
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Options of `netpoll-bench client`.
#[derive(Debug, Args)]
pub struct ClientOptions {
    /// Where the server listens.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// Connections that send requests.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub in_flight: usize,
    /// Bytes of payload in each request.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub size: usize,
    /// Bytes of the big-endian length before the payload: 1, 2, 3, 4 or 8.
    #[arg(long, value_name = "BYTES", default_value = "4", value_parser = parse_length_size)]
    pub length_size: usize,
    /// Connections opened before measuring that send nothing.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub idle: usize,
    /// Send no load: open the --idle connections, print `idle ready`, and hold
    /// them until the standard input ends.
    #[arg(long, requires = "idle")]
    pub idle_hold: bool,
    /// Compare every byte of each reply, whose payload is then new for every
    /// request. Without it, the length and the first 16 bytes of each payload
    /// (distinct for every request) are compared, and the rest repeats.
    #[arg(long)]
    pub verify: bool,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

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

impl ClientOptions {
    /// Refuses what cannot be measured, before anything is opened.
    pub fn check(&self) -> Result<()> {
        if self.connections == 0 || self.in_flight == 0 {
            bail!("--connections and --in-flight must be at least 1");
        }
        if self.idle_hold && self.idle == 0 {
            bail!("--idle-hold needs --idle N with N of at least 1");
        }
        let bits = 8 * self.length_size;
        if bits < usize::BITS as usize && self.size >> bits != 0 {
            bail!(
                "a length of {} bytes cannot say {}",
                self.length_size,
                self.size
            );
        }
        Ok(())
    }
}

/// Options of `netpoll-bench http`.
#[derive(Debug, Args)]
pub struct HttpOptions {
    /// Where the server listens.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// Connections that send requests. All are opened at once, so the server's
    /// queue (its backlog) must have room for them.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub connections: usize,
    /// What is asked for.
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = parse_path)]
    pub path: String,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

impl HttpOptions {
    /// Refuses what cannot be measured, before anything is opened.
    pub fn check(&self) -> Result<()> {
        if self.connections == 0 {
            bail!("--connections must be at least 1");
        }
        Ok(())
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

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn waiting(busy_poll: bool) -> Waiting {
    if busy_poll {
        Waiting::BusyPoll
    } else {
        Waiting::Sleep
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.into())
    } else {
        Err("expected a path such as /a".into())
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("expected a number of requests per second above 0".into()),
    }
}

fn parse_length_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size @ (1 | 2 | 3 | 4 | 8)) => Ok(size),
        _ => Err("expected 1, 2, 3, 4 or 8".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(options: &str) -> ClientOptions {
        let words = format!("netpoll-bench client --tcp 127.0.0.1:1 {options}");
        match Arguments::parse_from(words.split_whitespace()).command {
            Command::Client(options) => options,
            _ => unreachable!("the words ask for a client"),
        }
    }

    #[test]
    fn the_declaration_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_run_lasts_five_seconds_unless_told() {
        assert_eq!(
            client("").run.extent(),
            Extent::Time(Duration::from_secs(5))
        );
        assert_eq!(
            client("--duration 0.5").run.extent(),
            Extent::Time(Duration::from_millis(500))
        );
        assert_eq!(client("--count 7").run.extent(), Extent::Replies(7));
    }

    #[test]
    fn a_warm_up_is_a_time_or_a_part_of_the_run() {
        let time = Extent::Time(Duration::from_secs(2));
        assert_eq!(
            client("--warm-up 0.3").run.warm_up.extent(time),
            Extent::Time(Duration::from_millis(300))
        );
        assert_eq!(
            client("--warm-up 10%").run.warm_up.extent(time),
            Extent::Time(Duration::from_millis(200))
        );
        assert_eq!(
            client("--warm-up 10%")
                .run
                .warm_up
                .extent(Extent::Replies(11)),
            Extent::Replies(2)
        );
        assert!("10 percent".parse::<WarmUp>().is_err());
        assert!("-1".parse::<WarmUp>().is_err());
    }

    #[test]
    fn a_payload_must_fit_its_length() {
        assert!(client("--length-size 1 --size 255").check().is_ok());
        assert!(client("--length-size 1 --size 256").check().is_err());
        assert!(client("--length-size 8 --size 256").check().is_ok());
        assert!(client("--connections 0").check().is_err());
    }
}
