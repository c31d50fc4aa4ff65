//! No descriptor is left. One test, and so a process of its own: the descriptors of no other test
//! change.

mod support;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use support::{Harness, What, echo, frame, is_readable, listen_at, open_descriptors, settings};

fn limit_descriptors(most: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = most;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

#[test]
fn without_descriptors_accepting_pauses_and_goes_on_by_itself() {
    let before = open_descriptors();
    limit_descriptors(200);
    {
        let mut h = Harness::new();
        let (_listener, file) = h.listen_unix(&settings(|_| {}));
        let mut peers: Vec<UnixStream> = (0..10)
            .map(|_| UnixStream::connect(file.path()).expect("connecting"))
            .collect();
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        let paused = |h: &Harness| -> usize {
            h.log
                .iter()
                .filter(|entry| matches!(entry.what, What::AcceptPaused(_)))
                .count()
        };
        h.quiesce();
        assert_eq!(h.log.len(), 1);
        let entry = &h.log[0];
        assert_eq!(entry.slot, support::UNIX_TAG);
        assert!(matches!(entry.what, What::AcceptPaused(errno) if errno == libc::EMFILE as u32));
        // Starved for ten seconds: it looks again now and then, says nothing, and does not spin.
        let mut wakes = 0;
        let end = h.now() + Duration::from_secs(10);
        while h.now() < end {
            assert!(!h.poller.has_ready());
            assert!(!is_readable(h.poller.as_raw_fd()));
            let wake = h.poller.next_wake().expect("it tries again");
            let ahead = wake.saturating_duration_since(h.now());
            assert!(ahead < Duration::from_secs(1));
            h.advance(ahead);
            h.quiesce();
            h.turn();
            h.quiesce();
            wakes += 1;
            assert!(wakes < 1000);
        }
        assert!((20..=250).contains(&wakes), "{wakes} in ten seconds");
        assert_eq!(paused(&h), 1);
        assert!(h.accepted().is_empty());
        // A peer that comes meanwhile changes nothing.
        hoard.pop();
        peers.push(UnixStream::connect(file.path()).expect("connecting"));
        h.quiesce();
        assert_eq!(h.log.len(), 1);
        // Enough for four, but the listener does not look before it is time: a newcomer makes no
        // attempt either.
        hoard.truncate(hoard.len() - 5);
        peers.push(UnixStream::connect(file.path()).expect("connecting"));
        h.quiesce();
        assert!(h.accepted().is_empty());
        h.advance(Duration::from_millis(200));
        h.quiesce();
        h.turn();
        h.quiesce();
        assert_eq!(h.accepted().len(), 4);
        // One now and then: it is the same shortage all along, which was reported.
        for count in 5..8 {
            hoard.pop();
            h.advance(Duration::from_millis(200));
            h.turn();
            h.quiesce();
            assert_eq!(h.accepted().len(), count);
        }
        assert_eq!(paused(&h), 1);
        drop(hoard);
        h.advance(Duration::from_millis(200));
        h.turn();
        h.quiesce();
        assert_eq!(h.accepted().len(), 12);
        assert_eq!(paused(&h), 1);
        for peer in &mut peers {
            peer.set_nonblocking(true).expect("non-blocking");
            h.peer_writes(peer, &frame(b"ping"), echo);
            assert_eq!(h.peer_reads(peer, 8, echo), frame(b"ping"));
        }
        // Nothing is left to be tried again.
        h.advance(Duration::from_secs(10));
        h.turn();
        assert_eq!(h.poller.next_wake(), None);

        // Every peer was accepted in between, so the next shortage is another one.
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        hoard.pop();
        let _late = UnixStream::connect(file.path()).expect("connecting");
        h.quiesce();
        assert_eq!(paused(&h), 2);
        drop(hoard);
        h.advance(Duration::from_millis(200));
        h.turn();
        h.quiesce();
        assert_eq!(h.accepted().len(), 13);

        // A dial without descriptors fails at once, and a listener too.
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        let settings = settings(|_| {});
        for error in [
            h.poller.dial(&file.address(), settings.clone(), None).err(),
            h.poller
                .listen(&listen_at(&file.address(), 1), settings, 0)
                .err(),
        ] {
            let errno = error.and_then(|error| error.raw_os_error());
            assert_eq!(errno, Some(libc::EMFILE));
        }
    }
    assert_eq!(open_descriptors(), before);
}
