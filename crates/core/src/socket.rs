//! Connected sockets, TCP and unix behind one type. With [`crate::watch`], [`crate::listener`] and [`crate::unix_path`]
//! the only code of the crate that knows the platform.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::{
    ffi::OsString,
    os::{linux::net::SocketAddrExt, unix::ffi::OsStringExt},
};

use mio::net::{TcpStream, UnixStream};
#[cfg(target_os = "linux")]
use socket2::SockAddr;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::address::Address;
use crate::faults::inject;
#[cfg(target_os = "linux")]
use crate::unix_path;

/// A connected, or connecting, stream socket in non-blocking mode.
pub enum Stream {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A unix stream socket.
    Unix(UnixStream),
}

/// Runs the same expression on whichever socket it is.
macro_rules! either {
    ($self:expr, $type:ident, $socket:ident => $body:expr) => {
        match $self {
            $type::Tcp($socket) => $body,
            $type::Unix($socket) => $body,
        }
    };
}

impl Stream {
    /// Begins to connect to `address`; completion is reported as write readiness.
    ///
    /// # Errors
    /// Whatever the system says at once.
    pub fn connect(address: &Address) -> io::Result<Self> {
        inject!(failure_without at Connect);
        match address {
            Address::Ip(address) => TcpStream::connect(*address).map(Self::Tcp),
            Address::Unix(Some(path)) => connect_unix(path).map(Self::Unix),
            Address::Unix(None) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// As [`connect`](Self::connect), by TCP, from `local`. Port 0 lets the system choose; an unspecified
    /// address leaves that choice to it.
    ///
    /// # Errors
    /// Whatever the system says at once, such as a `local` that is taken or not one of this host.
    pub fn connect_from(local: SocketAddr, remote: SocketAddr) -> io::Result<Self> {
        inject!(failure_without at Connect);
        let socket = Socket::new(
            Domain::for_address(remote),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        // A port can be dialed from again while the last connection from it is in TIME_WAIT.
        socket.set_reuse_address(true)?;
        if remote.is_ipv6() {
            // Else `[::]` with a port would stand in the way of an attempt over IPv4 from that port.
            socket.set_only_v6(remote.ip().to_canonical().is_ipv6())?;
        }
        socket.bind(&local.into())?;
        match socket.connect(&remote.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let descriptor = std::net::TcpStream::from(OwnedFd::from(socket));
        Ok(Self::Tcp(TcpStream::from_std(descriptor)))
    }

    /// A duplicate of `descriptor`, which must be a connected TCP or unix stream socket.
    ///
    /// Puts the socket in non-blocking mode, for all that share it.
    ///
    /// # Errors
    /// `ENOTSOCK`, `ENOTCONN`, `EINVAL` for another kind of socket, or the system's; then nothing has
    /// changed.
    pub fn adopt(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let unsuitable = || io::Error::from_raw_os_error(libc::EINVAL);
        let socket = SockRef::from(&descriptor);
        if socket.r#type()? != Type::STREAM {
            return Err(unsuitable());
        }
        let name = socket.local_addr()?;
        socket.peer_addr()?;
        let make: fn(OwnedFd) -> Self = match (name.as_socket(), name.is_unix()) {
            (Some(_), _) => |own| Self::Tcp(TcpStream::from_std(own.into())),
            (None, true) => |own| Self::Unix(UnixStream::from_std(own.into())),
            (None, false) => return Err(unsuitable()),
        };
        inject!(failure at Adopt, &descriptor);
        let own = descriptor.try_clone_to_owned()?;
        socket.set_nonblocking(true)?;
        Ok(make(own))
    }

    /// Reads into `pieces` in order; 0 is the peer's end. What was passed along with the bytes has no room, so that the system
    /// drops it, and closes descriptors.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, or the socket's own.
    pub fn read(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        // The plain call costs the kernel less than the vectored one.
        match pieces {
            [piece] => self.read_apart(piece),
            pieces => {
                inject!(read(self, pieces));
                either!(self, Self, socket => socket.read_vectored(pieces))
            }
        }
    }

    /// As [`Self::read`], for what is not a message of its own. It calls the system by another way, because [`Self::read`] is
    /// inlined where messages are read as long as it is called there alone.
    ///
    /// # Errors
    /// As there.
    pub fn read_apart(&self, memory: &mut [u8]) -> io::Result<usize> {
        inject!(read(self, &mut [IoSliceMut::new(memory)]));
        (&*SockRef::from(self)).read(memory)
    }

    /// How many received bytes the system may hold at most.
    #[must_use]
    pub fn receive_capacity(&self) -> usize {
        let size = either!(self, Self, socket => SockRef::from(socket).recv_buffer_size());
        // Where the system does not tell, what it has at most without being told otherwise.
        size.unwrap_or(8 * 1024 * 1024).max(1)
    }

    /// Writes `pieces` in order, as much as the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full, or the socket's own.
    pub fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        inject!(write(self, pieces));
        either!(self, Self, socket => match pieces {
            [piece] => socket.write(piece),
            pieces => socket.write_vectored(pieces),
        })
    }

    /// Ends our direction.
    ///
    /// # Errors
    /// The system's.
    pub fn shutdown_write(&self) -> io::Result<()> {
        inject!(failure at Shutdown, self);
        either!(self, Self, socket => socket.shutdown(Shutdown::Write))
    }

    /// Whether bytes are there to be read.
    #[must_use]
    pub fn has_input(&self) -> bool {
        let mut count: libc::c_int = 0;
        // SAFETY: a query that writes one integer, for which there is room.
        let status = unsafe { libc::ioctl(self.as_raw_fd(), libc::FIONREAD, &raw mut count) };
        status == 0 && count > 0
    }

    /// How many bytes the peer has not acknowledged, of those that [`Self::write`] took. An end of our direction counts as
    /// one. `None` for a unix socket, whose peer has what was written, and where the system does not tell.
    #[must_use]
    pub fn unacknowledged(&self) -> Option<usize> {
        match self {
            Self::Tcp(socket) => unacknowledged(socket.as_raw_fd()),
            Self::Unix(_) => None,
        }
    }

    /// How many bytes of those that [`Self::write`] took have not left yet. An end of our direction counts as one. `None` for
    /// a unix socket, whose peer has what was written, and where the system does not tell.
    #[must_use]
    pub fn unsent(&self) -> Option<usize> {
        match self {
            Self::Tcp(socket) => unsent(socket.as_raw_fd()),
            Self::Unix(_) => None,
        }
    }

    /// Makes the kernel reset the peer when this socket closes.
    ///
    /// # Errors
    /// The system's.
    pub fn reset_on_close(&self) -> io::Result<()> {
        inject!(failure at SetOption, self);
        match self {
            Self::Tcp(socket) => SockRef::from(socket).set_linger(Some(Duration::ZERO)),
            Self::Unix(_) => Ok(()),
        }
    }

    /// The error that the socket has met since it was last asked.
    ///
    /// # Errors
    /// The system's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        inject!(failure at Query, self);
        either!(self, Self, socket => socket.take_error())
    }

    /// Whether a socket that became writable is connected, and to whom.
    ///
    /// # Errors
    /// Why connecting failed.
    pub fn finish_connect(&self) -> io::Result<Connected> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match self.peer_address() {
            Ok(Address::Ip(peer)) if self.local_address()? == Address::Ip(peer) => {
                Ok(Connected::ToItself)
            }
            Ok(_) => Ok(Connected::Yes),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(Connected::NotYet),
            Err(error) => Err(error),
        }
    }

    /// The other end.
    ///
    /// # Errors
    /// The system's; `NotConnected` before the connection stands.
    pub fn peer_address(&self) -> io::Result<Address> {
        inject!(failure at Query, self);
        match self {
            Self::Tcp(socket) => socket.peer_addr().map(Address::Ip),
            Self::Unix(socket) => socket.peer_addr().map(|address| unix_address(&address)),
        }
    }

    /// This end.
    ///
    /// # Errors
    /// The system's.
    pub fn local_address(&self) -> io::Result<Address> {
        inject!(failure at Query, self);
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Address::Ip),
            Self::Unix(socket) => socket.local_addr().map(|address| unix_address(&address)),
        }
    }

    /// Whether small writes leave at once (`TCP_NODELAY`). Means nothing to a unix socket.
    ///
    /// # Errors
    /// The system's.
    pub fn set_no_delay(&self, delay: NoDelay) -> io::Result<()> {
        inject!(failure at SetOption, self);
        match self {
            Self::Tcp(socket) => socket.set_nodelay(delay == NoDelay::On),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Has the kernel probe an idle peer after `idle`, or no longer. It probes every second then,
    /// and ten probes without an answer end the connection with `ETIMEDOUT`, as in Node.js. Means
    /// nothing to a unix socket.
    ///
    /// # Errors
    /// The system's.
    pub fn set_keep_alive(&self, idle: Option<Duration>) -> io::Result<()> {
        inject!(failure at SetOption, self);
        let Self::Tcp(socket) = self else {
            return Ok(());
        };
        let socket = SockRef::from(socket);
        match idle {
            Some(idle) => socket.set_tcp_keepalive(&probes_after(idle)),
            None => socket.set_keepalive(false),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn unacknowledged(socket: RawFd) -> Option<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: a query that writes one integer, for which there is room.
    let status = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut count) };
    (status == 0).then(|| usize::try_from(count).unwrap_or_default())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn unsent(socket: RawFd) -> Option<usize> {
    /// As `linux/sockios.h` has it, on every architecture.
    const SIOCOUTQNSD: u32 = 0x894b;
    let mut count: libc::c_int = 0;
    // SAFETY: a query that writes one integer, for which there is room.
    let status = unsafe { libc::ioctl(socket, SIOCOUTQNSD as _, &raw mut count) };
    (status == 0).then(|| usize::try_from(count).unwrap_or_default())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn unsent(_: RawFd) -> Option<usize> {
    None
}

#[cfg(target_vendor = "apple")]
fn unacknowledged(socket: RawFd) -> Option<usize> {
    let mut count: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: a query that writes at most `size` bytes, for which there is room.
    let status = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_NWRITE,
            (&raw mut count).cast(),
            &raw mut size,
        )
    };
    (status == 0).then(|| usize::try_from(count).unwrap_or_default())
}

/// What has the system tell of a socket that is watched what is so already: see [`crate::faults`].
#[cfg(feature = "faults")]
pub(crate) fn announcing(
    registry: &mio::Registry,
    socket: &impl AsRawFd,
    token: mio::Token,
    events: u32,
) -> impl Fn() + 'static {
    let (poll, socket) = (registry.as_raw_fd(), socket.as_raw_fd());
    let u64 = token.0 as u64;
    move || {
        let mut event = libc::epoll_event { events, u64 };
        // SAFETY: the event is read before the call returns. A descriptor that is none any more is refused, and then there is
        // nothing to tell.
        let _ = unsafe { libc::epoll_ctl(poll, libc::EPOLL_CTL_MOD, socket, &raw mut event) };
    }
}

/// The name of a network interface, such as `eth0`, by its number.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the call asks for, and what it writes there ends with a zero.
    unsafe {
        if libc::if_indextoname(index, name.as_mut_ptr()).is_null() {
            return None;
        }
        let name = std::ffi::CStr::from_ptr(name.as_ptr());
        name.to_str().ok().map(str::to_owned)
    }
}

/// What has become of connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// It goes on.
    NotYet,
    /// The other end is there.
    Yes,
    /// The socket is its own other end: the system gave it the port that was dialed, on which no
    /// server listens.
    ToItself,
}

/// How often the kernel probes a peer that does not answer, and how many times. The system's own 75 s and 9 would find a
/// dead peer after eleven minutes, however short `idle` is.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const PROBES: u32 = 10;

fn probes_after(idle: Duration) -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(idle)
        .with_interval(PROBE_INTERVAL)
        .with_retries(PROBES)
}

/// Nagle's algorithm, off or on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDelay {
    /// Small writes leave at once.
    On,
    /// Small writes may wait for an acknowledgement.
    Off,
}

/// As the system has it; a name of the abstract namespace begins with a zero byte.
pub(crate) fn unix_address(address: &std::os::unix::net::SocketAddr) -> Address {
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_abstract_name() {
        let path = OsString::from_vec([b"\0", name].concat());
        return Address::Unix(Some(path.into()));
    }
    Address::Unix(address.as_pathname().map(Path::to_path_buf))
}

fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    #[cfg(target_os = "linux")]
    if unix_path::abstract_name(path).is_some() {
        return connect_abstract(path);
    }
    UnixStream::connect(path)
}

/// By the address that listening takes. Mio counts a byte too little of a name that is empty or begins with a zero byte.
#[cfg(target_os = "linux")]
fn connect_abstract(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    // A backlog that is full is told as `EAGAIN`: a unix socket is connected at once, or not at all.
    socket.connect(&SockAddr::unix(path)?)?;
    let descriptor = std::os::unix::net::UnixStream::from(OwnedFd::from(socket));
    Ok(UnixStream::from_std(descriptor))
}

pub(crate) use either;

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        either!(self, Self, socket => socket.as_raw_fd())
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        either!(stream, Stream, socket => socket.into())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_known_by_name() {
        // The first is the loopback interface, everywhere.
        assert!(interface_name(1).is_some_and(|name| name.starts_with("lo")));
        assert_eq!(interface_name(u32::MAX), None);
    }
}
