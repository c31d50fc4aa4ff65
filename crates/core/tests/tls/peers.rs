//! Both ends of TLS: the core's settings, and peers that are stepped by hand.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use netpoll_core::Settings;
use netpoll_core::settings::HalfOpen;
use netpoll_core::tls::options::{
    Authorities, ClientCertificates, ClientOptions, Common, Identity, NameCheck, PartialChains,
    PrivateKey, ServerOptions, Unauthorized, Version,
};
use netpoll_core::tls::{ClientTls, ServerTls, Tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig};
use rustls::{ServerConnection, SupportedProtocolVersion, version};
use socket2::SockRef;

use crate::support::base;

pub const ROOT: &[u8] = include_bytes!("../../../../testdata/tls/root.der");
const LEAF: &[u8] = include_bytes!("../../../../testdata/tls/leaf.der");
const LEAF_KEY: &[u8] = include_bytes!("../../../../testdata/tls/leaf-key.der");
const CLIENT: &[u8] = include_bytes!("../../../../testdata/tls/client.der");
const CLIENT_KEY: &[u8] = include_bytes!("../../../../testdata/tls/client-key.der");
pub const SELF: &[u8] = include_bytes!("../../../../testdata/tls/self.der");
const SELF_KEY: &[u8] = include_bytes!("../../../../testdata/tls/self-key.der");

fn identity(chain: &[u8], key: &[u8]) -> Identity {
    Identity {
        chain: vec![chain.to_vec()],
        key: PrivateKey::Pkcs8(key.to_vec()),
    }
}

pub fn leaf() -> Identity {
    identity(LEAF, LEAF_KEY)
}

pub fn client_leaf() -> Identity {
    identity(CLIENT, CLIENT_KEY)
}

pub fn self_signed() -> Identity {
    identity(SELF, SELF_KEY)
}

pub fn trusting(certificates: &[&[u8]]) -> Authorities {
    Authorities {
        certificates: certificates.iter().map(|der| der.to_vec()).collect(),
        partial_chains: PartialChains::Refused,
    }
}

pub fn common(version: Version) -> Common {
    Common {
        min_version: version,
        max_version: version,
        ciphers: None,
        application_protocols: Vec::new(),
    }
}

pub fn server_options(version: Version) -> ServerOptions {
    ServerOptions {
        common: common(version),
        identity: Some(leaf()),
        named: Vec::new(),
        client_certificates: ClientCertificates::NotAsked,
    }
}

pub fn client_options(version: Version) -> ClientOptions {
    ClientOptions {
        common: common(version),
        identity: None,
        authorities: trusting(&[ROOT]),
        unauthorized: Unauthorized::Refused,
        server_name: Some("localhost".to_owned()),
        name_check: NameCheck::Handshake,
        max_cached_sessions: 10,
    }
}

/// How long a handshake of a server of these tests may take, by the poller's clock.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1000);

/// Settings of a server with these options, and with changes.
pub fn server_with(options: &ServerOptions, change: impl FnOnce(&mut Settings)) -> Arc<Settings> {
    let mut settings = base();
    settings.half_open = HalfOpen::Close;
    let tls = ServerTls::new(options, Some(HANDSHAKE_TIMEOUT)).expect("valid");
    settings.tls = Some(Tls::Server(Arc::new(tls)));
    change(&mut settings);
    Arc::new(settings)
}

pub fn server(version: Version, change: impl FnOnce(&mut Settings)) -> Arc<Settings> {
    server_with(&server_options(version), change)
}

pub fn client_with(options: &ClientOptions) -> Arc<Settings> {
    let mut settings = base();
    let tls = ClientTls::new(options).expect("valid");
    settings.tls = Some(Tls::Client(Arc::new(tls)));
    Arc::new(settings)
}

fn library(version: Version) -> [&'static SupportedProtocolVersion; 1] {
    match version {
        Version::Tls12 => [&version::TLS12],
        Version::Tls13 => [&version::TLS13],
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a client of the library goes by, which trusts the root and shows `identity`.
pub fn peer_client(version: Version, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ROOT)).expect("a root");
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&library(version))
        .expect("a version")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = parts(identity);
            builder.with_client_auth_cert(chain, key).expect("a key")
        }
    };
    config.enable_secret_extraction = true;
    Arc::new(config)
}

fn parts(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = identity.chain.iter().cloned().map(Into::into).collect();
    let PrivateKey::Pkcs8(key) = identity.key.clone() else {
        panic!("the tests' keys are PKCS#8");
    };
    (chain, PrivateKeyDer::Pkcs8(key.into()))
}

pub fn peer_server(version: Version, identity: &Identity) -> Arc<ServerConfig> {
    let (chain, key) = parts(identity);
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&library(version))
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key");
    Arc::new(config)
}

/// A peer over a non-blocking socket.
pub struct Peer<S> {
    pub tls: Connection,
    pub socket: S,
    pub failure: Option<rustls::Error>,
}

impl<S: Read + Write + AsFd> Peer<S> {
    pub fn client(socket: S, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(config.clone(), name).expect("a client");
        Self::over(socket, Connection::Client(tls))
    }

    pub fn server(socket: S, config: &Arc<ServerConfig>) -> Self {
        let tls = ServerConnection::new(config.clone()).expect("a server");
        Self::over(socket, Connection::Server(tls))
    }

    fn over(socket: S, tls: Connection) -> Self {
        SockRef::from(&socket)
            .set_nonblocking(true)
            .expect("non-blocking");
        Self {
            tls,
            socket,
            failure: None,
        }
    }

    /// Writes what waits, and reads what is there, as far as the socket allows; whether its end was met.
    pub fn step(&mut self) -> io::Result<bool> {
        self.write_out()?;
        let mut has_ended = false;
        while self.tls.wants_read() {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => {
                    has_ended = true;
                    break;
                }
                Ok(_) => {
                    if let Err(error) = self.tls.process_new_packets() {
                        self.failure.get_or_insert(error);
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.write_out()?;
        Ok(has_ended)
    }

    fn write_out(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub fn is_secured(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// What was encrypted and waits, taken away from the socket.
    pub fn take_ciphertext(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).expect("memory");
        }
        bytes
    }
}

/// Plaintext; 0 is the end that TLS has announced, and an end without that an error.
impl<S: Read + Write + AsFd> Read for Peer<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stepped = self.step();
        match self.tls.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if let Some(failure) = &self.failure {
                    return Err(io::Error::other(failure.clone()));
                }
                stepped.map(|_| ())?;
                Err(error)
            }
            other => other,
        }
    }
}

impl<S: Read + Write + AsFd> Write for Peer<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.step()?;
        if self.tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.tls.writer().write(bytes)?;
        self.step()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.step().map(drop)
    }
}

impl<S: AsFd> AsFd for Peer<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that listens on loopback, and where.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listening");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("connecting");
    // What is written has arrived then, however small it is.
    socket.set_nodelay(true).expect("an option");
    socket
}

impl<S: Read + Write + AsFd> Peer<S> {
    /// Reads what is there, and keeps what is to be written.
    pub fn step_without_writing(&mut self) {
        while let Ok(1..) = self.tls.read_tls(&mut self.socket) {
            if let Err(error) = self.tls.process_new_packets() {
                self.failure.get_or_insert(error);
            }
        }
    }
}
