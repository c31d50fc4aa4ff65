//! What both ends offer: TLS 1.3 with AES-128-GCM and X25519, so that every server under measurement does the same work.

use std::io;
use std::sync::Arc;

use anyhow::Result;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use super::tickets::Tickets;

/// The certificate that every server under measurement shows: P-256, signed by itself.
const CERTIFICATE: &[u8] = include_bytes!("../../../../benches/certificate/certificate.pem");
const KEY: &[u8] = include_bytes!("../../../../benches/certificate/key.pem");

/// What a server's connections have in common.
pub type ServerTls = Arc<ServerConfig>;
/// What a client's connections have in common.
pub type ClientTls = Arc<ClientConfig>;

/// A server's, with tickets, which cost it no memory.
pub fn server() -> Result<ServerTls> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE)?;
    let key = PrivateKeyDer::from_pem_slice(KEY)?;
    let mut configuration = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    configuration.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(configuration))
}

/// A client's, whose connections take up the sessions of `tickets`. Without them each handshake is a full one.
pub fn client(tickets: Option<&Arc<Tickets>>) -> io::Result<ClientTls> {
    let mut configuration = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    configuration.resumption = match tickets {
        None => Resumption::disabled(),
        Some(tickets) => Resumption::store(tickets.clone()),
    };
    Ok(Arc::new(configuration))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
}

/// The client measures, and has no need to know its server: any certificate will do whose key the server has.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
