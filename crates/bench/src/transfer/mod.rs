//! The client of a transfer: one large stream over one connection, in one
//! direction, and how long it took.
//!
//! [`protocol`] is what both sides speak; [`channel`] is the client's socket.

pub mod channel;
pub mod protocol;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::channel::Channel;
use self::protocol::{COUNT_SIZE, Comparison, DOWNLOAD, UPLOAD};
use crate::args::{Direction, TransferOptions};
use crate::client::connect::{Acceptance, Sources, Target};
use crate::client::failure::{Failure, Failures, Kind};
use crate::client::{check_server_process, exit_code};
use crate::process::{self, ProcessorTime};
use crate::report::{self, transfer::Report};

/// More than a socket usually holds, for few reads.
const READ_SIZE: usize = 256 * 1024;

/// What a transfer took.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Which way the bytes went.
    pub direction: Direction,
    /// Bytes transferred.
    pub bytes: u64,
    /// From the request to the server's last byte.
    pub length: Duration,
    /// Processor time that the client worked.
    pub own: Duration,
    /// Processor time of the server, where it is known.
    pub server: Option<ProcessorTime>,
}

/// Runs the transfer and says whether all went well.
pub fn run(options: &TransferOptions) -> Result<ExitCode> {
    let address = options.endpoint.address()?;
    check_server_process(options.pid)?;
    let target = Target {
        address: &address,
        acceptance: Acceptance::Assumed,
        tls: None,
        timeout: options.stall_timeout,
    };
    let mut failures = Failures::default();
    let figures = match target.connect(Sources::Chosen, 0) {
        Ok(stream) => {
            let channel = Channel::new(stream, options.waiting(), options.stall_timeout)?;
            measure(options, channel, &mut failures)?
        }
        Err(failure) => {
            failures.add(failure);
            Figures::none(options.direction)
        }
    };
    let memory = options.pid.and_then(|pid| process::memory(pid).ok());
    let errors = failures.counts();
    let code = exit_code(&errors);
    report::print(&Report::new(&figures, memory, errors), options.json)?;
    Ok(code)
}

fn measure(
    options: &TransferOptions,
    mut channel: Channel,
    failures: &mut Failures,
) -> Result<Figures> {
    // A server that has ended is found out by the connection.
    let server_time = || {
        options
            .pid
            .and_then(|pid| process::processor_time(pid).ok())
    };
    let server_before = server_time();
    let own_before = process::own_processor_time()?;
    let began = Instant::now();
    let moved = match options.direction {
        Direction::Upload => upload(&mut channel, options.bytes),
        Direction::Download => download(&mut channel, options.bytes, options.comparison()),
    };
    let length = began.elapsed();
    let own = process::own_processor_time()?.saturating_sub(own_before);
    let server = server_time().zip(server_before);
    Ok(match moved {
        Ok(()) => Figures {
            direction: options.direction,
            bytes: options.bytes,
            length,
            own: own.saturating_sub(channel.idle()),
            server: server.map(|(after, before)| after.since(before)),
        },
        Err(failure) => {
            failures.add(failure);
            Figures::none(options.direction)
        }
    })
}

impl Figures {
    /// What a transfer that failed has to show.
    fn none(direction: Direction) -> Self {
        Self {
            direction,
            bytes: 0,
            length: Duration::ZERO,
            own: Duration::ZERO,
            server: None,
        }
    }
}

fn upload(channel: &mut Channel, bytes: u64) -> Result<(), Failure> {
    channel.write_all(&[UPLOAD])?;
    let mut sent = 0;
    while sent < bytes {
        let block = protocol::rest_of_block(sent);
        let length = (bytes - sent).min(block.len() as u64) as usize;
        channel.write_all(&block[..length])?;
        sent += length as u64;
    }
    channel.finish()?;
    let mut answer = [0; COUNT_SIZE + 1];
    let mut length = 0;
    while length < answer.len() {
        match channel.read(&mut answer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    let Ok(count) = answer[..length].try_into().map(u64::from_be_bytes) else {
        let detail =
            format!("the answer to an upload has {COUNT_SIZE} bytes, not {length} or more");
        return Err(Failure::new(Kind::Mismatch, detail));
    };
    if count != bytes {
        let detail = format!("the server counted {count} bytes of {bytes}");
        return Err(Failure::new(Kind::Mismatch, detail));
    }
    Ok(())
}

fn download(channel: &mut Channel, bytes: u64, comparison: Comparison) -> Result<(), Failure> {
    let mut request = [DOWNLOAD; 1 + COUNT_SIZE];
    request[1..].copy_from_slice(&bytes.to_be_bytes());
    channel.write_all(&request)?;
    let mut buffer = vec![0; READ_SIZE].into_boxed_slice();
    let mut received = 0;
    loop {
        let length = channel.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        if let Some(offset) = protocol::difference(comparison, &buffer[..length], received) {
            let detail = format!("byte {offset} is not the one expected");
            return Err(Failure::new(Kind::Mismatch, detail));
        }
        received += length as u64;
        if received > bytes {
            let detail = format!("more than {bytes} bytes came");
            return Err(Failure::new(Kind::Mismatch, detail));
        }
    }
    if received < bytes {
        let detail = format!("after {received} bytes of {bytes}");
        return Err(Failure::new(Kind::Closed, detail));
    }
    Ok(())
}
