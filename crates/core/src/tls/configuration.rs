//! What the TLS of a server or dialer goes by. That of a server can be replaced.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::admission::{Admission, Admissions, Excess, Limit};
use super::engine::{ClientConfiguration, DestinationConfiguration, ServerConfiguration};
use super::options::{ClientOptions, InvalidConfiguration, ServerOptions};

/// What can be replaced, all of it at once.
struct Current {
    configuration: Arc<ServerConfiguration>,
    handshake_timeout: Option<Duration>,
}

impl Current {
    fn new(
        options: &ServerOptions,
        handshake_timeout: Option<Duration>,
    ) -> Result<Self, InvalidConfiguration> {
        Ok(Self {
            configuration: Arc::new(ServerConfiguration::new(options)?),
            handshake_timeout,
        })
    }
}

/// The TLS of a server: what new connections go by can be replaced while it listens.
pub struct ServerTls {
    current: RwLock<Current>,
    admissions: Arc<Admissions>,
    max_records: u64,
}

impl ServerTls {
    /// By `options`; a handshake takes at most `handshake_timeout`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(
        options: &ServerOptions,
        handshake_timeout: Option<Duration>,
    ) -> Result<Self, InvalidConfiguration> {
        Ok(Self {
            current: RwLock::new(Current::new(options, handshake_timeout)?),
            admissions: Arc::default(),
            max_records: u64::MAX,
        })
    }

    /// As it is, where keys encrypt no more than so many records, if their cipher has a limit.
    #[must_use]
    pub fn with_max_records(self, max_records: u64) -> Self {
        Self {
            max_records,
            ..self
        }
    }

    pub(super) fn max_records(&self) -> u64 {
        self.max_records
    }

    /// As it is, with at most so many connections.
    #[must_use]
    pub fn limited(self, limit: Limit) -> Self {
        Self {
            admissions: Arc::new(Admissions::with(limit)),
            ..self
        }
    }

    /// A place for one connection more, from the beginning of its handshake on.
    ///
    /// # Errors
    /// What becomes of it where there are as many as there may be.
    pub fn admit(&self) -> Result<Admission, Excess> {
        self.admissions.admit()
    }

    /// Connections in their handshake.
    #[must_use]
    pub fn securing(&self) -> usize {
        self.admissions.securing()
    }

    /// Handshakes that begin from now on go by `options` and take at most `handshake_timeout`. Tickets that were given out before
    /// are worth nothing.
    ///
    /// # Errors
    /// What is wrong with them; then nothing has changed.
    pub fn replace(
        &self,
        options: &ServerOptions,
        handshake_timeout: Option<Duration>,
    ) -> Result<(), InvalidConfiguration> {
        let next = Current::new(options, handshake_timeout)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<ServerConfiguration> {
        let current = self.current.read();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        current.configuration.clone()
    }

    /// How long a handshake may take that begins now.
    #[must_use]
    pub fn handshake_timeout(&self) -> Option<Duration> {
        let current = self.current.read();
        current
            .unwrap_or_else(PoisonError::into_inner)
            .handshake_timeout
    }
}

/// The TLS of a dialer. Sessions are kept apart by destination, the last ones that were dialed.
pub struct ClientTls {
    state: Mutex<ClientState>,
    max_records: u64,
}

struct ClientState {
    configuration: ClientConfiguration,
    server_name: Option<String>,
    max_destinations: usize,
    /// The last one that was dialed is the last.
    destinations: Vec<(String, Arc<DestinationConfiguration>)>,
}

impl ClientTls {
    /// By `options`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(options: &ClientOptions) -> Result<Self, InvalidConfiguration> {
        Ok(Self {
            state: Mutex::new(ClientState::new(options)?),
            max_records: u64::MAX,
        })
    }

    /// As it is, where keys encrypt no more than so many records, if their cipher has a limit.
    #[must_use]
    pub fn with_max_records(self, max_records: u64) -> Self {
        Self {
            max_records,
            ..self
        }
    }

    pub(super) fn max_records(&self) -> u64 {
        self.max_records
    }

    /// What a dial of `host` at `destination` goes by, and the name that the server is to have.
    pub(super) fn for_destination(
        &self,
        destination: &str,
        host: Option<&str>,
    ) -> (Arc<DestinationConfiguration>, Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = state.server_name.clone();
        let name = name.or_else(|| host.map(str::to_owned));
        (state.for_destination(destination), name)
    }
}

impl ClientState {
    fn for_destination(&mut self, destination: &str) -> Arc<DestinationConfiguration> {
        let known = self
            .destinations
            .iter()
            .position(|(name, _)| name == destination);
        if let Some(at) = known {
            self.destinations[at..].rotate_left(1);
            return self.destinations[self.destinations.len() - 1].1.clone();
        }
        let keeps = self.max_destinations > 0;
        let made = Arc::new(self.configuration.for_destination(keeps));
        if keeps {
            if self.destinations.len() >= self.max_destinations {
                self.destinations.remove(0);
            }
            self.destinations
                .push((destination.to_owned(), made.clone()));
        }
        made
    }

    fn new(options: &ClientOptions) -> Result<Self, InvalidConfiguration> {
        Ok(Self {
            configuration: ClientConfiguration::new(options)?,
            server_name: options.server_name.clone(),
            max_destinations: options.max_cached_sessions,
            destinations: Vec::new(),
        })
    }
}

/// The TLS of the connections that have the same settings.
#[derive(Clone)]
pub enum Tls {
    /// They are a server's.
    Server(Arc<ServerTls>),
    /// They are dialed.
    Client(Arc<ClientTls>),
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Server(_) => "Server",
            Self::Client(_) => "Client",
        })
    }
}
