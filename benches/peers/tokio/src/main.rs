//! The benchmark's server on tokio: a task for each connection, on as many threads as there are cores.
//!
//!     netpoll-bench-tokio --tcp HOST:PORT | --unix PATH [--work N]
//!
//! It prints `listening ADDRESS` and ends with its standard input.

mod message;

use std::io::{self, BufRead, Write};
use std::process;
use std::thread;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};

use crate::message::{Handler, next_request};

/// Read space that a connection has at least.
const READ_SIZE: usize = 8 * 1024;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (endpoint, rest) = words.split_at(words.len().min(2));
    let rounds = match rest {
        [] => 0,
        [option, rounds] if option == "--work" => rounds.parse().map_err(io::Error::other)?,
        _ => return Err(usage()),
    };
    thread::spawn(end_with_standard_input);
    let runtime = start_runtime()?;
    runtime.block_on(listen(endpoint, Handler { rounds }))
}

fn usage() -> io::Error {
    io::Error::other("expected --tcp HOST:PORT or --unix PATH, and --work N or nothing")
}

/// On one core the runtime of one thread is the faster one.
fn start_runtime() -> io::Result<Runtime> {
    if thread::available_parallelism()?.get() == 1 {
        Builder::new_current_thread().enable_io().build()
    } else {
        Builder::new_multi_thread().enable_io().build()
    }
}

async fn listen(endpoint: &[String], handler: Handler) -> io::Result<()> {
    match endpoint {
        [option, address] if option == "--tcp" => {
            let listener = TcpListener::bind(address).await?;
            announce(&listener.local_addr()?.to_string())?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(serve(stream, handler));
            }
        }
        [option, path] if option == "--unix" => {
            let listener = UnixListener::bind(path)?;
            announce(path)?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(stream, handler));
            }
        }
        _ => Err(usage()),
    }
}

/// Answers all requests that a read has brought, then writes their replies.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, handler: Handler) {
    let mut input = BytesMut::with_capacity(READ_SIZE);
    let mut output = BytesMut::new();
    loop {
        while let Some(request) = next_request(&mut input) {
            handler.reply(&request, &mut output).await;
        }
        if !output.is_empty() && stream.write_all_buf(&mut output).await.is_err() {
            return;
        }
        input.reserve(READ_SIZE);
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn announce(address: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "listening {address}")?;
    stdout.flush()
}

fn end_with_standard_input() {
    for line in io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
    }
    process::exit(0);
}
