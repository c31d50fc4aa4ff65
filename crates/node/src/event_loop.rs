//! What JavaScript calls. None of it is called for every message: those go through the shared words.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use napi::bindgen_prelude::{Buffer, Function, Object, Unknown};
use napi::{Env, JsValue};
use napi_derive::napi;
use netpoll_core::socket::NoDelay;
use netpoll_core::{Address, Id};

use crate::bridge::{Bridge, chunk_pool};
use crate::inline_driver::{InlineDriver, Referenced};
use crate::javascript::JavaScript;
use crate::options::{self, ConnectionSettings, ListenPlace, SocketAddress};
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

/// Memory that JavaScript fills.
#[napi(object)]
pub struct LentChunk<'env> {
    /// How commands name it.
    pub handle: u32,
    /// The memory.
    #[napi(ts_type = "ArrayBuffer")]
    pub buffer: Unknown<'env>,
}

/// Chunks of the process, and of this environment.
#[napi(object)]
pub struct ChunkStats {
    /// Chunks in use.
    pub live: u32,
    /// Bytes of the chunks in use.
    pub live_bytes: f64,
    /// Free chunks kept for reuse.
    pub cached: u32,
    /// Chunks served from the cache since the start.
    pub hits: f64,
    /// Chunks allocated since the start.
    pub misses: f64,
    /// Chunks of this environment that only views of messages keep.
    pub pinned: u32,
}

/// What the poller calls.
#[napi(object, object_to_js = false)]
pub struct Callbacks<'env> {
    /// `this` of the others, and the resource of their asynchronous context.
    pub receiver: Object<'env>,
    /// Handles the batch in the shared words.
    pub dispatch: Function<'env, (), ()>,
    /// Makes a chunk known.
    #[napi(ts_type = "(handle: number, buffer: ArrayBuffer) => void")]
    pub adopt: Function<'env, (), ()>,
    /// Lets go of a chunk.
    #[napi(ts_type = "(handle: number) => void")]
    pub retire: Function<'env, (), ()>,
    /// Collects short-lived garbage.
    pub collect: Function<'env, (), ()>,
}

/// The poller of one environment.
#[napi]
pub struct EventLoop {
    pub(crate) bridge: Rc<Bridge>,
    pub(crate) driver: Rc<InlineDriver>,
}

#[napi]
impl EventLoop {
    /// `batch` and `commands` are the shared words.
    ///
    /// @throws where the host offers no libuv loop
    #[napi(constructor)]
    pub fn new(
        env: Env,
        #[napi(ts_arg_type = "Int32Array")] batch: Unknown<'_>,
        #[napi(ts_arg_type = "Int32Array")] commands: Unknown<'_>,
        callbacks: Callbacks<'_>,
    ) -> napi::Result<Self> {
        let words = SharedWords::new(env, batch.raw(), commands.raw())?;
        let Callbacks {
            receiver,
            dispatch,
            adopt,
            retire,
            collect,
        } = callbacks;
        let functions = [dispatch.raw(), adopt.raw(), retire.raw(), collect.raw()];
        let javascript = JavaScript::new(env, receiver.raw(), functions)?;
        let bridge = Rc::new(Bridge::new(env, words, javascript).map_err(napi_error)?);
        let driver = InlineDriver::start(env, bridge.clone()).map_err(napi_error)?;
        Ok(Self { bridge, driver })
    }

    /// Binds and listens. A dead socket at a path is replaced.
    #[napi]
    pub fn listen(
        &self,
        place: ListenPlace,
        settings: &ConnectionSettings,
    ) -> napi::Result<Outcome> {
        let listen = place.parse()?;
        let mut poller = self.bridge.poller().borrow_mut();
        Ok(poller.listen(&listen, settings.0.clone()).into())
    }

    /// Stops listening.
    #[napi]
    pub fn unlisten(&self, id: NativeId) {
        self.bridge.poller().borrow_mut().unlisten(id.into());
    }

    /// Where a listener listens.
    #[napi]
    pub fn listener_address(&self, id: NativeId) -> Option<SocketAddress> {
        let address = self
            .bridge
            .poller()
            .borrow_mut()
            .listener_address(id.into());
        address.ok().map(SocketAddress::from)
    }

    /// Begins to connect, from `local` if it is given (TCP only); the outcome is a record. `timeout` in
    /// milliseconds, 0 for none.
    ///
    /// @throws when an address is none
    #[napi]
    pub fn dial(
        &self,
        address: SocketAddress,
        local: Option<SocketAddress>,
        timeout: u32,
        settings: &ConnectionSettings,
    ) -> napi::Result<Outcome> {
        let address = address.parse()?;
        let local = local.map(|local| local.parse()).transpose()?;
        let settings = settings.0.clone();
        let deadline = options::millis(timeout).map(|time| Instant::now() + time);
        let mut poller = self.bridge.poller().borrow_mut();
        let result = match (local, address) {
            (None, address) => poller.dial(&address, settings, deadline),
            (Some(Address::Ip(local)), Address::Ip(remote)) => {
                poller.dial_from(local, remote, settings, deadline)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        drop(poller);
        self.driver.follow(&self.bridge.carry_out());
        Ok(result.into())
    }

    /// Carries out the commands in the shared words now, because they are full or many bytes wait.
    #[napi]
    pub fn carry_out(&self) {
        self.driver.follow(&self.bridge.carry_out());
    }

    /// A chunk of at least `capacity` bytes to copy outgoing bytes into.
    #[napi]
    pub fn lend_chunk<'env>(&self, env: &'env Env, capacity: u32) -> napi::Result<LentChunk<'env>> {
        let (handle, value) = self.bridge.lend_chunk(capacity as usize)?;
        // SAFETY: made by this environment just now, within the scope of this call.
        let buffer = unsafe { Unknown::from_raw_unchecked(env.raw(), value) };
        Ok(LentChunk { handle, buffer })
    }

    /// Holds `bytes`, to be sent where they lie by one command that names the handle returned. The array is
    /// let go of when they have been sent, or never will be.
    ///
    /// @throws when it is no `Uint8Array`
    #[napi]
    pub fn attach_foreign(
        &self,
        #[napi(ts_arg_type = "Uint8Array")] bytes: Unknown<'_>,
    ) -> napi::Result<u32> {
        self.bridge.foreign().attach(bytes.raw())
    }

    /// Lets go of an array that no command has named.
    #[napi]
    pub fn release_foreign(&self, handle: u32) {
        self.bridge.foreign().release(handle);
    }

    /// A copy of bytes whose `ArrayBuffer` user code has detached.
    #[napi]
    pub fn copy(&self, handle: u32, start: u32, length: u32) -> Option<Buffer> {
        self.bridge
            .copy(handle, start as usize, length as usize)
            .map(Buffer::from)
    }

    /// The peer's address, until the connection's last record.
    #[napi]
    pub fn peer_address(&self, id: NativeId) -> Option<SocketAddress> {
        self.bridge
            .poller()
            .borrow_mut()
            .peer_address(id.into())
            .map(SocketAddress::from)
    }

    /// The local address, until the connection's last record.
    #[napi]
    pub fn local_address(&self, id: NativeId) -> Option<SocketAddress> {
        self.bridge
            .poller()
            .borrow_mut()
            .local_address(id.into())
            .map(SocketAddress::from)
    }

    /// Bytes that came from the socket, until the connection's last record; 0 after it.
    #[napi]
    pub fn bytes_read(&self, id: NativeId) -> f64 {
        let count = self.bridge.poller().borrow_mut().bytes_read(id.into());
        count.unwrap_or_default() as f64
    }

    /// Bytes that the socket took, until the connection's last record; 0 after it.
    #[napi]
    pub fn bytes_written(&self, id: NativeId) -> f64 {
        let count = self.bridge.poller().borrow_mut().bytes_written(id.into());
        count.unwrap_or_default() as f64
    }

    /// Whether a connection still takes bytes to send.
    #[napi]
    pub fn accepts_output(&self, id: NativeId) -> bool {
        self.bridge.poller().borrow_mut().accepts_output(id.into())
    }

    /// Whether more than the high-water mark waits to be sent. Whoever asks gets a record when it no
    /// longer does.
    #[napi]
    pub fn is_congested(&self, id: NativeId) -> bool {
        self.bridge.poller().borrow_mut().ask_congested(id.into())
    }

    /// Whether small writes leave at once. The system's error number, or 0.
    #[napi]
    pub fn set_no_delay(&self, id: NativeId, on: bool) -> i32 {
        let delay = if on { NoDelay::On } else { NoDelay::Off };
        let result = self
            .bridge
            .poller()
            .borrow_mut()
            .set_no_delay(id.into(), delay);
        result.map_or_else(|error| errno(&error), |()| 0)
    }

    /// Probes an idle peer after `seconds`, 0 for never. The system's error number, or 0.
    #[napi]
    pub fn set_keep_alive(&self, id: NativeId, seconds: u32) -> i32 {
        let idle = options::seconds(seconds);
        let result = self
            .bridge
            .poller()
            .borrow_mut()
            .set_keep_alive(id.into(), idle);
        result.map_or_else(|error| errno(&error), |()| 0)
    }

    /// Keeps the process alive.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        self.driver.set_referenced(Referenced::Yes);
    }

    /// Lets the process end.
    #[napi]
    pub fn unref(&self) {
        self.driver.set_referenced(Referenced::No);
    }

    /// Chunks in use and cached.
    #[napi]
    pub fn chunk_stats(&self) -> ChunkStats {
        let stats = chunk_pool().stats();
        ChunkStats {
            live: stats.live as u32,
            live_bytes: stats.live_bytes as f64,
            cached: stats.cached as u32,
            hits: stats.hits as f64,
            misses: stats.misses as f64,
            pinned: self.bridge.chunks_held_by_views() as u32,
        }
    }
}

pub fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}

fn napi_error(error: io::Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}
