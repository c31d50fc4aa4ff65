//! Connections accepted by one poller and owned by another.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::assigned::{AssignedConnection, Load, LoadShare};
use super::handle::PollerHandle;
use super::message::PollerMessage;
use crate::address::Address;
use crate::settings::Settings;
use crate::socket::Stream;

/// Which member gets the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalance {
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The member that has the fewest.
    LeastConnections,
}

/// A poller that takes connections, and what they are there.
struct Member {
    key: u64,
    handle: PollerHandle,
    settings: Arc<Settings>,
    tag: u32,
    load: Load,
    /// The thread of the member: members of one thread that say the same tag belong to one server.
    thread: ThreadId,
}

/// Assigns accepted connections to pollers, which come and go. Clones share the members.
#[derive(Clone)]
pub struct LoadBalancer(Arc<Mutex<Members>>);

struct Members {
    list: Vec<Member>,
    balance: LoadBalance,
    next: usize,
    next_key: u64,
    /// State of a xorshift generator (Marsaglia, 2003): which member gets a connection need not be
    /// unpredictable.
    random: u64,
}

impl fmt::Debug for LoadBalancer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoadBalancer")
            .finish_non_exhaustive()
    }
}

impl LoadBalancer {
    /// Without members.
    #[must_use]
    pub fn new(balance: LoadBalance) -> Self {
        Self(Arc::new(Mutex::new(Members {
            list: Vec::new(),
            balance,
            next: 0,
            next_key: 0,
            random: 0x9E37_79B9_7F4A_7C15,
        })))
    }

    /// From now on `handle` gets its part of the connections, with these settings; its records of them say `tag`. Returns
    /// what [`Self::leave`] takes.
    pub fn join(&self, handle: PollerHandle, settings: Arc<Settings>, tag: u32) -> u64 {
        let members = &mut *self.members();
        let key = members.next_key;
        members.next_key += 1;
        members.list.push(Member {
            key,
            handle,
            settings,
            tag,
            load: Load::default(),
            thread: thread::current().id(),
        });
        key
    }

    /// That member gets no further connection. Returns how many members are left.
    pub fn leave(&self, key: u64) -> usize {
        let members = &mut *self.members();
        members.list.retain(|member| member.key != key);
        members.list.len()
    }

    /// No peer can be accepted for lack of descriptors or memory: tells one of the members.
    pub(super) fn tell_paused(&self, errno: i32) {
        let members = self.members();
        for Member { handle, tag, .. } in &members.list {
            let message = PollerMessage::AcceptPaused { tag: *tag, errno };
            if handle.try_post(message).is_ok() {
                return;
            }
        }
    }

    /// No poller accepts any more: tells every server that has members, once.
    pub(super) fn tell_failed(&self) {
        let members = self.members();
        let mut told: Vec<(ThreadId, u32)> = Vec::new();
        for member in &members.list {
            let server = (member.thread, member.tag);
            let message = PollerMessage::AcceptEnded { tag: member.tag };
            if !told.contains(&server) && member.handle.try_post(message).is_ok() {
                told.push(server);
            }
        }
    }

    /// Whether both assign to the same members.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Assigns one connection. Without members, or where all are gone, it is closed.
    pub(super) fn assign(&self, stream: Stream, peer: Address) {
        let mut members = self.members();
        let mut connection = (stream, peer);
        while let Some(index) = members.pick() {
            let member = &members.list[index];
            let assigned = AssignedConnection {
                stream: connection.0,
                peer: connection.1,
                settings: member.settings.clone(),
                tag: member.tag,
                share: LoadShare::of(&member.load),
            };
            match member
                .handle
                .try_post(PollerMessage::Assigned(Box::new(assigned)))
            {
                // That poller has gone without leaving.
                Err(PollerMessage::Assigned(back)) => {
                    connection = (back.stream, back.peer);
                    members.list.remove(index);
                }
                _ => return,
            }
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn pick(&mut self) -> Option<usize> {
        let count = self.list.len();
        if count == 0 {
            return None;
        }
        let turn = self.next % count;
        self.next = self.next.wrapping_add(1);
        Some(match self.balance {
            LoadBalance::RoundRobin => turn,
            LoadBalance::Random => (self.random() % count as u64) as usize,
            // Among equals in turn.
            LoadBalance::LeastConnections => (0..count)
                .map(|step| (turn + step) % count)
                .min_by_key(|index| self.list[*index].load.count())
                .unwrap_or(turn),
        })
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
