//! `netpoll-bench`: a load client for servers that answer length-prefixed
//! messages, and the bare echo server that marks how fast such a server can be.
//!
//! Reading order: [`args`] says what can be asked for; [`client`] drives a
//! server and measures it; [`server`] is the ceiling it is compared with;
//! [`report`] prints what was found.

mod address;
mod args;
mod client;
mod limits;
mod process;
mod report;
mod server;
mod shutdown;
mod socket;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Server(options) => server::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Client(options) => client::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("netpoll-bench: {error:#}");
        ExitCode::FAILURE
    })
}
