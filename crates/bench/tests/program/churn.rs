//! Connections that come and go.

use std::net::TcpListener;

use crate::support::{Directory, Outcome, Server, failure, report};

#[test]
fn every_request_has_a_connection_of_its_own() -> Outcome {
    let directory = Directory::new("churn")?;
    let path = directory.0.join("churn.sock");
    let path = path.to_str().ok_or("the path is no text")?;
    for (option, address) in [("--tcp", "127.0.0.1:0"), ("--unix", path)] {
        let server = Server::start("server --reply inverted", option, address)?;
        let words = "--connections 5 --reply inverted --count 200 --warm-up 10%";
        let report = report("churn", option, &server.address, words)?;
        // Those under way at the end come on top.
        let requests = report["requests"].as_u64().ok_or("no requests")?;
        assert!((200..=205).contains(&requests), "{requests}");
        server.stop()?;
    }
    Ok(())
}

#[test]
fn a_wrong_reply_is_reported_to_all_that_are_open() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let words = "--connections 3 --reply inverted --count 10";
    let message = failure("churn", &server.address, words)?;
    assert!(message.contains("reply does not match: 3 × "), "{message}");
    server.stop()
}

#[test]
fn a_server_that_is_not_there_is_reported() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    drop(listener);
    let message = failure("churn", &address, "--connections 2 --count 10")?;
    assert!(message.contains("connection refused: 2 × "), "{message}");
    Ok(())
}
