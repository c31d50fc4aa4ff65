//! Faults of the system, one at each call that a conversation makes. Those that no caller may notice change nothing. Others
//! cost the connection, or nothing; no end hangs, leaks, or gets wrong bytes, and each failure is told.
#![cfg(target_os = "linux")]

mod alerts;
mod conversation;
#[path = "../tls/peers.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod peers;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

use conversation::{
    Accepting, Course, ENDINGS, Ending, Outcome, TRANSPORTS, Transport, USUAL, converse, requests,
    small_requests,
};
use netpoll_core::faults::{Fault, Plan, Site};

/// Conversations count the descriptors of the process, so they take place one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A conversation for each call at `site`, which meets `fault`, as those behind it do where it is met `times`. Returns how
/// many conversations had a fault.
fn at_each_call(
    transport: Transport,
    course: Course,
    requests: &[Vec<u8>],
    (site, times, fault): (Site, usize, Fault),
    check: impl Fn(&Outcome),
) -> usize {
    let mut count = 0;
    for skipped in 0.. {
        let plan = Plan::At {
            site,
            skipped,
            times,
            fault,
        };
        let outcome = converse(transport, course, requests, plan);
        if outcome.faults > 0 {
            count += 1;
            check(&outcome);
        } else {
            assert!(outcome.is_complete(), "{outcome:?}");
        }
        if outcome.calls <= skipped {
            break;
        }
    }
    count
}

fn is_complete(outcome: &Outcome) {
    assert!(outcome.is_complete(), "{outcome:?}");
    assert!(!outcome.is_failure_told, "{outcome:?}");
}

fn is_told_unless_complete(outcome: &Outcome) {
    let is_told = outcome.is_complete() || outcome.is_failure_told;
    assert!(is_told, "{outcome:?}");
}

#[test]
fn without_a_fault_every_conversation_is_complete() {
    let _alone = alone();
    for transport in TRANSPORTS {
        let outcome = converse(transport, USUAL, &requests(), Plan::Nothing);
        is_complete(&outcome);
        assert_eq!(outcome.faults, 0);
    }
}

#[test]
fn an_interrupted_or_empty_call_changes_nothing() {
    let _alone = alone();
    for transport in TRANSPORTS {
        for site in [Site::Read, Site::Write, Site::Accept] {
            for errno in [libc::EINTR, libc::EAGAIN] {
                for times in [1, 3] {
                    let fault = Fault::Fail(errno);
                    let calls = at_each_call(
                        transport,
                        USUAL,
                        &requests(),
                        (site, times, fault),
                        is_complete,
                    );
                    assert!(calls > 0);
                }
            }
        }
        let fault = (Site::Wait, 1, Fault::Fail(libc::EINTR));
        at_each_call(transport, USUAL, &small_requests(), fault, is_complete);
    }
}

/// Cuts the n-th read or write at its first, second and every other byte.
#[test]
fn a_read_or_write_may_end_at_any_byte() {
    let _alone = alone();
    for transport in TRANSPORTS {
        for site in [Site::Read, Site::Write] {
            let mut limit = 1;
            let mut cut = 1;
            while cut > 0 {
                let fault = (site, 1, Fault::Short(limit));
                cut = at_each_call(transport, USUAL, &small_requests(), fault, is_complete);
                // Of the two thousand bytes of a handshake some of the places are enough.
                limit += if limit < 64 { 1 } else { 251 };
            }
            assert!(limit > 20, "no call has moved {limit} bytes");
        }
    }
}

/// Each call, and not one alone.
#[test]
fn all_reads_or_writes_may_be_short() {
    let _alone = alone();
    for transport in TRANSPORTS {
        for site in [Site::Read, Site::Write] {
            for limit in [1, 2, 3, 5, 6, 21, 1000] {
                let plan = Plan::At {
                    site,
                    skipped: 0,
                    times: usize::MAX,
                    fault: Fault::Short(limit),
                };
                is_complete(&converse(transport, USUAL, &small_requests(), plan));
            }
        }
    }
}

#[test]
fn faults_that_no_caller_may_notice_change_nothing_in_any_order() {
    let _alone = alone();
    for transport in TRANSPORTS {
        for seed in 0..30 {
            let outcome = converse(transport, USUAL, &requests(), Plan::Everywhere { seed });
            assert!(outcome.faults > 0, "seed {seed}");
            is_complete(&outcome);
        }
    }
}

fn each_is_told(transport: Transport, fault: (Site, usize, Fault)) {
    at_each_call(
        transport,
        USUAL,
        &requests(),
        fault,
        is_told_unless_complete,
    );
}

#[test]
fn a_failure_costs_the_connection_at_most_and_is_told() {
    let _alone = alone();
    let failures = [libc::ECONNRESET, libc::ENOBUFS, libc::ENOMEM];
    for transport in TRANSPORTS {
        for site in [Site::Read, Site::Write] {
            for errno in failures {
                let fault = (site, 1, Fault::Fail(errno));
                each_is_told(transport, fault);
            }
        }
        let fault = (Site::Write, 1, Fault::Fail(libc::EPIPE));
        each_is_told(transport, fault);
        for site in [Site::Watch, Site::Connect, Site::Listen] {
            for errno in [libc::EMFILE, libc::ENOBUFS, libc::ENOMEM] {
                let fault = (site, 1, Fault::Fail(errno));
                each_is_told(transport, fault);
            }
        }
        for errno in [libc::ENOBUFS, libc::ENOMEM] {
            let fault = (Site::Query, 1, Fault::Fail(errno));
            each_is_told(transport, fault);
        }
    }
}

/// Peers that wait are accepted once descriptors or memory are there again.
#[test]
fn a_shortage_of_accepting_costs_no_connection() {
    let _alone = alone();
    let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    for transport in TRANSPORTS {
        for errno in shortages.into_iter().chain([libc::ECONNABORTED]) {
            for times in [1, 5] {
                let fault = (Site::Accept, times, Fault::Fail(errno));
                at_each_call(transport, USUAL, &small_requests(), fault, |outcome| {
                    assert!(outcome.is_complete(), "{outcome:?}");
                });
            }
        }
    }
}

/// What only makes a connection better, or ends it more gently.
#[test]
fn a_failure_beside_the_bytes_costs_none_of_them() {
    let _alone = alone();
    for transport in TRANSPORTS {
        for site in [Site::SetOption, Site::Shutdown, Site::Unwatch] {
            for errno in [libc::ENOBUFS, libc::ENOMEM, libc::ENOTCONN] {
                let fault = (site, 1, Fault::Fail(errno));
                at_each_call(transport, USUAL, &requests(), fault, |outcome| {
                    assert!(outcome.is_complete(), "{outcome:?}");
                });
            }
        }
    }
}

/// Every way to end and to be accepted.
fn courses() -> Vec<Course> {
    let alone = ENDINGS.map(|ending| Course { ending, ..USUAL });
    let balanced = [Ending::ClientCloses, Ending::ServerCloses].map(|ending| Course {
        accepting: Accepting::Balanced,
        ending,
    });
    [&alone[..], &balanced].concat()
}

#[test]
fn however_it_ends_nothing_is_lost_by_what_no_caller_may_notice() {
    let _alone = alone();
    let faults = [
        Fault::Fail(libc::EINTR),
        Fault::Fail(libc::EAGAIN),
        Fault::Short(1),
        Fault::Short(6),
    ];
    for transport in TRANSPORTS {
        for course in courses() {
            let check = |outcome: &Outcome| {
                assert!(outcome.is_complete(), "{outcome:?}");
                let is_refusal = course.ending == Ending::ServerRefuses;
                assert_eq!(outcome.is_failure_told, is_refusal, "{outcome:?}");
            };
            for site in [Site::Read, Site::Write, Site::Accept] {
                for fault in faults {
                    let fault = (site, 1, fault);
                    at_each_call(transport, course, &small_requests(), fault, check);
                }
            }
            for seed in 0..10 {
                let plan = Plan::Everywhere { seed };
                check(&converse(transport, course, &requests(), plan));
            }
        }
    }
}

#[test]
fn however_it_ends_a_failure_is_told_and_leaves_nothing() {
    let _alone = alone();
    for transport in TRANSPORTS {
        for course in courses() {
            for site in [
                Site::Read,
                Site::Write,
                Site::Accept,
                Site::Watch,
                Site::Unwatch,
                Site::Shutdown,
                Site::SetOption,
                Site::Query,
            ] {
                for errno in [libc::ECONNRESET, libc::ENOMEM] {
                    let fault = (site, 1, Fault::Fail(errno));
                    let requests = small_requests();
                    at_each_call(transport, course, &requests, fault, is_told_unless_complete);
                }
            }
        }
    }
}
