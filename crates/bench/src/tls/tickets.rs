//! Sessions that a client takes up again: first they are gathered, then each is used once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Sessions of one server. A full handshake gives at least one; some servers give none with a resumed session. So full
/// handshakes come first, and what they have gathered may be used up.
#[derive(Debug, Default)]
pub struct Tickets {
    kept: Mutex<Vec<Tls13ClientSessionValue>>,
    has_come: AtomicBool,
    is_used: AtomicBool,
}

impl Tickets {
    /// From now on each connection resumes a session.
    pub fn use_them(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Whether there were some, and none is left.
    pub fn are_used_up(&self) -> bool {
        self.has_come.load(Ordering::Relaxed) && self.with_kept(|kept| kept.is_empty())
    }

    fn with_kept<Result>(
        &self,
        with: impl FnOnce(&mut Vec<Tls13ClientSessionValue>) -> Result,
    ) -> Result {
        with(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.has_come.store(true, Ordering::Relaxed);
        self.with_kept(|kept| kept.push(value));
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let is_used = self.is_used.load(Ordering::Relaxed);
        is_used.then(|| self.with_kept(Vec::pop)).flatten()
    }
}
