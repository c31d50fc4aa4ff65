//! One connection's state of the protocol. This folder alone names rustls.

mod configurations;
mod credentials;
mod seen;
mod verifier;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{
    AlertDescription, CipherSuite, CommonState, Error, HandshakeKind, InvalidMessage,
    ProtocolVersion,
};

pub(super) use configurations::{
    ClientConfiguration, DestinationConfiguration, ServerConfiguration,
};

use super::chain::{CertificateFault, Usage};
use super::failure::Failure;
use super::options::{Unauthorized, Version};
use super::output::Output;
use super::wear::AES_GCM_RECORDS;
use seen::{SEEN, Seen};
use verifier::Authority;

/// What two ends have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The version.
    pub version: Version,
    /// The cipher's number.
    pub cipher: u16,
    /// The application protocol, if there is one.
    pub application_protocol: Option<Vec<u8>>,
    /// The name that the client has asked for, as far as this end knows it.
    pub server_name: Option<String>,
    /// The peer's certificates in DER, its own first.
    pub peer_chain: Vec<Vec<u8>>,
    /// What is wrong with them; also that there are none where they were asked for.
    pub fault: Option<CertificateFault>,
    /// Whether peers are asked for certificates at all.
    pub is_verified: bool,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
}

const AES_GCM_OF_TLS12: [CipherSuite; 4] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// What the library says of a peer that ends TLS within a handshake, where it says anything.
const ENDED_EARLY: Error = Error::AlertReceived(AlertDescription::CloseNotify);

/// As long as a record's header, of a type that there is not.
const NO_RECORD: [u8; 5] = [0xff; 5];

/// The level of an alert that ends a connection.
const FATAL: u8 = 2;

enum Library {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// Runs the same expression on whichever connection it is.
macro_rules! either {
    ($self:expr, $connection:ident => $body:expr) => {
        match &mut $self.library {
            Library::Client($connection) => $body,
            Library::Server($connection) => $body,
        }
    };
}

/// Takes records, gives plaintext, and the other way round.
pub(super) struct Engine {
    library: Library,
    authority: Option<Authority>,
    server_name: Option<Box<str>>,
    has_received_close: bool,
}

impl Engine {
    pub(super) fn server(configuration: &ServerConfiguration) -> Result<Self, Failure> {
        let made = UnbufferedServerConnection::new(configuration.library.clone());
        let connection = made.map_err(|error| failure_of(&error, None))?;
        Ok(Self::over(
            Library::Server(Box::new(connection)),
            configuration.authority.clone(),
            None,
        ))
    }

    /// To a server that is called `name`; `None` for one without a name, which is asked for none.
    pub(super) fn client(
        configuration: &DestinationConfiguration,
        name: Option<&str>,
    ) -> Result<Self, Failure> {
        // Names are sent without the dot that stands for the root, and two of them make no name.
        let name = name.map(|name| match name.strip_suffix('.') {
            Some(name) if !name.ends_with('.') => name,
            _ => name,
        });
        // Addresses are not sent as names.
        let unnamed = || ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]));
        let server_name = match name {
            None => unnamed(),
            Some(name) => {
                ServerName::try_from(name).map_or_else(|_| unnamed(), |name| name.to_owned())
            }
        };
        let sent = matches!(server_name, ServerName::DnsName(_));
        let made = UnbufferedClientConnection::new(configuration.library.clone(), server_name);
        let connection = made.map_err(|error| failure_of(&error, None))?;
        Ok(Self::over(
            Library::Client(Box::new(connection)),
            Some(configuration.authority.clone()),
            name.filter(|_| sent).map(Box::from),
        ))
    }

    fn over(library: Library, authority: Option<Authority>, name: Option<Box<str>>) -> Self {
        Self {
            library,
            authority,
            server_name: name,
            has_received_close: false,
        }
    }

    fn common(&self) -> &CommonState {
        match &self.library {
            Library::Client(connection) => connection,
            Library::Server(connection) => connection,
        }
    }

    /// Whether both directions may carry plaintext.
    pub(super) fn is_secured(&self) -> bool {
        !self.common().is_handshaking()
    }

    /// Whether all that a server of TLS 1.3 has yet to send of its own accord is tickets, which a client may go without.
    pub(super) fn owes_only_tickets(&self) -> bool {
        matches!(self.library, Library::Server(_))
            && self.common().protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && self.is_secured()
    }

    /// How many records keys may encrypt that are never made anew, and at most `most`.
    pub(super) fn max_records(&self, most: u64) -> u64 {
        let common = self.common();
        let suite = common.negotiated_cipher_suite().map(|suite| suite.suite());
        let is_aes_gcm = suite.is_some_and(|suite| AES_GCM_OF_TLS12.contains(&suite));
        if is_aes_gcm && common.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
            most.min(AES_GCM_RECORDS)
        } else {
            u64::MAX
        }
    }

    /// Whether the peer has said that nothing more will come.
    pub(super) fn has_received_close(&self) -> bool {
        self.has_received_close
    }

    /// Takes the records that `input` begins with. `plaintext` gets what they carry, `output` what is to be answered. Returns
    /// how many bytes are done with; the others must come again, with more behind them.
    pub(super) fn process(
        &mut self,
        input: &mut [u8],
        mut plaintext: impl FnMut(&[u8]),
        output: &mut Output,
    ) -> (usize, Result<(), Failure>) {
        SEEN.set(Seen::default());
        let mut used = 0;
        let result = either!(self, connection => loop {
            let UnbufferedStatus { mut discard, state, .. } =
                connection.process_tls_records(&mut input[used..]);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        plaintext(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, output);
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_received_close = true;
                    false
                }
                // There is no early data: it is not asked for.
                Ok(_) => true,
                Err(error) => {
                    used += discard;
                    break Err(error);
                }
            };
            used += discard;
            if is_done {
                break Ok(());
            }
        });
        let before = output.bytes().len();
        let seen = SEEN.take();
        if seen.server_name.is_some() {
            self.server_name = seen.server_name;
        }
        let result = result.map_err(|error| {
            if seen.lacks_certificate {
                self.refuse_name(output);
                return Failure::UnknownName;
            }
            if error != ENDED_EARLY {
                self.encode_alert(output);
            }
            let failure = failure_of(&error, seen.fault);
            if failure.is_told() && output.bytes().len() == before {
                self.encode_refusal(input.len(), output);
            }
            failure
        });
        (used, result)
    }

    /// The library makes no alert of some failures, such as a message that is too long. It makes one of what is no record, behind
    /// all that it has been given: at most `given` bytes.
    pub(super) fn encode_refusal(&mut self, given: usize, output: &mut Output) {
        let length = given + NO_RECORD.len();
        let mut memory = Vec::new();
        if memory.try_reserve_exact(length).is_err() {
            return;
        }
        memory.resize(length, NO_RECORD[0]);
        either!(self, connection => drop(connection.process_tls_records(&mut memory)));
        self.encode_alert(output);
    }

    /// The library says access_denied, and this is what the standards want (RFC 6066, 3; RFC 8446, 9.2). A client of TLS 1.2 is
    /// told missing_extension as well, which is newer than that: it says more than handshake_failure, and ends as much. Nothing
    /// is encrypted before a server has answered the first message.
    fn refuse_name(&self, output: &mut Output) {
        let alert = match self.server_name {
            Some(_) => AlertDescription::UnrecognisedName,
            None => AlertDescription::MissingExtension,
        };
        let record = [21, 3, 3, 0, 2, FATAL, u8::from(alert)];
        output.append(record.len(), |memory| {
            memory.copy_from_slice(&record);
            Ok(record.len())
        });
    }

    /// After a failure the alert that tells the peer waits to be encoded: the library gives it when it is called again. What
    /// came from the peer is not looked at any more.
    fn encode_alert(&mut self, output: &mut Output) {
        either!(self, connection => while connection.wants_write() {
            let state = connection.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else {
                break;
            };
            encode(&mut data, output);
        });
    }

    /// Appends `plaintext`, at most one record of it, to `output`. `kept` is what [`Self::process`] was not done with.
    pub(super) fn encrypt(
        &mut self,
        kept: &mut [u8],
        plaintext: &[u8],
        output: &mut Output,
    ) -> Result<(), Failure> {
        self.write(kept, output, Outgoing::Plaintext(plaintext))
    }

    /// Appends that nothing more will come.
    pub(super) fn encrypt_close(
        &mut self,
        kept: &mut [u8],
        output: &mut Output,
    ) -> Result<(), Failure> {
        self.write(kept, output, Outgoing::Close)
    }

    fn write(
        &mut self,
        kept: &mut [u8],
        output: &mut Output,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Failure> {
        either!(self, connection => loop {
            match connection.process_tls_records(kept).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, output),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_received_close = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let mut result = Ok(());
                    output.append(outgoing.room(), |memory| {
                        let written = match outgoing {
                            Outgoing::Plaintext(bytes) => traffic.encrypt(bytes, memory),
                            Outgoing::Close => traffic.queue_close_notify(memory),
                        };
                        match written {
                            Ok(count) => Ok(count),
                            Err(EncryptError::InsufficientSize(lack)) => Err(lack.required_size),
                            Err(EncryptError::EncryptExhausted) => {
                                result = Err(Failure::KeysExhausted);
                                Ok(0)
                            }
                        }
                    });
                    break result;
                }
                _ => break Err(Failure::Protocol),
            }
        })
    }

    /// The name that the client has asked for.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// What was agreed on, once the connection is secured.
    pub(super) fn negotiated(&self) -> Negotiated {
        let common = self.common();
        let chain = common.peer_certificates().unwrap_or_default();
        let version = match common.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
            _ => Version::Tls12,
        };
        Negotiated {
            version,
            cipher: common
                .negotiated_cipher_suite()
                .map_or(0, |suite| u16::from(suite.suite())),
            application_protocol: common.alpn_protocol().map(<[u8]>::to_vec),
            server_name: self.server_name.as_deref().map(str::to_owned),
            peer_chain: chain.iter().map(|der| der.to_vec()).collect(),
            fault: self.fault(),
            is_verified: self.authority.is_some(),
            is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// What is wrong with the peer's certificates now. A resumed session has those of the first handshake, which were not
    /// verified again.
    pub(super) fn fault(&self) -> Option<CertificateFault> {
        let authority = self.authority.as_ref()?;
        let chain = self.common().peer_certificates().unwrap_or_default();
        let Some((leaf, others)) = chain.split_first() else {
            return Some(CertificateFault::NoCertificate);
        };
        authority.verify(leaf, others, UnixTime::now()).err()
    }

    /// That a resumed session would not be begun now.
    pub(super) fn resumed_in_vain(&self) -> Option<Failure> {
        let authority = self.authority.as_ref()?;
        let is_resumed = self.common().handshake_kind() == Some(HandshakeKind::Resumed);
        if !is_resumed || authority.unauthorized == Unauthorized::Accepted {
            return None;
        }
        self.fault().map(Failure::Certificate)
    }
}

#[derive(Clone, Copy)]
enum Outgoing<'a> {
    Plaintext(&'a [u8]),
    Close,
}

impl Outgoing<'_> {
    /// What it takes as a rule.
    fn room(self) -> usize {
        match self {
            Self::Plaintext(bytes) => bytes.len() + 64,
            Self::Close => 64,
        }
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, output: &mut Output) {
    output.append(0, |memory| match data.encode(memory) {
        Ok(count) => Ok(count),
        Err(EncodeError::InsufficientSize(lack)) => Err(lack.required_size),
        Err(EncodeError::AlreadyEncoded) => Ok(0),
    });
}

fn failure_of(error: &Error, fault: Option<CertificateFault>) -> Failure {
    match error {
        error if *error == ENDED_EARLY => Failure::EndedEarly,
        Error::AlertReceived(alert) => Failure::Alert(u8::from(*alert)),
        Error::NoCertificatesPresented => Failure::NoCertificate,
        Error::InvalidCertificate(_) => {
            Failure::Certificate(fault.unwrap_or(CertificateFault::CertRejected))
        }
        Error::PeerIncompatible(_) => Failure::Incompatible,
        Error::NoApplicationProtocol => Failure::NoApplicationProtocol,
        Error::EncryptError => Failure::KeysExhausted,
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => Failure::HandshakeTooLarge,
        _ => Failure::Protocol,
    }
}

impl Usage {
    fn key_usage(self) -> webpki::KeyUsage {
        match self {
            Self::Server => webpki::KeyUsage::server_auth(),
            Self::Client => webpki::KeyUsage::client_auth(),
        }
    }
}
