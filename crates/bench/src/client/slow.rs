//! Slow peers: they send requests as fast as the server takes them, and read its replies at a trickle.
//!
//! A server without back-pressure keeps the replies in its memory, so what a slow peer sends is bounded.

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::connect::{Sources, Target};
use super::exchange::Exchange;
use super::failure::{Failure, Failures};
use super::frames::{Frames, Shape};
use crate::shutdown;
use crate::socket::Stream;

/// Requests written at a time.
const SLOTS: usize = 64;
/// How often every peer has its turn.
const TURN: Duration = Duration::from_millis(10);
/// A server that took nothing for so many turns takes no more.
const QUIET_TURNS: u32 = 30;

/// What slow peers do.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Where the server is.
    pub target: Target<'a>,
    /// What each request looks like.
    pub shape: Shape,
    /// How many peers there are.
    pub connections: usize,
    /// Bytes that each sends at most.
    pub limit: u64,
    /// Bytes that each reads in a second.
    pub rate: u64,
}

/// One of them.
struct Peer {
    stream: Stream,
    /// The requests, over and over: their replies are not looked at.
    requests: Vec<u8>,
    at: usize,
    taken: u64,
}

/// Says `slow ready` once the server takes no more, and goes on until the standard input ends. Then
/// says `taken` and how many bytes the server took in all.
pub fn run(plan: Plan<'_>, failures: &mut Failures) -> Result<()> {
    let streams = match plan.target.open(plan.connections, Sources::Chosen) {
        Ok(streams) => streams,
        Err(failure) => {
            failures.add(failure);
            return Ok(());
        }
    };
    let mut peers: Vec<Option<Peer>> = streams
        .into_iter()
        .map(|stream| Some(Peer::new(stream, plan.shape)))
        .collect();
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        shutdown::wait_for_end_of_standard_input();
        drop(ended);
    });
    let mut stdout = io::stdout();
    let (mut quiet_turns, mut taken, mut ready) = (0, 0, false);
    let mut trickle = vec![0; (plan.rate as f64 * TURN.as_secs_f64()) as usize];
    while end.recv_timeout(TURN) == Err(mpsc::RecvTimeoutError::Timeout) {
        let before = taken;
        for peer in &mut peers {
            let outcome = peer
                .as_mut()
                .map_or(Ok(0), |peer| peer.turn(plan.limit, &mut trickle));
            match outcome {
                Ok(count) => taken += count,
                Err(error) => {
                    failures.add(Failure::from(error));
                    *peer = None;
                }
            }
        }
        // What little the trickle lets through is no progress.
        let is_quiet = taken - before <= 2 * trickle.len() as u64 * plan.connections as u64;
        quiet_turns = if is_quiet { quiet_turns + 1 } else { 0 };
        if quiet_turns == QUIET_TURNS && !ready {
            ready = true;
            writeln!(stdout, "slow ready")?;
            stdout.flush()?;
        }
    }
    writeln!(stdout, "taken {taken}")?;
    Ok(())
}

impl Peer {
    fn new(stream: Stream, shape: Shape) -> Self {
        let mut frames = Frames::new(shape, SLOTS, 1);
        for _ in 0..SLOTS {
            frames.queue();
        }
        Self {
            stream,
            requests: frames.unsent().concat(),
            at: 0,
            taken: 0,
        }
    }

    /// Reads a trickle and sends for as long as a turn, but no more than `limit` bytes in all; how many
    /// it sent.
    fn turn(&mut self, limit: u64, trickle: &mut [u8]) -> io::Result<u64> {
        match self.stream.read(trickle) {
            Ok(0) if !trickle.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        let (before, began) = (self.taken, Instant::now());
        while self.taken < limit && began.elapsed() < TURN {
            match self.stream.write(&self.requests[self.at..]) {
                Ok(length) => {
                    self.taken += length as u64;
                    self.at = (self.at + length) % self.requests.len();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.taken - before)
    }
}
