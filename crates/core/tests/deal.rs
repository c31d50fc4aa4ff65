//! Connections that one poller accepts and others own.

mod support;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netpoll_core::listener::Listener;
use netpoll_core::settings::Settings;
use netpoll_core::{Dealer, Id, LoadBalance, PollerMessage};
use support::{Harness, SocketFile, What, echo, frame, listen_at, settings};

/// A listener whose connections are dealt, and pollers that sit at the table, which say their number as the tag.
struct Table {
    door: Harness,
    listener: Id,
    file: SocketFile,
    dealer: Dealer,
    seats: Vec<Harness>,
    keys: Vec<u64>,
}

impl Table {
    fn new(balance: LoadBalance, seats: usize) -> Self {
        let file = SocketFile::new();
        let listener = Listener::bind(&listen_at(&file.address(), 512)).expect("listening");
        let dealer = Dealer::new(balance);
        let mut door = Harness::new();
        let listener = door
            .poller
            .attend_for(listener, dealer.clone())
            .expect("attending");
        let mut table = Self {
            door,
            listener,
            file,
            dealer,
            seats: Vec::new(),
            keys: Vec::new(),
        };
        for _ in 0..seats {
            table.seat(Harness::new(), &settings(|_| {}));
        }
        table
    }

    fn seat(&mut self, seat: Harness, settings: &Arc<Settings>) {
        let tag = self.seats.len() as u32;
        let key = self
            .dealer
            .join(seat.poller.handle(), settings.clone(), tag);
        self.seats.push(seat);
        self.keys.push(key);
    }

    /// Somebody connects, and whoever gets the connection is told.
    fn connect(&mut self) -> UnixStream {
        let peer = UnixStream::connect(self.file.path()).expect("connecting");
        peer.set_nonblocking(true).expect("non-blocking");
        self.settle();
        peer
    }

    fn connect_many(&mut self, count: usize) -> Vec<UnixStream> {
        (0..count).map(|_| self.connect()).collect()
    }

    fn settle(&mut self) {
        self.door.quiesce();
        for seat in &mut self.seats {
            seat.quiesce();
        }
    }

    /// How many connections each has been told of.
    fn shares(&self) -> Vec<usize> {
        let count = |seat: &Harness| seat.accepted().len();
        self.seats.iter().map(count).collect()
    }
}

#[test]
fn round_robin_deals_to_one_after_the_other() {
    let mut table = Table::new(LoadBalance::RoundRobin, 3);
    let _peers = table.connect_many(7);
    assert_eq!(table.shares(), [3, 2, 2]);
    assert!(table.door.accepted().is_empty());
}

#[test]
fn at_random_everybody_gets_a_good_part() {
    let mut table = Table::new(LoadBalance::Random, 3);
    let peers = table.connect_many(300);
    let shares = table.shares();
    assert_eq!(shares.iter().sum::<usize>(), peers.len());
    assert!(shares.iter().all(|share| *share > 60), "{shares:?}");
    let first: Vec<Option<Id>> = table
        .seats
        .iter()
        .map(|s| s.accepted().first().copied())
        .collect();
    assert!(first.iter().all(Option::is_some));
}

#[test]
fn whoever_has_the_fewest_connections_gets_the_next() {
    let mut table = Table::new(LoadBalance::LeastConnections, 3);
    let _peers = table.connect_many(6);
    assert_eq!(table.shares(), [2, 2, 2]);
    // Two of the last one's end in different ways: one by its peer, one by us.
    let ids = table.seats[2].accepted();
    table.seats[2].poller.destroy(ids[0]);
    table.seats[2].flush();
    let last = table.seats[2].detach(ids[1]);
    table.settle();
    let _more = table.connect_many(2);
    assert_eq!(table.shares(), [2, 2, 4]);
    let _others = table.connect_many(3);
    assert_eq!(table.shares(), [3, 3, 5]);
    drop(last);
}

#[test]
fn connections_that_peers_close_make_room_too() {
    let mut table = Table::new(LoadBalance::LeastConnections, 2);
    for round in 1..20 {
        let peers = table.connect_many(4);
        assert_eq!(table.shares(), [2 * round, 2 * round]);
        drop(peers);
        table.settle();
    }
}

#[test]
fn each_seat_has_settings_and_a_tag_of_its_own() {
    let mut table = Table::new(LoadBalance::RoundRobin, 0);
    for most in [1, 2] {
        let settings = settings(|s| s.max_in_flight = most.try_into().ok());
        table.seat(Harness::new(), &settings);
    }
    for peer in &mut table.connect_many(2) {
        peer.write_all(&[frame(b"a"), frame(b"b"), frame(b"c")].concat())
            .expect("room");
    }
    table.settle();
    for (number, seat) in table.seats.iter().enumerate() {
        let id = seat.accepted()[0];
        assert_eq!(seat.message_count(id), number + 1);
        let tag = match seat.log[0].what {
            What::Accepted { listener } => listener,
            _ => panic!("it begins with that"),
        };
        assert_eq!(tag as usize, number);
    }
}

#[test]
fn a_dealt_connection_lives_where_it_was_dealt_to() {
    let mut table = Table::new(LoadBalance::RoundRobin, 2);
    let mut peers = table.connect_many(2);
    table.door.poller.unlisten(table.listener);
    drop(table.door);
    for (seat, peer) in table.seats.iter_mut().zip(&mut peers) {
        peer.write_all(&frame(b"hello")).expect("room");
        assert_eq!(seat.peer_reads(peer, 9, echo), frame(b"hello"));
        let id = seat.accepted()[0];
        assert!(seat.poller.peer_address(id).is_some());
        peer.shutdown(std::net::Shutdown::Both).expect("open");
        assert_eq!(seat.until_closed(id), 0);
        assert_eq!(seat.life(id), ["accepted", "inactive", "ended", "closed"]);
    }
}

#[test]
fn what_was_sent_before_the_connection_was_dealt_comes_after_the_news_of_it() {
    let mut table = Table::new(LoadBalance::RoundRobin, 1);
    let mut peer = UnixStream::connect(table.file.path()).expect("connecting");
    peer.write_all(&frame(b"first")).expect("room");
    drop(peer);
    table.settle();
    let seat = &table.seats[0];
    let id = seat.accepted()[0];
    assert_eq!(seat.story(id), ["accepted", "message", "inactive", "ended"]);
}

#[test]
fn the_poller_that_listens_may_sit_at_the_table() {
    let mut table = Table::new(LoadBalance::RoundRobin, 1);
    let handle = table.door.poller.handle();
    table.dealer.join(handle, settings(|_| {}), 5);
    let _peers = table.connect_many(4);
    table.settle();
    assert_eq!(table.shares(), [2]);
    assert_eq!(table.door.accepted().len(), 2);
}

#[test]
fn more_than_a_batch_can_tell_are_told_in_the_next() {
    let mut table = Table::new(LoadBalance::RoundRobin, 0);
    table.seat(Harness::with(64 * 1024, 24), &settings(|_| {}));
    let peers: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(table.file.path()).expect("connecting"))
        .collect();
    table.settle();
    assert_eq!(table.shares(), [peers.len()]);
}

#[test]
fn a_seat_whose_poller_is_gone_gets_nothing_and_nobody_is_lost() {
    for balance in [
        LoadBalance::RoundRobin,
        LoadBalance::Random,
        LoadBalance::LeastConnections,
    ] {
        let mut table = Table::new(balance, 3);
        drop(table.seats.remove(1));
        let mut peers = table.connect_many(12);
        assert_eq!(table.shares().iter().sum::<usize>(), 12, "{balance:?}");
        for peer in &mut peers {
            let error = peer.read(&mut [0]).expect_err("open");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    }
}

#[test]
fn without_seats_connections_are_closed() {
    let mut table = Table::new(LoadBalance::LeastConnections, 2);
    table.seats.clear();
    for mut peer in table.connect_many(3) {
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    }
    // Somebody comes.
    table.seat(Harness::new(), &settings(|_| {}));
    let _peer = table.connect();
    assert_eq!(table.shares(), [1]);
}

#[test]
fn whoever_has_left_gets_nothing_more_and_keeps_what_it_has() {
    let mut table = Table::new(LoadBalance::RoundRobin, 2);
    let mut peers = table.connect_many(2);
    assert_eq!(table.dealer.leave(table.keys[0]), 1);
    assert_eq!(table.dealer.leave(table.keys[0]), 1);
    let _more = table.connect_many(3);
    assert_eq!(table.shares(), [1, 4]);
    peers[0].write_all(&frame(b"x")).expect("room");
    let seat = &mut table.seats[0];
    assert_eq!(seat.peer_reads(&mut peers[0], 5, echo), frame(b"x"));
    assert_eq!(table.dealer.leave(table.keys[1]), 0);
    assert_eq!(table.connect().read(&mut [0]).expect("the end"), 0);
}

#[test]
fn connections_on_their_way_to_a_poller_that_ends_are_closed() {
    let mut table = Table::new(LoadBalance::RoundRobin, 1);
    let mut peer = UnixStream::connect(table.file.path()).expect("connecting");
    table.door.quiesce();
    table.seats.clear();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn connections_on_their_way_count() {
    let mut table = Table::new(LoadBalance::LeastConnections, 2);
    let peers: Vec<UnixStream> = (0..10)
        .map(|_| UnixStream::connect(table.file.path()).expect("connecting"))
        .collect();
    // Nobody but the door has looked meanwhile.
    table.door.quiesce();
    table.settle();
    assert_eq!(table.shares(), [5, 5]);
    drop(peers);
}

#[test]
fn a_connection_that_is_gone_before_it_is_taken_on_does_not_count() {
    let mut table = Table::new(LoadBalance::LeastConnections, 2);
    for _ in 0..10 {
        drop(UnixStream::connect(table.file.path()).expect("connecting"));
        table.settle();
        for seat in &mut table.seats {
            for id in seat.accepted() {
                seat.poller.destroy(id);
            }
        }
        table.settle();
    }
    let before = table.shares();
    let _peers = table.connect_many(4);
    let gained: Vec<usize> = table
        .shares()
        .iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect();
    assert_eq!(gained, [2, 2]);
}

#[test]
fn slots_of_dealt_connections_are_used_again() {
    let mut table = Table::new(LoadBalance::RoundRobin, 2);
    let mut generations: HashMap<(usize, u32), u32> = HashMap::new();
    for _ in 0..50 {
        let peers = table.connect_many(2);
        drop(peers);
        table.settle();
        for seat in &mut table.seats {
            let id = *seat.accepted().last().expect("one each");
            seat.poller.destroy(id);
        }
        table.settle();
        table.settle();
    }
    for (number, seat) in table.seats.iter().enumerate() {
        for id in seat.accepted() {
            let newest = generations.entry((number, id.slot)).or_default();
            *newest = id.generation.max(*newest);
        }
    }
    assert!(generations.len() <= 6, "{generations:?}");
}

/// The tags of the listeners of which a seat was told that nobody accepts any more.
fn failed_listeners(seat: &Harness) -> Vec<u32> {
    let failed = seat
        .log
        .iter()
        .filter(|entry| matches!(entry.what, What::AcceptEnded));
    failed.map(|entry| entry.slot).collect()
}

#[test]
fn each_server_is_told_once_when_the_poller_that_accepts_has_panicked() {
    let mut table = Table::new(LoadBalance::RoundRobin, 3);
    // A second seat of the first server.
    let second = Harness::new();
    let handle = second.poller.handle();
    table.dealer.join(handle, settings(|_| {}), 0);
    table.seats.push(second);
    let peer = table.connect();
    let visit = PollerMessage::visit(|_| panic!("on purpose"));
    table.door.poller.handle().post(visit);
    let panicked = catch_unwind(AssertUnwindSafe(|| table.door.quiesce()));
    assert!(panicked.is_err());
    table.door.poller.tell_failed();
    drop(std::mem::replace(&mut table.door, Harness::new()));
    for seat in &mut table.seats {
        seat.quiesce();
    }
    let told: Vec<Vec<u32>> = table.seats.iter().map(failed_listeners).collect();
    assert_eq!(told, [vec![0], vec![1], vec![2], vec![]]);
    // What was dealt before goes on, and nobody connects in vain.
    let mut peer = peer;
    peer.write_all(&frame(b"x")).expect("room");
    assert_eq!(table.seats[0].peer_reads(&mut peer, 5, echo), frame(b"x"));
    let refused = UnixStream::connect(table.file.path());
    assert_eq!(
        refused.expect_err("nobody listens").kind(),
        ErrorKind::ConnectionRefused
    );
}

#[test]
fn more_news_of_listeners_than_a_batch_has_room_for_come_in_the_next() {
    let mut seat = Harness::with(64 * 1024, 24);
    let handle = seat.poller.handle();
    for tag in 0..100 {
        handle.post(PollerMessage::AcceptPaused { tag, errno: 24 });
    }
    seat.quiesce();
    let told: Vec<u32> = seat.log.iter().map(|entry| entry.slot).collect();
    assert_eq!(told, (0..100).collect::<Vec<_>>());
}
