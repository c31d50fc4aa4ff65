//! Certificates and keys that this end shows.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::seen::note;
use crate::tls::options::{Identity, InvalidConfiguration, PrivateKey};

pub(super) fn chain_of(identity: &Identity) -> Vec<CertificateDer<'static>> {
    let chain = identity.chain.iter().cloned();
    chain.map(CertificateDer::from).collect()
}

pub(super) fn key_of(identity: &Identity) -> PrivateKeyDer<'static> {
    match identity.key.clone() {
        PrivateKey::Pkcs8(der) => PrivateKeyDer::Pkcs8(der.into()),
        PrivateKey::Pkcs1(der) => PrivateKeyDer::Pkcs1(der.into()),
        PrivateKey::Sec1(der) => PrivateKeyDer::Sec1(der.into()),
    }
}

pub(super) fn certified(
    identity: &Identity,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, InvalidConfiguration> {
    let made = CertifiedKey::from_der(chain_of(identity), key_of(identity), provider);
    made.map(Arc::new).map_err(|error| match error {
        Error::InconsistentKeys(_) => InvalidConfiguration::KeyMismatch,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
            InvalidConfiguration::Certificate
        }
        _ => InvalidConfiguration::Key,
    })
}

/// Chooses by the name that the client asks for.
#[derive(Debug)]
pub(super) struct Credentials {
    usual: Option<Arc<CertifiedKey>>,
    /// In lower case. What stands for any first label begins with `*.`.
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl Credentials {
    pub(super) fn new(
        usual: Option<&Identity>,
        named: &[(String, Identity)],
        provider: &CryptoProvider,
    ) -> Result<Self, InvalidConfiguration> {
        let mut made = Self {
            usual: usual
                .map(|identity| certified(identity, provider))
                .transpose()?,
            named: HashMap::new(),
        };
        for (name, identity) in named {
            let host = name.strip_prefix("*.").unwrap_or(name);
            if DnsName::try_from(host).is_err() {
                return Err(InvalidConfiguration::Name(name.clone()));
            }
            let key = certified(identity, provider)?;
            made.named.insert(comparable(name), key);
        }
        Ok(made)
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        if self.named.is_empty() {
            return None;
        }
        let name = comparable(name);
        self.named.get(&name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.named.get(&format!("*.{domain}"))
        })
    }
}

/// Names are compared without their case, and without the dot that stands for the root.
fn comparable(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        if let Some(name) = name {
            note(|seen| seen.server_name = Some(name.into()));
        }
        let found = name.and_then(|name| self.find(name));
        let found = found.or(self.usual.as_ref());
        if found.is_none() {
            note(|seen| seen.lacks_certificate = true);
        }
        found.cloned()
    }
}
