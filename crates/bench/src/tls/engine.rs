//! One connection's state of the protocol: takes records and gives plaintext, and the other way round.

use std::fmt;
use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{CommonState, Error, HandshakeKind};

use super::configuration::{ClientTls, ServerTls};

/// Of a record: its header, the type of what it carries, and the tag.
pub const RECORD_OVERHEAD: usize = 5 + 1 + 16;
/// Plaintext of a record.
pub const RECORD_SIZE: usize = 16 * 1024;

enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// Runs the same expression on whichever side it is.
macro_rules! either {
    ($engine:expr, $connection:ident => $body:expr) => {
        match &mut $engine.side {
            Side::Client($connection) => $body,
            Side::Server($connection) => $body,
        }
    };
}

/// The state of one connection.
pub struct Engine {
    side: Side,
    has_received_close: bool,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    pub fn server(tls: &ServerTls) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(tls.clone()).map_err(invalid)?;
        Ok(Self::of(Side::Server(Box::new(connection))))
    }

    pub fn client(tls: &ClientTls) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = UnbufferedClientConnection::new(tls.clone(), name).map_err(invalid)?;
        Ok(Self::of(Side::Client(Box::new(connection))))
    }

    fn of(side: Side) -> Self {
        Self {
            side,
            has_received_close: false,
        }
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Client(connection) => connection,
            Side::Server(connection) => connection,
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Whether the peer has said that nothing more comes.
    pub fn has_received_close(&self) -> bool {
        self.has_received_close
    }

    pub fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Takes the records that `input` begins with. `plaintext` gets what they carry, and to `output` comes what answers
    /// them. Says how many bytes are done with; the others must come again, with more behind them.
    pub fn process(
        &mut self,
        input: &mut [u8],
        mut plaintext: impl FnMut(&[u8]),
        output: &mut Vec<u8>,
    ) -> (usize, io::Result<()>) {
        let mut used = 0;
        let processed = either!(self, connection => loop {
            let UnbufferedStatus { mut discard, state, .. } =
                connection.process_tls_records(&mut input[used..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut failed = None;
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plaintext(record.payload);
                            }
                            Err(error) => failed = Some(error),
                        }
                    }
                    failed.map_or(Ok(true), Err)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, output, output.len()).map(|end| {
                        output.truncate(end);
                        true
                    })
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_received_close = true;
                    Ok(true)
                }
                Ok(_) => Ok(false),
                Err(error) => Err(error),
            };
            used += discard;
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(invalid(error)),
            }
        });
        (used, processed)
    }

    /// Writes `plaintext` to `memory`, which grows if it must, in as many records as it takes; how many bytes these have.
    /// `kept` is what [`Self::process`] was not done with.
    pub fn encrypt(
        &mut self,
        kept: &mut [u8],
        plaintext: &[u8],
        memory: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let records = plaintext.len().div_ceil(RECORD_SIZE);
        let room = plaintext.len() + records * RECORD_OVERHEAD;
        self.write(kept, (memory, 0), room, Some(plaintext))
    }

    /// Appends that nothing more comes.
    pub fn close(&mut self, kept: &mut [u8], output: &mut Vec<u8>) -> io::Result<()> {
        let before = output.len();
        let end = self.write(kept, (output, before), 2 + RECORD_OVERHEAD, None)?;
        output.truncate(end);
        Ok(())
    }

    /// Writes behind the first bytes of memory; where that ends.
    fn write(
        &mut self,
        kept: &mut [u8],
        (memory, mut start): (&mut Vec<u8>, usize),
        room: usize,
        plaintext: Option<&[u8]>,
    ) -> io::Result<usize> {
        either!(self, connection => loop {
            match connection.process_tls_records(kept).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    start = encode(&mut data, memory, start).map_err(invalid)?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_received_close = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    break append(memory, start, room, |room| {
                        let written = match plaintext {
                            Some(bytes) => traffic.encrypt(bytes, room),
                            None => traffic.queue_close_notify(room),
                        };
                        written.map_err(|error| match error {
                            EncryptError::InsufficientSize(lack) => Ok(lack.required_size),
                            EncryptError::EncryptExhausted => Err(Error::EncryptError),
                        })
                    })
                    .map_err(invalid);
                }
                Ok(state) => break Err(io::Error::other(format!("cannot write in {state:?}"))),
                Err(error) => break Err(invalid(error)),
            }
        })
    }
}

fn encode<Data>(
    data: &mut EncodeTlsData<'_, Data>,
    memory: &mut Vec<u8>,
    start: usize,
) -> Result<usize, Error> {
    append(memory, start, 0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(lack) => Ok(lack.required_size),
            EncodeError::AlreadyEncoded => Err(Error::General("encoded twice".into())),
        })
    })
}

/// Has `write` write behind the first `start` bytes, to `room` bytes or as many as it then says that it needs. Memory that
/// is there already is not cleared. Returns where what was written ends.
fn append(
    memory: &mut Vec<u8>,
    start: usize,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Result<usize, Error>>,
) -> Result<usize, Error> {
    loop {
        memory.resize(memory.len().max(start + room), 0);
        match write(&mut memory[start..]) {
            Ok(count) => return Ok(start + count),
            Err(Ok(needed)) => room = needed,
            Err(Err(error)) => return Err(error),
        }
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
