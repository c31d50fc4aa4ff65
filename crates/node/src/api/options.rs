//! Options and addresses as they cross the boundary, turned into the core's checked forms.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Buffer, ClassInstance};
use napi_derive::napi;
use netpoll_core::buffer::Region;
use netpoll_core::listener::{Access, Listen, Place, PortSharing, Unspecified};
use netpoll_core::settings::{
    HalfOpen, Handling, LostReply, ReplyOrder, Start, UnfinishedBound, WhenCongested,
};
use netpoll_core::socket::{NoDelay, interface_name};
use netpoll_core::tls::Tls;
use netpoll_core::{Address, ChunkPool, Settings};

use crate::api::framing::{FramingOptions, IdFieldOptions};
use crate::api::secure_context::SecureContext;
use crate::api::work_pool::WorkPool;

/// What a server or dialer fixes for its connections.
#[napi(object)]
pub struct SettingsOptions {
    /// How input is cut.
    pub framing: FramingOptions,
    /// Where messages carry the ids that are to be handed over with them.
    pub id_field: Option<IdFieldOptions>,
    /// Messages handed over and not yet done with, at which reading stops. 0: not counted.
    pub max_in_flight: u32,
    /// Bytes waiting to be sent, at which the connection counts as congested.
    pub high_water_mark: u32,
    /// Whether a congested connection reads nothing either.
    pub stop_reading_when_congested: bool,
    /// Whether small writes leave at once.
    pub no_delay: bool,
    /// Whether our direction stays open when the peer has ended its own.
    pub allow_half_open: bool,
    /// Whether connections begin paused.
    pub start_paused: bool,
    /// Milliseconds that a closing connection waits for a peer without progress.
    pub close_timeout: u32,
    /// Milliseconds that it waits in all.
    pub max_close_time: u32,
    /// Milliseconds that a message may be unfinished. 0, the default: any time.
    pub read_timeout: Option<u32>,
    /// Milliseconds that the peer may take nothing of what is queued. 0, the default: any time.
    pub write_timeout: Option<u32>,
    /// Milliseconds without a byte in either direction until that is told. 0, the default: never.
    pub idle_timeout: Option<u32>,
    /// Seconds that a TCP peer is silent before it is probed. 0, the default: never probed.
    pub keep_alive: Option<u32>,
    /// Bytes that unfinished messages of all connections may take.
    pub max_buffered_bytes: f64,
    /// Whether replies of workers leave in the order of their requests.
    pub ordered: bool,
}

/// The workers that handle messages, where this thread does not.
#[napi(object, object_to_js = false)]
pub struct WorkersOptions<'env> {
    /// The workers.
    pub pool: ClassInstance<'env, WorkPool>,
    /// What is sent in the place of a reply that got lost with its worker, framed.
    pub lost_reply: Option<Buffer>,
}

/// Checked settings, which all connections of one server or dialer share: the bound on their
/// unfinished messages is one.
#[napi]
pub struct ConnectionSettings(pub(crate) Arc<Settings>);

#[napi]
impl ConnectionSettings {
    /// @throws when the framing is none
    #[napi(constructor)]
    pub fn new(
        options: SettingsOptions,
        workers: Option<WorkersOptions<'_>>,
        secure_context: Option<&SecureContext>,
    ) -> napi::Result<Self> {
        let handling = workers.map_or(Handling::Owner, |workers| workers.parse());
        let tls = secure_context.map(|context| context.0.clone());
        options.parse(handling, tls).map(Self)
    }

    /// The same for connections that go by this TLS. The bound on unfinished messages is one for both.
    #[napi]
    #[must_use]
    pub fn secured(&self, context: &SecureContext) -> Self {
        let mut settings = Settings::clone(&self.0);
        settings.tls = Some(context.0.clone());
        Self(Arc::new(settings))
    }

    /// Replaces a claim of `before` bytes of `maxBufferedBytes` by one of `now`: what JavaScript has inflated of a message.
    /// Whether that stays within the bound; what does not has to be taken back.
    #[napi]
    pub fn replace_claim(&self, before: f64, now: f64) -> bool {
        self.0.unfinished.replace(before as usize, now as usize)
    }
}

impl WorkersOptions<'_> {
    fn parse(&self) -> Handling {
        let lost = self.lost_reply.as_ref().map(|bytes| {
            // Of its own size, because it is kept for as long as the server.
            let mut region = Region::over(ChunkPool::new(bytes.len(), 0).take());
            LostReply(region.append(bytes))
        });
        Handling::Workers {
            pool: self.pool.workers.clone(),
            lost,
        }
    }
}

impl SettingsOptions {
    fn parse(&self, handling: Handling, tls: Option<Tls>) -> napi::Result<Arc<Settings>> {
        Ok(Arc::new(Settings {
            framing: self.framing.parse()?,
            id_field: self
                .id_field
                .as_ref()
                .map(IdFieldOptions::parse)
                .transpose()?,
            max_in_flight: NonZeroU32::new(self.max_in_flight),
            handling,
            reply_order: if self.ordered {
                ReplyOrder::Requests
            } else {
                ReplyOrder::Any
            },
            high_water_mark: self.high_water_mark as usize,
            when_congested: if self.stop_reading_when_congested {
                WhenCongested::StopReading
            } else {
                WhenCongested::KeepReading
            },
            no_delay: if self.no_delay {
                NoDelay::On
            } else {
                NoDelay::Off
            },
            half_open: if self.allow_half_open {
                HalfOpen::Keep
            } else {
                HalfOpen::Close
            },
            start: if self.start_paused {
                Start::Paused
            } else {
                Start::Reading
            },
            close_timeout: Duration::from_millis(u64::from(self.close_timeout)),
            max_close_time: Duration::from_millis(u64::from(self.max_close_time)),
            read_timeout: self.read_timeout.and_then(millis),
            write_timeout: self.write_timeout.and_then(millis),
            idle_timeout: self.idle_timeout.and_then(millis),
            keep_alive: self.keep_alive.and_then(seconds),
            unfinished: Arc::new(UnfinishedBound::new(self.max_buffered_bytes as usize)),
            tls,
        }))
    }
}

/// A time in milliseconds, of which 0 means none.
pub fn millis(count: u32) -> Option<Duration> {
    (count > 0).then(|| Duration::from_millis(u64::from(count)))
}

/// A time in seconds, of which 0 means none.
pub fn seconds(count: u32) -> Option<Duration> {
    (count > 0).then(|| Duration::from_secs(u64::from(count)))
}

/// An IP address and port, or the path of a unix socket.
#[napi(object)]
pub struct SocketAddress {
    /// Numeric IP address.
    pub address: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Path; absent for a unix socket without a name, too.
    pub path: Option<String>,
}

impl SocketAddress {
    /// The core's address.
    ///
    /// # Errors
    /// `InvalidInput` when it is neither; `ENODEV` for an interface that is not there.
    pub fn parse(&self) -> io::Result<Address> {
        match (&self.address, self.port, &self.path) {
            (_, _, Some(path)) => Ok(Address::Unix(Some(PathBuf::from(path)))),
            (Some(address), Some(port), None) => match address.parse::<IpAddr>() {
                Ok(ip) => Ok(Address::Ip(SocketAddr::new(ip, port))),
                Err(_) => parse_scoped(address, port).map(Address::Ip),
            },
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// An IPv6 address that names its interface: `fe80::1%eth0`. That means nothing to addresses of the whole network.
fn parse_scoped(address: &str, port: u16) -> io::Result<SocketAddr> {
    let ip = address
        .split_once('%')
        .and_then(|(ip, _)| ip.parse::<Ipv6Addr>().ok())
        .ok_or(io::ErrorKind::InvalidInput)?;
    if !ip.is_unicast_link_local() {
        return Ok(SocketAddr::new(IpAddr::V6(ip), port));
    }
    // The system's resolver knows interfaces by name and by number, and asks no server about an
    // address.
    let found = (address, port).to_socket_addrs().ok();
    let first = found.and_then(|mut addresses| addresses.next());
    first.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// As [`parse_scoped`] takes it, the interface by its name, as Node.js has it. One that has gone meanwhile has a number only.
fn host_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(scoped) if scoped.scope_id() > 0 => {
            let index = scoped.scope_id();
            let interface = interface_name(index).unwrap_or_else(|| index.to_string());
            format!("{}%{interface}", scoped.ip())
        }
        other => other.ip().to_string(),
    }
}

/// Where and how to listen.
#[napi(object)]
pub struct ListenPlace {
    /// An IP address and port, or a path.
    pub address: SocketAddress,
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Whether others may listen on the same port.
    pub reuse_port: bool,
    /// Whether `::` stands for IPv6 addresses alone.
    pub ipv6_only: bool,
    /// Permission bits of a unix socket's file; what the umask leaves when absent.
    pub mode: Option<u32>,
}

impl ListenPlace {
    /// The core's form.
    ///
    /// # Errors
    /// As [`SocketAddress::parse`].
    pub fn parse(&self) -> io::Result<Listen> {
        let place = match self.address.parse()? {
            Address::Ip(address) => Place::Port {
                address,
                sharing: if self.reuse_port {
                    PortSharing::Shared
                } else {
                    PortSharing::Exclusive
                },
                unspecified: if self.ipv6_only {
                    Unspecified::OnlyIpv6
                } else {
                    Unspecified::Both
                },
            },
            Address::Unix(Some(path)) => Place::Path {
                path,
                access: self.mode.map_or(Access::Umask, Access::Mode),
            },
            Address::Unix(None) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Listen {
            place,
            backlog: self.backlog,
        })
    }
}

impl From<Address> for SocketAddress {
    fn from(address: Address) -> Self {
        match address {
            Address::Ip(ip) => Self {
                address: Some(host_of(ip)),
                port: Some(ip.port()),
                path: None,
            },
            Address::Unix(path) => Self {
                address: None,
                port: None,
                path: path.map(|path| path.to_string_lossy().into_owned()),
            },
        }
    }
}
