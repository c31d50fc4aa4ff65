//! Connections accepted by one poller and owned by another.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::dealt::{Dealt, Load, LoadShare};
use super::handle::PollerHandle;
use super::message::PollerMessage;
use crate::address::Address;
use crate::settings::Settings;
use crate::socket::Stream;

/// Who gets the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalance {
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// Whoever has the fewest.
    LeastConnections,
}

/// A poller that takes connections, and what they are there.
struct Seat {
    key: u64,
    handle: PollerHandle,
    settings: Arc<Settings>,
    tag: u32,
    load: Load,
    /// Who sat down: seats of one thread that say the same tag belong to one server.
    thread: ThreadId,
}

/// Deals accepted connections out to pollers, which come and go. Clones share the seats.
#[derive(Clone)]
pub struct Dealer(Arc<Mutex<Table>>);

struct Table {
    seats: Vec<Seat>,
    balance: LoadBalance,
    next: usize,
    next_key: u64,
    /// State of a xorshift generator (Marsaglia, 2003): who gets a connection need not be unpredictable.
    random: u64,
}

impl fmt::Debug for Dealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Dealer").finish_non_exhaustive()
    }
}

impl Dealer {
    /// Without seats.
    #[must_use]
    pub fn new(balance: LoadBalance) -> Self {
        Self(Arc::new(Mutex::new(Table {
            seats: Vec::new(),
            balance,
            next: 0,
            next_key: 0,
            random: 0x9E37_79B9_7F4A_7C15,
        })))
    }

    /// From now on `handle` gets its part of the connections, with these settings; its records of them say `tag`. Returns
    /// what [`Self::leave`] takes.
    pub fn join(&self, handle: PollerHandle, settings: Arc<Settings>, tag: u32) -> u64 {
        let table = &mut *self.table();
        let key = table.next_key;
        table.next_key += 1;
        table.seats.push(Seat {
            key,
            handle,
            settings,
            tag,
            load: Load::default(),
            thread: thread::current().id(),
        });
        key
    }

    /// That seat gets no further connection. Returns how many seats are left.
    pub fn leave(&self, key: u64) -> usize {
        let table = &mut *self.table();
        table.seats.retain(|seat| seat.key != key);
        table.seats.len()
    }

    /// Nobody can be accepted for lack of descriptors or memory: tells one of the seats.
    pub(super) fn tell_paused(&self, errno: i32) {
        let table = self.table();
        for Seat { handle, tag, .. } in &table.seats {
            let message = PollerMessage::AcceptPaused { tag: *tag, errno };
            if handle.try_post(message).is_ok() {
                return;
            }
        }
    }

    /// Nobody accepts any more: tells every server that has seats, once.
    pub(super) fn tell_failed(&self) {
        let table = self.table();
        let mut told: Vec<(ThreadId, u32)> = Vec::new();
        for seat in &table.seats {
            let server = (seat.thread, seat.tag);
            let message = PollerMessage::AcceptEnded { tag: seat.tag };
            if !told.contains(&server) && seat.handle.try_post(message).is_ok() {
                told.push(server);
            }
        }
    }

    /// Whether both deal to the same seats.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Deals one connection. Where nobody sits, or all are gone, it is closed.
    pub(super) fn deal(&self, stream: Stream, peer: Address) {
        let mut table = self.table();
        let mut cards = (stream, peer);
        while let Some(index) = table.pick() {
            let seat = &table.seats[index];
            let dealt = Dealt {
                stream: cards.0,
                peer: cards.1,
                settings: seat.settings.clone(),
                tag: seat.tag,
                share: LoadShare::of(&seat.load),
            };
            match seat.handle.try_post(PollerMessage::Dealt(Box::new(dealt))) {
                // That poller has gone without leaving.
                Err(PollerMessage::Dealt(back)) => {
                    cards = (back.stream, back.peer);
                    table.seats.remove(index);
                }
                _ => return,
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn pick(&mut self) -> Option<usize> {
        let count = self.seats.len();
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
                .min_by_key(|index| self.seats[*index].load.count())
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
