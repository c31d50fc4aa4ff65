//! Whether connections are encrypted.

use std::io;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use crate::tls::configuration;
use crate::tls::tickets::Tickets;
use crate::tls::{ClientTls, ServerTls};

/// Options of everything that may be encrypted.
#[derive(Debug, Clone, Copy, Args)]
pub struct TlsOptions {
    /// Encrypt: TLS 1.3 with AES-128-GCM and X25519. A server shows the certificate of `benches/certificate`; a client
    /// takes any.
    #[arg(long)]
    pub tls: bool,
}

impl TlsOptions {
    /// What a server's connections have in common, if they are encrypted.
    pub fn server(self) -> Result<Option<ServerTls>> {
        self.tls.then(configuration::server).transpose()
    }

    /// The same of a client's.
    pub fn client(self, tickets: Option<&Arc<Tickets>>) -> io::Result<Option<ClientTls>> {
        self.tls.then(|| configuration::client(tickets)).transpose()
    }
}
