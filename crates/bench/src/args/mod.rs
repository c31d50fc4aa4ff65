//! The command line: what can be asked for, with defaults and checks.

mod churn;
mod message;
mod run;
mod tls;
mod transfer;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

pub use self::churn::{ChurnOptions, SlowOptions};
pub use self::message::MessageOptions;
pub use self::run::{Extent, RunOptions};
pub use self::tls::TlsOptions;
pub use self::transfer::{Direction, TransferOptions};
use crate::address::{Address, parse_tcp};
use crate::client::frames::{Comparison, DISTINCT, Order, Shape};
use crate::reply::Reply;

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
    /// Reply to every message: one thread, one mio poller, no framework.
    ///
    /// Prints `listening ADDRESS` once clients may connect. Ends at SIGTERM,
    /// SIGINT or, with --exit-with-stdin, when its standard input ends.
    Server(EchoServerOptions),
    /// Send length-prefixed requests, await their replies and report speed,
    /// latency and what the server spent.
    ///
    /// Exits with 1 and a line per kind of error when anything went wrong.
    Client(ClientOptions),
    /// Send HTTP/1.1 requests over kept connections, one at a time on each, and
    /// report the same.
    Http(HttpOptions),
    /// Open a connection for every request, and report the same of connections. Latency
    /// counts from before the connection to its reply.
    Churn(ChurnOptions),
    /// Be slow peers: send requests as fast as the server takes them, read little.
    ///
    /// Prints `slow ready` once the server takes no more, and goes on until the
    /// standard input ends.
    Slow(SlowOptions),
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

/// Options of `netpoll-bench server`.
#[derive(Debug, Args)]
pub struct EchoServerOptions {
    /// What the reply to a message is beside it. `echo` sends back whatever bytes
    /// come; `inverted` waits until a message (a length of 4 bytes, big-endian, and
    /// its payload) is whole.
    #[arg(long, value_enum, default_value_t = Reply::Echo)]
    pub reply: Reply,
    /// Whether connections are encrypted.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// How to serve.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Options of every server.
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
    /// Whether connections are encrypted.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Connections that send requests.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub in_flight: usize,
    /// What requests look like.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Take the replies of a connection in any order. A number at the start of each
    /// payload, of at least 16 bytes, tells whose reply it is.
    #[arg(long)]
    pub any_order: bool,
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

impl ClientOptions {
    /// What requests look like, and what is expected of the replies.
    pub fn shape(&self) -> Shape {
        let order = if self.any_order {
            Order::Any
        } else {
            Order::Requests
        };
        let comparison = if self.verify {
            Comparison::Whole
        } else {
            Comparison::Start
        };
        self.message.shape(order, comparison)
    }

    /// Refuses what cannot be measured, before anything is opened.
    pub fn check(&self) -> Result<()> {
        if self.connections == 0 || self.in_flight == 0 {
            bail!("--connections and --in-flight must be at least 1");
        }
        if self.idle_hold && self.idle == 0 {
            bail!("--idle-hold needs --idle N with N of at least 1");
        }
        if self.any_order && self.message.size < DISTINCT {
            bail!("--any-order needs a --size of at least {DISTINCT}");
        }
        self.message.check()
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

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.into())
    } else {
        Err("expected a path such as /a".into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert!("10 percent".parse::<run::WarmUp>().is_err());
        assert!("-1".parse::<run::WarmUp>().is_err());
    }

    #[test]
    fn a_payload_must_fit_its_length() {
        assert!(client("--length-size 1 --size 255").check().is_ok());
        assert!(client("--length-size 1 --size 256").check().is_err());
        assert!(client("--length-size 8 --size 256").check().is_ok());
        assert!(client("--connections 0").check().is_err());
    }
}
