//! What a server or dialer fixes for the TLS of its connections.

use std::fmt;

/// A chain of certificates, the leaf first, and the leaf's private key, all in DER.
#[derive(Clone)]
pub struct Identity {
    /// The chain.
    pub chain: Vec<Vec<u8>>,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PrivateKey,
}

/// A private key in DER, by its form.
#[derive(Clone)]
pub enum PrivateKey {
    /// Any kind of key.
    Pkcs8(Vec<u8>),
    /// RSA.
    Pkcs1(Vec<u8>),
    /// Elliptic curves.
    Sec1(Vec<u8>),
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// Whether a chain may end at a trusted certificate that another issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartialChains {
    /// It must not: OpenSSL's default.
    Refused,
    /// It may.
    Accepted,
}

/// Whom to trust.
#[derive(Clone)]
pub struct Authorities {
    /// Certificates in DER.
    pub certificates: Vec<Vec<u8>>,
    /// What they may be.
    pub partial_chains: PartialChains,
}

/// What becomes of a peer whose certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthorized {
    /// Its handshake fails.
    Refused,
    /// It is served, and `Negotiated::fault` tells.
    Accepted,
}

/// Who compares the name of the server with its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// The handshake does, by the alternative names.
    Handshake,
    /// Who dials does, once it is told that the connection stands.
    Dialer,
}

/// What both sides have.
#[derive(Clone)]
pub struct Common {
    /// The lowest version.
    pub min_version: Version,
    /// The highest version.
    pub max_version: Version,
    /// Numbers of the ciphers, in the order of preference. `None`: all that are safe.
    pub ciphers: Option<Vec<u16>>,
    /// Names of application protocols, in the order of preference.
    pub application_protocols: Vec<Vec<u8>>,
}

/// Whether clients show certificates.
#[derive(Clone)]
pub enum ClientCertificates {
    /// They are not asked.
    NotAsked,
    /// They are.
    Asked {
        /// Whom to trust.
        authorities: Authorities,
        /// What becomes of the others.
        unauthorized: Unauthorized,
    },
}

/// What a server's handshakes go by.
#[derive(Clone)]
pub struct ServerOptions {
    /// What both sides have.
    pub common: Common,
    /// Shown where no other is for the name that the client asks for.
    pub identity: Option<Identity>,
    /// Others, by name. A name may begin with `*.`.
    pub named: Vec<(String, Identity)>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
}

/// What a client's handshakes go by.
#[derive(Clone)]
pub struct ClientOptions {
    /// What both sides have.
    pub common: Common,
    /// Shown where the server asks.
    pub identity: Option<Identity>,
    /// Whom to trust.
    pub authorities: Authorities,
    /// What becomes of the others.
    pub unauthorized: Unauthorized,
    /// What servers are called; `None`: as the dial says, whose host is not asked for where it is no name. Empty: none is.
    pub server_name: Option<String>,
    /// Who compares names.
    pub name_check: NameCheck,
    /// Destinations whose sessions are kept.
    pub max_cached_sessions: usize,
}

/// Why no configuration can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidConfiguration {
    /// A certificate is none.
    Certificate,
    /// A key is none, or of a kind that is not known.
    Key,
    /// The key is not that of the certificate.
    KeyMismatch,
    /// No version, or none that has a cipher.
    NothingToOffer,
    /// The name of a context is none that a client may ask for.
    Name(String),
    /// The name of the server is none, and no address.
    ServerName(String),
    /// The system gives no random numbers.
    NoRandomness,
}

impl fmt::Display for InvalidConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Name(name) => {
                let rule =
                    "is no name for a context: give a host name, which may begin with \"*.\"";
                return write!(formatter, "{name:?} {rule}");
            }
            Self::ServerName(name) => {
                return write!(formatter, "{name:?} is no host name, and no IP address");
            }
            Self::Certificate => "a certificate is not valid",
            Self::Key => "the private key is not valid, or of a kind that is not known",
            Self::KeyMismatch => "the private key does not match the certificate",
            Self::NothingToOffer => "no cipher is left for these versions",
            Self::NoRandomness => "the system gives no random numbers",
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for InvalidConfiguration {}
