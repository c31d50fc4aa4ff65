//! Slow peers.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::support::{Outcome, PROGRAM, Server};

#[test]
fn a_slow_peer_fills_what_the_server_takes_and_stops_at_its_limit() -> Outcome {
    let server = Server::start("server --reply inverted", "--tcp", "127.0.0.1:0")?;
    for (limit, reaches_it) in [(100_000, true), (1 << 30, false)] {
        let mut slow = Command::new(PROGRAM)
            .args(["slow", "--tcp", &server.address, "--reply", "inverted"])
            .args(["--connections", "2", "--limit", &limit.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(slow.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        assert_eq!(line, "slow ready\n");
        drop(slow.stdin.take());
        let mut rest = String::new();
        stdout.read_to_string(&mut rest)?;
        assert!(slow.wait()?.success());
        let taken = rest.trim().strip_prefix("taken ").ok_or("no count")?;
        let taken: u64 = taken.parse()?;
        // One write may pass the limit.
        assert_eq!(taken >= 2 * limit, reaches_it, "{taken}");
    }
    server.stop()
}
