//! What is left when everything is over: no descriptor, no chunk. One test, and so a process of its own.

mod support;

use std::num::NonZeroU32;

use netpoll_core::Address;
use support::{Harness, Random, echo, frame, open_descriptors, settings};

#[test]
fn nothing_is_left_behind() {
    let before = open_descriptors();
    let pool = {
        let mut h = Harness::with(64 * 1024, 128);
        let settings = settings(|s| s.max_in_flight = NonZeroU32::new(4));
        let mut random = Random::new(4);
        let quiet = open_descriptors();
        for round in 0..20 {
            let mut peers = Vec::new();
            for _ in 0..5 {
                peers.push(h.unix(&settings).1);
            }
            let tcp: Vec<_> = (0..3).map(|_| h.tcp(&settings)).collect();
            for peer in &mut peers {
                for _ in 0..random.below(50) {
                    let length = random.below(3_000);
                    let bytes = frame(&random.bytes(length));
                    h.peer_writes(peer, &bytes, echo);
                }
                // Half of a large one stays unfinished, in a region of its own.
                if random.below(2) == 0 {
                    h.peer_writes(peer, &frame(&[0; 300_000])[..100_000], echo);
                }
            }
            for (id, _) in &tcp {
                let slice = h.slice(&vec![1; 100_000]);
                h.poller.send(*id, slice);
                match random.below(4) {
                    0 => h.poller.close(*id),
                    1 => h.poller.finish(*id),
                    2 => h.poller.destroy(*id),
                    _ => {}
                }
            }
            h.flush();
            let (listener, file) = h.listen_unix(&settings);
            let dialed = h.dial(&file.address(), &settings);
            h.run(echo, |h| h.has(dialed, "connected"));
            h.poller.unlisten(listener);
            h.poller.close(dialed);
            drop(peers);
            drop(tcp);
            let ids = h.accepted();
            h.run(echo, |h| ids.iter().all(|id| h.reason(*id).is_some()));
            h.log.clear();
            h.quiesce();
            h.until(|_| open_descriptors() == quiet);
            h.log.clear();
            // The poller reads into one; no other holder has any.
            assert_eq!(h.pool.stats().live, 1, "round {round}");
        }
        assert!(h.pool.stats().cached <= 16);
        let refused = Address::Ip(([127, 0, 0, 1], 1).into());
        let _ = h.poller.dial(&refused, settings, None);
        h.pool.clone()
    };
    assert_eq!(pool.stats().live, 0);
    assert_eq!(pool.stats().live_bytes, 0);
    assert_eq!(open_descriptors(), before);
}
