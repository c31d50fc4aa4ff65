//! What TLS says before our direction ends.

use crate::settings::Settings;

/// What TLS says before our direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Nothing, or it has left.
    Said,
    /// It is to be said when nothing waits to be sent.
    Due,
    /// It waits to be sent.
    Waits,
}

impl Farewell {
    /// Of a new connection.
    pub(super) fn of(settings: &Settings) -> Self {
        match settings.tls {
            None => Self::Said,
            Some(_) => Self::Due,
        }
    }

    /// Nothing more is to be said, and what was may wait to be sent.
    pub(super) fn begun(self) -> Self {
        match self {
            Self::Said => Self::Said,
            Self::Due | Self::Waits => Self::Waits,
        }
    }
}
