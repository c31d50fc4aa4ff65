//! Listening sockets that servers of several threads share: whoever joins gets its part of the connections.
//!
//! A thread accepts for all of them, with a poller of its own, so that no server has to stay for the others. It lives as long
//! as anybody listens so. Should it fail, every server that has a part is told, its sockets are closed, so that nobody
//! connects in vain, and the next server that listens so starts another.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use napi::Env;
use napi_derive::napi;
use netpoll_core::listener::Listener;
use netpoll_core::{Address, Batch, Dealer, Id, Letter, Poller, Remote};

use crate::api::dealer::parse_balance;
use crate::api::event_loop::{EventLoop, errno};
use crate::api::options::{ConnectionSettings, ListenPlace, SocketAddress};
use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::attempt;
use crate::memory::chunk_pool;

/// A socket that several listen on.
struct Shared {
    id: Id,
    address: Address,
    dealer: Dealer,
}

#[derive(Default)]
struct Hall {
    /// By what `place` was asked for; a port that the system chose stands here, too.
    sockets: HashMap<String, Shared>,
    porter: Option<Porter>,
}

static HALL: LazyLock<Mutex<Hall>> = LazyLock::new(Mutex::default);

/// Nothing is left half-done by a panic.
fn hall() -> MutexGuard<'static, Hall> {
    HALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that accepts.
struct Porter {
    remote: Remote,
    is_stopped: Arc<AtomicBool>,
    /// Why it has ended before it was stopped.
    failure: Arc<OnceLock<String>>,
    thread: JoinHandle<()>,
}

impl Porter {
    fn start() -> io::Result<Self> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let failure = Arc::new(OnceLock::new());
        let (made, remote) = mpsc::sync_channel(1);
        let (stop, failed) = (is_stopped.clone(), failure.clone());
        let thread =
            thread::Builder::new().name("netpoll-accept".into()).spawn(
                move || match Poller::new(chunk_pool().clone(), Instant::now()) {
                    Ok(poller) => {
                        // Whoever started it waits for it.
                        let _ = made.send(Ok(poller.remote()));
                        run(poller, &stop, &failed);
                    }
                    Err(error) => {
                        let _ = made.send(Err(error));
                    }
                },
            )?;
        let gone = |_| Err(io::ErrorKind::Other.into());
        let remote = remote.recv().unwrap_or_else(gone)?;
        Ok(Self {
            remote,
            is_stopped,
            failure,
            thread,
        })
    }

    fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Poller) -> R + Send + 'static,
    ) -> Option<R> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.remote.post(Letter::Visit(Box::new(move |poller| {
            // Nobody else waits for it.
            let _ = sender.send(question(poller));
        })));
        receiver.recv().ok()
    }

    fn stop(self) {
        self.is_stopped.store(true, Ordering::Release);
        self.remote.nudge();
        // It waits for nobody but the system.
        let _ = self.thread.join();
    }
}

/// Accepts until it is stopped or cannot go on, which is told to all servers that it accepts for.
fn run(mut poller: Poller, is_stopped: &AtomicBool, failure: &OnceLock<String>) {
    let Err(reason) = attempt(|| accept(&mut poller, is_stopped)) else {
        return;
    };
    // Nobody else sets it, and it is there before anybody is told.
    let _ = failure.set(reason);
    // Whatever comes of it, the poller is dropped, its sockets close, and questions to it are given up.
    let _ = attempt(|| {
        poller.tell_failed();
        Ok(())
    });
}

/// Accepts until it is stopped.
fn accept(poller: &mut Poller, is_stopped: &AtomicBool) -> io::Result<()> {
    let mut batch = Batch::with_capacity(256);
    while !is_stopped.load(Ordering::Acquire) {
        let now = Instant::now();
        let timeout = if poller.has_ready() {
            Some(std::time::Duration::ZERO)
        } else {
            let wake = poller.next_wake();
            wake.map(|wake| wake.saturating_duration_since(now))
        };
        poller.wait(timeout)?;
        poller.turn(Instant::now(), &mut batch);
        // Who shares a socket is told of its troubles by the dealer.
        batch.clear();
    }
    Ok(())
}

/// What [`SharedListener::join`] gives.
#[napi(object)]
pub struct JoinOutcome {
    /// The system's error number; `undefined` for success.
    pub errno: Option<i32>,
}

struct Seat {
    place: String,
    dealer: Dealer,
    key: u64,
    /// Why nobody accepts for it any more.
    failure: Arc<OnceLock<String>>,
}

/// Where a part sits, until it leaves or its environment ends.
#[derive(Default)]
struct Part {
    seat: RefCell<Option<Seat>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

impl EndsWithEnvironment for Part {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        leave(self.seat.take());
    }
}

/// One server's part of a shared socket.
#[napi]
pub struct SharedListener(Rc<Part>);

#[napi]
impl SharedListener {
    /// A part of nothing yet. It ends with the environment at the latest.
    #[napi(constructor)]
    pub fn new(env: Env) -> napi::Result<Self> {
        let part = Rc::new(Part::default());
        let clean_up = CleanUp::add(env, &part)
            .ok_or_else(|| napi::Error::from_reason("the environment is ending"))?;
        part.clean_up.set(Some(clean_up));
        Ok(Self(part))
    }

    /// Gets a part of the connections at `place`, whose socket is opened if nobody shares it yet: then `balance` says who
    /// gets a connection. Records of them say `tag`.
    ///
    /// @throws when the balance is none
    #[napi]
    pub fn join(
        &self,
        place: ListenPlace,
        balance: String,
        event_loop: &EventLoop,
        settings: &ConnectionSettings,
        tag: u32,
    ) -> napi::Result<JoinOutcome> {
        let listen = match place.parse() {
            Ok(listen) => listen,
            Err(error) => {
                return Ok(JoinOutcome {
                    errno: Some(errno(&error)),
                });
            }
        };
        let dealer = Dealer::new(parse_balance(&balance)?);
        let Some(remote) = event_loop.driver().remote() else {
            return Err(napi::Error::from_reason("the environment is ending"));
        };
        let mut hall = hall();
        let asked = format!("{:?}", listen.place);
        let opened = hall.find_or_open(&asked, dealer, move || Listener::bind(&listen));
        Ok(match opened {
            Ok((place, dealer, failure)) => {
                let key = dealer.join(remote, settings.0.clone(), tag);
                // It may have failed just now, and told everybody else.
                if failure.get().is_some() {
                    dealer.leave(key);
                    let errno = Some(libc::ECANCELED);
                    return Ok(JoinOutcome { errno });
                }
                *self.0.seat.borrow_mut() = Some(Seat {
                    place,
                    dealer,
                    key,
                    failure,
                });
                JoinOutcome { errno: None }
            }
            Err(error) => {
                hall.close_if_empty();
                JoinOutcome {
                    errno: Some(errno(&error)),
                }
            }
        })
    }

    /// Where the socket listens, while this is a part of it.
    #[napi]
    pub fn address(&self) -> Option<SocketAddress> {
        let seat = self.0.seat.borrow();
        let hall = hall();
        let shared = hall.sockets.get(&seat.as_ref()?.place)?;
        Some(shared.address.clone().into())
    }

    /// Why nobody accepts at the socket any more; `undefined` while somebody does.
    #[napi(getter)]
    pub fn failure(&self) -> Option<String> {
        let seat = self.0.seat.borrow();
        seat.as_ref()?.failure.get().cloned()
    }

    /// Gets no further connection. Returns whether that was the last part, and the socket is closed.
    #[napi]
    pub fn leave(&self) -> bool {
        if let Some(clean_up) = self.0.clean_up.take() {
            clean_up.remove();
        }
        leave(self.0.seat.take())
    }
}

impl Hall {
    fn find_or_open(
        &mut self,
        asked: &str,
        dealer: Dealer,
        bind: impl FnOnce() -> io::Result<Listener> + Send + 'static,
    ) -> io::Result<(String, Dealer, Arc<OnceLock<String>>)> {
        self.forget_failed();
        let porter = match &self.porter {
            Some(porter) => porter,
            None => self.porter.insert(Porter::start()?),
        };
        let failure = porter.failure.clone();
        if let Some(shared) = self.sockets.get(asked) {
            return Ok((asked.to_owned(), shared.dealer.clone(), failure));
        }
        let given = dealer.clone();
        let opened = porter.ask(move |poller| {
            let listener = bind()?;
            let address = listener.local_address()?;
            poller.attend_for(listener, given).map(|id| (id, address))
        });
        let gone = || Err(io::Error::from_raw_os_error(libc::ECANCELED));
        let (id, address) = opened.unwrap_or_else(gone)?;
        // A port that the system chose is found by its number from now on.
        let place = match &address {
            Address::Ip(bound) => asked.replacen(":0,", &format!(":{},", bound.port()), 1),
            Address::Unix(_) => asked.to_owned(),
        };
        let shared = Shared {
            id,
            address,
            dealer: dealer.clone(),
        };
        self.sockets.insert(place.clone(), shared);
        Ok((place, dealer, failure))
    }

    /// Its sockets are closed already. Those who had a part are told, or will be.
    fn forget_failed(&mut self) {
        if self.porter.as_ref().is_some_and(Porter::has_failed) {
            self.sockets.clear();
            self.porter.take();
        }
    }

    fn close_if_empty(&mut self) {
        if self.sockets.is_empty()
            && let Some(porter) = self.porter.take()
        {
            porter.stop();
        }
    }
}

fn leave(seat: Option<Seat>) -> bool {
    let Some(Seat {
        place, dealer, key, ..
    }) = seat
    else {
        return false;
    };
    let mut hall = hall();
    // Somebody else may have opened the place again, after the thread had failed.
    let shared = hall.sockets.get(&place);
    let Some(shared) = shared.filter(|shared| shared.dealer.is_same(&dealer)) else {
        return false;
    };
    if dealer.leave(key) > 0 {
        return false;
    }
    let id = shared.id;
    hall.sockets.remove(&place);
    if let Some(porter) = &hall.porter {
        porter.ask(move |poller| poller.unlisten(id));
    }
    hall.close_if_empty();
    true
}
