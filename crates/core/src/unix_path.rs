//! The files of unix sockets: what listens there, what permissions they have, and how a dead one is
//! replaced.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::{
    ffi::CString,
    fs::OpenOptions,
    os::fd::{AsRawFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::listener::Access;

/// How often a lock that another owner holds is tried, and how long each time is waited.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// A name of Linux's abstract namespace: a path that begins with a zero byte, and which no file has. The system forgets it
/// with its socket.
#[cfg(target_os = "linux")]
pub(crate) fn abstract_name(path: &Path) -> Option<&[u8]> {
    path.as_os_str().as_bytes().strip_prefix(b"\0")
}

/// There are none here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn abstract_name(_: &Path) -> Option<&[u8]> {
    None
}

/// Listens on `path`, in place of a dead socket if there is one.
pub(crate) fn listen(path: &Path, access: Access, backlog: i32) -> io::Result<Socket> {
    let name = SockAddr::unix(path)?;
    if abstract_name(path).is_some() {
        let socket = bind(&name, Access::Umask)?;
        socket.listen(backlog)?;
        return Ok(socket);
    }
    let _lock = lock_directory(path);
    let socket = match bind(&name, access) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if unix_occupant(path).unwrap_or(Occupant::InUse) == Occupant::InUse {
                return Err(error);
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            bind(&name, access)?
        }
        other => other?,
    };
    // A peer that sees the file before it listens is refused, so no peer connects under other
    // permissions than those asked for.
    let listening = match access {
        Access::Umask => Ok(()),
        Access::Mode(mode) => set_access(path, mode),
    }
    .and_then(|()| socket.listen(backlog));
    if let Err(error) = listening {
        // Left behind, it is a dead socket, which the next one to listen there replaces.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(socket)
}

/// Keeps others of our kind from looking at `path` until we listen there. A socket that is bound
/// and does not listen yet looks dead, and one found dead may have been replaced before it is
/// removed.
///
/// The lock is one of the system's locks, on the directory. Other programs lock directories for
/// their own ends, and for as long as they like. So, and where the directory cannot be read, it is
/// done without.
fn lock_directory(path: &Path) -> Option<File> {
    let directory = File::open(directory_of(path)).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn bind(name: &SockAddr, access: Access) -> io::Result<Socket> {
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Access::Mode(mode) = access {
        socket = limit_access(socket, mode)?;
    }
    socket.bind(name)?;
    Ok(socket)
}

/// Has the file that binding makes never show more than `mode`: Linux gives it the socket's own
/// permissions, less the umask.
#[cfg(target_os = "linux")]
fn limit_access(socket: Socket, mode: u32) -> io::Result<Socket> {
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(OwnedFd::from(file).into())
}

/// A socket has no permissions here that its file would get. Until it listens, none are needed.
#[cfg(not(target_os = "linux"))]
fn limit_access(socket: Socket, _: u32) -> io::Result<Socket> {
    Ok(socket)
}

/// Gives the socket at `path` what the umask has taken. The umask itself belongs to the whole process.
#[cfg(target_os = "linux")]
fn set_access(path: &Path, mode: u32) -> io::Result<()> {
    // By a descriptor of the very file, so that a link put in its place meanwhile is not followed.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.file_type().is_socket() {
        return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
    }
    if metadata.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    let by_descriptor = change_mode(&file, mode);
    match by_descriptor.as_ref().map_err(io::Error::raw_os_error) {
        // An older kernel, or one whose filter knows nothing of the call.
        Err(Some(libc::ENOSYS | libc::EPERM)) => set_access_by_path(path, &file, mode),
        _ => by_descriptor,
    }
}

/// Linux 6.6 has the call that changes the permissions of a file which is open for nothing but its name.
#[cfg(target_os = "linux")]
fn change_mode(file: &File, mode: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call, and the empty path ends with a zero.
    let status = unsafe {
        libc::syscall(
            libc::SYS_fchmodat2,
            file.as_raw_fd(),
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// By the path that `/proc` gives to the open file. Where there is no `/proc`, as after `chroot`, by its own, if no other
/// user can put a link in its place.
#[cfg(target_os = "linux")]
fn set_access_by_path(path: &Path, file: &File, mode: u32) -> io::Result<()> {
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    match fs::set_permissions(descriptor, Permissions::from_mode(mode)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
                .open(directory_of(path))?;
            if !is_ours_alone(&directory)? {
                return Err(error);
            }
            change_mode_in(&directory, path, mode)
        }
        other => other,
    }
}

/// Whether no user but this one, and root, can put something else into a directory.
#[cfg(target_os = "linux")]
fn is_ours_alone(directory: &File) -> io::Result<bool> {
    const OTHERS_WRITE: u32 = 0o022;
    let metadata = directory.metadata()?;
    // SAFETY: a plain query, which never fails.
    let user = unsafe { libc::geteuid() };
    let is_trusted = metadata.uid() == user || metadata.uid() == 0;
    Ok(is_trusted && metadata.permissions().mode() & OTHERS_WRITE == 0)
}

/// By the file's name in the directory that was looked at, whatever the path leads to by now.
#[cfg(target_os = "linux")]
fn change_mode_in(directory: &File, path: &Path, mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let name = CString::new(name)?;
    // SAFETY: the descriptor is open for the call, and the name ends with a zero.
    let status = unsafe { libc::fchmodat(directory.as_raw_fd(), name.as_ptr(), mode, 0) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the socket at `path` its permissions. The umask belongs to the whole process.
#[cfg(not(target_os = "linux"))]
fn set_access(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// What stands at the path of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    /// Nothing.
    Vacant,
    /// A socket that no process listens on any more.
    DeadSocket,
    /// A socket that answers, or something that is no socket.
    InUse,
}

/// Looks at `path`, by connecting to what is there: the only way to tell a dead socket from a live one.
///
/// # Errors
/// The system's, such as a folder that may not be read.
pub fn unix_occupant(path: &Path) -> io::Result<Occupant> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Vacant),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => return Ok(Occupant::InUse),
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Occupant::DeadSocket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Occupant::Vacant),
        // Connected, or a full backlog: a process listens there.
        _ => Ok(Occupant::InUse),
    }
}
