//! The trace says what happens to connections. A process of its own writes it, because it goes to stderr.
#![cfg(feature = "trace")]

mod support;

use std::env;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use support::{Harness, frame, settings};

const SCENE: &str = "NETPOLL_TRACE_SCENE";

/// Run by the other test.
#[test]
fn scene() {
    if env::var_os(SCENE).is_none() {
        return;
    }
    let mut server = Harness::new();
    let (_, address) = server.listen_tcp(&settings(|settings| settings.max_in_flight = None));
    let mut peer = TcpStream::connect(address).expect("connecting");
    peer.write_all(&frame(b"x")).expect("room");
    let id = server.until_accepted(1);
    drop(peer);
    server.until_closed(id);
}

#[test]
fn transitions_accepts_and_closes_are_on_stderr() {
    let this = env::current_exe().expect("this program");
    let output = Command::new(this)
        .args(["--exact", "scene", "--nocapture"])
        .env(SCENE, "1")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).expect("text");
    let expected = [
        "netpoll: listener 71 accepts: Ok(Ip(127.0.0.1:",
        ".0 PeerEnded: Open(Sending) -> Open(Ended)",
        ".0 closed: ",
        ", 5 bytes read, 0 written",
    ];
    for part in expected {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}
