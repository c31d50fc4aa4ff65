//! System calls that fail for good. A seccomp filter refuses them for the thread of a test.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod support;

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use support::{Harness, What, echo, frame, is_readable, settings};

/// One instruction of a filter.
fn instruction(code: u32, k: u32, when_true: u8, when_false: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: when_true,
        jf: when_false,
        k,
    }
}

/// From now on `call` fails with `errno` in this thread; where `argument` is given, only with that as its second.
fn refuse(call: libc::c_long, argument: Option<u32>, errno: i32) {
    const NUMBER: u32 = 0;
    const SECOND_ARGUMENT: u32 = 24;
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let give = libc::BPF_RET | libc::BPF_K;
    let error = libc::SECCOMP_RET_ERRNO | errno as u32;
    let mut filter = vec![
        instruction(load, NUMBER, 0, 0),
        instruction(
            equal,
            call as u32,
            0,
            if argument.is_some() { 3 } else { 1 },
        ),
    ];
    if let Some(argument) = argument {
        filter.push(instruction(load, SECOND_ARGUMENT, 0, 0));
        filter.push(instruction(equal, argument, 0, 1));
    }
    filter.push(instruction(give, error, 0, 0));
    filter.push(instruction(give, libc::SECCOMP_RET_ALLOW, 0, 0));
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is valid for the call, which copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        );
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
}

/// What was told of accepting: which listener, what, and the system's error number.
fn troubles(h: &Harness) -> Vec<(u32, &'static str, u32)> {
    let told = h.log.iter().filter_map(|entry| match entry.what {
        What::AcceptPaused(errno) => Some((entry.slot, "paused", errno)),
        What::AcceptFailed(errno) => Some((entry.slot, "failed", errno)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_connection_that_cannot_be_watched_is_told_of_and_the_next_ones_wait() {
    let mut h = Harness::new();
    let (_listener, file) = h.listen_unix(&settings(|_| {}));
    let _peers: Vec<UnixStream> = (0..5)
        .map(|_| UnixStream::connect(file.path()).expect("connecting"))
        .collect();
    refuse(
        libc::SYS_epoll_ctl,
        Some(libc::EPOLL_CTL_ADD as u32),
        libc::ENOSPC,
    );
    h.quiesce();
    let failed = (support::UNIX_TAG, "failed", libc::ENOSPC as u32);
    assert_eq!(troubles(&h), [failed]);
    assert!(!h.poller.has_ready() && !is_readable(h.poller.as_raw_fd()));
    h.advance(Duration::from_millis(200));
    h.quiesce();
    h.turn();
    h.quiesce();
    assert_eq!(troubles(&h), [failed, failed]);
    assert!(h.accepted().is_empty());
}

#[test]
fn an_option_that_cannot_be_set_drops_nobody() {
    let mut h = Harness::new();
    let settings = settings(|s| s.keep_alive = Some(Duration::from_secs(30)));
    let (_listener, address) = h.listen_tcp(&settings);
    let mut peer = TcpStream::connect(address).expect("connecting");
    peer.set_nonblocking(true).expect("non-blocking");
    refuse(libc::SYS_setsockopt, None, libc::EINVAL);
    h.peer_writes(&mut peer, &frame(b"ping"), echo);
    assert_eq!(h.peer_reads(&mut peer, 8, echo), frame(b"ping"));
    assert!(troubles(&h).is_empty());
    let dialed = h.dial(&netpoll_core::Address::Ip(address), &settings);
    h.until(|h| h.has(dialed, "connected"));
}

/// Whether it says that it is about one peer (`ECONNABORTED`) or about all (`EPERM`), if it does not end.
#[test]
fn accepting_that_always_fails_is_told_once_and_tried_now_and_then() {
    for errno in [libc::EPERM, libc::ECONNABORTED] {
        // A filter stays with its thread.
        std::thread::spawn(move || {
            let mut h = Harness::new();
            let (_listener, file) = h.listen_unix(&settings(|_| {}));
            let _peer = UnixStream::connect(file.path()).expect("connecting");
            refuse(libc::SYS_accept4, None, errno);
            h.look();
            for _ in 0..10 {
                h.turn();
            }
            assert_eq!(troubles(&h), [(support::UNIX_TAG, "paused", errno as u32)]);
            assert!(!h.poller.has_ready(), "it spins");
            let wake = h.poller.next_wake().expect("it tries again");
            h.advance(wake.saturating_duration_since(h.now()));
            h.look();
            for _ in 0..10 {
                h.turn();
            }
            assert_eq!(troubles(&h).len(), 1);
            assert!(!h.poller.has_ready(), "it spins");
        })
        .join()
        .expect("no failure");
    }
}

/// As in a `chroot` without `/proc`, on a kernel before 6.6.
#[cfg(target_arch = "x86_64")]
#[test]
fn permissions_are_set_without_proc_where_no_other_user_can_interfere() {
    use netpoll_core::listener::{Access, Listen, Place};
    use std::os::unix::fs::PermissionsExt;

    let file = support::SocketFile::new();
    let directory = file
        .path()
        .parent()
        .expect("a directory")
        .join(format!("permissions-{}", std::process::id()));
    let path = directory.join("socket");
    std::fs::create_dir(&directory).expect("a directory");
    let listen = Listen {
        place: Place::Path {
            path: path.clone(),
            access: Access::Mode(0o666),
        },
        backlog: 1,
    };
    let allow = |mode| {
        let name = std::ffi::CString::new(directory.as_os_str().as_encoded_bytes());
        let name = name.expect("a path");
        // SAFETY: the name ends with a zero.
        let status = unsafe { libc::fchmodat(libc::AT_FDCWD, name.as_ptr(), mode, 0) };
        assert_eq!(status, 0, "permissions");
    };
    let mode = || {
        let metadata = std::fs::symlink_metadata(&path).expect("a file");
        metadata.permissions().mode() & 0o777
    };
    allow(0o755);
    let mut h = Harness::new();
    refuse(libc::SYS_fchmodat2, None, libc::ENOSYS);
    let id = h
        .poller
        .listen(&listen, settings(|_| {}), 0)
        .expect("by /proc");
    assert_eq!(mode(), 0o666);
    h.poller.unlisten(id);
    // What the standard library calls for the path in `/proc`; ours is by a directory.
    refuse(libc::SYS_chmod, None, libc::ENOENT);
    let id = h
        .poller
        .listen(&listen, settings(|_| {}), 0)
        .expect("by name");
    assert_eq!(mode(), 0o666);
    h.poller.unlisten(id);
    allow(0o777);
    let refused = h.poller.listen(&listen, settings(|_| {}), 0);
    let error = refused.expect_err("anyone can put a link there");
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    assert!(!path.exists());
    std::fs::remove_dir_all(&directory).expect("removing");
}
