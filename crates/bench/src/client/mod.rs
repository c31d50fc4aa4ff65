//! The load client: opens connections, drives them, measures.
//!
//! [`connect`] and [`idle`] open connections. [`load`] is the loop over all of
//! them. [`connection`] is one of them, whose requests and the check of their
//! replies are an [`exchange`]: of framed messages in [`frames`], of HTTP in
//! [`http`]. [`pace`] and [`schedule`] say when a request may go, and
//! [`time_limit`] how long it may take. [`phase`] says what is warm-up and what
//! is measured by [`measurement`]. [`failure`] counts what went wrong.
//!
//! [`churn`] is another loop, over connections that come and go, and [`slow`] is no
//! load at all but peers that are slow.

pub mod churn;
pub mod connect;
pub mod connection;
pub mod exchange;
pub mod failure;
pub mod frames;
pub mod http;
pub mod idle;
pub mod load;
pub mod measurement;
pub mod pace;
pub mod phase;
pub mod random;
pub mod schedule;
pub mod slow;
pub mod time_limit;

use std::io;
use std::iter;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use self::connect::{Acceptance, Sources, Target};
use self::connection::Connection;
use self::exchange::Exchange;
use self::failure::{Count, Failure, Failures};
use self::frames::{Comparison, Frames, Order};
use self::http::Http;
use self::idle::Idle;
use self::load::{Load, Plan};
use self::measurement::{Figures, Measurement};
use crate::address::Address;
use crate::args::{ChurnOptions, ClientOptions, HttpOptions, RunOptions, SlowOptions};
use crate::limits;
use crate::process;
use crate::report::{self, requests::Report};

/// How long connecting and a first reply may take slow peers.
const SLOW_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the load of framed messages and says whether all went well.
pub fn run(options: &ClientOptions) -> Result<ExitCode> {
    options.check()?;
    limits::raise_open_files().context("raising the limit on open files")?;
    let address = options.endpoint.address()?;
    let tls = options.tls.client(None)?;
    let target = Target {
        address: &address,
        acceptance: options.message.acceptance(),
        tls: tls.as_ref(),
        timeout: options.run.stall_timeout,
    };
    if options.idle_hold {
        return hold_idle(target, options.idle);
    }
    let shape = options.shape();
    check_server_process(options.run.pid)?;
    let opened = Idle::open(target, options.idle).and_then(|idle| {
        let exchanges = (1..).map(|seed| Frames::new(shape, options.in_flight, seed));
        Ok((open(target, options.connections, exchanges)?, idle))
    });
    drive(&options.run, opened)
}

/// Runs the load of HTTP requests and says whether all went well.
pub fn run_http(options: &HttpOptions) -> Result<ExitCode> {
    options.check()?;
    limits::raise_open_files().context("raising the limit on open files")?;
    let address = options.endpoint.address()?;
    let target = Target {
        address: &address,
        acceptance: Acceptance::Assumed,
        tls: None,
        timeout: options.run.stall_timeout,
    };
    let host = match &address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".into(),
    };
    check_server_process(options.run.pid)?;
    let exchanges = iter::repeat_with(|| Http::new(&host, &options.path));
    let opened = open(target, options.connections, exchanges)
        .map(|connections| (connections, Idle::default()));
    drive(&options.run, opened)
}

/// Runs connections that come and go, and says whether all went well.
pub fn run_churn(options: &ChurnOptions) -> Result<ExitCode> {
    options.check()?;
    limits::raise_open_files().context("raising the limit on open files")?;
    let address = options.endpoint.address()?;
    let run = &options.run;
    check_server_process(run.pid)?;
    let measured = run.extent();
    let tickets = options.tickets();
    let tls = options.tls.client(tickets.as_ref())?;
    let plan = churn::Plan {
        target: Target {
            address: &address,
            acceptance: Acceptance::Assumed,
            tls: tls.as_ref(),
            timeout: run.stall_timeout,
        },
        tickets: tickets.as_deref(),
        shape: options.message.shape(Order::Requests, Comparison::Start),
        concurrency: options.connections,
        warm_up: run.warm_up.extent(measured),
        measured,
        waiting: run.waiting(),
    };
    let mut failures = Failures::default();
    let measurement = churn::run(plan, Measurement::new(run.pid)?, &mut failures)?;
    finish(run, &measurement.figures(), failures.counts())
}

/// Is slow peers, and says whether all went well.
pub fn run_slow(options: &SlowOptions) -> Result<ExitCode> {
    options.message.check()?;
    let address = options.endpoint.address()?;
    let tls = options.tls.client(None)?;
    let plan = slow::Plan {
        target: Target {
            address: &address,
            acceptance: options.message.acceptance(),
            tls: tls.as_ref(),
            timeout: SLOW_TIMEOUT,
        },
        shape: options.message.shape(Order::Requests, Comparison::Start),
        connections: options.connections,
        limit: options.limit,
        rate: options.read_rate,
    };
    let mut failures = Failures::default();
    slow::run(plan, &mut failures)?;
    Ok(exit_code(&failures.counts()))
}

fn open<E: Exchange>(
    target: Target<'_>,
    count: usize,
    exchanges: impl Iterator<Item = E>,
) -> Result<Vec<Connection<E>>, Failure> {
    let streams = target.open(count, Sources::Chosen)?.into_iter();
    Ok(streams
        .zip(exchanges)
        .map(|(stream, exchange)| Connection::new(stream, exchange))
        .collect())
}

/// Drives what was opened, and reports.
fn drive<E: Exchange>(
    options: &RunOptions,
    opened: Result<(Vec<Connection<E>>, Idle), Failure>,
) -> Result<ExitCode> {
    let mut failures = Failures::default();
    let measurement = Measurement::new(options.pid)?;
    let measurement = match opened {
        Ok((connections, mut idle)) => {
            let measured = options.extent();
            let plan = Plan {
                rate: options.rate,
                warm_up: options.warm_up.extent(measured),
                measured,
                timeout: options.timeout,
                stall_timeout: options.stall_timeout,
                waiting: options.waiting(),
            };
            Load::new(connections, &mut idle, plan, measurement)?.run(&mut failures)?
        }
        Err(failure) => {
            failures.add(failure);
            measurement
        }
    };
    finish(options, &measurement.figures(), failures.counts())
}

fn hold_idle(target: Target<'_>, count: usize) -> Result<ExitCode> {
    let mut failures = Failures::default();
    match Idle::open(target, count) {
        Ok(mut idle) => idle.hold(&mut failures)?,
        Err(failure) => failures.add(failure),
    }
    Ok(exit_code(&failures.counts()))
}

/// Finds a wrong process id before anything is measured.
pub fn check_server_process(pid: Option<u32>) -> Result<()> {
    let Some(pid) = pid else { return Ok(()) };
    match process::processor_time(pid) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            eprintln!(
                "netpoll-bench: processor time and memory of the server are not known on this system"
            );
            Ok(())
        }
        outcome => outcome
            .map(|_| ())
            .with_context(|| format!("reading the process {pid}")),
    }
}

fn finish(options: &RunOptions, figures: &Figures, errors: Vec<Count>) -> Result<ExitCode> {
    let memory = options.pid.and_then(|pid| process::memory(pid).ok());
    let code = exit_code(&errors);
    report::print(&Report::new(figures, memory, errors), options.json)?;
    Ok(code)
}

/// Prints what went wrong and says whether anything did.
pub fn exit_code(errors: &[Count]) -> ExitCode {
    for error in errors {
        eprintln!("netpoll-bench: {error}");
    }
    if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
