//! TLS options as they cross the boundary, turned into the core's checked forms, and what was agreed on.

use std::sync::Arc;

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use netpoll_core::tls::options::{
    Authorities, ClientCertificates, ClientOptions, Common, Identity, InvalidConfiguration,
    NameCheck, PartialChains, PrivateKey, ServerOptions, Unauthorized, Version,
};
use netpoll_core::tls::{ClientTls, Excess, Limit, Negotiated, ServerTls, Tls};

use crate::api::options::millis;

/// Certificates of this end, its own first, and the key, all in DER. The key is PKCS#8.
#[napi(object)]
pub struct TlsIdentity {
    /// The chain.
    pub chain: Vec<Buffer>,
    /// The key.
    pub key: Buffer,
}

/// Certificates for a name that clients ask for.
#[napi(object)]
pub struct TlsContext {
    /// The name, which may begin with `*.`.
    pub name: String,
    /// The certificates.
    pub identity: TlsIdentity,
}

/// What the TLS of a server or dialer goes by.
#[napi(object)]
pub struct TlsSettings {
    /// 12 or 13.
    pub min_version: u32,
    /// 12 or 13.
    pub max_version: u32,
    /// Numbers of the ciphers, in the order of preference. Absent: all.
    pub ciphers: Option<Vec<u32>>,
    /// Application protocols, in the order of preference.
    pub application_protocols: Vec<Buffer>,
    /// What this end shows.
    pub identity: Option<TlsIdentity>,
    /// What it shows for other names.
    pub contexts: Vec<TlsContext>,
    /// Whom to trust, in DER.
    pub authorities: Vec<Buffer>,
    /// Whether a chain may end at any of them.
    pub allow_partial_chain: bool,
    /// Whether a server asks clients for certificates.
    pub request_certificate: bool,
    /// Whether peers that are not trusted are refused.
    pub reject_unauthorized: bool,
    /// The name that a client asks for, instead of the host that is dialed.
    pub server_name: Option<String>,
    /// Destinations whose sessions a client keeps.
    pub max_cached_sessions: u32,
    /// Milliseconds that a handshake with a server may take. 0: any time.
    pub handshake_timeout: u32,
    /// Connections that a server may have, in their handshake or behind it. Absent: any number.
    pub max_connections: Option<u32>,
    /// Whether one that is too many is told of before it is closed.
    pub tells_excess: bool,
    /// Records that keys encrypt which are never made anew. Absent: as many as are safe.
    pub max_records: Option<u32>,
}

/// The TLS of a server or dialer, as their connections go by it.
#[napi]
pub struct SecureContext(pub(crate) Tls);

#[napi]
impl SecureContext {
    /// A dialer's. That of a server is made by its `ServerSecureContext`.
    ///
    /// @throws when no configuration can be made of it
    #[napi(constructor)]
    pub fn new(settings: TlsSettings) -> napi::Result<Self> {
        let made = ClientTls::new(&settings.client()).map_err(refused)?;
        let tls = made.with_max_records(settings.max_records());
        Ok(Self(Tls::Client(Arc::new(tls))))
    }
}

/// The TLS of a server, which can be replaced.
#[napi]
pub struct ServerSecureContext(Arc<ServerTls>);

#[napi]
impl ServerSecureContext {
    /// @throws when no configuration can be made of it
    #[napi(constructor)]
    pub fn new(settings: TlsSettings) -> napi::Result<Self> {
        let timeout = millis(settings.handshake_timeout);
        let made = ServerTls::new(&settings.server(), timeout).map_err(refused)?;
        let tls = made
            .limited(settings.limit())
            .with_max_records(settings.max_records());
        Ok(Self(Arc::new(tls)))
    }

    /// What connections go by, also after `replace`.
    #[napi]
    #[must_use]
    pub fn context(&self) -> SecureContext {
        SecureContext(Tls::Server(self.0.clone()))
    }

    /// Connections that are in their handshake.
    #[napi(getter)]
    pub fn handshaking(&self) -> u32 {
        u32::try_from(self.0.securing()).unwrap_or(u32::MAX)
    }

    /// Handshakes that begin from now on go by these, in every poller.
    ///
    /// @throws when no configuration can be made of it; then nothing has changed
    #[napi]
    pub fn replace(&self, settings: TlsSettings) -> napi::Result<()> {
        self.0
            .replace(&settings.server(), millis(settings.handshake_timeout))
            .map_err(refused)
    }
}

impl TlsIdentity {
    fn parse(&self) -> Identity {
        Identity {
            chain: owned(&self.chain),
            key: PrivateKey::Pkcs8(self.key.to_vec()),
        }
    }
}

impl TlsSettings {
    fn common(&self) -> Common {
        Common {
            min_version: version(self.min_version),
            max_version: version(self.max_version),
            ciphers: self
                .ciphers
                .as_ref()
                .map(|numbers| numbers.iter().map(|number| *number as u16).collect()),
            application_protocols: owned(&self.application_protocols),
        }
    }

    fn authorities(&self) -> Authorities {
        Authorities {
            certificates: owned(&self.authorities),
            partial_chains: if self.allow_partial_chain {
                PartialChains::Accepted
            } else {
                PartialChains::Refused
            },
        }
    }

    fn unauthorized(&self) -> Unauthorized {
        if self.reject_unauthorized {
            Unauthorized::Refused
        } else {
            Unauthorized::Accepted
        }
    }

    fn max_records(&self) -> u64 {
        self.max_records.map_or(u64::MAX, u64::from)
    }

    fn limit(&self) -> Limit {
        Limit {
            max: self.max_connections.map_or(usize::MAX, |max| max as usize),
            excess: if self.tells_excess {
                Excess::Told
            } else {
                Excess::Counted
            },
        }
    }

    fn server(&self) -> ServerOptions {
        ServerOptions {
            common: self.common(),
            identity: self.identity.as_ref().map(TlsIdentity::parse),
            named: self
                .contexts
                .iter()
                .map(|context| (context.name.clone(), context.identity.parse()))
                .collect(),
            client_certificates: if self.request_certificate {
                ClientCertificates::Asked {
                    authorities: self.authorities(),
                    unauthorized: self.unauthorized(),
                }
            } else {
                ClientCertificates::NotAsked
            },
        }
    }

    fn client(&self) -> ClientOptions {
        ClientOptions {
            common: self.common(),
            identity: self.identity.as_ref().map(TlsIdentity::parse),
            authorities: self.authorities(),
            unauthorized: self.unauthorized(),
            server_name: self.server_name.clone(),
            // As Node.js does it, before a dial resolves.
            name_check: NameCheck::Dialer,
            max_cached_sessions: self.max_cached_sessions as usize,
        }
    }
}

fn version(number: u32) -> Version {
    if number < 13 {
        Version::Tls12
    } else {
        Version::Tls13
    }
}

fn owned(buffers: &[Buffer]) -> Vec<Vec<u8>> {
    buffers.iter().map(|bytes| bytes.to_vec()).collect()
}

fn refused(reason: InvalidConfiguration) -> napi::Error {
    napi::Error::from_reason(reason.to_string())
}

/// What two ends have agreed on.
#[napi(object)]
pub struct TlsAgreement {
    /// 12 or 13.
    pub version: u32,
    /// The cipher's number.
    pub cipher: u32,
    /// The application protocol.
    pub application_protocol: Option<Buffer>,
    /// The name that the client has asked for.
    pub server_name: Option<String>,
    /// The peer's certificates in DER, its own first.
    pub peer_chain: Vec<Buffer>,
    /// What is wrong with them, by its number.
    pub fault: Option<u32>,
    /// Whether peers are asked for certificates.
    pub is_verified: bool,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
}

impl From<Negotiated> for TlsAgreement {
    fn from(negotiated: Negotiated) -> Self {
        Self {
            version: match negotiated.version {
                Version::Tls12 => 12,
                Version::Tls13 => 13,
            },
            cipher: u32::from(negotiated.cipher),
            application_protocol: negotiated.application_protocol.map(Buffer::from),
            server_name: negotiated.server_name,
            peer_chain: negotiated
                .peer_chain
                .into_iter()
                .map(Buffer::from)
                .collect(),
            fault: negotiated.fault.map(|fault| fault as u32),
            is_verified: negotiated.is_verified,
            is_resumed: negotiated.is_resumed,
        }
    }
}
