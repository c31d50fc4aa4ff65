//! What callbacks of the library see.

use std::cell::Cell;

use crate::tls::chain::CertificateFault;

thread_local! {
    /// What callbacks of the library have seen since `Engine::process` was called: they do not know the connection.
    pub(super) static SEEN: Cell<Seen> = const {
        Cell::new(Seen { fault: None, server_name: None, lacks_certificate: false })
    };
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) fault: Option<CertificateFault>,
    pub(super) server_name: Option<Box<str>>,
    /// Whether there is no certificate for what the client asks for.
    pub(super) lacks_certificate: bool,
}

pub(super) fn note(change: impl FnOnce(&mut Seen)) {
    let mut seen = SEEN.take();
    change(&mut seen);
    SEEN.set(seen);
}
