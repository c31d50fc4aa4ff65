//! TCP peers that read slowly, by a clock that the test moves: what they acknowledge is progress.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::settings::Settings;
use netpoll_core::{Id, Reason};
use socket2::SockRef;
use support::{Harness, settings};

const TIMEOUT: Duration = Duration::from_secs(3600);
const TOTAL: usize = 8 * 1024 * 1024;

struct Slow {
    h: Harness,
    id: Id,
    peer: TcpStream,
    got: usize,
}

/// How it ends for the peer.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Clean,
    Failed(ErrorKind),
}

impl Slow {
    fn new(settings: &Arc<Settings>) -> Self {
        let mut h = Harness::new();
        let (id, peer) = h.tcp(settings);
        // Most of it waits on this side, but more than one segment does there: an empty window is opened by the system's clock.
        SockRef::from(&peer)
            .set_recv_buffer_size(256 * 1024)
            .expect("receive buffer");
        let slice = h.slice(&vec![7; TOTAL]);
        h.poller.send(id, slice);
        Self {
            h,
            id,
            peer,
            got: 0,
        }
    }

    /// Reads at most `most` bytes, and lets `time` pass.
    fn step(&mut self, most: usize, time: Duration) -> Option<End> {
        let mut buffer = vec![0; most];
        let end = match self.peer.read(&mut buffer) {
            Ok(0) if most > 0 => Some(End::Clean),
            Ok(count) => {
                self.got += count;
                None
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(End::Failed(error.kind())),
        };
        self.h.quiesce();
        self.h.pass(time);
        self.h.quiesce();
        end
    }

    /// Goes on step by step, to the peer's end.
    fn read_slowly(&mut self, time: Duration, mut beside: impl FnMut(&mut TcpStream)) -> End {
        for _ in 0..10_000 {
            beside(&mut self.peer);
            if let Some(end) = self.step(100_000, time) {
                return end;
            }
        }
        panic!("no end after {} bytes", self.got);
    }
}

/// Once by closing, once by ending what is asked and then closing.
#[test]
fn a_slow_peer_that_still_sends_gets_every_byte_and_a_clean_end() {
    for finish in [false, true] {
        let mut slow = Slow::new(&settings(|s| s.close_timeout = TIMEOUT));
        slow.h.quiesce();
        if finish {
            slow.h.poller.finish(slow.id);
        } else {
            slow.h.poller.close(slow.id);
        }
        // Ten steps of a hundred thousand bytes within the timeout: some of them are acknowledged.
        let end = slow.read_slowly(TIMEOUT / 10, |peer| {
            let _ = peer.write(&[0; 16]);
        });
        assert_eq!((slow.got, end), (TOTAL, End::Clean));
        drop(slow.peer);
        let id = slow.id;
        slow.h.until(|h| h.reason(id).is_some());
        assert_eq!(slow.h.reason(id), Some(Reason::Normal.code()));
    }
}

#[test]
fn a_peer_that_stops_to_read_is_given_up_with_what_it_did_not_get() {
    let mut slow = Slow::new(&settings(|s| s.close_timeout = TIMEOUT));
    slow.h.poller.close(slow.id);
    for _ in 0..30 {
        assert_eq!(slow.step(100_000, TIMEOUT / 10), None);
    }
    for _ in 0..25 {
        slow.step(0, TIMEOUT / 10);
    }
    assert_eq!(slow.h.reason(slow.id), Some(Reason::CloseTimeout.code()));
}

#[test]
fn a_slow_peer_does_not_keep_a_closing_connection_for_ever() {
    let mut slow = Slow::new(&settings(|s| {
        s.close_timeout = TIMEOUT;
        s.max_close_time = 3 * TIMEOUT;
    }));
    slow.h.poller.close(slow.id);
    for _ in 0..29 {
        assert_eq!(slow.step(100_000, TIMEOUT / 10), None);
        assert_eq!(slow.h.reason(slow.id), None);
    }
    for _ in 0..2 {
        slow.step(100_000, TIMEOUT / 10);
    }
    assert_eq!(slow.h.reason(slow.id), Some(Reason::CloseTimeout.code()));
}

/// It takes what is in the system's buffer, which asks for more only when much of it is free.
#[test]
fn a_slow_peer_takes_something_within_the_write_timeout() {
    let mut slow = Slow::new(&settings(|s| s.write_timeout = Some(TIMEOUT)));
    slow.h.quiesce();
    while slow.got < TOTAL {
        assert_eq!(slow.step(60_000, TIMEOUT / 10), None);
        assert_eq!(slow.h.reason(slow.id), None);
    }
    let mut stalled = Slow::new(&settings(|s| s.write_timeout = Some(TIMEOUT)));
    for _ in 0..10 {
        assert_eq!(stalled.step(100_000, TIMEOUT / 10), None);
    }
    for _ in 0..25 {
        stalled.step(0, TIMEOUT / 10);
    }
    let reason = stalled.h.reason(stalled.id);
    assert_eq!(reason, Some(Reason::WriteTimeout.code()));
}
