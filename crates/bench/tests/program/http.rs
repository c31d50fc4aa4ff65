//! `netpoll-bench http` as its users run it, against small servers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::support::{Outcome, failure, join, report, serve_one};

/// Answers each request with `response`, until the client ends.
fn answer(stream: TcpStream, response: &[u8]) -> std::io::Result<()> {
    let mut output = stream.try_clone()?;
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Some(line) = lines.next().transpose()? {
        // The empty line ends a request without body.
        if line == b"\r" {
            output.write_all(response)?;
        }
    }
    Ok(())
}

#[test]
fn responses_are_counted() -> Outcome {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n";
    let (address, server) = serve_one(|stream| answer(stream, response))?;
    let words = "--connections 1 --count 300 --warm-up 10% --path /hello";
    let report = report("http", "--tcp", &address, words)?;
    assert_eq!(report["requests"], 300);
    assert!(
        report["latencyMicroseconds"]["p50"]
            .as_f64()
            .is_some_and(|time| time > 0.0)
    );
    join(server)
}

#[test]
fn another_response_is_reported() -> Outcome {
    let response = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let (address, server) = serve_one(|stream| answer(stream, response))?;
    let message = failure("http", &address, "--connections 1 --count 5")?;
    assert!(
        message.contains("response 0: its body is encoded"),
        "{message}"
    );
    join(server)
}

#[test]
fn a_server_that_closes_is_reported() -> Outcome {
    let (address, server) = serve_one(|mut stream| {
        let mut line = Vec::new();
        BufReader::new(stream.try_clone()?).read_until(b'\n', &mut line)?;
        stream.write_all(b"HTTP/1.1 200")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        // What the client still sends must not make the system reset it.
        std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
    })?;
    let message = failure("http", &address, "--connections 1 --count 5")?;
    assert!(
        message.contains("connection closed by the server: 1 × "),
        "{message}"
    );
    assert!(
        message.contains("after 0 replies and 12 bytes of the next"),
        "{message}"
    );
    join(server)
}
