//! Runs the program, and servers that misbehave.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;

pub type Outcome = Result<(), Box<dyn Error>>;
pub type ServerThread = JoinHandle<std::io::Result<()>>;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_netpoll-bench");

/// A running server, which ends with its standard input.
pub struct Server {
    pub process: Child,
    stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Server {
    /// Starts the server `subcommand`, which may have options; `option` is `--tcp` or `--unix`.
    pub fn start(subcommand: &str, option: &str, address: &str) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(PROGRAM)
            .args(subcommand.split_whitespace())
            .args([option, address, "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line
            .strip_prefix("listening ")
            .ok_or("the server did not start")?
            .trim()
            .into();
        Ok(Self {
            process,
            stdout,
            address,
        })
    }

    /// Ends it, and sees that it ends well and said nothing more.
    pub fn stop(mut self) -> Outcome {
        drop(self.process.stdin.take());
        assert!(self.process.wait()?.success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest)?;
        assert_eq!(rest, "");
        Ok(())
    }
}

/// Runs a client to its end; `words` are split at spaces.
pub fn run(
    subcommand: &str,
    option: &str,
    address: &str,
    words: &str,
) -> Result<Output, Box<dyn Error>> {
    Ok(Command::new(PROGRAM)
        .args([subcommand, option, address])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()?)
}

/// Runs a client that must succeed and returns its report.
pub fn report(
    subcommand: &str,
    option: &str,
    address: &str,
    words: &str,
) -> Result<Value, Box<dyn Error>> {
    let output = run(subcommand, option, address, &format!("{words} --json"))?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{words}: {errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a client that must fail and returns what it says.
pub fn failure(subcommand: &str, address: &str, words: &str) -> Result<String, Box<dyn Error>> {
    let output = run(subcommand, "--tcp", address, words)?;
    assert_eq!(output.status.code(), Some(1));
    Ok(String::from_utf8(output.stderr)?)
}

/// A server for one connection.
pub fn serve_one(
    serve: impl FnOnce(TcpStream) -> std::io::Result<()> + Send + 'static,
) -> Result<(String, ServerThread), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    Ok((address, thread::spawn(move || serve(listener.accept()?.0))))
}

/// Waits for such a server.
pub fn join(server: ServerThread) -> Outcome {
    Ok(server.join().map_err(|_| "the server panicked")??)
}

/// A directory of its own for a test, removed with it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> std::io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("netpoll-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
