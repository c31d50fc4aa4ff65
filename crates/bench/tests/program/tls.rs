//! Encrypted connections.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::crypto::ring::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::support::{Directory, Outcome, Server, failure, join, report, run};

#[test]
fn every_reply_is_verified() -> Outcome {
    let directory = Directory::new("tls")?;
    let path = directory.0.join("tls.sock");
    let path = path.to_str().ok_or("the path is no text")?;
    for (option, address) in [("--tcp", "127.0.0.1:0"), ("--unix", path)] {
        for reply in ["echo", "inverted"] {
            let server = Server::start(&format!("server --tls --reply {reply}"), option, address)?;
            // Small ones share records, and large ones are more than a socket takes.
            for load in [
                "--connections 7 --idle 120 --in-flight 5 --size 3000 --count 2000",
                "--connections 3 --in-flight 40 --size 200000 --count 300",
                "--connections 2 --in-flight 9 --size 16384 --count 300 --any-order",
            ] {
                let words = format!("{load} --tls --reply {reply} --verify");
                let report = report("client", option, &server.address, &words)?;
                assert!(report["requests"].as_u64() >= Some(300), "{words}");
            }
            server.stop()?;
        }
    }
    Ok(())
}

#[test]
fn connections_come_and_go_with_new_sessions_or_those_before() -> Outcome {
    let server = Server::start("server --tls --reply inverted", "--tcp", "127.0.0.1:0")?;
    for sessions in ["", "--resume"] {
        let words =
            format!("--tls {sessions} --connections 5 --reply inverted --count 100 --warm-up 100%");
        let report = report("churn", "--tcp", &server.address, &words)?;
        assert!(report["requests"].as_u64() >= Some(100));
    }
    server.stop()
}

#[test]
fn a_session_that_is_not_resumed_is_an_error() -> Outcome {
    let configuration = giving(0, None)?;
    let (address, server) = echo_once_each(move |_connection| configuration.clone())?;
    let words = "--tls --resume --connections 1 --size 16 --count 3";
    let message = failure("churn", &address, words)?;
    assert!(message.contains("session not resumed: "), "{message}");
    // One that says nothing is the last.
    drop(TcpStream::connect(&address)?);
    join(server)
}

#[test]
fn a_measured_time_ends_once_all_sessions_are_used() -> Outcome {
    let ticketer = Ticketer::new()?;
    let (some, none) = (giving(2, Some(&ticketer))?, giving(0, Some(&ticketer))?);
    let (address, server) = echo_once_each(move |connection| match connection {
        0..3 => some.clone(),
        _ => none.clone(),
    })?;
    let words = "--tls --resume --connections 1 --size 16 --warm-up 0.01 --duration 3";
    let report = report("churn", "--tcp", &address, words)?;
    assert!((1..=7).contains(&report["requests"].as_u64().unwrap_or(0)));
    drop(TcpStream::connect(&address)?);
    join(server)
}

type Configuration = Arc<ServerConfig>;
/// Ends once its server has served its last connection.
type Serving = JoinHandle<io::Result<()>>;

/// A server of connections that come one after the other: each has a configuration by its number, and sends its one message back.
fn echo_once_each(
    configure: impl Fn(usize) -> Configuration + Send + 'static,
) -> Result<(String, Serving), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let server = thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let mut socket = socket?;
            let tls = ServerConnection::new(configure(number));
            let mut tls = tls.map_err(io::Error::other)?;
            let mut stream = Stream::new(&mut tls, &mut socket);
            let mut message = [0; 20];
            if stream.read_exact(&mut message).is_err() {
                break;
            }
            stream.write_all(&message)?;
        }
        Ok(())
    });
    Ok((address, server))
}

/// Gives so many tickets with each handshake, and takes up those of `ticketer`.
fn giving(
    tickets: usize,
    ticketer: Option<&Arc<dyn ProducesTickets>>,
) -> Result<Configuration, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/certificate");
    let certificate = CertificateDer::from_pem_file(folder.join("certificate.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
    let mut configuration = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    configuration.send_tls13_tickets = tickets;
    if let Some(ticketer) = ticketer {
        configuration.ticketer = ticketer.clone();
    }
    Ok(Arc::new(configuration))
}

#[test]
fn both_ends_must_be_asked_for_it() -> Outcome {
    let server = Server::start("server", "--tcp", "127.0.0.1:0")?;
    let message = failure("client", &server.address, "--tls --count 1 --connections 1")?;
    assert!(message.contains("socket error: 1 × "), "{message}");
    server.stop()?;
    let server = Server::start("server --tls", "--tcp", "127.0.0.1:0")?;
    let message = failure("client", &server.address, "--count 1 --connections 1")?;
    assert!(message.contains("closed by the server: 1 × "), "{message}");
    server.stop()?;
    let output = run("churn", "--tcp", "127.0.0.1:1", "--resume")?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("--tls"));
    Ok(())
}
