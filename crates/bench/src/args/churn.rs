//! Options of connections that come and go, and of slow peers.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;

use super::{Endpoint, MessageOptions, RunOptions, TlsOptions};
use crate::tls::tickets::Tickets;

/// Options of `netpoll-bench churn`.
#[derive(Debug, Args)]
pub struct ChurnOptions {
    /// Where the server listens.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// Whether connections are encrypted.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Gather sessions while the connections warm up, and resume one with each that is measured. One that is not resumed
    /// is an error. Some servers give no session with a resumed one: there the warm-up must be as long as the run. A
    /// measured time ends early where all sessions are used.
    #[arg(long, requires = "tls")]
    pub resume: bool,
    /// Connections open at a time.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub connections: usize,
    /// What the one request of each connection looks like.
    #[command(flatten)]
    pub message: MessageOptions,
    /// How to run.
    #[command(flatten)]
    pub run: RunOptions,
}

impl ChurnOptions {
    /// Memory for sessions, if they are to be resumed.
    pub fn tickets(&self) -> Option<Arc<Tickets>> {
        self.resume.then(Arc::default)
    }

    /// Refuses what cannot be measured, before anything is opened.
    pub fn check(&self) -> Result<()> {
        if self.connections == 0 {
            bail!("--connections must be at least 1");
        }
        if self.run.rate.is_some() || self.run.timeout.is_some() {
            bail!("connections that come and go have no --rate and no --timeout");
        }
        self.message.check()
    }
}

/// Options of `netpoll-bench slow`.
#[derive(Debug, Args)]
pub struct SlowOptions {
    /// Where the server listens.
    #[command(flatten)]
    pub endpoint: Endpoint,
    /// Whether connections are encrypted.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Slow peers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub connections: usize,
    /// What their requests look like.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Bytes that each sends at most, in case the server keeps them all.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    pub limit: u64,
    /// Bytes that each reads in a second.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    pub read_rate: u64,
}
