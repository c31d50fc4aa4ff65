//! The program as its users run it: the client against the echo server, and
//! against servers that misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::{Directory, Outcome, PROGRAM, Server, failure, join, report, serve_one};
use serde_json::Value;

#[test]
fn every_reply_is_verified_over_tcp() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let report = report(
        "client",
        "--tcp",
        &server.address,
        "--connections 7 --in-flight 5 --size 3000 --count 4000 --warm-up 10% --verify --idle 150",
    )?;
    assert_eq!(report["requests"], 4000);
    assert_eq!(report["errors"], Value::Array(Vec::new()));
    assert!(
        report["requestsPerSecond"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0)
    );
    server.stop()
}

#[test]
fn one_connection_and_one_request_are_enough() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    for length_size in [1, 2, 3, 4, 8] {
        let options = format!("--connections 1 --count 1 --size 200 --length-size {length_size}");
        let report = report("client", "--tcp", &server.address, &options)?;
        assert_eq!(report["requests"], 1);
    }
    server.stop()
}

#[test]
fn every_reply_is_verified_over_a_unix_socket() -> Outcome {
    let directory = Directory::new("unix")?;
    let path = directory.0.join("echo.sock");
    let address = path.to_str().ok_or("the path is no text")?;
    let server = Server::start("server", "--unix", address)?;
    assert_eq!(server.address, address);
    // More in flight than a socket buffer holds: both sides must cope with a full one.
    let options = "--connections 3 --in-flight 40 --size 32768 --count 600 --verify";
    assert_eq!(
        report("client", "--unix", address, options)?["requests"],
        600
    );
    server.stop()?;
    assert!(!path.exists(), "the server removes its socket");
    Ok(())
}

#[test]
fn a_fixed_rate_sends_no_more_than_scheduled() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let report = report(
        "client",
        "--tcp",
        &server.address,
        "--connections 3 --rate 20000 --count 500",
    )?;
    assert_eq!(report["requests"], 500);
    // 500 requests, one each 50 µs, take at least 499 × 50 µs.
    assert!(
        report["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds >= 0.0249)
    );
    server.stop()
}

#[test]
#[cfg(target_os = "linux")]
fn the_server_process_is_measured() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let options = format!("--connections 2 --count 2000 --pid {}", server.process.id());
    let report = report("client", "--tcp", &server.address, &options)?;
    for figure in [
        "cpuMicrosecondsPerRequest",
        "cpuShare",
        "residentBytes",
        "peakResidentBytes",
    ] {
        assert!(
            report["server"][figure]
                .as_f64()
                .is_some_and(|value| value > 0.0),
            "{figure}"
        );
    }
    server.stop()
}

#[test]
fn idle_connections_are_held_until_the_input_ends() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let mut holder = Command::new(PROGRAM)
        .args([
            "client",
            "--tcp",
            &server.address,
            "--idle",
            "250",
            "--idle-hold",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
    assert_eq!(line, "idle ready\n");
    drop(holder.stdin.take());
    assert!(holder.wait()?.success());
    server.stop()
}

#[test]
fn a_server_that_is_not_there_is_reported() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    drop(listener);
    assert!(failure("client", &address, "--count 1")?.contains("connection refused: 1 × "));
    Ok(())
}

#[test]
fn a_server_that_closes_within_a_reply_is_reported() -> Outcome {
    let (address, server) = serve_one(|mut stream| {
        let mut request = [0; 4 + 100];
        stream.read_exact(&mut request)?;
        stream.write_all(&request[..50])
    })?;
    let message = failure("client", &address, "--connections 1 --count 5 --size 100")?;
    assert!(
        message.contains("connection closed by the server: 1 × "),
        "{message}"
    );
    assert!(
        message.contains("after 0 replies and 50 bytes of the next"),
        "{message}"
    );
    join(server)
}

#[test]
fn a_wrong_reply_is_reported() -> Outcome {
    let (address, server) = serve_one(|mut stream| {
        let mut request = [0; 4 + 100];
        stream.read_exact(&mut request)?;
        request[4 + 70] ^= 1;
        stream.write_all(&request)?;
        stream.read_to_end(&mut Vec::new()).map(|_| ())
    })?;
    let message = failure(
        "client",
        &address,
        "--connections 1 --count 1 --size 100 --verify",
    )?;
    assert!(message.contains("reply does not match: 1 × "), "{message}");
    assert!(message.contains("at byte 74 of the frame"), "{message}");
    join(server)
}

#[test]
fn a_server_that_never_answers_is_given_up() -> Outcome {
    let (address, server) =
        serve_one(|mut stream| stream.read_to_end(&mut Vec::new()).map(|_| ()))?;
    let message = failure(
        "client",
        &address,
        "--connections 1 --duration 60 --stall-timeout 0.05",
    )?;
    assert!(message.contains("no reply: 1 × "), "{message}");
    join(server)
}

#[test]
fn inverted_replies_are_verified_over_tcp() -> Outcome {
    let server = Server::start("server --reply inverted", "--tcp", "127.0.0.1:0")?;
    for options in [
        "--connections 7 --in-flight 5 --size 3000 --count 4000 --idle 150",
        "--connections 3 --in-flight 9 --size 300 --count 4000 --any-order",
        "--connections 2 --in-flight 3 --size 700000 --count 60 --any-order --timeout 30",
    ] {
        let words = format!("{options} --reply inverted --verify");
        let report = report("client", "--tcp", &server.address, &words)?;
        assert_eq!(report["errors"], Value::Array(Vec::new()), "{options}");
    }
    server.stop()
}

#[test]
fn an_echo_is_no_inverted_reply() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let words = "--connections 1 --count 1 --reply inverted";
    let message = failure("client", &server.address, words)?;
    assert!(message.contains("reply does not match: 1 × "), "{message}");
    server.stop()
}

#[test]
fn a_request_without_reply_in_time_is_reported() -> Outcome {
    let (address, server) =
        serve_one(|mut stream| stream.read_to_end(&mut Vec::new()).map(|_| ()))?;
    let words = "--connections 1 --duration 60 --timeout 0.05";
    let message = failure("client", &address, words)?;
    assert!(message.contains("request timed out: 1 × "), "{message}");
    join(server)
}
