//! Connections that one poller accepts and others own.

mod support;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netpoll_core::listener::Listener;
use netpoll_core::settings::Settings;
use netpoll_core::{Id, LoadBalance, LoadBalancer, PollerMessage};
use support::{Harness, SocketFile, What, echo, frame, listen_at, settings};

/// A listener whose connections are assigned, and pollers that are members, which say their number as the tag.
struct Table {
    door: Harness,
    listener: Id,
    file: SocketFile,
    balancer: LoadBalancer,
    members: Vec<Harness>,
    keys: Vec<u64>,
}

impl Table {
    fn new(balance: LoadBalance, members: usize) -> Self {
        let file = SocketFile::new();
        let listener = Listener::bind(&listen_at(&file.address(), 512)).expect("listening");
        let balancer = LoadBalancer::new(balance);
        let mut door = Harness::new();
        let listener = door
            .poller
            .attend_for(listener, balancer.clone())
            .expect("attending");
        let mut table = Self {
            door,
            listener,
            file,
            balancer,
            members: Vec::new(),
            keys: Vec::new(),
        };
        for _ in 0..members {
            table.member(Harness::new(), &settings(|_| {}));
        }
        table
    }

    fn member(&mut self, member: Harness, settings: &Arc<Settings>) {
        let tag = self.members.len() as u32;
        let key = self
            .balancer
            .join(member.poller.handle(), settings.clone(), tag);
        self.members.push(member);
        self.keys.push(key);
    }

    /// A peer connects, and the member that gets the connection is told.
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
        for member in &mut self.members {
            member.quiesce();
        }
    }

    /// How many connections each has been told of.
    fn shares(&self) -> Vec<usize> {
        let count = |member: &Harness| member.accepted().len();
        self.members.iter().map(count).collect()
    }
}

#[test]
fn round_robin_assigns_to_one_after_the_other() {
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
        .members
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
    let ids = table.members[2].accepted();
    table.members[2].poller.destroy(ids[0]);
    table.members[2].flush();
    let last = table.members[2].detach(ids[1]);
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
fn each_member_has_settings_and_a_tag_of_its_own() {
    let mut table = Table::new(LoadBalance::RoundRobin, 0);
    for most in [1, 2] {
        let settings = settings(|s| s.max_in_flight = most.try_into().ok());
        table.member(Harness::new(), &settings);
    }
    for peer in &mut table.connect_many(2) {
        peer.write_all(&[frame(b"a"), frame(b"b"), frame(b"c")].concat())
            .expect("room");
    }
    table.settle();
    for (number, member) in table.members.iter().enumerate() {
        let id = member.accepted()[0];
        assert_eq!(member.message_count(id), number + 1);
        let tag = match member.log[0].what {
            What::Accepted { listener } => listener,
            _ => panic!("it begins with that"),
        };
        assert_eq!(tag as usize, number);
    }
}

#[test]
fn a_assigned_connection_lives_where_it_was_assigned_to() {
    let mut table = Table::new(LoadBalance::RoundRobin, 2);
    let mut peers = table.connect_many(2);
    table.door.poller.unlisten(table.listener);
    drop(table.door);
    for (member, peer) in table.members.iter_mut().zip(&mut peers) {
        peer.write_all(&frame(b"hello")).expect("room");
        assert_eq!(member.peer_reads(peer, 9, echo), frame(b"hello"));
        let id = member.accepted()[0];
        assert!(member.poller.peer_address(id).is_some());
        peer.shutdown(std::net::Shutdown::Both).expect("open");
        assert_eq!(member.until_closed(id), 0);
        assert_eq!(member.life(id), ["accepted", "inactive", "ended", "closed"]);
    }
}

#[test]
fn what_was_sent_before_the_connection_was_assigned_comes_after_the_news_of_it() {
    let mut table = Table::new(LoadBalance::RoundRobin, 1);
    let mut peer = UnixStream::connect(table.file.path()).expect("connecting");
    peer.write_all(&frame(b"first")).expect("room");
    drop(peer);
    table.settle();
    let member = &table.members[0];
    let id = member.accepted()[0];
    assert_eq!(
        member.story(id),
        ["accepted", "message", "inactive", "ended"]
    );
}

#[test]
fn the_poller_that_listens_may_sit_at_the_table() {
    let mut table = Table::new(LoadBalance::RoundRobin, 1);
    let handle = table.door.poller.handle();
    table.balancer.join(handle, settings(|_| {}), 5);
    let _peers = table.connect_many(4);
    table.settle();
    assert_eq!(table.shares(), [2]);
    assert_eq!(table.door.accepted().len(), 2);
}

#[test]
fn more_than_a_batch_can_tell_are_told_in_the_next() {
    let mut table = Table::new(LoadBalance::RoundRobin, 0);
    table.member(Harness::with(64 * 1024, 24), &settings(|_| {}));
    let peers: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(table.file.path()).expect("connecting"))
        .collect();
    table.settle();
    assert_eq!(table.shares(), [peers.len()]);
}

#[test]
fn a_member_whose_poller_is_gone_gets_nothing_and_nobody_is_lost() {
    for balance in [
        LoadBalance::RoundRobin,
        LoadBalance::Random,
        LoadBalance::LeastConnections,
    ] {
        let mut table = Table::new(balance, 3);
        drop(table.members.remove(1));
        let mut peers = table.connect_many(12);
        assert_eq!(table.shares().iter().sum::<usize>(), 12, "{balance:?}");
        for peer in &mut peers {
            let error = peer.read(&mut [0]).expect_err("open");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
    }
}

#[test]
fn without_members_connections_are_closed() {
    let mut table = Table::new(LoadBalance::LeastConnections, 2);
    table.members.clear();
    for mut peer in table.connect_many(3) {
        assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    }
    // A member comes.
    table.member(Harness::new(), &settings(|_| {}));
    let _peer = table.connect();
    assert_eq!(table.shares(), [1]);
}

#[test]
fn whoever_has_left_gets_nothing_more_and_keeps_what_it_has() {
    let mut table = Table::new(LoadBalance::RoundRobin, 2);
    let mut peers = table.connect_many(2);
    assert_eq!(table.balancer.leave(table.keys[0]), 1);
    assert_eq!(table.balancer.leave(table.keys[0]), 1);
    let _more = table.connect_many(3);
    assert_eq!(table.shares(), [1, 4]);
    peers[0].write_all(&frame(b"x")).expect("room");
    let member = &mut table.members[0];
    assert_eq!(member.peer_reads(&mut peers[0], 5, echo), frame(b"x"));
    assert_eq!(table.balancer.leave(table.keys[1]), 0);
    assert_eq!(table.connect().read(&mut [0]).expect("the end"), 0);
}

#[test]
fn connections_on_their_way_to_a_poller_that_ends_are_closed() {
    let mut table = Table::new(LoadBalance::RoundRobin, 1);
    let mut peer = UnixStream::connect(table.file.path()).expect("connecting");
    table.door.quiesce();
    table.members.clear();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn connections_on_their_way_count() {
    let mut table = Table::new(LoadBalance::LeastConnections, 2);
    let peers: Vec<UnixStream> = (0..10)
        .map(|_| UnixStream::connect(table.file.path()).expect("connecting"))
        .collect();
    // Only the door has looked meanwhile.
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
        for member in &mut table.members {
            for id in member.accepted() {
                member.poller.destroy(id);
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
fn slots_of_assigned_connections_are_used_again() {
    let mut table = Table::new(LoadBalance::RoundRobin, 2);
    let mut generations: HashMap<(usize, u32), u32> = HashMap::new();
    for _ in 0..50 {
        let peers = table.connect_many(2);
        drop(peers);
        table.settle();
        for member in &mut table.members {
            let id = *member.accepted().last().expect("one each");
            member.poller.destroy(id);
        }
        table.settle();
        table.settle();
    }
    for (number, member) in table.members.iter().enumerate() {
        for id in member.accepted() {
            let newest = generations.entry((number, id.slot)).or_default();
            *newest = id.generation.max(*newest);
        }
    }
    assert!(generations.len() <= 6, "{generations:?}");
}

/// The tags of the listeners of which a member was told that no poller accepts any more.
fn failed_listeners(member: &Harness) -> Vec<u32> {
    let failed = member
        .log
        .iter()
        .filter(|entry| matches!(entry.what, What::AcceptEnded));
    failed.map(|entry| entry.slot).collect()
}

#[test]
fn each_server_is_told_once_when_the_poller_that_accepts_has_panicked() {
    let mut table = Table::new(LoadBalance::RoundRobin, 3);
    // A second member of the first server.
    let second = Harness::new();
    let handle = second.poller.handle();
    table.balancer.join(handle, settings(|_| {}), 0);
    table.members.push(second);
    let peer = table.connect();
    let visit = PollerMessage::visit(|_| panic!("on purpose"));
    table.door.poller.handle().post(visit);
    let panicked = catch_unwind(AssertUnwindSafe(|| table.door.quiesce()));
    assert!(panicked.is_err());
    table.door.poller.tell_failed();
    drop(std::mem::replace(&mut table.door, Harness::new()));
    for member in &mut table.members {
        member.quiesce();
    }
    let told: Vec<Vec<u32>> = table.members.iter().map(failed_listeners).collect();
    assert_eq!(told, [vec![0], vec![1], vec![2], vec![]]);
    // What was assigned before goes on, and no peer connects in vain.
    let mut peer = peer;
    peer.write_all(&frame(b"x")).expect("room");
    assert_eq!(table.members[0].peer_reads(&mut peer, 5, echo), frame(b"x"));
    let refused = UnixStream::connect(table.file.path());
    assert_eq!(
        refused.expect_err("nobody listens").kind(),
        ErrorKind::ConnectionRefused
    );
}

#[test]
fn more_news_of_listeners_than_a_batch_has_room_for_come_in_the_next() {
    let mut member = Harness::with(64 * 1024, 24);
    let handle = member.poller.handle();
    for tag in 0..100 {
        handle.post(PollerMessage::AcceptPaused { tag, errno: 24 });
    }
    member.quiesce();
    let told: Vec<u32> = member.log.iter().map(|entry| entry.slot).collect();
    assert_eq!(told, (0..100).collect::<Vec<_>>());
}
