//! Verifies the certificates of peers as OpenSSL does.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::{EndEntityCert, anchor_from_trusted_cert};

use super::seen::note;
use crate::tls::chain::{CertificateFault, Parts, Usage, fault_of};
use crate::tls::options::{
    Authorities, InvalidConfiguration, NameCheck, PartialChains, Unauthorized,
};

/// Bytes of names that a request for certificates has room for beside all else: two bytes say how many there are.
const MAX_NAMES: usize = 0xffff - 1024;

/// Who is trusted, for what, and what becomes of others. Shared by all connections of a configuration.
#[derive(Clone)]
pub(super) struct Authority {
    trusted: Arc<Trusted>,
    algorithms: WebPkiSupportedAlgorithms,
    usage: Usage,
    pub(super) unauthorized: Unauthorized,
    name_check: NameCheck,
}

struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    /// One for each anchor.
    roots: Vec<Root>,
    /// Those that another issued: they help to find a way, and do not end it.
    helpers: Vec<CertificateDer<'static>>,
    partial_chains: PartialChains,
    names: Vec<DistinguishedName>,
}

/// What the library does not ask of a root.
struct Root {
    validity: RangeInclusive<i64>,
    may_issue: bool,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Authority({:?})", self.usage)
    }
}

impl Authority {
    pub(super) fn new(
        authorities: &Authorities,
        algorithms: WebPkiSupportedAlgorithms,
        usage: Usage,
        unauthorized: Unauthorized,
        name_check: NameCheck,
    ) -> Result<Self, InvalidConfiguration> {
        Ok(Self {
            trusted: Arc::new(Trusted::new(authorities, usage)?),
            algorithms,
            usage,
            unauthorized,
            name_check,
        })
    }

    /// Whether `leaf` may be shown for this usage now.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateFault> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if let Some(listed) = self.verify_listed(leaf, seconds) {
            return listed;
        }
        let error = match self.find_way(leaf, others, now, seconds) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let chain: Vec<&[u8]> = std::iter::once(leaf)
            .chain(others)
            .map(AsRef::as_ref)
            .collect();
        let known: Vec<&[u8]> = self
            .trusted
            .certificates
            .iter()
            .map(AsRef::as_ref)
            .collect();
        let partial = self.trusted.partial_chains == PartialChains::Accepted;
        let fault = fault_of(&chain, &known, partial, self.usage, seconds);
        Err(fault.unwrap_or_else(|| fault_of_library(&error)))
    }

    /// A self-signed leaf that is listed itself, as `openssl req -x509` makes it, is no certificate of an authority, and its
    /// own signature says nothing.
    fn verify_listed(
        &self,
        leaf: &CertificateDer<'_>,
        now: i64,
    ) -> Option<Result<(), CertificateFault>> {
        let parts = Parts::of(leaf)?;
        let may_end =
            parts.is_self_issued() || self.trusted.partial_chains == PartialChains::Accepted;
        let is_listed = || self.trusted.certificates.iter().any(|other| other == leaf);
        if !may_end || !is_listed() {
            return None;
        }
        Some(match parts.time_fault(now) {
            Some(fault) => Err(fault),
            None if !parts.serves(self.usage) => Err(CertificateFault::InvalidPurpose),
            None => Ok(()),
        })
    }

    fn find_way(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        seconds: i64,
    ) -> Result<(), webpki::Error> {
        let parts = Parts::of(leaf).ok_or(webpki::Error::BadDer)?;
        if !parts.serves(self.usage) {
            // Our caller takes it for a wrong purpose.
            return Err(webpki::Error::EmptyEkuExtension);
        }
        let trusted = &*self.trusted;
        let all: Vec<CertificateDer<'_>>;
        let between = if trusted.helpers.is_empty() {
            others
        } else {
            all = others.iter().chain(&trusted.helpers).cloned().collect();
            &all
        };
        let leaf = EndEntityCert::try_from(leaf)?;
        let accepts = |path: &webpki::VerifiedPath<'_>| {
            let mut between = path.intermediate_certificates();
            let may_sign = between.all(|certificate| {
                Parts::of(&certificate.der()).is_some_and(|parts| parts.may_sign())
            });
            match may_sign && trusted.is_fit(path.anchor(), seconds) {
                true => Ok(()),
                false => Err(webpki::Error::UnknownIssuer),
            }
        };
        leaf.verify_for_usage(
            self.algorithms.all,
            &trusted.anchors,
            between,
            now,
            self.usage.key_usage(),
            None,
            Some(&accepts),
        )
        .map(drop)
    }

    fn decide(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        match self.verify(leaf, others, now) {
            Ok(()) => Ok(()),
            Err(_) if self.unauthorized == Unauthorized::Accepted => Ok(()),
            Err(fault) => {
                note(|seen| seen.fault = Some(fault));
                Err(Error::InvalidCertificate(alert_for(fault)))
            }
        }
    }
}

impl Trusted {
    fn new(authorities: &Authorities, usage: Usage) -> Result<Self, InvalidConfiguration> {
        let mut made = Self {
            certificates: Vec::new(),
            anchors: Vec::new(),
            roots: Vec::new(),
            helpers: Vec::new(),
            partial_chains: authorities.partial_chains,
            names: Vec::new(),
        };
        for der in &authorities.certificates {
            let der = CertificateDer::from(der.clone());
            let parts = Parts::of(&der).ok_or(InvalidConfiguration::Certificate)?;
            let ends =
                parts.is_self_issued() || authorities.partial_chains == PartialChains::Accepted;
            let anchor = anchor_from_trusted_cert(&der)
                .map_err(|_| InvalidConfiguration::Certificate)?
                .to_owned();
            if ends {
                made.names
                    .push(DistinguishedName::in_sequence(&anchor.subject));
                made.anchors.push(anchor);
                made.roots.push(Root {
                    validity: parts.validity(),
                    may_issue: parts.may_sign() && parts.lists(usage),
                });
            } else {
                made.helpers.push(der.clone());
            }
            made.certificates.push(der);
        }
        made.names = told_names(made.names);
        Ok(made)
    }

    /// Whether a root may end a chain `now`: of several with the same name and key, one that is valid is enough.
    fn is_fit(&self, anchor: &TrustAnchor<'_>, now: i64) -> bool {
        let mut known = self.anchors.iter().zip(&self.roots);
        known.any(|(other, root)| root.may_issue && root.validity.contains(&now) && other == anchor)
    }
}

/// The names by which clients are asked for certificates, each once. They are a hint, for clients that have several: none are
/// told where they do not fit.
fn told_names(names: Vec<DistinguishedName>) -> Vec<DistinguishedName> {
    let mut known = HashSet::new();
    let mut told = Vec::new();
    let mut length = 0;
    for name in names {
        if known.insert(name.as_ref().to_vec()) {
            length += 2 + name.as_ref().len();
            told.push(name);
        }
    }
    if length > MAX_NAMES {
        told.clear();
    }
    told
}

/// What the peer is told by.
fn alert_for(fault: CertificateFault) -> CertificateError {
    match fault {
        CertificateFault::CertHasExpired => CertificateError::Expired,
        CertificateFault::CertNotYetValid => CertificateError::NotValidYet,
        CertificateFault::InvalidPurpose => CertificateError::InvalidPurpose,
        CertificateFault::CertSignatureFailure => CertificateError::BadSignature,
        CertificateFault::AltnameInvalid => CertificateError::NotValidForName,
        CertificateFault::CertRejected | CertificateFault::Unspecified => {
            CertificateError::BadEncoding
        }
        _ => CertificateError::UnknownIssuer,
    }
}

fn fault_of_library(error: &webpki::Error) -> CertificateFault {
    match error {
        webpki::Error::CertExpired { .. } => CertificateFault::CertHasExpired,
        webpki::Error::CertNotValidYet { .. } => CertificateFault::CertNotYetValid,
        webpki::Error::InvalidSignatureForPublicKey => CertificateFault::CertSignatureFailure,
        webpki::Error::RequiredEkuNotFoundContext(_)
        | webpki::Error::EmptyEkuExtension
        // OpenSSL finds that it is no authority first, and then that it may not be used as one.
        | webpki::Error::EndEntityUsedAsCa => CertificateFault::InvalidPurpose,
        webpki::Error::PathLenConstraintViolated => CertificateFault::PathLengthExceeded,
        webpki::Error::UnknownIssuer => CertificateFault::UnableToGetIssuerCertLocally,
        // OpenSSL takes an authority as a leaf.
        webpki::Error::CaUsedAsEndEntity => CertificateFault::CertRejected,
        _ => CertificateFault::Unspecified,
    }
}

impl ServerCertVerifier for Authority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.decide(end_entity, intermediates, now)?;
        if self.name_check == NameCheck::Handshake && self.unauthorized == Unauthorized::Refused {
            let fault = CertificateFault::AltnameInvalid;
            EndEntityCert::try_from(end_entity)
                .and_then(|leaf| leaf.verify_is_valid_for_subject_name(server_name))
                .map_err(|_| {
                    note(|seen| seen.fault = Some(fault));
                    Error::InvalidCertificate(alert_for(fault))
                })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Authority {
    fn client_auth_mandatory(&self) -> bool {
        self.unauthorized == Unauthorized::Refused
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.trusted.names
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.decide(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
