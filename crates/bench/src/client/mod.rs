//! The load client: opens connections, drives them, measures.
//!
//! [`connect`] and [`idle`] open connections; [`load`] is the loop over all of
//! them; [`connection`] is one of them, with its requests and the check of its
//! replies in [`frames`]; [`pace`] and [`schedule`] say when a request may go;
//! [`phase`] says what is warm-up and what is measured by [`measurement`];
//! [`failure`] counts what went wrong.

pub mod connect;
pub mod connection;
pub mod failure;
pub mod frames;
pub mod idle;
pub mod load;
pub mod measurement;
pub mod pace;
pub mod phase;
pub mod random;
pub mod schedule;

use std::io;
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::connect::{Sources, Target};
use self::connection::Connection;
use self::failure::{Count, Failure, Failures};
use self::frames::{Comparison, Shape};
use self::idle::Idle;
use self::load::{Load, Plan, Waiting};
use self::measurement::{Figures, Measurement};
use crate::args::ClientOptions;
use crate::limits;
use crate::process;
use crate::report::Report;

/// Runs the client and says whether all went well.
pub fn run(options: &ClientOptions) -> Result<ExitCode> {
    options.check()?;
    limits::raise_open_files().context("raising the limit on open files")?;
    let address = options.endpoint.address()?;
    let target = Target {
        address: &address,
        length_size: options.length_size,
        timeout: options.stall_timeout,
    };
    if options.idle_hold {
        return hold_idle(target, options.idle);
    }
    check_server_process(options.pid)?;

    let mut failures = Failures::default();
    let measurement = Measurement::new(options.pid)?;
    let measurement = match open(options, target) {
        Ok((connections, mut idle)) => {
            let measured = options.extent();
            let plan = Plan {
                rate: options.rate,
                warm_up: options.warm_up.extent(measured),
                measured,
                stall_timeout: options.stall_timeout,
                waiting: if options.busy_poll {
                    Waiting::BusyPoll
                } else {
                    Waiting::Sleep
                },
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

fn open(options: &ClientOptions, target: Target<'_>) -> Result<(Vec<Connection>, Idle), Failure> {
    let idle = Idle::open(target, options.idle)?;
    let shape = Shape {
        length_size: options.length_size,
        payload_size: options.size,
        comparison: if options.verify {
            Comparison::Whole
        } else {
            Comparison::Start
        },
    };
    let streams = target.open(options.connections, Sources::Chosen)?;
    let connections = streams
        .into_iter()
        .zip(1..)
        .map(|(stream, seed)| Connection::new(stream, shape, options.in_flight, seed))
        .collect();
    Ok((connections, idle))
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
fn check_server_process(pid: Option<u32>) -> Result<()> {
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

fn finish(options: &ClientOptions, figures: &Figures, errors: Vec<Count>) -> Result<ExitCode> {
    let memory = options.pid.and_then(|pid| process::memory(pid).ok());
    let code = exit_code(&errors);
    Report::new(figures, memory, errors).print(options.json)?;
    Ok(code)
}

fn exit_code(errors: &[Count]) -> ExitCode {
    for error in errors {
        eprintln!("netpoll-bench: {error}");
    }
    if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
