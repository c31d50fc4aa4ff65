//! Workers and their replies: connections whose messages go to queues that open, close and answer in any order. Replies are
//! compared with a model, and a worker looks only when it was woken.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use netpoll_core::buffer::Region;
use netpoll_core::frame::{Endian, Framing, LengthField};
use netpoll_core::settings::{Handling, LostReply, ReplyOrder, Settings, Start, WhenCongested};
use netpoll_core::work::{
    Answer, Assignment, Bytes, Task, TaskQueue, WorkSettings, WorkStats, Workers,
};
use netpoll_core::{Batch, ChunkPool, Command, Id, Poller, Slice, Wake};

use crate::Target;
use crate::choices::Choices;
use crate::drive::{self, Drive};
use crate::framing::plain_settings;
use crate::reference::Reference;

/// Turns after which what is still going on goes on for ever.
const MOST_TURNS: usize = 100_000;
const LOST: &[u8] = b"(lost)";
/// Bytes of a length, and of a message's number behind it.
const WORD: usize = 4;
const MOST: usize = 5_000;

pub struct WorkersTarget;

impl Target for WorkersTarget {
    fn run(&mut self, input: &[u8]) -> Result<()> {
        let mut choices = Choices::new(input);
        let pool = ChunkPool::new(choices.of(&[256 * 1024, 512, 16 * 1024]), 4);
        let drive = WorkersDrive::choose(&mut choices, &pool)?;
        drive::run(drive, &mut choices, &pool)
    }
}

/// Remembers that it was woken.
#[derive(Clone, Default)]
struct Waker(Arc<AtomicBool>);

impl Waker {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Waker {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A worker, and the tasks that it has taken.
struct Worker {
    queue: TaskQueue,
    waker: Waker,
    tasks: Vec<Task>,
}

/// What became of a message.
#[derive(Clone)]
enum Outcome {
    Reply(Vec<u8>),
    Failed,
    Lost,
}

/// A connection, as its peer and the workers know it.
struct Line {
    /// `None` once it has left.
    socket: Option<UnixStream>,
    has_ended: bool,
    sent: u32,
    taken: usize,
    unanswered: u32,
    outcomes: HashMap<u32, Outcome>,
    /// Numbers, in the order in which they were answered.
    order: Vec<u32>,
    got: Vec<u8>,
    saw_end: bool,
    /// Whether no caller has asked for its end, and it was sent nothing that is refused.
    is_let_be: bool,
}

impl Line {
    /// What the peer gets by now, and whether nothing follows.
    fn expected(&self, order: ReplyOrder, has_lost_reply: bool) -> (Vec<u8>, bool) {
        let numbers: Vec<u32> = match order {
            ReplyOrder::Requests => (0..self.sent).collect(),
            ReplyOrder::Any => self.order.clone(),
        };
        let mut bytes = Vec::new();
        for number in numbers {
            match self.outcomes.get(&number) {
                Some(Outcome::Reply(reply)) => bytes.extend_from_slice(reply),
                Some(Outcome::Lost) if has_lost_reply => bytes.extend_from_slice(LOST),
                Some(_) => return (bytes, true),
                None => break,
            }
        }
        (bytes, false)
    }
}

struct WorkersDrive {
    poller: Poller,
    batch: Batch,
    memory: ChunkPool,
    settings: Arc<Settings>,
    pool: Workers,
    grow: Waker,
    has_lost_reply: bool,
    workers: Vec<Worker>,
    lines: Vec<Line>,
    known: HashMap<Id, usize>,
    /// A pool that is closed loses what it has: how much of it no model says.
    is_closed: bool,
}

impl WorkersDrive {
    fn choose(choices: &mut Choices<'_>, memory: &ChunkPool) -> Result<Self> {
        let grow = Waker::default();
        let terms = WorkSettings {
            assignment: choices.of(&[
                Assignment::LeastOutstanding,
                Assignment::RoundRobin,
                Assignment::Sticky,
            ]),
            concurrency: choices.of(&[4, 1, 2, 100]),
            max_queued: choices.of(&[8, 0, 1, 1_000]),
            min_workers: 1,
        };
        let pool = Workers::new(terms, Box::new(grow.clone()));
        let has_lost_reply = choices.one_in(2);
        let reference = Reference::Varint { most: 0 };
        let mut settings = plain_settings(&reference, None, usize::MAX);
        let framing = LengthField::new(0, WORD, 0, WORD, Endian::Big, MOST);
        settings.framing = Framing::LengthField(framing.ok().context("it is possible")?);
        settings.handling = Handling::Workers {
            pool: pool.clone(),
            lost: has_lost_reply.then(|| LostReply(slice(memory, LOST))),
        };
        settings.reply_order = choices.of(&[ReplyOrder::Requests, ReplyOrder::Any]);
        settings.max_in_flight = NonZeroU32::new(choices.of(&[1_000, 1, 2, 3]));
        settings.when_congested =
            choices.of(&[WhenCongested::StopReading, WhenCongested::KeepReading]);
        Ok(Self {
            poller: Poller::new(memory.clone(), Instant::now())?,
            batch: Batch::with_capacity(4096),
            memory: memory.clone(),
            settings: Arc::new(settings),
            pool,
            grow,
            has_lost_reply,
            workers: Vec::new(),
            lines: Vec::new(),
            known: HashMap::new(),
            is_closed: false,
        })
    }

    fn connect(&mut self) -> Result<()> {
        let (ours, peer) = UnixStream::pair()?;
        peer.set_nonblocking(true)?;
        let id = self
            .poller
            .adopt_stream(ours.as_fd(), self.settings.clone())?;
        self.known.insert(id, self.lines.len());
        self.lines.push(Line {
            socket: Some(peer),
            has_ended: false,
            sent: 0,
            taken: 0,
            unanswered: 0,
            outcomes: HashMap::new(),
            order: Vec::new(),
            got: Vec::new(),
            saw_end: false,
            is_let_be: true,
        });
        Ok(())
    }

    /// Messages of a number and some bytes; rarely one that is refused.
    fn peer_writes(&mut self, index: usize, choices: &mut Choices<'_>) {
        let line = &mut self.lines[index];
        let Some(socket) = line.socket.as_mut().filter(|_| !line.has_ended) else {
            return;
        };
        for _ in 0..1 + choices.below(6) {
            let more = choices.of(&[0, 1, 20, 600, MOST - WORD]);
            let is_refused = choices.one_in(100);
            let announced = if is_refused { MOST + 1 } else { WORD + more };
            let mut wire = (announced as u32).to_be_bytes().to_vec();
            wire.extend(line.sent.to_be_bytes());
            wire.extend(vec![b'x'; more]);
            // A peer that is gone takes nothing; one that took a part of a message writes nothing more.
            if socket.write(&wire).unwrap_or(0) < wire.len() || is_refused {
                line.has_ended = true;
                line.is_let_be = false;
                return;
            }
            line.sent += 1;
        }
    }

    fn peer_leaves(&mut self, index: usize, choices: &mut Choices<'_>) {
        let line = &mut self.lines[index];
        let Some(socket) = &line.socket else { return };
        match choices.below(6) {
            0 => {
                line.is_let_be = false;
                line.socket = None;
            }
            1 | 2 => {
                line.has_ended = true;
                let _ = socket.shutdown(Shutdown::Write);
            }
            _ => {}
        }
    }

    fn peer_reads(&mut self, index: usize) -> Result<()> {
        let line = &mut self.lines[index];
        let Some(socket) = &mut line.socket else {
            return Ok(());
        };
        let mut buffer = [0; 8192];
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => line.saw_end = true,
                Ok(count) => {
                    line.got.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    line.is_let_be = false;
                    line.socket = None;
                }
            }
            break;
        }
        let (all, _) = line.expected(self.settings.reply_order, self.has_lost_reply);
        ensure!(
            self.is_closed || all.starts_with(&line.got),
            "the peer got other replies"
        );
        Ok(())
    }

    fn open(&mut self) {
        let waker = Waker::default();
        let queue = self.pool.open_queue(Box::new(waker.clone()));
        self.workers.push(Worker {
            queue,
            waker,
            tasks: Vec::new(),
        });
    }

    fn end_worker(&mut self, choices: &mut Choices<'_>) {
        if self.workers.is_empty() {
            return;
        }
        let index = choices.below(self.workers.len());
        let worker = &mut self.workers[index];
        if choices.one_in(2) {
            if !worker.queue.retire() {
                return;
            }
        } else {
            worker.queue.close();
        }
        let worker = self.workers.swap_remove(index);
        for task in worker.tasks {
            self.answer(task, Outcome::Lost);
        }
    }

    /// Asks something of a connection.
    fn order(&mut self, index: usize, choices: &mut Choices<'_>) {
        let found = self.known.iter().find(|(_, line)| **line == index);
        let Some((&id, _)) = found else { return };
        let line = &mut self.lines[index];
        let command = match choices.below(8) {
            0..3 => Command::Flow(Start::Paused),
            3..6 => Command::Flow(Start::Reading),
            6 => {
                line.is_let_be = false;
                Command::Finish
            }
            _ => {
                line.is_let_be = false;
                Command::Close
            }
        };
        self.poller.carry_out(id, command);
    }

    /// One worker looks, if it was woken, or goes on with one of its tasks.
    fn work(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        if self.workers.is_empty() {
            return Ok(());
        }
        let index = choices.below(self.workers.len());
        self.look(index)?;
        let worker = &mut self.workers[index];
        if worker.tasks.is_empty() {
            return Ok(());
        }
        let task = worker.tasks.remove(choices.below(worker.tasks.len()));
        let outcome = match choices.below(24) {
            23 => Outcome::Failed,
            22 => Outcome::Lost,
            _ => Outcome::Reply(vec![
                choices.below(256) as u8;
                choices.of(&[4, 0, 100, 9_000])
            ]),
        };
        self.answer(task, outcome);
        self.done(index);
        Ok(())
    }

    fn done(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        if worker.queue.finish(1) {
            worker.waker.wake();
        }
    }

    fn look(&mut self, index: usize) -> Result<()> {
        let worker = &mut self.workers[index];
        if !worker.waker.take() {
            return Ok(());
        }
        let mut fresh = Vec::new();
        worker.queue.take(&mut fresh);
        for task in fresh {
            let at = *self
                .known
                .get(&task.origin.connection())
                .context("of which connection?")?;
            let line = &mut self.lines[at];
            ensure!(number_of(&task) < line.sent, "it was never sent");
            line.taken += 1;
            line.unanswered += 1;
            let most = self.settings.max_in_flight.map_or(0, NonZeroU32::get);
            ensure!(line.unanswered <= most, "too many in flight");
            self.workers[index].tasks.push(task);
        }
        Ok(())
    }

    fn answer(&mut self, task: Task, outcome: Outcome) {
        let number = number_of(&task);
        let line = &mut self.lines[self.known[&task.origin.connection()]];
        line.unanswered -= 1;
        line.outcomes.insert(number, outcome.clone());
        line.order.push(number);
        match outcome {
            Outcome::Lost => drop(task),
            Outcome::Failed => task.origin.answer(Answer::Failed),
            Outcome::Reply(bytes) => {
                let mut reply = Bytes::default();
                let (first, second) = bytes.split_at(bytes.len() / 3);
                for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
                    let pushed = reply.push(slice(&self.memory, part));
                    pushed.expect("there is memory");
                }
                task.origin.answer(Answer::Reply(reply));
            }
        }
    }

    fn turn(&mut self) -> Result<()> {
        self.poller.wait(Some(Duration::ZERO))?;
        self.batch.clear();
        self.poller.turn(Instant::now(), &mut self.batch);
        self.poller.flush(Instant::now());
        Ok(())
    }

    /// Every worker does all that it is told of, until nothing moves any more.
    fn quiesce(&mut self) -> Result<()> {
        let mut quiet = 0;
        for _ in 0..MOST_TURNS {
            let before: usize = self
                .lines
                .iter()
                .map(|line| line.got.len() + line.taken)
                .sum();
            self.turn()?;
            for index in 0..self.workers.len() {
                self.look(index)?;
                while let Some(task) = self.workers[index].tasks.pop() {
                    self.answer(task, Outcome::Reply(b"late".to_vec()));
                    self.done(index);
                }
            }
            for index in 0..self.lines.len() {
                self.peer_reads(index)?;
            }
            let after: usize = self
                .lines
                .iter()
                .map(|line| line.got.len() + line.taken)
                .sum();
            let is_busy = after > before || self.poller.has_ready();
            quiet = if is_busy { 0 } else { quiet + 1 };
            if quiet > 3 {
                return Ok(());
            }
        }
        bail!("it never becomes quiet");
    }
}

impl Drive for WorkersDrive {
    fn step(&mut self, choices: &mut Choices<'_>) -> Result<()> {
        if self.lines.is_empty() || self.lines.len() < 4 && choices.one_in(10) {
            return self.connect();
        }
        let line = choices.below(self.lines.len());
        match choices.below(20) {
            0..5 => self.peer_writes(line, choices),
            5 => self.peer_leaves(line, choices),
            6 => self.peer_reads(line)?,
            7 if self.workers.len() < 4 => self.open(),
            8 => self.end_worker(choices),
            9 => self.order(line, choices),
            10 if choices.one_in(16) => {
                self.is_closed = true;
                self.pool.close();
            }
            11..16 => self.work(choices)?,
            _ => self.turn()?,
        }
        Ok(())
    }

    /// What was sent is answered, each peer gets what it should, and everything ends.
    fn finish(&mut self) -> Result<()> {
        for id in self.known.keys() {
            self.poller.set_flow(*id, Start::Reading);
        }
        if self.workers.is_empty() {
            self.turn()?;
            let waits = self.pool.stats().queued > 0;
            ensure!(
                self.grow.take() || !waits || self.is_closed,
                "no call for a worker"
            );
            self.open();
        }
        self.quiesce()?;
        let order = self.settings.reply_order;
        for line in self.lines.iter().filter(|line| line.is_let_be) {
            let (all, is_broken) = line.expected(order, self.has_lost_reply);
            if self.is_closed {
                continue;
            }
            ensure!(line.got == all, "{} of {} bytes", line.got.len(), all.len());
            let taken = line.taken;
            ensure!(
                is_broken || taken == line.sent as usize,
                "{taken} of {} messages",
                line.sent
            );
            ensure!(
                line.saw_end == (is_broken || line.has_ended),
                "its end: {}",
                line.saw_end
            );
        }
        let WorkStats {
            queued, running, ..
        } = self.pool.stats();
        ensure!((queued, running) == (0, 0), "{queued} wait, {running} run");
        for line in &mut self.lines {
            line.socket = None;
        }
        for id in self.known.keys() {
            self.poller.close(*id);
        }
        self.quiesce()
    }
}

fn number_of(task: &Task) -> u32 {
    let bytes = task.message.as_ref().first_chunk::<WORD>();
    bytes.map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes))
}

fn slice(memory: &ChunkPool, bytes: &[u8]) -> Slice {
    Region::over(memory.take_at_least(bytes.len())).append(bytes)
}
