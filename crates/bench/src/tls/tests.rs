use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tickets::Tickets;
use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(20);

fn stream(socket: UnixStream) -> io::Result<Stream> {
    socket.set_nonblocking(true)?;
    Ok(Stream::Unix(mio::net::UnixStream::from_std(socket)))
}

/// A client and a server that have shaken hands, or are about to.
fn pair(client: &ClientTls, server: &ServerTls) -> io::Result<(Secured, Secured)> {
    let (one, other) = UnixStream::pair()?;
    let client = Secured::client(stream(one)?, client)?;
    Ok((client, Secured::server(stream(other)?, server)?))
}

fn secure(client: &mut Secured, server: &mut Secured) -> io::Result<()> {
    let began = Instant::now();
    while !(client.shake_hands()? & server.shake_hands()?) {
        assert!(began.elapsed() < PATIENCE, "no handshake");
    }
    Ok(())
}

/// What comes out of `to` when `bytes` are written to `from`, and how many reads of `size` bytes that takes.
fn pass(from: &mut Secured, to: &mut Secured, bytes: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let (mut sent, mut received) = (0, Vec::new());
    let mut buffer = vec![0; size];
    let began = Instant::now();
    while received.len() < bytes.len() {
        assert!(began.elapsed() < PATIENCE, "{} bytes came", received.len());
        if sent < bytes.len() {
            match from.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        match to.read(&mut buffer) {
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        // What came is told of before it can be answered.
        assert!(received.len() <= sent + RECORD_SIZE);
    }
    assert_eq!(sent, bytes.len());
    Ok(received)
}

#[test]
fn bytes_pass_both_ways_whatever_their_number_and_the_room() -> Outcome {
    let (client, server) = (configuration::client(None)?, configuration::server()?);
    let (mut client, mut server) = pair(&client, &server)?;
    secure(&mut client, &mut server)?;
    for length in [1, RECORD_SIZE, RECORD_SIZE + 1, 5 * WRITE_SIZE + 77] {
        let bytes: Vec<u8> = (0..length).map(|index| (index * 7 % 251) as u8).collect();
        for size in [7, 1_000, READ_SIZE] {
            if length / size < 100_000 {
                assert!(
                    pass(&mut client, &mut server, &bytes, size)? == bytes,
                    "{length}"
                );
                assert!(
                    pass(&mut server, &mut client, &bytes, size)? == bytes,
                    "{length}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn pieces_are_read_and_written_in_order() -> Outcome {
    let (client, server) = (configuration::client(None)?, configuration::server()?);
    let (mut client, mut server) = pair(&client, &server)?;
    secure(&mut client, &mut server)?;
    let pieces = ["ab", "", "cde", "f"].map(|text| IoSlice::new(text.as_bytes()));
    assert_eq!(client.write_vectored(&pieces)?, 6);
    let (mut one, mut other) = ([0; 1], [0; 3]);
    let mut room = [&mut one[..], &mut [], &mut other].map(IoSliceMut::new);
    assert_eq!(server.read_vectored(&mut room)?, 4);
    assert!(!server.has_drained());
    assert_eq!((&one, &other), (b"a", b"bcd"));
    assert_eq!(server.read(&mut other)?, 2);
    assert_eq!(&other[..2], b"ef");
    assert!(server.has_drained());
    Ok(())
}

#[test]
fn a_session_is_resumed_where_it_is_asked_for() -> Outcome {
    let server = configuration::server()?;
    for tickets in [None, Some(Arc::<Tickets>::default())] {
        let client = configuration::client(tickets.as_ref())?;
        for uses in [false, true] {
            let is_resumed = uses && tickets.is_some();
            if let Some(tickets) = tickets.as_ref().filter(|_| uses) {
                tickets.use_them();
            }
            let (mut client, mut server) = pair(&client, &server)?;
            secure(&mut client, &mut server)?;
            // The ticket comes in front of it.
            assert_eq!(pass(&mut server, &mut client, b"reply", 100)?, b"reply");
            assert_eq!(client.is_resumed(), is_resumed);
            assert_eq!(server.is_resumed(), is_resumed);
        }
    }
    Ok(())
}

#[test]
fn an_end_is_told_of() -> Outcome {
    let (client, server) = (configuration::client(None)?, configuration::server()?);
    let (mut client, mut server) = pair(&client, &server)?;
    secure(&mut client, &mut server)?;
    assert_eq!(client.write(b"last")?, 4);
    client.finish()?;
    let mut buffer = [0; 10];
    assert_eq!(server.read(&mut buffer)?, 4);
    assert!(!server.has_drained(), "the end is still to be read");
    assert_eq!(server.read(&mut buffer)?, 0);
    Ok(())
}

#[test]
fn what_is_no_tls_is_an_error() -> Outcome {
    let (mut one, other) = UnixStream::pair()?;
    let mut server = Secured::server(stream(other)?, &configuration::server()?)?;
    one.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    let read = server.read(&mut [0; 10]).map_err(|error| error.kind());
    assert_eq!(read, Err(io::ErrorKind::InvalidData));
    Ok(())
}

#[test]
fn plaintext_is_taken_once_its_record_has_left() {
    let record = RECORD_SIZE + RECORD_OVERHEAD;
    let plaintext = 2 * RECORD_SIZE + 10;
    let all = 2 * record + 10 + RECORD_OVERHEAD;
    let waiting = |ciphertext| plaintext_in(ciphertext, plaintext);
    assert_eq!(waiting(all), plaintext);
    assert_eq!(waiting(all - 1), plaintext);
    assert_eq!(waiting(all - record), RECORD_SIZE + 10);
    assert_eq!(waiting(all - 2 * record), 10);
    assert_eq!(waiting(1), 10);
    assert_eq!(waiting(0), 0);
}
