//! What JavaScript calls. None of it is called for every message: those go through the shared words.

use std::cell::{Ref, RefCell};
use std::io;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Buffer, Function, Object, Unknown};
use napi::{Env, JsValue};
use napi_derive::napi;
use netpoll_core::listener::Listener;
use netpoll_core::socket::NoDelay;
use netpoll_core::tls::{Unread, Upgrade};
use netpoll_core::{Address, Id, Poller};

use crate::api::load_balancer::ConnectionBalancer;
use crate::api::options::{self, ConnectionSettings, ListenPlace, SocketAddress};
use crate::api::secure_context::{SecureContext, TlsAgreement};
use crate::bridge::{Bridge, Settled};
use crate::clock;
use crate::drivers::inline::InlineDriver;
use crate::drivers::thread::ThreadDriver;
use crate::drivers::{Driver, Referenced};
use crate::javascript::Procedure;
use crate::memory::{Memory, foreign_bytes};
use crate::shared_words::SharedWords;

/// A listener or connection, and how often its slot was given away before.
#[napi(object)]
pub struct NativeId {
    /// Index of the slot.
    pub slot: u32,
    /// Generation, in the bits of a signed word, as the records carry it.
    pub generation: i32,
}

impl From<Id> for NativeId {
    fn from(id: Id) -> Self {
        Self {
            slot: id.slot,
            generation: id.generation as i32,
        }
    }
}

impl From<NativeId> for Id {
    fn from(id: NativeId) -> Self {
        Self {
            slot: id.slot,
            generation: id.generation as u32,
        }
    }
}

/// Either an id, or the system's error number.
#[napi(object)]
pub struct Outcome {
    /// The listener or connection.
    pub id: Option<NativeId>,
    /// The system's error number.
    pub errno: Option<i32>,
}

impl From<io::Result<Id>> for Outcome {
    fn from(result: io::Result<Id>) -> Self {
        match result {
            Ok(id) => Self {
                id: Some(id.into()),
                errno: None,
            },
            Err(error) => Self {
                id: None,
                errno: Some(errno(&error)),
            },
        }
    }
}

/// What the poller calls.
#[napi(object, object_to_js = false)]
pub struct Callbacks<'env> {
    /// `this` of the other, and the resource of its asynchronous context.
    pub receiver: Object<'env>,
    /// Handles the batch in the shared words.
    pub dispatch: Function<'env, (), ()>,
}

/// A poller, as the environment that it serves sees it.
#[napi]
pub struct EventLoop(RefCell<Driver>);

#[napi]
impl EventLoop {
    /// `placement` says where the poller runs: in the environment's event loop, or on a thread of
    /// its own. `batch` and `commands` are the shared words. `failed` is called once, with the
    /// reason, when the poller cannot go on. It is gone then, with all of its sockets, and tells
    /// nothing more.
    ///
    /// @throws inline, where the host offers no libuv loop; where the system refuses, with its error number as `code`
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "'inline' | 'thread'")] placement: String,
        memory: &Memory,
        #[napi(ts_arg_type = "Int32Array")] batch: Unknown<'_>,
        #[napi(ts_arg_type = "Int32Array")] commands: Unknown<'_>,
        callbacks: Callbacks<'_>,
        #[napi(ts_arg_type = "(reason: string) => void")] failed: Function<'_, String, ()>,
    ) -> Result<Self, StartError> {
        let words = SharedWords::new(env, batch.raw(), commands.raw()).map_err(refused)?;
        let Callbacks { receiver, dispatch } = callbacks;
        let bridge = |settled| {
            let (receiver, dispatch) = (receiver.raw(), dispatch.raw());
            Bridge::new(env, memory.0.clone(), words, receiver, dispatch, settled).map_err(refused)
        };
        let failed = Procedure::hold(env, failed.raw()).map_err(refused)?;
        let driver = match placement.as_str() {
            "inline" => {
                let bridge = bridge(Settled::OnReturn)?;
                InlineDriver::start(env, bridge, failed).map(Driver::Inline)
            }
            _ => {
                let bridge = bridge(Settled::AtFlush)?;
                ThreadDriver::start(env, receiver.raw(), bridge, failed).map(Driver::Thread)
            }
        };
        let driver = driver.map_err(|error| {
            let code = error.raw_os_error().map(|errno| errno.to_string());
            StartError::new(code.unwrap_or_default(), error.to_string())
        })?;
        Ok(Self(RefCell::new(driver)))
    }

    /// Binds and listens. A dead socket at a path is replaced. Records say `tag`. With a load
    /// balancer it gives its connections out, and records are for the members that get them.
    #[napi]
    pub fn listen(
        &self,
        place: ListenPlace,
        settings: &ConnectionSettings,
        tag: u32,
        balancer: Option<&ConnectionBalancer>,
    ) -> Outcome {
        let settings = settings.0.clone();
        let balancer = balancer.and_then(ConnectionBalancer::balancer);
        self.attempt(move |poller| {
            let listen = place.parse()?;
            match balancer {
                None => poller.listen(&listen, settings, tag),
                Some(balancer) => poller.attend_for(Listener::bind(&listen)?, balancer),
            }
        })
    }

    /// Stops listening.
    #[napi]
    pub fn unlisten(&self, id: NativeId) {
        let id = id.into();
        self.driver().ask(move |poller| poller.unlisten(id));
    }

    /// Stops listening, once the peers that wait to be accepted are. Returns of how many the
    /// records of the listener have told, or will.
    #[napi]
    pub fn accept_and_unlisten(&self, id: NativeId) -> f64 {
        let id = id.into();
        let accepted = self
            .driver()
            .ask(move |poller| poller.accept_and_unlisten(id, Instant::now()));
        // They have to be told of.
        self.driver().carry_out();
        accepted.unwrap_or_default() as f64
    }

    /// Closes the connections of the listener of this tag that are in their TLS handshake.
    #[napi]
    pub fn abandon_handshakes(&self, tag: u32) {
        self.driver()
            .ask(move |poller| poller.abandon_handshakes(tag));
    }

    /// Where a listener listens.
    #[napi]
    pub fn listener_address(&self, id: NativeId) -> Option<SocketAddress> {
        let id = id.into();
        let address = self.driver().ask(move |poller| poller.listener_address(id));
        address?.ok().map(SocketAddress::from)
    }

    /// Begins to connect, from `local` if it is given (TCP only); the outcome is a record. `timeout` in
    /// milliseconds, 0 for none. With TLS the server has to be `host`.
    #[napi]
    pub fn dial(
        &self,
        address: SocketAddress,
        local: Option<SocketAddress>,
        timeout: u32,
        settings: &ConnectionSettings,
        host: Option<String>,
    ) -> Outcome {
        let settings = settings.0.clone();
        let deadline = options::millis(timeout).map(|time| Instant::now() + time);
        let outcome = self.attempt(move |poller| {
            let local = local.map(|local| local.parse()).transpose()?;
            let (local, remote) = match (local, address.parse()?) {
                (None, remote) => (None, remote),
                (Some(Address::Ip(local)), remote @ Address::Ip(_)) => (Some(local), remote),
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            };
            poller.dial_host(&remote, local, host, settings, deadline)
        });
        // Its deadline has to be followed.
        self.driver().carry_out();
        outcome
    }

    /// The time on the clock that deadline timers are set by, in milliseconds.
    #[napi]
    pub fn now(&self) -> f64 {
        clock::now()
    }

    /// Carries out the commands in the shared words now, because they are full or many bytes wait.
    #[napi]
    pub fn carry_out(&self) {
        self.driver().carry_out();
    }

    /// Carries out the commands in the shared words, and sends `bytes` at once behind them. They may be the user's. Returns how
    /// many of them the system has taken. That is none where other threads may write to them, and where the poller is on a
    /// thread of its own.
    #[napi]
    pub fn send_at_once(
        &self,
        env: Env,
        slot: u32,
        generation: i32,
        #[napi(ts_arg_type = "Uint8Array")] bytes: Unknown<'_>,
    ) -> u32 {
        let id = NativeId { slot, generation }.into();
        let send = |bytes: &[u8]| self.driver().send_at_once(id, bytes);
        let left = foreign_bytes::with_bytes(env, bytes.raw(), send);
        left.unwrap_or_default() as u32
    }

    /// As `carryOut`, between two JavaScript tasks.
    #[napi]
    pub fn flush(&self) {
        self.driver().flush();
    }

    /// As `carryOut`, and what was asked for has gone to the system as far as that takes it.
    #[napi]
    pub fn send_now(&self) {
        self.driver().carry_out();
        self.driver().ask(|poller| poller.flush(Instant::now()));
    }

    /// As `sendNow`, for a process that ends: a poller on a thread gets so many milliseconds.
    #[napi]
    pub fn send_within(&self, milliseconds: u32) {
        self.driver().carry_out();
        let limit = Duration::from_millis(u64::from(milliseconds));
        let flush = |poller: &mut Poller| poller.flush(Instant::now());
        self.driver().ask_within(limit, flush);
    }

    /// The peer's address, until the connection's last record.
    #[napi]
    pub fn peer_address(&self, id: NativeId) -> Option<SocketAddress> {
        let id = id.into();
        let address = self.driver().ask(move |poller| poller.peer_address(id));
        address?.map(SocketAddress::from)
    }

    /// The local address, until the connection's last record.
    #[napi]
    pub fn local_address(&self, id: NativeId) -> Option<SocketAddress> {
        let id = id.into();
        let address = self.driver().ask(move |poller| poller.local_address(id));
        address?.map(SocketAddress::from)
    }

    /// What TLS has agreed on, until the connection's last record; absent without TLS.
    #[napi]
    pub fn tls_agreement(&self, id: NativeId) -> Option<TlsAgreement> {
        let id = id.into();
        let negotiated = self.driver().ask(move |poller| poller.negotiated(id));
        negotiated?.map(TlsAgreement::from)
    }

    /// Shakes hands on a connection that was stopped for it. `begun` is what was read before, and `unread` says what becomes of
    /// bytes that were read and not told of. As a client the server has to be `host`. The system's error number, or 0.
    #[napi]
    pub fn secure(
        &self,
        id: NativeId,
        context: &SecureContext,
        host: Option<String>,
        begun: Buffer,
        #[napi(ts_arg_type = "'refuse' | 'handshake'")] unread: String,
    ) -> i32 {
        let upgrade = Upgrade {
            tls: context.0.clone(),
            host,
            begun: begun.to_vec(),
            unread: if unread == "handshake" {
                Unread::Handshake
            } else {
                Unread::Refused
            },
        };
        let id = id.into();
        let errno = self.set(move |poller| poller.secure(id, upgrade));
        // It has to be served.
        self.driver().carry_out();
        errno
    }

    /// Bytes that came from the socket, until the connection's last record; 0 after it.
    #[napi]
    pub fn bytes_read(&self, id: NativeId) -> f64 {
        let id = id.into();
        let count = self.driver().ask(move |poller| poller.bytes_read(id));
        count.flatten().unwrap_or_default() as f64
    }

    /// Bytes that the socket took, until the connection's last record; 0 after it.
    #[napi]
    pub fn bytes_written(&self, id: NativeId) -> f64 {
        let id = id.into();
        let count = self.driver().ask(move |poller| poller.bytes_written(id));
        count.flatten().unwrap_or_default() as f64
    }

    /// Bytes of a connection that wait to be sent, after the system was given as many as it takes now.
    #[napi]
    pub fn unsent(&self, id: NativeId) -> f64 {
        self.driver().carry_out();
        let id = id.into();
        let count = self
            .driver()
            .ask(move |poller| poller.unsent(id, Instant::now()));
        count.unwrap_or_default() as f64
    }

    /// Whether silence was told of a connection, and nothing has come in between since, what JavaScript has just asked for
    /// included.
    #[napi]
    pub fn is_silent(&self, id: NativeId) -> bool {
        self.driver().carry_out();
        let id = id.into();
        let is_silent = self
            .driver()
            .ask(move |poller| poller.is_silent(id, Instant::now()));
        is_silent.unwrap_or_default()
    }

    /// Whether a connection still takes bytes to send.
    #[napi]
    pub fn accepts_output(&self, id: NativeId) -> bool {
        let id = id.into();
        let accepts = self.driver().ask(move |poller| poller.accepts_output(id));
        accepts.unwrap_or_default()
    }

    /// Whether more than the high-water mark waits to be sent. The caller gets a record when it no
    /// longer does.
    #[napi]
    pub fn is_congested(&self, id: NativeId) -> bool {
        let id = id.into();
        let is_congested = self.driver().ask(move |poller| poller.ask_congested(id));
        is_congested.unwrap_or_default()
    }

    /// Whether small writes leave at once. The system's error number, or 0.
    #[napi]
    pub fn set_no_delay(&self, id: NativeId, on: bool) -> i32 {
        let delay = if on { NoDelay::On } else { NoDelay::Off };
        let id = id.into();
        self.set(move |poller| poller.set_no_delay(id, delay))
    }

    /// Probes an idle peer after `seconds`, 0 for never. The system's error number, or 0.
    #[napi]
    pub fn set_keep_alive(&self, id: NativeId, seconds: u32) -> i32 {
        let idle = options::seconds(seconds);
        let id = id.into();
        self.set(move |poller| poller.set_keep_alive(id, idle))
    }

    /// The number of the poller in this process.
    #[napi(getter)]
    pub fn serial(&self) -> u32 {
        self.driver()
            .handle()
            .map_or(u32::MAX, |handle| handle.serial())
    }

    /// Ends the poller, which has nothing open, and keeps no JavaScript value any more. Returns
    /// false where JavaScript has not come to all that it is to be told: then it goes on. Whatever
    /// is asked of it afterwards is asked in vain.
    #[napi]
    pub fn end(&self) -> bool {
        let has_ended = self.driver().end();
        if has_ended {
            self.0.replace(Driver::Ended);
        }
        has_ended
    }

    /// Keeps the process alive.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        self.driver().set_referenced(Referenced::Yes);
    }

    /// Lets the process end.
    #[napi]
    pub fn unref(&self) {
        self.driver().set_referenced(Referenced::No);
    }
}

impl EventLoop {
    /// What runs the poller. JavaScript is not entered while this is borrowed.
    pub(crate) fn driver(&self) -> Ref<'_, Driver> {
        self.0.borrow()
    }

    /// Has the poller make something that has an id.
    pub(crate) fn attempt(
        &self,
        make: impl FnOnce(&mut Poller) -> io::Result<Id> + Send + 'static,
    ) -> Outcome {
        // Without a poller nothing can be opened.
        let gone = || Err(io::Error::from_raw_os_error(libc::ECANCELED));
        self.driver().ask(make).unwrap_or_else(gone).into()
    }

    /// Has the poller set something. The system's error number, or 0.
    fn set(&self, set: impl FnOnce(&mut Poller) -> io::Result<()> + Send + 'static) -> i32 {
        let result = self.driver().ask(set).unwrap_or(Ok(()));
        result.map_or_else(|error| errno(&error), |()| 0)
    }
}

pub fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

/// Why there is no poller. Its `code` is the system's error number, or empty where it is not the system that refuses.
type StartError = napi::Error<String>;

fn refused(error: napi::Error) -> StartError {
    StartError::new(String::new(), error.reason)
}
