//! `netpoll-bench`: load clients for servers that answer length-prefixed messages
//! or HTTP, or move one large stream. Beside them are the bare servers that mark
//! how fast such servers can be.
//!
//! Reading order: [`args`] says what can be asked for. [`client`] drives a
//! server with requests and measures it, [`transfer`] with one stream. [`server`]
//! has the ceilings they are compared with. [`tls`] is put over the sockets of both.
//! [`report`] prints what was found.

mod address;
mod args;
mod client;
mod limits;
mod process;
mod reply;
mod report;
mod server;
mod shutdown;
mod socket;
mod tls;
mod transfer;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::args::{Arguments, Command, EchoServerOptions};
use crate::reply::Reply;
use crate::server::answer::Answer;
use crate::server::echo::Echo;
use crate::server::transfer::Transfer;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Server(options) => serve(&options).map(|()| ExitCode::SUCCESS),
        Command::TransferServer(options) => {
            server::run::<Transfer>(&options, None).map(|()| ExitCode::SUCCESS)
        }
        Command::Client(options) => client::run(&options),
        Command::Http(options) => client::run_http(&options),
        Command::Churn(options) => client::run_churn(&options),
        Command::Slow(options) => client::run_slow(&options),
        Command::Transfer(options) => transfer::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("netpoll-bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn serve(options: &EchoServerOptions) -> Result<()> {
    let tls = options.tls.server()?;
    match options.reply {
        Reply::Echo => server::run::<Echo>(&options.server, tls),
        Reply::Inverted => server::run::<Answer>(&options.server, tls),
    }
}
