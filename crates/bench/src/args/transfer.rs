//! Options of a transfer.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Endpoint;
use super::run::{parse_seconds, waiting};
use crate::client::load::Waiting;
use crate::transfer::protocol::Comparison;

/// Options of `netpoll-bench transfer`.
#[derive(Debug, Args)]
pub struct TransferOptions {
    /// Where the server listens.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// Which way the bytes go.
    #[arg(long)]
    pub direction: Direction,
    /// How many bytes.
    #[arg(long, value_name = "N", default_value_t = 1 << 30)]
    pub bytes: u64,
    /// Compare every byte of a download. Without it, samples are compared: 16
    /// bytes of each 4 KiB.
    #[arg(long)]
    pub verify: bool,
    /// Poll without sleeping, as in `client`.
    #[arg(long)]
    pub busy_poll: bool,
    /// Process id of the server, to report its processor time and memory.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Seconds without any progress after which the run is given up.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub stall_timeout: Duration,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl TransferOptions {
    /// How much of a download is compared.
    pub fn comparison(&self) -> Comparison {
        if self.verify {
            Comparison::Whole
        } else {
            Comparison::Samples
        }
    }

    /// What the client does while nothing moves.
    pub fn waiting(&self) -> Waiting {
        waiting(self.busy_poll)
    }
}

/// Which way the bytes of a transfer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the server.
    Upload,
    /// From the server.
    Download,
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Upload => "upload",
            Self::Download => "download",
        })
    }
}
