//! Listening sockets, TCP and unix behind one type: what is asked of them, how they are made, taken over
//! and accepted from. What is special about paths is in [`crate::unix_path`].

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::address::Address;
use crate::faults::inject;
use crate::socket::{Stream, either, unix_address};
use crate::unix_path;

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub place: Place,
    /// Connections that may wait to be accepted; the system may allow fewer.
    pub backlog: i32,
}

/// A port or a path, each with what only it can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A TCP port.
    Port {
        /// Address and port; port 0 lets the system choose one.
        address: SocketAddr,
        /// Whether others may listen on the same port.
        sharing: PortSharing,
        /// What the unspecified IPv6 address stands for.
        unspecified: Unspecified,
    },
    /// The path of a unix socket.
    Path {
        /// The path; nothing may be there but a dead socket.
        path: PathBuf,
        /// Which users may connect.
        access: Access,
    },
}

impl Place {
    /// The same place, with the port of `address`, to which a socket was bound that asked for it.
    /// The system chooses a port where port 0 is asked for.
    #[must_use]
    pub fn bound_to(mut self, address: &Address) -> Self {
        if let (Self::Port { address: asked, .. }, Address::Ip(bound)) = (&mut self, address) {
            asked.set_port(bound.port());
        }
        self
    }
}

/// Whether several sockets may listen on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortSharing {
    /// This one alone.
    Exclusive,
    /// Others may, if they ask for it as well and belong to the same user (`SO_REUSEPORT`). Linux
    /// distributes connections among them; macOS does not.
    Shared,
}

/// What listening on `::` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unspecified {
    /// All addresses, IPv6 and IPv4.
    Both,
    /// All IPv6 addresses.
    OnlyIpv6,
}

/// The permissions of a unix socket's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// What the process's umask leaves.
    Umask,
    /// These permission bits, whatever the umask.
    Mode(u32),
}

/// A listening socket in non-blocking mode.
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A unix stream socket.
    Unix(UnixListener),
}

impl Listener {
    /// Binds and listens. A dead socket at a path is replaced.
    ///
    /// # Errors
    /// The system's, such as an address in use.
    pub fn bind(listen: &Listen) -> io::Result<Self> {
        inject!(failure_without at Listen);
        match &listen.place {
            Place::Port {
                address,
                sharing,
                unspecified,
            } => {
                let socket = bind_port(*address, *sharing, *unspecified)?;
                socket.listen(listen.backlog)?;
                Ok(Self::tcp(socket.into()))
            }
            Place::Path { path, access } => {
                let socket = unix_path::listen(path, *access, listen.backlog)?;
                Ok(Self::unix(socket.into()))
            }
        }
    }

    /// Listens on a duplicate of `descriptor`, which must be a listening TCP or unix stream socket. On
    /// platforms that do not tell whether a socket listens, a bound one is made to.
    ///
    /// Puts the socket in non-blocking mode, for all that share it.
    ///
    /// # Errors
    /// `ENOTSOCK`, `EINVAL` for another kind of socket, or the system's; then nothing has changed.
    pub fn adopt(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let unsuitable = || io::Error::from_raw_os_error(libc::EINVAL);
        let socket = SockRef::from(&descriptor);
        if socket.r#type()? != Type::STREAM || !listens(&socket)? {
            return Err(unsuitable());
        }
        let name = socket.local_addr()?;
        let make = match (name.as_socket(), name.is_unix()) {
            (Some(_), _) => Self::tcp,
            (None, true) => Self::unix,
            (None, false) => return Err(unsuitable()),
        };
        inject!(failure at Adopt, &descriptor);
        let own = descriptor.try_clone_to_owned()?;
        socket.set_nonblocking(true)?;
        Ok(make(own))
    }

    fn tcp(descriptor: OwnedFd) -> Self {
        Self::Tcp(TcpListener::from_std(descriptor.into()))
    }

    fn unix(descriptor: OwnedFd) -> Self {
        Self::Unix(UnixListener::from_std(descriptor.into()))
    }

    /// The next connection that waits, and its other end.
    ///
    /// # Errors
    /// `WouldBlock` when none waits, or the system's.
    pub fn accept(&self) -> io::Result<(Stream, Address)> {
        inject!(failure at Accept, self);
        match self {
            Self::Tcp(socket) => socket
                .accept()
                .map(|(stream, peer)| (Stream::Tcp(stream), Address::Ip(peer))),
            Self::Unix(socket) => socket
                .accept()
                .map(|(stream, peer)| (Stream::Unix(stream), unix_address(&peer))),
        }
    }

    /// Where it listens.
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
}

impl Source for Listener {
    fn register(&mut self, r: &Registry, t: Token, i: Interest) -> io::Result<()> {
        inject!(failure at Watch, self);
        #[cfg(feature = "faults")]
        {
            let events = (libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
            crate::faults::watched(self, crate::socket::announcing(r, self, t, events));
        }
        either!(self, Self, socket => socket.register(r, t, i))
    }
    fn reregister(&mut self, r: &Registry, t: Token, i: Interest) -> io::Result<()> {
        either!(self, Self, socket => socket.reregister(r, t, i))
    }
    fn deregister(&mut self, r: &Registry) -> io::Result<()> {
        either!(self, Self, socket => socket.deregister(r))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        either!(self, Self, socket => socket.as_raw_fd())
    }
}

fn bind_port(
    address: SocketAddr,
    sharing: PortSharing,
    unspecified: Unspecified,
) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if sharing == PortSharing::Shared {
        socket.set_reuse_port(true)?;
    }
    if let SocketAddr::V6(address) = address {
        let both = address.ip().is_unspecified() && unspecified == Unspecified::Both;
        // A mapped address is one of IPv4 on a socket of IPv6, which the system refuses where that takes IPv6 alone.
        let is_mapped = address.ip().to_ipv4_mapped().is_some();
        socket.set_only_v6(!(both || is_mapped))?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn listens(socket: &Socket) -> io::Result<bool> {
    let name = socket.local_addr()?;
    let is_bound = match name.as_socket() {
        Some(address) => address.port() != 0,
        None => name.as_pathname().is_some(),
    };
    if !is_bound || socket.peer_addr().is_ok() {
        return Ok(false);
    }
    socket.listen(libc::SOMAXCONN).map(|()| true)
}
