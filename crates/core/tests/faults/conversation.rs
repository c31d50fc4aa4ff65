//! A conversation of two ends that are both ours, and what has become of it.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::faults::{self, Injected, Plan};
use netpoll_core::listener::Listener;
use netpoll_core::settings::UnfinishedBound;
use netpoll_core::tls::options::Version;
use netpoll_core::tls::{ClientTls, ServerTls, Tls};
use netpoll_core::{Address, Id, LoadBalance, LoadBalancer, Poller, Settings};

use crate::peers::{client_options, server_options};
use crate::support::{
    Entry, Harness, PATIENCE, SocketFile, TCP_TAG, What, base, echo, frame, is_readable, listen_at,
    open_descriptors,
};

/// How long the clock goes on where nothing happens. Many times that is less than a test waits.
const IDLE: Duration = Duration::from_secs(1);
/// Limits of what may wait for the other end, by the poller's clock.
const LIMIT: Duration = Duration::from_secs(50);

/// What carries a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    pub is_unix: bool,
    pub tls: Option<Version>,
}

pub const TRANSPORTS: [Transport; 5] = [
    transport(false, None),
    transport(true, None),
    transport(false, Some(Version::Tls12)),
    transport(false, Some(Version::Tls13)),
    transport(true, Some(Version::Tls13)),
];

const fn transport(is_unix: bool, tls: Option<Version>) -> Transport {
    Transport { is_unix, tls }
}

/// Which poller gets the connection, and which end closes it once everything was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub accepting: Accepting,
    pub ending: Ending,
}

/// The usual one.
pub const USUAL: Course = Course {
    accepting: Accepting::Alone,
    ending: Ending::ClientCloses,
};

/// Which poller gets what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// The one that accepts.
    Alone,
    /// The member of a load balancer, by message.
    Balanced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Once all replies have come.
    ClientCloses,
    /// Right behind the last request, its own direction alone.
    ClientEnds,
    /// Right behind the last reply.
    ServerCloses,
    /// With the last request, which it still answers.
    ServerFinishes,
    /// The client sends a frame that the server refuses behind all others.
    ServerRefuses,
}

pub const ENDINGS: [Ending; 4] = [
    Ending::ClientEnds,
    Ending::ServerCloses,
    Ending::ServerFinishes,
    Ending::ServerRefuses,
];

/// How one has ended.
#[derive(Debug)]
pub struct Outcome {
    /// Calls that the plan was about.
    pub calls: usize,
    /// Those that have met a fault.
    pub faults: usize,
    /// Replies that have come, of all.
    pub replies: usize,
    /// Replies that were due.
    pub requests: usize,
    /// Whether a failure was told: by what was called, or by a record.
    pub is_failure_told: bool,
}

impl Outcome {
    pub fn is_complete(&self) -> bool {
        self.replies == self.requests
    }
}

fn limited(mut settings: Settings, unfinished: &Arc<UnfinishedBound>) -> Settings {
    settings.unfinished = unfinished.clone();
    settings.close_timeout = LIMIT;
    settings.max_close_time = 2 * LIMIT;
    settings.read_timeout = Some(LIMIT);
    settings.write_timeout = Some(LIMIT);
    settings
}

fn both_ends(transport: Transport, unfinished: &Arc<UnfinishedBound>) -> [Arc<Settings>; 2] {
    let (mut server, mut client) = (limited(base(), unfinished), limited(base(), unfinished));
    server.keep_alive = Some(LIMIT);
    if let Some(version) = transport.tls {
        let tls = ServerTls::new(&server_options(version), Some(LIMIT)).expect("valid");
        server.tls = Some(Tls::Server(Arc::new(tls)));
        let tls = ClientTls::new(&client_options(version)).expect("valid");
        client.tls = Some(Tls::Client(Arc::new(tls)));
    }
    [Arc::new(server), Arc::new(client)]
}

/// Asks for each of `requests` at once, has them echoed, and closes. Faults are met by `plan` from listening on until both
/// ends are gone. Fails where bytes are wrong, an end hangs or is not told of, or something is left.
pub fn converse(transport: Transport, course: Course, requests: &[Vec<u8>], plan: Plan) -> Outcome {
    let _named = Named(transport, course, plan);
    let descriptors = open_descriptors();
    let unfinished = Arc::new(UnfinishedBound::new(64 * 1024 * 1024));
    let mut h = Harness::with(64 * 1024, 1024);
    let pool = h.pool.clone();
    let before = pool.stats().live;
    let [server, client] = both_ends(transport, &unfinished);
    let file = SocketFile::new();
    faults::follow(plan);
    let mut talk = Talk::new(requests, course);
    talk.run(&mut h, transport, &file, [server, client]);
    let injected = faults::follow(Plan::Nothing);
    let outcome = talk.judge(&h, injected);
    // A handshake of TLS may wait for the rest of its turn's time, and its connection for nothing else.
    h.quiesce();
    h.log.clear();
    // What was read last lies in the tail, which has a chunk at all times.
    h.turn();
    assert!(pool.stats().live <= before + 1, "{:?}", pool.stats());
    assert_eq!(unfinished.used(), 0, "of unfinished messages");
    assert!(!h.poller.has_ready());
    drop(h);
    assert_eq!(pool.stats().live, 0, "chunks are left");
    assert_eq!(open_descriptors(), descriptors, "descriptors are left");
    outcome
}

/// Says of which conversation a failure was.
struct Named(Transport, Course, Plan);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}, {:?}, {:?}", self.0, self.1, self.2);
        }
    }
}

struct Talk<'a> {
    requests: &'a [Vec<u8>],
    course: Course,
    dialed: Option<Id>,
    is_refused: bool,
}

impl<'a> Talk<'a> {
    fn new(requests: &'a [Vec<u8>], course: Course) -> Self {
        Self {
            requests,
            course,
            dialed: None,
            is_refused: false,
        }
    }

    fn run(
        &mut self,
        h: &mut Harness,
        transport: Transport,
        file: &SocketFile,
        [server, client]: [Arc<Settings>; 2],
    ) {
        let place = match transport.is_unix {
            true => file.address(),
            false => Address::Ip(([127, 0, 0, 1], 0).into()),
        };
        let Ok(listener) = self.listen(h, &place, server) else {
            self.is_refused = true;
            return;
        };
        if let Ok(address) = h.poller.listener_address(listener) {
            let deadline = h.now() + LIMIT;
            match h.try_dial(&address, &client, Some(deadline)) {
                Ok(dialed) => self.dialed = Some(dialed),
                Err(_) => self.is_refused = true,
            }
        } else {
            self.is_refused = true;
        }
        if let Some(dialed) = self.dialed {
            self.until_over(h, dialed);
        }
        h.poller.unlisten(listener);
        // Peers that the listener has not come to are gone with it.
        let accepted = h.accepted();
        step_until(h, echo, |h| {
            accepted.iter().all(|id| h.reason(*id).is_some())
        });
    }

    fn listen(&self, h: &mut Harness, place: &Address, settings: Arc<Settings>) -> io::Result<Id> {
        let listen = listen_at(place, 16);
        match self.course.accepting {
            Accepting::Alone => h.poller.listen(&listen, settings, TCP_TAG),
            Accepting::Balanced => {
                let balancer = LoadBalancer::new(LoadBalance::RoundRobin);
                balancer.join(h.poller.handle(), settings, TCP_TAG);
                h.poller.attend_for(Listener::bind(&listen)?, balancer)
            }
        }
    }

    /// Goes on until the dialed end is gone.
    fn until_over(&self, h: &mut Harness, dialed: Id) {
        let mut pieces: Vec<_> = self.requests.iter().map(|bytes| h.slice(bytes)).collect();
        let ending = self.course.ending;
        if ending == Ending::ServerRefuses {
            pieces.push(h.slice(&[0xff; 4]));
        }
        let due = self.requests.len();
        let (mut requests, mut replies) = (0, 0);
        let handler = |poller: &mut Poller, entry: &Entry| match (&entry.what, entry.id) {
            (What::Connected, _) => {
                for piece in &pieces {
                    poller.send(dialed, piece.clone());
                }
                if ending == Ending::ClientEnds {
                    poller.end(dialed);
                }
            }
            (What::Message(_), Some(id)) if id == dialed => {
                replies += 1;
                poller.acknowledge(dialed, 1);
                if replies == due && ending == Ending::ClientCloses {
                    poller.close(dialed);
                }
            }
            (What::Message(_), Some(id)) => {
                requests += 1;
                if requests == due && ending == Ending::ServerFinishes {
                    poller.finish(id);
                }
                echo(poller, entry);
                if requests == due && ending == Ending::ServerCloses {
                    poller.close(id);
                }
            }
            _ => {}
        };
        step_until(h, handler, |h| h.reason(dialed).is_some());
    }

    fn judge(&self, h: &Harness, injected: Injected) -> Outcome {
        let replies = self.dialed.map(|id| h.messages(id)).unwrap_or_default();
        assert!(
            self.requests.starts_with(&replies),
            "wrong bytes have come back"
        );
        for id in h.accepted() {
            let requests = h.messages(id);
            assert!(self.requests.starts_with(&requests), "wrong bytes came");
        }
        let is_told = h.log.iter().any(|entry| match entry.what {
            What::Closed(reason) | What::Inactive(reason) => reason != 0,
            What::AcceptFailed(_) | What::AcceptPaused(_) | What::HandshakeFailed { .. } => true,
            _ => false,
        });
        Outcome {
            calls: injected.calls,
            faults: injected.faults,
            replies: replies.len(),
            requests: self.requests.len(),
            is_failure_told: self.is_refused || is_told,
        }
    }
}

/// Takes steps until `done`. Where nothing is left to do the clock goes on, so that what waits for a time gets it.
fn step_until(
    h: &mut Harness,
    mut handler: impl FnMut(&mut Poller, &Entry),
    mut done: impl FnMut(&Harness) -> bool,
) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !done(h) {
        assert!(std::time::Instant::now() < deadline, "it hangs");
        let entries = h.step(&mut handler);
        let is_called = is_readable(h.poller.as_raw_fd());
        if entries.is_empty() && !is_called && !h.poller.has_ready() {
            h.advance(IDLE);
        }
    }
}

/// Requests of all kinds: empty, small, with memory of its own, and more than a socket takes at once.
pub fn requests() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 20, 3_000, 40_000, 7, 300_000, 11];
    let fill = |(index, length): (usize, &usize)| {
        let byte = |at: usize| (at % 251) as u8 ^ index as u8;
        frame(&(0..*length).map(byte).collect::<Vec<_>>())
    };
    lengths.iter().enumerate().map(fill).collect()
}

/// A few small ones.
pub fn small_requests() -> Vec<Vec<u8>> {
    [&b"abc"[..], b"", b"defgh"].map(frame).to_vec()
}
