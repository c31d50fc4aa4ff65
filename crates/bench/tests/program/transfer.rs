//! `netpoll-bench transfer` as its users run it: against the bare server, and
//! against servers that misbehave.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::{Directory, Outcome, Server, failure, join, report, run, serve_one};

/// No multiple of a block, and more than socket buffers hold.
const BYTES: u64 = 20_000_077;

#[test]
fn every_byte_arrives_in_both_directions_over_tcp() -> Outcome {
    let server = Server::start("transfer-server", "--tcp", "127.0.0.1:0")?;
    for direction in ["upload", "download"] {
        let words = format!("--direction {direction} --bytes {BYTES} --verify");
        let report = report("transfer", "--tcp", &server.address, &words)?;
        assert_eq!(report["direction"], direction);
        assert_eq!(report["bytes"], BYTES);
        assert!(
            report["megabytesPerSecond"]
                .as_f64()
                .is_some_and(|rate| rate > 0.0)
        );
    }
    server.stop()
}

#[test]
fn every_byte_arrives_in_both_directions_over_a_unix_socket() -> Outcome {
    let directory = Directory::new("transfer")?;
    let path = directory.0.join("transfer.sock");
    let address = path.to_str().ok_or("the path is no text")?;
    let server = Server::start("transfer-server", "--unix", address)?;
    for direction in ["upload", "download"] {
        let words = format!("--direction {direction} --bytes {BYTES} --verify --busy-poll");
        assert_eq!(
            report("transfer", "--unix", address, &words)?["bytes"],
            BYTES
        );
    }
    server.stop()
}

#[test]
fn small_and_empty_transfers_end() -> Outcome {
    let server = Server::start("transfer-server", "--tcp", "127.0.0.1:0")?;
    for direction in ["upload", "download"] {
        for bytes in [0, 1, 65_536] {
            let words = format!("--direction {direction} --bytes {bytes} --verify");
            assert_eq!(
                report("transfer", "--tcp", &server.address, &words)?["bytes"],
                bytes
            );
        }
    }
    server.stop()
}

#[test]
#[cfg(target_os = "linux")]
fn the_server_process_is_measured() -> Outcome {
    let server = Server::start("transfer-server", "--tcp", "127.0.0.1:0")?;
    let pid = server.process.id();
    let words = format!("--direction upload --bytes {BYTES} --pid {pid}");
    let report = report("transfer", "--tcp", &server.address, &words)?;
    for figure in [
        "cpuMillisecondsPerGibibyte",
        "cpuShare",
        "residentBytes",
        "peakResidentBytes",
    ] {
        let value = report["server"][figure].as_f64();
        assert!(value.is_some_and(|value| value > 0.0), "{figure}");
    }
    server.stop()
}

#[test]
fn text_is_for_people() -> Outcome {
    let server = Server::start("transfer-server", "--tcp", "127.0.0.1:0")?;
    let output = run(
        "transfer",
        "--tcp",
        &server.address,
        "--direction download --bytes 5",
    )?;
    let text = String::from_utf8(output.stdout)?;
    assert!(text.starts_with("download        5 bytes in "), "{text}");
    server.stop()
}

#[test]
fn a_server_that_is_not_there_is_reported() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    drop(listener);
    let message = failure("transfer", &address, "--direction upload --bytes 1")?;
    assert!(message.contains("connection refused: 1 × "), "{message}");
    Ok(())
}

#[test]
fn a_wrong_count_is_reported() -> Outcome {
    let (address, server) = serve_one(|mut stream| {
        stream.read_to_end(&mut Vec::new())?;
        stream.write_all(&99_u64.to_be_bytes())
    })?;
    let message = failure("transfer", &address, "--direction upload --bytes 100")?;
    assert!(
        message.contains("the server counted 99 bytes of 100"),
        "{message}"
    );
    join(server)
}

#[test]
fn an_answer_of_another_length_is_reported() -> Outcome {
    for answer in [&[0; 7][..], &[0; 9][..]] {
        let (address, server) = serve_one(move |mut stream| {
            stream.read_to_end(&mut Vec::new())?;
            stream.write_all(answer)
        })?;
        let message = failure("transfer", &address, "--direction upload --bytes 0")?;
        assert!(
            message.contains("the answer to an upload has 8 bytes"),
            "{message}"
        );
        join(server)?;
    }
    Ok(())
}

#[test]
fn wrong_missing_and_surplus_bytes_of_a_download_are_reported() -> Outcome {
    // Right are 0, 0, 0, 0, 0x9e, 0x37, …
    let cases: [(&[u8], &str); 3] = [
        (&[0, 0, 0, 0, 0x9e, 0x38], "byte 5 is not the one expected"),
        (&[0, 0, 0], "after 3 bytes of 6"),
        (&[0, 0, 0, 0, 0x9e, 0x37, 0x79], "more than 6 bytes came"),
    ];
    for (sent, expected) in cases {
        let (address, server) = serve_one(move |mut stream| {
            let mut request = [0; 9];
            stream.read_exact(&mut request)?;
            assert_eq!(request, [b'D', 0, 0, 0, 0, 0, 0, 0, 6]);
            stream.write_all(sent)
        })?;
        let message = failure("transfer", &address, "--direction download --bytes 6")?;
        assert!(message.contains(expected), "{message}");
        join(server)?;
    }
    Ok(())
}

#[test]
fn a_server_that_sends_nothing_is_given_up() -> Outcome {
    let (address, server) =
        serve_one(|mut stream| stream.read_to_end(&mut Vec::new()).map(|_| ()))?;
    let words = "--direction download --bytes 1 --stall-timeout 0.05";
    let message = failure("transfer", &address, words)?;
    assert!(message.contains("nothing moved for 50ms"), "{message}");
    join(server)
}

#[test]
fn another_protocol_is_refused_by_the_server() -> Outcome {
    let server = Server::start("transfer-server", "--tcp", "127.0.0.1:0")?;
    let mut stream = std::net::TcpStream::connect(&server.address)?;
    stream.write_all(b"?")?;
    assert_eq!(stream.read_to_end(&mut Vec::new())?, 0);
    server.stop()
}
