//! What the library takes for the two kinds of ends.

use std::sync::Arc;

use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion, version};

use super::credentials::{Credentials, certified, chain_of, key_of};
use super::verifier::Authority;
use crate::tls::chain::Usage;
use crate::tls::options::{
    ClientCertificates, ClientOptions, Common, InvalidConfiguration, NameCheck, ServerOptions,
    Version,
};

pub(crate) struct ServerConfiguration {
    pub(super) library: Arc<ServerConfig>,
    pub(super) authority: Option<Authority>,
}

pub(crate) struct ClientConfiguration {
    library: ClientConfig,
    authority: Authority,
}

/// With sessions of its own.
pub(crate) struct DestinationConfiguration {
    pub(super) library: Arc<ClientConfig>,
    pub(super) authority: Authority,
}

impl ServerConfiguration {
    pub(crate) fn new(options: &ServerOptions) -> Result<Self, InvalidConfiguration> {
        let provider = Arc::new(provider_for(&options.common));
        let authority = match &options.client_certificates {
            ClientCertificates::NotAsked => None,
            ClientCertificates::Asked {
                authorities,
                unauthorized,
            } => Some(Authority::new(
                authorities,
                provider.signature_verification_algorithms,
                Usage::Client,
                *unauthorized,
                NameCheck::Dialer,
            )?),
        };
        let credentials = Credentials::new(options.identity.as_ref(), &options.named, &provider)?;
        let versions = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions_of(&options.common))
            .map_err(|_| InvalidConfiguration::NothingToOffer)?;
        let clients = match authority.clone() {
            None => versions.with_no_client_auth(),
            Some(authority) => versions.with_client_cert_verifier(Arc::new(authority)),
        };
        let mut library = clients.with_cert_resolver(Arc::new(credentials));
        library
            .alpn_protocols
            .clone_from(&options.common.application_protocols);
        // An order that was given counts. Otherwise a client knows best which cipher its machine has instructions for.
        library.ignore_client_order = options.common.ciphers.is_some();
        // Tickets hold the sessions, so that no client makes this end keep one. Their keys are this configuration's alone.
        library.session_storage = Arc::new(NoServerSessionStorage {});
        library.ticketer = ring::Ticketer::new().map_err(|_| InvalidConfiguration::NoRandomness)?;
        Ok(Self {
            library: Arc::new(library),
            authority,
        })
    }
}

impl ClientConfiguration {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, InvalidConfiguration> {
        if let Some(name) = options.server_name.as_deref()
            && !name.is_empty()
            && ServerName::try_from(name).is_err()
        {
            return Err(InvalidConfiguration::ServerName(name.to_owned()));
        }
        let provider = Arc::new(provider_for(&options.common));
        let authority = Authority::new(
            &options.authorities,
            provider.signature_verification_algorithms,
            Usage::Server,
            options.unauthorized,
            options.name_check,
        )?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions_of(&options.common))
            .map_err(|_| InvalidConfiguration::NothingToOffer)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(authority.clone()));
        let mut library = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                certified(identity, &provider)?;
                builder
                    .with_client_auth_cert(chain_of(identity), key_of(identity))
                    .map_err(|_| InvalidConfiguration::Key)?
            }
        };
        library
            .alpn_protocols
            .clone_from(&options.common.application_protocols);
        library.resumption = Resumption::disabled();
        Ok(Self { library, authority })
    }

    /// For one destination, whose sessions are kept if `keeps`.
    pub(crate) fn for_destination(&self, keeps: bool) -> DestinationConfiguration {
        let mut library = self.library.clone();
        if keeps {
            let store = ClientSessionMemoryCache::new(1);
            library.resumption = Resumption::store(Arc::new(store));
        }
        DestinationConfiguration {
            library: Arc::new(library),
            authority: self.authority.clone(),
        }
    }
}

fn provider_for(common: &Common) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(ciphers) = &common.ciphers {
        let all = std::mem::take(&mut provider.cipher_suites);
        provider.cipher_suites = ciphers
            .iter()
            .filter_map(|number| all.iter().find(|suite| u16::from(suite.suite()) == *number))
            .copied()
            .collect();
    }
    provider
}

fn versions_of(common: &Common) -> Vec<&'static SupportedProtocolVersion> {
    let all = [
        (Version::Tls13, &version::TLS13),
        (Version::Tls12, &version::TLS12),
    ];
    let range = common.min_version..=common.max_version;
    all.into_iter()
        .filter(|(number, _)| range.contains(number))
        .map(|(_, version)| version)
        .collect()
}
