//! Listening sockets that servers of several threads share: each gets its part of the connections.
//!
//! A thread accepts for all of them, with a poller of its own, so that no server has to stay for
//! the others. It lives as long as a server listens so. Should it fail, every server that has a
//! part is told. The thread's sockets are closed, so that no peer connects in vain, and the next
//! server that listens so starts another.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::buffer::ChunkPool;
use crate::listener::{Listen, Listener, Place};
use crate::poller::{Id, LoadBalance, LoadBalancer, PollerHandle};
use crate::poller_thread::{Failure, PollerThread};
use crate::settings::Settings;

/// A socket that several listen on.
struct SharedSocket {
    id: Id,
    address: Address,
    balancer: LoadBalancer,
}

#[derive(Default)]
struct Sockets {
    /// By the place that was asked for; a port that the system chose stands here, too.
    open: HashMap<Place, SharedSocket>,
    accepting: Option<PollerThread>,
}

/// The shared sockets of a process.
pub struct SharedListeners {
    pool: ChunkPool,
    sockets: Mutex<Sockets>,
}

/// One server's part of a shared socket. It ends by [`SharedListeners::leave`].
#[derive(Debug)]
pub struct Membership {
    place: Place,
    key: u64,
    balancer: LoadBalancer,
    failure: Failure,
}

impl Membership {
    /// Why no thread accepts for it any more.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get()
    }
}

impl SharedListeners {
    /// None yet. Their thread has a poller with chunks of `pool`.
    #[must_use]
    pub fn new(pool: ChunkPool) -> Self {
        Self {
            pool,
            sockets: Mutex::default(),
        }
    }

    /// From now on `handle` gets its part of the connections at a place, whose socket is opened if
    /// no server shares it yet. Then `balance` says which server gets a connection. Records of them
    /// say `tag`.
    ///
    /// # Errors
    /// The system's, of opening the socket or starting the thread; `ECANCELED` where the thread fails meanwhile.
    pub fn join(
        &self,
        listen: Listen,
        balance: LoadBalance,
        handle: PollerHandle,
        settings: Arc<Settings>,
        tag: u32,
    ) -> io::Result<Membership> {
        let mut sockets = self.sockets();
        let opened = sockets.find_or_open(listen, LoadBalancer::new(balance), &self.pool);
        let (place, balancer, failure) = opened.inspect_err(|_| sockets.close_if_empty())?;
        let key = balancer.join(handle, settings, tag);
        // It may have failed just now, and told all others.
        if failure.get().is_some() {
            balancer.leave(key);
            return Err(gone());
        }
        Ok(Membership {
            place,
            key,
            balancer,
            failure,
        })
    }

    /// Where the socket listens.
    #[must_use]
    pub fn address(&self, member: &Membership) -> Option<Address> {
        let sockets = self.sockets();
        let shared = sockets.open.get(&member.place)?;
        Some(shared.address.clone())
    }

    /// The server gets no further connection. Returns whether that was the last part, and the socket is closed.
    #[allow(clippy::needless_pass_by_value, reason = "nothing is left of it")]
    pub fn leave(&self, member: Membership) -> bool {
        let Membership {
            place,
            key,
            balancer,
            ..
        } = member;
        let mut sockets = self.sockets();
        // Another server may have opened the place again, after the thread had failed.
        let shared = sockets.open.get(&place);
        let Some(shared) = shared.filter(|shared| shared.balancer.is_same(&balancer)) else {
            return false;
        };
        if balancer.leave(key) > 0 {
            return false;
        }
        let id = shared.id;
        sockets.open.remove(&place);
        if let Some(thread) = &sockets.accepting {
            thread.handle().ask(move |poller| poller.unlisten(id));
        }
        sockets.close_if_empty();
        true
    }

    /// Nothing is left half-done by a panic.
    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sockets {
    fn find_or_open(
        &mut self,
        listen: Listen,
        balancer: LoadBalancer,
        pool: &ChunkPool,
    ) -> io::Result<(Place, LoadBalancer, Failure)> {
        self.forget_failed();
        let thread = match &self.accepting {
            Some(thread) => thread,
            None => {
                let mut thread = PollerThread::start("netpoll-accept", pool.clone())?;
                thread.accept();
                self.accepting.insert(thread)
            }
        };
        let failure = thread.failure().clone();
        let asked = listen.place.clone();
        if let Some(shared) = self.open.get(&asked) {
            return Ok((asked, shared.balancer.clone(), failure));
        }
        let given = balancer.clone();
        let opened = thread.handle().ask(move |poller| {
            let listener = Listener::bind(&listen)?;
            let address = listener.local_address()?;
            poller.attend_for(listener, given).map(|id| (id, address))
        });
        let (id, address) = opened.unwrap_or_else(|| Err(gone()))?;
        let place = asked.bound_to(&address);
        let shared = SharedSocket {
            id,
            address,
            balancer: balancer.clone(),
        };
        self.open.insert(place.clone(), shared);
        Ok((place, balancer, failure))
    }

    /// Its sockets are closed already. Those who had a part are told, or will be.
    fn forget_failed(&mut self) {
        let has_failed = |thread: &PollerThread| thread.failure().get().is_some();
        if self.accepting.as_ref().is_some_and(has_failed) {
            self.open.clear();
            self.accepting.take();
        }
    }

    fn close_if_empty(&mut self) {
        if self.open.is_empty() {
            drop(self.accepting.take());
        }
    }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Instant;

    use super::*;
    use crate::batch::{Batch, RecordKind};
    use crate::frame::Framing;
    use crate::listener::{PortSharing, Unspecified};
    use crate::poller::Poller;

    fn port(port: u16) -> Listen {
        Listen {
            place: Place::Port {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                sharing: PortSharing::Exclusive,
                unspecified: Unspecified::Both,
            },
            backlog: 16,
        }
    }

    fn settings() -> Arc<Settings> {
        Arc::new(Settings::new(Framing::Stream))
    }

    #[test]
    fn after_a_failure_members_are_told_and_the_next_starts_anew() {
        let listeners = SharedListeners::new(ChunkPool::new(4096, 0));
        let mut server = Poller::new(ChunkPool::new(4096, 0), Instant::now()).expect("a poller");
        let join = |handle, number| {
            let joined = listeners.join(port(number), LoadBalance::Random, handle, settings(), 5);
            joined.expect("the port is free")
        };
        let failed = join(server.handle(), 0);
        let Some(Address::Ip(address)) = listeners.address(&failed) else {
            panic!("it is bound to a port");
        };
        let accepting = listeners.sockets();
        let thread = accepting.accepting.as_ref().expect("there is a thread");
        assert_eq!(
            thread.handle().ask(|_| -> () { panic!("on purpose") }),
            None
        );
        drop(accepting);
        let mut batch = Batch::with_capacity(64);
        // The failure is told through the inbox: a wait without an end ends then.
        while batch.is_empty() {
            server.wait(None).expect("polling");
            server.turn(Instant::now(), &mut batch);
        }
        let told = batch.records()[0];
        assert_eq!((told.slot, told.kind()), (5, RecordKind::AcceptEnded as u8));
        assert_eq!(failed.failure(), Some("netpoll panicked: on purpose"));
        let again = join(server.handle(), address.port());
        assert_eq!(again.failure(), None);
        assert!(!listeners.leave(failed), "the socket is another's");
        assert!(listeners.address(&again).is_some());
        assert!(listeners.leave(again));
    }
}
