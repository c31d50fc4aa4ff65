//! When to end: at SIGTERM or SIGINT, or when the standard input ends. All
//! arrive as one socket that becomes readable, for the poller to watch.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Which events besides signals end the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardInput {
    /// Its end ends the process.
    Watched,
    /// It is left alone.
    Ignored,
}

/// Starts watching; the returned socket becomes readable when it is time to end.
pub fn watch(standard_input: StandardInput) -> io::Result<mio::net::UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    pipe::register(SIGTERM, sender.try_clone()?)?;
    pipe::register(SIGINT, sender.try_clone()?)?;
    if standard_input == StandardInput::Watched {
        // A thread, because epoll refuses a standard input that is a file.
        thread::spawn(move || {
            wait_for_end_of_standard_input();
            // The receiver may have gone if a signal came first.
            let _ = (&sender).write_all(&[0]);
        });
    }
    Ok(mio::net::UnixStream::from_std(receiver))
}

/// Returns once the standard input has ended.
pub fn wait_for_end_of_standard_input() {
    let mut discarded = [0; 256];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut discarded) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
