//! The limit on open files, which tens of thousands of connections exceed.

use std::io;

/// Raises the soft limit on open files as far as the system allows, and returns
/// what it is then.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // macOS reports an endless hard limit but refuses more than OPEN_MAX.
    const OPEN_MAX: libc::rlim_t = 10_240;
    for wanted in [limit.rlim_max, OPEN_MAX.min(limit.rlim_max)] {
        let raised = libc::rlimit {
            rlim_cur: wanted,
            rlim_max: limit.rlim_max,
        };
        // SAFETY: `raised` is a valid limit for the call to read.
        let accepted = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0;
        if accepted || wanted <= limit.rlim_cur {
            return Ok(wanted.max(limit.rlim_cur));
        }
    }
    Ok(limit.rlim_cur)
}
