//! The layer: what the calls of a thread come to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use socket2::SockRef;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Bytes come from a socket.
    Read,
    /// Bytes go to a socket.
    Write,
    /// A connection is accepted.
    Accept,
    /// A socket is made and begins to connect.
    Connect,
    /// A socket is made, bound and listens.
    Listen,
    /// A descriptor is duplicated, to be taken on.
    Adopt,
    /// A socket is watched, or watched otherwise.
    Watch,
    /// A socket is watched no longer.
    Unwatch,
    /// The poller waits.
    Wait,
    /// A direction of a socket ends.
    Shutdown,
    /// An option of a socket is set.
    SetOption,
    /// A socket is asked for an address, or for its error.
    Query,
}

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It moves so many bytes at most.
    Short(usize),
    /// It does nothing, and fails with this number.
    Fail(i32),
}

/// Which calls of a thread meet a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// None.
    Nothing,
    /// At one site, the `times` calls behind the first `skipped`.
    At {
        /// The site.
        site: Site,
        /// Calls that are left alone before.
        skipped: usize,
        /// Calls that meet the fault.
        times: usize,
        /// The fault.
        fault: Fault,
    },
    /// A third of the calls that move bytes or accept, with what no caller may notice: short, `EINTR`, `EAGAIN`.
    OnSockets {
        /// The same seed has the same calls meet the same faults.
        seed: u64,
    },
    /// As [`Self::OnSockets`], and waits are interrupted.
    Everywhere {
        /// The same seed has the same calls meet the same faults.
        seed: u64,
    },
}

/// What has become of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Calls that the plan was about.
    pub calls: usize,
    /// Calls that have met a fault. One that was to be cut short counts where it would have moved more.
    pub faults: usize,
}

/// Has the system tell of a descriptor what is so already.
type Announce = Box<dyn Fn()>;

struct Layer {
    plan: Plan,
    random: u64,
    injected: Injected,
    /// Those that were closed since are replaced when their number comes again.
    watched: HashMap<RawFd, Announce>,
}

thread_local! {
    static LAYER: RefCell<Layer> = RefCell::new(Layer::new(usual_plan()));
}

/// What a thread begins with.
fn usual_plan() -> Plan {
    let Some(seed) = std::env::var("NETPOLL_FAULTS")
        .ok()
        .and_then(|seed| seed.parse::<u64>().ok())
    else {
        return Plan::Nothing;
    };
    let mut hasher = DefaultHasher::new();
    std::thread::current().name().hash(&mut hasher);
    Plan::OnSockets {
        seed: seed ^ hasher.finish(),
    }
}

/// Has calls of this thread meet faults by `plan`, in place of the plan before. Returns what has become of that.
pub fn follow(plan: Plan) -> Injected {
    LAYER.with_borrow_mut(|layer| {
        let watched = std::mem::take(&mut layer.watched);
        let before = std::mem::replace(layer, Layer::new(plan));
        layer.watched = watched;
        before.injected
    })
}

impl Layer {
    fn new(plan: Plan) -> Self {
        let random = match plan {
            Plan::OnSockets { seed } | Plan::Everywhere { seed } => seed,
            Plan::Nothing | Plan::At { .. } => 0,
        };
        Self {
            plan,
            random,
            injected: Injected::default(),
            watched: HashMap::new(),
        }
    }

    /// The next of a sequence that the seed determines (SplitMix64).
    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit.max(1) as u64) as usize
    }

    /// What the next call at `site`, of `length` bytes, comes to.
    fn next(&mut self, site: Site, length: usize) -> Option<Fault> {
        match self.plan {
            Plan::Nothing => None,
            Plan::At {
                site: chosen,
                skipped,
                times,
                fault,
            } => {
                if site != chosen {
                    return None;
                }
                let call = self.injected.calls;
                self.injected.calls += 1;
                (skipped..skipped.saturating_add(times))
                    .contains(&call)
                    .then_some(fault)
            }
            Plan::OnSockets { .. } if site == Site::Wait => None,
            Plan::OnSockets { .. } | Plan::Everywhere { .. } => self.transparent(site, length),
        }
    }

    fn transparent(&mut self, site: Site, length: usize) -> Option<Fault> {
        let moves = matches!(site, Site::Read | Site::Write);
        if !moves && site != Site::Accept && site != Site::Wait || self.below(3) > 0 {
            return None;
        }
        self.injected.calls += 1;
        match self.below(if moves { 4 } else { 2 }) {
            0 => Some(Fault::Fail(libc::EINTR)),
            1 if site == Site::Wait => None,
            1 => Some(Fault::Fail(libc::EAGAIN)),
            2 => Some(Fault::Short(1)),
            _ => Some(Fault::Short(1 + self.below(length))),
        }
    }
}

fn next(site: Site, length: usize) -> Option<Fault> {
    LAYER.with_borrow_mut(|layer| layer.next(site, length))
}

fn note_fault() {
    LAYER.with_borrow_mut(|layer| layer.injected.faults += 1);
}

/// The failure that a call on `descriptor` meets.
fn fail<T>(descriptor: RawFd, errno: i32) -> io::Result<T> {
    note_fault();
    if errno == libc::EAGAIN {
        announce_anew(descriptor);
    }
    Err(io::Error::from_raw_os_error(errno))
}

/// The failure that a call at `site` meets, which moves no bytes.
pub(crate) fn failure<T>(site: Site, descriptor: &impl AsRawFd) -> Option<io::Result<T>> {
    failure_of(site, descriptor.as_raw_fd())
}

/// As [`failure`], of a call that has no descriptor yet.
pub(crate) fn failure_without<T>(site: Site) -> Option<io::Result<T>> {
    failure_of(site, -1)
}

fn failure_of<T>(site: Site, descriptor: RawFd) -> Option<io::Result<T>> {
    match next(site, 0)? {
        Fault::Fail(errno) => Some(fail(descriptor, errno)),
        Fault::Short(_) => None,
    }
}

/// How many of `length` bytes the next call at `site` moves, where those are fewer, or how it fails.
fn limit(site: Site, stream: &impl AsFd, length: usize) -> Option<io::Result<usize>> {
    match next(site, length)? {
        Fault::Fail(errno) => Some(fail(stream.as_fd().as_raw_fd(), errno)),
        Fault::Short(limit) if limit < length => Some(Ok(limit)),
        Fault::Short(_) => None,
    }
}

/// What a read into `pieces` comes to, if not to what the system would make of it.
pub(crate) fn read(stream: &impl AsFd, pieces: &mut [IoSliceMut<'_>]) -> Option<io::Result<usize>> {
    let length = pieces.iter().map(|piece| piece.len()).sum();
    let limit = match limit(Site::Read, stream, length)? {
        Ok(limit) => limit,
        Err(error) => return Some(Err(error)),
    };
    let mut left = limit;
    let mut few = Vec::new();
    for piece in pieces {
        let length = piece.len().min(left);
        left -= length;
        few.push(IoSliceMut::new(&mut piece[..length]));
    }
    let read = (&*SockRef::from(stream)).read_vectored(&mut few);
    note_short(stream, limit, &read);
    Some(read)
}

/// As [`read`], of a write.
pub(crate) fn write(stream: &impl AsFd, pieces: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
    let length = pieces.iter().map(|piece| piece.len()).sum();
    let limit = match limit(Site::Write, stream, length)? {
        Ok(limit) => limit,
        Err(error) => return Some(Err(error)),
    };
    let mut left = limit;
    let mut few = Vec::new();
    for piece in pieces {
        let length = piece.len().min(left);
        left -= length;
        few.push(IoSlice::new(&piece[..length]));
    }
    let written = (&*SockRef::from(stream)).write_vectored(&few);
    note_short(stream, limit, &written);
    Some(written)
}

/// One that moves fewer bytes than it may was short by itself, and the system announces the rest.
fn note_short(stream: &impl AsFd, limit: usize, moved: &io::Result<usize>) {
    if matches!(moved, Ok(count) if *count == limit) {
        note_fault();
        announce_anew(stream.as_fd().as_raw_fd());
    }
}

/// Remembers how the poller is made to hear of `descriptor` once more.
pub(crate) fn watched(descriptor: &impl AsRawFd, announce: impl Fn() + 'static) {
    let announce = Box::new(announce);
    LAYER.with_borrow_mut(|layer| layer.watched.insert(descriptor.as_raw_fd(), announce));
}

/// Forgets it: `descriptor` is watched no longer.
pub(crate) fn unwatched(descriptor: &impl AsRawFd) {
    LAYER.with_borrow_mut(|layer| layer.watched.remove(&descriptor.as_raw_fd()));
}

/// Has the system tell what is so already, as it tells what comes after it had nothing.
fn announce_anew(descriptor: RawFd) {
    LAYER.with_borrow(|layer| {
        if let Some(announce) = layer.watched.get(&descriptor) {
            announce();
        }
    });
}
